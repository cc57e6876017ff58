/*
 * maps.h - both space maps over a disk in memory, with a dumb second opinion
 * about what they write.
 *
 * The transaction manager's blocks pass through a guard: whatever is allocated
 * must be free in the running transaction, in the closed one and in the durable
 * one.
 */
#ifndef TESTS_SPACE_MAP_MAPS_H
#define TESTS_SPACE_MAP_MAPS_H

#include <check.h>

#include "space-map/data-space-map.h"
#include "space-map/metadata-space-map.h"
#include "support/ram-disk.h"
#include "support/run-tests.h"

/* For loops: libcheck's own notes every call in a file. */
#define EXPECT(condition)                                                      \
	((condition) ? (void)0 : ck_abort_msg("not so: %s", #condition))

struct maps {
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

/*
 * An empty device, and maps made on it; block 0 is allocated.  Not closed.
 *
 * @disk_mblocks  how many blocks there is memory for: more, if the device is to
 *                grow; fewer, if only the first ones are ever written.
 */
void maps_format(struct maps *maps, tp_mblock nr_mblocks,
		 tp_mblock disk_mblocks, tp_dblock nr_dblocks,
		 uint64_t cache_bytes);
void maps_exit(struct maps *maps);

/* Run @call until it answers something else than -EAGAIN. */
#define WAIT(maps, call)                                                       \
	({                                                                     \
		int result_;                                                   \
                                                                               \
		while ((result_ = (call)) == -EAGAIN)                          \
			maps_wait(maps);                                       \
		result_;                                                       \
	})
void maps_wait(struct maps *maps);

/* Prepare and close both maps; what the data map freed is released by whoever
 * takes it. */
int maps_close(struct maps *maps);

/* The closed transaction becomes durable. */
void maps_write(struct maps *maps);

/* Both, and what was freed is released. */
void maps_commit(struct maps *maps);

/* Forget all that is in memory, and load the maps of the roots. */
int maps_reopen(struct maps *maps);

/* The device was made larger, and so is the metadata map. */
void maps_grow_metadata(struct maps *maps, tp_mblock nr_mblocks);

/*---------------------------- the device -----------------------------------*/

/* What lies there.  Whoever changes it calls tpi_seal(). */
void *maps_block(struct maps *maps, tp_mblock block);

/*---------------------------- the second opinion ---------------------------*/

/*
 * Read the maps of the roots straight from the device.  The metadata map must
 * count @users (an array of nr_mblocks), plus one for each block of the two
 * maps themselves (7.1), the data map @data.  Figures of the index and the
 * roots must be exact.  Either may be NULL: not compared.
 */
void maps_check_disk(struct maps *maps, const uint32_t *users,
		     const uint32_t *data);

/*---------------------------- chance ---------------------------------------*/

/* Of TEST_SEED in the environment, or of the clock; printed. */
void chance_init(void);
uint64_t chance(uint64_t below);

#endif
