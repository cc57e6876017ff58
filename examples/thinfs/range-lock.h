/*
 * range-lock.h - ranges of a volume that are in use, several readers or one
 * writer at a time.
 *
 * A write that is not whole sectors reads, changes and writes back: nobody may
 * write the same sectors meanwhile.  Whoever changes the size, or the thin
 * behind it, takes all of it.
 *
 * First come, first served: nobody who wants much is overtaken for ever by
 * those who want little.
 */
#ifndef THINFS_RANGE_LOCK_H
#define THINFS_RANGE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct range_lock {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct range *first, **last; /* in the order they came */
};

/* Its owner's: it lies on the stack of the thread that holds it. */
struct range {
	uint64_t begin, end;
	bool shared;
	struct range *next;
};

enum range_mode {
	RANGE_SHARED,
	RANGE_EXCLUSIVE,
};

void range_lock_init(struct range_lock *lock);
void range_lock_exit(struct range_lock *lock);

/* Waits.  A thread that holds a range of a lock asks for no other of it. */
void range_take(struct range_lock *lock, struct range *range, uint64_t begin,
		uint64_t end, enum range_mode mode);
void range_take_all(struct range_lock *lock, struct range *range,
		    enum range_mode mode);
void range_leave(struct range_lock *lock, struct range *range);

#endif
