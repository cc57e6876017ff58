/*
 * Reads, provisioning writes and write-zeroes: what is zero, what is allocated,
 * what the data device gets to see.
 */
#include <stdlib.h>

#include "support/world.h"

#define THIN_BYTES (8 * MIB)

#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))

static struct world w;
static char buffer[2 * MIB];

/* A data device full of what others left there. */
static struct tp_thin *begin_dirty(int kind, uint32_t block_size,
				   unsigned flags)
{
	world_make_sized(&w, kind, 2 * MIB, 32 * MIB, NULL);
	memset(w.data.bytes, 0xee, w.data.size_bytes);
	w.block_size = block_size;
	w.options.flags |= flags;
	world_format(&w);
	world_open(&w);
	io_log_clear(&w.log);

	return world_new_thin(&w, 0, THIN_BYTES);
}

static void end_with(struct tp_thin *thin)
{
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}

static unsigned nr_data_requests(void)
{
	unsigned nr = 0;

	for (unsigned op = 0; op < OBSERVER_NR_OPS; op++)
		nr += w.data.nr_begun[op];

	return nr;
}

static const uint32_t block_sizes[] = { 64 * KIB, 192 * KIB, MIB };

/* CRE-13, B-READ-1: no allocation, and the data device is left alone. */
START_TEST(test_what_was_never_written_reads_as_zero)
{
	struct tp_thin *thin = begin_dirty(_i, WORLD_BLOCK, 0);
	struct tp_thin *large = world_open_thin(&w, 0, 256 * MIB);
	unsigned nr = nr_data_requests();

	thin_verify_zero(large, 0, 256 * MIB);
	ck_assert_uint_eq(nr_data_requests(), nr);
	ck_assert_uint_eq(world_used(&w), 0);
	ck_ok(tp_thin_close(large));
	end_with(thin);
}
END_TEST

/* CRE-15, B-WRITE-1: the rest of a block that is written in part. */
START_TEST(test_a_partial_first_write_zeroes_the_rest_of_its_block)
{
	for (unsigned i = 0; i < 3; i++) {
		uint64_t block = block_sizes[i], at = 2 * block + block / 2;
		struct tp_thin *thin = begin_dirty(_i, block_sizes[i], 0);

		thin_fill(thin, at, 512, 1);
		thin_verify_zero(thin, 0, at);
		thin_verify(thin, at, 512, 1);
		thin_verify_zero(thin, at + 512, THIN_BYTES - at - 512);
		ck_assert_uint_eq(world_used(&w), 1);
		ck_assert_uint_eq(thin_mapped(thin), block);
		ck_assert_uint_eq(thin_info(thin).highest_mapped_end,
				  3 * block);

		/* A head and a tail, whole blocks between. */
		thin_fill(thin, 4 * block - 512, 2 * block + 1024, 2);
		thin_verify_zero(thin, 3 * block, block - 512);
		thin_verify(thin, 4 * block - 512, 2 * block + 1024, 2);
		thin_verify_zero(thin, 6 * block + 512, block - 512);
		ck_assert_uint_eq(world_used(&w), 5);
		end_with(thin);
	}
}
END_TEST

/* CRE-16, B-WRITE-3. */
START_TEST(test_without_zeroing_nothing_but_the_write_reaches_the_device)
{
	struct tp_thin *thin =
		begin_dirty(_i, WORLD_BLOCK, TP_POOL_SKIP_ZEROING);

	thin_fill(thin, 4096, 512, 1);
	ck_assert_uint_eq(w.data.nr_begun[TP_WRITE_ZEROES], 0);
	ck_assert_uint_eq(w.data.nr_begun[TP_WRITE], 1);
	thin_verify(thin, 4096, 512, 1);
	thin_verify_zero(thin, WORLD_BLOCK, THIN_BYTES - WORLD_BLOCK);
	end_with(thin);
}
END_TEST

/* B-WRITE-2, B-REQ-10: one write, no zeroing, and not a second time. */
START_TEST(test_a_write_of_whole_blocks_is_written_once)
{
	struct tp_thin *thin = begin_dirty(_i, WORLD_BLOCK, 0);
	uint64_t nr_bytes = 0;

	fill_pattern(buffer, sizeof(buffer), 0, 1);
	ck_ok(tp_thin_write(thin, buffer, sizeof(buffer), 0, 0));
	for (unsigned i = 0; i < io_log_nr(&w.log); i++) {
		struct io_event event = io_log_get(&w.log, i);

		if (event.when == IO_BEGIN && event.op == TP_WRITE &&
		    !strcmp(event.name, "data"))
			nr_bytes += event.length;
	}
	ck_assert_uint_eq(nr_bytes, sizeof(buffer));
	ck_assert_uint_eq(w.data.nr_begun[TP_WRITE_ZEROES], 0);
	thin_verify(thin, 0, sizeof(buffer), 1);

	/* Decision 6: runs, not blocks. */
	ck_assert_uint_le(w.data.nr_begun[TP_WRITE], 4);
	end_with(thin);
}
END_TEST

