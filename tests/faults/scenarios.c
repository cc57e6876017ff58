/*
 * scenarios.c - one kind of operation each, for the fault matrix.
 *
 * What they find is told in outset.h.
 */
#include "faults/matrix.h"
#include "faults/outset.h"

#define BLOCK WORLD_BLOCK

/* More than there are without the big thin, and less than its last step. */
#define BIG_LAST_BLOCKS 2000u

/*---------------------------- reading --------------------------------------*/

static int read_mapped(struct run *run)
{
	return run_bio(run, TP_READ, 1, 512, 3 * BLOCK, 0);
}

static int read_origin(struct run *run)
{
	return run_bio(run, TP_READ, 4, 0, RUN_THIN_BYTES, 0);
}

static int list_and_look(struct run *run)
{
	struct tp_thin_info info = TP_THIN_INFO_INIT;
	int r = tp_thin_get_info(run_thin(run, 1), &info);

	return r ? r : run_bio(run, TP_READ, 2, 5 * BLOCK, BLOCK, 0);
}

/*---------------------------- writing --------------------------------------*/

static int write_mapped(struct run *run)
{
	return run_write(run, 1, 1024, 4096, 0);
}

static int write_first(struct run *run)
{
	return run_write(run, 1, 6 * BLOCK + 4096, 1024, 0);
}

static int write_whole(struct run *run)
{
	return run_write(run, 1, 6 * BLOCK, 2 * BLOCK, 0);
}

static int write_shared(struct run *run)
{
	return run_write(run, 1, 2 * BLOCK + 512, 1024, 0);
}

static int write_shared_whole(struct run *run)
{
	return run_write(run, 2, BLOCK, 2 * BLOCK, 0);
}

/* Mapped, shared and unmapped at once, and none of it aligned. */
static int write_across(struct run *run)
{
	return run_write(run, 1, 3 * BLOCK / 2, 5 * BLOCK, 0);
}

/* Whole, straddling its end, and beyond it. */
static int write_over_origin(struct run *run)
{
	int r = run_write(run, 4, 512, 512, 0);

	if (!r)
		r = run_write(run, 4, 6 * BLOCK, 512, 0);

	return r ? r : run_write(run, 4, 7 * BLOCK, 512, 0);
}

static int zero_some(struct run *run)
{
	int r = run_bio(run, TP_WRITE_ZEROES, 1, BLOCK / 2, 3 * BLOCK, 0);

	return r ? r
		 : run_bio(run, TP_WRITE_ZEROES, 1, 3 * BLOCK, 4 * BLOCK,
			   TP_NO_UNMAP);
}

static int discard_some(struct run *run)
{
	return run_bio(run, TP_DISCARD, 1, 512, 6 * BLOCK, 0);
}

/* What it frees is passed down when the commit has settled. */
static int discard_and_flush(struct run *run)
{
	int r = run_bio(run, TP_DISCARD, 1, 0, RUN_THIN_BYTES, 0);

	return r ? r : run_flush(run, 1);
}

/*---------------------------- durable --------------------------------------*/

static int flush_changed(struct run *run)
{
	int r = run_write(run, 1, 6 * BLOCK, 512, 0);

	if (!r)
		r = run_write(run, 1, 2 * BLOCK, 512, 0);

	return r ? r : run_flush(run, 1);
}

static int flush_unchanged(struct run *run)
{
	int r = run_write(run, 1, 0, 4096, 0);

	return r ? r : run_flush(run, 1);
}

static int write_fua(struct run *run)
{
	int r = run_write(run, 1, 0, 512, TP_FUA);

	if (!r)
		r = run_write(run, 1, 6 * BLOCK, BLOCK, TP_FUA);

	return r ? r : run_write(run, 2, 512, 512, TP_FUA | TP_PREFLUSH);
}

static int commit(struct run *run)
{
	int r = run_write(run, 3, 2 * BLOCK, 512, 0);

	return r ? r : run_commit(run);
}

static int commit_nothing(struct run *run)
{
	int r = run_write(run, 3, 0, 512, 0);

	return r ? r : run_commit(run);
}

