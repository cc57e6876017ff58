/*
 * metadata-change.c - the changes of a transaction: mappings and thins.
 *
 * Every change has two halves.  The first reads all that the second will touch
 * and refuses what cannot be done; it may answer -EAGAIN.  The second changes,
 * and an error there, or one of reading, makes the transaction unfit
 * (tpi_metadata_fail).
 *
 * The root of a thin's mappings is a value in the tree of thins.  Before the
 * first change of a thin in a transaction the path to that value is made
 * private, so that the root itself is counted right before it is shadowed
 * (metadata-format.md, 9.1, last paragraph); afterwards a root that moves is
 * replaced in place.
 */
#include <string.h>

#include "pool/metadata-internal.h"

/*---------------------------- a thin's root --------------------------------*/

/* What the transaction has made private stays in the cache until it closes. */
static int prepare_thin_change(struct tpi_metadata *md,
			       const struct tpi_thin_tree *tree)
{
	if (tree->private_in == md->transaction)
		return 0;

	return tpi_btree_prepare_insert(&md->thins, md->mapping_root, tree->id,
					1);
}

static int make_private(struct tpi_metadata *md, struct tpi_thin_tree *tree)
{
	le64 root = le64_make(tree->root);
	int r;

	if (tree->private_in == md->transaction)
		return 0;
	r = tpi_btree_insert(&md->thins, md->mapping_root, tree->id, &root,
			     &md->mapping_root, NULL);
	if (!r)
		tree->private_in = md->transaction;

	return r;
}

static int replace_root(struct tpi_metadata *md, struct tpi_thin_tree *tree,
			tp_mblock new_root)
{
	le64 root = le64_make(new_root);

	if (new_root == tree->root)
		return 0;
	tree->root = new_root;

	return tpi_btree_insert(&md->roots, md->mapping_root, tree->id, &root,
				&md->mapping_root, NULL);
}

static void changed(struct tpi_metadata *md, struct tpi_thin_tree *tree)
{
	md->changed = true;
	tree->last_change = md->transaction;
	if (tpi_list_empty(&tree->dirty))
		tpi_list_add_tail(&md->dirty, &tree->dirty);
}

/*---------------------------- mappings -------------------------------------*/

/* As many values as are made at a time. */
#define RUN_MAX 256

static int insert_run(struct tpi_metadata *md, struct tpi_thin_tree *tree,
		      tp_vblock vblock, tp_dblock dblock, uint64_t nr)
{
	le64 values[RUN_MAX];
	uint64_t nr_new;
	tp_mblock root;
	int r;

	for (uint64_t i = 0; i < nr; i++)
		values[i] = le64_make(tpi_mapping_make(dblock + i, md->time));
	r = tpi_btree_insert_run(&md->mappings, tree->root, vblock, values, nr,
				 &root, &nr_new);
	if (r)
		return r;
	tree->details.mapped_blocks += nr_new;

	return replace_root(md, tree, root);
}

static int map(struct tpi_metadata *md, struct tpi_thin_tree *tree,
	       tp_vblock vblock, tp_dblock dblock, tp_dblock nr, bool count)
{
	int r;

	r = make_private(md, tree);
	if (!r && count)
		r = tpi_data_sm_inc(md->data_sm, dblock, nr);
	for (uint64_t done = 0; done < nr && !r; done += RUN_MAX)
		r = insert_run(md, tree, vblock + done, dblock + done,
			       tpi_min(RUN_MAX, nr - done));
	changed(md, tree);

	return r;
}

static bool is_free(const struct tpi_metadata *md, tp_mblock nr)
{
	return tpi_metadata_sm_nr_free(md->metadata_sm) >=
	       tpi_metadata_sm_reserve(md->metadata_sm) + nr;
}

bool tpi_metadata_has_room(const struct tpi_metadata *md, unsigned nr_changes)
{
	return is_free(md, nr_changes * tpi_metadata_change_blocks(md));
}

/* Of many, most find the upper nodes of their paths copied already: a leaf of
 * each tree is left, and less than another node. */
#define SNAPSHOTS_APART 16u
#define SNAPSHOT_BLOCKS 3u

bool tpi_metadata_has_snapshot_room(const struct tpi_metadata *md, size_t nr)
{
	size_t nr_apart = tpi_min(nr - 1, (size_t)SNAPSHOTS_APART);

	return is_free(md, tpi_metadata_change_blocks(md) +
				   nr_apart * TPI_CHANGE_BLOCKS_MIN +
				   (nr - 1 - nr_apart) * SNAPSHOT_BLOCKS);
}

static int refuse_full(void)
{
	return tpi_error(-ENOSPC, "the metadata device is full");
}

