/*
 * Thins over an external origin: of the same size, smaller, larger, ending
 * inside a block; the origin is only ever read.
 */
#include "support/world.h"

#define THIN_BYTES (8 * WORLD_BLOCK)

static struct world w;
static struct observer origin;

static struct tp_thin *open_over(uint32_t id)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;

	options.size = THIN_BYTES;
	options.external_origin = origin.device;
	ck_ok(tp_thin_open(w.pool, id, &options, &thin));

	return thin;
}

/* Nothing on the data device is zero before it is written. */
static struct tp_thin *begin_with(int kind, uint64_t origin_bytes,
				  unsigned flags,
				  const struct tp_device_limits *data,
				  const struct tp_device_limits *of_origin)
{
	world_make_sized(&w, kind, 2 * MIB, 16 * MIB, data);
	memset(w.data.bytes, 0xa5, w.data.size_bytes);
	w.options.flags |= flags;
	world_format(&w);
	world_open(&w);
	observer_init(&origin, &w.log, "origin", origin_bytes, 2 * origin_bytes,
		      of_origin);
	fill_pattern(origin.bytes, origin_bytes, 0, 7);
	ck_ok(tp_pool_create_thin(w.pool, 0));

	return open_over(0);
}

static struct tp_thin *begin_over(int kind, uint64_t origin_bytes)
{
	return begin_with(kind, origin_bytes, 0, NULL, NULL);
}

static void end_over(struct tp_thin *thin)
{
	ck_ok(tp_thin_close(thin));
	for (unsigned op = TP_WRITE; op < OBSERVER_NR_OPS; op++)
		ck_assert_uint_eq(origin.nr_begun[op], 0);
	world_end(&w);
	observer_exit(&origin);
}

/* What the origin shows in [begin, end), zero behind its end. */
static void verify_origin(struct tp_thin *thin, uint64_t begin, uint64_t end)
{
	uint64_t size = origin.size_bytes;
	uint64_t cut = size < begin ? begin : size < end ? size : end;

	thin_verify(thin, begin, cut - begin, 7);
	thin_verify_zero(thin, cut, end - cut);
}

/* EXT-01..04, EXT-08, R-77, B-EXT-1, -2 and -4, B-ORIG-3. */
START_TEST(test_what_is_not_written_shows_the_origin_and_zero_behind_it)
{
	static const uint64_t sizes[] = { THIN_BYTES, 4 * WORLD_BLOCK,
					  16 * WORLD_BLOCK,
					  4 * WORLD_BLOCK + 16 * 512 };

	for (unsigned i = 0; i < 4; i++) {
		struct tp_thin *thin = begin_over(_i, sizes[i]);

		verify_origin(thin, 0, THIN_BYTES);
		ck_assert_uint_eq(world_used(&w), 0);
		for (unsigned block = 0; block < 8; block += 2)
			thin_fill(thin, block * WORLD_BLOCK + 1024, 512, 8);
		for (unsigned round = 0; round < 2; round++) {
			for (uint64_t block = 0; block < 8; block++) {
				uint64_t at = block * WORLD_BLOCK;

				if (block % 2 == 0)
					thin_verify(thin, at + 1024, 512, 8);
				else
					verify_origin(thin, at + 1024,
						      at + 1536);
				verify_origin(thin, at, at + 1024);
				verify_origin(thin, at + 1536,
					      at + WORLD_BLOCK);
			}
			ck_ok(tp_thin_close(thin));
			world_reopen(&w);
			thin = open_over(0);
		}
		ck_assert_uint_eq(world_used(&w), 4);
		end_over(thin);
	}
}
END_TEST

/* B-ORIG-4, B-WZ-4: unmapping shows the origin, zeroes do not. */
START_TEST(test_a_discard_shows_the_origin_again_and_zeroes_hide_it)
{
	struct tp_thin *thin = begin_over(_i, THIN_BYTES);

	thin_fill(thin, 0, THIN_BYTES, 8);
	ck_ok(tp_thin_discard(thin, 0, 2 * WORLD_BLOCK));
	ck_ok(tp_thin_write_zeroes(thin, WORLD_BLOCK, 2 * WORLD_BLOCK, 0));
	verify_origin(thin, 0, WORLD_BLOCK);
	thin_verify_zero(thin, WORLD_BLOCK, 2 * WORLD_BLOCK);
	thin_verify(thin, 3 * WORLD_BLOCK, 5 * WORLD_BLOCK, 8);
	end_over(thin);
}
END_TEST

