/*
 * connection.c - opening and closing a volume for a client.
 */
#include "connection.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "instant.h"
#include "nbdkit.h"
#include "report.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct connection *connections;

/*---------------------------- all of them ----------------------------------*/

static void remember(struct connection *connection)
{
	pthread_mutex_lock(&lock);
	connection->next = connections;
	connections = connection;
	pthread_mutex_unlock(&lock);
}

static void forget(const struct connection *connection)
{
	struct connection **link = &connections;

	pthread_mutex_lock(&lock);
	while (*link && *link != connection)
		link = &(*link)->next;
	if (*link)
		*link = connection->next;
	pthread_mutex_unlock(&lock);
}

void connection_close_all(const struct server *server)
{
	while (connections)
		connection_close(server, connections);
}

/*---------------------------- one ------------------------------------------*/

static int open_thin(const struct server *server, struct connection *connection)
{
	const struct tp_volume *volume = &connection->export.volume;
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	int r;

	options.size = volume->size;
	if (connection->read_only)
		options.flags = TP_THIN_READ_ONLY;
	if (*volume->name)
		r = tp_catalogue_open_thin(server->catalogue, volume->name,
					   &options, &connection->thin);
	else
		r = tp_thin_open(server->pool, volume->id, &options,
				 &connection->thin);
	if (!r)
		r = tp_thin_get_limits(connection->thin, &connection->limits);

	return r ? fail_library(r, "cannot open volume \"%s\"", volume->name)
		 : 0;
}

/* A pool that went read-only, or failed, after something else did. */
static bool is_stopped(const struct server *server)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	return tp_pool_get_status(server->pool, &status) ||
	       status.mode >= TP_MODE_READ_ONLY;
}

static int choose(const struct server *server, const char *name,
		  struct connection *connection)
{
	struct export *export = &connection->export;
	int r = export_find(server, name, export);

	if (r)
		return r;
	if (export->volume.flags & TP_VOLUME_READ_ONLY || export->instant ||
	    server->read_only || is_stopped(server))
		connection->read_only = true;

	return export->instant ? instant_take(server, &export->volume) : 0;
}

int connection_open(const struct server *server, const char *name,
		    bool read_only, struct connection **result)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int r;

	if (!connection) {
		nbdkit_error("no memory for a connection");
		return -1;
	}
	connection->read_only = read_only;
	connection->limits.struct_size = sizeof(connection->limits);
	r = choose(server, name, connection);
	if (r) {
		free(connection);
		return r;
	}
	r = open_thin(server, connection);
	if (r) {
		connection_close(server, connection);
		return r;
	}
	remember(connection);
	*result = connection;

	return 0;
}

void connection_close(const struct server *server,
		      struct connection *connection)
{
	forget(connection);
	tp_thin_close(connection->thin);
	if (connection->export.instant)
		instant_delete(server, &connection->export.volume);
	free(connection);
}
