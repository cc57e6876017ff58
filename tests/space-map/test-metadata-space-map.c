/*
 * The counts of metadata blocks, over many transactions.
 *
 * The blocks of the two maps themselves are made as they come; what a pool
 * would put into the rest, the users, is an array of counts here.
 */
#include <stdlib.h>
#include <string.h>

#include "space-map/maps.h"

#define CACHE_BYTES (64 * TPI_MBLOCK_BYTES) /* as small as can be */

static int take(struct maps *maps, uint32_t *users, tp_mblock *block)
{
	int r = maps->guard.ops->alloc(&maps->guard, block);

	if (!r) {
		EXPECT(users[*block] == 0);
		users[*block] = 1;
	}
	return r;
}

static void inc(struct maps *maps, uint32_t *users, tp_mblock block)
{
	EXPECT(!maps->guard.ops->inc(&maps->guard, block, block + 1));
	users[block]++;
}

static void dec(struct maps *maps, uint32_t *users, tp_mblock block)
{
	EXPECT(!maps->guard.ops->dec(&maps->guard, block, block + 1));
	users[block]--;
}

static uint32_t count(struct maps *maps, tp_mblock block)
{
	return maps->guard.ops->count(&maps->guard, block);
}

/* What was in memory must come back from the device. */
static void check_reopened(struct maps *maps)
{
	tp_mblock nr_blocks = tpi_metadata_sm_nr_blocks(maps->metadata);
	tp_mblock nr_allocated = tpi_metadata_sm_nr_allocated(maps->metadata);
	tp_mblock nr_free = tpi_metadata_sm_nr_free(maps->metadata);
	uint32_t *counts = calloc(nr_blocks, sizeof(*counts));
	tp_mblock i;

	for (i = 0; i < nr_blocks; i++)
		counts[i] = count(maps, i);
	ck_assert_int_eq(maps_reopen(maps), 0);

	ck_assert_uint_eq(tpi_metadata_sm_nr_blocks(maps->metadata), nr_blocks);
	ck_assert_uint_eq(tpi_metadata_sm_nr_allocated(maps->metadata),
			  nr_allocated);
	ck_assert_uint_eq(tpi_metadata_sm_nr_free(maps->metadata), nr_free);
	ck_assert(!tpi_metadata_sm_changed(maps->metadata));
	for (i = 0; i < nr_blocks; i++)
		EXPECT(count(maps, i) == counts[i]);
	free(counts);
}

static void commit_and_check(struct maps *maps, const uint32_t *users)
{
	maps_commit(maps);
	maps_check_disk(maps, users, NULL);
	check_reopened(maps);
}

/* 7.1, 10: after every commit the map describes its own blocks too. */
START_TEST(test_a_new_map_counts_its_own_blocks)
{
	uint32_t users[1000] = { 1 };
	struct maps maps;

	maps_format(&maps, 1000, 1000, 5000, CACHE_BYTES);
	ck_assert(tpi_metadata_sm_changed(maps.metadata));
	commit_and_check(&maps, users);

	/* The superblock, index, overflow root and bitmap of metadata, index
	 * root, overflow root and bitmap of data. */
	ck_assert_uint_eq(tpi_metadata_sm_nr_allocated(maps.metadata), 7);
	ck_assert_uint_eq(le64_get(maps.metadata_root.nr_allocated), 7);
	maps_exit(&maps);
}
END_TEST

START_TEST(test_closing_without_changes_writes_nothing)
{
	struct tpi_disk_space_map_root root;
	uint32_t users[1000] = { 1 };
	struct maps maps;

	maps_format(&maps, 1000, 1000, 0, CACHE_BYTES);
	maps_commit(&maps);
	root = maps.metadata_root;
	ck_assert(!tpi_metadata_sm_changed(maps.metadata));
	ck_assert_int_eq(maps_close(&maps), 0);
	ck_assert_uint_eq(tpi_cache_nr_dirty(maps.cache), 0);
	ck_assert_mem_eq(&root, &maps.metadata_root, sizeof(root));
	maps_write(&maps);
	maps_check_disk(&maps, users, NULL);
	maps_exit(&maps);
}
END_TEST

