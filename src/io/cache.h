/*
 * cache.h - the metadata blocks in memory.
 *
 * One per pool, used by the run loop alone, so it takes no locks.  It never
 * waits: a block that is not here is read in the background, and the caller,
 * told -EAGAIN, comes again.
 *
 * A block is clean (as on the device), dirty (made in the running transaction,
 * not written yet) or frozen (dirty of the transaction that is being
 * committed; nobody changes it any more).  Blocks are only ever written to
 * places that no durable transaction uses, so no block is written twice for
 * two reasons.  The superblock does not live here.
 *
 * Pointers that read, new and dirty hand out stay good until tpi_cache_trim(),
 * which the run loop calls between steps and nobody else: so the code above
 * need not hold and let go of blocks.  What must stay longer is pinned.
 *
 * Bounded: trim evicts clean, unpinned blocks, those not used of late first,
 * until the cache is within its limit.  Dirty and frozen blocks cannot go; the owner
 * commits before they become too many (tpi_cache_nr_dirty).  If they do, 64
 * others may stay all the same, so that what is read for a change is not gone
 * when the last of it comes.
 */
#ifndef TPI_IO_CACHE_H
#define TPI_IO_CACHE_H

#include "io/device.h"
#include "io/validator.h"

struct tpi_cache;

/*
 * A cache of about @limit_bytes (at least 64 blocks) over @channel, of a device
 * of @nr_blocks metadata blocks.  The channel stays the caller's, who polls it.
 */
int tpi_cache_new(struct tpi_channel *channel, tp_mblock nr_blocks,
		  uint64_t limit_bytes, struct tpi_cache **cache);

/* Nothing is being read or written.  NULL is allowed. */
void tpi_cache_destroy(struct tpi_cache *cache);

/* The metadata device was found larger. */
void tpi_cache_grow(struct tpi_cache *cache, tp_mblock nr_blocks);

/*
 * The content of a block, checked by @validator when it came in.
 *
 * 0; -EAGAIN: it is being read now, come again (tpi_cache_missed tells which
 * block); -EIO or whatever the device said; -EILSEQ: it is not in the device,
 * fails the validator, or is here as a block of another type; -ENOMEM.
 * A failure is told once per attempt to read, and is not kept.
 */
int tpi_cache_read(struct tpi_cache *cache, tp_mblock block,
		   const struct tpi_validator *validator, const void **data);

/* Would tpi_cache_read() find it?  Starts no read, tells no failure. */
bool tpi_cache_is_here(const struct tpi_cache *cache, tp_mblock block);

/* The block that the last -EAGAIN was about. */
tp_mblock tpi_cache_missed(const struct tpi_cache *cache);

/*
 * Called, from the channel's poll, when a block that was missed has come or
 * failed.  One function per cache.
 */
void tpi_cache_set_arrival(struct tpi_cache *cache,
			   void (*arrived)(void *context, tp_mblock block),
			   void *context);

/*
 * A new dirty block with this content, all zero if NULL: @block has just been
 * allocated.  Whatever clean copy was here is forgotten.  -ENOMEM; -EILSEQ: it
 * is dirty, frozen or pinned, so the counts that called it free were wrong.
 */
int tpi_cache_new_block(struct tpi_cache *cache, tp_mblock block,
			const struct tpi_validator *validator,
			const void *content, void **data);

/*
 * The same with the content of @from, which is here and which nobody will ask
 * for any more.  If it is clean and not pinned it is not copied but becomes @to:
 * then pointers to its content are to that of @to.
 */
int tpi_cache_replace(struct tpi_cache *cache, tp_mblock from, tp_mblock to,
		      void **data);

/* The content of a dirty block, that is, one made in the running transaction,
 * to change it; NULL: it is not dirty. */
void *tpi_cache_dirty_data(const struct tpi_cache *cache, tp_mblock block);

/* While this number stays the same, every block that is dirty stays so, and
 * its content where it is. */
uint64_t tpi_cache_era(const struct tpi_cache *cache);

/* A block was freed: if it is dirty it need not be written, and what others may
 * still need it for, they will not look at it here.  A frozen one goes when it
 * is written; one that is pinned, or that is read, stays. */
void tpi_cache_forget(struct tpi_cache *cache, tp_mblock block);

size_t tpi_cache_nr_dirty(const struct tpi_cache *cache);
size_t tpi_cache_nr_blocks(const struct tpi_cache *cache); /* all, in memory */
size_t tpi_cache_limit(const struct tpi_cache *cache);     /* in blocks */

/* A pinned block is not evicted.  Pins count.  The block must be here. */
void tpi_cache_pin(struct tpi_cache *cache, tp_mblock block);
void tpi_cache_unpin(struct tpi_cache *cache, tp_mblock block);

/* Every dirty block becomes frozen; there must be no frozen ones. */
void tpi_cache_freeze(struct tpi_cache *cache);

/*
 * Seal and write all frozen blocks, adjacent ones in one request.  @done is
 * called once, from the channel's poll (or from here if there are none), with
 * 0 or the first error; on success the blocks are clean then, else still
 * frozen.
 */
void tpi_cache_write_frozen(struct tpi_cache *cache,
			    void (*done)(void *context, int error),
			    void *context);

/*
 * Memory for new blocks, so that a change, which cannot stop half way, does not
 * run out of it: so much is kept, if it is to be had, and left alone by reads.
 */
void tpi_cache_set_reserve(struct tpi_cache *cache, size_t nr);

/* Fill it up.  0: there is memory for @nr blocks now; -ENOMEM: for fewer. */
int tpi_cache_make_room(struct tpi_cache *cache, size_t nr);

/* Forget everything: an abort.  No write is under way.  Of reads that are, it is
 * told that they came, for somebody may wait until the device has nothing more
 * of ours; what they bring is ignored. */
void tpi_cache_clear(struct tpi_cache *cache);

/* Is a read or a write under way? */
bool tpi_cache_busy(const struct tpi_cache *cache);

/* Evict what is over the limit.  Ends the life of all pointers. */
void tpi_cache_trim(struct tpi_cache *cache);

/* A miss starts a read; reads and writes count requests to the device. */
struct tpi_cache_stats {
	uint64_t nr_hits, nr_misses, nr_reads, nr_writes, nr_evictions;
};
void tpi_cache_get_stats(const struct tpi_cache *cache,
			 struct tpi_cache_stats *stats);

#endif
