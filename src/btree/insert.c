/*
 * insert.c - putting entries in (metadata-format.md, 9.1).
 *
 * On the way down, no node that is full is entered before room was made in it,
 * so a node that has to be split always finds room for the new half in its
 * parent.  Room is made with the help of a sibling that has much of it, or by
 * splitting in two.  Both leave at least a third of the entries on each side.
 *
 * Siblings help only if they are in the cache and have no other owner: to read
 * or to copy one costs more than the split that it saves.
 *
 * A key beyond the last of a full node is a sign of keys that come in order.
 * Then the left sibling is filled to the brim, and a split leaves two thirds on
 * the left: so leaves that are written in order end up full.
 */
#include <string.h>

#include "btree/shadow.h"

/* A sibling with less room is no help for long. */
#define MIN_ROOM 8

struct insertion {
	const struct tpi_btree *tree;
	tp_mblock root;

	/* What is left to insert. */
	uint64_t key;
	const char *values;
	uint64_t nr;

	uint64_t nr_inserted;
};

/*---------------------------- making room ----------------------------------*/

static bool has_key(const struct tpi_node *node, uint64_t key)
{
	int i = tpi_node_search(node, key);

	return i >= 0 && tpi_node_key(node, i) == key;
}

static bool needs_room(const struct tpi_node *node, uint64_t key)
{
	if (tpi_node_nr(node) < tpi_node_max(node))
		return false;

	return !tpi_node_is_leaf(node) || !has_key(node, key);
}

/* Is @key, that is about to be inserted in @node, at its end? */
static bool is_at_end(const struct tpi_node *node, uint64_t key)
{
	return key >= tpi_node_key(node, tpi_node_nr(node) - 1);
}

/* How many entries of the full @node stay when it is split. */
static uint32_t split_point(const struct tpi_node *node, uint64_t key)
{
	uint32_t nr = tpi_node_nr(node);

	return is_at_end(node, key) ? nr - tpi_node_min(node) : nr / 2;
}

/* The root keeps its block, and becomes the parent of its two halves. */
static int split_root(const struct tpi_btree *tree, struct tpi_shadow *root,
		      uint64_t key)
{
	enum tpi_node_kind kind = tpi_node_kind_of(root->node);
	uint32_t nr = tpi_node_nr(root->node);
	uint32_t nr_left = split_point(root->node, key);
	struct tpi_node *left, *right;
	tp_mblock left_block, right_block;
	int r;

	r = tpi_shadow_new(tree, kind, &left_block, &left);
	if (r)
		return r;
	r = tpi_shadow_new(tree, kind, &right_block, &right);
	if (r)
		return r;
	tpi_node_copy(left, 0, root->node, 0, nr_left);
	tpi_node_copy(right, 0, root->node, nr_left, nr);

	tpi_node_init(root->node, TPI_NODE_INTERNAL, TPI_CHILD_SIZE);
	tpi_node_insert_child(root->node, 0, tpi_node_key(left, 0), left_block);
	tpi_node_insert_child(root->node, 1, tpi_node_key(right, 0),
			      right_block);

	return 0;
}

/* The @i-th child is full; give it a new sibling on the right. */
static int split_child(const struct tpi_btree *tree,
		       const struct tpi_shadow *parent, uint32_t i,
		       const struct tpi_shadow *child, uint64_t key)
{
	struct tpi_node *right;
	tp_mblock block;
	int r;

	r = tpi_shadow_new(tree, tpi_node_kind_of(child->node), &block, &right);
	if (r)
		return r;
	tpi_node_balance(child->node, right, split_point(child->node, key));
	tpi_node_insert_child(parent->node, i + 1, tpi_node_key(right, 0),
			      block);

	return 0;
}

