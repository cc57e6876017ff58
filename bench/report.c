/*
 * report.c - prints figures: as a table, as Markdown or as JSON.
 */
#include <stdio.h>

#include "report.h"

static const char *unit(const struct row *row)
{
	switch (row->goal) {
	case GOAL_COST:
		return "ns over";
	case GOAL_RATE:
		return "of the rate";
	case GOAL_TIME:
		return "times as long";
	default:
		return row->unit;
	}
}

/* Three figures or so that count. */
static int digits(double value)
{
	return value < 10 && value > -10 ? 3 : value < 100 ? 1 : 0;
}

static bool is_at_least(const struct row *row)
{
	return row->goal == GOAL_RATE || row->goal == GOAL_LEAST;
}

static const char *verdict(const struct figure *figure)
{
	if (!figure->row->bound)
		return "";

	return is_met(figure) ? "met" : "NOT MET";
}

static void format_goal(const struct row *row, char *text, size_t size)
{
	text[0] = '\0';
	if (row->bound)
		snprintf(text, size, "%s %g",
			 is_at_least(row) ? ">=" : "<=", row->bound);
}

static double per_second(const struct measure *measure)
{
	return 1e9 / measure->wall_ns;
}

/*---------------------------- a table --------------------------------------*/

static void begin_table(void)
{
	printf("%-32s %9s %9s %9s  %-14s %-9s %-8s %9s %9s %7s %7s %7s "
	       "%9s %9s %9s %9s\n",
	       "row", "median", "least", "most", "", "goal", "", "base/s",
	       "job/s", "ratio", "CPU ns", "CPU ns", "p50 us", "p99", "p99.9",
	       "max");
}

static void print_jobs(const struct figure *figure)
{
	const struct measure *base = &figure->base, *job = &figure->job;

	printf(" %9.0f %9.0f %7.3f %7.0f %7.0f", per_second(base),
	       per_second(job), figure->rate_ratio, base->cpu_ns, job->cpu_ns);
	for (unsigned i = 0; i < NR_PERCENTILES; i++)
		printf(" %9.1f", job->latency_us[i]);
}

static void print_table(const struct figure *figure, bool is_first)
{
	const struct row *row = figure->row;
	int nr = digits(figure->median);
	char goal[32];

	format_goal(row, goal, sizeof(goal));
	printf("%-32s %9.*f %9.*f %9.*f  %-14s %-9s %-8s", row->name, nr,
	       figure->median, nr, figure->least, nr, figure->most, unit(row),
	       goal, verdict(figure));
	if (!row->measure)
		print_jobs(figure);
	putchar('\n');
	fflush(stdout);
}

static void end_nothing(void)
{
}

const struct report_ops report_table = {
	.begin = begin_table,
	.print = print_table,
	.end = end_nothing,
};

/*---------------------------- Markdown -------------------------------------*/

static void begin_markdown(void)
{
	puts("| row | work | measured | least to most | goal | | a second, base "
	     "and job | CPU ns each | p50, p99, p99.9, max us |\n"
	     "|---|---|--:|--:|--:|---|--:|--:|--:|");
}

static void print_markdown(const struct figure *figure, bool is_first)
{
	const struct measure *base = &figure->base, *job = &figure->job;
	const struct row *row = figure->row;
	int nr = digits(figure->median);
	char goal[32];

	format_goal(row, goal, sizeof(goal));
	printf("| `%s` | %s | %.*f %s | %.*f to %.*f | %s | %s |", row->name,
	       row->title, nr, figure->median, unit(row), nr, figure->least, nr,
	       figure->most, goal, verdict(figure));
	if (row->measure)
		printf(" | | |\n");
	else
		printf(" %.0f, %.0f | %.0f, %.0f | %.1f, %.1f, %.1f, %.1f |\n",
		       per_second(base), per_second(job), base->cpu_ns,
		       job->cpu_ns, job->latency_us[MEDIAN],
		       job->latency_us[P99], job->latency_us[P999],
		       job->latency_us[LONGEST]);
	fflush(stdout);
}

const struct report_ops report_markdown = {
	.begin = begin_markdown,
	.print = print_markdown,
	.end = end_nothing,
};

/*---------------------------- JSON -----------------------------------------*/

static void begin_json(void)
{
	puts("[");
}

static void print_measure(const char *name, const struct measure *measure)
{
	printf(",\n   \"%s\": {\"iops\": %.1f, \"cpu_ns\": %.1f", name,
	       per_second(measure), measure->cpu_ns);
	for (unsigned i = 0; i < NR_PERCENTILES; i++)
		printf(", \"%s_us\": %.3f", percentile_names[i],
		       measure->latency_us[i]);
	putchar('}');
}

static void print_json(const struct figure *figure, bool is_first)
{
	const struct row *row = figure->row;

	printf("%s  {\"row\": \"%s\", \"work\": \"%s\", \"median\": %.6g, "
	       "\"least\": %.6g, \"most\": %.6g, \"unit\": \"%s\"",
	       is_first ? "" : ",\n", row->name, row->title, figure->median,
	       figure->least, figure->most, unit(row));
	if (row->bound)
		printf(", \"goal\": %g, \"at_least\": %s, \"met\": %s",
		       row->bound, is_at_least(row) ? "true" : "false",
		       is_met(figure) ? "true" : "false");
	if (!row->measure) {
		printf(", \"ratio\": %.4f", figure->rate_ratio);
		print_measure("base", &figure->base);
		print_measure("job", &figure->job);
	}
	putchar('}');
	fflush(stdout);
}

static void end_json(void)
{
	puts("\n]");
}

const struct report_ops report_json = {
	.begin = begin_json,
	.print = print_json,
	.end = end_json,
};
