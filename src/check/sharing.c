/*
 * sharing.c - who shares which data blocks, and does each of them know
 * (metadata-format.md, 13).
 *
 * A thin writes in place to a block whose mapping is not older than the thin's
 * last snapshot.  So of a block with two owners, each mapping must be older: if
 * its leaf belongs to several thins, than the last snapshot of each of them.
 * And no thin may map one block twice.
 *
 * Owners are handed down from the roots, level by level.  Then the leaves that
 * may have to do with it are read once more; entries that do are found by all
 * threads, and judged in order.
 */
#include "check/check.h"

#include <inttypes.h>
#include <stdlib.h>

#include "check/owners.h"
#include "check/seal.h"

/* A node of a mapping tree. */
struct member {
	tp_mblock block;
	uint32_t owners;
	uint32_t thin;   /* one of them, as an index */
	uint32_t lowest; /* the earliest of their last snapshots */
	bool involved;   /* has entries that must be looked at */
	bool lost;       /* could be read before, and cannot any more */
};

struct sharing {
	struct tpi_check *check;
	const struct tpi_check_view *view;
	struct tpi_owners owners;
	struct member *members;
	size_t nr_members, members_room;
	const struct tpi_counters *counts; /* by this view's leaves */
	struct tpi_counters *own_counts;   /* if there are none as yet */

	/* Of data blocks with several owners: those met so far.  In pages as
	 * counters have them. */
	uint32_t **met;
};

/*---------------------------- the nodes ------------------------------------*/

static int add_member(void *context, tp_mblock block)
{
	struct sharing *sharing = context;
	size_t room = 2 * sharing->members_room + 64;
	struct member *longer;

	if (sharing->nr_members == sharing->members_room) {
		longer = realloc(sharing->members, room * sizeof(*longer));
		if (!longer)
			return -ENOMEM;
		sharing->members = longer;
		sharing->members_room = room;
	}
	sharing->members[sharing->nr_members] = (struct member){
		.block = block,
		.lowest = UINT32_MAX,
	};
	sharing->check->blocks[block].index = (uint32_t)sharing->nr_members++;

	return 0;
}

static struct tpi_check_block *root_of(const struct tpi_check *check,
				       const struct tpi_check_thin *thin)
{
	return thin->has_root
		       ? tpi_trees_node(check, thin->root, TP_PLACE_MAPPINGS)
		       : NULL;
}

static int collect_members(struct sharing *sharing)
{
	const struct tpi_check_view *view = sharing->view;
	int r = 0;

	tpi_trees_begin_walk(sharing->check);
	for (size_t i = 0; i < view->nr_thins && !r; i++)
		if (root_of(sharing->check, &view->thins[i]))
			r = tpi_trees_walk(sharing->check, view->thins[i].root,
					   TP_PLACE_MAPPINGS, add_member,
					   sharing);

	return r;
}

/*---------------------------- owners ---------------------------------------*/

static int give(struct sharing *sharing, const struct tpi_check_block *node,
		const struct member *from)
{
	struct member *to = &sharing->members[node->index];

	if (to->owners == TPI_OWNERS_NONE)
		to->thin = from->thin;
	to->lowest = (uint32_t)tpi_min(to->lowest, from->lowest);

	return tpi_owners_union(&sharing->owners, to->owners, from->owners,
				&to->owners, NULL);
}

static int give_to_roots(struct sharing *sharing)
{
	const struct tpi_check_view *view = sharing->view;
	int r = 0;

	for (uint32_t i = 0; i < view->nr_thins && !r; i++) {
		const struct tpi_check_thin *thin = &view->thins[i];
		const struct tpi_check_block *root =
			root_of(sharing->check, thin);
		struct member owner = {
			.owners = tpi_owners_single(i),
			.thin = i,
			.lowest = thin->has_details
					  ? thin->details.snapshotted_time
					  : UINT32_MAX,
		};

		if (root)
			r = give(sharing, root, &owner);
	}

	return r;
}

static int give_to_children(struct sharing *sharing, const struct member *from)
{
	const struct tpi_check_block *parent =
		&sharing->check->blocks[from->block];
	const struct tpi_node *node = parent->copy;
	int r = 0;

	for (uint32_t i = 0; i < parent->nr && !r; i++) {
		const struct tpi_check_block *child =
			tpi_trees_node(sharing->check, tpi_node_child(node, i),
				       TP_PLACE_MAPPINGS);

		/* Where the trees are damaged it may not be lower. */
		if (child && child->height < parent->height &&
		    child->mark == sharing->check->nr_walks)
			r = give(sharing, child, from);
	}

	return r;
}

/* Whoever is higher has all of its owners first. */
static int hand_down(struct sharing *sharing)
{
	int r = give_to_roots(sharing);

	for (unsigned height = TPI_BTREE_MAX_DEPTH; height > 0; height--)
		for (size_t i = 0; i < sharing->nr_members && !r; i++) {
			const struct member *member = &sharing->members[i];

			if (sharing->check->blocks[member->block].height ==
			    height)
				r = give_to_children(sharing, member);
		}

	return r;
}

