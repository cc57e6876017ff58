/*
 * The memory device: sparse, growing, and shared by threads.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "support/run-tests.h"
#include "support/sync-channel.h"

#define TIB (1ull << 40)
#define CHUNK_BYTES 65536

static struct tp_device *device;
static struct sync_channel channel;
static char buffer[2 * CHUNK_BYTES], other[2 * CHUNK_BYTES];

static void open_world(uint64_t size)
{
	ck_assert_int_eq(tp_device_open_memory(size, &device), 0);
	sync_channel_open(&channel, device, true);
}

static void close_world(void)
{
	sync_channel_close(&channel);
	tp_device_unref(device);
}

START_TEST(test_a_device_of_16_tib_costs_next_to_nothing)
{
	open_world(16 * TIB);
	memset(buffer, 1, sizeof(buffer));
	ck_assert_int_eq(sync_write(&channel, buffer, 4096, 16 * TIB - 4096, 0),
			 0);
	ck_assert_int_eq(sync_read(&channel, other, 4096, 16 * TIB - 4096), 0);
	ck_assert_mem_eq(buffer, other, 4096);
	ck_assert_int_eq(sync_read(&channel, other, 4096, 8 * TIB), 0);
	memset(buffer, 0, 4096);
	ck_assert_mem_eq(buffer, other, 4096);
	close_world();
}
END_TEST

START_TEST(test_sizes_that_cannot_be_are_refused)
{
	ck_assert_int_eq(tp_device_open_memory(513, &device), -EINVAL);
	ck_assert_int_eq(tp_device_open_memory(UINT64_MAX - 511, &device),
			 -EINVAL);
	ck_assert_int_eq(tp_device_open_memory(512, NULL), -EINVAL);
	open_world(0);
	ck_assert_int_eq(sync_read(&channel, buffer, 512, 0), -EIO);
	close_world();
}
END_TEST

/* An open channel sees it as well. */
START_TEST(test_it_grows_and_does_not_shrink)
{
	open_world(4096);
	ck_assert_int_eq(sync_write(&channel, buffer, 4096, 4096, 0), -EIO);
	ck_assert_int_eq(tp_device_grow_memory(device, TIB), 0);
	ck_assert_uint_eq(tpi_device_size(device), TIB);
	ck_assert_int_eq(sync_write(&channel, buffer, 4096, 4096, 0), 0);
	ck_assert_int_eq(tp_device_grow_memory(device, TIB), 0);
	ck_assert_int_eq(tp_device_grow_memory(device, TIB - 512), -EINVAL);
	ck_assert_int_eq(tp_device_grow_memory(device, TIB + 1), -EINVAL);
	ck_assert_uint_eq(tpi_device_size(device), TIB);
	close_world();
}
END_TEST

static uint64_t size_of_other(void *context)
{
	return 512;
}

static int do_nothing(void *context)
{
	return 0;
}

static int transfer_nothing(void *context, const struct iovec *iov, int iovcnt,
			    uint64_t offset)
{
	return 0;
}

static int write_nothing(void *context, const struct iovec *iov, int iovcnt,
			 uint64_t offset, unsigned flags)
{
	return 0;
}

START_TEST(test_only_memory_devices_grow_by_a_call)
{
	const struct tp_device_ops ops = {
		TP_DEVICE_OPS_INIT,     .read = transfer_nothing,
		.write = write_nothing, .flush = do_nothing,
		.size = size_of_other,
	};

	ck_assert_int_eq(tp_device_new(&ops, NULL, &device), 0);
	ck_assert_int_eq(tp_device_grow_memory(device, 1024), -EINVAL);
	ck_assert_int_eq(tp_device_grow_memory(NULL, 1024), -EINVAL);
	tp_device_unref(device);
}
END_TEST

/* Across chunks, and from where nothing was written. */
START_TEST(test_a_copy_is_what_was_there)
{
	open_world(TIB);
	for (size_t i = 0; i < sizeof(buffer); i++)
		buffer[i] = (char)(i / 512 + 1);
	ck_assert_int_eq(sync_write(&channel, buffer, sizeof(buffer), 512, 0),
			 0);
	ck_assert_int_eq(
		sync_copy(&channel, 512, TIB / 2 + 1024, sizeof(buffer)), 0);
	ck_assert_int_eq(
		sync_read(&channel, other, sizeof(other), TIB / 2 + 1024), 0);
	ck_assert_mem_eq(buffer, other, sizeof(buffer));

	ck_assert_int_eq(sync_copy(&channel, TIB / 4, 512, sizeof(buffer)), 0);
	ck_assert_int_eq(sync_read(&channel, other, sizeof(other), 512), 0);
	memset(buffer, 0, sizeof(buffer));
	ck_assert_mem_eq(buffer, other, sizeof(buffer));
	close_world();
}
END_TEST

