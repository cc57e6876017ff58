/*
 * ram-disk.c - a device in memory that a test looks into.
 */
#include <check.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "support/ram-disk.h"

#define RAM_DISK_ERROR (-EIO)

/* Writes take effect when they end, as what is in a real device's buffers. */
struct ram_disk_request {
	struct tp_device_request *request;
	char *submitted; /* the bytes of a write */
	bool fail;
};

static void gather(char *to, const struct tp_device_request *request)
{
	for (int i = 0; i < request->iovcnt; i++) {
		memcpy(to, request->iov[i].iov_base, request->iov[i].iov_len);
		to += request->iov[i].iov_len;
	}
}

static void scatter(const struct tp_device_request *request, const char *from)
{
	for (int i = 0; i < request->iovcnt; i++) {
		memcpy(request->iov[i].iov_base, from, request->iov[i].iov_len);
		from += request->iov[i].iov_len;
	}
}

static char *copy_of(const struct tp_device_request *request)
{
	char *copy = malloc(request->length);

	if (!copy)
		ck_abort_msg("no memory");
	gather(copy, request);

	return copy;
}

static bool is_the_one(unsigned *countdown)
{
	return *countdown && !--*countdown;
}

static int open_channel(void *context, int event_fd, int inline_only,
			void **channel)
{
	*channel = context;
	return 0;
}

static void close_channel(void *channel)
{
	struct ram_disk *disk = channel;

	ck_assert_uint_eq(disk->nr_pending, 0);
}

static void submit(void *channel, struct tp_device_request *request)
{
	struct ram_disk *disk = channel;
	struct ram_disk_request *pending;

	if (request->offset + request->length > disk->size_bytes)
		ck_abort_msg("a request beyond the end");
	if (disk->nr_pending == disk->room) {
		disk->room = 2 * disk->room + 16;
		disk->pending = realloc(disk->pending,
					disk->room * sizeof(*disk->pending));
		ck_assert_ptr_nonnull(disk->pending);
	}
	pending = &disk->pending[disk->nr_pending++];
	*pending = (struct ram_disk_request){ .request = request };
	if (request->op == TP_READ) {
		disk->nr_reads++;
		pending->fail = is_the_one(&disk->fail_read);
	} else if (request->op == TP_WRITE) {
		disk->nr_writes++;
		disk->nr_bytes_written += request->length;
		pending->fail = is_the_one(&disk->fail_write);
		pending->submitted = copy_of(request);
	}
	if (disk->nr_pending > disk->max_in_flight)
		disk->max_in_flight = disk->nr_pending;
}

static void do_write(struct ram_disk *disk, struct ram_disk_request *pending)
{
	struct tp_device_request *request = pending->request;
	char *now = copy_of(request);

	/* A buffer that changes under way has any checksum. */
	if (memcmp(now, pending->submitted, request->length))
		ck_abort_msg("a write's memory has changed under way");
	free(now);
	if (disk->on_write)
		disk->on_write(disk->on_write_context, request->offset,
			       request->length);
	if (!pending->fail)
		memcpy(disk->bytes + request->offset, pending->submitted,
		       request->length);
	free(pending->submitted);
}

static void end_request(struct ram_disk *disk, struct ram_disk_request pending)
{
	struct tp_device_request *request = pending.request;

	if (request->op == TP_READ && !pending.fail)
		scatter(request, disk->bytes + request->offset);
	else if (request->op == TP_WRITE)
		do_write(disk, &pending);
	request->done(request, pending.fail ? RAM_DISK_ERROR : 0);
}

static struct ram_disk_request take_pending(struct ram_disk *disk)
{
	unsigned i = disk->newest_first ? disk->nr_pending - 1 : 0;
	struct ram_disk_request pending = disk->pending[i];

	disk->nr_pending--;
	memmove(disk->pending + i, disk->pending + i + 1,
		(disk->nr_pending - i) * sizeof(pending));

	return pending;
}

static unsigned poll_channel(void *channel, unsigned max)
{
	struct ram_disk *disk = channel;
	unsigned nr = 0;

	while (!disk->hold && disk->nr_pending && nr < max) {
		end_request(disk, take_pending(disk));
		nr++;
	}

	return nr;
}

static int arm(void *channel)
{
	struct ram_disk *disk = channel;

	return !disk->hold && disk->nr_pending;
}

static uint64_t size(void *context)
{
	struct ram_disk *disk = context;

	return disk->size_bytes;
}

static const struct tp_device_async_ops ops = {
	TP_DEVICE_ASYNC_OPS_INIT,
	.features = TP_DEVICE_NO_CACHE,
	.open_channel = open_channel,
	.close_channel = close_channel,
	.submit = submit,
	.poll = poll_channel,
	.arm = arm,
	.size = size,
	.logical_block_bytes = 4096,
	.memory_alignment_bytes = 4096,
};

void ram_disk_init(struct ram_disk *disk, uint64_t size_bytes)
{
	*disk = (struct ram_disk){ .size_bytes = size_bytes };
	disk->bytes = calloc(1, size_bytes);
	ck_assert_ptr_nonnull(disk->bytes);
	ck_assert_int_eq(tp_device_new_async(&ops, disk, &disk->device), 0);
}

void ram_disk_exit(struct ram_disk *disk)
{
	tp_device_unref(disk->device);
	free(disk->pending);
	free(disk->bytes);
}
