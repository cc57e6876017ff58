/*
 * command.h - what the files of the thinpool command share: the words that it
 * was called with, and how it says what went wrong.
 *
 * Functions here and in the commands return 0 or, having said why on standard
 * error in one line, the exit status.
 */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#define STATUS_FAILED 1
#define STATUS_USAGE 2

#define OPTION_SIZE (1u << 0)
#define OPTION_BLOCK_SIZE (1u << 1)
#define OPTION_METADATA_SIZE (1u << 2)
#define OPTION_JSON (1u << 3)
#define OPTION_ID (1u << 4)
#define OPTION_PICTURE (1u << 5)
#define OPTION_REPAIR (1u << 6)
#define OPTION_CLEAR_NEEDS_CHECK (1u << 7)
#define OPTION_QUIET (1u << 8)
#define OPTION_METADATA_SNAPSHOT (1u << 10)

#define MAX_OPERANDS 2

struct arguments {
	const char *pool;
	const char *name; /* NULL: not one of this command's, or has --id */
	const char *operands[MAX_OPERANDS]; /* what follows the name */

	unsigned given; /* OPTION_ */
	uint64_t size, block_size, metadata_size;
	uint32_t id;
	const char *picture;
};

struct command {
	const char *name; /* one word or two */
	const char *synopsis;
	const char *summary;
	const char *help;
	unsigned options; /* those it takes: OPTION_ */
	bool takes_name;
	bool size_needs_id; /* --size is only for a volume without a name */
	int nr_operands;
	int (*run)(const struct arguments *arguments);
};

/* All there are; the last has no name. */
extern const struct command commands[];

/* Reads what follows the command's name. */
int arguments_read(struct arguments *arguments, const struct command *command,
		   int argc, char **argv);

/*---------------------------- what went wrong ------------------------------*/

/* All return the status to exit with. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ..., and errno says why. */
int fail_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ..., and the library says why: @error is what it answered. */
int fail_library(int error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ..., and a bio's status says why: it comes without a sentence. */
int fail_bio(int error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Wrong usage.  @command may be NULL. */
int fail_usage(const struct command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*---------------------------- the commands ---------------------------------*/

int run_create(const struct arguments *arguments);
int run_status(const struct arguments *arguments);
int run_list(const struct arguments *arguments);
int run_volume_create(const struct arguments *arguments);
int run_volume_delete(const struct arguments *arguments);
int run_volume_rename(const struct arguments *arguments);
int run_volume_resize(const struct arguments *arguments);
int run_snapshot(const struct arguments *arguments);
int run_import(const struct arguments *arguments);
int run_export(const struct arguments *arguments);
int run_read(const struct arguments *arguments);
int run_write(const struct arguments *arguments);
int run_discard(const struct arguments *arguments);
int run_map(const struct arguments *arguments);
int run_check(const struct arguments *arguments);
int run_grow(const struct arguments *arguments);
int run_trim(const struct arguments *arguments);

#endif
