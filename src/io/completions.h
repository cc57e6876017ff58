/*
 * completions.h - where threads of a device leave the requests that they have
 * ended, for the channel's owner to poll.
 *
 * poll and arm are those of tp_device_async_ops, and the owner's.
 */
#ifndef TPI_IO_COMPLETIONS_H
#define TPI_IO_COMPLETIONS_H

#include <pthread.h>

#include "io/request-fifo.h"

struct tpi_completions {
	int event_fd;

	/* The owner's: ended, for poll to tell. */
	struct tpi_request_fifo reaped;

	pthread_mutex_t lock;          /* the two below */
	struct tpi_request_fifo ended; /* by other threads */
	bool armed;
};

void tpi_completions_init(struct tpi_completions *completions, int event_fd);
void tpi_completions_exit(struct tpi_completions *completions);

/* From any thread.  The owner may have the request, and free the channel, as
 * soon as this has returned; not before. */
void tpi_completions_add(struct tpi_completions *completions,
			 struct tp_device_request *request, int status);

unsigned tpi_completions_poll(struct tpi_completions *completions,
			      unsigned max);
int tpi_completions_arm(struct tpi_completions *completions);

#endif
