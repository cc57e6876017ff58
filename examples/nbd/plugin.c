/*
 * plugin.c - nbdkit-thinpool-plugin: each volume of a pool is an NBD export.
 *
 *	nbdkit thinpool pool=/srv/pool volume=base
 *
 * The callbacks in the order in which nbdkit makes them.  One process serves one
 * pool, which nobody else can then open to write.
 *
 * What is durable.  A flush covers all writes to the volume that were answered
 * before it was sent, on whatever connection: the library counts by volume, not
 * by handle.  That is what lets a client use several connections at once.
 *
 * nbdkit may fork when it is ready, and the pool's threads would not survive
 * that: so it is opened after.  But then there is no terminal any more to tell
 * what is wrong.  So it is opened before, too, without threads, to look whether
 * all is well, and closed again.
 */
#include <stdio.h>
#include <string.h>

#include "connection.h"
#include "instant.h"
#include "nbdkit.h"
#include "report.h"
#include "requests.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

static struct server_options options;
static const char *default_volume; /* NULL: clients have to name one */
static struct server server;

/*---------------------------- the command line -----------------------------*/

static int plugin_config(const char *key, const char *value)
{
	int r;

	if (!strcmp(key, "pool"))
		return server_options_name(&options, value);
	if (!strcmp(key, "volume")) {
		default_volume = value;
		return 0;
	}
	if (!strcmp(key, "readonly")) {
		r = nbdkit_parse_bool(value);
		options.read_only = r == 1;
		return r < 0 ? -1 : 0;
	}
	nbdkit_error("there is no parameter '%s': pool, volume, readonly", key);

	return -1;
}

static int plugin_config_complete(void)
{
	if (options.metadata)
		return 0;
	nbdkit_error("which pool?  Say pool=DIRECTORY or pool=METADATA,DATA");

	return -1;
}

static void plugin_dump(void)
{
	printf("thinpool_library=%s\n", tp_version());
}

/*---------------------------- the server's life ----------------------------*/

static int check_default(void)
{
	struct export export;

	return default_volume ? export_find(&server, default_volume, &export)
			      : 0;
}

static int plugin_get_ready(void)
{
	int r = server_open(&server, &options, TP_POOL_HOST_DRIVEN);

	if (r)
		return r;
	r = check_default();

	return server_close(&server) || r ? -1 : 0;
}

static int plugin_after_fork(void)
{
	int r;

	report_library();
	r = server_open(&server, &options, 0);
	if (!r && !server.read_only)
		r = instant_delete_all(&server);

	return r;
}

/* No request is carried out any more, nor will be. */
static void plugin_cleanup(void)
{
	connection_close_all(&server);
	server_close(&server);
	tp_set_log(NULL, NULL, TP_LOG_ERROR);
}

static void plugin_unload(void)
{
	server_options_exit(&options);
}

/*---------------------------- a client arrives -----------------------------*/

static int plugin_list_exports(int read_only, int is_tls,
			       struct nbdkit_exports *exports)
{
	return export_list(&server, exports);
}

static const char *plugin_default_export(int read_only, int is_tls)
{
	return default_volume;
}

static void *plugin_open(int read_only)
{
	struct connection *connection;

	return connection_open(&server, nbdkit_export_name(), read_only,
			       &connection)
		       ? NULL
		       : connection;
}

static void plugin_close(void *handle)
{
	connection_close(&server, handle);
}

static int64_t plugin_get_size(void *handle)
{
	struct connection *connection = handle;

	return (int64_t)connection->limits.size_bytes;
}

/*
 * Requests are whole sectors, best whole data blocks.  The preferred size has to
 * be a power of two and at most 32 MiB, which is also the most that every client
 * and server can pass in one request.
 */
static int plugin_block_size(void *handle, uint32_t *minimum,
			     uint32_t *preferred, uint32_t *maximum)
{
	struct connection *connection = handle;
	uint64_t block = connection->limits.preferred_bytes;

	*maximum = 32u << 20;
	*minimum = connection->limits.logical_block_bytes;
	block &= -block;
	*preferred = block < *maximum ? (uint32_t)block : *maximum;

	return 0;
}

static int plugin_can_write(void *handle)
{
	struct connection *connection = handle;

	return !connection->read_only;
}

static int plugin_can_trim(void *handle)
{
	struct connection *connection = handle;

	return connection->limits.discard_granularity_bytes != 0;
}

static int plugin_can_fua(void *handle)
{
	return NBDKIT_FUA_NATIVE;
}

/* To refuse one is fast, too. */
static int plugin_can_fast_zero(void *handle)
{
	return 1;
}

/* To read is what fills the caches there are: mappings, and the kernel's. */
static int plugin_can_cache(void *handle)
{
	return NBDKIT_CACHE_EMULATE;
}

/* Two connections to a volume "as it is now" see two instants. */
static int plugin_can_multi_conn(void *handle)
{
	struct connection *connection = handle;

	return !connection->export.instant;
}

static int plugin_is_rotational(void *handle)
{
	return 0;
}

/*---------------------------------------------------------------------------*/

static struct nbdkit_plugin plugin = {
	.name = "thinpool",
	.longname = "thinpool",
	.version = PLUGIN_VERSION,
	.description = "Thin volumes and snapshots, in the format of dm-thin.",
	.magic_config_key = "pool",
	.config_help =
		"pool=DIRECTORY        (required) the pool that is served;\n"
		"pool=METADATA,DATA    or its two files or block devices\n"
		"volume=NAME           the default export; all are served\n"
		"readonly=true         change nothing of the pool",
	.config = plugin_config,
	.config_complete = plugin_config_complete,
	.dump_plugin = plugin_dump,
	.get_ready = plugin_get_ready,
	.after_fork = plugin_after_fork,
	.cleanup = plugin_cleanup,
	.unload = plugin_unload,

	.list_exports = plugin_list_exports,
	.default_export = plugin_default_export,
	.open = plugin_open,
	.close = plugin_close,
	.get_size = plugin_get_size,
	.block_size = plugin_block_size,
	.can_write = plugin_can_write,
	.can_trim = plugin_can_trim,
	.can_fua = plugin_can_fua,
	.can_fast_zero = plugin_can_fast_zero,
	.can_cache = plugin_can_cache,
	.can_multi_conn = plugin_can_multi_conn,
	.is_rotational = plugin_is_rotational,

	.pread = request_read,
	.pwrite = request_write,
	.flush = request_flush,
	.trim = request_trim,
	.zero = request_zero,
	.extents = request_extents,
};

/* The macro defines it; clang wants to have seen it before. */
struct nbdkit_plugin *plugin_init(void);

NBDKIT_REGISTER_PLUGIN(plugin)
