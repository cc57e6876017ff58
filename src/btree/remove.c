/*
 * remove.c - taking a range of keys out (metadata-format.md, 9.2).
 *
 * First the cut.  A subtree wholly inside the range is dropped; a node that is
 * only partly inside is shadowed, and the cut goes on within it.  So only nodes
 * at the two edges of the range are written, however long it is.  Then, if one
 * of these was left with too few entries, the repair (repair.c).
 */
#include "btree/drop.h"
#include "btree/repair.h"
#include "btree/shadow.h"

struct cut {
	const struct tpi_btree *tree;
	uint64_t first, last; /* keys; both are in the range */
	struct tpi_dropped dropped;
	bool too_empty; /* a node that is not the root */
};

static bool is_inside(const struct cut *cut, const struct tpi_place *place)
{
	return cut->first <= place->low && place->high <= cut->last;
}

/* The end of the entries of @leaf that are in the range. */
static uint32_t end_in_leaf(const struct cut *cut, const struct tpi_node *leaf)
{
	return tpi_node_search(leaf, cut->last) + 1;
}

/*---------------------------- the cut --------------------------------------*/

static int cut_leaf(struct cut *cut, struct tpi_node *leaf)
{
	const struct tpi_btree *tree = cut->tree;
	uint32_t begin = tpi_node_lower_bound(leaf, cut->first);
	uint32_t end = end_in_leaf(cut, leaf);
	int r;

	if (begin == end)
		return 0;
	if (tree->type.dec) {
		r = tree->type.dec(tree->context, tpi_node_values(leaf, begin),
				   end - begin);
		if (r)
			return r;
	}
	tpi_node_erase(leaf, begin, end);
	cut->dropped.nr_entries += end - begin;

	return 0;
}

static int cut_node(struct cut *cut, const struct tpi_shadow *shadow);

/* Cut out of the @i-th child; @gone: it is empty then, and dropped. */
static int cut_child(struct cut *cut, const struct tpi_shadow *parent,
		     uint32_t i, bool *gone)
{
	struct tpi_shadow child;
	uint32_t nr;
	int r;

	r = tpi_shadow_child(cut->tree, parent, i, &child);
	if (r)
		return r;
	r = cut_node(cut, &child);
	if (r)
		return r;
	nr = tpi_node_nr(child.node);
	*gone = !nr;
	if (!nr)
		return tpi_tm_dec(cut->tree->tm, child.place.block);
	if (nr < tpi_node_min(child.node))
		cut->too_empty = true;

	return 0;
}

static int cut_internal(struct cut *cut, const struct tpi_shadow *shadow)
{
	struct tpi_node *node = shadow->node;
	uint32_t i = tpi_node_search_clamped(node, cut->first);
	int r;

	while (i < tpi_node_nr(node) && tpi_node_key(node, i) <= cut->last) {
		struct tpi_place child =
			tpi_place_of_child(&shadow->place, node, i);
		bool gone = true;

		if (is_inside(cut, &child))
			r = tpi_drop(cut->tree, &child, &cut->dropped);
		else
			r = cut_child(cut, shadow, i, &gone);
		if (r)
			return r;
		if (gone)
			tpi_node_erase(node, i, i + 1);
		else
			i++;
	}

	return 0;
}

static int cut_node(struct cut *cut, const struct tpi_shadow *shadow)
{
	return tpi_node_is_leaf(shadow->node) ? cut_leaf(cut, shadow->node)
					      : cut_internal(cut, shadow);
}

/* Of a tree that has lost all its entries one empty leaf is left. */
static int cut_tree(struct cut *cut, tp_mblock *root)
{
	const struct tpi_btree *tree = cut->tree;
	struct tpi_place place = tpi_place_of_root(*root);
	struct tpi_shadow shadow;
	int r;

	if (is_inside(cut, &place)) {
		r = tpi_drop(tree, &place, &cut->dropped);
		return r ? r : tpi_btree_empty(tree, root);
	}
	r = tpi_shadow_root(tree, *root, &shadow);
	if (r)
		return r;
	r = cut_node(cut, &shadow);
	if (r)
		return r;
	if (!tpi_node_nr(shadow.node))
		tpi_node_init(shadow.node, TPI_NODE_LEAF, tree->type.size);
	*root = shadow.place.block;

	return 0;
}

