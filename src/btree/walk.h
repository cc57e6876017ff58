/*
 * walk.h - going from a node to its children, believing neither.
 *
 * A validator sees one node.  What spans two is checked here, where the step
 * is made: depth, kind, sizes, keys within what the parent says, no empty node
 * but a root.
 *
 * Key ranges are [low, high] inside the btree, both inclusive: the last child
 * of the last node goes on to the greatest key.
 */
#ifndef TPI_BTREE_WALK_H
#define TPI_BTREE_WALK_H

#include "btree/btree.h"
#include "btree/node.h"

/* A place in a tree, and what is said of the node there by those above. */
struct tpi_place {
	tp_mblock block;
	unsigned depth;     /* of a root: 0 */
	uint64_t low, high; /* where its keys must be */
};

static inline struct tpi_place tpi_place_of_root(tp_mblock root)
{
	return (struct tpi_place){ .block = root, .high = UINT64_MAX };
}

/* Of the @i-th child of the internal @node at @place. */
static inline struct tpi_place tpi_place_of_child(const struct tpi_place *place,
						  const struct tpi_node *node,
						  uint32_t i)
{
	bool last = i + 1 == tpi_node_nr(node);

	return (struct tpi_place){
		.block = tpi_node_child(node, i),
		.depth = place->depth + 1,
		.low = tpi_node_key(node, i),
		.high = last ? place->high : tpi_node_key(node, i + 1) - 1,
	};
}

/* The node at a place.  0, -EAGAIN, -EILSEQ, ... */
int tpi_walk_read(const struct tpi_btree *tree, const struct tpi_place *place,
		  const struct tpi_node **node);

/* From @place to the child that covers @key, the first one if none does; the
 * node at @place is @node. */
static inline struct tpi_place tpi_walk_down(const struct tpi_place *place,
					     const struct tpi_node *node,
					     uint64_t key)
{
	return tpi_place_of_child(place, node,
				  tpi_node_search_clamped(node, key));
}

/* The leaf that covers @key, and its place. */
int tpi_walk_to_leaf(const struct tpi_btree *tree, tp_mblock root, uint64_t key,
		     struct tpi_place *place, const struct tpi_node **leaf);

/* The leaf and index of the entry with the least key >= @key.  -ENODATA. */
int tpi_walk_to_next(const struct tpi_btree *tree, tp_mblock root, uint64_t key,
		     struct tpi_place *place, const struct tpi_node **leaf,
		     uint32_t *index);

/* The last key of [begin, end), which is not empty; an @end of UINT64_MAX has
 * nothing after it. */
static inline uint64_t tpi_last_key(uint64_t end)
{
	return end == UINT64_MAX ? end : end - 1;
}

#endif
