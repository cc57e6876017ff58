/*
 * loop.c - see loop.h.
 *
 * A step: what other threads handed in, what the devices have done, timers, and
 * then every task that is ready, once.  Nothing in a step waits.  At the end
 * the cache may drop blocks, which nobody looks at between steps.
 *
 * Calls that block, made on the thread that runs the loop, run it from within:
 * an event handler is called at the very top of a step, before anything is in
 * the hand, so that this is safe.
 */
#include "pool/loop.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "pool/event.h"
#include "pool/pool.h"

#define RUN_READY_MAX 10000u

/* What helps does so much at most, and runs what it made ready at once so often. */
#define HELP_STEPS_MAX 8u
#define HELP_ROUNDS_MAX 4u

int tpi_loop_init(struct tpi_loop *loop, struct tp_pool *pool)
{
	loop->pool = pool;
	tpi_list_init(&loop->ready);
	tpi_list_init(&loop->reading);
	tpi_list_init(&loop->timers);
	pthread_mutex_init(&loop->owner, NULL);
	loop->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	return loop->event_fd < 0 ? -errno : 0;
}

void tpi_loop_exit(struct tpi_loop *loop)
{
	if (loop->event_fd >= 0)
		close(loop->event_fd);
	pthread_mutex_destroy(&loop->owner);
}

/*---------------------------- the inbox ------------------------------------*/

static void signal_thread(struct tpi_loop *loop)
{
	uint64_t one = 1;

	atomic_fetch_add_explicit(&loop->nr_wakeups, 1, memory_order_relaxed);

	/* A full counter means that it is awake anyway. */
	if (write(loop->event_fd, &one, sizeof(one)) < 0)
		return;
}

void tpi_loop_wake(struct tpi_loop *loop)
{
	if (atomic_load(&loop->asleep) && atomic_exchange(&loop->asleep, false))
		signal_thread(loop);
}

void tpi_loop_put_in(struct tpi_loop *loop, struct tpi_task *task)
{
	struct tpi_task *first =
		atomic_load_explicit(&loop->inbox, memory_order_relaxed);

	do
		task->next = first;
	while (!atomic_compare_exchange_weak(&loop->inbox, &first, task));
}

/* Both sides write, then look: one of them sees the other. */
void tpi_loop_post(struct tpi_loop *loop, struct tpi_task *task)
{
	tpi_loop_put_in(loop, task);
	tpi_loop_wake(loop);
}

/* In the order in which they were posted. */
static unsigned take_inbox(struct tpi_loop *loop)
{
	struct tpi_task *task = atomic_exchange(&loop->inbox, NULL);
	struct tpi_list *end = &loop->ready;
	unsigned nr = 0;

	/* Last in is first out of the inbox: each goes before the one that
	 * came after it. */
	while (task) {
		struct tpi_task *next = task->next;

		tpi_list_add_tail(end, &task->entry);
		end = &task->entry;
		task = next;
		nr++;
	}

	return nr;
}

bool tpi_loop_is_here(const struct tpi_loop *loop)
{
	return atomic_load(&loop->running) &&
	       pthread_equal(atomic_load(&loop->thread), pthread_self());
}

/*---------------------------- tasks ----------------------------------------*/

void tpi_loop_ready(struct tpi_loop *loop, struct tpi_task *task)
{
	tpi_list_del(&task->entry);
	tpi_list_add_tail(&loop->ready, &task->entry);
}

void tpi_loop_ready_all(struct tpi_loop *loop, struct tpi_list *tasks)
{
	tpi_list_splice(&loop->ready, tasks);
}

void tpi_loop_await_block(struct tpi_loop *loop, struct tpi_task *task)
{
	task->waits_for = tpi_cache_missed(loop->pool->cache);
	tpi_list_del(&task->entry);
	tpi_list_add_tail(&loop->reading, &task->entry);
}

