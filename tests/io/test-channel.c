/*
 * What a channel adds to a device that can do little, seen from the device: it
 * writes down each request that comes down to it.
 */
#include <stdlib.h>
#include <string.h>

#include "support/run-tests.h"
#include "support/sync-channel.h"

#define DEVICE_BYTES (16u << 20)
#define MAX_CALLS 64

struct call {
	enum tp_op op;
	unsigned flags;
	uint64_t offset, length;
};

/* The device, which is its own only channel. */
static struct recorder {
	struct call calls[MAX_CALLS];
	unsigned nr_calls, nr_kicks;
	int status;         /* of every request ... */
	enum tp_op failing; /* ... of this kind */
	struct tp_device_request *first, **last;
	bool must_be_kicked; /* nothing ends before */
} recorder;

static int recorder_open_channel(void *context, int event_fd, int inline_only,
				 void **handle)
{
	*handle = &recorder;

	return 0;
}

static void recorder_close_channel(void *handle)
{
}

static void check_memory(const struct tp_device_request *request)
{
	uint64_t total = 0;

	ck_assert_int_le(request->iovcnt, 1024);
	for (int i = 0; i < request->iovcnt; i++) {
		ck_assert_uint_eq((uintptr_t)request->iov[i].iov_base % 512, 0);
		ck_assert_uint_eq(request->iov[i].iov_len % 512, 0);
		total += request->iov[i].iov_len;
	}
	ck_assert_uint_eq(total, request->length);
}

static void recorder_submit(void *handle, struct tp_device_request *request)
{
	ck_assert_uint_lt(recorder.nr_calls, MAX_CALLS);
	recorder.calls[recorder.nr_calls++] =
		(struct call){ request->op, request->flags, request->offset,
			       request->length };
	if (request->op == TP_READ || request->op == TP_WRITE)
		check_memory(request);

	request->device_room[0] = NULL;
	*recorder.last = request;
	recorder.last = (struct tp_device_request **)&request->device_room[0];
	recorder.must_be_kicked = true;
}

static void recorder_kick(void *handle)
{
	recorder.nr_kicks++;
	recorder.must_be_kicked = false;
}

static unsigned recorder_poll(void *handle, unsigned max)
{
	struct tp_device_request *request = recorder.first;

	if (!request || !max || recorder.must_be_kicked)
		return 0;

	recorder.first = request->device_room[0];
	if (!recorder.first)
		recorder.last = &recorder.first;
	request->done(request,
		      request->op == recorder.failing ? recorder.status : 0);

	return 1;
}

static int recorder_arm(void *handle)
{
	ck_assert(!recorder.must_be_kicked);

	return recorder.first != NULL;
}

static uint64_t recorder_size(void *context)
{
	return DEVICE_BYTES;
}

/*---------------------------- the world of a test --------------------------*/

static struct tp_device *device;
static struct sync_channel channel;
static char *buffer;

static void open_world(unsigned features)
{
	const struct tp_device_async_ops ops = {
		TP_DEVICE_ASYNC_OPS_INIT,
		.features = features,
		.open_channel = recorder_open_channel,
		.close_channel = recorder_close_channel,
		.submit = recorder_submit,
		.kick = recorder_kick,
		.poll = recorder_poll,
		.arm = recorder_arm,
		.size = recorder_size,
		.memory_alignment_bytes = 512,
		.discard_granularity_bytes = 65536,
		.discard_max_bytes = 200000,
	};

	recorder = (struct recorder){ .last = &recorder.first };
	ck_assert_int_eq(tp_device_new_async(&ops, NULL, &device), 0);
	sync_channel_open(&channel, device, false);
	buffer = aligned_alloc(4096, DEVICE_BYTES);
	memset(buffer, 0x55, DEVICE_BYTES);
}

static void close_world(void)
{
	ck_assert_ptr_null(recorder.first);
	sync_channel_close(&channel);
	tp_device_unref(device);
	free(buffer);
}

static void expect_call(unsigned i, enum tp_op op, unsigned flags,
			uint64_t offset, uint64_t length)
{
	const struct call *call = &recorder.calls[i];

	ck_assert_uint_lt(i, recorder.nr_calls);
	ck_assert_int_eq(call->op, op);
	ck_assert_uint_eq(call->flags, flags);
	if (op == TP_FLUSH)
		return;
	ck_assert_uint_eq(call->offset, offset);
	ck_assert_uint_eq(call->length, length);
}

static void expect_calls(unsigned nr)
{
	ck_assert_uint_eq(recorder.nr_calls, nr);
}

/*---------------------------- durability -----------------------------------*/

