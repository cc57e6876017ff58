/*
 * pool-tool.c - a pool worked on from shell tests, by the public API alone.
 *
 *	pool-tool METADATA DATA format BLOCK_SECTORS
 *	pool-tool [--read-only] METADATA DATA COMMAND [ARG]...
 *	pool-tool [--read-only] METADATA DATA -
 *
 * With '-' commands come from standard input, a line each, and all are run on
 * one open pool.  Units are those of tests/oracles/kernel-dm-thin, and so are
 * the patterns: a SECTOR is 512 bytes, and 'write' puts "SEED N", blanks and a
 * newline into sector N.  The commands are listed in the table below.
 *
 * Exit status: 0, 1 with a line on standard error, 2 for wrong usage.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thinpool/thinpool.h>
#include <unistd.h>

#define PIECE ((uint64_t)1 << 20)

/* The most that can be opened: any virtual block, and no short last one. */
#define VOLUME_SIZE (((uint64_t)1 << 63) - TP_SECTOR_SIZE)

#define MAX_WORDS 8
#define MAX_LINE 4096
#define MAX_PAIRS 65536

#define ULL(n) ((unsigned long long)(n))

struct tool {
	const char *paths[2];
	struct tp_pool *pool;
	uint64_t block_bytes;
	char *buffer;              /* of PIECE bytes */
	const struct command *now; /* for messages */
};

struct command {
	const char *name;
	const char *arguments;
	int nr_arguments;
	int (*run)(struct tool *tool, char **words);
};

static int fail(const struct tool *tool, int r)
{
	fprintf(stderr, "pool-tool: %s: %s (%s)\n",
		tool->now ? tool->now->name : "open", tp_last_error(),
		tp_strerror(r));

	return r;
}

/* Arguments that are no numbers are the test's mistake. */
static uint64_t number(const char *word)
{
	char *end;
	uint64_t n = strtoull(word, &end, 10);

	if (*end || end == word) {
		fprintf(stderr, "pool-tool: '%s' is not a number\n", word);
		exit(2);
	}

	return n;
}

/*---------------------------- volumes --------------------------------------*/

static int open_thin(struct tool *tool, const char *id, struct tp_thin **thin)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;

	options.size = VOLUME_SIZE;

	return tp_thin_open(tool->pool, number(id), &options, thin);
}

static int run_create(struct tool *tool, char **words)
{
	return tp_pool_create_thin(tool->pool, number(words[1]));
}

static int run_create_many(struct tool *tool, char **words)
{
	uint64_t end = number(words[2]);
	int r = 0;

	for (uint64_t id = number(words[1]); id < end && !r; id++)
		r = tp_pool_create_thin(tool->pool, id);

	return r;
}

static int run_snapshot(struct tool *tool, char **words)
{
	return tp_pool_create_snapshot(tool->pool, number(words[1]),
				       number(words[2]));
}

static int run_snapshot_many(struct tool *tool, char **words)
{
	uint64_t begin = number(words[1]), end = number(words[2]);
	struct tp_snapshot_pair *pairs;
	int r;

	if (begin >= end || end - begin > MAX_PAIRS)
		return -EINVAL;
	pairs = calloc(end - begin, sizeof(*pairs));
	if (!pairs)
		return -ENOMEM;
	for (uint64_t i = 0; i < end - begin; i++)
		pairs[i] = (struct tp_snapshot_pair){
			.id = begin + i,
			.origin = number(words[3]),
		};
	r = tp_pool_create_snapshots(tool->pool, pairs, end - begin);
	free(pairs);

	return r;
}

static int run_delete(struct tool *tool, char **words)
{
	return tp_pool_delete_thin(tool->pool, number(words[1]));
}

/*---------------------------- content --------------------------------------*/

/* What is done to @length bytes of @thin at @offset; at most PIECE. */
typedef int (*piece_fn)(struct tool *tool, struct tp_thin *thin,
			uint64_t offset, uint64_t length, const char *argument);

