/*
 * A pool whose data lies with an NBD server, of several kinds: it is slow, it
 * fails, it goes away in the middle of things, once for good and once for a
 * moment.  What was promised is there when the pool is opened again, and nothing
 * is promised that is not (F-01, F-03, F-04, F-06, F-07, F-25, B-FLUSH-10).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/nbd-server.h"
#include "support/world.h"

#include "config.h"

#ifdef HAVE_LIBNBD

#define THIN_BYTES (4 * MIB)

static struct nbd_server server;
static char file[SCRATCH_PATH_BYTES], parameter[SCRATCH_PATH_BYTES + 8];
static const char *const on_file[] = { "file", parameter, NULL };
static const char *const *arguments = on_file;
static bool is_qemu;
static struct tp_device *metadata, *data;
static struct tp_pool *pool;
static struct tp_thin *thin;

static void open_pool(int kind)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_thin_options volume = TP_THIN_OPTIONS_INIT;

	ck_assert_msg(!tp_device_open_nbd(server.uri, &data), "%s",
		      tp_last_error());
	if (!metadata) {
		ck_ok(tp_device_open_memory(2 * MIB, &metadata));
		ck_ok(tp_pool_format(metadata, data, NULL));
	}
	options.commit_interval_ms = TP_NEVER;
	options.flags = kind == HOST_DRIVEN ? TP_POOL_HOST_DRIVEN : 0;
	ck_ok(tp_pool_open(metadata, data, &options, &pool));
	if (tp_pool_create_thin(pool, 0) != 0)
		ck_assert(tp_last_error()[0]);
	volume.size = THIN_BYTES;
	ck_ok(tp_thin_open(pool, 0, &volume, &thin));
}

/* Of a server that is going to stay away. */
static void do_not_wait_long(void)
{
	struct tp_nbd_timeouts timeouts = TP_NBD_TIMEOUTS_INIT;

	timeouts.connect_ms = timeouts.reconnect_ms = 400;
	ck_ok(tp_device_set_nbd_timeouts(data, &timeouts));
}

static bool start(void)
{
	return is_qemu ? nbd_server_start_qemu(&server, arguments)
		       : nbd_server_start(&server, arguments);
}

/* With the arguments for the server.  False: it is not here. */
static bool begin_with(int kind, const char *const *server_arguments)
{
	arguments = server_arguments;
	nbd_server_init(&server);
	if (!start()) {
		nbd_server_exit(&server);
		unlink(file);
		return false;
	}
	open_pool(kind);

	return true;
}

static void make_file(void)
{
	scratch_file(file, 16 * MIB);
	snprintf(parameter, sizeof(parameter), "file=%s", file);
}

/* On nbdkit's file plugin.  False: no nbdkit here. */
static bool begin(int kind)
{
	make_file();

	return begin_with(kind, on_file);
}

/* What the close answers is the test's to know. */
static int close_pool(void)
{
	int r;

	ck_ok(tp_thin_close(thin));
	r = tp_pool_close(pool);
	tp_device_unref(data);

	return r;
}

static void end(void)
{
	tp_device_unref(metadata);
	metadata = NULL;
	nbd_server_exit(&server);
	unlink(file);
}

static enum tp_pool_mode mode(void)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	ck_ok(tp_pool_get_status(pool, &status));

	return status.mode;
}

static int write_block(uint64_t block, uint64_t seed)
{
	static char bytes[WORLD_BLOCK];

	fill_pattern(bytes, sizeof(bytes), block * WORLD_BLOCK, seed);

	return tp_thin_write(thin, bytes, sizeof(bytes), block * WORLD_BLOCK,
			     0);
}

START_TEST(
	test_a_server_that_stays_away_stops_the_pool_and_loses_nothing_promised)
{
	if (!begin(_i))
		return;
	thin_fill(thin, 0, 2 * MIB, 1);
	ck_ok(tp_thin_flush(thin));
	ck_ok(write_block(40, 2)); /* a new mapping, not flushed */
	do_not_wait_long();
	nbd_server_kill(&server);
	ck_assert_int_eq(write_block(0, 2), -EIO);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	ck_assert_int_eq(mode(), TP_MODE_READ_ONLY);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	close_pool();

	ck_assert(start());
	open_pool(_i);
	thin_verify(thin, WORLD_BLOCK, 2 * MIB - WORLD_BLOCK, 1);
	thin_verify_zero(thin, 40 * WORLD_BLOCK, WORLD_BLOCK);
	close_pool();
	end();
}
END_TEST