/* OOS-12: free falls by exactly what is touched. */
START_TEST(test_the_free_count_follows_writes_to_the_block)
{
	struct tp_thin *thin = begin_dirty(_i, WORLD_BLOCK, 0);

	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_assert_uint_eq(world_used(&w), 1);
	thin_fill(thin, 5 * WORLD_BLOCK / 2, WORLD_BLOCK, 1);
	ck_assert_uint_eq(world_used(&w), 3);
	thin_fill(thin, 0, 4 * WORLD_BLOCK, 1);
	ck_assert_uint_eq(world_used(&w), 4);
	thin_fill(thin, 0, 4 * WORLD_BLOCK, 2);
	ck_assert_uint_eq(world_used(&w), 4);
	end_with(thin);
}
END_TEST

/* B-READ-3: a read of a block on its way sees nothing or all of it. */
START_TEST(test_a_read_during_provisioning_sees_no_stale_data)
{
	struct tp_thin *thin = begin_dirty(_i, WORLD_BLOCK, 0);
	struct tp_queue *queue;
	struct io write, read;

	ck_ok(tp_queue_create(w.pool, 8, &queue));
	observer_hold(&w.data, OPS(TP_WRITE) | OPS(TP_WRITE_ZEROES));
	fill_pattern(buffer, 4096, 4096, 1);
	io_init(&write, TP_WRITE, buffer, 4096, 4096, 0);
	io_submit(&write, queue, thin);
	world_until(&w, w.data.nr_held > 0);
	io_init(&read, TP_READ, buffer + MIB, 0, WORLD_BLOCK, 0);
	io_submit(&read, queue, thin);
	world_idle(&w);
	tp_queue_poll(queue, 0);
	ck_assert_uint_eq(write.nr_ended, 0);
	observer_release(&w.data);
	ck_ok(io_wait(&w, &write, queue));
	ck_ok(io_wait(&w, &read, queue));
	ck_assert_uint_eq(find_nonzero(buffer + MIB, 4096, 0), UINT64_MAX);
	ck_assert_uint_eq(find_nonzero(buffer + MIB + 8192, WORLD_BLOCK - 8192,
				       0),
			  UINT64_MAX);
	thin_verify(thin, 4096, 4096, 1);
	tp_queue_destroy(queue);
	end_with(thin);
}
END_TEST

/* B-WRITE-5, F-04, F-05, R-86: -EIO, nothing mapped, the blocks given back. */
START_TEST(test_a_failed_first_write_maps_nothing_and_leaks_nothing)
{
	for (unsigned i = 0; i < 2; i++) {
		struct tp_thin *thin = begin_dirty(_i, WORLD_BLOCK, 0);
		uint64_t offset = i ? 512 : 0;
		uint64_t length = i ? 512 : 4 * WORLD_BLOCK;

		/* However it zeroes a block. */
		observer_fail(&w.data, OPS(TP_WRITE) | OPS(TP_WRITE_ZEROES), 0,
			      0, -EIO);
		ck_assert_int_eq(tp_thin_write(thin, buffer, length, offset, 0),
				 -EIO);
		observer_heal(&w.data);
		ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
		ck_assert_uint_eq(thin_mapped(thin), 0);
		world_until(&w, world_used(&w) == 0);
		thin_verify_zero(thin, 0, 4 * WORLD_BLOCK);
		thin_fill(thin, 0, 4 * WORLD_BLOCK, 3);
		thin_verify(thin, 0, 4 * WORLD_BLOCK, 3);
		ck_assert_uint_eq(world_used(&w), 4);
		end_with(thin);
	}
}
END_TEST

