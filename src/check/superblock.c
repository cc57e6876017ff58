/*
 * superblock.c - block 0, and its copy behind a metadata snapshot
 * (metadata-format.md, 2, 14 and 19).
 */
#include "check/check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "check/seal.h"

static const struct tpi_where block_0 = {
	.place = TP_PLACE_SUPERBLOCK,
	.thin = TP_CHECK_NONE,
};

/*---------------------------- fields ---------------------------------------*/

/* What the superblock and its copy have in common. */
static void check_fields(struct tpi_check *check,
			 const struct tpi_disk_superblock *sb,
			 const struct tpi_where *where)
{
	uint32_t flags = le32_get(sb->header.flags);
	uint32_t compat = le32_get(sb->compat_flags);
	uint32_t compat_ro = le32_get(sb->compat_ro_flags);

	if (flags & ~TPI_SUPERBLOCK_NEEDS_CHECK)
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_SUPERBLOCK, where,
			 "unknown flags %#x", flags);
	if (compat | compat_ro)
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_SUPERBLOCK, where,
			 "features of a newer format: compat %#x, compat_ro "
			 "%#x",
			 compat, compat_ro);
	if (le32_get(sb->time) > TPI_TIME_MAX)
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_SUPERBLOCK, where,
			 "time %u does not fit into a mapping",
			 le32_get(sb->time));
}

static bool is_data_block_size(uint32_t sectors)
{
	return sectors >= TPI_DATA_BLOCK_SECTORS_MIN &&
	       sectors <= TPI_DATA_BLOCK_SECTORS_MAX &&
	       sectors % TPI_DATA_BLOCK_SECTORS_MIN == 0;
}

/* Is it a superblock that we can go by? */
static bool check_identity(struct tpi_check *check,
			   const struct tpi_disk_superblock *sb,
			   const struct tpi_where *where)
{
	const char *what = NULL;
	uint64_t is = 0;

	if (le64_get(sb->magic) != TPI_SUPERBLOCK_MAGIC) {
		what = "the magic number is %" PRIu64 ": no metadata of a pool";
		is = le64_get(sb->magic);
	} else if (le32_get(sb->version) != TPI_SUPERBLOCK_VERSION) {
		what = "version %" PRIu64 " of the format; only 2 is known";
		is = le32_get(sb->version);
	} else if (le32_get(sb->incompat_flags)) {
		what = "features of a newer format: incompat %#" PRIx64;
		is = le32_get(sb->incompat_flags);
	} else if (le32_get(sb->metadata_block_size) !=
		   TPI_METADATA_BLOCK_SECTORS) {
		what = "metadata blocks of %" PRIu64
		       " sectors; only 8 is known";
		is = le32_get(sb->metadata_block_size);
	}
	if (what)
		tpi_tell(check, TP_CHECK_FATAL, TP_FOUND_SUPERBLOCK, where,
			 what, is);

	return !what;
}

static bool check_seal(struct tpi_check *check, const void *data)
{
	struct tpi_seal_look look =
		tpi_seal_look(&tpi_superblock_validator, 0, data);

	if (!look.right_checksum)
		tpi_tell(check, TP_CHECK_FATAL, TP_FOUND_CHECKSUM, &block_0,
			 look.other ? "it is a %s" : "bad checksum",
			 look.other);
	if (!look.right_number)
		tpi_tell(check, TP_CHECK_FATAL, TP_FOUND_BLOCK_NUMBER, &block_0,
			 "it says that it is block %" PRIu64, look.number);

	return look.right_checksum && look.right_number;
}

/*---------------------------- sizes ----------------------------------------*/

static void check_allocated(struct tpi_check *check,
			    const struct tpi_disk_space_map_root *root,
			    const char *name)
{
	uint64_t nr_allocated = le64_get(root->nr_allocated);
	uint64_t nr_blocks = le64_get(root->nr_blocks);

	if (nr_allocated > nr_blocks)
		tpi_tell(check, TP_CHECK_FATAL, TP_FOUND_NR_ALLOCATED, &block_0,
			 "%" PRIu64 " of %" PRIu64 " %s blocks are allocated",
			 nr_allocated, nr_blocks, name);
}

static void check_metadata_size(struct tpi_check *check, uint64_t nr_blocks)
{
	tp_mblock there = tpi_device_size(check->device) / TPI_MBLOCK_BYTES;

	if (!nr_blocks || nr_blocks > TPI_METADATA_BLOCKS_MAX)
		tpi_tell(check, TP_CHECK_FATAL, TP_FOUND_SIZE, &block_0,
			 "%" PRIu64 " metadata blocks; there can be 1 to %llu",
			 nr_blocks,
			 (unsigned long long)TPI_METADATA_BLOCKS_MAX);
	else if (nr_blocks > there)
		tpi_tell(check, TP_CHECK_FATAL, TP_FOUND_SIZE, &block_0,
			 "%" PRIu64 " metadata blocks, on a device of %" PRIu64,
			 nr_blocks, there);
	check->end =
		tpi_min(tpi_min(nr_blocks, there), TPI_METADATA_BLOCKS_MAX);
}

/* Each bitmap of data blocks takes a metadata block; which also bounds what we
 * need to count them. */
