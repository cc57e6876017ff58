/*
 * mapping-cache.c - see mapping-cache.h.
 *
 * The protocol of a page.  The writer makes the sequence number odd, changes
 * key and mappings, and makes it even again.  A reader takes an even number,
 * reads key and mapping, and finds the same number still there: then both were
 * of the same filling.  Single mappings change without touching the number:
 * each is one atomic word, right before and after.
 *
 * All accesses are atomic, so there is no data race to begin with; the order is
 * kept by the reader's acquire loads and by the writer publishing every word with
 * release: a reader that got one word of a later filling has then also acquired
 * that filling's odd number, and sees that it changed.
 */
#include "pool/mapping-cache.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <xxhash.h>

#define WAYS 8u

struct page {
	_Atomic uint64_t sequence;
	_Atomic uint64_t thin; /* 0: nobody's */
	_Atomic uint64_t number;
	_Atomic uint64_t mappings[TPI_PAGE_MAPPINGS];
};

struct set {
	unsigned next; /* the way to be filled next; run loop only */
	struct page *ways;
};

struct tpi_mapping_cache {
	uint64_t nr_sets; /* a power of two */
	struct set *sets;
	struct page *pages;
};

static uint64_t sets_within(uint64_t limit_bytes)
{
	uint64_t nr = 1;

	while (nr * 2 * WAYS * sizeof(struct page) <= limit_bytes)
		nr *= 2;

	return nr;
}

int tpi_mapping_cache_new(uint64_t limit_bytes,
			  struct tpi_mapping_cache **result)
{
	struct tpi_mapping_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->nr_sets = sets_within(limit_bytes);
	cache->sets = calloc(cache->nr_sets, sizeof(*cache->sets));
	cache->pages = calloc(cache->nr_sets * WAYS, sizeof(*cache->pages));
	if (!cache->sets || !cache->pages) {
		tpi_mapping_cache_destroy(cache);
		return -ENOMEM;
	}
	for (uint64_t i = 0; i < cache->nr_sets; i++)
		cache->sets[i].ways = cache->pages + i * WAYS;
	*result = cache;

	return 0;
}

void tpi_mapping_cache_destroy(struct tpi_mapping_cache *cache)
{
	if (!cache)
		return;
	free(cache->pages);
	free(cache->sets);
	free(cache);
}

static struct set *set_of(struct tpi_mapping_cache *cache, uint64_t thin,
			  uint64_t number)
{
	uint64_t key[2] = { thin, number };

	return &cache->sets[XXH3_64bits(key, sizeof(key)) &
			    (cache->nr_sets - 1)];
}

static bool is_for(struct page *page, uint64_t thin, uint64_t number)
{
	return atomic_load_explicit(&page->thin, memory_order_acquire) ==
		       thin &&
	       atomic_load_explicit(&page->number, memory_order_acquire) ==
		       number;
}

static bool read_page(struct page *page, uint64_t thin, tp_vblock vblock,
		      tpi_mapping *mapping)
{
	uint64_t sequence =
		atomic_load_explicit(&page->sequence, memory_order_acquire);

	if ((sequence & 1) || !is_for(page, thin, vblock / TPI_PAGE_MAPPINGS))
		return false;
	*mapping = atomic_load_explicit(
		&page->mappings[vblock % TPI_PAGE_MAPPINGS],
		memory_order_acquire);

	return atomic_load_explicit(&page->sequence, memory_order_relaxed) ==
	       sequence;
}

bool tpi_mapping_cache_get(struct tpi_mapping_cache *cache, uint64_t thin,
			   tp_vblock vblock, tpi_mapping *mapping)
{
	struct set *set = set_of(cache, thin, vblock / TPI_PAGE_MAPPINGS);

	for (unsigned i = 0; i < WAYS; i++)
		if (read_page(&set->ways[i], thin, vblock, mapping))
			return true;

	return false;
}

static struct page *find_page(struct tpi_mapping_cache *cache, uint64_t thin,
			      tp_vblock vblock)
{
	uint64_t number = vblock / TPI_PAGE_MAPPINGS;
	struct set *set = set_of(cache, thin, number);

	for (unsigned i = 0; i < WAYS; i++)
		if (is_for(&set->ways[i], thin, number))
			return &set->ways[i];

	return NULL;
}

/* @sequence odd: nobody may believe what the page says until it is even. */
static void set_sequence(struct page *page, uint64_t sequence)
{
	atomic_store_explicit(&page->sequence, sequence, memory_order_release);
}

static void refill(struct page *page, uint64_t thin, uint64_t number,
		   const tpi_mapping *mappings)
{
	uint64_t sequence =
		atomic_load_explicit(&page->sequence, memory_order_relaxed);

	set_sequence(page, sequence + 1);
	atomic_store_explicit(&page->thin, thin, memory_order_release);
	atomic_store_explicit(&page->number, number, memory_order_release);
	for (unsigned i = 0; i < TPI_PAGE_MAPPINGS; i++)
		atomic_store_explicit(&page->mappings[i], mappings[i],
				      memory_order_release);
	set_sequence(page, sequence + 2);
}

void tpi_mapping_cache_fill(struct tpi_mapping_cache *cache, uint64_t thin,
			    tp_vblock vblock, const tpi_mapping *mappings)
{
	uint64_t number = vblock / TPI_PAGE_MAPPINGS;
	struct page *page = find_page(cache, thin, vblock);

	if (!page) {
		struct set *set = set_of(cache, thin, number);

		page = &set->ways[set->next];
		set->next = (set->next + 1) % WAYS;
	}
	refill(page, thin, number, mappings);
}

void tpi_mapping_cache_set(struct tpi_mapping_cache *cache, uint64_t thin,
			   tp_vblock vblock, tpi_mapping mapping)
{
	struct page *page = find_page(cache, thin, vblock);

	if (page)
		atomic_store_explicit(
			&page->mappings[vblock % TPI_PAGE_MAPPINGS], mapping,
			memory_order_release);
}

void tpi_mapping_cache_clear(struct tpi_mapping_cache *cache)
{
	for (uint64_t i = 0; i < cache->nr_sets * WAYS; i++) {
		struct page *page = &cache->pages[i];
		uint64_t sequence = atomic_load_explicit(&page->sequence,
							 memory_order_relaxed);

		set_sequence(page, sequence + 1);
		atomic_store_explicit(&page->thin, 0, memory_order_release);
		set_sequence(page, sequence + 2);
	}
}
