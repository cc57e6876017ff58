/*
 * status.c - looking at a pool: its status, and the thins in it.
 */
#include <stdlib.h>

#include "pool/call.h"
#include "pool/mode.h"

/*---------------------------- status ---------------------------------------*/

struct status_call {
	struct tpi_call call;
	struct tp_pool_status status;
	uint64_t next_id; /* counting thins */
	int64_t nr_thins, nr_at_start;
};

static void fill_options(struct tp_pool *pool, struct tp_pool_status *status)
{
	status->mode = pool->mode;
	status->needs_check = pool->needs_check;
	status->suspended = pool->nr_suspends != 0;
	status->data_block_size = (uint32_t)pool->block_bytes;
	status->discard_passdown = tpi_passdown_is_effective(pool);
	status->ignore_discard = pool->options.flags & TP_POOL_IGNORE_DISCARD;
	status->error_if_no_space = pool->error_if_no_space;
	status->nr_commits = atomic_load(&pool->commit.nr_commits);
	status->nr_wakeups = atomic_load(&pool->loop.nr_wakeups);
}

static void fill_metadata(struct tp_pool *pool, struct tp_pool_status *status)
{
	const struct tpi_metadata *md = &pool->metadata;

	status->transaction_id = md->transaction_id;
	status->held_root = md->held_root;
	status->time = md->time;
	status->data_blocks = tpi_data_sm_nr_blocks(md->data_sm);
	status->used_data_blocks = tpi_data_sm_nr_used(md->data_sm);
	status->metadata_blocks = tpi_metadata_sm_nr_blocks(md->metadata_sm);
	status->used_metadata_blocks =
		status->metadata_blocks - tpi_metadata_nr_free(md);
	status->metadata_low_water_blocks = tpi_metadata_low_water(md);
	status->changed = md->changed || md->committed + 1 < md->transaction;
}

/* They are counted once; after that the metadata knows how many came and went.
 * If some did while they were counted, the count begins anew. */
static int count_thins(struct tp_pool *pool, struct status_call *ask)
{
	struct tpi_metadata *md = &pool->metadata;
	struct tpi_details details;
	uint64_t id;
	int r;

	if (ask->next_id == 0 || ask->nr_at_start != md->nr_thins) {
		ask->nr_at_start = md->nr_thins;
		ask->nr_thins = ask->next_id = 0;
	}
	while (!(r = tpi_metadata_next_thin(md, ask->next_id, &id, &details)) &&
	       id < TP_THIN_ID_END) {
		ask->nr_thins++;
		ask->next_id = id + 1;
	}
	if (r && r != -ENODATA)
		return r;
	pool->nr_thins_loaded = ask->nr_thins - md->nr_thins;
	pool->thins_counted_in = pool->generation + 1;

	return 0;
}

static int fill_thins(struct tp_pool *pool, struct status_call *ask)
{
	int r = 0;

	if (pool->thins_counted_in != pool->generation + 1)
		r = count_thins(pool, ask);
	if (!r)
		ask->status.nr_thins = (uint64_t)(pool->nr_thins_loaded +
						  pool->metadata.nr_thins);

	return r;
}

/* Of a failed pool nothing but its mode is known (B-STAT-1). */
static int status_step(struct tpi_call *call)
{
	struct status_call *ask =
		tpi_container_of(call, struct status_call, call);
	struct tp_pool *pool = call->pool;

	fill_options(pool, &ask->status);
	if (pool->mode == TP_MODE_FAILED)
		return 0;
	fill_metadata(pool, &ask->status);

	return fill_thins(pool, ask);
}

int tp_pool_get_status(struct tp_pool *pool, struct tp_pool_status *status)
{
	struct status_call ask = { .status = TP_POOL_STATUS_INIT };
	int r;

	if (!pool || !status)
		return tpi_error(-EINVAL, "no pool, or no status to fill in");
	r = tpi_call_ask(pool, &ask.call, status_step);

	return r ? r
		 : tpi_give_struct(status, &ask.status, sizeof(ask.status),
				   "pool status");
}

/*---------------------------- listing thins --------------------------------*/

/* Thins are told of a batch at a time, so that the host's function runs on no
 * thread of ours. */
#define BATCH 64u

struct list_call {
	struct tpi_call call;
	uint64_t next_id;
	unsigned nr;
	bool end;
	struct tp_thin_info infos[BATCH];
};

/* For a thin that is open, or was changed, the tree of details is behind. */
static void fill_info(struct tp_pool *pool, uint64_t id,
		      const struct tpi_details *details,
		      struct tp_thin_info *info)
{
	struct tpi_thin_state *state = tpi_thin_find(pool, id);

	*info = (struct tp_thin_info)TP_THIN_INFO_INIT;
	tpi_thin_fill_info(pool, id, state ? &state->tree.details : details,
			   info);
	if (!state)
		return;
	info->changed = tpi_thin_is_changed(state);
	info->lost_writes = state->lost_writes;
}

static int fill_highest(struct tp_pool *pool, uint64_t id,
			struct tp_thin_info *info)
{
	struct tpi_thin_tree tree;
	tp_vblock highest;
	int r;

	r = tpi_metadata_open_tree(&pool->metadata, id, &tree);
	if (!r)
		r = tpi_metadata_previous_mapped(&pool->metadata, &tree,
						 UINT64_MAX, &highest);
	if (!r)
		info->highest_mapped_end = tpi_thin_block_end(pool, highest);

	return r == -ENODATA ? 0 : r;
}

static int list_one(struct tp_pool *pool, struct list_call *list)
{
	struct tp_thin_info *info = &list->infos[list->nr];
	struct tpi_details details;
	uint64_t id;
	int r;

	r = tpi_metadata_next_thin(&pool->metadata, list->next_id, &id,
				   &details);
	if (r == -ENODATA || (!r && id >= TP_THIN_ID_END)) {
		list->end = true;
		return 0;
	}
	if (r)
		return r;
	fill_info(pool, id, &details, info);
	r = fill_highest(pool, id, info);
	if (r)
		return r;
	list->nr++;
	list->next_id = id + 1;

	return 0;
}

static int list_step(struct tpi_call *call)
{
	struct list_call *list = tpi_container_of(call, struct list_call, call);
	struct tp_pool *pool = call->pool;
	int r = 0;

	if (pool->mode == TP_MODE_FAILED)
		return tpi_error(-EOPNOTSUPP, "the pool has failed");
	while (!r && !list->end && list->nr < BATCH)
		r = list_one(pool, list);

	return r;
}

static int tell(const struct list_call *list,
		int (*each)(const struct tp_thin_info *info, void *context),
		void *context)
{
	int r = 0;

	for (unsigned i = 0; i < list->nr && !r; i++)
		r = each(&list->infos[i], context);

	return r;
}

int tp_pool_list_thins(struct tp_pool *pool,
		       int (*each)(const struct tp_thin_info *info,
				   void *context),
		       void *context)
{
	struct list_call *list;
	int r = 0;

	if (!pool || !each)
		return tpi_error(-EINVAL, "no pool, or no function to call");
	list = calloc(1, sizeof(*list));
	if (!list)
		return tpi_error(-ENOMEM, "no memory to list thins");
	while (!r && !list->end) {
		uint64_t next_id = list->next_id;

		*list = (struct list_call){ .next_id = next_id };
		r = tpi_call_ask(pool, &list->call, list_step);
		if (!r)
			r = tell(list, each, context);
	}
	free(list);

	return r;
}
