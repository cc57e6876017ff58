/*
 * A device on an NBD server: errors, a server that goes away and comes back, and
 * flushes that must not cover what it forgot.  That it does what every device
 * does is in test-device-contract.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/nbd-server.h"
#include "support/run-tests.h"
#include "support/sync-channel.h"

#include "config.h"

#define DEVICE_BYTES (8u << 20)

static struct nbd_server server;
static struct tp_device *device;
static struct sync_channel channel;
static char buffer[65536], other[65536];

/* False: no nbdkit here. */
static bool begin(const char *const *arguments, bool inline_only)
{
	nbd_server_init(&server);
	if (!nbd_server_start(&server, arguments)) {
		nbd_server_exit(&server);
		return false;
	}
	ck_assert_msg(!tp_device_open_nbd(server.uri, &device), "%s",
		      tp_last_error());
	sync_channel_open(&channel, device, inline_only);
	memset(buffer, 'x', sizeof(buffer));

	return true;
}

static void end(void)
{
	sync_channel_close(&channel);
	tp_device_unref(device);
	nbd_server_exit(&server);
}

/* For a server that is not there when it is asked, or says nothing. */
static void do_not_wait_long(void)
{
	struct tp_nbd_timeouts timeouts = TP_NBD_TIMEOUTS_INIT;

	timeouts.connect_ms = timeouts.reconnect_ms = 400;
	timeouts.answer_ms = 400;
	ck_assert_int_eq(tp_device_set_nbd_timeouts(device, &timeouts), 0);
}

static int write_at(uint64_t offset, unsigned flags)
{
	return sync_write(&channel, buffer, sizeof(buffer), offset, flags);
}

static int flush(void)
{
	return sync_op(&channel, TP_FLUSH, 0, 0, 0);
}

#ifdef HAVE_LIBNBD

#define MEMORY "memory", "8M"

START_TEST(test_what_the_server_can_is_known)
{
	const char *const plain[] = { MEMORY, NULL };
	const char *const less[] = { "--filter=nozero", MEMORY, "zeromode=none",
				     NULL };
	struct tp_device_limits limits = TP_DEVICE_LIMITS_INIT;

	if (!begin(plain, _i))
		return;
	ck_assert_int_eq(tp_device_get_limits(device, &limits), 0);
	ck_assert_uint_eq(limits.size_bytes, DEVICE_BYTES);
	ck_assert_uint_eq(limits.features, TP_DEVICE_FUA | TP_DEVICE_DISCARD |
						   TP_DEVICE_WRITE_ZEROES);
	end();

	ck_assert(begin(less, _i));
	ck_assert_int_eq(tp_device_get_limits(device, &limits), 0);
	ck_assert_uint_eq(limits.features, TP_DEVICE_FUA | TP_DEVICE_DISCARD);
	ck_assert_int_eq(write_at(0, TP_FUA), 0);
	end();
}
END_TEST

START_TEST(test_a_server_that_only_reads_makes_a_read_only_device)
{
	const char *const arguments[] = { "--readonly", MEMORY, NULL };

	if (!begin(arguments, _i))
		return;
	ck_assert_int_eq(write_at(0, 0), -EROFS);
	ck_assert_int_eq(sync_read(&channel, other, sizeof(other), 0), 0);
	end();
}
END_TEST

/* The server's own errors are what the request ends with. */
START_TEST(test_what_the_server_answers_is_the_status)
{
	const char *const arguments[] = { "--filter=error",
					  MEMORY,
					  "error-pwrite=EPERM",
					  "error-pwrite-rate=100%",
					  "error-pread=EIO",
					  "error-pread-rate=100%",
					  NULL };

	if (!begin(arguments, _i))
		return;
	ck_assert_int_eq(write_at(0, 0), -EPERM);
	ck_assert_int_eq(sync_read(&channel, other, sizeof(other), 0), -EIO);
	ck_assert_int_eq(flush(), 0);
	end();
}
END_TEST

/* Whatever the order in which they are answered. */
START_TEST(test_many_requests_are_in_flight_at_once)
{
	enum { NR = 64 };
	const char *const arguments[] = { MEMORY, NULL };
	struct tp_device_request requests[NR];
	struct iovec iov[NR];

	if (!begin(arguments, _i))
		return;
	for (unsigned round = 0; round < 2; round++) {
		char *memory = round ? other : buffer;

		memset(requests, 0, sizeof(requests));
		for (unsigned i = 0; i < NR; i++) {
			iov[i] = (struct iovec){ memory + i * 1024, 1024 };
			if (!round)
				memset(iov[i].iov_base, (int)i, 1024);
			requests[i].op = round ? TP_READ : TP_WRITE;
			requests[i].offset = i * 65536;
			requests[i].length = 1024;
			requests[i].iov = &iov[i];
			requests[i].iovcnt = 1;
		}
		sync_requests(&channel, requests, NR);
	}
	ck_assert_mem_eq(buffer, other, sizeof(buffer));
	end();
}
END_TEST

/*---------------------------- a server that goes away ----------------------*/

static char file[SCRATCH_PATH_BYTES], parameter[SCRATCH_PATH_BYTES + 8];
static const char *const on_file[] = { "file", parameter, NULL };

