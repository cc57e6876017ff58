/*
 * matrix.c - every request of a scenario fails, and what is left is judged.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <thinpool/check.h>

#include "faults/image.h"
#include "faults/matrix.h"

#define METADATA_BYTES MIB
#define DATA_BYTES (40 * MIB)
#define ORIGIN_BYTES (RUN_THIN_BYTES - WORLD_BLOCK - 1024)
#define ORIGIN_SEED 0x0716

/* Blocks that are mapped behind the end of what the scenarios see, so that the
 * tree of the origin has more than one leaf. */
#define HIDDEN_BLOCKS 300u
#define HIDDEN_BEGIN (64ull * WORLD_BLOCK)

enum fault_device { ON_METADATA, ON_DATA, ON_ORIGIN, NR_FAULT_DEVICES };

struct fault {
	enum fault_device device;
	enum tp_op op;
	unsigned skip;
	bool lasting;
	int status;
	enum observer_arrival arrival;
};

struct matrix {
	const struct scenario *scenario;
	const struct matrix_extent *extent;
	struct run run;

	/* What each case begins with. */
	struct image metadata, data;
	struct ledger ledger;

	/* Without a fault: requests, and data blocks in use at the end. */
	unsigned nr_requests[NR_FAULT_DEVICES][OBSERVER_NR_OPS];
	uint64_t used;

	uint64_t rows; /* met */
	unsigned nr_cases;

	/* The case under way. */
	struct fault fault;
	int result;                 /* of the act */
	bool met, superblock_began; /* in the act */
	bool aborted, was_failed;   /* the pool, then */
	bool close_failed;
	char *seen[LEDGER_VOLUMES]; /* when it was last looked at */
};

static struct observer *device_of(struct run *run, enum fault_device device)
{
	struct observer *const devices[] = { &run->w.metadata, &run->w.data,
					     &run->origin };

	return devices[device];
}

/*---------------------------- what each case begins with -------------------*/

/* A byte in each block will do; nobody looks at the rest. */
static void map_hidden_blocks(struct run *run, uint32_t id)
{
	uint64_t size = HIDDEN_BEGIN + HIDDEN_BLOCKS * 2ull * WORLD_BLOCK;
	struct tp_thin *thin = world_open_thin(&run->w, id, size);
	char sector[512] = { 0 };

	for (uint64_t i = 0; i < HIDDEN_BLOCKS; i++)
		ck_ok(tp_thin_write(thin, sector, sizeof(sector),
				    HIDDEN_BEGIN + i * 2 * WORLD_BLOCK, 0));
	ck_ok(tp_thin_close(thin));
}

/* Thin 1: blocks 1 to 4 are shared with thin 2, a snapshot; 0 and 5 are its
 * own; the rest is not mapped.  Thin 3 has two blocks. */
static void fill_pool(struct run *run)
{
	ck_ok(run_create(run, 1));
	map_hidden_blocks(run, 1);
	ck_ok(run_write(run, 1, 0, 5 * WORLD_BLOCK, 0));
	ck_ok(run_snapshot(run, 2, 1));
	ck_ok(run_write(run, 1, 0, WORLD_BLOCK, 0));
	ck_ok(run_write(run, 1, 5 * WORLD_BLOCK, WORLD_BLOCK, 0));
	ck_ok(run_create(run, 3));
	ck_ok(run_write(run, 3, 0, 2 * WORLD_BLOCK, 0));
	ck_ok(run_set_transaction_id(run, 7));

	/* Over an external origin; nothing is mapped. */
	ck_ok(run_create(run, 4));
	ledger_volume(&run->ledger, 4)->origin_bytes = ORIGIN_BYTES;
	ledger_volume(&run->ledger, 4)->origin_seed = ORIGIN_SEED;
}

static void make_images(struct matrix *matrix)
{
	struct run *run = &matrix->run;

	if (!(matrix->scenario->flags & SCENARIO_BLANK)) {
		world_format(&run->w);
		run->w.options.flags |= TP_POOL_SKIP_ZEROING;
		ck_ok(run_open(run));
		fill_pool(run);
		ck_ok(run_close(run));
		run->w.options.flags &= ~TP_POOL_SKIP_ZEROING;
	}
	image_take(&matrix->metadata, &run->w.metadata);
	image_take(&matrix->data, &run->w.data);
	matrix->ledger = run->ledger;
}

