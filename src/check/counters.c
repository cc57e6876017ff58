/*
 * counters.c - how often each data block is referred to.
 *
 * A page is changed by one thread at a time, which holds its lock for the time
 * of a run of blocks; seldom do two want the same.
 */
#include "check/counters.h"

#include <sched.h>
#include <stdlib.h>

int tpi_counters_init(struct tpi_counters *counters, uint64_t nr_blocks)
{
	counters->nr_blocks = nr_blocks;
	counters->nr_pages = tpi_div_up(nr_blocks, TPI_COUNTERS_PAGE);
	counters->pages =
		calloc(counters->nr_pages + 1, sizeof(*counters->pages));

	return counters->pages ? 0 : -ENOMEM;
}

static uint64_t *words_of(const struct tpi_counters_page *page)
{
	return atomic_load_explicit(&page->words, memory_order_relaxed);
}

static void set_words(struct tpi_counters_page *page, uint64_t *words,
		      unsigned width)
{
	free(words_of(page));
	atomic_store_explicit(&page->words, words, memory_order_relaxed);
	page->width = (uint8_t)width;
}

void tpi_counters_exit(struct tpi_counters *counters)
{
	for (size_t i = 0; counters->pages && i < counters->nr_pages; i++)
		set_words(&counters->pages[i], NULL, 0);
	free(counters->pages);
}

/*---------------------------- entries --------------------------------------*/

static uint64_t mask_of(unsigned width)
{
	return width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
}

static uint32_t get(const uint64_t *words, unsigned width, unsigned i)
{
	unsigned at = i * width;

	return (uint32_t)(words[at / 64] >> at % 64 & mask_of(width));
}

/* The entry has room for it. */
static void change(uint64_t *words, unsigned width, unsigned i, int64_t by)
{
	unsigned at = i * width;

	words[at / 64] += (uint64_t)by << at % 64;
}

/*---------------------------- pages ----------------------------------------*/

/* Twice as wide as they were; of the first words, one bit. */
static bool widen(struct tpi_counters_page *page)
{
	unsigned width = page->width ? 2u * page->width : 1;
	uint64_t *words =
		calloc(TPI_COUNTERS_PAGE / 64 * width, sizeof(*words));

	if (!words)
		return false;
	for (unsigned i = 0; page->width && i < TPI_COUNTERS_PAGE; i++)
		change(words, width, i, get(words_of(page), page->width, i));
	set_words(page, words, width);

	return true;
}

/* No entry is zero: what all have in common goes to the floor. */
static void raise_floor(struct tpi_counters_page *page, unsigned nr_entries)
{
	uint64_t *words = words_of(page);

	page->floor++;
	page->nr_above = 0;
	for (unsigned i = 0; page->width > 1 && i < nr_entries; i++) {
		change(words, page->width, i, -1);
		page->nr_above += get(words, page->width, i) > 0;
	}
	if (!page->nr_above)
		set_words(page, NULL, 0);
}

/* False: no memory. */
static bool add(struct tpi_counters *counters, struct tpi_counters_page *page,
		unsigned i, uint32_t nr)
{
	uint64_t entry = page->width ? get(words_of(page), page->width, i) : 0;

	while (entry + nr > mask_of(page->width))
		if (!widen(page))
			return false;
	change(words_of(page), page->width, i, nr);
	page->nr_above += !entry;
	if (page->floor + entry < 2 && page->floor + entry + nr >= 2)
		atomic_fetch_add_explicit(&counters->nr_shared, 1,
					  memory_order_relaxed);

	return true;
}

/* Those of a word in a page of bits, if all of them are zero. */
static bool add_bits(struct tpi_counters *counters,
		     struct tpi_counters_page *page, unsigned begin,
		     unsigned end)
{
	uint64_t *word = words_of(page) + begin / 64;
	uint64_t bits = mask_of(end - begin) << begin % 64;

	if (page->width != 1 || *word & bits)
		return false;
	*word |= bits;
	page->nr_above += (uint16_t)(end - begin);
	if (page->floor == 1)
		atomic_fetch_add_explicit(&counters->nr_shared, end - begin,
					  memory_order_relaxed);

	return true;
}

static bool add_run(struct tpi_counters *counters,
		    struct tpi_counters_page *page, unsigned begin,
		    unsigned end)
{
	bool added = words_of(page) || widen(page);

	while (begin < end && added) {
		unsigned stop = (unsigned)tpi_min(end, (begin / 64 + 1) * 64);

		if (add_bits(counters, page, begin, stop))
			begin = stop;
		while (begin < stop && added)
			added = add(counters, page, begin++, 1);
	}

	return added;
}

