/*
 * verdict.c - the first violation met.
 */
#include <stdarg.h>
#include <stdio.h>

#include "simulator/verdict.h"

bool violated(struct verdict *verdict, const char *format, ...)
{
	va_list arguments;

	if (verdict->broken)
		return false;
	verdict->broken = true;
	va_start(arguments, format);
	vsnprintf(verdict->sentence, sizeof(verdict->sentence), format,
		  arguments);
	va_end(arguments);

	return false;
}
