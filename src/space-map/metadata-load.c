/*
 * metadata-load.c - reading the metadata space map when a pool is opened.
 *
 * All of it comes from a device, and may be anything.  When it is loaded, the
 * core may trust that every entry of three has its large count, that nothing
 * is counted past the end, and that the blocks which we know to be in use (the
 * superblock, the map's own) are not free.
 */
#include "space-map/metadata-private.h"

#include <inttypes.h>

#define WHERE "metadata space map"

/* Bitmaps that are read at the same time. */
#define READ_AHEAD 16

/*---------------------------- the root and the index -----------------------*/

static bool is_block(tp_mblock block, tp_mblock nr_blocks)
{
	return block > 0 && block < nr_blocks;
}

static int check_root(const struct tpi_disk_space_map_root *root)
{
	uint64_t nr_blocks = le64_get(root->nr_blocks);
	uint64_t nr_allocated = le64_get(root->nr_allocated);

	if (!nr_blocks || nr_blocks > TPI_METADATA_BLOCKS_MAX)
		return tpi_damage(WHERE, "it counts %" PRIu64 " blocks",
				  nr_blocks);
	if (nr_allocated > nr_blocks)
		return tpi_damage(WHERE,
				  "%" PRIu64 " of %" PRIu64
				  " blocks are in use",
				  nr_allocated, nr_blocks);
	if (!is_block(le64_get(root->bitmap_root), nr_blocks) ||
	    !is_block(le64_get(root->ref_count_root), nr_blocks))
		return tpi_damage(WHERE,
				  "its roots are blocks %" PRIu64
				  " and %" PRIu64,
				  le64_get(root->bitmap_root),
				  le64_get(root->ref_count_root));

	return 0;
}

static int begin_load(const struct tpi_disk_space_map_root *root,
		      struct tpi_metadata_space_map **result)
{
	struct tpi_metadata_space_map *map;
	int r;

	r = check_root(root);
	if (r)
		return r;
	r = tpi_metadata_sm_new(le64_get(root->nr_blocks), &map);
	if (r)
		return r;

	map->index_block = le64_get(root->bitmap_root);
	map->overflow_root = le64_get(root->ref_count_root);
	map->closed_nr_blocks = map->counts.nr_blocks;
	*result = map;

	return 0;
}

static bool entry_is_zero(const struct tpi_disk_index_entry *entry)
{
	return !entry->blocknr.raw && !entry->nr_free.raw &&
	       !entry->none_free_before.raw;
}

/* Two bitmaps in one place would be changed as one. */
static bool is_repeated(const struct tpi_disk_index *index, unsigned i)
{
	unsigned other;

	for (other = 0; other < i; other++)
		if (index->entries[other].blocknr.raw ==
		    index->entries[i].blocknr.raw)
			return true;

	return false;
}

static int check_index(const struct tpi_metadata_space_map *map,
		       const struct tpi_disk_index *index)
{
	unsigned i;

	for (i = 0; i < map->counts.nr_pages; i++) {
		tp_mblock block = le64_get(index->entries[i].blocknr);

		if (!is_block(block, map->counts.nr_blocks) ||
		    is_repeated(index, i))
			return tpi_damage(WHERE,
					  "bitmap %u is in block %" PRIu64, i,
					  block);
	}
	for (; i < TPI_METADATA_BITMAPS_MAX; i++)
		if (!entry_is_zero(&index->entries[i]))
			return tpi_damage(WHERE, "bitmap %u is past the end",
					  i);

	return 0;
}

static int load_index(struct tpi_metadata_space_map *map,
		      struct tpi_cache *cache)
{
	const void *data;
	int r;

	if (map->load.has_index)
		return 0;
	r = tpi_cache_read(cache, map->index_block, &tpi_index_validator,
			   &data);
	if (!r)
		r = check_index(map, data);
	if (r)
		return r;

	map->index = *(const struct tpi_disk_index *)data;
	map->load.has_index = true;

	return 0;
}

/*---------------------------- bitmaps --------------------------------------*/

static tp_mblock bitmap_block(const struct tpi_metadata_space_map *map,
			      unsigned i)
{
	return le64_get(map->index.entries[i].blocknr);
}

/* Ask for each bitmap once, and leave the answer, which may be an error that is
 * told only once, to whoever needs it. */
static void read_ahead(struct tpi_metadata_space_map *map,
		       struct tpi_cache *cache)
{
	struct tpi_metadata_load *load = &map->load;
	unsigned end = (unsigned)tpi_min(load->nr_bitmaps + READ_AHEAD,
					 map->counts.nr_pages);
	const void *data;

