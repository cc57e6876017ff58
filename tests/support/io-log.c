/*
 * io-log.c - what happened at several devices, in one order.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/io-log.h"

void io_log_init(struct io_log *log)
{
	*log = (struct io_log){ .nr = 0 };
	pthread_mutex_init(&log->lock, NULL);
}

void io_log_exit(struct io_log *log)
{
	pthread_mutex_destroy(&log->lock);
	free(log->events);
}

void io_log_clear(struct io_log *log)
{
	pthread_mutex_lock(&log->lock);
	log->nr = 0;
	pthread_mutex_unlock(&log->lock);
}

unsigned io_log_add(struct io_log *log, const struct io_event *event)
{
	unsigned i;

	pthread_mutex_lock(&log->lock);
	if (log->nr == log->room) {
		log->room = log->room ? 2 * log->room : 256;
		log->events =
			realloc(log->events, log->room * sizeof(*log->events));
		if (!log->events)
			abort();
	}
	i = log->nr++;
	log->events[i] = *event;
	log->events[i].thread = pthread_self();
	pthread_mutex_unlock(&log->lock);

	return i;
}

unsigned io_log_note(struct io_log *log, const char *note)
{
	return io_log_add(log,
			  &(struct io_event){ .when = IO_NOTE, .name = note });
}

unsigned io_log_nr(struct io_log *log)
{
	unsigned nr;

	pthread_mutex_lock(&log->lock);
	nr = log->nr;
	pthread_mutex_unlock(&log->lock);

	return nr;
}

struct io_event io_log_get(struct io_log *log, unsigned i)
{
	struct io_event event;

	pthread_mutex_lock(&log->lock);
	event = log->events[i];
	pthread_mutex_unlock(&log->lock);

	return event;
}

static bool is_so(const struct io_event *event, enum io_when when,
		  const char *name, enum tp_op op)
{
	return event->when == when && !strcmp(event->name, name) &&
	       (when == IO_NOTE || event->op == op);
}

unsigned io_log_find(struct io_log *log, unsigned from, enum io_when when,
		     const char *name, enum tp_op op)
{
	unsigned found = UINT_MAX;

	pthread_mutex_lock(&log->lock);
	for (unsigned i = from; i < log->nr && found == UINT_MAX; i++)
		if (is_so(&log->events[i], when, name, op))
			found = i;
	pthread_mutex_unlock(&log->lock);

	return found;
}

unsigned io_log_find_note(struct io_log *log, unsigned from, const char *note)
{
	return io_log_find(log, from, IO_NOTE, note, TP_READ);
}

unsigned io_log_count(struct io_log *log, const char *name, enum tp_op op)
{
	unsigned nr = 0;

	pthread_mutex_lock(&log->lock);
	for (unsigned i = 0; i < log->nr; i++)
		nr += is_so(&log->events[i], IO_BEGIN, name, op);
	pthread_mutex_unlock(&log->lock);

	return nr;
}

void io_log_print(struct io_log *log)
{
	static const char *const ops[] = { "read", "write", "flush", "discard",
					   "write-zeroes" };

	pthread_mutex_lock(&log->lock);
	for (unsigned i = 0; i < log->nr; i++) {
		const struct io_event *e = &log->events[i];

		if (e->when == IO_NOTE)
			fprintf(stderr, "%5u ---- %s\n", i, e->name);
		else
			fprintf(stderr,
				"%5u %s %-8s #%u %s%s %#llx+%#llx: %d\n", i,
				e->when == IO_BEGIN ? "  >" : "<  ", e->name,
				e->id, ops[e->op],
				e->flags & TP_FUA ? " fua" : "",
				(unsigned long long)e->offset,
				(unsigned long long)e->length, e->status);
	}
	pthread_mutex_unlock(&log->lock);
}
