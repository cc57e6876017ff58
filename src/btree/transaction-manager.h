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

/*
 * A leaf that the next change is likely to meet: of the tree with this root (0:
 * there is none), for the keys from @low to @high.  It and all nodes above it
 * were made in the running transaction and have one owner, so that it may be
 * changed without going there from the root.
 *
 * Whatever could make that untrue lets go of it: a count that changes, a tree
 * that is changed elsewhere, the end of the transaction (a new era).
 */
struct tpi_finger {
	tp_mblock root;
	uint64_t low, high;
	void *leaf;
	uint64_t era;
};

struct tpi_tm {
	struct tpi_cache *cache;
	struct tpi_refs *refs;
	struct tpi_finger finger; /* insert.c's */
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
 * one more owner, and the caller must count it (8.1).  When it does not, its
 * content need not be copied in memory: whoever has a pointer to it may see it
 * change.
 *
 * 0, -EAGAIN, -EIO, -EILSEQ, -ENOSPC, -ENOMEM.
 */
int tpi_tm_shadow(struct tpi_tm *tm, tp_mblock block,
		  const struct tpi_validator *validator, tp_mblock *shadow,
		  void **data, bool *copied_shared);

/* May @block be changed in place? */
bool tpi_tm_is_own(const struct tpi_tm *tm, tp_mblock block);

int tpi_tm_inc(struct tpi_tm *tm, tp_mblock block);

/* A block whose last reference goes is forgotten by the cache. */
int tpi_tm_dec(struct tpi_tm *tm, tp_mblock block);

uint32_t tpi_tm_count(const struct tpi_tm *tm, tp_mblock block);
static inline bool tpi_tm_is_shared(const struct tpi_tm *tm, tp_mblock block)
{
	return tpi_tm_count(tm, block) > 1;
}

#endif
