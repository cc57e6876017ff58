/*
 * run.h - a workload on its way: a pool on simulated devices, and the oracle
 * that looks on.
 *
 * A run does one step after another (execute.c).  Bios stay in flight
 * meanwhile, and while a call blocks more are submitted (bios.c, calls.c).  A
 * crash image is where a run of its own begins, on a copy of the devices and
 * of what the oracle knows (images.c).
 */
#ifndef TESTS_SIMULATOR_RUN_H
#define TESTS_SIMULATOR_RUN_H

#include <thinpool/thinpool.h>

#include "simulator/oracle.h"
#include "simulator/order.h"
#include "simulator/trace.h"
#include "simulator/workload.h"

#define NR_IOS 24
#define MAX_POINTS 8

struct run;

struct io {
	struct tp_bio bio;
	struct iovec iov;
	struct run *run;
	bool busy;
	bool met_refusal;     /* by the pool's mode, at any time of its way */
	bool waited_long;     /* its patience was over, when the mode changed */
	uint64_t patience_ns; /* its handle's */
	unsigned slot, queue;
	uint32_t number;      /* the oracle's */
	uint64_t nr_requests; /* when it was submitted */
	char *buffer;
};

/* A volume: one handle that shows all of it, one that may show less. */
struct slot {
	bool exists;
	struct tp_thin *handles[2];
	uint64_t sizes[2];       /* sectors */
	uint64_t patience_ns[2]; /* without space; 0: none of its own */
};

struct stats {
	uint64_t nr_steps, nr_operations, nr_requests;
	uint64_t nr_crash_points, nr_images, nr_crashes, nr_faults;
};

/* Where power could have failed: what the oracle knew, and images of it. */
struct crash_point {
	struct oracle *oracle;
	struct tp_simulator **images;
	unsigned nr_images, next;
	struct superblocks left;
	bool was_faulty;
	uint64_t random;
};

struct run {
	const struct config *config;
	const struct step *steps;
	unsigned nr_steps, next;
	unsigned depth; /* 0: the run itself; 1: in an image of it, ... */

	struct tp_simulator *simulator;
	struct tp_device *origin;
	struct tp_pool *pool;
	struct tp_queue *queues[MAX_QUEUES];
	unsigned nr_in_flight[MAX_QUEUES];
	struct slot slots[NR_SLOTS];
	struct io ios[NR_IOS];

	struct oracle *oracle;
	struct order order;
	struct superblocks left; /* by the power failure */
	struct trace *trace;
	struct stats *stats;
	struct verdict *verdict;

	struct tp_pool_statistics statistics; /* when they were read last */

	enum tp_pool_mode mode;
	uint64_t out_of_space_since; /* if it is */
	bool was_crash;              /* before the pool was opened */
	bool is_open;                /* past its recovery */
	bool power_is_off;           /* and nothing that happens counts */
	bool is_faulty;              /* a device may fail, or has failed */
	bool is_closing;
	bool in_call, in_hook;
	bool is_checking; /* and not running */
	bool is_looking;  /* through a pool that may change nothing */
	bool looks_back;  /* through one that reads the metadata snapshot */

	/* How many there had been when the call was made. */
	uint64_t call_requests, call_transactions, call_hook_failures;
	bool call_changes; /* what is on disk, by itself */
	unsigned nr_suspends;
	enum hook_kind hook;
	uint64_t hook_last_flush; /* of data, when it was called last */
	bool hook_fails;          /* the next, after so many that succeed */
	unsigned hook_successes;
	uint64_t nr_hook_failures;

	/* After so many more device events: a crash, or images of one. */
	const struct step *armed;
	unsigned events_left;
	struct crash_point points[MAX_POINTS];
	unsigned nr_points;
};

/*---------------------------- run.c ----------------------------------------*/

/* Devices, a format, a pool, queues. */
void run_begin(struct run *run);
void run_end(struct run *run);

/* Open the pool, see what is there, and, if @verify, all of it. */
bool run_open(struct run *run, bool verify);

/* Close everything; @counts: as a call that the oracle is told of. */
int run_close(struct run *run, bool counts);

/* Let something happen; false if nothing can. */
bool run_some(struct run *run);

/* What the pool is opened with. */
struct tp_pool_options run_options(struct run *run);

/* Until no bio (of @slot; NR_SLOTS: at all) is in flight. */
void run_drain(struct run *run, unsigned slot);

uint32_t slot_id(unsigned slot);
void run_open_handles(struct run *run, unsigned slot);
bool run_close_handles(struct run *run, unsigned slot);
/* One of them is opened anew, with another size. */
void run_resize(struct run *run, unsigned slot, uint64_t random);
struct volume *run_volume(const struct run *run, unsigned slot);

/* The pool's mode is one in which nothing may be changed. */
bool run_refuses_changes(const struct run *run);

/* Out of space: a handle may have a time of its own for which its writes wait,
 * and ends them no sooner.  Is it up? */
bool run_is_patience_over(const struct run *run, const struct io *io);

/* Nothing is wrong so far, and the power is on. */
static inline bool is_going(const struct run *run)
{
	return !run->power_is_off && !run->verdict->broken;
}

/*---------------------------- verify.c -------------------------------------*/

/* Every sector of every volume, after a crash or a reopen. */
bool run_verify(struct run *run);

/* What the opened pool says of itself. */
bool run_look(struct run *run, struct found *found);

/*---------------------------- look-back.c -----------------------------------*/

/* What the metadata snapshot shows, if there is one, while the pool goes on. */
void run_look_back(struct run *run);

/*---------------------------- statistics.c ----------------------------------*/

void run_check_statistics(struct run *run);

/*---------------------------- agree.c --------------------------------------*/

/* The metadata is one of the transactions that may be there (M1), and nothing
 * is wrong with it (M2).  Nothing has it open. */
bool run_check_metadata(struct run *run);

/*---------------------------- bios.c ---------------------------------------*/

void run_submit(struct run *run, const struct step *step);

/* Is there room for it now? */
bool run_can_submit(struct run *run, const struct step *step);

/* Reads all of every volume, as bios do, and waits. */
void run_read_all(struct run *run);

/*---------------------------- calls.c --------------------------------------*/

void run_call(struct run *run, const struct step *step);
void run_begin_call(struct run *run, const struct control *control);
/* Whether it took effect; if the power failed, nobody knows. */
bool run_end_call(struct run *run, int result);
void run_set_hook(struct run *run, enum hook_kind hook);
/* It does, after so many successes more, once. */
void run_fail_hook(struct run *run, unsigned successes);

/*---------------------------- images.c -------------------------------------*/

/* The observer of a run's devices. */
void run_observe(void *context, const struct tp_simulated_event *event);

/* Look at the images that were set aside. */
void run_judge_points(struct run *run);
void run_drop_points(struct run *run);

/* The power failed: go on with what was left. */
void run_recover(struct run *run, const struct step *step);

/*---------------------------- execute.c ------------------------------------*/

/* Steps from run->next on, at most @nr of them. */
void run_steps(struct run *run, unsigned nr);

/* A whole run. */
void run_workload(const struct config *config, const struct step *steps,
		  unsigned nr_steps, struct trace *trace, struct stats *stats,
		  struct verdict *verdict);

#endif