/* words: command, id, sector, count and what is for @piece. */
static int each_piece(struct tool *tool, char **words, piece_fn piece)
{
	uint64_t offset = number(words[2]) * TP_SECTOR_SIZE;
	uint64_t end = offset + number(words[3]) * TP_SECTOR_SIZE;
	struct tp_thin *thin;
	int r;

	r = open_thin(tool, words[1], &thin);
	if (r)
		return r;
	while (offset < end && !r) {
		uint64_t length = end - offset < PIECE ? end - offset : PIECE;

		r = piece(tool, thin, offset, length, words[4]);
		offset += length;
	}
	if (r)
		tp_thin_close(thin);
	else
		r = tp_thin_close(thin);

	return r;
}

static int write_pattern(struct tool *tool, struct tp_thin *thin,
			 uint64_t offset, uint64_t length, const char *seed)
{
	for (uint64_t at = 0; at < length; at += TP_SECTOR_SIZE) {
		char text[TP_SECTOR_SIZE];

		snprintf(text, sizeof(text), "%s %llu", seed,
			 ULL((offset + at) / TP_SECTOR_SIZE));
		snprintf(tool->buffer + at, TP_SECTOR_SIZE, "%-511s", text);
		tool->buffer[at + TP_SECTOR_SIZE - 1] = '\n';
	}

	return tp_thin_write(thin, tool->buffer, length, offset, 0);
}

static int fill(struct tool *tool, struct tp_thin *thin, uint64_t offset,
		uint64_t length, const char *byte)
{
	memset(tool->buffer, (int)number(byte), length);

	return tp_thin_write(thin, tool->buffer, length, offset, 0);
}

static int print(struct tool *tool, struct tp_thin *thin, uint64_t offset,
		 uint64_t length, const char *unused)
{
	int r = tp_thin_read(thin, tool->buffer, length, offset);

	if (!r && fwrite(tool->buffer, 1, length, stdout) != length)
		r = -EPIPE;

	return r;
}

static int run_write(struct tool *tool, char **words)
{
	return each_piece(tool, words, write_pattern);
}

static int run_fill(struct tool *tool, char **words)
{
	return each_piece(tool, words, fill);
}

static int run_read(struct tool *tool, char **words)
{
	return each_piece(tool, words, print);
}

/* These two in one bio, however long. */
static int run_unmapping(struct tool *tool, char **words)
{
	uint64_t offset = number(words[2]) * TP_SECTOR_SIZE;
	uint64_t length = number(words[3]) * TP_SECTOR_SIZE;
	struct tp_thin *thin;
	int r;

	r = open_thin(tool, words[1], &thin);
	if (r)
		return r;
	if (!strcmp(words[0], "zero"))
		r = tp_thin_write_zeroes(thin, offset, length, 0);
	else
		r = tp_thin_discard(thin, offset, length);
	if (r)
		tp_thin_close(thin);
	else
		r = tp_thin_close(thin);

	return r;
}

static int run_flush(struct tool *tool, char **words)
{
	struct tp_thin *thin;
	int r;

	r = open_thin(tool, words[1], &thin);
	if (r)
		return r;
	r = tp_thin_flush(thin);
	tp_thin_close(thin);

	return r;
}

/*---------------------------- the pool -------------------------------------*/

static int run_commit(struct tool *tool, char **words)
{
	return tp_pool_commit(tool->pool);
}

static int run_reserve(struct tool *tool, char **words)
{
	return tp_pool_reserve_metadata_snapshot(tool->pool);
}

static int run_release(struct tool *tool, char **words)
{
	return tp_pool_release_metadata_snapshot(tool->pool);
}

static int run_transaction(struct tool *tool, char **words)
{
	return tp_pool_set_transaction_id(tool->pool, number(words[1]),
					  number(words[2]));
}

static int run_grow(struct tool *tool, char **words)
{
	int r = tp_pool_grow_data(tool->pool);

	return r ? r : tp_pool_grow_metadata(tool->pool);
}

