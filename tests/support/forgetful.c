/*
 * forgetful.c - a device of any size that takes no room.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "support/forgetful.h"

static int read_zeroes(void *context, const struct iovec *iov, int iovcnt,
		       uint64_t offset)
{
	(void)context;
	(void)offset;
	for (int i = 0; i < iovcnt; i++)
		memset(iov[i].iov_base, 0, iov[i].iov_len);

	return 0;
}

static int forget(void *context, const struct iovec *iov, int iovcnt,
		  uint64_t offset, unsigned flags)
{
	(void)context;
	(void)iov;
	(void)iovcnt;
	(void)offset;
	(void)flags;

	return 0;
}

static int flush(void *context)
{
	(void)context;

	return 0;
}

static uint64_t size(void *context)
{
	return *(uint64_t *)context;
}

struct tp_device *forgetful_device(uint64_t size_bytes)
{
	const struct tp_device_ops ops = {
		TP_DEVICE_OPS_INIT,  .features = TP_DEVICE_NO_CACHE,
		.read = read_zeroes, .write = forget,
		.flush = flush,      .size = size,
		.close = free,
	};
	uint64_t *context = malloc(sizeof(*context));
	struct tp_device *device;

	ck_assert_ptr_nonnull(context);
	*context = size_bytes;
	ck_assert_int_eq(tp_device_new(&ops, context, &device), 0);

	return device;
}
