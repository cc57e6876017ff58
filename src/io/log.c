/*
 * log.c - sentences: to the host's log, and kept as each thread's last error.
 *
 * The log is the library's only global state.  It is called with a read lock
 * held, so that once tp_set_log() has returned, the old function is not
 * running and is never called again.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base.h"

#define MAX_SENTENCE_BYTES 512
#define NO_LEVEL (-1)

static struct {
	pthread_rwlock_t lock; /* function and context */
	tp_log_fn function;
	void *context;
	atomic_int level; /* read without the lock: most messages stop there */
} the_log = { .lock = PTHREAD_RWLOCK_INITIALIZER, .level = NO_LEVEL };

static _Thread_local char last_error[MAX_SENTENCE_BYTES];

void tp_set_log(tp_log_fn log, void *context, enum tp_log_level level)
{
	pthread_rwlock_wrlock(&the_log.lock);
	the_log.function = log;
	the_log.context = context;
	atomic_store(&the_log.level, log ? (int)level : NO_LEVEL);
	pthread_rwlock_unlock(&the_log.lock);
}

static bool is_wanted(enum tp_log_level level)
{
	return (int)level <=
	       atomic_load_explicit(&the_log.level, memory_order_relaxed);
}

static void log_sentence(enum tp_log_level level, const char *sentence)
{
	if (!is_wanted(level))
		return;

	pthread_rwlock_rdlock(&the_log.lock);
	if (the_log.function)
		the_log.function(the_log.context, level, sentence);
	pthread_rwlock_unlock(&the_log.lock);
}

void tpi_log(enum tp_log_level level, const char *format, ...)
{
	char sentence[MAX_SENTENCE_BYTES];
	va_list args;

	if (!is_wanted(level))
		return;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	log_sentence(level, sentence);
}

/*---------------------------- the last error -------------------------------*/

const char *tp_last_error(void)
{
	return last_error;
}

void tpi_set_last_error(const char *sentence)
{
	snprintf(last_error, sizeof(last_error), "%s", sentence);
}

static void keep_and_log(const char *sentence)
{
	tpi_set_last_error(sentence);
	log_sentence(TP_LOG_ERROR, sentence);
}

int tpi_error(int error, const char *format, ...)
{
	/* Not into last_error at once: the arguments may quote it. */
	char sentence[MAX_SENTENCE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	keep_and_log(sentence);

	return error;
}

int tpi_damage(const char *where, const char *format, ...)
{
	char sentence[MAX_SENTENCE_BYTES];
	size_t used;
	va_list args;

	snprintf(sentence, sizeof(sentence), "damage in %s: ", where);
	used = strlen(sentence);
	va_start(args, format);
	vsnprintf(sentence + used, sizeof(sentence) - used, format, args);
	va_end(args);
	keep_and_log(sentence);

	return -EILSEQ;
}

void tpi_assertion_failed(const char *condition, const char *file, int line)
{
	tpi_log(TP_LOG_ERROR, "assertion failed at %s:%d: %s", file, line,
		condition);
	abort();
}
