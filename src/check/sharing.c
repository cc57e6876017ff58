/*
 * sharing.c - who shares which data blocks, and does each of them know
 * (metadata-format.md, 13).
 *
 * A thin writes in place to a block whose mapping is not older than the thin's
 * last snapshot.  So of a block with two owners, each mapping must be older: if
 * its leaf belongs to several thins, than the last snapshot of each of them.
 * And no thin may map one block twice.
 *
 * A thin that is being emptied (pool/deletion.c) owns nothing: nobody can read
 * or write it any more.  What was only in a metadata snapshot becomes one, and
 * still shares leaves with a thin that was never snapshotted.
 *
 * Owners are handed down from the roots, level by level.  Then the leaves that
 * may have to do with it are read once more; entries that do are found by all
 * threads, and judged in order.
 */
#include "check/check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "check/met.h"
#include "check/owners.h"
#include "check/seal.h"

/* Whose a node is.  Many have the same holders, so nodes have their number;
 * 0: nobody's. */
struct holders {
	uint32_t owners;
	uint32_t thin;   /* one of them, as an index */
	uint32_t lowest; /* the earliest of their last snapshots */
};

struct sharing {
	struct tpi_check *check;
	const struct tpi_check_view *view;
	struct tpi_owners owners;
	struct holders *holders;
	size_t nr_holders, holders_room;
	struct tpi_block_table by_content; /* hash to number of holders */
	const struct tpi_counters *counts; /* by this view's leaves */
	struct tpi_counters *own_counts;   /* if there are none as yet */
	struct tpi_met met;                /* entries so far */
};

/*---------------------------- the nodes ------------------------------------*/

/* The number of a node's holders. */
static uint32_t *holders_of(const struct sharing *sharing,
			    struct tpi_check_block *node)
{
	return node->is_leaf ? &node->index
			     : &tpi_check_kept(sharing->check, node)->index;
}

static int forget_holders(void *context, tp_mblock block)
{
	const struct sharing *sharing = context;

	*holders_of(sharing, &sharing->check->blocks[block]) = 0;

	return 0;
}

static struct tpi_check_block *root_of(const struct tpi_check *check,
				       const struct tpi_check_thin *thin)
{
	return thin->has_root
		       ? tpi_trees_node(check, thin->root, TP_PLACE_MAPPINGS)
		       : NULL;
}

static bool is_owner(const struct tpi_check_thin *thin)
{
	return !tpi_id_is_of_deleted(thin->id);
}

static bool all_are_owners(const struct tpi_check_view *view)
{
	for (size_t i = 0; i < view->nr_thins; i++)
		if (!is_owner(&view->thins[i]))
			return false;

	return true;
}

/* From now on the nodes of the view are those that this walk met: the
 * owners'. */
static int meet_nodes(struct sharing *sharing)
{
	const struct tpi_check_view *view = sharing->view;
	int r = 0;

	tpi_trees_begin_walk(sharing->check);
	for (size_t i = 0; i < view->nr_thins && !r; i++)
		if (is_owner(&view->thins[i]) &&
		    root_of(sharing->check, &view->thins[i]))
			r = tpi_trees_walk(sharing->check, view->thins[i].root,
					   TP_PLACE_MAPPINGS, forget_holders,
					   sharing);

	return r;
}

/* The node, if it is one of the view. */
static struct tpi_check_block *node_of_view(const struct sharing *sharing,
					    tp_mblock block)
{
	struct tpi_check_block *known =
		tpi_trees_node(sharing->check, block, TP_PLACE_MAPPINGS);

	return known && known->mark == sharing->check->nr_walks ? known : NULL;
}

/* The leaf, if it is one of the view and has entries. */
static struct tpi_check_block *leaf_of_view(const struct sharing *sharing,
					    tp_mblock block)
{
	struct tpi_check_block *known = node_of_view(sharing, block);

	return known && known->is_leaf && known->nr ? known : NULL;
}

/*---------------------------- holders --------------------------------------*/

