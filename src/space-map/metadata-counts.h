/*
 * metadata-counts.h - the core of the metadata space map: the counts of all
 * metadata blocks, in memory, and what may be allocated.
 *
 * Does no I/O and needs nobody.  Two bits a block, packed as on disk, come to
 * 1 MiB for the largest metadata; counts of three and more are in a table.
 *
 * A block whose count is zero is either free or withheld:
 *   - freed in the running transaction, while older ones use it;
 *   - freed in the closed one, which is not durable yet.
 * A block that was allocated in the running transaction is fresh: when its
 * count drops to zero it is free again at once, since no other transaction ever
 * knew it (B-COMMIT-9, metadata-format.md 8.2).
 */
#ifndef TPI_SPACE_MAP_METADATA_COUNTS_H
#define TPI_SPACE_MAP_METADATA_COUNTS_H

#include "space-map/bitmap.h"
#include "space-map/block-set.h"
#include "space-map/block-table.h"

/* What one bitmap block holds. */
struct tpi_count_page {
	struct tpi_disk_bitmap bitmap; /* the header is unused */
	unsigned nr_zero;              /* as tpi_bitmap_nr_zero() */
	bool changed;                  /* since the last close, or is new */
};

struct tpi_counts {
	tp_mblock nr_blocks, nr_allocated;
	struct tpi_count_page *pages;
	unsigned nr_pages;

	struct tpi_block_table large; /* to uint32_t, TPI_LARGE_COUNT or more */

	/*
	 * To uint32_t: the count that the overflow tree was last told, of
	 * blocks whose count has changed since and is, or was, large.  Less
	 * than TPI_LARGE_COUNT: the tree has no entry.
	 */
	struct tpi_block_table unsaved;

	struct tpi_block_set fresh;
	struct tpi_block_set freed;  /* withheld, by the running transaction */
	struct tpi_block_set closed; /* withheld, by the closed one */
	tp_mblock cursor;            /* where the next search begins */
};

/* @nr_blocks counts of zero, at most TPI_METADATA_BLOCKS_MAX.  -ENOMEM: exit
 * it all the same. */
int tpi_counts_init(struct tpi_counts *counts, tp_mblock nr_blocks);
void tpi_counts_exit(struct tpi_counts *counts);

/* More counts, all zero.  -ENOMEM: as before. */
int tpi_counts_grow(struct tpi_counts *counts, tp_mblock nr_blocks);

/* What the disk says of a page that is all zero as yet; its entries past the
 * last block are zero. */
void tpi_counts_load_page(struct tpi_counts *counts, unsigned i,
			  const struct tpi_disk_bitmap *bitmap);

/* The count of a block whose entry is TPI_LARGE_COUNT.  -ENOMEM. */
int tpi_counts_load_large(struct tpi_counts *counts, tp_mblock block,
			  uint32_t count);

/* 0 beyond the end. */
uint32_t tpi_counts_get(const struct tpi_counts *counts, tp_mblock block);

/* Memory to change @nr counts: these will not answer -ENOMEM.  -ENOMEM: as
 * before. */
int tpi_counts_make_room(struct tpi_counts *counts, size_t nr);

/* -EILSEQ: beyond the end, below zero, too large; -ENOMEM. */
int tpi_counts_inc(struct tpi_counts *counts, tp_mblock block);
int tpi_counts_lower(struct tpi_counts *counts, tp_mblock block, uint32_t by);

/* A free block; its count becomes one.  -ENOSPC. */
int tpi_counts_alloc(struct tpi_counts *counts, tp_mblock *block);

static inline tp_mblock tpi_counts_nr_free(const struct tpi_counts *counts)
{
	return counts->nr_blocks - counts->nr_allocated - counts->freed.nr -
	       counts->closed.nr;
}

/* The running transaction is closed; the one before it is durable. */
void tpi_counts_close(struct tpi_counts *counts);

/* The closed transaction is durable. */
void tpi_counts_committed(struct tpi_counts *counts);

#endif