/*---------------------------- entries --------------------------------------*/

static struct member *member_of(const struct sharing *sharing, tp_mblock block)
{
	return &sharing->members[sharing->check->blocks[block].index];
}

static bool has_several_owners(const struct sharing *sharing,
			       const struct member *member)
{
	return !tpi_owners_is_single(&sharing->owners, member->owners);
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
			const struct member *member, tpi_mapping mapping)
{
	return is_in_many_leaves(sharing, tpi_mapping_dblock(mapping)) ||
	       (has_several_owners(sharing, member) &&
		tpi_mapping_time(mapping) >= member->lowest);
}

static void find_involved(void *context, tp_mblock block, const void *data,
			  int status)
{
	const struct sharing *sharing = context;
	struct member *member = member_of(sharing, block);
	const struct tpi_node *node = data;
	const le64 *values;

	member->lost = !is_same_leaf(sharing, block, data, status);
	if (member->lost)
		return;
	values = tpi_node_values(node, 0);
	for (uint32_t i = 0; i < tpi_node_nr(node) && !member->involved; i++)
		member->involved =
			is_involved(sharing, member, le64_get(values[i]));
}

/* The owners of a data block that were met so far; NULL: no memory. */
static uint32_t *met_owners(struct sharing *sharing, tp_dblock block)
{
	uint32_t **page = &sharing->met[block / TPI_BITMAP_ENTRIES];

	if (!*page)
		*page = calloc(TPI_BITMAP_ENTRIES, sizeof(**page));

	return *page ? *page + block % TPI_BITMAP_ENTRIES : NULL;
}