START_TEST(test_a_plain_write_goes_down_as_it_is)
{
	open_world(0);
	ck_assert_int_eq(sync_write(&channel, buffer, 8192, 4096, 0), 0);
	expect_call(0, TP_WRITE, 0, 4096, 8192);
	expect_calls(1);
	close_world();
}
END_TEST

/* B-FUA-5. */
START_TEST(test_without_fua_a_durable_write_is_a_write_and_a_flush)
{
	open_world(0);
	ck_assert_int_eq(sync_write(&channel, buffer, 8192, 4096, TP_FUA), 0);
	expect_call(0, TP_WRITE, 0, 4096, 8192);
	expect_call(1, TP_FLUSH, 0, 0, 0);
	expect_calls(2);
	close_world();
}
END_TEST

START_TEST(test_fua_is_passed_to_a_device_that_has_it)
{
	open_world(TP_DEVICE_FUA);
	ck_assert_int_eq(sync_write(&channel, buffer, 8192, 4096, TP_FUA), 0);
	expect_call(0, TP_WRITE, TP_FUA, 4096, 8192);
	expect_calls(1);
	close_world();
}
END_TEST

/* Every write is durable there, so neither flag nor flush costs anything. */
START_TEST(test_a_device_without_a_cache_sees_neither_fua_nor_flush)
{
	open_world(TP_DEVICE_NO_CACHE);
	ck_assert_int_eq(
		sync_write(&channel, buffer, 512, 0, TP_FUA | TP_PREFLUSH), 0);
	ck_assert_int_eq(sync_op(&channel, TP_FLUSH, 0, 0, 0), 0);
	expect_call(0, TP_WRITE, 0, 0, 512);
	expect_calls(1);
	close_world();
}
END_TEST

/* B-REQ-6. */
START_TEST(test_a_preflush_comes_first)
{
	open_world(0);
	ck_assert_int_eq(
		sync_write(&channel, buffer, 512, 0, TP_FUA | TP_PREFLUSH), 0);
	expect_call(0, TP_FLUSH, 0, 0, 0);
	expect_call(1, TP_WRITE, 0, 0, 512);
	expect_call(2, TP_FLUSH, 0, 0, 0);
	expect_calls(3);
	close_world();
}
END_TEST

START_TEST(test_a_failed_preflush_keeps_the_write_back)
{
	open_world(0);
	recorder.failing = TP_FLUSH;
	recorder.status = -EIO;
	ck_assert_int_eq(sync_write(&channel, buffer, 512, 0, TP_PREFLUSH),
			 -EIO);
	expect_calls(1);
	close_world();
}
END_TEST

START_TEST(test_a_failed_write_is_not_flushed)
{
	open_world(0);
	recorder.failing = TP_WRITE;
	recorder.status = -EREMOTEIO;
	ck_assert_int_eq(sync_write(&channel, buffer, 512, 0, TP_FUA),
			 -EREMOTEIO);
	expect_calls(1);
	close_world();
}
END_TEST

/* The write got through, but nobody knows whether it would survive. */
START_TEST(test_a_failed_flush_fails_the_durable_write)
{
	open_world(0);
	recorder.failing = TP_FLUSH;
	recorder.status = -EIO;
	ck_assert_int_eq(sync_write(&channel, buffer, 512, 0, TP_FUA), -EIO);
	expect_calls(2);
	close_world();
}
END_TEST

/*---------------------------- errors ---------------------------------------*/

START_TEST(test_an_error_is_passed_on_unchanged)
{
	open_world(0);
	recorder.failing = TP_READ;
	recorder.status = -EREMOTEIO;
	ck_assert_int_eq(sync_read(&channel, buffer, 512, 0), -EREMOTEIO);
	close_world();
}
END_TEST

/* What a disk gives for a bad sector must not pass for "not mapped", "not read
 * yet" or "the pool is full". */
START_TEST(test_an_error_that_means_something_to_the_library_is_an_io_error)
{
	static const int errors[] = { -EAGAIN, -ENODATA, -ENOSPC, -EINPROGRESS,
				      -EILSEQ, -EFBIG,   -EEXIST, -EINTR };

	open_world(0);
	recorder.failing = TP_READ;
	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		recorder.status = errors[i];
		ck_assert_int_eq(sync_read(&channel, buffer, 512, 0), -EIO);
	}
	close_world();
}
END_TEST

/* A device must do all or nothing; one that counts has not understood. */
START_TEST(test_a_count_is_an_error)
{
	open_world(0);
	recorder.failing = TP_READ;
	recorder.status = 256;
	ck_assert_int_eq(sync_read(&channel, buffer, 512, 0), -EIO);
	close_world();
}
END_TEST