int tpi_metadata_check_room(struct tpi_metadata *md)
{
	if (tpi_metadata_has_room(md, 1))
		return tpi_metadata_make_room(md, 1, 0);

	return refuse_full();
}

static int prepare_map(struct tpi_metadata *md, struct tpi_thin_tree *tree,
		       tp_vblock vblock, tp_dblock nr)
{
	int r = prepare_thin_change(md, tree);

	if (!r)
		r = tpi_btree_prepare_insert(&md->mappings, tree->root, vblock,
					     nr);

	return r;
}

int tpi_metadata_map(struct tpi_metadata *md, struct tpi_thin_tree *tree,
		     tp_vblock vblock, tp_dblock dblock, tp_dblock nr)
{
	int r = tpi_metadata_check_room(md);

	if (r)
		return r;
	r = prepare_map(md, tree, vblock, nr);
	if (r)
		return tpi_metadata_refuse(md, r);

	return tpi_metadata_fail(md, map(md, tree, vblock, dblock, nr, true));
}

int tpi_metadata_restamp(struct tpi_metadata *md, struct tpi_thin_tree *tree,
			 tp_vblock vblock, tp_dblock dblock)
{
	int r = tpi_metadata_check_room(md);

	if (r)
		return r;
	r = prepare_map(md, tree, vblock, 1);
	if (r)
		return tpi_metadata_refuse(md, r);

	return tpi_metadata_fail(md, map(md, tree, vblock, dblock, 1, false));
}

static int unmap(struct tpi_metadata *md, struct tpi_thin_tree *tree,
		 tp_vblock begin, tp_vblock end, uint64_t *nr_removed)
{
	bool unseen = false;
	tp_mblock root;
	int r;

	r = make_private(md, tree);
	if (!r)
		r = tpi_btree_remove_range(&md->mappings, tree->root, begin,
					   end, &root, nr_removed, &unseen);
	if (!r)
		r = replace_root(md, tree, root);
	md->unseen_drops |= unseen;
	changed(md, tree);

	return r;
}

static int prepare_unmap(struct tpi_metadata *md, struct tpi_thin_tree *tree,
			 tp_vblock begin, tp_vblock end)
{
	int r = prepare_thin_change(md, tree);

	if (!r)
		r = tpi_btree_prepare_remove(&md->mappings, tree->root, begin,
					     end);

	return r;
}

struct counter {
	uint64_t nr;
};

static int count_entry(void *context, uint64_t key, const void *value)
{
	struct counter *counter = context;

	(void)key;
	(void)value;
	counter->nr++;

	return 0;
}

/*
 * What lies beneath a shared node that goes as one is not visited by the
 * removal, so it is counted before: the pieces of a discard are small.
 */
int tpi_metadata_unmap(struct tpi_metadata *md, struct tpi_thin_tree *tree,
		       tp_vblock begin, tp_vblock end)
{
	struct counter counter = { 0 };
	uint64_t position, nr_removed;
	int r;

	r = tpi_btree_scan(&md->mappings, tree->root, begin, end, count_entry,
			   &counter, &position);
	if (!r && counter.nr == 0)
		return 0;
	if (!r && !tpi_metadata_has_room(md, 1))
		return refuse_full();
	if (!r)
		r = tpi_metadata_make_room(md, 1, counter.nr);
	if (!r)
		r = prepare_unmap(md, tree, begin, end);
	if (r)
		return tpi_metadata_refuse(md, r);
	r = unmap(md, tree, begin, end, &nr_removed);
	if (!r)
		tree->details.mapped_blocks -=
			tpi_min(counter.nr, tree->details.mapped_blocks);

	return tpi_metadata_fail(md, r);
}

/*---------------------------- thins ----------------------------------------*/

static int refuse_known(struct tpi_metadata *md, uint64_t id)
{
	struct tpi_disk_details disk;
	int r = tpi_btree_lookup(&md->details, md->details_root, id, &disk);

	if (r == -ENODATA)
		return 0;
	if (!r)
		return tpi_error(-EEXIST, "thin %llu exists already",
				 (unsigned long long)id);

	return r;
}

int tpi_metadata_prepare_add(struct tpi_metadata *md, uint64_t id)
{
	int r = tpi_metadata_check_room(md);

	if (r)
		return r;
	r = tpi_btree_prepare_insert(&md->thins, md->mapping_root, id, 1);
	if (!r)
		r = tpi_btree_prepare_insert(&md->details, md->details_root, id,
					     1);

	return tpi_metadata_refuse(md, r);
}

