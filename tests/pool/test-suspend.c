/*
 * Suspend, resume and growing.
 */
#include <stdlib.h>
#include <unistd.h>

#include "support/world.h"

#define THIN_BYTES (4 * MIB)

static struct world w;
static char block[WORLD_BLOCK];

static struct tp_thin *begin_full(int kind)
{
	struct tp_thin *thin;

	world_begin(&w, kind);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, MIB, 1);

	return thin;
}

static void end_with(struct tp_thin *thin)
{
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}

static void fill_and_close(uint32_t id)
{
	struct tp_thin *thin = world_open_thin(&w, id, THIN_BYTES);

	thin_fill(thin, 0, MIB, 1);
	ck_ok(tp_thin_close(thin));
}

/* SUS-01, SUS-05, CRE-12, B-BAD-19, B-POOL-9. */
START_TEST(test_a_suspended_pool_touches_no_device)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin = begin_full(_i), *other;
	struct tp_queue *queue;
	struct io write, read, flush;

	ck_ok(tp_queue_create(w.pool, 8, &queue));
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_suspend(w.pool));
	ck_assert(world_status(&w).suspended);
	ck_assert(!world_status(&w).changed);
	io_log_clear(&w.log);
	fill_pattern(block, WORLD_BLOCK, 0, 2);
	io_init(&write, TP_WRITE, block, 0, 4096, 0);
	io_submit(&write, queue, thin);
	io_init(&read, TP_READ, block + 8192, 4096, 4096, 0);
	io_submit(&read, queue, thin);
	io_submit_flush(&flush, queue, thin);
	ck_assert_int_eq(tp_pool_create_thin(w.pool, 5), -EBUSY);
	ck_assert_int_eq(tp_pool_commit(w.pool), -EBUSY);
	options.size = THIN_BYTES;
	ck_assert_int_eq(tp_thin_open(w.pool, 0, &options, &other), -EBUSY);
	world_idle(&w);
	tp_queue_poll(queue, 0);
	ck_ok(tp_pool_resume(w.pool, NULL));
	world_idle(&w);
	tp_queue_poll(queue, 0);
	ck_assert_uint_eq(write.nr_ended + read.nr_ended + flush.nr_ended, 0);
	ck_assert_uint_eq(io_log_nr(&w.log), 0);
	ck_ok(tp_pool_resume(w.pool, NULL));
	ck_ok(io_wait(&w, &write, queue));
	ck_ok(io_wait(&w, &read, queue));
	ck_ok(io_wait(&w, &flush, queue));
	ck_assert_uint_eq(find_other(block + 8192, 4096, 4096, 1), UINT64_MAX);
	thin_verify(thin, 0, 4096, 2);
	ck_assert_int_eq(tp_pool_resume(w.pool, NULL), -EINVAL);
	other = world_open_thin(&w, 0, THIN_BYTES);
	ck_ok(tp_thin_close(other));
	tp_queue_destroy(queue);
	end_with(thin);
}
END_TEST

/* api.md: closing ends what waits for a resume. */
START_TEST(test_closing_ends_what_waits_for_a_resume)
{
	struct tp_thin *thin = begin_full(_i);
	struct tp_queue *queue;
	struct io io;

	ck_ok(tp_queue_create(w.pool, 8, &queue));
	ck_ok(tp_pool_suspend(w.pool));
	io_init(&io, TP_READ, block, 0, 4096, 0);
	io_submit(&io, queue, thin);
	ck_assert_int_eq(tp_thin_close(thin), -EBUSY);
	ck_assert_int_eq(io_wait(&w, &io, queue), -ECANCELED);
	tp_queue_destroy(queue);
	ck_ok(tp_pool_resume(w.pool, NULL));
	end_with(thin);
}
END_TEST

/* api.md: a host-driven blocking call does not wait for the host's resume. */
START_TEST(test_a_host_driven_blocking_call_is_busy_while_suspended)
{
	struct tp_thin *thin = begin_full(HOST_DRIVEN);

	ck_ok(tp_pool_suspend(w.pool));
	ck_assert_int_eq(tp_thin_read(thin, block, 512, 0), -EBUSY);
	ck_assert_int_eq(tp_thin_write(thin, block, 512, 0, 0), -EBUSY);
	ck_assert_int_eq(tp_thin_flush(thin), -EBUSY);
	ck_ok(tp_pool_resume(w.pool, NULL));
	thin_verify(thin, 0, MIB, 1);
	end_with(thin);
}
END_TEST

