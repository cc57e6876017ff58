/*
 * ram-disk.h - a device in memory that a test looks into.
 *
 * It keeps what was submitted until it is polled, counts requests, fails on
 * demand, and checks that nobody touches the memory of a write under way.
 */
#ifndef TESTS_SUPPORT_RAM_DISK_H
#define TESTS_SUPPORT_RAM_DISK_H

#include "io/device.h"

struct ram_disk {
	struct tp_device *device;
	char *bytes;
	uint64_t size_bytes;

	unsigned nr_reads, nr_writes; /* requests, since they were zeroed */
	uint64_t nr_bytes_written;
	unsigned max_in_flight;

	bool hold;           /* poll ends nothing */
	bool newest_first;   /* else in the order of submission */
	unsigned fail_read;  /* the n-th read from now on fails; 0: none */
	unsigned fail_write; /* likewise */

	/* Called for each write before it is done; may be NULL. */
	void (*on_write)(void *context, uint64_t offset, uint64_t length);
	void *on_write_context;

	/* The disk's own. */
	struct ram_disk_request *pending;
	unsigned nr_pending, room;
};

void ram_disk_init(struct ram_disk *disk, uint64_t size_bytes);

/* All channels are closed. */
void ram_disk_exit(struct ram_disk *disk);

#endif
