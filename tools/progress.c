/*
 * progress.c - how far a long command is.
 */
#include "progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "size.h"

#define INTERVAL 0.2 /* seconds */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);

	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

void progress_begin(struct progress *progress, uint64_t total)
{
	progress->shown = isatty(STDERR_FILENO);
	progress->total = total;
	progress->begun = progress->last = now();
}

static void tell_time_left(unsigned seconds)
{
	fprintf(stderr, ", %u:%02u:%02u left", seconds / 3600,
		seconds / 60 % 60, seconds % 60);
}

void progress_tell(struct progress *progress, uint64_t done)
{
	double time = now(), rate;

	if (!progress->shown || time - progress->last < INTERVAL)
		return;
	progress->last = time;
	rate = (double)done / (time - progress->begun);

	fprintf(stderr, "\r\033[K%s", size_format(done).text);
	if (progress->total)
		fprintf(stderr, " of %s (%.0f%%)",
			size_format(progress->total).text,
			100 * (double)done / (double)progress->total);
	fprintf(stderr, ", %s/s", size_format((uint64_t)rate).text);
	if (progress->total > done && rate >= 1)
		tell_time_left(
			(unsigned)((double)(progress->total - done) / rate));
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
}
