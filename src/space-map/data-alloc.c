/*
 * data-alloc.c - which data blocks to hand out next.
 *
 * A block may be handed out if its count in the base is zero, it is not
 * withheld, and no reference to it was counted in the running transaction.
 * Every block is looked at that way before it goes (B-COMMIT-9); where a search
 * begins is only a hint.
 *
 * Each bitmap has a bound in memory (search_from), below which nothing can be
 * handed out; a bitmap that is known to be full is passed by without a look.
 * Of a bitmap that was not seen yet, the index tells whether it is full.  That
 * may be wrong, so before -ENOSPC all of those are looked at, once.
 */
#include "space-map/data-private.h"

struct run {
	tp_dblock begin, nr;
};

void tpi_data_sm_search_again(struct tpi_data_space_map *map, tp_dblock begin,
			      tp_dblock nr)
{
	tp_dblock end = begin + nr;

	while (begin < end) {
		struct tpi_base_bitmap *bitmap =
			&map->base.bitmaps[begin / TPI_BITMAP_ENTRIES];
		unsigned entry = begin % TPI_BITMAP_ENTRIES;

		if (bitmap->search_from > entry)
			bitmap->search_from = (uint16_t)entry;
		begin += TPI_BITMAP_ENTRIES - entry;
	}
}

/*---------------------------- the group at hand ----------------------------*/

/* Blocks that are handed out one by one mostly are of one group, which then need
 * not be read again. */
static void know_group(struct tpi_data_space_map *map,
		       const struct tpi_disk_bitmap *bitmap, tp_dblock block)
{
	unsigned group = block % TPI_BITMAP_ENTRIES / TPI_GROUP_BITS;

	map->group = block / TPI_GROUP_BITS;
	map->group_zeroes = tpi_bitmap_zeroes(bitmap, group);
	map->group_is_known = true;
}

/* The next block after @begin, if it is in the group at hand. */
static bool find_in_group(const struct tpi_data_space_map *map, tp_dblock begin,
			  tp_dblock end, struct run *run)
{
	uint64_t found;

	if (!map->group_is_known || map->some_unhanded ||
	    begin / TPI_GROUP_BITS != map->group)
		return false;
	found = (map->group_zeroes &
		 ~tpi_sparse_set_word(&map->withheld,
				      begin - begin % TPI_GROUP_BITS)) >>
		begin % TPI_GROUP_BITS;
	if (!found)
		return false;
	*run = (struct run){ begin + (unsigned)__builtin_ctzll(found), 1 };

	return run->begin < end;
}

/*---------------------------- within one bitmap ----------------------------*/

/* Those of the 64 blocks around @block that are free and not withheld. */
static uint64_t free_around(const struct tpi_data_space_map *map,
			    const struct tpi_disk_bitmap *bitmap,
			    tp_dblock block)
{
	unsigned group = block % TPI_BITMAP_ENTRIES / TPI_GROUP_BITS;

	return tpi_bitmap_zeroes(bitmap, group) &
	       ~tpi_sparse_set_word(&map->withheld, block - block % 64);
}

/* How many blocks from @begin on, which is one of them, up to @end, are free and
 * not withheld. */
static tp_dblock length_from(const struct tpi_data_space_map *map,
			     const struct tpi_disk_bitmap *bitmap,
			     tp_dblock begin, tp_dblock end)
{
	tp_dblock at = begin + 1;

	while (at < end) {
		uint64_t busy = ~free_around(map, bitmap, at) >> (at % 64);

		if (busy) {
			at += (unsigned)__builtin_ctzll(busy);
			break;
		}
		at += 64 - at % 64;
	}

	return tpi_min(at, end) - begin;
}

/* Of these, how many come before one that has been counted without having been
 * handed out; it may look free until the close. */
