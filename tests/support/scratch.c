/*
 * scratch.c - files and loop devices that go away by themselves.
 */
#include <check.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "support/scratch.h"

void scratch_file(char path[SCRATCH_PATH_BYTES], uint64_t size)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	snprintf(path, SCRATCH_PATH_BYTES, "%s/thinpool-test-XXXXXX",
		 dir ? dir : "/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

/* A free loop device over @backing; its number, or -1. */
static int attach(int control, int backing, int *fd,
		  char path[SCRATCH_PATH_BYTES])
{
	struct loop_config config = {
		.fd = backing,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};

	for (int attempt = 0; attempt < 20; attempt++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		if (number < 0)
			return -1;
		snprintf(path, SCRATCH_PATH_BYTES, "/dev/loop%d", number);
		*fd = open(path, O_RDWR | O_CLOEXEC);
		if (*fd < 0)
			return -1;
		if (!ioctl(*fd, LOOP_CONFIGURE, &config))
			return 0;
		close(*fd); /* somebody else was faster */
	}

	return -1;
}

int scratch_loop(char path[SCRATCH_PATH_BYTES], uint64_t size, int *fd)
{
	char file[SCRATCH_PATH_BYTES];
	int control, backing, r;

	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return -1;
	scratch_file(file, size);
	backing = open(file, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(backing, 0);
	unlink(file);

	r = attach(control, backing, fd, path);
	close(backing);
	close(control);

	return r;
}
