/*
 * met.c - the owners that were met of each data block.
 */
#include "check/met.h"

#include <stdlib.h>

/* The blocks of a bitmap. */
struct tpi_met_page {
	uint64_t shared[TPI_BITMAP_GROUPS]; /* those with several leaves */
	uint16_t before[TPI_BITMAP_GROUPS]; /* how many in earlier groups */
	uint16_t nr;
	uint8_t nr_bytes; /* of each number: 1, 2 or 4 */
	void *numbers;    /* of sets; of shared blocks only */
};

int tpi_met_init(struct tpi_met *met, const struct tpi_counters *counts,
		 struct tpi_owners *owners)
{
	*met = (struct tpi_met){
		.counts = counts,
		.owners = owners,
		.nr_pages = tpi_bitmap_nr_for(counts->nr_blocks),
	};
	met->pages = calloc(met->nr_pages + 1, sizeof(*met->pages));

	return met->pages ? 0 : -ENOMEM;
}

static void free_page(struct tpi_met_page *page)
{
	if (page)
		free(page->numbers);
	free(page);
}

void tpi_met_exit(struct tpi_met *met)
{
	for (size_t i = 0; met->pages && i < met->nr_pages; i++)
		free_page(met->pages[i]);
	free(met->pages);
}

/*---------------------------- numbers --------------------------------------*/

static uint32_t get(const struct tpi_met_page *page, unsigned i)
{
	switch (page->nr_bytes) {
	case 1:
		return ((const uint8_t *)page->numbers)[i];
	case 2:
		return ((const uint16_t *)page->numbers)[i];
	default:
		return ((const uint32_t *)page->numbers)[i];
	}
}

/* It fits. */
static void put(struct tpi_met_page *page, unsigned i, uint32_t number)
{
	switch (page->nr_bytes) {
	case 1:
		((uint8_t *)page->numbers)[i] = (uint8_t)number;
		break;
	case 2:
		((uint16_t *)page->numbers)[i] = (uint16_t)number;
		break;
	default:
		((uint32_t *)page->numbers)[i] = number;
	}
}

static int widen(struct tpi_met_page *page)
{
	struct tpi_met_page wider = { .nr_bytes = 2 * page->nr_bytes & 7 };

	wider.numbers = calloc(page->nr, wider.nr_bytes);
	if (!wider.numbers)
		return -ENOMEM;
	for (unsigned i = 0; i < page->nr; i++)
		put(&wider, i, get(page, i));
	free(page->numbers);
	page->numbers = wider.numbers;
	page->nr_bytes = wider.nr_bytes;

	return 0;
}

static int set(struct tpi_met_page *page, unsigned i, uint32_t number)
{
	int r = 0;

	while (!r && page->nr_bytes < 4 && number >> 8 * page->nr_bytes)
		r = widen(page);
	if (!r)
		put(page, i, number);

	return r;
}

/*---------------------------- pages ----------------------------------------*/

/* NULL: no memory. */
static struct tpi_met_page *make_page(const struct tpi_met *met, size_t i)
{
	uint64_t begin = (uint64_t)i * TPI_BITMAP_ENTRIES;
	struct tpi_met_page *page = calloc(1, sizeof(*page));

	if (!page)
		return NULL;
	for (unsigned j = 0; j < TPI_BITMAP_GROUPS; j++) {
		page->shared[j] = tpi_counters_shared(
			met->counts, begin + j * TPI_GROUP_BITS);
		page->before[j] = page->nr;
		page->nr += (uint16_t)__builtin_popcountll(page->shared[j]);
	}
	page->nr_bytes = 1;
	page->numbers = calloc(page->nr, page->nr_bytes);
	if (page->numbers)
		return page;
	free_page(page);

	return NULL;
}

/* Where the number of a shared block is. */
static unsigned index_of(const struct tpi_met_page *page, unsigned block)
{
	unsigned group = block / TPI_GROUP_BITS;
	uint64_t lower = ((uint64_t)1 << block % TPI_GROUP_BITS) - 1;

	return page->before[group] +
	       (unsigned)__builtin_popcountll(page->shared[group] & lower);
}

int tpi_met_add(struct tpi_met *met, tp_dblock block, uint32_t owners,
		bool *twice)
{
	struct tpi_met_page **page = &met->pages[block / TPI_BITMAP_ENTRIES];
	uint32_t before, now;
	unsigned i;
	int r;

	if (!*page)
		*page = make_page(met, block / TPI_BITMAP_ENTRIES);
	if (!*page)
		return -ENOMEM;
	i = index_of(*page, block % TPI_BITMAP_ENTRIES);
	before = get(*page, i);
	r = tpi_owners_union(met->owners, before, owners, &now, twice);

	return r || now == before ? r : set(*page, i, now);
}
