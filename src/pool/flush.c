/*
 * flush.c - flushes that hosts ask for (B-FLUSH), and what is known of writes
 * that are not durable yet.
 *
 * A thin that has changed needs a commit, which flushes the data device itself;
 * any other only a flush of the data device, which all who ask while one is
 * under way share.  A flush that comes while a transaction that the thin is in
 * is on its way waits for that to end, and then looks again: it must not be
 * credited to it (B-FLUSH-4).
 *
 * A data flush that failed is never made good by one that succeeds later: the
 * device may have dropped what it could not write.  So it is kept of each thin
 * whether writes have ended since a flush that ended well began, and a failure
 * marks all of those (B-FLUSH-10), and the ones in flight as soon as they end
 * well: the device may have ended them before.  For the same reason a
 * transaction that it was not asked for, but whose new blocks it may have lost,
 * is given up (F-06); and two flushes that are under way together, a commit's
 * and one that was asked for, end together, and fail together: what one of them
 * has dropped the other reports as flushed, and which of them the device ended
 * first is not known.
 */
#include <stdlib.h>

#include "pool/bio.h"
#include "pool/mode.h"

struct flight {
	bool under_way, ended;
	int error;
};

struct tpi_flushes {
	struct tp_pool *pool;
	struct tp_device_request request; /* of those asked for, */
	struct tpi_relay relay;           /* by bios */
	struct flight flights[TPI_NR_FLUSH_KINDS];

	/* For the next flush, and for the one under way. */
	struct tpi_list bios, waiters;
	struct tpi_list flushing_bios, flushing_waiters;

	/* Bios that look again when the transaction on its way has ended. */
	struct tpi_list after_commit;
};

int tpi_flushes_init(struct tp_pool *pool)
{
	struct tpi_flushes *flushes = calloc(1, sizeof(*flushes));

	if (!flushes)
		return -ENOMEM;
	flushes->pool = pool;
	tpi_list_init(&flushes->bios);
	tpi_list_init(&flushes->waiters);
	tpi_list_init(&flushes->flushing_bios);
	tpi_list_init(&flushes->flushing_waiters);
	tpi_list_init(&flushes->after_commit);
	pool->flushes = flushes;

	return 0;
}

void tpi_flushes_exit(struct tp_pool *pool)
{
	free(pool->flushes);
}

/*---------------------------- writes that are not durable ------------------*/

static void mark_lost(struct tpi_thin_state *state)
{
	state->lost_writes = true;
	tpi_thin_publish(state);
}

/* Take the marks that the ports have set, and what they have counted. */
static void collect_handle(struct tpi_thin_state *state,
			   const struct tp_thin *thin, bool *lost)
{
	struct tp_pool *pool = state->pool;
	struct tpi_list *entry, *following;

	tpi_list_each(entry, following, &pool->ports)
	{
		struct tpi_port *port =
			tpi_container_of(entry, struct tpi_port, entry);
		struct tpi_thin_section *section;

		tpi_owner_lock_enter(&port->lock);
		section = tpi_port_find_section(port, thin->slot);
		if (section) {
			state->wrote |= section->wrote;
			*lost |= section->lost;
			section->wrote = section->lost = false;
			tpi_statistics_move(&state->statistics,
					    &section->statistics);
		}
		tpi_owner_lock_leave(&port->lock);
	}
}

void tpi_thin_collect(struct tpi_thin_state *state)
{
	struct tp_pool *pool = state->pool;
	struct tpi_list *entry, *following;
	bool lost = false;

	pthread_mutex_lock(&pool->registry_lock);
	tpi_list_each(entry, following, &state->handles)
	{
		const struct tp_thin *thin =
			tpi_container_of(entry, struct tp_thin, entry);

		collect_handle(state, thin, &lost);
	}
	pthread_mutex_unlock(&pool->registry_lock);
	if (lost)
		mark_lost(state);
}

static void begin_for(struct tpi_thin_state *state, void *context)
{
	(void)context;
	tpi_thin_collect(state);
	state->wrote_before_flush |= state->wrote;
	state->wrote = false;
}

