/*
 * big-pool.h - a pool with a volume of millions of mappings, which is made once
 * for all rows that need it.  Its data is forgotten; its metadata is a file in
 * /dev/shm, for programs that look at it.
 */
#ifndef BENCH_BIG_POOL_H
#define BENCH_BIG_POOL_H

#include "store.h"

#define BIG_ID 1u /* the volume */

struct big_pool {
	char path[64]; /* of the metadata */
	struct store *store;
	uint64_t nr_mappings;
};

struct big_pool *make_big_pool(uint64_t nr_mappings);
void remove_big_pool(struct big_pool *big);

/* For a pool with so many mappings that nobody else has, all in memory. */
struct store *open_sparse_store(uint64_t nr_mappings);

/* Of @origin, with the ids from @id on; a thousand by a call. */
void take_snapshots(struct tp_pool *pool, uint32_t origin, uint32_t id,
		    uint32_t nr);

/* A new thin, all of it mapped in order, and committed. */
void map_volume(struct tp_pool *pool, uint32_t id, uint64_t nr_mappings);

#endif
