/*
 * compare.c - is what the space maps say what was counted (metadata-format.md, 7
 * and 19)?
 *
 * Each bitmap is read once more, by all threads, and summed up in a few figures.
 * Only of those that differ from what was counted is every count looked at
 * again, to tell which.
 */
#include "check/space-maps.h"

#include <inttypes.h>
#include <stdlib.h>

#include "check/seal.h"

struct comparing {
	struct tpi_check *check;
	struct tpi_check_map *map;
};

static enum tp_check_place map_place(const struct tpi_check_map *map)
{
	return map->is_data ? TP_PLACE_DATA_SPACE_MAP
			    : TP_PLACE_METADATA_SPACE_MAP;
}

/*---------------------------- summing up a bitmap --------------------------*/

uint32_t tpi_maps_wanted(const struct tpi_check *check,
			 const struct tpi_check_map *map, uint64_t block)
{
	if (!map->is_data)
		return check->blocks[block].nr_refs;

	return tpi_counters_get(&check->counts, block);
}

/* What the map says of a block whose entry in the bitmap is @entry.  *@known:
 * the overflow tree has it. */
static uint32_t stored_count(const struct tpi_check_map *map, uint64_t block,
			     unsigned entry, bool *known)
{
	uint32_t large;

	*known = tpi_maps_large(map, block, &large);

	return entry == TPI_LARGE_COUNT && *known ? large : entry;
}

/* The counts that are wanted of 32 blocks from @block on, as a word of a bitmap;
 * false: one of them is three or more. */
static bool wanted_word(const struct tpi_check *check,
			const struct tpi_check_map *map, uint64_t block,
			uint64_t *word)
{
	if (map->is_data && tpi_counters_word(&check->counts, block, word))
		return true;
	*word = 0;
	for (unsigned i = 0; i < 32; i++) {
		uint64_t count = tpi_maps_wanted(check, map, block + i);

		if (count >= TPI_LARGE_COUNT)
			return false;
		*word |= (count >> 1 | (count & 1) << 1) << 2 * i;
	}

	return true;
}

static void compare_entries(const struct tpi_check *check,
			    const struct tpi_check_map *map, size_t i,
			    const struct tpi_disk_bitmap *data, unsigned begin,
			    unsigned end)
{
	struct tpi_check_bitmap *bitmap = &map->bitmaps[i];

	for (unsigned j = begin; j < end; j++) {
		uint64_t block = tpi_maps_begin(i) + j;
		uint32_t wanted = tpi_maps_wanted(check, map, block);
		unsigned entry = tpi_bitmap_get(data, j);
		bool in_tree;
		uint32_t stored = stored_count(map, block, entry, &in_tree);

		bitmap->nr_wanted += wanted > 0;
		bitmap->nr_used += entry > 0;
		bitmap->differs |= stored != wanted ||
				   in_tree != (entry == TPI_LARGE_COUNT);
	}
}

/* Are these 32 counts as they should be, and none of them large? */
static bool compare_word(const struct tpi_check *check,
			 const struct tpi_check_map *map, size_t i,
			 const struct tpi_disk_bitmap *data, unsigned begin)
{
	struct tpi_check_bitmap *bitmap = &map->bitmaps[i];
	uint64_t block = tpi_maps_begin(i) + begin;
	uint64_t stored = le64_get(data->words[begin / 32]), wanted;
	unsigned nr;

	if (!tpi_counters_are_zero(&map->large, block) ||
	    !wanted_word(check, map, block, &wanted) || stored != wanted)
		return false;
	nr = (unsigned)__builtin_popcountll(stored);
	bitmap->nr_wanted += nr;
	bitmap->nr_used += nr;

	return true;
}

