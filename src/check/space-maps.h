/*
 * space-maps.h - what loading the space maps (space-maps.c) and comparing them
 * with what was counted (compare.c) share.
 */
#ifndef TPI_CHECK_SPACE_MAPS_H
#define TPI_CHECK_SPACE_MAPS_H

#include "check/check.h"

static inline enum tp_check_place
tpi_maps_overflow_place(const struct tpi_check_map *map)
{
	return map->is_data ? TP_PLACE_DATA_OVERFLOW
			    : TP_PLACE_METADATA_OVERFLOW;
}

/* In tpi_check_map.large.  So what it takes is bounded, whatever is in the tree. */
#define TPI_ODD_COUNT UINT16_MAX

/* The blocks that a bitmap counts. */
static inline uint64_t tpi_maps_begin(size_t i)
{
	return (uint64_t)i * TPI_BITMAP_ENTRIES;
}

static inline unsigned tpi_maps_entries(const struct tpi_check_map *map,
					size_t i)
{
	return (unsigned)tpi_min(map->nr_blocks - tpi_maps_begin(i),
				 TPI_BITMAP_ENTRIES);
}

/* The @i-th bitmap, which is in @block. */
struct tpi_where tpi_maps_where_bitmap(const struct tpi_check_map *map,
				       size_t i, tp_mblock block);

/* Whether the overflow tree has a block, and its count there. */
bool tpi_maps_large(const struct tpi_check_map *map, uint64_t block,
		    uint32_t *count);

#endif
