/*
 * format.c - making an empty pool (metadata-format.md, 11).
 *
 * The same code that commits a transaction makes the first one: an empty state
 * is built in the cache, closed, and written, the superblock last.  So until
 * that is durable there is no pool on the device.
 */
#include <stdlib.h>
#include <string.h>

#include "pool/offline.h"
#include "pool/pool.h"

/* Enough for what formatting makes: a few trees, the bitmaps. */
#define CACHE_BYTES (8u << 20)

/* Fewer metadata blocks hold nothing but the pool itself. */
#define METADATA_BLOCKS_MIN 16u

struct format {
	struct tpi_sync_channel channel;
	struct tpi_cache *cache;
	struct tpi_metadata metadata;
	struct tpi_disk_superblock *superblock;
	bool claimed_metadata, claimed_data;
};

static int check_blank(struct format *format, unsigned flags)
{
	int r = tpi_sync_read(&format->channel, 0, format->superblock,
			      TPI_MBLOCK_BYTES);

	if (r || (flags & TP_FORMAT_OVERWRITE) ||
	    tpi_superblock_is_blank(format->superblock))
		return r;

	return tpi_error(-EEXIST,
			 "the first 4 KiB of the metadata device are in use; "
			 "wipe them, or ask to overwrite, if what is there is "
			 "no longer needed");
}

/* An old superblock goes first, so that a crash leaves no mixture. */
static int wipe(struct format *format)
{
	if (tpi_superblock_is_blank(format->superblock))
		return 0;
	memset(format->superblock, 0, TPI_MBLOCK_BYTES);

	return tpi_sync_write(&format->channel, 0, format->superblock,
			      TPI_MBLOCK_BYTES);
}

static int make(struct format *format, struct tp_device *metadata,
		struct tp_device *data, uint64_t block_sectors)
{
	tp_mblock nr_metadata = tpi_device_size(metadata) / TPI_MBLOCK_BYTES;
	tp_dblock nr_data =
		tpi_device_size(data) / (block_sectors << TPI_SECTOR_SHIFT);
	int r;

	nr_metadata = tpi_min(nr_metadata, TPI_METADATA_BLOCKS_MAX);
	nr_data = tpi_min(nr_data, TPI_DATA_BLOCKS_MAX - 1);
	r = tpi_cache_new(format->channel.channel, nr_metadata, CACHE_BYTES,
			  &format->cache);
	if (r)
		return r;
	tpi_metadata_init(&format->metadata, format->cache);
	r = tpi_metadata_make(&format->metadata, nr_metadata, nr_data,
			      (uint32_t)block_sectors);
	if (r == -ENOSPC)
		return tpi_error(-EINVAL, "the metadata device is too small "
					  "for this much data");
	if (!r)
		r = wipe(format);

	return r ? r
		 : tpi_offline_commit(&format->metadata, &format->channel,
				      format->superblock);
}

static int claim(struct format *format, struct tp_device *metadata,
		 struct tp_device *data)
{
	int r = tpi_device_claim(metadata, true);

	format->claimed_metadata = !r;
	if (!r) {
		r = tpi_device_claim(data, true);
		format->claimed_data = !r;
	}

	return r;
}

static int format_parts(struct format *format, struct tp_device *metadata,
			struct tp_device *data,
			const struct tp_format_options *options)
{
	uint64_t sectors = options->data_block_size >> TPI_SECTOR_SHIFT;
	int r;

	r = claim(format, metadata, data);
	if (r)
		return r;
	if (posix_memalign((void **)&format->superblock, TPI_MBLOCK_BYTES,
			   TPI_MBLOCK_BYTES)) {
		format->superblock = NULL;
		return tpi_error(-ENOMEM, "no memory to format a pool");
	}
	r = tpi_sync_open(&format->channel, metadata);
	if (!r)
		r = check_blank(format, options->flags);

	return r ? r : make(format, metadata, data, sectors);
}

static void format_exit(struct format *format, struct tp_device *metadata,
			struct tp_device *data)
{
	tpi_metadata_exit(&format->metadata);
	tpi_cache_destroy(format->cache);
	tpi_sync_close(&format->channel);
	free(format->superblock);
	if (format->claimed_data)
		tpi_device_release(data, true);
	if (format->claimed_metadata)
		tpi_device_release(metadata, true);
}

static int check_format(struct tp_device *metadata, struct tp_device *data,
			struct tp_format_options *options)
{
	if (!metadata || !data)
		return tpi_error(-EINVAL, "a device is missing");
	if (tpi_device_same(metadata, data))
		return tpi_error(-EINVAL, "metadata and data are the same "
					  "device");
	if (options->flags & ~TP_FORMAT_OVERWRITE)
		return tpi_error(-EINVAL, "unknown flags %#x",
				 options->flags & ~TP_FORMAT_OVERWRITE);
	if ((tpi_device_features(metadata) | tpi_device_features(data)) &
	    TP_DEVICE_READ_ONLY)
		return tpi_error(-EROFS, "a device was opened read-only");
	if (tpi_device_size(metadata) / TPI_MBLOCK_BYTES < METADATA_BLOCKS_MIN)
		return tpi_error(-EINVAL,
				 "a metadata device of %llu bytes: it has to "
				 "have at least %u",
				 (unsigned long long)tpi_device_size(metadata),
				 METADATA_BLOCKS_MIN * TPI_MBLOCK_BYTES);
	if (!options->data_block_size)
		options->data_block_size = TPI_DATA_BLOCK_SECTORS_MIN
					   << TPI_SECTOR_SHIFT;
	if (options->data_block_size % TP_SECTOR_SIZE)
		return tpi_error(-EINVAL,
				 "data blocks of %u bytes: not whole sectors",
				 options->data_block_size);

	return tpi_check_data_block_sectors(options->data_block_size >>
					    TPI_SECTOR_SHIFT);
}

int tp_pool_format(struct tp_device *metadata, struct tp_device *data,
		   const struct tp_format_options *host_options)
{
	struct tp_format_options options = TP_FORMAT_OPTIONS_INIT;
	struct format format = { .claimed_data = false };
	int r;

	r = tpi_take_options(&options, sizeof(options), host_options,
			     "format options");
	if (!r)
		r = check_format(metadata, data, &options);
	if (r)
		return r;
	r = format_parts(&format, metadata, data, &options);
	format_exit(&format, metadata, data);

	return r;
}
