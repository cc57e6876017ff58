/*
 * device-wait.c - see device-wait.h.
 */
#include "pool/device-wait.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int tpi_sync_open(struct tpi_sync_channel *sync, struct tp_device *device)
{
	int r;

	sync->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (sync->event_fd < 0)
		return tpi_error(-errno, "no eventfd to wait for a device");
	r = tpi_channel_open(device, sync->event_fd, true, &sync->channel);
	if (r)
		close(sync->event_fd);
	sync->is_open = sync->owns_channel = !r;

	return r;
}

void tpi_sync_close(struct tpi_sync_channel *sync)
{
	if (!sync->is_open)
		return;
	if (sync->owns_channel) {
		tpi_channel_close(sync->channel);
		close(sync->event_fd);
	}
	sync->is_open = false;
}

static void sleep_for(struct tpi_sync_channel *sync)
{
	struct pollfd fd = { .fd = sync->event_fd, .events = POLLIN };
	uint64_t count;

	if (tpi_channel_arm(sync->channel))
		return;
	if (sync->wait) {
		sync->wait(sync->context, UINT64_MAX);
		return;
	}

	/* The counter only says that something may have ended. */
	if (poll(&fd, 1, -1) > 0 &&
	    read(sync->event_fd, &count, sizeof(count)) < 0)
		return;
}

void tpi_sync_wait(struct tpi_sync_channel *sync)
{
	tpi_channel_kick(sync->channel);
	while (!tpi_channel_poll(sync->channel, UINT32_MAX))
		sleep_for(sync);
}

struct sync_request {
	struct tp_device_request request;
	bool done;
	int status;
};

static void done(struct tp_device_request *request, int status)
{
	struct sync_request *sync =
		tpi_container_of(request, struct sync_request, request);

	sync->done = true;
	sync->status = status;
}

static int carry_out(struct tpi_sync_channel *channel,
		     struct sync_request *sync)
{
	sync->request.done = done;
	tpi_channel_submit(channel->channel, &sync->request);
	while (!sync->done)
		tpi_sync_wait(channel);

	return sync->status;
}

static int transfer(struct tpi_sync_channel *channel, enum tp_op op,
		    unsigned flags, uint64_t offset, void *bytes, size_t length)
{
	struct iovec iov = { .iov_base = bytes, .iov_len = length };
	struct sync_request sync = {
		.request = { .op = op,
			     .flags = flags,
			     .offset = offset,
			     .length = length,
			     .iov = &iov,
			     .iovcnt = 1 },
	};

	return carry_out(channel, &sync);
}

int tpi_sync_read(struct tpi_sync_channel *sync, uint64_t offset, void *bytes,
		  size_t length)
{
	return transfer(sync, TP_READ, 0, offset, bytes, length);
}

int tpi_sync_write(struct tpi_sync_channel *sync, uint64_t offset, void *bytes,
		   size_t length)
{
	return transfer(sync, TP_WRITE, TP_FUA, offset, bytes, length);
}

int tpi_sync_flush(struct tpi_sync_channel *channel)
{
	struct sync_request sync = { .request = { .op = TP_FLUSH } };

	return carry_out(channel, &sync);
}

struct frozen_write {
	bool done;
	int error;
};

static void frozen_written(void *context, int error)
{
	struct frozen_write *write = context;

	write->done = true;
	write->error = error;
}

int tpi_sync_write_frozen(struct tpi_sync_channel *sync,
			  struct tpi_cache *cache)
{
	struct frozen_write write = { .done = false };

	tpi_cache_write_frozen(cache, frozen_written, &write);
	while (!write.done)
		tpi_sync_wait(sync);

	return write.error;
}