/* It is back before anything fails; but it may have forgotten. */
START_TEST(test_a_server_that_restarts_makes_a_flush_fail)
{
	if (!begin(_i))
		return;
	thin_fill(thin, 0, 2 * MIB, 1);
	ck_ok(tp_thin_flush(thin));
	ck_ok(write_block(0, 2)); /* mapped already */
	nbd_server_kill(&server);
	ck_assert(start());
	thin_verify(thin, WORLD_BLOCK, 2 * MIB - WORLD_BLOCK, 1);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	ck_assert_int_eq(mode(), TP_MODE_WRITE);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	close_pool();

	open_pool(_i);
	ck_ok(write_block(0, 3));
	ck_ok(tp_thin_flush(thin));
	thin_verify(thin, 0, WORLD_BLOCK, 3);
	ck_ok(close_pool());
	end();
}
END_TEST

/* Everything was flushed: nobody notices. */
START_TEST(test_a_restart_between_flush_and_write_does_not_show)
{
	if (!begin(_i))
		return;
	thin_fill(thin, 0, 2 * MIB, 1);
	ck_ok(tp_thin_flush(thin));
	nbd_server_kill(&server);
	ck_assert(start());
	ck_ok(write_block(0, 2));
	ck_ok(write_block(41, 2));
	ck_ok(tp_thin_discard(thin, MIB, MIB));
	ck_ok(tp_thin_flush(thin));
	thin_verify(thin, 0, WORLD_BLOCK, 2);
	thin_verify(thin, 41 * WORLD_BLOCK, WORLD_BLOCK, 2);
	ck_ok(close_pool());
	end();
}
END_TEST

/*---------------------------- servers of all kinds -------------------------*/

/* All that a pool does to its data, and then whether it is there. */
static void use(int kind)
{
	thin_fill(thin, 0, 2 * MIB, 1);
	ck_ok(tp_pool_create_snapshot(pool, 1, 0));
	thin_fill(thin, 4096, 8192, 2); /* copies what is shared */
	ck_ok(tp_thin_discard(thin, MIB, 8 * WORLD_BLOCK));
	ck_ok(tp_thin_write_zeroes(thin, 2 * MIB - 4096, 8192, 0));
	ck_ok(tp_thin_flush(thin));
	ck_ok(close_pool());

	open_pool(kind);
	thin_verify(thin, 0, 4096, 1);
	thin_verify(thin, 4096, 8192, 2);
	thin_verify(thin, 12288, MIB - 12288, 1);
	thin_verify_zero(thin, MIB, 8 * WORLD_BLOCK);
	thin_verify(thin, MIB + 8 * WORLD_BLOCK, MIB - 8 * WORLD_BLOCK - 4096,
		    1);
	thin_verify_zero(thin, 2 * MIB - 4096, 8192);
	ck_ok(close_pool());
}

START_TEST(test_what_servers_of_all_kinds_were_given_is_there)
{
	static const char *const memory[] = { "memory", "16M", NULL };
	static const char *const little[] = { "--filter=nozero", "memory",
					      "16M", "zeromode=notrim", NULL };
	static const char *const slow[] = { "--filter=rate", "memory", "16M",
					    "rate=200M", NULL };
	static const char *const late[] = {
		"--filter=delay", "memory",     "16M",
		"rdelay=1ms",     "wdelay=2ms", NULL
	};
	const char *const *const all[] = { memory, little, slow, late };

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!begin_with(_i, all[i]))
			return;
		use(_i);
		end();
	}
}
END_TEST

static void use_qemu(int kind, const char *format)
{
	const char *const options[] = { format, file, NULL };

	is_qemu = true;
	if (begin_with(kind, options)) {
		use(kind);
		nbd_server_kill(&server);
		ck_assert(start());
		open_pool(kind);
		thin_verify(thin, 12288, MIB - 12288, 1);
		ck_ok(close_pool());
		end();
	}
	is_qemu = false;
	unlink(file);
}

START_TEST(test_qemu_serves_an_image_and_keeps_what_was_flushed)
{
	char command[SCRATCH_PATH_BYTES + 64];

	make_file();
	use_qemu(_i, "--format=raw");
	make_file();
	snprintf(command, sizeof(command),
		 "qemu-img create -q -f qcow2 %s 16M 2>/dev/null", file);
	if (system(command) == 0)
		use_qemu(_i, "--format=qcow2");
	unlink(file);
}
END_TEST

