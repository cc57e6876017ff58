/*
 * offline.c - a transaction of a pool that is not open.
 */
#include "pool/offline.h"

void tpi_offline_wait(struct tpi_metadata *md, struct tpi_sync_channel *sync)
{
	tpi_sync_wait(sync);
	tpi_cache_trim(md->cache);
}

static int close_transaction(struct tpi_metadata *md,
			     struct tpi_sync_channel *sync)
{
	int r;

	while ((r = tpi_metadata_prepare_close(md)) == -EAGAIN)
		tpi_offline_wait(md, sync);

	return r ? r : tpi_metadata_close(md);
}

int tpi_offline_commit(struct tpi_metadata *md, struct tpi_sync_channel *sync,
		       struct tpi_disk_superblock *superblock)
{
	int r;

	r = close_transaction(md, sync);
	if (!r)
		r = tpi_sync_flush(sync); /* what it is built on is durable */
	if (!r)
		r = tpi_sync_write_frozen(sync, md->cache);
	if (!r)
		r = tpi_sync_flush(sync);
	if (r)
		return r;
	*superblock = md->frozen;
	tpi_seal(&tpi_superblock_validator, 0, superblock);
	r = tpi_sync_write(sync, 0, superblock, TPI_MBLOCK_BYTES);
	if (!r)
		tpi_metadata_committed(md);

	return r;
}
