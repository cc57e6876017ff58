/*
 * seeds.h - the assertion of test-seeds.c and long-seeds.c.
 */
#ifndef TESTS_SIMULATOR_SEEDS_H
#define TESTS_SIMULATOR_SEEDS_H

#include "simulator/isolate.h"

/* None of the seeds [from, from + nr), with faults, breaks the contract. */
void assert_seeds_hold(uint64_t from, uint64_t nr, struct totals *totals);

#endif
