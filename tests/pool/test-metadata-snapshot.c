/*
 * Metadata snapshots (B-MSG-8, B-MSG-9): one at a time, pinning what was mapped
 * when it was taken until it is released.
 */
#include <stdlib.h>

#include "support/forgetful.h"
#include "support/metadata-image.h"
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

/*---------------------------- while all changes ----------------------------*/

/* The blocks of the trees that it holds, as they were when it was made. */
struct held {
	struct image image;
	char *bytes;
};

static bool is_held(enum image_role role)
{
	return role == IMAGE_HELD_SUPERBLOCK || role == IMAGE_THINS ||
	       role == IMAGE_MAPPINGS || role == IMAGE_DETAILS;
}

static void expect_held(const struct held *held)
{
	for (size_t i = 0; i < held->image.nr_blocks; i++) {
		const struct image_block *block = &held->image.blocks[i];
		uint64_t at = block->number * 4096;

		if (is_held(block->role))
			ck_assert_msg(!memcmp(w.metadata.bytes + at,
					      held->bytes + at, 4096),
				      "block %llu, a %s, was overwritten",
				      (unsigned long long)block->number,
				      image_role_name(block->role));
	}
}

static void change_heavily(struct tp_thin *thin, uint64_t *random, uint32_t i)
{
	char sector[512] = { (char)i };

	for (unsigned k = 0; k < 100; k++) {
		uint64_t at = random_in(random, 0, 1000) * WORLD_BLOCK;

		if (k % 8)
			ck_ok(tp_thin_write(thin, sector, 512, at, 0));
		else
			ck_ok(tp_thin_discard(thin, at, 4 * WORLD_BLOCK));
	}
	ck_ok(tp_pool_create_snapshot(w.pool, 10 + i, 1));
	if (i >= 2)
		ck_ok(tp_pool_delete_thin(w.pool, 10 + i - 2));
}

/* whoever walks it meanwhile finds every block as it was. */
START_TEST(test_no_change_touches_what_it_holds)
{
	uint64_t random = seed_from_environment(8);
	struct tp_thin *thin;
	struct held held;

	world_make_sized(&w, _i, 4 * MIB, 250 * MIB, NULL);
	w.options.flags |= TP_POOL_SKIP_ZEROING;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 1, 1004 * WORLD_BLOCK);
	for (uint32_t i = 0; i < 10; i++)
		change_heavily(thin, &random, i);
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	held.bytes = snapshot_of(&w.metadata);
	image_survey(&held.image, held.bytes, w.metadata.size_bytes);
	ck_assert_uint_gt(image_count(&held.image, IMAGE_MAPPINGS), 2);
	for (uint32_t i = 10; i < 40; i++) {
		change_heavily(thin, &random, i);
		expect_held(&held);
	}
	image_exit(&held.image);
	free(held.bytes);
	ck_ok(tp_thin_close(thin));
	world_close(&w);
	world_check(&w);
	world_open(&w);
	ck_ok(tp_pool_release_metadata_snapshot(w.pool));
	world_end(&w);
}
END_TEST

/*---------------------------- big ones -------------------------------------*/

#define BIG_BLOCKS 20224u /* in more leaves than the cache has blocks */
#define BIG_BYTES ((uint64_t)BIG_BLOCKS * WORLD_BLOCK)
#define RUN_BYTES (256 * WORLD_BLOCK)

/* As many leaves as it can have, for it is filled from its end. */
static void make_big(struct tp_device *data)
{
	char *bytes = calloc(1, RUN_BYTES);
	struct tp_thin *thin;

	ck_assert_ptr_nonnull(bytes);
	w.options.metadata_cache_bytes = 1;
	ck_ok(tp_pool_format(w.metadata.device, data, NULL));
	ck_ok(tp_pool_open(w.metadata.device, data, &w.options, &w.pool));
	thin = world_new_thin(&w, 1, BIG_BYTES);
	for (uint64_t at = BIG_BYTES; at >= RUN_BYTES; at -= RUN_BYTES)
		ck_ok(tp_thin_write(thin, bytes, RUN_BYTES, at - RUN_BYTES, 0));
	ck_ok(tp_thin_close(thin));
	free(bytes);
}

/* Leaves of its own all over. */
static void diverge(uint32_t id)
{
	struct tp_thin *thin = world_open_thin(&w, id, BIG_BYTES);
	char sector[512] = { 1 };

	for (uint64_t i = 1; i < BIG_BLOCKS; i += 100)
		ck_ok(tp_thin_write(thin, sector, 512, i * WORLD_BLOCK, 0));
	ck_ok(tp_thin_close(thin));
}

static void *release(void *pool)
{
	ck_ok(tp_pool_release_metadata_snapshot(pool));

	return NULL;
}

