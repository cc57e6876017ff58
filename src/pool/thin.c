/*
 * thin.c - handles of thins, and the states behind them.
 *
 * States are made and dropped on the run loop.  One outlives its last handle
 * while something of it must not be forgotten: details that are not written,
 * changes that are not durable, writes that no flush made durable, and that it
 * lost writes (B-FLUSH-7).
 */
#include <stdlib.h>
#include <string.h>

#include "pool/bio.h"
#include "pool/call.h"
#include "pool/mode.h"
#include "pool/queue.h"

/* Bytes; the largest thin (1.7). */
#define SIZE_MAX_BYTES (((uint64_t)1 << 63) - TP_SECTOR_SIZE)

/*---------------------------- states ---------------------------------------*/

static struct tpi_list *bucket_of(struct tp_pool *pool, uint64_t id)
{
	return &pool->thins[id % TPI_THIN_BUCKETS];
}

struct tpi_thin_state *tpi_thin_find(struct tp_pool *pool, uint64_t id)
{
	struct tpi_list *bucket = bucket_of(pool, id), *entry, *following;

	tpi_list_each(entry, following, bucket)
	{
		struct tpi_thin_state *state =
			tpi_container_of(entry, struct tpi_thin_state, entry);

		if (state->tree.id == id)
			return state;
	}

	return NULL;
}

void tpi_thins_each(struct tp_pool *pool,
		    void (*each)(struct tpi_thin_state *state, void *context),
		    void *context)
{
	for (unsigned i = 0; i < TPI_THIN_BUCKETS; i++) {
		struct tpi_list *entry, *following;

		tpi_list_each(entry, following, &pool->thins[i]) each(
			tpi_container_of(entry, struct tpi_thin_state, entry),
			context);
	}
}

static unsigned count_sections(struct tpi_epoch *epoch, unsigned parity)
{
	struct tpi_thin_state *state =
		tpi_container_of(epoch, struct tpi_thin_state, epoch);
	struct tp_pool *pool = epoch->pool;
	struct tpi_list *handle, *port_entry, *next_handle, *next_port;
	unsigned nr = 0;

	pthread_mutex_lock(&pool->registry_lock);
	tpi_list_each(port_entry, next_port, &pool->ports)
	{
		struct tpi_port *port =
			tpi_container_of(port_entry, struct tpi_port, entry);

		tpi_owner_lock_enter(&port->lock);
		tpi_list_each(handle, next_handle, &state->handles)
		{
			struct tp_thin *thin =
				tpi_container_of(handle, struct tp_thin, entry);
			struct tpi_thin_section *section =
				tpi_port_find_section(port, thin->slot);

			if (section)
				nr += section->section.active[parity];
		}
		tpi_owner_lock_leave(&port->lock);
	}
	pthread_mutex_unlock(&pool->registry_lock);

	return nr;
}

void tpi_thin_publish(struct tpi_thin_state *state)
{
	atomic_store_explicit(&state->snapshotted_time,
			      state->tree.details.snapshotted_time,
			      memory_order_release);

	/* One that lost writes never passes for unchanged (B-FLUSH-7). */
	atomic_store_explicit(&state->last_change,
			      state->lost_writes ? UINT64_MAX
						 : state->tree.last_change,
			      memory_order_release);
}

int tpi_thin_state_make_room(struct tp_pool *pool)
{
	if (!pool->spare_state)
		pool->spare_state = calloc(1, sizeof(*pool->spare_state));

	return pool->spare_state ? 0 : -ENOMEM;
}

static struct tpi_thin_state *make_state(struct tp_pool *pool)
{
	struct tpi_thin_state *state = calloc(1, sizeof(*state));

	if (!state) {
		state = pool->spare_state;
		pool->spare_state = NULL;
	}
	if (!state)
		return NULL;
	state->pool = pool;
	state->serial = ++pool->next_serial;

	/* What was written before this state was made is not known. */
	state->stamped = true;
	tpi_list_init(&state->entry);
	tpi_list_init(&state->handles);
	tpi_list_init(&state->ranges.list);
	tpi_list_init(&state->held);
	tpi_list_init(&state->quiet_waiters);
	tpi_list_init(&state->origin_entry);
	tpi_epoch_init(&state->epoch, pool, count_sections);

	return state;
}

int tpi_thin_get_state(struct tp_pool *pool, uint64_t id,
		       struct tpi_thin_state **result)
{
	struct tpi_thin_state *state = tpi_thin_find(pool, id);
	struct tpi_thin_tree tree;
	int r;

