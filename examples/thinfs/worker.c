/*
 * worker.c - several threads read one descriptor of /dev/fuse.
 *
 * A worker with nothing to do sleeps there, and the kernel wakes one of them
 * for a request.  To stop them, the descriptor is made not to block, and a
 * signal ends the sleep of those that are in it already.  A worker that is told
 * to stop goes on as long as it finds requests (what syncfs() has just brought
 * about, for one), but not for ever: others may keep on asking.
 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "fuse-version.h"

#define STOP_SECONDS 5
#define WAKE_SIGNAL SIGUSR1

struct means {
	struct tp_queue *queue;
	char *buffer;
};

struct worker {
	struct workers *workers;
	pthread_t thread;
	bool running;
	struct means means;
};

struct workers {
	struct fuse_session *session;
	int ended;               /* an eventfd */
	_Atomic time_t deadline; /* 0: none */
	unsigned nr;
	struct worker worker[];
};

/*---------------------------- what a thread does I/O with ------------------*/

static _Thread_local struct means own;

struct tp_queue *worker_queue(void)
{
	return own.queue;
}

char *worker_buffer(void)
{
	return own.buffer;
}

static int get_means(struct tp_pool *pool, struct means *means)
{
	means->buffer = aligned_alloc(4096, BUFFER_BYTES);

	return means->buffer ? tp_queue_create(pool, 1, &means->queue)
			     : -ENOMEM;
}

static void put_means(struct means *means)
{
	tp_queue_destroy(means->queue);
	free(means->buffer);
	*means = (struct means){ 0 };
}

int worker_become(struct tp_pool *pool)
{
	int r = get_means(pool, &own);

	if (r)
		worker_resign();

	return r;
}

void worker_resign(void)
{
	put_means(&own);
}

/*---------------------------- the thread -----------------------------------*/

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);

	return ts.tv_sec;
}

static bool is_late(const struct workers *workers)
{
	time_t deadline = workers->deadline;

	return deadline && now() > deadline;
}

static void serve(struct worker *worker)
{
	struct workers *workers = worker->workers;
	struct fuse_session *session = workers->session;
	struct fuse_buf buf = { .mem = NULL };

	while (!fuse_session_exited(session) && !is_late(workers)) {
		int r = fuse_session_receive_buf(session, &buf);

		if (r > 0)
			fuse_session_process_buf(session, &buf);
		else if (r != -EINTR)
			break; /* -EAGAIN: told to stop, and all is done */
	}
	free(buf.mem);
}

static void *run(void *context)
{
	struct worker *worker = context;

	own = worker->means;
	serve(worker);
	eventfd_write(worker->workers->ended, 1);

	return NULL;
}

/*---------------------------- starting and stopping ------------------------*/

static void wake(int signal)
{
}

/* A handler, for what is ignored wakes nobody; and no SA_RESTART. */
static int take_wake_signal(void)
{
	struct sigaction action = { .sa_handler = wake };

	return sigaction(WAKE_SIGNAL, &action, NULL) ? -errno : 0;
}

static int start(struct worker *worker, struct tp_pool *pool)
{
	int r = get_means(pool, &worker->means);

	if (!r)
		r = -pthread_create(&worker->thread, NULL, run, worker);
	worker->running = !r;

	return r;
}

static int start_all(struct workers *workers, struct tp_pool *pool)
{
	int r = take_wake_signal();

	for (unsigned i = 0; i < workers->nr && !r; i++)
		r = start(&workers->worker[i], pool);

	return r;
}

int workers_start(struct tp_pool *pool, struct fuse_session *session,
		  unsigned nr, int ended, struct workers **result)
{
	struct workers *workers =
		calloc(1, sizeof(*workers) + nr * sizeof(workers->worker[0]));
	int r;

	if (!workers)
		return -ENOMEM;
	workers->session = session;
	workers->ended = ended;
	workers->nr = nr;
	for (unsigned i = 0; i < nr; i++)
		workers->worker[i].workers = workers;
	r = start_all(workers, pool);
	if (r)
		workers_stop(workers);
	else
		*result = workers;

	return r;
}

/* Who sleeps is woken; who does not, finds that it would not sleep. */
static void tell_to_stop(struct workers *workers)
{
	int fd = fuse_session_fd(workers->session);

	workers->deadline = now() + STOP_SECONDS;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	for (unsigned i = 0; i < workers->nr; i++)
		if (workers->worker[i].running)
			pthread_kill(workers->worker[i].thread, WAKE_SIGNAL);
}

static void end(struct worker *worker)
{
	if (worker->running)
		pthread_join(worker->thread, NULL);
	put_means(&worker->means);
}

void workers_stop(struct workers *workers)
{
	if (!workers)
		return;
	tell_to_stop(workers);
	for (unsigned i = 0; i < workers->nr; i++)
		end(&workers->worker[i]);
	free(workers);
}
