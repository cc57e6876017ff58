/*
 * options.c - the command line.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

static const char usage[] =
	"usage: thinpool-bench [OPTION]... [ROW]...\n"
	"What the engine costs beside the raw device; rows by name or pattern,\n"
	"none: all; or with --rw a job of one's own, on both.\n"
	"\n"
	"  --list                 the names of the rows\n"
	"  --json, --markdown     instead of a table\n"
	"  --rounds N             the median counts; default 5\n"
	"  --dir DIR              on the disk to be measured; default: here\n"
	"  --mappings N           of the big volume; default 10000000\n"
	"\n"
	"  --rw WORK              read, write, rw, trim; or randread, ...\n"
	"  --read-percent N       of rw; default 50\n"
	"  --device WHICH         memory, tmpfs or disk; default memory\n"
	"  --bs BYTES             default 4096\n"
	"  --depth N              in flight in each thread; default 32\n"
	"  --threads N            each with its own queue; default 1\n"
	"  --size MIB             of the volume; default 512\n"
	"  --seconds N            default 1; 0: each place once\n"
	"  --operations N         instead, in all threads together\n"
	"  --state STATE          fresh, mapped, shared, nested; default mapped;\n"
	"                         random places in what is fresh or shared: one\n"
	"                         in each block\n"
	"  --zeroing              new blocks are zeroed\n"
	"  --flush                after each write\n"
	"  --host-driven          the pool has no thread; with one thread\n";

enum option_name {
	OPTION_LIST = 1,
	OPTION_JSON,
	OPTION_MARKDOWN,
	OPTION_ROUNDS,
	OPTION_DIR,
	OPTION_MAPPINGS,
	OPTION_RW,
	OPTION_READ_PERCENT,
	OPTION_DEVICE,
	OPTION_BS,
	OPTION_DEPTH,
	OPTION_THREADS,
	OPTION_SIZE,
	OPTION_SECONDS,
	OPTION_OPERATIONS,
	OPTION_STATE,
	OPTION_ZEROING,
	OPTION_FLUSH,
	OPTION_HOST_DRIVEN,
	OPTION_HELP,
};

static const struct option option_names[] = {
	{ "list", no_argument, NULL, OPTION_LIST },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "markdown", no_argument, NULL, OPTION_MARKDOWN },
	{ "rounds", required_argument, NULL, OPTION_ROUNDS },
	{ "dir", required_argument, NULL, OPTION_DIR },
	{ "mappings", required_argument, NULL, OPTION_MAPPINGS },
	{ "rw", required_argument, NULL, OPTION_RW },
	{ "read-percent", required_argument, NULL, OPTION_READ_PERCENT },
	{ "device", required_argument, NULL, OPTION_DEVICE },
	{ "bs", required_argument, NULL, OPTION_BS },
	{ "depth", required_argument, NULL, OPTION_DEPTH },
	{ "threads", required_argument, NULL, OPTION_THREADS },
	{ "size", required_argument, NULL, OPTION_SIZE },
	{ "seconds", required_argument, NULL, OPTION_SECONDS },
	{ "operations", required_argument, NULL, OPTION_OPERATIONS },
	{ "state", required_argument, NULL, OPTION_STATE },
	{ "zeroing", no_argument, NULL, OPTION_ZEROING },
	{ "flush", no_argument, NULL, OPTION_FLUSH },
	{ "host-driven", no_argument, NULL, OPTION_HOST_DRIVEN },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ NULL, 0, NULL, 0 },
};

static _Noreturn void refuse(const char *what, const char *text)
{
	fprintf(stderr, "thinpool-bench: %s: '%s'; see --help\n", what, text);
	exit(2);
}

static unsigned long number(const char *text, unsigned long least,
			    unsigned long most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || end == text || value < least || value > most) {
		fprintf(stderr, "thinpool-bench: '%s' is not %lu to %lu\n",
			text, least, most);
		exit(2);
	}

	return value;
}

/* The index of the word in @words. */
static unsigned choice(const char *word, const char *const *words, size_t nr,
		       const char *what)
{
	for (unsigned i = 0; i < nr; i++)
		if (!strcmp(word, words[i]))
			return i;
	refuse(what, word);
}

static void choose_work(struct job *job, const char *word)
{
	static const char *const words[] = { "read", "write", "rw", "trim" };
	static const enum tp_op ops[] = { TP_READ, TP_WRITE, TP_WRITE,
					  TP_DISCARD };
	unsigned i;

	job->is_random = !strncmp(word, "rand", 4);
	i = choice(word + (job->is_random ? 4 : 0), words, ARRAY_SIZE(words),
		   "no such work");
	job->steps[0].op = ops[i];
	if (i == 2 && !job->read_percent)
		job->read_percent = 50;
}

