/*
 * mapping-cache.c - see mapping-cache.h.
 *
 * Beside each set lie the hashes of what its pages hold, in one cache line, so
 * that only the page that is looked for is touched.  They are a hint: what counts
 * is what the page itself says.
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
#include <string.h>

#include "io/huge-pages.h"

#define XXH_INLINE_ALL /* of a key this short, the call would be most of it */
#include <xxhash.h>

#define WAYS 8u

struct page {
	_Atomic uint64_t sequence;
	_Atomic uint64_t thin; /* 0: nobody's */
	_Atomic uint64_t number;
	_Atomic uint64_t mappings[TPI_PAGE_MAPPINGS];
};

struct set {
	_Atomic uint64_t hashes[WAYS];
};

struct tpi_mapping_cache {
	uint64_t nr_sets; /* a power of two */
	struct set *sets;
	struct page *pages; /* of one set after another */
	uint8_t *next;      /* the way to be filled next; run loop only */
};

static uint64_t sets_within(uint64_t limit_bytes)
{
	uint64_t nr = 1;

	while (nr * 2 * WAYS * sizeof(struct page) <= limit_bytes)
		nr *= 2;

	return nr;
}

static struct set *make_sets(uint64_t nr)
{
	size_t bytes = nr * sizeof(struct set);
	struct set *sets = aligned_alloc(sizeof(*sets), bytes);

	return sets ? memset(sets, 0, bytes) : NULL;
}

int tpi_mapping_cache_new(uint64_t limit_bytes,
			  struct tpi_mapping_cache **result)
{
	struct tpi_mapping_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->nr_sets = sets_within(limit_bytes);
	cache->sets = make_sets(cache->nr_sets);
	cache->pages = calloc(cache->nr_sets * WAYS, sizeof(*cache->pages));
	cache->next = calloc(cache->nr_sets, sizeof(*cache->next));
	if (!cache->sets || !cache->pages || !cache->next) {
		tpi_mapping_cache_destroy(cache);
		return -ENOMEM;
	}
	tpi_prefer_huge_pages(cache->sets,
			      cache->nr_sets * sizeof(*cache->sets));
	tpi_prefer_huge_pages(cache->pages,
			      cache->nr_sets * WAYS * sizeof(*cache->pages));
	*result = cache;

	return 0;
}

void tpi_mapping_cache_destroy(struct tpi_mapping_cache *cache)
{
	if (!cache)
		return;
	free(cache->next);
	free(cache->pages);
	free(cache->sets);
	free(cache);
}

static uint64_t hash_of(uint64_t thin, uint64_t number)
{
	uint64_t key[2] = { thin, number };

	return XXH3_64bits(key, sizeof(key));
}

static uint64_t set_of(const struct tpi_mapping_cache *cache, uint64_t hash)
{
	return hash & (cache->nr_sets - 1);
}

static uint64_t hash_at(struct tpi_mapping_cache *cache, uint64_t set,
			unsigned way)
{
	return atomic_load_explicit(&cache->sets[set].hashes[way],
				    memory_order_relaxed);
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
	uint64_t hash = hash_of(thin, vblock / TPI_PAGE_MAPPINGS);
	uint64_t set = set_of(cache, hash);

	for (unsigned i = 0; i < WAYS; i++)
		if (hash_at(cache, set, i) == hash &&
		    read_page(&cache->pages[set * WAYS + i], thin, vblock,
			      mapping))
			return true;

	return false;
}

static struct page *find_page(struct tpi_mapping_cache *cache, uint64_t thin,
			      tp_vblock vblock)
{
	uint64_t number = vblock / TPI_PAGE_MAPPINGS;
	uint64_t hash = hash_of(thin, number), set = set_of(cache, hash);

	for (unsigned i = 0; i < WAYS; i++) {
		struct page *page = &cache->pages[set * WAYS + i];

		if (hash_at(cache, set, i) == hash &&
		    is_for(page, thin, number))
			return page;
	}

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

/* The page of its set that was filled longest ago, for a new content. */
static struct page *take_page(struct tpi_mapping_cache *cache, uint64_t hash)
{
	uint64_t set = set_of(cache, hash);
	unsigned way = cache->next[set];

	cache->next[set] = (uint8_t)((way + 1) % WAYS);
	atomic_store_explicit(&cache->sets[set].hashes[way], hash,
			      memory_order_relaxed);

	return &cache->pages[set * WAYS + way];
}

void tpi_mapping_cache_fill(struct tpi_mapping_cache *cache, uint64_t thin,
			    tp_vblock vblock, const tpi_mapping *mappings)
{
	uint64_t number = vblock / TPI_PAGE_MAPPINGS;
	struct page *page = find_page(cache, thin, vblock);

	if (!page)
		page = take_page(cache, hash_of(thin, number));
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
