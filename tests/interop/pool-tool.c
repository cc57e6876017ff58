/*
 * pool-tool.c - a pool worked on from shell tests, by the public API alone.
 *
 *	pool-tool METADATA DATA format BLOCK_SECTORS
 *	pool-tool [OPTION]... METADATA DATA COMMAND [ARG]...
 *	pool-tool [OPTION]... METADATA DATA -
 *
 *	--read-only
 *	--origin FILE	the external origin of every volume that is opened
 *	--power-cut N	the devices begin with what the files hold, have volatile
 *			caches, and lose power at their N-th request, or at the
 *			end; then the files hold what that leaves.  It says how
 *			many commands had been done.
 *
 * With '-' commands come from standard input, a line each, and all are run on
 * one open pool.  Units are those of tests/oracles/kernel-dm-thin, and so are
 * the patterns: a SECTOR is 512 bytes, and 'write' puts "SEED N", blanks and a
 * newline into sector N.  The commands are listed in the table below.
 *
 * Exit status: 0, 1 with a line on standard error, 2 for wrong usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thinpool/simulator.h>
#include <thinpool/thinpool.h>
#include <unistd.h>

#define PIECE ((uint64_t)1 << 20)

/* The most that can be opened: any virtual block, and no short last one. */
#define VOLUME_SIZE (((uint64_t)1 << 63) - TP_SECTOR_SIZE)

#define MAX_WORDS 8
#define MAX_LINE 4096
#define MAX_PAIRS 65536
#define SUPERBLOCK_BYTES 4096

#define ULL(n) ((unsigned long long)(n))

struct tool {
	const char *paths[2];
	bool read_only;
	struct tp_device *origin; /* may be NULL */
	struct tp_pool *pool;
	uint64_t block_bytes;
	char *buffer;              /* of PIECE bytes */
	const struct command *now; /* for messages */
	unsigned nr_done;          /* commands */

	struct tp_simulator *simulator; /* NULL: no power cut is asked for */
	uint64_t cut_at;
	bool is_cut;
};

struct command {
	const char *name;
	const char *arguments;
	int nr_arguments;
	int (*run)(struct tool *tool, char **words);
};

/* What fails for want of power is no failure. */
static int fail(const struct tool *tool, int r)
{
	if (tool->is_cut)
		return r;
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
	options.external_origin = tool->origin;

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

/* From now on the files can only be written where a superblock is. */
static int run_fail_writes(struct tool *tool, char **words)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	if (getrlimit(RLIMIT_FSIZE, &limit))
		return -errno;
	limit.rlim_cur = SUPERBLOCK_BYTES;

	return setrlimit(RLIMIT_FSIZE, &limit) ? -errno : 0;
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
	       "metadata_blocks=%llu\nheld_root=%d\nthins=%llu\n",
	       tp_pool_mode_name(status.mode), status.needs_check,
	       ULL(status.transaction_id), status.time,
	       status.data_block_size / TP_SECTOR_SIZE, ULL(status.data_blocks),
	       ULL(status.used_data_blocks), ULL(status.metadata_blocks),
	       status.held_root != 0, ULL(status.nr_thins));

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
	{ "fail-writes", "", 0, run_fail_writes },
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
	tool->nr_done += !r;

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

/*---------------------------- power ----------------------------------------*/

static void cut_if_it_is_time(void *context,
			      const struct tp_simulated_event *event)
{
	struct tool *tool = context;

	if (tp_simulator_nr_requests(tool->simulator) < tool->cut_at)
		return;
	tool->is_cut = true;
	tp_simulator_power_off(tool->simulator);
}

static int load(struct tool *tool, unsigned device, int fd)
{
	struct tp_simulated_device_options options =
		TP_SIMULATED_DEVICE_OPTIONS_INIT;
	struct tp_device *unused;
	struct stat st;
	ssize_t n;
	int r;

	if (fstat(fd, &st))
		return -errno;
	options.size = (uint64_t)st.st_size;
	options.features = TP_DEVICE_DISCARD | TP_DEVICE_WRITE_ZEROES;
	options.discard_effect = TP_DISCARD_POISONS;
	options.min_latency_ns = 10000;
	options.max_latency_ns = 200000;
	options.superblock_bytes = device ? 0 : SUPERBLOCK_BYTES;
	r = tp_simulator_add_device(tool->simulator, &options, &unused);
	for (uint64_t at = 0; !r && at < options.size; at += (uint64_t)n) {
		n = pread(fd, tool->buffer, PIECE, (off_t)at);
		r = n > 0 ? tp_simulator_poke(tool->simulator, device,
					      tool->buffer, (size_t)n, at)
			  : -EIO;
	}

	return r;
}

