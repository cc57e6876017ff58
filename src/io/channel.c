/*
 * channel.c - requests on their way to a device.
 *
 * A request is done in steps: a flush before it, the op itself, a flush after
 * it, each only if need be.  The request itself goes down for each of them, and
 * is put back into its shape before its owner sees it again: no memory is
 * allocated, and a plain request is one step.  Only an op that the device cannot
 * take as it is needs more (pieces.c).
 *
 * Nothing ends in submit: what the channel can tell by itself (a bad range, a
 * flush of a device without a cache) waits in a list for the next poll.
 */
#include <stdlib.h>

#include "io/channel-private.h"
#include "io/iov.h"

/* In the order in which they are done. */
enum {
	STEP_PREFLUSH = 1 << 0,
	STEP_DATA = 1 << 1,
	STEP_FLUSH = 1 << 2,
};

/*---------------------------- open, close ----------------------------------*/

int tpi_channel_open(struct tp_device *device, int event_fd, bool inline_only,
		     struct tpi_channel **result)
{
	struct tpi_channel *channel = calloc(1, sizeof(*channel));
	int r;

	if (!channel)
		return tpi_error(-ENOMEM, "no memory for a channel");

	r = device->ops.open_channel(device->context, event_fd, inline_only,
				     &channel->handle);
	if (r) {
		free(channel);
		return tpi_error(r, "%s: no channel can be opened: %s",
				 device->name, tp_strerror(r));
	}
	channel->device = tp_device_ref(device);
	*result = channel;

	return 0;
}

void tpi_channel_close(struct tpi_channel *channel)
{
	if (!channel)
		return;

	tpi_assert(!channel->nr_in_flight);
	channel->device->ops.close_channel(channel->handle);
	tp_device_unref(channel->device);
	free(channel);
}

/*---------------------------- what is refused ------------------------------*/

static bool is_aligned_to_blocks(const struct tp_device *device,
				 uint64_t offset, uint64_t length)
{
	return !((offset | length) & (device->limits.logical_block_bytes - 1));
}

/* The size is asked for again only when that may matter: it only grows. */
static bool is_within(struct tpi_channel *channel, uint64_t offset,
		      uint64_t length)
{
	uint64_t end = offset + length;

	if (end < offset)
		return false;
	if (end > channel->size_bytes)
		channel->size_bytes = tpi_device_size(channel->device);

	return end <= channel->size_bytes;
}

static int check_range(struct tpi_channel *channel, uint64_t offset,
		       uint64_t length)
{
	const struct tp_device *device = channel->device;

	if (!is_aligned_to_blocks(device, offset, length))
		return tpi_error(-EINVAL,
				 "%s: %llu bytes at %llu are not aligned to "
				 "its logical block of %u bytes",
				 device->name, (unsigned long long)length,
				 (unsigned long long)offset,
				 device->limits.logical_block_bytes);

	/* It reached so far when the pool was opened: it has shrunk. */
	if (!is_within(channel, offset, length))
		return tpi_error(-EIO,
				 "%s: %llu bytes at %llu are beyond its end at "
				 "%llu",
				 device->name, (unsigned long long)length,
				 (unsigned long long)offset,
				 (unsigned long long)channel->size_bytes);

	return 0;
}

static int check_copy(struct tpi_channel *channel,
		      const struct tp_device_request *request)
{
	int r;

	if (!(channel->device->limits.features & TP_DEVICE_COPY))
		return -EOPNOTSUPP;
	r = check_range(channel, request->source, request->length);
	if (!r)
		r = check_range(channel, request->offset, request->length);

	return r;
}

static int check_request(struct tpi_channel *channel,
			 const struct tp_device_request *request)
{
	const struct tp_device *device = channel->device;
	unsigned features = device->limits.features;

	if (request->op == TP_FLUSH)
		return 0;
	if (request->op != TP_READ && features & TP_DEVICE_READ_ONLY)
		return tpi_error(-EROFS, "%s was opened read-only",
				 device->name);
	if (request->op == TP_DISCARD && !(features & TP_DEVICE_DISCARD))
		return -EOPNOTSUPP;
	if (request->op == TP_COPY)
		return check_copy(channel, request);

	return check_range(channel, request->offset, request->length);
}

/*---------------------------- steps ----------------------------------------*/

/* Only a write can be durable by itself: the other ops have no such flag. */
static bool has_native_fua(const struct tpi_channel *channel, enum tp_op op)
{
	return op == TP_WRITE &&
	       channel->device->limits.features & TP_DEVICE_FUA;
}

static unsigned steps_of(const struct tpi_channel *channel,
			 const struct tp_device_request *request)
{
	bool has_cache =
		!(channel->device->limits.features & TP_DEVICE_NO_CACHE);
	unsigned steps = STEP_DATA;

	if (request->op == TP_FLUSH)
		return has_cache ? STEP_FLUSH : 0;
	if (!request->length)
		return 0;
	if (request->op == TP_READ || !has_cache)
		return STEP_DATA;

	if (request->flags & TP_PREFLUSH)
		steps |= STEP_PREFLUSH;
	if (request->flags & TP_FUA && !has_native_fua(channel, request->op))
		steps |= STEP_FLUSH;

	return steps;
}

/* Back to its owner, as it came. */
static void end_request(struct tpi_channel *channel,
			struct tp_device_request *request, int status)
{
	request->op = request->library.op;
	request->flags = request->library.flags;
	request->done = request->library.done;
	request->context = request->library.context;

	channel->nr_in_flight--;
	channel->nr_ended++;
	request->done(request, status);
}

static void next_step(struct tpi_channel *channel,
		      struct tp_device_request *request);

