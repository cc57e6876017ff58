/*
 * raw.c - thinpool read, write and discard: bytes of a volume, at a place.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "session.h"
#include "size.h"
#include "stream.h"

#define PIECE (1u << 20)

static size_t smaller(uint64_t a, size_t b)
{
	return a < b ? (size_t)a : b;
}

/*---------------------------- read -----------------------------------------*/

static int copy_out(struct session *session, void *buffer, uint64_t offset,
		    uint64_t length)
{
	size_t n;
	int r;

	for (; length; offset += n, length -= n) {
		n = smaller(length, PIECE);
		r = tp_thin_read(session->thin, buffer, n, offset);
		if (r)
			return fail_library(r, "cannot read volume %s",
					    session_label(session).text);
		if (stream_write(STDOUT_FILENO, buffer, n))
			return fail_errno("cannot write to standard output");
	}

	return 0;
}

static int parse_range(const struct arguments *arguments, uint64_t *offset,
		       uint64_t *length)
{
	int r = size_parse_sectors(arguments->operands[0], "OFFSET", offset);

	return r ? r
		 : size_parse_sectors(arguments->operands[1], "LENGTH", length);
}

/* Said here, where both numbers are known, rather than after half of it. */
static int check_range(const struct session *session, uint64_t offset,
		       uint64_t length)
{
	if (offset > session->size || length > session->size - offset)
		return fail("volume %s ends at %" PRIu64,
			    session_label(session).text, session->size);

	return 0;
}

static int with_buffer(struct session *session, uint64_t offset,
		       uint64_t length,
		       int (*copy)(struct session *session, void *buffer,
				   uint64_t offset, uint64_t length))
{
	void *buffer = aligned_alloc(4096, PIECE);
	int r;

	if (!buffer)
		return fail("out of memory");
	r = copy(session, buffer, offset, length);
	free(buffer);

	return r;
}

int run_read(const struct arguments *arguments)
{
	struct session session;
	uint64_t offset, length;
	int r = parse_range(arguments, &offset, &length);

	if (!r)
		r = session_open(&session, arguments, READ_ONLY);
	if (r)
		return r;
	r = session_open_volume(&session, arguments, READ_ONLY);
	if (!r)
		r = check_range(&session, offset, length);
	if (!r)
		r = with_buffer(&session, offset, length, copy_out);

	return session_close(&session, r);
}

/*---------------------------- write ----------------------------------------*/

static int write_piece(struct session *session, const void *buffer, size_t n,
		       uint64_t offset)
{
	int r = n % TP_SECTOR_SIZE
			? fail("standard input is no multiple of %d bytes "
			       "long; what came before the last %zu is written",
			       TP_SECTOR_SIZE, n)
			: check_range(session, offset, n);

	if (r)
		return r;
	r = tp_thin_write(session->thin, buffer, n, offset, 0);
	if (r)
		return fail_library(r, "cannot write volume %s",
				    session_label(session).text);

	return 0;
}

/* Until standard input ends; @length is not used. */
static int copy_in(struct session *session, void *buffer, uint64_t offset,
		   uint64_t length)
{
	ssize_t n;
	int r = 0;

	do {
		n = stream_read(STDIN_FILENO, buffer, PIECE);
		if (n < 0)
			return fail_errno("cannot read standard input");
		if (n)
			r = write_piece(session, buffer, (size_t)n, offset);
		offset += (size_t)n;
	} while (!r && n == PIECE);
	if (r)
		return r;

	r = tp_thin_flush(session->thin);
	if (r)
		return fail_library(r, "cannot flush volume %s",
				    session_label(session).text);

	return 0;
}

int run_write(const struct arguments *arguments)
{
	struct session session;
	uint64_t offset;
	int r = size_parse_sectors(arguments->operands[0], "OFFSET", &offset);

	if (!r)
		r = session_open(&session, arguments, WRITABLE);
	if (r)
		return r;
	r = session_open_volume(&session, arguments, WRITABLE);
	if (!r)
		r = check_range(&session, offset, 0);
	if (!r)
		r = with_buffer(&session, offset, 0, copy_in);

	return session_close(&session, r);
}

/*---------------------------- discard --------------------------------------*/

static int discard(struct session *session, uint64_t offset, uint64_t length)
{
	int r = check_range(session, offset, length);

	if (r || !length)
		return r;
	r = tp_thin_discard(session->thin, offset, length);
	if (r)
		return fail_library(r, "cannot discard in volume %s",
				    session_label(session).text);

	return 0;
}

int run_discard(const struct arguments *arguments)
{
	struct session session;
	uint64_t offset, length;
	int r = parse_range(arguments, &offset, &length);

	if (!r)
		r = session_open(&session, arguments, WRITABLE);
	if (r)
		return r;
	r = session_open_volume(&session, arguments, WRITABLE);
	if (!r)
		r = discard(&session, offset, length);

	return session_close(&session, r);
}