static tp_dblock uncounted(const struct tpi_data_space_map *map,
			   tp_dblock begin, tp_dblock nr)
{
	const struct tpi_count_change *change;
	tp_dblock i;

	if (!map->some_unhanded)
		return nr;
	for (i = 0; i < nr; i++) {
		change = tpi_block_table_find(&map->changes, begin + i);
		if (change && change->delta > 0)
			break;
	}

	return i;
}

/* The first run in [begin, end), which is in one bitmap. */
static bool find_run(const struct tpi_data_space_map *map,
		     const struct tpi_disk_bitmap *bitmap, tp_dblock begin,
		     tp_dblock end, tp_dblock max, struct run *run)
{
	while (begin < end) {
		uint64_t found = free_around(map, bitmap, begin) >>
				 (begin % 64);
		tp_dblock nr;

		if (!found) {
			begin += 64 - begin % 64;
			continue;
		}
		begin += (unsigned)__builtin_ctzll(found);
		if (begin >= end)
			break;
		nr = length_from(map, bitmap, begin,
				 begin + tpi_min(max, end - begin));
		nr = uncounted(map, begin, nr);
		if (nr) {
			*run = (struct run){ begin, nr };
			return true;
		}
		begin++;
	}

	return false;
}

static int find_in_bitmap(struct tpi_data_space_map *map, tp_dblock begin,
			  tp_dblock end, tp_dblock max, struct run *run)
{
	size_t i = begin / TPI_BITMAP_ENTRIES;
	tp_dblock first = i * (tp_dblock)TPI_BITMAP_ENTRIES, lowest;
	struct tpi_base_bitmap *bitmap = &map->base.bitmaps[i];
	const struct tpi_disk_bitmap *data;
	bool found;
	int r;

	if (first + bitmap->search_from >= end)
		return -ENOSPC;
	r = tpi_base_read_bitmap(&map->base, i, &data);
	if (r)
		return r;

	lowest = first + bitmap->search_from;
	found = find_run(map, data, tpi_max(begin, lowest), end, max, run);
	if (found)
		know_group(map, data, run->begin);
	if (begin <= lowest && lowest < end)
		bitmap->search_from =
			(uint16_t)((found ? run->begin + run->nr : end) -
				   first);

	return found ? 0 : -ENOSPC;
}

/*---------------------------- among all bitmaps ----------------------------*/

static int find_between(struct tpi_data_space_map *map, tp_dblock begin,
			tp_dblock end, tp_dblock max, struct run *run)
{
	int r = -ENOSPC;

	while (begin < end && r == -ENOSPC) {
		tp_dblock next =
			begin - begin % TPI_BITMAP_ENTRIES + TPI_BITMAP_ENTRIES;

		r = find_in_bitmap(map, begin, tpi_min(next, end), max, run);
		begin = next;
	}

	return r;
}

/* Look at bitmaps not seen yet, until one is not full after all.  -ENOSPC:
 * there is none. */
static int see_more(struct tpi_data_space_map *map)
{
	struct tpi_base *base = &map->base;
	const struct tpi_disk_bitmap *data;
	int r;

	for (; map->nr_seen < base->nr_bitmaps; map->nr_seen++) {
		if (base->bitmaps[map->nr_seen].seen)
			continue;
		r = tpi_base_read_bitmap(base, map->nr_seen, &data);
		if (r)
			return r;
		if (base->bitmaps[map->nr_seen].search_from <
		    TPI_BITMAP_ENTRIES)
			return 0;
	}

	return -ENOSPC;
}

/* From @from on, round the end and back. */
static int find_from(struct tpi_data_space_map *map, tp_dblock from,
		     tp_dblock max, struct run *run)
{
	int r;

	do {
		r = find_between(map, from, map->base.nr_blocks, max, run);
		if (r == -ENOSPC)
			r = find_between(map, 0, from, max, run);
		if (r != -ENOSPC)
			return r;
		r = see_more(map);
	} while (!r);

	return r;
}

static int hand_out(struct tpi_data_space_map *map, const struct run *run,
		    tp_dblock *begin, tp_dblock *nr)
{
	int r = tpi_sparse_set_add(&map->withheld, run->begin, run->nr);

	if (r) {
		tpi_data_sm_release(map, run->begin, run->nr);
		return r;
	}
	*begin = run->begin;
	*nr = run->nr;

	return 0;
}

