/*
 * metadata-counts.c - counts of metadata blocks in memory.
 */
#include "space-map/metadata-counts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WHERE "metadata space map"

int tpi_counts_init(struct tpi_counts *counts, tp_mblock nr_blocks)
{
	memset(counts, 0, sizeof(*counts));
	tpi_block_table_init(&counts->large, sizeof(uint32_t));
	tpi_block_table_init(&counts->unsaved, sizeof(uint32_t));

	return tpi_counts_grow(counts, nr_blocks);
}

void tpi_counts_exit(struct tpi_counts *counts)
{
	tpi_block_set_exit(&counts->closed);
	tpi_block_set_exit(&counts->freed);
	tpi_block_set_exit(&counts->fresh);
	tpi_block_table_exit(&counts->unsaved);
	tpi_block_table_exit(&counts->large);
	free(counts->pages);
}

static int grow_sets(struct tpi_counts *counts, tp_mblock nr_blocks)
{
	int r;

	r = tpi_block_set_grow(&counts->fresh, nr_blocks);
	if (!r)
		r = tpi_block_set_grow(&counts->freed, nr_blocks);
	if (!r)
		r = tpi_block_set_grow(&counts->closed, nr_blocks);

	return r;
}

int tpi_counts_grow(struct tpi_counts *counts, tp_mblock nr_blocks)
{
	unsigned nr_pages = tpi_bitmap_nr_for(nr_blocks);
	struct tpi_count_page *pages;
	unsigned i;
	int r;

	tpi_assert(nr_blocks >= counts->nr_blocks);
	tpi_assert(nr_blocks <= TPI_METADATA_BLOCKS_MAX);

	r = grow_sets(counts, nr_blocks);
	if (r)
		return r;
	pages = realloc(counts->pages, nr_pages * sizeof(*pages));
	if (!pages && nr_pages)
		return -ENOMEM;

	for (i = counts->nr_pages; i < nr_pages; i++) {
		memset(&pages[i], 0, sizeof(pages[i]));
		pages[i].nr_zero = TPI_BITMAP_ENTRIES;
		pages[i].changed = true;
	}
	counts->pages = pages;
	counts->nr_pages = nr_pages;
	counts->nr_blocks = nr_blocks;

	return 0;
}

/*---------------------------- loading --------------------------------------*/

void tpi_counts_load_page(struct tpi_counts *counts, unsigned i,
			  const struct tpi_disk_bitmap *bitmap)
{
	struct tpi_count_page *page = &counts->pages[i];

	page->bitmap = *bitmap;
	page->nr_zero = tpi_bitmap_nr_zero(bitmap);
	page->changed = false;
	counts->nr_allocated += TPI_BITMAP_ENTRIES - page->nr_zero;
}

int tpi_counts_load_large(struct tpi_counts *counts, tp_mblock block,
			  uint32_t count)
{
	uint32_t *large = tpi_block_table_add(&counts->large, block);

	if (!large)
		return -ENOMEM;
	*large = count;

	return 0;
}

/*---------------------------- counting -------------------------------------*/

static struct tpi_count_page *page_of(const struct tpi_counts *counts,
				      tp_mblock block)
{
	return &counts->pages[block / TPI_BITMAP_ENTRIES];
}

uint32_t tpi_counts_get(const struct tpi_counts *counts, tp_mblock block)
{
	unsigned entry;

	if (block >= counts->nr_blocks)
		return 0;

	entry = tpi_bitmap_get(&page_of(counts, block)->bitmap,
			       block % TPI_BITMAP_ENTRIES);
	if (entry < TPI_LARGE_COUNT)
		return entry;

	return *(uint32_t *)tpi_block_table_find(&counts->large, block);
}

int tpi_counts_make_room(struct tpi_counts *counts, size_t nr)
{
	int r = tpi_block_table_make_room(&counts->large, nr);

	if (!r)
		r = tpi_block_table_make_room(&counts->unsaved, nr);

	return r;
}

/* The part of a change that needs memory; it goes first, so that failing
 * changes nothing. */
static int set_large(struct tpi_counts *counts, tp_mblock block, uint32_t old,
		     uint32_t count)
{
	uint32_t *saved = tpi_block_table_find(&counts->unsaved, block);
	uint32_t *large;

	if (!saved) {
		saved = tpi_block_table_add(&counts->unsaved, block);
		if (!saved)
			return -ENOMEM;
		*saved = old;
	}

	if (count < TPI_LARGE_COUNT) {
		tpi_block_table_remove(&counts->large, block);
		return 0;
	}
	large = tpi_block_table_add(&counts->large, block);
	if (!large)
		return -ENOMEM;
	*large = count;

	return 0;
}

