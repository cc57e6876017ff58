/*
 * call.c - see call.h.
 */
#include "pool/call.h"

#include <stdio.h>

#include "pool/mode.h"

/*---------------------------- on the loop ----------------------------------*/

static void next_call(struct tp_pool *pool)
{
	if (!tpi_list_empty(&pool->calls))
		tpi_call_continue(tpi_container_of(pool->calls.next,
						   struct tpi_call, entry));
}

/* The caller may be gone as soon as it can know: nothing of the call is looked
 * at after that. */
static void finish(struct tpi_call *call, int result)
{
	struct tp_pool *pool = call->pool;
	bool changing = call->changing;
	sem_t *wake = call->wake;

	call->result = result;
	if (result < 0)
		snprintf(call->sentence, sizeof(call->sentence), "%s",
			 tp_last_error());
	if (result < 0 && call->undo)
		call->undo(call);
	if (changing)
		tpi_list_del(&call->entry);
	atomic_store(&call->done, true);
	if (wake)
		sem_post(wake);
	if (changing)
		next_call(pool);
}

static void committed(struct tpi_commit_waiter *waiter, int error)
{
	finish(tpi_container_of(waiter, struct tpi_call, waiter), error);
}

bool tpi_call_saw_failed_flush(const struct tpi_call *call)
{
	return atomic_load(&call->pool->nr_failed_flushes) !=
	       call->nr_failed_flushes;
}

bool tpi_call_saw_loss(const struct tpi_call *call)
{
	return tpi_call_saw_failed_flush(call) ||
	       atomic_load(&call->pool->nr_rollbacks) != call->nr_rollbacks;
}

static int refuse(const struct tpi_call *call)
{
	struct tp_pool *pool = call->pool;

	if (!call->changing)
		return 0;
	if (pool->nr_suspends && !call->even_if_suspended)
		return tpi_error(-EBUSY, "the pool is suspended");
	if (!call->any_mode && pool->mode > TP_MODE_OUT_OF_DATA_SPACE)
		return tpi_error(-EOPNOTSUPP,
				 "the pool is in mode '%s', in which nothing "
				 "may be changed",
				 tp_pool_mode_name(pool->mode));
	if (!call->even_if_suspended && tpi_call_saw_failed_flush(call))
		return tpi_error(-EIO, "the data device failed to flush");

	return 0;
}

static void step(struct tpi_call *call)
{
	struct tp_pool *pool = call->pool;
	bool suspended = call->changing && !call->even_if_suspended &&
			 pool->nr_suspends;
	int r;

	/* While suspended all changes are held, and refused: so do not wait. */
	if (!suspended &&
	    tpi_is_held(pool, call->changing && !call->ignores_hold,
			&call->task))
		return;
	r = refuse(call);
	if (!r)
		r = call->step(call);
	tpi_abort_if_failed(pool);
	if (r == -EAGAIN)
		tpi_loop_await_block(&pool->loop, &call->task);
	else if (!r && call->changing && !call->no_commit)
		tpi_commit_wait(pool, &call->waiter);
	else if (r != -EINPROGRESS)
		finish(call, r);
}

static void run(struct tpi_task *task)
{
	step(tpi_container_of(task, struct tpi_call, task));
}

/* Only the first in line goes on. */
static void start(struct tpi_task *task)
{
	struct tpi_call *call = tpi_container_of(task, struct tpi_call, task);
	struct tp_pool *pool = call->pool;

	task->run = run;
	if (call->changing) {
		tpi_list_add_tail(&pool->calls, &call->entry);
		if (pool->calls.next != &call->entry)
			return;
	}
	step(call);
}

void tpi_call_continue(struct tpi_call *call)
{
	tpi_loop_ready(&call->pool->loop, &call->task);
}

/*---------------------------- in the caller's thread -----------------------*/

static void wait_asleep(struct tpi_call *call)
{
	sem_t wake;

	sem_init(&wake, 0, 0);
	call->wake = &wake;
	tpi_loop_post(&call->pool->loop, &call->task);
	while (sem_wait(&wake) < 0 && errno == EINTR)
		;
	sem_destroy(&wake);
}

static void wait_running(struct tpi_call *call)
{
	tpi_loop_post(&call->pool->loop, &call->task);
	tpi_loop_run_until(&call->pool->loop, &call->done);
}

static int carry_out(struct tp_pool *pool, struct tpi_call *call,
		     int (*step_fn)(struct tpi_call *call))
{
	if (tpi_hook_is_here(pool))
		return tpi_error(-EDEADLK,
				 "a pre-commit hook cannot wait for the pool");
	tpi_task_init(&call->task, start);
	tpi_list_init(&call->entry);
	call->pool = pool;
	call->nr_failed_flushes = atomic_load(&pool->nr_failed_flushes);
	call->nr_rollbacks = atomic_load(&pool->nr_rollbacks);
	call->step = step_fn;
	call->waiter.committed = committed;
	if (pool->host_driven || tpi_loop_is_here(&pool->loop))
		wait_running(call);
	else
		wait_asleep(call);
	if (call->result < 0)
		tpi_set_last_error(call->sentence);

	return call->result;
}

int tpi_call_ask(struct tp_pool *pool, struct tpi_call *call,
		 int (*step_fn)(struct tpi_call *call))
{
	call->changing = false;

	return carry_out(pool, call, step_fn);
}

int tpi_call_change(struct tp_pool *pool, struct tpi_call *call,
		    int (*step_fn)(struct tpi_call *call))
{
	call->changing = true;

	return carry_out(pool, call, step_fn);
}
