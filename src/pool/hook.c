/*
 * hook.c - the pre-commit hook (architecture.md, decision 8).
 *
 * The default, a flush of the data device, is a request on the loop's channel.
 * A hook of the host's runs on a thread that the pool starts with the first of
 * them, or inline in a host-driven pool.  One call at a time.
 *
 * Setting a hook waits until none is running, so that after it returned nothing
 * touches the old context any more.  A hook flushes by a channel of its own,
 * so it needs nobody else to go on: no wait here waits for the run loop.
 */
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pool/call.h"
#include "pool/mode.h"

static void hook_done(struct tpi_task *task);

int tpi_hook_init(struct tp_pool *pool)
{
	struct tpi_hook *hook = &pool->hook;

	pthread_mutex_init(&hook->lock, NULL);
	pthread_cond_init(&hook->changed, NULL);
	tpi_task_init(&hook->done, hook_done);
	hook->event_fd = -1;

	return 0;
}

static void stop_thread(struct tpi_hook *hook)
{
	if (!hook->has_thread)
		return;
	pthread_mutex_lock(&hook->lock);
	hook->stopping = true;
	pthread_cond_broadcast(&hook->changed);
	pthread_mutex_unlock(&hook->lock);
	pthread_join(hook->thread, NULL);
}

void tpi_hook_exit(struct tp_pool *pool)
{
	struct tpi_hook *hook = &pool->hook;

	stop_thread(hook);
	tpi_channel_close(hook->channel);
	if (hook->event_fd >= 0)
		close(hook->event_fd);
	pthread_cond_destroy(&hook->changed);
	pthread_mutex_destroy(&hook->lock);
}

/*---------------------------- running it -----------------------------------*/

bool tpi_hook_is_here(struct tp_pool *pool)
{
	struct tpi_hook *hook = &pool->hook;
	bool here;

	pthread_mutex_lock(&hook->lock);
	here = hook->running && pthread_equal(hook->runner, pthread_self());
	pthread_mutex_unlock(&hook->lock);

	return here;
}

/* Called and left with the lock held; let go while the hook runs. */
static void call_hook(struct tpi_hook *hook)
{
	tp_pre_commit_fn function = hook->function;
	void *context = hook->context;
	int r;

	hook->running = true;
	hook->runner = pthread_self();
	pthread_mutex_unlock(&hook->lock);
	r = function(context);
	pthread_mutex_lock(&hook->lock);
	hook->result = r;
	hook->running = false;
	pthread_cond_broadcast(&hook->changed);
}

/* What a hook answers may be anything; a failure has to be one of ours. */
static int as_error(int result)
{
	if (!result)
		return 0;
	tpi_error(-EIO,
		  "the pre-commit hook answered %d: the commit is given "
		  "up",
		  result);

	return result < 0 && result > -4096 ? result : -EIO;
}

static void hook_done(struct tpi_task *task)
{
	struct tpi_hook *hook = tpi_container_of(task, struct tpi_hook, done);
	struct tp_pool *pool = tpi_container_of(hook, struct tp_pool, hook);

	tpi_flush_ended(pool, TPI_FLUSH_OF_COMMIT, as_error(hook->result));
}

static void *hook_main(void *context)
{
	struct tp_pool *pool = context;
	struct tpi_hook *hook = &pool->hook;

	pthread_mutex_lock(&hook->lock);
	while (!hook->stopping) {
		if (!hook->wanted) {
			pthread_cond_wait(&hook->changed, &hook->lock);
			continue;
		}
		hook->wanted = false;
		call_hook(hook);
		tpi_loop_post(&pool->loop, &hook->done);
	}
	pthread_mutex_unlock(&hook->lock);

	return NULL;
}

static void data_flushed(struct tp_device_request *request, int status)
{
	struct tpi_hook *hook =
		tpi_container_of(request, struct tpi_hook, request);

	tpi_flush_ended(tpi_container_of(hook, struct tp_pool, hook),
			TPI_FLUSH_OF_COMMIT, status);
}

static void run_default(struct tp_pool *pool)
{
	pool->hook.request = (struct tp_device_request){
		.op = TP_FLUSH,
		.done = data_flushed,
	};
	tpi_channel_submit(pool->port.channel, &pool->hook.request);
}

