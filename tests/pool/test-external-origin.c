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

static struct tp_thin *begin_over(int kind, uint64_t origin_bytes)
{
	world_begin(&w, kind);
	observer_init(&origin, &w.log, "origin", origin_bytes, 0, NULL);
	fill_pattern(origin.bytes, origin_bytes, 0, 7);
	ck_ok(tp_pool_create_thin(w.pool, 0));

	return open_over(0);
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

/* EXT-01..04, EXT-08, R-77, B-EXT-1, -2, -4, B-ORIG-3. */
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

/* B-EXT-6, EXT-07, EXT-09. */
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

int main(void)
{
	return RUN_TESTS(
		"external-origin", NR_KINDS,
		test_what_is_not_written_shows_the_origin_and_zero_behind_it,
		test_a_discard_shows_the_origin_again_and_zeroes_hide_it,
		test_an_origin_that_fails_or_is_missing);
}
