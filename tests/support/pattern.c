/*
 * pattern.c - contents that tell what they are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/pattern.h"

/* Steele, Lea, Flood: SplitMix64. */
uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;

	return x ^ (x >> 31);
}

uint64_t next_random(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15u;

	return mix(*state);
}

uint64_t random_in(uint64_t *state, uint64_t begin, uint64_t end)
{
	return begin + next_random(state) % (end - begin);
}

void fill_pattern(void *buffer, size_t length, uint64_t offset, uint64_t seed)
{
	uint64_t base = mix(seed);

	for (size_t i = 0; i < length / 8; i++) {
		uint64_t word = base + (offset + 8 * i) * 0x9e3779b97f4a7c15u;

		memcpy((char *)buffer + 8 * i, &word, 8);
	}
}

uint64_t find_other(const void *buffer, size_t length, uint64_t offset,
		    uint64_t seed)
{
	char expected[512];

	for (size_t at = 0; at < length; at += sizeof(expected)) {
		fill_pattern(expected, sizeof(expected), offset + at, seed);
		if (memcmp((const char *)buffer + at, expected,
			   sizeof(expected)))
			return offset + at;
	}

	return UINT64_MAX;
}

uint64_t find_nonzero(const void *buffer, size_t length, uint64_t offset)
{
	static const char zeroes[512];

	for (size_t at = 0; at < length; at += sizeof(zeroes))
		if (memcmp((const char *)buffer + at, zeroes, sizeof(zeroes)))
			return offset + at;

	return UINT64_MAX;
}

uint64_t seed_from_environment(uint64_t otherwise)
{
	const char *text = getenv("TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : otherwise;

	fprintf(stderr, "TEST_SEED=%llu\n", (unsigned long long)seed);

	return seed;
}