int tpi_data_sm_alloc(struct tpi_data_space_map *map, tp_dblock hint,
		      tp_dblock max, tp_dblock *begin, tp_dblock *nr)
{
	struct run run;
	int r;

	tpi_assert(max);
	r = find_from(map, hint < map->base.nr_blocks ? hint : 0, max, &run);

	return r ? r : hand_out(map, &run, begin, nr);
}

int tpi_data_sm_alloc_within(struct tpi_data_space_map *map, tp_dblock begin,
			     tp_dblock end, tp_dblock max, tp_dblock *first,
			     tp_dblock *nr)
{
	struct run run;
	int r;

	tpi_assert(max && end <= map->base.nr_blocks);
	if (max == 1 && find_in_group(map, begin, end, &run))
		return hand_out(map, &run, first, nr);
	r = find_between(map, begin, end, max, &run);

	return r ? r : hand_out(map, &run, first, nr);
}

/*---------------------------- stretches ------------------------------------*/

/* So many bitmaps are searched for one. */
#define STRETCH_BITMAPS 4u

static bool stretch_is_free(const struct tpi_data_space_map *map,
			    const struct tpi_disk_bitmap *bitmap,
			    tp_dblock begin)
{
	for (unsigned i = 0; i < TPI_STRETCH_BLOCKS; i += TPI_GROUP_BITS)
		if (free_around(map, bitmap, begin + i) != UINT64_MAX)
			return false;

	return true;
}

/* Within the @i-th bitmap.  One that cannot be read has none. */
static int find_stretch_in(struct tpi_data_space_map *map, size_t i,
			   tp_dblock from, tp_dblock *begin)
{
	tp_dblock first = i * (tp_dblock)TPI_BITMAP_ENTRIES;
	tp_dblock end =
		tpi_min(first + TPI_BITMAP_ENTRIES, map->base.nr_blocks);
	const struct tpi_disk_bitmap *data;
	int r;

	r = tpi_base_read_bitmap(&map->base, i, &data);
	if (r)
		return r == -EAGAIN ? r : -ENOSPC;
	for (; first + TPI_STRETCH_BLOCKS <= end; first += TPI_STRETCH_BLOCKS) {
		if (first < from || !stretch_is_free(map, data, first))
			continue;
		*begin = first;
		return 0;
	}

	return -ENOSPC;
}

int tpi_data_sm_find_stretch(struct tpi_data_space_map *map, tp_dblock hint,
			     tp_dblock *begin)
{
	size_t nr = map->base.nr_bitmaps, at = hint / TPI_BITMAP_ENTRIES;
	unsigned nr_searched = 0;
	int r = -ENOSPC;

	/* The first one twice: from the hint on, and at last before it. */
	for (size_t i = 0; i <= nr && r == -ENOSPC; i++, at++) {
		if (at >= nr) {
			at = 0;
			hint = 0;
		}
		if (nr_searched == STRETCH_BITMAPS || at >= nr)
			break;
		if (map->base.bitmaps[at].nr_zero < TPI_STRETCH_BLOCKS)
			continue;
		nr_searched++;
		r = find_stretch_in(map, at, hint, begin);
	}

	return r;
}

/*---------------------------- giving back ----------------------------------*/

/* Nothing but being withheld keeps a freed block, or one that was handed out
 * and not counted, from being free. */
void tpi_data_sm_release(struct tpi_data_space_map *map, tp_dblock begin,
			 tp_dblock nr)
{
	tpi_sparse_set_remove(&map->withheld, begin, nr);
	tpi_data_sm_search_again(map, begin, nr);
}

void tpi_data_sm_give_back(struct tpi_data_space_map *map, tp_dblock begin,
			   tp_dblock nr)
{
	tpi_data_sm_release(map, begin, nr);
}
