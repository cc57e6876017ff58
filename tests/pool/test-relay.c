/*
 * Requests of the run loop that go by the queue of the host that waits for them
 * (port.h): on a device that can be slept on, a file by io_uring.  By a queue that
 * is plugged, too (_i): then the host's wait starts them.
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "support/scratch.h"
#include "support/world.h"

#define THIN_BYTES (4 * MIB)
#define NR_FLUSHES 200u
#define NR_THREADS 4u

static struct tp_device *metadata, *data;
static struct tp_pool *pool;
static struct tp_thin *thin;

/* A thin that is mapped, and has nothing to commit; false: no io_uring here. */
static bool begin_on_file(void)
{
	struct tp_file_options file_options = TP_FILE_OPTIONS_INIT;
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_thin_options thin_options = TP_THIN_OPTIONS_INIT;
	char path[SCRATCH_PATH_BYTES];
	int r;

	file_options.engine = TP_FILE_ENGINE_URING;
	options.commit_interval_ms = TP_NEVER;
	thin_options.size = THIN_BYTES;
	scratch_file(path, 8 * THIN_BYTES);
	r = tp_device_open_file(path, &file_options, &data);
	unlink(path);
	if (r == -EOPNOTSUPP)
		return false;
	ck_ok(r);
	ck_ok(tp_device_open_memory(4 * MIB, &metadata));
	ck_ok(tp_pool_format(metadata, data, NULL));
	ck_ok(tp_pool_open(metadata, data, &options, &pool));
	ck_ok(tp_pool_create_thin(pool, 1));
	ck_ok(tp_thin_open(pool, 1, &thin_options, &thin));
	thin_fill(thin, 0, THIN_BYTES, 1);
	thin_verify(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_pool_commit(pool));

	return true;
}

static void end_on_file(void)
{
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_close(pool));
	tp_device_unref(data);
	tp_device_unref(metadata);
}

static struct tp_pool_status status_now(void)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	ck_ok(tp_pool_get_status(pool, &status));

	return status;
}

/* @plugged: what is submitted is started by the wait. */
static struct tp_queue *new_queue(bool plugged)
{
	struct tp_queue *queue;

	ck_ok(tp_queue_create(pool, 1, &queue));
	if (plugged)
		tp_queue_plug(queue);

	return queue;
}

static void wait_for_one(struct io *io, struct tp_queue *queue)
{
	while (!io->nr_ended)
		ck_assert_int_ge(tp_queue_wait(queue, 1, 30000), 1);
	ck_ok(io->bio.status);
}

static void write_and_flush(struct tp_queue *queue, uint64_t offset)
{
	static char bytes[4096];
	struct io io;

	io_init(&io, TP_WRITE, bytes, offset, sizeof(bytes), 0);
	io_submit(&io, queue, thin);
	wait_for_one(&io, queue);
	io_submit_flush(&io, queue, thin);
	wait_for_one(&io, queue);
}

/* Of time that has passed: how often the loop has looked at the queues of hosts
 * that may not reap, at most. */
static uint64_t nr_looks_since(const struct timespec *begin)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);

	return (uint64_t)(now.tv_sec - begin->tv_sec) * 100 +
	       (uint64_t)(now.tv_nsec / 10000000) + 1 -
	       (uint64_t)(begin->tv_nsec / 10000000);
}

/* B-FLUSH-3, B-WAKE-1: the host that waits for it does all of it. */
START_TEST(test_a_flush_without_a_commit_does_not_wake_the_loops_thread)
{
	struct tp_pool_status before, after;
	struct tp_queue *queue;
	struct timespec begin;

	if (!begin_on_file())
		return;
	queue = new_queue(_i);
	before = status_now();
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (unsigned i = 0; i < NR_FLUSHES; i++)
		write_and_flush(queue, i * UINT64_C(4096));
	after = status_now();
	ck_assert_uint_eq(after.nr_commits, before.nr_commits);

	/* The thread may not have been asleep yet now and then; and where
	 * flushes are slow, it is told when to look. */
	ck_assert_uint_lt(after.nr_wakeups, before.nr_wakeups + NR_FLUSHES / 2 +
						    nr_looks_since(&begin));
	tp_queue_destroy(queue);
	end_on_file();
}
END_TEST

