/*
 * walk.c - going from a node to its children, believing neither.
 */
#include "btree/walk.h"

#include <inttypes.h>

static int check_kind(const struct tpi_btree *tree,
		      const struct tpi_place *place,
		      const struct tpi_node *node)
{
	if (tpi_node_is_leaf(node) &&
	    tpi_node_value_size(node) != tree->type.size)
		return tpi_damage(tree->name,
				  "block %" PRIu64 ": values of %" PRIu32
				  " bytes, not %" PRIu32,
				  place->block, tpi_node_value_size(node),
				  tree->type.size);
	if (place->depth && !tpi_node_nr(node))
		return tpi_damage(tree->name,
				  "block %" PRIu64 ": empty, and not the root",
				  place->block);

	return 0;
}

static int check_keys(const struct tpi_btree *tree,
		      const struct tpi_place *place,
		      const struct tpi_node *node)
{
	uint32_t nr = tpi_node_nr(node);

	if (nr && (tpi_node_key(node, 0) < place->low ||
		   tpi_node_key(node, nr - 1) > place->high))
		return tpi_damage(tree->name,
				  "block %" PRIu64 ": keys %" PRIu64
				  " to %" PRIu64 " where %" PRIu64
				  " to %" PRIu64 " belong",
				  place->block, tpi_node_key(node, 0),
				  tpi_node_key(node, nr - 1), place->low,
				  place->high);

	return 0;
}

int tpi_walk_read(const struct tpi_btree *tree, const struct tpi_place *place,
		  const struct tpi_node **result)
{
	const struct tpi_node *node;
	const void *data;
	int r;

	if (place->depth >= TPI_BTREE_MAX_DEPTH)
		return tpi_damage(tree->name,
				  "block %" PRIu64 ": deeper than %d",
				  place->block, TPI_BTREE_MAX_DEPTH);
	r = tpi_tm_read(tree->tm, place->block, &tpi_node_validator, &data);
	if (r)
		return r;
	node = data;
	r = check_kind(tree, place, node);
	if (r)
		return r;
	r = check_keys(tree, place, node);
	if (!r)
		*result = node;

	return r;
}

int tpi_walk_to_leaf(const struct tpi_btree *tree, tp_mblock root, uint64_t key,
		     struct tpi_place *place, const struct tpi_node **leaf)
{
	*place = tpi_place_of_root(root);
	for (;;) {
		int r = tpi_walk_read(tree, place, leaf);

		if (r || tpi_node_is_leaf(*leaf))
			return r;
		*place = tpi_walk_down(place, *leaf, key);
	}
}

/*
 * If the leaf that covers the key has nothing at or after it, the first entry
 * of the leaf to the right is meant; and there is one, for only a root may be
 * empty.
 */
int tpi_walk_to_next(const struct tpi_btree *tree, tp_mblock root, uint64_t key,
		     struct tpi_place *place, const struct tpi_node **leaf,
		     uint32_t *index)
{
	for (;;) {
		int r;

		r = tpi_walk_to_leaf(tree, root, key, place, leaf);
		if (r)
			return r;
		*index = tpi_node_lower_bound(*leaf, key);
		if (*index < tpi_node_nr(*leaf))
			return 0;
		if (place->high == UINT64_MAX)
			return -ENODATA;
		key = place->high + 1;
	}
}
