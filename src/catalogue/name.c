/*
 * name.c - what a volume may be called: 1 to 255 bytes of UTF-8, no '/', no
 * control characters, not "." or "..".
 *
 * So a name can be a file's name (thinfs), stand in a URI, and be printed to a
 * terminal without a thought; and each has one spelling only, for UTF-8 that is
 * longer than it need be is refused.
 */
#include "catalogue/name.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <thinpool/catalogue.h>

/* Bytes of the sequence that @first begins; 0: none begins so. */
static size_t sequence_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first < 0xe0)
		return 2;
	if (first >= 0xe0 && first < 0xf0)
		return 3;
	if (first >= 0xf0 && first < 0xf5)
		return 4;
	return 0;
}

/* The bytes after the first, each worth six bits; false: not such bytes. */
static bool continue_sequence(const unsigned char *bytes, size_t length,
			      uint32_t *code)
{
	for (size_t i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return false;
		*code = *code << 6 | (bytes[i] & 0x3f);
	}

	return true;
}

/* The character at the start of @bytes, and how many it took; 0: none. */
static size_t decode(const unsigned char *bytes, size_t left, uint32_t *code)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	static const unsigned char first_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	size_t length = sequence_length(bytes[0]);

	if (!length || length > left)
		return 0;
	*code = bytes[0] & first_bits[length];
	if (!continue_sequence(bytes, length, code))
		return 0;
	if (*code < smallest[length] || *code > 0x10ffff)
		return 0;
	if (*code >= 0xd800 && *code < 0xe000) /* a surrogate */
		return 0;

	return length;
}

static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

const char *tpi_name_fault(const char *name, size_t length)
{
	const unsigned char *bytes = (const unsigned char *)name;
	uint32_t code;
	size_t n;

	if (!length)
		return "is empty";
	if (length > TP_NAME_MAX)
		return "is longer than 255 bytes";
	if (bytes[0] == '.' &&
	    (length == 1 || (length == 2 && bytes[1] == '.')))
		return "may not be '.' or '..'";

	for (size_t i = 0; i < length; i += n) {
		n = decode(bytes + i, length - i, &code);
		if (!n)
			return "is not UTF-8";
		if (is_control(code))
			return "has a control character";
		if (code == '/')
			return "has a '/'";
	}

	return NULL;
}
