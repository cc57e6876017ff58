/*
 * suspend.c - a pool that touches no device for a while, and goes on.
 *
 * Suspend: hold all bios, stop the clock, let those in flight end, commit, and
 * wait for whatever is still on its way to a device.  What was freed and not
 * passed down yet is not passed down: a discard is a hint.
 */
#include "pool/bio.h"
#include "pool/control.h"
#include "pool/event.h"
#include "pool/mode.h"

/*---------------------------- suspend --------------------------------------*/

enum suspend_stage { SUSPEND_DRAIN, SUSPEND_COMMIT, SUSPEND_QUIET };

struct suspend_call {
	struct tpi_call call;
	enum suspend_stage stage;
	bool begun;
	struct tpi_grace drained;
	struct tpi_commit_waiter committed;
	int error;
};

static void drained(struct tpi_grace *grace)
{
	struct suspend_call *suspend =
		tpi_container_of(grace, struct suspend_call, drained);

	suspend->stage = SUSPEND_COMMIT;
	tpi_call_continue(&suspend->call);
}

static void committed(struct tpi_commit_waiter *waiter, int error)
{
	struct suspend_call *suspend =
		tpi_container_of(waiter, struct suspend_call, committed);

	suspend->stage = SUSPEND_QUIET;
	if (!suspend->error)
		suspend->error = error;
	tpi_call_continue(&suspend->call);
}

static void begin(struct tp_pool *pool, struct suspend_call *suspend)
{
	suspend->begun = true;
	suspend->call.ignores_hold = false;
	tpi_gate_all(pool, TPI_GATE_ALL, 0);
	tpi_commit_stop_tick(pool);
	tpi_timer_cancel(&pool->no_space_timer);
	tpi_timer_cancel(&pool->thin_timer);
	tpi_epoch_wait(&pool->epoch, &suspend->drained, drained);
}

/* Changes stop last, for the preparations that were in flight make some. */
static int commit(struct tp_pool *pool, struct suspend_call *suspend)
{
	tpi_hold_changes(pool);
	suspend->call.ignores_hold = true;
	if (tpi_call_saw_loss(&suspend->call))
		suspend->error = -EIO;
	if (pool->mode == TP_MODE_FAILED) {
		suspend->stage = SUSPEND_QUIET;
		return 0;
	}
	suspend->committed.committed = committed;
	if (tpi_mode_can_commit(pool))
		tpi_commit_wait(pool, &suspend->committed);
	else
		tpi_flush_wait(pool, &suspend->committed);

	return -EINPROGRESS;
}

static int suspend_step(struct tpi_call *call)
{
	struct suspend_call *suspend =
		tpi_container_of(call, struct suspend_call, call);
	struct tp_pool *pool = call->pool;
	int r = 0;

	if (!suspend->begun && pool->nr_suspends++)
		return 0;
	if (!suspend->begun) {
		begin(pool, suspend);
		return -EINPROGRESS;
	}
	if (suspend->stage == SUSPEND_COMMIT)
		r = commit(pool, suspend);
	if (r)
		return r;
	if (!tpi_commit_is_quiet(pool) || tpi_flush_is_busy(pool)) {
		tpi_list_add_tail(&pool->quiet_waiters, &call->task.entry);
		return -EINPROGRESS;
	}

	return suspend->error;
}

int tp_pool_suspend(struct tp_pool *pool)
{
	struct suspend_call suspend = {
		/* The first step of a nested one has nothing to wait for. */
		.call = { .even_if_suspended = true,
			  .any_mode = true,
			  .no_commit = true,
			  .ignores_hold = true },
	};

	if (!pool)
		return tpi_error(-EINVAL, "no pool was given");

	return tpi_call_change(pool, &suspend.call, suspend_step);
}

/*---------------------------- resume ---------------------------------------*/

/* What may not change while the pool is open. */
#define FIXED_FLAGS                                                            \
	(TP_POOL_HOST_DRIVEN | TP_POOL_IGNORE_DISCARD |                        \
	 TP_POOL_METADATA_SNAPSHOT)

struct resume_call {
	struct tpi_call call;
	bool has_options;
	struct tp_pool_options options;
};

