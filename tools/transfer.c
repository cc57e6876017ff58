/*
 * transfer.c - several large requests in flight.
 */
#include "transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_DEPTH (NR_CHUNKS * MAX_CHUNK_BIOS)

bool is_zero(const char *bytes, size_t length)
{
	return !length || (!*bytes && !memcmp(bytes, bytes + 1, length - 1));
}

void transfer_exit(struct transfer *transfer)
{
	tp_queue_destroy(transfer->queue); /* ends what is in flight */
	for (unsigned i = 0; transfer->chunks && i < NR_CHUNKS; i++)
		free(transfer->chunks[i].buffer);
	free(transfer->chunks);
}

static int init_chunk(struct chunk *chunk, struct transfer *transfer)
{
	chunk->transfer = transfer;
	chunk->buffer = aligned_alloc(4096, CHUNK_BYTES);

	return chunk->buffer ? 0 : -ENOMEM;
}

int transfer_init(struct transfer *transfer, struct tp_pool *pool,
		  struct tp_thin *thin)
{
	int r = 0;

	*transfer = (struct transfer){ .thin = thin };
	transfer->chunks = calloc(NR_CHUNKS, sizeof(*transfer->chunks));
	if (!transfer->chunks)
		return -ENOMEM;
	for (unsigned i = 0; !r && i < NR_CHUNKS; i++)
		r = init_chunk(&transfer->chunks[i], transfer);
	if (!r)
		r = tp_queue_create(pool, QUEUE_DEPTH, &transfer->queue);
	if (r)
		transfer_exit(transfer);

	return r;
}

static int wait_for(struct chunk *chunk)
{
	int n;

	while (chunk->nr_pending) {
		n = tp_queue_wait(chunk->transfer->queue, 1, -1);
		if (n < 0)
			return n;
	}

	return 0;
}

int transfer_next(struct transfer *transfer, struct chunk **chunk)
{
	struct chunk *oldest = &transfer->chunks[transfer->oldest];
	int r = wait_for(oldest);

	if (!r)
		r = transfer->error;
	if (r)
		return r;
	oldest->nr_bios = 0;
	transfer->oldest = (transfer->oldest + 1) % NR_CHUNKS;
	*chunk = oldest;

	return 0;
}

int transfer_drain(struct transfer *transfer)
{
	int r = 0;

	for (unsigned i = 0; !r && i < NR_CHUNKS; i++)
		r = wait_for(&transfer->chunks[i]);

	return r ? r : transfer->error;
}

static void end_io(struct tp_bio *bio)
{
	struct chunk *chunk = bio->context;

	chunk->nr_pending--;
	if (bio->status && !chunk->transfer->error)
		chunk->transfer->error = bio->status;
}

static int submit(struct chunk *chunk, const struct tp_bio *wanted)
{
	struct transfer *transfer = chunk->transfer;
	struct tp_bio *bio = &chunk->bios[chunk->nr_bios];
	int r;

	*bio = *wanted;
	bio->end_io = end_io;
	bio->context = chunk;
	r = tp_queue_submit(transfer->queue, transfer->thin, bio);
	if (r)
		return r;
	chunk->nr_bios++;
	chunk->nr_pending++;

	return 0;
}

int chunk_submit(struct chunk *chunk, enum tp_op op, size_t at, size_t length,
		 uint64_t offset)
{
	struct iovec *iov = &chunk->iovs[chunk->nr_bios];
	const struct tp_bio wanted = {
		.op = op,
		.offset = offset,
		.iov = iov,
		.iovcnt = 1,
	};

	iov->iov_base = chunk->buffer + at;
	iov->iov_len = length;

	return submit(chunk, &wanted);
}

int chunk_submit_zeroes(struct chunk *chunk, uint64_t offset, uint64_t length)
{
	const struct tp_bio wanted = {
		.op = TP_WRITE_ZEROES,
		.offset = offset,
		.length = length,
	};

	return submit(chunk, &wanted);
}
