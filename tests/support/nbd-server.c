/*
 * nbd-server.c - an nbdkit or a qemu-nbd for a test.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/nbd-server.h"

#define MAX_ARGUMENTS 32

void nbd_server_init(struct nbd_server *server)
{
	const char *tmp = getenv("TMPDIR");

	*server = (struct nbd_server){ .pid = 0 };
	snprintf(server->directory, sizeof(server->directory),
		 "%s/thinpool-nbd-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(server->directory));
	snprintf(server->socket, sizeof(server->socket), "%s/socket",
		 server->directory);
	snprintf(server->uri, sizeof(server->uri), "nbd+unix:///?socket=%s",
		 server->socket);
}

void nbd_server_exit(struct nbd_server *server)
{
	nbd_server_kill(server);
	ck_assert_int_eq(rmdir(server->directory), 0);
}

/* @command, then @arguments, both up to NULL. */
static void run(const char *const *command, const char *const *arguments)
{
	const char *argv[MAX_ARGUMENTS + 1] = { NULL };
	unsigned nr = 0;

	while (*command)
		argv[nr++] = *command++;
	while (*arguments && nr < MAX_ARGUMENTS)
		argv[nr++] = *arguments++;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

static bool accepts(const struct nbd_server *server)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	ck_assert_int_ge(fd, 0);
	ck_assert_uint_lt(strlen(server->socket), sizeof(address.sun_path));
	strcpy(address.sun_path, server->socket);
	r = connect(fd, (const struct sockaddr *)&address, sizeof(address));
	close(fd);

	return r == 0;
}

static bool start(struct nbd_server *server, const char *const *command,
		  const char *const *arguments)
{
	int status;

	ck_assert_int_eq(server->pid, 0);
	server->pid = fork();
	ck_assert_int_ge(server->pid, 0);
	if (!server->pid)
		run(command, arguments);
	for (unsigned i = 0; !accepts(server); i++) {
		if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
			server->pid = 0;
			ck_assert_int_eq(WEXITSTATUS(status), 127);
			return false;
		}
		ck_assert_msg(i < 3000, "%s does not come up", command[0]);
		usleep(10000);
	}

	return true;
}

bool nbd_server_start(struct nbd_server *server, const char *const *arguments)
{
	const char *const command[] = { "nbdkit", "--foreground", "--unix",
					server->socket, NULL };

	return start(server, command, arguments);
}

bool nbd_server_start_qemu(struct nbd_server *server,
			   const char *const *arguments)
{
	const char *const command[] = { "qemu-nbd",     "--persistent",
					"--shared=8",   "--socket",
					server->socket, NULL };

	return start(server, command, arguments);
}

void nbd_server_kill(struct nbd_server *server)
{
	if (!server->pid)
		return;
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	server->pid = 0;
	unlink(server->socket);
}
