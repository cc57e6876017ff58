/*
 * refs.h - what the transaction manager asks of whoever counts metadata blocks.
 *
 * The metadata space map implements it with counts held in memory
 * (src/space-map/metadata-space-map.c); nothing here has heard of space maps.
 * So the circle of a space map that stores itself in blocks that it counts
 * itself is open.
 */
#ifndef TPI_BTREE_REFS_H
#define TPI_BTREE_REFS_H

#include "io/base.h"

struct tpi_refs;

struct tpi_refs_ops {
	/*
	 * A block that is free in the running transaction and in every one
	 * that may be on disk (B-COMMIT-9).  Its count becomes one.  Does no
	 * I/O.  -ENOSPC.
	 */
	int (*alloc)(struct tpi_refs *refs, tp_mblock *block);

	/* Add to, or take from, the count of every block in [begin, end).
	 * -EILSEQ: taking from zero, a block beyond the end, a count that
	 * overflows; -ENOMEM. */
	int (*inc)(struct tpi_refs *refs, tp_mblock begin, tp_mblock end);
	int (*dec)(struct tpi_refs *refs, tp_mblock begin, tp_mblock end);

	/* The count of a block in the running transaction; 0 beyond the end. */
	uint32_t (*count)(const struct tpi_refs *refs, tp_mblock block);

	/* How many blocks there are to count. */
	tp_mblock (*nr_blocks)(const struct tpi_refs *refs);
};

struct tpi_refs {
	const struct tpi_refs_ops *ops;
};

#endif
