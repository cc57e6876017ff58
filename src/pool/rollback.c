/*
 * rollback.c - giving up a transaction (B-ABORT).
 *
 *	hold	no bio is let through, no change made, until it is over
 *	wait	for the writes of a commit that are under way, and for its hook
 *	load	all state anew from T(c), whose superblock is in memory; so it
 *		does not matter which superblock a failed write left behind
 *	mark	write that superblock again, with needs_check, durably
 *	go on	read-only; or failed, if loading or marking did not work
 *
 * Until T(c)'s superblock is durable again, T(f) may be what is on disk; so
 * nothing that either uses is touched before (B-ABORT-9).  Afterwards nothing
 * is allocated any more.
 */
#include <stdlib.h>
#include <string.h>

#include "pool/mode.h"

enum rollback_stage {
	ROLLBACK_IDLE,
	ROLLBACK_WAIT,
	ROLLBACK_LOAD,
	ROLLBACK_MARK,
};

struct tpi_rollback {
	struct tp_pool *pool;
	struct tpi_task task;
	enum rollback_stage stage;
	struct tpi_timer retry;
	unsigned nr_retries;
	struct tp_device_request request;
	struct iovec iov;
};

/* Without memory loading is tried again so often. */
#define RETRIES_MAX 5u
#define RETRY_NS 20000000u

static void load(struct tpi_task *task);
static void retry(struct tpi_timer *timer);

int tpi_rollback_init(struct tp_pool *pool)
{
	struct tpi_rollback *rollback = calloc(1, sizeof(*rollback));

	if (!rollback)
		return -ENOMEM;
	rollback->pool = pool;
	tpi_task_init(&rollback->task, load);
	tpi_timer_init(&rollback->retry, retry);
	pool->rollback = rollback;

	return 0;
}

void tpi_rollback_exit(struct tp_pool *pool)
{
	free(pool->rollback);
}

/* A thin whose acknowledged changes go is marked (B-ABORT-5). */
static void mark_lost(struct tpi_thin_state *state, void *context)
{
	(void)context;
	if (tpi_thin_is_changed(state))
		state->lost_writes = true;
}

void tpi_abort(struct tp_pool *pool)
{
	if (pool->aborting || pool->mode == TP_MODE_FAILED)
		return;
	tpi_log(TP_LOG_ERROR, "a transaction is given up: rolling back to the "
			      "last one that is durable");
	pool->aborting = true;
	pool->generation++;
	pool->rollback->stage = ROLLBACK_WAIT;
	tpi_gate_all(pool, TPI_GATE_ALL, 0);
	tpi_quiet_look(pool);
}

/*---------------------------- the end --------------------------------------*/

static void finish(struct tpi_rollback *rollback, int error)
{
	struct tp_pool *pool = rollback->pool;

	rollback->stage = ROLLBACK_IDLE;
	rollback->nr_retries = 0;
	if (error) {
		tpi_error(error,
			  "the pool could not be rolled back (%s): it "
			  "has failed",
			  tp_strerror(error));
		atomic_store(&pool->failed, true);
	} else {
		pool->needs_check = true;
	}
	pool->aborting = false;
	atomic_fetch_add(&pool->nr_rollbacks, 1);
	pool->commit.stage = TPI_COMMIT_IDLE;
	pool->commit.wanted = pool->commit.held = false;
	tpi_mode_set(pool, error ? TP_MODE_FAILED : TP_MODE_READ_ONLY);
	tpi_commit_fail_waiters(pool, -EIO);
	tpi_flushes_after_commit(pool);
	tpi_space_end_waiting(pool, NULL, NULL, -EIO);
	tpi_deletion_reset(pool);
	tpi_loop_ready_all(&pool->loop, &pool->change_waiters);
	if (!pool->nr_suspends || error)
		tpi_gate_all(pool, 0, TPI_GATE_ALL);
}

static void marked(struct tp_device_request *request, int status)
{
	finish(tpi_container_of(request, struct tpi_rollback, request), status);
}

