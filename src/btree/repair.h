/*
 * repair.h - filling up the nodes that a removal has left too empty.
 */
#ifndef TPI_BTREE_REPAIR_H
#define TPI_BTREE_REPAIR_H

#include "btree/btree.h"

/*
 * After [begin, end) was cut out of the tree: fill up the nodes at both edges
 * of the cut.  *@root is replaced.
 */
int tpi_repair(const struct tpi_btree *tree, tp_mblock *root, uint64_t begin,
	       uint64_t end);

/* A root that has one child gives its place to the child. */
int tpi_repair_root(const struct tpi_btree *tree, tp_mblock *root);

/* Read what tpi_repair() may touch besides what the cut will. */
int tpi_prepare_repair(const struct tpi_btree *tree, tp_mblock root,
		       uint64_t begin, uint64_t end);

#endif
