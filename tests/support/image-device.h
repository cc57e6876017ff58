/*
 * image-device.h - a device over an image in memory, cheap to copy.
 *
 * It keeps the first bytes of every stripe and forgets the others, which read
 * as zeroes: enough for a data device whose blocks are told apart by how they
 * begin.  It is for fuzzers as well as for tests: no libcheck here, and abort()
 * with a sentence where the library does what it must not.
 *
 * Threads: any; two requests that touch the same bytes come one by one.
 */
#ifndef TESTS_SUPPORT_IMAGE_DEVICE_H
#define TESTS_SUPPORT_IMAGE_DEVICE_H

#include <stdatomic.h>
#include <thinpool/device.h>

#define IMAGE_DEVICE_POISON 0xd5 /* what was discarded reads as */

struct image_device {
	struct tp_device *device;
	const char *name;
	_Atomic uint64_t size_bytes; /* as the library sees it */

	uint64_t stripe_bytes, kept_bytes;
	char *bytes; /* of all stripes, what is kept */
	uint64_t room_bytes;

	/* Requests left before it takes the library for running wild. */
	atomic_long budget;

	/* Before a write, and whatever else changes content; may be NULL. */
	void (*on_change)(void *context, uint64_t offset, uint64_t length);
	void *on_change_context;
};

/*
 * A device of @size bytes that can be made to grow up to @room; sizes are
 * multiples of @stripe, @kept up to all of it.  It begins as all zeroes or, if
 * @fd is not -1, as what image_device_save() saved; the file is left as it is.
 */
void image_device_init(struct image_device *image, const char *name,
		       uint64_t size, uint64_t room, uint64_t stripe,
		       uint64_t kept, int fd);

/* What lies at its start, for a device that keeps all. */
void image_device_put(struct image_device *image, const void *bytes,
		      uint64_t length);

/* What is kept, in a file without a name; devices of these sizes can begin with
 * it, each for the price of what it changes. */
int image_device_save(const struct image_device *image);

/* All that have a reference are gone. */
void image_device_exit(struct image_device *image);

#endif