static bool are_the_same(const struct holders *a, const struct holders *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* UINT64_MAX is not to be had as a key. */
static uint64_t hash_of(const struct holders *holders)
{
	return XXH3_64bits(holders, sizeof(*holders)) >> 1;
}

static int make_room(struct sharing *sharing)
{
	size_t room = 2 * sharing->holders_room + 64;
	struct holders *longer;

	if (sharing->nr_holders < sharing->holders_room)
		return 0;
	longer = realloc(sharing->holders, room * sizeof(*longer));
	if (!longer)
		return -ENOMEM;
	sharing->holders = longer;
	sharing->holders_room = room;

	return 0;
}

static int number_holders(struct sharing *sharing,
			  const struct holders *holders, uint32_t *number)
{
	uint64_t hash = hash_of(holders);
	uint32_t *known = tpi_block_table_find(&sharing->by_content, hash);
	int r;

	if (known && are_the_same(holders, &sharing->holders[*known])) {
		*number = *known;
		return 0;
	}
	r = make_room(sharing);
	if (r)
		return r;
	if (!known)
		known = tpi_block_table_add(&sharing->by_content, hash);
	if (!known)
		return -ENOMEM;
	*number = *known = (uint32_t)sharing->nr_holders;
	sharing->holders[sharing->nr_holders++] = *holders;

	return 0;
}

/* Add the holders @from to those of @to. */
static int give(struct sharing *sharing, uint32_t from, uint32_t *to)
{
	const struct holders *a = &sharing->holders[from];
	const struct holders *b = &sharing->holders[*to];
	struct holders both;
	int r;

	if (!from || !*to || *to == from) {
		*to = from ? from : *to;
		return 0;
	}
	both.thin = (uint32_t)tpi_min(a->thin, b->thin);
	both.lowest = (uint32_t)tpi_min(a->lowest, b->lowest);
	r = tpi_owners_union(&sharing->owners, a->owners, b->owners,
			     &both.owners, NULL);

	return r ? r : number_holders(sharing, &both, to);
}

static int give_to_root(struct sharing *sharing, uint32_t i)
{
	const struct tpi_check_thin *thin = &sharing->view->thins[i];
	struct tpi_check_block *root = root_of(sharing->check, thin);
	struct holders holders = {
		.owners = tpi_owners_single(i),
		.thin = i,
		.lowest = thin->has_details ? thin->details.snapshotted_time
					    : UINT32_MAX,
	};
	uint32_t number;
	int r;

	if (!root || !is_owner(thin))
		return 0;
	r = number_holders(sharing, &holders, &number);

	return r ? r : give(sharing, number, holders_of(sharing, root));
}

static int give_to_children(struct sharing *sharing,
			    const struct tpi_check_block *parent)
{
	const struct tpi_kept_block *kept =
		tpi_check_kept(sharing->check, parent);
	const struct tpi_node *node = (const struct tpi_node *)kept->copy;
	int r = 0;

	for (uint32_t i = 0; i < parent->nr && !r; i++) {
		struct tpi_check_block *child =
			node_of_view(sharing, tpi_node_child(node, i));

		/* Where the trees are damaged it may not be lower. */
		if (child && child->height < parent->height)
			r = give(sharing, kept->index,
				 holders_of(sharing, child));
	}

	return r;
}

static int hand_down_from(struct sharing *sharing, unsigned height)
{
	const struct tpi_check *check = sharing->check;
	int r = 0;

	for (size_t i = 0; i < check->nr_kept && !r; i++) {
		const struct tpi_check_block *node =
			node_of_view(sharing, check->kept[i]->block);

		if (node && node->height == height)
			r = give_to_children(sharing, node);
	}

	return r;
}

/* Whoever is higher has all of its owners first. */
static int hand_down(struct sharing *sharing)
{
	struct holders nobody = { .owners = TPI_OWNERS_NONE,
				  .lowest = UINT32_MAX };
	uint32_t number;
	int r;

	r = number_holders(sharing, &nobody, &number);
	for (uint32_t i = 0; i < sharing->view->nr_thins && !r; i++)
		r = give_to_root(sharing, i);
	for (unsigned height = TPI_BTREE_MAX_DEPTH; height > 0 && !r; height--)
		r = hand_down_from(sharing, height);

	return r;
}

/*---------------------------- entries --------------------------------------*/

static const struct holders *holders_of_leaf(const struct sharing *sharing,
					     const struct tpi_check_block *leaf)
{
	return &sharing->holders[leaf->index];
}

static bool are_several(const struct sharing *sharing,
			const struct holders *holders)
{
	return !tpi_owners_is_single(&sharing->owners, holders->owners);
}

static bool is_in_many_leaves(const struct sharing *sharing, tp_dblock block)
{
	return tpi_counters_get(sharing->counts, block) > 1;
}

/* It was a leaf when it was read before; since then the device may have changed
 * its mind. */
static bool is_same_leaf(const struct sharing *sharing, tp_mblock block,
			 const void *data, int status)
{
	const struct tpi_node *node = data;
	struct tpi_seal_look look;

	if (status)
		return false;
	look = tpi_seal_look(&tpi_node_validator, block, data);

	return look.right_checksum && look.right_number &&
	       tpi_node_is_leaf(node) &&
	       tpi_node_max(node) == tpi_node_capacity(sizeof(le64)) &&
	       tpi_node_value_size(node) == sizeof(le64) &&
	       tpi_node_nr(node) == sharing->check->blocks[block].nr;
}

static bool is_involved(const struct sharing *sharing,
			const struct holders *holders, tpi_mapping mapping)
{
	return is_in_many_leaves(sharing, tpi_mapping_dblock(mapping)) ||
	       (are_several(sharing, holders) &&
		tpi_mapping_time(mapping) >= holders->lowest);
}

static void prefetch_count(const struct sharing *sharing,
			   const struct tpi_node *leaf, uint32_t i)
{
	const le64 *values = tpi_node_values(leaf, 0);

	if (i < tpi_node_nr(leaf))
		tpi_counters_prefetch(sharing->counts,
				      tpi_mapping_dblock(le64_get(values[i])));
}

static void find_involved(void *context, tp_mblock block, const void *data,
			  int status)
{
	const struct sharing *sharing = context;
	struct tpi_check_block *leaf = &sharing->check->blocks[block];
	const struct holders *holders = holders_of_leaf(sharing, leaf);
	const struct tpi_node *node = data;
	const le64 *values;

	leaf->involved = false;
	leaf->lost = !is_same_leaf(sharing, block, data, status);
	if (leaf->lost)
		return;
	values = tpi_node_values(node, 0);
	for (uint32_t i = 0; i < tpi_node_nr(node) && !leaf->involved; i++) {
		prefetch_count(sharing, node, i + TPI_COUNTERS_AHEAD);
		leaf->involved =
			is_involved(sharing, holders, le64_get(values[i]));
	}
}

/* Entries of one leaf that are wrong in the same way are told together. */
struct wrong_entries {
	uint32_t nr, first;
};

static void add_wrong(struct wrong_entries *wrong, uint32_t i)
{
	if (!wrong->nr++)
		wrong->first = i;
}

static int judge_entry(struct sharing *sharing, const struct holders *holders,
		       tpi_mapping mapping, bool *unsafe, bool *twice)
{
	tp_dblock block = tpi_mapping_dblock(mapping);
	bool in_many = is_in_many_leaves(sharing, block);

	*unsafe = tpi_mapping_time(mapping) >= holders->lowest &&
		  (in_many || are_several(sharing, holders));
	*twice = false;

	return in_many ? tpi_met_add(&sharing->met, block, holders->owners,
				     twice)
		       : 0;
}

static struct tpi_where where_entry(const struct sharing *sharing,
				    tp_mblock block, uint64_t key)
{
	const struct holders *holders =
		holders_of_leaf(sharing, &sharing->check->blocks[block]);

	return (struct tpi_where){
		.place = TP_PLACE_MAPPINGS,
		.held = sharing->view->held,
		.block = block,
		.thin = sharing->view->thins[holders->thin].id,
		.begin = key,
		.end = key + 1,
	};
}

static void tell_unsafe(struct sharing *sharing, tp_mblock block,
			const struct tpi_node *node,
			const struct wrong_entries *wrong)
{
	const le64 *values = tpi_node_values(node, 0);
	tpi_mapping mapping = le64_get(values[wrong->first]);
	uint64_t key = tpi_node_key(node, wrong->first);
	struct tpi_where where = where_entry(sharing, block, key);
	const struct holders *holders =
		holders_of_leaf(sharing, &sharing->check->blocks[block]);

	tpi_tell(sharing->check, TP_CHECK_CORRUPTION, TP_FOUND_UNSAFE_SHARING,
		 &where,
		 "%u mappings look unshared and are not: virtual block %" PRIu64
		 " to data block %" PRIu64
		 ", made at time %u, the last snapshot being of time %u",
		 wrong->nr, key, tpi_mapping_dblock(mapping),
		 tpi_mapping_time(mapping), holders->lowest);
}

static void tell_twice(struct sharing *sharing, tp_mblock block,
		       const struct tpi_node *node,
		       const struct wrong_entries *wrong)
{
	const le64 *values = tpi_node_values(node, 0);
	uint64_t key = tpi_node_key(node, wrong->first);
	struct tpi_where where = where_entry(sharing, block, key);

	tpi_tell(sharing->check, TP_CHECK_CORRUPTION, TP_FOUND_MAPPED_TWICE,
		 &where,
		 "%u data blocks are mapped a second time by one thin: virtual "
		 "block %" PRIu64 " to data block %" PRIu64,
		 wrong->nr, key,
		 tpi_mapping_dblock(le64_get(values[wrong->first])));
}

static void tell_lost(struct sharing *sharing, tp_mblock block)
{
	const struct tpi_check_block *leaf = &sharing->check->blocks[block];
	struct tpi_where where = where_entry(sharing, block, leaf->first);

	where.end = leaf->last + 1;
	tpi_tell(sharing->check, TP_CHECK_CORRUPTION, TP_FOUND_IO, &where,
		 "it could be read before, and cannot any more");
}

static int judge_leaf(void *context, tp_mblock block, const void *data,
		      int status)
{
	struct sharing *sharing = context;
	const struct tpi_check_block *leaf = &sharing->check->blocks[block];
	struct wrong_entries unsafe = { 0 }, twice = { 0 };
	const struct tpi_node *node = data;
	const le64 *values;
	int r = 0;

	sharing->check->report.nr_blocks_read++;
	if (leaf->lost)
		tell_lost(sharing, block);
	if (!leaf->involved)
		return 0;
	values = tpi_node_values(node, 0);
	for (uint32_t i = 0; i < tpi_node_nr(node) && !r; i++) {
		bool is_unsafe, is_twice;

		prefetch_count(sharing, node, i + TPI_COUNTERS_AHEAD);
		r = judge_entry(sharing, holders_of_leaf(sharing, leaf),
				le64_get(values[i]), &is_unsafe, &is_twice);
		if (is_unsafe)
			add_wrong(&unsafe, i);
		if (is_twice)
			add_wrong(&twice, i);
	}
	if (unsafe.nr)
		tell_unsafe(sharing, block, node, &unsafe);
	if (twice.nr)
		tell_twice(sharing, block, node, &twice);

	return r;
}

/*---------------------------- leaves ---------------------------------------*/

/* Those of the view; all, or those where something may be wrong. */
static int sweep_leaves(struct sharing *sharing, bool all,
			const struct tpi_sweep_ops *ops)
{
	struct tpi_check *check = sharing->check;

	for (tp_mblock block = 1; block < check->end; block++) {
		const struct tpi_check_block *leaf =
			leaf_of_view(sharing, block);
		const struct holders *holders;

		if (!leaf)
			continue;
		holders = holders_of_leaf(sharing, leaf);
		if (all || (are_several(sharing, holders) &&
			    leaf->max_time >= holders->lowest))
			tpi_frontier_add(&check->frontier, block);
	}
	check->blocks_total += check->frontier.nr;

	return tpi_sweep_run(check->sweep, &check->frontier, ops, sharing);
}

static void check_times(struct sharing *sharing)
{
	uint32_t now = le32_get(sharing->view->superblock->time);

	for (tp_mblock block = 1; block < sharing->check->end; block++) {
		const struct tpi_check_block *leaf =
			leaf_of_view(sharing, block);
		struct tpi_where where;

		if (!leaf || leaf->max_time <= now)
			continue;
		where = where_entry(sharing, block, leaf->first);
		where.end = leaf->last + 1;
		tpi_tell(sharing->check, TP_CHECK_CORRUPTION,
			 TP_FOUND_MAPPING_TIME, &where,
			 "mappings made at time %u, and now is %u",
			 leaf->max_time, now);
	}
}

/*---------------------------- the counts of a view -------------------------*/

static void count_leaf(void *context, tp_mblock block, const void *data,
		       int status)
{
	struct sharing *sharing = context;

	if (is_same_leaf(sharing, block, data, status))
		tpi_load_count(sharing->check, sharing->own_counts, data);
}

/* The live trees' were counted when they were read; where some of these have no
 * owner, and those of the metadata snapshot, which share leaves with them, are
 * counted now. */
static int count_leaves(struct sharing *sharing)
{
	static const struct tpi_sweep_ops ops = { .examine = count_leaf };
	struct tpi_check *check = sharing->check;
	int r;

	if (!sharing->view->held && all_are_owners(sharing->view)) {
		sharing->counts = &check->counts;
		return 0;
	}
	sharing->counts = sharing->own_counts;
	r = tpi_counters_init(sharing->own_counts, check->data.nr_blocks);
	if (!r)
		r = sweep_leaves(sharing, true, &ops);
	if (!r && atomic_load(&sharing->own_counts->out_of_memory))
		r = -ENOMEM;

	return r;
}

/*---------------------------- all of it ------------------------------------*/

static int verify(struct sharing *sharing)
{
	static const struct tpi_sweep_ops ops = {
		.examine = find_involved,
		.integrate = judge_leaf,
	};
	struct tpi_where where = TPI_WHERE(TP_PLACE_IMAGE, TP_CHECK_NONE);
	int r;

	r = meet_nodes(sharing);
	if (!r)
		r = hand_down(sharing);
	if (r)
		return r;
	check_times(sharing);
	if (tpi_check_has(sharing->check, TP_CHECK_METADATA_SNAPSHOT))
		return 0; /* data blocks were not counted */
	r = count_leaves(sharing);
	if (!r)
		r = tpi_met_init(&sharing->met, sharing->counts,
				 &sharing->owners);
	if (!r)
		r = sweep_leaves(sharing,
				 atomic_load(&sharing->counts->nr_shared),
				 &ops);
	if (!r && sharing->owners.full)
		tpi_tell(sharing->check, TP_CHECK_WARNING,
			 TP_FOUND_SHARING_UNCHECKED, &where,
			 "too many combinations of thins share blocks: it was "
			 "not checked whether one of them maps a block twice");

	return r;
}

static void sharing_exit(struct sharing *sharing)
{
	tpi_met_exit(&sharing->met);
	tpi_owners_exit(&sharing->owners);
	tpi_block_table_exit(&sharing->by_content);
	free(sharing->holders);
}

int tpi_sharing_verify(struct tpi_check *check,
		       const struct tpi_check_view *view)
{
	struct tpi_counters own_counts = { 0 };
	struct sharing sharing = {
		.check = check,
		.view = view,
		.own_counts = &own_counts,
	};
	int r;

	tpi_owners_init(&sharing.owners, (uint32_t)view->nr_thins);
	tpi_block_table_init(&sharing.by_content, sizeof(uint32_t));
	r = verify(&sharing);
	sharing_exit(&sharing);
	tpi_counters_exit(&own_counts);

	return r;
}