void tpi_loop_block_arrived(void *context, tp_mblock block)
{
	struct tpi_loop *loop = context;
	struct tpi_list *entry, *following;

	tpi_list_each(entry, following, &loop->reading)
	{
		struct tpi_task *task =
			tpi_container_of(entry, struct tpi_task, entry);

		if (task->waits_for == block)
			tpi_loop_ready(loop, task);
	}
	tpi_loop_ready_all(loop, &loop->pool->quiet_waiters);
}

static unsigned run_ready(struct tpi_loop *loop)
{
	struct tpi_list now, *entry;
	unsigned nr = 0;

	tpi_list_init(&now);
	tpi_list_splice(&now, &loop->ready);
	while ((entry = tpi_list_pop(&now))) {
		struct tpi_task *task =
			tpi_container_of(entry, struct tpi_task, entry);

		task->run(task);
		nr++;
	}

	return nr;
}

/*---------------------------- time -----------------------------------------*/

uint64_t tpi_loop_now(const struct tpi_loop *loop)
{
	const struct tp_pool_options *options = &loop->pool->options;
	struct timespec now;

	if (options->clock_ns)
		return options->clock_ns(options->clock_context);
	clock_gettime(CLOCK_MONOTONIC, &now);

	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void tpi_timer_init(struct tpi_timer *timer,
		    void (*fire)(struct tpi_timer *timer))
{
	tpi_list_init(&timer->entry);
	timer->fire = fire;
}

void tpi_timer_set(struct tpi_loop *loop, struct tpi_timer *timer,
		   uint64_t when_ns)
{
	tpi_timer_cancel(timer);
	timer->when_ns = when_ns;
	tpi_list_add_tail(&loop->timers, &timer->entry);
}

void tpi_timer_cancel(struct tpi_timer *timer)
{
	tpi_list_del(&timer->entry);
}

uint64_t tpi_loop_deadline(const struct tpi_loop *loop)
{
	const struct tpi_list *entry;
	uint64_t deadline = UINT64_MAX;

	for (entry = loop->timers.next; entry != &loop->timers;
	     entry = entry->next)
		deadline =
			tpi_min(deadline,
				tpi_container_of(entry, struct tpi_timer, entry)
					->when_ns);

	return deadline;
}

static unsigned fire_timers(struct tpi_loop *loop)
{
	uint64_t now = tpi_loop_now(loop);
	struct tpi_list due, *entry, *following;
	unsigned nr = 0;

	tpi_list_init(&due);
	tpi_list_each(entry, following, &loop->timers)
	{
		struct tpi_timer *timer =
			tpi_container_of(entry, struct tpi_timer, entry);

		if (timer->when_ns > now)
			continue;
		tpi_list_del(entry);
		tpi_list_add_tail(&due, entry);
	}
	while ((entry = tpi_list_pop(&due))) {
		struct tpi_timer *timer =
			tpi_container_of(entry, struct tpi_timer, entry);

		timer->fire(timer);
		nr++;
	}

	return nr;
}

/*---------------------------- a step ---------------------------------------*/

static unsigned poll_channel(struct tpi_channel *channel)
{
	return tpi_channel_in_flight(channel)
		       ? tpi_channel_poll(channel, UINT32_MAX)
		       : 0;
}

static unsigned poll_devices(struct tp_pool *pool)
{
	return poll_channel(pool->metadata_channel) +
	       poll_channel(pool->port.channel) + tpi_origins_poll(pool);
}

static void kick_devices(struct tp_pool *pool)
{
	tpi_channel_kick(pool->metadata_channel);
	tpi_channel_kick(pool->port.channel);
	tpi_relays_kick(pool);
}

unsigned tpi_loop_step(struct tpi_loop *loop)
{
	struct tp_pool *pool = loop->pool;
	unsigned nr = tpi_events_deliver(pool);

	nr += take_inbox(loop);
	nr += poll_devices(pool);
	nr += fire_timers(loop);
	nr += tpi_epochs_check(pool);
	nr += run_ready(loop);
	kick_devices(pool);
	tpi_cache_trim(pool->cache);

	return nr;
}

/*---------------------------- sleeping -------------------------------------*/

/* Something came while nobody was told yet? */
static bool arm(struct tpi_loop *loop)
{
	struct tp_pool *pool = loop->pool;

	if (!tpi_list_empty(&loop->ready) || !tpi_list_empty(&pool->events))
		return true;
	atomic_store(&loop->asleep, true);

	return atomic_load(&loop->inbox) ||
	       tpi_channel_arm(pool->metadata_channel) ||
	       tpi_channel_arm(pool->port.channel) || tpi_origins_arm(pool);
}

/*---------------------------- help -----------------------------------------*/

bool tpi_loop_leave_to_thread(struct tpi_loop *loop, struct tpi_task *task)
{
	if (!loop->helped)
		return false;
	loop->handed_over = true;
	tpi_loop_ready(loop, task);

	return true;
}

/* Neither events, which call the host, nor timers. */
static unsigned step_of_helper(struct tpi_loop *loop)
{
	struct tp_pool *pool = loop->pool;
	unsigned nr = take_inbox(loop);

	nr += poll_devices(pool);
	nr += tpi_epochs_check(pool);
	for (unsigned i = 0; i < HELP_ROUNDS_MAX && !loop->handed_over &&
			     !tpi_list_empty(&loop->ready);
	     i++)
		nr += run_ready(loop);
	kick_devices(pool);
	tpi_cache_trim(pool->cache);

	return nr;
}

/* As far as can be told without asking the devices. */
static bool has_work(const struct tpi_loop *loop)
{
	const struct tp_pool *pool = loop->pool;

	return tpi_channel_in_flight(pool->port.channel) ||
	       tpi_channel_in_flight(pool->metadata_channel) ||
	       !tpi_list_empty(&loop->ready) || atomic_load(&loop->inbox) ||
	       !tpi_list_empty(&pool->origins);
}

/* True if there is more to do now, or earlier than the thread would. */
static bool take_steps(struct tpi_loop *loop)
{
	unsigned nr = 0;

	while (!loop->handed_over && step_of_helper(loop) && has_work(loop))
		if (++nr == HELP_STEPS_MAX)
			return true;

	return loop->handed_over ||
	       tpi_loop_deadline(loop) < loop->sleeps_until || arm(loop);
}

/* To others that hand in work the loop is awake meanwhile. */
static bool help(struct tpi_loop *loop)
{
	bool more;

	if (pthread_mutex_trylock(&loop->owner))
		return false;
	atomic_store(&loop->asleep, false);
	loop->helped = true;
	more = take_steps(loop);
	loop->helped = loop->handed_over = false;
	pthread_mutex_unlock(&loop->owner);
	if (more)
		signal_thread(loop);

	return true;
}

void tpi_loop_help(struct tpi_loop *loop)
{
	if (loop->pool->host_driven || !atomic_load(&loop->asleep) ||
	    atomic_load(&loop->is_back) || !help(loop))
		tpi_loop_wake(loop);
}

/*---------------------------- going to sleep -------------------------------*/

/* @fd: another one to wake for; -1: none. */
static void sleep_on_fds(struct tpi_loop *loop, int fd, uint64_t deadline)
{
	struct pollfd fds[2] = { { .fd = loop->event_fd, .events = POLLIN },
				 { .fd = fd, .events = POLLIN } };
	uint64_t now = tpi_loop_now(loop), ns, count;
	struct timespec timeout, *limit = NULL;

	if (deadline != UINT64_MAX) {
		ns = deadline > now ? deadline - now : 0;
		timeout.tv_sec = (time_t)(ns / 1000000000u);
		timeout.tv_nsec = (long)(ns % 1000000000u);
		limit = &timeout;
	}

	/* The counter only says that there may be something. */
	if (ppoll(fds, 2, limit, NULL) > 0 && fds[0].revents &&
	    read(loop->event_fd, &count, sizeof(count)) < 0)
		return;
}

static void sleep_beside(struct tpi_loop *loop, int fd, uint64_t deadline)
{
	const struct tp_pool_options *options = &loop->pool->options;

	deadline = tpi_min(deadline, tpi_loop_deadline(loop));
	if (!arm(loop)) {
		if (options->clock_wait)
			options->clock_wait(options->clock_context, deadline);
		else
			sleep_on_fds(loop, fd, deadline);
	}
	atomic_store(&loop->asleep, false);
}

void tpi_loop_sleep(struct tpi_loop *loop)
{
	sleep_beside(loop, -1, UINT64_MAX);
}

/* Is this the outermost call on this thread that runs the loop? */
static bool enter_loop(struct tpi_loop *loop)
{
	if (tpi_loop_is_here(loop))
		return false;
	atomic_store(&loop->thread, pthread_self());
	atomic_store(&loop->running, true);
	atomic_store(&loop->asleep, false);

	return true;
}

/* From here on the host sleeps on the descriptor, so it has to tell of what
 * comes, and of what is there already. */
static void leave_loop(struct tpi_loop *loop, bool outermost)
{
	uint64_t one = 1;

	if (!outermost)
		return;
	atomic_store(&loop->running, false);
	if (arm(loop) && write(loop->event_fd, &one, sizeof(one)) < 0)
		return;
}

/* What the descriptor told of is about to be looked at. */
static void forget_signals(struct tpi_loop *loop)
{
	uint64_t count;

	if (read(loop->event_fd, &count, sizeof(count)) < 0)
		return;
}

void tpi_loop_run_until(struct tpi_loop *loop, const _Atomic bool *done)
{
	bool outermost = enter_loop(loop);

	while (!atomic_load(done))
		if (!tpi_loop_step(loop) && !atomic_load(done))
			tpi_loop_sleep(loop);
	leave_loop(loop, outermost);
}

unsigned tpi_loop_run_ready(struct tpi_loop *loop)
{
	bool outermost = enter_loop(loop);
	unsigned nr = 0, did;

	forget_signals(loop);

	/* Work that makes more work does not keep the host for ever. */
	while (nr < RUN_READY_MAX && (did = tpi_loop_step(loop)))
		nr += did;
	leave_loop(loop, outermost);

	return nr;
}

void tpi_loop_run_beside(struct tpi_loop *loop, int fd, uint64_t deadline)
{
	bool outermost = enter_loop(loop);

	if (!tpi_loop_step(loop))
		sleep_beside(loop, fd, deadline);
	leave_loop(loop, outermost);
}

/*---------------------------- a thread of its own --------------------------*/

/* Others may run the loop meanwhile. */
static void sleep_of_thread(struct tpi_loop *loop)
{
	uint64_t deadline = tpi_loop_deadline(loop);

	if (!arm(loop)) {
		loop->sleeps_until = deadline;
		pthread_mutex_unlock(&loop->owner);
		sleep_on_fds(loop, -1, deadline);
		atomic_store(&loop->is_back, true);
		pthread_mutex_lock(&loop->owner);
		atomic_store(&loop->is_back, false);
	}
	atomic_store(&loop->asleep, false);
}

static void *loop_main(void *context)
{
	struct tpi_loop *loop = context;

	pthread_mutex_lock(&loop->owner);
	atomic_store(&loop->thread, pthread_self());
	atomic_store(&loop->running, true);
	while (!loop->stopping)
		if (!tpi_loop_step(loop) && !loop->stopping)
			sleep_of_thread(loop);
	atomic_store(&loop->running, false);
	pthread_mutex_unlock(&loop->owner);

	return NULL;
}

/* Signals are the host's: none is taken on a thread of ours. */
int tpi_loop_start_thread(struct tpi_loop *loop)
{
	sigset_t all, old;
	pthread_t thread;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, NULL, loop_main, loop);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r)
		return tpi_error(-r, "the run loop's thread cannot be started");
	loop->own_thread = thread;

	return 0;
}

struct stop {
	struct tpi_task task;
	struct tpi_loop *loop;
};

static void stop(struct tpi_task *task)
{
	tpi_container_of(task, struct stop, task)->loop->stopping = true;
}

void tpi_loop_stop_thread(struct tpi_loop *loop)
{
	struct stop request = { .loop = loop };

	tpi_task_init(&request.task, stop);
	tpi_loop_post(loop, &request.task);
	pthread_join(loop->own_thread, NULL);
}