static int set_count(struct tpi_counts *counts, tp_mblock block, uint32_t old,
		     uint32_t count)
{
	struct tpi_count_page *page = page_of(counts, block);
	int r;

	if (old >= TPI_LARGE_COUNT || count >= TPI_LARGE_COUNT) {
		r = set_large(counts, block, old, count);
		if (r)
			return r;
	}
	if (old >= TPI_LARGE_COUNT && count >= TPI_LARGE_COUNT)
		return 0;

	tpi_bitmap_set(&page->bitmap, block % TPI_BITMAP_ENTRIES,
		       (unsigned)tpi_min(count, TPI_LARGE_COUNT));
	page->changed = true;
	if (!old) {
		page->nr_zero--;
		counts->nr_allocated++;
	} else if (!count) {
		page->nr_zero++;
		counts->nr_allocated--;
	}

	return 0;
}

int tpi_counts_inc(struct tpi_counts *counts, tp_mblock block)
{
	uint32_t old = tpi_counts_get(counts, block);
	int r;

	if (block >= counts->nr_blocks)
		return tpi_damage(WHERE,
				  "a reference to block %" PRIu64
				  " of %" PRIu64,
				  block, counts->nr_blocks);
	if (old == UINT32_MAX)
		return tpi_damage(WHERE,
				  "block %" PRIu64 " has too many references",
				  block);
	r = set_count(counts, block, old, old + 1);
	if (r || old)
		return r;

	/* An older transaction's, back in use: not fresh. */
	if (!tpi_block_set_remove(&counts->freed, block) &&
	    !tpi_block_set_remove(&counts->closed, block))
		tpi_block_set_add(&counts->fresh, block);

	return 0;
}

int tpi_counts_lower(struct tpi_counts *counts, tp_mblock block, uint32_t by)
{
	uint32_t old = tpi_counts_get(counts, block);
	int r;

	if (old < by)
		return tpi_damage(WHERE,
				  "block %" PRIu64
				  " lost %u references, and had %u",
				  block, by, old);
	r = set_count(counts, block, old, old - by);
	if (r || old > by)
		return r;

	if (!tpi_block_set_remove(&counts->fresh, block))
		tpi_block_set_add(&counts->freed, block);

	return 0;
}

/*---------------------------- allocation -----------------------------------*/

/* The free ones among the 64 blocks from 64 * @word on; blocks past the end
 * seem free. */
static uint64_t free_blocks(const struct tpi_counts *counts, tp_mblock word)
{
	const struct tpi_count_page *page =
		&counts->pages[word / TPI_BITMAP_GROUPS];

	return tpi_bitmap_zeroes(&page->bitmap, word % TPI_BITMAP_GROUPS) &
	       ~counts->freed.words[word] & ~counts->closed.words[word];
}

/* The first free block of [begin, end). */
static bool find_free(const struct tpi_counts *counts, tp_mblock begin,
		      tp_mblock end, tp_mblock *block)
{
	while (begin < end) {
		tp_mblock word = begin / 64;
		uint64_t found;

		if (!page_of(counts, begin)->nr_zero) {
			begin +=
				TPI_BITMAP_ENTRIES - begin % TPI_BITMAP_ENTRIES;
			continue;
		}
		found = free_blocks(counts, word) & UINT64_MAX << (begin % 64);
		if (found) {
			*block = 64 * word + (unsigned)__builtin_ctzll(found);
			return *block < end;
		}
		begin = 64 * (word + 1);
	}

	return false;
}

/* Next fit: blocks made together lie together, and are written together. */
int tpi_counts_alloc(struct tpi_counts *counts, tp_mblock *block)
{
	tp_mblock found;
	int r;

	if (!tpi_counts_nr_free(counts))
		return -ENOSPC;
	if (!find_free(counts, counts->cursor, counts->nr_blocks, &found) &&
	    !find_free(counts, 0, counts->cursor, &found))
		return -ENOSPC;

	r = tpi_counts_inc(counts, found);
	if (r)
		return r;
	counts->cursor = found + 1;
	*block = found;

	return 0;
}

/*---------------------------- transactions ---------------------------------*/

void tpi_counts_close(struct tpi_counts *counts)
{
	struct tpi_block_set empty = counts->closed;
	unsigned i;

	tpi_assert(!counts->closed.nr);
	tpi_assert(!counts->unsaved.nr);

	counts->closed = counts->freed;
	counts->freed = empty;
	tpi_block_set_clear(&counts->fresh);
	for (i = 0; i < counts->nr_pages; i++)
		counts->pages[i].changed = false;
}

void tpi_counts_committed(struct tpi_counts *counts)
{
	tpi_block_set_clear(&counts->closed);
}
