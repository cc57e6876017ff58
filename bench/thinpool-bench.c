/*
 * thinpool-bench - what the engine costs, beside the device beneath.
 *
 * Each row compares two jobs: mostly one on the raw device and the same on a
 * thin volume over it, in turn, several rounds.  The median of what the rounds
 * say counts.  doc/performance.md tells what comes out.
 */
#include <fnmatch.h>
#include <malloc.h>
#include <stdio.h>

#include "options.h"

static bool is_asked_for(const struct row *row, char *const *names)
{
	if (!*names)
		return !row->is_extra;
	for (; *names; names++)
		if (!fnmatch(*names, row->name, 0))
			return true;

	return false;
}

static void print_row(struct options *options, const struct row *row,
		      unsigned *nr_printed)
{
	struct figure figure;

	measure_row(&options->bench, row, &figure);
	options->report->print(&figure, !(*nr_printed)++);
}

static unsigned run(struct options *options)
{
	unsigned nr_printed = 0;

	options->report->begin();
	if (options->has_own)
		print_row(options, &options->own, &nr_printed);
	for (size_t i = 0; i < nr_standard_rows && !options->has_own; i++)
		if (is_asked_for(&standard_rows[i], options->names))
			print_row(options, &standard_rows[i], &nr_printed);
	options->report->end();

	return nr_printed;
}

/*
 * Each row makes and closes pools.  By itself malloc would learn from what was
 * given back, and take what is large from the heap, where the advice to use huge
 * pages stays when it is freed: later ones would meet that.
 */
static void keep_rows_apart(void)
{
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

int main(int argc, char **argv)
{
	struct options options;
	unsigned nr_printed;

	keep_rows_apart();
	parse_options(argc, argv, &options);
	if (options.lists) {
		for (size_t i = 0; i < nr_standard_rows; i++)
			printf("%-32s %s\n", standard_rows[i].name,
			       standard_rows[i].title);
		return 0;
	}
	nr_printed = run(&options);
	end_bench(&options.bench);
	if (!nr_printed) {
		fputs("thinpool-bench: there is no such row; see --list\n",
		      stderr);
		return 2;
	}

	return 0;
}
