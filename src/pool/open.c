/*
 * open.c - opening and closing pools.
 *
 * Opening reads the superblock, checks it, loads the space maps, and starts the
 * loop; it writes nothing (B-POOL-11).  Closing stops what goes on by itself,
 * commits, and takes down in the reverse order: clock and background work, the
 * last commit with its hook alive and the data device open, the loop, the
 * metadata, the devices (B-PRE-7).
 */
#include <stdlib.h>
#include <string.h>

#include "pool/bio.h"
#include "pool/call.h"
#include "pool/device-wait.h"
#include "pool/event.h"
#include "pool/mode.h"
#include "pool/queue.h"

#define CACHE_BYTES_DEFAULT (32u << 20)
#define COMMIT_INTERVAL_MS 1000u
#define NO_SPACE_TIMEOUT_MS 60000u

/* Pieces of bios that the loop may have in flight. */
#define NR_SPARES 1024u

#define KNOWN_FLAGS                                                            \
	(TP_POOL_READ_ONLY | TP_POOL_HOST_DRIVEN | TP_POOL_SKIP_ZEROING |      \
	 TP_POOL_IGNORE_DISCARD | TP_POOL_NO_DISCARD_PASSDOWN |                \
	 TP_POOL_ERROR_IF_NO_SPACE | TP_POOL_NO_DELETE_PASSDOWN |              \
	 TP_POOL_METADATA_SNAPSHOT)

/*---------------------------- options --------------------------------------*/

int tpi_pool_options_check(struct tp_pool_options *options)
{
	if (options->flags & ~KNOWN_FLAGS)
		return tpi_error(-EINVAL, "unknown pool flags %#x",
				 options->flags & ~KNOWN_FLAGS);
	if (options->clock_wait && !options->clock_ns)
		return tpi_error(-EINVAL, "a clock to wait by, and none to "
					  "read");
	if (options->clock_wait && !(options->flags & TP_POOL_HOST_DRIVEN))
		return tpi_error(-EINVAL, "only a host-driven pool waits by "
					  "the host's clock");
	if (options->flags & TP_POOL_METADATA_SNAPSHOT)
		options->flags |= TP_POOL_READ_ONLY;
	if (!options->commit_interval_ms)
		options->commit_interval_ms = COMMIT_INTERVAL_MS;
	if (!options->no_space_timeout_ms)
		options->no_space_timeout_ms = NO_SPACE_TIMEOUT_MS;

	return 0;
}

/*---------------------------- an empty pool --------------------------------*/

static void drain_time(struct tpi_timer *timer)
{
	/* The step that it has woken looks at the ports. */
	(void)timer;
}

static unsigned count_all(struct tpi_epoch *epoch, unsigned parity)
{
	struct tp_pool *pool = epoch->pool;
	struct tpi_list *entry, *following;
	unsigned nr = 0;

	pthread_mutex_lock(&pool->registry_lock);
	tpi_list_each(entry, following, &pool->ports)
	{
		struct tpi_port *port =
			tpi_container_of(entry, struct tpi_port, entry);

		tpi_owner_lock_enter(&port->lock);
		nr += port->all.active[parity];
		tpi_owner_lock_leave(&port->lock);
	}
	pthread_mutex_unlock(&pool->registry_lock);

	return nr;
}

static void init_lists(struct tp_pool *pool)
{
	struct tpi_list *lists[] = {
		&pool->ports,
		&pool->idle_queues,
		&pool->draining_epochs,
		&pool->origins,
		&pool->idle_preparations,
		&pool->preparation_waiters,
		&pool->idle_buffers,
		&pool->buffer_waiters,
		&pool->unmappings,
		&pool->idle_unmappings,
		&pool->change_waiters,
		&pool->quiet_waiters,
		&pool->calls,
		&pool->events,
		&pool->port.entry,
		&pool->commit.settlements,
	};

	for (unsigned i = 0; i < TPI_ARRAY_SIZE(lists); i++)
		tpi_list_init(lists[i]);
	for (unsigned i = 0; i < TPI_NR_EVENT_KINDS; i++)
		tpi_list_init(&pool->spare_events[i].entry);
	for (unsigned i = 0; i < TPI_THIN_BUCKETS; i++)
		tpi_list_init(&pool->thins[i]);
}

