/*
 * metadata-space-map.c - the metadata space map: how the counts, kept in memory
 * (metadata-counts.h), get to disk when a transaction is closed.
 *
 * Closing settles the map that counts its own blocks (metadata-format.md, 10,
 * solution B), in this order:
 *   1. the overflow tree is told the large counts that changed;
 *   2. the index block and every bitmap that changed get new places, which
 *      changes counts, and so maybe more bitmaps, until none is left over;
 *   3. when no count changes any more, they are written from memory.
 * The old places are not read, only dropped: withheld, so a crash before the
 * superblock is durable finds the old map whole.
 *
 * Step 1 needs nodes of the tree, which may have to be read.  So preparing a
 * close does step 1 already, as far as it goes; each entry written is done,
 * and its nodes are dirty and stay in memory, however small the cache is.
 *
 * What closing needs is held back from everybody else: tpi_metadata_sm_reserve.
 */
#include "space-map/metadata-private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WHERE "metadata space map"

/* For what a split or a merge holds for a moment, and for the entries that one
 * copied internal node adds (252 children, 3 leaves) after the last look at
 * the reserve. */
#define RESERVE_MARGIN 8

/*---------------------------- references -----------------------------------*/

static struct tpi_metadata_space_map *map_of(const struct tpi_refs *refs)
{
	return tpi_container_of(refs, struct tpi_metadata_space_map, refs);
}

static int refs_alloc(struct tpi_refs *refs, tp_mblock *block)
{
	struct tpi_metadata_space_map *map = map_of(refs);

	if (!map->closing &&
	    tpi_counts_nr_free(&map->counts) <= tpi_metadata_sm_reserve(map))
		return -ENOSPC;

	return tpi_counts_alloc(&map->counts, block);
}

static int refs_inc(struct tpi_refs *refs, tp_mblock begin, tp_mblock end)
{
	struct tpi_counts *counts = &map_of(refs)->counts;
	int r = 0;

	for (; begin < end && !r; begin++)
		r = tpi_counts_inc(counts, begin);

	return r;
}

static int refs_dec(struct tpi_refs *refs, tp_mblock begin, tp_mblock end)
{
	struct tpi_counts *counts = &map_of(refs)->counts;
	int r = 0;

	for (; begin < end && !r; begin++)
		r = tpi_counts_lower(counts, begin, 1);

	return r;
}

static uint32_t refs_count(const struct tpi_refs *refs, tp_mblock block)
{
	return tpi_counts_get(&map_of(refs)->counts, block);
}

static tp_mblock refs_nr_blocks(const struct tpi_refs *refs)
{
	return map_of(refs)->counts.nr_blocks;
}

static const struct tpi_refs_ops refs_ops = {
	.alloc = refs_alloc,
	.inc = refs_inc,
	.dec = refs_dec,
	.count = refs_count,
	.nr_blocks = refs_nr_blocks,
};

/*---------------------------- the map --------------------------------------*/

int tpi_metadata_sm_new(tp_mblock nr_blocks,
			struct tpi_metadata_space_map **result)
{
	struct tpi_metadata_space_map *map = calloc(1, sizeof(*map));
	int r;

	if (!map)
		return -ENOMEM;
	map->refs.ops = &refs_ops;
	map->overflow.type.size = sizeof(le32);
	map->overflow.name = "metadata overflow tree";

	r = tpi_counts_init(&map->counts, nr_blocks);
	if (r)
		tpi_metadata_sm_destroy(map);
	else
		*result = map;

	return r;
}

void tpi_metadata_sm_destroy(struct tpi_metadata_space_map *map)
{
	if (!map)
		return;

	tpi_work_list_exit(&map->unsaved);
	tpi_counts_exit(&map->counts);
	free(map);
}

struct tpi_refs *tpi_metadata_sm_refs(struct tpi_metadata_space_map *map)
{
	return &map->refs;
}

void tpi_metadata_sm_set_tm(struct tpi_metadata_space_map *map,
			    struct tpi_tm *tm)
{
	map->overflow.tm = tm;
}

tp_mblock tpi_metadata_sm_nr_blocks(const struct tpi_metadata_space_map *map)
{
	return map->counts.nr_blocks;
}

tp_mblock tpi_metadata_sm_nr_free(const struct tpi_metadata_space_map *map)
{
	return tpi_counts_nr_free(&map->counts);
}

tp_mblock tpi_metadata_sm_nr_allocated(const struct tpi_metadata_space_map *map)
{
	return map->counts.nr_allocated;
}

int tpi_metadata_sm_grow(struct tpi_metadata_space_map *map,
			 tp_mblock nr_blocks)
{
	return tpi_counts_grow(&map->counts, nr_blocks);
}