static bool begin_on_file(bool inline_only)
{
	scratch_file(file, DEVICE_BYTES);
	snprintf(parameter, sizeof(parameter), "file=%s", file);

	return begin(on_file, inline_only);
}

static void end_on_file(void)
{
	end();
	unlink(file);
}

static void restart(void)
{
	nbd_server_kill(&server);
	ck_assert(nbd_server_start(&server, on_file));
}

START_TEST(test_a_lost_connection_is_made_again)
{
	if (!begin_on_file(_i))
		return;
	ck_assert_int_eq(write_at(4096, 0), 0);
	ck_assert_int_eq(flush(), 0);
	restart();
	ck_assert_int_eq(sync_read(&channel, other, sizeof(other), 4096), 0);
	ck_assert_mem_eq(buffer, other, sizeof(other));
	ck_assert_int_eq(write_at(0, 0), 0);
	ck_assert_int_eq(flush(), 0);
	end_on_file();
}
END_TEST

/* B-FLUSH-10: what was written before the loss may be gone, so no flush covers
 * it, now or later, until everybody has started anew. */
START_TEST(test_a_flush_does_not_cover_what_the_server_may_have_forgotten)
{
	if (!begin_on_file(_i))
		return;
	ck_assert_int_eq(write_at(0, 0), 0);
	restart();
	ck_assert_int_eq(flush(), -EIO);
	ck_assert_int_eq(write_at(0, 0), 0);
	ck_assert_int_eq(flush(), -EIO);
	sync_channel_close(&channel);
	sync_channel_open(&channel, device, _i);
	ck_assert_int_eq(write_at(0, 0), 0);
	ck_assert_int_eq(flush(), 0);
	end_on_file();
}
END_TEST

/* What was durable when it ended is not in doubt. */
START_TEST(test_durable_writes_survive_the_server)
{
	if (!begin_on_file(_i))
		return;
	ck_assert_int_eq(write_at(0, TP_FUA), 0);
	restart();
	ck_assert_int_eq(flush(), 0);
	end_on_file();
}
END_TEST

/* After a while; later requests fail at once, and all is well when it is back. */
START_TEST(test_requests_fail_when_the_server_stays_away)
{
	if (!begin_on_file(_i))
		return;
	do_not_wait_long();
	nbd_server_kill(&server);
	ck_assert_int_eq(write_at(0, 0), -EIO);
	ck_assert_int_eq(write_at(0, 0), -EIO);
	ck_assert(nbd_server_start(&server, on_file));
	for (unsigned i = 0; write_at(0, 0); i++) {
		ck_assert_uint_lt(i, 300);
		usleep(100000);
	}
	end_on_file();
}
END_TEST

/* It accepts connections and then says nothing to what matters. */
START_TEST(test_a_server_that_says_nothing_is_given_up)
{
	const char *const arguments[] = { "--filter=delay", MEMORY,
					  "wdelay=1000", NULL };

	if (!begin(arguments, _i))
		return;
	ck_assert_int_eq(sync_read(&channel, other, sizeof(other), 0), 0);
	do_not_wait_long();
	ck_assert_int_eq(write_at(0, 0), -EIO);
	end();
}
END_TEST

START_TEST(test_a_server_that_comes_back_with_less_is_not_used)
{
	if (!begin_on_file(_i))
		return;
	do_not_wait_long();
	nbd_server_kill(&server);
	ck_assert_int_eq(truncate(file, DEVICE_BYTES / 2), 0);
	ck_assert(nbd_server_start(&server, on_file));
	ck_assert_int_eq(sync_read(&channel, other, sizeof(other), 0), -EIO);
	end_on_file();
}
END_TEST

START_TEST(test_who_is_not_there_cannot_be_opened)
{
	struct tp_device *none = NULL;

	ck_assert_int_lt(
		tp_device_open_nbd("nbd+unix:///?socket=/no/such", &none), 0);
	ck_assert_int_lt(tp_device_open_nbd("not a uri", &none), 0);
	ck_assert_ptr_null(none);
	ck_assert_int_eq(tp_device_open_nbd(NULL, &none), -EINVAL);
	ck_assert_int_eq(tp_device_open_nbd("nbd://localhost", NULL), -EINVAL);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"nbd-device", 2, test_what_the_server_can_is_known,
		test_a_server_that_only_reads_makes_a_read_only_device,
		test_what_the_server_answers_is_the_status,
		test_many_requests_are_in_flight_at_once,
		test_a_lost_connection_is_made_again,
		test_a_flush_does_not_cover_what_the_server_may_have_forgotten,
		test_durable_writes_survive_the_server,
		test_requests_fail_when_the_server_stays_away,
		test_a_server_that_says_nothing_is_given_up,
		test_a_server_that_comes_back_with_less_is_not_used,
		test_who_is_not_there_cannot_be_opened);
}

#else

START_TEST(test_without_libnbd_there_is_none)
{
	ck_assert_int_eq(tp_device_open_nbd("nbd://localhost", &device),
			 -EOPNOTSUPP);
}
END_TEST

int main(void)
{
	return RUN_TESTS("nbd-device", 1, test_without_libnbd_there_is_none);
}

#endif