static struct tp_pool *make_pool(struct tp_device *metadata,
				 struct tp_device *data,
				 const struct tp_pool_options *options)
{
	struct tp_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->metadata_device = tp_device_ref(metadata);
	pool->data_device = tp_device_ref(data);
	pool->options = *options;
	pool->host_driven = options->flags & TP_POOL_HOST_DRIVEN;
	pool->read_only = options->flags & TP_POOL_READ_ONLY;
	pool->of_snapshot = options->flags & TP_POOL_METADATA_SNAPSHOT;
	pool->error_if_no_space = options->flags & TP_POOL_ERROR_IF_NO_SPACE;
	pthread_mutex_init(&pool->registry_lock, NULL);
	pthread_mutex_init(&pool->size_lock, NULL);
	pool->loop.event_fd = -1;
	init_lists(pool);
	tpi_hook_init(pool);
	tpi_space_init(pool);
	tpi_epoch_init(&pool->epoch, pool, count_all);
	tpi_timer_init(&pool->drain_timer, drain_time);
	tpi_timer_init(&pool->relay_timer, tpi_relays_help);
	tpi_list_init(&pool->unkicked_ports);

	return pool;
}

/*---------------------------- taking it down -------------------------------*/

static void free_idle_queues(struct tp_pool *pool)
{
	struct tpi_list *entry;

	while ((entry = tpi_list_pop(&pool->idle_queues)))
		tpi_queue_free(tpi_container_of(entry, struct tp_queue, entry));
}

static void free_state(struct tpi_thin_state *state, void *context)
{
	(void)context;
	tpi_thin_state_free(state);
}

static void release_devices(struct tp_pool *pool)
{
	if (pool->claimed_data)
		tpi_device_release(pool->data_device, !pool->read_only);
	if (pool->claimed_metadata)
		tpi_device_release(pool->metadata_device, !pool->read_only);
	tp_device_unref(pool->data_device);
	tp_device_unref(pool->metadata_device);
}

/* Copes with half a pool.  Nothing is in flight. */
static void destroy(struct tp_pool *pool)
{
	free_idle_queues(pool);
	tpi_hook_exit(pool);
	tpi_settle_drop_all(pool);
	tpi_events_drop(pool);
	tpi_deletion_exit(pool);
	tpi_thins_each(pool, free_state, NULL);
	tpi_metadata_exit(&pool->metadata);
	tpi_cache_destroy(pool->cache);
	tpi_channel_close(pool->metadata_channel);
	if (pool->port.pool)
		tpi_port_exit(&pool->port);
	tpi_preparations_exit(pool);
	tpi_unmappings_exit(pool);
	tpi_flushes_exit(pool);
	tpi_rollback_exit(pool);
	tpi_commit_exit(pool);
	tpi_mapping_cache_destroy(pool->mapping_cache);
	tpi_loop_exit(&pool->loop);
	release_devices(pool);
	free(pool->slots_used);
	free(pool->spare_state);
	pthread_mutex_destroy(&pool->size_lock);
	pthread_mutex_destroy(&pool->registry_lock);
	free(pool);
}

/*---------------------------- devices --------------------------------------*/

static int check_devices(struct tp_pool *pool)
{
	unsigned features = tpi_device_features(pool->metadata_device) |
			    tpi_device_features(pool->data_device);

	if (tpi_device_same(pool->metadata_device, pool->data_device))
		return tpi_error(-EINVAL, "metadata and data are the same "
					  "device");
	if (!pool->read_only && (features & TP_DEVICE_READ_ONLY))
		return tpi_error(-EROFS, "a device was opened read-only, and "
					 "the pool is to be written");
	pool->logical_block =
		tpi_device_limits(pool->data_device)->logical_block_bytes;

	return 0;
}

