/*
 * commit.c - the pipeline of commit.h.
 *
 * What is on the devices at each step:
 *
 *	before the superblock is written	T(c): nothing it uses was touched
 *	while it is written			T(c) or T(f), whole
 *	after its flush				T(f), now T(c)
 *
 * Data first: the hook, by default a flush of the data device, has succeeded
 * before the superblock is written (B-PRE-1), and it began after the
 * transaction was closed, so it covers the content of every mapping in it: a
 * mapping is made only when its content has been written.
 *
 * An error at any step gives up the transaction and the one that is running
 * (rollback.c).
 */
#include "pool/commit.h"

#include <stdlib.h>
#include <string.h>

#include "pool/bio.h"
#include "pool/mode.h"

/* Without memory closing is tried again so often, and the transaction given up
 * if that does not help. */
#define RETRIES_MAX 5u
#define RETRY_NS 20000000u

static void pump(struct tpi_task *task);
static void tick(struct tpi_timer *timer);
static void retry(struct tpi_timer *timer);

int tpi_commit_init(struct tp_pool *pool)
{
	struct tpi_commit *commit = &pool->commit;

	tpi_task_init(&commit->task, pump);
	tpi_timer_init(&commit->tick, tick);
	tpi_timer_init(&commit->retry, retry);
	tpi_list_init(&commit->waiters);
	tpi_list_init(&commit->bios);
	tpi_list_init(&commit->committing_waiters);
	tpi_list_init(&commit->committing_bios);
	tpi_list_init(&commit->settlements);
	commit->spare_settlement = calloc(1, sizeof(*commit->spare_settlement));
	if (!commit->spare_settlement)
		return -ENOMEM;
	if (posix_memalign(&commit->superblock, TPI_MBLOCK_BYTES,
			   TPI_MBLOCK_BYTES))
		return -ENOMEM;
	commit->iov.iov_base = commit->superblock;
	commit->iov.iov_len = TPI_MBLOCK_BYTES;

	return 0;
}

void tpi_commit_exit(struct tp_pool *pool)
{
	free(pool->commit.superblock);
	free(pool->commit.spare_settlement);
}

/*---------------------------- asking ---------------------------------------*/

static void go(struct tp_pool *pool)
{
	struct tpi_commit *commit = &pool->commit;

	commit->wanted = true;
	if (commit->stage == TPI_COMMIT_IDLE)
		tpi_loop_ready(&pool->loop, &commit->task);
}

void tpi_commit_want(struct tp_pool *pool)
{
	if (pool->metadata.changed && tpi_mode_can_commit(pool))
		go(pool);
}

void tpi_commit_wait(struct tp_pool *pool, struct tpi_commit_waiter *waiter)
{
	tpi_list_add_tail(&pool->commit.waiters, &waiter->entry);
	go(pool);
}

void tpi_commit_wait_bio(struct tp_pool *pool, struct tp_bio *bio)
{
	tpi_bio_park(bio, &pool->commit.bios);
	go(pool);
}

bool tpi_commit_is_quiet(const struct tp_pool *pool)
{
	return !tpi_commit_is_busy(&pool->commit) &&
	       !tpi_settle_is_passing_down(pool) && !tpi_trim_is_busy(pool);
}

/*---------------------------- the tick -------------------------------------*/

static uint64_t interval_ns(const struct tp_pool *pool)
{
	return (uint64_t)pool->options.commit_interval_ms * 1000000u;
}

/* Not more often than each interval, and not if nothing changed (B-COMMIT-1,
 * -4). */
static void tick(struct tpi_timer *timer)
{
	struct tpi_commit *commit =
		tpi_container_of(timer, struct tpi_commit, tick);
	struct tp_pool *pool = tpi_container_of(commit, struct tp_pool, commit);
	uint64_t now = tpi_loop_now(&pool->loop);

	if (now >= commit->last_ns + interval_ns(pool))
		tpi_commit_want(pool);
	tpi_timer_set(&pool->loop, timer, now + interval_ns(pool));
}

void tpi_commit_start_tick(struct tp_pool *pool)
{
	if (pool->read_only || pool->options.commit_interval_ms == TP_NEVER)
		return;
	tpi_timer_set(&pool->loop, &pool->commit.tick,
		      tpi_loop_now(&pool->loop) + interval_ns(pool));
}

void tpi_commit_stop_tick(struct tp_pool *pool)
{
	tpi_timer_cancel(&pool->commit.tick);
}

/*---------------------------- the end --------------------------------------*/

static void tell(struct tpi_list *waiters, struct tpi_list *bios, int error)
{
	struct tpi_list *entry;

	while ((entry = tpi_list_pop(bios)))
		tpi_bio_flushed(tpi_bio_of_task(entry), error);
	while ((entry = tpi_list_pop(waiters))) {
		struct tpi_commit_waiter *waiter = tpi_container_of(
			entry, struct tpi_commit_waiter, entry);

		waiter->committed(waiter, error);
	}
}

