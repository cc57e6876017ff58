/*
 * blocking-device.c - a host's device, made of blocking functions.
 */
#include <stdlib.h>

#include "io/device.h"
#include "io/sized-struct.h"
#include "io/worker-threads.h"

struct blocking_device {
	struct tp_device_ops ops;
	void *context;
	struct tpi_workers *workers;
};

static int blocking_work(void *context, const struct tp_device_request *request)
{
	const struct blocking_device *blocking = context;
	const struct tp_device_ops *ops = &blocking->ops;

	switch (request->op) {
	case TP_READ:
		return ops->read(blocking->context, request->iov,
				 request->iovcnt, request->offset);
	case TP_WRITE:
		return ops->write(blocking->context, request->iov,
				  request->iovcnt, request->offset,
				  request->flags);
	case TP_FLUSH:
		return ops->flush(blocking->context);
	case TP_DISCARD:
		return ops->discard(blocking->context, request->offset,
				    request->length);
	case TP_WRITE_ZEROES:
		return ops->write_zeroes(blocking->context, request->offset,
					 request->length);
	case TP_COPY:
		return ops->copy(blocking->context, request->source,
				 request->offset, request->length);
	}

	return -EOPNOTSUPP;
}

/*---------------------------- the ops table --------------------------------*/

static int blocking_open_channel(void *context, int event_fd, int inline_only,
				 void **channel)
{
	struct blocking_device *blocking = context;

	return tpi_workers_open_channel(blocking->workers, event_fd,
					inline_only, channel);
}

static uint64_t blocking_size(void *context)
{
	const struct blocking_device *blocking = context;

	return blocking->ops.size(blocking->context);
}

static void blocking_destroy(struct blocking_device *blocking)
{
	tpi_workers_destroy(blocking->workers);
	free(blocking);
}

static void blocking_close(void *context)
{
	struct blocking_device *blocking = context;
	void (*close)(void *context) = blocking->ops.close;
	void *close_context = blocking->context;

	blocking_destroy(blocking);
	if (close)
		close(close_context);
}

static struct tp_device_async_ops async_ops(const struct tp_device_ops *ops)
{
	return (struct tp_device_async_ops){
		TP_DEVICE_ASYNC_OPS_INIT,
		.features = ops->features |
			    (ops->discard ? TP_DEVICE_DISCARD : 0) |
			    (ops->write_zeroes ? TP_DEVICE_WRITE_ZEROES : 0) |
			    (ops->copy ? TP_DEVICE_COPY : 0),
		.open_channel = blocking_open_channel,
		.close_channel = tpi_workers_close_channel,
		.submit = tpi_workers_submit,
		.kick = tpi_workers_kick,
		.poll = tpi_workers_poll,
		.arm = tpi_workers_arm,
		.size = blocking_size,
		.close = blocking_close,
		.logical_block_bytes = ops->logical_block_bytes,
		.memory_alignment_bytes = ops->memory_alignment_bytes,
		.discard_granularity_bytes = ops->discard_granularity_bytes,
		.discard_max_bytes = ops->discard_max_bytes,
	};
}

/*---------------------------- making one -----------------------------------*/

static int take_ops(struct tp_device_ops *ours,
		    const struct tp_device_ops *theirs)
{
	const unsigned known = TP_DEVICE_FUA | TP_DEVICE_NO_CACHE;
	int r = tpi_take_struct(ours, sizeof(*ours), theirs,
				"struct tp_device_ops");

	if (r)
		return r;
	if (!ours->read || !ours->write || !ours->flush || !ours->size)
		return tpi_error(-EINVAL, "a device must have the operations "
					  "read, write, flush and size");
	if (ours->features & ~known)
		return tpi_error(-EINVAL, "a device has unknown features %#x",
				 ours->features & ~known);

	return 0;
}

static int blocking_init(struct blocking_device *blocking,
			 const struct tp_device_ops *ops, void *context,
			 struct tp_device **device)
{
	struct tp_device_async_ops async;
	int r;

	r = take_ops(&blocking->ops, ops);
	if (r)
		return r;
	blocking->context = context;
	r = tpi_workers_new(0, blocking_work, blocking, &blocking->workers);
	if (r)
		return r;
	async = async_ops(&blocking->ops);

	return tpi_device_new(&async, blocking, NULL, device);
}

int tp_device_new(const struct tp_device_ops *ops, void *context,
		  struct tp_device **device)
{
	struct blocking_device *blocking;
	int r;

	if (!ops || !device)
		return tpi_error(-EINVAL, "tp_device_new: NULL argument");

	blocking = calloc(1, sizeof(*blocking));
	if (!blocking)
		return tpi_error(-ENOMEM, "no memory for a device");
	r = blocking_init(blocking, ops, context, device);
	if (r)
		blocking_destroy(blocking);

	return r;
}
