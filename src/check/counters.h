/*
 * counters.h - how often each data block is referred to, counted by several
 * threads at once.
 *
 * In pages, of which a bitmap has fifteen.  A page takes memory when the first
 * of its blocks is counted, and only if that was allowed: so what is taken is
 * bounded by the bitmaps that there are, not by what mappings say.
 *
 * Most blocks are referred to once, and most lie among others that are.  So the
 * entries of a page are as narrow as its largest count allows, at first a bit;
 * and when no block of a page is left out any more, one is taken from each
 * entry and noted for all of them, which may leave nothing to be kept of each.
 */
#ifndef TPI_CHECK_COUNTERS_H
#define TPI_CHECK_COUNTERS_H

#include <stdatomic.h>

#include "space-map/bitmap.h"

#define TPI_COUNTERS_PAGE (TPI_BITMAP_ENTRIES / 15)
_Static_assert(TPI_COUNTERS_PAGE % TPI_GROUP_BITS == 0, "whole words");

struct tpi_counters_page {
	atomic_bool locked;
	uint8_t width;     /* bits of an entry, a power of two; 0: no words */
	uint16_t nr_above; /* entries that are not zero */
	uint32_t floor;    /* a count is this, and the block's entry */
	_Atomic(uint64_t *) words;
};

struct tpi_counters {
	struct tpi_counters_page *pages;
	uint64_t nr_blocks;
	size_t nr_pages;
	atomic_bool out_of_memory;   /* then the counts are too low */
	_Atomic(uint64_t) nr_shared; /* blocks with a count of two or more */
};

/* All zero is a valid argument to exit.  -ENOMEM. */
int tpi_counters_init(struct tpi_counters *counters, uint64_t nr_blocks);
void tpi_counters_exit(struct tpi_counters *counters);

/* The counts around this block will be wanted soon: mappings lead all over
 * them, and memory is slow. */
static inline void tpi_counters_prefetch(const struct tpi_counters *counters,
					 uint64_t block)
{
	const struct tpi_counters_page *page;
	const uint64_t *words;

	if (block >= counters->nr_blocks)
		return;
	page = &counters->pages[block / TPI_COUNTERS_PAGE];
	words = atomic_load_explicit(&page->words, memory_order_relaxed);
	if (words)
		__builtin_prefetch(words + block % TPI_COUNTERS_PAGE / 64);
}

/* How many blocks before it is. */
#define TPI_COUNTERS_AHEAD 16u

/* One more for each block of [begin, end); the caller knows that their bitmaps
 * are there.  Any thread. */
void tpi_counters_add(struct tpi_counters *counters, uint64_t begin,
		      uint64_t end);

/* @count, for a block that has none as yet. */
void tpi_counters_set(struct tpi_counters *counters, uint64_t block,
		      uint32_t count);

/* What follows is asked when the threads have stopped counting. */

/* 0 beyond the end, too. */
uint32_t tpi_counters_get(const struct tpi_counters *counters, uint64_t block);

/*
 * The counts of 32 blocks as a word of a bitmap has them; @block, a multiple of
 * 32, and those after it are not beyond the end.  False: this is not to be had
 * at once, as some may be larger than two.
 */
bool tpi_counters_word(const struct tpi_counters *counters, uint64_t block,
		       uint64_t *word);

/* Do none of 32 blocks, from a multiple of 32 on, have a count? */
bool tpi_counters_are_zero(const struct tpi_counters *counters, uint64_t block);

/* Which of 64 blocks, from a multiple of 64 on, have a count of two or more. */
uint64_t tpi_counters_shared(const struct tpi_counters *counters,
			     uint64_t block);

#endif