/* The flush of others waits for the one under way; and so does a suspend, until
 * none is. */
START_TEST(test_a_host_that_does_not_reap_holds_up_nobodys_flush)
{
	struct tp_queue *idle, *busy;
	struct io forgotten, io;

	if (!begin_on_file())
		return;
	idle = new_queue(_i);
	busy = new_queue(_i);
	for (unsigned i = 0; i < 20; i++) {
		io_submit_flush(&forgotten, idle, thin);
		io_submit_flush(&io, busy, thin);
		wait_for_one(&io, busy);
		ck_assert_uint_eq(forgotten.nr_ended, 0);
		wait_for_one(&forgotten, idle);
	}
	io_submit_flush(&forgotten, idle, thin);
	ck_ok(tp_pool_suspend(pool));
	ck_ok(tp_pool_resume(pool, NULL));
	wait_for_one(&forgotten, idle);
	tp_queue_destroy(busy);
	tp_queue_destroy(idle);
	end_on_file();
}
END_TEST

/* Its owner may be asleep on it, or gone by then: destroying it reaps. */
START_TEST(test_a_queue_is_destroyed_though_its_flush_is_under_way)
{
	struct tp_queue *queue;
	struct io io;

	if (!begin_on_file())
		return;
	for (unsigned i = 0; i < 20; i++) {
		queue = new_queue(_i);
		io_submit_flush(&io, queue, thin);
		tp_queue_destroy(queue);
		ck_assert_uint_eq(io.nr_ended, 1);
		ck_ok(io.bio.status);
	}
	end_on_file();
}
END_TEST

/* What is being given a block of its own is not another's to wait for, whose
 * host does not reap. */
START_TEST(test_a_host_that_does_not_reap_holds_up_nobodys_first_write)
{
	static char bytes[2][4096];
	struct tp_queue *idle, *busy;
	struct io forgotten, io;

	if (!begin_on_file())
		return;
	idle = new_queue(_i);
	busy = new_queue(_i);
	for (uint64_t i = 0; i < 20; i++) {
		uint64_t block = i * WORLD_BLOCK;

		ck_ok(tp_pool_create_snapshot(pool, 2 + (uint32_t)i, 1));
		memset(bytes, (int)i + 1, sizeof(bytes));
		io_init(&forgotten, TP_WRITE, bytes[0], block, 4096, 0);
		io_submit(&forgotten, idle, thin);
		io_init(&io, TP_WRITE, bytes[1], block + 8192, 4096, 0);
		io_submit(&io, busy, thin);
		wait_for_one(&io, busy);
		ck_assert_uint_eq(forgotten.nr_ended, 0);
		wait_for_one(&forgotten, idle);
		ck_ok(tp_thin_read(thin, bytes[1], 4096, block));
		ck_assert_mem_eq(bytes[0], bytes[1], 4096);
	}
	tp_queue_destroy(busy);
	tp_queue_destroy(idle);
	end_on_file();
}
END_TEST

/* A queue for each turn, so that queues go while others' flushes are under
 * way. */
static void *flush_again_and_again(void *context)
{
	uint64_t mine = (uintptr_t)context * MIB;

	for (unsigned turn = 0; turn < 10; turn++) {
		struct tp_queue *queue = new_queue(turn % 2);

		for (unsigned i = 0; i < 20; i++)
			write_and_flush(queue, mine + i * UINT64_C(4096));
		tp_queue_destroy(queue);
		if (!mine)
			ck_ok(tp_pool_create_snapshot(pool, 2 + turn, 1));
	}

	return NULL;
}

START_TEST(test_threads_that_flush_at_once_lose_no_flush)
{
	pthread_t threads[NR_THREADS];

	if (!begin_on_file())
		return;
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		ck_ok(pthread_create(&threads[i], NULL, flush_again_and_again,
				     (void *)i));
	for (unsigned i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	end_on_file();
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"relay", 2,
		test_a_flush_without_a_commit_does_not_wake_the_loops_thread,
		test_a_host_that_does_not_reap_holds_up_nobodys_flush,
		test_a_host_that_does_not_reap_holds_up_nobodys_first_write,
		test_a_queue_is_destroyed_though_its_flush_is_under_way,
		test_threads_that_flush_at_once_lose_no_flush);
}
