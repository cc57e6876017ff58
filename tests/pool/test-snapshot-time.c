/*
 * The pool's time is scarce: 2^24 snapshots in its life.  None is spent where
 * none is needed (architecture.md, decision 13; B-THIN-4), and sharing is told
 * right all the same.
 */
#include "pool/superblock.h"
#include "support/world.h"

#define THIN_BYTES (4 * MIB)

static struct world w;

/* A golden image, not open, cloned again and again: one for all clones. */
START_TEST(test_cloning_an_image_again_and_again_spends_one_time)
{
	struct tp_thin *image, *clone;

	world_begin(&w, _i);
	image = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(image, 0, MIB, 1);
	ck_ok(tp_thin_close(image));
	for (uint32_t id = 1; id <= 50; id++)
		ck_ok(tp_pool_create_snapshot(w.pool, id, 0));
	ck_assert_uint_eq(world_status(&w).time, 1);
	ck_assert_uint_eq(world_used(&w), 16);

	/* Every clone still gets blocks of its own. */
	clone = world_open_thin(&w, 50, THIN_BYTES);
	thin_fill(clone, 0, 512, 2);
	ck_assert_uint_eq(world_used(&w), 17);
	ck_ok(tp_thin_close(clone));
	clone = world_open_thin(&w, 49, THIN_BYTES);
	thin_verify(clone, 0, MIB, 1);
	ck_ok(tp_thin_close(clone));
	world_end(&w);
}
END_TEST

/* A write to the origin makes a mapping of the current time: the next snapshot
 * has to spend one, or it would be taken for unshared. */
START_TEST(test_a_snapshot_after_a_write_spends_a_time)
{
	struct tp_thin *origin, *first, *second;

	world_begin(&w, _i);
	origin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(origin, 0, WORLD_BLOCK, 1);
	first = world_snapshot(&w, 1, 0, THIN_BYTES);
	ck_assert_uint_eq(world_status(&w).time, 1);
	thin_fill(origin, 0, WORLD_BLOCK, 2);
	second = world_snapshot(&w, 2, 0, THIN_BYTES);
	ck_assert_uint_eq(world_status(&w).time, 2);
	thin_fill(origin, 0, WORLD_BLOCK, 3);
	thin_verify(first, 0, WORLD_BLOCK, 1);
	thin_verify(second, 0, WORLD_BLOCK, 2);
	thin_verify(origin, 0, WORLD_BLOCK, 3);
	ck_ok(tp_thin_close(second));
	ck_ok(tp_thin_close(first));
	ck_ok(tp_thin_close(origin));
	world_end(&w);
}
END_TEST

/* Several at one instant share one time, and are all or none. */
START_TEST(test_snapshots_taken_together_share_one_time)
{
	struct tp_snapshot_pair pairs[] = { { 10, 0 }, { 11, 1 }, { 12, 0 } };
	struct tp_thin *thins[2];

	world_begin(&w, _i);
	for (uint32_t i = 0; i < 2; i++) {
		thins[i] = world_new_thin(&w, i, THIN_BYTES);
		thin_fill(thins[i], 0, WORLD_BLOCK, i);
	}
	ck_ok(tp_pool_create_snapshots(w.pool, pairs, 3));
	ck_assert_uint_eq(world_status(&w).time, 1);
	ck_assert_uint_eq(world_status(&w).nr_thins, 5);

	pairs[0].id = 20;
	pairs[1].id = 21;
	ck_assert_int_eq(tp_pool_create_snapshots(w.pool, pairs, 3), -EEXIST);
	ck_assert_uint_eq(world_status(&w).nr_thins, 5);
	for (uint32_t i = 0; i < 2; i++)
		ck_ok(tp_thin_close(thins[i]));
	world_end(&w);
}
END_TEST

/* Set the time that is on disk; the pool is closed. */
static void set_time(uint32_t time)
{
	struct tpi_disk_superblock *sb = (void *)w.metadata.bytes;

	sb->time = le32_make(time);
	tpi_seal(&tpi_superblock_validator, 0, sb);
}

/* R-87, B-MSG-5: a mapping has 24 bits for the time, so there is a last
 * snapshot; clones that spend none can still be made. */
START_TEST(test_a_snapshot_beyond_the_last_time_is_refused)
{
	struct tp_thin *origin;

	world_begin(&w, _i);
	origin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(origin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(origin));
	world_close(&w);
	set_time(TPI_TIME_MAX - 1);

	world_open(&w);
	origin = world_open_thin(&w, 0, THIN_BYTES);
	thin_fill(origin, WORLD_BLOCK, WORLD_BLOCK, 1);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	ck_assert_uint_eq(world_status(&w).time, TPI_TIME_MAX);
	ck_ok(tp_pool_create_snapshot(w.pool, 2, 0));
	thin_fill(origin, 0, WORLD_BLOCK, 2);
	ck_assert_int_eq(tp_pool_create_snapshot(w.pool, 3, 0), -EOVERFLOW);
	ck_assert_uint_eq(world_status(&w).nr_thins, 3);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	thin_verify(origin, 0, WORLD_BLOCK, 2);
	ck_ok(tp_thin_close(origin));
	origin = world_open_thin(&w, 2, THIN_BYTES);
	thin_verify(origin, 0, 2 * WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(origin));
	world_end(&w);
}
END_TEST

/* What another tool made of it: mappings written now could not be told from
 * those of snapshots, so nothing is. */
START_TEST(test_a_pool_whose_time_is_over_is_only_read)
{
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	world_close(&w);
	set_time(TPI_TIME_MAX + 1);

	world_open(&w);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_READ_ONLY);
	ck_assert_int_eq(tp_pool_create_thin(w.pool, 1), -EOPNOTSUPP);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	thin_verify(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_resume(w.pool, &w.options));
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_READ_ONLY);
	ck_ok(tp_thin_close(thin));
	world_end_unchecked(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS("snapshot-time", NR_KINDS,
			 test_cloning_an_image_again_and_again_spends_one_time,
			 test_a_snapshot_after_a_write_spends_a_time,
			 test_snapshots_taken_together_share_one_time,
			 test_a_snapshot_beyond_the_last_time_is_refused,
			 test_a_pool_whose_time_is_over_is_only_read);
}
