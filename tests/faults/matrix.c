/*
 * matrix.c - every request of a scenario fails, and what is left is judged.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "faults/failure.h"
#include "faults/judge.h"
#include "faults/matrix.h"
#include "faults/outset.h"

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

	struct outset outset; /* what each case begins with */

	/* Without a fault: requests, and data blocks in use at the end. */
	unsigned nr_requests[NR_FAULT_DEVICES][OBSERVER_NR_OPS];
	uint64_t used;

	uint64_t rows; /* met */
	unsigned nr_cases;

	/* The case under way. */
	struct fault fault;
	int result;                 /* of the act */
	bool met, superblock_began; /* in the act */
	struct judge judge;
};

static struct observer *device_of(struct run *run, enum fault_device device)
{
	struct observer *const devices[] = { &run->w.metadata, &run->w.data,
					     &run->origin };

	return devices[device];
}

/*---------------------------- a case ---------------------------------------*/

/* Up to where the fault begins to lurk. */
static void begin_case(struct matrix *matrix)
{
	struct run *run = &matrix->run;
	const struct scenario *scenario = matrix->scenario;

	outset_restore(&matrix->outset);
	matrix->judge = (struct judge){ .run = run, .more = scenario->judge };
	matrix->met = false;
	run->w.options.commit_interval_ms =
		scenario->flags & SCENARIO_TICKS ? 1000 : TP_NEVER;
	if (!(scenario->flags & SCENARIO_OPENS))
		outset_open(&matrix->outset);
	if (scenario->setup)
		ck_ok(scenario->setup(run));
	io_log_clear(&run->w.log);
	run->nr_noticed = 0;
	for (unsigned i = 0; i < NR_FAULT_DEVICES; i++)
		device_of(run, i)->nr_failed = 0;
}

/* The thins are counted when the status is first asked for; a device that does
 * not read, for good, is healed for that. */
static struct tp_pool_status live_status(struct matrix *matrix)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	const struct fault *fault = &matrix->fault;
	struct run *run = &matrix->run;

	if (!tp_pool_get_status(run->w.pool, &status))
		return status;
	ck_assert_msg(matrix->met && fault->lasting && fault->op == TP_READ &&
			      fault->device == ON_METADATA,
		      "no status: %s", tp_last_error());
	observer_heal(device_of(run, fault->device));

	return world_status(&run->w);
}

static enum tp_pool_mode mode_of(struct matrix *matrix)
{
	return live_status(matrix).mode;
}

/* All bios in flight end, whatever the act left behind. */
static void end_act(struct run *run)
{
	run_wait(run);
	while (run->nr_suspends && !run_resume(run))
		;
}

/*---------------------------- which row it is ------------------------------*/

static unsigned metadata_row(struct matrix *matrix, unsigned failure)
{
	struct run *run = &matrix->run;

	if (matrix->fault.op == TP_READ && !run->w.pool)
		return matrix->scenario->flags & SCENARIO_OPENS ? 13 : 12;
	if (matrix->fault.op == TP_READ)
		return matrix->judge.aborted ? 12 : 11;

	return failure_is_superblocks(&run->w.log, failure) ? 9 : 8;
}

/* Of a commit's flush, or of one beside which others have changed something that
 * is not committed yet, of which the device may have dropped the content. */
static bool gives_up_a_transaction(struct matrix *matrix)
{
	return failure_of_a_commits_flush(&matrix->run.w.log) ||
	       (matrix->scenario->flags & SCENARIO_RACES &&
		matrix->judge.aborted);
}