static int save(struct tool *tool, unsigned device, int fd)
{
	struct stat st;
	int r = 0;

	if (fstat(fd, &st))
		return -errno;
	for (uint64_t at = 0, size = (uint64_t)st.st_size; !r && at < size;
	     at += PIECE) {
		size_t length = size - at < PIECE ? size - at : PIECE;

		r = tp_simulator_peek(tool->simulator, device,
				      TP_CONTENT_STABLE, tool->buffer, length,
				      at);
		if (!r && pwrite(fd, tool->buffer, length, (off_t)at) !=
				  (ssize_t)length)
			r = -EIO;
	}

	return r;
}

static int each_file(struct tool *tool,
		     int (*each)(struct tool *tool, unsigned device, int fd))
{
	int r = 0;

	for (unsigned i = 0; i < 2 && !r; i++) {
		int fd = open(tool->paths[i], O_RDWR | O_CLOEXEC);

		if (fd < 0)
			return -errno;
		r = each(tool, i, fd);
		close(fd);
	}

	return r;
}

static int open_simulated(struct tool *tool, struct tp_device **devices)
{
	struct tp_simulator_options options = TP_SIMULATOR_OPTIONS_INIT;
	int r;

	options.seed = tool->cut_at;
	r = tp_simulator_new(&options, &tool->simulator);
	if (!r)
		r = each_file(tool, load);
	if (r)
		return r;
	tp_simulator_set_observer(tool->simulator, cut_if_it_is_time, tool);
	for (unsigned i = 0; i < 2; i++)
		devices[i] =
			tp_device_ref(tp_simulator_device(tool->simulator, i));

	return 0;
}

/* The pool is closed. */
static int keep_what_power_left(struct tool *tool)
{
	int r;

	tool->is_cut = true;
	tp_simulator_power_off(tool->simulator);
	r = tp_simulator_power_on(tool->simulator, NULL, NULL);
	if (!r)
		r = each_file(tool, save);
	tp_simulator_free(tool->simulator);
	printf("%u\n", tool->nr_done);

	return r;
}

/*---------------------------- opening --------------------------------------*/

static int open_devices(struct tool *tool, struct tp_device **devices)
{
	struct tp_file_options options = TP_FILE_OPTIONS_INIT;
	int r = 0;

	if (tool->cut_at)
		return open_simulated(tool, devices);
	options.flags = tool->read_only ? TP_FILE_READ_ONLY : 0;
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

static int open_pool(struct tool *tool, struct tp_device **devices)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	int r;

	options.flags = tool->read_only ? TP_POOL_READ_ONLY : 0;
	if (tool->simulator) {
		options.flags |= TP_POOL_HOST_DRIVEN;
		options.clock_ns = tp_simulator_clock_ns;
		options.clock_wait = tp_simulator_clock_wait;
		options.clock_context = tool->simulator;
	}
	r = tp_pool_open(devices[0], devices[1], &options, &tool->pool);
	if (!r)
		r = tp_pool_get_status(tool->pool, &status);
	tool->block_bytes = status.data_block_size;

	return r;
}

static int work(struct tool *tool, int nr_words, char **words)
{
	struct tp_device *devices[2] = { NULL, NULL };
	int r, r_close;

	r = open_devices(tool, devices);
	if (!r && !strcmp(words[0], "format") && nr_words == 2)
		r = format(devices, words[1]);
	else if (!r)
		r = open_pool(tool, devices);
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

static int usage(void)
{
	fputs("usage: pool-tool [--read-only] [--origin FILE] [--power-cut N] "
	      "METADATA DATA COMMAND [ARG]...\n",
	      stderr);

	return 2;
}

/* How many words they are, or a negative errno. */
static int take_options(struct tool *tool, char **words)
{
	int i = 1;

	for (; words[i] && !strncmp(words[i], "--", 2); i++) {
		struct tp_file_options options = TP_FILE_OPTIONS_INIT;
		int r = 0;

		options.flags = TP_FILE_READ_ONLY;
		if (!strcmp(words[i], "--read-only"))
			tool->read_only = true;
		else if (!strcmp(words[i], "--origin") && words[i + 1])
			r = tp_device_open_file(words[++i], &options,
						&tool->origin);
		else if (!strcmp(words[i], "--power-cut") && words[i + 1])
			tool->cut_at = number(words[++i]);
		else
			r = -EINVAL;
		if (r)
			return r;
	}

	return i;
}

int main(int argc, char **argv)
{
	struct tool tool = { .paths = { NULL } };
	int nr = take_options(&tool, argv);
	int r;

	if (nr < 0 || argc - nr < 3)
		return usage();
	tool.paths[0] = argv[nr];
	tool.paths[1] = argv[nr + 1];
	tool.buffer = malloc(PIECE);
	r = tool.buffer ? work(&tool, argc - nr - 2, argv + nr + 2) : -ENOMEM;
	if (tool.simulator && (!r || tool.is_cut))
		r = keep_what_power_left(&tool);
	tp_device_unref(tool.origin);
	free(tool.buffer);
	if (fflush(stdout) || ferror(stdout))
		r = -EPIPE;

	return r ? 1 : 0;
}