/* What is in the devices stays, what is only in memory goes. */
static int run_crash(struct tool *tool, char **words)
{
	fflush(stdout);
	_exit(0);
}

static int run_status(struct tool *tool, char **words)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	int r;

	r = tp_pool_get_status(tool->pool, &status);
	if (r)
		return r;
	printf("mode=%s\nneeds_check=%d\ntransaction_id=%llu\ntime=%u\n"
	       "block_sectors=%u\ndata_blocks=%llu\nused_data_blocks=%llu\n"
	       "held_root=%d\nthins=%llu\n",
	       tp_pool_mode_name(status.mode), status.needs_check,
	       ULL(status.transaction_id), status.time,
	       status.data_block_size / TP_SECTOR_SIZE, ULL(status.data_blocks),
	       ULL(status.used_data_blocks), status.held_root != 0,
	       ULL(status.nr_thins));

	return 0;
}

/*---------------------------- listings -------------------------------------*/

static int print_thin(const struct tp_thin_info *info, void *context)
{
	struct tool *tool = context;

	printf("%u %llu %llu %u %u\n", info->id,
	       ULL(info->mapped_bytes / tool->block_bytes),
	       ULL(info->transaction_id), info->creation_time,
	       info->snapshotted_time);

	return 0;
}

/* 'dev mapped-blocks transaction creation-time snapshotted-time' */
static int run_list(struct tool *tool, char **words)
{
	return tp_pool_list_thins(tool->pool, print_thin, tool);
}

struct dump {
	struct tool *tool;
	uint32_t id;
};

static int print_extent(const struct tp_extent *extent, void *context)
{
	struct dump *dump = context;
	uint64_t bytes = dump->tool->block_bytes;

	if (!extent->mapped)
		return 0;
	for (uint64_t at = 0; at < extent->length; at += bytes)
		printf("%u %llu %llu\n", dump->id,
		       ULL((extent->offset + at) / bytes),
		       ULL((extent->data_offset + at) / bytes));

	return 0;
}

static int print_mappings(const struct tp_thin_info *info, void *context)
{
	struct dump dump = { .tool = context, .id = info->id };
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;
	int r;

	options.size = VOLUME_SIZE;
	r = tp_thin_open(dump.tool->pool, info->id, &options, &thin);
	if (r)
		return r;
	r = tp_thin_each_extent(thin, 0, options.size, print_extent, &dump);
	tp_thin_close(thin);

	return r;
}

/* 'dev vblock dblock' of every mapping, in order */
static int run_map_dump(struct tool *tool, char **words)
{
	return tp_pool_list_thins(tool->pool, print_mappings, tool);
}

/*---------------------------- commands -------------------------------------*/

static const struct command commands[] = {
	{ "create", "ID", 1, run_create },
	{ "create-many", "BEGIN END", 2, run_create_many },
	{ "snapshot", "ID ORIGIN", 2, run_snapshot },
	{ "snapshot-many", "BEGIN END ORIGIN", 3, run_snapshot_many },
	{ "delete", "ID", 1, run_delete },
	{ "write", "ID SECTOR COUNT SEED", 4, run_write },
	{ "fill", "ID SECTOR COUNT BYTE", 4, run_fill },
	{ "zero", "ID SECTOR COUNT", 3, run_unmapping },
	{ "discard", "ID SECTOR COUNT", 3, run_unmapping },
	{ "read", "ID SECTOR COUNT", 3, run_read },
	{ "flush", "ID", 1, run_flush },
	{ "commit", "", 0, run_commit },
	{ "reserve-metadata-snapshot", "", 0, run_reserve },
	{ "release-metadata-snapshot", "", 0, run_release },
	{ "set-transaction-id", "OLD NEW", 2, run_transaction },
	{ "grow", "", 0, run_grow },
	{ "crash", "", 0, run_crash },
	{ "status", "", 0, run_status },
	{ "list", "", 0, run_list },
	{ "map-dump", "", 0, run_map_dump },
	{ NULL, NULL, 0, NULL },
};

