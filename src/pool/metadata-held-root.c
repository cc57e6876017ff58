/*
 * metadata-held-root.c - metadata snapshots (metadata-format.md, 14): a copy of
 * the superblock that holds the trees which it refers to.
 *
 * A release takes it apart piece by piece, for trees that only the copy refers
 * to may share nodes: what one of them leaves has to be read before the next is
 * dropped.  Of what it shares with T(r) it only gives up its reference, and
 * does not look into it.
 */
#include <string.h>

#include "pool/metadata-internal.h"

/*---------------------------- reserve --------------------------------------*/

/* The committed superblock, with a number of its own and without space maps. */
static void copy_superblock(const struct tpi_metadata *md, void *data)
{
	struct tpi_disk_superblock *copy = data;

	*copy = md->superblock;
	memset(&copy->data_space_map, 0, sizeof(copy->data_space_map));
	memset(&copy->metadata_space_map, 0, sizeof(copy->metadata_space_map));
}

int tpi_metadata_reserve_held_root(struct tpi_metadata *md)
{
	tp_mblock block;
	void *data;
	int r;

	tpi_assert(!md->changed);
	if (md->held_root)
		return tpi_error(-EBUSY,
				 "the pool has a metadata snapshot already: "
				 "release it first");
	r = tpi_metadata_check_room(md);
	if (r)
		return r;
	r = tpi_tm_new_block(&md->tm, &tpi_superblock_validator, &block, &data);
	if (r)
		return tpi_metadata_fail(md, r);
	md->changed = true;
	copy_superblock(md, data);
	r = tpi_tm_inc(&md->tm, md->mapping_root);
	if (!r)
		r = tpi_tm_inc(&md->tm, md->details_root);
	if (!r)
		md->held_root = block;

	return tpi_metadata_fail(md, r);
}

/*---------------------------- release --------------------------------------*/

/* Want of space is only told as long as nothing has changed; want of memory
 * always, for this piece may be tried again. */
static int refuse(struct tpi_metadata *md, const struct tpi_release *release,
		  int error)
{
	if (error == -ENOMEM)
		return error;
	if (release->changed)
		return tpi_metadata_fail(md, error);

	return error == -ENOSPC ? error : tpi_metadata_refuse(md, error);
}

static void begin_change(struct tpi_metadata *md, struct tpi_release *release)
{
	release->changed = true;
	md->changed = true;

	/* What lives on in T(r) is not looked into. */
	md->unseen_drops = true;
}

static int read_held_root(struct tpi_metadata *md, struct tpi_release *release)
{
	const struct tpi_disk_superblock *copy;
	const void *data;
	int r;

	if (!md->held_root)
		return tpi_error(-EINVAL, "the pool has no metadata snapshot");
	r = tpi_tm_read(&md->tm, md->held_root, &tpi_superblock_validator,
			&data);
	if (r)
		return tpi_metadata_refuse(md, r);
	copy = data;
	release->mapping_root = le64_get(copy->data_mapping_root);
	release->details_root = le64_get(copy->device_details_root);
	release->started = true;

	return 0;
}

/* Nodes of the thin's tree that nobody else has, but not counted far beyond
 * @limit. */
static int count_nodes(struct tpi_metadata *md,
		       const struct tpi_release *release, uint64_t id,
		       tp_mblock root, unsigned limit, unsigned *nr_nodes)
{
	bool exclusive;
	int r;

	*nr_nodes = 0;
	r = tpi_btree_path_is_exclusive(&md->thins, release->mapping_root, id,
					&exclusive);
	if (r || !exclusive)
		return r;

	return tpi_btree_count_exclusive(&md->mappings, root, limit + 1,
					 nr_nodes);
}

/* @thins: md->thins, or md->moves if the root has gone elsewhere. */
static int remove_thin(struct tpi_metadata *md, struct tpi_release *release,
		       const struct tpi_btree *thins, uint64_t id)
{
	uint64_t nr_removed;

	return tpi_btree_remove_range(thins, release->mapping_root, id, id + 1,
				      &release->mapping_root, &nr_removed,
				      NULL);
}

static int drop_thin(struct tpi_metadata *md, struct tpi_release *release,
		     uint64_t id, unsigned nr_nodes)
{
	int r = tpi_metadata_make_room(
		md, 1, (uint64_t)nr_nodes * TPI_LEAF_MAPPINGS_MAX);

	if (!r)
		r = tpi_btree_prepare_remove(&md->thins, release->mapping_root,
					     id, id + 1);
	if (r)
		return refuse(md, release, r);
	begin_change(md, release);
	release->nr_dropped += nr_nodes;

	return tpi_metadata_fail(md, remove_thin(md, release, &md->thins, id));
}

