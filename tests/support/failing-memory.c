/*
 * failing-memory.c - the library's n-th allocation fails.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

#include "support/failing-memory.h"

static atomic_bool armed;
static atomic_uint nr_calls, first_to_fail, nr_failed;
static atomic_bool is_lasting;

void failing_memory_arm(unsigned nth, bool lasting)
{
	nr_calls = 0;
	nr_failed = 0;
	first_to_fail = nth;
	is_lasting = lasting;
	armed = true;
}

bool failing_memory_has_failed(void)
{
	return nr_failed;
}

bool failing_memory_disarm(void)
{
	armed = false;

	return failing_memory_has_failed();
}

void failing_memory_count(void)
{
	failing_memory_arm(0, false);
}

unsigned failing_memory_nr_calls(void)
{
	return nr_calls;
}

bool is_want_of_memory(int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -EAGAIN;
}

static bool fails(void)
{
	unsigned call;

	if (!armed)
		return false;
	call = ++nr_calls;
	if (call != first_to_fail && !(is_lasting && call > first_to_fail))
		return false;
	nr_failed++;

	return true;
}

/* What the library calls in the place of @name.  @refusal: what it does and
 * answers if it fails. */
#define FAILING(type, name, parameters, arguments, refusal)                    \
	type failing_##name parameters;                                        \
	type failing_##name parameters                                         \
	{                                                                      \
		return fails() ? refusal : name arguments;                     \
	}

#define NO_MEMORY (errno = ENOMEM, NULL)

FAILING(void *, malloc, (size_t bytes), (bytes), NO_MEMORY)
FAILING(void *, calloc, (size_t nr, size_t bytes), (nr, bytes), NO_MEMORY)
FAILING(void *, realloc, (void *memory, size_t bytes), (memory, bytes),
	NO_MEMORY)
FAILING(void *, aligned_alloc, (size_t alignment, size_t bytes),
	(alignment, bytes), NO_MEMORY)
FAILING(int, posix_memalign, (void **memory, size_t alignment, size_t bytes),
	(memory, alignment, bytes), ENOMEM)
FAILING(char *, strdup, (const char *string), (string), NO_MEMORY)
FAILING(FILE *, fopen, (const char *path, const char *mode), (path, mode),
	(errno = EMFILE, NULL))
FAILING(int, eventfd, (unsigned count, int flags), (count, flags),
	(errno = EMFILE, -1))
FAILING(int, pthread_create,
	(pthread_t * thread, const pthread_attr_t *attributes,
	 void *(*run)(void *), void *context),
	(thread, attributes, run, context), EAGAIN)
#ifdef HAVE_LIBURING
FAILING(int, io_uring_queue_init,
	(unsigned entries, struct io_uring *ring, unsigned flags),
	(entries, ring, flags), -ENOMEM)
FAILING(int, io_uring_queue_init_params,
	(unsigned entries, struct io_uring *ring,
	 struct io_uring_params *params),
	(entries, ring, params), -ENOMEM)
#endif