static void prefetch_entry(const struct sharing *sharing,
			   const struct tpi_node *node, uint32_t i)
{
	const le64 *values = tpi_node_values(node, 0);
	const uint32_t *page = NULL;
	tp_dblock block;

	if (i >= tpi_node_nr(node))
		return;
	block = tpi_mapping_dblock(le64_get(values[i]));
	tpi_counters_prefetch(sharing->counts, block);
	if (block < sharing->check->data.nr_blocks)
		page = sharing->met[block / TPI_BITMAP_ENTRIES];
	if (page)
		__builtin_prefetch(page + block % TPI_BITMAP_ENTRIES);
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

static int judge_entry(struct sharing *sharing, const struct member *member,
		       tpi_mapping mapping, bool *unsafe, bool *twice)
{
	tp_dblock block = tpi_mapping_dblock(mapping);
	bool in_many = is_in_many_leaves(sharing, block);
	uint32_t *met;

	*unsafe = tpi_mapping_time(mapping) >= member->lowest &&
		  (in_many || has_several_owners(sharing, member));
	*twice = false;
	if (!in_many)
		return 0;
	met = met_owners(sharing, block);
	if (!met)
		return -ENOMEM;

	return tpi_owners_union(&sharing->owners, *met, member->owners, met,
				twice);
}

static struct tpi_where where_entry(const struct sharing *sharing,
				    const struct member *member, uint64_t key)
{
	return (struct tpi_where){
		.place = TP_PLACE_MAPPINGS,
		.held = sharing->view->held,
		.block = member->block,
		.thin = sharing->view->thins[member->thin].id,
		.begin = key,
		.end = key + 1,
	};
}

static void tell_unsafe(struct sharing *sharing, const struct member *member,
			const struct tpi_node *node,
			const struct wrong_entries *wrong)
{
	const le64 *values = tpi_node_values(node, 0);
	tpi_mapping mapping = le64_get(values[wrong->first]);
	uint64_t key = tpi_node_key(node, wrong->first);
	struct tpi_where where = where_entry(sharing, member, key);

	tpi_tell(sharing->check, TP_CHECK_CORRUPTION, TP_FOUND_UNSAFE_SHARING,
		 &where,
		 "%u mappings look unshared and are not: virtual block %" PRIu64
		 " to data block %" PRIu64
		 ", made at time %u, the last snapshot being of time %u",
		 wrong->nr, key, tpi_mapping_dblock(mapping),
		 tpi_mapping_time(mapping), member->lowest);
}

static void tell_twice(struct sharing *sharing, const struct member *member,
		       const struct tpi_node *node,
		       const struct wrong_entries *wrong)
{
	const le64 *values = tpi_node_values(node, 0);
	uint64_t key = tpi_node_key(node, wrong->first);
	struct tpi_where where = where_entry(sharing, member, key);

	tpi_tell(sharing->check, TP_CHECK_CORRUPTION, TP_FOUND_MAPPED_TWICE,
		 &where,
		 "%u data blocks are mapped a second time by one thin: virtual "
		 "block %" PRIu64 " to data block %" PRIu64,
		 wrong->nr, key,
		 tpi_mapping_dblock(le64_get(values[wrong->first])));
}

static void tell_lost(struct sharing *sharing, const struct member *member)
{
	const struct tpi_check_block *leaf =
		&sharing->check->blocks[member->block];
	struct tpi_where where = where_entry(sharing, member, leaf->first);

	where.end = leaf->last + 1;
	tpi_tell(sharing->check, TP_CHECK_CORRUPTION, TP_FOUND_IO, &where,
		 "it could be read before, and cannot any more");
}

static int judge_leaf(void *context, tp_mblock block, const void *data,
		      int status)
{
	struct sharing *sharing = context;
	const struct member *member = member_of(sharing, block);
	struct wrong_entries unsafe = { 0 }, twice = { 0 };
	const struct tpi_node *node = data;
	const le64 *values;
	int r = 0;

	sharing->check->report.nr_blocks_read++;
	if (member->lost)
		tell_lost(sharing, member);
	if (!member->involved)
		return 0;
	values = tpi_node_values(node, 0);
	for (uint32_t i = 0; i < tpi_node_nr(node) && !r; i++) {
		bool is_unsafe, is_twice;

		prefetch_entry(sharing, node, i + TPI_COUNTERS_AHEAD);
		r = judge_entry(sharing, member, le64_get(values[i]),
				&is_unsafe, &is_twice);
		if (is_unsafe)
			add_wrong(&unsafe, i);
		if (is_twice)
			add_wrong(&twice, i);
	}
	if (unsafe.nr)
		tell_unsafe(sharing, member, node, &unsafe);
	if (twice.nr)
		tell_twice(sharing, member, node, &twice);

	return r;
}

/*---------------------------- leaves ---------------------------------------*/

/* The leaves of the view, in ascending order; all, or those where something
 * may be wrong. */
static int sweep_leaves(struct sharing *sharing, bool all,
			const struct tpi_sweep_ops *ops)
{
	tp_mblock *blocks = calloc(sharing->nr_members + 1, sizeof(*blocks));
	size_t nr = 0;
	int r;

	if (!blocks)
		return -ENOMEM;
	for (size_t i = 0; i < sharing->nr_members; i++) {
		const struct member *member = &sharing->members[i];
		const struct tpi_check_block *leaf =
			&sharing->check->blocks[member->block];

		if (leaf->is_leaf && leaf->nr &&
		    (all || (has_several_owners(sharing, member) &&
			     leaf->max_time >= member->lowest)))
			blocks[nr++] = member->block;
	}
	tpi_sweep_sort(blocks, nr);
	sharing->check->blocks_total += nr;
	r = tpi_sweep_run(sharing->check->sweep, blocks, nr, ops, sharing);
	free(blocks);

	return r;
}

static void check_times(struct sharing *sharing)
{
	uint32_t now = le32_get(sharing->view->superblock->time);

	for (size_t i = 0; i < sharing->nr_members; i++) {
		const struct member *member = &sharing->members[i];
		const struct tpi_check_block *leaf =
			&sharing->check->blocks[member->block];
		struct tpi_where where =
			where_entry(sharing, member, leaf->first);

		if (!leaf->is_leaf || leaf->max_time <= now)
			continue;
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
	const struct tpi_check_map *map = &sharing->check->data;
	const struct tpi_node *node = data;
	const le64 *values;

	if (!is_same_leaf(sharing, block, data, status))
		return;
	values = tpi_node_values(node, 0);
	for (uint32_t i = 0; i < tpi_node_nr(node); i++) {
		tp_dblock dblock = tpi_mapping_dblock(le64_get(values[i]));

		if (dblock < map->nr_blocks &&
		    map->bitmaps[dblock / TPI_BITMAP_ENTRIES].there)
			tpi_counters_add(sharing->own_counts, dblock);
	}
}

/* The live trees' were counted when they were read; those of the metadata
 * snapshot share leaves with them, and are counted now. */
static int count_leaves(struct sharing *sharing)
{
	static const struct tpi_sweep_ops ops = { .examine = count_leaf };
	struct tpi_check *check = sharing->check;
	int r;

	if (!sharing->view->held) {
		sharing->counts = &check->live_counts;
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

	r = collect_members(sharing);
	if (!r)
		r = hand_down(sharing);
	if (r)
		return r;
	check_times(sharing);
	if (tpi_check_has(sharing->check, TP_CHECK_METADATA_SNAPSHOT))
		return 0; /* data blocks were not counted */
	r = count_leaves(sharing);
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
	tpi_owners_exit(&sharing->owners);
	for (size_t i = 0; sharing->met && i < sharing->check->data.nr_bitmaps;
	     i++)
		free(sharing->met[i]);
	free(sharing->met);
	free(sharing->members);
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
	int r = -ENOMEM;

	tpi_owners_init(&sharing.owners, (uint32_t)view->nr_thins);
	sharing.met = calloc(check->data.nr_bitmaps + 1, sizeof(*sharing.met));
	if (sharing.met)
		r = verify(&sharing);
	sharing_exit(&sharing);
	tpi_counters_exit(&own_counts);

	return r;
}