/* Has the @i-th child of @parent room to spare for its sibling @child? */
static int can_help(const struct tpi_btree *tree,
		    const struct tpi_shadow *parent, uint32_t i,
		    const struct tpi_shadow *child, bool *can)
{
	const struct tpi_node *sibling;
	int r;

	*can = false;
	if (tpi_tm_is_shared(tree->tm, tpi_node_child(parent->node, i)))
		return 0;
	r = tpi_shadow_sibling(tree, parent, i, child, &sibling);
	if (!r && sibling)
		*can = tpi_node_nr(sibling) + MIN_ROOM <= tpi_node_max(sibling);

	return r;
}

/* Evenly; or, for keys that come in order, all that fits to the left. */
static uint32_t nr_for_left(const struct tpi_node *left,
			    const struct tpi_node *right, uint64_t key)
{
	uint32_t total = tpi_node_nr(left) + tpi_node_nr(right);

	if (is_at_end(right, key))
		return tpi_min(tpi_node_max(left), total - tpi_node_min(right));

	return total / 2;
}

static int move_to_left(const struct tpi_btree *tree,
			const struct tpi_shadow *parent, uint32_t i,
			const struct tpi_shadow *child, uint64_t key)
{
	struct tpi_shadow left;
	int r;

	r = tpi_shadow_child(tree, parent, i - 1, &left);
	if (r)
		return r;
	tpi_node_balance(left.node, child->node,
			 nr_for_left(left.node, child->node, key));
	tpi_node_set_key(parent->node, i, tpi_node_key(child->node, 0));

	return 0;
}

static int move_to_right(const struct tpi_btree *tree,
			 const struct tpi_shadow *parent, uint32_t i,
			 const struct tpi_shadow *child)
{
	struct tpi_shadow right;
	uint32_t total;
	int r;

	r = tpi_shadow_child(tree, parent, i + 1, &right);
	if (r)
		return r;
	total = tpi_node_nr(child->node) + tpi_node_nr(right.node);
	tpi_node_balance(child->node, right.node, total / 2);
	tpi_node_set_key(parent->node, i + 1, tpi_node_key(right.node, 0));

	return 0;
}

/* In the full @i-th child, for @key. */
static int make_room(const struct tpi_btree *tree,
		     const struct tpi_shadow *parent, uint32_t i,
		     const struct tpi_shadow *child, uint64_t key)
{
	bool can = false;
	int r;

	if (i) {
		r = can_help(tree, parent, i - 1, child, &can);
		if (r)
			return r;
		if (can)
			return move_to_left(tree, parent, i, child, key);
	}
	if (i + 1 < tpi_node_nr(parent->node) && !is_at_end(child->node, key)) {
		r = can_help(tree, parent, i + 1, child, &can);
		if (r)
			return r;
		if (can)
			return move_to_right(tree, parent, i, child);
	}

	return split_child(tree, parent, i, child, key);
}

/*---------------------------- the finger -----------------------------------*/

/* The leaf at @place is the transaction's own, with the whole path. */
static void point_at(const struct tpi_btree *tree, tp_mblock root,
		     const struct tpi_place *place, const struct tpi_node *leaf)
{
	struct tpi_tm *tm = tree->tm;

	tm->finger = (struct tpi_finger){
		.root = root,
		.low = place->low,
		.high = place->high,
		.leaf = (void *)leaf,
		.era = tpi_cache_era(tm->cache),
	};
}

/* The leaf for @key, if it is known to be writable; else NULL. */
static struct tpi_node *leaf_at_hand(const struct tpi_btree *tree,
				     tp_mblock root, uint64_t key)
{
	const struct tpi_finger *finger = &tree->tm->finger;

	if (finger->root != root || key < finger->low || key > finger->high ||
	    finger->era != tpi_cache_era(tree->tm->cache))
		return NULL;

	return finger->leaf;
}

/*---------------------------- going down -----------------------------------*/

/* The child of @parent that @key belongs to, be it less than all keys there. */
static uint32_t child_for(const struct tpi_shadow *parent, uint64_t key)
{
	if (key < tpi_node_key(parent->node, 0))
		tpi_node_set_key(parent->node, 0, key);

	return tpi_node_search(parent->node, key);
}

