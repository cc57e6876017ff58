/*
 * space-maps.c - reading the space maps (metadata-format.md, 6): where the bitmaps
 * are, and the counts of the overflow trees.  What is counted is compared later
 * (compare.c).
 */
#include "check/space-maps.h"

#include <inttypes.h>
#include <stdlib.h>

static enum tp_check_place index_place(const struct tpi_check_map *map)
{
	return map->is_data ? TP_PLACE_DATA_INDEX : TP_PLACE_METADATA_INDEX;
}

static enum tp_check_place bitmap_place(const struct tpi_check_map *map)
{
	return map->is_data ? TP_PLACE_DATA_BITMAP : TP_PLACE_METADATA_BITMAP;
}

struct tpi_where tpi_maps_where_bitmap(const struct tpi_check_map *map,
				       size_t i, tp_mblock block)
{
	struct tpi_where where = TPI_WHERE(bitmap_place(map), block);

	where.begin = tpi_maps_begin(i);
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
	struct tpi_where where = tpi_maps_where_bitmap(loading->map, i, block);
	struct tpi_check_block *known;
	bool first;

	known = tpi_trees_visit(check, &where, &first);
	loading->refused |= !first;
	if (!first)
		return;
	bitmap->there = true;
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
	const struct tpi_node *node = tpi_check_copy(check, known);
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
	const struct tpi_disk_index *index =
		known ? tpi_check_copy(check, known) : NULL;

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

static int add_odd(struct tpi_check_map *map, uint64_t block, uint32_t count)
{
	size_t room = 2 * map->odd_room + 16;
	struct tpi_odd_count *longer;

	if (map->nr_odd == map->odd_room) {
		longer = realloc(map->odd, room * sizeof(*longer));
		if (!longer)
			return -ENOMEM;
		map->odd = longer;
		map->odd_room = room;
	}
	map->odd[map->nr_odd++] = (struct tpi_odd_count){ block, count };

	return 0;
}

/* Blocks without a bitmap cannot be compared. */
static int take_count(struct tpi_check_map *map, uint64_t block, uint32_t count)
{
	uint32_t known = count < TPI_ODD_COUNT - 1 ? count + 1 : TPI_ODD_COUNT;

	if (block >= map->nr_blocks)
		return add_odd(map, block, count);
	if (!map->bitmaps[block / TPI_BITMAP_ENTRIES].there ||
	    tpi_counters_get(&map->large, block))
		return 0;
	tpi_counters_set(&map->large, block, known);
	if (atomic_load(&map->large.out_of_memory))
		return -ENOMEM;

	return known == TPI_ODD_COUNT ? add_odd(map, block, count) : 0;
}

int tpi_maps_take_overflow(struct tpi_check_map *map,
			   const struct tpi_node *leaf)
{
	const le32 *counts = tpi_node_values(leaf, 0);
	int r = 0;

	for (uint32_t i = 0; i < tpi_node_nr(leaf) && !r; i++)
		r = take_count(map, tpi_node_key(leaf, i), le32_get(counts[i]));

	return r;
}

static int compare_odd(const void *a, const void *b)
{
	const struct tpi_odd_count *left = a, *right = b;

	return (left->block > right->block) - (left->block < right->block);
}

static int load_overflow(struct tpi_check *check, struct tpi_check_map *map)
{
	struct tpi_where where =
		TPI_WHERE(tpi_maps_overflow_place(map), map->overflow_root);
	int r = tpi_load_run(check);

	if (r)
		return r;
	map->overflow_known = tpi_trees_verify(check, &where);
	if (map->nr_odd)
		qsort(map->odd, map->nr_odd, sizeof(*map->odd), compare_odd);

	return 0;
}

bool tpi_maps_large(const struct tpi_check_map *map, uint64_t block,
		    uint32_t *count)
{
	struct tpi_odd_count key = { .block = block };
	const struct tpi_odd_count *odd;
	uint32_t known = tpi_counters_get(&map->large, block);

	if (!known)
		return false;
	*count = known - 1;
	if (known < TPI_ODD_COUNT)
		return true;
	odd = bsearch(&key, map->odd, map->nr_odd, sizeof(*odd), compare_odd);
	tpi_assert(odd);
	*count = odd->count;

	return true;
}

/*---------------------------- loading --------------------------------------*/

/* The index first: only for blocks with a bitmap are large counts taken. */
int tpi_maps_load(struct tpi_check *check, struct tpi_check_map *map)
{
	bool read_overflow;
	int r;

	map->nr_bitmaps = tpi_bitmap_nr_for(map->nr_blocks);
	map->bitmaps = calloc(map->nr_bitmaps + 1, sizeof(*map->bitmaps));
	if (!map->bitmaps)
		return -ENOMEM;
	r = tpi_counters_init(&map->large, map->nr_blocks);
	if (r)
		return r;
	tpi_load_refer(check, map->index_root, index_place(map));
	read_overflow = tpi_load_claim(check, map->overflow_root,
				       tpi_maps_overflow_place(map));
	r = tpi_load_run(check);
	if (r)
		return r;
	if (map->is_data)
		r = verify_data_index(check, map);
	else
		verify_metadata_index(check, map);
	if (read_overflow)
		tpi_frontier_add(&check->frontier, map->overflow_root);

	return r ? r : load_overflow(check, map);
}

void tpi_maps_exit(struct tpi_check_map *map)
{
	free(map->bitmaps);
	tpi_counters_exit(&map->large);
	free(map->odd);
}
