/*
 * stream.h - reading and writing descriptors, all of what was asked for.
 */
#ifndef TOOLS_STREAM_H
#define TOOLS_STREAM_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Read until @length bytes came or the input ended: how many.  -1 and errno,
 * EINTR too.
 */
ssize_t stream_read(int fd, void *buffer, size_t length);

/* 0, or -1 and errno. */
int stream_write(int fd, const void *buffer, size_t length);

/* The same at a place, for files. */
int stream_write_at(int fd, const void *buffer, size_t length, off_t offset);

#endif
