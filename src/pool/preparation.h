/*
 * preparation.h - a data block, or a run of them, on its way to being mapped.
 */
#ifndef TPI_POOL_PREPARATION_H
#define TPI_POOL_PREPARATION_H

#include "pool/pool.h"
#include "pool/range.h"

/* What the part of the block that the bio does not write will hold. */
enum tpi_background {
	TPI_BACKGROUND_NONE, /* the bio writes all, or zeroing is off */
	TPI_BACKGROUND_ZEROES,
	TPI_BACKGROUND_COPIED, /* the device itself has copied the old block */
	TPI_BACKGROUND_OLD_BLOCK,
	TPI_BACKGROUND_ORIGIN,
};

#define TPI_PREPARATION_IOVECS 32

struct tpi_preparation {
	struct tpi_list entry; /* when idle */
	struct tpi_task task;
	struct tpi_range range;
	struct tp_pool *pool;
	struct tpi_thin_state *state;
	struct tp_bio *bio;
	struct tpi_thin_section *section;
	uint8_t pool_parity, thin_parity;
	uint64_t generation;        /* of the pool: rolled back meanwhile? */
	uint64_t nr_failed_flushes; /* has one failed meanwhile? */

	tp_vblock vblock;
	tp_dblock dblock, nr;
	tp_dblock old; /* the source of a copy */
	enum tpi_background background;

	/* Bytes of the thin: the blocks, the bio's share of them, and how far
	 * their content is written; the piece that is being written now. */
	uint64_t begin, end, data_begin, data_end;
	uint64_t position, piece_end;

	struct tpi_buffer *buffer;
	struct tpi_relay relay; /* the one request that is under way */
	struct iovec iov[TPI_PREPARATION_IOVECS];
};

#endif
