/*
 * run-tests.h - what is left of main() in a test program.
 */
#ifndef TESTS_SUPPORT_RUN_TESTS_H
#define TESTS_SUPPORT_RUN_TESTS_H

#include <check.h>

/* Run @tests, up to NULL, @nr_rounds times each, with _i from 0 on; what main
 * should return. */
int run_tests(const char *name, int nr_rounds, const TTest *const tests[]);

#define RUN_TESTS(name, nr_rounds, ...)                                        \
	run_tests(name, nr_rounds, (const TTest *const[]){ __VA_ARGS__, NULL })

#endif
