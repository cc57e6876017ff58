/*
 * thread-failure.c - the first thing that went wrong in any thread.
 */
#include "support/thread-failure.h"

#include <check.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <thinpool/thinpool.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool failed;
static char sentence[512];

void record_failure(const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&lock);
	if (!failed) {
		va_start(args, format);
		vsnprintf(sentence, sizeof(sentence), format, args);
		va_end(args);
		failed = true;
	}
	pthread_mutex_unlock(&lock);
}

bool has_failed(void)
{
	return failed;
}

void assert_no_failure(void)
{
	ck_assert_msg(!failed, "in a thread: %s", sentence);
}

void expect_status(int status, int wanted, const char *what)
{
	expect(status == wanted, "%s: %d, %s", what, status, tp_last_error());
}