void tpi_flush_began(struct tp_pool *pool, enum tpi_flush_kind kind)
{
	pool->flushes->flights[kind] = (struct flight){ .under_way = true };
	tpi_thins_each(pool, begin_for, NULL);
}

static void succeed_for(struct tpi_thin_state *state, void *context)
{
	(void)context;
	state->wrote_before_flush = false;
}

static void fail_for(struct tpi_thin_state *state, void *context)
{
	(void)context;
	tpi_thin_collect(state);
	if (state->wrote || state->wrote_before_flush)
		mark_lost(state);
}

static void end_asked_for(struct tp_pool *pool, int error);

static bool all_have_ended(const struct tpi_flushes *flushes)
{
	for (unsigned i = 0; i < TPI_NR_FLUSH_KINDS; i++)
		if (flushes->flights[i].under_way && !flushes->flights[i].ended)
			return false;

	return true;
}

static int common_error(const struct tpi_flushes *flushes)
{
	for (unsigned i = 0; i < TPI_NR_FLUSH_KINDS; i++)
		if (flushes->flights[i].under_way && flushes->flights[i].error)
			return flushes->flights[i].error;

	return 0;
}

/* The asked-for one stays under way until those who asked know. */
static void end_flights(struct tp_pool *pool, int error)
{
	struct flight *flights = pool->flushes->flights;

	if (error)
		atomic_fetch_add(&pool->nr_failed_flushes, 1);
	tpi_thins_each(pool, error ? fail_for : succeed_for, NULL);
	if (flights[TPI_FLUSH_OF_COMMIT].under_way) {
		flights[TPI_FLUSH_OF_COMMIT].under_way = false;
		tpi_commit_data_flushed(pool, error);
	}
	if (flights[TPI_FLUSH_ASKED_FOR].under_way)
		end_asked_for(pool, error);
}

void tpi_flush_ended(struct tp_pool *pool, enum tpi_flush_kind kind, int error)
{
	struct tpi_flushes *flushes = pool->flushes;

	flushes->flights[kind].ended = true;
	flushes->flights[kind].error = error;
	if (all_have_ended(flushes))
		end_flights(pool, common_error(flushes));
}

static void ask_whether_needed(struct tpi_thin_state *state, void *context)
{
	bool *needed = context;

	tpi_thin_collect(state);
	*needed |= state->wrote || state->wrote_before_flush;
}

bool tpi_flush_is_needed(struct tp_pool *pool)
{
	bool needed = false;

	tpi_thins_each(pool, ask_whether_needed, &needed);

	return needed;
}

/*---------------------------- flushes of the data device -------------------*/

static void start(struct tpi_flushes *flushes);

static void tell(struct tpi_list *waiters, int error)
{
	struct tpi_list *entry;

	while ((entry = tpi_list_pop(waiters))) {
		struct tpi_commit_waiter *waiter = tpi_container_of(
			entry, struct tpi_commit_waiter, entry);

		waiter->committed(waiter, error);
	}
}

static void end_batch(struct tpi_flushes *flushes, int error)
{
	struct tp_pool_statistics *statistics = &flushes->pool->statistics;
	struct tpi_list *entry;

	statistics->nr_data_flushes += !error;
	while ((entry = tpi_list_pop(&flushes->flushing_bios))) {
		statistics->nr_flushed_flushes += !error;
		tpi_bio_flushed(tpi_bio_of_task(entry), error);
	}
	tell(&flushes->flushing_waiters, error);
}

/*
 * The device may have dropped what a block that is not committed yet was filled
 * with; mapped all the same, it would show what somebody else had left there.
 * Nor may calls be told that all is durable, if they asked before it failed.
 * Blocks still in preparation, and calls on their way, find out by the count.
 */
static void give_up_unflushed(struct tpi_flushes *flushes, int error)
{
	tell(&flushes->waiters, error);
	tpi_commit_data_lost(flushes->pool, error);
}

