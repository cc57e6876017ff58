/*
 * lookup.c - finding single entries.
 */
#include <string.h>

#include "btree/walk.h"

static void get_entry(const struct tpi_node *leaf, uint32_t i, uint64_t *key,
		      void *value)
{
	*key = tpi_node_key(leaf, i);
	memcpy(value, tpi_node_values(leaf, i), tpi_node_value_size(leaf));
}

int tpi_btree_lookup(const struct tpi_btree *tree, tp_mblock root, uint64_t key,
		     void *value)
{
	const struct tpi_node *leaf;
	struct tpi_place place;
	int r, i;

	r = tpi_walk_to_leaf(tree, root, key, &place, &leaf);
	if (r)
		return r;
	i = tpi_node_search(leaf, key);
	if (i < 0 || tpi_node_key(leaf, i) != key)
		return -ENODATA;
	memcpy(value, tpi_node_values(leaf, i), tree->type.size);

	return 0;
}

int tpi_btree_next(const struct tpi_btree *tree, tp_mblock root, uint64_t key,
		   uint64_t *found, void *value)
{
	const struct tpi_node *leaf;
	struct tpi_place place;
	uint32_t i;
	int r;

	r = tpi_walk_to_next(tree, root, key, &place, &leaf, &i);
	if (!r)
		get_entry(leaf, i, found, value);

	return r;
}

/*
 * The leaf that covers @key; or -ENODATA if that, or a node above it, begins
 * after @key, and then everything at or before @key is before @place->low.
 */
static int walk_to_leaf_before(const struct tpi_btree *tree, tp_mblock root,
			       uint64_t key, struct tpi_place *place,
			       const struct tpi_node **leaf)
{
	*place = tpi_place_of_root(root);
	for (;;) {
		int r, i;

		r = tpi_walk_read(tree, place, leaf);
		if (r)
			return r;
		i = tpi_node_search(*leaf, key);
		if (i < 0)
			return -ENODATA;
		if (tpi_node_is_leaf(*leaf))
			return 0;
		*place = tpi_place_of_child(place, *leaf, i);
	}
}

int tpi_btree_previous(const struct tpi_btree *tree, tp_mblock root,
		       uint64_t key, uint64_t *found, void *value)
{
	const struct tpi_node *leaf;
	struct tpi_place place;
	int r;

	for (;;) {
		r = walk_to_leaf_before(tree, root, key, &place, &leaf);
		if (r != -ENODATA)
			break;
		if (!place.low)
			return -ENODATA;
		key = place.low - 1;
	}
	if (!r)
		get_entry(leaf, tpi_node_search(leaf, key), found, value);

	return r;
}

int tpi_btree_path_is_exclusive(const struct tpi_btree *tree, tp_mblock root,
				uint64_t key, bool *exclusive)
{
	struct tpi_place place = tpi_place_of_root(root);
	const struct tpi_node *node;
	int r;

	while (!tpi_tm_is_shared(tree->tm, place.block)) {
		r = tpi_walk_read(tree, &place, &node);
		if (r)
			return r;
		if (tpi_node_is_leaf(node)) {
			*exclusive = true;
			return 0;
		}
		place = tpi_walk_down(&place, node, key);
	}
	*exclusive = false;

	return 0;
}

int tpi_btree_last_piece(const struct tpi_btree *tree, tp_mblock root,
			 uint64_t *begin)
{
	struct tpi_place place = tpi_place_of_root(root);
	const struct tpi_node *node;
	int r;

	do {
		r = tpi_walk_read(tree, &place, &node);
		if (r)
			return r;
		if (!tpi_node_nr(node))
			return -ENODATA;
		if (tpi_node_is_leaf(node) ||
		    tpi_tm_is_shared(tree->tm, place.block))
			break;
		place = tpi_place_of_child(&place, node, tpi_node_nr(node) - 1);
	} while (!tpi_tm_is_shared(tree->tm, place.block));
	*begin = place.low;

	return 0;
}
