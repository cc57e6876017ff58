/*
 * data-private.h - the data space map, as allocation (data-alloc.c) and all
 * else of it (data-space-map.c) share it.
 */
#ifndef TPI_SPACE_MAP_DATA_PRIVATE_H
#define TPI_SPACE_MAP_DATA_PRIVATE_H

#include "space-map/block-table.h"
#include "space-map/data-base.h"
#include "space-map/data-space-map.h"
#include "space-map/sparse-set.h"

/* What the running transaction did to one block. */
struct tpi_count_change {
	int64_t delta;    /* not in the base yet */
	bool pending;     /* the base has yet to hear of it */
	bool provisioned; /* handed out, and counted, but not in the base yet */
	bool dropped;     /* lost a reference */
	bool discarded;   /* to be passed down, when freed */
	bool freed;       /* lost its last reference: it is withheld */
};

struct tpi_data_space_map {
	struct tpi_base base;
	struct tpi_sparse_set withheld; /* the base's count of each is 0 */

	struct tpi_block_table changes; /* to struct tpi_count_change */
	size_t nr_pending, nr_provisioned;
	bool some_dropped;  /* some of them may have been freed */
	bool some_unhanded; /* some were counted without being handed out */
	struct tpi_work_list work; /* keys of changes */

	struct tpi_freed_run *freed; /* by the closed transaction */
	size_t nr_freed, freed_room;

	size_t nr_seen; /* bitmaps below it were all seen (data-alloc.c) */

	/* The 64 counts that were looked at last, and which of them are zero
	 * in the base; good until the base changes. */
	bool group_is_known;
	tp_dblock group;
	uint64_t group_zeroes;
};

/* These may have become free to be handed out. */
void tpi_data_sm_search_again(struct tpi_data_space_map *map, tp_dblock begin,
			      tp_dblock nr);

#endif