/*
 * A device may answer what the library itself says something else by: that a
 * block is being read, that nothing is mapped, that the pool is full.  Disks do
 * give ENODATA or ENOSPC for a bad sector.  It is an I/O error then; and so is
 * a count, for whoever reports one has done less than all.
 */
static int device_error(int status)
{
	switch (status) {
	case -EAGAIN:
	case -EBUSY:
	case -ECANCELED:
	case -EEXIST:
	case -EFBIG:
	case -EILSEQ:
	case -EINPROGRESS:
	case -EINTR:
	case -ENODATA:
	case -ENOSPC:
	case -EOVERFLOW:
		return -EIO;
	default:
		return status > 0 ? -EIO : status;
	}
}

static void step_done(struct tp_device_request *request, int status)
{
	struct tpi_channel *channel = request->context;

	if (!status && request->library.steps) {
		next_step(channel, request);
		return;
	}

	end_request(channel, request, device_error(status));
}

/* Not every file system that says it can write zeroes can. */
static void native_zeroes_done(struct tp_device_request *request, int status)
{
	struct tpi_channel *channel = request->context;

	request->done = step_done;
	if (status != -EOPNOTSUPP) {
		step_done(request, status);
		return;
	}
	channel->cannot_zero = true;
	tpi_pieces_start(channel, request);
}

static void do_data(struct tpi_channel *channel,
		    struct tp_device_request *request)
{
	request->op = request->library.op;
	request->flags = 0;
	if (has_native_fua(channel, request->op))
		request->flags = request->library.flags & TP_FUA;

	if (tpi_needs_pieces(channel, request)) {
		tpi_pieces_start(channel, request);
		return;
	}
	if (request->op == TP_WRITE_ZEROES)
		request->done = native_zeroes_done;
	tpi_channel_pass(channel, request);
}

static void do_flush(struct tpi_channel *channel,
		     struct tp_device_request *request)
{
	request->op = TP_FLUSH;
	request->flags = 0;
	tpi_channel_pass(channel, request);
}

static void next_step(struct tpi_channel *channel,
		      struct tp_device_request *request)
{
	unsigned *steps = &request->library.steps;
	unsigned step = *steps & -*steps; /* the lowest bit */

	*steps &= ~step;
	if (step == STEP_DATA)
		do_data(channel, request);
	else
		do_flush(channel, request);
}

/*---------------------------- submit, poll ---------------------------------*/

void tpi_channel_pass(struct tpi_channel *channel,
		      struct tp_device_request *request)
{
	channel->must_kick = true;
	channel->device->ops.submit(channel->handle, request);
}

/* Most are: within the device, and taken by it as they are.  The rest is looked
 * at more closely. */
static bool is_plain(const struct tpi_channel *channel,
		     const struct tp_device_request *request)
{
	const struct tp_device_limits *limits = &channel->device->limits;
	uint64_t offset = request->offset, length = request->length;

	return (request->op == TP_READ ||
		(request->op == TP_WRITE &&
		 !(limits->features & TP_DEVICE_READ_ONLY))) &&
	       !request->flags && length &&
	       is_aligned_to_blocks(channel->device, offset, length) &&
	       length <= channel->size_bytes &&
	       offset <= channel->size_bytes - length &&
	       !tpi_needs_pieces(channel, request);
}

void tpi_channel_submit(struct tpi_channel *channel,
			struct tp_device_request *request)
{
	int r = 0;

	request->library.op = request->op;
	request->library.flags = request->flags;
	request->library.done = request->done;
	request->library.context = request->context;
	request->library.steps = 0;
	request->done = step_done;
	request->context = channel;
	channel->nr_in_flight++;
	if (is_plain(channel, request)) {
		tpi_channel_pass(channel, request);
		return;
	}
	r = check_request(channel, request);
	if (!r)
		request->library.steps = steps_of(channel, request);
	if (request->library.steps)
		next_step(channel, request);
	else
		tpi_fifo_push(&channel->ended, request, r);
}

void tpi_channel_kick(struct tpi_channel *channel)
{
	if (!channel->must_kick)
		return;

	channel->must_kick = false;
	if (channel->device->ops.kick)
		channel->device->ops.kick(channel->handle);
}

bool tpi_channel_needs_kick(const struct tpi_channel *channel)
{
	return channel->device->ops.kick;
}

unsigned tpi_channel_poll(struct tpi_channel *channel, unsigned max)
{
	unsigned before = channel->nr_ended;
	unsigned nr = tpi_fifo_deliver(&channel->ended, max);

	if (nr < max)
		channel->device->ops.poll(channel->handle, max - nr);
	tpi_channel_kick(channel);

	return channel->nr_ended - before;
}

int tpi_channel_arm(struct tpi_channel *channel)
{
	if (!tpi_fifo_empty(&channel->ended))
		return 1;

	return channel->device->ops.arm(channel->handle);
}

bool tpi_channel_can_sleep(const struct tpi_channel *channel)
{
	return channel->device->identity.sleep;
}

int tpi_channel_prepare_sleep(struct tpi_channel *channel,
			      unsigned *nr_to_start)
{
	if (!tpi_fifo_empty(&channel->ended))
		return 1;
	channel->must_kick = false;

	return channel->device->identity.prepare_sleep(channel->handle,
						       nr_to_start);
}

void tpi_channel_sleep(struct tpi_channel *channel, unsigned nr_to_start,
		       uint64_t timeout_ns)
{
	channel->device->identity.sleep(channel->handle, nr_to_start,
					timeout_ns);
}

unsigned tpi_channel_in_flight(const struct tpi_channel *channel)
{
	return channel->nr_in_flight;
}
