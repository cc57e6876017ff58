/*
 * metadata.c - the state of the metadata, looking things up in it, and its
 * transactions.
 *
 * The order in which a transaction is closed is that of metadata-format.md,
 * 8.3: details, data space map, metadata space map, each absorbing the blocks
 * that the one before took; then everything is frozen.  Nothing is written to
 * the device here: that is the commit's business (commit.c).
 */
#include "pool/metadata.h"

#include <string.h>

#include "pool/metadata-internal.h"

/*---------------------------- the trees ------------------------------------*/

/* Values that refer to data blocks come in runs; count them as runs. */
static int each_run(struct tpi_metadata *md, const void *values, unsigned nr,
		    int (*count)(struct tpi_metadata *md, tp_dblock begin,
				 tp_dblock nr))
{
	const le64 *mappings = values;
	unsigned begin = 0;

	while (begin < nr) {
		tp_dblock first = tpi_mapping_dblock(le64_get(mappings[begin]));
		unsigned end = begin + 1;
		int r;

		while (end < nr &&
		       tpi_mapping_dblock(le64_get(mappings[end])) ==
			       first + (end - begin))
			end++;
		r = count(md, first, end - begin);
		if (r)
			return r;
		begin = end;
	}

	return 0;
}

static int add_reference(struct tpi_metadata *md, tp_dblock begin, tp_dblock nr)
{
	return tpi_data_sm_inc(md->data_sm, begin, nr);
}

static int drop_reference(struct tpi_metadata *md, tp_dblock begin,
			  tp_dblock nr)
{
	int r = tpi_data_sm_dec(md->data_sm, begin, nr);

	md->dropped = true;
	if (!r && md->discarding)
		r = tpi_data_sm_mark_discarded(md->data_sm, begin, nr);

	return r;
}

static int mapping_inc(void *context, const void *values, unsigned nr)
{
	return each_run(context, values, nr, add_reference);
}

static int mapping_dec(void *context, const void *values, unsigned nr)
{
	return each_run(context, values, nr, drop_reference);
}

static bool mapping_same(void *context, const void *a, const void *b)
{
	const le64 *left = a, *right = b;

	(void)context;
	return tpi_mapping_dblock(le64_get(*left)) ==
	       tpi_mapping_dblock(le64_get(*right));
}

static int thin_inc(void *context, const void *values, unsigned nr)
{
	struct tpi_metadata *md = context;
	const le64 *roots = values;
	int r = 0;

	for (unsigned i = 0; i < nr && !r; i++)
		r = tpi_tm_inc(&md->tm, le64_get(roots[i]));

	return r;
}

static int thin_dec(void *context, const void *values, unsigned nr)
{
	struct tpi_metadata *md = context;
	const le64 *roots = values;
	int r = 0;

	for (unsigned i = 0; i < nr && !r; i++)
		r = tpi_btree_delete(&md->mappings, le64_get(roots[i]));

	return r;
}

static int thin_prepare_dec(void *context, const void *values, unsigned nr)
{
	struct tpi_metadata *md = context;
	const le64 *roots = values;
	int r = 0;

	for (unsigned i = 0; i < nr && !r; i++)
		r = tpi_btree_prepare_delete(&md->mappings, le64_get(roots[i]));

	return r;
}

/* A root that takes another's place has already taken its reference. */
static bool root_replaced(void *context, const void *a, const void *b)
{
	(void)context;
	(void)a;
	(void)b;
	return true;
}

static void init_trees(struct tpi_metadata *md)
{
	md->thins = (struct tpi_btree){
		.tm = &md->tm,
		.type = { .size = sizeof(le64),
			  .inc = thin_inc,
			  .dec = thin_dec,
			  .prepare_dec = thin_prepare_dec },
		.context = md,
		.name = "tree of thins",
	};
	md->roots = md->thins;
	md->roots.type.same = root_replaced;
	md->moves = md->thins;
	md->moves.type.dec = NULL;
	md->moves.type.prepare_dec = NULL;
	md->mappings = (struct tpi_btree){
		.tm = &md->tm,
		.type = { .size = sizeof(le64),
			  .inc = mapping_inc,
			  .dec = mapping_dec,
			  .same = mapping_same },
		.context = md,
		.name = "mapping tree",
	};
	md->details = (struct tpi_btree){
		.tm = &md->tm,
		.type = { .size = sizeof(struct tpi_disk_details) },
		.context = md,
		.name = "details tree",
	};
}

/*---------------------------- life -----------------------------------------*/

