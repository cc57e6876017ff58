/*
 * json.c - writing JSON to standard output.  Errors of the stream are met
 * once, at the end of the program.
 */
#include "json.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

static unsigned depth;
static bool first = true; /* in this object or array */

static void write_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void new_line(void)
{
	printf("\n%*s", (int)(2 * depth), "");
}

static void begin_value(const char *key)
{
	if (!first)
		putchar(',');
	first = false;
	if (depth)
		new_line();
	if (key) {
		write_string(key);
		fputs(": ", stdout);
	}
}

static void begin(const char *key, char bracket)
{
	begin_value(key);
	putchar(bracket);
	depth++;
	first = true;
}

static void end(char bracket)
{
	bool empty = first;

	depth--;
	first = false;
	if (!empty)
		new_line();
	putchar(bracket);
	if (!depth)
		putchar('\n');
}

void json_begin_object(const char *key)
{
	begin(key, '{');
}

void json_end_object(void)
{
	end('}');
}

void json_begin_array(const char *key)
{
	begin(key, '[');
}

void json_end_array(void)
{
	end(']');
}

void json_number(const char *key, uint64_t value)
{
	begin_value(key);
	printf("%" PRIu64, value);
}

void json_bool(const char *key, bool value)
{
	begin_value(key);
	fputs(value ? "true" : "false", stdout);
}

void json_null(const char *key)
{
	begin_value(key);
	fputs("null", stdout);
}

void json_string(const char *key, const char *value)
{
	if (!value) {
		json_null(key);
		return;
	}
	begin_value(key);
	write_string(value);
}
