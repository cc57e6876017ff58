/*
 * workload.h - what a seed decides: a configuration and a list of steps.
 *
 * The list is made before anything is run, and each step carries all that it
 * needs, so that any of them can be left out and the others mean the same: that
 * is how a failing run is reduced.  A step that makes no sense where it stands
 * (a write to a volume that is not there) does nothing.
 */
#ifndef TESTS_SIMULATOR_WORKLOAD_H
#define TESTS_SIMULATOR_WORKLOAD_H

#include <stdbool.h>
#include <stdio.h>
#include <thinpool/simulator.h>

#define NR_SLOTS 6 /* for volumes */
#define MAX_QUEUES 4

enum hook_kind { HOOK_DEFAULT, HOOK_FLUSHES, HOOK_FLUSHES_TWICE, NR_HOOKS };

struct config {
	uint64_t seed;
	uint32_t block_sectors;
	uint64_t data_blocks, metadata_blocks;
	uint64_t volume_sectors;
	uint64_t origin_sectors; /* 0: no volume has an external origin */
	uint64_t ballast_blocks; /* 0: no volume has ballast (ballast.h) */
	unsigned pool_flags;     /* TP_POOL_ */
	uint32_t commit_interval_ms, no_space_timeout_ms;
	uint64_t metadata_cache_bytes, mapping_cache_bytes;
	unsigned nr_queues, depth;
	unsigned metadata_features, data_features; /* TP_DEVICE_ */
	unsigned device_flags;                     /* TP_SIMULATED_ */
	enum tp_discard_effect discard_effect;
	uint32_t discard_granularity_bytes;
	uint64_t max_latency_ns;
	bool faults;
	bool plain;        /* see workload_options */
	bool order_checks; /* of each device request, and not the oracle's only */
	unsigned nr_crash_points; /* at least (crash-contract, 13) */
};

enum step_kind {
	STEP_BIO,
	STEP_CREATE,
	STEP_SNAPSHOT, /* of one volume, or of several at one instant */
	STEP_DELETE,
	STEP_TRANSACTION_ID,
	STEP_RESERVE,
	STEP_RELEASE,
	STEP_LOOK_BACK, /* at the metadata snapshot */
	STEP_COMMIT,
	STEP_TRIM,
	STEP_GROW_DATA,
	STEP_GROW_METADATA,
	STEP_SUSPEND,
	STEP_RESUME,
	STEP_HOOK,
	STEP_RESIZE, /* open one handle of a volume anew, with another size */
	STEP_REOPEN, /* close, open */
	STEP_WAIT,   /* let time pass */
	STEP_DRAIN,  /* until no bio is in flight */
	STEP_IMAGES, /* look at what a crash would leave, soon */
	STEP_CRASH,  /* and go on with what one left */
	STEP_FAULT,
	STEP_FAIL_HOOK,
	STEP_HEAL,
	NR_STEP_KINDS,
};

/* What some numbers mean as a step's @random: a resize to far more than the
 * volume's size; a bio through the handle that was resized. */
#define RANDOM_HUGE_SIZE 1u
#define RANDOM_SECOND_HANDLE (1u << 8)

struct step {
	uint32_t number; /* its place in the whole list */
	enum step_kind kind;
	unsigned slot, origin; /* volumes; origin: of a snapshot */
	unsigned nr;           /* snapshots, images, blocks to grow by */
	bool with_origin;      /* create: an external one */

	/* A bio's; sectors. */
	enum tp_op op;
	unsigned flags, queue;
	uint64_t begin, length;
	bool zeroes; /* a write of nothing but them */

	/* A fault's: ops, and on which device. */
	unsigned ops, device;

	unsigned pause;  /* how much may happen before the next step */
	unsigned every;  /* images: each so-and-so-many-th; 0: nr of them */
	unsigned events; /* crash, images: after so many device events; fault:
			  * after so many requests; hook: successes */
	uint64_t random; /* for what else is to be chosen */
};

struct workload {
	struct config config;
	struct step *steps;
	unsigned nr_steps;
};

struct workload_options {
	bool only_oracle;  /* no check of the order of device requests */
	bool faults;       /* some runs have some */
	bool plain;        /* without what most pools seldom meet */
	unsigned nr_steps; /* 0: as usual */
	unsigned device_flags;
};

void workload_make(struct workload *workload, uint64_t seed,
		   const struct workload_options *options);
void workload_free(struct workload *workload);

/* A line for people. */
void step_describe(const struct step *step, char *text, size_t size);
void config_describe(const struct config *config, char *text, size_t size);

#endif