void tpi_metadata_init(struct tpi_metadata *md, struct tpi_cache *cache)
{
	memset(md, 0, sizeof(*md));
	md->cache = cache;
	md->transaction = 1;
	tpi_list_init(&md->dirty);
	init_trees(md);
}

static void drop_space_maps(struct tpi_metadata *md)
{
	tpi_data_sm_destroy(md->data_sm);
	md->data_sm = NULL;
	tpi_metadata_sm_destroy(md->metadata_sm);
	md->metadata_sm = NULL;
}

void tpi_metadata_exit(struct tpi_metadata *md)
{
	drop_space_maps(md);
}

static void use_metadata_sm(struct tpi_metadata *md)
{
	md->tm.cache = md->cache;
	md->tm.refs = tpi_metadata_sm_refs(md->metadata_sm);
	tpi_metadata_sm_set_tm(md->metadata_sm, &md->tm);
}

static void adopt_superblock(struct tpi_metadata *md,
			     const struct tpi_disk_superblock *sb)
{
	md->superblock = *sb;
	md->mapping_root = le64_get(sb->data_mapping_root);
	md->details_root = le64_get(sb->device_details_root);
	md->held_root = le64_get(sb->held_root);
	md->time = le32_get(sb->time);
	md->transaction_id = le64_get(sb->transaction_id);
	md->transaction = md->committed + 1; /* rolled back: none between */
	md->nr_thins = 0;
	md->changed = false;
	md->dropped = md->unseen_drops = false;
	md->failed = 0;
	md->no_counts = false;
	while (!tpi_list_empty(&md->dirty))
		tpi_list_pop(&md->dirty);
}

int tpi_metadata_load(struct tpi_metadata *md,
		      const struct tpi_disk_superblock *superblock)
{
	int r;

	if (!md->tm.refs) {
		r = tpi_metadata_sm_load(md->cache,
					 &superblock->metadata_space_map.root,
					 &md->metadata_sm);
		if (r)
			return r;
		use_metadata_sm(md);
	}
	r = tpi_data_sm_load(&md->tm, &superblock->data_space_map.root,
			     &md->data_sm);
	if (r)
		return r;
	adopt_superblock(md, superblock);

	return 0;
}

void tpi_metadata_unload(struct tpi_metadata *md)
{
	drop_space_maps(md);
	md->tm.refs = NULL;
}

int tpi_metadata_load_for_lookups(struct tpi_metadata *md,
				  const struct tpi_disk_superblock *superblock)
{
	int r;

	tpi_metadata_unload(md);
	r = tpi_metadata_sm_load_figures(&superblock->metadata_space_map.root,
					 &md->metadata_sm);
	if (r)
		return r;
	use_metadata_sm(md);
	r = tpi_data_sm_load_figures(&md->tm, &superblock->data_space_map.root,
				     &md->data_sm);
	if (r)
		return r;
	adopt_superblock(md, superblock);
	md->no_counts = true;

	return 0;
}

/* The fields that never change, and those that the first close sets. */
static void make_superblock(struct tpi_metadata *md, tp_mblock nr_blocks,
			    uint32_t data_block_sectors)
{
	struct tpi_disk_superblock *sb = &md->superblock;

	memset(sb, 0, sizeof(*sb));
	sb->magic = le64_make(TPI_SUPERBLOCK_MAGIC);
	sb->version = le32_make(TPI_SUPERBLOCK_VERSION);
	sb->data_block_size = le32_make(data_block_sectors);
	sb->metadata_block_size = le32_make(TPI_METADATA_BLOCK_SECTORS);
	sb->metadata_nr_blocks = le64_make(nr_blocks);
}

int tpi_metadata_make(struct tpi_metadata *md, tp_mblock nr_metadata_blocks,
		      tp_dblock nr_data_blocks, uint32_t data_block_sectors)
{
	tp_mblock superblock;
	int r;

	make_superblock(md, nr_metadata_blocks, data_block_sectors);
	r = tpi_metadata_sm_new(nr_metadata_blocks, &md->metadata_sm);
	if (r)
		return r;
	use_metadata_sm(md);

	/* The first block of an empty map is block 0: the superblock's. */
	r = md->tm.refs->ops->alloc(md->tm.refs, &superblock);
	if (r)
		return r;
	tpi_assert(superblock == 0);

	r = tpi_data_sm_new(&md->tm, nr_data_blocks, &md->data_sm);
	if (!r)
		r = tpi_btree_empty(&md->thins, &md->mapping_root);
	if (!r)
		r = tpi_btree_empty(&md->details, &md->details_root);
	md->changed = true;

	return r;
}