static int run(struct tool *tool, int nr_words, char **words)
{
	const struct command *command = commands;
	int r;

	while (command->name && strcmp(command->name, words[0]))
		command++;
	if (!command->name || nr_words != command->nr_arguments + 1) {
		fprintf(stderr, "pool-tool: usage: %s %s\n", words[0],
			command->name ? command->arguments : "?");
		exit(2);
	}
	tool->now = command;
	r = command->run(tool, words);

	return r ? fail(tool, r) : 0;
}

static int run_line(struct tool *tool, char *line)
{
	char *words[MAX_WORDS + 1] = { NULL };
	int nr = 0;

	for (char *word = strtok(line, " \t\n"); word && nr < MAX_WORDS;
	     word = strtok(NULL, " \t\n"))
		words[nr++] = word;

	return nr && *words[0] != '#' ? run(tool, nr, words) : 0;
}

static int run_lines(struct tool *tool)
{
	char line[MAX_LINE];
	int r = 0;

	while (!r && fgets(line, sizeof(line), stdin))
		r = run_line(tool, line);

	return r;
}

/*---------------------------- opening --------------------------------------*/

static int open_devices(const struct tool *tool, unsigned flags,
			struct tp_device **devices)
{
	struct tp_file_options options = TP_FILE_OPTIONS_INIT;
	int r = 0;

	options.flags = flags;
	for (int i = 0; i < 2 && !r; i++)
		r = tp_device_open_file(tool->paths[i], &options, &devices[i]);

	return r;
}

static int format(struct tp_device **devices, const char *block_sectors)
{
	struct tp_format_options options = TP_FORMAT_OPTIONS_INIT;

	options.data_block_size = number(block_sectors) * TP_SECTOR_SIZE;

	return tp_pool_format(devices[0], devices[1], &options);
}

static int open_pool(struct tool *tool, struct tp_device **devices,
		     bool read_only)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	int r;

	options.flags = read_only ? TP_POOL_READ_ONLY : 0;
	r = tp_pool_open(devices[0], devices[1], &options, &tool->pool);
	if (!r)
		r = tp_pool_get_status(tool->pool, &status);
	tool->block_bytes = status.data_block_size;

	return r;
}

static int work(struct tool *tool, bool read_only, int nr_words, char **words)
{
	struct tp_device *devices[2] = { NULL, NULL };
	int r, r_close;

	r = open_devices(tool, read_only ? TP_FILE_READ_ONLY : 0, devices);
	if (!r && !strcmp(words[0], "format") && nr_words == 2)
		r = format(devices, words[1]);
	else if (!r)
		r = open_pool(tool, devices, read_only);
	tp_device_unref(devices[0]);
	tp_device_unref(devices[1]);
	if (r)
		fail(tool, r);
	else if (tool->pool)
		r = strcmp(words[0], "-") ? run(tool, nr_words, words)
					  : run_lines(tool);

	r_close = tp_pool_close(tool->pool);
	if (r_close && !r) {
		tool->now = NULL;
		r = fail(tool, r_close);
	}

	return r;
}

int main(int argc, char **argv)
{
	struct tool tool = { .paths = { NULL } };
	bool read_only = argc > 1 && !strcmp(argv[1], "--read-only");
	int r;

	argc -= read_only + 1;
	argv += read_only + 1;
	if (argc < 3) {
		fputs("usage: pool-tool [--read-only] METADATA DATA COMMAND "
		      "[ARG]...\n",
		      stderr);
		return 2;
	}
	tool.paths[0] = argv[0];
	tool.paths[1] = argv[1];
	tool.buffer = malloc(PIECE);
	r = tool.buffer ? work(&tool, read_only, argc - 2, argv + 2) : -ENOMEM;
	free(tool.buffer);
	if (fflush(stdout) || ferror(stdout))
		r = -EPIPE;

	return r ? 1 : 0;
}
