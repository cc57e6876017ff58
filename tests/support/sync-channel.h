/*
 * sync-channel.h - a channel for tests that want one request done at a time.
 *
 * Waits as a queue does: poll, arm, sleep on the eventfd; so a lost wake-up
 * shows as a test that times out.
 */
#ifndef TESTS_SUPPORT_SYNC_CHANNEL_H
#define TESTS_SUPPORT_SYNC_CHANNEL_H

#include "io/device.h"

struct sync_channel {
	struct tpi_channel *channel;
	int event_fd;
};

void sync_channel_open(struct sync_channel *sync, struct tp_device *device,
		       bool inline_only);
void sync_channel_close(struct sync_channel *sync);

/* Wait until at least one request has ended. */
void sync_channel_wait(struct sync_channel *sync);

/* Submit, kick, wait; the status. */
int sync_request(struct sync_channel *sync, struct tp_device_request *request);

/* Submit all, kick, wait for all: each ends with 0. */
void sync_requests(struct sync_channel *sync,
		   struct tp_device_request *requests, unsigned nr);

int sync_read(struct sync_channel *sync, void *buffer, size_t length,
	      uint64_t offset);
int sync_write(struct sync_channel *sync, const void *buffer, size_t length,
	       uint64_t offset, unsigned flags);
int sync_op(struct sync_channel *sync, enum tp_op op, uint64_t offset,
	    uint64_t length, unsigned flags);
int sync_copy(struct sync_channel *sync, uint64_t source, uint64_t offset,
	      uint64_t length);

#endif
