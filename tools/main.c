/*
 * main.c - thinpool: thin pools from a shell.  How a command is found, explained
 * and run.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <thinpool/thinpool.h>

#include "command.h"

/*---------------------------- explaining -----------------------------------*/

static void print_help(void)
{
	puts("usage: thinpool COMMAND [OPTION]... POOL [ARG]...\n"
	     "       thinpool COMMAND --help\n"
	     "       thinpool --version\n"
	     "\n"
	     "Thin volumes and snapshots in user space, in the format of the "
	     "kernel's dm-thin.\n"
	     "\n"
	     "POOL is a directory that holds the files 'metadata' and 'data', "
	     "or METADATA,DATA:\n"
	     "two files or block devices.  Sizes are bytes, or take K, M, G or "
	     "T.\n");
	for (const struct command *c = commands; c->name; c++)
		printf("  %-14s %s\n", c->name, c->summary);
	puts("\n"
	     "Exit status: 0 done, 1 failed (one line on standard error says "
	     "why), 2 wrong usage.");
}

static void print_command_help(const struct command *command)
{
	printf("usage: thinpool %s %s\n\n%s: %s.\n\n%s", command->name,
	       command->synopsis, command->name, command->summary,
	       command->help);
	if (command->options & OPTION_JSON)
		puts("\n  --json  for programs");
}

/*---------------------------- finding and running --------------------------*/

/* How many words of @argv are the command's name; 0: they are not. */
static int words_of_name(const struct command *command, int argc, char **argv)
{
	const char *second = strchr(command->name, ' ');
	size_t length = strcspn(command->name, " ");

	if (argc < 1 || strlen(argv[0]) != length ||
	    strncmp(argv[0], command->name, length))
		return 0;
	if (!second)
		return 1;

	return argc > 1 && !strcmp(argv[1], second + 1) ? 2 : 0;
}

/* *@nr_words: of its name. */
static const struct command *find_command(int argc, char **argv, int *nr_words)
{
	for (const struct command *c = commands; c->name; c++) {
		*nr_words = words_of_name(c, argc, argv);
		if (*nr_words)
			return c;
	}

	return NULL;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--help"))
			return true;

	return false;
}

/* @argv begins with the last word of the command's name. */
static int run_command(const struct command *command, int argc, char **argv)
{
	struct arguments arguments;
	int r;

	if (asks_for_help(argc, argv)) {
		print_command_help(command);
		return 0;
	}
	r = arguments_read(&arguments, command, argc, argv);

	return r ? r : command->run(&arguments);
}

static int run(int argc, char **argv)
{
	const struct command *command;
	int nr_words;

	if (argc < 2)
		return fail_usage(NULL, "there is no command");
	if (!strcmp(argv[1], "--help")) {
		print_help();
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("thinpool %s\n", tp_version());
		return 0;
	}
	command = find_command(argc - 1, argv + 1, &nr_words);
	if (command)
		return run_command(command, argc - nr_words, argv + nr_words);
	if (!strcmp(argv[1], "volume"))
		return fail_usage(NULL, "'volume' is followed by create, "
					"delete, rename or resize");

	return fail_usage(NULL, "there is no command '%s'", argv[1]);
}

int main(int argc, char **argv)
{
	int status = run(argc, argv);

	if (fflush(stdout) || ferror(stdout)) {
		if (!status)
			status = fail_errno("cannot write to standard output");
	}

	return status;
}
