/*
 * verdict.h - whether a run kept the contract, and if not, where it first broke.
 */
#ifndef TESTS_SIMULATOR_VERDICT_H
#define TESTS_SIMULATOR_VERDICT_H

#include <stdbool.h>

struct verdict {
	bool broken;
	char sentence[512];
};

/* Only the first violation is kept: what follows may be its consequence.
 * Always false, so that a check can end with 'return violated(...)'. */
bool violated(struct verdict *verdict, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
