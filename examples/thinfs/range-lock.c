/*
 * range-lock.c - a list in order of arrival.  A range waits for those before it
 * that overlap it, held or waiting; there are no more of them than workers.
 */
#include "range-lock.h"

void range_lock_init(struct range_lock *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
	pthread_cond_init(&lock->changed, NULL);
	lock->first = NULL;
	lock->last = &lock->first;
}

void range_lock_exit(struct range_lock *lock)
{
	pthread_cond_destroy(&lock->changed);
	pthread_mutex_destroy(&lock->mutex);
}

static bool conflict(const struct range *a, const struct range *b)
{
	return a->begin < b->end && b->begin < a->end &&
	       !(a->shared && b->shared);
}

static bool must_wait(const struct range_lock *lock, const struct range *range)
{
	const struct range *earlier = lock->first;

	while (earlier != range && !conflict(earlier, range))
		earlier = earlier->next;

	return earlier != range;
}

void range_take(struct range_lock *lock, struct range *range, uint64_t begin,
		uint64_t end, enum range_mode mode)
{
	*range = (struct range){ .begin = begin,
				 .end = end,
				 .shared = mode == RANGE_SHARED };
	pthread_mutex_lock(&lock->mutex);
	*lock->last = range;
	lock->last = &range->next;
	while (must_wait(lock, range))
		pthread_cond_wait(&lock->changed, &lock->mutex);
	pthread_mutex_unlock(&lock->mutex);
}

void range_take_all(struct range_lock *lock, struct range *range,
		    enum range_mode mode)
{
	range_take(lock, range, 0, UINT64_MAX, mode);
}

void range_leave(struct range_lock *lock, struct range *range)
{
	struct range **link = &lock->first;

	pthread_mutex_lock(&lock->mutex);
	while (*link != range)
		link = &(*link)->next;
	*link = range->next;
	if (!*link)
		lock->last = link;
	pthread_cond_broadcast(&lock->changed);
	pthread_mutex_unlock(&lock->mutex);
}
