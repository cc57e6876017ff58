/*
 * device-private.h - a device as device.c, claims.c, channel.c and those of our
 * own devices see it that need to know it again.
 */
#ifndef TPI_IO_DEVICE_PRIVATE_H
#define TPI_IO_DEVICE_PRIVATE_H

#include <stdatomic.h>

#include "io/device.h"

struct tp_device {
	atomic_uint nr_refs;
	struct tp_device_async_ops ops;
	void *context;
	struct tpi_device_identity identity;
	struct tp_device_limits limits; /* fixed, and so read without a lock */
	char *name;

	/* Of claims.c, under its lock. */
	struct tpi_list claimed;
	unsigned nr_claims;
	bool exclusive;
};

#endif
