/*
 * error-names.c - what our errnos mean here, and which version this is.
 */
#include <limits.h>
#include <string.h>

#include "config.h"
#include "io/base.h"

static const struct {
	int error;
	const char *sentence;
} error_names[] = {
	{ 0, "success" },
	{ EINVAL, "invalid argument" },
	{ ENOSPC, "no space left in the pool" },
	{ EIO, "input/output error" },
	{ ENODATA, "no such volume" },
	{ EEXIST, "it exists already" },
	{ EBUSY, "in use, or the pool is suspended" },
	{ EROFS, "opened read-only" },
	{ EOPNOTSUPP, "not supported, or not possible in the pool's mode" },
	{ EILSEQ, "damaged metadata" },
	{ EAGAIN, "the queue is full: poll, then try again" },
	{ ECANCELED, "ended because its thin or queue was closed" },
	{ EDEADLK, "the call would wait for itself" },
	{ ENOMEM, "out of memory" },
	{ EPERM, "not permitted" },
};

const char *tp_strerror(int error)
{
	if (error < 0 && error != INT_MIN)
		error = -error;

	for (size_t i = 0; i < TPI_ARRAY_SIZE(error_names); i++)
		if (error_names[i].error == error)
			return error_names[i].sentence;

	return strerror(error); /* a string of this thread's */
}

const char *tp_version(void)
{
	return LIBTHINPOOL_VERSION;
}
