/*
 * Space maps as nobody should have written them.  Each kind of damage must be
 * found where it comes in and answered with -EILSEQ; figures that the format
 * calls hints may be anything and do no harm (metadata-format.md, 6.2, 19).
 */
#include <stdlib.h>
#include <string.h>

#include "space-map/maps.h"

#define CACHE_BYTES (64 * TPI_MBLOCK_BYTES)
#define NR_MBLOCKS 40000
#define DISK_MBLOCKS 200
#define NR_DBLOCKS 34000

/* Blocks of either map with these counts; all others are 0 but for the maps'
 * own. */
#define LARGE_BLOCK 1000
#define LARGE_COUNT 5
#define LATER_LARGE_BLOCK 20000
#define SINGLE_BLOCK 2000

static void make_maps(struct maps *maps)
{
	static const tp_mblock large[] = { LARGE_BLOCK, LATER_LARGE_BLOCK };
	unsigned i, j;

	maps_format(maps, NR_MBLOCKS, DISK_MBLOCKS, NR_DBLOCKS, CACHE_BYTES);
	for (i = 0; i < 2; i++) {
		for (j = 0; j < LARGE_COUNT; j++) {
			maps->guard.ops->inc(&maps->guard, large[i],
					     large[i] + 1);
			tpi_data_sm_inc(maps->data, large[i], 1);
		}
	}
	maps->guard.ops->inc(&maps->guard, SINGLE_BLOCK, SINGLE_BLOCK + 1);
	tpi_data_sm_inc(maps->data, SINGLE_BLOCK, 1);
	maps_commit(maps);
}

/*---------------------------- ways to damage -------------------------------*/

/* The node of an overflow or index tree that is a single leaf. */
struct leaf {
	struct tpi_block_header header;
	le32 nr_entries, max_entries, value_size, padding;
	le64 keys[];
};

static void *values_of(struct leaf *leaf)
{
	return &leaf->keys[le32_get(leaf->max_entries)];
}

static tp_mblock number_of(const void *block)
{
	return le64_get(((const struct tpi_block_header *)block)->blocknr);
}

static void seal_node(struct leaf *leaf)
{
	tpi_seal(&tpi_node_validator, number_of(leaf), leaf);
}

static struct tpi_disk_index *metadata_index(struct maps *maps)
{
	return maps_block(maps, le64_get(maps->metadata_root.bitmap_root));
}

static void seal_metadata_index(struct maps *maps)
{
	struct tpi_disk_index *index = metadata_index(maps);

	tpi_seal(&tpi_index_validator, number_of(index), index);
}

static struct tpi_disk_bitmap *metadata_bitmap(struct maps *maps, unsigned i)
{
	return maps_block(maps,
			  le64_get(metadata_index(maps)->entries[i].blocknr));
}

static struct leaf *metadata_overflow(struct maps *maps)
{
	return maps_block(maps, le64_get(maps->metadata_root.ref_count_root));
}

static struct leaf *data_index(struct maps *maps)
{
	return maps_block(maps, le64_get(maps->data_root.bitmap_root));
}

static struct tpi_disk_index_entry *data_entry(struct maps *maps, unsigned i)
{
	struct tpi_disk_index_entry *entries = values_of(data_index(maps));

	return &entries[i];
}

static struct tpi_disk_bitmap *data_bitmap(struct maps *maps, unsigned i)
{
	return maps_block(maps, le64_get(data_entry(maps, i)->blocknr));
}

static struct leaf *data_overflow(struct maps *maps)
{
	return maps_block(maps, le64_get(maps->data_root.ref_count_root));
}

static void set_entry(struct tpi_disk_bitmap *bitmap, tp_mblock block,
		      unsigned count)
{
	tpi_bitmap_set(bitmap, block % TPI_BITMAP_ENTRIES, count);
	tpi_seal(&tpi_bitmap_validator, number_of(bitmap), bitmap);
}

static void set_metadata_count(struct maps *maps, tp_mblock block,
			       unsigned count)
{
	set_entry(metadata_bitmap(maps, block / TPI_BITMAP_ENTRIES), block,
		  count);
}

static void set_pointer(struct maps *maps, unsigned i, tp_mblock block)
{
	metadata_index(maps)->entries[i].blocknr = le64_make(block);
	seal_metadata_index(maps);
}

