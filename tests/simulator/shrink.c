/*
 * shrink.c - fewer steps that fail too.
 *
 * Pieces of the list are left out, halves first, then smaller and smaller ones
 * down to single steps; and again from the beginning as long as that helps
 * (delta debugging, after Zeller and Hildebrandt).
 */
#include <stdlib.h>
#include <string.h>

#include "simulator/shrink.h"

struct list {
	uint32_t *numbers;
	unsigned nr;
};

static bool fails(const struct job *whole, const struct list *list,
		  struct outcome *outcome)
{
	struct job job = *whole;
	struct outcome found;

	job.only = list->numbers;
	job.nr_only = list->nr;
	job_run_isolated(&job, &found);
	if (found.verdict.broken)
		*outcome = found;

	return found.verdict.broken;
}

/* Is [begin, end) not needed?  Then it is gone. */
static bool leave_out(const struct job *job, struct list *list, unsigned begin,
		      unsigned end, struct outcome *outcome)
{
	struct list rest = { .nr = list->nr - (end - begin) };
	bool was_idle;

	rest.numbers = malloc((rest.nr + 1) * sizeof(*rest.numbers));
	memcpy(rest.numbers, list->numbers, begin * sizeof(*rest.numbers));
	memcpy(rest.numbers + begin, list->numbers + end,
	       (list->nr - end) * sizeof(*rest.numbers));
	was_idle = fails(job, &rest, outcome);
	if (was_idle) {
		memcpy(list->numbers, rest.numbers,
		       rest.nr * sizeof(*rest.numbers));
		list->nr = rest.nr;
	}
	free(rest.numbers);

	return was_idle;
}

/* From the end, for what comes last has the fewest consequences. */
static bool leave_out_pieces(const struct job *job, struct list *list,
			     unsigned size, struct outcome *outcome)
{
	unsigned end = list->nr;
	bool helped = false;

	while (end) {
		unsigned begin = end > size ? end - size : 0;

		helped |= leave_out(job, list, begin, end, outcome);
		end = begin;
	}

	return helped;
}

static void reduce(const struct job *job, struct list *list,
		   struct outcome *outcome)
{
	bool helped;

	do {
		helped = false;
		for (unsigned size = (list->nr + 1) / 2; size; size /= 2)
			helped |= leave_out_pieces(job, list, size, outcome);
	} while (helped);
}

uint32_t *shrink(const struct job *job, unsigned *nr, struct outcome *outcome)
{
	struct workload workload;
	struct list list;

	workload_make(&workload, job->seed, &job->options);
	list.nr = workload.nr_steps;
	list.numbers = calloc(list.nr + 1, sizeof(*list.numbers));
	for (unsigned i = 0; i < list.nr; i++)
		list.numbers[i] = i;
	workload_free(&workload);
	if (fails(job, &list, outcome))
		reduce(job, &list, outcome);
	*nr = list.nr;

	return list.numbers;
}
