/*
 * hostile.h - pools with damaged metadata, many of them, one for each seed.
 *
 * A run that hangs is ended by an alarm, and one that wants much memory by a
 * limit: both, as whatever else goes wrong, with a sentence that names the seed.
 * TEST_SEED is where to begin.
 */
#ifndef TESTS_POOL_HOSTILE_H
#define TESTS_POOL_HOSTILE_H

#include "support/exercise.h"

/* The seeds [first, first + nr), each with @nr_steps. */
struct hostile_seeds {
	uint64_t first, nr;
	unsigned nr_steps;
};

/* No damage: all must go well. */
void hostile_undamaged(enum specimen_kind kind,
		       const struct hostile_seeds *seeds);

/* Numbers and checksums left wrong: no wrong data, ever. */
void hostile_unsealed(enum specimen_kind kind,
		      const struct hostile_seeds *seeds);

/* Anything. */
void hostile_sealed(enum specimen_kind kind, const struct hostile_seeds *seeds);
void hostile_lost_writes(enum specimen_kind kind,
			 const struct hostile_seeds *seeds);

#endif