static void mark(struct tpi_rollback *rollback)
{
	struct tp_pool *pool = rollback->pool;
	struct tpi_disk_superblock *sb = &pool->metadata.superblock;

	rollback->stage = ROLLBACK_MARK;
	sb->header.flags = le32_make(le32_get(sb->header.flags) |
				     TPI_SUPERBLOCK_NEEDS_CHECK);
	memcpy(pool->commit.superblock, sb, TPI_MBLOCK_BYTES);
	tpi_seal(&tpi_superblock_validator, 0, pool->commit.superblock);
	rollback->iov.iov_base = pool->commit.superblock;
	rollback->iov.iov_len = TPI_MBLOCK_BYTES;
	rollback->request = (struct tp_device_request){
		.op = TP_WRITE,
		.flags = TP_FUA,
		.length = TPI_MBLOCK_BYTES,
		.iov = &rollback->iov,
		.iovcnt = 1,
		.done = marked,
	};
	tpi_channel_submit(pool->metadata_channel, &rollback->request);
}

/*---------------------------- loading --------------------------------------*/

struct reload {
	struct tp_pool *pool;
	int error;
};

/* All that is known of a thin is of T(r) until it is read again (B-THIN-7). */
static void reload_thin(struct tpi_thin_state *state, void *context)
{
	struct reload *reload = context;
	int r;

	if (reload->error)
		return;
	tpi_thin_state_restore(state);
	r = tpi_metadata_open_tree(&reload->pool->metadata, state->tree.id,
				   &state->tree);
	if (r == -ENODATA && tpi_list_empty(&state->handles)) {
		tpi_thin_state_free(state);
		return;
	}
	if (!r)
		r = tpi_metadata_heed_time(&reload->pool->metadata,
					   &state->tree);
	if (!r)
		tpi_thin_publish(state);
	reload->error = r;
}

static void retry(struct tpi_timer *timer)
{
	struct tpi_rollback *rollback =
		tpi_container_of(timer, struct tpi_rollback, retry);

	load(&rollback->task);
}

/* From the beginning; false: it was in vain often enough. */
static bool load_again(struct tpi_rollback *rollback)
{
	struct tp_pool *pool = rollback->pool;

	if (rollback->nr_retries == RETRIES_MAX)
		return false;
	rollback->nr_retries++;
	tpi_metadata_unload(&pool->metadata);
	tpi_timer_set(&pool->loop, &rollback->retry,
		      tpi_loop_now(&pool->loop) + RETRY_NS);

	return true;
}

static void load(struct tpi_task *task)
{
	struct tpi_rollback *rollback =
		tpi_container_of(task, struct tpi_rollback, task);
	struct tp_pool *pool = rollback->pool;
	struct reload reload = { .pool = pool };
	int r;

	r = tpi_metadata_load(&pool->metadata, &pool->metadata.superblock);
	if (!r) {
		tpi_thins_each(pool, reload_thin, &reload);
		r = reload.error;
	}
	if (r == -EAGAIN)
		tpi_loop_await_block(&pool->loop, task);
	else if (r == -ENOMEM && load_again(rollback))
		return;
	else if (r)
		finish(rollback, r);
	else
		mark(rollback);
}

/* Tasks that wait for blocks find the gate, or are held; their blocks would
 * never arrive. */
static void start_loading(struct tpi_rollback *rollback)
{
	struct tp_pool *pool = rollback->pool;

	rollback->stage = ROLLBACK_LOAD;
	tpi_thins_each(pool, mark_lost, NULL);
	tpi_settle_drop_all(pool);
	tpi_metadata_unload(&pool->metadata);
	tpi_cache_clear(pool->cache);
	tpi_cache_set_reserve(pool->cache, 0);
	tpi_mapping_cache_clear(pool->mapping_cache);
	tpi_loop_ready_all(&pool->loop, &pool->loop.reading);
	tpi_loop_ready(&pool->loop, &rollback->task);
}

void tpi_quiet_look(struct tp_pool *pool)
{
	struct tpi_rollback *rollback = pool->rollback;

	tpi_loop_ready_all(&pool->loop, &pool->quiet_waiters);
	if (rollback->stage != ROLLBACK_WAIT || !tpi_commit_is_quiet(pool))
		return;
	start_loading(rollback);
}
