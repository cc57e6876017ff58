/*
 * simulate.c - as many seeds as one wants.
 *
 *	simulate --seeds 1000 --from 1		run them, and sum up
 *	simulate --from 17 --trace		all that one seed does
 *	simulate --from 17 --shrink		fewer steps that fail too
 *	simulate --from 17 --only 3,8,12	these steps and no others
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "simulator/shrink.h"

#define TAIL_LINES 40

struct request {
	struct batch batch;
	bool trace, shrink;
	uint32_t only[1000];
	unsigned nr_only;
};

static void usage(void)
{
	fputs("usage: simulate [--seeds N] [--from S] [--jobs N] [--steps N]\n"
	      "                [--faults=none|some] [--plain] [--lying-flush] [--only-oracle]\n"
	      "                [--go-on]\n"
	      "                [--trace] [--shrink] [--only STEP,...]\n",
	      stderr);
	exit(2);
}

static struct job job_of(const struct request *request, uint64_t seed)
{
	return (struct job){
		.seed = seed,
		.options = request->batch.options,
		.only = request->nr_only ? request->only : NULL,
		.nr_only = request->nr_only,
	};
}

static void print_command(const struct request *request, uint64_t seed)
{
	const struct workload_options *options = &request->batch.options;

	printf("replay: ./dev simulate --from %llu", (unsigned long long)seed);
	if (!options->faults)
		printf(" --faults=none");
	if (options->plain)
		printf(" --plain");
	if (options->device_flags)
		printf(" --lying-flush");
	if (options->only_oracle)
		printf(" --only-oracle");
	if (options->nr_steps)
		printf(" --steps %u", options->nr_steps);
}

/*---------------------------- one failure ----------------------------------*/

static void print_tail(FILE *file)
{
	char *lines[TAIL_LINES] = { NULL }, *line = NULL;
	size_t room = 0;
	unsigned nr = 0;

	rewind(file);
	while (getline(&line, &room, file) > 0) {
		free(lines[nr % TAIL_LINES]);
		lines[nr++ % TAIL_LINES] = strdup(line);
	}
	free(line);
	for (unsigned i = nr > TAIL_LINES ? nr - TAIL_LINES : 0; i < nr; i++)
		fputs(lines[i % TAIL_LINES], stdout);
	for (unsigned i = 0; i < TAIL_LINES; i++)
		free(lines[i]);
}

/* Run it once more, for its trace. */
static void explain(const struct request *request, uint64_t seed,
		    const struct verdict *verdict)
{
	struct job job = job_of(request, seed);
	struct outcome outcome;

	printf("seed %llu FAILED: %s\n", (unsigned long long)seed,
	       verdict->sentence);
	job.trace = tmpfile();
	if (!job.trace)
		return;
	job_run_isolated(&job, &outcome);
	print_tail(job.trace);
	fclose(job.trace);
	print_command(request, seed);
	printf(" --trace\n");
}

static int shrink_seed(const struct request *request)
{
	struct job job = job_of(request, request->batch.from);
	struct outcome outcome = { .digest = 0 };
	unsigned nr;
	uint32_t *numbers = shrink(&job, &nr, &outcome);

	if (!outcome.verdict.broken) {
		printf("seed %llu does not fail\n",
		       (unsigned long long)job.seed);
		free(numbers);
		return 0;
	}
	job.only = numbers;
	job.nr_only = nr;
	job.trace = stdout;
	job_run_isolated(&job, &outcome);
	printf("%u steps are left: %s\n", nr, outcome.verdict.sentence);
	print_command(request, job.seed);
	for (unsigned i = 0; i < nr; i++)
		printf("%s%u", i ? "," : " --only ", numbers[i]);
	printf(" --trace\n");
	free(numbers);

	return 1;
}

static int run_one(const struct request *request)
{
	struct job job = job_of(request, request->batch.from);
	struct outcome outcome;

	job.trace = request->trace ? stdout : NULL;
	job_run_isolated(&job, &outcome);
	printf("seed %llu: %s, digest %016llx\n", (unsigned long long)job.seed,
	       outcome.verdict.broken ? outcome.verdict.sentence : "right",
	       (unsigned long long)outcome.digest);

	return outcome.verdict.broken;
}

/*---------------------------- many seeds -----------------------------------*/

static int run_many(const struct request *request)
{
	struct totals totals;

	batch_run(&request->batch, &totals);
	if (totals.nr_failed)
		explain(request, totals.failed_seed, &totals.verdict);
	batch_print(&totals);

	return totals.nr_failed != 0;
}

/*---------------------------- the command line -----------------------------*/

static void parse_only(struct request *request, char *text)
{
	for (char *word = strtok(text, ","); word; word = strtok(NULL, ","))
		if (request->nr_only < 1000)
			request->only[request->nr_only++] =
				(uint32_t)strtoul(word, NULL, 10);
}

enum {
	SEEDS = 256,
	FROM,
	JOBS,
	STEPS,
	FAULTS,
	LYING,
	PLAIN,
	ORACLE,
	GO_ON,
	TRACE,
	SHRINK,
	ONLY
};

static const struct option long_options[] = {
	{ "seeds", required_argument, NULL, SEEDS },
	{ "from", required_argument, NULL, FROM },
	{ "jobs", required_argument, NULL, JOBS },
	{ "steps", required_argument, NULL, STEPS },
	{ "faults", required_argument, NULL, FAULTS },
	{ "plain", no_argument, NULL, PLAIN },
	{ "lying-flush", no_argument, NULL, LYING },
	{ "only-oracle", no_argument, NULL, ORACLE },
	{ "go-on", no_argument, NULL, GO_ON },
	{ "trace", no_argument, NULL, TRACE },
	{ "shrink", no_argument, NULL, SHRINK },
	{ "only", required_argument, NULL, ONLY },
	{ NULL, 0, NULL, 0 },
};

static void take_option(struct request *request, int option)
{
	struct batch *batch = &request->batch;

	switch (option) {
	case SEEDS:
		batch->nr = strtoull(optarg, NULL, 10);
		break;
	case FROM:
		batch->from = strtoull(optarg, NULL, 10);
		break;
	case JOBS:
		batch->nr_jobs = (unsigned)strtoul(optarg, NULL, 10);
		break;
	case STEPS:
		batch->options.nr_steps = (unsigned)strtoul(optarg, NULL, 10);
		break;
	case FAULTS:
		batch->options.faults = strcmp(optarg, "none") != 0;
		break;
	case PLAIN:
		batch->options.plain = true;
		break;
	case LYING:
		batch->options.device_flags |= TP_SIMULATED_LYING_FLUSH;
		break;
	case ORACLE:
		batch->options.only_oracle = true;
		break;
	case GO_ON:
		batch->goes_on = true;
		batch->failures = stdout;
		break;
	case TRACE:
		request->trace = true;
		break;
	case SHRINK:
		request->shrink = true;
		break;
	case ONLY:
		parse_only(request, optarg);
		break;
	default:
		usage();
	}
}

int main(int argc, char **argv)
{
	struct request request = {
		.batch = { .from = 1, .nr = 1, .options = { .faults = true } },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		take_option(&request, option);
	if (optind < argc)
		usage();
	setvbuf(stdout, NULL, _IOLBF, 0); /* what a killed run said is seen */
	request.batch.shows_progress = isatty(STDERR_FILENO);
	if (request.shrink)
		return shrink_seed(&request);
	if (request.batch.nr == 1)
		return run_one(&request);

	return run_many(&request);
}
