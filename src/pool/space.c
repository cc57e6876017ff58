/*
 * space.c - running out of data space, and of metadata space (B-OODS, B-META,
 * B-LWM).
 *
 * A bio that finds no free block waits here.  What was freed before it came and
 * is not settled yet may still help, so a commit is asked for and waited out
 * before the pool says that it is out of space (B-OODS-1).  From then on bios
 * wait, or end when that is waited out too, as the host chose for the pool or for
 * the handle, until blocks are freed or the time is up.
 */
#include "pool/bio.h"
#include "pool/event.h"
#include "pool/mode.h"
#include "pool/queue.h"

static void time_is_up(struct tpi_timer *timer);
static void time_of_thins_is_up(struct tpi_timer *timer);

void tpi_space_init(struct tp_pool *pool)
{
	tpi_list_init(&pool->no_space);
	tpi_timer_init(&pool->no_space_timer, time_is_up);
	tpi_timer_init(&pool->thin_timer, time_of_thins_is_up);
}

void tpi_space_end_waiting(struct tp_pool *pool, const struct tp_thin *thin,
			   const struct tp_queue *queue, int error)
{
	struct tpi_list *entry, *following;

	tpi_list_each(entry, following, &pool->no_space)
	{
		struct tp_bio *bio = tpi_bio_of_task(entry);

		if (!tpi_bio_belongs(bio, thin, queue))
			continue;
		tpi_list_del(entry);
		tpi_bio_fail(bio, error);
	}
}

/*---------------------------- what is on its way ---------------------------*/

/* Whatever was freed before the bio came is settled, or nothing was.  What is
 * being emptied counts as freed. */
static bool has_been_awaited(const struct tp_pool *pool, struct tpi_bio *room)
{
	const struct tpi_metadata *md = &pool->metadata;

	if (tpi_deletion_goes_on(pool)) {
		room->space_awaited = 0;
		return false;
	}
	if (!room->space_awaited)
		room->space_awaited = md->changed ? md->transaction
						  : md->transaction - 1;

	return pool->commit.settled >= room->space_awaited &&
	       !tpi_settle_is_passing_down(pool) && !tpi_trim_is_busy(pool);
}

static void settle_what_was_freed(struct tp_pool *pool)
{
	if (pool->metadata.changed)
		tpi_commit_want(pool);
}

/*---------------------------- who may wait ---------------------------------*/

/* Of a handle with a time of its own: up to when its writes wait. */
static uint64_t deadline(const struct tp_pool *pool, const struct tp_thin *thin)
{
	uint32_t ms = thin->no_space_timeout_ms
			      ? thin->no_space_timeout_ms
			      : pool->options.no_space_timeout_ms;

	if (ms == TP_NEVER)
		return UINT64_MAX;

	return pool->out_of_space_since + (uint64_t)ms * 1000000u;
}

/* A blocking call in a host-driven pool would wait for its own caller. */
static bool would_wait_for_itself(const struct tp_pool *pool,
				  const struct tpi_bio *room)
{
	return pool->host_driven && room->queue->internal;
}

/* The pool is out of space. */
static bool may_wait(struct tp_pool *pool, const struct tp_thin *thin)
{
	switch (thin->no_space) {
	case TP_NO_SPACE_QUEUE:
		return tpi_loop_now(&pool->loop) < deadline(pool, thin);
	case TP_NO_SPACE_ERROR:
		return false;
	default:
		return !pool->error_if_no_space;
	}
}

/* It rings at the first deadline of a handle whose writes wait. */
static void set_thin_timer(struct tp_pool *pool, const struct tp_thin *thin)
{
	struct tpi_timer *timer = &pool->thin_timer;
	uint64_t when = deadline(pool, thin);

	if (thin->no_space != TP_NO_SPACE_QUEUE || when == UINT64_MAX)
		return;
	if (tpi_list_empty(&timer->entry) || when < timer->when_ns)
		tpi_timer_set(&pool->loop, timer, when);
}

/* The pool is out of space: true if the bio waits on. */
static bool waits_on(struct tp_pool *pool, struct tpi_bio *room)
{
	if (room->thin->closing)
		return false;
	if (may_wait(pool, room->thin) && !would_wait_for_itself(pool, room)) {
		set_thin_timer(pool, room->thin);
		return true;
	}
	if (has_been_awaited(pool, room))
		return false;
	settle_what_was_freed(pool);

	return true;
}

static void end_those_who_may_not_wait(struct tp_pool *pool)
{
	struct tpi_list *entry, *following;

	tpi_list_each(entry, following, &pool->no_space)
	{
		struct tp_bio *bio = tpi_bio_of_task(entry);

		if (waits_on(pool, tpi_bio(bio)))
			continue;
		tpi_list_del(entry);
		tpi_bio_fail(bio, -ENOSPC);
	}
}

static void time_of_thins_is_up(struct tpi_timer *timer)
{
	struct tp_pool *pool =
		tpi_container_of(timer, struct tp_pool, thin_timer);

	if (pool->mode == TP_MODE_OUT_OF_DATA_SPACE)
		end_those_who_may_not_wait(pool);
}

/*---------------------------- out of data space ----------------------------*/

static void time_is_up(struct tpi_timer *timer)
{
	struct tp_pool *pool =
		tpi_container_of(timer, struct tp_pool, no_space_timer);

	if (pool->mode != TP_MODE_OUT_OF_DATA_SPACE)
		return;
	tpi_log(TP_LOG_WARNING, "no data space for too long: writes that wait "
				"for it end, and later ones fail at once");
	pool->error_if_no_space = true;
	tpi_event_raise(pool, TP_EVENT_NO_SPACE_TIMEOUT, pool->mode);
	end_those_who_may_not_wait(pool);
}

