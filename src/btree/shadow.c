/*
 * shadow.c - going from a node to its children to change them.
 */
#include "btree/shadow.h"

#include <inttypes.h>

int tpi_shadow_read(const struct tpi_btree *tree, const struct tpi_place *place,
		    const struct tpi_node **node)
{
	int r = tpi_walk_read(tree, place, node);

	if (r == -EAGAIN)
		r = tpi_damage(tree->name,
			       "block %" PRIu64
			       " was not met before it was changed",
			       place->block);

	return r;
}

int tpi_shadow_inc_entries(const struct tpi_btree *tree,
			   const struct tpi_node *node)
{
	uint32_t nr = tpi_node_nr(node);

	if (tpi_node_is_leaf(node)) {
		if (!tree->type.inc || !nr)
			return 0;
		return tree->type.inc(tree->context, tpi_node_values(node, 0),
				      nr);
	}
	for (uint32_t i = 0; i < nr; i++) {
		int r = tpi_tm_inc(tree->tm, tpi_node_child(node, i));

		if (r)
			return r;
	}

	return 0;
}

/* Shadow the node at @place, of which nothing is known yet. */
static int shadow_at(const struct tpi_btree *tree,
		     const struct tpi_place *place, struct tpi_shadow *shadow)
{
	const struct tpi_node *node;
	bool copied_shared;
	void *data;
	int r;

	r = tpi_shadow_read(tree, place, &node);
	if (r)
		return r;
	shadow->place = *place;
	r = tpi_tm_shadow(tree->tm, place->block, &tpi_node_validator,
			  &shadow->place.block, &data, &copied_shared);
	if (r)
		return r;
	shadow->node = data;

	return copied_shared ? tpi_shadow_inc_entries(tree, shadow->node) : 0;
}

int tpi_shadow_root(const struct tpi_btree *tree, tp_mblock root,
		    struct tpi_shadow *shadow)
{
	struct tpi_place place = tpi_place_of_root(root);

	tree->tm->finger.root = 0;

	return shadow_at(tree, &place, shadow);
}

int tpi_shadow_child(const struct tpi_btree *tree,
		     const struct tpi_shadow *parent, uint32_t i,
		     struct tpi_shadow *child)
{
	struct tpi_place place =
		tpi_place_of_child(&parent->place, parent->node, i);
	int r;

	r = shadow_at(tree, &place, child);
	if (!r)
		tpi_node_set_child(parent->node, i, child->place.block);

	return r;
}

int tpi_shadow_new(const struct tpi_btree *tree, enum tpi_node_kind kind,
		   tp_mblock *block, struct tpi_node **node)
{
	void *data;
	int r;

	r = tpi_tm_new_block(tree->tm, &tpi_node_validator, block, &data);
	if (r)
		return r;
	*node = data;
	tpi_node_init(*node, kind,
		      kind == TPI_NODE_LEAF ? tree->type.size : TPI_CHILD_SIZE);

	return 0;
}

int tpi_shadow_sibling(const struct tpi_btree *tree,
		       const struct tpi_shadow *parent, uint32_t i,
		       const struct tpi_shadow *child,
		       const struct tpi_node **sibling)
{
	struct tpi_place place =
		tpi_place_of_child(&parent->place, parent->node, i);
	const struct tpi_node *node = NULL;
	int r;

	if (tpi_cache_is_here(tree->tm->cache, place.block)) {
		r = tpi_shadow_read(tree, &place, &node);
		if (r)
			return r;
		if (tpi_node_is_leaf(node) != tpi_node_is_leaf(child->node))
			return tpi_damage(tree->name,
					  "blocks %" PRIu64 " and %" PRIu64
					  ": a leaf beside an internal node",
					  place.block, child->place.block);
	}
	*sibling = node;

	return 0;
}
