/*
 * image.h - what a device held, to come back to again and again.
 *
 * The image lies in a memory file that the device maps privately: to go back to
 * it costs nothing, and neither does what was not touched since.
 */
#ifndef TESTS_FAULTS_IMAGE_H
#define TESTS_FAULTS_IMAGE_H

#include "support/observer.h"

struct image {
	int fd;
	uint64_t size_bytes;
};

/* What the device holds now. */
void image_take(struct image *image, const struct observer *observer);
void image_drop(struct image *image);

/* The device, at rest, holds that again and is as long as it was. */
void image_restore(const struct image *image, struct observer *observer);

/* Does it hold just that? */
bool image_is_same(const struct image *image, const struct observer *observer);

#endif