/* Whoever has the pool open may go on while its metadata snapshot is read. */
static int claim_devices(struct tp_pool *pool)
{
	int r;

	if (pool->of_snapshot)
		return 0;
	r = tpi_device_claim(pool->metadata_device, !pool->read_only);
	if (r)
		return r;
	pool->claimed_metadata = true;
	r = tpi_device_claim(pool->data_device, !pool->read_only);
	if (!r)
		pool->claimed_data = true;

	return r;
}

/*---------------------------- parts ----------------------------------------*/

static uint64_t or_default(uint64_t bytes)
{
	return bytes ? bytes : CACHE_BYTES_DEFAULT;
}

static int make_parts(struct tp_pool *pool)
{
	int r;

	pool->slots_used = calloc(TPI_HANDLES_MAX / 8, 1);
	if (!pool->slots_used)
		return -ENOMEM;
	r = tpi_mapping_cache_new(or_default(pool->options.mapping_cache_bytes),
				  &pool->mapping_cache);
	if (!r)
		r = tpi_commit_init(pool);
	if (!r)
		r = tpi_rollback_init(pool);
	if (!r)
		r = tpi_flushes_init(pool);
	if (!r)
		r = tpi_preparations_init(pool);
	if (!r)
		r = tpi_deletion_init(pool);

	return r ? tpi_error(r, "no memory for a pool") : 0;
}

static int open_channels(struct tp_pool *pool)
{
	int r;

	r = tpi_loop_init(&pool->loop, pool);
	if (!r)
		r = tpi_channel_open(pool->metadata_device, pool->loop.event_fd,
				     pool->host_driven,
				     &pool->metadata_channel);
	if (!r)
		r = tpi_port_init(&pool->port, pool, NULL, pool->loop.event_fd,
				  NR_SPARES);
	if (!r)
		tpi_list_add(&pool->ports, &pool->port.entry);

	return r;
}

/*---------------------------- the metadata ---------------------------------*/

static int refuse_blank(const struct tp_pool *pool)
{
	if (pool->read_only)
		return tpi_error(-EPERM, "the metadata device is not "
					 "formatted, and read-only");

	return tpi_error(-EILSEQ, "the metadata device is not formatted");
}

static int check_sizes(struct tp_pool *pool,
		       const struct tpi_disk_superblock *sb)
{
	uint64_t nr_metadata =
		tpi_device_size(pool->metadata_device) / TPI_MBLOCK_BYTES;
	uint64_t nr_data =
		tpi_device_size(pool->data_device) / pool->block_bytes;
	uint64_t metadata = le64_get(sb->metadata_space_map.root.nr_blocks);
	uint64_t data = le64_get(sb->data_space_map.root.nr_blocks);

	if (nr_metadata < metadata)
		return tpi_error(-EINVAL,
				 "the metadata device has %llu blocks, and the "
				 "pool was made with %llu",
				 (unsigned long long)nr_metadata,
				 (unsigned long long)metadata);
	if (nr_data < data)
		return tpi_error(
			-EINVAL,
			"the data device has %llu blocks, and the pool "
			"was made with %llu",
			(unsigned long long)nr_data, (unsigned long long)data);
	if (nr_metadata > TPI_METADATA_BLOCKS_MAX)
		tpi_log(TP_LOG_WARNING,
			"the metadata device is larger than the format can "
			"address: %llu of its blocks are not used",
			(unsigned long long)(nr_metadata -
					     TPI_METADATA_BLOCKS_MAX));

	return 0;
}

static int check_block_size(struct tp_pool *pool,
			    const struct tpi_disk_superblock *sb)
{
	uint64_t wanted = pool->options.data_block_size;

	pool->block_bytes = (uint64_t)le32_get(sb->data_block_size)
			    << TPI_SECTOR_SHIFT;
	if (!(pool->block_bytes & (pool->block_bytes - 1)))
		pool->block_shift =
			(unsigned)__builtin_ctzll(pool->block_bytes);
	if (wanted && wanted != pool->block_bytes)
		return tpi_error(
			-EINVAL,
			"data blocks of %llu bytes were asked for, and "
			"the pool has blocks of %llu",
			(unsigned long long)wanted,
			(unsigned long long)pool->block_bytes);

	return 0;
}

