/*
 * volume.h - a thin in a new pool over a store, in the state that a job wants.
 */
#ifndef BENCH_VOLUME_H
#define BENCH_VOLUME_H

#include "job.h"
#include "store.h"

struct volume {
	struct target target; /* lanes are queues of the pool */
	struct tp_pool *pool;
	struct tp_thin *thin;
};

/* What is in the store is lost. */
void open_volume(struct volume *volume, struct store *store,
		 const struct job *job);
void close_volume(struct volume *volume);

#endif