	if (state) {
		*result = state;
		return 0;
	}
	r = tpi_metadata_open_tree(&pool->metadata, id, &tree);
	if (!r)
		r = tpi_metadata_heed_time(&pool->metadata, &tree);
	if (r)
		return r;
	state = make_state(pool);
	if (!state)
		return -ENOMEM;
	state->tree = tree;
	tpi_list_init(&state->tree.dirty);
	tpi_thin_publish(state);
	if (pool->mode == TP_MODE_FAILED)
		atomic_store(&state->gate, TPI_GATE_FAILED);
	if (pool->nr_suspends)
		atomic_store(&state->gate, TPI_GATE_ALL);
	tpi_list_add_tail(bucket_of(pool, id), &state->entry);
	*result = state;

	return 0;
}

static void close_origin(struct tpi_thin_state *state)
{
	if (!state->external_origin)
		return;
	tpi_list_del(&state->origin_entry);
	tpi_channel_close(state->origin_channel);
	tpi_device_release(state->external_origin, false);
	tp_device_unref(state->external_origin);
	state->external_origin = NULL;
	state->origin_channel = NULL;
	state->origin_bytes = 0;
}

void tpi_thin_state_free(struct tpi_thin_state *state)
{
	close_origin(state);
	tpi_statistics_move(&state->pool->statistics.io, &state->statistics);
	tpi_list_del(&state->epoch.draining);
	tpi_list_del(&state->tree.dirty);
	tpi_list_del(&state->entry);
	free(state);
}

/*
 * The thin is deleted: whatever is made under its id now is another one.  But
 * if that does not become durable, the thin is there again, and has lost what
 * it would have lost otherwise (B-ABORT-5).
 */
void tpi_thin_state_forget(struct tpi_thin_state *state)
{
	tpi_list_del(&state->tree.dirty);
	state->deleted_id = state->tree.id;
	state->deleted_in = state->pool->metadata.transaction;
	state->tree.id = UINT64_MAX;
	tpi_thin_state_drop(state);
}

static bool is_deleted(const struct tpi_thin_state *state)
{
	return state->tree.id == UINT64_MAX;
}

static bool is_gone_for_good(const struct tpi_thin_state *state)
{
	return is_deleted(state) &&
	       state->deleted_in <= state->pool->metadata.committed;
}

void tpi_thin_state_restore(struct tpi_thin_state *state)
{
	if (is_deleted(state) && !is_gone_for_good(state))
		state->tree.id = state->deleted_id;
}

/* An origin without mappings of the current time can be snapshotted again
 * without spending any (architecture.md, decision 13). */
static bool saves_time(const struct tpi_thin_state *state)
{
	return !state->stamped && state->tree.details.snapshotted_time ==
					  state->pool->metadata.time;
}

/* Is something known of it that the metadata does not tell? */
static bool is_worth_keeping(const struct tpi_thin_state *state)
{
	if (is_deleted(state))
		return !is_gone_for_good(state);

	return !tpi_list_empty(&state->tree.dirty) || state->lost_writes ||
	       state->wrote || state->wrote_before_flush ||
	       tpi_thin_is_changed(state) || saves_time(state);
}

void tpi_thin_state_drop(struct tpi_thin_state *state)
{
	if (tpi_list_empty(&state->handles) &&
	    tpi_list_empty(&state->epoch.draining) && !is_worth_keeping(state))
		tpi_thin_state_free(state);
}

static void sweep(struct tpi_thin_state *state, void *context)
{
	(void)context;
	tpi_thin_state_drop(state);
}

void tpi_thins_sweep(struct tp_pool *pool)
{
	tpi_thins_each(pool, sweep, NULL);
}

/*---------------------------- external origins -----------------------------*/

unsigned tpi_origins_poll(struct tp_pool *pool)
{
	struct tpi_list *entry, *following;
	unsigned nr = 0;

	tpi_list_each(entry, following, &pool->origins)
	{
		struct tpi_thin_state *state = tpi_container_of(
			entry, struct tpi_thin_state, origin_entry);

		tpi_channel_kick(state->origin_channel);
		nr += tpi_channel_poll(state->origin_channel, UINT32_MAX);
	}

	return nr;
}

bool tpi_origins_arm(struct tp_pool *pool)
{
	struct tpi_list *entry, *following;

	tpi_list_each(entry, following, &pool->origins)
	{
		struct tpi_thin_state *state = tpi_container_of(
			entry, struct tpi_thin_state, origin_entry);

		tpi_channel_kick(state->origin_channel);
		if (tpi_channel_arm(state->origin_channel))
			return true;
	}

	return false;
}

