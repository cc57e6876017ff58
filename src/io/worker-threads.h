/*
 * worker-threads.h - a few threads that do what blocks, for devices that have
 * nothing better, and channels on which they do it.
 *
 * The functions from open_channel to arm are those of tp_device_async_ops.
 */
#ifndef TPI_IO_WORKER_THREADS_H
#define TPI_IO_WORKER_THREADS_H

#include <thinpool/device.h>

#include "io/base.h"

#define TPI_DEFAULT_NR_THREADS 4

struct tpi_workers;

/* Do all of a request and return its status.  Called by several threads at
 * once, or inline. */
typedef int (*tpi_work_fn)(void *context,
			   const struct tp_device_request *request);

/* No thread is started before there is work.  @nr_threads 0: the default. */
int tpi_workers_new(unsigned nr_threads, tpi_work_fn work, void *context,
		    struct tpi_workers **workers);

/* Ends the threads.  All channels are closed.  NULL is allowed. */
void tpi_workers_destroy(struct tpi_workers *workers);

/* @inline_only: the requests are done in kick, by its caller. */
int tpi_workers_open_channel(struct tpi_workers *workers, int event_fd,
			     bool inline_only, void **channel);
void tpi_workers_close_channel(void *channel);
void tpi_workers_submit(void *channel, struct tp_device_request *request);
void tpi_workers_kick(void *channel);
unsigned tpi_workers_poll(void *channel, unsigned max);
int tpi_workers_arm(void *channel);

/* Instead of submit: the request is done already, with this status. */
void tpi_workers_end(void *channel, struct tp_device_request *request,
		     int status);

/* What tpi_workers_new() was given. */
void *tpi_workers_context(const void *channel);

#endif