/*---------------------------- counting -------------------------------------*/

static struct tpi_counters_page *page_of(const struct tpi_counters *counters,
					 uint64_t block)
{
	return &counters->pages[block / TPI_COUNTERS_PAGE];
}

static void begin_change(struct tpi_counters_page *page)
{
	while (atomic_exchange_explicit(&page->locked, true,
					memory_order_acquire))
		sched_yield();
}

static void end_change(struct tpi_counters *counters,
		       struct tpi_counters_page *page, bool changed)
{
	uint64_t first = (uint64_t)(page - counters->pages) * TPI_COUNTERS_PAGE;
	unsigned nr_entries = (unsigned)tpi_min(counters->nr_blocks - first,
						TPI_COUNTERS_PAGE);

	if (!changed)
		atomic_store(&counters->out_of_memory, true);
	if (page->nr_above == nr_entries)
		raise_floor(page, nr_entries);
	atomic_store_explicit(&page->locked, false, memory_order_release);
}

void tpi_counters_add(struct tpi_counters *counters, uint64_t begin,
		      uint64_t end)
{
	while (begin < end) {
		struct tpi_counters_page *page = page_of(counters, begin);
		uint64_t first = begin % TPI_COUNTERS_PAGE;
		uint64_t last = tpi_min(first + end - begin, TPI_COUNTERS_PAGE);

		begin_change(page);
		end_change(counters, page,
			   add_run(counters, page, (unsigned)first,
				   (unsigned)last));
		begin += last - first;
	}
}

void tpi_counters_set(struct tpi_counters *counters, uint64_t block,
		      uint32_t count)
{
	struct tpi_counters_page *page = page_of(counters, block);

	begin_change(page);
	end_change(counters, page,
		   add(counters, page, block % TPI_COUNTERS_PAGE, count));
}

/*---------------------------- asking ---------------------------------------*/

static uint32_t get_count(const struct tpi_counters_page *page, unsigned i)
{
	const uint64_t *words = words_of(page);

	return page->floor + (words ? get(words, page->width, i) : 0);
}

uint32_t tpi_counters_get(const struct tpi_counters *counters, uint64_t block)
{
	if (block >= counters->nr_blocks)
		return 0;

	return get_count(page_of(counters, block), block % TPI_COUNTERS_PAGE);
}

/* 32 bits, a place between each two. */
static uint64_t spread(uint64_t bits)
{
	bits = (bits | bits << 16) & 0x0000ffff0000ffffu;
	bits = (bits | bits << 8) & 0x00ff00ff00ff00ffu;
	bits = (bits | bits << 4) & 0x0f0f0f0f0f0f0f0fu;
	bits = (bits | bits << 2) & 0x3333333333333333u;

	return (bits | bits << 1) & 0x5555555555555555u;
}

/* The higher bit of a pair counts one, the lower two (metadata-format.md, 6.5).
 */
bool tpi_counters_word(const struct tpi_counters *counters, uint64_t block,
		       uint64_t *word)
{
	const struct tpi_counters_page *page = page_of(counters, block);
	unsigned begin = block % TPI_COUNTERS_PAGE;
	const uint64_t *words = words_of(page);
	uint64_t bits = 0;

	if (page->width > 1 || page->floor > 1)
		return false;
	if (words)
		bits = words[begin / 64] >> begin % 64 & UINT32_MAX;
	*word = page->floor ? spread(bits) | spread(~bits & UINT32_MAX) << 1
			    : spread(bits) << 1;

	return true;
}

bool tpi_counters_are_zero(const struct tpi_counters *counters, uint64_t block)
{
	const struct tpi_counters_page *page = page_of(counters, block);
	unsigned at = block % TPI_COUNTERS_PAGE * page->width;
	unsigned end = at + 32 * page->width;
	const uint64_t *words = words_of(page);
	uint64_t any = 0;

	if (page->floor || !words)
		return !page->floor;
	if (page->width == 1)
		return !(words[at / 64] >> at % 64 & UINT32_MAX);
	for (; at < end; at += 64)
		any |= words[at / 64];

	return !any;
}

uint64_t tpi_counters_shared(const struct tpi_counters *counters,
			     uint64_t block)
{
	uint64_t shared = 0;

	for (unsigned i = 0; i < 64; i++)
		shared |= (uint64_t)(tpi_counters_get(counters, block + i) > 1)
			  << i;

	return shared;
}