static int check_origin(struct tp_pool *pool, const struct tp_device *origin)
{
	if (tpi_device_same(origin, pool->data_device) ||
	    tpi_device_same(origin, pool->metadata_device))
		return tpi_error(-EINVAL,
				 "a device of the pool itself cannot be an "
				 "external origin");

	return 0;
}

static int open_origin(struct tpi_thin_state *state, struct tp_device *origin)
{
	struct tp_pool *pool = state->pool;
	int r;

	r = check_origin(pool, origin);
	if (!r)
		r = tpi_device_claim(origin, false);
	if (r)
		return r;
	r = tpi_channel_open(origin, pool->loop.event_fd, pool->host_driven,
			     &state->origin_channel);
	if (r) {
		tpi_device_release(origin, false);
		return r;
	}
	state->external_origin = tp_device_ref(origin);
	state->origin_bytes = tpi_device_size(origin);
	tpi_list_add_tail(&pool->origins, &state->origin_entry);

	return 0;
}

/* All handles of a thin name the same origin, or none. */
static int use_origin(struct tpi_thin_state *state, struct tp_device *origin)
{
	struct tp_device *current = state->external_origin;

	if (origin && check_origin(state->pool, origin))
		return -EINVAL;
	if (tpi_list_empty(&state->handles)) {
		close_origin(state);
		return origin ? open_origin(state, origin) : 0;
	}
	if (!origin != !current ||
	    (origin && !tpi_device_same(origin, current)))
		return tpi_error(-EBUSY,
				 "thin %llu is open with another "
				 "external origin",
				 (unsigned long long)state->tree.id);

	return 0;
}

/*---------------------------- slots ----------------------------------------*/

static int take_slot(struct tp_pool *pool, unsigned *slot)
{
	for (unsigned i = 0; i < TPI_HANDLES_MAX; i++) {
		if (pool->slots_used[i / 8] & (1u << (i % 8)))
			continue;
		pool->slots_used[i / 8] |= 1u << (i % 8);
		*slot = i;
		return 0;
	}

	return tpi_error(-EMFILE, "%u handles are open", TPI_HANDLES_MAX);
}

static void put_slot(struct tp_pool *pool, unsigned slot)
{
	pool->slots_used[slot / 8] &= ~(1u << (slot % 8));
}

/*---------------------------- opening --------------------------------------*/

struct open_call {
	struct tpi_call call;
	uint64_t id;
	struct tp_thin *thin;
	struct tp_device *origin;
};

static int add_handle(struct tpi_thin_state *state, struct open_call *open)
{
	struct tp_pool *pool = state->pool;
	int r;

	r = use_origin(state, open->origin);
	if (!r)
		r = take_slot(pool, &open->thin->slot);
	if (r)
		return r;
	if (tpi_list_empty(&state->handles))
		tpi_statistics_move(&pool->statistics.io, &state->statistics);
	open->thin->pool = pool;
	open->thin->state = state;
	open->thin->id = (uint32_t)open->id;
	tpi_list_add_tail(&state->handles, &open->thin->entry);
	pool->nr_handles++;

	return 0;
}

static int open_step(struct tpi_call *call)
{
	struct open_call *open = tpi_container_of(call, struct open_call, call);
	struct tp_pool *pool = call->pool;
	struct tpi_thin_state *state;
	int r;

	if (pool->mode == TP_MODE_FAILED)
		return tpi_error(-EINVAL, "the pool has failed");
	if (pool->nr_suspends)
		return tpi_error(-EBUSY, "the pool is suspended");
	r = tpi_thin_get_state(pool, open->id, &state);
	if (r == -ENODATA)
		return tpi_error(-ENODATA, "the pool has no thin %llu",
				 (unsigned long long)open->id);
	if (r)
		return r;
	r = add_handle(state, open);
	if (r)
		tpi_thin_state_drop(state);

	return r;
}

static int find_size(struct tp_pool *pool, uint32_t id, uint64_t *size)
{
	int r = -ENODATA;

	if (*size)
		return 0;
	pthread_mutex_lock(&pool->size_lock);
	if (pool->size_of)
		r = pool->size_of(pool->size_context, id, size);
	pthread_mutex_unlock(&pool->size_lock);
	if (r)
		return tpi_error(-EINVAL,
				 "thin %u is opened without a size, and the "
				 "catalogue knows none",
				 id);

	return 0;
}