/* B-POOL-7, B-BAD-4, B-BAD-9, DSC-12. */
START_TEST(test_options_change_at_resume_where_they_may)
{
	struct tp_thin *thin = begin_full(_i);
	struct tp_pool_options options = w.options;

	ck_ok(tp_pool_suspend(w.pool));
	options.flags ^= TP_POOL_IGNORE_DISCARD;
	ck_assert_int_eq(tp_pool_resume(w.pool, &options), -EINVAL);
	options = w.options;
	options.flags ^= TP_POOL_HOST_DRIVEN;
	ck_assert_int_eq(tp_pool_resume(w.pool, &options), -EINVAL);
	options = w.options;
	options.flags |= 1u << 30;
	ck_assert_int_eq(tp_pool_resume(w.pool, &options), -EINVAL);
	options = w.options;
	options.data_block_size = 128 * KIB;
	ck_assert_int_eq(tp_pool_resume(w.pool, &options), -EINVAL);
	options = w.options;
	options.metadata_cache_bytes = 123 * MIB;
	ck_assert_int_eq(tp_pool_resume(w.pool, &options), -EINVAL);
	ck_assert(world_status(&w).suspended);
	options = w.options;
	options.flags |= TP_POOL_ERROR_IF_NO_SPACE |
			 TP_POOL_NO_DISCARD_PASSDOWN;
	ck_ok(tp_pool_resume(w.pool, &options));
	ck_assert(world_status(&w).error_if_no_space);
	ck_assert(!world_status(&w).discard_passdown);
	thin_verify(thin, 0, MIB, 1);

	/* To read-only and back (5.5). */
	options.flags |= TP_POOL_READ_ONLY;
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_resume(w.pool, &options));
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_READ_ONLY);
	ck_assert_int_eq(tp_thin_write(thin, block, 512, 2 * MIB, 0), -EIO);
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_resume(w.pool, &w.options));
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	ck_ok(tp_thin_write(thin, block, 512, 2 * MIB, 0));
	end_with(thin);
}
END_TEST

/* B-POOL-9: no clock ticks for a pool that is suspended; afterwards it does. */
START_TEST(test_the_tick_stops_for_a_suspended_pool)
{
	struct tp_thin *thin;
	uint64_t nr_commits, deadline;

	world_make(&w, HOST_DRIVEN);
	world_use_virtual_clock(&w);
	w.options.commit_interval_ms = 0; /* a second */
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	ck_ok(tp_pool_suspend(w.pool));
	io_log_clear(&w.log);
	nr_commits = world_status(&w).nr_commits;
	for (unsigned i = 0; i < 10; i++)
		world_pass_time(&w, SECOND_NS);
	ck_assert_uint_eq(io_log_nr(&w.log), 0);
	ck_ok(tp_pool_next_deadline(w.pool, &deadline));
	ck_assert_uint_eq(deadline, UINT64_MAX);
	ck_ok(tp_pool_resume(w.pool, NULL));
	ck_ok(tp_pool_next_deadline(w.pool, &deadline));
	ck_assert_uint_eq(deadline, w.now_ns + SECOND_NS);
	thin_fill(thin, 0, 4096, 1);
	ck_assert(world_status(&w).changed);
	for (unsigned i = 0; i < 3; i++)
		world_pass_time(&w, SECOND_NS);
	world_idle(&w);
	ck_assert(!world_status(&w).changed);
	ck_assert_uint_eq(world_status(&w).nr_commits, nr_commits + 1);
	end_with(thin);
}
END_TEST

static void *write_on(void *context)
{
	for (unsigned i = 0; i < 10; i++) {
		thin_fill(context, 0, THIN_BYTES, i);
		thin_verify(context, 0, THIN_BYTES, i);
	}

	return NULL;
}

