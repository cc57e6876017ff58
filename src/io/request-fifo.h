/*
 * request-fifo.h - requests in the order they came, linked through the room
 * that a device has in them.  Each may carry the status it ended with.
 *
 * No lock: the owner has one if two threads use it.
 */
#ifndef TPI_IO_REQUEST_FIFO_H
#define TPI_IO_REQUEST_FIFO_H

#include <thinpool/device.h>

#include "io/base.h"

/* What of device_room a fifo uses; the rest is free. */
enum {
	TPI_ROOM_NEXT,
	TPI_ROOM_STATUS,
	TPI_ROOM_FREE,
};

struct tpi_request_fifo {
	struct tp_device_request *first, *last;
	unsigned nr;
};

static inline bool tpi_fifo_empty(const struct tpi_request_fifo *fifo)
{
	return !fifo->nr;
}

static inline void tpi_fifo_push(struct tpi_request_fifo *fifo,
				 struct tp_device_request *request, int status)
{
	request->device_room[TPI_ROOM_NEXT] = NULL;
	request->device_room[TPI_ROOM_STATUS] = (void *)(intptr_t)status;
	if (fifo->nr++)
		fifo->last->device_room[TPI_ROOM_NEXT] = request;
	else
		fifo->first = request;
	fifo->last = request;
}

/* NULL if there is none. */
static inline struct tp_device_request *
tpi_fifo_pop(struct tpi_request_fifo *fifo)
{
	struct tp_device_request *request = fifo->first;

	if (!fifo->nr)
		return NULL;
	fifo->first = request->device_room[TPI_ROOM_NEXT];
	fifo->nr--;

	return request;
}

/* Of a request that was popped. */
static inline int tpi_fifo_status(const struct tp_device_request *request)
{
	return (int)(intptr_t)request->device_room[TPI_ROOM_STATUS];
}

/* Everything of @from to the end of @to. */
static inline void tpi_fifo_splice(struct tpi_request_fifo *to,
				   struct tpi_request_fifo *from)
{
	if (tpi_fifo_empty(from))
		return;
	if (to->nr)
		to->last->device_room[TPI_ROOM_NEXT] = from->first;
	else
		to->first = from->first;
	to->last = from->last;
	to->nr += from->nr;
	*from = (struct tpi_request_fifo){ 0 };
}

/*
 * Call done() for the first @max of those that are here now; how many.  What
 * done() adds waits for the next time, so this ends.
 */
static inline unsigned tpi_fifo_deliver(struct tpi_request_fifo *fifo,
					unsigned max)
{
	unsigned nr = (unsigned)tpi_min(fifo->nr, max);

	for (unsigned i = 0; i < nr; i++) {
		struct tp_device_request *request = tpi_fifo_pop(fifo);

		request->done(request, tpi_fifo_status(request));
	}

	return nr;
}

#endif
