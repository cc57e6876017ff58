/*
 * worker-threads.c - threads that do what blocks.
 *
 * A request goes from its channel's batch to the queue of all workers, and from
 * there to its channel's completions, which are all that workers touch of a
 * channel.  The locks of the two are never held together.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "io/completions.h"
#include "io/worker-threads.h"

enum { ROOM_CHANNEL = TPI_ROOM_FREE };

struct tpi_workers {
	tpi_work_fn work;
	void *context;

	pthread_mutex_t lock; /* all below */
	pthread_cond_t wake;
	struct tpi_request_fifo queue;
	bool stop;
	unsigned nr_wanted, nr_threads;
	pthread_t threads[];
};

struct worker_channel {
	struct tpi_workers *workers;
	bool inline_only;
	struct tpi_request_fifo batch; /* submitted, not kicked: the owner's */
	struct tpi_completions completions;
};

/*---------------------------- a worker's side ------------------------------*/

static void end_work(struct tp_device_request *request, int status)
{
	tpi_workers_end(request->device_room[ROOM_CHANNEL], request, status);
}

/* Waits for work; NULL: stop. */
static struct tp_device_request *next_work(struct tpi_workers *workers)
{
	struct tp_device_request *request;

	pthread_mutex_lock(&workers->lock);
	while (tpi_fifo_empty(&workers->queue) && !workers->stop)
		pthread_cond_wait(&workers->wake, &workers->lock);
	request = tpi_fifo_pop(&workers->queue);
	pthread_mutex_unlock(&workers->lock);

	return request;
}

static void *worker_main(void *context)
{
	struct tpi_workers *workers = context;
	struct tp_device_request *request;

	while ((request = next_work(workers)))
		end_work(request, workers->work(workers->context, request));

	return NULL;
}

/*---------------------------- the threads ----------------------------------*/

int tpi_workers_new(unsigned nr_threads, tpi_work_fn work, void *context,
		    struct tpi_workers **result)
{
	struct tpi_workers *workers;

	if (!nr_threads)
		nr_threads = TPI_DEFAULT_NR_THREADS;
	workers = calloc(1, sizeof(*workers) +
				    nr_threads * sizeof(workers->threads[0]));
	if (!workers)
		return tpi_error(-ENOMEM, "no memory for I/O threads");

	workers->work = work;
	workers->context = context;
	workers->nr_wanted = nr_threads;
	pthread_mutex_init(&workers->lock, NULL);
	pthread_cond_init(&workers->wake, NULL);
	*result = workers;

	return 0;
}

void tpi_workers_destroy(struct tpi_workers *workers)
{
	if (!workers)
		return;

	pthread_mutex_lock(&workers->lock);
	workers->stop = true;
	pthread_cond_broadcast(&workers->wake);
	pthread_mutex_unlock(&workers->lock);

	for (unsigned i = 0; i < workers->nr_threads; i++)
		pthread_join(workers->threads[i], NULL);
	pthread_cond_destroy(&workers->wake);
	pthread_mutex_destroy(&workers->lock);
	free(workers);
}

/* The host's signals are the host's threads' business. */
static int start_thread(struct tpi_workers *workers, pthread_t *thread)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(thread, NULL, worker_main, workers);
	pthread_sigmask(SIG_SETMASK, &old, NULL);

	return -r;
}

/* With the lock held.  As many as can be had; are there any? */
static bool start_threads(struct tpi_workers *workers)
{
	while (workers->nr_threads < workers->nr_wanted) {
		int r = start_thread(workers,
				     &workers->threads[workers->nr_threads]);

		if (r) {
			tpi_log(TP_LOG_WARNING,
				"%u instead of %u I/O threads: %s",
				workers->nr_threads, workers->nr_wanted,
				tp_strerror(r));
			workers->nr_wanted = workers->nr_threads;
		} else {
			workers->nr_threads++;
		}
	}

	return workers->nr_threads > 0;
}

/*---------------------------- the channel's side ---------------------------*/

int tpi_workers_open_channel(struct tpi_workers *workers, int event_fd,
			     bool inline_only, void **result)
{
	struct worker_channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return -ENOMEM;

	channel->workers = workers;
	channel->inline_only = inline_only;
	tpi_completions_init(&channel->completions, event_fd);
	*result = channel;

	return 0;
}

void tpi_workers_close_channel(void *handle)
{
	struct worker_channel *channel = handle;

	tpi_completions_exit(&channel->completions);
	free(channel);
}

void tpi_workers_submit(void *handle, struct tp_device_request *request)
{
	struct worker_channel *channel = handle;

	tpi_fifo_push(&channel->batch, request, 0);
	request->device_room[ROOM_CHANNEL] = channel;
}

/* False if there are no workers: nothing was done. */
static bool hand_over(struct worker_channel *channel)
{
	struct tpi_workers *workers = channel->workers;
	bool can;

	pthread_mutex_lock(&workers->lock);
	can = start_threads(workers);
	if (can) {
		tpi_fifo_splice(&workers->queue, &channel->batch);
		pthread_cond_broadcast(&workers->wake);
	}
	pthread_mutex_unlock(&workers->lock);

	return can;
}

static void do_inline(struct worker_channel *channel)
{
	struct tpi_workers *workers = channel->workers;
	struct tp_device_request *request;

	while ((request = tpi_fifo_pop(&channel->batch)))
		end_work(request, workers->work(workers->context, request));
}

/* Where no thread can be had it is slow, but it works. */
void tpi_workers_kick(void *handle)
{
	struct worker_channel *channel = handle;

	if (tpi_fifo_empty(&channel->batch))
		return;
	if (channel->inline_only || !hand_over(channel))
		do_inline(channel);
}

unsigned tpi_workers_poll(void *handle, unsigned max)
{
	struct worker_channel *channel = handle;

	return tpi_completions_poll(&channel->completions, max);
}

int tpi_workers_arm(void *handle)
{
	struct worker_channel *channel = handle;

	return tpi_completions_arm(&channel->completions);
}

void tpi_workers_end(void *handle, struct tp_device_request *request,
		     int status)
{
	struct worker_channel *channel = handle;

	tpi_completions_add(&channel->completions, request, status);
}

void *tpi_workers_context(const void *handle)
{
	const struct worker_channel *channel = handle;

	return channel->workers->context;
}
