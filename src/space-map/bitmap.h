/*
 * bitmap.h - what is asked of all the entries of one bitmap block, answered a
 * word at a time (metadata-format.md, 6.5).
 */
#ifndef TPI_SPACE_MAP_BITMAP_H
#define TPI_SPACE_MAP_BITMAP_H

#include "space-map/format.h"

/* A bitmap is 255 groups of 64 entries, and 64 bits are a word of a set of
 * blocks: so a group of counts and a word of a set speak of the same blocks. */
#define TPI_GROUP_BITS 64u
#define TPI_BITMAP_GROUPS (TPI_BITMAP_ENTRIES / TPI_GROUP_BITS)

/* From this count on, the entry says "look in the overflow tree". */
#define TPI_LARGE_COUNT 3u

static inline unsigned tpi_bitmap_nr_for(uint64_t nr_blocks)
{
	return (unsigned)tpi_div_up(nr_blocks, TPI_BITMAP_ENTRIES);
}

/* Which entries of a group are zero, one bit each. */
uint64_t tpi_bitmap_zeroes(const struct tpi_disk_bitmap *bitmap,
			   unsigned group);

/* Of all the entries, also those past the last block: what the field nr_free
 * of an index entry counts (6.2). */
unsigned tpi_bitmap_nr_zero(const struct tpi_disk_bitmap *bitmap);

/* TPI_BITMAP_ENTRIES: there is none. */
unsigned tpi_bitmap_first_zero(const struct tpi_disk_bitmap *bitmap);

unsigned tpi_bitmap_nr_large(const struct tpi_disk_bitmap *bitmap);

/* Is every entry from @begin on zero? */
bool tpi_bitmap_is_zero_from(const struct tpi_disk_bitmap *bitmap,
			     unsigned begin);

#endif
