/*
 * counters.h - how often each data block is referred to, counted by several
 * threads at once.
 *
 * In pages of as many blocks as a bitmap has, each made when the first of its
 * blocks is counted, and only if that was allowed: so the memory taken is
 * bounded by the bitmaps that there are, not by what mappings say.
 */
#ifndef TPI_CHECK_COUNTERS_H
#define TPI_CHECK_COUNTERS_H

#include <stdatomic.h>

#include "space-map/bitmap.h"

struct tpi_counters {
	_Atomic(_Atomic(uint32_t) *) *pages;
	size_t nr_pages;
	atomic_bool out_of_memory;   /* then the counts are too low */
	_Atomic(uint64_t) nr_shared; /* blocks with a count of two or more */
};

/* All zero is a valid argument to exit.  -ENOMEM. */
int tpi_counters_init(struct tpi_counters *counters, uint64_t nr_blocks);
void tpi_counters_exit(struct tpi_counters *counters);

/* The count of this block will be wanted soon: mappings lead all over the
 * counts, and memory is slow. */
static inline void tpi_counters_prefetch(const struct tpi_counters *counters,
					 uint64_t block)
{
	const _Atomic(uint32_t) *page;

	if (block / TPI_BITMAP_ENTRIES >= counters->nr_pages)
		return;
	page = atomic_load_explicit(
		&counters->pages[block / TPI_BITMAP_ENTRIES],
		memory_order_acquire);
	if (page)
		__builtin_prefetch(
			(const void *)&page[block % TPI_BITMAP_ENTRIES]);
}

/* How many blocks before it is. */
#define TPI_COUNTERS_AHEAD 16u

/* One more; the caller knows that the block's bitmap is there.  Any thread. */
void tpi_counters_add(struct tpi_counters *counters, uint64_t block);

/* 0 beyond the end, too.  After the threads have ended, or have stopped
 * counting. */
uint32_t tpi_counters_get(const struct tpi_counters *counters, uint64_t block);

/* The counts of a page, or NULL: all are zero. */
const _Atomic(uint32_t) *tpi_counters_page(const struct tpi_counters *counters,
					   size_t page);

#endif
