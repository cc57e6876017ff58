/*
 * call.h - calls from the host's threads that are carried out on the run loop.
 *
 * A call is a function of steps: it is called until it returns something else
 * than -EAGAIN (a metadata block is being read) or -EINPROGRESS (it has
 * arranged to be made ready itself).  *Asking* calls run at once, any number
 * beside each other.  *Changing* calls are done one after another, refused
 * while the pool is suspended or its mode forbids them, and end with a commit.
 */
#ifndef TPI_POOL_CALL_H
#define TPI_POOL_CALL_H

#include <semaphore.h>

#include "pool/pool.h"

struct tpi_call {
	struct tpi_task task;
	struct tpi_list entry; /* in pool->calls, if it changes something */
	struct tp_pool *pool;
	int (*step)(struct tpi_call *call);
	void (*undo)(struct tpi_call *call); /* when it fails; or NULL */
	int result;
	bool changing, committing;
	bool even_if_suspended;     /* resume, and what close does */
	bool no_commit;             /* the step sees to that itself */
	bool any_mode;              /* the step looks at the mode itself */
	bool ignores_hold;          /* it holds the others' changes itself */
	uint64_t nr_failed_flushes; /* of the pool, when it was made */
	uint64_t nr_rollbacks;      /* likewise */
	struct tpi_commit_waiter waiter;
	char sentence[256]; /* why it failed */
	_Atomic bool done;
	sem_t *wake; /* the caller's, if it sleeps */
};

/* Carry a call out and wait for its end; its result.  -EDEADLK from a hook. */
int tpi_call_ask(struct tp_pool *pool, struct tpi_call *call,
		 int (*step)(struct tpi_call *call));
int tpi_call_change(struct tp_pool *pool, struct tpi_call *call,
		    int (*step)(struct tpi_call *call));

/* Has a data flush failed since?  Then what was written before the call may be
 * gone, and it must not say that all is durable. */
bool tpi_call_saw_failed_flush(const struct tpi_call *call);

/* Or was a transaction given up since?  Then what had ended before the call may
 * have been in it.  For calls that go on in a pool that is read-only. */
bool tpi_call_saw_loss(const struct tpi_call *call);

/* On the loop: go on with a call that was -EINPROGRESS. */
void tpi_call_continue(struct tpi_call *call);

#endif
