/*
 * image.c - what a device held, to come back to again and again.
 */
#include <check.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "faults/image.h"

#define PAGE 4096u

static bool is_zero(const char *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE - 1);
}

void image_take(struct image *image, const struct observer *observer)
{
	image->size_bytes = observer->size_bytes;
	image->fd = memfd_create("image", MFD_CLOEXEC);
	ck_assert_int_ge(image->fd, 0);
	ck_assert_int_eq(ftruncate(image->fd, (off_t)observer->room_bytes), 0);
	for (uint64_t at = 0; at < image->size_bytes; at += PAGE)
		if (!is_zero(observer->bytes + at))
			ck_assert_int_eq(pwrite(image->fd, observer->bytes + at,
						PAGE, (off_t)at),
					 PAGE);
}

void image_drop(struct image *image)
{
	close(image->fd);
}

void image_restore(const struct image *image, struct observer *observer)
{
	void *bytes = mmap(observer->bytes, observer->room_bytes,
			   PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, image->fd,
			   0);

	ck_assert_ptr_eq(bytes, observer->bytes);
	observer->size_bytes = image->size_bytes;
}

bool image_is_same(const struct image *image, const struct observer *observer)
{
	char page[PAGE];

	for (uint64_t at = 0; at < image->size_bytes; at += PAGE) {
		ck_assert_int_eq(pread(image->fd, page, PAGE, (off_t)at), PAGE);
		if (memcmp(page, observer->bytes + at, PAGE))
			return false;
	}

	return true;
}