/*---------------------------- looking --------------------------------------*/

void tpi_details_unpack(const struct tpi_disk_details *disk,
			struct tpi_details *details)
{
	details->mapped_blocks = le64_get(disk->mapped_blocks);
	details->transaction_id = le64_get(disk->transaction_id);
	details->creation_time = le32_get(disk->creation_time);
	details->snapshotted_time = le32_get(disk->snapshotted_time);
}

void tpi_details_pack(const struct tpi_details *details,
		      struct tpi_disk_details *disk)
{
	disk->mapped_blocks = le64_make(details->mapped_blocks);
	disk->transaction_id = le64_make(details->transaction_id);
	disk->creation_time = le32_make(details->creation_time);
	disk->snapshotted_time = le32_make(details->snapshotted_time);
}

int tpi_metadata_open_tree(struct tpi_metadata *md, uint64_t id,
			   struct tpi_thin_tree *tree)
{
	struct tpi_disk_details disk;
	le64 root;
	int r;

	r = tpi_btree_lookup(&md->details, md->details_root, id, &disk);
	if (r)
		return r;
	r = tpi_btree_lookup(&md->thins, md->mapping_root, id, &root);
	if (r == -ENODATA)
		return tpi_damage("tree of thins",
				  "thin %llu has details and no mappings",
				  (unsigned long long)id);
	if (r)
		return r;

	memset(tree, 0, sizeof(*tree));
	tree->id = id;
	tree->root = le64_get(root);
	tpi_details_unpack(&disk, &tree->details);
	tpi_list_init(&tree->dirty);

	return 0;
}

int tpi_metadata_heed_time(struct tpi_metadata *md,
			   const struct tpi_thin_tree *tree)
{
	uint32_t time = tree->details.snapshotted_time;

	if (time > TPI_TIME_MAX)
		return tpi_damage("details tree",
				  "thin %llu was snapshotted at %u",
				  (unsigned long long)tree->id, time);
	if (time > md->time)
		md->time = time;

	return 0;
}

int tpi_metadata_next_thin(struct tpi_metadata *md, uint64_t id,
			   uint64_t *found, struct tpi_details *details)
{
	struct tpi_disk_details disk;
	int r;

	r = tpi_btree_next(&md->details, md->details_root, id, found, &disk);
	if (!r)
		tpi_details_unpack(&disk, details);

	return r;
}

struct run_reader {
	struct tpi_metadata *md;
	tp_vblock begin;
	tpi_mapping *mappings;
};

/* What a mapping must keep is checked where it leaves the tree. */
int tpi_mapping_check(struct tpi_metadata *md, tpi_mapping mapping)
{
	if (tpi_mapping_dblock(mapping) < tpi_data_sm_nr_blocks(md->data_sm))
		return 0;

	return tpi_damage(
		"mapping tree", "a mapping to data block %llu of %llu",
		(unsigned long long)tpi_mapping_dblock(mapping),
		(unsigned long long)tpi_data_sm_nr_blocks(md->data_sm));
}

/*
 * A time that has not come yet says nothing, and would pass for later than
 * snapshots that are still to be taken.  So it is taken for the oldest: then the
 * block is shared if any can be.
 */
static tpi_mapping unpack_mapping(const struct tpi_metadata *md, le64 disk)
{
	tpi_mapping mapping = le64_get(disk);

	if (tpi_mapping_time(mapping) <= md->time)
		return mapping;

	return tpi_mapping_make(tpi_mapping_dblock(mapping), 0);
}

static int read_mapping(void *context, uint64_t key, const void *value)
{
	struct run_reader *reader = context;
	tpi_mapping mapping;
	le64 disk;

	memcpy(&disk, value, sizeof(disk));
	mapping = unpack_mapping(reader->md, disk);
	reader->mappings[key - reader->begin] = mapping;

	return tpi_mapping_check(reader->md, mapping);
}

int tpi_metadata_read_run(struct tpi_metadata *md,
			  const struct tpi_thin_tree *tree, tp_vblock begin,
			  unsigned nr, tpi_mapping *mappings)
{
	struct run_reader reader = { md, begin, mappings };
	uint64_t position;

	for (unsigned i = 0; i < nr; i++)
		mappings[i] = TPI_UNMAPPED;

	return tpi_btree_scan(&md->mappings, tree->root, begin, begin + nr,
			      read_mapping, &reader, &position);
}