static void compare_counts(const struct tpi_check *check,
			   const struct tpi_check_map *map, size_t i,
			   const struct tpi_disk_bitmap *data)
{
	unsigned begin, end, nr = tpi_maps_entries(map, i);

	for (begin = 0; begin < nr; begin = end) {
		end = begin + 32;
		if (end <= nr && compare_word(check, map, i, data, begin))
			continue;
		end = (unsigned)tpi_min(end, nr);
		compare_entries(check, map, i, data, begin, end);
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
	const struct comparing *comparing = context;
	const struct tpi_check *check = comparing->check;
	struct tpi_check_map *map = comparing->map;
	size_t i = check->blocks[block].index;
	struct tpi_check_bitmap *bitmap = &map->bitmaps[i];

	bitmap->read = is_bitmap(block, data, status);
	if (!bitmap->read)
		return;
	bitmap->nr_zero = tpi_bitmap_nr_zero(data);
	bitmap->first_zero = tpi_bitmap_first_zero(data);
	bitmap->beyond_end =
		!tpi_bitmap_is_zero_from(data, tpi_maps_entries(map, i));
	if (bitmap->hint > bitmap->first_zero)
		bitmap->nr_hidden = zeroes_before(
			data,
			(unsigned)tpi_min(bitmap->hint, TPI_BITMAP_ENTRIES));
	compare_counts(check, map, i, data);
}

/*---------------------------- counts that differ ---------------------------*/

/* A run of blocks that are wrong in the same way. */
struct wrong_run {
	uint64_t begin, end;
	uint32_t stored, wanted;
};

/* Is @block wrong in the same way as the run that ends before it? */
static bool goes_on(const struct wrong_run *run, uint64_t block,
		    uint32_t stored, uint32_t wanted)
{
	return run->begin < run->end && run->end == block &&
	       run->stored == stored && run->wanted == wanted;
}

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
		TPI_WHERE(tpi_maps_overflow_place(map), map->overflow_root);

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
	unsigned nr = tpi_maps_entries(map, i);
	struct wrong_run run = { 0 };

	for (unsigned j = 0; j < nr; j++) {
		uint64_t block = tpi_maps_begin(i) + j;
		uint32_t wanted = tpi_maps_wanted(check, map, block);
		unsigned entry = tpi_bitmap_get(data, j);
		bool in_tree;
		uint32_t stored = stored_count(map, block, entry, &in_tree);

		check_overflow(check, map, block, entry, in_tree, stored);
		if (goes_on(&run, block, stored, wanted)) {
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

/* What a device gives once it may refuse later. */
static void tell_unreadable(struct tpi_check *check,
			    const struct tpi_check_map *map, size_t i)
{
	struct tpi_where where =
		tpi_maps_where_bitmap(map, i, map->bitmaps[i].block);

	tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_IO, &where,
		 "it could be read before, and cannot any more");
}

static int look_closer(struct tpi_check *check, const struct tpi_check_map *map,
		       size_t i)
{
	tp_mblock block = map->bitmaps[i].block;
	struct tpi_disk_bitmap *data;
	int r;

	if (posix_memalign((void **)&data, TPI_MBLOCK_BYTES, TPI_MBLOCK_BYTES))
		return -ENOMEM;
	r = tpi_sweep_read(check->sweep, block, data);
	if (is_bitmap(block, data, r))
		tell_differences(check, map, i, data);
	else
		tell_unreadable(check, map, i);
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
	struct tpi_where where = tpi_maps_where_bitmap(map, i, bitmap->block);
	uint32_t below_end = bitmap->nr_zero -
			     (TPI_BITMAP_ENTRIES - tpi_maps_entries(map, i));
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
	struct tpi_where where = tpi_maps_where_bitmap(map, i, bitmap->block);
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
	struct comparing comparing = { check, map };

	for (size_t i = 0; i < map->nr_bitmaps; i++)
		if (map->bitmaps[i].usable)
			tpi_frontier_add(&check->frontier,
					 map->bitmaps[i].block);

	return tpi_sweep_run(check->sweep, &check->frontier, &ops, &comparing);
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
	struct tpi_where where = tpi_maps_where_bitmap(map, i, bitmap->block);
	bool stray = figures->stray;

	if (bitmap->usable && !bitmap->read)
		tell_unreadable(check, map, i);
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
static void tell_strays(struct tpi_check *check,
			const struct tpi_check_map *map)
{
	for (size_t i = 0; i < map->nr_odd; i++)
		if (map->odd[i].block >= map->nr_blocks)
			tell_overflow(check, map, map->odd[i].block,
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
	tell_strays(check, map);

	return r;
}