static void parse_job(struct options *options, int c)
{
	static const char *const states[] = { "fresh", "mapped", "shared",
					      "nested" };
	struct job *job = &options->own.job;

	switch (c) {
	case OPTION_RW:
		options->has_own = true;
		choose_work(job, optarg);
		break;
	case OPTION_READ_PERCENT:
		job->read_percent = (unsigned)number(optarg, 1, 100);
		break;
	case OPTION_BS:
		job->steps[0].bytes = (uint32_t)number(optarg, 512, GIB);
		break;
	case OPTION_DEPTH:
		job->depth = (unsigned)number(optarg, 1, 4096);
		break;
	case OPTION_THREADS:
		job->threads = (unsigned)number(optarg, 1, THREADS_MAX);
		break;
	case OPTION_SIZE:
		job->size_bytes = number(optarg, 1, 1 << 20) * MIB;
		break;
	case OPTION_SECONDS:
		job->run_ns = number(optarg, 0, 3600) * 1000000000;
		break;
	case OPTION_OPERATIONS:
		job->nr_operations = number(optarg, 1, 1ul << 40);
		job->run_ns = 0;
		break;
	case OPTION_STATE:
		job->state = choice(optarg, states, ARRAY_SIZE(states),
				    "no such state");
		break;
	case OPTION_ZEROING:
		job->is_zeroing = true;
		break;
	case OPTION_HOST_DRIVEN:
		job->is_host_driven = true;
		break;
	case OPTION_FLUSH:
		job->steps[1] = (struct step){ TP_FLUSH, 0 };
		job->nr_steps = 2;
		break;
	}
}

static void parse_one(struct options *options, int c)
{
	static const char *const devices[] = { "memory", "tmpfs", "disk" };

	switch (c) {
	case OPTION_LIST:
		options->lists = true;
		break;
	case OPTION_JSON:
		options->report = &report_json;
		break;
	case OPTION_MARKDOWN:
		options->report = &report_markdown;
		break;
	case OPTION_ROUNDS:
		options->bench.rounds = (unsigned)number(optarg, 1, ROUNDS_MAX);
		break;
	case OPTION_DIR:
		options->bench.directory = optarg;
		break;
	case OPTION_MAPPINGS:
		options->bench.nr_mappings = number(optarg, 1000, 1000000000);
		break;
	case OPTION_DEVICE:
		options->own.device = choice(
			optarg, devices, ARRAY_SIZE(devices), "no such device");
		break;
	case OPTION_HELP:
		fputs(usage, stdout);
		exit(0);
	case '?':
		exit(2);
	default:
		parse_job(options, c);
	}
}

/* What is given may not fit together. */
static void complete_own(struct row *own)
{
	static const uint64_t room[NR_DEVICES] = { 4 * GIB, 1 * GIB, 1 * GIB };
	struct job *job = &own->job;
	uint64_t needed = job->size_bytes;

	job->stride = job->steps[0].bytes;
	if ((job->state == STATE_FRESH || job->state == STATE_SHARED) &&
	    job->is_random && job->stride < BLOCK_BYTES)
		job->stride = BLOCK_BYTES;
	if (job->state == STATE_SHARED)
		needed *= 2;
	if (needed > room[own->device])
		refuse("the device has no room for this", "--size");
	if (job->size_bytes / job->stride < job->threads)
		refuse("less than one place for each thread", "--size");
	if (job->nr_operations && job->nr_operations < job->threads)
		refuse("less than one for each thread", "--operations");
	if (job->is_host_driven && job->threads > 1)
		refuse("a host-driven pool has one thread", "--threads");
	own->base = *job;
	own->base.is_raw = true;
}

void parse_options(int argc, char **argv, struct options *options)
{
	int c;

	*options = (struct options){
		.bench = { .rounds = 5,
			   .directory = ".",
			   .nr_mappings = 10000000 },
		.report = &report_table,
		.own = { .name = "own",
			 .title = "as on the command line",
			 .goal = GOAL_RATE,
			 .job = { .state = STATE_MAPPED,
				  .steps = { { TP_READ, 4096 } },
				  .nr_steps = 1,
				  .depth = 32,
				  .threads = 1,
				  .size_bytes = 512 * MIB,
				  .run_ns = 1000000000 } },
	};
	while ((c = getopt_long(argc, argv, "", option_names, NULL)) != -1)
		parse_one(options, c);
	options->names = argv + optind;
	if (options->has_own)
		complete_own(&options->own);
}