START_TEST(test_an_error_of_a_piece_ends_the_whole)
{
	open_world(0);
	recorder.failing = TP_WRITE;
	recorder.status = -EIO;
	ck_assert_int_eq(sync_write(&channel, buffer + 1, 4 << 20, 0, 0), -EIO);
	expect_calls(1);
	close_world();
}
END_TEST

START_TEST(test_a_read_only_device_is_not_written)
{
	open_world(TP_DEVICE_READ_ONLY | TP_DEVICE_DISCARD);
	ck_assert_int_eq(sync_write(&channel, buffer, 512, 0, 0), -EROFS);
	ck_assert_int_eq(sync_op(&channel, TP_WRITE_ZEROES, 0, 512, 0), -EROFS);
	ck_assert_int_eq(sync_op(&channel, TP_DISCARD, 0, 512, 0), -EROFS);
	expect_calls(0);
	ck_assert_int_eq(sync_read(&channel, buffer, 512, 0), 0);
	close_world();
}
END_TEST

START_TEST(test_a_copy_goes_down_where_both_places_are_there)
{
	open_world(TP_DEVICE_COPY);
	ck_assert_int_eq(sync_copy(&channel, 0, 4096, 1024), 0);
	expect_call(0, TP_COPY, 0, 4096, 1024);
	ck_assert_int_eq(sync_copy(&channel, 0, DEVICE_BYTES, 512), -EIO);
	ck_assert_int_eq(sync_copy(&channel, DEVICE_BYTES - 512, 0, 1024),
			 -EIO);
	ck_assert_int_eq(sync_copy(&channel, 100, 4096, 512), -EINVAL);
	ck_assert_int_eq(sync_copy(&channel, 0, 4096, 0), 0);
	expect_calls(1);
	close_world();
}
END_TEST

START_TEST(test_a_copy_is_refused_where_the_device_has_none)
{
	open_world(0);
	ck_assert_int_eq(sync_copy(&channel, 0, 4096, 512), -EOPNOTSUPP);
	expect_calls(0);
	close_world();

	open_world(TP_DEVICE_COPY | TP_DEVICE_READ_ONLY);
	ck_assert_int_eq(sync_copy(&channel, 0, 4096, 512), -EROFS);
	expect_calls(0);
	close_world();
}
END_TEST

static unsigned nr_ended;

static void count_ended(struct tp_device_request *request, int status)
{
	ck_assert_int_eq(status, -EIO);
	nr_ended++;
}

/* Nobody would look for it, had arm not told. */
START_TEST(test_arm_tells_of_a_request_that_failed_at_once)
{
	struct tp_device_request request = {
		.op = TP_READ,
		.offset = DEVICE_BYTES,
		.length = 512,
		.done = count_ended,
	};

	open_world(0);
	nr_ended = 0;
	tpi_channel_submit(channel.channel, &request);
	ck_assert_uint_eq(nr_ended, 0);
	ck_assert_uint_eq(tpi_channel_in_flight(channel.channel), 1);
	ck_assert_int_eq(tpi_channel_arm(channel.channel), 1);
	ck_assert_uint_eq(tpi_channel_poll(channel.channel, 0), 0);
	ck_assert_uint_eq(tpi_channel_poll(channel.channel, 1), 1);
	ck_assert_uint_eq(nr_ended, 1);
	ck_assert_uint_eq(tpi_channel_in_flight(channel.channel), 0);
	ck_assert_int_eq(tpi_channel_arm(channel.channel), 0);
	close_world();
}
END_TEST

/*---------------------------- the request's owner --------------------------*/

struct chain {
	struct tp_device_request request;
	struct iovec iov;
	unsigned nr_left;
};

static void go_on(struct tp_device_request *request, int status)
{
	struct chain *chain = request->context;

	/* As it came, though it went down as a write and as a flush. */
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(request->op, TP_WRITE);
	ck_assert_uint_eq(request->flags, TP_FUA);
	ck_assert_uint_eq(tpi_channel_in_flight(channel.channel), 0);

	if (--chain->nr_left)
		tpi_channel_submit(channel.channel, request);
}

START_TEST(test_a_request_may_be_submitted_again_when_it_ends)
{
	struct chain chain = { .nr_left = 5 };

	open_world(0);
	chain.iov = (struct iovec){ buffer, 512 };
	chain.request = (struct tp_device_request){
		.op = TP_WRITE,
		.flags = TP_FUA,
		.length = 512,
		.iov = &chain.iov,
		.iovcnt = 1,
		.done = go_on,
		.context = &chain,
	};
	tpi_channel_submit(channel.channel, &chain.request);
	while (chain.nr_left)
		sync_channel_wait(&channel);
	expect_calls(10);
	close_world();
}
END_TEST

