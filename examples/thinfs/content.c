/*
 * content.c - reading and changing a volume's bytes, under its range lock.
 */
#include "content.h"

#include <errno.h>
#include <unistd.h>

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*---------------------------- read -----------------------------------------*/

int content_read(struct volume *volume, uint64_t offset, size_t *length,
		 char **data)
{
	struct range range;
	int r = 0;

	range_take(&volume->ranges, &range, offset, offset + *length,
		   RANGE_SHARED);
	if (offset >= volume->size)
		*length = 0;
	else
		*length = smaller(*length, volume->size - offset);
	if (*length)
		r = bytes_read(volume_bytes(volume), offset, *length, data);
	range_leave(&volume->ranges, &range);

	return r;
}

/*---------------------------- write and clear ------------------------------*/

/*
 * Hold [begin, end), and all of the volume if it ends before: then it will
 * grow.  In whole logical blocks, since these are what is written.
 */
static void take_to_change(struct volume *volume, struct range *range,
			   uint64_t begin, uint64_t end)
{
	uint64_t sector = volume->pool->sector_bytes;

	range_take(&volume->ranges, range, begin - begin % sector,
		   (end + sector - 1) / sector * sector, RANGE_EXCLUSIVE);
	if (end <= volume->size)
		return;
	range_leave(&volume->ranges, range);
	range_take_all(&volume->ranges, range, RANGE_EXCLUSIVE);
}

/* To be called before something is put beyond the end, with all held. */
static int prepare_to_grow(struct volume *volume, uint64_t end)
{
	if (end > VOLUME_BYTES_MAX)
		return -EFBIG;

	return end > volume->size ? volume_clear_tail(volume) : 0;
}

static void grown(struct volume *volume, uint64_t end)
{
	if (end > volume->size)
		volume->size = end;
}

int content_write(struct volume *volume, uint64_t offset, size_t length,
		  const char *data)
{
	uint64_t end = offset + length;
	struct range range;
	int r;

	take_to_change(volume, &range, offset, end);
	volume_touch(volume);
	r = prepare_to_grow(volume, end);
	if (!r)
		r = bytes_write(volume_bytes(volume), offset, length, data);
	if (!r)
		grown(volume, end);
	range_leave(&volume->ranges, &range);

	return r;
}

/* Of the last block, what lies beyond the end is nobody's: it need not be kept
 * mapped for that. */
static uint64_t with_last_block(const struct volume *volume, uint64_t end)
{
	uint64_t block = volume->pool->block_bytes;

	if (end < volume->size || !volume->tail_is_clear)
		return end;

	return (end + block - 1) / block * block;
}

int content_clear(struct volume *volume, uint64_t begin, uint64_t end,
		  bool grow)
{
	struct range range;
	int r = 0;

	take_to_change(volume, &range, begin, end);
	volume_touch(volume);
	if (grow)
		r = prepare_to_grow(volume, end);
	else
		end = smaller(end, volume->size);

	if (!r && begin < end)
		r = bytes_clear(volume_bytes(volume), begin,
				with_last_block(volume, end));
	if (!r && grow)
		grown(volume, end);
	range_leave(&volume->ranges, &range);

	return r;
}

/*---------------------------- sizes ----------------------------------------*/

int content_resize(struct volume *volume, uint64_t size)
{
	struct range range;
	int r;

	if (size > VOLUME_BYTES_MAX)
		return -EFBIG;
	range_take_all(&volume->ranges, &range, RANGE_EXCLUSIVE);
	r = volume_set_size(volume, size);
	range_leave(&volume->ranges, &range);

	return r;
}

int content_extend(struct volume *volume, uint64_t size)
{
	struct range range;
	int r = 0;

	if (size > VOLUME_BYTES_MAX)
		return -EFBIG;
	range_take_all(&volume->ranges, &range, RANGE_EXCLUSIVE);
	if (size > volume->size)
		r = volume_set_size(volume, size);
	range_leave(&volume->ranges, &range);

	return r;
}

/* A flush after the size was kept: that commit made everything durable, but
 * whether something was lost before only the flush says. */
int content_sync(struct names *names, struct volume *volume)
{
	struct range range;
	int r = names_keep_size(names, volume);

	if (r)
		return r;
	range_take(&volume->ranges, &range, 0, 1, RANGE_SHARED);
	r = bytes_flush(volume_bytes(volume));
	range_leave(&volume->ranges, &range);

	return r;
}

/*---------------------------- what is mapped -------------------------------*/

static int each_extent(struct volume *volume, uint64_t offset,
		       int (*each)(const struct tp_extent *extent,
				   void *context),
		       void *context)
{
	uint64_t begin = offset - offset % TP_SECTOR_SIZE;
	uint64_t end = volume_round_size(volume->size);

	if (begin >= end)
		return 0;

	return tp_thin_each_extent(volume->thin, begin, end - begin, each,
				   context);
}

struct seek {
	bool mapped; /* what is looked for */
	bool found;
	uint64_t at;
};

static int seek_in(const struct tp_extent *extent, void *context)
{
	struct seek *seek = context;

	seek->found = extent->mapped == seek->mapped;
	if (seek->found)
		seek->at = extent->offset;

	return seek->found;
}

/* The end counts as a hole. */
static int seek(struct volume *volume, uint64_t offset, int whence,
		uint64_t *result)
{
	struct seek seek = { .mapped = whence == SEEK_DATA };
	int r;

	if (offset >= volume->size)
		return -ENXIO;
	r = each_extent(volume, offset, seek_in, &seek);
	if (r < 0)
		return r;
	if (!seek.found && whence == SEEK_DATA)
		return -ENXIO;
	*result = seek.found ? seek.at : volume->size;
	if (*result < offset)
		*result = offset;

	return 0;
}

int content_seek(struct volume *volume, uint64_t offset, int whence,
		 uint64_t *result)
{
	struct range range;
	int r;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	range_take_all(&volume->ranges, &range, RANGE_SHARED);
	r = seek(volume, offset, whence, result);
	range_leave(&volume->ranges, &range);

	return r;
}

static int add_shared(const struct tp_extent *extent, void *context)
{
	uint64_t *bytes = context;

	if (extent->mapped && extent->shared)
		*bytes += extent->length;

	return 0;
}

int content_shared_bytes(struct volume *volume, uint64_t *bytes)
{
	struct range range;
	int r;

	*bytes = 0;
	range_take_all(&volume->ranges, &range, RANGE_SHARED);
	r = each_extent(volume, 0, add_shared, bytes);
	range_leave(&volume->ranges, &range);

	return r;
}
