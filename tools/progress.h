/*
 * progress.h - a line on standard error, if that is a terminal, that tells how
 * far a long command is: what is done, how fast, how long it will take.
 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool shown;
	uint64_t total; /* bytes; 0: not known */
	double begun, last;
};

void progress_begin(struct progress *progress, uint64_t total);
void progress_tell(struct progress *progress, uint64_t done);

/* Clears the line. */
void progress_end(struct progress *progress);

#endif
