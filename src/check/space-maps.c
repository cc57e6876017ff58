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
		TPI_WHERE(tpi_maps_overflow_place(map), map->overflow_root);
	int r;

	map->overflow_known = tpi_trees_verify(check, &where);
	tpi_trees_begin_walk(check);
	r = tpi_trees_walk(check, map->overflow_root,
			   tpi_maps_overflow_place(map), take_overflow_node,
			   &loading);
	if (map->nr_overflow)
		qsort(map->overflow, map->nr_overflow, sizeof(*map->overflow),
		      compare_overflow);

	return r;
}

size_t tpi_maps_find_overflow(const struct tpi_check_map *map, uint64_t block)
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
				   tpi_maps_overflow_place(map));
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
