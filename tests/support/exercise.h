/*
 * exercise.h - everything that can be done with a pool, by chance, to one whose
 * metadata may be anything.
 *
 * It must come to an end, with every bio ended once and no error that does not
 * fit, whatever was done to the metadata (crash-contract.md, F-21 to F-24).
 * Else it aborts with a sentence that names the specimen, the seed and the
 * damage.  See image-pool.h for what is watched all the time.
 */
#ifndef TESTS_SUPPORT_EXERCISE_H
#define TESTS_SUPPORT_EXERCISE_H

#include "support/specimen.h"

struct exercise {
	const struct specimen *specimen;
	uint64_t seed;
	unsigned nr_steps;
	bool own_thread; /* else host-driven, on a virtual clock */

	/*
	 * NULL: no damage, and everything must go well.  Else the metadata that
	 * the pool has instead of the specimen's, and what was done to it.
	 */
	const char *metadata;
	const char *damage;

	/* All blocks that were damaged show it by number or checksum: so no
	 * content may ever be wrong (F-21). */
	bool shows;
};

/* Whether the pool could be opened. */
bool exercise(const struct exercise *exercise);

#endif
