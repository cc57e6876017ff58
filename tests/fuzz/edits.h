/*
 * edits.h - an input of a fuzzer as edits of a good metadata image, so that it
 * is short, and gets past checksums.
 *
 * byte 0      which specimen
 * byte 1      bit 0: leave checksums as they are
 * bytes 2, 3  a seed for what is then done to the pool
 * then, 12 bytes each, at most EDITS_MAX:
 *   0, 1      which block, of those in use, as a survey lists them
 *   2, 3      where in it: byte (12 bits), and bytes to change: 1, 2, 4 or 8
 *   4 to 11   what they become; of the first only so many
 *
 * All numbers are little-endian.
 */
#ifndef TESTS_FUZZ_EDITS_H
#define TESTS_FUZZ_EDITS_H

#include "support/specimen.h"

#define EDITS_MAX 64

struct edited {
	const struct specimen *specimen;
	char *metadata;
	uint16_t seed;
	bool sealed;
};

/* False: too short to mean anything.  Else free it. */
bool edits_apply(const uint8_t *data, size_t size, struct edited *edited);
void edits_free(struct edited *edited);

#endif
