/*
 * base.c - how the benchmark gives up, and the clocks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <thinpool/thinpool.h>
#include <time.h>

#include "base.h"

void die(const char *what)
{
	fprintf(stderr, "thinpool-bench: %s: %s\n", what, tp_last_error());
	exit(1);
}

void check(int r, const char *what)
{
	if (!r)
		return;
	fprintf(stderr, "thinpool-bench: %s: %s: %s\n", what, tp_strerror(r),
		tp_last_error());
	exit(1);
}

void *allocate(size_t bytes)
{
	void *result = calloc(1, bytes);

	if (!result)
		die("no memory");

	return result;
}

void *allocate_pages(size_t bytes)
{
	void *result = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (result == MAP_FAILED)
		die("no memory for the device");
	/* Else most of what is measured are misses of the TLB. */
	madvise(result, bytes, MADV_HUGEPAGE);
	memset(result, 1, bytes);

	return result;
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);

	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t cpu_ns(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}