/* R-75, RSZ-04: under I/O nothing is lost or done twice. */
START_TEST(test_suspending_under_io_loses_nothing)
{
	struct tp_thin *thin = begin_full(OWN_THREAD);
	pthread_t writer;

	pthread_create(&writer, NULL, write_on, thin);
	for (unsigned i = 0; i < 60; i++) {
		ck_ok(tp_pool_suspend(w.pool));
		usleep(300);
		ck_ok(tp_pool_resume(w.pool, NULL));
		usleep(500);
	}
	pthread_join(writer, NULL);
	end_with(thin);
}
END_TEST

/*---------------------------- growing --------------------------------------*/

/* RSZ-03, RSZ-05, RSZ-10, R-47, R-49, B-GROW-1, F-34. */
START_TEST(test_new_space_is_used_after_a_grow_call_or_a_resume)
{
	struct tp_thin *thin = begin_full(_i);
	uint64_t nr = world_status(&w).data_blocks;

	for (unsigned i = 0; i < 8; i++) {
		observer_grow(&w.data, w.data.size_bytes + WORLD_BLOCK + 512);
		ck_ok(tp_pool_suspend(w.pool));
		ck_assert_uint_eq(world_status(&w).data_blocks, nr + i);
		if (i % 2) {
			ck_ok(tp_pool_resume(w.pool, NULL));
		} else {
			/* Without the device's new size it would grow. */
			ck_ok(tp_pool_resume(w.pool, NULL));
			ck_ok(tp_pool_grow_data(w.pool));
		}
		ck_assert_uint_eq(world_status(&w).data_blocks, nr + i + 1);
	}
	ck_ok(tp_thin_close(thin));
	observer_grow(&w.data, w.data.size_bytes + MIB);
	world_reopen(&w);
	ck_assert_uint_eq(world_status(&w).data_blocks, nr + 8);
	ck_ok(tp_pool_grow_data(w.pool));
	ck_assert_uint_eq(world_status(&w).data_blocks, nr + 24);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	thin_verify(thin, 0, MIB, 1);
	end_with(thin);
}
END_TEST

/* RSZ-06, B-GROW-2. */
START_TEST(test_metadata_grows_by_any_amount)
{
	static const unsigned steps_kib[] = { 4, 12, 1024, 3072, 7168, 31744 };
	struct tp_thin *thin = begin_full(_i);
	uint64_t nr = world_status(&w).metadata_blocks;

	for (unsigned i = 0; i < 6; i++) {
		observer_grow(&w.metadata,
			      w.metadata.size_bytes + steps_kib[i] * KIB);
		ck_ok(tp_pool_grow_metadata(w.pool));
		nr += steps_kib[i] / 4;
		ck_assert_uint_eq(world_status(&w).metadata_blocks, nr);
		if (i % 2 == 0)
			continue;
		ck_ok(tp_thin_close(thin));
		world_close(&w);
		world_check(&w);
		world_open(&w);
		thin = world_open_thin(&w, 0, THIN_BYTES);
	}
	thin_verify(thin, 0, MIB, 1);
	end_with(thin);
}
END_TEST

/* RSZ-02, B-GROW-1: smaller is refused, and the pool stays as it was. */
START_TEST(test_a_device_that_shrank_is_refused)
{
	struct tp_thin *thin = begin_full(_i);
	uint64_t size = w.data.size_bytes;

	w.data.size_bytes = size - WORLD_BLOCK;
	ck_assert_int_eq(tp_pool_grow_data(w.pool), -EINVAL);
	ck_ok(tp_pool_suspend(w.pool));
	ck_assert_int_eq(tp_pool_resume(w.pool, NULL), -EINVAL);
	ck_assert(world_status(&w).suspended);
	w.data.size_bytes = size;
	ck_ok(tp_pool_resume(w.pool, NULL));
	ck_ok(tp_pool_grow_data(w.pool)); /* equal: nothing */
	thin_verify(thin, 0, MIB, 1);
	end_with(thin);
}
END_TEST