/*---------------------------- errors ---------------------------------------*/

static char trigger[SCRATCH_PATH_BYTES + 16];
static char trigger_parameter[SCRATCH_PATH_BYTES + 32];

/* A server that answers that part of its requests with EIO, while the file
 * @trigger is there. */
static bool begin_failing(int kind, const char *rate)
{
	const char *const failing[] = { "--filter=error",  "file", parameter,
					trigger_parameter, rate,   NULL };

	make_file();
	snprintf(trigger, sizeof(trigger), "%s.fail", file);
	snprintf(trigger_parameter, sizeof(trigger_parameter), "error-file=%s",
		 trigger);

	return begin_with(kind, failing);
}

static void inject(bool fails)
{
	FILE *made;

	if (!fails) {
		unlink(trigger);
		return;
	}
	made = fopen(trigger, "w");
	ck_assert_ptr_nonnull(made);
	fclose(made);
}

START_TEST(test_what_a_server_cannot_do_fails_the_bio_and_nothing_else)
{
	char bytes[4096];

	if (!begin_failing(_i, "error-rate=100%"))
		return;
	thin_fill(thin, 0, 2 * MIB, 1);
	ck_ok(tp_pool_create_snapshot(pool, 1, 0));
	thin_fill(thin, MIB, WORLD_BLOCK, 2);
	ck_ok(tp_thin_flush(thin));
	inject(true);
	ck_assert_int_eq(tp_thin_read(thin, bytes, sizeof(bytes), 0), -EIO);
	ck_assert_int_eq(write_block(16, 3), -EIO); /* in place: F-03 */
	ck_assert_int_eq(write_block(40, 3), -EIO); /* new: F-05 */
	ck_assert_int_eq(tp_thin_write(thin, bytes, sizeof(bytes), 0, 0),
			 -EIO); /* to be copied: F-02 */
	ck_assert_int_eq(mode(), TP_MODE_WRITE);
	inject(false);
	ck_ok(tp_thin_flush(thin));
	thin_verify(thin, 0, MIB, 1);
	thin_verify_zero(thin, 40 * WORLD_BLOCK, WORLD_BLOCK);
	ck_ok(write_block(16, 3));
	ck_ok(tp_thin_flush(thin));
	ck_ok(close_pool());

	open_pool(_i);
	thin_verify(thin, MIB, WORLD_BLOCK, 3);
	thin_verify(thin, MIB + WORLD_BLOCK, MIB - WORLD_BLOCK, 1);
	thin_verify_zero(thin, 40 * WORLD_BLOCK, WORLD_BLOCK);
	ck_ok(close_pool());
	end();
}
END_TEST

/* Whatever the mixture: what was answered with success, and flushed, is there. */
START_TEST(test_of_requests_that_fail_at_random_those_that_did_not_count)
{
	enum { NR = THIN_BYTES / WORLD_BLOCK };
	bool done[NR] = { false };
	unsigned nr_failed = 0;

	if (!begin_failing(_i, "error-rate=30%"))
		return;
	thin_fill(thin, 0, 2 * MIB, 1);
	ck_ok(tp_pool_create_snapshot(pool, 1, 0));
	inject(true);
	for (unsigned i = 0; i < NR; i++) {
		int r = write_block(i, 2);

		ck_assert(r == 0 || r == -EIO);
		done[i] = r == 0;
		nr_failed += r != 0;
	}
	ck_assert_uint_gt(nr_failed, 0);
	ck_assert_uint_lt(nr_failed, NR);
	ck_assert_int_eq(mode(), TP_MODE_WRITE);
	inject(false);
	ck_ok(tp_thin_flush(thin));
	ck_ok(close_pool());

	open_pool(_i);
	for (unsigned i = 0; i < NR; i++) {
		if (done[i])
			thin_verify(thin, i * WORLD_BLOCK, WORLD_BLOCK, 2);
		else if (i < 2 * MIB / WORLD_BLOCK) /* F-02: not mapped */
			thin_verify(thin, i * WORLD_BLOCK, WORLD_BLOCK, 1);
		else
			thin_verify_zero(thin, i * WORLD_BLOCK, WORLD_BLOCK);
	}
	ck_ok(close_pool());
	end();
}
END_TEST