static void begin(struct matrix *matrix)
{
	struct run *run = &matrix->run;
	int kind = matrix->extent->kind;

	world_make_sized(&run->w, kind, METADATA_BYTES, DATA_BYTES, NULL);
	memset(run->w.data.bytes, 0xee, 2 * MIB); /* somebody else's */
	run->w.options.metadata_cache_bytes = MIB;
	run->w.options.mapping_cache_bytes = MIB;
	if (kind == HOST_DRIVEN)
		world_use_virtual_clock(&run->w);
	observer_init(&run->origin, &run->w.log, "origin", ORIGIN_BYTES, 0,
		      NULL);
	fill_pattern(run->origin.bytes, ORIGIN_BYTES, 0, ORIGIN_SEED);
	ledger_init(&run->ledger);
	run->ledger.data_blocks.value = run->ledger.data_blocks.other =
		DATA_BYTES / WORLD_BLOCK;
	run->ledger.metadata_blocks.value = run->ledger.metadata_blocks.other =
		METADATA_BYTES / 4096;
	make_images(matrix);
}

static void end(struct matrix *matrix)
{
	image_drop(&matrix->metadata);
	image_drop(&matrix->data);
	observer_exit(&matrix->run.origin);
	world_unmake(&matrix->run.w);
}

/*---------------------------- a case ---------------------------------------*/

static void forget_seen(struct matrix *matrix)
{
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++) {
		free(matrix->seen[i]);
		matrix->seen[i] = NULL;
	}
}

static void open_all(struct run *run)
{
	ck_ok(run_open(run));
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++)
		if (run->ledger.volumes[i].exists)
			ck_ok(run_open_thin(run, run->ledger.volumes[i].id));
}

/* Up to where the fault begins to lurk. */
static void begin_case(struct matrix *matrix)
{
	struct run *run = &matrix->run;
	const struct scenario *scenario = matrix->scenario;

	image_restore(&matrix->metadata, &run->w.metadata);
	image_restore(&matrix->data, &run->w.data);
	run->ledger = matrix->ledger;
	matrix->was_failed = matrix->close_failed = false;
	matrix->aborted = matrix->met = false;
	run->w.options.commit_interval_ms =
		scenario->flags & SCENARIO_TICKS ? 1000 : TP_NEVER;
	if (!(scenario->flags & SCENARIO_OPENS))
		open_all(run);
	if (scenario->setup)
		ck_ok(scenario->setup(run));
	io_log_clear(&run->w.log);
	run->nr_noticed = 0;
	for (unsigned i = 0; i < NR_FAULT_DEVICES; i++)
		device_of(run, i)->nr_failed = 0;
}

static enum tp_pool_mode mode_of(struct run *run)
{
	return world_status(&run->w).mode;
}

/* All bios in flight end, whatever the act left behind. */
static void end_act(struct run *run)
{
	run_wait(run);
	while (run->nr_suspends && !run_resume(run))
		;
}

/*---------------------------- what failed ----------------------------------*/

static const char *const device_names[] = { "metadata", "data", "origin" };

/* The first request that failed; the number of its end in the log. */
static unsigned find_failure(struct run *run)
{
	unsigned nr = io_log_nr(&run->w.log);

	for (unsigned i = 0; i < nr; i++) {
		struct io_event event = io_log_get(&run->w.log, i);

		if (event.when == IO_END && event.status)
			return i;
	}

	return UINT_MAX;
}

static unsigned find_begin(struct run *run, unsigned end)
{
	struct io_event event = io_log_get(&run->w.log, end);
	unsigned i = end;

	while (io_log_get(&run->w.log, i).when != IO_BEGIN ||
	       io_log_get(&run->w.log, i).id != event.id)
		i--;

	return i;
}

static bool is_metadata(const struct io_event *event, enum tp_op op)
{
	return event->op == op && !strcmp(event->name, "metadata");
}

/* A commit sends its metadata along with its flush of the data: since the last
 * superblock some was on its way when the flush ended. */
static bool is_commits_flush(struct run *run, unsigned end)
{
	bool committing = false;

	for (unsigned i = 0; i < end; i++) {
		struct io_event event = io_log_get(&run->w.log, i);

		if (is_metadata(&event, TP_WRITE))
			committing = event.offset != 0;
	}

	return committing;
}

