/*
 * port.c - see port.h.
 */
#include "pool/port.h"

#include <stdlib.h>

#include "pool/bio.h"
#include "pool/queue.h"

/*---------------------------- life -----------------------------------------*/

static int make_spares(struct tpi_port *port, unsigned nr)
{
	port->spare_memory = calloc(nr, sizeof(*port->spare_memory));
	if (!port->spare_memory)
		return -ENOMEM;
	for (unsigned i = 0; i < nr; i++) {
		port->spare_memory[i].next = port->spares;
		port->spares = &port->spare_memory[i];
	}
	port->nr_spares = nr;

	return 0;
}

int tpi_port_init(struct tpi_port *port, struct tp_pool *pool,
		  struct tp_queue *queue, int event_fd, unsigned nr_spares)
{
	int r;

	tpi_owner_lock_init(&port->lock, queue != NULL);
	port->pool = pool;
	port->queue = queue;
	port->ended_tail = &port->ended;
	tpi_list_init(&port->entry);
	tpi_list_init(&port->waiting);
	tpi_list_init(&port->relayed);
	tpi_list_init(&port->unkicked);
	r = tpi_channel_open(pool->data_device, event_fd, pool->host_driven,
			     &port->channel);
	if (!r)
		r = make_spares(port, nr_spares);

	return r;
}

void tpi_port_exit(struct tpi_port *port)
{
	for (unsigned i = 0; i < TPI_SECTION_CHUNKS; i++)
		free(port->chunks[i]);
	tpi_channel_close(port->channel);
	free(port->spare_memory);
	tpi_owner_lock_exit(&port->lock);
}

/*---------------------------- sections -------------------------------------*/

struct tpi_thin_section *tpi_port_find_section(const struct tpi_port *port,
					       unsigned slot)
{
	struct tpi_thin_section *chunk =
		port->chunks[slot / TPI_SECTIONS_PER_CHUNK];

	return chunk ? &chunk[slot % TPI_SECTIONS_PER_CHUNK] : NULL;
}

struct tpi_thin_section *tpi_port_section(struct tpi_port *port,
					  const struct tp_thin *thin)
{
	struct tpi_thin_section **chunk =
		&port->chunks[thin->slot / TPI_SECTIONS_PER_CHUNK];

	if (!*chunk)
		*chunk = calloc(TPI_SECTIONS_PER_CHUNK, sizeof(**chunk));

	return *chunk ? &(*chunk)[thin->slot % TPI_SECTIONS_PER_CHUNK] : NULL;
}

/*---------------------------- fragments ------------------------------------*/

static void put_fragment(struct tpi_port *port, struct tpi_fragment *fragment)
{
	struct tpi_spare_fragment *spare;

	if (fragment->embedded) {
		fragment->bio = NULL;
		return;
	}
	spare = tpi_container_of(fragment, struct tpi_spare_fragment, fragment);
	spare->next = port->spares;
	port->spares = spare;
	port->nr_spares++;
	if (!port->queue)
		tpi_loop_ready_all(&port->pool->loop, &port->waiting);
}

/* If a flush failed meanwhile, this write may have been in the device's cache
 * by then, and dropped with it: nobody can tell. */
static void note_write(struct tpi_fragment *fragment)
{
	struct tp_pool *pool = fragment->port->pool;

	fragment->section->wrote = true;
	if (fragment->nr_failed_flushes !=
	    atomic_load_explicit(&pool->nr_failed_flushes,
				 memory_order_relaxed))
		fragment->section->lost = true;
}

static void fragment_done(struct tp_device_request *request, int status)
{
	struct tpi_fragment *fragment =
		tpi_container_of(request, struct tpi_fragment, request);
	struct tpi_port *port = fragment->port;
	struct tp_bio *bio = fragment->bio;

	if (bio->op != TP_READ && !status)
		note_write(fragment);
	tpi_port_leave(port, fragment->section, fragment->pool_parity,
		       fragment->thin_parity);
	put_fragment(port, fragment);
	tpi_bio_part_ended(bio, port, status);
}

static struct tpi_fragment *take_spare(struct tpi_port *port)
{
	struct tpi_spare_fragment *spare = port->spares;

	if (!spare)
		return NULL;
	port->spares = spare->next;
	port->nr_spares--;
	spare->fragment.embedded = false;

	return &spare->fragment;
}

/* The bio's own fragment, if it is free; it has no room for an iovec. */
static struct tpi_fragment *take_embedded(struct tp_bio *bio)
{
	struct tpi_fragment *fragment = &tpi_bio(bio)->fragment;

	if (fragment->bio)
		return NULL;
	fragment->embedded = true;

	return fragment;
}

static uint64_t fill_from_iovec(struct tpi_fragment *fragment,
				const struct tp_bio *bio, uint64_t from,
				uint64_t to)
{
	struct tpi_spare_fragment *spare;

	if (fragment->embedded) {
		fragment->request.iov = bio->iov;
		fragment->request.iovcnt = bio->iovcnt;
		return to - from;
	}
	spare = tpi_container_of(fragment, struct tpi_spare_fragment, fragment);
	fragment->request.iov = spare->iov;

	return tpi_iov_slice(bio->iov, bio->iovcnt, from - bio->offset,
			     to - from, spare->iov, TPI_FRAGMENT_IOVECS,
			     &fragment->request.iovcnt);
}

