/*
 * run-tests.c - one suite, one case, many tests.
 *
 * libcheck's assertions are for one thread, and for few of them: each that holds
 * leaves a mark in a file, with a system call; marks of several threads at once
 * garble it; one that does not hold jumps back into libcheck.  Our tests assert
 * of every sector, and devices, hooks and event handlers do in whatever thread
 * the library calls them.  So these two calls come by here first (--wrap, in
 * tests/meson.build).
 */
#include "support/run-tests.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void __real__mark_point(const char *file, int line);
void __wrap__mark_point(const char *file, int line);
void __real__ck_assert_failed(const char *file, int line,
			      const char *expression, const char *format,
			      ...) CK_ATTRIBUTE_NORETURN
	CK_ATTRIBUTE_FORMAT(printf, 4, 5);
void __wrap__ck_assert_failed(const char *file, int line,
			      const char *expression, const char *format,
			      ...) CK_ATTRIBUTE_NORETURN
	CK_ATTRIBUTE_FORMAT(printf, 4, 5);

static pthread_t main_thread;
static bool forks;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool is_main_thread(void)
{
	return pthread_equal(pthread_self(), main_thread);
}

/* A few milliseconds each; cheap to ask for. */
static bool is_new_tick(void)
{
	static struct timespec last;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_nsec == last.tv_nsec && now.tv_sec == last.tv_sec)
		return false;
	last = now;
	return true;
}

/*
 * Only where a test dies without having failed is it asked where it had been.
 * A mark a tick tells enough, and where the main thread is.
 */
void __wrap__mark_point(const char *file, int line)
{
	if (!is_main_thread() || !is_new_tick())
		return;
	pthread_mutex_lock(&lock);
	__real__mark_point(file, line);
	pthread_mutex_unlock(&lock);
}

/* A child process reports what failed and ends, in any thread; without one,
 * only the main thread can go back. */
void __wrap__ck_assert_failed(const char *file, int line,
			      const char *expression, const char *format, ...)
{
	char message[512] = "";
	va_list args;

	if (format) {
		va_start(args, format);
		vsnprintf(message, sizeof(message), format, args);
		va_end(args);
	}
	if (!forks && !is_main_thread()) {
		fprintf(stderr, "%s:%d: in a thread: %s\n", file, line,
			format ? message : expression);
		abort();
	}
	if (!is_main_thread())
		pthread_mutex_lock(&lock);
	__real__ck_assert_failed(file, line, expression, format ? "%s" : NULL,
				 message);
}

int run_tests(const char *name, int nr_rounds, const TTest *const tests[])
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner = srunner_create(suite);
	int nr_failed;

	main_thread = pthread_self();
	forks = srunner_fork_status(runner) != CK_NOFORK;
	for (int i = 0; tests[i]; i++)
		tcase_add_loop_test(tcase, tests[i], 0, nr_rounds);
	suite_add_tcase(suite, tcase);

	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);

	return nr_failed ? 1 : 0;
}