/* B-EXT-6, EXT-07, EXT-09, B-ORIG-1: what is opened without shows zeroes. */
START_TEST(test_an_origin_that_fails_or_is_missing)
{
	struct tp_thin *thin = begin_over(_i, THIN_BYTES);
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *other;
	char sector[512] = "";

	observer_fail(&origin, OPS(TP_READ), 0, 0, -EIO);
	ck_assert_int_eq(tp_thin_write(thin, sector, 512, 512, 0), -EIO);
	ck_assert_int_eq(tp_thin_read(thin, sector, 512, 512), -EIO);
	observer_heal(&origin);
	world_until(&w, !world_used(&w));
	verify_origin(thin, 0, THIN_BYTES);
	options.size = THIN_BYTES;
	ck_assert_int_eq(tp_thin_open(w.pool, 0, &options, &other), -EBUSY);
	ck_ok(tp_thin_close(thin));
	thin = world_open_thin(&w, 0, THIN_BYTES);
	thin_verify_zero(thin, 0, THIN_BYTES);
	end_over(thin);
}
END_TEST

/* B-EXT-1, R-77: the same where nothing may be changed. */
START_TEST(test_a_read_only_pool_shows_the_origin_and_its_end)
{
	struct tp_thin *thin = begin_over(_i, 4 * WORLD_BLOCK + 16 * 512);

	thin_fill(thin, WORLD_BLOCK + 1024, 512, 8);
	ck_ok(tp_thin_close(thin));
	w.options.flags |= TP_POOL_READ_ONLY;
	world_reopen(&w);
	thin = open_over(0);
	verify_origin(thin, 0, WORLD_BLOCK + 1024);
	thin_verify(thin, WORLD_BLOCK + 1024, 512, 8);
	verify_origin(thin, WORLD_BLOCK + 1536, THIN_BYTES);
	end_over(thin);
}
END_TEST

/* B-EXT-2 and -3: what is going to be overwritten, or lies behind the origin, is
 * not read from it. */
START_TEST(test_only_what_is_needed_of_the_origin_is_read)
{
	struct tp_thin *thin = begin_over(_i, 4 * WORLD_BLOCK);
	unsigned nr_reads = origin.nr_begun[TP_READ];

	thin_fill(thin, 0, 2 * WORLD_BLOCK, 8);
	thin_fill(thin, 5 * WORLD_BLOCK + 512, 512, 8);
	ck_assert_uint_eq(origin.nr_begun[TP_READ], nr_reads);
	thin_verify(thin, 0, 2 * WORLD_BLOCK, 8);
	thin_verify_zero(thin, 5 * WORLD_BLOCK, 512);
	thin_verify(thin, 5 * WORLD_BLOCK + 512, 512, 8);
	thin_verify_zero(thin, 5 * WORLD_BLOCK + 1024, WORLD_BLOCK - 1024);
	thin_fill(thin, 2 * WORLD_BLOCK + 512, 512, 8);
	ck_assert_uint_gt(origin.nr_begun[TP_READ], nr_reads);
	end_over(thin);
}
END_TEST

/* B-EXT-4, B-EXT-5: all that the origin has of its last block is overwritten,
 * or part of that, and new blocks are not zeroed; the tail is zero. */
START_TEST(test_the_tail_of_the_last_block_is_zero_also_without_zeroing)
{
	static const uint64_t lengths[] = { 16 * 512, 512 };

	for (unsigned i = 0; i < 2; i++) {
		struct tp_thin *thin =
			begin_with(_i, 4 * WORLD_BLOCK + 16 * 512,
				   TP_POOL_SKIP_ZEROING, NULL, NULL);
		uint64_t at = 4 * WORLD_BLOCK, end = at + lengths[i];

		thin_fill(thin, at, lengths[i], 8);
		for (unsigned round = 0; round < 2; round++) {
			thin_verify(thin, at, lengths[i], 8);
			verify_origin(thin, end, at + WORLD_BLOCK);
			ck_ok(tp_thin_close(thin));
			world_reopen(&w);
			thin = open_over(0);
		}
		end_over(thin);
	}
}
END_TEST

/* B-ORIG-2: as large as it was when the first handle was opened. */
START_TEST(test_the_size_of_the_origin_is_taken_at_the_open)
{
	struct tp_thin *thin = begin_over(_i, 3 * WORLD_BLOCK), *again;
	uint64_t grown = 4 * WORLD_BLOCK + 512;

	fill_pattern(origin.bytes, grown, 0, 7);
	observer_grow(&origin, grown);
	again = open_over(0);
	thin_verify(again, 0, 3 * WORLD_BLOCK, 7);
	thin_verify_zero(again, 3 * WORLD_BLOCK, THIN_BYTES - 3 * WORLD_BLOCK);
	ck_ok(tp_thin_close(again));
	ck_ok(tp_thin_close(thin));
	thin = open_over(0);
	verify_origin(thin, 0, THIN_BYTES);
	ck_assert_uint_eq(origin.size_bytes, grown);
	end_over(thin);
}
END_TEST