/* All of it at once: whoever waits for whom, each ends. */
static int write_many(struct run *run)
{
	run_submit(run, TP_WRITE, 1, 6 * BLOCK, 512, 0);
	run_submit(run, TP_WRITE, 1, 6 * BLOCK + 4096, 512, TP_FUA);
	run_submit(run, TP_WRITE, 1, 2 * BLOCK, 512, 0);
	run_submit(run, TP_WRITE, 2, 2 * BLOCK, 2 * BLOCK, 0);
	run_submit(run, TP_DISCARD, 3, 0, 2 * BLOCK, 0);
	run_submit(run, TP_FLUSH, 1, 0, 0, 0);
	run_submit(run, TP_READ, 1, 0, RUN_THIN_BYTES, 0);
	run_submit(run, TP_WRITE, 3, 0, BLOCK, 0);
	run_submit(run, TP_FLUSH, 3, 0, 0, 0);

	return run_wait(run);
}

/*---------------------------- calls ----------------------------------------*/

/* Something that is not sealed, for the call to make durable or to lose. */
static int setup_unsealed(struct run *run)
{
	int r = run_write(run, 1, 6 * BLOCK, 512, 0);

	if (!r)
		r = run_write(run, 1, 2 * BLOCK, 512, 0);

	return r ? r : run_write(run, 3, 0, 512, 0);
}

static int create(struct run *run)
{
	return run_create(run, 9);
}

static int snapshot(struct run *run)
{
	return run_snapshot(run, 9, 1);
}

static int snapshots(struct run *run)
{
	static const struct tp_snapshot_pair pairs[] = { { 8, 1 },
							 { 9, 2 },
							 { 10, 1 } };

	return run_snapshots(run, pairs, 3);
}

static int setup_delete(struct run *run)
{
	run_close_thin(run, 2);

	return setup_unsealed(run);
}

/* It is looked at between one attempt and the next. */
static int delete (struct run *run)
{
	run_close_thin(run, 2);

	return run_delete(run, 2);
}

/* What goes on by itself, as far as it goes; or for a while. */
static void run_background(struct run *run)
{
	if (!world_is_host_driven(&run->w))
		world_run(&run->w);
	else
		while (tp_pool_poll(run->w.pool) > 0)
			;
}

/* It is gone at once, and is emptied in the background.  What is left to the
 * last goes in one step, so that there are many blocks of it until then. */
static int delete_big(struct run *run)
{
	int r = 0;

	run_close_thin(run, RUN_BIG_THIN);
	if (ledger_volume(&run->ledger, RUN_BIG_THIN)->exists)
		r = run_delete(run, RUN_BIG_THIN);
	while (!r) {
		run_background(run);
		if (world_status(&run->w).mode != TP_MODE_WRITE)
			return -EIO;
		if (world_used(&run->w) < BIG_LAST_BLOCKS)
			return 0;
		r = run_commit(run);
	}

	return r;
}

/* All is full but for what no transaction has freed yet (F-16). */
static int setup_freed(struct run *run)
{
	return run_bio(run, TP_DISCARD, 3, 0, 2 * BLOCK, 0);
}

/* For whoever judges by writing. */
static void make_space(struct run *run)
{
	if (world_status(&run->w).mode != TP_MODE_WRITE ||
	    !ledger_volume(&run->ledger, RUN_FILLER)->exists)
		return;
	run_close_thin(run, RUN_FILLER);
	ck_ok(run_delete(run, RUN_FILLER));
}

static int set_transaction_id(struct run *run)
{
	return run_set_transaction_id(run, 8);
}

static int reserve(struct run *run)
{
	return run_reserve(run);
}

static int setup_release(struct run *run)
{
	int r = run_reserve(run);

	return r ? r : setup_unsealed(run);
}

static int release(struct run *run)
{
	return run_release(run);
}

static int grow_data(struct run *run)
{
	return run_grow_data(run, 160 * MIB);
}

static int grow_metadata(struct run *run)
{
	return run_grow_metadata(run, 16 * MIB);
}

static int suspend(struct run *run)
{
	int r = run_suspend(run);

	return r ? r : run_resume(run);
}

/*---------------------------- opening and closing --------------------------*/

static int open_pool(struct run *run)
{
	return run->w.pool ? 0 : run_open(run);
}

static int close_pool(struct run *run)
{
	return run_close(run);
}

