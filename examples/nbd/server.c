/*
 * server.c - opening and closing the pool.
 *
 * Nothing waits for space (TP_POOL_ERROR_IF_NO_SPACE): a write that finds none
 * fails at once with ENOSPC.  If it waited it would keep one of the threads that
 * nbdkit has for the connection, and with enough of them waiting nobody would be
 * left to serve the trim that makes space.
 */
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "nbdkit.h"
#include "report.h"

/* For what waits for the disk: as many requests wait at a time. */
#define NR_THREADS 16

/*---------------------------- where it is ----------------------------------*/

static bool is_directory(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static char *file_in(const char *directory, const char *name)
{
	char *path, *absolute;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		return NULL;
	absolute = nbdkit_absolute_path(path);
	free(path);

	return absolute;
}

static char *file_before(const char *name, const char *comma)
{
	char *path = strndup(name, (size_t)(comma - name));
	char *absolute = path ? nbdkit_absolute_path(path) : NULL;

	free(path);

	return absolute;
}

int server_options_name(struct server_options *options, const char *name)
{
	const char *comma = is_directory(name) ? NULL : strchr(name, ',');

	server_options_exit(options);
	if (comma) {
		options->metadata = file_before(name, comma);
		options->data = nbdkit_absolute_path(comma + 1);
	} else {
		options->metadata = file_in(name, "metadata");
		options->data = file_in(name, "data");
	}
	if (options->metadata && options->data)
		return 0;
	nbdkit_error("pool=%s: no memory for its paths, or no path", name);

	return -1;
}

void server_options_exit(struct server_options *options)
{
	free(options->metadata);
	free(options->data);
	options->metadata = options->data = NULL;
}

/*---------------------------- the pool -------------------------------------*/

static int open_device(const char *path, bool read_only,
		       enum tp_file_engine engine, struct tp_device **device)
{
	struct tp_file_options options = TP_FILE_OPTIONS_INIT;
	int r;

	options.flags = read_only ? TP_FILE_READ_ONLY : 0;
	options.engine = engine;
	options.nr_threads = NR_THREADS;
	r = tp_device_open_file(path, &options, device);
	if (r == -ENOENT) {
		nbdkit_error("there is no %s: 'thinpool create' makes a pool",
			     path);
		return -1;
	}
	if (r)
		return fail_library(r, "cannot open %s", path);

	return 0;
}

static int open_pool(struct server *server, const char *name,
		     struct tp_device *metadata, struct tp_device *data,
		     unsigned flags)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	int r;

	options.flags = flags | TP_POOL_ERROR_IF_NO_SPACE;
	if (server->read_only)
		options.flags |= TP_POOL_READ_ONLY;
	r = tp_pool_open(metadata, data, &options, &server->pool);
	if (r)
		return fail_library(r, "cannot open the pool of %s", name);
	r = tp_catalogue_open(server->pool, &server->catalogue);
	if (r) {
		fail_library(r, "cannot read the names in the pool of %s",
			     name);
		server_close(server);
		return -1;
	}

	return 0;
}

int server_open(struct server *server, const struct server_options *options,
		unsigned flags)
{
	struct tp_device *metadata = NULL, *data = NULL;
	int r;

	*server = (struct server){ .read_only = options->read_only };
	r = open_device(options->metadata, options->read_only,
			TP_FILE_ENGINE_DEFAULT, &metadata);
	if (!r)
		r = open_device(options->data, options->read_only,
				TP_FILE_ENGINE_INLINE, &data);
	if (!r)
		r = open_pool(server, options->metadata, metadata, data, flags);

	/* The pool has references of its own. */
	tp_device_unref(data);
	tp_device_unref(metadata);

	return r;
}

int server_close(struct server *server)
{
	int r;

	tp_catalogue_close(server->catalogue);
	r = tp_pool_close(server->pool);
	*server = (struct server){ 0 };

	return r ? fail_library(r, "cannot close the pool") : 0;
}