START_TEST(test_a_kick_without_work_is_not_passed_down)
{
	open_world(0);
	tpi_channel_kick(channel.channel);
	ck_assert_uint_eq(recorder.nr_kicks, 0);
	ck_assert_int_eq(sync_read(&channel, buffer, 512, 0), 0);
	ck_assert_uint_eq(recorder.nr_kicks, 1);
	close_world();
}
END_TEST

/*---------------------------- zeroes ---------------------------------------*/

/* In bounded pieces, with a single flush behind them. */
START_TEST(test_zeroes_are_written_as_data_where_the_device_has_none)
{
	open_world(TP_DEVICE_FUA);
	ck_assert_int_eq(sync_op(&channel, TP_WRITE_ZEROES, 4096,
				 (2 << 20) + 512, TP_FUA),
			 0);
	expect_call(0, TP_WRITE, 0, 4096, 1 << 20);
	expect_call(1, TP_WRITE, 0, 4096 + (1 << 20), 1 << 20);
	expect_call(2, TP_WRITE, 0, 4096 + (2 << 20), 512);
	expect_call(3, TP_FLUSH, 0, 0, 0);
	expect_calls(4);
	close_world();
}
END_TEST

START_TEST(test_native_zeroes_are_used)
{
	open_world(TP_DEVICE_WRITE_ZEROES);
	ck_assert_int_eq(sync_op(&channel, TP_WRITE_ZEROES, 512, 8 << 20, 0),
			 0);
	expect_call(0, TP_WRITE_ZEROES, 0, 512, 8 << 20);
	expect_calls(1);
	close_world();
}
END_TEST

/* tmpfs and others find out only when they are asked. */
START_TEST(test_native_zeroes_that_do_not_work_are_tried_once)
{
	open_world(TP_DEVICE_WRITE_ZEROES);
	recorder.failing = TP_WRITE_ZEROES;
	recorder.status = -EOPNOTSUPP;
	ck_assert_int_eq(sync_op(&channel, TP_WRITE_ZEROES, 512, 512, 0), 0);
	ck_assert_int_eq(sync_op(&channel, TP_WRITE_ZEROES, 1024, 512, 0), 0);
	expect_call(0, TP_WRITE_ZEROES, 0, 512, 512);
	expect_call(1, TP_WRITE, 0, 512, 512);
	expect_call(2, TP_WRITE, 0, 1024, 512);
	expect_calls(3);
	close_world();
}
END_TEST

START_TEST(test_native_zeroes_that_fail_have_failed)
{
	open_world(TP_DEVICE_WRITE_ZEROES);
	recorder.failing = TP_WRITE_ZEROES;
	recorder.status = -EIO;
	ck_assert_int_eq(sync_op(&channel, TP_WRITE_ZEROES, 0, 512, 0), -EIO);
	expect_calls(1);
	close_world();
}
END_TEST

/*---------------------------- discards -------------------------------------*/

START_TEST(test_a_discard_is_not_supported_where_the_device_has_none)
{
	open_world(0);
	ck_assert_int_eq(sync_op(&channel, TP_DISCARD, 0, 65536, 0),
			 -EOPNOTSUPP);
	expect_calls(0);
	close_world();
}
END_TEST

/* The maximum of 200000 holds three granules of 65536. */
START_TEST(test_a_discard_is_split_and_its_edges_are_left_out)
{
	open_world(TP_DEVICE_DISCARD);
	ck_assert_int_eq(sync_op(&channel, TP_DISCARD, 512, 5 * 65536, 0), 0);
	expect_call(0, TP_DISCARD, 0, 65536, 3 * 65536);
	expect_call(1, TP_DISCARD, 0, 4 * 65536, 65536);
	expect_calls(2);
	close_world();
}
END_TEST

START_TEST(test_a_discard_of_edges_only_does_nothing)
{
	open_world(TP_DEVICE_DISCARD);
	ck_assert_int_eq(
		sync_op(&channel, TP_DISCARD, 512, 2 * 65536 - 1024, 0), 0);
	ck_assert_int_eq(sync_op(&channel, TP_DISCARD, 512, 512, 0), 0);
	expect_calls(0);
	close_world();
}
END_TEST

START_TEST(test_an_aligned_discard_goes_down_as_it_is)
{
	open_world(TP_DEVICE_DISCARD);
	ck_assert_int_eq(sync_op(&channel, TP_DISCARD, 65536, 2 * 65536, 0), 0);
	expect_call(0, TP_DISCARD, 0, 65536, 2 * 65536);
	expect_calls(1);
	close_world();
}
END_TEST

