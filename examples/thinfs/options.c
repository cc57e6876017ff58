/*
 * options.c - ours are taken out, -o is passed on to libfuse.
 */
#include "options.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define DEFAULT_WORKERS 16
#define MAX_WORKERS 1024
#define WRONG_USAGE 2

static const char help[] =
	"usage: thinfs [OPTION]... POOL MOUNTPOINT\n"
	"\n"
	"Mounts a thin pool as a directory: each volume is a file that takes "
	"space where it\n"
	"is written.  POOL is a directory that holds the files 'metadata' and "
	"'data', or\n"
	"METADATA,DATA: two files or block devices; 'thinpool create' makes "
	"one.\n"
	"\n"
	"  -f                 stay in the foreground, with messages on standard "
	"error\n"
	"  --read-only        change nothing (also: -o ro)\n"
	"  --queue-depth=N    requests that are served at once (16)\n"
	"  --solid            show no holes in stat(2), so that cp makes a "
	"snapshot of any file\n"
	"  -o OPTION[,...]    mount options: see mount.fuse3(8)\n"
	"  --help, --version\n"
	"\n"
	"'fusermount3 -u MOUNTPOINT' ends it.  Copying a volume with cp, or\n"
	"'setfattr -n user.thinpool.snapshot -v NAME MOUNTPOINT/VOLUME', makes "
	"a snapshot;\n"
	"see thinfs(1).\n"
	"\n"
	"Exit status: 0 mounted (-f: unmounted), 1 failed, 2 wrong usage.";

enum key {
	KEY_RO,
	KEY_HELP,
	KEY_VERSION,
	KEY_UNKNOWN,
};

#define OUR(template, field)                                                   \
	{                                                                      \
		template, offsetof(struct options, field), 1                   \
	}

static const struct fuse_opt ours[] = {
	OUR("-f", foreground),
	OUR("--read-only", read_only),
	OUR("--solid", solid),
	OUR("--queue-depth=%u", nr_workers),
	FUSE_OPT_KEY("ro", KEY_RO),
	FUSE_OPT_KEY("-h", KEY_HELP),
	FUSE_OPT_KEY("--help", KEY_HELP),
	FUSE_OPT_KEY("-V", KEY_VERSION),
	FUSE_OPT_KEY("--version", KEY_VERSION),
	FUSE_OPT_KEY("-", KEY_UNKNOWN),
	FUSE_OPT_KEY("--", KEY_UNKNOWN),
	FUSE_OPT_END,
};

static int take_word(struct options *options, const char *word)
{
	char **place = options->pool ? &options->mountpoint : &options->pool;

	if (*place) {
		fail("too many words, from '%s' on; see 'thinfs --help'", word);
		return -1;
	}
	*place = strdup(word);

	return *place ? 0 : fail("out of memory");
}

/* 0: taken; 1: for libfuse; -1: wrong. */
static int take(void *context, const char *argument, int key,
		struct fuse_args *arguments)
{
	struct options *options = context;

	switch (key) {
	case FUSE_OPT_KEY_NONOPT:
		return take_word(options, argument);
	case KEY_RO:
		options->read_only = 1;
		return 0;
	case KEY_HELP:
		puts(help);
		options->done = true;
		return 0;
	case KEY_VERSION:
		printf("thinfs %s\n", tp_version());
		options->done = true;
		return 0;
	case KEY_UNKNOWN:
		return fail("there is no option %s; see 'thinfs --help'",
			    argument);
	default:
		return argument[0] == '-' && argument[1] != 'o'
			       ? fail("there is no option %s; see 'thinfs "
				      "--help'",
				      argument)
			       : 1;
	}
}

static int check(const struct options *options)
{
	if (!options->pool || !options->mountpoint)
		return fail("which POOL, and where? see 'thinfs --help'");
	if (!options->nr_workers || options->nr_workers > MAX_WORKERS)
		return fail("--queue-depth is a number from 1 to %d",
			    MAX_WORKERS);

	return 0;
}

int options_read(struct options *options, int argc, char **argv)
{
	*options = (struct options){
		.nr_workers = DEFAULT_WORKERS,
		.rest = FUSE_ARGS_INIT(argc, argv),
	};
	if (fuse_opt_parse(&options->rest, options, ours, take))
		return WRONG_USAGE;
	if (!options->done && check(options))
		return WRONG_USAGE;

	return 0;
}

void options_free(struct options *options)
{
	fuse_opt_free_args(&options->rest);
	free(options->pool);
	free(options->mountpoint);
}
