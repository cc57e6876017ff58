/*
 * thread-failure.h - what goes wrong in the threads of a test.
 *
 * libcheck's assertions are for the main thread.  The others record the first
 * failure, see that there was one and end; the main thread joins them and
 * asserts.
 */
#ifndef TESTS_SUPPORT_THREAD_FAILURE_H
#define TESTS_SUPPORT_THREAD_FAILURE_H

#include <stdbool.h>

/* Any thread.  Only the first is kept. */
__attribute__((format(printf, 1, 2))) void record_failure(const char *format,
							  ...);
bool has_failed(void);

/* Main thread, the others joined: fails the test with what was recorded. */
void assert_no_failure(void);

#define expect(condition, ...)                                                 \
	do {                                                                   \
		if (!(condition))                                              \
			record_failure(__VA_ARGS__);                           \
	} while (0)

/* @call gives 0; otherwise that, and the library's sentence, is recorded. */
#define expect_ok(call) expect_status(call, 0, #call)

void expect_status(int status, int wanted, const char *what);

#endif
