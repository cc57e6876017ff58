/*
 * bytes.c - see bytes.h.
 */
#include "bytes.h"

#include <stdbool.h>
#include <string.h>

#include "worker.h"

/*---------------------------- one bio, waited for --------------------------*/

static void ended(struct tp_bio *bio)
{
	*(bool *)bio->context = true;
}

static int carry_out(struct tp_thin *thin, struct tp_bio *bio)
{
	bool done = false;
	int r;

	bio->end_io = ended;
	bio->context = &done;
	r = tp_queue_submit(worker_queue(), thin, bio);
	while (!r && !done)
		tp_queue_wait(worker_queue(), 1, -1);

	return r ? r : bio->status;
}

static int transfer(struct bytes bytes, enum tp_op op, uint64_t offset,
		    size_t length, char *data)
{
	struct iovec iov = { .iov_base = data, .iov_len = length };
	struct tp_bio bio = {
		.op = op, .offset = offset, .iov = &iov, .iovcnt = 1
	};

	return carry_out(bytes.thin, &bio);
}

/* An op without data. */
static int command(struct bytes bytes, enum tp_op op, uint64_t begin,
		   uint64_t end)
{
	struct tp_bio bio = { .op = op,
			      .offset = begin,
			      .length = end - begin };

	return carry_out(bytes.thin, &bio);
}

/*---------------------------- whole sectors around a range -----------------*/

static uint64_t down(struct bytes bytes, uint64_t offset)
{
	return offset - offset % bytes.sector_bytes;
}

static uint64_t up(struct bytes bytes, uint64_t offset)
{
	return down(bytes, offset + bytes.sector_bytes - 1);
}

int bytes_read(struct bytes bytes, uint64_t offset, size_t length, char **data)
{
	uint64_t begin = down(bytes, offset);
	uint64_t end = up(bytes, offset + length);

	*data = worker_buffer() + (offset - begin);

	return transfer(bytes, TP_READ, begin, end - begin, worker_buffer());
}

/* The sectors at the two ends, of which only a part will be written. */
static int read_ends(struct bytes bytes, uint64_t offset, uint64_t end)
{
	uint64_t first = down(bytes, offset), last = down(bytes, end);
	char *buffer = worker_buffer();
	int r = 0;

	if (first != offset)
		r = transfer(bytes, TP_READ, first, bytes.sector_bytes, buffer);
	if (!r && last != end && (last != first || first == offset))
		r = transfer(bytes, TP_READ, last, bytes.sector_bytes,
			     buffer + (last - first));

	return r;
}

static int write_around(struct bytes bytes, uint64_t offset, size_t length,
			const char *data)
{
	uint64_t begin = down(bytes, offset), end = up(bytes, offset + length);
	char *buffer = worker_buffer();
	int r = read_ends(bytes, offset, offset + length);

	if (r)
		return r;
	memcpy(buffer + (offset - begin), data, length);

	return transfer(bytes, TP_WRITE, begin, end - begin, buffer);
}

int bytes_write(struct bytes bytes, uint64_t offset, size_t length,
		const char *data)
{
	if ((offset | length) % bytes.sector_bytes)
		return write_around(bytes, offset, length, data);

	return transfer(bytes, TP_WRITE, offset, length, (char *)data);
}

/*---------------------------- zeroes ---------------------------------------*/

static bool is_zero(const char *data, size_t length)
{
	return !length || (!*data && !memcmp(data, data + 1, length - 1));
}

/* Within one sector.  Where there are zeroes, perhaps a hole, none are written
 * over them. */
static int clear_part(struct bytes bytes, uint64_t begin, uint64_t end)
{
	char *data;
	int r = bytes_read(bytes, begin, end - begin, &data);

	if (r || is_zero(data, end - begin))
		return r;
	memset(data, 0, end - begin);

	return transfer(bytes, TP_WRITE, down(bytes, begin), bytes.sector_bytes,
			worker_buffer());
}

/*
 * The discard gives back whole blocks, on the data device too, but promises
 * nothing in a pool that may not be changed.  Writing zeroes does: it has
 * nothing left to do on those blocks, and zeroes what the discard left.
 */
static int clear_sectors(struct bytes bytes, uint64_t begin, uint64_t end)
{
	int r = command(bytes, TP_DISCARD, begin, end);

	return r ? r : command(bytes, TP_WRITE_ZEROES, begin, end);
}

int bytes_clear(struct bytes bytes, uint64_t begin, uint64_t end)
{
	uint64_t first = up(bytes, begin), last = down(bytes, end);
	int r = 0;

	if (first > last) /* within a sector */
		return clear_part(bytes, begin, end);
	if (begin < first)
		r = clear_part(bytes, begin, first);
	if (!r && first < last)
		r = clear_sectors(bytes, first, last);
	if (!r && last < end)
		r = clear_part(bytes, last, end);

	return r;
}

int bytes_flush(struct bytes bytes)
{
	return command(bytes, TP_FLUSH, 0, 0);
}