static int format(struct run *run)
{
	struct tp_format_options options = TP_FORMAT_OPTIONS_INIT;
	int r;

	if (run->w.pool)
		return 0;
	options.flags = TP_FORMAT_OVERWRITE;
	r = tp_pool_format(run->w.metadata.device, run->w.data.device,
			   &options);

	return r ? r : run_open(run);
}

/*---------------------------- the catalogue --------------------------------*/

/* Thins with names are opened by name only. */
static int open_catalogue(struct run *run)
{
	for (uint32_t id = 1; id <= 4; id++)
		run_close_thin(run, id);

	return tp_catalogue_open(run->w.pool, &run->catalogue);
}

static int setup_names(struct run *run)
{
	int r = open_catalogue(run);

	if (!r)
		r = tp_catalogue_adopt(run->catalogue, 1, "one",
				       RUN_THIN_BYTES);

	return r ? r
		 : tp_catalogue_adopt(run->catalogue, 2, "two", RUN_THIN_BYTES);
}

/* The lowest id that is free is 0. */
static int create_named(struct run *run)
{
	int r = tp_catalogue_create(run->catalogue, "three", RUN_THIN_BYTES, 0,
				    NULL);

	ledger_created(ledger_volume(&run->ledger, 0), !r);

	return r;
}

static int snapshot_named(struct run *run)
{
	int r = tp_catalogue_snapshot(run->catalogue, "one", "three", NULL);

	ledger_snapshot(&run->ledger, ledger_volume(&run->ledger, 0),
			ledger_volume(&run->ledger, 1), !r);

	return r;
}

static int rename_named(struct run *run)
{
	struct tp_volume volume = TP_VOLUME_INIT;

	if (!tp_catalogue_find(run->catalogue, "three", &volume))
		return 0;

	return tp_catalogue_rename(run->catalogue, "one", "three");
}

static int delete_named(struct run *run)
{
	int r;

	run_close_thin(run, 2);
	r = tp_catalogue_delete(run->catalogue, "two");

	ledger_deleted(ledger_volume(&run->ledger, 2), !r);

	return r;
}

static bool has_name(struct run *run, const char *name, uint32_t *id)
{
	struct tp_volume volume = TP_VOLUME_INIT;
	int r = tp_catalogue_find(run->catalogue, name, &volume);

	ck_assert(r == 0 || r == -ENODATA);
	*id = volume.id;

	return !r;
}

/* A name and its volume, both or neither; and one name each. */
static void judge_names(struct run *run)
{
	uint32_t one, two, three;

	ck_ok(tp_catalogue_open(run->w.pool, &run->catalogue));
	if (has_name(run, "one", &one))
		ck_assert_uint_eq(one, 1);
	else
		ck_assert(has_name(run, "three", &three) && three == 1);
	ck_assert_int_eq(has_name(run, "two", &two),
			 ledger_volume(&run->ledger, 2)->exists);
	ck_assert_int_eq(has_name(run, "three", &three) && three == 0,
			 ledger_volume(&run->ledger, 0)->exists);
	tp_catalogue_close(run->catalogue);
	run->catalogue = NULL;
}

/*---------------------------- by themselves --------------------------------*/

/* The clock says that it is time. */
static int tick(struct run *run)
{
	uint64_t before = world_status(&run->w).nr_commits;
	struct tp_pool_status status;

	world_pass_time(&run->w, 3ull * SECOND_NS);
	do {
		world_run(&run->w);
		status = world_status(&run->w);
	} while (status.nr_commits == before && status.mode == TP_MODE_WRITE);

	return status.mode == TP_MODE_WRITE ? 0 : -EIO;
}

static int hook(void *context)
{
	struct run *run = context;

	return tp_pool_flush_data(run->w.pool);
}

static int setup_hook_of_host(struct run *run)
{
	int r = tp_pool_set_pre_commit_hook(run->w.pool, hook, run);

	return r ? r : setup_unsealed(run);
}

/*---------------------------- all of them ----------------------------------*/

#define LOOKUP ROW(11)
#define COMMIT (ROW(6) | ROW(8) | ROW(9) | ROW(10))

