/*
 * space-maps.c - what the space maps say, and whether that is what was counted
 * (metadata-format.md, 6, 7 and 19).
 *
 * A bitmap is read twice: when its block is verified like any other, and, when
 * all references have been counted, to compare; that is done by all threads,
 * and sums up each bitmap in a few figures.  Only of those that differ is
 * every count looked at again, to tell which.
 */
#include "check/check.h"

#include <inttypes.h>
#include <stdlib.h>

#include "check/seal.h"

static enum tp_check_place index_place(const struct tpi_check_map *map)
{
	return map->is_data ? TP_PLACE_DATA_INDEX : TP_PLACE_METADATA_INDEX;
}

static enum tp_check_place bitmap_place(const struct tpi_check_map *map)
{
	return map->is_data ? TP_PLACE_DATA_BITMAP : TP_PLACE_METADATA_BITMAP;
}

static enum tp_check_place overflow_place(const struct tpi_check_map *map)
{
	return map->is_data ? TP_PLACE_DATA_OVERFLOW
			    : TP_PLACE_METADATA_OVERFLOW;
}

static enum tp_check_place map_place(const struct tpi_check_map *map)
{
	return map->is_data ? TP_PLACE_DATA_SPACE_MAP
			    : TP_PLACE_METADATA_SPACE_MAP;
}

/* The blocks that a bitmap counts. */
static uint64_t bitmap_begin(size_t i)
{
	return (uint64_t)i * TPI_BITMAP_ENTRIES;
}

static unsigned bitmap_entries(const struct tpi_check_map *map, size_t i)
{
	return (unsigned)tpi_min(map->nr_blocks - bitmap_begin(i),
				 TPI_BITMAP_ENTRIES);
}

static struct tpi_where where_bitmap(const struct tpi_check_map *map, size_t i,
				     tp_mblock block)
{
	struct tpi_where where = TPI_WHERE(bitmap_place(map), block);

	where.begin = bitmap_begin(i);
	where.end = where.begin + TPI_BITMAP_ENTRIES;

	return where;
}

/*---------------------------- the index ------------------------------------*/

struct loading {
	struct tpi_check *check;
	struct tpi_check_map *map;
	bool refused; /* an entry led nowhere, and that was told */
};

/* An entry that says where the @i-th bitmap is. */
static void take_bitmap(struct loading *loading, size_t i,
			const struct tpi_disk_index_entry *entry)
{
	struct tpi_check *check = loading->check;
	struct tpi_check_bitmap *bitmap = &loading->map->bitmaps[i];
	tp_mblock block = le64_get(entry->blocknr);
	struct tpi_where where = where_bitmap(loading->map, i, block);
	struct tpi_check_block *known;

	known = tpi_trees_visit(check, &where, &bitmap->there);
	loading->refused |= !bitmap->there;
	if (!bitmap->there)
		return;
	bitmap->block = block;
	bitmap->usable = known;
	bitmap->nr_free = le32_get(entry->nr_free);
	bitmap->hint = le32_get(entry->none_free_before);
	check->blocks[block].index = (uint32_t)i;
}

static int take_index_node(void *context, tp_mblock block)
{
	struct loading *loading = context;
	struct tpi_check *check = loading->check;
	const struct tpi_check_block *known = &check->blocks[block];
	const struct tpi_node *node = known->copy;
	const struct tpi_disk_index_entry *entries = tpi_node_values(node, 0);

	for (uint32_t i = 0; known->is_leaf && i < known->nr; i++) {
		uint64_t key = tpi_node_key(node, i);
		struct tpi_where where = TPI_WHERE(TP_PLACE_DATA_INDEX, block);

		if (key < loading->map->nr_bitmaps) {
			take_bitmap(loading, key, &entries[i]);
			continue;
		}
		where.begin = key;
		where.end = key + 1;
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_INDEX_KEYS,
			 &where, "bitmap %" PRIu64 ", and only %zu are needed",
			 key, loading->map->nr_bitmaps);
	}

	return 0;
}

/* The bitmaps that the tree should have and has not. */
static void tell_missing_bitmaps(struct tpi_check *check,
				 const struct tpi_check_map *map)
{
	struct tpi_where where =
		TPI_WHERE(TP_PLACE_DATA_INDEX, map->index_root);
	size_t nr_missing = 0;

	for (size_t i = 0; i < map->nr_bitmaps; i++)
		if (!map->bitmaps[i].there && !nr_missing++)
			where.begin = i;
	if (!nr_missing)
		return;
	where.end = where.begin + 1;
	tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_INDEX_KEYS, &where,
		 "%zu of %zu bitmaps are missing, the first is number %" PRIu64,
		 nr_missing, map->nr_bitmaps, where.begin);
}

