/*
 * options.h - the command line.
 */
#ifndef THINFS_OPTIONS_H
#define THINFS_OPTIONS_H

#include <stdbool.h>

#include "fuse-version.h"

struct options {
	char *pool, *mountpoint;
	int foreground;
	int read_only;
	int solid;
	unsigned nr_workers;
	bool done;             /* --help or --version: there is no more to do */
	struct fuse_args rest; /* for libfuse: -o ... */
};

/* 0, or the exit status of wrong usage, with everything told. */
int options_read(struct options *options, int argc, char **argv);
void options_free(struct options *options);

#endif