static void set_data_pointer(struct maps *maps, unsigned i, tp_mblock block)
{
	data_entry(maps, i)->blocknr = le64_make(block);
	seal_node(data_index(maps));
}

static void set_overflow(struct leaf *leaf, unsigned i, uint64_t key,
			 uint32_t count)
{
	le32 *counts = values_of(leaf);

	leaf->keys[i] = le64_make(key);
	counts[i] = le32_make(count);
	seal_node(leaf);
}

static void drop_last_entry(struct leaf *leaf)
{
	leaf->nr_entries = le32_make(le32_get(leaf->nr_entries) - 1);
	seal_node(leaf);
}

/* A bit that only the checksum knows of. */
static void flip(void *block)
{
	((unsigned char *)block)[4000] ^= 4;
}

/*---------------------------- damage found at load -------------------------*/

static void metadata_without_blocks(struct maps *maps)
{
	maps->metadata_root.nr_blocks = le64_make(0);
}

static void metadata_of_too_many_blocks(struct maps *maps)
{
	maps->metadata_root.nr_blocks = le64_make(TPI_METADATA_BLOCKS_MAX + 1);
}

static void metadata_of_other_size(struct maps *maps)
{
	maps->metadata_root.nr_blocks = le64_make(50000);
}

static void metadata_smaller_than_its_counts(struct maps *maps)
{
	maps->metadata_root.nr_blocks = le64_make(LATER_LARGE_BLOCK);
}

static void metadata_with_too_many_allocated(struct maps *maps)
{
	maps->metadata_root.nr_allocated = le64_make(NR_MBLOCKS + 1);
}

static void metadata_index_at_zero(struct maps *maps)
{
	maps->metadata_root.bitmap_root = le64_make(0);
}

static void metadata_overflow_past_the_end(struct maps *maps)
{
	maps->metadata_root.ref_count_root = le64_make(NR_MBLOCKS);
}

static void metadata_roots_swapped(struct maps *maps)
{
	le64 root = maps->metadata_root.bitmap_root;

	maps->metadata_root.bitmap_root = maps->metadata_root.ref_count_root;
	maps->metadata_root.ref_count_root = root;
}

static void metadata_index_flipped(struct maps *maps)
{
	flip(metadata_index(maps));
}

static void metadata_bitmap_at_zero(struct maps *maps)
{
	set_pointer(maps, 1, 0);
}

static void metadata_bitmap_past_the_end(struct maps *maps)
{
	set_pointer(maps, 1, NR_MBLOCKS);
}

static void metadata_bitmap_repeated(struct maps *maps)
{
	set_pointer(maps, 1, number_of(metadata_bitmap(maps, 0)));
}

static void metadata_bitmap_is_the_index(struct maps *maps)
{
	set_pointer(maps, 1, number_of(metadata_index(maps)));
}

static void metadata_bitmap_too_many(struct maps *maps)
{
	set_pointer(maps, 3, LARGE_BLOCK);
}

static void metadata_bitmap_flipped(struct maps *maps)
{
	flip(metadata_bitmap(maps, 2));
}

static void metadata_count_past_the_end(struct maps *maps)
{
	set_metadata_count(maps, NR_MBLOCKS, 1);
}

static void metadata_count_without_overflow_entry(struct maps *maps)
{
	set_metadata_count(maps, SINGLE_BLOCK, 3);
}

static void metadata_overflow_entry_without_count(struct maps *maps)
{
	set_metadata_count(maps, LARGE_BLOCK, 2);
}

static void metadata_overflow_entry_missing(struct maps *maps)
{
	drop_last_entry(metadata_overflow(maps));
}

static void metadata_overflow_entry_too_small(struct maps *maps)
{
	set_overflow(metadata_overflow(maps), 0, LARGE_BLOCK, 2);
}

static void metadata_overflow_key_past_the_end(struct maps *maps)
{
	set_overflow(metadata_overflow(maps), 1, NR_MBLOCKS, 5);
}

static void metadata_overflow_flipped(struct maps *maps)
{
	flip(metadata_overflow(maps));
}

static void superblock_counts_as_free(struct maps *maps)
{
	set_metadata_count(maps, 0, 0);
}

