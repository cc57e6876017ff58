/*
 * pool.c - opening and closing the pool.
 *
 * Nothing waits for space (TP_POOL_ERROR_IF_NO_SPACE): a write that finds none
 * fails at once with ENOSPC, as on any full file system.  Waiting for somebody
 * to delete something would keep the very workers busy that have to delete it.
 */
#include "pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "report.h"

/* For what waits for the disk: as many requests wait at a time. */
#define NR_THREADS 16

static bool is_directory(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* Two paths, to be freed; NULL where there is no memory. */
static void find_files(const char *name, char **metadata, char **data)
{
	const char *comma = is_directory(name) ? NULL : strchr(name, ',');

	if (comma) {
		*metadata = strndup(name, (size_t)(comma - name));
		*data = strdup(comma + 1);
		return;
	}
	if (asprintf(metadata, "%s/metadata", name) < 0)
		*metadata = NULL;
	if (asprintf(data, "%s/data", name) < 0)
		*data = NULL;
}

static int open_device(const char *path, bool read_only,
		       enum tp_file_engine engine, struct tp_device **device)
{
	struct tp_file_options options = TP_FILE_OPTIONS_INIT;
	int r;

	if (!path)
		return fail("out of memory");
	options.flags = read_only ? TP_FILE_READ_ONLY : 0;
	options.engine = engine;
	options.nr_threads = NR_THREADS;
	r = tp_device_open_file(path, &options, device);
	if (r == -ENOENT)
		return fail("there is no %s: 'thinpool create' makes a pool",
			    path);
	if (r)
		return fail_library(r, "cannot open %s", path);

	return 0;
}

static int open_pool(struct pool *pool, const char *name,
		     struct tp_device *metadata, struct tp_device *data)
{
	struct tp_device_limits limits = TP_DEVICE_LIMITS_INIT;
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	int r;

	options.flags = TP_POOL_ERROR_IF_NO_SPACE;
	if (pool->read_only)
		options.flags |= TP_POOL_READ_ONLY;
	r = tp_pool_open(metadata, data, &options, &pool->pool);
	if (!r)
		r = tp_catalogue_open(pool->pool, &pool->catalogue);
	if (!r)
		r = tp_pool_get_status(pool->pool, &status);
	if (!r)
		r = tp_device_get_limits(data, &limits);
	if (r) {
		fail_library(r, "cannot open pool %s", name);
		pool_close(pool);
		return -1;
	}
	pool->block_bytes = status.data_block_size;
	pool->sector_bytes = limits.logical_block_bytes;

	return 0;
}

int pool_open(struct pool *pool, const char *name, bool read_only)
{
	struct tp_device *metadata = NULL, *data = NULL;
	char *metadata_path, *data_path;
	int r;

	*pool = (struct pool){ .read_only = read_only };
	find_files(name, &metadata_path, &data_path);
	r = open_device(metadata_path, read_only, TP_FILE_ENGINE_DEFAULT,
			&metadata);
	if (!r)
		r = open_device(data_path, read_only, TP_FILE_ENGINE_INLINE,
				&data);
	if (!r)
		r = open_pool(pool, name, metadata, data);

	/* The pool has references of its own. */
	tp_device_unref(data);
	tp_device_unref(metadata);
	free(data_path);
	free(metadata_path);

	return r;
}

int pool_close(struct pool *pool)
{
	int r;

	tp_catalogue_close(pool->catalogue);
	r = tp_pool_close(pool->pool);
	*pool = (struct pool){ 0 };

	return r ? fail_library(r, "cannot close the pool") : 0;
}
