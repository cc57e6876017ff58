/*
 * random.h - numbers that a seed decides.
 */
#ifndef TPI_SIMULATOR_RANDOM_H
#define TPI_SIMULATOR_RANDOM_H

#include <stdint.h>

/* Steele, Lea, Flood: SplitMix64.  One to one, and no bit looks like another. */
static inline uint64_t tpi_sim_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;

	return x ^ (x >> 31);
}

/* In [0, below); any number if @below is 0. */
static inline uint64_t tpi_sim_random(uint64_t *state, uint64_t below)
{
	uint64_t n = tpi_sim_mix(*state);

	*state += 0x9e3779b97f4a7c15u;

	return below ? n % below : n;
}

#endif