/* Some flush of a commit has failed. */
static bool a_commits_flush_failed(struct run *run)
{
	unsigned nr = io_log_nr(&run->w.log);

	for (unsigned i = 0; i < nr; i++) {
		struct io_event event = io_log_get(&run->w.log, i);

		if (event.when == IO_END && event.op == TP_FLUSH &&
		    event.status && is_commits_flush(run, i))
			return true;
	}

	return false;
}

/* Has a superblock been on its way? */
static bool superblock_began(struct run *run)
{
	unsigned nr = io_log_nr(&run->w.log);

	for (unsigned i = 0; i < nr; i++) {
		struct io_event event = io_log_get(&run->w.log, i);

		if (event.when == IO_BEGIN && is_metadata(&event, TP_WRITE) &&
		    !event.offset)
			return true;
	}

	return false;
}

/* The superblock, or the flush that makes it durable. */
static bool is_superblocks(struct run *run, unsigned end)
{
	struct io_event event = io_log_get(&run->w.log, end);
	unsigned i = find_begin(run, end);

	if (event.op == TP_WRITE)
		return !event.offset;
	while (i-- > 0) {
		event = io_log_get(&run->w.log, i);
		if (event.when == IO_BEGIN && is_metadata(&event, TP_WRITE))
			return !event.offset;
	}

	return false;
}

static unsigned metadata_row(struct matrix *matrix, unsigned failure)
{
	struct run *run = &matrix->run;

	if (matrix->fault.op == TP_READ && !run->w.pool)
		return matrix->scenario->flags & SCENARIO_OPENS ? 13 : 12;
	if (matrix->fault.op == TP_READ)
		return matrix->aborted ? 12 : 11;

	return is_superblocks(run, failure) ? 9 : 8;
}

static unsigned row_of(struct matrix *matrix)
{
	const struct scenario *scenario = matrix->scenario;
	unsigned failure = find_failure(&matrix->run);

	if (matrix->fault.device == ON_ORIGIN)
		return scenario->read_row;
	if (matrix->fault.device == ON_METADATA)
		return metadata_row(matrix, failure);
	switch (matrix->fault.op) {
	case TP_READ:
		return scenario->read_row;
	case TP_FLUSH:
		return a_commits_flush_failed(&matrix->run) ? 6 : 7;
	case TP_DISCARD:
		return 0; /* nobody minds (B-DISC-7) */
	default:
		return scenario->write_row;
	}
}

/*---------------------------- the mode -------------------------------------*/

static bool is_allowed_mode(struct matrix *matrix, unsigned row,
			    enum tp_pool_mode mode)
{
	bool lasting = matrix->fault.lasting;

	switch (row) {
	case 6:
		return mode == TP_MODE_READ_ONLY;
	case 8:
	case 9:
		return mode == (lasting ? TP_MODE_FAILED : TP_MODE_READ_ONLY);
	case 11:
		return mode == TP_MODE_WRITE;
	case 12:
		return mode == TP_MODE_READ_ONLY ||
		       (lasting && mode == TP_MODE_FAILED);
	default:
		return mode == TP_MODE_WRITE;
	}
}

static void judge_mode(struct matrix *matrix)
{
	struct tp_pool_status status = world_status(&matrix->run.w);
	unsigned row;

	matrix->was_failed = status.mode == TP_MODE_FAILED;
	matrix->aborted = status.mode >= TP_MODE_READ_ONLY;
	if (!matrix->met) {
		ck_assert_int_eq(status.mode, TP_MODE_WRITE);
		return;
	}
	row = row_of(matrix);
	matrix->rows |= ROW(row);
	if (matrix->was_failed)
		matrix->rows |= ROW(10);
	ck_assert_msg(is_allowed_mode(matrix, row, status.mode),
		      "F-%02u leaves the mode '%s'", row,
		      tp_pool_mode_name(status.mode));
	if (!matrix->was_failed)
		ck_assert_int_eq(status.needs_check,
				 status.mode == TP_MODE_READ_ONLY);
}

/*---------------------------- contents -------------------------------------*/

