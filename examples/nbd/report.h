/*
 * report.h - what went wrong, told to whoever runs the server, and to the
 * client.
 */
#ifndef NBD_REPORT_H
#define NBD_REPORT_H

/* What the library has to say goes the way of nbdkit's own messages. */
void report_library(void);

/* A sentence, and the library's explanation of @error.  Returns -1, as nbdkit's
 * callbacks do. */
int fail_library(int error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * How a request ended, in nbdkit's terms: 0, or -1 and an errno for the client.
 * What happened, the library has logged.
 */
int answer(int error);

#endif
