/*
 * control.h - the changes of control.c that others make as part of theirs: the
 * catalogue's (change.c), suspend and resume (suspend.c).
 */
#ifndef TPI_POOL_CONTROL_H
#define TPI_POOL_CONTROL_H

#include "pool/call.h"

/* Snapshots being taken, all at one instant. */
struct tpi_snapshot {
	struct tpi_call *call;
	const struct tp_snapshot_pair *pairs;
	size_t nr, nr_taken, nr_graces;
	bool gated, spend_time;
	struct tpi_snapshot_grace *graces;
};

/* Checks the pairs.  -EINVAL, -ENOMEM. */
int tpi_snapshot_init(struct tpi_snapshot *snapshot, struct tpi_call *call,
		      const struct tp_snapshot_pair *pairs, size_t nr);
void tpi_snapshot_exit(struct tpi_snapshot *snapshot);

/* A step of the call's: -EINPROGRESS and -EAGAIN as a step answers them. */
int tpi_snapshot_step(struct tpi_call *call, struct tpi_snapshot *snapshot);

/* The first part of that alone: the origins are quiet, and stay so until the
 * snapshots are taken or the gates opened; and what is known then. */
int tpi_snapshot_quiet(struct tpi_snapshot *snapshot);
bool tpi_snapshot_spends_time(struct tpi_snapshot *snapshot);
void tpi_snapshot_ungate(struct tpi_snapshot *snapshot);

/* Delete a thin that is not open. */
int tpi_delete_step(struct tp_pool *pool, uint64_t id);

/* Before anything is grown: -EINVAL, a device has shrunk (B-GROW-1, -2); else
 * whether one is larger than the pool knows. */
int tpi_grow_check(struct tp_pool *pool, bool *larger);

/* Pick up new sizes; nothing happens where they are the same. */
int tpi_grow_data_step(struct tp_pool *pool);
int tpi_grow_metadata_step(struct tp_pool *pool);

#endif