static int move_thin(struct tpi_metadata *md, struct tpi_release *release,
		     uint64_t id, tp_mblock root, uint64_t new_id)
{
	struct tpi_disk_details disk;
	struct tpi_details details;
	int r;

	r = tpi_btree_lookup(&md->details, release->details_root, id, &disk);
	if (r == -ENODATA)
		r = tpi_damage("metadata snapshot",
			       "thin %llu has mappings and no details",
			       (unsigned long long)id);
	if (!r)
		r = tpi_metadata_prepare_add(md, new_id);
	if (!r)
		r = tpi_btree_prepare_remove(&md->moves, release->mapping_root,
					     id, id + 1);
	if (r)
		return refuse(md, release, r);
	begin_change(md, release);
	tpi_details_unpack(&disk, &details);
	r = tpi_metadata_add_thin(md, new_id, root, &details);
	if (!r)
		r = remove_thin(md, release, &md->moves, id);

	return tpi_metadata_fail(md, r);
}

/* -ENODATA: there is none, or all of them lie beneath what T(r) has too. */
static int release_thin(struct tpi_metadata *md, struct tpi_release *release,
			unsigned limit, uint64_t new_id, bool *moved)
{
	unsigned left = limit - tpi_min(limit, release->nr_dropped), nr_nodes;
	uint64_t id;
	le64 root;
	int r;

	if (tpi_tm_is_shared(&md->tm, release->mapping_root))
		return -ENODATA;
	r = tpi_btree_next(&md->thins, release->mapping_root, 0, &id, &root);
	if (!r)
		r = count_nodes(md, release, id, le64_get(root), left,
				&nr_nodes);
	if (r)
		return r == -ENODATA ? r : refuse(md, release, r);
	*moved = nr_nodes > left;
	if (*moved)
		return move_thin(md, release, id, le64_get(root), new_id);

	return drop_thin(md, release, id, nr_nodes);
}

static int release_details(struct tpi_metadata *md, struct tpi_release *release)
{
	uint64_t begin, nr_removed;
	int r;

	if (tpi_tm_is_shared(&md->tm, release->details_root))
		return -ENODATA;
	r = tpi_btree_last_piece(&md->details, release->details_root, &begin);
	if (r == -ENODATA)
		return r;
	if (!r)
		r = tpi_metadata_make_room(md, 1, 0);
	if (!r)
		r = tpi_btree_prepare_remove(
			&md->details, release->details_root, begin, UINT64_MAX);
	if (r)
		return refuse(md, release, r);
	begin_change(md, release);
	r = tpi_btree_remove_range(&md->details, release->details_root, begin,
				   UINT64_MAX, &release->details_root,
				   &nr_removed, NULL);

	return tpi_metadata_fail(md, r);
}

/* Memory for so many pieces is there from the beginning. */
#define PIECES_FORESEEN 8u

static unsigned nr_foreseen(const struct tpi_metadata *md)
{
	size_t nr =
		tpi_cache_limit(md->cache) / 4 / tpi_metadata_change_blocks(md);

	return (unsigned)tpi_max((size_t)1,
				 tpi_min(nr, (size_t)PIECES_FORESEEN));
}

/* It cannot be left half done, so there is some to spare at the beginning. */
static int find_space(struct tpi_metadata *md,
		      const struct tpi_release *release)
{
	if (release->changed)
		return tpi_metadata_check_room(md);
	if (!tpi_metadata_has_room(md, 2))
		return tpi_error(-ENOSPC, "the metadata device is full");

	return tpi_metadata_make_room(md, nr_foreseen(md), 0);
}

int tpi_metadata_release_piece(struct tpi_metadata *md,
			       struct tpi_release *release, unsigned limit,
			       uint64_t new_id, bool *moved)
{
	int r = 0;

	*moved = false;
	if (!release->started)
		r = read_held_root(md, release);
	if (!r)
		r = find_space(md, release);
	if (r)
		return release->started ? refuse(md, release, r) : r;
	r = release_thin(md, release, limit, new_id, moved);

	return r == -ENODATA ? release_details(md, release) : r;
}

/* The roots that are left have another owner, or are empty. */
int tpi_metadata_release_held_root(struct tpi_metadata *md,
				   struct tpi_release *release)
{
	int r;

	r = tpi_btree_prepare_delete(&md->thins, release->mapping_root);
	if (!r)
		r = tpi_btree_prepare_delete(&md->details,
					     release->details_root);
	if (r)
		return refuse(md, release, r);
	begin_change(md, release);
	r = tpi_btree_delete(&md->thins, release->mapping_root);
	if (!r)
		r = tpi_btree_delete(&md->details, release->details_root);
	if (!r)
		r = tpi_tm_dec(&md->tm, md->held_root);
	if (!r)
		md->held_root = 0;

	return tpi_metadata_fail(md, r);
}