int tpi_metadata_next_mapped(struct tpi_metadata *md,
			     const struct tpi_thin_tree *tree, tp_vblock vblock,
			     tp_vblock *found, tpi_mapping *mapping)
{
	le64 disk;
	int r;

	r = tpi_btree_next(&md->mappings, tree->root, vblock, found, &disk);
	if (r)
		return r;
	*mapping = unpack_mapping(md, disk);

	return tpi_mapping_check(md, *mapping);
}

int tpi_metadata_previous_mapped(struct tpi_metadata *md,
				 const struct tpi_thin_tree *tree,
				 tp_vblock vblock, tp_vblock *found)
{
	le64 disk;

	return tpi_btree_previous(&md->mappings, tree->root, vblock, found,
				  &disk);
}

int tpi_metadata_is_exclusive(struct tpi_metadata *md,
			      const struct tpi_thin_tree *tree,
			      tp_vblock vblock, tp_dblock dblock,
			      bool *exclusive)
{
	uint32_t count;
	int r;

	*exclusive = false;
	if (md->unseen_drops || tpi_data_sm_was_dropped(md->data_sm, dblock))
		return 0;
	r = tpi_data_sm_count(md->data_sm, dblock, &count);
	if (r || count != 1)
		return r;

	/* The way to the thin's root counts too: a held root shares that. */
	r = tpi_btree_path_is_exclusive(&md->thins, md->mapping_root, tree->id,
					exclusive);
	if (!r && *exclusive)
		r = tpi_btree_path_is_exclusive(&md->mappings, tree->root,
						vblock, exclusive);

	return r;
}

struct exclusive {
	struct tpi_metadata *md;
	uint64_t nr;
};

static int count_if_exclusive(void *context, uint64_t key, const void *value)
{
	struct exclusive *exclusive = context;
	const le64 *mapping = value;
	uint32_t count;
	int r;

	(void)key;
	r = tpi_data_sm_count(exclusive->md->data_sm,
			      tpi_mapping_dblock(le64_get(*mapping)), &count);
	if (!r && count == 1)
		exclusive->nr++;

	return r;
}

int tpi_metadata_count_exclusive(struct tpi_metadata *md,
				 const struct tpi_thin_tree *tree,
				 tp_vblock *position, uint64_t *nr)
{
	struct exclusive exclusive = { .md = md };
	bool private;
	int r;

	if (md->no_counts)
		return tpi_error(-EOPNOTSUPP,
				 "the pool's space maps could not be read");
	r = tpi_btree_path_is_exclusive(&md->thins, md->mapping_root, tree->id,
					&private);
	if (r || !private)
		return r ? r : -ENODATA;
	r = tpi_btree_scan_exclusive(&md->mappings, tree->root,
				     count_if_exclusive, &exclusive, position);
	*nr += exclusive.nr;

	return r;
}

tp_mblock tpi_metadata_nr_free(const struct tpi_metadata *md)
{
	tp_mblock nr_blocks = tpi_metadata_sm_nr_blocks(md->metadata_sm);
	tp_mblock nr_free = tpi_metadata_sm_nr_free(md->metadata_sm);
	tp_mblock reserve = tpi_min(4096, nr_blocks / 10);

	return nr_free > reserve ? nr_free - reserve : 0;
}

tp_mblock tpi_metadata_low_water(const struct tpi_metadata *md)
{
	return tpi_min(1024, tpi_metadata_sm_nr_blocks(md->metadata_sm) / 4);
}

/*---------------------------- transactions ---------------------------------*/

int tpi_metadata_fail(struct tpi_metadata *md, int error)
{
	if (error && error != -EAGAIN && !md->failed)
		md->failed = error;

	return error;
}

int tpi_metadata_refuse(struct tpi_metadata *md, int error)
{
	return error == -ENOMEM ? error : tpi_metadata_fail(md, error);
}

/* Blocks of metadata that one change may make; less where there are few, and
 * trees are low. */
#define CHANGE_BLOCKS_MAX 64u

tp_mblock tpi_metadata_change_blocks(const struct tpi_metadata *md)
{
	tp_mblock nr = tpi_metadata_sm_nr_blocks(md->metadata_sm) / 8;

	return tpi_min(CHANGE_BLOCKS_MAX, tpi_max(TPI_CHANGE_BLOCKS_MIN, nr));
}

/* And counts of blocks: of what two shared nodes refer to that are copied. */
#define CHANGE_COUNTS_MAX 512u