int tpi_metadata_sm_make_room(struct tpi_metadata_space_map *map, size_t nr)
{
	int r = tpi_counts_make_room(&map->counts, nr);

	if (!r)
		r = tpi_work_list_make_room(&map->unsaved,
					    map->counts.unsaved.nr + nr);

	return r;
}

int tpi_metadata_sm_lower(struct tpi_metadata_space_map *map, tp_mblock block,
			  uint32_t by)
{
	return tpi_counts_lower(&map->counts, block, by);
}

void tpi_metadata_sm_rewrite(struct tpi_metadata_space_map *map)
{
	for (unsigned i = 0; i < map->counts.nr_pages; i++)
		map->counts.pages[i].changed = true;
}

/* How many nodes the overflow tree may have when each is as empty as it may be
 * (metadata-format.md, 4). */
static tp_mblock overflow_nodes_max(uint64_t nr_entries)
{
	uint64_t nr_level = nr_entries / 112 + 1, nr = nr_level;

	while (nr_level > 1) {
		nr_level = nr_level / 84 + 1;
		nr += nr_level;
	}

	return nr;
}

/* Every bitmap, the index block, and the overflow tree with all the entries it
 * has, had or will have. */
tp_mblock tpi_metadata_sm_reserve(const struct tpi_metadata_space_map *map)
{
	const struct tpi_counts *counts = &map->counts;

	return counts->nr_pages + 1 +
	       overflow_nodes_max(counts->large.nr + counts->unsaved.nr) +
	       RESERVE_MARGIN;
}

void tpi_metadata_sm_set_closing(struct tpi_metadata_space_map *map,
				 bool closing)
{
	map->closing = closing;
}

/*---------------------------- closing: large counts ------------------------*/

static int save_large(struct tpi_metadata_space_map *map, tp_mblock block,
		      uint32_t count)
{
	le32 value = le32_make(count);
	int r;

	r = tpi_btree_prepare_insert(&map->overflow, map->overflow_root, block,
				     1);
	if (r)
		return r;

	/* First, for what the tree does may change this very count again. */
	tpi_block_table_remove(&map->counts.unsaved, block);

	return tpi_btree_insert(&map->overflow, map->overflow_root, block,
				&value, &map->overflow_root, NULL);
}

static int forget_large(struct tpi_metadata_space_map *map, tp_mblock block)
{
	uint64_t nr_removed;
	int r;

	r = tpi_btree_prepare_remove(&map->overflow, map->overflow_root, block,
				     block + 1);
	if (r)
		return r;

	tpi_block_table_remove(&map->counts.unsaved, block);
	r = tpi_btree_remove_range(&map->overflow, map->overflow_root, block,
				   block + 1, &map->overflow_root, &nr_removed,
				   NULL);
	if (!r && nr_removed != 1)
		r = tpi_damage(WHERE, "no overflow entry for block %" PRIu64,
			       block);

	return r;
}

/* Tell the overflow tree the count of @block, if it does not know. */
static int save_count(struct tpi_metadata_space_map *map, tp_mblock block)
{
	uint32_t *saved = tpi_block_table_find(&map->counts.unsaved, block);
	uint32_t count = tpi_counts_get(&map->counts, block);

	if (!saved)
		return 0;
	if (count >= TPI_LARGE_COUNT && count != *saved)
		return save_large(map, block, count);
	if (count < TPI_LARGE_COUNT && *saved >= TPI_LARGE_COUNT)
		return forget_large(map, block);

	tpi_block_table_remove(&map->counts.unsaved, block);

	return 0;
}

/* -EAGAIN: what is done is done; come again for the rest. */
static int save_counts(struct tpi_metadata_space_map *map)
{
	struct tpi_work_list *list = &map->unsaved;
	int r;

	while (map->counts.unsaved.nr) {
		r = tpi_tm_make_room(map->overflow.tm);
		if (!r)
			r = tpi_work_list_fill(list, &map->counts.unsaved);
		if (!r)
			r = save_count(map, list->keys[list->next]);
		if (r)
			return r;
		list->next++;
	}

	return 0;
}

/*---------------------------- closing: bitmaps -----------------------------*/

/* The new places; NULL: does not move. */
struct moved {
	struct tpi_disk_index *index;
	struct tpi_disk_bitmap *bitmaps[TPI_METADATA_BITMAPS_MAX];
};

/* Give a block that will be written from memory a new place. */
static int move_block(struct tpi_metadata_space_map *map,
		      const struct tpi_validator *validator, tp_mblock *block,
		      void **data)
{
	tp_mblock old = *block;
	int r;

	r = tpi_tm_new_block(map->overflow.tm, validator, block, data);
	if (!r && old)
		r = tpi_tm_dec(map->overflow.tm, old);

	return r;
}