static int verify_data_index(struct tpi_check *check, struct tpi_check_map *map)
{
	struct loading loading = { .check = check, .map = map };
	struct tpi_where where =
		TPI_WHERE(TP_PLACE_DATA_INDEX, map->index_root);
	bool whole = tpi_trees_verify(check, &where);
	int r;

	tpi_trees_begin_walk(check);
	r = tpi_trees_walk(check, map->index_root, TP_PLACE_DATA_INDEX,
			   take_index_node, &loading);
	if (!r && whole && !loading.refused)
		tell_missing_bitmaps(check, map);

	return r;
}

static bool is_zero_entry(const struct tpi_disk_index_entry *entry)
{
	return !entry->blocknr.raw && !entry->nr_free.raw &&
	       !entry->none_free_before.raw;
}

static void verify_metadata_index(struct tpi_check *check,
				  struct tpi_check_map *map)
{
	struct loading loading = { .check = check, .map = map };
	struct tpi_where where =
		TPI_WHERE(TP_PLACE_METADATA_INDEX, map->index_root);
	bool first;
	const struct tpi_check_block *known =
		tpi_trees_visit(check, &where, &first);
	const struct tpi_disk_index *index = known ? known->copy : NULL;

	for (size_t i = 0; index && i < TPI_METADATA_BITMAPS_MAX; i++) {
		if (i < map->nr_bitmaps)
			take_bitmap(&loading, i, &index->entries[i]);
		else if (!is_zero_entry(&index->entries[i]))
			tpi_tell(check, TP_CHECK_CORRUPTION,
				 TP_FOUND_INDEX_KEYS, &where,
				 "entry %zu is in use, and only %zu are needed",
				 i, map->nr_bitmaps);
	}
}

/*---------------------------- the overflow tree ----------------------------*/

static int take_overflow_node(void *context, tp_mblock block)
{
	struct loading *loading = context;
	struct tpi_check_map *map = loading->map;
	const struct tpi_check_block *known = &loading->check->blocks[block];
	const struct tpi_node *node = known->copy;
	const le32 *counts = tpi_node_values(node, 0);
	struct tpi_check_overflow *longer;

	if (!known->is_leaf || !known->nr)
		return 0;
	longer = realloc(map->overflow,
			 (map->nr_overflow + known->nr) * sizeof(*longer));
	if (!longer)
		return -ENOMEM;
	map->overflow = longer;
	for (uint32_t i = 0; i < known->nr; i++)
		map->overflow[map->nr_overflow++] = (struct tpi_check_overflow){
			.block = tpi_node_key(node, i),
			.count = le32_get(counts[i]),
		};

	return 0;
}

static int compare_overflow(const void *a, const void *b)
{
	const struct tpi_check_overflow *left = a, *right = b;

	return (left->block > right->block) - (left->block < right->block);
}

static int verify_overflow(struct tpi_check *check, struct tpi_check_map *map)
{
	struct loading loading = { .check = check, .map = map };
	struct tpi_where where =
		TPI_WHERE(overflow_place(map), map->overflow_root);
	int r;

	map->overflow_known = tpi_trees_verify(check, &where);
	tpi_trees_begin_walk(check);
	r = tpi_trees_walk(check, map->overflow_root, overflow_place(map),
			   take_overflow_node, &loading);
	if (map->nr_overflow)
		qsort(map->overflow, map->nr_overflow, sizeof(*map->overflow),
		      compare_overflow);

	return r;
}

/* The first entry of a block that is not before @block. */
static size_t find_overflow(const struct tpi_check_map *map, uint64_t block)
{
	size_t begin = 0, end = map->nr_overflow;

	while (begin < end) {
		size_t middle = begin + (end - begin) / 2;

		if (map->overflow[middle].block < block)
			begin = middle + 1;
		else
			end = middle;
	}

	return begin;
}

/*---------------------------- loading --------------------------------------*/

int tpi_maps_load(struct tpi_check *check, struct tpi_check_map *map)
{
	int r;

	map->nr_bitmaps = tpi_bitmap_nr_for(map->nr_blocks);
	map->bitmaps = calloc(map->nr_bitmaps + 1, sizeof(*map->bitmaps));
	if (!map->bitmaps)
		return -ENOMEM;
	r = tpi_load_refer(check, map->index_root, index_place(map));
	if (!r)
		r = tpi_load_refer(check, map->overflow_root,
				   overflow_place(map));
	if (!r)
		r = tpi_load_run(check);
	if (r)
		return r;
	if (map->is_data)
		r = verify_data_index(check, map);
	else
		verify_metadata_index(check, map);

	return r ? r : verify_overflow(check, map);
}

