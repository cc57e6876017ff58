/*
 * loop.h - the run loop: tasks, timers, and the inbox by which other threads
 * hand it work.
 *
 * One thread at a time runs it: its own or, host-driven, whoever polls.  A task
 * is something to be done there; it runs to its end without waiting, and if it
 * has to go on later it is put where what it waits for will find it.
 *
 * A host's thread that hands in a bio while the loop's own thread sleeps does not
 * wake it but runs the loop itself for a few steps, which costs less than the two
 * switches of threads.  What takes long, what calls the host, and timers it leaves
 * to the thread.  Mapped reads and writes never get here (B-WAKE-1).
 */
#ifndef TPI_POOL_LOOP_H
#define TPI_POOL_LOOP_H

#include <pthread.h>
#include <stdatomic.h>

#include "io/base.h"

struct tp_pool;

struct tpi_task {
	struct tpi_list entry; /* where it waits */
	struct tpi_task *next; /* in the inbox */
	void (*run)(struct tpi_task *task);
	tp_mblock waits_for; /* a metadata block, while it waits for one */
};

static inline void tpi_task_init(struct tpi_task *task,
				 void (*run)(struct tpi_task *task))
{
	tpi_list_init(&task->entry);
	task->next = NULL;
	task->run = run;
	task->waits_for = 0;
}

struct tpi_timer {
	struct tpi_list entry;
	uint64_t when_ns;
	void (*fire)(struct tpi_timer *timer);
};

struct tpi_loop {
	struct tp_pool *pool;
	int event_fd;
	_Atomic pthread_t thread; /* whoever runs it now */
	pthread_t own_thread;     /* not host-driven */
	_Atomic bool running;
	_Atomic(struct tpi_task *) inbox;
	_Atomic bool asleep;
	_Atomic uint64_t nr_wakeups;
	struct tpi_list ready;
	struct tpi_list reading; /* tasks that wait for metadata blocks */
	struct tpi_list timers;
	bool stopping;

	/* Held by whoever runs it; not host-driven. */
	pthread_mutex_t owner;
	uint64_t sleeps_until; /* the thread, by itself */
	bool helped;           /* by a host's thread, now */
	bool handed_over;      /* the thread has to go on */
	_Atomic bool is_back;  /* from its sleep: nobody else begins */
};

int tpi_loop_init(struct tpi_loop *loop, struct tp_pool *pool);
void tpi_loop_exit(struct tpi_loop *loop);

/* Any thread: have @task run. */
void tpi_loop_post(struct tpi_loop *loop, struct tpi_task *task);

/* The same in two halves, for several tasks together: put them in; then wake it,
 * or, as a host's thread that holds no lock, help if that is quicker. */
void tpi_loop_put_in(struct tpi_loop *loop, struct tpi_task *task);
void tpi_loop_help(struct tpi_loop *loop);

/* Any thread: have it look around, though nothing was handed in. */
void tpi_loop_wake(struct tpi_loop *loop);

/* Is the calling thread the one that runs the loop now? */
bool tpi_loop_is_here(const struct tpi_loop *loop);

/*---------------------------- for the loop alone ---------------------------*/

/* Have @task run soon; on the loop, where posting would be a detour. */
void tpi_loop_ready(struct tpi_loop *loop, struct tpi_task *task);

/* True if a host's thread helps: then @task, which takes long, is left to the
 * loop's own. */
bool tpi_loop_leave_to_thread(struct tpi_loop *loop, struct tpi_task *task);

/* All tasks of a list, in order. */
void tpi_loop_ready_all(struct tpi_loop *loop, struct tpi_list *tasks);

/* The metadata answered -EAGAIN: run @task again when the block is here. */
void tpi_loop_await_block(struct tpi_loop *loop, struct tpi_task *task);

/* A metadata block has come, or failed to. */
void tpi_loop_block_arrived(void *loop, tp_mblock block);

void tpi_timer_init(struct tpi_timer *timer,
		    void (*fire)(struct tpi_timer *timer));
void tpi_timer_set(struct tpi_loop *loop, struct tpi_timer *timer,
		   uint64_t when_ns);
void tpi_timer_cancel(struct tpi_timer *timer);

/* The pool's clock. */
uint64_t tpi_loop_now(const struct tpi_loop *loop);

/* When the first timer is due; UINT64_MAX: there is none. */
uint64_t tpi_loop_deadline(const struct tpi_loop *loop);

/* Do all that can be done now; how many things were done. */
unsigned tpi_loop_step(struct tpi_loop *loop);

/* Sleep until there may be something to do.  Host-driven: by the host's clock,
 * if it has one. */
void tpi_loop_sleep(struct tpi_loop *loop);

/* Run until @done, on the thread that runs the loop (or, host-driven, may). */
void tpi_loop_run_until(struct tpi_loop *loop, const _Atomic bool *done);

/* Host-driven: all that can be done now; how many things were done.  From then
 * on the event_fd tells when there is more. */
unsigned tpi_loop_run_ready(struct tpi_loop *loop);

/* Host-driven: one step and, if there was nothing to do, a sleep until there
 * may be, or @fd is readable, or the deadline. */
void tpi_loop_run_beside(struct tpi_loop *loop, int fd, uint64_t deadline);

/* The loop's own thread, until it is told to stop. */
int tpi_loop_start_thread(struct tpi_loop *loop);
void tpi_loop_stop_thread(struct tpi_loop *loop);

#endif