static void start_timer(struct tp_pool *pool)
{
	uint32_t ms = pool->options.no_space_timeout_ms;

	pool->out_of_space_since = tpi_loop_now(&pool->loop);
	if (pool->error_if_no_space || ms == TP_NEVER)
		return;
	tpi_timer_set(&pool->loop, &pool->no_space_timer,
		      tpi_loop_now(&pool->loop) + (uint64_t)ms * 1000000u);
}

/* Those who may wait go through tpi_space_wait() once more. */
static void enter(struct tp_pool *pool)
{
	tpi_mode_set(pool, TP_MODE_OUT_OF_DATA_SPACE);
	start_timer(pool);
	tpi_loop_ready_all(&pool->loop, &pool->no_space);
}

/* The policy that the host asked for is in force again (B-OODS-6). */
static void leave(struct tp_pool *pool)
{
	if (pool->mode != TP_MODE_OUT_OF_DATA_SPACE)
		return;
	pool->error_if_no_space = pool->options.flags &
				  TP_POOL_ERROR_IF_NO_SPACE;
	tpi_mode_set(pool, TP_MODE_WRITE);
}

/* There are free blocks. */
static void go_on(struct tp_pool *pool)
{
	struct tpi_list *entry, *following;

	leave(pool);
	tpi_list_each(entry, following, &pool->no_space)
	{
		tpi_bio(tpi_bio_of_task(entry))->space_awaited = 0;
	}
	tpi_loop_ready_all(&pool->loop, &pool->no_space);
}

/* The first came before the others. */
static bool first_has_been_awaited(const struct tp_pool *pool)
{
	return has_been_awaited(pool,
				tpi_bio(tpi_bio_of_task(pool->no_space.next)));
}

void tpi_space_look(struct tp_pool *pool)
{
	bool wanted = !tpi_list_empty(&pool->no_space) ||
		      pool->mode == TP_MODE_OUT_OF_DATA_SPACE;

	if (!wanted || pool->aborting || pool->mode > TP_MODE_OUT_OF_DATA_SPACE)
		return;
	if (tpi_data_sm_nr_free(pool->metadata.data_sm))
		go_on(pool);
	else if (pool->mode == TP_MODE_OUT_OF_DATA_SPACE)
		end_those_who_may_not_wait(pool);
	else if (first_has_been_awaited(pool))
		enter(pool);
	else
		settle_what_was_freed(pool);
}

void tpi_space_wait(struct tp_pool *pool, struct tp_bio *bio)
{
	if (pool->mode == TP_MODE_OUT_OF_DATA_SPACE &&
	    !waits_on(pool, tpi_bio(bio))) {
		tpi_bio_fail(bio, -ENOSPC);
		return;
	}
	tpi_bio_park(bio, &pool->no_space);
	if (pool->mode != TP_MODE_OUT_OF_DATA_SPACE ||
	    tpi_data_sm_nr_free(pool->metadata.data_sm))
		tpi_space_look(pool);
}

/*---------------------------- low water ------------------------------------*/

/* @nr_taken: of the blocks taken last, those that still count as free. */
static void look_at_data(struct tp_pool *pool, unsigned nr_taken)
{
	uint64_t nr_free = tpi_data_sm_nr_free(pool->metadata.data_sm) +
			   pool->nr_trimming + nr_taken;

	if (pool->low_water_triggered ||
	    nr_free > pool->options.low_water_blocks)
		return;
	pool->low_water_triggered = true;
	tpi_event_raise(pool, TP_EVENT_LOW_WATER, pool->mode);
}

static void look_at_metadata(struct tp_pool *pool)
{
	const struct tpi_metadata *md = &pool->metadata;
	bool low = tpi_metadata_sm_nr_free(md->metadata_sm) <=
		   tpi_metadata_low_water(md);

	if (low && !pool->low_metadata_triggered)
		tpi_event_raise(pool, TP_EVENT_LOW_METADATA, pool->mode);
	pool->low_metadata_triggered = low;
}

void tpi_space_take(struct tp_pool *pool)
{
	look_at_data(pool, 0);
	look_at_metadata(pool);

	/* Commit early, so as to stay out of the reserve (B-META-3). */
	if (!tpi_metadata_nr_free(&pool->metadata))
		tpi_commit_want(pool);
}

void tpi_space_taken(struct tp_pool *pool)
{
	look_at_data(pool, 1);
}

bool tpi_space_await_metadata(struct tp_pool *pool, struct tpi_task *task)
{
	if (!tpi_mode_can_commit(pool))
		return false;
	if (pool->metadata.changed || tpi_commit_is_busy(&pool->commit)) {
		tpi_list_add_tail(&pool->change_waiters, &task->entry);
		tpi_commit_want(pool);
		return true;
	}
	tpi_mode_set(pool, TP_MODE_OUT_OF_METADATA_SPACE);

	return false;
}

void tpi_space_committed(struct tp_pool *pool)
{
	look_at_metadata(pool);
	if (!tpi_metadata_nr_free(&pool->metadata) &&
	    pool->mode <= TP_MODE_OUT_OF_DATA_SPACE)
		tpi_mode_set(pool, TP_MODE_OUT_OF_METADATA_SPACE);
	tpi_space_look(pool);
}

void tpi_space_resumed(struct tp_pool *pool)
{
	if (pool->mode == TP_MODE_OUT_OF_DATA_SPACE)
		start_timer(pool);
	tpi_loop_ready_all(&pool->loop, &pool->no_space);
	tpi_space_look(pool);
}
