/*
 * device-wait.h - requests that are waited for: for formatting and opening,
 * when there is no run loop yet.
 */
#ifndef TPI_POOL_DEVICE_WAIT_H
#define TPI_POOL_DEVICE_WAIT_H

#include "io/cache.h"
#include "io/device.h"

struct tpi_sync_channel {
	struct tpi_channel *channel;
	int event_fd;
	bool is_open, owns_channel;

	/* Host-driven, with a clock of the host's: how to wait.  Or NULL. */
	void (*wait)(void *context, uint64_t until_ns);
	void *context;
};

/* A channel of its own; close copes with one that was never opened. */
int tpi_sync_open(struct tpi_sync_channel *sync, struct tp_device *device);
void tpi_sync_close(struct tpi_sync_channel *sync);

/* Until something has ended. */
void tpi_sync_wait(struct tpi_sync_channel *sync);

/* Bytes of the device.  A write and what was written before are durable after
 * a flush; tpi_sync_write is by itself. */
int tpi_sync_read(struct tpi_sync_channel *sync, uint64_t offset, void *bytes,
		  size_t length);
int tpi_sync_write(struct tpi_sync_channel *sync, uint64_t offset, void *bytes,
		   size_t length);
int tpi_sync_flush(struct tpi_sync_channel *sync);
int tpi_sync_write_frozen(struct tpi_sync_channel *sync,
			  struct tpi_cache *cache);

#endif