/* From an internal node to a child that has room for @key. */
static int go_down(const struct tpi_btree *tree, struct tpi_shadow *shadow,
		   uint64_t key)
{
	struct tpi_shadow parent = *shadow;
	uint32_t i = child_for(&parent, key);
	int r;

	r = tpi_shadow_child(tree, &parent, i, shadow);
	if (r || !needs_room(shadow->node, key))
		return r;
	r = make_room(tree, &parent, i, shadow, key);
	if (r)
		return r;

	/* It may be in a sibling now; all of them concerned are shadows. */
	return tpi_shadow_child(tree, &parent, child_for(&parent, key), shadow);
}

static int descend(struct insertion *in, struct tpi_shadow *leaf)
{
	int r;

	r = tpi_shadow_root(in->tree, in->root, leaf);
	if (r)
		return r;
	in->root = leaf->place.block;
	if (needs_room(leaf->node, in->key)) {
		r = split_root(in->tree, leaf, in->key);
		if (r)
			return r;
	}
	while (!tpi_node_is_leaf(leaf->node)) {
		r = go_down(in->tree, leaf, in->key);
		if (r)
			return r;
	}
	point_at(in->tree, in->root, &leaf->place, leaf->node);

	return 0;
}

/* A leaf that has, or has room for, the next key, and the last key that
 * belongs there. */
static int go_to_leaf(struct insertion *in, struct tpi_node **leaf,
		      uint64_t *high)
{
	struct tpi_shadow shadow;
	int r;

	*leaf = leaf_at_hand(in->tree, in->root, in->key);
	if (*leaf && !needs_room(*leaf, in->key)) {
		*high = in->tree->tm->finger.high;
		return 0;
	}
	r = descend(in, &shadow);
	*leaf = shadow.node;
	*high = shadow.place.high;

	return r;
}

/*---------------------------- in the leaf ----------------------------------*/

static bool same(const struct tpi_btree *tree, const void *a, const void *b)
{
	if (tree->type.same)
		return tree->type.same(tree->context, a, b);

	return !memcmp(a, b, tree->type.size);
}

/* The @i-th value loses its owner to @value. */
static int drop_overwritten(const struct tpi_btree *tree,
			    const struct tpi_node *leaf, uint32_t i,
			    const void *value)
{
	const void *old = tpi_node_values(leaf, i);

	if (!tree->type.dec || same(tree, old, value))
		return 0;

	return tree->type.dec(tree->context, old, 1);
}

/*
 * How many of the keys from in->key on belong in @leaf and fit; @nr_old of them
 * are there already, from the @i-th entry on.
 */
static uint64_t nr_that_fit(const struct insertion *in,
			    const struct tpi_node *leaf, uint64_t high,
			    uint32_t i, uint32_t *nr_old)
{
	uint64_t limit = tpi_min(in->nr - 1, high - in->key) + 1;
	uint32_t room = tpi_node_max(leaf) - tpi_node_nr(leaf);
	uint32_t end = tpi_node_nr(leaf);
	uint64_t nr;

	*nr_old = 0;
	for (nr = 0; nr < limit; nr++) {
		if (i + *nr_old < end &&
		    tpi_node_key(leaf, i + *nr_old) == in->key + nr)
			(*nr_old)++;
		else if (room)
			room--;
		else
			break;
	}

	return nr;
}

/* As many as possible of what is left, at least one. */
static int fill_leaf(struct insertion *in, struct tpi_node *node, uint64_t high)
{
	uint32_t size = in->tree->type.size, nr_old;
	uint32_t begin = tpi_node_lower_bound(node, in->key);
	uint64_t nr = nr_that_fit(in, node, high, begin, &nr_old);
	int r;

	for (uint32_t i = begin; i < begin + nr_old; i++) {
		uint64_t offset = tpi_node_key(node, i) - in->key;

		r = drop_overwritten(in->tree, node, i,
				     in->values + offset * size);
		if (r)
			return r;
	}
	tpi_node_open(node, begin + nr_old, nr - nr_old);
	for (uint64_t i = 0; i < nr; i++)
		tpi_node_set_key(node, begin + i, in->key + i);
	memcpy(tpi_node_values(node, begin), in->values, nr * size);

	in->nr_inserted += nr - nr_old;
	in->key += nr;
	in->values += nr * size;
	in->nr -= nr;

	return 0;
}

