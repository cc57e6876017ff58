/*
 * check.c - thinpool check: verifies all metadata of a pool that nobody uses.
 *
 * The checker is thin_check of thin-provisioning-tools, which knows the format
 * from elsewhere than we do.  It gets no shell, and its output is what we show.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "json.h"
#include "pool-files.h"
#include "stream.h"

#define CHECKER "thin_check"
#define MAX_OUTPUT 65536 /* more than that is cut */

extern char **environ;

struct outcome {
	char output[MAX_OUTPUT];
	int exit_status;
};

/* It lies where only root's PATH leads, mostly. */
static int add_sbin_to_path(void)
{
	const char *path = getenv("PATH");
	char *longer;
	int r;

	if (asprintf(&longer, "%s%s/usr/sbin:/sbin", path ? path : "",
		     path ? ":" : "") < 0)
		return fail("out of memory");
	r = setenv("PATH", longer, 1);
	free(longer);

	return r ? fail("out of memory") : 0;
}

/*---------------------------- running it -----------------------------------*/

static int spawn_checker(const char *path, int output, pid_t *pid)
{
	char *argv[] = { (char *)CHECKER, (char *)path, NULL };
	posix_spawn_file_actions_t actions;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
	error = posix_spawnp(pid, CHECKER, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);

	if (error == ENOENT)
		return fail(CHECKER " is not installed; it is in the package "
				    "thin-provisioning-tools");
	errno = error;

	return error ? fail_errno("cannot run " CHECKER) : 0;
}

/* Keeps what there is room for and reads on, so that the checker can end. */
static void read_output(int fd, struct outcome *outcome)
{
	char rest[4096];
	ssize_t n = stream_read(fd, outcome->output, MAX_OUTPUT - 1);

	outcome->output[n < 0 ? 0 : n] = '\0';
	while (stream_read(fd, rest, sizeof(rest)) > 0)
		;
}

static int await(pid_t pid, struct outcome *outcome)
{
	int status;

	if (waitpid(pid, &status, 0) < 0)
		return fail_errno("cannot wait for " CHECKER);
	if (!WIFEXITED(status))
		return fail(CHECKER " was ended by signal %d",
			    WTERMSIG(status));
	outcome->exit_status = WEXITSTATUS(status);

	return 0;
}

static int run_checker(const char *path, struct outcome *outcome)
{
	int fds[2];
	pid_t pid;
	int r;

	if (pipe2(fds, O_CLOEXEC))
		return fail_errno("cannot make a pipe");
	r = spawn_checker(path, fds[1], &pid);
	close(fds[1]);
	if (!r) {
		read_output(fds[0], outcome);
		r = await(pid, outcome);
	}
	close(fds[0]);

	return r;
}

/*---------------------------- telling --------------------------------------*/

static int report(const struct arguments *arguments,
		  const struct outcome *outcome)
{
	bool clean = !outcome->exit_status;

	if (arguments->given & OPTION_JSON) {
		json_begin_object(NULL);
		json_string("checker", CHECKER);
		json_bool("clean", clean);
		json_number("exit_status", (uint64_t)outcome->exit_status);
		json_string("output", outcome->output);
		json_end_object();
	} else {
		printf("%s says:\n%s", CHECKER, outcome->output);
		if (clean)
			printf("the metadata of %s is sound\n",
			       arguments->pool);
	}
	if (!clean)
		return fail("the metadata of %s is not sound: thin_repair "
			    "makes what it can of it",
			    arguments->pool);

	return 0;
}

/* The lock that a read-only pool takes: others may read, nobody may write. */
static int check(const struct arguments *arguments, const char *path)
{
	struct outcome outcome;
	int r = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail_errno("cannot open %s", path);
	if (flock(fd, LOCK_SH | LOCK_NB))
		r = fail("%s is in use: close what uses it, then try again",
			 path);
	if (!r)
		r = add_sbin_to_path();
	if (!r)
		r = run_checker(path, &outcome);
	if (!r)
		r = report(arguments, &outcome);
	close(fd);

	return r;
}

int run_check(const struct arguments *arguments)
{
	struct pool_files files;
	int r = pool_files_init(&files, arguments->pool);

	if (r)
		return r;
	r = check(arguments, files.metadata);
	pool_files_exit(&files);

	return r;
}