int tpi_metadata_add_thin(struct tpi_metadata *md, uint64_t id, tp_mblock root,
			  const struct tpi_details *details)
{
	le64 value = le64_make(root);
	int r;

	md->changed = true;
	md->nr_thins += id < TPI_HOST_IDS_END;
	r = tpi_btree_insert(&md->thins, md->mapping_root, id, &value,
			     &md->mapping_root, NULL);
	if (!r)
		r = tpi_metadata_write_details(md, id, details);

	return tpi_metadata_fail(md, r);
}

int tpi_metadata_create_thin(struct tpi_metadata *md, uint64_t id)
{
	struct tpi_details details = {
		.transaction_id = md->transaction_id,
		.creation_time = md->time,
		.snapshotted_time = md->time,
	};
	tp_mblock root;
	int r;

	r = refuse_known(md, id);
	if (!r)
		r = tpi_metadata_prepare_add(md, id);
	if (r)
		return r;
	md->changed = true;
	r = tpi_btree_empty(&md->mappings, &root);
	if (r)
		return tpi_metadata_fail(md, r);

	return tpi_metadata_add_thin(md, id, root, &details);
}

static int check_time(const struct tpi_metadata *md)
{
	if (md->time < TPI_TIME_MAX)
		return 0;

	return tpi_error(-EOVERFLOW,
			 "the pool has taken all of its %u snapshots: no time "
			 "is left for another",
			 TPI_TIME_MAX);
}

static int add_snapshot(struct tpi_metadata *md, uint64_t id,
			struct tpi_thin_tree *origin, bool spend_time)
{
	struct tpi_details details = {
		.mapped_blocks = origin->details.mapped_blocks,
		.transaction_id = md->transaction_id,
	};
	int r;

	md->changed = true;
	r = tpi_tm_inc(&md->tm, origin->root);
	if (r)
		return tpi_metadata_fail(md, r);
	md->time += spend_time;
	details.creation_time = details.snapshotted_time = md->time;
	origin->details.snapshotted_time = md->time;
	origin->last_change = md->transaction;
	r = tpi_metadata_write_details(md, origin->id, &origin->details);
	if (r)
		return tpi_metadata_fail(md, r);

	return tpi_metadata_add_thin(md, id, origin->root, &details);
}

int tpi_metadata_create_snapshot(struct tpi_metadata *md, uint64_t id,
				 uint64_t origin, struct tpi_thin_tree *open,
				 bool spend_time)
{
	struct tpi_thin_tree closed;
	int r;

	r = refuse_known(md, id);
	if (!r && spend_time)
		r = check_time(md);
	if (!r && !open) {
		r = tpi_metadata_open_tree(md, origin, &closed);
		open = &closed;
	}
	if (!r)
		r = tpi_metadata_prepare_add(md, origin);
	if (!r)
		r = tpi_metadata_prepare_add(md, id);
	if (r)
		return r;

	return add_snapshot(md, id, open, spend_time);
}

static int prepare_delete(struct tpi_metadata *md, uint64_t id,
			  const struct tpi_thin_tree *tree, unsigned limit)
{
	unsigned nr_nodes;
	int r;

	r = tpi_btree_count_exclusive(&md->mappings, tree->root, limit + 1,
				      &nr_nodes);
	if (!r && nr_nodes > limit)
		return -EFBIG;
	if (!r && !tpi_metadata_has_room(md, 1))
		return refuse_full();
	if (!r)
		r = tpi_metadata_make_room(
			md, 1,
			tpi_min(tree->details.mapped_blocks,
				(uint64_t)nr_nodes * TPI_LEAF_MAPPINGS_MAX));
	if (!r)
		r = tpi_btree_prepare_remove(&md->thins, md->mapping_root, id,
					     id + 1);
	if (!r)
		r = tpi_btree_prepare_remove(&md->details, md->details_root, id,
					     id + 1);

	return tpi_metadata_refuse(md, r);
}

/* @thins: md->thins, or md->moves if the root has gone elsewhere. */
static int remove_thin(struct tpi_metadata *md, const struct tpi_btree *thins,
		       uint64_t id)
{
	uint64_t nr_removed;
	int r;

	md->changed = true;
	md->nr_thins -= id < TPI_HOST_IDS_END;
	r = tpi_btree_remove_range(thins, md->mapping_root, id, id + 1,
				   &md->mapping_root, &nr_removed, NULL);
	if (!r)
		r = tpi_btree_remove_range(&md->details, md->details_root, id,
					   id + 1, &md->details_root,
					   &nr_removed, NULL);

	return tpi_metadata_fail(md, r);
}