static void metadata_index_counts_as_free(struct maps *maps)
{
	set_metadata_count(maps, number_of(metadata_index(maps)), 0);
}

static void metadata_bitmap_counts_as_free(struct maps *maps)
{
	set_metadata_count(maps, number_of(metadata_bitmap(maps, 1)), 0);
}

static void metadata_overflow_counts_as_free(struct maps *maps)
{
	set_metadata_count(maps, number_of(metadata_overflow(maps)), 0);
}

static void data_of_too_many_blocks(struct maps *maps)
{
	maps->data_root.nr_blocks = le64_make(UINT64_MAX);
}

static void data_of_more_blocks_than_bitmaps(struct maps *maps)
{
	maps->data_root.nr_blocks = le64_make(4 * TPI_BITMAP_ENTRIES);
}

static void data_of_fewer_blocks_than_bitmaps(struct maps *maps)
{
	maps->data_root.nr_blocks = le64_make(TPI_BITMAP_ENTRIES);
}

static void data_with_too_many_allocated(struct maps *maps)
{
	maps->data_root.nr_allocated = le64_make(NR_DBLOCKS + 1);
}

static void data_index_at_zero(struct maps *maps)
{
	maps->data_root.bitmap_root = le64_make(0);
}

static void data_index_is_the_overflow_tree(struct maps *maps)
{
	maps->data_root.bitmap_root = maps->data_root.ref_count_root;
}

static void data_index_flipped(struct maps *maps)
{
	flip(data_index(maps));
}

static void data_index_entry_missing(struct maps *maps)
{
	drop_last_entry(data_index(maps));
}

static void data_index_with_a_gap(struct maps *maps)
{
	data_index(maps)->keys[2] = le64_make(3);
	seal_node(data_index(maps));
}

static void data_bitmap_at_zero(struct maps *maps)
{
	set_data_pointer(maps, 1, 0);
}

static void data_bitmap_past_the_end(struct maps *maps)
{
	set_data_pointer(maps, 1, UINT64_MAX);
}

static void data_bitmap_in_a_free_block(struct maps *maps)
{
	set_data_pointer(maps, 1, 30000);
}

static void data_bitmap_repeated(struct maps *maps)
{
	set_data_pointer(maps, 1, number_of(data_bitmap(maps, 0)));
}

static void data_count_past_the_end(struct maps *maps)
{
	set_entry(data_bitmap(maps, 2), NR_DBLOCKS, 1);
}

typedef void (*damage_fn)(struct maps *maps);

static const damage_fn found_at_load[] = {
	metadata_without_blocks,
	metadata_of_too_many_blocks,
	metadata_of_other_size,
	metadata_smaller_than_its_counts,
	metadata_with_too_many_allocated,
	metadata_index_at_zero,
	metadata_overflow_past_the_end,
	metadata_roots_swapped,
	metadata_index_flipped,
	metadata_bitmap_at_zero,
	metadata_bitmap_past_the_end,
	metadata_bitmap_repeated,
	metadata_bitmap_is_the_index,
	metadata_bitmap_too_many,
	metadata_bitmap_flipped,
	metadata_count_past_the_end,
	metadata_count_without_overflow_entry,
	metadata_overflow_entry_without_count,
	metadata_overflow_entry_missing,
	metadata_overflow_entry_too_small,
	metadata_overflow_key_past_the_end,
	metadata_overflow_flipped,
	superblock_counts_as_free,
	metadata_index_counts_as_free,
	metadata_bitmap_counts_as_free,
	metadata_overflow_counts_as_free,
	data_of_too_many_blocks,
	data_of_more_blocks_than_bitmaps,
	data_of_fewer_blocks_than_bitmaps,
	data_with_too_many_allocated,
	data_index_at_zero,
	data_index_is_the_overflow_tree,
	data_index_flipped,
	data_index_entry_missing,
	data_index_with_a_gap,
	data_bitmap_at_zero,
	data_bitmap_past_the_end,
	data_bitmap_in_a_free_block,
	data_bitmap_repeated,
	data_count_past_the_end,
};

