/*
 * offline.h - a transaction of a pool that is not open: for formatting, and for
 * repairing what a check found.
 */
#ifndef TPI_POOL_OFFLINE_H
#define TPI_POOL_OFFLINE_H

#include "pool/device-wait.h"
#include "pool/metadata.h"

/* After -EAGAIN: until a block has come. */
void tpi_offline_wait(struct tpi_metadata *md, struct tpi_sync_channel *sync);

/*
 * Close the running transaction and make it durable, the superblock last: so a
 * crash leaves the one before, or this one.  @superblock: room for a block,
 * aligned.  -ENOSPC, -EILSEQ, -ENOMEM: nothing the pool uses was written; -EIO
 * and others: this transaction is durable, or the one before.
 */
int tpi_offline_commit(struct tpi_metadata *md, struct tpi_sync_channel *sync,
		       struct tpi_disk_superblock *superblock);

#endif
