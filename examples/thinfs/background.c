/*
 * background.c - a pipe, on which the child sends one byte when it is ready.
 */
#include "background.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"

static int to_parent = -1;

/* The end of a pipe without a byte: the child has ended. */
static void end_as_the_child(int from_child, pid_t child)
{
	int status;
	char byte;
	ssize_t nr;

	do
		nr = read(from_child, &byte, 1);
	while (nr < 0 && errno == EINTR);
	if (nr == 1)
		_exit(0);
	if (waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	    WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
	fail("it ended before it was mounted");
	_exit(1);
}

int background_begin(void)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC))
		return fail("pipe: %s", strerror(errno));
	child = fork();
	if (child < 0)
		return fail("fork: %s", strerror(errno));
	if (child) {
		close(fds[1]);
		end_as_the_child(fds[0], child);
	}
	close(fds[0]);
	to_parent = fds[1];

	return 0;
}

static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	if (null < 0)
		return;
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

void background_ready(void)
{
	/* A directory that we stayed in could not be unmounted. */
	if (chdir("/"))
		fail("chdir: %s", strerror(errno));
	leave_terminal();
	if (write(to_parent, "", 1) != 1)
		fail("cannot tell that it is mounted");
	close(to_parent);
	to_parent = -1;
}
