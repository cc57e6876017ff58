/*
 * bytes.h - any byte range of a thin, through the calling worker's queue.
 *
 * The library takes whole logical blocks; what is not, is read, changed and
 * written back.  The caller holds the range (range-lock.h): to read shared, to
 * change it exclusively.
 *
 * Each returns 0 or a negative errno.
 */
#ifndef THINFS_BYTES_H
#define THINFS_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <thinpool/thinpool.h>

/* A thin and what its ranges have to be multiples of. */
struct bytes {
	struct tp_thin *thin;
	uint32_t sector_bytes;
};

/* At most REQUEST_BYTES.  *@data lies in the worker's buffer. */
int bytes_read(struct bytes bytes, uint64_t offset, size_t length, char **data);

/* At most REQUEST_BYTES; @data does not lie in the worker's buffer. */
int bytes_write(struct bytes bytes, uint64_t offset, size_t length,
		const char *data);

/*
 * Have [begin, end) read as zeroes: whole data blocks are unmapped and given
 * back, of the others what is mapped is zeroed.
 */
int bytes_clear(struct bytes bytes, uint64_t begin, uint64_t end);

int bytes_flush(struct bytes bytes);

#endif