const struct scenario scenarios[] = {
	{ "read", 0, NULL, read_mapped, 1, 3, ROW(1) | LOOKUP },
	{ "read an origin", 0, NULL, read_origin, 1, 3, ROW(1) | LOOKUP },
	{ "look", 0, NULL, list_and_look, 1, 3, LOOKUP },
	{ "write mapped", 0, NULL, write_mapped, 1, 3, ROW(3) | LOOKUP },
	{ "write first", 0, NULL, write_first, 2, 4, ROW(4) | LOOKUP },
	{ "write whole blocks", 0, NULL, write_whole, 2, 5, ROW(5) | LOOKUP },
	{ "break sharing", 0, NULL, write_shared, 2, 4,
	  ROW(2) | ROW(4) | LOOKUP },
	{ "break sharing whole", 0, NULL, write_shared_whole, 2, 5,
	  ROW(5) | LOOKUP },
	{ "write across", 0, NULL, write_across, 2, 4, ROW(2) | ROW(4) },
	{ "copy from an origin", 0, NULL, write_over_origin, 2, 4,
	  ROW(2) | ROW(4) },
	{ "write zeroes", 0, NULL, zero_some, 2, 4, ROW(2) | ROW(4) },
	{ "discard", 0, NULL, discard_some, 2, 4, LOOKUP },
	{ "discard and flush", 0, NULL, discard_and_flush, 2, 4, COMMIT },
	{ "flush changed", 0, NULL, flush_changed, 2, 4, COMMIT },
	{ "flush unchanged", 0, NULL, flush_unchanged, 1, 3, ROW(7) },
	{ "FUA", 0, NULL, write_fua, 2, 4, COMMIT | ROW(7) },
	{ "commit", 0, NULL, commit, 2, 4, COMMIT },
	{ "commit nothing", 0, NULL, commit_nothing, 1, 3, ROW(7) },
	{ "many at once", SCENARIO_RACES, NULL, write_many, 2, 4, COMMIT },
	{ "create", 0, setup_unsealed, create, 1, 3, COMMIT },
	{ "snapshot", 0, setup_unsealed, snapshot, 1, 3, COMMIT },
	{ "snapshots", 0, setup_unsealed, snapshots, 1, 3, COMMIT },
	{ "delete", 0, setup_delete, delete, 1, 3, COMMIT | ROW(12) },
	{ "set transaction id", 0, setup_unsealed, set_transaction_id, 1, 3,
	  COMMIT },
	{ "reserve", 0, setup_unsealed, reserve, 1, 3, COMMIT },
	{ "release", 0, setup_release, release, 1, 3, COMMIT },
	{ "grow data", 0, setup_unsealed, grow_data, 1, 3, COMMIT },
	{ "grow metadata", 0, setup_unsealed, grow_metadata, 1, 3, COMMIT },
	{ "suspend", 0, setup_unsealed, suspend, 1, 3, COMMIT },
	{ "open", SCENARIO_OPENS, NULL, open_pool, 1, 3, ROW(13) },
	{ "close", 0, setup_unsealed, close_pool, 1, 3, 0 },
	{ "format", SCENARIO_OPENS, NULL, format, 1, 3, 0,
	  .outset = OUTSET_BLANK },
	{ "create by name", SCENARIO_RACES, setup_names, create_named, 2, 4,
	  COMMIT, judge_names },
	{ "snapshot by name", SCENARIO_RACES, setup_names, snapshot_named, 2, 4,
	  COMMIT, judge_names },
	{ "rename", SCENARIO_RACES, setup_names, rename_named, 2, 4, COMMIT,
	  judge_names },
	{ "delete by name", SCENARIO_RACES, setup_names, delete_named, 2, 4,
	  COMMIT, judge_names },
	{ "tick", SCENARIO_TICKS, setup_unsealed, tick, 1, 3, COMMIT },
	{ "a host's hook", 0, setup_hook_of_host, commit, 1, 3, COMMIT },
	{ "delete much", 0, setup_unsealed, delete_big, 1, 3, COMMIT | ROW(12),
	  .outset = OUTSET_BIG },
	{ "write to what was freed", 0, setup_freed, write_whole, 1, 5, COMMIT,
	  make_space, .outset = OUTSET_FULL },
	{ .name = NULL },
};

unsigned nr_scenarios(void)
{
	unsigned nr = 0;

	while (scenarios[nr].name)
		nr++;

	return nr;
}
