/*
 * completions.c - requests that have ended, from other threads to the owner of
 * a channel.
 */
#include <sys/eventfd.h>

#include "io/completions.h"

void tpi_completions_init(struct tpi_completions *completions, int event_fd)
{
	*completions = (struct tpi_completions){ .event_fd = event_fd };
	pthread_mutex_init(&completions->lock, NULL);
}

void tpi_completions_exit(struct tpi_completions *completions)
{
	pthread_mutex_destroy(&completions->lock);
}

/* With the signal under the lock: once the owner has the request, nobody else
 * touches the channel. */
void tpi_completions_add(struct tpi_completions *completions,
			 struct tp_device_request *request, int status)
{
	pthread_mutex_lock(&completions->lock);
	tpi_fifo_push(&completions->ended, request, status);
	if (completions->armed) {
		completions->armed = false;
		eventfd_write(completions->event_fd, 1);
	}
	pthread_mutex_unlock(&completions->lock);
}

unsigned tpi_completions_poll(struct tpi_completions *completions, unsigned max)
{
	pthread_mutex_lock(&completions->lock);
	tpi_fifo_splice(&completions->reaped, &completions->ended);
	pthread_mutex_unlock(&completions->lock);

	return tpi_fifo_deliver(&completions->reaped, max);
}

int tpi_completions_arm(struct tpi_completions *completions)
{
	bool ended = !tpi_fifo_empty(&completions->reaped);

	pthread_mutex_lock(&completions->lock);
	ended = ended || !tpi_fifo_empty(&completions->ended);
	completions->armed = !ended;
	pthread_mutex_unlock(&completions->lock);

	return ended;
}
