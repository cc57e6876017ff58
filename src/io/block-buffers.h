/*
 * block-buffers.h - memory for metadata blocks, aligned for direct I/O.
 *
 * Taken from the system in large pieces, larger ones as they become many: malloc
 * would spend another block on the alignment of each.  What was put back is used
 * again, the last first; the pieces are returned together, by exit.
 */
#ifndef TPI_IO_BLOCK_BUFFERS_H
#define TPI_IO_BLOCK_BUFFERS_H

#include "io/base.h"

struct tpi_block_buffers {
	void *pieces; /* each begins with a pointer to the next */
	void *unused; /* buffers that were put back, likewise */

	/* Of the newest piece, what nobody has had yet. */
	char *fresh;
	size_t nr_fresh;

	size_t nr; /* buffers in all */
};

void tpi_block_buffers_init(struct tpi_block_buffers *buffers);
void tpi_block_buffers_exit(struct tpi_block_buffers *buffers);

/* TPI_MBLOCK_BYTES, aligned to as much, of any content.  NULL: no memory. */
void *tpi_block_buffers_get(struct tpi_block_buffers *buffers);
void tpi_block_buffers_put(struct tpi_block_buffers *buffers, void *buffer);

#endif
