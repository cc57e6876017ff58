/*
 * report.c - what went wrong.
 *
 * Once the server runs there may be no terminal any more; nbdkit knows where
 * messages go.  The library logs every error that it returns, and what its own
 * threads meet, such as a commit that fails: so a request that fails has been
 * told of, and only its errno is left to be passed on.
 */
#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <thinpool/thinpool.h>

#include "nbdkit.h"

static void library_says(void *context, enum tp_log_level level,
			 const char *message)
{
	if (level <= TP_LOG_WARNING)
		nbdkit_error("%s", message);
	else
		nbdkit_debug("%s", message);
}

void report_library(void)
{
	tp_set_log(library_says, NULL, TP_LOG_INFO);
}

int fail_library(int error, const char *format, ...)
{
	const char *why = tp_last_error();
	char sentence[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	nbdkit_error("%s: %s", sentence, *why ? why : tp_strerror(error));

	return -1;
}

/*
 * NBD has few errors, and nbdkit makes EINVAL of all others: the client's
 * fault.  What is not, is EIO.
 */
static int errno_for_client(int error)
{
	switch (error) {
	case -ENOSPC:
	case -ENOMEM:
	case -EINVAL: /* not whole sectors */
	case -EROFS:
		return -error;
	default:
		return EIO;
	}
}

int answer(int error)
{
	if (!error)
		return 0;
	nbdkit_set_error(errno_for_client(error));

	return -1;
}
