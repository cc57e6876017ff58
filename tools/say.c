/*
 * say.c - one clear line for each failure, with what to do next where there is
 * something to do.
 */
#include "command.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thinpool/thinpool.h>

/* What the user gave may be anything, but the line stays one. */
static void put_safely(const char *text)
{
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' ? '?' : *text, stderr);
}

static void begin_line(const char *format, va_list args)
{
	char *line;

	fflush(stdout);
	if (vasprintf(&line, format, args) < 0)
		line = NULL;
	fputs("thinpool: ", stderr);
	put_safely(line ? line : "out of memory");
	free(line);
}

int fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	begin_line(format, args);
	va_end(args);
	fputc('\n', stderr);

	return STATUS_FAILED;
}

int fail_errno(const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	begin_line(format, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(error));

	return STATUS_FAILED;
}

/* What to do about an error of the library's; NULL: it is not for us to say. */
static const char *advice_on(int error)
{
	switch (-error) {
	case EBUSY:
		return "close what uses it, then try again";
	case ENOSPC:
		return "make room with 'thinpool volume delete' or 'thinpool "
		       "discard', or 'thinpool grow' the pool";
	case EILSEQ:
		return "'thinpool check' looks through all of it";
	case EOPNOTSUPP:
		return "'thinpool status' shows the pool's mode";
	case ENODATA:
		return "'thinpool list' shows what there is";
	default:
		return NULL;
	}
}

static void end_line(int error, const char *sentence)
{
	const char *advice = advice_on(error);

	fputs(": ", stderr);
	put_safely(*sentence ? sentence : tp_strerror(error));
	if (advice)
		fprintf(stderr, " (%s)", advice);
	fputc('\n', stderr);
}

int fail_library(int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	begin_line(format, args);
	va_end(args);
	end_line(error, tp_last_error());

	return STATUS_FAILED;
}

int fail_bio(int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	begin_line(format, args);
	va_end(args);
	end_line(error, "");

	return STATUS_FAILED;
}

int fail_usage(const struct command *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	begin_line(format, args);
	va_end(args);
	fprintf(stderr, "; see 'thinpool %s%s--help'\n",
		command ? command->name : "", command ? " " : "");

	return STATUS_USAGE;
}