static int read_superblock_once(struct tp_pool *pool,
				struct tpi_sync_channel *sync,
				struct tpi_disk_superblock *sb)
{
	int r = tpi_sync_read(sync, 0, sb, TPI_MBLOCK_BYTES);

	if (r)
		return tpi_error(r, "the superblock cannot be read: %s",
				 tp_strerror(r));
	if (tpi_superblock_is_blank(sb))
		return refuse_blank(pool);

	return tpi_superblock_check(sb, !pool->read_only);
}

/* While somebody writes it, it may be read half old and half new. */
#define SUPERBLOCK_TRIES 10u

static int read_superblock(struct tp_pool *pool, struct tpi_sync_channel *sync,
			   struct tpi_disk_superblock *sb)
{
	unsigned nr_left = pool->of_snapshot ? SUPERBLOCK_TRIES : 1;
	int r;

	if (tpi_device_size(pool->metadata_device) < TPI_MBLOCK_BYTES)
		return tpi_error(-EILSEQ, "the metadata device is too small "
					  "to hold a pool");
	do
		r = read_superblock_once(pool, sync, sb);
	while (r == -EILSEQ && --nr_left);
	if (!r)
		r = check_block_size(pool, sb);
	if (!r)
		r = check_sizes(pool, sb);

	return r;
}

/*---------------------------- a metadata snapshot --------------------------*/

static int read_copy(struct tpi_sync_channel *sync,
		     struct tpi_disk_superblock *sb)
{
	uint64_t block = le64_get(sb->held_root);
	struct tpi_disk_superblock *copy;
	int r;

	if (!block)
		return tpi_error(-ENODATA, "the pool has no metadata snapshot");
	if (posix_memalign((void **)&copy, TPI_MBLOCK_BYTES, TPI_MBLOCK_BYTES))
		return tpi_error(-ENOMEM, "no memory for a metadata snapshot");
	r = tpi_sync_read(sync, block * TPI_MBLOCK_BYTES, copy,
			  TPI_MBLOCK_BYTES);
	if (r)
		tpi_error(r, "the metadata snapshot cannot be read: %s",
			  tp_strerror(r));
	else
		r = tpi_superblock_go_back(sb, copy);
	free(copy);

	return r;
}

/* It has no space maps: those of the pool, which go on changing, say how many
 * blocks there are, and are not looked into. */
static int load_snapshot(struct tp_pool *pool, struct tpi_sync_channel *sync,
			 struct tpi_disk_superblock *sb)
{
	int r = read_copy(sync, sb);

	return r ? r : tpi_metadata_load_for_lookups(&pool->metadata, sb);
}

/* Who only reads can do without the space maps: what is left of a pool is often
 * all that is wanted of it (metadata-format.md, 12). */
static int load_for_lookups(struct tp_pool *pool,
			    const struct tpi_disk_superblock *sb, int error)
{
	if (!pool->read_only || error == -ENOMEM)
		return error;
	tpi_log(TP_LOG_WARNING,
		"the space maps cannot be read (%s): the pool is only looked "
		"at, and opens without them",
		tp_strerror(error));

	return tpi_metadata_load_for_lookups(&pool->metadata, sb);
}

static int load_metadata(struct tp_pool *pool, struct tpi_sync_channel *sync,
			 struct tpi_disk_superblock *sb)
{
	int r;

	r = tpi_cache_new(pool->metadata_channel,
			  le64_get(sb->metadata_space_map.root.nr_blocks),
			  or_default(pool->options.metadata_cache_bytes),
			  &pool->cache);
	if (r)
		return tpi_error(r, "no memory for the metadata cache");
	tpi_cache_set_arrival(pool->cache, tpi_loop_block_arrived, &pool->loop);
	tpi_metadata_init(&pool->metadata, pool->cache);
	if (pool->of_snapshot)
		return load_snapshot(pool, sync, sb);
	while ((r = tpi_metadata_load(&pool->metadata, sb)) == -EAGAIN) {
		tpi_sync_wait(sync);
		tpi_cache_trim(pool->cache);
	}

