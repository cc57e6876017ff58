/*
 * event.c - see event.h.
 */
#include "pool/event.h"

#include <stdlib.h>

#include "pool/call.h"

static void put_event(struct tp_pool *pool, struct tpi_event *event)
{
	struct tpi_event *spare = &pool->spare_events[event->event.kind];

	if (event != spare)
		free(event);
}

static void queue_event(struct tp_pool *pool, struct tpi_event *event,
			enum tp_event_kind kind, enum tp_pool_mode old_mode)
{
	event->event.struct_size = sizeof(event->event);
	event->event.kind = kind;
	event->event.old_mode = old_mode;
	event->event.mode = pool->mode;
	tpi_list_add_tail(&pool->events, &event->entry);
}

/* Each kind has one that takes no memory.  If it is on its way already, it goes
 * on to tell of both: of all that changed since the host was last told. */
static void raise_spare(struct tp_pool *pool, enum tp_event_kind kind,
			enum tp_pool_mode old_mode)
{
	struct tpi_event *spare = &pool->spare_events[kind];

	if (!tpi_list_empty(&spare->entry))
		spare->event.mode = pool->mode;
	else
		queue_event(pool, spare, kind, old_mode);
}

void tpi_event_raise(struct tp_pool *pool, enum tp_event_kind kind,
		     enum tp_pool_mode old_mode)
{
	struct tpi_event *event;

	if (!pool->event_handler)
		return;
	event = calloc(1, sizeof(*event));
	if (event)
		queue_event(pool, event, kind, old_mode);
	else
		raise_spare(pool, kind, old_mode);
}

/* The handler may run the loop from within, and so come back here: each event
 * is taken off, and its memory given back, before it is told. */
unsigned tpi_events_deliver(struct tp_pool *pool)
{
	struct tpi_list *entry;
	unsigned nr = 0;

	while ((entry = tpi_list_pop(&pool->events))) {
		struct tpi_event *taken =
			tpi_container_of(entry, struct tpi_event, entry);
		struct tp_event event = taken->event;
		bool nested = pool->in_event_handler;

		put_event(pool, taken);
		pool->in_event_handler = true;
		if (pool->event_handler)
			pool->event_handler(pool->event_context, &event);
		pool->in_event_handler = nested;
		nr++;
	}

	return nr;
}

void tpi_events_drop(struct tp_pool *pool)
{
	struct tpi_list *entry;

	while ((entry = tpi_list_pop(&pool->events)))
		put_event(pool,
			  tpi_container_of(entry, struct tpi_event, entry));
}

struct set_handler {
	struct tpi_call call;
	tp_event_fn handler;
	void *context;
};

static int set_handler(struct tpi_call *call)
{
	struct set_handler *set =
		tpi_container_of(call, struct set_handler, call);
	struct tp_pool *pool = call->pool;

	pool->event_handler = set->handler;
	pool->event_context = set->context;
	if (!set->handler)
		tpi_events_drop(pool);

	return 0;
}

int tp_pool_set_event_handler(struct tp_pool *pool, tp_event_fn handler,
			      void *context)
{
	struct set_handler set = { .handler = handler, .context = context };

	if (!pool)
		return tpi_error(-EINVAL, "no pool was given");

	return tpi_call_ask(pool, &set.call, set_handler);
}
