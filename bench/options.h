/*
 * options.h - the command line.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "report.h"

struct options {
	struct bench bench;
	const struct report_ops *report;
	bool lists;   /* only the names of the rows */
	bool has_own; /* a job of one's own, and no others */
	struct row own;
	char *const *names; /* patterns of rows, until NULL; none: all */
};

/* Exits where there is nothing to do, or what is asked makes no sense. */
void parse_options(int argc, char **argv, struct options *options);

#endif