/* 10: the old place of a bitmap that comes late is counted in one that came
 * early, and had not changed. */
START_TEST(test_moving_a_bitmap_may_change_one_before_it)
{
	const tp_mblock size = 3 * TPI_BITMAP_ENTRIES;
	uint32_t *users = calloc(size, sizeof(*users));
	tp_mblock block, i;
	struct maps maps;

	users[0] = 1;
	maps_format(&maps, size, size, 0, CACHE_BYTES);
	maps_commit(&maps);
	/* The first two bitmaps move to the second part, the third stays in
	 * the first. */
	for (i = 0; i < TPI_BITMAP_ENTRIES + 1000; i++)
		ck_assert_int_eq(take(&maps, users, &block), 0);
	maps_commit(&maps);
	inc(&maps, users, size - 1);
	commit_and_check(&maps, users);
	free(users);
	maps_exit(&maps);
}
END_TEST

/*---------------------------- withholding ----------------------------------*/

/* B-COMMIT-9: until the transaction that frees a block is durable, a crash
 * brings back one that uses it. */
START_TEST(test_a_freed_block_is_withheld_until_that_is_durable)
{
	uint32_t users[1000] = { 1 };
	tp_mblock block, nr_free, other;
	struct maps maps;

	maps_format(&maps, 1000, 1000, 0, CACHE_BYTES);
	ck_assert_int_eq(take(&maps, users, &block), 0);
	maps_commit(&maps);

	nr_free = tpi_metadata_sm_nr_free(maps.metadata);
	dec(&maps, users, block);
	ck_assert_uint_eq(count(&maps, block), 0);
	ck_assert_uint_eq(tpi_metadata_sm_nr_free(maps.metadata), nr_free);
	ck_assert_int_eq(maps_close(&maps), 0);

	/* Index and bitmap have moved; their old places are withheld too. */
	ck_assert_uint_eq(tpi_metadata_sm_nr_free(maps.metadata), nr_free - 2);
	while (!take(&maps, users, &other))
		ck_assert_uint_ne(other, block);

	nr_free = tpi_metadata_sm_nr_free(maps.metadata);
	maps_write(&maps);
	ck_assert_uint_eq(tpi_metadata_sm_nr_free(maps.metadata), nr_free + 3);
	maps_exit(&maps);
}
END_TEST

START_TEST(test_a_block_made_and_freed_in_one_transaction_is_free_at_once)
{
	uint32_t users[1000] = { 1 };
	tp_mblock block, nr_free;
	struct maps maps;

	maps_format(&maps, 1000, 1000, 0, CACHE_BYTES);
	maps_commit(&maps);
	nr_free = tpi_metadata_sm_nr_free(maps.metadata);
	ck_assert_int_eq(take(&maps, users, &block), 0);
	inc(&maps, users, block);
	dec(&maps, users, block);
	dec(&maps, users, block);
	ck_assert_uint_eq(tpi_metadata_sm_nr_free(maps.metadata), nr_free);
	commit_and_check(&maps, users);
	maps_exit(&maps);
}
END_TEST

/* A block of the closed transaction is not one of the running one any more,
 * even before it is durable. */
START_TEST(test_a_block_of_the_closed_transaction_is_withheld_when_freed)
{
	uint32_t users[1000] = { 1 };
	tp_mblock block, nr_free, other;
	struct maps maps;

	maps_format(&maps, 1000, 1000, 0, CACHE_BYTES);
	maps_commit(&maps);
	ck_assert_int_eq(take(&maps, users, &block), 0);
	ck_assert_int_eq(maps_close(&maps), 0);
	nr_free = tpi_metadata_sm_nr_free(maps.metadata);
	dec(&maps, users, block);
	ck_assert_uint_eq(tpi_metadata_sm_nr_free(maps.metadata), nr_free);
	maps_write(&maps);
	while (!take(&maps, users, &other))
		ck_assert_uint_ne(other, block);
	ck_assert_int_eq(maps_close(&maps), 0);
	maps_write(&maps);
	maps_check_disk(&maps, users, NULL);
	maps_exit(&maps);
}
END_TEST