static int move_bitmap(struct tpi_metadata_space_map *map, unsigned i,
		       struct moved *moved)
{
	tp_mblock block = le64_get(map->index.entries[i].blocknr);
	void *data;
	int r;

	r = move_block(map, &tpi_bitmap_validator, &block, &data);
	if (r)
		return r;

	map->index.entries[i].blocknr = le64_make(block);
	moved->bitmaps[i] = data;

	return 0;
}

/* Move every bitmap that changed.  @nr: how many that were. */
static int move_changed(struct tpi_metadata_space_map *map, struct moved *moved,
			unsigned *nr)
{
	unsigned i;
	int r;

	*nr = 0;
	for (i = 0; i < map->counts.nr_pages; i++) {
		if (!map->counts.pages[i].changed || moved->bitmaps[i])
			continue;
		r = move_bitmap(map, i, moved);
		if (r)
			return r;
		(*nr)++;
	}

	return 0;
}

static bool any_page_changed(const struct tpi_counts *counts)
{
	unsigned i;

	for (i = 0; i < counts->nr_pages; i++)
		if (counts->pages[i].changed)
			return true;

	return false;
}

/* Moving one bitmap changes counts in others.  Each moves once, so there are at
 * most as many rounds as bitmaps, and one that finds nothing. */
static int move_until_settled(struct tpi_metadata_space_map *map,
			      struct moved *moved)
{
	unsigned nr, nr_rounds = 0;
	void *data;
	int r;

	if (!any_page_changed(&map->counts))
		return 0;
	r = move_block(map, &tpi_index_validator, &map->index_block, &data);
	if (r)
		return r;
	moved->index = data;

	do {
		r = move_changed(map, moved, &nr);
		if (r)
			return r;
		nr_rounds++;
		tpi_assert(nr_rounds <= map->counts.nr_pages + 1);
	} while (nr);

	return 0;
}

static void write_moved(struct tpi_metadata_space_map *map,
			const struct moved *moved)
{
	unsigned i;

	for (i = 0; i < map->counts.nr_pages; i++) {
		const struct tpi_count_page *page = &map->counts.pages[i];
		struct tpi_disk_index_entry *entry = &map->index.entries[i];

		if (!moved->bitmaps[i])
			continue;
		memcpy(moved->bitmaps[i]->words, page->bitmap.words,
		       sizeof(page->bitmap.words));
		entry->nr_free = le32_make(page->nr_zero);
		entry->none_free_before =
			le32_make(tpi_bitmap_first_zero(&page->bitmap));
	}

	if (moved->index)
		memcpy(moved->index->entries, map->index.entries,
		       sizeof(map->index.entries));
}

/*---------------------------- transactions ---------------------------------*/

static int make_overflow_tree(struct tpi_metadata_space_map *map)
{
	return map->overflow_root
		       ? 0
		       : tpi_btree_empty(&map->overflow, &map->overflow_root);
}

int tpi_metadata_sm_prepare_close(struct tpi_metadata_space_map *map)
{
	int r;

	map->closing = true;
	r = tpi_tm_make_room(map->overflow.tm);
	if (!r)
		r = make_overflow_tree(map);
	if (!r)
		r = save_counts(map);
	map->closing = false;

	return r;
}

static int settle(struct tpi_metadata_space_map *map)
{
	struct moved moved = { 0 };
	int r;

	r = make_overflow_tree(map);
	if (!r)
		r = save_counts(map);
	if (!r)
		r = move_until_settled(map, &moved);
	if (!r)
		write_moved(map, &moved);

	return r;
}

int tpi_metadata_sm_close(struct tpi_metadata_space_map *map,
			  struct tpi_disk_space_map_root *root)
{
	int r;

	map->closing = true;
	r = settle(map);
	map->closing = false;
	/* All was prepared; unless blocks of space maps are counted as shared,
	 * so that writing one changes large counts. */
	if (r == -EAGAIN)
		return tpi_damage(WHERE, "closing changed large counts");
	if (r)
		return r;

	root->nr_blocks = le64_make(map->counts.nr_blocks);
	root->nr_allocated = le64_make(map->counts.nr_allocated);
	root->bitmap_root = le64_make(map->index_block);
	root->ref_count_root = le64_make(map->overflow_root);
	map->closed_nr_blocks = map->counts.nr_blocks;
	tpi_counts_close(&map->counts);

	return 0;
}

void tpi_metadata_sm_committed(struct tpi_metadata_space_map *map)
{
	tpi_counts_committed(&map->counts);
}

bool tpi_metadata_sm_changed(const struct tpi_metadata_space_map *map)
{
	return any_page_changed(&map->counts) || map->counts.unsaved.nr ||
	       map->counts.nr_blocks != map->closed_nr_blocks;
}
