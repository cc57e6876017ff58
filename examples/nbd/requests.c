/*
 * requests.c - a client's requests, each a call of the library that blocks.
 *
 * nbdkit has a thread for each request in flight, and waits in it.  So do these
 * calls; there is nothing left to be made asynchronous here, and the library
 * keeps the queues that they use.  (A server with an event loop of its own
 * would give each of its threads a queue: async-bios.c.)
 */
#include "requests.h"

#include <errno.h>

#include "connection.h"
#include "report.h"

int request_read(void *handle, void *buffer, uint32_t length, uint64_t offset,
		 uint32_t flags)
{
	struct connection *connection = handle;

	return answer(tp_thin_read(connection->thin, buffer, length, offset));
}

static unsigned fua(uint32_t flags)
{
	return flags & NBDKIT_FLAG_FUA ? TP_FUA : 0;
}

int request_write(void *handle, const void *buffer, uint32_t length,
		  uint64_t offset, uint32_t flags)
{
	struct connection *connection = handle;

	return answer(tp_thin_write(connection->thin, buffer, length, offset,
				    fua(flags)));
}

int request_flush(void *handle, uint32_t flags)
{
	struct connection *connection = handle;

	return answer(tp_thin_flush(connection->thin));
}

/*---------------------------- giving space back ----------------------------*/

/* Data blocks that lie wholly in the range are unmapped, the rest is left as it
 * is: a client may expect nothing of what it trimmed. */
int request_trim(void *handle, uint32_t length, uint64_t offset, uint32_t flags)
{
	struct connection *connection = handle;
	int r = tp_thin_discard(connection->thin, offset, length);

	if (!r && flags & NBDKIT_FLAG_FUA)
		r = tp_thin_flush(connection->thin);

	return answer(r);
}

/* Is a data block wholly in the range? */
static bool has_whole_block(const struct connection *connection,
			    uint32_t length, uint64_t offset)
{
	uint64_t block = connection->limits.preferred_bytes;
	uint64_t begin = (offset + block - 1) / block * block;

	return begin + block <= offset + length;
}

/*
 * The discard gives whole blocks back, on the data device too, but promises
 * nothing.  Writing zeroes does: it finds these blocks unmapped, and zeroes the
 * rest.
 */
static int unmap_and_zero(struct connection *connection, uint32_t length,
			  uint64_t offset, unsigned flags)
{
	int r = 0;

	if (connection->limits.discard_granularity_bytes)
		r = tp_thin_discard(connection->thin, offset, length);
	if (!r)
		r = tp_thin_write_zeroes(connection->thin, offset, length,
					 flags);

	return r;
}

/*
 * A fast zero is refused where the zeroes would be written: that is where a
 * client that has better means, such as knowing that all is zero already, is to
 * use them.
 */
int request_zero(void *handle, uint32_t length, uint64_t offset, uint32_t flags)
{
	struct connection *connection = handle;
	bool may_unmap = flags & NBDKIT_FLAG_MAY_TRIM;
	int r;

	if (flags & NBDKIT_FLAG_FAST_ZERO &&
	    !(may_unmap && has_whole_block(connection, length, offset))) {
		nbdkit_set_error(ENOTSUP);
		return -1;
	}
	if (may_unmap)
		r = unmap_and_zero(connection, length, offset, fua(flags));
	else
		r = tp_thin_write_zeroes(connection->thin, offset, length,
					 fua(flags) | TP_NO_UNMAP);

	return answer(r);
}

/*---------------------------- holes ----------------------------------------*/

struct extents {
	struct nbdkit_extents *extents;
	bool only_one;
};

/* Stops with 1 when that is all that was asked for. */
static int add_extent(const struct tp_extent *extent, void *context)
{
	const struct extents *to = context;
	uint32_t type =
		extent->mapped ? 0 : NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO;

	if (nbdkit_add_extent(to->extents, extent->offset, extent->length,
			      type))
		return -EIO;

	return to->only_one;
}

/* nbdkit leaves out what lies outside of what was asked for. */
int request_extents(void *handle, uint32_t length, uint64_t offset,
		    uint32_t flags, struct nbdkit_extents *extents)
{
	struct connection *connection = handle;
	struct extents to = { extents, flags & NBDKIT_FLAG_REQ_ONE };
	uint64_t sector = connection->limits.logical_block_bytes;
	uint64_t begin = offset / sector * sector;
	uint64_t end = (offset + length + sector - 1) / sector * sector;
	int r = tp_thin_each_extent(connection->thin, begin, end - begin,
				    add_extent, &to);

	return answer(r < 0 ? r : 0);
}
