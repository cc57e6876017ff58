/*
 * frontier.h - metadata blocks that are to be read: a set from which the lowest
 * are taken.
 *
 * A bit for each block there is, and a bit for each word of those: so taking is
 * fast both of many blocks and of few that lie far apart.
 */
#ifndef TPI_CHECK_FRONTIER_H
#define TPI_CHECK_FRONTIER_H

#include "space-map/format.h"

#define TPI_FRONTIER_WORDS ((TPI_METADATA_BLOCKS_MAX + 63) / 64)

struct tpi_frontier {
	uint64_t *words;
	uint64_t in_use[(TPI_FRONTIER_WORDS + 63) / 64]; /* words, a bit each */
	size_t nr;                                       /* blocks in it */
};

/* For blocks below @nr_blocks, at most TPI_METADATA_BLOCKS_MAX; all zero is a
 * valid argument to exit.  -ENOMEM. */
int tpi_frontier_init(struct tpi_frontier *frontier, tp_mblock nr_blocks);
void tpi_frontier_exit(struct tpi_frontier *frontier);

/* It may be there already. */
void tpi_frontier_add(struct tpi_frontier *frontier, tp_mblock block);

/* Take out the lowest @room blocks, or as many as there are, in ascending
 * order.  How many? */
unsigned tpi_frontier_take(struct tpi_frontier *frontier, tp_mblock *blocks,
			   unsigned room);

#endif
