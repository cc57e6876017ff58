/*
 * world.h - both space maps over a disk in memory, with a dumb second opinion
 * about what they write.
 *
 * The transaction manager's blocks pass through a guard: whatever is allocated
 * must be free in the running transaction, in the closed one and in the durable
 * one.
 */
#ifndef TESTS_SPACE_MAP_WORLD_H
#define TESTS_SPACE_MAP_WORLD_H

#include <check.h>

#include "space-map/data-space-map.h"
#include "space-map/metadata-space-map.h"
#include "support/ram-disk.h"
#include "support/run-tests.h"

/* For loops: libcheck's own notes every call in a file. */
#define EXPECT(condition)                                                      \
	((condition) ? (void)0 : ck_abort_msg("not so: %s", #condition))

struct world {
	struct ram_disk disk;
	struct tpi_channel *channel;
	struct tpi_cache *cache;
	uint64_t cache_bytes;
	tp_mblock nr_mblocks; /* the size of the device */

	struct tpi_metadata_space_map *metadata;
	struct tpi_data_space_map *data;
	struct tpi_refs guard;
	struct tpi_tm tm;

	/* Of the transaction closed last. */
	struct tpi_disk_space_map_root metadata_root, data_root;

	/* Metadata blocks in use, by transaction. */
	bool *used_closed, *used_durable;
};

/* An empty device that may grow to @max_mblocks, and maps made on it; block 0
 * is allocated.  Not closed. */
void world_format(struct world *w, tp_mblock nr_mblocks, tp_mblock max_mblocks,
		  tp_dblock nr_dblocks, uint64_t cache_bytes);
void world_exit(struct world *w);

/* Run @call until it answers something else than -EAGAIN. */
#define WAIT(w, call)                                                          \
	({                                                                     \
		int result_;                                                   \
                                                                               \
		while ((result_ = (call)) == -EAGAIN)                          \
			world_wait(w);                                         \
		result_;                                                       \
	})
void world_wait(struct world *w);

/* Prepare and close both maps; what the data map freed is released by whoever
 * takes it. */
int world_close(struct world *w);

/* The closed transaction becomes durable. */
void world_write(struct world *w);

/* Both, and what was freed is released. */
void world_commit(struct world *w);

/* Forget all that is in memory, and load the maps of the roots. */
int world_reopen(struct world *w);

/* The device was made larger, and so is the metadata map. */
void world_grow_metadata(struct world *w, tp_mblock nr_mblocks);

/*---------------------------- the device -----------------------------------*/

/* What lies there.  Whoever changes it calls tpi_seal(). */
void *world_block(struct world *w, tp_mblock block);

/*---------------------------- the second opinion ---------------------------*/

/*
 * Read the maps of the roots straight from the device.  The metadata map must
 * count @users (an array of nr_mblocks), plus one for each block of the two
 * maps themselves (7.1), the data map @data.  Figures of the index and the
 * roots must be exact.  Either may be NULL: not compared.
 */
void world_check_disk(struct world *w, const uint32_t *users,
		      const uint32_t *data);

/*---------------------------- chance ---------------------------------------*/

/* Of TEST_SEED in the environment, or of the clock; printed. */
void chance_init(void);
uint64_t chance(uint64_t below);

#endif
