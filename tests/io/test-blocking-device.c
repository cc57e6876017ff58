/*
 * A host's device made of blocking functions: which thread calls them, and with
 * what.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/run-tests.h"
#include "support/sync-channel.h"

#define DEVICE_BYTES 65536

static struct host {
	pthread_t caller;
	atomic_bool strange_thread, signals_come;
	atomic_uint nr_inside, max_inside;
	atomic_uint nr_writes, nr_flushes, nr_copies, nr_closes;
	unsigned flags;
	int status;
	bool slow;
} host;

static int come_in(void)
{
	unsigned nr_inside = ++host.nr_inside;
	sigset_t blocked;

	if (nr_inside > host.max_inside)
		host.max_inside = nr_inside;
	if (!pthread_equal(pthread_self(), host.caller))
		host.strange_thread = true;
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	if (!sigismember(&blocked, SIGUSR1))
		host.signals_come = true;
	if (host.slow)
		usleep(20000);
	host.nr_inside--;

	return host.status;
}

static int host_read(void *context, const struct iovec *iov, int iovcnt,
		     uint64_t offset)
{
	return come_in();
}

static int host_write(void *context, const struct iovec *iov, int iovcnt,
		      uint64_t offset, unsigned flags)
{
	host.nr_writes++;
	host.flags = flags;

	return come_in();
}

static int host_flush(void *context)
{
	host.nr_flushes++;

	return come_in();
}

static int host_discard(void *context, uint64_t offset, uint64_t length)
{
	ck_assert_uint_eq(offset, 4096);
	ck_assert_uint_eq(length, 8192);

	return come_in();
}

static int host_copy(void *context, uint64_t source, uint64_t offset,
		     uint64_t length)
{
	ck_assert_uint_eq(source, 512);
	ck_assert_uint_eq(offset, 4096);
	ck_assert_uint_eq(length, 1024);
	host.nr_copies++;

	return come_in();
}

static uint64_t host_size(void *context)
{
	return DEVICE_BYTES;
}

static void host_close(void *context)
{
	ck_assert_ptr_eq(context, &host);
	host.nr_closes++;
}

static const struct tp_device_ops ops = {
	TP_DEVICE_OPS_INIT,        .read = host_read,
	.write = host_write,       .flush = host_flush,
	.discard = host_discard,   .size = host_size,
	.close = host_close,       .write_zeroes = host_discard,
	.features = TP_DEVICE_FUA, .copy = host_copy,
};

static struct tp_device *device;
static struct sync_channel channel;
static char buffer[4096];

static void open_world(bool inline_only)
{
	host = (struct host){ .caller = pthread_self() };
	ck_assert_int_eq(tp_device_new(&ops, &host, &device), 0);
	sync_channel_open(&channel, device, inline_only);
}

static void close_world(void)
{
	sync_channel_close(&channel);
	ck_assert_uint_eq(host.nr_closes, 0);
	tp_device_unref(device);
	ck_assert_uint_eq(host.nr_closes, 1);
}

/*---------------------------------------------------------------------------*/

START_TEST(test_inline_the_host_is_called_in_its_own_thread)
{
	open_world(true);
	ck_assert_int_eq(sync_read(&channel, buffer, 512, 0), 0);
	ck_assert_int_eq(sync_write(&channel, buffer, 512, 0, 0), 0);
	ck_assert_int_eq(sync_op(&channel, TP_FLUSH, 0, 0, 0), 0);
	ck_assert(!host.strange_thread);
	close_world();
}
END_TEST

/* They are ours, so the host's signal handlers do not run on them. */
START_TEST(test_else_it_is_called_in_threads_without_signals)
{
	open_world(false);
	ck_assert_int_eq(sync_read(&channel, buffer, 512, 0), 0);
	ck_assert(host.strange_thread);
	ck_assert(!host.signals_come);
	close_world();
}
END_TEST

static unsigned nr_ended;

static void count_ended(struct tp_device_request *request, int status)
{
	nr_ended++;
}