/*---------------------------- large counts ---------------------------------*/

/* SNP-06: counts walk up past three and back, each step a transaction. */
START_TEST(test_counts_walk_to_six_and_back)
{
	uint32_t users[1000] = { 1 };
	tp_mblock blocks[20];
	unsigned i, step;
	struct maps maps;

	maps_format(&maps, 1000, 1000, 0, CACHE_BYTES);
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(take(&maps, users, &blocks[i]), 0);
	for (step = 0; step < 10; step++) {
		commit_and_check(&maps, users);
		for (i = 0; i < 20; i++)
			if (step < 5)
				inc(&maps, users, blocks[i]);
			else
				dec(&maps, users, blocks[i]);
	}
	commit_and_check(&maps, users);
	for (i = 0; i < 20; i++)
		dec(&maps, users, blocks[i]);
	commit_and_check(&maps, users);
	maps_exit(&maps);
}
END_TEST

/* More overflow leaves than the cache holds: closing must not wait for all of
 * them to be there at once. */
START_TEST(test_an_overflow_tree_larger_than_the_cache_is_written)
{
	static uint32_t users[20000];
	struct maps maps;
	tp_mblock block, i;

	memset(users, 0, sizeof(users));
	users[0] = 1;
	maps_format(&maps, 20000, 20000, 0, CACHE_BYTES);
	for (i = 0; i < 15000; i++)
		ck_assert_int_eq(take(&maps, users, &block), 0);
	for (block = 100; block < 14000; block++) {
		if (!users[block])
			continue;
		inc(&maps, users, block);
		inc(&maps, users, block);
	}
	commit_and_check(&maps, users);
	for (block = 100; block < 14000; block += 50)
		if (users[block])
			inc(&maps, users, block);
	commit_and_check(&maps, users);
	for (block = 100; block < 14000; block++)
		if (users[block])
			dec(&maps, users, block);
	commit_and_check(&maps, users);
	maps_exit(&maps);
}
END_TEST

/*---------------------------- running out ----------------------------------*/

/* Everybody but closing is refused in time, and closing never is. */
START_TEST(test_a_transaction_can_be_closed_at_every_fill_level)
{
	static const tp_mblock sizes[] = { 24, 60, 700, 16321, 33000 };
	tp_mblock size = sizes[_i], block, i;
	uint32_t *users = calloc(size, sizeof(*users));
	unsigned round;
	struct maps maps;

	users[0] = 1;
	maps_format(&maps, size, size, 0, CACHE_BYTES);
	maps_commit(&maps);
	for (round = 0; round < 30; round++) {
		tp_mblock nr = chance(2) ? size : chance(size / 4 + 2);
		bool full = false;

		for (i = 0; i < nr && !full; i++)
			full = take(&maps, users, &block);
		if (full)
			ck_assert_uint_le(
				tpi_metadata_sm_nr_free(maps.metadata),
				tpi_metadata_sm_reserve(maps.metadata));
		for (i = 0; i < size; i++) {
			block = 1 + chance(size - 1);
			if (users[block] && chance(3))
				dec(&maps, users, block);
			else if (users[block])
				inc(&maps, users, block);
			if (!chance(1 + size / 10))
				break;
		}
		maps_commit(&maps);
		maps_check_disk(&maps, users, NULL);
	}
	check_reopened(&maps);
	free(users);
	maps_exit(&maps);
}
END_TEST

/* All at the very edge: full, then every block of the map's own moves. */
START_TEST(test_a_full_map_is_closed_again_and_again)
{
	const tp_mblock size = 40000;
	uint32_t *users = calloc(size, sizeof(*users));
	tp_mblock block;
	unsigned round;
	struct maps maps;

	users[0] = 1;
	maps_format(&maps, size, size, 0, CACHE_BYTES);
	for (round = 0; round < 8; round++) {
		while (!take(&maps, users, &block))
			;
		/* Dirty all bitmaps. */
		for (block = 5; block < size; block += 1000)
			if (users[block])
				dec(&maps, users, block);
		commit_and_check(&maps, users);
	}
	free(users);
	maps_exit(&maps);
}
END_TEST

