/*
 * lane.h - where one thread submits and reaps: the raw device's channel or
 * ring, or a queue of a pool.  What drives them sees no difference.
 */
#ifndef BENCH_LANE_H
#define BENCH_LANE_H

#include <thinpool/thinpool.h>

#include "base.h"

struct lane;

/* One request, and the room that each kind of lane needs for it. */
struct slot {
	enum tp_op op;
	uint64_t offset, length; /* bytes */
	struct iovec iov;        /* the whole buffer of the slot */

	/* Called from reap, once; it may submit again. */
	void (*ended)(struct slot *slot);
	void *context;

	struct iovec part; /* the lane's: @length bytes of the buffer */
	union {
		struct tp_bio bio;
		struct tp_device_request request;
	};
};

struct lane_ops {
	void (*submit)(struct lane *lane, struct slot *slot);

	/* Waits until at least one has ended.  Something is in flight. */
	void (*reap)(struct lane *lane);
	void (*close)(struct lane *lane);
};

struct lane {
	const struct lane_ops *ops;
};

/* What lanes lead to. */
struct target {
	/* For up to @depth slots in flight. */
	struct lane *(*open)(struct target *target, unsigned depth);
};

#endif