/* The device is slow, so that what is read for one thing waits for the next. */
static void release_slowly(void)
{
	pthread_t thread;

	w.metadata.delay_us = world_is_host_driven(&w) ? 0 : 20;
	if (world_is_host_driven(&w)) {
		release(w.pool);
	} else {
		pthread_create(&thread, NULL, release, w.pool);
		pthread_join(thread, NULL);
	}
	w.metadata.delay_us = 0;
}

static uint64_t used_after_commit(void)
{
	ck_ok(tp_pool_commit(w.pool));

	return world_used(&w);
}

/* B-MSG-9, B-META-6: however much only it holds, and however small the cache,
 * releasing it ends; what it held comes back by and by, and power may fail at
 * any moment. */
START_TEST(test_a_big_one_is_released_with_the_smallest_cache)
{
	const uint64_t nr_diverged = BIG_BLOCKS / 100 + 1;
	struct tp_device *data = forgetful_device(3 * BIG_BYTES);
	struct tp_thin *snapshot;
	char *cut;

	world_make_sized(&w, _i, 16 * MIB, MIB, NULL);
	make_big(data);
	ck_ok(tp_pool_create_snapshot(w.pool, 2, 1));
	diverge(1);
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	diverge(1);
	diverge(2);
	ck_ok(tp_pool_delete_thin(w.pool, 1));
	world_until(&w, used_after_commit() == BIG_BLOCKS + 2 * nr_diverged);
	release_slowly();
	ck_assert_uint_eq(world_status(&w).held_root, 0);
	ck_assert_uint_eq(world_status(&w).nr_thins, 1);
	ck_ok(tp_pool_suspend(w.pool)); /* nothing is written meanwhile */
	cut = snapshot_of(&w.metadata);
	ck_ok(tp_pool_resume(w.pool, NULL));
	world_until(&w, used_after_commit() == BIG_BLOCKS);
	world_close(&w);
	world_check(&w);

	memcpy(w.metadata.bytes, cut, w.metadata.size_bytes);
	free(cut);
	world_check(&w);
	ck_ok(tp_pool_open(w.metadata.device, data, &w.options, &w.pool));
	world_until(&w, used_after_commit() == BIG_BLOCKS);
	snapshot = world_open_thin(&w, 2, BIG_BYTES);
	ck_assert_uint_eq(thin_mapped(snapshot), BIG_BYTES);
	ck_ok(tp_thin_close(snapshot));
	world_close(&w);
	world_check(&w);
	tp_device_unref(data);
	world_unmake(&w);
}
END_TEST

/* In the first half of the thin no leaf stays as it was; it has fewer blocks
 * then: so many. */
static uint64_t punch_first_half(uint32_t id)
{
	struct tp_thin *thin = world_open_thin(&w, id, BIG_BYTES);
	uint64_t nr = 0;

	for (uint64_t i = 1; i < BIG_BLOCKS / 2; i += 100, nr++)
		ck_ok(tp_thin_discard(thin, i * WORLD_BLOCK, WORLD_BLOCK));
	ck_ok(tp_thin_close(thin));

	return nr;
}

/* metadata-format.md, 13: a thin that was never snapshotted owns all it maps,
 * as long as nobody but itself can be read or written.  What was only in the
 * metadata snapshot is emptied in the background, and still refers to the same
 * leaves then; whoever checks the pool has to know that. */
START_TEST(test_what_is_being_emptied_shares_nothing_with_the_thin)
{
	struct tp_device *data = forgetful_device(3 * BIG_BYTES);
	uint64_t nr_punched;
	char *cut;

	world_make_sized(&w, _i, 16 * MIB, MIB, NULL);
	make_big(data);
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	nr_punched = punch_first_half(1);
	ck_assert_uint_eq(used_after_commit(), BIG_BLOCKS);
	ck_ok(tp_pool_release_metadata_snapshot(w.pool));
	ck_ok(tp_pool_suspend(w.pool)); /* nothing is written meanwhile */
	cut = snapshot_of(&w.metadata);
	ck_ok(tp_pool_resume(w.pool, NULL));
	world_until(&w, used_after_commit() == BIG_BLOCKS - nr_punched);
	world_close(&w);
	world_check(&w);

	memcpy(w.metadata.bytes, cut, w.metadata.size_bytes);
	free(cut);
	world_check(&w);
	tp_device_unref(data);
	world_unmake(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"metadata-snapshot", NR_KINDS,
		test_there_is_at_most_one_and_its_root_is_shown,
		test_what_it_maps_is_not_allocated_until_it_is_released,
		test_releasing_frees_what_deleted_snapshots_shared,
		test_no_change_touches_what_it_holds,
		test_a_big_one_is_released_with_the_smallest_cache,
		test_what_is_being_emptied_shares_nothing_with_the_thin);
}