	return r ? load_for_lookups(pool, sb, r) : 0;
}

/*
 * A superblock whose flush failed, or whose writer died, can be read though it
 * is not durable.  What it leaves unused the one before may use, so what was
 * read is made durable before anything is built on it (B-ABORT-9).
 */
static int make_durable(struct tp_pool *pool, struct tpi_sync_channel *sync)
{
	int r = pool->read_only ? 0 : tpi_sync_flush(sync);

	return r ? tpi_error(r, "the metadata device cannot be flushed: %s",
			     tp_strerror(r))
		 : 0;
}

static void set_first_mode(struct tp_pool *pool)
{
	const struct tpi_disk_superblock *sb = &pool->metadata.superblock;

	pool->needs_check = le32_get(sb->header.flags) &
			    TPI_SUPERBLOCK_NEEDS_CHECK;
	pool->mode = pool->read_only ? TP_MODE_READ_ONLY : TP_MODE_WRITE;
	if (pool->needs_check && !pool->read_only) {
		tpi_log(TP_LOG_WARNING, "the pool needs a check: it is opened "
					"read-only");
		pool->mode = TP_MODE_READ_ONLY;
	}
	if (pool->metadata.time > TPI_TIME_MAX) {
		tpi_log(TP_LOG_WARNING, "the pool has taken more snapshots "
					"than its format can tell apart: it is "
					"opened read-only");
		pool->mode = TP_MODE_READ_ONLY;
	}
	if (pool->mode == TP_MODE_WRITE &&
	    !tpi_metadata_nr_free(&pool->metadata))
		pool->mode = TP_MODE_OUT_OF_METADATA_SPACE;
}

static int open_metadata(struct tp_pool *pool)
{
	struct tpi_sync_channel sync = {
		.channel = pool->metadata_channel,
		.event_fd = pool->loop.event_fd,
		.wait = pool->options.clock_wait,
		.context = pool->options.clock_context,
	};
	struct tpi_disk_superblock *sb;
	int r;

	if (posix_memalign((void **)&sb, TPI_MBLOCK_BYTES, TPI_MBLOCK_BYTES))
		return tpi_error(-ENOMEM, "no memory for the superblock");
	r = read_superblock(pool, &sync, sb);
	if (!r)
		r = load_metadata(pool, &sync, sb);
	if (!r)
		r = make_durable(pool, &sync);
	if (!r)
		set_first_mode(pool);
	free(sb);

	return r;
}

/*---------------------------- open -----------------------------------------*/

static int open_parts(struct tp_pool *pool)
{
	int r;

	r = check_devices(pool);
	if (!r)
		r = claim_devices(pool);
	if (!r)
		r = make_parts(pool);
	if (!r)
		r = open_channels(pool);
	if (!r)
		r = open_metadata(pool);

	return r;
}

static int start(struct tp_pool *pool)
{
	tpi_commit_start_tick(pool);
	if (pool->mode == TP_MODE_WRITE)
		tpi_deletion_start(pool);
	if (pool->host_driven)
		return 0;

	return tpi_loop_start_thread(&pool->loop);
}

int tp_pool_open(struct tp_device *metadata, struct tp_device *data,
		 const struct tp_pool_options *host_options,
		 struct tp_pool **result)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_pool *pool;
	int r;

	if (!metadata || !data || !result)
		return tpi_error(-EINVAL, "a device, or the place for the "
					  "pool, is missing");
	r = tpi_take_options(&options, sizeof(options), host_options,
			     "pool options");
	if (!r)
		r = tpi_pool_options_check(&options);
	if (r)
		return r;
	pool = make_pool(metadata, data, &options);
	if (!pool)
		return tpi_error(-ENOMEM, "no memory for a pool");
	r = open_parts(pool);
	if (!r)
		r = start(pool);
	if (r)
		destroy(pool);
	else
		*result = pool;

	return r;
}

/*---------------------------- close ----------------------------------------*/

struct close_call {
	struct tpi_call call;
	struct tpi_commit_waiter committed;
	bool started, ended;
	int error;
};

