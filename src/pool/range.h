/*
 * range.h - virtual blocks of a thin with an operation under way: being given a
 * data block, or being unmapped.  The slow path's only lock (B-LOCK).
 *
 * Ranges of a thin stand in a list in the order in which they came.  One is
 * granted when it overlaps none before it.  So an unmapping that waits is
 * ahead of whatever comes later (B-DISC-17).
 */
#ifndef TPI_POOL_RANGE_H
#define TPI_POOL_RANGE_H

#include "pool/loop.h"

struct tpi_range {
	struct tpi_list entry;
	tp_vblock begin, end;
	struct tpi_list waiters; /* tasks that found it in their way */
	struct tpi_task *owner;  /* made ready when it is granted; or NULL */
	bool granted;
};

#define TPI_RANGE_BUCKETS 64u

/* Of a thin.  Most are of one block, and found not to be there by counting. */
struct tpi_ranges {
	struct tpi_list list;
	unsigned nr_waiting;                   /* not granted */
	unsigned nr_wide;                      /* of more than one block */
	unsigned nr_narrow[TPI_RANGE_BUCKETS]; /* of one, by its last bits */
};

/* The first range of @ranges that overlaps [begin, end), NULL: none. */
struct tpi_range *tpi_range_find(const struct tpi_ranges *ranges,
				 tp_vblock begin, tp_vblock end);

/* Put it in; is it granted at once?  If not, @owner is made ready later. */
bool tpi_range_lock(struct tpi_ranges *ranges, struct tpi_range *range,
		    tp_vblock begin, tp_vblock end, struct tpi_task *owner);

/* Take it out: whoever waited for it is made ready. */
void tpi_range_unlock(struct tpi_loop *loop, struct tpi_ranges *ranges,
		      struct tpi_range *range);

#endif