/* EXT-06, B-ORIG-1: each of them needs it, and they use it together. */
START_TEST(test_snapshots_and_other_thins_are_over_the_same_origin)
{
	struct tp_thin *thin = begin_over(_i, 6 * WORLD_BLOCK + 512);
	struct tp_thin *snapshot, *other;

	thin_fill(thin, WORLD_BLOCK, WORLD_BLOCK, 8);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	ck_ok(tp_pool_create_thin(w.pool, 2));
	snapshot = open_over(1);
	other = open_over(2);
	thin_fill(thin, 1024, 512, 9);
	thin_fill(thin, 2 * WORLD_BLOCK - 512, 512, 9);
	thin_fill(snapshot, 512, 512, 10);
	verify_origin(thin, 0, 1024);
	thin_verify(thin, 1024, 512, 9);
	verify_origin(thin, 1536, WORLD_BLOCK);
	thin_verify(thin, WORLD_BLOCK, WORLD_BLOCK - 512, 8);
	thin_verify(thin, 2 * WORLD_BLOCK - 512, 512, 9);
	verify_origin(other, 0, THIN_BYTES);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_delete_thin(w.pool, 0));
	verify_origin(snapshot, 0, 512);
	thin_verify(snapshot, 512, 512, 10);
	verify_origin(snapshot, 1024, WORLD_BLOCK);
	thin_verify(snapshot, WORLD_BLOCK, WORLD_BLOCK, 8);
	verify_origin(snapshot, 2 * WORLD_BLOCK, THIN_BYTES);
	ck_ok(tp_thin_close(other));
	ck_ok(tp_thin_close(snapshot));
	snapshot = world_open_thin(&w, 1, THIN_BYTES);
	verify_origin(snapshot, 0, 512); /* a copy */
	thin_verify(snapshot, 512, 512, 10);
	thin_verify_zero(snapshot, 2 * WORLD_BLOCK,
			 THIN_BYTES - 2 * WORLD_BLOCK);
	end_over(snapshot);
}
END_TEST

/* EXT-05: what the larger of the two logical blocks allows. */
START_TEST(test_origin_and_data_device_may_have_other_logical_blocks)
{
	static const unsigned sizes[][2] = { { 512, 4096 },
					     { 4096, 512 },
					     { 4096, 4096 } };

	for (unsigned i = 0; i < 3; i++) {
		struct tp_device_limits data = TP_DEVICE_LIMITS_INIT;
		struct tp_device_limits beneath = TP_DEVICE_LIMITS_INIT;
		struct tp_thin_limits limits = TP_THIN_LIMITS_INIT;
		struct tp_thin *thin;
		char bytes[512] = "";

		data.logical_block_bytes = sizes[i][0];
		beneath.logical_block_bytes = sizes[i][1];
		thin = begin_with(_i, 4 * WORLD_BLOCK + 4096, 0, &data,
				  &beneath);
		ck_ok(tp_thin_get_limits(thin, &limits));
		ck_assert_uint_eq(limits.logical_block_bytes, 4096);
		ck_assert_int_eq(tp_thin_read(thin, bytes, 512, 512), -EINVAL);
		ck_assert_int_eq(tp_thin_write(thin, bytes, 512, 0, 0),
				 -EINVAL);
		thin_fill(thin, WORLD_BLOCK - 4096, 3 * 4096, 8);
		thin_fill(thin, 4 * WORLD_BLOCK + 8192, 4096, 8);
		verify_origin(thin, 0, WORLD_BLOCK - 4096);
		thin_verify(thin, WORLD_BLOCK - 4096, 3 * 4096, 8);
		verify_origin(thin, WORLD_BLOCK + 8192, 4 * WORLD_BLOCK + 8192);
		thin_verify(thin, 4 * WORLD_BLOCK + 8192, 4096, 8);
		verify_origin(thin, 4 * WORLD_BLOCK + 12288, THIN_BYTES);
		end_over(thin);
	}
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"external-origin", NR_KINDS,
		test_what_is_not_written_shows_the_origin_and_zero_behind_it,
		test_a_discard_shows_the_origin_again_and_zeroes_hide_it,
		test_an_origin_that_fails_or_is_missing,
		test_a_read_only_pool_shows_the_origin_and_its_end,
		test_only_what_is_needed_of_the_origin_is_read,
		test_the_tail_of_the_last_block_is_zero_also_without_zeroing,
		test_the_size_of_the_origin_is_taken_at_the_open,
		test_snapshots_and_other_thins_are_over_the_same_origin,
		test_origin_and_data_device_may_have_other_logical_blocks);
}
