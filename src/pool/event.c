/*
 * event.c - see event.h.
 */
#include "pool/event.h"

#include <stdlib.h>

#include "pool/call.h"

struct event {
	struct tpi_list entry;
	struct tp_event event;
};

void tpi_event_raise(struct tp_pool *pool, enum tp_event_kind kind,
		     enum tp_pool_mode old_mode)
{
	struct event *event;

	if (!pool->event_handler)
		return;
	event = calloc(1, sizeof(*event));
	if (!event) {
		tpi_log(TP_LOG_ERROR,
			"no memory: an event of the pool is lost");
		return;
	}
	event->event.struct_size = sizeof(event->event);
	event->event.kind = kind;
	event->event.old_mode = old_mode;
	event->event.mode = pool->mode;
	tpi_list_add_tail(&pool->events, &event->entry);
}

/* The handler may run the loop from within, and so come back here: each event
 * is taken off before it is told. */
unsigned tpi_events_deliver(struct tp_pool *pool)
{
	struct tpi_list *entry;
	unsigned nr = 0;

	while ((entry = tpi_list_pop(&pool->events))) {
		struct event *event =
			tpi_container_of(entry, struct event, entry);
		bool nested = pool->in_event_handler;

		pool->in_event_handler = true;
		if (pool->event_handler)
			pool->event_handler(pool->event_context, &event->event);
		pool->in_event_handler = nested;
		free(event);
		nr++;
	}

	return nr;
}

void tpi_events_drop(struct tp_pool *pool)
{
	struct tpi_list *entry;

	while ((entry = tpi_list_pop(&pool->events)))
		free(tpi_container_of(entry, struct event, entry));
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
