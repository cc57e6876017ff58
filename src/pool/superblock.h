/*
 * superblock.h - block 0 of the metadata device (metadata-format.md, 2).
 */
#ifndef TPI_POOL_SUPERBLOCK_H
#define TPI_POOL_SUPERBLOCK_H

#include "io/validator.h"
#include "space-map/format.h"

#define TPI_SUPERBLOCK_MAGIC 27022010u
#define TPI_SUPERBLOCK_VERSION 2u
#define TPI_SUPERBLOCK_NEEDS_CHECK 1u

/* Units of the format. */
#define TPI_METADATA_BLOCK_SECTORS 8u
#define TPI_DATA_BLOCK_SECTORS_MIN 128u
#define TPI_DATA_BLOCK_SECTORS_MAX 2097152u

/* A mapping's time has 24 bits, a block number 40 (5.1). */
#define TPI_TIME_MAX ((1u << 24) - 1)
#define TPI_DATA_BLOCKS_MAX ((uint64_t)1 << 40)

struct tpi_disk_superblock {
	struct tpi_block_header header; /* flags: needs_check */
	uint8_t uuid[16];
	le64 magic;
	le32 version;
	le32 time;
	le64 transaction_id;
	le64 held_root;
	union {
		struct tpi_disk_space_map_root root;
		uint8_t area[128];
	} data_space_map, metadata_space_map;
	le64 data_mapping_root;
	le64 device_details_root;
	le32 data_block_size;     /* sectors */
	le32 metadata_block_size; /* sectors */
	le64 metadata_nr_blocks;  /* at format time, never updated */
	le32 compat_flags;
	le32 compat_ro_flags;
	le32 incompat_flags;
	/* Kept as found, so that a commit changes one sector only (2, M8). */
	uint8_t padding[3732];
};
_Static_assert(offsetof(struct tpi_disk_superblock, incompat_flags) == 360,
	       "metadata-format 2");
_Static_assert(sizeof(struct tpi_disk_superblock) == TPI_MBLOCK_BYTES,
	       "metadata-format 2");

/*
 * Can this superblock be used, to write or only to read?  Every refusal of
 * metadata-format.md, 12, ours included, with a logged sentence:
 * -ENOTBLK, -EILSEQ, -EINVAL.  @writable: the metadata will be changed.
 */
int tpi_superblock_check(const struct tpi_disk_superblock *superblock,
			 bool writable);

/*
 * Make of the pool's superblock, which was checked, one that leads to what its
 * metadata snapshot holds.  @copy: the block at @superblock's held root.  Space
 * maps stay the pool's.  -EILSEQ.
 */
int tpi_superblock_go_back(struct tpi_disk_superblock *superblock,
			   const struct tpi_disk_superblock *copy);

/* Is the block all zero: a device without a pool? */
bool tpi_superblock_is_blank(const struct tpi_disk_superblock *superblock);

/* 0, or -EINVAL: 64 KiB .. 1 GiB, a multiple of 64 KiB (B-BAD-3). */
int tpi_check_data_block_sectors(uint64_t sectors);

#endif
