/*
 * sync-channel.c - submit, kick, wait.
 */
#include <check.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "support/sync-channel.h"

void sync_channel_open(struct sync_channel *sync, struct tp_device *device,
		       bool inline_only)
{
	sync->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(sync->event_fd, 0);
	ck_assert_int_eq(tpi_channel_open(device, sync->event_fd, inline_only,
					  &sync->channel),
			 0);
}

void sync_channel_close(struct sync_channel *sync)
{
	tpi_channel_close(sync->channel);
	close(sync->event_fd);
}

void sync_channel_wait(struct sync_channel *sync)
{
	struct pollfd pollfd = { .fd = sync->event_fd, .events = POLLIN };
	eventfd_t count;

	tpi_channel_kick(sync->channel);
	while (!tpi_channel_poll(sync->channel, UINT_MAX)) {
		if (tpi_channel_arm(sync->channel))
			continue;
		/* A wake-up that does not come is lost. */
		ck_assert_int_eq(poll(&pollfd, 1, 60000), 1);
		eventfd_read(sync->event_fd, &count);
	}
}

struct outcome {
	bool ended;
	int status;
};

static void note_outcome(struct tp_device_request *request, int status)
{
	struct outcome *outcome = request->context;

	ck_assert(!outcome->ended);
	outcome->ended = true;
	outcome->status = status;
}

int sync_request(struct sync_channel *sync, struct tp_device_request *request)
{
	struct outcome outcome = { 0 };

	request->done = note_outcome;
	request->context = &outcome;
	tpi_channel_submit(sync->channel, request);
	ck_assert(!outcome.ended);
	while (!outcome.ended)
		sync_channel_wait(sync);

	return outcome.status;
}

void sync_requests(struct sync_channel *sync,
		   struct tp_device_request *requests, unsigned nr)
{
	struct outcome *outcomes = calloc(nr, sizeof(*outcomes));

	for (unsigned i = 0; i < nr; i++) {
		requests[i].done = note_outcome;
		requests[i].context = &outcomes[i];
		tpi_channel_submit(sync->channel, &requests[i]);
	}
	for (unsigned i = 0; i < nr; i++) {
		while (!outcomes[i].ended)
			sync_channel_wait(sync);
		ck_assert_int_eq(outcomes[i].status, 0);
	}
	free(outcomes);
}

static int transfer(struct sync_channel *sync, enum tp_op op, void *buffer,
		    size_t length, uint64_t offset, unsigned flags)
{
	struct iovec iov = { .iov_base = buffer, .iov_len = length };
	struct tp_device_request request = {
		.op = op,
		.flags = flags,
		.offset = offset,
		.length = length,
		.iov = &iov,
		.iovcnt = 1,
	};

	return sync_request(sync, &request);
}

int sync_read(struct sync_channel *sync, void *buffer, size_t length,
	      uint64_t offset)
{
	return transfer(sync, TP_READ, buffer, length, offset, 0);
}

int sync_write(struct sync_channel *sync, const void *buffer, size_t length,
	       uint64_t offset, unsigned flags)
{
	return transfer(sync, TP_WRITE, (void *)buffer, length, offset, flags);
}

int sync_op(struct sync_channel *sync, enum tp_op op, uint64_t offset,
	    uint64_t length, unsigned flags)
{
	struct tp_device_request request = {
		.op = op,
		.flags = flags,
		.offset = offset,
		.length = length,
	};

	return sync_request(sync, &request);
}

int sync_copy(struct sync_channel *sync, uint64_t source, uint64_t offset,
	      uint64_t length)
{
	struct tp_device_request request = {
		.op = TP_COPY,
		.source = source,
		.offset = offset,
		.length = length,
	};

	return sync_request(sync, &request);
}