/*---------------------------- growing --------------------------------------*/

/* RSZ-06, with a MiB scaled down to 32 blocks; open, or closed between. */
START_TEST(test_growing_in_steps_keeps_all_counts)
{
	static const unsigned steps[] = { 1, 3, 7, 31, 67, 511, 1023 };
	const tp_mblock max = 64 + 32 * (1 + 3 + 7 + 31 + 67 + 511 + 1023);
	uint32_t *users = calloc(max, sizeof(*users));
	tp_mblock nr_blocks = 64, nr_free, block, i;
	unsigned step;
	struct maps maps;

	users[0] = 1;
	maps_format(&maps, nr_blocks, max, 0, CACHE_BYTES);
	maps_commit(&maps);
	for (step = 0; step < TPI_ARRAY_SIZE(steps); step++) {
		for (i = 0; i < nr_blocks / 4; i++)
			ck_assert_int_eq(take(&maps, users, &block), 0);
		nr_free = tpi_metadata_sm_nr_free(maps.metadata);
		nr_blocks += 32 * steps[step];
		maps_grow_metadata(&maps, nr_blocks);
		ck_assert_uint_eq(tpi_metadata_sm_nr_free(maps.metadata),
				  nr_free + 32 * steps[step]);
		ck_assert(tpi_metadata_sm_changed(maps.metadata));
		maps_commit(&maps);
		ck_assert_uint_eq(le64_get(maps.metadata_root.nr_blocks),
				  nr_blocks);
		maps_check_disk(&maps, users, NULL);
		if (_i)
			check_reopened(&maps);
	}
	free(users);
	maps_exit(&maps);
}
END_TEST

/* B-META-5: growing is the way out when nothing is free. */
START_TEST(test_growing_helps_when_no_block_is_free)
{
	const tp_mblock max = 50000;
	uint32_t *users = calloc(max, sizeof(*users));
	tp_mblock block;
	struct maps maps;

	users[0] = 1;
	maps_format(&maps, 16320, max, 0, CACHE_BYTES);
	maps_commit(&maps);
	while (!take(&maps, users, &block))
		;
	maps_commit(&maps);
	maps_grow_metadata(&maps, max);
	ck_assert_int_eq(take(&maps, users, &block), 0);
	commit_and_check(&maps, users);
	free(users);
	maps_exit(&maps);
}
END_TEST

/* The end may be anywhere within a bitmap, or between two. */
START_TEST(test_growing_by_one_block_is_enough_to_allocate_it)
{
	static const tp_mblock sizes[] = { 1000, 16319, 16320, 16321 };
	tp_mblock size = sizes[_i % 4], block = 0;
	uint32_t *users = calloc(size + 40, sizeof(*users));
	tp_mblock nr = 0;
	struct maps maps;

	users[0] = 1;
	maps_format(&maps, size, size + 40, 0, CACHE_BYTES);
	maps_commit(&maps);
	while (!take(&maps, users, &block))
		;
	maps_commit(&maps);
	maps_grow_metadata(&maps, size + 40);
	while (!take(&maps, users, &block))
		nr += block >= size;
	ck_assert_uint_gt(nr, 0);
	commit_and_check(&maps, users);
	free(users);
	maps_exit(&maps);
}
END_TEST

/*---------------------------- a random walk --------------------------------*/

#define WALK_BLOCKS 36000

static void walk_a_little(struct maps *maps, uint32_t *users, unsigned nr)
{
	tp_mblock block;

	while (nr--) {
		unsigned what = (unsigned)chance(10);

		if (what < 4) {
			EXPECT(!take(maps, users, &block));
			continue;
		}
		/* Low blocks are found in use more often. */
		block = 1 + chance(1 + chance(WALK_BLOCKS - 1));
		if (!users[block])
			continue;
		if (what < 7 && users[block] < 6)
			inc(maps, users, block);
		else
			dec(maps, users, block);
	}
}

/*
 * allocation is checked by the guard, what is written by the second
 * opinion, what is read by check_reopened().  Every other close is pipelined:
 * changes go on before it is durable.
 */
