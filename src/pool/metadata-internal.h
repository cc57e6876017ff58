/*
 * metadata-internal.h - what the parts of the metadata share: metadata.c (state,
 * looking, transactions), metadata-change.c and metadata-held-root.c.
 */
#ifndef TPI_POOL_METADATA_INTERNAL_H
#define TPI_POOL_METADATA_INTERNAL_H

#include "pool/metadata.h"

/* Details as they lie on disk (metadata-format.md, 5.2). */
struct tpi_disk_details {
	le64 mapped_blocks;
	le64 transaction_id;
	le32 creation_time;
	le32 snapshotted_time;
};
_Static_assert(sizeof(struct tpi_disk_details) == 24, "metadata-format 5.2");

void tpi_details_unpack(const struct tpi_disk_details *disk,
			struct tpi_details *details);
void tpi_details_pack(const struct tpi_details *details,
		      struct tpi_disk_details *disk);

int tpi_metadata_write_details(struct tpi_metadata *md, uint64_t id,
			       const struct tpi_details *details);

/* Remember the first error that makes T(r) unfit; returns @error. */
int tpi_metadata_fail(struct tpi_metadata *md, int error);

/* The same before anything was changed: want of memory is only told. */
int tpi_metadata_refuse(struct tpi_metadata *md, int error);

/* Metadata blocks that one change may make; and of two whose paths are much the
 * same, the second. */
#define TPI_CHANGE_BLOCKS_MIN 8u
tp_mblock tpi_metadata_change_blocks(const struct tpi_metadata *md);

/* Refuse before anything is changed what could not be committed (B-META-6), or
 * could not be finished for want of memory. */
int tpi_metadata_check_room(struct tpi_metadata *md);

/* Another thin: read what adding it touches, then add it.  The reference to
 * @root becomes the tree's. */
int tpi_metadata_prepare_add(struct tpi_metadata *md, uint64_t id);
int tpi_metadata_add_thin(struct tpi_metadata *md, uint64_t id, tp_mblock root,
			  const struct tpi_details *details);

/* A key and a value take eight bytes each. */
#define TPI_LEAF_MAPPINGS_MAX (TPI_MBLOCK_BYTES / 16)

int tpi_mapping_check(struct tpi_metadata *md, tpi_mapping mapping);

#endif