/* Not the rooms of device and channel, which are theirs to fill. */
static void init_request(struct tpi_fragment *fragment,
			 const struct tp_bio *bio, uint64_t offset)
{
	struct tp_device_request *request = &fragment->request;

	request->op = bio->op;
	request->flags = tpi_const_bio(bio)->device_flags;
	request->offset = offset;
	request->iov = NULL;
	request->iovcnt = 0;
	request->done = fragment_done;
}

uint64_t tpi_port_send(struct tpi_port *port, struct tpi_channel *channel,
		       struct tp_bio *bio, struct tpi_thin_section *section,
		       uint64_t from, uint64_t to, uint64_t offset)
{
	bool has_data = bio->op == TP_READ || bio->op == TP_WRITE;
	bool whole = from == bio->offset && to == bio->offset + bio->length;
	struct tpi_fragment *fragment = NULL;

	if (whole || !has_data)
		fragment = take_embedded(bio);
	if (!fragment)
		fragment = take_spare(port);
	if (!fragment)
		return 0;

	fragment->bio = bio;
	fragment->port = port;
	fragment->section = section;
	fragment->nr_failed_flushes = atomic_load_explicit(
		&port->pool->nr_failed_flushes, memory_order_relaxed);
	init_request(fragment, bio, offset);
	fragment->request.length =
		has_data ? fill_from_iovec(fragment, bio, from, to) : to - from;
	tpi_port_enter(port, tpi_bio(bio)->thin, section, bio->op != TP_READ,
		       &fragment->pool_parity, &fragment->thin_parity);
	tpi_bio(bio)->nr_parts++;
	tpi_channel_submit(channel, &fragment->request);

	return fragment->request.length;
}

/*---------------------------- relays ---------------------------------------*/

/* Hosts are expected to reap sooner. */
#define RELAY_HELP_NS 10000000u

static void relay_run(struct tpi_task *task)
{
	struct tpi_relay *relay =
		tpi_container_of(task, struct tpi_relay, task);

	relay->port->pool->nr_relayed--;
	relay->done(relay, relay->status);
}

/* Whoever polls a queue's port holds its lock, and hands over what is here. */
static void relay_ended(struct tp_device_request *request, int status)
{
	struct tpi_relay *relay =
		tpi_container_of(request, struct tpi_relay, request);
	struct tpi_port *port = relay->port;

	relay->status = status;
	if (port->queue)
		tpi_list_add_tail(&port->relayed, &relay->task.entry);
	else
		relay_run(&relay->task);
}

void tpi_loop_relay(struct tp_pool *pool, struct tpi_channel *channel,
		    struct tpi_relay *relay)
{
	tpi_task_init(&relay->task, relay_run);
	relay->port = &pool->port;
	relay->request.done = relay_ended;
	pool->nr_relayed++;
	tpi_channel_submit(channel, &relay->request);
}

static void relay_by_queue(struct tpi_port *port, struct tpi_relay *relay)
{
	struct tp_pool *pool = port->pool;
	bool plugged;

	tpi_task_init(&relay->task, relay_run);
	relay->port = port;
	relay->request.done = relay_ended;
	pool->nr_relayed++;
	tpi_owner_lock_enter(&port->lock);
	tpi_channel_submit(port->channel, &relay->request);
	plugged = port->plugged;
	tpi_owner_lock_leave(&port->lock);
	if (!plugged && tpi_list_empty(&port->unkicked))
		tpi_list_add_tail(&pool->unkicked_ports, &port->unkicked);
	if (tpi_list_empty(&pool->relay_timer.entry))
		tpi_timer_set(&pool->loop, &pool->relay_timer,
			      tpi_loop_now(&pool->loop) + RELAY_HELP_NS);
}

/* With many bios in flight two threads do more than one. */
#define RELAY_BIOS_MAX 4u

static bool is_waited_for(const struct tp_bio *bio)
{
	const struct tpi_bio *room = tpi_const_bio(bio);

	return !room->thin->pool->host_driven &&
	       tpi_channel_can_sleep(room->queue->port.channel) &&
	       atomic_load_explicit(&room->section->nr_unreaped,
				    memory_order_relaxed) <= RELAY_BIOS_MAX;
}

void tpi_port_relay(struct tp_bio *bio, struct tpi_relay *relay)
{
	struct tp_pool *pool = tpi_bio(bio)->thin->pool;
	struct tpi_port *port = &tpi_bio(bio)->queue->port;

	if (is_waited_for(bio))
		relay_by_queue(port, relay);
	else
		tpi_loop_relay(pool, pool->port.channel, relay);
}

void tpi_relays_kick(struct tp_pool *pool)
{
	struct tpi_list *entry;

	while ((entry = tpi_list_pop(&pool->unkicked_ports))) {
		struct tpi_port *port =
			tpi_container_of(entry, struct tpi_port, unkicked);

		tpi_owner_lock_enter(&port->lock);
		tpi_channel_kick(port->channel);
		tpi_owner_lock_leave(&port->lock);
	}
}

void tpi_relays_help(struct tpi_timer *timer)
{
	struct tp_pool *pool =
		tpi_container_of(timer, struct tp_pool, relay_timer);

	if (!pool->nr_relayed)
		return;
	tpi_ports_help(pool);
	tpi_timer_set(&pool->loop, timer,
		      tpi_loop_now(&pool->loop) + RELAY_HELP_NS);
}
