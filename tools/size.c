/*
 * size.c - sizes as people write them.
 */
#include "size.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <thinpool/types.h>

#include "command.h"

static const char units[] = "KMGT";

/* The digits at the start; NULL: there are none, or too many. */
static const char *parse_digits(const char *text, uint64_t *number)
{
	const char *end = text;

	*number = 0;
	for (; *end >= '0' && *end <= '9'; end++)
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, *end - '0', number))
			return NULL;

	return end == text ? NULL : end;
}

bool size_parse(const char *text, uint64_t *size)
{
	uint64_t number;
	const char *unit, *end = parse_digits(text, &number);
	unsigned shift = 0;

	if (!end)
		return false;
	if (*end) {
		unit = strchr(units, *end);
		if (!unit || end[1])
			return false;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (number > UINT64_MAX >> shift)
		return false;
	*size = number << shift;

	return true;
}

int size_parse_sectors(const char *text, const char *what, uint64_t *size)
{
	if (!size_parse(text, size))
		return fail_usage(NULL,
				  "%s is no size: '%s' (bytes, or with K, M, "
				  "G, T)",
				  what, text);
	if (*size % TP_SECTOR_SIZE)
		return fail("%s has to be a multiple of %d: %s", what,
			    TP_SECTOR_SIZE, text);

	return 0;
}

struct size_text size_format(uint64_t size)
{
	struct size_text result;
	double value = (double)size;
	const char *unit = NULL;

	for (const char *u = units; *u && value >= 1024; u++) {
		value /= 1024;
		unit = u;
	}
	if (!unit)
		snprintf(result.text, sizeof(result.text), "%u",
			 (unsigned)size);
	else
		snprintf(result.text, sizeof(result.text), "%.*f%c",
			 value < 10 && value != (int)value, value, *unit);

	return result;
}
