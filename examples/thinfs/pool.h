/*
 * pool.h - the pool that is shown: its devices, the pool, its catalogue.
 */
#ifndef THINFS_POOL_H
#define THINFS_POOL_H

#include <stdbool.h>
#include <thinpool/thinpool.h>

struct pool {
	struct tp_pool *pool;
	struct tp_catalogue *catalogue;
	uint32_t block_bytes;  /* what a volume takes space in */
	uint32_t sector_bytes; /* what a bio's ends are multiples of */
	bool read_only;
};

/*
 * @name: a directory with the files `metadata` and `data`, or METADATA,DATA.
 * 0, or -1 with everything told and nothing open.
 */
int pool_open(struct pool *pool, const char *name, bool read_only);

/* Commits.  -1: told. */
int pool_close(struct pool *pool);

#endif