/* F-01, F-03. */
START_TEST(test_a_device_error_on_a_mapped_block_is_that_bios_own)
{
	struct tp_thin *thin = begin_dirty(_i, WORLD_BLOCK, 0);

	thin_fill(thin, 0, 4 * WORLD_BLOCK, 1);
	observer_fail(&w.data, OPS(TP_READ), 0, 1, -EIO);
	ck_assert_int_eq(tp_thin_read(thin, buffer, 4096, 0), -EIO);
	thin_verify(thin, 0, 4 * WORLD_BLOCK, 1);
	observer_fail(&w.data, OPS(TP_WRITE), 0, 1, -EREMOTEIO);
	ck_assert_int_eq(tp_thin_write(thin, buffer, 4096, 0, 0), -EREMOTEIO);
	thin_verify(thin, 0, 4 * WORLD_BLOCK, 1);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	end_with(thin);
}
END_TEST

/* F-11, B-READ-5: of the metadata, when a lookup needs it. */
START_TEST(test_a_lookup_that_cannot_be_read_fails_that_bio_only)
{
	struct tp_thin *thin = begin_dirty(_i, WORLD_BLOCK, 0);

	thin_fill(thin, 0, 4 * WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	world_reopen(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	observer_fail(&w.metadata, OPS(TP_READ), 0, 0, -EIO);
	ck_assert_int_eq(tp_thin_read(thin, buffer, 4096, 0), -EIO);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	observer_heal(&w.metadata);
	thin_verify(thin, 0, 4 * WORLD_BLOCK, 1);
	end_with(thin);
}
END_TEST

/* B-WZ-1, -2, -3, -5. */
START_TEST(test_write_zeroes_unmaps_or_keeps_as_it_is_told)
{
	for (unsigned i = 0; i < 3; i++) {
		uint64_t block = block_sizes[i];
		struct tp_thin *thin = begin_dirty(_i, block_sizes[i], 0);

		ck_ok(tp_thin_write_zeroes(thin, 0, 2 * block, 0));
		ck_assert_uint_eq(thin_mapped(thin), 0);
		thin_fill(thin, 0, 4 * block, 1);
		ck_ok(tp_thin_write_zeroes(thin, block - 512, 2 * block, 0));
		ck_assert_uint_eq(thin_mapped(thin), 3 * block);
		thin_verify(thin, 0, block - 512, 1);
		thin_verify_zero(thin, block - 512, 2 * block);
		thin_verify(thin, 3 * block - 512, block + 512, 1);
		ck_ok(tp_thin_write_zeroes(thin, 0, 5 * block, TP_NO_UNMAP));
		thin_verify_zero(thin, 0, 5 * block);
		ck_assert_uint_eq(thin_mapped(thin), 5 * block);
		end_with(thin);
	}
}
END_TEST

/* B-WZ-1: a block that is not zeroed when it is new must not be left to be. */
START_TEST(test_write_zeroes_hold_without_zeroing)
{
	struct tp_thin *thin =
		begin_dirty(_i, WORLD_BLOCK, TP_POOL_SKIP_ZEROING);

	ck_ok(tp_thin_write_zeroes(thin, 0, WORLD_BLOCK, 0));
	thin_fill(thin, WORLD_BLOCK, WORLD_BLOCK, 1);
	ck_ok(tp_thin_write_zeroes(thin, WORLD_BLOCK, WORLD_BLOCK, 0));
	ck_ok(tp_thin_write_zeroes(thin, 2 * WORLD_BLOCK, 4096, 0));
	for (uint64_t block = 0; block < 3; block++)
		thin_fill(thin, block * WORLD_BLOCK + 8192, 512, 2);
	thin_verify_zero(thin, 0, 8192);
	thin_verify_zero(thin, 8704, WORLD_BLOCK - 512);
	thin_verify_zero(thin, WORLD_BLOCK + 8704, WORLD_BLOCK - 8704 + 4096);
	end_with(thin);
}
END_TEST

/* B-WZ-6. */
START_TEST(test_write_zeroes_never_zeroes_a_shared_block)
{
	struct tp_thin *thin = begin_dirty(_i, WORLD_BLOCK, 0);
	struct tp_thin *snapshot;

	thin_fill(thin, 0, 8 * WORLD_BLOCK, 1);
	snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	ck_ok(tp_thin_write_zeroes(thin, 512, 3 * WORLD_BLOCK, 0));
	ck_ok(tp_thin_write_zeroes(thin, 4 * WORLD_BLOCK + 512, 3 * WORLD_BLOCK,
				   TP_NO_UNMAP));
	thin_verify(snapshot, 0, 8 * WORLD_BLOCK, 1);
	thin_verify(thin, 0, 512, 1);
	thin_verify_zero(thin, 512, 3 * WORLD_BLOCK);
	thin_verify(thin, 3 * WORLD_BLOCK + 512, WORLD_BLOCK, 1);
	thin_verify_zero(thin, 4 * WORLD_BLOCK + 512, 3 * WORLD_BLOCK);
	thin_verify(thin, 7 * WORLD_BLOCK + 512, WORLD_BLOCK - 512, 1);
	ck_ok(tp_thin_close(snapshot));
	end_with(thin);
}
END_TEST

/* FST-12, B-REQ-8: nothing, one vector of many pieces, odd addresses. */
START_TEST(test_vectors_may_be_empty_split_and_anywhere_in_memory)
{
	struct tp_thin *thin = begin_dirty(_i, WORLD_BLOCK, 0);
	static struct iovec iov[1024];
	char *odd = malloc(1024 * 1024 + 1);
	struct tp_queue *queue;
	struct io io;

	ck_ok(tp_thin_write(thin, buffer, 0, 0, 0));
	ck_ok(tp_thin_read(thin, buffer, 0, THIN_BYTES));
	ck_assert_uint_eq(world_used(&w), 0);

	ck_ok(tp_queue_create(w.pool, 4, &queue));
	fill_pattern(odd + 1, MIB, 512, 1);
	for (unsigned i = 0; i < 1024; i++)
		iov[i] = (struct iovec){ odd + 1 + i * 1024, 1024 };
	io_init(&io, TP_WRITE, NULL, 512, MIB, 0);
	io.bio.iov = iov;
	io.bio.iovcnt = 1024;
	io_submit(&io, queue, thin);
	ck_ok(io_wait(&w, &io, queue));
	thin_verify(thin, 512, MIB, 1);
	memset(odd, 0, MIB + 1);
	io_init(&io, TP_READ, NULL, 512, MIB, 0);
	io.bio.iov = iov;
	io.bio.iovcnt = 1024;
	io_submit(&io, queue, thin);
	ck_ok(io_wait(&w, &io, queue));
	ck_assert_uint_eq(find_other(odd + 1, MIB, 512, 1), UINT64_MAX);
	tp_queue_destroy(queue);
	free(odd);
	end_with(thin);
}
END_TEST

/* As many pieces as it takes, each of a few logical blocks. */
static int split(struct iovec *iov, char *memory, uint64_t length,
		 uint32_t logical, uint64_t *state)
{
	int nr = 0;

	for (uint64_t at = 0; at < length; at += iov[nr++].iov_len)
		iov[nr] = (struct iovec){
			memory + at,
			random_in(state, 1,
				  1 + MIN_OF((length - at) / logical, 20)) *
				logical,
		};

	return nr;
}

/* FST-10: on devices of either logical block, of both sizes and of others. */
START_TEST(test_vectors_may_be_split_anywhere_across_blocks)
{
	static const uint32_t logical_blocks[] = { 512, 4096 };
	static char model[MIB], shown[MIB];
	uint64_t state = seed_from_environment(17);

	for (unsigned i = 0; i < 2; i++) {
		const uint32_t logical = logical_blocks[i];
		const struct tp_device_limits limits = { .logical_block_bytes =
								 logical };
		struct iovec iov[MIB / 512];
		struct tp_queue *queue;
		struct tp_thin *thin;
		struct io io;

		world_make_sized(&w, _i, 2 * MIB, 8 * MIB, &limits);
		world_format(&w);
		world_open(&w);
		thin = world_new_thin(&w, 0, MIB);
		ck_ok(tp_queue_create(w.pool, 4, &queue));
		memset(model, 0, MIB);
		for (unsigned n = 0; n < 40; n++) {
			uint64_t at = random_in(&state, 0, MIB / logical);
			uint64_t nr = n % 4 ? 1 + random_in(&state, 0, 60) : 1;

			at *= logical;
			nr = MIN_OF(nr * logical, MIB - at);
			fill_pattern(model + at, nr, at, n);
			io_init(&io, TP_WRITE, NULL, at, nr, 0);
			io.bio.iov = iov;
			io.bio.iovcnt =
				split(iov, model + at, nr, logical, &state);
			io_submit(&io, queue, thin);
			ck_ok(io_wait(&w, &io, queue));
		}
		io_init(&io, TP_READ, NULL, 0, MIB, 0);
		io.bio.iov = iov;
		io.bio.iovcnt = split(iov, shown, MIB, logical, &state);
		io_submit(&io, queue, thin);
		ck_ok(io_wait(&w, &io, queue));
		ck_assert(!memcmp(shown, model, MIB));
		tp_queue_destroy(queue);
		end_with(thin);
	}
}
END_TEST

/* CRE-09, CRE-05: far out, and a block of a gibibyte's 16th. */
START_TEST(test_the_far_end_of_the_largest_thin_can_be_written)
{
	uint64_t size = ((uint64_t)1 << 63) - 512, last = size - 512;
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, TP_THIN_ID_END - 1, size);
	thin_fill(thin, last, 512, 1);
	thin_fill(thin, size / 2 / MIB * MIB, 4096, 1);
	ck_ok(tp_thin_close(thin));
	world_reopen(&w);
	thin = world_open_thin(&w, TP_THIN_ID_END - 1, size);
	thin_verify(thin, last, 512, 1);
	thin_verify(thin, size / 2 / MIB * MIB, 4096, 1);
	thin_verify_zero(thin, last - MIB, MIB);
	ck_assert_uint_eq(world_used(&w), 2);
	end_with(thin);
}
END_TEST

/* B-THR-2, R-85: as many as may be under way at a time, and more: all end, and
 * each block holds its own.  Parts of large shared blocks, which need buffers,
 * of which there are few. */
#define NR_MANY 1200u

static void write_many(struct tp_thin *thin, uint64_t distance)
{
	struct io *ios = calloc(NR_MANY, sizeof(*ios));
	static char bytes[NR_MANY][512];
	struct tp_queue *queue;

	ck_ok(tp_queue_create(w.pool, NR_MANY, &queue));
	observer_hold(&w.data, OPS(TP_WRITE));
	for (unsigned i = 0; i < NR_MANY; i++) {
		fill_pattern(bytes[i], 512, i * distance, 3);
		io_init(&ios[i], TP_WRITE, bytes[i], i * distance, 512, 0);
		io_submit(&ios[i], queue, thin);
	}
	world_idle(&w);
	observer_release(&w.data);
	for (unsigned i = 0; i < NR_MANY; i++)
		ck_ok(io_wait(&w, &ios[i], queue));
	tp_queue_destroy(queue);
	free(ios);
}

START_TEST(test_more_writes_at_once_than_can_be_prepared_all_end)
{
	struct tp_thin *thin;

	world_make_sized(&w, _i, 4 * MIB, 160 * MIB, NULL);
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, 256 * MIB);
	write_many(thin, WORLD_BLOCK);
	for (uint64_t i = 0; i < NR_MANY; i++) {
		thin_verify(thin, i * WORLD_BLOCK, 512, 3);
		thin_verify_zero(thin, i * WORLD_BLOCK + 512, 512);
	}
	ck_assert_uint_eq(world_used(&w), NR_MANY);
	end_with(thin);
}
END_TEST