/*---------------------------- memory ---------------------------------------*/

/* The recorder itself checks what comes down to it. */
START_TEST(test_memory_that_is_not_aligned_is_copied_in_bounded_pieces)
{
	open_world(TP_DEVICE_FUA);
	ck_assert_int_eq(sync_write(&channel, buffer + 1, (1 << 20) + 512, 512,
				    TP_FUA),
			 0);
	expect_call(0, TP_WRITE, TP_FUA, 512, 1 << 20);
	expect_call(1, TP_WRITE, TP_FUA, 512 + (1 << 20), 512);
	expect_calls(2);
	close_world();
}
END_TEST

/*---------------------------- new devices ----------------------------------*/

static int new_with(struct tp_device_async_ops ops)
{
	struct tp_device *refused = NULL;
	int r = tp_device_new_async(&ops, NULL, &refused);

	ck_assert(r == 0 || !refused);
	tp_device_unref(refused);

	return r;
}

/* B-BAD-25: its logical blocks, for one, have a size that divides a data block's. */
START_TEST(test_a_device_that_makes_no_sense_is_refused)
{
	const struct tp_device_async_ops good = {
		TP_DEVICE_ASYNC_OPS_INIT,
		.open_channel = recorder_open_channel,
		.close_channel = recorder_close_channel,
		.submit = recorder_submit,
		.poll = recorder_poll,
		.arm = recorder_arm,
		.size = recorder_size,
	};
	struct tp_device_async_ops ops;

	ck_assert_int_eq(new_with(good), 0);
	ops = good, ops.struct_size = 0;
	ck_assert_int_eq(new_with(ops), -EINVAL);
	ops = good,
	ops.struct_size = offsetof(struct tp_device_async_ops, size);
	ck_assert_int_eq(new_with(ops), -EINVAL);
	ops = good, ops.struct_size += 100; /* of a newer header */
	ck_assert_int_eq(new_with(ops), 0);
	ops = good, ops.submit = NULL;
	ck_assert_int_eq(new_with(ops), -EINVAL);
	ops = good, ops.features = 1u << 31;
	ck_assert_int_eq(new_with(ops), -EINVAL);
	ops = good, ops.logical_block_bytes = 768;
	ck_assert_int_eq(new_with(ops), -EINVAL);
	ops = good, ops.logical_block_bytes = 8192;
	ck_assert_int_eq(new_with(ops), -EINVAL);
	ops = good, ops.memory_alignment_bytes = 24;
	ck_assert_int_eq(new_with(ops), -EINVAL);
	ops = good, ops.discard_granularity_bytes = 1000;
	ck_assert_int_eq(new_with(ops), -EINVAL);
	ops = good, ops.discard_max_bytes = 100;
	ck_assert_int_eq(new_with(ops), -EINVAL);
	ck_assert_int_eq(tp_device_new_async(NULL, NULL, &device), -EINVAL);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"channel", 1, test_a_plain_write_goes_down_as_it_is,
		test_without_fua_a_durable_write_is_a_write_and_a_flush,
		test_fua_is_passed_to_a_device_that_has_it,
		test_a_device_without_a_cache_sees_neither_fua_nor_flush,
		test_a_preflush_comes_first,
		test_a_failed_preflush_keeps_the_write_back,
		test_a_failed_write_is_not_flushed,
		test_a_failed_flush_fails_the_durable_write,
		test_an_error_is_passed_on_unchanged,
		test_an_error_that_means_something_to_the_library_is_an_io_error,
		test_a_count_is_an_error,
		test_an_error_of_a_piece_ends_the_whole,
		test_a_read_only_device_is_not_written,
		test_a_copy_goes_down_where_both_places_are_there,
		test_a_copy_is_refused_where_the_device_has_none,
		test_arm_tells_of_a_request_that_failed_at_once,
		test_a_request_may_be_submitted_again_when_it_ends,
		test_a_kick_without_work_is_not_passed_down,
		test_zeroes_are_written_as_data_where_the_device_has_none,
		test_native_zeroes_are_used,
		test_native_zeroes_that_do_not_work_are_tried_once,
		test_native_zeroes_that_fail_have_failed,
		test_a_discard_is_not_supported_where_the_device_has_none,
		test_a_discard_is_split_and_its_edges_are_left_out,
		test_a_discard_of_edges_only_does_nothing,
		test_an_aligned_discard_goes_down_as_it_is,
		test_memory_that_is_not_aligned_is_copied_in_bounded_pieces,
		test_a_device_that_makes_no_sense_is_refused);
}
