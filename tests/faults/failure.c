/*
 * failure.c - what a request that failed was for, as the log tells.
 */
#include <limits.h>

#include "faults/failure.h"

/* The first request that failed; the number of its end in the log. */
unsigned failure_find(struct io_log *log)
{
	unsigned nr = io_log_nr(log);

	for (unsigned i = 0; i < nr; i++) {
		struct io_event event = io_log_get(log, i);

		if (event.when == IO_END && event.status)
			return i;
	}

	return UINT_MAX;
}

static unsigned find_begin(struct io_log *log, unsigned end)
{
	struct io_event event = io_log_get(log, end);
	unsigned i = end;

	while (io_log_get(log, i).when != IO_BEGIN ||
	       io_log_get(log, i).id != event.id)
		i--;

	return i;
}

bool failure_is_of_another_thread(struct io_log *log)
{
	struct io_event event =
		io_log_get(log, find_begin(log, failure_find(log)));

	return !pthread_equal(event.thread, pthread_self());
}

static bool is_metadata(const struct io_event *event, enum tp_op op)
{
	return event->op == op && !strcmp(event->name, "metadata");
}

/* A commit sends its metadata, and then its flush of the data; others may ask for
 * one meanwhile. */
static bool is_commits_flush(struct io_log *log, unsigned end)
{
	unsigned begin = find_begin(log, end);
	bool committing = false, flushed = false;

	for (unsigned i = 0; i < begin; i++) {
		struct io_event event = io_log_get(log, i);

		if (event.when != IO_BEGIN)
			continue;
		if (is_metadata(&event, TP_WRITE)) {
			committing = event.offset != 0;
			flushed &= committing;
		} else if (event.op == TP_FLUSH) {
			flushed |= committing;
		}
	}

	return committing && !flushed;
}

/* Some flush of a commit has failed. */
bool failure_of_a_commits_flush(struct io_log *log)
{
	unsigned nr = io_log_nr(log);

	for (unsigned i = 0; i < nr; i++) {
		struct io_event event = io_log_get(log, i);

		if (event.when == IO_END && event.op == TP_FLUSH &&
		    event.status && is_commits_flush(log, i))
			return true;
	}

	return false;
}

/* Has a superblock been on its way? */
bool failure_superblock_began(struct io_log *log)
{
	unsigned nr = io_log_nr(log);

	for (unsigned i = 0; i < nr; i++) {
		struct io_event event = io_log_get(log, i);

		if (event.when == IO_BEGIN && is_metadata(&event, TP_WRITE) &&
		    !event.offset)
			return true;
	}

	return false;
}

/* The superblock, or the flush that makes it durable. */
bool failure_is_superblocks(struct io_log *log, unsigned end)
{
	struct io_event event = io_log_get(log, end);
	unsigned i = find_begin(log, end);

	if (event.op == TP_WRITE)
		return !event.offset;
	while (i-- > 0) {
		event = io_log_get(log, i);
		if (event.when == IO_BEGIN && is_metadata(&event, TP_WRITE))
			return !event.offset;
	}

	return false;
}