	for (; load->nr_asked < end; load->nr_asked++)
		(void)tpi_cache_read(cache, bitmap_block(map, load->nr_asked),
				     &tpi_bitmap_validator, &data);
}

static int load_bitmap(struct tpi_metadata_space_map *map,
		       struct tpi_cache *cache, unsigned i)
{
	tp_mblock begin = (tp_mblock)i * TPI_BITMAP_ENTRIES;
	unsigned nr = (unsigned)tpi_min(map->counts.nr_blocks - begin,
					TPI_BITMAP_ENTRIES);
	const void *data;
	int r;

	r = tpi_cache_read(cache, bitmap_block(map, i), &tpi_bitmap_validator,
			   &data);
	if (r)
		return r;
	if (!tpi_bitmap_is_zero_from(data, nr))
		return tpi_damage(WHERE, "bitmap %u counts past the end", i);

	tpi_counts_load_page(&map->counts, i, data);
	map->load.nr_large += tpi_bitmap_nr_large(data);

	return 0;
}

static int load_bitmaps(struct tpi_metadata_space_map *map,
			struct tpi_cache *cache)
{
	unsigned *nr = &map->load.nr_bitmaps;
	int r;

	for (; *nr < map->counts.nr_pages; (*nr)++) {
		read_ahead(map, cache);
		r = load_bitmap(map, cache, *nr);
		if (r)
			return r;
	}

	return 0;
}

/*---------------------------- the overflow tree ----------------------------*/

static int load_large(void *context, uint64_t key, const void *value)
{
	struct tpi_metadata_space_map *map = context;
	struct tpi_counts *counts = &map->counts;
	uint32_t count = le32_get(*(const le32 *)value);

	if (key >= counts->nr_blocks || count < TPI_LARGE_COUNT ||
	    tpi_bitmap_get(&counts->pages[key / TPI_BITMAP_ENTRIES].bitmap,
			   key % TPI_BITMAP_ENTRIES) != TPI_LARGE_COUNT)
		return tpi_damage(WHERE,
				  "block %" PRIu64
				  " has an overflow entry of %u",
				  key, count);

	return tpi_counts_load_large(counts, key, count);
}

static int load_overflow(struct tpi_metadata_space_map *map,
			 struct tpi_cache *cache)
{
	/* The map has no transaction manager yet; reading asks little of it. */
	struct tpi_tm tm = { .cache = cache, .refs = &map->refs };
	struct tpi_btree tree = map->overflow;
	int r;

	tree.tm = &tm;
	r = tpi_btree_scan(&tree, map->overflow_root, map->load.overflow_key,
			   UINT64_MAX, load_large, map,
			   &map->load.overflow_key);
	if (r)
		return r;

	if (map->load.nr_large != map->counts.large.nr)
		return tpi_damage(WHERE,
				  "%" PRIu64
				  " large counts, %zu overflow entries",
				  map->load.nr_large, map->counts.large.nr);

	return 0;
}

/*---------------------------- all of it ------------------------------------*/

/* If one of these were free, allocation would give it away. */
static int check_own_blocks(const struct tpi_metadata_space_map *map)
{
	const struct tpi_counts *counts = &map->counts;
	bool used = tpi_counts_get(counts, 0) &&
		    tpi_counts_get(counts, map->index_block) &&
		    tpi_counts_get(counts, map->overflow_root);
	unsigned i;

	for (i = 0; i < counts->nr_pages && used; i++)
		used = tpi_counts_get(counts, bitmap_block(map, i));
	if (!used)
		return tpi_damage(WHERE, "its own blocks count as free");

	return 0;
}

int tpi_metadata_sm_load(struct tpi_cache *cache,
			 const struct tpi_disk_space_map_root *root,
			 struct tpi_metadata_space_map **map)
{
	int r = 0;

	if (!*map)
		r = begin_load(root, map);
	if (!r)
		r = load_index(*map, cache);
	if (!r)
		r = load_bitmaps(*map, cache);
	if (!r)
		r = load_overflow(*map, cache);
	if (!r)
		r = check_own_blocks(*map);

	return r;
}

int tpi_metadata_sm_load_figures(const struct tpi_disk_space_map_root *root,
				 struct tpi_metadata_space_map **map)
{
	int r = begin_load(root, map);

	if (!r)
		(*map)->counts.nr_allocated = le64_get(root->nr_allocated);

	return r;
}