static int refuse_close(struct tp_pool *pool)
{
	unsigned nr_queues;

	if (pool->in_event_handler)
		return tpi_error(-EDEADLK, "an event handler cannot close its "
					   "pool");
	pthread_mutex_lock(&pool->registry_lock);
	nr_queues = pool->nr_queues;
	pthread_mutex_unlock(&pool->registry_lock);
	if (pool->nr_handles || nr_queues)
		return tpi_error(-EBUSY,
				 "%u thins and %u queues of the pool are open",
				 pool->nr_handles, nr_queues);

	return 0;
}

static void close_committed(struct tpi_commit_waiter *waiter, int error)
{
	struct close_call *close =
		tpi_container_of(waiter, struct close_call, committed);

	close->ended = true;
	if (!close->error)
		close->error = error;
	tpi_call_continue(&close->call);
}

/* What is durable already, and was only read, is not flushed. */
static bool has_something_to_flush(struct tp_pool *pool)
{
	return pool->metadata.changed || tpi_commit_is_busy(&pool->commit) ||
	       tpi_flush_is_needed(pool);
}

static void start_closing(struct tp_pool *pool, struct close_call *close)
{
	close->started = true;
	if (tpi_call_saw_loss(&close->call))
		close->error = -EIO;
	pool->closing = true;
	tpi_commit_stop_tick(pool);
	tpi_timer_cancel(&pool->no_space_timer);
	tpi_timer_cancel(&pool->thin_timer);
	close->ended = pool->mode == TP_MODE_FAILED ||
		       !has_something_to_flush(pool);
	if (close->ended)
		return;
	close->committed.committed = close_committed;
	if (tpi_mode_can_commit(pool))
		tpi_commit_wait(pool, &close->committed);
	else
		tpi_flush_wait(pool, &close->committed);
}

static bool is_quiet(struct tp_pool *pool)
{
	return tpi_commit_is_quiet(pool) && !tpi_flush_is_busy(pool) &&
	       !pool->aborting;
}

static int close_step(struct tpi_call *call)
{
	struct close_call *close =
		tpi_container_of(call, struct close_call, call);
	struct tp_pool *pool = call->pool;
	int r;

	if (!close->started) {
		r = refuse_close(pool);
		if (r)
			return r;
		start_closing(pool, close);
	}
	if (close->ended && is_quiet(pool) && !tpi_cache_busy(pool->cache)) {
		pool->closed = true;
		return close->error;
	}
	if (close->ended)
		tpi_list_add_tail(&pool->quiet_waiters, &call->task.entry);

	return -EINPROGRESS;
}

int tp_pool_close(struct tp_pool *pool)
{
	struct close_call close = {
		.call = { .even_if_suspended = true,
			  .any_mode = true,
			  .ignores_hold = true,
			  .no_commit = true },
	};
	int r;

	if (!pool)
		return 0;
	r = tpi_call_change(pool, &close.call, close_step);
	if (!pool->closed)
		return r;
	if (!pool->host_driven)
		tpi_loop_stop_thread(&pool->loop);
	destroy(pool);

	return r;
}

/*---------------------------- host-driven ----------------------------------*/

static int check_host_driven(const struct tp_pool *pool)
{
	if (!pool)
		return tpi_error(-EINVAL, "no pool was given");
	if (!pool->host_driven)
		return tpi_error(-EINVAL, "the pool runs by itself: it was not "
					  "opened host-driven");

	return 0;
}

int tp_pool_poll(struct tp_pool *pool)
{
	int r = check_host_driven(pool);

	return r ? r : (int)tpi_loop_run_ready(&pool->loop);
}

int tp_pool_fd(struct tp_pool *pool)
{
	int r = check_host_driven(pool);

	return r ? r : pool->loop.event_fd;
}

int tp_pool_next_deadline(struct tp_pool *pool, uint64_t *ns)
{
	int r = check_host_driven(pool);

	if (r)
		return r;
	if (!ns)
		return tpi_error(-EINVAL, "no place for the deadline");
	*ns = tpi_loop_deadline(&pool->loop);

	return 0;
}
