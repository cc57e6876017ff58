/*
 * format.h - space maps as they lie on disk (metadata-format.md, 6).
 */
#ifndef TPI_SPACE_MAP_FORMAT_H
#define TPI_SPACE_MAP_FORMAT_H

#include "io/validator.h"

#define TPI_BITMAP_ENTRIES 16320u
#define TPI_BITMAP_WORDS 510u
#define TPI_METADATA_BITMAPS_MAX 255u
#define TPI_METADATA_BLOCKS_MAX                                                \
	((tp_mblock)TPI_METADATA_BITMAPS_MAX * TPI_BITMAP_ENTRIES)

/* The first 32 bytes of a 128-byte area of the superblock (6.1). */
struct tpi_disk_space_map_root {
	le64 nr_blocks;
	le64 nr_allocated;
	le64 bitmap_root;
	le64 ref_count_root;
};
_Static_assert(sizeof(struct tpi_disk_space_map_root) == 32,
	       "metadata-format 6.1");

struct tpi_disk_index_entry {
	le64 blocknr;
	le32 nr_free;
	le32 none_free_before;
};
_Static_assert(sizeof(struct tpi_disk_index_entry) == 16,
	       "metadata-format 6.2");

struct tpi_disk_index {
	struct tpi_block_header header;
	struct tpi_disk_index_entry entries[TPI_METADATA_BITMAPS_MAX];
};
_Static_assert(sizeof(struct tpi_disk_index) == TPI_MBLOCK_BYTES,
	       "metadata-format 6.4");

struct tpi_disk_bitmap {
	struct tpi_block_header header;
	le64 words[TPI_BITMAP_WORDS];
};
_Static_assert(sizeof(struct tpi_disk_bitmap) == TPI_MBLOCK_BYTES,
	       "metadata-format 6.5");

/* 0, 1, 2, or 3 for "three or more": the weights of the two bits are swapped
 * on disk (6.5). */
static inline unsigned tpi_bitmap_get(const struct tpi_disk_bitmap *bitmap,
				      unsigned i)
{
	unsigned raw = (le64_get(bitmap->words[i / 32]) >> (2 * (i % 32))) & 3;

	return (raw >> 1) | ((raw & 1) << 1);
}

static inline void tpi_bitmap_set(struct tpi_disk_bitmap *bitmap, unsigned i,
				  unsigned count)
{
	uint64_t raw = (count >> 1) | ((count & 1) << 1);
	uint64_t word = le64_get(bitmap->words[i / 32]);

	word &= ~((uint64_t)3 << (2 * (i % 32)));
	word |= raw << (2 * (i % 32));
	bitmap->words[i / 32] = le64_make(word);
}

#endif