static int check_resume(const struct tp_pool *pool,
			const struct tp_pool_options *options)
{
	const struct tp_pool_options *now = &pool->options;

	if ((options->flags ^ now->flags) & FIXED_FLAGS)
		return tpi_error(-EINVAL,
				 "discard support, who drives the loop "
				 "and what is read are fixed when a "
				 "pool is opened");
	if (pool->read_only && !(options->flags & TP_POOL_READ_ONLY))
		return tpi_error(-EINVAL, "the pool's devices are claimed for "
					  "reading only: open it anew to "
					  "write");
	if (options->data_block_size &&
	    options->data_block_size != pool->block_bytes)
		return tpi_error(-EINVAL, "the data block size is fixed when a "
					  "pool is formatted");
	if (options->clock_ns != now->clock_ns ||
	    options->clock_context != now->clock_context ||
	    options->clock_wait != now->clock_wait ||
	    options->metadata_cache_bytes != now->metadata_cache_bytes ||
	    options->mapping_cache_bytes != now->mapping_cache_bytes)
		return tpi_error(-EINVAL, "the clock and the caches are fixed "
					  "when a pool is opened");

	return 0;
}

/* What is asked for, where that is possible.  A resume that asks for nothing
 * new is no way out of a want of space: that is more space (5.5). */
static void adopt_mode(struct tp_pool *pool, bool reconfigured)
{
	bool wants_write = !(pool->options.flags & TP_POOL_READ_ONLY);
	bool may_write = !pool->needs_check &&
			 pool->metadata.time <= TPI_TIME_MAX &&
			 pool->mode != TP_MODE_FAILED;

	if (!wants_write && pool->mode < TP_MODE_READ_ONLY)
		tpi_mode_set(pool, TP_MODE_READ_ONLY);
	if (wants_write && may_write &&
	    (reconfigured || pool->mode == TP_MODE_READ_ONLY))
		tpi_mode_set(pool, TP_MODE_WRITE);
}

/* Out of metadata space, data grows only after metadata; a pool that may not
 * change resumes, and does not grow (B-GROW-3, -4). */
static int grow(struct tp_pool *pool, bool larger)
{
	int r;

	if (larger && pool->mode >= TP_MODE_READ_ONLY)
		tpi_log(TP_LOG_WARNING,
			"a device has grown, and the pool does not: it is in "
			"mode '%s'",
			tp_pool_mode_name(pool->mode));
	if (pool->mode >= TP_MODE_READ_ONLY)
		return 0;
	r = tpi_grow_metadata_step(pool);
	if (!r && tpi_mode_can_commit(pool))
		r = tpi_grow_data_step(pool);

	return r;
}

static void go_on(struct tp_pool *pool)
{
	pool->nr_suspends = 0;
	pool->error_if_no_space = pool->options.flags &
				  TP_POOL_ERROR_IF_NO_SPACE;
	pool->low_water_triggered = false;
	tpi_release_changes(pool);
	tpi_gate_all(pool, 0, TPI_GATE_ALL);
	tpi_commit_start_tick(pool);
	tpi_space_resumed(pool);
	tpi_event_raise(pool, TP_EVENT_RESUME, pool->mode);
}

static int resume_step(struct tpi_call *call)
{
	struct resume_call *resume =
		tpi_container_of(call, struct resume_call, call);
	struct tp_pool *pool = call->pool;
	bool larger = false;
	int r = 0;

	if (!pool->nr_suspends)
		return tpi_error(-EINVAL, "the pool is not suspended");
	if (resume->has_options)
		r = check_resume(pool, &resume->options);
	if (!r && pool->nr_suspends == 1)
		r = tpi_grow_check(pool, &larger);
	if (r)
		return r;
	if (resume->has_options)
		pool->options = resume->options;
	if (pool->nr_suspends > 1) {
		pool->nr_suspends--;
		call->no_commit = true; /* no device is touched yet */
		return 0;
	}
	adopt_mode(pool, resume->has_options);
	r = grow(pool, larger);
	if (!r)
		go_on(pool);
	if (!r && !pool->metadata.changed)
		call->no_commit = true;

	return r;
}

int tp_pool_resume(struct tp_pool *pool, const struct tp_pool_options *options)
{
	struct resume_call resume = {
		.call = { .even_if_suspended = true,
			  .any_mode = true,
			  .ignores_hold = true },
		.has_options = options != NULL,
		.options = TP_POOL_OPTIONS_INIT,
	};
	int r;

	if (!pool)
		return tpi_error(-EINVAL, "no pool was given");
	r = tpi_take_options(&resume.options, sizeof(resume.options), options,
			     "pool options");
	if (!r && options)
		r = tpi_pool_options_check(&resume.options);

	return r ? r : tpi_call_change(pool, &resume.call, resume_step);
}