void tpi_maps_exit(struct tpi_check_map *map)
{
	free(map->bitmaps);
	free(map->overflow);
}

/*---------------------------- summing up a bitmap --------------------------*/

uint32_t tpi_maps_wanted(const struct tpi_check *check,
			 const struct tpi_check_map *map, uint64_t block)
{
	if (!map->is_data)
		return check->blocks[block].nr_refs;

	return tpi_counters_get(&check->live_counts, block) +
	       tpi_counters_get(&check->held_counts, block);
}

/* What the map says of a block whose entry in the bitmap is @entry.  *@next:
 * the overflow entry of this block or one after; @known: it has one. */
static uint32_t stored_count(const struct tpi_check_map *map, uint64_t block,
			     unsigned entry, size_t *next, bool *known)
{
	while (*next < map->nr_overflow && map->overflow[*next].block < block)
		++*next;
	*known = *next < map->nr_overflow &&
		 map->overflow[*next].block == block;

	return entry == TPI_LARGE_COUNT && *known ? map->overflow[*next].count
						  : entry;
}

static void compare_counts(const struct tpi_check *check,
			   const struct tpi_check_map *map, size_t i,
			   const struct tpi_disk_bitmap *data,
			   struct tpi_check_bitmap *bitmap)
{
	size_t next = find_overflow(map, bitmap_begin(i));
	unsigned nr = bitmap_entries(map, i);

	for (unsigned j = 0; j < nr; j++) {
		uint64_t block = bitmap_begin(i) + j;
		uint32_t wanted = tpi_maps_wanted(check, map, block);
		unsigned entry = tpi_bitmap_get(data, j);
		bool in_tree;
		uint32_t stored =
			stored_count(map, block, entry, &next, &in_tree);

		bitmap->nr_wanted += wanted > 0;
		bitmap->nr_used += entry > 0;
		bitmap->differs |= stored != wanted ||
				   in_tree != (entry == TPI_LARGE_COUNT);
	}
}

static unsigned zeroes_before(const struct tpi_disk_bitmap *bitmap,
			      unsigned end)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < end; i++)
		nr += !tpi_bitmap_get(bitmap, i);

	return nr;
}

static bool is_bitmap(tp_mblock block, const void *data, int status)
{
	struct tpi_seal_look look;

	if (status)
		return false;
	look = tpi_seal_look(&tpi_bitmap_validator, block, data);

	return look.right_checksum && look.right_number;
}

static void sum_up(void *context, tp_mblock block, const void *data, int status)
{
	const struct loading *loading = context;
	const struct tpi_check *check = loading->check;
	struct tpi_check_map *map = loading->map;
	size_t i = check->blocks[block].index;
	struct tpi_check_bitmap *bitmap = &map->bitmaps[i];

	bitmap->read = is_bitmap(block, data, status);
	if (!bitmap->read)
		return;
	bitmap->nr_zero = tpi_bitmap_nr_zero(data);
	bitmap->first_zero = tpi_bitmap_first_zero(data);
	bitmap->beyond_end =
		!tpi_bitmap_is_zero_from(data, bitmap_entries(map, i));
	if (bitmap->hint > bitmap->first_zero)
		bitmap->nr_hidden = zeroes_before(
			data,
			(unsigned)tpi_min(bitmap->hint, TPI_BITMAP_ENTRIES));
	compare_counts(check, map, i, data, bitmap);
}

/*---------------------------- counts that differ ---------------------------*/

/* A run of blocks that are wrong in the same way. */
struct wrong_run {
	uint64_t begin, end;
	uint32_t stored, wanted;
};

static void tell_run(struct tpi_check *check, const struct tpi_check_map *map,
		     const struct wrong_run *run)
{
	struct tp_check_report *report = &check->report;
	uint64_t nr = run->end - run->begin;
	bool high = run->stored > run->wanted;
	struct tpi_where where = TPI_WHERE(map_place(map), TP_CHECK_NONE);

	if (!nr || (high && check->hidden))
		return;
	where.begin = run->begin;
	where.end = run->end;
	if (!map->is_data && nr == 1)
		where.block = run->begin;
	if (high)
		*(map->is_data ? &report->leaked_data_blocks
			       : &report->leaked_metadata_blocks) += nr;
	else
		*(map->is_data ? &report->undercounted_data_blocks
			       : &report->undercounted_metadata_blocks) += nr;
	tpi_tell(check, high ? TP_CHECK_LEAK : TP_CHECK_CORRUPTION,
		 high ? TP_FOUND_COUNT_HIGH : TP_FOUND_COUNT_LOW, &where,
		 "%" PRIu64 " %s %s from %" PRIu64
		 " on: the count is %u, of %u "
		 "references",
		 nr, map->name, nr == 1 ? "block" : "blocks", run->begin,
		 run->stored, run->wanted);
}

