/*
 * stream.c - reading and writing descriptors.
 */
#include "stream.h"

#include <unistd.h>

ssize_t stream_read(int fd, void *buffer, size_t length)
{
	size_t done = 0;
	ssize_t n = 1;

	while (done < length && n > 0) {
		n = read(fd, (char *)buffer + done, length - done);
		if (n < 0)
			return -1;
		done += (size_t)n;
	}

	return (ssize_t)done;
}

int stream_write(int fd, const void *buffer, size_t length)
{
	ssize_t n;

	for (size_t done = 0; done < length; done += (size_t)n) {
		n = write(fd, (const char *)buffer + done, length - done);
		if (n < 0)
			return -1;
	}

	return 0;
}

int stream_write_at(int fd, const void *buffer, size_t length, off_t offset)
{
	ssize_t n;

	for (size_t done = 0; done < length; done += (size_t)n) {
		n = pwrite(fd, (const char *)buffer + done, length - done,
			   offset + (off_t)done);
		if (n < 0)
			return -1;
	}

	return 0;
}
