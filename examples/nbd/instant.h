/*
 * instant.h - a volume as it is at one instant: a snapshot for a connection,
 * deleted when that ends.
 *
 * So a client can copy a volume that others write.  The snapshot has a name of
 * ours, by which one that was left behind, when the server was killed, is found
 * and deleted by the next.
 */
#ifndef NBD_INSTANT_H
#define NBD_INSTANT_H

#include "server.h"

bool instant_is_one(const struct tp_volume *volume);

/* Take one of @volume, which is what @volume is then.  -1: told. */
int instant_take(const struct server *server, struct tp_volume *volume);

/* Nobody has it open any more. */
void instant_delete(const struct server *server,
		    const struct tp_volume *volume);

/* Delete what another server has left. */
int instant_delete_all(const struct server *server);

#endif