static void check_data_size(struct tpi_check *check, uint64_t nr_blocks,
			    uint32_t block_sectors)
{
	uint64_t most = tpi_min(check->end * TPI_BITMAP_ENTRIES,
				TPI_DATA_BLOCKS_MAX - 1);
	uint64_t bytes = check->options.data_bytes;

	if (nr_blocks > most)
		tpi_tell(check, TP_CHECK_FATAL, TP_FOUND_SIZE, &block_0,
			 "%" PRIu64 " data blocks, and room to count %" PRIu64,
			 nr_blocks, most);
	else if (bytes && block_sectors &&
		 nr_blocks > bytes / TP_SECTOR_SIZE / block_sectors)
		tpi_tell(check, TP_CHECK_FATAL, TP_FOUND_SIZE, &block_0,
			 "%" PRIu64 " data blocks of %u sectors, on a device "
			 "of %" PRIu64 " bytes",
			 nr_blocks, block_sectors, bytes);
	check->data.nr_blocks = tpi_min(nr_blocks, most);
}

static void fill_report(struct tpi_check *check,
			const struct tpi_disk_superblock *sb)
{
	struct tp_check_report *report = &check->report;

	report->needs_check = le32_get(sb->header.flags) &
			      TPI_SUPERBLOCK_NEEDS_CHECK;
	report->transaction_id = le64_get(sb->transaction_id);
	report->time = le32_get(sb->time);
	report->data_block_size = le32_get(sb->data_block_size)
				  << TPI_SECTOR_SHIFT;
	report->metadata_blocks =
		le64_get(sb->metadata_space_map.root.nr_blocks);
	report->data_blocks = le64_get(sb->data_space_map.root.nr_blocks);
	report->held_root = le64_get(sb->held_root);
}

static void take_map_root(struct tpi_check_map *map,
			  const struct tpi_disk_space_map_root *root)
{
	map->nr_allocated = le64_get(root->nr_allocated);
	map->index_root = le64_get(root->bitmap_root);
	map->overflow_root = le64_get(root->ref_count_root);
}

/*---------------------------- block 0 --------------------------------------*/

static void check_contents(struct tpi_check *check,
			   const struct tpi_disk_superblock *sb)
{
	uint32_t sectors = le32_get(sb->data_block_size);

	check_fields(check, sb, &block_0);
	if (!is_data_block_size(sectors))
		tpi_tell(check, TP_CHECK_FATAL, TP_FOUND_SUPERBLOCK, &block_0,
			 "data blocks of %u sectors: no multiple of 128 up to "
			 "2097152",
			 sectors);
	check_metadata_size(check,
			    le64_get(sb->metadata_space_map.root.nr_blocks));
	check_data_size(check, le64_get(sb->data_space_map.root.nr_blocks),
			sectors);
	check_allocated(check, &sb->metadata_space_map.root, "metadata");
	check_allocated(check, &sb->data_space_map.root, "data");
	if (le32_get(sb->header.flags) & TPI_SUPERBLOCK_NEEDS_CHECK)
		tpi_tell(check, TP_CHECK_WARNING, TP_FOUND_NEEDS_CHECK,
			 &block_0, "the pool needs a check");

	check->metadata.nr_blocks = check->end;
	take_map_root(&check->metadata, &sb->metadata_space_map.root);
	take_map_root(&check->data, &sb->data_space_map.root);
	fill_report(check, sb);
}

static void tell_not_formatted(struct tpi_check *check, const char *why)
{
	tpi_tell(check, TP_CHECK_FATAL, TP_FOUND_NOT_FORMATTED, &block_0, "%s",
		 why);
}

int tpi_check_superblock(struct tpi_check *check, bool *usable)
{
	struct tpi_disk_superblock *sb = check->live.superblock;
	int r;

	*usable = false;
	if (tpi_device_size(check->device) < TPI_MBLOCK_BYTES) {
		tell_not_formatted(check,
				   "the device is too small to hold a pool");
		return 0;
	}
	r = tpi_sweep_read(check->sweep, 0, sb);
	if (r)
		return tpi_error(r, "the superblock cannot be read: %s",
				 tp_strerror(r));
	if (tpi_superblock_is_blank(sb)) {
		tell_not_formatted(check, "the device is not formatted");
		return 0;
	}
	*usable = check_seal(check, sb) && check_identity(check, sb, &block_0);
	if (*usable)
		check_contents(check, sb);

	return 0;
}

/*---------------------------- the copy -------------------------------------*/

static void check_against_live(struct tpi_check *check,
			       const struct tpi_disk_superblock *held,
			       const struct tpi_where *where)
{
	const struct tpi_disk_superblock *live = check->live.superblock;

	if (le64_get(held->held_root))
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_HELD_ROOT, where,
			 "a metadata snapshot within a metadata snapshot");
	if (le32_get(held->time) > le32_get(live->time))
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_HELD_ROOT, where,
			 "its time is %u, and the pool's %u",
			 le32_get(held->time), le32_get(live->time));
	if (le32_get(held->data_block_size) != le32_get(live->data_block_size))
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_HELD_ROOT, where,
			 "data blocks of %u sectors, and the pool has %u",
			 le32_get(held->data_block_size),
			 le32_get(live->data_block_size));
}

int tpi_check_held_superblock(struct tpi_check *check)
{
	tp_mblock block = le64_get(check->live.superblock->held_root);
	struct tpi_where where = TPI_WHERE(TP_PLACE_HELD_SUPERBLOCK, block);
	struct tpi_check_block *known;
	bool first;
	int r;

	if (!block)
		return 0;
	tpi_load_refer(check, block, TP_PLACE_HELD_SUPERBLOCK);
	r = tpi_load_run(check);
	if (r)
		return r;
	where.held = true;
	known = tpi_trees_visit(check, &where, &first);
	if (!known)
		return 0;
	check->held.superblock = tpi_check_copy(check, known);
	check->held.there =
		check_identity(check, check->held.superblock, &where);
	check->hidden |= !check->held.there;
	if (check->held.there) {
		check_fields(check, check->held.superblock, &where);
		check_against_live(check, check->held.superblock, &where);
	}

	return 0;
}