/* What can be read of the data device and of the origin alike. */
static unsigned logical_block_of(const struct tp_pool *pool,
				 const struct tp_device *origin)
{
	if (!origin)
		return pool->logical_block;

	return (unsigned)tpi_max(
		pool->logical_block,
		tpi_device_limits(origin)->logical_block_bytes);
}

int tpi_thin_open_any(struct tp_pool *pool, uint64_t id, uint64_t size,
		      struct tp_device *origin, struct tp_thin **result)
{
	struct open_call open = { .id = id, .origin = origin };
	int r;

	open.thin = calloc(1, sizeof(*open.thin));
	if (!open.thin)
		return tpi_error(-ENOMEM, "no memory for a handle");
	open.thin->size = size;
	open.thin->logical_block = logical_block_of(pool, origin);
	r = tpi_call_ask(pool, &open.call, open_step);
	if (r)
		free(open.thin);
	else
		*result = open.thin;

	return r;
}

#define KNOWN_FLAGS (TP_THIN_READ_ONLY | TP_THIN_DETECT_ZEROES)

static int check_options(struct tp_pool *pool, uint32_t id,
			 const struct tp_thin_options *options)
{
	unsigned align = logical_block_of(pool, options->external_origin);

	if (id >= TP_THIN_ID_END)
		return tpi_error(-EINVAL, "thin %u: ids are below 2^24", id);
	if (options->flags & ~KNOWN_FLAGS)
		return tpi_error(-EINVAL, "unknown flags %#x",
				 options->flags & ~KNOWN_FLAGS);
	if (options->no_space > TP_NO_SPACE_ERROR)
		return tpi_error(-EINVAL, "an unknown policy for a full pool");
	if (options->no_space_timeout_ms &&
	    options->no_space != TP_NO_SPACE_QUEUE)
		return tpi_error(-EINVAL, "a time to wait for space, and no "
					  "waiting");
	if (options->size % align || options->size > SIZE_MAX_BYTES)
		return tpi_error(-EINVAL,
				 "a thin of %llu bytes: it has to be a "
				 "multiple of %u below 2^63",
				 (unsigned long long)options->size, align);

	return 0;
}

static void adopt_options(struct tp_thin *thin,
			  const struct tp_thin_options *options)
{
	thin->read_only = thin->pool->of_snapshot ||
			  (options->flags & TP_THIN_READ_ONLY);
	thin->detect_zeroes = options->flags & TP_THIN_DETECT_ZEROES;
	thin->no_space = options->no_space;
	thin->no_space_timeout_ms = options->no_space_timeout_ms;
}

int tp_thin_open(struct tp_pool *pool, uint32_t id,
		 const struct tp_thin_options *host_options,
		 struct tp_thin **thin)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	int r;

	if (!pool || !thin)
		return tpi_error(-EINVAL, "no pool, or no place for the thin");
	r = tpi_take_options(&options, sizeof(options), host_options,
			     "thin options");
	if (!r)
		r = check_options(pool, id, &options);
	if (!r)
		r = find_size(pool, id, &options.size);
	if (!r)
		r = tpi_thin_open_any(pool, id, options.size,
				      options.external_origin, thin);
	if (!r)
		adopt_options(*thin, &options);

	return r;
}

/*---------------------------- closing --------------------------------------*/

struct close_call {
	struct tpi_call call;
	struct tp_thin *thin;
};

static unsigned count_unreaped(struct tp_pool *pool, const struct tp_thin *thin)
{
	struct tpi_list *entry, *following;
	unsigned nr = 0;

	pthread_mutex_lock(&pool->registry_lock);
	tpi_list_each(entry, following, &pool->ports)
	{
		struct tpi_port *port =
			tpi_container_of(entry, struct tpi_port, entry);
		struct tpi_thin_section *section;

		tpi_owner_lock_enter(&port->lock);
		section = tpi_port_find_section(port, thin->slot);
		if (section)
			nr += atomic_load_explicit(&section->nr_unreaped,
						   memory_order_acquire);
		tpi_owner_lock_leave(&port->lock);
	}
	pthread_mutex_unlock(&pool->registry_lock);

	return nr;
}

static int refuse_close(struct tp_pool *pool, struct tp_thin *thin, unsigned nr)
{
	thin->closing = true;
	tpi_space_end_waiting(pool, thin, NULL, -ENOSPC);
	if (pool->nr_suspends)
		tpi_held_end(pool, thin, NULL, -ECANCELED);
	tpi_unmap_cancel(pool, thin, NULL);

	return tpi_error(-EBUSY,
			 "%u bios of thin %llu are not reaped: poll their "
			 "queues, and close it again",
			 nr, (unsigned long long)thin->id);
}