void tpi_commit_fail_waiters(struct tp_pool *pool, int error)
{
	struct tpi_commit *commit = &pool->commit;

	tell(&commit->committing_waiters, &commit->committing_bios, error);
	tell(&commit->waiters, &commit->bios, error);
}

static void look_for_more(struct tp_pool *pool)
{
	struct tpi_commit *commit = &pool->commit;

	tpi_flushes_after_commit(pool);
	tpi_loop_ready_all(&pool->loop, &pool->change_waiters);
	if (commit->wanted || !tpi_list_empty(&commit->waiters) ||
	    !tpi_list_empty(&commit->bios))
		go(pool);
}

static void end(struct tp_pool *pool, int error)
{
	struct tpi_commit *commit = &pool->commit;

	commit->stage = TPI_COMMIT_IDLE;
	tell(&commit->committing_waiters, &commit->committing_bios, error);
	look_for_more(pool);
	tpi_quiet_look(pool);
}

/* The transaction is given up; its waiters are told by the rollback, when it
 * is known what is on the device.  A rollback may have begun already, and wait
 * for this commit to end. */
static void give_up(struct tp_pool *pool, int error)
{
	tpi_error(error, "a commit failed: %s", tp_strerror(error));
	pool->commit.stage = TPI_COMMIT_IDLE;
	tpi_abort(pool);
	tpi_quiet_look(pool);
}

/* Of a latency, in tp_pool_statistics. */
static unsigned bucket_of(uint64_t ns)
{
	unsigned bucket = 0;

	for (uint64_t us = ns / 1000; us > 1; us /= 2)
		bucket++;

	return tpi_min(bucket, TP_LATENCY_BUCKETS - 1);
}

static void count(struct tp_pool *pool)
{
	struct tp_pool_statistics *statistics = &pool->statistics;
	struct tpi_commit *commit = &pool->commit;
	struct tpi_list *entry, *following;

	atomic_fetch_add_explicit(&commit->nr_commits, 1, memory_order_relaxed);
	commit->last_ns = tpi_loop_now(&pool->loop);
	statistics->commit_latency[bucket_of(commit->last_ns -
					     commit->begun_ns)]++;
	tpi_list_each(entry, following, &commit->committing_bios)
		statistics->nr_committed_flushes++;
}

static void durable(struct tp_pool *pool)
{
	tpi_metadata_committed(&pool->metadata);
	atomic_store_explicit(&pool->committed, pool->metadata.committed,
			      memory_order_release);
	count(pool);
	tpi_settle_durable(pool, pool->metadata.committed);
	tpi_thins_sweep(pool);
	tpi_space_committed(pool);
	end(pool, 0);
}

/*---------------------------- the superblock -------------------------------*/

static void submit(struct tp_pool *pool, enum tp_op op,
		   void (*done)(struct tp_device_request *request, int status))
{
	struct tpi_commit *commit = &pool->commit;

	commit->request = (struct tp_device_request){
		.op = op,
		.done = done,
	};
	if (op == TP_WRITE) {
		commit->request.flags = TP_FUA;
		commit->request.length = TPI_MBLOCK_BYTES;
		commit->request.iov = &commit->iov;
		commit->request.iovcnt = 1;
	}
	tpi_channel_submit(pool->metadata_channel, &commit->request);
}

static struct tp_pool *pool_of(struct tp_device_request *request)
{
	struct tpi_commit *commit =
		tpi_container_of(request, struct tpi_commit, request);

	return tpi_container_of(commit, struct tp_pool, commit);
}

static void switched(struct tp_device_request *request, int status)
{
	struct tp_pool *pool = pool_of(request);

	if (status)
		give_up(pool, status);
	else
		durable(pool);
}

/* FUA: written and flushed, where the device has no FUA of its own. */
static void metadata_flushed(struct tp_device_request *request, int status)
{
	struct tp_pool *pool = pool_of(request);
	struct tpi_commit *commit = &pool->commit;

	if (status) {
		give_up(pool, status);
		return;
	}
	commit->stage = TPI_COMMIT_SWITCH;
	memcpy(commit->superblock, &pool->metadata.frozen, TPI_MBLOCK_BYTES);
	tpi_seal(&tpi_superblock_validator, 0, commit->superblock);
	submit(pool, TP_WRITE, switched);
}

/*---------------------------- data and metadata ----------------------------*/

static void part_written(struct tp_pool *pool, int error)
{
	struct tpi_commit *commit = &pool->commit;

	if (error && !commit->error)
		commit->error = error;
	if (--commit->nr_pending)
		return;
	if (commit->error) {
		give_up(pool, commit->error);
		return;
	}
	commit->stage = TPI_COMMIT_FLUSH;
	submit(pool, TP_FLUSH, metadata_flushed);
}

static void metadata_written(void *context, int error)
{
	part_written(context, error);
}

