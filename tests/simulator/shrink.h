/*
 * shrink.h - fewer steps that fail too.
 */
#ifndef TESTS_SIMULATOR_SHRINK_H
#define TESTS_SIMULATOR_SHRINK_H

#include "simulator/isolate.h"

/*
 * Leave out steps of a job that fails as long as it goes on failing.  The
 * numbers of those that are left, to be freed; @nr: how many.  @outcome: of
 * the last that failed.
 */
uint32_t *shrink(const struct job *job, unsigned *nr, struct outcome *outcome);

#endif
