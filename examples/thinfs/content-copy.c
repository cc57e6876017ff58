/*
 * content-copy.c - copy_file_range, and when it copies nothing.
 *
 * cp asks for a copy piece by piece: the runs of data that SEEK_DATA found, and
 * no more than 2 GiB at once.  So the first piece into an empty volume makes it
 * a snapshot of the whole origin, of which nothing is shown yet: it is tail, as
 * volume.h has it.  Each piece then moves the end on, as long as
 *
 *	it is at the same place in both, and ends with a sector,
 *	it lies behind what is shown, and
 *	the origin is what it was: its version is the one that was copied.
 *
 * What lies between the pieces was not asked for, and is cleared, which is
 * nothing if it is the hole that cp has skipped.  Anything else that makes the
 * volume grow clears the tail first, so the origin's bytes never show up where
 * nobody copied them; so does the last close.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "content.h"
#include "worker.h"

/* The kernel takes the answer in 32 bits. */
#define MOST_BYTES ((size_t)1 << 31)

/* In one call, so that a signal need not wait long for its end. */
#define COPY_BYTES (16u << 20)

/*---------------------------- without copying ------------------------------*/

static bool is_empty(const struct volume *volume)
{
	return !volume->size;
}

/* Whether nothing but the end has to move.  All of @to is held. */
static bool is_in_tail(const struct volume *from, const struct volume *to,
		       uint64_t begin, uint64_t end)
{
	return to->copied_version == from->version && begin >= to->size &&
	       end <= from->size && end % TP_SECTOR_SIZE == 0;
}

static int show(struct volume *to, uint64_t begin, uint64_t end)
{
	int r = bytes_clear(volume_bytes(to), to->size, begin);

	if (r)
		return r;
	volume_touch(to);
	to->size = end;

	return 0;
}

/* False: it takes copying, be it that the pool has no room for a snapshot. */
static bool share(struct names *names, struct volume *from, struct volume *to,
		  uint64_t begin, uint64_t end)
{
	struct range range;
	bool done;

	if (is_empty(to) && !to->copied_version && end % TP_SECTOR_SIZE == 0 &&
	    names_make_copy(names, from, to))
		return false;
	range_take_all(&to->ranges, &range, RANGE_EXCLUSIVE);
	done = is_in_tail(from, to, begin, end) && !show(to, begin, end);
	range_leave(&to->ranges, &range);

	return done;
}

/*---------------------------- byte by byte ---------------------------------*/

static bool is_zero(const char *data, size_t length)
{
	return !*data && !memcmp(data, data + 1, length - 1);
}

/* *@length becomes 0 at the end of @from. */
static int copy_piece(struct volume *from, uint64_t from_offset,
		      struct volume *to, uint64_t to_offset, size_t *length,
		      char *piece)
{
	char *data;
	int r = content_read(from, from_offset, length, &data);

	if (r || !*length)
		return r;
	if (is_zero(data, *length))
		return content_clear(to, to_offset, to_offset + *length, true);
	memcpy(piece, data, *length);

	return content_write(to, to_offset, *length, piece);
}

/* What was copied before an error is what counts. */
static int copy(struct volume *from, uint64_t from_offset, struct volume *to,
		uint64_t to_offset, size_t *length)
{
	size_t left = *length < COPY_BYTES ? *length : COPY_BYTES, done = 0;
	char *piece = malloc(REQUEST_BYTES);
	size_t nr = 1;
	int r = piece ? 0 : -ENOMEM;

	while (!r && left && nr) {
		nr = left < REQUEST_BYTES ? left : REQUEST_BYTES;
		r = copy_piece(from, from_offset + done, to, to_offset + done,
			       &nr, piece);
		if (!r) {
			done += nr;
			left -= nr;
		}
	}
	free(piece);
	*length = done;

	return done ? 0 : r;
}

int content_copy(struct names *names, struct volume *from, uint64_t from_offset,
		 struct volume *to, uint64_t to_offset, size_t *length)
{
	if (from_offset >= from->size) {
		*length = 0;
		return 0;
	}
	if (*length > MOST_BYTES)
		*length = MOST_BYTES;
	if (*length > from->size - from_offset)
		*length = from->size - from_offset;
	if (from != to && from_offset == to_offset &&
	    share(names, from, to, from_offset, from_offset + *length))
		return 0;

	return copy(from, from_offset, to, to_offset, length);
}