static int close_step(struct tpi_call *call)
{
	struct tp_thin *thin =
		tpi_container_of(call, struct close_call, call)->thin;
	struct tp_pool *pool = call->pool;
	struct tpi_thin_state *state = thin->state;
	unsigned nr = count_unreaped(pool, thin);

	if (nr)
		return refuse_close(pool, thin, nr);
	tpi_thin_collect(state);
	tpi_list_del(&thin->entry);
	put_slot(pool, thin->slot);
	pool->nr_handles--;
	if (tpi_list_empty(&state->handles))
		close_origin(state);
	tpi_thin_state_drop(state);

	return 0;
}

int tp_thin_close(struct tp_thin *thin)
{
	struct close_call close = { .thin = thin };
	int r;

	if (!thin)
		return 0;
	r = tpi_call_ask(thin->pool, &close.call, close_step);
	if (!r)
		free(thin);

	return r;
}

/*---------------------------- looking --------------------------------------*/

int tp_thin_get_limits(struct tp_thin *thin, struct tp_thin_limits *limits)
{
	struct tp_thin_limits ours = TP_THIN_LIMITS_INIT;
	const struct tp_device_limits *device;

	if (!thin || !limits)
		return tpi_error(-EINVAL, "no thin, or no limits to fill in");
	device = tpi_device_limits(thin->pool->data_device);
	ours.size_bytes = thin->size;
	ours.logical_block_bytes = thin->logical_block;
	ours.memory_alignment_bytes = device->memory_alignment_bytes;
	ours.preferred_bytes = thin->pool->block_bytes;
	if (!(thin->pool->options.flags & TP_POOL_IGNORE_DISCARD)) {
		ours.discard_granularity_bytes = thin->pool->block_bytes;
		ours.discard_max_bytes = SIZE_MAX_BYTES;
	}

	return tpi_give_struct(limits, &ours, sizeof(ours), "thin limits");
}

struct info_call {
	struct tpi_call call;
	struct tp_thin *thin;
	struct tp_thin_info info;
};

static int info_step(struct tpi_call *call)
{
	struct info_call *ask = tpi_container_of(call, struct info_call, call);
	struct tpi_thin_state *state = ask->thin->state;
	struct tp_pool *pool = call->pool;
	tp_vblock highest = 0;
	int r;

	if (pool->mode == TP_MODE_FAILED)
		return tpi_error(-EIO, "the pool has failed");
	r = tpi_metadata_previous_mapped(&pool->metadata, &state->tree,
					 UINT64_MAX, &highest);
	if (r && r != -ENODATA)
		return r;
	tpi_thin_fill_info(pool, state->tree.id, &state->tree.details,
			   &ask->info);
	if (!r)
		ask->info.highest_mapped_end =
			tpi_thin_block_end(pool, highest);
	tpi_thin_collect(state);
	ask->info.changed = tpi_thin_is_changed(state);
	ask->info.lost_writes = state->lost_writes;

	return 0;
}

int tp_thin_get_info(struct tp_thin *thin, struct tp_thin_info *info)
{
	struct info_call ask = { .thin = thin, .info = TP_THIN_INFO_INIT };
	int r;

	if (!thin || !info)
		return tpi_error(-EINVAL, "no thin, or no info to fill in");
	r = tpi_call_ask(thin->pool, &ask.call, info_step);
	if (!r)
		r = tpi_give_struct(info, &ask.info, sizeof(ask.info),
				    "thin info");

	return r;
}

uint64_t tpi_thin_block_end(const struct tp_pool *pool, tp_vblock vblock)
{
	if (vblock >= SIZE_MAX_BYTES / pool->block_bytes)
		return SIZE_MAX_BYTES;

	return (vblock + 1) * pool->block_bytes;
}

void tpi_thin_fill_info(const struct tp_pool *pool, uint64_t id,
			const struct tpi_details *details,
			struct tp_thin_info *info)
{
	info->id = (uint32_t)id;
	if (details->mapped_blocks)
		info->mapped_bytes =
			tpi_thin_block_end(pool, details->mapped_blocks - 1);
	info->transaction_id = details->transaction_id;
	info->creation_time = details->creation_time;
	info->snapshotted_time = details->snapshotted_time;
}