/* B-BAD: refused with a reason, never believed. */
START_TEST(test_damage_is_found_when_the_maps_are_loaded)
{
	struct maps maps;

	make_maps(&maps);
	ck_assert_int_eq(maps_reopen(&maps), 0);
	found_at_load[_i](&maps);
	ck_assert_int_eq(maps_reopen(&maps), -EILSEQ);
	maps_exit(&maps);
}
END_TEST

/*---------------------------- damage found in use --------------------------*/

static void data_bitmap_flipped(struct maps *maps)
{
	flip(data_bitmap(maps, 0));
}

static void data_bitmap_is_a_node(struct maps *maps)
{
	set_data_pointer(maps, 0, number_of(data_index(maps)));
}

static void data_overflow_flipped(struct maps *maps)
{
	flip(data_overflow(maps));
}

static void data_overflow_past_the_end(struct maps *maps)
{
	maps->data_root.ref_count_root = le64_make(NR_MBLOCKS);
}

static void data_overflow_entry_missing(struct maps *maps)
{
	set_overflow(data_overflow(maps), 0, LARGE_BLOCK + 1, 5);
}

static void data_overflow_entry_too_small(struct maps *maps)
{
	set_overflow(data_overflow(maps), 0, LARGE_BLOCK, 2);
}

static const damage_fn found_in_use[] = {
	data_bitmap_flipped,         data_bitmap_is_a_node,
	data_overflow_flipped,       data_overflow_past_the_end,
	data_overflow_entry_missing, data_overflow_entry_too_small,
};

START_TEST(test_damage_is_found_when_a_block_is_counted)
{
	struct maps maps;
	uint32_t count;

	make_maps(&maps);
	found_in_use[_i](&maps);
	ck_assert_int_eq(maps_reopen(&maps), 0);
	ck_assert_int_eq(
		WAIT(&maps, tpi_data_sm_count(maps.data, LARGE_BLOCK, &count)),
		-EILSEQ);
	ck_assert_int_eq(tpi_data_sm_inc(maps.data, LARGE_BLOCK, 1), 0);
	ck_assert_int_eq(maps_close(&maps), -EILSEQ);
	maps_exit(&maps);
}
END_TEST

START_TEST(test_allocation_finds_a_damaged_bitmap)
{
	tp_dblock begin, nr;
	struct maps maps;

	make_maps(&maps);
	data_bitmap_flipped(&maps);
	ck_assert_int_eq(maps_reopen(&maps), 0);
	ck_assert_int_eq(WAIT(&maps,
			      tpi_data_sm_alloc(maps.data, 0, 9, &begin, &nr)),
			 -EILSEQ);
	ck_assert_int_eq(WAIT(&maps,
			      tpi_data_sm_alloc(maps.data, TPI_BITMAP_ENTRIES,
						9, &begin, &nr)),
			 0);
	maps_exit(&maps);
}
END_TEST

START_TEST(test_a_count_cannot_exceed_its_32_bits)
{
	struct maps maps;

	make_maps(&maps);
	set_overflow(metadata_overflow(&maps), 0, LARGE_BLOCK, UINT32_MAX);
	set_overflow(data_overflow(&maps), 0, LARGE_BLOCK, UINT32_MAX);
	ck_assert_int_eq(maps_reopen(&maps), 0);
	ck_assert_uint_eq(maps.guard.ops->count(&maps.guard, LARGE_BLOCK),
			  UINT32_MAX);
	ck_assert_int_eq(maps.guard.ops->inc(&maps.guard, LARGE_BLOCK,
					     LARGE_BLOCK + 1),
			 -EILSEQ);
	ck_assert_int_eq(tpi_data_sm_inc(maps.data, LARGE_BLOCK, 1), 0);
	ck_assert_int_eq(maps_close(&maps), -EILSEQ);
	maps_exit(&maps);
}
END_TEST

