/*
 * job.h - a job, like those of fio: what is done, where, and how much at a
 * time.
 *
 * An operation is one request or more, one after another, at the same place: a
 * write; or a write and a flush; or a block read and written.  A job keeps so
 * many of them in flight, each lane its own: when one ends the next begins.
 */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H

#include <stdatomic.h>

#include "lane.h"
#include "samples.h"

#define STEPS_MAX 2
#define THREADS_MAX 16

/* The volume before the job; of the raw device it means nothing. */
enum state {
	STATE_FRESH,  /* nothing is mapped */
	STATE_MAPPED, /* all of it, in order */
	STATE_SHARED, /* all of it, and a snapshot has it too */
	STATE_NESTED, /* it is a snapshot of a snapshot ... of what was written */
};

struct step {
	enum tp_op op;
	uint32_t bytes;
	bool is_elsewhere; /* as far on as the job reaches */
};

struct job {
	bool is_raw; /* on the device, not on a thin over it */
	enum state state;
	bool is_zeroing, is_host_driven; /* the pool */

	struct step steps[STEPS_MAX];
	unsigned nr_steps;
	unsigned read_percent; /* of operations that read instead; or 0 */

	bool is_random;
	uint32_t stride;     /* bytes from one operation to the next */
	uint64_t size_bytes; /* of the volume, or of this part of the device */

	unsigned depth, threads;

	/* How long: the first of these that is given; else each place once. */
	const atomic_bool *stop;
	uint64_t run_ns;
	uint64_t nr_operations;

	bool is_all_timed; /* each operation, and not only some */
};

struct measure {
	double wall_ns, cpu_ns; /* for each operation of the job, as one */
	double latency_us[NR_PERCENTILES];
	uint64_t nr;
};

/* Does the job; the target is as its state says. */
void drive(const struct job *job, struct target *target,
	   struct measure *measure);

/* On the store as it is, or on a new pool over it. */
struct store;
void run_job(const struct job *job, struct store *store,
	     struct measure *measure);

#endif
