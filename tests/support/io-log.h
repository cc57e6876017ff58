/*
 * io-log.h - what happened at several devices, in one order.
 *
 * A request appears twice: when it was submitted, and when it had ended, which
 * is before the library is told.  A test adds notes of its own between them.
 */
#ifndef TESTS_SUPPORT_IO_LOG_H
#define TESTS_SUPPORT_IO_LOG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <thinpool/types.h>

enum io_when { IO_BEGIN, IO_END, IO_NOTE };

struct io_event {
	enum io_when when;
	const char *name; /* of the device, or the note */
	unsigned id;      /* the same of begin and end */
	enum tp_op op;
	unsigned flags;
	uint64_t offset, length;
	int status;       /* of an end */
	pthread_t thread; /* that came with it; the log fills it in */
};

struct io_log {
	pthread_mutex_t lock;
	struct io_event *events;
	unsigned nr, room;
	atomic_uint nr_ids;
};

void io_log_init(struct io_log *log);
void io_log_exit(struct io_log *log);

/* Forget what was before. */
void io_log_clear(struct io_log *log);

/* The event's sequence number. */
unsigned io_log_add(struct io_log *log, const struct io_event *event);
unsigned io_log_note(struct io_log *log, const char *note);

/* How many there are. */
unsigned io_log_nr(struct io_log *log);

/* The event with sequence number @i. */
struct io_event io_log_get(struct io_log *log, unsigned i);

/* The first event from @from on that is so; or UINT_MAX. */
unsigned io_log_find(struct io_log *log, unsigned from, enum io_when when,
		     const char *name, enum tp_op op);
unsigned io_log_find_note(struct io_log *log, unsigned from, const char *note);

/* How many requests of @op to the device @name have begun. */
unsigned io_log_count(struct io_log *log, const char *name, enum tp_op op);

/* All of it, on standard error. */
void io_log_print(struct io_log *log);

#endif
