/*
 * transaction-manager.h - copy on write of metadata blocks.
 *
 * A block that a durable transaction, or one on its way to the device, may use
 * is never changed: it is shadowed, that is, copied to a new place, once per
 * transaction (metadata-format.md, 8.1).  A block that is dirty in the cache
 * was made in the running transaction, and may be changed in place unless it
 * has become shared since.
 *
 * Run loop only.  None of this waits: what is not in the cache is answered
 * with -EAGAIN by tpi_tm_read() and tpi_tm_shadow(), before they change
 * anything.  A change to a tree first looks up all that it will touch; see
 * btree.h.
 */
#ifndef TPI_BTREE_TRANSACTION_MANAGER_H
#define TPI_BTREE_TRANSACTION_MANAGER_H

#include "btree/refs.h"
#include "io/cache.h"

struct tpi_tm {
	struct tpi_cache *cache;
	struct tpi_refs *refs;
};

/* As tpi_cache_read; -EILSEQ too if @block is 0 or beyond the counted end. */
int tpi_tm_read(struct tpi_tm *tm, tp_mblock block,
		const struct tpi_validator *validator, const void **data);

/* A new block, all zero but for what the validator seals; count one.
 * -ENOSPC, -ENOMEM. */
int tpi_tm_new_block(struct tpi_tm *tm, const struct tpi_validator *validator,
		     tp_mblock *block, void **data);

/* Memory for the blocks that one change of one tree makes, and one or two
 * beside it.  -ENOMEM. */
int tpi_tm_make_room(struct tpi_tm *tm);

/*
 * Make @block writable: in place if this transaction made it and nobody shares
 * it, else as a copy, whose number the caller puts where the old one was.  The
 * old block loses the reference that the caller had.  @copied_shared is set
 * when the old one lives on: then everything that the content refers to has
 * one more owner, and the caller must count it (8.1).
 *
 * 0, -EAGAIN, -EIO, -EILSEQ, -ENOSPC, -ENOMEM.
 */
int tpi_tm_shadow(struct tpi_tm *tm, tp_mblock block,
		  const struct tpi_validator *validator, tp_mblock *shadow,
		  void **data, bool *copied_shared);

int tpi_tm_inc(struct tpi_tm *tm, tp_mblock block);

/* A block whose last reference goes is forgotten by the cache. */
int tpi_tm_dec(struct tpi_tm *tm, tp_mblock block);

uint32_t tpi_tm_count(const struct tpi_tm *tm, tp_mblock block);
static inline bool tpi_tm_is_shared(const struct tpi_tm *tm, tp_mblock block)
{
	return tpi_tm_count(tm, block) > 1;
}

#endif
