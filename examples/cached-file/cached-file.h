/*
 * cached-file.h - a file or block device, through the page cache, whose reads
 * and writes are done by the thread that asks for them.
 *
 * A server with a thread for each request has nothing else to do meanwhile.
 * What is in the page cache, or goes there, is copied at once; the library's own
 * device gives it to io_uring, which on many file systems (tmpfs; when written,
 * ext4) hands it to a thread of the kernel's, and two threads have to be woken
 * for a copy of 4 KiB.
 *
 * What may wait long is done by threads of the device's: reads that are not in
 * the cache, where the kernel can tell, durable writes, flushes, discards.
 *
 * It is locked as the library's own are, when a pool opens it: flock, and
 * O_EXCL for a block device that is to be written.
 */
#ifndef CACHED_FILE_H
#define CACHED_FILE_H

#include <stdbool.h>
#include <thinpool/thinpool.h>

/* What tp_device_open_file() answers. */
int cached_file_open(const char *path, bool read_only,
		     struct tp_device **device);

#endif
