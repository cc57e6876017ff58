/*
 * tag.h - sectors that say who wrote them.
 *
 * Every sector that a run writes carries the run's seed, volume, sector and
 * operation, and the whole sector follows from these four: a single byte that
 * is out of place makes it foreign (crash-contract, section 3).
 */
#ifndef TESTS_SIMULATOR_TAG_H
#define TESTS_SIMULATOR_TAG_H

#include <stdint.h>

#define SECTOR_BYTES 512u
#define SECTOR_SHIFT 9

/* The volume that an external origin's sectors name. */
#define TAG_ORIGIN UINT32_MAX

struct tag {
	uint64_t seed, sector;
	uint32_t volume, operation;
};

void tag_write(void *sector, const struct tag *tag);

enum content {
	CONTENT_ZERO,
	CONTENT_TAG,
	CONTENT_FOREIGN, /* neither: stale, poison, torn, or damaged */
};

/* What a sector holds; @tag is set for CONTENT_TAG only. */
enum content tag_read(const void *sector, struct tag *tag);

#endif