int tpi_metadata_delete_thin(struct tpi_metadata *md, uint64_t id,
			     unsigned limit)
{
	struct tpi_thin_tree tree;
	int r;

	r = tpi_metadata_open_tree(md, id, &tree);
	if (!r)
		r = prepare_delete(md, id, &tree, limit);
	if (r)
		return r;

	/* A subtree that lives on in a snapshot is not looked into. */
	md->unseen_drops = true;

	return remove_thin(md, &md->thins, id);
}

int tpi_metadata_sync_details(struct tpi_metadata *md,
			      struct tpi_thin_tree *tree)
{
	int r;

	if (tpi_list_empty(&tree->dirty))
		return 0;
	r = tpi_metadata_check_room(md);
	if (r)
		return r;
	r = tpi_btree_prepare_insert(&md->details, md->details_root, tree->id,
				     1);
	if (r)
		return tpi_metadata_refuse(md, r);
	r = tpi_metadata_write_details(md, tree->id, &tree->details);
	if (!r)
		tpi_list_del(&tree->dirty);

	return tpi_metadata_fail(md, r);
}

static int prepare_rename(struct tpi_metadata *md, uint64_t id, uint64_t new_id)
{
	int r = tpi_metadata_prepare_add(md, new_id);

	if (!r)
		r = tpi_btree_prepare_remove(&md->moves, md->mapping_root, id,
					     id + 1);
	if (!r)
		r = tpi_btree_prepare_remove(&md->details, md->details_root, id,
					     id + 1);

	return tpi_metadata_refuse(md, r);
}

/* The reference to the thin's root moves from the old entry to the new. */
int tpi_metadata_rename_thin(struct tpi_metadata *md, uint64_t id,
			     uint64_t new_id)
{
	struct tpi_thin_tree tree;
	int r;

	r = tpi_metadata_open_tree(md, id, &tree);
	if (!r)
		r = refuse_known(md, new_id);
	if (!r)
		r = prepare_rename(md, id, new_id);
	if (!r)
		r = tpi_metadata_add_thin(md, new_id, tree.root, &tree.details);
	if (!r)
		r = remove_thin(md, &md->moves, id);

	return r;
}

/* Count the entries of the piece, as many steps as reading them takes. */
static int count_piece(struct tpi_metadata *md, struct tpi_thin_tree *tree,
		       struct tpi_shrink *shrink)
{
	struct counter counter = { 0 };
	int r;

	if (!shrink->counting) {
		r = tpi_btree_last_piece(&md->mappings, tree->root,
					 &shrink->begin);
		if (r)
			return r;
		shrink->counting = true;
		shrink->position = shrink->begin;
		shrink->nr_counted = 0;
	}
	r = tpi_btree_scan(&md->mappings, tree->root, shrink->position,
			   UINT64_MAX, count_entry, &counter,
			   &shrink->position);
	shrink->nr_counted += counter.nr;

	return r;
}

int tpi_metadata_shrink_thin(struct tpi_metadata *md,
			     struct tpi_thin_tree *tree,
			     struct tpi_shrink *shrink)
{
	uint64_t nr_removed;
	int r;

	r = count_piece(md, tree, shrink);
	if (r == -ENODATA)
		return r;
	if (!r && !tpi_metadata_has_room(md, 1))
		return refuse_full();
	if (!r)
		r = tpi_metadata_make_room(md, 1, shrink->nr_counted);
	if (!r)
		r = prepare_unmap(md, tree, shrink->begin, UINT64_MAX);
	if (r)
		return tpi_metadata_refuse(md, r);
	r = unmap(md, tree, shrink->begin, UINT64_MAX, &nr_removed);
	if (!r) {
		tree->details.mapped_blocks -= tpi_min(
			shrink->nr_counted, tree->details.mapped_blocks);
		shrink->counting = false;
	}

	return tpi_metadata_fail(md, r);
}

/*---------------------------- the pool's own -------------------------------*/

void tpi_metadata_set_transaction_id(struct tpi_metadata *md, uint64_t id)
{
	md->transaction_id = id;
	md->changed = true;
}

int tpi_metadata_grow_data(struct tpi_metadata *md, tp_dblock nr_blocks)
{
	int r = tpi_data_sm_grow(md->data_sm, nr_blocks);

	md->changed |= !r;

	return tpi_metadata_refuse(md, r);
}

int tpi_metadata_grow_metadata(struct tpi_metadata *md, tp_mblock nr_blocks)
{
	int r = tpi_metadata_sm_grow(md->metadata_sm, nr_blocks);

	if (r)
		return tpi_metadata_refuse(md, r);
	tpi_cache_grow(md->cache, nr_blocks);
	md->changed = true;

	return 0;
}