static unsigned row_of(struct matrix *matrix)
{
	const struct scenario *scenario = matrix->scenario;
	unsigned failure = failure_find(&matrix->run.w.log);

	if (matrix->fault.device == ON_ORIGIN)
		return scenario->read_row;
	if (matrix->fault.device == ON_METADATA)
		return metadata_row(matrix, failure);
	switch (matrix->fault.op) {
	case TP_READ:
		return scenario->read_row;
	case TP_FLUSH:
		return gives_up_a_transaction(matrix) ? 6 : 7;
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
	struct tp_pool_status status = live_status(matrix);
	unsigned row;

	matrix->judge.failed = status.mode == TP_MODE_FAILED;
	matrix->judge.aborted = status.mode >= TP_MODE_READ_ONLY;
	if (!matrix->met) {
		ck_assert_int_eq(status.mode, TP_MODE_WRITE);
		return;
	}
	row = row_of(matrix);
	matrix->rows |= ROW(row);
	if (matrix->judge.failed)
		matrix->rows |= ROW(10);
	ck_assert_msg(is_allowed_mode(matrix, row, status.mode),
		      "F-%02u leaves the mode '%s'", row,
		      tp_pool_mode_name(status.mode));
	if (!matrix->judge.failed)
		ck_assert_int_eq(status.needs_check,
				 status.mode == TP_MODE_READ_ONLY);
}

/* What failed for good may fail a commit only now, of a volume that the act has
 * changed and that nobody had flushed (F-06 after F-07). */
static void judge_mode_again(struct matrix *matrix)
{
	enum tp_pool_mode mode = mode_of(matrix);

	if (matrix->judge.aborted || mode == TP_MODE_WRITE)
		return;
	ck_assert_int_eq(matrix->fault.device, ON_DATA);
	ck_assert_int_eq(matrix->fault.op, TP_FLUSH);
	ck_assert_int_eq(mode, TP_MODE_READ_ONLY);
	ck_assert(live_status(matrix).needs_check);
	matrix->judge.aborted = true;
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
	judge_forget(&matrix->judge);
	if (matrix->result)
		ck_ok(matrix->scenario->act(run));
	end_act(run);
	if (run->w.pool && !(matrix->scenario->flags & SCENARIO_RACES))
		ck_assert_uint_eq(used_at_last(run), matrix->used);
}

/*---------------------------- the live pool --------------------------------*/

/* The device's own, or -EIO for those that would mean something else. */
static bool is_io_error(const struct matrix *matrix, int r)
{
	int status = matrix->fault.status;

	return r == -EIO ||
	       (r == status && (status == -ENOLINK || status == -ENOMEM));
}

/* A pool that was opened looks for deletions to go on with, by itself. */
static bool is_in_background(struct matrix *matrix)
{
	unsigned flags = matrix->scenario->flags;

	return flags & SCENARIO_BACKGROUND ||
	       (flags & SCENARIO_OPENS && matrix->run.w.pool &&
		failure_is_of_another_thread(&matrix->run.w.log));
}

static void judge_result(struct matrix *matrix)
{
	bool is_hint = matrix->fault.op == TP_DISCARD;

	if (!matrix->met || is_hint)
		ck_ok(matrix->result);
	else if (!is_in_background(matrix))
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
	if (matrix->fault.lasting) {
		judge_flushes(&matrix->judge, false);
		judge_mode_again(matrix);
	}
	observer_heal(device_of(run, matrix->fault.device));
	judge_flushes(&matrix->judge, true);
	if (mode_of(matrix) == TP_MODE_FAILED) {
		judge_nothing_works(&matrix->judge);
		return;
	}
	judge_facts(&matrix->judge, false);
	judge_contents(&matrix->judge, run_view(run));
	if (mode_of(matrix) == TP_MODE_WRITE)
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
	if (!(matrix->scenario->outset & OUTSET_BLANK) &&
	    matrix->scenario->flags & SCENARIO_OPENS)
		ck_assert(image_is_same(&matrix->outset.metadata,
					&run->w.metadata));
}

/*---------------------------- all of them ----------------------------------*/

static void describe(const struct matrix *matrix)
{
	static const char *const devices[] = { "metadata", "data", "origin" };
	static const char *const ops[] = { "read", "write", "flush", "discard",
					   "write-zeroes" };
	static const char *const arrivals[] = { "nothing", "half", "all" };
	const struct fault *fault = &matrix->fault;

	fprintf(stderr, "%s: %s %s %u fails %s with %d, %s of it arrives\n",
		matrix->scenario->name, devices[fault->device], ops[fault->op],
		fault->skip, fault->lasting ? "for good" : "once",
		fault->status, arrivals[fault->arrival]);
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
	matrix->met = failure_find(&run->w.log) != UINT_MAX;
	matrix->superblock_began = failure_superblock_began(&run->w.log);
	judge_result(matrix);
	if (run->w.pool)
		judge_live(matrix);
	else
		judge_closed(matrix);
	matrix->judge.close_failed = run->w.pool ? run_close(run)
						 : matrix->result;
	act_again(matrix);
	ck_ok(run_close(run));
	judge_reopened(&matrix->judge, matrix->superblock_began);
	if (matrix->nr_cases % matrix->extent->check_each == 0)
		world_check(&run->w);
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
	judge_reopened(&matrix->judge, false);
	world_check(&run->w);
}

/* Some of which mean something else to the library. */
static const int
	statuses[] = { -EIO,       -ENOSPC, -ENODATA, -EAGAIN, -EINPROGRESS,
		       -EFBIG,     -EEXIST, -ENOMEM,  -EILSEQ, -ENOLINK,
		       -ECANCELED, 512 /* less than all */ };
#define NR_STATUSES (sizeof(statuses) / sizeof(statuses[0]))

/* Want of memory for good, in the background: that goes on being tried, and ends
 * with the want.  For that see memory/deletion. */
static int status_of(const struct matrix *matrix, unsigned nr)
{
	int status = statuses[nr % NR_STATUSES];

	if (matrix->scenario->outset & OUTSET_BIG && status == -ENOMEM)
		return -EIO;

	return status;
}

static void run_variants(struct matrix *matrix)
{
	struct fault *fault = &matrix->fault;
	unsigned nr = matrix->nr_cases, nr_variants = 1;

	if (matrix->extent->all_statuses &&
	    !(matrix->scenario->outset & OUTSET_BIG))
		nr_variants = fault->op == TP_WRITE ? 2 * NR_STATUSES
						    : NR_STATUSES;
	for (unsigned i = 0; i < nr_variants; i++) {
		fault->status = status_of(matrix, nr + i);
		fault->arrival = (nr + i) % 3;
		describe(matrix);
		run_case(matrix);
	}
}

static void sweep_requests(struct matrix *matrix)
{
	struct fault *fault = &matrix->fault;
	unsigned nr = matrix->nr_requests[fault->device][fault->op];
	bool many = matrix->scenario->outset & OUTSET_BIG &&
		    fault->op == TP_READ;
	unsigned every = many ? matrix->extent->every_big : 1;

	for (fault->skip = 0; fault->skip < nr; fault->skip += every) {
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
	outset_make(&matrix->outset, &matrix->run, extent->kind,
		    scenario->outset);
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
	outset_drop(&matrix->outset);
	free(matrix);

	return nr_cases;
}