/* A map's own block that counts as shared is a leak (18), no more. */
START_TEST(test_a_block_of_the_maps_that_counts_twice_does_no_harm)
{
	struct maps maps;
	unsigned i;

	make_maps(&maps);
	set_metadata_count(&maps, number_of(metadata_index(&maps)), 2);
	set_metadata_count(&maps, number_of(metadata_bitmap(&maps, 1)), 2);
	set_metadata_count(&maps, number_of(metadata_overflow(&maps)), 2);
	set_metadata_count(&maps, number_of(data_bitmap(&maps, 0)), 2);
	set_metadata_count(&maps, number_of(data_index(&maps)), 2);
	set_metadata_count(&maps, number_of(data_overflow(&maps)), 2);
	ck_assert_int_eq(maps_reopen(&maps), 0);
	for (i = 0; i < 3; i++) {
		maps.guard.ops->inc(&maps.guard, LARGE_BLOCK, LARGE_BLOCK + 1);
		maps.guard.ops->inc(&maps.guard, 16400 + i, 16400 + i + 1);
		ck_assert_int_eq(tpi_data_sm_inc(maps.data, LARGE_BLOCK, 1), 0);
		maps_commit(&maps);
	}
	ck_assert_int_eq(maps_reopen(&maps), 0);
	ck_assert_uint_eq(maps.guard.ops->count(&maps.guard, LARGE_BLOCK), 8);
	maps_exit(&maps);
}
END_TEST

/* An overflow entry for a block of low number. */
static void add_first_overflow(struct leaf *leaf, uint64_t key, uint32_t count)
{
	uint32_t nr = le32_get(leaf->nr_entries);
	le32 *counts = values_of(leaf);

	memmove(leaf->keys + 1, leaf->keys, nr * sizeof(*leaf->keys));
	memmove(counts + 1, counts, nr * sizeof(*counts));
	leaf->nr_entries = le32_make(nr + 1);
	set_overflow(leaf, 0, key, count);
}

/* Writing the overflow tree then changes what has to be written. */
START_TEST(test_an_overflow_tree_that_counts_its_own_node_is_written)
{
	struct maps maps;
	tp_mblock node;
	unsigned i;

	make_maps(&maps);
	node = number_of(_i ? data_overflow(&maps) : metadata_overflow(&maps));
	set_metadata_count(&maps, node, 3);
	add_first_overflow(metadata_overflow(&maps), node, 4);
	ck_assert_int_eq(maps_reopen(&maps), 0);
	for (i = 0; i < 2; i++) {
		maps.guard.ops->inc(&maps.guard, LARGE_BLOCK, LARGE_BLOCK + 1);
		ck_assert_int_eq(tpi_data_sm_inc(maps.data, LARGE_BLOCK, 1), 0);
		maps_commit(&maps);
		ck_assert_uint_eq(maps.guard.ops->count(&maps.guard, node), 3);
	}
	ck_assert_int_eq(maps_reopen(&maps), 0);
	ck_assert_uint_eq(maps.guard.ops->count(&maps.guard, node), 3);
	maps_exit(&maps);
}
END_TEST

/*---------------------------- hints ----------------------------------------*/

static void set_hints(struct maps *maps, unsigned i, uint32_t nr_free,
		      uint32_t none_free_before)
{
	data_entry(maps, i)->nr_free = le32_make(nr_free);
	data_entry(maps, i)->none_free_before = le32_make(none_free_before);
	seal_node(data_index(maps));
}

static void all_seem_full(struct maps *maps)
{
	for (unsigned i = 0; i < 3; i++)
		set_hints(maps, i, 0, TPI_BITMAP_ENTRIES);
}

static void all_seem_empty(struct maps *maps)
{
	for (unsigned i = 0; i < 3; i++)
		set_hints(maps, i, TPI_BITMAP_ENTRIES, 0);
}

static void free_ones_come_late(struct maps *maps)
{
	for (unsigned i = 0; i < 3; i++)
		set_hints(maps, i, 10, TPI_BITMAP_ENTRIES - 10);
}

static void hints_make_no_sense(struct maps *maps)
{
	for (unsigned i = 0; i < 3; i++)
		set_hints(maps, i, UINT32_MAX, UINT32_MAX);
}

/* As thin_restore 0.9.0 leaves it (6.2). */
static void last_one_counts_its_own_only(struct maps *maps)
{
	set_hints(maps, 2, NR_DBLOCKS - 2 * TPI_BITMAP_ENTRIES, 0);
}

static const damage_fn hints[] = {
	all_seem_full,
	all_seem_empty,
	free_ones_come_late,
	hints_make_no_sense,
	last_one_counts_its_own_only,
};

