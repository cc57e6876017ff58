/*
 * Metadata snapshots (B-MSG-8, B-MSG-9): one at a time, pinning what was mapped
 * when it was taken until it is released.
 */
#include "support/world.h"

#define THIN_BYTES (4 * MIB)

static struct world w;

/* MSN-01, MSN-02, B-BAD-22. */
START_TEST(test_there_is_at_most_one_and_its_root_is_shown)
{
	world_begin(&w, _i);
	ck_assert_uint_eq(world_status(&w).held_root, 0);
	ck_assert_int_eq(tp_pool_release_metadata_snapshot(w.pool), -EINVAL);
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	ck_assert_uint_ne(world_status(&w).held_root, 0);
	ck_assert_int_eq(tp_pool_reserve_metadata_snapshot(w.pool), -EBUSY);
	ck_ok(tp_pool_release_metadata_snapshot(w.pool));
	ck_assert_uint_eq(world_status(&w).held_root, 0);
	ck_assert_int_eq(tp_pool_release_metadata_snapshot(w.pool), -EINVAL);
	world_end(&w);
}
END_TEST

/* R-22, MSN-06: what only it maps is not given to others, also after the pool
 * was opened anew. */
START_TEST(test_what_it_maps_is_not_allocated_until_it_is_released)
{
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, MIB, 1);
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	ck_ok(tp_thin_discard(thin, 0, MIB));
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_commit(w.pool));
	ck_assert_uint_eq(world_used(&w), 16);
	world_reopen(&w);
	ck_assert_uint_eq(world_used(&w), 16);
	ck_ok(tp_pool_release_metadata_snapshot(w.pool));
	ck_assert_uint_eq(world_used(&w), 0);
	world_end(&w);
}
END_TEST

/* Thins that only it knows any more may share nodes with each other: what one
 * leaves, the next takes along (metadata-format.md, 7.4).  Nothing of them is in
 * the cache. */
START_TEST(test_releasing_frees_what_deleted_snapshots_shared)
{
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, MIB, 1);
	ck_ok(tp_thin_close(thin));
	for (uint32_t id = 2; id < 6; id++)
		ck_ok(tp_pool_create_snapshot(w.pool, id, id - 1));
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	for (uint32_t id = 1; id < 6; id++)
		ck_ok(tp_pool_delete_thin(w.pool, id));
	world_close(&w);
	world_check(&w);
	world_open(&w);
	ck_assert_uint_eq(world_used(&w), 16);
	ck_ok(tp_pool_release_metadata_snapshot(w.pool));
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	ck_assert_uint_eq(world_used(&w), 0);
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"metadata-snapshot", NR_KINDS,
		test_there_is_at_most_one_and_its_root_is_shown,
		test_what_it_maps_is_not_allocated_until_it_is_released,
		test_releasing_frees_what_deleted_snapshots_shared);
}
