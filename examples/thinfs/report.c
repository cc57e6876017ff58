/*
 * report.c - one line on standard error as long as there is a terminal, the
 * system's log after.
 */
#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

static bool use_log;
static _Thread_local bool is_quiet;

static void tell(int priority, const char *sentence)
{
	if (use_log)
		syslog(priority, "%s", sentence);
	else
		fprintf(stderr, "thinfs: %s\n", sentence);
}

static void library_says(void *context, enum tp_log_level level,
			 const char *message)
{
	(void)context;
	if (!is_quiet)
		tell(level == TP_LOG_ERROR ? LOG_ERR : LOG_WARNING, message);
}

void report_running(bool to_log)
{
	if (to_log)
		openlog("thinfs", LOG_PID, LOG_DAEMON);
	use_log = to_log;
	tp_set_log(library_says, NULL, TP_LOG_WARNING);
}

void report_quiet(bool quiet)
{
	is_quiet = quiet;
}

int fail(const char *format, ...)
{
	char sentence[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	tell(LOG_ERR, sentence);

	return -1;
}

int fail_library(int error, const char *format, ...)
{
	const char *why = tp_last_error();
	char sentence[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);

	return fail("%s: %s", sentence, *why ? why : tp_strerror(error));
}

int errno_for_kernel(int error)
{
	switch (error) {
	case -ENODATA: /* no such volume */
		return ENOENT;
	case -EOPNOTSUPP: /* the pool's mode forbids it */
		return EROFS;
	case -EILSEQ: /* damaged metadata */
	case -ECANCELED:
	case -EDEADLK:
		return EIO;
	default:
		return -error;
	}
}
