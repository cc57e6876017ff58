/*
 * file-limits.c - what a file or block device can do.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "io/file-private.h"

/* Where the kernel does not tell what O_DIRECT asks for, this is enough. */
#define SAFE_ALIGNMENT_BYTES 4096

uint64_t tpi_file_size(const struct tpi_file *file)
{
	struct stat stat;
	uint64_t bytes;

	if (file->is_block)
		return ioctl(file->fd, BLKGETSIZE64, &bytes) ? 0 : bytes;

	return fstat(file->fd, &stat) ? 0 : (uint64_t)stat.st_size;
}

/*---------------------------- alignment ------------------------------------*/

/* What O_DIRECT wants, as far as the kernel tells; zero where it does not. */
static void ask_direct_alignment(const struct tpi_file *file, uint32_t *memory,
				 uint32_t *offset)
{
	*memory = *offset = 0;
#ifdef STATX_DIOALIGN
	struct statx statx_now;

	if (statx(file->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &statx_now) ||
	    !(statx_now.stx_mask & STATX_DIOALIGN))
		return;
	*memory = statx_now.stx_dio_mem_align;
	*offset = statx_now.stx_dio_offset_align;
#endif
}

static uint32_t value_or(uint32_t value, uint32_t otherwise)
{
	return value ? value : otherwise;
}

static int ask_alignment(const struct tpi_file *file,
			 struct tp_device_async_ops *ops)
{
	bool direct = file->flags & TP_FILE_DIRECT;
	uint32_t memory, offset;
	int logical = 0;

	if (file->is_block && ioctl(file->fd, BLKSSZGET, &logical))
		return tpi_error(-errno,
				 "a block device without a logical "
				 "block size: %s",
				 tp_strerror(errno));

	ops->logical_block_bytes = logical;
	ops->memory_alignment_bytes = 1;
	if (!direct)
		return 0;

	ask_direct_alignment(file, &memory, &offset);
	ops->memory_alignment_bytes = value_or(memory, SAFE_ALIGNMENT_BYTES);
	if (!file->is_block)
		ops->logical_block_bytes =
			value_or(offset, SAFE_ALIGNMENT_BYTES);

	return 0;
}

/*---------------------------- discard --------------------------------------*/

/* From sysfs; of a partition, what its disk says.  0 if it says nothing. */
static uint64_t queue_limit(const struct tpi_file *file, const char *name)
{
	static const char *const places[] = { "queue", "../queue" };
	uint64_t value = 0;
	char path[128];

	for (size_t i = 0; i < TPI_ARRAY_SIZE(places); i++) {
		FILE *f;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s",
			 major(file->stat.st_rdev), minor(file->stat.st_rdev),
			 places[i], name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%" SCNu64, &value) != 1)
			value = 0;
		fclose(f);
		break;
	}

	return value;
}

static bool ask_block_discard(const struct tpi_file *file,
			      struct tp_device_async_ops *ops)
{
	uint64_t granularity = queue_limit(file, "discard_granularity");
	uint64_t max = queue_limit(file, "discard_max_bytes");

	if (!max || max < granularity)
		return false;
	ops->discard_granularity_bytes = (uint32_t)granularity;
	ops->discard_max_bytes = max;

	return true;
}

/* Punching a hole behind the end changes nothing, and tells whether it works. */
static bool ask_file_discard(const struct tpi_file *file,
			     struct tp_device_async_ops *ops)
{
	uint32_t granule =
		(uint32_t)tpi_max(file->stat.st_blksize, SAFE_ALIGNMENT_BYTES);
	off_t behind =
		(off_t)(tpi_div_up(tpi_file_size(file), granule) * granule);

	if (fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      behind, granule))
		return false;
	ops->discard_granularity_bytes = granule;

	return true;
}

/*---------------------------------------------------------------------------*/

int tpi_file_ask_limits(const struct tpi_file *file,
			struct tp_device_async_ops *ops)
{
	bool can_discard;
	int r = ask_alignment(file, ops);

	if (r)
		return r;

	ops->features = TP_DEVICE_FUA;
	if (file->flags & TP_FILE_READ_ONLY) {
		ops->features |= TP_DEVICE_READ_ONLY;
		return 0;
	}

	/* Whether zeroes can be written is seen when they are. */
	ops->features |= TP_DEVICE_WRITE_ZEROES;
	can_discard = file->is_block ? ask_block_discard(file, ops)
				     : ask_file_discard(file, ops);
	if (can_discard)
		ops->features |= TP_DEVICE_DISCARD;

	return 0;
}