START_TEST(test_wrong_hints_hide_no_free_block)
{
	bool *taken = calloc(NR_DBLOCKS, sizeof(*taken));
	tp_dblock begin, nr, nr_taken = 0;
	struct maps maps;
	int r;

	make_maps(&maps);
	hints[_i](&maps);
	ck_assert_int_eq(maps_reopen(&maps), 0);
	while (!(r = WAIT(&maps, tpi_data_sm_alloc(maps.data, 20000, 1000,
						   &begin, &nr)))) {
		for (nr_taken += nr; nr--; begin++) {
			EXPECT(!taken[begin]);
			taken[begin] = true;
		}
	}
	ck_assert_int_eq(r, -ENOSPC);
	ck_assert(!taken[LARGE_BLOCK] && !taken[LATER_LARGE_BLOCK] &&
		  !taken[SINGLE_BLOCK]);
	ck_assert_uint_eq(nr_taken, NR_DBLOCKS - 3);
	ck_assert_uint_eq(tpi_data_sm_nr_free(maps.data), 0);
	ck_assert_uint_eq(tpi_data_sm_nr_used(maps.data), 3);
	free(taken);
	maps_exit(&maps);
}
END_TEST

/* A bitmap that is written has the right figures again. */
START_TEST(test_wrong_hints_are_corrected_when_a_bitmap_changes)
{
	uint32_t *counts = calloc(NR_DBLOCKS, sizeof(*counts));
	struct maps maps;
	unsigned i;

	make_maps(&maps);
	hints[_i](&maps);
	ck_assert_int_eq(maps_reopen(&maps), 0);
	counts[LARGE_BLOCK] = counts[LATER_LARGE_BLOCK] = LARGE_COUNT;
	counts[SINGLE_BLOCK] = 1;
	for (i = 0; i < 3; i++) {
		tp_dblock block = 7 + i * TPI_BITMAP_ENTRIES;

		ck_assert_int_eq(tpi_data_sm_inc(maps.data, block, 1), 0);
		counts[block] = 1;
	}
	maps_commit(&maps);
	maps_check_disk(&maps, NULL, counts);
	free(counts);
	maps_exit(&maps);
}
END_TEST

/*---------------------------- reads that fail ------------------------------*/

/* The n-th read, until the work is done without it. */
START_TEST(test_a_failed_read_is_told_and_leaks_nothing)
{
	unsigned nth = 0;
	struct maps maps;
	int r;

	make_maps(&maps);
	do {
		maps.disk.fail_read = ++nth;
		r = maps_reopen(&maps);
		if (!r) {
			tpi_data_sm_inc(maps.data, LARGE_BLOCK, 1);
			tpi_data_sm_dec(maps.data, LATER_LARGE_BLOCK, 1);
			maps.guard.ops->inc(&maps.guard, LARGE_BLOCK,
					    LARGE_BLOCK + 1);
			r = maps_close(&maps);
		}
		ck_assert(maps.disk.fail_read ? !r : r == -EIO);
	} while (r);
	ck_assert_uint_gt(nth, 6);
	maps_exit(&maps);
}
END_TEST

int main(void)
{
	int failed;

	failed = RUN_TESTS("damaged-maps, at load",
			   TPI_ARRAY_SIZE(found_at_load),
			   test_damage_is_found_when_the_maps_are_loaded);
	failed |= RUN_TESTS("damaged-maps, in use",
			    TPI_ARRAY_SIZE(found_in_use),
			    test_damage_is_found_when_a_block_is_counted);
	failed |=
		RUN_TESTS("damaged-maps, hints", TPI_ARRAY_SIZE(hints),
			  test_wrong_hints_hide_no_free_block,
			  test_wrong_hints_are_corrected_when_a_bitmap_changes);
	failed |= RUN_TESTS(
		"damaged-maps, counted too often", 2,
		test_an_overflow_tree_that_counts_its_own_node_is_written);
	failed |= RUN_TESTS(
		"damaged-maps", 1, test_allocation_finds_a_damaged_bitmap,
		test_a_count_cannot_exceed_its_32_bits,
		test_a_block_of_the_maps_that_counts_twice_does_no_harm,
		test_a_failed_read_is_told_and_leaks_nothing);

	return failed;
}
