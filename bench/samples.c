/*
 * samples.c - the latencies that were taken, and their percentiles.
 */
#include <stdlib.h>
#include <string.h>

#include "samples.h"

const char *const percentile_names[NR_PERCENTILES] = {
	[MEDIAN] = "p50",
	[P99] = "p99",
	[P999] = "p99.9",
	[LONGEST] = "max",
};

void init_samples(struct samples *samples, size_t nr_max)
{
	samples->ns = allocate(nr_max * sizeof(*samples->ns));
	samples->nr = 0;
	samples->nr_max = nr_max;
}

void exit_samples(struct samples *samples)
{
	free(samples->ns);
}

void add_samples(struct samples *samples, const struct samples *more)
{
	for (size_t i = 0; i < more->nr; i++)
		add_sample(samples, more->ns[i]);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void get_percentiles(struct samples *samples, double us[NR_PERCENTILES])
{
	static const double parts[NR_PERCENTILES] = {
		[MEDIAN] = .5, [P99] = .99, [P999] = .999, [LONGEST] = 1
	};

	memset(us, 0, NR_PERCENTILES * sizeof(*us));
	if (!samples->nr)
		return;
	qsort(samples->ns, samples->nr, sizeof(*samples->ns), compare);
	for (unsigned i = 0; i < NR_PERCENTILES; i++) {
		double at = (double)(samples->nr - 1) * parts[i];

		us[i] = samples->ns[(size_t)at] / 1e3;
	}
}
