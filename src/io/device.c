/*
 * device.c - what all devices have in common: references, limits, a name.
 */
#include <stdlib.h>
#include <string.h>

#include "io/device-private.h"
#include "io/sized-struct.h"

#define ALL_FEATURES                                                           \
	(TP_DEVICE_FUA | TP_DEVICE_NO_CACHE | TP_DEVICE_DISCARD |              \
	 TP_DEVICE_WRITE_ZEROES | TP_DEVICE_READ_ONLY | TP_DEVICE_COPY)
#define MAX_ALIGNMENT_BYTES 4096

/*---------------------------- making one -----------------------------------*/

static bool is_alignment(uint32_t bytes, uint32_t least)
{
	return bytes >= least && bytes <= MAX_ALIGNMENT_BYTES &&
	       !(bytes & (bytes - 1));
}

static int check_ops(const struct tp_device_async_ops *ops)
{
	if (!ops->open_channel || !ops->close_channel || !ops->submit ||
	    !ops->poll || !ops->arm || !ops->size)
		return tpi_error(-EINVAL, "a device lacks an operation that "
					  "every device must have");
	if (ops->features & ~ALL_FEATURES)
		return tpi_error(-EINVAL, "a device has unknown features %#x",
				 ops->features & ~ALL_FEATURES);

	return 0;
}

static int check_limits(const struct tp_device_limits *limits)
{
	if (!is_alignment(limits->logical_block_bytes, TP_SECTOR_SIZE))
		return tpi_error(-EINVAL,
				 "a logical block of %u bytes: it must be a "
				 "power of two in 512..4096",
				 limits->logical_block_bytes);
	if (!is_alignment(limits->memory_alignment_bytes, 1))
		return tpi_error(-EINVAL,
				 "a memory alignment of %u bytes: it must be "
				 "a power of two in 1..4096",
				 limits->memory_alignment_bytes);
	if (limits->discard_granularity_bytes % limits->logical_block_bytes)
		return tpi_error(-EINVAL,
				 "a discard granularity of %u bytes is no "
				 "multiple of the logical block, %u",
				 limits->discard_granularity_bytes,
				 limits->logical_block_bytes);
	if (limits->discard_max_bytes &&
	    limits->discard_max_bytes < limits->discard_granularity_bytes)
		return tpi_error(-EINVAL, "a discard maximum that is less than "
					  "the discard granularity");

	return 0;
}

static uint32_t value_or(uint32_t value, uint32_t otherwise)
{
	return value ? value : otherwise;
}

static void take_limits(struct tp_device_limits *limits,
			const struct tp_device_async_ops *ops)
{
	uint32_t logical = value_or(ops->logical_block_bytes, TP_SECTOR_SIZE);

	*limits = (struct tp_device_limits){
		.struct_size = sizeof(*limits),
		.logical_block_bytes = logical,
		.memory_alignment_bytes =
			value_or(ops->memory_alignment_bytes, 1),
		.discard_granularity_bytes =
			value_or(ops->discard_granularity_bytes, logical),
		.discard_max_bytes = ops->discard_max_bytes,
		.features = ops->features,
	};
}

static int device_init(struct tp_device *device,
		       const struct tp_device_async_ops *ops, void *context,
		       const struct tpi_device_identity *identity)
{
	int r;

	atomic_init(&device->nr_refs, 1);
	tpi_list_init(&device->claimed);
	device->context = context;
	r = tpi_take_struct(&device->ops, sizeof(device->ops), ops,
			    "struct tp_device_async_ops");
	if (r)
		return r;
	take_limits(&device->limits, &device->ops);
	r = check_ops(&device->ops);
	if (r)
		return r;
	r = check_limits(&device->limits);
	if (r)
		return r;
	if (identity)
		device->identity = *identity;
	device->name = strdup(device->identity.name ? device->identity.name
						    : "the host's device");
	if (!device->name)
		return tpi_error(-ENOMEM, "no memory for a device");
	device->identity.name = device->name;
	device->limits.size_bytes = tpi_device_size(device);

	return 0;
}

static void device_free(struct tp_device *device)
{
	free(device->name);
	free(device);
}

int tpi_device_new(const struct tp_device_async_ops *ops, void *context,
		   const struct tpi_device_identity *identity,
		   struct tp_device **result)
{
	struct tp_device *device = calloc(1, sizeof(*device));
	int r;

	if (!device)
		return tpi_error(-ENOMEM, "no memory for a device");

	r = device_init(device, ops, context, identity);
	if (r)
		device_free(device);
	else
		*result = device;

	return r;
}

int tp_device_new_async(const struct tp_device_async_ops *ops, void *context,
			struct tp_device **device)
{
	if (!ops || !device)
		return tpi_error(-EINVAL, "tp_device_new_async: NULL argument");

	return tpi_device_new(ops, context, NULL, device);
}

/*---------------------------- references -----------------------------------*/

struct tp_device *tp_device_ref(struct tp_device *device)
{
	atomic_fetch_add_explicit(&device->nr_refs, 1, memory_order_relaxed);

	return device;
}

void tp_device_unref(struct tp_device *device)
{
	/* What others did with it happens before it is closed. */
	if (!device || atomic_fetch_sub_explicit(&device->nr_refs, 1,
						 memory_order_acq_rel) != 1)
		return;

	tpi_assert(!device->nr_claims);
	if (device->ops.close)
		device->ops.close(device->context);
	device_free(device);
}

/*---------------------------- what it is -----------------------------------*/

uint64_t tpi_device_size(struct tp_device *device)
{
	uint64_t size = device->ops.size(device->context);

	return size - size % device->limits.logical_block_bytes;
}

unsigned tpi_device_features(const struct tp_device *device)
{
	return device->limits.features;
}

const struct tp_device_limits *tpi_device_limits(const struct tp_device *device)
{
	return &device->limits;
}

int tp_device_get_limits(struct tp_device *device,
			 struct tp_device_limits *limits)
{
	struct tp_device_limits now;

	if (!device || !limits)
		return tpi_error(-EINVAL,
				 "tp_device_get_limits: NULL argument");

	now = device->limits;
	now.size_bytes = tpi_device_size(device);

	return tpi_give_struct(limits, &now, sizeof(now),
			       "struct tp_device_limits");
}