START_TEST(test_a_random_walk_keeps_all_counts)
{
	uint32_t *users = calloc(WALK_BLOCKS, sizeof(*users));
	uint32_t *closed = calloc(WALK_BLOCKS, sizeof(*closed));
	unsigned round;
	struct maps maps;

	users[0] = 1;
	maps_format(&maps, WALK_BLOCKS, WALK_BLOCKS, 3000, CACHE_BYTES);
	for (round = 0; round < 40; round++) {
		walk_a_little(&maps, users, (unsigned)chance(600));
		ck_assert_int_eq(maps_close(&maps), 0);
		memcpy(closed, users, WALK_BLOCKS * sizeof(*users));
		if (round % 2)
			walk_a_little(&maps, users, (unsigned)chance(600));
		maps_write(&maps);
		maps_check_disk(&maps, closed, NULL);
		if (round % 2 == 0)
			check_reopened(&maps);
	}
	free(closed);
	free(users);
	maps_exit(&maps);
}
END_TEST

/*---------------------------- what is refused ------------------------------*/

START_TEST(test_counts_stay_between_zero_and_the_end)
{
	uint32_t users[1000] = { 1 };
	struct maps maps;
	tp_mblock block;

	maps_format(&maps, 1000, 1000, 0, CACHE_BYTES);
	ck_assert_int_eq(take(&maps, users, &block), 0);
	dec(&maps, users, block);
	ck_assert_int_eq(maps.guard.ops->dec(&maps.guard, block, block + 1),
			 -EILSEQ);
	ck_assert_int_eq(maps.guard.ops->dec(&maps.guard, 1000, 1001), -EILSEQ);
	ck_assert_int_eq(maps.guard.ops->inc(&maps.guard, 999, 1001), -EILSEQ);
	ck_assert_int_eq(maps.guard.ops->inc(&maps.guard, UINT64_MAX - 1,
					     UINT64_MAX),
			 -EILSEQ);
	ck_assert_uint_eq(count(&maps, 1000), 0);
	ck_assert_uint_eq(count(&maps, UINT64_MAX), 0);
	maps_exit(&maps);
}
END_TEST

START_TEST(test_a_range_counts_every_block_of_it)
{
	uint32_t users[1000] = { 1 };
	struct maps maps;
	tp_mblock i;

	maps_format(&maps, 1000, 1000, 0, CACHE_BYTES);
	ck_assert_int_eq(maps.guard.ops->inc(&maps.guard, 500, 700), 0);
	ck_assert_int_eq(maps.guard.ops->inc(&maps.guard, 600, 700), 0);
	ck_assert_int_eq(maps.guard.ops->dec(&maps.guard, 650, 700), 0);
	ck_assert_int_eq(maps.guard.ops->dec(&maps.guard, 650, 650), 0);
	for (i = 500; i < 700; i++)
		users[i] = i < 600 || i >= 650 ? 1 : 2;
	commit_and_check(&maps, users);
	maps_exit(&maps);
}
END_TEST

int main(void)
{
	int failed;

	chance_init();
	failed = RUN_TESTS(
		"metadata-space-map", 1, test_a_new_map_counts_its_own_blocks,
		test_closing_without_changes_writes_nothing,
		test_moving_a_bitmap_may_change_one_before_it,
		test_a_freed_block_is_withheld_until_that_is_durable,
		test_a_block_made_and_freed_in_one_transaction_is_free_at_once,
		test_a_block_of_the_closed_transaction_is_withheld_when_freed,
		test_counts_walk_to_six_and_back,
		test_an_overflow_tree_larger_than_the_cache_is_written,
		test_a_full_map_is_closed_again_and_again,
		test_growing_helps_when_no_block_is_free,
		test_counts_stay_between_zero_and_the_end,
		test_a_range_counts_every_block_of_it);
	failed |=
		RUN_TESTS("metadata-space-map, at several sizes", 5,
			  test_a_transaction_can_be_closed_at_every_fill_level,
			  test_growing_in_steps_keeps_all_counts,
			  test_growing_by_one_block_is_enough_to_allocate_it,
			  test_a_random_walk_keeps_all_counts);

	return failed;
}
