/*
 * content.h - what can be done to the bytes of a file.  The volume is in use.
 *
 * Offsets and lengths are any; what lies beyond the end is not read, and what
 * is written there grows the volume.  Each returns 0 or a negative errno.
 */
#ifndef THINFS_CONTENT_H
#define THINFS_CONTENT_H

#include <stdbool.h>
#include <sys/types.h>

#include "names.h"

/* *@length becomes what there is to read; *@data lies in the worker's buffer. */
int content_read(struct volume *volume, uint64_t offset, size_t *length,
		 char **data);

int content_write(struct volume *volume, uint64_t offset, size_t length,
		  const char *data);

/* Zeroes; @grow: also beyond the end. */
int content_clear(struct volume *volume, uint64_t begin, uint64_t end,
		  bool grow);

/* Smaller or larger. */
int content_resize(struct volume *volume, uint64_t size);

/* No smaller than this. */
int content_extend(struct volume *volume, uint64_t size);

/* All that was written is durable, and so is the size. */
int content_sync(struct names *names, struct volume *volume);

/* The next byte that is mapped, or not (SEEK_DATA, SEEK_HOLE).  -ENXIO. */
int content_seek(struct volume *volume, uint64_t offset, int whence,
		 uint64_t *result);

/* How much of it may be shared with others. */
int content_shared_bytes(struct volume *volume, uint64_t *bytes);

/*
 * Copy from one to another, or within one; *@length becomes what was copied,
 * perhaps less.  A copy into an empty volume that keeps every byte in its
 * place, and goes from the begin of @from on, takes no time and no space.
 */
int content_copy(struct names *names, struct volume *from, uint64_t from_offset,
		 struct volume *to, uint64_t to_offset, size_t *length);

#endif
