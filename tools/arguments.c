/*
 * arguments.c - reading what follows a command's name.
 */
#include "command.h"

#include <getopt.h>
#include <inttypes.h>
#include <stddef.h>
#include <thinpool/thinpool.h>

#include "size.h"

static const struct option long_options[] = {
	{ "size", required_argument, NULL, OPTION_SIZE },
	{ "block-size", required_argument, NULL, OPTION_BLOCK_SIZE },
	{ "metadata-size", required_argument, NULL, OPTION_METADATA_SIZE },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "id", required_argument, NULL, OPTION_ID },
	{ "picture", required_argument, NULL, OPTION_PICTURE },
	{ "repair", no_argument, NULL, OPTION_REPAIR },
	{ "clear-needs-check", no_argument, NULL, OPTION_CLEAR_NEEDS_CHECK },
	{ "quiet", no_argument, NULL, OPTION_QUIET },
	{ "metadata-snapshot", no_argument, NULL, OPTION_METADATA_SNAPSHOT },
	{ NULL, 0, NULL, 0 },
};

static const char *option_name(unsigned option)
{
	for (const struct option *o = long_options; o->name; o++)
		if ((unsigned)o->val == option)
			return o->name;

	return "";
}

static int read_size(const struct command *command, const char *option,
		     uint64_t *size)
{
	if (!size_parse(optarg, size) || !*size)
		return fail_usage(command,
				  "--%s '%s' is no size: bytes, or with K, M, "
				  "G, T",
				  option, optarg);
	if (*size % TP_SECTOR_SIZE)
		return fail_usage(command, "--%s %s is no multiple of %d",
				  option, optarg, TP_SECTOR_SIZE);

	return 0;
}

static int read_id(const struct command *command, uint32_t *id)
{
	uint64_t number;

	if (!size_parse(optarg, &number) || number >= TP_THIN_ID_END)
		return fail_usage(command,
				  "--id '%s' is no number from 0 to %u", optarg,
				  TP_THIN_ID_END - 1);
	*id = (uint32_t)number;

	return 0;
}

static int read_option(struct arguments *arguments,
		       const struct command *command, unsigned option)
{
	const char *name = option_name(option);

	if (!(command->options & option))
		return fail_usage(command, "'%s' takes no --%s", command->name,
				  name);
	arguments->given |= option;
	switch (option) {
	case OPTION_SIZE:
		return read_size(command, name, &arguments->size);
	case OPTION_BLOCK_SIZE:
		return read_size(command, name, &arguments->block_size);
	case OPTION_METADATA_SIZE:
		return read_size(command, name, &arguments->metadata_size);
	case OPTION_ID:
		return read_id(command, &arguments->id);
	case OPTION_PICTURE:
		arguments->picture = optarg;
		return 0;
	default:
		return 0;
	}
}

static int read_options(struct arguments *arguments,
			const struct command *command, int argc, char **argv)
{
	int option, r = 0;

	opterr = 0;
	while (!r && (option = getopt_long(argc, argv, ":", long_options,
					   NULL)) != -1) {
		if (option == '?')
			r = fail_usage(command, "'%s' knows no option %s",
				       command->name, argv[optind - 1]);
		else if (option == ':')
			r = fail_usage(command, "%s wants a value",
				       argv[optind - 1]);
		else
			r = read_option(arguments, command, (unsigned)option);
	}

	return r;
}

/* With --id there is no name, nor with --picture, which is of all volumes. */
static int read_words(struct arguments *arguments,
		      const struct command *command, int nr, char **words)
{
	bool has_name = command->takes_name &&
			!(arguments->given & (OPTION_ID | OPTION_PICTURE));
	int wanted = 1 + has_name + command->nr_operands;

	if (arguments->given & OPTION_PICTURE &&
	    arguments->given & ~(OPTION_PICTURE | OPTION_METADATA_SNAPSHOT))
		return fail_usage(command, "--picture is of all volumes, and "
					   "goes with no other option but "
					   "--metadata-snapshot");
	if (has_name && command->size_needs_id &&
	    arguments->given & OPTION_SIZE)
		return fail_usage(command, "--size goes with --id: a volume "
					   "with a name has its size");
	if (nr != wanted)
		return fail_usage(command, "too %s words: thinpool %s %s",
				  nr < wanted ? "few" : "many", command->name,
				  command->synopsis);
	arguments->pool = *words++;
	if (has_name)
		arguments->name = *words++;
	for (int i = 0; i < command->nr_operands; i++)
		arguments->operands[i] = *words++;

	return 0;
}

int arguments_read(struct arguments *arguments, const struct command *command,
		   int argc, char **argv)
{
	int r;

	*arguments = (struct arguments){ 0 };
	r = read_options(arguments, command, argc, argv);

	return r ? r
		 : read_words(arguments, command, argc - optind, argv + optind);
}
