/*
 * mapping-cache.h - mappings in memory, read by every thread without a lock.
 *
 * The cache is a fixed number of *pages*, each the mappings of a run of 256
 * virtual blocks of one thin, as they lie on disk.  Pages lie in sets of eight;
 * a thin and a page number choose the set.  The memory is never given back
 * while the pool is open, so a reader can look at any page at any time; a
 * sequence number, odd while the page is given to another run, tells it whether
 * what it saw belongs together.
 *
 * Only the run loop writes: it fills whole pages, and changes single mappings
 * as the metadata changes.  What a reader gets may be old the next moment; that
 * is what grace periods are for (epoch.h).
 *
 * Whether a block is shared is not kept here: it is told by the mapping's time
 * and the thin's, so a snapshot changes nothing (architecture.md, decision 4).
 */
#ifndef TPI_POOL_MAPPING_CACHE_H
#define TPI_POOL_MAPPING_CACHE_H

#include "pool/mapping.h"

#define TPI_PAGE_MAPPINGS 256u

struct tpi_mapping_cache;

/* Of at most @limit_bytes, and at least a few pages.  -ENOMEM. */
int tpi_mapping_cache_new(uint64_t limit_bytes,
			  struct tpi_mapping_cache **cache);
void tpi_mapping_cache_destroy(struct tpi_mapping_cache *cache);

/*
 * The mapping of a block, or false if it is not here.  Any thread.  @thin is a
 * number that no other open thin of the pool has had.
 */
bool tpi_mapping_cache_get(struct tpi_mapping_cache *cache, uint64_t thin,
			   tp_vblock vblock, tpi_mapping *mapping);

/* The rest is for the run loop alone. */

/* Put a page in, in place of the one of its set that was filled longest ago.
 * @vblock is the page's first block. */
void tpi_mapping_cache_fill(struct tpi_mapping_cache *cache, uint64_t thin,
			    tp_vblock vblock, const tpi_mapping *mappings);

/* The mapping changed, to @mapping or to none. */
void tpi_mapping_cache_set(struct tpi_mapping_cache *cache, uint64_t thin,
			   tp_vblock vblock, tpi_mapping mapping);

/* Forget all: an abort. */
void tpi_mapping_cache_clear(struct tpi_mapping_cache *cache);

#endif