int tpi_metadata_make_room(struct tpi_metadata *md, unsigned nr_changes,
			   uint64_t nr_data_blocks)
{
	tp_mblock close_blocks = tpi_metadata_sm_reserve(md->metadata_sm) +
				 tpi_metadata_change_blocks(md);
	size_t nr_counts = (nr_changes + 1) * CHANGE_COUNTS_MAX;
	int r;

	tpi_cache_set_reserve(md->cache,
			      close_blocks + tpi_metadata_change_blocks(md));
	r = tpi_cache_make_room(
		md->cache,
		close_blocks + nr_changes * tpi_metadata_change_blocks(md));
	if (!r)
		r = tpi_metadata_sm_make_room(md->metadata_sm, nr_counts);
	if (!r)
		r = tpi_data_sm_make_room(md->data_sm,
					  nr_counts + nr_data_blocks);

	return r ? tpi_error(r, "no memory to change the metadata") : 0;
}

static int prepare_details(struct tpi_metadata *md)
{
	struct tpi_list *entry, *following;
	int r = 0;

	tpi_list_each(entry, following, &md->dirty)
	{
		struct tpi_thin_tree *tree =
			tpi_container_of(entry, struct tpi_thin_tree, dirty);

		r = tpi_btree_prepare_insert(&md->details, md->details_root,
					     tree->id, 1);
		if (r)
			return r;
	}

	return r;
}

static int prepare_close(struct tpi_metadata *md)
{
	int r = prepare_details(md);

	if (!r)
		r = tpi_data_sm_prepare_close(md->data_sm);
	if (!r)
		r = tpi_metadata_sm_prepare_close(md->metadata_sm);
	if (!r)
		r = tpi_cache_make_room(
			md->cache, tpi_metadata_sm_reserve(md->metadata_sm) +
					   tpi_metadata_change_blocks(md) / 2);

	return r;
}

int tpi_metadata_prepare_close(struct tpi_metadata *md)
{
	int r;

	tpi_metadata_sm_set_closing(md->metadata_sm, true);
	r = prepare_close(md);
	tpi_metadata_sm_set_closing(md->metadata_sm, false);

	return tpi_metadata_refuse(md, r);
}

int tpi_metadata_write_details(struct tpi_metadata *md, uint64_t id,
			       const struct tpi_details *details)
{
	struct tpi_disk_details disk;

	tpi_details_pack(details, &disk);

	return tpi_btree_insert(&md->details, md->details_root, id, &disk,
				&md->details_root, NULL);
}

static int write_dirty_details(struct tpi_metadata *md)
{
	struct tpi_list *entry;

	while ((entry = tpi_list_pop(&md->dirty))) {
		struct tpi_thin_tree *tree =
			tpi_container_of(entry, struct tpi_thin_tree, dirty);
		int r = tpi_metadata_write_details(md, tree->id,
						   &tree->details);

		if (r)
			return r;
	}

	return 0;
}

static void fill_superblock(struct tpi_metadata *md)
{
	struct tpi_disk_superblock *sb = &md->frozen;

	sb->time = le32_make(md->time);
	sb->transaction_id = le64_make(md->transaction_id);
	sb->held_root = le64_make(md->held_root);
	sb->data_mapping_root = le64_make(md->mapping_root);
	sb->device_details_root = le64_make(md->details_root);
}

static int write_all(struct tpi_metadata *md)
{
	int r = write_dirty_details(md);

	if (!r)
		r = tpi_data_sm_close(md->data_sm,
				      &md->frozen.data_space_map.root);
	if (!r)
		r = tpi_metadata_sm_close(md->metadata_sm,
					  &md->frozen.metadata_space_map.root);

	return r;
}

int tpi_metadata_close(struct tpi_metadata *md)
{
	int r;

	md->frozen = md->superblock;
	tpi_metadata_sm_set_closing(md->metadata_sm, true);
	r = write_all(md);
	tpi_metadata_sm_set_closing(md->metadata_sm, false);
	if (r)
		return tpi_metadata_fail(md, r);

	fill_superblock(md);
	tpi_cache_freeze(md->cache);
	md->changed = false;
	md->dropped = md->unseen_drops = false;
	md->transaction++;

	return 0;
}

void tpi_metadata_committed(struct tpi_metadata *md)
{
	md->superblock = md->frozen;
	md->committed = md->transaction - 1;
	tpi_metadata_sm_committed(md->metadata_sm);
}
