/*
 * superblock.c - which superblocks we open, and the sentence for those that we
 * do not.
 */
#include "pool/superblock.h"

#include <string.h>

#include "pool/foreign.h"

int tpi_check_data_block_sectors(uint64_t sectors)
{
	if (sectors >= TPI_DATA_BLOCK_SECTORS_MIN &&
	    sectors <= TPI_DATA_BLOCK_SECTORS_MAX &&
	    sectors % TPI_DATA_BLOCK_SECTORS_MIN == 0)
		return 0;

	return tpi_error(-EINVAL,
			 "data block size of %llu sectors: it has to be 64 KiB "
			 "to 1 GiB, a multiple of 64 KiB",
			 (unsigned long long)sectors);
}

bool tpi_superblock_is_blank(const struct tpi_disk_superblock *superblock)
{
	static const struct tpi_disk_superblock blank;

	return memcmp(superblock, &blank, sizeof(blank)) == 0;
}

static int refuse(const struct tpi_disk_superblock *sb, int error)
{
	const char *foreign = tpi_foreign_name(sb);

	if (foreign)
		return tpi_error(error,
				 "this is %s, not the metadata of a thin pool",
				 foreign);
	if (error == -EILSEQ)
		return tpi_damage("superblock",
				  "no magic number of a thin pool: this is not "
				  "a metadata device");

	return tpi_error(error,
			 "metadata block 0 says it is block %llu: not a "
			 "superblock",
			 (unsigned long long)le64_get(sb->header.blocknr));
}

/* In the order of metadata-format.md, 12: number, magic, checksum. */
static int check_identity(const struct tpi_disk_superblock *sb)
{
	if (le64_get(sb->header.blocknr) != 0)
		return refuse(sb, -ENOTBLK);
	if (le64_get(sb->magic) != TPI_SUPERBLOCK_MAGIC)
		return refuse(sb, -EILSEQ);

	return tpi_validate(&tpi_superblock_validator, 0, sb);
}

static int check_features(const struct tpi_disk_superblock *sb, bool writable)
{
	if (le32_get(sb->version) != TPI_SUPERBLOCK_VERSION)
		return tpi_error(-EINVAL,
				 "the pool's format has version %u; only %u is "
				 "known",
				 le32_get(sb->version), TPI_SUPERBLOCK_VERSION);
	if (le32_get(sb->incompat_flags))
		return tpi_error(-EINVAL,
				 "the pool uses incompatible features (%#x) of "
				 "a newer format",
				 le32_get(sb->incompat_flags));
	if (writable && le32_get(sb->compat_ro_flags))
		return tpi_error(-EINVAL,
				 "the pool uses features (%#x) of a newer "
				 "format: it can be opened read-only",
				 le32_get(sb->compat_ro_flags));

	return 0;
}

static int check_map_root(const char *what,
			  const struct tpi_disk_space_map_root *root,
			  uint64_t nr_metadata_blocks)
{
	uint64_t bitmap_root = le64_get(root->bitmap_root);
	uint64_t ref_count_root = le64_get(root->ref_count_root);

	if (bitmap_root == 0 || bitmap_root >= nr_metadata_blocks ||
	    ref_count_root == 0 || ref_count_root >= nr_metadata_blocks)
		return tpi_damage("superblock",
				  "the roots of the %s space map are beyond "
				  "the metadata",
				  what);
	if (le64_get(root->nr_allocated) > le64_get(root->nr_blocks))
		return tpi_damage("superblock",
				  "more %s blocks allocated than there are",
				  what);

	return 0;
}

static int check_roots(const struct tpi_disk_superblock *sb)
{
	uint64_t nr = le64_get(sb->metadata_space_map.root.nr_blocks);
	uint64_t mapping_root = le64_get(sb->data_mapping_root);
	uint64_t details_root = le64_get(sb->device_details_root);
	int r;

	if (nr == 0 || nr > TPI_METADATA_BLOCKS_MAX)
		return tpi_damage("superblock", "%llu metadata blocks",
				  (unsigned long long)nr);
	if (le64_get(sb->data_space_map.root.nr_blocks) >= TPI_DATA_BLOCKS_MAX)
		return tpi_damage("superblock", "2^40 data blocks or more");
	r = check_map_root("metadata", &sb->metadata_space_map.root, nr);
	if (!r)
		r = check_map_root("data", &sb->data_space_map.root, nr);
	if (r)
		return r;
	if (mapping_root == 0 || mapping_root >= nr || details_root == 0 ||
	    details_root >= nr || le64_get(sb->held_root) >= nr)
		return tpi_damage("superblock",
				  "a root is beyond the %llu metadata blocks",
				  (unsigned long long)nr);

	return 0;
}

int tpi_superblock_check(const struct tpi_disk_superblock *superblock,
			 bool writable)
{
	int r;

	r = check_identity(superblock);
	if (!r)
		r = check_features(superblock, writable);
	if (r)
		return r;
	if (le32_get(superblock->metadata_block_size) !=
	    TPI_METADATA_BLOCK_SECTORS)
		return tpi_error(-EINVAL,
				 "metadata blocks of %u sectors; only %u is "
				 "known",
				 le32_get(superblock->metadata_block_size),
				 TPI_METADATA_BLOCK_SECTORS);
	r = tpi_check_data_block_sectors(le32_get(superblock->data_block_size));
	if (!r)
		r = check_roots(superblock);

	return r;
}

int tpi_superblock_go_back(struct tpi_disk_superblock *superblock,
			   const struct tpi_disk_superblock *copy)
{
	uint64_t block = le64_get(superblock->held_root);
	int r;

	r = tpi_validate(&tpi_superblock_validator, block, copy);
	if (r)
		return r;
	if (le64_get(copy->magic) != TPI_SUPERBLOCK_MAGIC ||
	    le32_get(copy->data_block_size) !=
		    le32_get(superblock->data_block_size))
		return tpi_damage("metadata snapshot",
				  "block %llu is no copy of the superblock",
				  (unsigned long long)block);
	superblock->time = copy->time;
	superblock->transaction_id = copy->transaction_id;
	superblock->data_mapping_root = copy->data_mapping_root;
	superblock->device_details_root = copy->device_details_root;

	return check_roots(superblock);
}
