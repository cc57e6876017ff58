/*
 * metadata.h - a reader of pool metadata, written from the description of the
 * format and from nothing of the engine's.
 *
 * It reads all that a superblock leads to, and counts the references to each
 * block as it goes (metadata-format, 7).  Every node is checked on the way.
 */
#ifndef TESTS_SIMULATOR_METADATA_H
#define TESTS_SIMULATOR_METADATA_H

#include <stddef.h>
#include <stdint.h>

#include "simulator/verdict.h"

#define METADATA_BLOCK 4096u
#define METADATA_MAX_THINS 64
#define NEEDS_CHECK 1u

/* Ids above this are of thins that were deleted and are being emptied. */
#define CATALOGUE_ID (1u << 24)

/* Which (thin, virtual block) a data block belongs to; the first, if several. */
struct owner {
	uint32_t nr;
	uint32_t thin;
	uint64_t vblock;
};

struct space_map {
	uint64_t nr_blocks, nr_allocated, bitmap_root, overflow_root;
};

struct thin_details {
	uint32_t id;
	uint64_t mapped_blocks, nr_mappings;
};

struct metadata {
	uint32_t flags, time, block_sectors;
	uint64_t transaction_id, held_root;
	uint64_t mapping_root, details_root;
	struct space_map data_map, metadata_map;

	struct thin_details thins[METADATA_MAX_THINS];
	unsigned nr_thins;
	uint32_t *counts;      /* references to each metadata block */
	uint32_t *data_counts; /* and to each data block */
	struct owner *owners;  /* of each data block */

	/* Of all mappings, the live ones and the metadata snapshot's. */
	uint64_t live_digest, held_digest;

	/* The reader's. */
	void (*read)(void *context, uint64_t block, void *bytes);
	void *context;
	bool check_sums;
};

/*
 * @read: the block of the device, which has @nr_device_blocks.  Anything that
 * is wrong ends in a verdict.  Free it in any case.
 */
bool metadata_load(struct metadata *metadata,
		   void (*read)(void *context, uint64_t block, void *bytes),
		   void *context, uint64_t nr_device_blocks, bool check_sums,
		   struct verdict *verdict);
void metadata_free(struct metadata *metadata);

/* Both space maps say what was counted, and so do the details (M2).  See
 * recount.c. */
bool metadata_recount(struct metadata *metadata, struct verdict *verdict);

/*---------------------------- between its files ----------------------------*/

enum block_type { SUPERBLOCK, NODE, INDEX, BITMAP };

/* Reads @block, which has to be what it should be. */
bool metadata_read_block(const struct metadata *metadata, uint64_t block,
			 enum block_type type, unsigned char *bytes,
			 struct verdict *verdict);

/* Counts a reference; @is_new: it is the first. */
bool metadata_refer(struct metadata *metadata, uint64_t block, bool *is_new,
		    struct verdict *verdict);

typedef bool (*entry_fn)(struct metadata *metadata, void *context, uint64_t key,
			 const unsigned char *value, struct verdict *verdict);

/*
 * Every entry of the tree at @root, in order.  @again: also below nodes that
 * were met before; else these are counted and left.
 */
struct tree {
	uint32_t value_size;
	bool again;
	entry_fn entry;
	void *context;
};
bool metadata_walk(struct metadata *metadata, const struct tree *tree,
		   uint64_t root, struct verdict *verdict);

static inline uint32_t get32(const unsigned char *bytes)
{
	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

static inline uint64_t get64(const unsigned char *bytes)
{
	return get32(bytes) | (uint64_t)get32(bytes + 4) << 32;
}

/* Clear needs_check in a superblock, as a repair would. */
void metadata_clear_needs_check(unsigned char *superblock);

#endif
