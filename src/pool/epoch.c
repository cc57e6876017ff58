/*
 * epoch.c - see epoch.h.
 *
 * One turn of the parity serves all who wait when it is made.  Who comes later
 * waits for the next turn, which is made when this one is over: so a section of
 * the old parity is always older than everybody who waits for it.
 */
#include "pool/epoch.h"

#include "pool/bio.h"
#include "pool/queue.h"

/* Ports are looked at this often while somebody waits; whoever ends a bio looks
 * too, so this is only for hosts that do not reap. */
#define DRAIN_INTERVAL_NS 1000000u

void tpi_epoch_init(struct tpi_epoch *epoch, struct tp_pool *pool,
		    unsigned (*count)(struct tpi_epoch *epoch, unsigned parity))
{
	epoch->pool = pool;
	tpi_list_init(&epoch->draining);
	tpi_list_init(&epoch->waiting);
	tpi_list_init(&epoch->waiting_next);
	atomic_init(&epoch->parity, 0);
	epoch->count = count;
}

static bool is_draining(const struct tpi_epoch *epoch)
{
	return !tpi_list_empty(&epoch->draining);
}

static void turn(struct tpi_epoch *epoch)
{
	struct tp_pool *pool = epoch->pool;

	atomic_fetch_xor_explicit(&epoch->parity, 1, memory_order_acq_rel);
	tpi_list_splice(&epoch->waiting, &epoch->waiting_next);
	tpi_list_add_tail(&pool->draining_epochs, &epoch->draining);
	atomic_store_explicit(&pool->is_draining, true, memory_order_release);
	tpi_timer_set(&pool->loop, &pool->drain_timer, 0);
}

void tpi_epoch_wait(struct tpi_epoch *epoch, struct tpi_grace *grace,
		    void (*passed)(struct tpi_grace *grace))
{
	grace->passed = passed;
	tpi_list_add_tail(&epoch->waiting_next, &grace->entry);
	if (!is_draining(epoch))
		turn(epoch);
}

/* The old parity is gone from all ports. */
static void end_turn(struct tpi_epoch *epoch)
{
	struct tpi_list passed, *entry;

	tpi_list_del(&epoch->draining);
	tpi_list_init(&passed);
	tpi_list_splice(&passed, &epoch->waiting);
	if (!tpi_list_empty(&epoch->waiting_next))
		turn(epoch);

	/* What is called may drop the epoch's owner, so this comes last. */
	while ((entry = tpi_list_pop(&passed))) {
		struct tpi_grace *grace =
			tpi_container_of(entry, struct tpi_grace, entry);

		grace->passed(grace);
	}
}

/*
 * A poll may have withdrawn the signal that a host sleeps for; or it has taken
 * from the channel what was to end a sleep there that is only about to begin, and
 * so has to be prepared again.  False: something has ended meanwhile.
 */
static bool keep_promise(struct tpi_port *port)
{
	if (atomic_load(&port->queue->in_channel))
		return !tpi_channel_prepare_sleep(port->channel, NULL);

	return !atomic_load(&port->queue->armed) ||
	       !tpi_channel_arm(port->channel);
}

void tpi_ports_help(struct tp_pool *pool)
{
	struct tpi_list *entry, *following;

	pthread_mutex_lock(&pool->registry_lock);
	tpi_list_each(entry, following, &pool->ports)
	{
		struct tpi_port *port =
			tpi_container_of(entry, struct tpi_port, entry);
		bool ended, kept;

		if (!port->queue)
			continue;
		tpi_owner_lock_enter(&port->lock);
		tpi_channel_poll(port->channel, UINT32_MAX);
		tpi_loop_ready_all(&pool->loop, &port->relayed);
		kept = keep_promise(port);
		ended = port->ended || !kept;
		tpi_owner_lock_leave(&port->lock);
		if (ended)
			tpi_queue_notify(port->queue);
	}
	pthread_mutex_unlock(&pool->registry_lock);
}

unsigned tpi_epochs_check(struct tp_pool *pool)
{
	struct tpi_list *entry, *following, now;
	unsigned nr = 0;

	if (tpi_list_empty(&pool->draining_epochs))
		return 0;
	tpi_ports_help(pool);
	tpi_list_init(&now);
	tpi_list_splice(&now, &pool->draining_epochs);
	tpi_list_each(entry, following, &now)
	{
		struct tpi_epoch *epoch =
			tpi_container_of(entry, struct tpi_epoch, draining);

		if (epoch->count(epoch, !tpi_epoch_parity(epoch)))
			continue;
		end_turn(epoch);
		nr++;
	}
	tpi_list_splice(&pool->draining_epochs, &now);
	if (tpi_list_empty(&pool->draining_epochs))
		atomic_store_explicit(&pool->is_draining, false,
				      memory_order_release);
	else
		tpi_timer_set(&pool->loop, &pool->drain_timer,
			      tpi_loop_now(&pool->loop) + DRAIN_INTERVAL_NS);

	return nr;
}