/* The whole of it, in the slot of the volume; the status. */
static int read_volume(struct matrix *matrix, unsigned slot, char *bytes)
{
	struct run *run = &matrix->run;
	struct io io;
	int r = run_open_thin(run, run->ledger.volumes[slot].id);

	if (r)
		return r;
	io_init(&io, TP_READ, bytes, 0, RUN_THIN_BYTES, 0);
	io_submit(&io, run->queue, run->thins[slot]);

	return run_io(run, &io);
}

static void look_at(struct matrix *matrix, unsigned slot, enum ledger_view view)
{
	char *bytes = malloc(RUN_THIN_BYTES);

	ck_assert_ptr_nonnull(bytes);
	ck_ok(read_volume(matrix, slot, bytes));
	ledger_check(&matrix->run.ledger.volumes[slot], view, bytes, 0,
		     RUN_THIN_BYTES);
	if (matrix->seen[slot])
		ck_assert_msg(!memcmp(bytes, matrix->seen[slot],
				      RUN_THIN_BYTES),
			      "what volume %u held has changed",
			      matrix->run.ledger.volumes[slot].id);
	free(matrix->seen[slot]);
	matrix->seen[slot] = bytes;
}

static void look_at_all(struct matrix *matrix, enum ledger_view view)
{
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++)
		if (matrix->run.ledger.volumes[i].exists)
			look_at(matrix, i, view);
}

/* The device's own, or -EIO for those that would mean something else. */
static bool is_io_error(const struct matrix *matrix, int r)
{
	int status = matrix->fault.status;

	return r == -EIO ||
	       (r == status && (status == -ENOLINK || status == -ENOMEM));
}

static bool is_unsealed(const struct ledger_volume *volume)
{
	for (unsigned i = 0; i < volume->nr_ops; i++)
		if (!volume->ops[i].sealed)
			return true;

	return false;
}

/* After an abort: who lost something is told so, and goes on being told, and
 * who did not is not (A2, R-57). */
static void judge_flush(struct matrix *matrix, struct ledger_volume *volume,
			int r)
{
	if (matrix->was_failed)
		ck_assert_int_eq(r, -EIO);
	else if (!is_unsealed(volume) && !volume->touched)
		ck_assert_msg(!r, "volume %u lost nothing, and its flush fails",
			      volume->id);
	if (r)
		volume->marked = true;
}

/* Each twice, for what was lost is not made good by trying again. */
static void flush_all(struct matrix *matrix, bool healed)
{
	struct run *run = &matrix->run;

	for (unsigned i = 0; i < LEDGER_VOLUMES; i++) {
		struct ledger_volume *volume = &run->ledger.volumes[i];

		if (matrix->was_failed && !run->thins[i])
			continue; /* nor can it be opened */
		for (unsigned k = 0; volume->exists && k < 2; k++) {
			int r = run_flush(run, volume->id);

			ck_assert(!r || is_io_error(matrix, r));
			if (matrix->aborted && healed)
				judge_flush(matrix, volume, r);
		}
	}
}

static void expect_nothing_works(struct matrix *matrix)
{
	static char bytes[RUN_THIN_BYTES];

	for (unsigned i = 0; i < LEDGER_VOLUMES; i++)
		if (matrix->run.thins[i])
			ck_assert_int_eq(read_volume(matrix, i, bytes), -EIO);
	ck_assert_int_eq(tp_pool_commit(matrix->run.w.pool), -EOPNOTSUPP);
}

/*---------------------------- the pool -------------------------------------*/

static void expect_fact(const struct ledger_fact *fact, uint64_t value,
			bool in_doubt, const char *what)
{
	ck_assert_msg(
		value == fact->value || (in_doubt && value == fact->other),
		"%s is %llu, and was %llu", what, (unsigned long long)value,
		(unsigned long long)fact->value);
}

struct listing {
	struct ledger *ledger;
	bool in_doubt, there[LEDGER_VOLUMES];
};

static int list_one(const struct tp_thin_info *info, void *context)
{
	struct listing *listing = context;
	struct ledger_volume *volume = ledger_volume(listing->ledger, info->id);

	listing->there[volume - listing->ledger->volumes] = true;

	return 0;
}