START_TEST(test_several_requests_are_served_at_once)
{
	struct iovec iov = { buffer, 512 };
	struct tp_device_request requests[8];

	open_world(false);
	host.slow = true;
	nr_ended = 0;
	for (unsigned i = 0; i < 8; i++) {
		requests[i] = (struct tp_device_request){
			.op = TP_READ,
			.length = 512,
			.iov = &iov,
			.iovcnt = 1,
			.done = count_ended,
		};
		tpi_channel_submit(channel.channel, &requests[i]);
	}
	while (nr_ended < 8)
		sync_channel_wait(&channel);
	ck_assert_uint_gt(host.max_inside, 1);
	ck_assert_uint_le(host.max_inside, 4);
	close_world();
}
END_TEST

/* Only writes have the flag; what is zeroed is flushed. */
START_TEST(test_durable_ops_of_a_device_with_fua)
{
	open_world(_i);
	ck_assert_int_eq(sync_write(&channel, buffer, 512, 0, TP_FUA), 0);
	ck_assert_uint_eq(host.flags, TP_FUA);
	ck_assert_uint_eq(host.nr_flushes, 0);
	ck_assert_int_eq(sync_op(&channel, TP_WRITE_ZEROES, 4096, 8192, TP_FUA),
			 0);
	ck_assert_uint_eq(host.nr_flushes, 1);
	ck_assert_uint_eq(host.nr_writes, 1);
	close_world();
}
END_TEST

START_TEST(test_a_copy_is_the_hosts)
{
	struct tp_device_ops without = ops;

	open_world(_i);
	ck_assert_int_eq(sync_copy(&channel, 512, 4096, 1024), 0);
	ck_assert_uint_eq(host.nr_copies, 1);
	close_world();

	without.copy = NULL;
	ck_assert_int_eq(tp_device_new(&without, &host, &device), 0);
	sync_channel_open(&channel, device, _i);
	ck_assert_int_eq(sync_copy(&channel, 512, 4096, 1024), -EOPNOTSUPP);
	ck_assert_uint_eq(host.nr_copies, 1);
	sync_channel_close(&channel);
	tp_device_unref(device);
}
END_TEST

START_TEST(test_errors_of_the_host_come_back_unchanged)
{
	open_world(_i);
	host.status = -EREMOTEIO;
	ck_assert_int_eq(sync_read(&channel, buffer, 512, 0), -EREMOTEIO);
	ck_assert_int_eq(sync_op(&channel, TP_FLUSH, 0, 0, 0), -EREMOTEIO);
	ck_assert_int_eq(sync_op(&channel, TP_DISCARD, 4096, 8192, 0),
			 -EREMOTEIO);
	close_world();
}
END_TEST

static int refused(struct tp_device_ops bad)
{
	struct tp_device *none = NULL;
	int r = tp_device_new(&bad, &host, &none);

	ck_assert_ptr_null(none);

	return r;
}

/* And close is not called: the context is still the host's. */
START_TEST(test_ops_that_make_no_sense_are_refused)
{
	struct tp_device_ops bad;

	host.nr_closes = 0;
	bad = ops, bad.struct_size = 0;
	ck_assert_int_eq(refused(bad), -EINVAL);
	bad = ops, bad.read = NULL;
	ck_assert_int_eq(refused(bad), -EINVAL);
	bad = ops, bad.write = NULL;
	ck_assert_int_eq(refused(bad), -EINVAL);
	bad = ops, bad.flush = NULL;
	ck_assert_int_eq(refused(bad), -EINVAL);
	bad = ops, bad.size = NULL;
	ck_assert_int_eq(refused(bad), -EINVAL);
	bad = ops, bad.features = TP_DEVICE_DISCARD;
	ck_assert_int_eq(refused(bad), -EINVAL);
	bad = ops, bad.logical_block_bytes = 1000;
	ck_assert_int_eq(refused(bad), -EINVAL);
	ck_assert_int_eq(tp_device_new(NULL, NULL, &device), -EINVAL);
	ck_assert_int_eq(tp_device_new(&ops, NULL, NULL), -EINVAL);
	ck_assert_uint_eq(host.nr_closes, 0);
}
END_TEST

int main(void)
{
	return RUN_TESTS("blocking-device", 2,
			 test_inline_the_host_is_called_in_its_own_thread,
			 test_else_it_is_called_in_threads_without_signals,
			 test_several_requests_are_served_at_once,
			 test_durable_ops_of_a_device_with_fua,
			 test_a_copy_is_the_hosts,
			 test_errors_of_the_host_come_back_unchanged,
			 test_ops_that_make_no_sense_are_refused);
}
