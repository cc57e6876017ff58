/*
 * size.h - sizes, as people write them: 512, 64K, 10G.
 */
#ifndef TOOLS_SIZE_H
#define TOOLS_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#define METADATA_BLOCK_SIZE 4096u /* bytes, in every pool */

/* Bytes, or with K, M, G or T, powers of 1024.  false: it is no such size. */
bool size_parse(const char *text, uint64_t *size);

/* An offset or a length within a volume: says so and fails if @text is no
 * multiple of 512.  @what: "OFFSET". */
int size_parse_sectors(const char *text, const char *what, uint64_t *size);

/* At most three digits and a unit: "64K", "1.5G". */
struct size_text {
	char text[16];
};
struct size_text size_format(uint64_t size);

#endif