/* Which volumes there are (K1, K3, K5); after that it is known. */
static void judge_listing(struct matrix *matrix, bool in_doubt)
{
	struct listing listing = { .ledger = &matrix->run.ledger };

	ck_ok(tp_pool_list_thins(matrix->run.w.pool, list_one, &listing));
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++) {
		struct ledger_volume *volume = &listing.ledger->volumes[i];

		if (!volume->nr_ops)
			continue;
		ck_assert_msg(listing.there[i] == volume->exists ||
				      (in_doubt && volume->doubtful),
			      "volume %u is %s", volume->id,
			      listing.there[i] ? "there" : "gone");
		volume->exists = listing.there[i];
		if (in_doubt)
			volume->doubtful = false;
	}
}

/* K1, K2, K4, K5. */
static void judge_facts(struct matrix *matrix, bool in_doubt)
{
	struct tp_pool_status status = world_status(&matrix->run.w);
	struct ledger *ledger = &matrix->run.ledger;

	expect_fact(&ledger->transaction_id, status.transaction_id, in_doubt,
		    "the transaction id");
	expect_fact(&ledger->held, status.held_root != 0, in_doubt,
		    "a metadata snapshot");
	expect_fact(&ledger->data_blocks, status.data_blocks, in_doubt,
		    "the number of data blocks");
	expect_fact(&ledger->metadata_blocks, status.metadata_blocks, in_doubt,
		    "the number of metadata blocks");
	judge_listing(matrix, in_doubt);
	ledger->transaction_id.value = status.transaction_id;
	ledger->held.value = status.held_root != 0;
	ledger->data_blocks.value = status.data_blocks;
	ledger->metadata_blocks.value = status.metadata_blocks;
}

/* Of the last commit all is settled, and passed down. */
static uint64_t used_at_last(struct run *run)
{
	uint64_t used;

	ck_ok(run_commit(run));
	ck_ok(run_commit(run));
	used = world_used(&run->w);
	if (world_is_host_driven(&run->w))
		tp_pool_poll(run->w.pool);
	else
		world_run(&run->w);
	if (used != world_used(&run->w))
		return used_at_last(run);

	return used;
}

/* A flush of the data device has failed under writes of it. */
static bool something_was_lost(const struct run *run)
{
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++)
		if (run->thins[i] && thin_info(run->thins[i]).lost_writes)
			return true;

	return false;
}

/* The device works again: so does what failed, and it takes no more blocks than
 * it would have (F-02, F-04, F-05). */
static void try_again(struct matrix *matrix)
{
	struct run *run = &matrix->run;

	if (something_was_lost(run))
		return;
	forget_seen(matrix);
	if (matrix->result)
		ck_ok(matrix->scenario->act(run));
	end_act(run);
	if (run->w.pool && !(matrix->scenario->flags & SCENARIO_RACES))
		ck_assert_uint_eq(used_at_last(run), matrix->used);
}

/*---------------------------- the live pool --------------------------------*/

static void judge_result(struct matrix *matrix)
{
	bool is_hint = matrix->fault.op == TP_DISCARD;

	if (!matrix->met || is_hint)
		ck_ok(matrix->result);
	else if (!(matrix->scenario->flags & SCENARIO_BACKGROUND))
		ck_assert_msg(is_io_error(matrix, matrix->result),
			      "a device failed, and the answer is %d",
			      matrix->result);
}

static void judge_live(struct matrix *matrix)
{
	struct run *run = &matrix->run;

	if (!matrix->met)
		observer_heal(device_of(run, matrix->fault.device));
	judge_mode(matrix);
	end_act(run);
	if (matrix->fault.lasting)
		flush_all(matrix, false);
	observer_heal(device_of(run, matrix->fault.device));
	flush_all(matrix, true);
	if (mode_of(run) == TP_MODE_FAILED) {
		expect_nothing_works(matrix);
		return;
	}
	judge_facts(matrix, false);
	look_at_all(matrix, run_view(run));
	if (mode_of(run) == TP_MODE_WRITE)
		try_again(matrix);
}

/* Open failed: not a byte was written (F-13). */
static void judge_closed(struct matrix *matrix)
{
	struct run *run = &matrix->run;

	observer_heal(device_of(run, matrix->fault.device));
	if (!matrix->met)
		return;
	matrix->rows |= ROW(row_of(matrix));
	if (!(matrix->scenario->flags & SCENARIO_BLANK) &&
	    matrix->scenario->flags & SCENARIO_OPENS)
		ck_assert(image_is_same(&matrix->metadata, &run->w.metadata));
}

