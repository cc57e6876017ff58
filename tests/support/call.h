/*
 * call.h - a call that waits, made in a thread of its own.
 */
#ifndef TESTS_SUPPORT_CALL_H
#define TESTS_SUPPORT_CALL_H

#include "support/world.h"

struct call {
	pthread_t thread;
	int (*make)(void *context);
	void *context;
	atomic_int tid; /* as the kernel counts; 0: not yet running */
	atomic_bool returned;
	int result;
};

void call_begin(struct call *call, int (*make)(void *context), void *context);

/* Until it has returned, or the pool knows of it and it is asleep: what comes
 * now comes after it. */
void call_await(struct world *w, struct call *call);

/* Its result. */
int call_end(struct call *call);

#endif
