/*
 * instant.c - snapshots that last as long as a connection.
 */
#include "instant.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "nbdkit.h"
#include "report.h"

#define PREFIX ".nbdkit-now-"

bool instant_is_one(const struct tp_volume *volume)
{
	return !strncmp(volume->name, PREFIX, strlen(PREFIX));
}

int instant_take(const struct server *server, struct tp_volume *volume)
{
	static _Atomic uint64_t nr_taken;
	struct tp_volume taken = TP_VOLUME_INIT;
	char name[sizeof(PREFIX) + 20];
	int r;

	snprintf(name, sizeof(name), PREFIX "%llu",
		 (unsigned long long)atomic_fetch_add(&nr_taken, 1));
	r = tp_catalogue_snapshot(server->catalogue, volume->name, name,
				  &taken);
	if (r)
		return fail_library(r, "cannot take a snapshot of \"%s\"",
				    volume->name);
	*volume = taken;

	return 0;
}

/* The library tells if it cannot; then it is left for the next server. */
void instant_delete(const struct server *server, const struct tp_volume *volume)
{
	tp_catalogue_delete(server->catalogue, volume->name);
}

static int find_one(const struct tp_volume *volume, void *context)
{
	if (!instant_is_one(volume))
		return 0;
	*(struct tp_volume *)context = *volume;

	return 1;
}

int instant_delete_all(const struct server *server)
{
	struct tp_volume volume;
	int r;

	do {
		r = tp_catalogue_list(server->catalogue, find_one, &volume);
		if (r == 1)
			r = tp_catalogue_delete(server->catalogue, volume.name)
				    ?: 1;
	} while (r == 1);

	return r ? fail_library(r, "cannot delete an old snapshot") : 0;
}