/* On the loop. */
void tpi_hook_run(struct tp_pool *pool)
{
	struct tpi_hook *hook = &pool->hook;
	bool is_set;

	pthread_mutex_lock(&hook->lock);
	is_set = hook->function != NULL;
	if (is_set && hook->has_thread) {
		hook->wanted = true;
		pthread_cond_broadcast(&hook->changed);
	} else if (is_set) {
		call_hook(hook);
		tpi_loop_ready(&pool->loop, &hook->done);
	}
	pthread_mutex_unlock(&hook->lock);
	if (!is_set)
		run_default(pool);
}

/*---------------------------- flushing from a hook -------------------------*/

struct hook_flush {
	struct tp_device_request request;
	bool done;
	int status;
};

static void hook_flushed(struct tp_device_request *request, int status)
{
	struct hook_flush *flush =
		tpi_container_of(request, struct hook_flush, request);

	flush->status = status;
	flush->done = true;
}

/* Host-driven, time may have to be moved for the device to go on. */
static void wait_for_channel(struct tp_pool *pool)
{
	const struct tp_pool_options *options = &pool->options;
	struct pollfd fd = { .fd = pool->hook.event_fd, .events = POLLIN };
	uint64_t count;

	if (tpi_channel_arm(pool->hook.channel))
		return;
	if (options->clock_wait) {
		options->clock_wait(options->clock_context, UINT64_MAX);
		return;
	}
	if (poll(&fd, 1, -1) > 0 &&
	    read(pool->hook.event_fd, &count, sizeof(count)) < 0)
		return;
}

int tpi_hook_flush(struct tp_pool *pool)
{
	struct hook_flush flush = {
		.request = { .op = TP_FLUSH, .done = hook_flushed },
	};

	tpi_channel_submit(pool->hook.channel, &flush.request);
	tpi_channel_kick(pool->hook.channel);
	while (!flush.done)
		if (!tpi_channel_poll(pool->hook.channel, 1))
			wait_for_channel(pool);

	return flush.status;
}

struct flush_call {
	struct tpi_call call;
	struct tpi_commit_waiter flushed;
	bool started, ended;
	int error;
};

static void flush_call_done(struct tpi_commit_waiter *waiter, int error)
{
	struct flush_call *flush =
		tpi_container_of(waiter, struct flush_call, flushed);

	flush->ended = true;
	flush->error = error;
	tpi_call_continue(&flush->call);
}

static int flush_step(struct tpi_call *call)
{
	struct flush_call *flush =
		tpi_container_of(call, struct flush_call, call);

	if (flush->ended)
		return flush->error;
	if (!flush->started) {
		flush->started = true;
		flush->flushed.committed = flush_call_done;
		tpi_flush_wait(call->pool, &flush->flushed);
	}

	return -EINPROGRESS;
}

int tp_pool_flush_data(struct tp_pool *pool)
{
	struct flush_call flush = { .started = false };

	if (!pool)
		return tpi_error(-EINVAL, "no pool was given");
	if (tpi_hook_is_here(pool))
		return tpi_hook_flush(pool);

	return tpi_call_ask(pool, &flush.call, flush_step);
}

/*---------------------------- setting it -----------------------------------*/

static int make_channel(struct tp_pool *pool)
{
	struct tpi_hook *hook = &pool->hook;

	if (hook->channel)
		return 0;
	if (hook->event_fd < 0)
		hook->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (hook->event_fd < 0)
		return tpi_error(-errno, "no eventfd for the pre-commit hook");

	return tpi_channel_open(pool->data_device, hook->event_fd,
				pool->host_driven, &hook->channel);
}

static int make_thread(struct tp_pool *pool)
{
	struct tpi_hook *hook = &pool->hook;
	sigset_t all, old;
	int r;

	if (hook->has_thread || pool->host_driven)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&hook->thread, NULL, hook_main, pool);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r)
		return tpi_error(-r, "no thread for the pre-commit hook");
	hook->has_thread = true;

	return 0;
}

int tp_pool_set_pre_commit_hook(struct tp_pool *pool, tp_pre_commit_fn function,
				void *context)
{
	struct tpi_hook *hook;
	int r = 0;

	if (!pool)
		return tpi_error(-EINVAL, "no pool was given");
	if (tpi_hook_is_here(pool))
		return tpi_error(-EDEADLK, "a pre-commit hook cannot replace "
					   "itself");
	hook = &pool->hook;
	pthread_mutex_lock(&hook->lock);
	if (function) {
		r = make_channel(pool);
		if (!r)
			r = make_thread(pool);
	}
	while (!r && (hook->running || hook->wanted))
		pthread_cond_wait(&hook->changed, &hook->lock);
	if (!r) {
		hook->function = function;
		hook->context = context;
	}
	pthread_mutex_unlock(&hook->lock);

	return r;
}
