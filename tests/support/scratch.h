/*
 * scratch.h - files and loop devices that go away by themselves.
 */
#ifndef TESTS_SUPPORT_SCRATCH_H
#define TESTS_SUPPORT_SCRATCH_H

#include <stdint.h>

#define SCRATCH_PATH_BYTES 256

/* A sparse file in TMPDIR; unlink it. */
void scratch_file(char path[SCRATCH_PATH_BYTES], uint64_t size);

/* A loop device over a sparse file; 0, or -1 where that cannot be had.  It goes
 * away when @fd and all others that have it open are closed. */
int scratch_loop(char path[SCRATCH_PATH_BYTES], uint64_t size, int *fd);

#endif
