/*
 * transfer.h - several large requests in flight between a volume and a stream
 * that is read or written in order.
 *
 * There are a few chunks, used in turn: take the oldest, which waits until its
 * requests have ended; use its buffer; submit new requests on it.
 */
#ifndef TOOLS_TRANSFER_H
#define TOOLS_TRANSFER_H

#include <thinpool/thinpool.h>

#define CHUNK_BYTES (1u << 20)
#define NR_CHUNKS 8

/* The smallest data block: what is zero is looked for in such steps. */
#define GRANULE_BYTES (64u << 10)

/* Every other granule is data, and the zeroes before it are up to three bios. */
#define MAX_CHUNK_BIOS (2 * CHUNK_BYTES / GRANULE_BYTES)

struct chunk {
	char *buffer; /* CHUNK_BYTES */

	/* The user's: what part of the volume this is, 0: none. */
	uint64_t offset, length;
	bool is_hole;

	struct transfer *transfer;
	struct tp_bio bios[MAX_CHUNK_BIOS];
	struct iovec iovs[MAX_CHUNK_BIOS];
	unsigned nr_bios, nr_pending;
};

struct transfer {
	struct tp_queue *queue;
	struct tp_thin *thin;
	struct chunk *chunks;
	unsigned oldest;
	int error; /* the first of any request */
};

/* 0 or a negative errno, as all of these. */
int transfer_init(struct transfer *transfer, struct tp_pool *pool,
		  struct tp_thin *thin);
void transfer_exit(struct transfer *transfer);

/* The oldest chunk, with nothing in flight.  An error of any request so far is
 * told here. */
int transfer_next(struct transfer *transfer, struct chunk **chunk);

/* Read or write @length bytes of the volume at @offset, into or from the
 * chunk's buffer at @at. */
int chunk_submit(struct chunk *chunk, enum tp_op op, size_t at, size_t length,
		 uint64_t offset);

/* Have a range of the volume read as zeroes. */
int chunk_submit_zeroes(struct chunk *chunk, uint64_t offset, uint64_t length);

/* Wait for all. */
int transfer_drain(struct transfer *transfer);

/* Whether all of this is zero. */
bool is_zero(const char *bytes, size_t length);

#endif
