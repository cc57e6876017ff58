/*
 * cursor.c - walking a tree in the order of its keys.
 *
 * Leaves are not linked, and the leaf to the right is found by a new descent to
 * the key after the last that this leaf may hold.  So nothing is held between
 * two steps but keys, and a walk can be broken off anywhere.
 */
#include <string.h>

#include "btree/walk.h"

/*---------------------------- scanning -------------------------------------*/

static int scan_leaf(const struct tpi_node *leaf, uint64_t last,
		     tpi_btree_each_fn each, void *context, uint64_t *position)
{
	uint32_t i = tpi_node_lower_bound(leaf, *position);

	for (; i < tpi_node_nr(leaf) && tpi_node_key(leaf, i) <= last; i++) {
		int r;

		*position = tpi_node_key(leaf, i);
		r = each(context, *position, tpi_node_values(leaf, i));
		if (r)
			return r;
	}

	return 0;
}

int tpi_btree_scan(const struct tpi_btree *tree, tp_mblock root, uint64_t begin,
		   uint64_t end, tpi_btree_each_fn each, void *context,
		   uint64_t *position)
{
	const struct tpi_node *leaf;
	struct tpi_place place;
	int r;

	*position = begin;
	while (*position < end) {
		r = tpi_walk_to_leaf(tree, root, *position, &place, &leaf);
		if (r)
			return r;
		r = scan_leaf(leaf, tpi_last_key(end), each, context, position);
		if (r)
			return r;
		if (place.high >= tpi_last_key(end))
			break;
		*position = place.high + 1;
	}
	*position = tpi_max(begin, end);

	return 0;
}

/* The leaf that covers @key, if no node on the way to it has another owner; else
 * the place is the first that has one, and the leaf is NULL. */
static int walk_to_exclusive(const struct tpi_btree *tree, tp_mblock root,
			     uint64_t key, struct tpi_place *place,
			     const struct tpi_node **leaf)
{
	*place = tpi_place_of_root(root);
	while (!tpi_tm_is_shared(tree->tm, place->block)) {
		int r = tpi_walk_read(tree, place, leaf);

		if (r || tpi_node_is_leaf(*leaf))
			return r;
		*place = tpi_walk_down(place, *leaf, key);
	}
	*leaf = NULL;

	return 0;
}

int tpi_btree_scan_exclusive(const struct tpi_btree *tree, tp_mblock root,
			     tpi_btree_each_fn each, void *context,
			     uint64_t *position)
{
	const struct tpi_node *leaf;
	struct tpi_place place;
	int r;

	r = walk_to_exclusive(tree, root, *position, &place, &leaf);
	if (!r && leaf)
		r = scan_leaf(leaf, UINT64_MAX, each, context, position);
	if (r)
		return r;
	if (place.high == UINT64_MAX)
		return -ENODATA;
	*position = place.high + 1;

	return 0;
}

/*---------------------------- entry by entry -------------------------------*/

static void stand_at(struct tpi_btree_cursor *cursor,
		     const struct tpi_place *place, const struct tpi_node *leaf,
		     uint32_t i)
{
	cursor->leaf = place->block;
	cursor->depth = place->depth;
	cursor->low = place->low;
	cursor->high = place->high;
	cursor->index = i;
	cursor->key = tpi_node_key(leaf, i);
	memcpy(cursor->value, tpi_node_values(leaf, i),
	       tpi_node_value_size(leaf));
	cursor->at_entry = true;
}

static int seek(struct tpi_btree_cursor *cursor, uint64_t key)
{
	const struct tpi_node *leaf;
	struct tpi_place place;
	uint32_t i;
	int r;

	r = tpi_walk_to_next(cursor->tree, cursor->root, key, &place, &leaf,
			     &i);
	if (!r)
		stand_at(cursor, &place, leaf, i);
	else if (r == -ENODATA)
		cursor->at_entry = false;

	return r;
}

int tpi_btree_cursor_seek(struct tpi_btree_cursor *cursor,
			  const struct tpi_btree *tree, tp_mblock root,
			  uint64_t key)
{
	*cursor = (struct tpi_btree_cursor){ .tree = tree, .root = root };

	return seek(cursor, key);
}

int tpi_btree_cursor_next(struct tpi_btree_cursor *cursor)
{
	struct tpi_place place = {
		.block = cursor->leaf,
		.depth = cursor->depth,
		.low = cursor->low,
		.high = cursor->high,
	};
	const struct tpi_node *leaf;
	int r;

	if (!cursor->at_entry)
		return -ENODATA;
	r = tpi_walk_read(cursor->tree, &place, &leaf);
	if (r)
		return r;
	if (cursor->index + 1 < tpi_node_nr(leaf)) {
		stand_at(cursor, &place, leaf, cursor->index + 1);
		return 0;
	}
	if (cursor->high == UINT64_MAX) {
		cursor->at_entry = false;
		return -ENODATA;
	}

	return seek(cursor, cursor->high + 1);
}

int tpi_btree_cursor_get(const struct tpi_btree_cursor *cursor, uint64_t *key,
			 void *value)
{
	if (!cursor->at_entry)
		return -ENODATA;
	*key = cursor->key;
	memcpy(value, cursor->value, cursor->tree->type.size);

	return 0;
}
