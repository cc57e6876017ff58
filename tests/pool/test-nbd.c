/*
 * A pool whose data lies with an NBD server: it goes away in the middle of
 * things, once for good and once for a moment.  What was promised is there when
 * the pool is opened again, and nothing is promised that is not (F-25, F-06,
 * F-07, B-FLUSH-10).
 */
#include <stdio.h>
#include <unistd.h>

#include "support/nbd-server.h"
#include "support/world.h"

#include "config.h"

#ifdef HAVE_LIBNBD

#define THIN_BYTES (4 * MIB)

static struct nbd_server server;
static char file[SCRATCH_PATH_BYTES], parameter[SCRATCH_PATH_BYTES + 8];
static const char *const arguments[] = { "file", parameter, NULL };
static struct tp_device *metadata, *data;
static struct tp_pool *pool;
static struct tp_thin *thin;

static void open_pool(int kind)
{
	struct tp_nbd_timeouts timeouts = TP_NBD_TIMEOUTS_INIT;
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_thin_options volume = TP_THIN_OPTIONS_INIT;

	timeouts.connect_ms = timeouts.reconnect_ms = 400;
	ck_assert_msg(!tp_device_open_nbd(server.uri, &data), "%s",
		      tp_last_error());
	ck_ok(tp_device_set_nbd_timeouts(data, &timeouts));
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

/* False: no nbdkit here. */
static bool begin(int kind)
{
	scratch_file(file, 16 * MIB);
	snprintf(parameter, sizeof(parameter), "file=%s", file);
	nbd_server_init(&server);
	if (!nbd_server_start(&server, arguments)) {
		nbd_server_exit(&server);
		unlink(file);
		return false;
	}
	open_pool(kind);

	return true;
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
	nbd_server_kill(&server);
	ck_assert_int_eq(write_block(0, 2), -EIO);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	ck_assert_int_eq(mode(), TP_MODE_READ_ONLY);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	close_pool();

	ck_assert(nbd_server_start(&server, arguments));
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
	ck_assert(nbd_server_start(&server, arguments));
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
	ck_assert(nbd_server_start(&server, arguments));
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

int main(void)
{
	return RUN_TESTS(
		"nbd", NR_KINDS,
		test_a_server_that_stays_away_stops_the_pool_and_loses_nothing_promised,
		test_a_server_that_restarts_makes_a_flush_fail,
		test_a_restart_between_flush_and_write_does_not_show);
}

#else

int main(void)
{
	puts("skipped: built without libnbd");

	return 77;
}

#endif
