/*
 * worker.c - several threads read one descriptor of /dev/fuse.
 *
 * It does not block, so that a worker with nothing to do can sleep on two
 * things: the next request, for which the kernel wakes one of them, and the
 * word to stop.  A worker that is told to stop goes on as long as it finds
 * requests (what syncfs() has just brought about, for one), but not for ever:
 * others may keep on asking.
 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "fuse-version.h"

#define STOP_SECONDS 5

struct means {
	struct tp_queue *queue;
	char *buffer;
};

struct worker {
	struct workers *workers;
	pthread_t thread;
	bool running;
	int epoll;
	struct means means;
};

struct workers {
	struct fuse_session *session;
	int stop, ended;         /* eventfds */
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

/* Sleep until there may be a request. */
static void wait_for_request(struct worker *worker)
{
	struct epoll_event event;

	if (epoll_wait(worker->epoll, &event, 1, -1) < 0 && errno != EINTR)
		abort(); /* what else is there to wait on? */
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
		else if (r == -EAGAIN && workers->deadline)
			break;
		else if (r == -EAGAIN)
			wait_for_request(worker);
		else if (r != -EINTR)
			break;
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

static int watch(int epoll, int fd, unsigned flags)
{
	struct epoll_event event = { .events = EPOLLIN | flags };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int start(struct worker *worker, struct tp_pool *pool)
{
	struct workers *workers = worker->workers;
	int r;

	worker->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (worker->epoll < 0)
		return -errno;
	r = watch(worker->epoll, fuse_session_fd(workers->session),
		  EPOLLEXCLUSIVE);
	if (!r)
		r = watch(worker->epoll, workers->stop, 0);
	if (!r)
		r = get_means(pool, &worker->means);
	if (!r)
		r = -pthread_create(&worker->thread, NULL, run, worker);
	worker->running = !r;

	return r;
}

static int start_all(struct workers *workers, struct tp_pool *pool)
{
	int fd = fuse_session_fd(workers->session), r = 0;

	workers->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (workers->stop < 0 ||
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK))
		return -errno;
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
	for (unsigned i = 0; i < nr; i++) {
		workers->worker[i].workers = workers;
		workers->worker[i].epoll = -1;
	}
	r = start_all(workers, pool);
	if (r)
		workers_stop(workers);
	else
		*result = workers;

	return r;
}

static void end(struct worker *worker)
{
	if (worker->running)
		pthread_join(worker->thread, NULL);
	put_means(&worker->means);
	if (worker->epoll >= 0)
		close(worker->epoll);
}

void workers_stop(struct workers *workers)
{
	if (!workers)
		return;
	workers->deadline = now() + STOP_SECONDS;
	eventfd_write(workers->stop, 1); /* nobody reads it: all wake up */
	for (unsigned i = 0; i < workers->nr; i++)
		end(&workers->worker[i]);
	if (workers->stop >= 0)
		close(workers->stop);
	free(workers);
}
