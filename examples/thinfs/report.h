/*
 * report.h - what went wrong, told to people and to the kernel.
 */
#ifndef THINFS_REPORT_H
#define THINFS_REPORT_H

#include <stdbool.h>
#include <thinpool/thinpool.h>

/*
 * It runs: what the library has to say is told too.  @to_log: there is no
 * terminal any more, use the system's log.
 */
void report_running(bool to_log);

/* The library finds fault with what this thread asks: no need to tell. */
void report_quiet(bool quiet);

/* "thinfs: " and a sentence.  Returns -1, as what fails before the mount does. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, and the library's explanation of @error. */
int fail_library(int error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The library's error, positive, in the words of a file system. */
int errno_for_kernel(int error);

#endif