/* B-POOL-9: a host that wants the devices left alone has that, come what may. */
START_TEST(test_a_pool_whose_last_commit_fails_is_suspended)
{
	struct tp_thin *thin = begin_full(_i);

	observer_fail(&w.data, OPS(TP_FLUSH), 0, 0, -EIO);
	ck_assert_int_eq(tp_pool_suspend(w.pool), -EIO);
	observer_heal(&w.data);
	ck_assert(world_status(&w).suspended);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_READ_ONLY);
	ck_assert_int_eq(tp_pool_create_thin(w.pool, 5), -EBUSY);
	ck_ok(tp_pool_resume(w.pool, NULL));
	ck_assert(!world_status(&w).suspended);
	ck_assert_int_eq(tp_pool_create_thin(w.pool, 5), -EOPNOTSUPP);
	ck_ok(tp_thin_close(thin));
	world_end_unchecked(&w);
}
END_TEST

static unsigned nr_data_flushes(void)
{
	return w.data.nr_begun[TP_FLUSH];
}

/* S3: what was written in place is durable then, though nothing is committed;
 * or it is told that it is not. */
START_TEST(test_suspending_a_read_only_pool_flushes_the_data)
{
	struct tp_thin *thin = begin_full(_i);
	unsigned before;

	ck_ok(tp_thin_close(thin));
	w.options.flags |= TP_POOL_READ_ONLY;
	world_reopen(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 2);
	before = nr_data_flushes();
	ck_ok(tp_pool_suspend(w.pool));
	ck_assert_uint_gt(nr_data_flushes(), before);
	ck_ok(tp_pool_resume(w.pool, NULL));
	thin_fill(thin, 0, WORLD_BLOCK, 3);
	observer_fail(&w.data, OPS(TP_FLUSH), 0, 1, -EIO);
	ck_assert_int_eq(tp_pool_suspend(w.pool), -EIO);
	ck_assert(world_status(&w).suspended);
	ck_ok(tp_pool_resume(w.pool, NULL));
	thin_verify(thin, 0, WORLD_BLOCK, 3);
	ck_ok(tp_thin_close(thin));
	world_end_unchecked(&w);
}
END_TEST

static void release_metadata(void *context, uint64_t until_ns)
{
	observer_release(&w.metadata);
}

/* A transaction with a write that has ended fails, and is being rolled back; the
 * next call that waits lets that go on. */
static void begin_rolling_back(void)
{
	world_make(&w, HOST_DRIVEN);
	world_use_virtual_clock(&w);
	w.options.clock_wait = release_metadata;
	w.options.commit_interval_ms = 0; /* a second */
	world_format(&w);
	world_open(&w);
	ck_ok(tp_pool_create_thin(w.pool, 0));
	fill_and_close(0);
	observer_fail(&w.metadata, OPS(TP_WRITE), 0, 1, -EIO);
	observer_hold_range(&w.metadata, OPS(TP_WRITE), 0, 4096);
	world_pass_time(&w, 2 * SECOND_NS);
	world_until(&w, w.metadata.nr_held);
}

/* crash-contract.md, 1: suspending and closing say that what ended before is
 * durable; not if it is rolled back while they wait. */
START_TEST(test_what_is_rolled_back_meanwhile_is_not_said_to_be_durable)
{
	begin_rolling_back();
	ck_assert_int_eq(tp_pool_suspend(w.pool), -EIO);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_READ_ONLY);
	ck_ok(tp_pool_resume(w.pool, NULL));
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_resume(w.pool, NULL));
	world_end_unchecked(&w);

	begin_rolling_back();
	ck_assert_int_eq(tp_pool_close(w.pool), -EIO);
	w.pool = NULL;
	world_unmake(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"suspend", NR_KINDS, test_a_suspended_pool_touches_no_device,
		test_closing_ends_what_waits_for_a_resume,
		test_a_host_driven_blocking_call_is_busy_while_suspended,
		test_options_change_at_resume_where_they_may,
		test_the_tick_stops_for_a_suspended_pool,
		test_suspending_under_io_loses_nothing,
		test_new_space_is_used_after_a_grow_call_or_a_resume,
		test_metadata_grows_by_any_amount,
		test_a_device_that_shrank_is_refused,
		test_a_pool_whose_last_commit_fails_is_suspended,
		test_suspending_a_read_only_pool_flushes_the_data,
		test_what_is_rolled_back_meanwhile_is_not_said_to_be_durable);
}
