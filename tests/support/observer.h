/*
 * observer.h - a host's device in memory (tp_device_new_async) that logs every
 * request, keeps back what a test wants kept back, and fails on demand.
 *
 * It serves pools of either kind.  A write takes effect when it ends; one that
 * fails takes none, or as much of it as arrives.  What was discarded reads as a
 * poison pattern, so that whoever relies on it shows.
 *
 * Threads: any, at any time; bytes is for a device at rest.
 */
#ifndef TESTS_SUPPORT_OBSERVER_H
#define TESTS_SUPPORT_OBSERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <thinpool/device.h>

#include "support/io-log.h"

#define OBSERVER_POISON 0xd5
#define OBSERVER_NR_OPS 6
#define OBSERVER_MAX_FAILURES 4

/* A set of operations: OPS(TP_READ) | OPS(TP_FLUSH). */
#define OPS(op) (1u << (op))
#define ALL_OPS ((1u << OBSERVER_NR_OPS) - 1)

struct observer_failure {
	unsigned ops; /* 0: none */
	unsigned skip, times;
	uint64_t begin, end;
	int status;
};

/* How much of a write that fails is on the device all the same. */
enum observer_arrival { OBSERVER_NONE, OBSERVER_HALF, OBSERVER_ALL };

struct observer {
	struct tp_device *device;
	char *bytes;
	_Atomic uint64_t size_bytes;
	uint64_t room_bytes;
	const char *name;
	struct io_log *log;

	pthread_mutex_t lock;
	struct observer_channel *channels;
	unsigned hold_ops;
	uint64_t hold_begin, hold_end;
	unsigned nr_to_hold;
	struct observer_failure failures[OBSERVER_MAX_FAILURES];
	enum observer_arrival arrival;
	atomic_uint nr_begun[OBSERVER_NR_OPS], nr_started, nr_held, nr_failed;
	atomic_uint delay_us; /* what each poll that ends something sleeps */
	atomic_bool newest_first;
};

/*
 * @limits: NULL, or what to take features and discard limits from; else the
 * device discards and zeroes, and has a volatile cache and no FUA.  @room: up
 * to where it can be made to grow.
 */
void observer_init(struct observer *observer, struct io_log *log,
		   const char *name, uint64_t size, uint64_t room,
		   const struct tp_device_limits *limits);

/* All that have a reference are gone. */
void observer_exit(struct observer *observer);

void observer_grow(struct observer *observer, uint64_t size);

/* Keep back requests of @ops that touch [begin, end), from now on; a flush
 * touches everything.  One set at a time. */
void observer_hold(struct observer *observer, unsigned ops);
void observer_hold_range(struct observer *observer, unsigned ops,
			 uint64_t begin, uint64_t end);

/* As observer_hold, but only the next @nr. */
void observer_hold_next(struct observer *observer, unsigned ops, unsigned nr);

/* Let go of all that is kept back, and keep nothing back any more. */
void observer_release(struct observer *observer);

/* Keep nothing more back; what is stays. */
void observer_hold_no_more(struct observer *observer);

/* Let the request of @ops that came first end; whether there was one. */
bool observer_release_one(struct observer *observer, unsigned ops);

/* Of the requests of @ops submitted from now on, @skip succeed, then @times
 * (0: all) fail with @status. */
void observer_fail(struct observer *observer, unsigned ops, unsigned skip,
		   unsigned times, int status);
void observer_fail_range(struct observer *observer, unsigned ops, unsigned skip,
			 unsigned times, int status, uint64_t begin,
			 uint64_t end);
void observer_heal(struct observer *observer);

#endif
