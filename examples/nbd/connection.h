/*
 * connection.h - a client and the volume it has chosen: nbdkit's handle.
 *
 * nbdkit calls for one connection from several threads at once.  So it holds
 * nothing that changes: the thin, which any thread may use, and what the client
 * was told of it.  Other connections to the same volume have handles of their
 * own on the same thin.
 */
#ifndef NBD_CONNECTION_H
#define NBD_CONNECTION_H

#include "export.h"

struct connection {
	struct tp_thin *thin;
	struct tp_thin_limits limits;
	bool read_only;
	struct export export; /* instant: its volume is the snapshot */

	struct connection *next; /* of all, under their lock */
};

/* @name: of the export.  -1: told. */
int connection_open(const struct server *server, const char *name,
		    bool read_only, struct connection **connection);
void connection_close(const struct server *server,
		      struct connection *connection);

/*
 * Close all that are open.  nbdkit closes none any more once it was told to end,
 * and a pool with thins open cannot be closed, so nothing would be committed.
 */
void connection_close_all(const struct server *server);

#endif
