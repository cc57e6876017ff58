/*
 * queue.h - the host's queues, inside.
 */
#ifndef TPI_POOL_QUEUE_H
#define TPI_POOL_QUEUE_H

#include "pool/pool.h"

struct tp_queue {
	struct tpi_list entry; /* in pool->idle_queues, if a helper's */
	struct tp_pool *pool;
	struct tpi_port port;
	int event_fd;
	unsigned depth;

	/* The owner's. */
	unsigned nr_unreaped;
	bool in_end_io;
	bool plugged;
	bool kicks_later;      /* there is something to be started together */
	bool helps_later;      /* end_ios submitted what goes by the loop */
	bool watched;          /* a signal was asked for, and may have come */
	bool internal;         /* of a blocking helper: not counted as open */
	struct tp_bio *reaped; /* taken from the port, to be told of */

	/* Bios that ended on the run loop, last first. */
	_Atomic(struct tpi_bio *) ended;

	/* Somebody may sleep on event_fd. */
	_Atomic bool armed;

	/* Somebody sleeps on the channel, or is about to. */
	_Atomic bool in_channel;
};

int tpi_queue_create(struct tp_pool *pool, unsigned depth, bool internal,
		     struct tp_queue **queue);
void tpi_queue_free(struct tp_queue *queue);

/* Submit without asking whether the handle may: for the pool's own. */
int tpi_queue_submit(struct tp_queue *queue, struct tp_thin *thin,
		     struct tp_bio *bio);

/* Wait until nothing is in flight; for blocking helpers. */
void tpi_queue_drain(struct tp_queue *queue);

#endif
