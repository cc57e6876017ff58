/*
 * export.h - what the names of exports stand for.
 *
 *	base      the volume of this name
 *	#5        the thin 5, which has no name
 *	base@now  the volume as it is when the client connects: a snapshot that
 *	          lasts as long as the connection
 *
 * A volume that is called like one of the last two comes first.
 */
#ifndef NBD_EXPORT_H
#define NBD_EXPORT_H

#include "nbdkit.h"
#include "server.h"

struct export
{
	struct tp_volume volume;
	bool instant; /* a snapshot of it, to be taken */
};

/* -1: there is none, which is told. */
int export_find(const struct server *server, const char *name,
		struct export *export);

/* Every volume that can be opened. */
int export_list(const struct server *server, struct nbdkit_exports *exports);

#endif
