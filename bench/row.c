/*
 * row.c - several rounds of a row, and what comes out of them.
 */
#include <stdlib.h>
#include <string.h>

#include "row.h"

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double sort_for_median(double *values, unsigned nr)
{
	qsort(values, nr, sizeof(*values), compare);

	return values[nr / 2];
}

/* Measures are made of doubles and a count; each double for itself. */
static void get_medians(const struct measure *measures, unsigned nr,
			struct measure *median)
{
	double values[ROUNDS_MAX];

	*median = measures[0];
	for (unsigned i = 0; i < nr; i++)
		values[i] = measures[i].wall_ns;
	median->wall_ns = sort_for_median(values, nr);
	for (unsigned i = 0; i < nr; i++)
		values[i] = measures[i].cpu_ns;
	median->cpu_ns = sort_for_median(values, nr);
	for (unsigned p = 0; p < NR_PERCENTILES; p++) {
		for (unsigned i = 0; i < nr; i++)
			values[i] = measures[i].latency_us[p];
		median->latency_us[p] = sort_for_median(values, nr);
	}
}

static double compare_jobs(enum goal goal, const struct measure *base,
			   const struct measure *job)
{
	switch (goal) {
	case GOAL_COST:
		return job->cpu_ns - base->cpu_ns;
	case GOAL_TIME:
		return job->wall_ns / base->wall_ns;
	default:
		return base->wall_ns / job->wall_ns;
	}
}

/* Values of each round. */
static void measure_jobs(struct bench *bench, const struct row *row,
			 double *values, struct figure *figure)
{
	struct measure base[ROUNDS_MAX], job[ROUNDS_MAX];
	double rates[ROUNDS_MAX];

	for (unsigned i = 0; i < bench->rounds; i++) {
		struct store *store = get_store(bench, row->device);

		run_job(&row->base, store, &base[i]);
		run_job(&row->job, store, &job[i]);
		values[i] = compare_jobs(row->goal, &base[i], &job[i]);
		rates[i] = compare_jobs(GOAL_RATE, &base[i], &job[i]);
	}
	get_medians(base, bench->rounds, &figure->base);
	get_medians(job, bench->rounds, &figure->job);
	figure->rate_ratio = sort_for_median(rates, bench->rounds);
}

void measure_row(struct bench *bench, const struct row *row,
		 struct figure *figure)
{
	double values[ROUNDS_MAX];
	unsigned nr = bench->rounds;

	memset(figure, 0, sizeof(*figure));
	figure->row = row;
	if (row->measure) {
		nr = row->is_long ? 1 : bench->rounds;
		for (unsigned i = 0; i < nr; i++)
			values[i] = row->measure(bench, row);
	} else {
		measure_jobs(bench, row, values, figure);
	}
	figure->median = sort_for_median(values, nr);
	figure->least = values[0];
	figure->most = values[nr - 1];
}

bool is_met(const struct figure *figure)
{
	const struct row *row = figure->row;

	if (row->goal == GOAL_RATE || row->goal == GOAL_LEAST)
		return figure->median >= row->bound;

	return figure->median <= row->bound;
}
