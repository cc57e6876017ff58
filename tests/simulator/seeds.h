/*
 * seeds.h - the assertion of test-seeds.c and long-seeds.c.
 */
#ifndef TESTS_SIMULATOR_SEEDS_H
#define TESTS_SIMULATOR_SEEDS_H

#include "simulator/isolate.h"

/* None of the seeds [from, from + nr), with faults, breaks the contract; @plain:
 * see workload_options. */
void assert_seeds_hold(uint64_t from, uint64_t nr, bool plain,
		       struct totals *totals);

#endif
