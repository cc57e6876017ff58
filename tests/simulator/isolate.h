/*
 * isolate.h - runs in processes of their own, so that one that crashes or
 * hangs is a finding like any other.
 */
#ifndef TESTS_SIMULATOR_ISOLATE_H
#define TESTS_SIMULATOR_ISOLATE_H

#include "simulator/run.h"

struct outcome {
	struct verdict verdict;
	struct stats stats;
	uint64_t digest;
};

/* A workload, some of whose steps may be left out. */
struct job {
	uint64_t seed;
	struct workload_options options;
	const uint32_t *only; /* numbers of steps; NULL: all */
	unsigned nr_only;
	FILE *trace; /* NULL: none */
};

/* In this process. */
void job_run(const struct job *job, struct outcome *outcome);

/* The same in another. */
void job_run_isolated(const struct job *job, struct outcome *outcome);

/* Seeds [from, from + nr), so many at once. */
struct batch {
	uint64_t from, nr;
	unsigned nr_jobs; /* 0: as many as there are processors */
	struct workload_options options;
	bool shows_progress; /* on standard error */
	bool goes_on;        /* after a failure */
	FILE *failures;      /* NULL, or where each is told of, in a line */
};

struct totals {
	struct stats stats;
	uint64_t nr_seeds, nr_failed;
	uint64_t failed_seed;         /* the first that did */
	uint64_t fewest_crash_points; /* of one seed */
	struct verdict verdict;
	double seconds;
};

void batch_run(const struct batch *batch, struct totals *totals);

/* What was done, on standard output. */
void batch_print(const struct totals *totals);

#endif
