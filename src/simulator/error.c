/*
 * error.c - a sentence for each refusal, kept for the thread that met it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "private.h"

#define MAX_SENTENCE_BYTES 256

static _Thread_local char last_error[MAX_SENTENCE_BYTES];

const char *tp_simulator_last_error(void)
{
	return last_error;
}

int tpi_sim_error(int error, const char *format, ...)
{
	char sentence[MAX_SENTENCE_BYTES]; /* it may quote the last one */
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	memcpy(last_error, sentence, sizeof(sentence));

	return error;
}

/* A host that was built with another header has a part of ours, or more. */
int tpi_sim_take_struct(void *ours, size_t our_size, const void *theirs,
			const char *what)
{
	size_t size = 0;

	if (theirs)
		memcpy(&size, theirs, sizeof(size));
	if (size < sizeof(size))
		return tpi_sim_error(-EINVAL, "%s: struct_size is not set",
				     what);

	memset(ours, 0, our_size);
	memcpy(ours, theirs, size < our_size ? size : our_size);

	return 0;
}