/*---------------------------- many at once ---------------------------------*/

#define NR_BIOS 32u

static struct tp_bio bios[NR_BIOS];
static struct iovec iovs[NR_BIOS];
static char blocks[NR_BIOS][WORLD_BLOCK];

static void ended(struct tp_bio *bio)
{
	(void)bio;
}

/* Write the first blocks of the volume, all at once, and wait for all. */
static void write_at_once(uint64_t seed)
{
	struct tp_queue *queue;

	ck_ok(tp_queue_create(pool, NR_BIOS, &queue));
	for (unsigned i = 0; i < NR_BIOS; i++) {
		fill_pattern(blocks[i], WORLD_BLOCK, i * WORLD_BLOCK, seed);
		iovs[i] = (struct iovec){ blocks[i], WORLD_BLOCK };
		bios[i] = (struct tp_bio){ .op = TP_WRITE,
					   .offset = i * WORLD_BLOCK,
					   .iov = &iovs[i],
					   .iovcnt = 1,
					   .end_io = ended };
		ck_ok(tp_queue_submit(queue, thin, &bios[i]));
	}
	ck_assert_int_eq(tp_queue_wait(queue, NR_BIOS, -1), NR_BIOS);
	tp_queue_destroy(queue);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);

	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* (A host-driven pool waits for each inside submit.) */
START_TEST(test_requests_to_a_slow_server_overlap)
{
	static const char *const late[] = { "--filter=delay", "memory", "16M",
					    "wdelay=300ms", NULL };
	uint64_t start_ms;

	if (_i == HOST_DRIVEN || !begin_with(_i, late))
		return;
	write_at_once(1); /* maps */
	start_ms = now_ms();
	write_at_once(2);
	ck_assert_uint_lt(now_ms() - start_ms, NR_BIOS * 300 / 2);
	thin_verify(thin, 0, NR_BIOS * WORLD_BLOCK, 2);
	ck_ok(close_pool());
	end();
}
END_TEST

/* Kills the server while somebody waits for it. */
static pid_t kill_soon(void)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		usleep(200000);
		kill(server.pid, SIGKILL);
		_exit(0);
	}

	return pid;
}

/* Each bio ends; and of a new block that was not flushed there is all or
 * nothing. */
START_TEST(test_a_server_killed_in_mid_write_loses_nothing_flushed)
{
	const char *const late[] = { "--filter=delay", "file", parameter,
				     "wdelay=1000ms", NULL };
	const uint64_t kept = 2 * MIB;
	unsigned nr_failed = 0;
	pid_t killer;

	make_file();
	if (!begin_with(_i, late))
		return;
	ck_ok(tp_thin_write_zeroes(thin, 0, THIN_BYTES, 0));
	fill_pattern(blocks, sizeof(blocks), kept, 1);
	ck_ok(tp_thin_write(thin, blocks, sizeof(blocks), kept, TP_FUA));
	do_not_wait_long();
	killer = kill_soon();
	write_at_once(2);
	waitpid(killer, NULL, 0);
	for (unsigned i = 0; i < NR_BIOS; i++) {
		ck_assert(bios[i].status == 0 || bios[i].status == -EIO);
		nr_failed += bios[i].status != 0;
	}
	ck_assert_uint_gt(nr_failed, 0);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	close_pool();

	nbd_server_kill(&server);
	arguments = on_file;
	ck_assert(start());
	open_pool(_i);
	thin_verify(thin, kept, sizeof(blocks), 1);
	thin_verify_zero(thin, 0, kept);
	close_pool();
	end();
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"nbd", NR_KINDS,
		test_a_server_that_stays_away_stops_the_pool_and_loses_nothing_promised,
		test_a_server_that_restarts_makes_a_flush_fail,
		test_a_restart_between_flush_and_write_does_not_show,
		test_what_servers_of_all_kinds_were_given_is_there,
		test_qemu_serves_an_image_and_keeps_what_was_flushed,
		test_what_a_server_cannot_do_fails_the_bio_and_nothing_else,
		test_of_requests_that_fail_at_random_those_that_did_not_count,
		test_requests_to_a_slow_server_overlap,
		test_a_server_killed_in_mid_write_loses_nothing_flushed);
}

#else

int main(void)
{
	puts("skipped: built without libnbd");

	return 77;
}

#endif