static void tell_overflow(struct tpi_check *check,
			  const struct tpi_check_map *map, uint64_t block,
			  const char *what)
{
	struct tpi_where where =
		TPI_WHERE(overflow_place(map), map->overflow_root);

	where.begin = block;
	where.end = block + 1;
	tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_OVERFLOW, &where,
		 "%s block %" PRIu64 " %s", map->name, block, what);
}

/* Bitmap and tree contradict each other. */
static void check_overflow(struct tpi_check *check,
			   const struct tpi_check_map *map, uint64_t block,
			   unsigned entry, bool in_tree, uint32_t stored)
{
	if (in_tree && entry != TPI_LARGE_COUNT)
		tell_overflow(check, map, block,
			      "has a large count here, and not in its bitmap");
	else if (in_tree && stored < TPI_LARGE_COUNT)
		tell_overflow(check, map, block, "has a count below three");
	else if (!in_tree && entry == TPI_LARGE_COUNT && map->overflow_known)
		tell_overflow(check, map, block,
			      "has a large count in its bitmap, and not here");
}

static void tell_differences(struct tpi_check *check,
			     const struct tpi_check_map *map, size_t i,
			     const struct tpi_disk_bitmap *data)
{
	size_t next = find_overflow(map, bitmap_begin(i));
	unsigned nr = bitmap_entries(map, i);
	struct wrong_run run = { 0 };

	for (unsigned j = 0; j < nr; j++) {
		uint64_t block = bitmap_begin(i) + j;
		uint32_t wanted = tpi_maps_wanted(check, map, block);
		unsigned entry = tpi_bitmap_get(data, j);
		bool in_tree;
		uint32_t stored =
			stored_count(map, block, entry, &next, &in_tree);

		check_overflow(check, map, block, entry, in_tree, stored);
		if (run.end == block && run.stored == stored &&
		    run.wanted == wanted) {
			run.end++;
			continue;
		}
		tell_run(check, map, &run);
		run = (struct wrong_run){ block, block + 1, stored, wanted };
		if (stored == wanted)
			run.end = run.begin;
	}
	tell_run(check, map, &run);
}

static int look_closer(struct tpi_check *check, const struct tpi_check_map *map,
		       size_t i)
{
	tp_mblock block = map->bitmaps[i].block;
	struct tpi_where where = where_bitmap(map, i, block);
	struct tpi_disk_bitmap *data;
	int r;

	if (posix_memalign((void **)&data, TPI_MBLOCK_BYTES, TPI_MBLOCK_BYTES))
		return -ENOMEM;
	r = tpi_sweep_read(check->sweep, block, data);
	if (is_bitmap(block, data, r))
		tell_differences(check, map, i, data);
	else
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_IO, &where,
			 "it could be read before, and cannot any more");
	free(data);

	return 0;
}

/*---------------------------- figures --------------------------------------*/

/*
 * thin_restore 0.9 counts free entries up to the last block only, and believes
 * one block of its own in use that it gave back: that is no reason for alarm.
 */
struct figures {
	uint64_t nr_used;
	bool stray; /* a metadata block that is believed in use */
	bool all_read;
};

static void check_nr_free(struct tpi_check *check,
			  const struct tpi_check_map *map, size_t i,
			  struct figures *figures)
{
	struct tpi_check_bitmap *bitmap = &map->bitmaps[i];
	struct tpi_where where = where_bitmap(map, i, bitmap->block);
	uint32_t below_end =
		bitmap->nr_zero - (TPI_BITMAP_ENTRIES - bitmap_entries(map, i));
	bool stray = figures->stray &&
		     (bitmap->nr_free + 1 == bitmap->nr_zero ||
		      bitmap->nr_free + 1 == below_end);
	bool harmless = stray ||
			(bitmap->nr_free == below_end && !bitmap->beyond_end);

	if (bitmap->nr_free == bitmap->nr_zero)
		return;
	bitmap->figures_wrong = true;
	if (stray)
		figures->stray = false;
	tpi_tell(check, harmless ? TP_CHECK_WARNING : TP_CHECK_LEAK,
		 TP_FOUND_NR_FREE, &where,
		 "the index says that %u entries are free, and %u are%s",
		 bitmap->nr_free, bitmap->nr_zero,
		 harmless ? ": thin_restore counts so" : "");
}

