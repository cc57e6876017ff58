/*
 * mapping.h - mapping values as they lie on disk (metadata-format.md, 5.1).
 *
 * They are the currency of the pool above the trees too: the mapping cache
 * holds them as they are.
 */
#ifndef TPI_POOL_MAPPING_H
#define TPI_POOL_MAPPING_H

#include "io/base.h"

typedef uint64_t tpi_mapping;

/* No mapping.  As a value it would be data block 2^40 - 1, one more than the
 * format allows. */
#define TPI_UNMAPPED UINT64_MAX

static inline tpi_mapping tpi_mapping_make(tp_dblock dblock, uint32_t time)
{
	return dblock << 24 | (time & 0xffffff);
}

static inline tp_dblock tpi_mapping_dblock(tpi_mapping mapping)
{
	return mapping >> 24;
}

static inline uint32_t tpi_mapping_time(tpi_mapping mapping)
{
	return mapping & 0xffffff;
}

/* May another thin use the block?  False is sure (13). */
static inline bool tpi_mapping_is_shared(tpi_mapping mapping,
					 uint32_t snapshotted_time)
{
	return tpi_mapping_time(mapping) < snapshotted_time;
}

#endif
