/*
 * image-device.c - a device over an image in memory, cheap to copy.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/image-device.h"

#define BUDGET 1000000

/*---------------------------- pieces of stripes ----------------------------*/

enum transfer { TRANSFER_READ, TRANSFER_WRITE, TRANSFER_FILL };

/* Of [offset, offset + length) all that lies in the stripe of @offset. */
static uint64_t stripe_part(const struct image_device *image, uint64_t offset,
			    uint64_t length)
{
	uint64_t left = image->stripe_bytes - offset % image->stripe_bytes;

	return length < left ? length : left;
}

/* One part of a stripe, of which the start may be kept. */
static void transfer_part(struct image_device *image, enum transfer transfer,
			  char *memory, int fill, uint64_t offset,
			  uint64_t length)
{
	uint64_t at = offset % image->stripe_bytes;
	char *place = image->bytes +
		      offset / image->stripe_bytes * image->kept_bytes + at;
	uint64_t kept = at < image->kept_bytes ? image->kept_bytes - at : 0;

	if (kept > length)
		kept = length;
	switch (transfer) {
	case TRANSFER_READ:
		memcpy(memory, place, kept);
		memset(memory + kept, 0, length - kept);
		break;
	case TRANSFER_WRITE:
		memcpy(place, memory, kept);
		break;
	case TRANSFER_FILL:
		memset(place, fill, kept);
	}
}

static void transfer(struct image_device *image, enum transfer transfer,
		     char *memory, int fill, uint64_t offset, uint64_t length)
{
	while (length) {
		uint64_t part = stripe_part(image, offset, length);

		transfer_part(image, transfer, memory, fill, offset, part);
		if (memory)
			memory += part;
		offset += part;
		length -= part;
	}
}

/*---------------------------- ops ------------------------------------------*/

static void complain(const struct image_device *image, const char *what,
		     uint64_t offset, uint64_t length)
{
	fprintf(stderr, "%s device of %llu bytes: %s, at %llu, %llu bytes\n",
		image->name, (unsigned long long)image->size_bytes, what,
		(unsigned long long)offset, (unsigned long long)length);
	abort();
}

static void check(struct image_device *image, uint64_t offset, uint64_t length)
{
	if (atomic_fetch_sub(&image->budget, 1) <= 0)
		complain(image, "requests without end", offset, length);
	if (offset > image->size_bytes || length > image->size_bytes - offset)
		complain(image, "a request beyond the end", offset, length);
}

static void check_change(struct image_device *image, uint64_t offset,
			 uint64_t length)
{
	check(image, offset, length);
	if (image->on_change)
		image->on_change(image->on_change_context, offset, length);
}

static uint64_t total(const struct iovec *iov, int iovcnt)
{
	uint64_t length = 0;

	for (int i = 0; i < iovcnt; i++)
		length += iov[i].iov_len;

	return length;
}

static void transfer_iov(struct image_device *image, enum transfer direction,
			 const struct iovec *iov, int iovcnt, uint64_t offset)
{
	for (int i = 0; i < iovcnt; i++) {
		transfer(image, direction, iov[i].iov_base, 0, offset,
			 iov[i].iov_len);
		offset += iov[i].iov_len;
	}
}

static int do_read(void *context, const struct iovec *iov, int iovcnt,
		   uint64_t offset)
{
	struct image_device *image = context;

	check(image, offset, total(iov, iovcnt));
	transfer_iov(image, TRANSFER_READ, iov, iovcnt, offset);

	return 0;
}

static int do_write(void *context, const struct iovec *iov, int iovcnt,
		    uint64_t offset, unsigned flags)
{
	struct image_device *image = context;

	check_change(image, offset, total(iov, iovcnt));
	transfer_iov(image, TRANSFER_WRITE, iov, iovcnt, offset);

	return 0;
}

static int do_flush(void *context)
{
	check(context, 0, 0);

	return 0;
}

static int do_discard(void *context, uint64_t offset, uint64_t length)
{
	check_change(context, offset, length);
	transfer(context, TRANSFER_FILL, NULL, IMAGE_DEVICE_POISON, offset,
		 length);

	return 0;
}

static int do_write_zeroes(void *context, uint64_t offset, uint64_t length)
{
	check_change(context, offset, length);
	transfer(context, TRANSFER_FILL, NULL, 0, offset, length);

	return 0;
}

static uint64_t do_size(void *context)
{
	struct image_device *image = context;

	return image->size_bytes;
}

static const struct tp_device_ops ops = {
	TP_DEVICE_OPS_INIT,
	.read = do_read,
	.write = do_write,
	.flush = do_flush,
	.discard = do_discard,
	.write_zeroes = do_write_zeroes,
	.size = do_size,
	.discard_granularity_bytes = 65536,
	.logical_block_bytes = 512,
};

/*---------------------------- life -----------------------------------------*/

void image_device_init(struct image_device *image, const char *name,
		       uint64_t size, uint64_t room, uint64_t stripe,
		       uint64_t kept, int fd)
{
	*image = (struct image_device){
		.name = name,
		.size_bytes = size,
		.stripe_bytes = stripe,
		.kept_bytes = kept,
		.room_bytes = room / stripe * kept,
		.budget = BUDGET,
	};
	image->bytes = mmap(NULL, image->room_bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
	if (image->bytes == MAP_FAILED ||
	    tp_device_new(&ops, image, &image->device))
		abort();
}

void image_device_exit(struct image_device *image)
{
	tp_device_unref(image->device);
	munmap(image->bytes, image->room_bytes);
}

void image_device_put(struct image_device *image, const void *bytes,
		      uint64_t length)
{
	memcpy(image->bytes, bytes, length);
}

int image_device_save(const struct image_device *image)
{
	int fd = memfd_create(image->name, MFD_CLOEXEC);
	uint64_t done = 0;

	while (done < image->room_bytes) {
		ssize_t nr = write(fd, image->bytes + done,
				   image->room_bytes - done);

		if (nr <= 0)
			abort();
		done += (uint64_t)nr;
	}

	return fd;
}
