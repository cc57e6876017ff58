/*
 * counters.c - how often each data block is referred to.
 */
#include "check/counters.h"

#include <stdlib.h>

int tpi_counters_init(struct tpi_counters *counters, uint64_t nr_blocks)
{
	counters->nr_pages = tpi_bitmap_nr_for(nr_blocks);
	counters->pages =
		calloc(counters->nr_pages + 1, sizeof(*counters->pages));

	return counters->pages ? 0 : -ENOMEM;
}

void tpi_counters_exit(struct tpi_counters *counters)
{
	for (size_t i = 0; counters->pages && i < counters->nr_pages; i++)
		free((void *)atomic_load(&counters->pages[i]));
	free(counters->pages);
}

/* Whoever is first, makes it. */
static _Atomic(uint32_t) *make_page(struct tpi_counters *counters, size_t i)
{
	_Atomic(uint32_t) *expected = NULL;
	_Atomic(uint32_t) *page = calloc(TPI_BITMAP_ENTRIES, sizeof(*page));

	if (!page) {
		atomic_store(&counters->out_of_memory, true);
		return NULL;
	}
	if (atomic_compare_exchange_strong(&counters->pages[i], &expected,
					   page))
		return page;
	free((void *)page);

	return expected;
}

void tpi_counters_add(struct tpi_counters *counters, uint64_t block)
{
	size_t i = block / TPI_BITMAP_ENTRIES;
	_Atomic(uint32_t) *page =
		atomic_load_explicit(&counters->pages[i], memory_order_acquire);

	if (!page)
		page = make_page(counters, i);
	if (!page)
		return;
	if (atomic_fetch_add_explicit(&page[block % TPI_BITMAP_ENTRIES], 1,
				      memory_order_relaxed) == 1)
		atomic_fetch_add_explicit(&counters->nr_shared, 1,
					  memory_order_relaxed);
}

const _Atomic(uint32_t) *tpi_counters_page(const struct tpi_counters *counters,
					   size_t page)
{
	if (page >= counters->nr_pages)
		return NULL;

	return atomic_load_explicit(&counters->pages[page],
				    memory_order_acquire);
}

uint32_t tpi_counters_get(const struct tpi_counters *counters, uint64_t block)
{
	const _Atomic(uint32_t) *page =
		tpi_counters_page(counters, block / TPI_BITMAP_ENTRIES);

	return page ? atomic_load_explicit(&page[block % TPI_BITMAP_ENTRIES],
					   memory_order_relaxed)
		    : 0;
}