void tpi_commit_data_flushed(struct tp_pool *pool, int error)
{
	part_written(pool, error);
}

/* The rollback begins at once, and waits for what is under way. */
void tpi_commit_data_lost(struct tp_pool *pool, int error)
{
	struct tpi_commit *commit = &pool->commit;
	bool is_writing = commit->stage == TPI_COMMIT_WRITE;

	if (is_writing && !commit->error)
		commit->error = error;
	if (is_writing || pool->metadata.changed)
		tpi_abort(pool);
	else
		tell(&commit->waiters, &commit->bios, error);
}

static void write_out(struct tp_pool *pool)
{
	struct tpi_commit *commit = &pool->commit;

	commit->stage = TPI_COMMIT_WRITE;
	commit->error = 0;
	commit->begun_ns = tpi_loop_now(&pool->loop);

	/* One more, so that it cannot end while it is being started.  The hook
	 * may run inline, beside what is already on its way. */
	commit->nr_pending = 3;
	tpi_cache_write_frozen(pool->cache, metadata_written, pool);
	tpi_flush_began(pool, TPI_FLUSH_OF_COMMIT);
	tpi_hook_run(pool);
	part_written(pool, 0);
}

/*---------------------------- closing --------------------------------------*/

static void retry(struct tpi_timer *timer)
{
	struct tpi_commit *commit =
		tpi_container_of(timer, struct tpi_commit, retry);

	pump(&commit->task);
}

/* Nothing is half done, so what is missing may come: true if it is waited for.
 */
static bool await_memory(struct tp_pool *pool)
{
	struct tpi_commit *commit = &pool->commit;

	if (tpi_metadata_failed(&pool->metadata) ||
	    commit->nr_retries == RETRIES_MAX)
		return false;
	commit->nr_retries++;
	tpi_timer_set(&pool->loop, &commit->retry,
		      tpi_loop_now(&pool->loop) + RETRY_NS);

	return true;
}

static void take_waiters(struct tpi_commit *commit)
{
	tpi_list_splice(&commit->committing_waiters, &commit->waiters);
	tpi_list_splice(&commit->committing_bios, &commit->bios);
	commit->wanted = false;
}

static int close_transaction(struct tp_pool *pool)
{
	struct tpi_settlement *settlement;
	int r;

	r = tpi_settle_begin(pool, &settlement);
	if (r)
		return r;
	r = tpi_metadata_close(&pool->metadata);
	if (r) {
		tpi_settle_cancel(settlement);
		return r;
	}
	tpi_settle_closed(pool, settlement);

	return 0;
}

static void data_flushed(struct tpi_commit_waiter *waiter, int error)
{
	struct tpi_commit *commit =
		tpi_container_of(waiter, struct tpi_commit, data_flush);

	end(tpi_container_of(commit, struct tp_pool, commit), error);
}

/* Nothing has changed: what was written is flushed even so (B-POOL-11), if
 * anybody asked. */
static void flush_data_only(struct tp_pool *pool)
{
	struct tpi_commit *commit = &pool->commit;

	take_waiters(commit);
	if (tpi_list_empty(&commit->committing_waiters) &&
	    tpi_list_empty(&commit->committing_bios)) {
		commit->stage = TPI_COMMIT_IDLE;
		return;
	}
	commit->stage = TPI_COMMIT_DATA_ONLY;
	commit->data_flush.committed = data_flushed;
	tpi_flush_wait(pool, &commit->data_flush);
}

/* Read what closing will touch, then close, in one step. */
static void pump(struct tpi_task *task)
{
	struct tpi_commit *commit =
		tpi_container_of(task, struct tpi_commit, task);
	struct tp_pool *pool = tpi_container_of(commit, struct tp_pool, commit);
	int r;

	if (tpi_loop_leave_to_thread(&pool->loop, task))
		return;
	if (tpi_commit_is_busy(commit) || pool->aborting)
		return;
	if (commit->held) {
		/* Whoever holds it will ask for it: that begins anew. */
		commit->stage = TPI_COMMIT_IDLE;
		return;
	}
	if (!tpi_mode_can_commit(pool)) {
		commit->wanted = false;
		commit->stage = TPI_COMMIT_IDLE;
		tpi_commit_fail_waiters(pool, -EIO);
		return;
	}
	if (!pool->metadata.changed) {
		flush_data_only(pool);
		return;
	}
	commit->stage = TPI_COMMIT_PREPARE;
	r = tpi_metadata_prepare_close(&pool->metadata);
	if (r == -EAGAIN) {
		tpi_loop_await_block(&pool->loop, task);
		return;
	}
	if (!r)
		r = close_transaction(pool);
	if (r == -ENOMEM && await_memory(pool))
		return;
	commit->nr_retries = 0;
	take_waiters(commit);
	if (r)
		give_up(pool, r);
	else
		write_out(pool);
}
