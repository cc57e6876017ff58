/*
 * event.h - events for the host: kept until the top of the run loop, where the
 * handler may call anything (B-EVT-3).
 */
#ifndef TPI_POOL_EVENT_H
#define TPI_POOL_EVENT_H

#include "pool/pool.h"

/* The state that it tells of is visible already (B-EVT-2). */
void tpi_event_raise(struct tp_pool *pool, enum tp_event_kind kind,
		     enum tp_pool_mode old_mode);

/* Call the handler; how many times. */
unsigned tpi_events_deliver(struct tp_pool *pool);

void tpi_events_drop(struct tp_pool *pool);

#endif
