/*
 * json.h - writing JSON to standard output, as much of it as is needed here.
 *
 * A key is NULL within an array, and at the top.
 */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include <stdbool.h>
#include <stdint.h>

void json_begin_object(const char *key);
void json_end_object(void);
void json_begin_array(const char *key);
void json_end_array(void);

void json_number(const char *key, uint64_t value);
void json_bool(const char *key, bool value);
void json_null(const char *key);

/* UTF-8; NULL: null. */
void json_string(const char *key, const char *value);

#endif
