/*
 * data-base.h - the base of the data space map: the counts of data blocks as
 * they lie on metadata blocks (metadata-format.md, 6).
 *
 *   index tree:     bitmap number -> where it is, how many of its counts are 0
 *   bitmap blocks:  counts 0, 1, 2, or "three or more"
 *   overflow tree:  data block -> count, of three or more
 *
 * The index is also kept in memory.  What it says of zeroes came from whoever
 * wrote it and is a hint, until the bitmap was seen (6.2).
 *
 * Everything here may answer -EAGAIN, and then has changed nothing that calling
 * again would change twice.
 */
#ifndef TPI_SPACE_MAP_DATA_BASE_H
#define TPI_SPACE_MAP_DATA_BASE_H

#include "btree/btree.h"
#include "space-map/bitmap.h"
#include "space-map/block-set.h"

struct tpi_base_bitmap {
	tp_mblock block;  /* 0: not made yet, all its counts are 0 */
	uint32_t nr_zero; /* of all TPI_BITMAP_ENTRIES; a hint until seen */

	/* Allocation's own: no entry below it can be handed out. */
	uint16_t search_from;

	bool seen;    /* nr_zero is right */
	bool changed; /* the index tree does not know yet */
};

struct tpi_base {
	struct tpi_btree index, overflow;
	tp_mblock index_root, overflow_root;

	tp_dblock nr_blocks;
	struct tpi_base_bitmap *bitmaps;
	size_t nr_bitmaps, nr_bitmaps_room;
	uint64_t nr_zero;  /* in all bitmaps together */
	size_t nr_made;    /* bitmaps below it have a block */
	size_t nr_changed; /* bitmaps that the index tree does not know */

	/* The bitmap that was changed last, and where: it is good for changes
	 * until this era of the cache ends. */
	size_t hand;
	struct tpi_disk_bitmap *in_hand; /* NULL: none was */
	uint64_t hand_era;

	struct tpi_block_set loading; /* bitmap blocks met so far */
};

/* No blocks, no trees. */
void tpi_base_init(struct tpi_base *base, struct tpi_tm *tm);
void tpi_base_exit(struct tpi_base *base);

/* Trees for a map that is new. */
int tpi_base_make_trees(struct tpi_base *base);

/* No more than the root tells, in place of all that: for whoever asks for no
 * count.  -EILSEQ, -ENOMEM. */
int tpi_base_load_figures(struct tpi_base *base,
			  const struct tpi_disk_space_map_root *root);

/* Read the index; again after -EAGAIN. */
int tpi_base_load(struct tpi_base *base,
		  const struct tpi_disk_space_map_root *root);
void tpi_base_get_root(const struct tpi_base *base,
		       struct tpi_disk_space_map_root *root);

/* More counts, of 0.  -ENOMEM: as before. */
int tpi_base_grow(struct tpi_base *base, tp_dblock nr_blocks);

static inline tp_dblock tpi_base_nr_allocated(const struct tpi_base *base)
{
	return base->nr_bitmaps * (uint64_t)TPI_BITMAP_ENTRIES - base->nr_zero;
}

/* How many blocks bitmap @i counts; the last one may count fewer. */
static inline unsigned tpi_base_entries(const struct tpi_base *base, size_t i)
{
	return (unsigned)tpi_min(base->nr_blocks -
					 i * (uint64_t)TPI_BITMAP_ENTRIES,
				 TPI_BITMAP_ENTRIES);
}

int tpi_base_read_bitmap(struct tpi_base *base, size_t i,
			 const struct tpi_disk_bitmap **bitmap);

/* @block is below the end. */
int tpi_base_get(struct tpi_base *base, tp_dblock block, uint32_t *count);

/* @old is what tpi_base_get() has just given; all bitmaps are made. */
int tpi_base_set(struct tpi_base *base, tp_dblock block, uint32_t old,
		 uint32_t count);

/* A block for each bitmap that has none. */
int tpi_base_make_bitmaps(struct tpi_base *base);

/* Have the index tree told of the @i-th bitmap, changed or not. */
int tpi_base_rewrite(struct tpi_base *base, size_t i);

/* Tell the index tree what changed. */
int tpi_base_write_index(struct tpi_base *base);

#endif
