/*
 * sweep.h - a call, again and again, until all of its allocations succeed.
 *
 * In each round the pool is the same as before, and another allocation fails,
 * or that one and all after it.  The call succeeds, or tells of it and has no
 * effect; the pool goes on, and the call works when memory is back (F-19).  Then
 * the pool closes, its metadata is right to the last count, and it opens again
 * with nothing lost.
 */
#ifndef TESTS_MEMORY_SWEEP_H
#define TESTS_MEMORY_SWEEP_H

#include "support/failing-memory.h"
#include "support/world.h"

/* Thins of the pool that each round begins with: FULL is mapped wholly, SHARED
 * is a snapshot of it; PLAIN has its first half mapped, unshared. */
enum { FULL = 1, SHARED, PLAIN, NEW, NEWER, WARM };
#define SWEEP_THIN_BYTES (1 * MIB)

/* What their blocks hold. */
enum { FULL_SEED = 1, PLAIN_SEED };

struct sweep {
	/* Memory is there: get ready, and put away what that took.  The pool
	 * is open.  May be NULL. */
	void (*begin)(void);
	void (*end)(void);

	/* Nothing was changed since the pool was opened, and no queue made. */
	bool is_cold;

	/* What is tried.  It closes what it opens, whatever happens. */
	int (*call)(void);

	/*
	 * Has the call taken effect?  The pool is open.  Fails the test if it
	 * has only in part, or what it should leave alone is not as it was.
	 */
	bool (*is_done)(void);

	/* A call that failed may have done some of it all the same, as a bio
	 * may have in some of its sectors (R2). */
	bool may_be_partial;

	/* The call leaves nothing behind that could be told. */
	bool has_no_effect;

	/* Once it has begun to change things, it waits for memory; if none comes
	 * for long, the transaction is given up: not tried here (F-19). */
	bool waits;

	/* Data blocks it takes, or gives back if less than 0. */
	int nr_blocks;
};

extern struct world sweep_world;

void sweep_pool(int kind, const struct sweep *sweep);

/* Without a pool: @call does it all, and looks at the result itself. */
void sweep_call(int (*call)(void));

#endif
