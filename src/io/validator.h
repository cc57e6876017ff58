/*
 * validator.h - what a metadata block must look like to come in, and is made
 * to look like before it goes out (metadata-format.md, 1 and 4).
 *
 * Every metadata block starts with the same 16 bytes: checksum, flags, its own
 * number.  A validator adds what a block of its type must keep by itself;
 * what spans two blocks is checked where they meet.
 */
#ifndef TPI_IO_VALIDATOR_H
#define TPI_IO_VALIDATOR_H

#include "io/base.h"

struct tpi_block_header {
	le32 csum;
	le32 flags;
	le64 blocknr;
};
_Static_assert(sizeof(struct tpi_block_header) == 16, "metadata-format 1");

struct tpi_validator {
	const char *name;  /* "btree node", for messages */
	uint32_t csum_xor; /* metadata-format.md, 1.1 */

	/* More to check, after number and checksum; NULL: nothing.  0, or
	 * tpi_damage(). */
	int (*check)(tp_mblock block, const void *data);
};

extern const struct tpi_validator tpi_superblock_validator;
extern const struct tpi_validator tpi_node_validator;
extern const struct tpi_validator tpi_index_validator;
extern const struct tpi_validator tpi_bitmap_validator;

/* 0, or tpi_damage(): block number first, then checksum, then check(). */
int tpi_validate(const struct tpi_validator *validator, tp_mblock block,
		 const void *data);

/* Set number and checksum, immediately before a write. */
void tpi_seal(const struct tpi_validator *validator, tp_mblock block,
	      void *data);

#endif
