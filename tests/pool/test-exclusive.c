/*
 * How many bytes are a thin's alone: what deleting it frees.
 */
#include <stdlib.h>

#include "support/forgetful.h"
#include "support/world.h"

#define NR_BLOCKS 64u
#define THIN_BYTES (NR_BLOCKS * WORLD_BLOCK)

static struct world w;

static uint64_t exclusive(uint32_t id)
{
	uint64_t bytes = UINT64_MAX;

	ck_ok(tp_pool_get_exclusive(w.pool, id, &bytes));
	ck_assert_uint_eq(bytes % WORLD_BLOCK, 0);

	return bytes / WORLD_BLOCK;
}

/* Delete it and see: that is the judge. */
static void check_by_deleting(uint32_t id)
{
	uint64_t before, nr;

	ck_ok(tp_pool_commit(w.pool));
	before = world_used(&w);
	nr = exclusive(id);
	ck_ok(tp_pool_delete_thin(w.pool, id));
	ck_assert_uint_eq(world_used(&w), before - nr);
}

START_TEST(test_what_is_exclusive_is_what_deleting_frees)
{
	struct tp_thin *a, *b;

	world_begin(&w, _i);
	a = world_new_thin(&w, 1, THIN_BYTES);
	ck_assert_uint_eq(exclusive(1), 0);
	thin_fill(a, 0, 40 * WORLD_BLOCK, 1);
	ck_assert_uint_eq(exclusive(1), 40);
	b = world_snapshot(&w, 2, 1, THIN_BYTES);
	ck_assert_uint_eq(exclusive(1), 0);
	ck_assert_uint_eq(exclusive(2), 0);

	/* Each gets some of its own; some go. */
	thin_fill(a, 0, 5 * WORLD_BLOCK, 2);
	thin_fill(b, 3 * WORLD_BLOCK, 4 * WORLD_BLOCK, 3);
	thin_fill(b, 50 * WORLD_BLOCK, 3 * WORLD_BLOCK, 4);
	ck_ok(tp_thin_discard(a, 20 * WORLD_BLOCK, 2 * WORLD_BLOCK));
	ck_assert_uint_eq(exclusive(1), 5 + 2); /* and what b left of it */
	ck_assert_uint_eq(exclusive(2), 4 + 3 + 3 + 2);
	thins_close(a, b);
	check_by_deleting(1);
	check_by_deleting(2);
	ck_assert_uint_eq(world_used(&w), 0);
	world_end(&w);
}
END_TEST

/* What a metadata snapshot holds is not freed. */
START_TEST(test_what_a_metadata_snapshot_holds_is_not_exclusive)
{
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_filled_thin(&w, 1, THIN_BYTES, 1);
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	ck_assert_uint_eq(exclusive(1), 0);
	thin_fill(thin, 32 * WORLD_BLOCK, 2 * WORLD_BLOCK, 2);
	ck_assert_uint_eq(exclusive(1), 2);
	ck_ok(tp_pool_release_metadata_snapshot(w.pool));
	ck_assert_uint_eq(exclusive(1), NR_FILLED + 2);
	ck_ok(tp_thin_close(thin));
	check_by_deleting(1);
	world_end(&w);
}
END_TEST

#define BIG_BLOCKS 60000u
#define BIG_BYTES (BIG_BLOCKS * (uint64_t)WORLD_BLOCK)

/* A clone of a thin with hundreds of leaves that changed a block of it: only
 * the way to that block is read. */
START_TEST(test_it_takes_time_for_the_unshared_part_only)
{
	size_t run_bytes = (size_t)240 * WORLD_BLOCK;
	struct tp_device *data = forgetful_device(2 * BIG_BYTES);
	char *run = calloc(1, run_bytes);
	struct tp_thin *thin;

	ck_assert_ptr_nonnull(run);
	world_make_sized(&w, _i, 16 * MIB, MIB, NULL);
	ck_ok(tp_pool_format(w.metadata.device, data, NULL));
	ck_ok(tp_pool_open(w.metadata.device, data, &w.options, &w.pool));
	thin = world_new_thin(&w, 1, BIG_BYTES);
	for (uint64_t at = 0; at < BIG_BYTES; at += run_bytes)
		ck_ok(tp_thin_write(thin, run, run_bytes, at, 0));
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_create_snapshot(w.pool, 2, 1));
	thin = world_open_thin(&w, 2, BIG_BYTES);
	ck_ok(tp_thin_write(thin, run, 512, BIG_BYTES / 2, 0));
	ck_ok(tp_thin_close(thin));
	world_close(&w);

	ck_ok(tp_pool_open(w.metadata.device, data, &w.options, &w.pool));
	io_log_clear(&w.log);
	ck_assert_uint_eq(exclusive(2), 1);
	ck_assert_uint_lt(io_log_count(&w.log, "metadata", TP_READ), 16);
	ck_assert_uint_eq(exclusive(1), 1);
	world_close(&w);
	tp_device_unref(data);
	free(run);
	world_unmake(&w);
}
END_TEST

/* B-MSG-1: an asking call; in a read-only pool too. */
START_TEST(test_what_cannot_be_told_is_refused)
{
	struct tp_thin *thin;
	uint64_t bytes;

	world_begin(&w, _i);
	thin = world_filled_thin(&w, 1, THIN_BYTES, 1);
	ck_ok(tp_thin_close(thin));
	ck_assert_int_eq(tp_pool_get_exclusive(w.pool, 2, &bytes), -ENODATA);
	ck_assert_int_eq(tp_pool_get_exclusive(w.pool, TP_THIN_ID_END, &bytes),
			 -EINVAL);
	ck_assert_int_eq(tp_pool_get_exclusive(w.pool, 1, NULL), -EINVAL);
	ck_assert_int_eq(tp_pool_get_exclusive(NULL, 1, &bytes), -EINVAL);
	world_close(&w);
	w.options.flags |= TP_POOL_READ_ONLY;
	world_open(&w);
	ck_assert_uint_eq(exclusive(1), NR_FILLED);
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS("exclusive", NR_KINDS,
			 test_what_is_exclusive_is_what_deleting_frees,
			 test_what_a_metadata_snapshot_holds_is_not_exclusive,
			 test_it_takes_time_for_the_unshared_part_only,
			 test_what_cannot_be_told_is_refused);
}
