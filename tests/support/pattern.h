/*
 * pattern.h - contents that tell what they are: each 8 bytes of a pattern depend
 * on the seed and on where they lie in the volume.
 */
#ifndef TESTS_SUPPORT_PATTERN_H
#define TESTS_SUPPORT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pseudo random numbers, the same everywhere. */
uint64_t mix(uint64_t x);
uint64_t next_random(uint64_t *state);

/* Uniform in [begin, end). */
uint64_t random_in(uint64_t *state, uint64_t begin, uint64_t end);

void fill_pattern(void *buffer, size_t length, uint64_t offset, uint64_t seed);

/* The offset in the volume of the first sector that differs; UINT64_MAX: none. */
uint64_t find_other(const void *buffer, size_t length, uint64_t offset,
		    uint64_t seed);
uint64_t find_nonzero(const void *buffer, size_t length, uint64_t offset);

/* $TEST_SEED, or @otherwise; printed, so that a failure can be had again. */
uint64_t seed_from_environment(uint64_t otherwise);

#endif