static int remove_range(struct cut *cut, tp_mblock *root, uint64_t begin,
			uint64_t end)
{
	int r;

	r = cut_tree(cut, root);
	if (!r && cut->too_empty)
		r = tpi_repair(cut->tree, root, begin, end);
	if (!r)
		r = tpi_repair_root(cut->tree, root);

	return r;
}

int tpi_btree_remove_range(const struct tpi_btree *tree, tp_mblock root,
			   uint64_t begin, uint64_t end, tp_mblock *new_root,
			   uint64_t *nr_removed, bool *dropped_shared)
{
	struct cut cut = {
		.tree = tree,
		.first = begin,
		.last = tpi_last_key(end),
	};
	int r = 0;

	if (begin < end)
		r = remove_range(&cut, &root, begin, end);
	if (r)
		return r;
	*new_root = root;
	*nr_removed = cut.dropped.nr_entries;
	if (dropped_shared)
		*dropped_shared = cut.dropped.shared;

	return 0;
}

/*---------------------------- preparing ------------------------------------*/

/*
 * The same way as the cut, reading only, and counting what it will leave: where
 * no node is left too empty there will be no repair.
 *
 * Beneath a node that has another owner everything is going to have one, once
 * that node was shadowed, and will be dropped unseen.
 */
static int prepare_node(struct cut *cut, const struct tpi_place *place,
			bool shared, uint32_t *nr_left);

static int prepare_leaf(const struct cut *cut, const struct tpi_node *leaf,
			bool shared, uint32_t *nr_left)
{
	uint32_t begin = tpi_node_lower_bound(leaf, cut->first);
	uint32_t end = end_in_leaf(cut, leaf);

	*nr_left = tpi_node_nr(leaf) - (end - begin);

	return shared ? 0 : tpi_prepare_dec(cut->tree, leaf, begin, end);
}

static int prepare_child(struct cut *cut, const struct tpi_place *place,
			 bool shared, uint32_t *nr_left)
{
	if (!is_inside(cut, place))
		return prepare_node(cut, place, shared, nr_left);
	*nr_left = 0;

	return shared ? 0 : tpi_prepare_drop(cut->tree, place);
}

static int prepare_internal(struct cut *cut, const struct tpi_place *place,
			    const struct tpi_node *node, bool shared,
			    uint32_t *nr_left)
{
	uint32_t i = tpi_node_search_clamped(node, cut->first);
	int r, result = 0;

	*nr_left = tpi_node_nr(node);
	for (; i < tpi_node_nr(node) && tpi_node_key(node, i) <= cut->last;
	     i++) {
		struct tpi_place child = tpi_place_of_child(place, node, i);
		uint32_t nr_below = 0;

		r = prepare_child(cut, &child, shared, &nr_below);
		if (r && r != -EAGAIN)
			return r;
		if (r)
			result = r;
		if (!nr_below)
			(*nr_left)--;
	}

	return result;
}

static int prepare_node(struct cut *cut, const struct tpi_place *place,
			bool shared, uint32_t *nr_left)
{
	const struct tpi_node *node;
	int r;

	shared = shared || tpi_tm_is_shared(cut->tree->tm, place->block);
	r = tpi_walk_read(cut->tree, place, &node);
	if (r)
		return r;
	r = tpi_node_is_leaf(node)
		    ? prepare_leaf(cut, node, shared, nr_left)
		    : prepare_internal(cut, place, node, shared, nr_left);
	if (!r && place->depth && *nr_left < tpi_node_min(node))
		cut->too_empty = true;

	return r;
}

int tpi_btree_prepare_remove(const struct tpi_btree *tree, tp_mblock root,
			     uint64_t begin, uint64_t end)
{
	struct tpi_place place = tpi_place_of_root(root);
	struct cut cut = {
		.tree = tree,
		.first = begin,
		.last = tpi_last_key(end),
	};
	uint32_t nr_left;
	int r;

	if (begin >= end)
		return 0;
	r = prepare_child(&cut, &place, false, &nr_left);
	if (!r && cut.too_empty)
		r = tpi_prepare_repair(tree, root, begin, end);

	return r;
}