START_TEST(test_more_copies_at_once_than_there_are_buffers_all_end)
{
	const uint64_t block_bytes = 2 * MIB, nr = 24;
	struct tp_thin *thin;

	world_make_sized(&w, _i, 2 * MIB, 2 * nr * block_bytes, NULL);
	w.block_size = (uint32_t)block_bytes;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, nr * block_bytes);
	thin_fill(thin, 0, nr * block_bytes, 1);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	write_many(thin, nr * block_bytes / NR_MANY / 512 * 512);
	for (uint64_t i = 0; i < NR_MANY; i++) {
		uint64_t at = i * (nr * block_bytes / NR_MANY / 512 * 512);

		thin_verify(thin, at, 512, 3);
		thin_verify(thin, at + 512, 512, 1);
	}
	ck_assert_uint_eq(world_used(&w), 2 * nr);
	end_with(thin);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"write", NR_KINDS, test_what_was_never_written_reads_as_zero,
		test_a_partial_first_write_zeroes_the_rest_of_its_block,
		test_without_zeroing_nothing_but_the_write_reaches_the_device,
		test_a_write_of_whole_blocks_is_written_once,
		test_the_free_count_follows_writes_to_the_block,
		test_a_read_during_provisioning_sees_no_stale_data,
		test_a_failed_first_write_maps_nothing_and_leaks_nothing,
		test_a_device_error_on_a_mapped_block_is_that_bios_own,
		test_a_lookup_that_cannot_be_read_fails_that_bio_only,
		test_write_zeroes_unmaps_or_keeps_as_it_is_told,
		test_write_zeroes_hold_without_zeroing,
		test_write_zeroes_never_zeroes_a_shared_block,
		test_vectors_may_be_empty_split_and_anywhere_in_memory,
		test_vectors_may_be_split_anywhere_across_blocks,
		test_the_far_end_of_the_largest_thin_can_be_written,
		test_more_writes_at_once_than_can_be_prepared_all_end,
		test_more_copies_at_once_than_there_are_buffers_all_end);
}