/* Whole chunks and parts of them, at both ends. */
START_TEST(test_what_was_discarded_reads_as_zeroes)
{
	open_world(TIB);
	for (int i = 0; i < 2; i++) {
		memset(buffer, 1, sizeof(buffer));
		ck_assert_int_eq(
			sync_write(&channel, buffer, sizeof(buffer), 0, 0), 0);
		ck_assert_int_eq(sync_op(&channel,
					 i ? TP_DISCARD : TP_WRITE_ZEROES, 512,
					 TIB - 512, 0),
				 0);
		ck_assert_int_eq(sync_read(&channel, other, sizeof(other), 0),
				 0);
		memset(buffer + 512, 0, sizeof(buffer) - 512);
		ck_assert_mem_eq(buffer, other, sizeof(buffer));
	}
	close_world();
}
END_TEST

static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

START_TEST(test_discards_give_memory_back)
{
	const unsigned nr_chunks = 256;
	size_t before, full, after;

	open_world(TIB);
	ck_assert_int_eq(sync_write(&channel, buffer, 512, 0, 0), 0);
	before = allocated();
	for (unsigned i = 1; i < nr_chunks; i++)
		ck_assert_int_eq(sync_write(&channel, buffer, 512,
					    i * CHUNK_BYTES, 0),
				 0);
	full = allocated();
	ck_assert_int_eq(sync_op(&channel, TP_DISCARD, CHUNK_BYTES,
				 (nr_chunks - 1) * CHUNK_BYTES, 0),
			 0);
	after = allocated();

	/* An allocator that is not libc's tells nothing. */
	if (full > before)
		ck_assert_uint_lt(after - before, (full - before) / 10);
	close_world();
}
END_TEST

/*
 * Neighbours in one chunk: one writes and reads its half, the other discards
 * and zeroes its own, and, now and then, the chunk behind, whole.
 */
static void *discard_the_other_half(void *context)
{
	struct sync_channel own;

	sync_channel_open(&own, device, false);
	for (unsigned i = 0; i < 300; i++) {
		ck_assert_int_eq(sync_op(&own,
					 i % 2 ? TP_DISCARD : TP_WRITE_ZEROES,
					 CHUNK_BYTES / 2, CHUNK_BYTES / 2, 0),
				 0);
		ck_assert_int_eq(sync_op(&own, TP_DISCARD, CHUNK_BYTES,
					 CHUNK_BYTES, 0),
				 0);
		ck_assert_int_eq(sync_write(&own, buffer, CHUNK_BYTES / 2,
					    CHUNK_BYTES, 0),
				 0);
	}
	sync_channel_close(&own);

	return NULL;
}

START_TEST(test_threads_do_not_disturb_each_other)
{
	static char mine[CHUNK_BYTES / 2], seen[CHUNK_BYTES / 2];
	pthread_t thread;

	open_world(TIB);
	pthread_create(&thread, NULL, discard_the_other_half, NULL);
	for (unsigned i = 0; i < 300; i++) {
		memset(mine, (int)i, sizeof(mine));
		ck_assert_int_eq(sync_write(&channel, mine, sizeof(mine), 0, 0),
				 0);
		ck_assert_int_eq(sync_read(&channel, seen, sizeof(seen), 0), 0);
		ck_assert_mem_eq(mine, seen, sizeof(mine));
	}
	pthread_join(thread, NULL);
	close_world();
}
END_TEST

/* Each its own byte, over and over, where the other writes too. */
static void *overwrite(void *context)
{
	static char bytes[2][CHUNK_BYTES / 2];
	struct sync_channel own;
	unsigned i = *(unsigned *)context;

	memset(bytes[i], (int)i + 1, sizeof(bytes[i]));
	sync_channel_open(&own, device, false);
	for (unsigned k = 0; k < 2000; k++)
		ck_assert_int_eq(
			sync_write(&own, bytes[i], sizeof(bytes[i]), 0, 0), 0);
	sync_channel_close(&own);

	return NULL;
}

/* D3: a sector is one writer's, or the other's, whatever overlaps. */
START_TEST(test_no_sector_is_ever_torn)
{
	static char seen[CHUNK_BYTES / 2];
	unsigned numbers[] = { 0, 1 };
	pthread_t threads[2];

	open_world(TIB);
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, overwrite, &numbers[i]);
	for (unsigned i = 0; i < 2000; i++) {
		ck_assert_int_eq(sync_read(&channel, seen, sizeof(seen), 0), 0);
		for (unsigned at = 0; at < sizeof(seen); at += 512)
			if (memcmp(seen + at, seen + at + 1, 511))
				ck_abort_msg("the sector at %u is torn", at);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	close_world();
}
END_TEST

int main(void)
{
	return RUN_TESTS("memory-device", 1,
			 test_a_device_of_16_tib_costs_next_to_nothing,
			 test_sizes_that_cannot_be_are_refused,
			 test_it_grows_and_does_not_shrink,
			 test_only_memory_devices_grow_by_a_call,
			 test_what_was_discarded_reads_as_zeroes,
			 test_a_copy_is_what_was_there,
			 test_discards_give_memory_back,
			 test_threads_do_not_disturb_each_other,
			 test_no_sector_is_ever_torn);
}
