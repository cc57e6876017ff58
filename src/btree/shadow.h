/*
 * shadow.h - going from a node to its children to change them.
 *
 * From the root down, each node is shadowed when it is entered, and its parent,
 * a shadow already, made to point at the copy.  So of a tree that is changed
 * only what was visited is written, and no older tree sees any of it.
 *
 * What is met here was read when the change was prepared.  A miss after all
 * means that two places of the tree claim one block, and is damage.
 */
#ifndef TPI_BTREE_SHADOW_H
#define TPI_BTREE_SHADOW_H

#include "btree/walk.h"

/* A writable node, and its place. */
struct tpi_shadow {
	struct tpi_place place;
	struct tpi_node *node;
};

/* As tpi_walk_read(), of a node that is here: never -EAGAIN. */
int tpi_shadow_read(const struct tpi_btree *tree, const struct tpi_place *place,
		    const struct tpi_node **node);

int tpi_shadow_root(const struct tpi_btree *tree, tp_mblock root,
		    struct tpi_shadow *shadow);

/* The @i-th child of @parent. */
int tpi_shadow_child(const struct tpi_btree *tree,
		     const struct tpi_shadow *parent, uint32_t i,
		     struct tpi_shadow *child);

/* A new node without entries; its place is the caller's to say. */
int tpi_shadow_new(const struct tpi_btree *tree, enum tpi_node_kind kind,
		   tp_mblock *block, struct tpi_node **node);

/* The entries of @node have got another owner. */
int tpi_shadow_inc_entries(const struct tpi_btree *tree,
			   const struct tpi_node *node);

/*
 * The @i-th child of @parent, beside @child, to see whether it can lend a hand.
 * NULL if it is not here: it was not wanted enough to be read.  -EILSEQ: one is
 * a leaf, the other not.
 */
int tpi_shadow_sibling(const struct tpi_btree *tree,
		       const struct tpi_shadow *parent, uint32_t i,
		       const struct tpi_shadow *child,
		       const struct tpi_node **sibling);

#endif
