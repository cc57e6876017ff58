/*
 * big-pool.h - a full pool, with a thin too big to be deleted in one
 * transaction, and what it has to hold (architecture.md, decision 12).
 *
 * BIG_THIN fills the pool.  BIG_SNAPSHOT shares its last blocks: in one half of
 * them the leaves too, in the other the thin has leaves of its own, with some
 * blocks rewritten.  BIG_WRITER is empty.
 */
#ifndef TESTS_SIMULATOR_BIG_POOL_H
#define TESTS_SIMULATOR_BIG_POOL_H

#include "support/power-cut.h"

enum { BIG_THIN = 1, BIG_SNAPSHOT, BIG_WRITER };

#define BIG_NR_SHARED 2000u
#define BIG_NR_WRITES 400u /* at most, a sector in each block of BIG_WRITER */
#define BIG_NR_IDS 4u

/* What each of the thins maps, and where to. */
struct big_pool {
	uint64_t digests[BIG_NR_IDS];
};

/* What the host was told. */
struct big_promise {
	bool deleted;                /* the call has returned with success */
	unsigned nr_begun;           /* writes of BIG_WRITER */
	bool durable[BIG_NR_WRITES]; /* which ended well; all with TP_FUA */
};

/* Make it on new devices; it is closed and the caller frees the simulator. */
struct tp_simulator *big_pool_make(struct big_pool *pool, uint64_t seed);

/* It opens read-write (V1). */
void big_pool_open(struct sim_world *w);

struct tp_thin *big_pool_open_thin(struct sim_world *w, uint32_t id);

/* The sector that BIG_WRITER gets in its n-th block, and where. */
void big_pool_fill_write(char sector[512], unsigned n);
uint64_t big_pool_write_offset(unsigned n);

/* Whether BIG_THIN is there, which it may not be once it was deleted (K3). */
bool big_pool_has_thin(struct sim_world *w, const struct big_promise *promise);

/*
 * The pool holds what was promised: BIG_THIN whole or not at all (K3),
 * BIG_SNAPSHOT as ever (N2), of BIG_WRITER what is durable (S1) and nothing
 * that was another's (6.6).  One in @one_in sectors of the first two is read.
 */
void big_pool_check(struct sim_world *w, const struct big_pool *pool,
		    const struct big_promise *promise, unsigned one_in);

/* The data blocks that are used when BIG_THIN has been emptied. */
uint64_t big_pool_used_without_it(struct sim_world *w);

#endif