/*---------------------------- opened anew ----------------------------------*/

static void tell(void *context, const struct tp_check_finding *finding)
{
	fprintf(stderr, "%s: %s\n", tp_check_place_name(finding->place),
		finding->what);
}

/* Nothing is wrong with the metadata, and nothing has leaked (M2); needs_check,
 * if it was set, goes (NCK-03). */
static void check(struct run *run)
{
	struct tp_check_options options = TP_CHECK_OPTIONS_INIT;
	struct tp_check_report report = TP_CHECK_REPORT_INIT;

	options.flags = TP_CHECK_CLEAR_NEEDS_CHECK;
	options.nr_threads = 1;
	options.data_bytes = run->w.data.size_bytes;
	options.found = tell;
	ck_ok(tp_check(run->w.metadata.device, &options, &report));
	ck_assert_int_lt(report.worst, TP_CHECK_LEAK);
	ck_assert_int_eq(report.cleared_needs_check, report.needs_check);
}

static void reopen(struct matrix *matrix, bool in_doubt)
{
	ck_ok(run_open(&matrix->run));
	judge_facts(matrix, in_doubt);

	/* What was lost is lost, and no later close seals it. */
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++)
		matrix->run.ledger.volumes[i].marked = true;
	look_at_all(matrix, LEDGER_CRASHED);
}

/* needs_check outlives the pool (NCK-02), and only then is it set. */
static void judge_needs_check(struct matrix *matrix)
{
	struct tp_pool_status status = world_status(&matrix->run.w);

	ck_assert_int_eq(status.mode, status.needs_check ? TP_MODE_READ_ONLY
							 : TP_MODE_WRITE);
	if (matrix->aborted && !matrix->was_failed)
		ck_assert(status.needs_check);
	if (!matrix->aborted && !matrix->close_failed)
		ck_assert(!status.needs_check);
}

static void write_to_all(struct run *run)
{
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++) {
		struct ledger_volume *volume = &run->ledger.volumes[i];

		if (!volume->exists)
			continue;
		ck_ok(run_write(run, volume->id, WORLD_BLOCK / 2, WORLD_BLOCK,
				0));
		ck_ok(run_write(run, volume->id, 7 * WORLD_BLOCK, 512, TP_FUA));
	}
}

/* The contents are one state of the rules', and stay it; then the pool works as
 * any other. */
static void judge_reopened(struct matrix *matrix)
{
	struct run *run = &matrix->run;

	reopen(matrix, matrix->superblock_began &&
			       (matrix->was_failed || matrix->close_failed));
	judge_needs_check(matrix);
	ck_ok(run_close(run));
	check(run);
	reopen(matrix, false);
	ck_assert_int_eq(mode_of(run), TP_MODE_WRITE);
	forget_seen(matrix);
	write_to_all(run);
	look_at_all(matrix, LEDGER_CRASHED);
	ck_ok(run_close(run));
	check(run);
	if (matrix->nr_cases % matrix->extent->check_each == 0)
		world_check(&run->w);
	forget_seen(matrix);
}

/*---------------------------- all of them ----------------------------------*/

static void describe(const struct matrix *matrix)
{
	static const char *const ops[] = { "read", "write", "flush", "discard",
					   "write-zeroes" };
	static const char *const arrivals[] = { "nothing", "half", "all" };
	const struct fault *fault = &matrix->fault;

	fprintf(stderr, "%s: %s %s %u fails %s with %d, %s of it arrives\n",
		matrix->scenario->name, device_names[fault->device],
		ops[fault->op], fault->skip,
		fault->lasting ? "for good" : "once", fault->status,
		arrivals[fault->arrival]);
}

static void arm(struct matrix *matrix)
{
	const struct fault *fault = &matrix->fault;
	struct observer *device = device_of(&matrix->run, fault->device);

	device->arrival = fault->arrival;
	observer_fail(device, OPS(fault->op), fault->skip,
		      fault->lasting ? 0 : 1, fault->status);
}

