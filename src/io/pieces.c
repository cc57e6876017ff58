/*
 * pieces.c - requests that a device cannot take as they are.
 *
 * The pieces go down one after another, so that one bounded buffer serves a
 * request of any length; these are the rare ones.
 */
#include <stdlib.h>

#include "io/channel-private.h"
#include "io/iov.h"

#define MAX_PIECE_BYTES (1u << 20)
#define BUFFER_ALIGNMENT 4096 /* no device may ask for more */

/* What preadv(2) and io_uring take at once. */
#define MAX_IOVCNT 1024

#define ZERO_BYTES 65536
#define NR_ZERO_IOVS (MAX_PIECE_BYTES / ZERO_BYTES)
static char zeroes[ZERO_BYTES] __attribute__((aligned(BUFFER_ALIGNMENT)));

struct pieces {
	struct tpi_channel *channel;
	struct tp_device_request *whole;
	struct tp_device_request piece;
	uint64_t next, end; /* of the device: what is not done yet */
	uint64_t max_bytes; /* of one piece */
	char *copy;         /* of memory that is not aligned; else NULL */
	struct iovec iov[NR_ZERO_IOVS];
};

/*---------------------------- who needs them -------------------------------*/

static bool is_aligned(const struct tp_device_limits *limits,
		       const struct iovec *iov, int iovcnt)
{
	uintptr_t bits = 0;

	if (iovcnt > MAX_IOVCNT)
		return false;
	if (limits->memory_alignment_bytes == 1)
		return true;

	for (int i = 0; i < iovcnt; i++) {
		if (iov[i].iov_len & (limits->logical_block_bytes - 1))
			return false;
		bits |= (uintptr_t)iov[i].iov_base;
	}

	return !(bits & (limits->memory_alignment_bytes - 1));
}

static bool is_native_discard(const struct tp_device_limits *limits,
			      uint64_t offset, uint64_t length)
{
	uint32_t granularity = limits->discard_granularity_bytes;

	return offset % granularity == 0 && length % granularity == 0 &&
	       (!limits->discard_max_bytes ||
		length <= limits->discard_max_bytes);
}

bool tpi_needs_pieces(const struct tpi_channel *channel,
		      const struct tp_device_request *request)
{
	const struct tp_device_limits *limits = &channel->device->limits;

	switch (request->op) {
	case TP_READ:
	case TP_WRITE:
		return !is_aligned(limits, request->iov, request->iovcnt);
	case TP_DISCARD:
		return !is_native_discard(limits, request->offset,
					  request->length);
	case TP_WRITE_ZEROES:
		return channel->cannot_zero ||
		       !(limits->features & TP_DEVICE_WRITE_ZEROES);
	default:
		return false;
	}
}

/*---------------------------- one after another ----------------------------*/

static void pieces_destroy(struct pieces *pieces)
{
	free(pieces->copy);
	free(pieces);
}

static void fill_with_zeroes(struct pieces *pieces)
{
	struct tp_device_request *piece = &pieces->piece;
	uint64_t left = piece->length;

	piece->iovcnt = 0;
	while (left) {
		size_t n = tpi_min(left, ZERO_BYTES);

		pieces->iov[piece->iovcnt++] =
			(struct iovec){ .iov_base = zeroes, .iov_len = n };
		left -= n;
	}
}

static void submit_next(struct pieces *pieces)
{
	struct tp_device_request *piece = &pieces->piece;
	const struct tp_device_request *whole = pieces->whole;

	piece->offset = pieces->next;
	piece->length = tpi_min(pieces->end - pieces->next, pieces->max_bytes);

	if (whole->op == TP_WRITE_ZEROES) {
		fill_with_zeroes(pieces);
	} else if (pieces->copy) {
		pieces->iov[0].iov_base = pieces->copy;
		pieces->iov[0].iov_len = piece->length;
	}
	if (whole->op == TP_WRITE)
		tpi_iov_gather(pieces->copy, whole->iov,
			       piece->offset - whole->offset, piece->length);

	tpi_channel_pass(pieces->channel, piece);
}

static void piece_done(struct tp_device_request *piece, int status)
{
	struct pieces *pieces = piece->context;
	struct tp_device_request *whole = pieces->whole;

	if (!status && whole->op == TP_READ)
		tpi_iov_scatter(whole->iov, piece->offset - whole->offset,
				pieces->copy, piece->length);
	pieces->next += piece->length;

	if (!status && pieces->next < pieces->end) {
		submit_next(pieces);
		return;
	}
	pieces_destroy(pieces);
	whole->done(whole, status);
}

/*---------------------------- setting out ----------------------------------*/

/* A discard is a hint: an edge that is no whole granule stays as it is. */
static void plan_discard(struct pieces *pieces)
{
	const struct tp_device_limits *limits =
		&pieces->channel->device->limits;
	uint64_t granularity = limits->discard_granularity_bytes;

	pieces->next = tpi_div_up(pieces->next, granularity) * granularity;
	pieces->end -= pieces->end % granularity;
	pieces->max_bytes = limits->discard_max_bytes
				    ? limits->discard_max_bytes
				    : UINT64_MAX;
	pieces->max_bytes -= pieces->max_bytes % granularity;
}

static void plan(struct pieces *pieces)
{
	const struct tp_device_request *whole = pieces->whole;

	pieces->next = whole->offset;
	pieces->end = whole->offset + whole->length;
	pieces->max_bytes = MAX_PIECE_BYTES;
	if (whole->op == TP_DISCARD)
		plan_discard(pieces);

	pieces->piece = (struct tp_device_request){
		.op = whole->op == TP_WRITE_ZEROES ? TP_WRITE : whole->op,
		.flags = whole->flags,
		.iov = pieces->iov,
		.iovcnt = 1,
		.done = piece_done,
		.context = pieces,
	};
}

static bool must_copy(enum tp_op op)
{
	return op == TP_READ || op == TP_WRITE;
}

static char *new_copy(uint64_t length)
{
	uint64_t bytes = tpi_min(length, MAX_PIECE_BYTES);

	return aligned_alloc(BUFFER_ALIGNMENT,
			     tpi_div_up(bytes, BUFFER_ALIGNMENT) *
				     BUFFER_ALIGNMENT);
}

static struct pieces *pieces_new(struct tpi_channel *channel,
				 struct tp_device_request *whole)
{
	struct pieces *pieces = calloc(1, sizeof(*pieces));

	if (!pieces)
		return NULL;

	pieces->channel = channel;
	pieces->whole = whole;
	plan(pieces);
	if (!must_copy(whole->op))
		return pieces;

	pieces->copy = new_copy(whole->length);
	if (!pieces->copy) {
		pieces_destroy(pieces);
		return NULL;
	}

	return pieces;
}

void tpi_pieces_start(struct tpi_channel *channel,
		      struct tp_device_request *request)
{
	struct pieces *pieces = pieces_new(channel, request);

	if (!pieces) {
		tpi_fifo_push(&channel->ended, request,
			      tpi_error(-ENOMEM, "%s: no memory for a request",
					channel->device->name));
		return;
	}
	if (pieces->next >= pieces->end) {
		pieces_destroy(pieces);
		tpi_fifo_push(&channel->ended, request, 0);
		return;
	}
	submit_next(pieces);
}