static void check_hint(struct tpi_check *check, const struct tpi_check_map *map,
		       size_t i, bool stray)
{
	struct tpi_check_bitmap *bitmap = &map->bitmaps[i];
	struct tpi_where where = where_bitmap(map, i, bitmap->block);
	bool harmless = stray && bitmap->nr_hidden == 1 &&
			bitmap->hint <= TPI_BITMAP_ENTRIES;

	if (!bitmap->nr_hidden && bitmap->hint <= TPI_BITMAP_ENTRIES)
		return;
	bitmap->figures_wrong = true;
	tpi_tell(check, harmless ? TP_CHECK_WARNING : TP_CHECK_LEAK,
		 TP_FOUND_HINT, &where,
		 "the index says that none is free before entry %u, and entry "
		 "%u is",
		 bitmap->hint, bitmap->first_zero);
}

static void check_allocated(struct tpi_check *check,
			    const struct tpi_check_map *map,
			    const struct figures *figures)
{
	struct tpi_where where = TPI_WHERE(map_place(map), 0);

	if (!figures->all_read || map->nr_allocated == figures->nr_used)
		return;
	tpi_tell(check, figures->stray ? TP_CHECK_WARNING : TP_CHECK_LEAK,
		 TP_FOUND_NR_ALLOCATED, &where,
		 "the superblock says that %" PRIu64
		 " %s blocks are in use, and %" PRIu64 " are%s",
		 map->nr_allocated, map->name, figures->nr_used,
		 figures->stray ? ": thin_restore counts so" : "");
}

/*---------------------------- comparing ------------------------------------*/

static int sum_up_bitmaps(struct tpi_check *check, struct tpi_check_map *map)
{
	static const struct tpi_sweep_ops ops = { .examine = sum_up };
	struct loading loading = { .check = check, .map = map };
	tp_mblock *blocks = calloc(map->nr_bitmaps + 1, sizeof(*blocks));
	size_t nr = 0;
	int r;

	if (!blocks)
		return -ENOMEM;
	for (size_t i = 0; i < map->nr_bitmaps; i++)
		if (map->bitmaps[i].usable)
			blocks[nr++] = map->bitmaps[i].block;
	tpi_sweep_sort(blocks, nr);
	r = tpi_sweep_run(check->sweep, blocks, nr, &ops, &loading);
	free(blocks);

	return r;
}

static struct figures add_up(struct tpi_check *check,
			     const struct tpi_check_map *map)
{
	struct figures figures = { .all_read = true };
	uint64_t nr_wanted = 0;

	for (size_t i = 0; i < map->nr_bitmaps; i++) {
		figures.all_read &= map->bitmaps[i].read;
		figures.nr_used += map->bitmaps[i].nr_used;
		nr_wanted += map->bitmaps[i].nr_wanted;
	}
	figures.stray = !map->is_data && figures.all_read &&
			map->nr_allocated == figures.nr_used + 1;
	*(map->is_data ? &check->report.used_data_blocks
		       : &check->report.used_metadata_blocks) = nr_wanted;

	return figures;
}

static int check_bitmap(struct tpi_check *check, struct tpi_check_map *map,
			size_t i, struct figures *figures)
{
	const struct tpi_check_bitmap *bitmap = &map->bitmaps[i];
	struct tpi_where where = where_bitmap(map, i, bitmap->block);
	bool stray = figures->stray;

	if (!bitmap->read)
		return 0;
	if (bitmap->beyond_end)
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_BEYOND_END,
			 &where, "counts of blocks beyond the last, %" PRIu64,
			 map->nr_blocks - 1);
	check_nr_free(check, map, i, figures);
	check_hint(check, map, i, stray);

	return bitmap->differs ? look_closer(check, map, i) : 0;
}

/* Keys of blocks that there are not. */
static void check_overflow_end(struct tpi_check *check,
			       const struct tpi_check_map *map)
{
	for (size_t i = find_overflow(map, map->nr_blocks);
	     i < map->nr_overflow; i++)
		tell_overflow(check, map, map->overflow[i].block,
			      "has a large count, and does not exist");
}

int tpi_maps_compare(struct tpi_check *check, struct tpi_check_map *map)
{
	struct figures figures;
	int r;

	r = sum_up_bitmaps(check, map);
	if (r)
		return r;
	figures = add_up(check, map);
	check_allocated(check, map, &figures);
	for (size_t i = 0; i < map->nr_bitmaps && !r; i++)
		r = check_bitmap(check, map, i, &figures);
	check_overflow_end(check, map);

	return r;
}
