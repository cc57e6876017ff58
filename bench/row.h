/*
 * row.h - a row of the benchmark: two jobs that are compared, or one figure
 * that is got in its own way, and the goal.
 */
#ifndef BENCH_ROW_H
#define BENCH_ROW_H

#include "job.h"
#include "store.h"

#define ROUNDS_MAX 99

enum device { MEMORY, TMPFS, DISK, NR_DEVICES };

/* What a run of the program was asked for, and what its rows share. */
struct bench {
	unsigned rounds;
	const char *directory; /* on the disk */
	uint64_t nr_mappings;  /* of the big volume */

	/* Made when they are needed. */
	struct store *stores[NR_DEVICES];
	struct big_pool *big_pool;
};

/* What the figure is, and which way is better. */
enum goal {
	GOAL_COST,  /* CPU ns of the job less those of the base: at most */
	GOAL_RATE,  /* rate of the job by that of the base: at least */
	GOAL_TIME,  /* time of the job by that of the base: at most */
	GOAL_MOST,  /* what measure() says: at most */
	GOAL_LEAST, /* at least */
};

struct row {
	const char *name; /* device/what */
	const char *title;
	enum device device;

	/* Jobs, in turn; or a function, which uses the job in its own way. */
	struct job base, job;
	double (*measure)(struct bench *bench, const struct row *row);
	const char *unit; /* of what measure() says */
	bool is_long;     /* measure() is asked once, not in every round */
	bool is_extra;    /* only if it is asked for */

	enum goal goal;
	double bound; /* 0: there is no goal */
};

/* Over the rounds, of which the median counts. */
struct figure {
	const struct row *row;
	double median, least, most;

	/* Medians, each for itself; of jobs only. */
	struct measure base, job;
	double rate_ratio;
};

void measure_row(struct bench *bench, const struct row *row,
		 struct figure *figure);
bool is_met(const struct figure *figure);

/* Made when first asked for; end_bench() closes and removes them. */
struct store *get_store(struct bench *bench, enum device device);
struct big_pool *get_big_pool(struct bench *bench);
void end_bench(struct bench *bench);

/* The rows of the standard set. */
extern const struct row standard_rows[];
extern const size_t nr_standard_rows;

#endif
