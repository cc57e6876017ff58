/*
 * nbd-server.h - an nbdkit or a qemu-nbd for a test, on a socket of its own.
 *
 * It goes away with the test that started it.
 */
#ifndef TESTS_SUPPORT_NBD_SERVER_H
#define TESTS_SUPPORT_NBD_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "support/scratch.h"

struct nbd_server {
	pid_t pid;
	char directory[SCRATCH_PATH_BYTES], socket[SCRATCH_PATH_BYTES + 16];
	char uri[SCRATCH_PATH_BYTES + 64];
};

/* A place for a socket; nothing runs yet. */
void nbd_server_init(struct nbd_server *server);
void nbd_server_exit(struct nbd_server *server);

/*
 * Run nbdkit with @arguments, up to NULL: plugin, filters, their parameters.
 * It accepts connections when this returns.  False: there is no nbdkit here.
 */
bool nbd_server_start(struct nbd_server *server, const char *const *arguments);

/* The same with qemu-nbd: its options, and the image. */
bool nbd_server_start_qemu(struct nbd_server *server,
			   const char *const *arguments);

/* At once, as a crash would. */
void nbd_server_kill(struct nbd_server *server);

#endif
