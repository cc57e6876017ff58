/*
 * volume.h - what the oracle knows of one volume: the sectors that were
 * touched, each with its candidates.  All others are blank.
 */
#ifndef TESTS_SIMULATOR_VOLUME_H
#define TESTS_SIMULATOR_VOLUME_H

#include "simulator/candidates.h"

#define NO_VOLUME UINT32_MAX

/* The pool's, as far as it says what a volume may show. */
struct rules {
	uint64_t seed;
	uint32_t block_sectors;
	bool zeroing; /* of new blocks; else their rest is undefined (6.4) */
	uint64_t origin_sectors; /* of the external origin; 0: there is none */
};

struct block {
	/* Some write touched it: without zeroing, a sector that is blank may
	 * show anything. */
	bool was_written;
	struct candidates sectors[];
};

struct volume {
	uint32_t number; /* of all that ever were, in order of creation */
	uint32_t id;
	bool exists;
	bool has_origin;
	bool has_ballast; /* all of it: see ballast.h */
	bool lost_writes; /* as the pool reports it (A2) */
	uint64_t nr_sectors;
	uint32_t nr_blocks;
	struct block **blocks; /* NULL: not touched */
};

void volume_init(struct volume *volume, const struct rules *rules);
void volume_exit(struct volume *volume, const struct rules *rules);
void volume_copy(struct volume *to, const struct volume *from,
		 const struct rules *rules);

/* The sector's list; NULL or empty: blank. */
struct candidates *volume_find(const struct volume *volume,
			       const struct rules *rules, uint64_t sector);

/* The same, made if need be. */
struct candidates *volume_touch(struct volume *volume,
				const struct rules *rules, uint64_t sector);

/* The sectors that @operation changes: a discard leaves alone the blocks that
 * it covers in part, and a short last block (6.2), unless it goes on past the
 * volume's end, through a handle that is larger.  May be empty. */
void volume_clip(const struct volume *volume, const struct rules *rules,
		 const struct operation *operation, uint64_t *begin,
		 uint64_t *end);

/* A blank sector shows the external origin. */
bool volume_shows_origin(const struct volume *volume, const struct rules *rules,
			 uint64_t sector);

/* A blank sector may show anything (6.4). */
bool volume_may_be_stale(const struct volume *volume, const struct rules *rules,
			 uint64_t sector);

#endif