/*---------------------------- entries --------------------------------------*/

int tpi_btree_insert_run(const struct tpi_btree *tree, tp_mblock root,
			 uint64_t key, const void *values, uint64_t nr,
			 tp_mblock *new_root, uint64_t *nr_inserted)
{
	struct insertion in = {
		.tree = tree,
		.root = root,
		.key = key,
		.values = values,
		.nr = nr,
	};
	struct tpi_node *leaf;
	uint64_t high;
	int r;

	while (in.nr) {
		r = go_to_leaf(&in, &leaf, &high);
		if (r)
			return r;
		r = fill_leaf(&in, leaf, high);
		if (r)
			return r;
	}
	*new_root = in.root;
	*nr_inserted = in.nr_inserted;

	return 0;
}

int tpi_btree_insert(const struct tpi_btree *tree, tp_mblock root, uint64_t key,
		     const void *value, tp_mblock *new_root, bool *inserted)
{
	uint64_t nr_inserted;
	int r;

	r = tpi_btree_insert_run(tree, root, key, value, 1, new_root,
				 &nr_inserted);
	if (!r && inserted)
		*inserted = nr_inserted;

	return r;
}

int tpi_btree_empty(const struct tpi_btree *tree, tp_mblock *root)
{
	struct tpi_node *node;

	return tpi_shadow_new(tree, TPI_NODE_LEAF, root, &node);
}

/*---------------------------- preparing ------------------------------------*/

/* The keys [first, last] are to be inserted at or below @place.  Siblings are
 * not read: they help if they happen to be here. */
static int prepare(const struct tpi_btree *tree, const struct tpi_place *place,
		   uint64_t first, uint64_t last)
{
	const struct tpi_node *node;
	uint32_t i;
	int r;

	r = tpi_walk_read(tree, place, &node);
	if (r)
		return r;
	if (tpi_node_is_leaf(node))
		return 0;

	i = tpi_node_search_clamped(node, first);
	do {
		struct tpi_place child = tpi_place_of_child(place, node, i);

		r = prepare(tree, &child, first, last);
		if (r)
			return r;
		i++;
	} while (i < tpi_node_nr(node) && tpi_node_key(node, i) <= last);

	return 0;
}

/* Only for @key; the leaf covers the keys up to *@high. */
static int prepare_path(const struct tpi_btree *tree, tp_mblock root,
			uint64_t key, uint64_t *high)
{
	struct tpi_place place = tpi_place_of_root(root);
	const struct tpi_node *node = leaf_at_hand(tree, root, key);
	bool own = true;
	int r;

	if (node) {
		*high = tree->tm->finger.high;
		return 0;
	}
	for (;;) {
		r = tpi_walk_read(tree, &place, &node);
		if (r)
			return r;
		own = own && tpi_tm_is_own(tree->tm, place.block);
		if (tpi_node_is_leaf(node))
			break;
		place = tpi_walk_down(&place, node, key);
	}
	if (own)
		point_at(tree, root, &place, node);
	*high = place.high;

	return 0;
}

int tpi_btree_prepare_insert(const struct tpi_btree *tree, tp_mblock root,
			     uint64_t key, uint64_t nr)
{
	struct tpi_place place = tpi_place_of_root(root);
	uint64_t last, high;
	int r;

	if (!nr)
		return 0;
	last = key + tpi_min(nr - 1, UINT64_MAX - key);
	r = prepare_path(tree, root, key, &high);
	if (r || last <= high)
		return r;

	return prepare(tree, &place, key, last);
}
