/*
 * samples.h - how long some of the operations took.
 */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include "base.h"

enum { MEDIAN, P99, P999, LONGEST, NR_PERCENTILES };

extern const char *const percentile_names[NR_PERCENTILES];

/* Room for so many; later ones are not kept. */
struct samples {
	uint32_t *ns;
	size_t nr, nr_max;
};

void init_samples(struct samples *samples, size_t nr_max);
void exit_samples(struct samples *samples);

static inline void add_sample(struct samples *samples, uint64_t ns)
{
	if (samples->nr < samples->nr_max)
		samples->ns[samples->nr++] = ns > UINT32_MAX ? UINT32_MAX
							     : (uint32_t)ns;
}

void add_samples(struct samples *samples, const struct samples *more);

/* Sorts them.  All are 0 if there is no sample. */
void get_percentiles(struct samples *samples, double us[NR_PERCENTILES]);

#endif
