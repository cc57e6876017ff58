/*
 * metadata-image.h - what lies where on a metadata device, held in memory.
 *
 * A survey goes from the superblock to every block that anything points to,
 * and believes nothing: a pointer that leads nowhere is noted and not followed,
 * a block is taken for what the first pointer to it says.  So a damaged image
 * can be surveyed too, and be damaged further.
 *
 * It is for fuzzers as well as for tests: no libcheck here, and abort() where
 * memory runs out.
 */
#ifndef TESTS_SUPPORT_METADATA_IMAGE_H
#define TESTS_SUPPORT_METADATA_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "btree/node.h"
#include "pool/superblock.h"

/* What a block is for (metadata-format.md, 3). */
enum image_role {
	IMAGE_SUPERBLOCK,
	IMAGE_HELD_SUPERBLOCK, /* the metadata snapshot */
	IMAGE_THINS,           /* mapping tree, level 0 */
	IMAGE_MAPPINGS,        /* level 1 */
	IMAGE_DETAILS,
	IMAGE_DATA_INDEX,
	IMAGE_DATA_BITMAP,
	IMAGE_DATA_OVERFLOW,
	IMAGE_METADATA_INDEX,
	IMAGE_METADATA_BITMAP,
	IMAGE_METADATA_OVERFLOW,
	IMAGE_NR_ROLES,
};

struct image_block {
	tp_mblock number;
	enum image_role role;
	size_t parent; /* whose pointer was met first, as an index */
};

/* A pointer, wherever it leads. */
struct image_pointer {
	size_t from; /* the block that it lies in, as an index */
	unsigned at; /* byte in that block */
	enum image_role role;
};

struct image {
	char *bytes; /* the caller's */
	tp_mblock nr_mblocks;

	/* The superblock first, parents before their children. */
	struct image_block *blocks;
	size_t nr_blocks, room_blocks;
	struct image_pointer *pointers;
	size_t nr_pointers, room_pointers;
	bool *is_used; /* by number */
};

/* @bytes: a metadata device, or what there is of one; at least one block. */
void image_survey(struct image *image, void *bytes, uint64_t size_bytes);
void image_exit(struct image *image);

/* The bytes of the @i-th surveyed block. */
void *image_data(const struct image *image, size_t i);

/* The @nr-th block of a role, as an index; SIZE_MAX if there are not so many.
 */
size_t image_find(const struct image *image, enum image_role role, size_t nr);
size_t image_count(const struct image *image, enum image_role role);

/* A node of one of the trees that has flags, sizes and a number of entries as
 * a node should: what lies in it can be reached. */
bool image_is_node(const struct image *image, size_t i);

le64 *image_pointer(const struct image *image, size_t i);

/* The parts of a superblock that others point from. */
struct tpi_disk_superblock *image_superblock(const struct image *image);

/* Make number and checksum of the @i-th block right again. */
void image_seal(const struct image *image, size_t i);

/* Seal what lies at @place as a block of @role that has this @number. */
void image_seal_as(const struct image *image, tp_mblock place,
		   enum image_role role, tp_mblock number);

const char *image_role_name(enum image_role role);

#endif
