/*
 * power-cut.h - what is done to a pool, with the power cut at every device
 * request of it, and a look at what each of the images left shows.
 */
#ifndef TESTS_SUPPORT_POWER_CUT_H
#define TESTS_SUPPORT_POWER_CUT_H

#include <thinpool/simulator.h>
#include <thinpool/thinpool.h>

#include "support/world.h"

enum { SIM_METADATA, SIM_DATA, SIM_ORIGIN, NR_SIM_DEVICES };

/* It ends within a block. */
#define SIM_ORIGIN_BYTES (2 * WORLD_BLOCK + 24 * KIB)

/* A host-driven pool on simulated devices with volatile caches: 2 MiB of
 * metadata, 8 MiB of data, an external origin, all of them poison. */
struct sim_world {
	struct tp_simulator *simulator;
	struct tp_pool *pool;
	uint64_t cut_at; /* the request that the power is cut at */
	bool is_cut;
};

struct power_cut_case {
	/* What is durable before; what is done.  do_it stops at the first call
	 * that fails, and closes what it opened. */
	void (*prepare)(struct sim_world *w, void *context);
	void (*do_it)(struct sim_world *w, void *context);

	/* A pool on one of the images, just opened. */
	void (*check)(struct sim_world *image, void *context);
	void *context;
};

/* Cut at the first request of do_it, at the second, and so on, and last after
 * all of them.  How often. */
unsigned power_cut_everywhere(const struct power_cut_case *what);

struct tp_thin *sim_open_thin(struct sim_world *w, uint32_t id, uint64_t size,
			      bool with_origin);

#endif
