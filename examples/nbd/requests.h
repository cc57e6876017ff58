/*
 * requests.h - what a client asks for, as nbdkit calls it: from several threads
 * at once, also for one connection.
 */
#ifndef NBD_REQUESTS_H
#define NBD_REQUESTS_H

#include "nbdkit.h"

int request_read(void *handle, void *buffer, uint32_t length, uint64_t offset,
		 uint32_t flags);
int request_write(void *handle, const void *buffer, uint32_t length,
		  uint64_t offset, uint32_t flags);
int request_flush(void *handle, uint32_t flags);
int request_trim(void *handle, uint32_t length, uint64_t offset,
		 uint32_t flags);
int request_zero(void *handle, uint32_t length, uint64_t offset,
		 uint32_t flags);
int request_extents(void *handle, uint32_t length, uint64_t offset,
		    uint32_t flags, struct nbdkit_extents *extents);

#endif
