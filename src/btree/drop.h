/*
 * drop.h - taking away a reference to a part of a tree, and what goes with it.
 */
#ifndef TPI_BTREE_DROP_H
#define TPI_BTREE_DROP_H

#include "btree/walk.h"

/* What was dropped. */
struct tpi_dropped {
	uint64_t nr_entries; /* that were visited */
	bool shared;         /* a node with another owner was not visited */
};

/* Drop the subtree at @place; see tpi_btree_delete(). */
int tpi_drop(const struct tpi_btree *tree, const struct tpi_place *place,
	     struct tpi_dropped *dropped);

/* Read all that this will touch. */
int tpi_prepare_drop(const struct tpi_btree *tree,
		     const struct tpi_place *place);

/* Read all that taking the entries [begin, end) out of @leaf will touch. */
int tpi_prepare_dec(const struct tpi_btree *tree, const struct tpi_node *leaf,
		    uint32_t begin, uint32_t end);

#endif