/* A second time, if the first could not open. */
static void act_again(struct matrix *matrix)
{
	if (matrix->result && matrix->scenario->flags & SCENARIO_OPENS)
		ck_ok(matrix->scenario->act(&matrix->run));
}

static void run_case(struct matrix *matrix)
{
	struct run *run = &matrix->run;

	matrix->nr_cases++;
	begin_case(matrix);
	arm(matrix);
	matrix->result = matrix->scenario->act(run);
	run_wait(run);
	matrix->met = find_failure(run) != UINT_MAX;
	matrix->superblock_began = superblock_began(run);
	judge_result(matrix);
	if (run->w.pool)
		judge_live(matrix);
	else
		judge_closed(matrix);
	matrix->close_failed = run->w.pool ? run_close(run) : matrix->result;
	act_again(matrix);
	ck_ok(run_close(run));
	judge_reopened(matrix);
}

/* Nothing fails: what there is to fail, and what it should come to. */
static void run_without_fault(struct matrix *matrix)
{
	struct run *run = &matrix->run;
	unsigned before[NR_FAULT_DEVICES][OBSERVER_NR_OPS];

	begin_case(matrix);
	for (unsigned d = 0; d < NR_FAULT_DEVICES; d++)
		for (unsigned op = 0; op < OBSERVER_NR_OPS; op++)
			before[d][op] = device_of(run, d)->nr_begun[op];
	ck_ok(matrix->scenario->act(run));
	ck_ok(run_wait(run));
	for (unsigned d = 0; d < NR_FAULT_DEVICES; d++)
		for (unsigned op = 0; op < OBSERVER_NR_OPS; op++)
			matrix->nr_requests[d][op] =
				device_of(run, d)->nr_begun[op] - before[d][op];
	end_act(run);
	if (run->w.pool)
		matrix->used = used_at_last(run);
	ck_ok(run_close(run));
	judge_reopened(matrix);
	world_check(&run->w);
}

/* Some of which mean something else to the library. */
static const int statuses[] = { -EIO,         -ENOSPC,  -ENODATA,  -EAGAIN,
				-EINPROGRESS, -EFBIG,   -EEXIST,   -ENOMEM,
				-EILSEQ,      -ENOLINK, -ECANCELED };
#define NR_STATUSES (sizeof(statuses) / sizeof(statuses[0]))

static void run_variants(struct matrix *matrix)
{
	struct fault *fault = &matrix->fault;
	unsigned nr = matrix->nr_cases, nr_variants = 1;

	if (matrix->extent->all_statuses)
		nr_variants = fault->op == TP_WRITE ? 2 * NR_STATUSES
						    : NR_STATUSES;
	for (unsigned i = 0; i < nr_variants; i++) {
		fault->status = statuses[(nr + i) % NR_STATUSES];
		fault->arrival = (nr + i) % 3;
		describe(matrix);
		run_case(matrix);
	}
}

static void sweep_requests(struct matrix *matrix)
{
	struct fault *fault = &matrix->fault;
	unsigned nr = matrix->nr_requests[fault->device][fault->op];

	for (fault->skip = 0; fault->skip < nr; fault->skip++) {
		fault->lasting = false;
		run_variants(matrix);
		fault->lasting = true;
		run_variants(matrix);
	}
}

unsigned matrix_sweep(const struct scenario *scenario,
		      const struct matrix_extent *extent)
{
	struct matrix *matrix = calloc(1, sizeof(*matrix));
	unsigned nr_cases;

	ck_assert_ptr_nonnull(matrix);
	matrix->scenario = scenario;
	matrix->extent = extent;
	begin(matrix);
	run_without_fault(matrix);
	for (unsigned d = 0; d < NR_FAULT_DEVICES; d++) {
		for (unsigned op = 0; op < OBSERVER_NR_OPS; op++) {
			matrix->fault.device = d;
			matrix->fault.op = op;
			sweep_requests(matrix);
		}
	}
	if (extent->kind == HOST_DRIVEN)
		ck_assert_msg((matrix->rows & scenario->rows) == scenario->rows,
			      "%s met the rows %#llx, not %#llx",
			      scenario->name, (unsigned long long)matrix->rows,
			      (unsigned long long)scenario->rows);
	nr_cases = matrix->nr_cases;
	end(matrix);
	free(matrix);

	return nr_cases;
}
