/*
 * damage.h - metadata broken on purpose, the same way for the same seed.
 *
 * An image is a metadata device in memory, of a pool that is closed.  Each kind
 * of damage picks a victim by the seed, a rare sort of block as often as a common
 * one, changes it, and seals it again, so that number and checksum are right:
 * what an attacker or a broken program leaves.  Only the kinds up to
 * DAMAGE_LAST_UNSEALED leave them wrong, as a failing disk does.
 */
#ifndef TESTS_SUPPORT_DAMAGE_H
#define TESTS_SUPPORT_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

enum damage_kind {
	DAMAGE_FLIP,  /* up to seven bits of a block in use */
	DAMAGE_ZERO,  /* a block in use, all zero */
	DAMAGE_NOISE, /* or anything, from some sector on */
	DAMAGE_CUT,   /* all blocks from one on are zero */
	DAMAGE_LAST_UNSEALED = DAMAGE_CUT,

	DAMAGE_FLIP_SEALED,
	DAMAGE_NUMBER, /* the checksum is right, the block's own number not */

	/* A pointer (root, child, root of a thin's tree, bitmap) leads to: */
	DAMAGE_CROSSED, /* another block of its kind */
	DAMAGE_FOREIGN, /* a block of another kind */
	DAMAGE_CYCLE,   /* the block that it lies in, or one above that */
	DAMAGE_TO_FREE, /* a block not in use */
	DAMAGE_BEYOND,  /* nowhere */
	DAMAGE_TO_BLOCK_0,

	DAMAGE_NODE_HEADER,
	DAMAGE_NR_ENTRIES, /* within what there is room for */
	DAMAGE_KEY,
	DAMAGE_LOST_ENTRY, /* of a leaf; details without a thin, and so on */
	DAMAGE_SWAP,       /* two blocks, each with the other's content */
	DAMAGE_COPY,       /* a block with the content of another */

	DAMAGE_MAPPED_TWICE, /* two virtual blocks own one data block */
	DAMAGE_MAPPED_BEYOND,
	DAMAGE_MAPPING_TIME,
	DAMAGE_DETAILS,

	DAMAGE_COUNT, /* in a bitmap */
	DAMAGE_OVERFLOW_COUNT,
	DAMAGE_INDEX_FIGURES,    /* free entries, and where the first is */
	DAMAGE_MAP_FIGURES,      /* blocks, and how many are allocated */
	DAMAGE_SUPERBLOCK_FIELD, /* that no other kind is about */

	DAMAGE_NR_KINDS,
};

/* What was done, for the message of a test that fails. */
struct damage_report {
	char text[256];
};

/*
 * Do damage of one kind to the image; whether there was anything to do it to.
 * Then, and only then, the image has changed.
 */
bool damage_do(void *bytes, uint64_t size_bytes, enum damage_kind kind,
	       uint64_t seed, struct damage_report *report);

/* One kind in two of three cases, else up to four on top of each other. */
void damage_apply(void *bytes, uint64_t size_bytes, uint64_t seed,
		  struct damage_report *report);

/* A lost write: a block that both images have in use gets the content that it
 * has in @older, an image of the same pool and size, earlier. */
bool damage_lost_write(void *bytes, const void *older, uint64_t size_bytes,
		       uint64_t seed, struct damage_report *report);

const char *damage_kind_name(enum damage_kind kind);

#endif