static void end_asked_for(struct tp_pool *pool, int error)
{
	if (error)
		tpi_error(error, "the data device failed to flush: %s",
			  tp_strerror(error));
	end_batch(pool->flushes, error);
	pool->flushes->flights[TPI_FLUSH_ASKED_FOR].under_way = false;
	if (error)
		give_up_unflushed(pool->flushes, error);
	start(pool->flushes);
	tpi_quiet_look(pool);
}

static void flushed(struct tp_device_request *request, int status)
{
	struct tpi_flushes *flushes =
		tpi_container_of(request, struct tpi_flushes, request);

	tpi_flush_ended(flushes->pool, TPI_FLUSH_ASKED_FOR, status);
}

static void relay_flushed(struct tpi_relay *relay, int status)
{
	struct tpi_flushes *flushes =
		tpi_container_of(relay, struct tpi_flushes, relay);

	tpi_flush_ended(flushes->pool, TPI_FLUSH_ASKED_FOR, status);
}

/* If a bio waits for it, whoever waits for that hears of its end first. */
static void submit(struct tpi_flushes *flushes)
{
	if (tpi_list_empty(&flushes->flushing_bios)) {
		flushes->request = (struct tp_device_request){
			.op = TP_FLUSH,
			.done = flushed,
		};
		tpi_channel_submit(flushes->pool->port.channel,
				   &flushes->request);
		return;
	}
	flushes->relay = (struct tpi_relay){
		.request.op = TP_FLUSH,
		.done = relay_flushed,
	};
	tpi_port_relay(tpi_bio_of_task(flushes->flushing_bios.next),
		       &flushes->relay);
}

static void start(struct tpi_flushes *flushes)
{
	struct tp_pool *pool = flushes->pool;

	if (tpi_flush_is_busy(pool) || (tpi_list_empty(&flushes->bios) &&
					tpi_list_empty(&flushes->waiters)))
		return;
	tpi_list_splice(&flushes->flushing_bios, &flushes->bios);
	tpi_list_splice(&flushes->flushing_waiters, &flushes->waiters);
	tpi_flush_began(pool, TPI_FLUSH_ASKED_FOR);
	submit(flushes);
}

void tpi_flush_wait(struct tp_pool *pool, struct tpi_commit_waiter *waiter)
{
	tpi_list_add_tail(&pool->flushes->waiters, &waiter->entry);
	start(pool->flushes);
}

bool tpi_flush_is_busy(const struct tp_pool *pool)
{
	return pool->flushes->flights[TPI_FLUSH_ASKED_FOR].under_way;
}

/*---------------------------- bios -----------------------------------------*/

static void wait_for_commit(struct tp_pool *pool, struct tp_bio *bio)
{
	struct tpi_thin_state *state = tpi_bio(bio)->thin->state;

	if (!tpi_mode_can_commit(pool))
		tpi_bio_flushed(bio, -EIO);
	else if (state->tree.last_change == pool->metadata.transaction)
		tpi_commit_wait_bio(pool, bio);
	else
		tpi_bio_park(bio, &pool->flushes->after_commit);
}

/* The bio's task while it waits for a flush: look, perhaps again. */
static void look(struct tpi_task *task)
{
	struct tp_bio *bio = tpi_bio_of_task(&task->entry);
	struct tpi_thin_state *state = tpi_bio(bio)->thin->state;
	struct tp_pool *pool = state->pool;
	unsigned gate =
		atomic_load_explicit(&state->gate, memory_order_relaxed);

	if (gate & TPI_GATE_ALL) {
		tpi_bio_park(bio, &state->held);
		return;
	}
	if (pool->mode == TP_MODE_FAILED || state->lost_writes) {
		tpi_bio_flushed(bio, -EIO);
	} else if (tpi_thin_is_changed(state)) {
		wait_for_commit(pool, bio);
	} else {
		tpi_bio_park(bio, &pool->flushes->bios);
		start(pool->flushes);
	}
}

void tpi_flush_bio(struct tp_bio *bio)
{
	struct tpi_task *task = &tpi_bio(bio)->task;

	task->run = look;
	look(task);
}

void tpi_flushes_after_commit(struct tp_pool *pool)
{
	tpi_loop_ready_all(&pool->loop, &pool->flushes->after_commit);
}
