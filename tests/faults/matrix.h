/*
 * matrix.h - every request of every kind of operation fails once, and fails for
 * good, and what is left is judged by the crash contract (crash-contract.md,
 * 14).
 *
 * A scenario is one kind of operation.  It is run once without a fault, to see
 * how many requests it makes to which device; then again for each of them with
 * that request failing.  After each: the result, the mode, needs_check, every
 * sector of every volume, which of them still vouch for their writes, the
 * blocks in use, the metadata; and a pool that opens again and works.
 */
#ifndef TESTS_FAULTS_MATRIX_H
#define TESTS_FAULTS_MATRIX_H

#include "faults/run.h"

#define SCENARIO_OPENS 1u      /* it opens the pool itself */
#define SCENARIO_BACKGROUND 2u /* nobody waits for all that it sets off */
#define SCENARIO_TICKS 4u      /* by the clock: host-driven only */

#define SCENARIO_RACES 8u /* what comes last is not certain */

/* Rows of the fault matrix that it has to meet, as a set. */
#define ROW(number) (UINT64_C(1) << (number))

struct scenario {
	const char *name;
	unsigned flags;

	/* With nothing failing, and then with the fault about: 0, or the first
	 * error.  @setup: NULL: nothing to do. */
	int (*setup)(struct run *run);
	int (*act)(struct run *run);

	/* What a failing read or write of data is here, and which rows it must
	 * have met besides. */
	unsigned read_row, write_row;
	uint64_t rows;

	/* More to look at when the pool was opened anew; or NULL. */
	void (*judge)(struct run *run);

	unsigned outset; /* what it begins with besides (outset.h) */
};

/* Ends with NULL for a name (scenarios.c). */
extern const struct scenario scenarios[];
unsigned nr_scenarios(void);

/* How thoroughly. */
struct matrix_extent {
	int kind;            /* HOST_DRIVEN, OWN_THREAD */
	unsigned check_each; /* thin_check too, after every n-th case */
	bool all_statuses;   /* what a device may answer, and how much of a
			      * write arrives: each, or in turn */
	unsigned every_big;  /* of scenarios with a big thin, which reads many
			      * nodes: every n-th of these reads */
};

/* Fails the test when the contract is not met; how many cases. */
unsigned matrix_sweep(const struct scenario *scenario,
		      const struct matrix_extent *extent);

#endif
