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

/* What was in the store is lost. */
void format_store(struct store *store);

/* @flags: TP_POOL_.  For tp_pool_close(). */
struct tp_pool *open_pool(struct store *store, unsigned flags);

/* A thin that is there, in a pool that somebody else closes. */
void attach_volume(struct volume *volume, struct tp_pool *pool, uint32_t id,
		   uint64_t size_bytes);

/* Map all of it, in order. */
void fill_volume(struct volume *volume, uint64_t size_bytes);

/* A new pool in the store, and a thin in it in the state for this job. */
void open_volume(struct volume *volume, struct store *store,
		 const struct job *job);
void close_volume(struct volume *volume);

#endif
