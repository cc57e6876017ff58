/*
 * judge.c - what is left of a pool, judged by the crash contract.
 */
#include <stdio.h>
#include <stdlib.h>
#include <thinpool/check.h>

#include "faults/judge.h"

void judge_forget(struct judge *judge)
{
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++) {
		free(judge->seen[i]);
		judge->seen[i] = NULL;
	}
}

/*---------------------------- contents -------------------------------------*/

/* The whole of it, in the slot of the volume; the status. */
static int read_volume(struct judge *judge, unsigned slot, char *bytes)
{
	struct run *run = judge->run;
	struct io io;
	int r = run_open_thin(run, run->ledger.volumes[slot].id);

	if (r)
		return r;
	io_init(&io, TP_READ, bytes, 0, RUN_THIN_BYTES, 0);
	io_submit(&io, run->queue, run->thins[slot]);

	return run_io(run, &io);
}

static void look_at(struct judge *judge, unsigned slot, enum ledger_view view)
{
	char *bytes = malloc(RUN_THIN_BYTES);

	ck_assert_ptr_nonnull(bytes);
	ck_ok(read_volume(judge, slot, bytes));
	ledger_check(&judge->run->ledger.volumes[slot], view, bytes, 0,
		     RUN_THIN_BYTES);
	if (judge->seen[slot])
		ck_assert_msg(!memcmp(bytes, judge->seen[slot], RUN_THIN_BYTES),
			      "what volume %u held has changed",
			      judge->run->ledger.volumes[slot].id);
	free(judge->seen[slot]);
	judge->seen[slot] = bytes;
}

void judge_contents(struct judge *judge, enum ledger_view view)
{
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++)
		if (judge->run->ledger.volumes[i].exists)
			look_at(judge, i, view);
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
static void judge_flush(struct judge *judge, struct ledger_volume *volume,
			int r)
{
	if (judge->failed)
		ck_assert_int_eq(r, -EIO);
	else if (!is_unsealed(volume) && !volume->touched)
		ck_assert_msg(!r, "volume %u lost nothing, and its flush fails",
			      volume->id);
	if (r)
		volume->marked = true;
}

/* Each twice, for what was lost is not made good by trying again. */
void judge_flushes(struct judge *judge, bool healed)
{
	struct run *run = judge->run;

	for (unsigned i = 0; i < LEDGER_VOLUMES; i++) {
		struct ledger_volume *volume = &run->ledger.volumes[i];

		if (judge->failed && !run->thins[i])
			continue; /* nor can it be opened */
		for (unsigned k = 0; volume->exists && k < 2; k++) {
			int r = run_flush(run, volume->id);

			ck_assert_int_le(r, 0);
			if (judge->aborted && healed)
				judge_flush(judge, volume, r);
		}
	}
}

void judge_nothing_works(struct judge *judge)
{
	static char bytes[RUN_THIN_BYTES];

	for (unsigned i = 0; i < LEDGER_VOLUMES; i++)
		if (judge->run->thins[i])
			ck_assert_int_eq(read_volume(judge, i, bytes), -EIO);
	ck_assert_int_eq(tp_pool_commit(judge->run->w.pool), -EOPNOTSUPP);
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
static void judge_listing(struct judge *judge, bool in_doubt)
{
	struct listing listing = { .ledger = &judge->run->ledger };

	ck_ok(tp_pool_list_thins(judge->run->w.pool, list_one, &listing));
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
void judge_facts(struct judge *judge, bool in_doubt)
{
	struct tp_pool_status status = world_status(&judge->run->w);
	struct ledger *ledger = &judge->run->ledger;

	expect_fact(&ledger->transaction_id, status.transaction_id, in_doubt,
		    "the transaction id");
	expect_fact(&ledger->held, status.held_root != 0, in_doubt,
		    "a metadata snapshot");
	expect_fact(&ledger->data_blocks, status.data_blocks, in_doubt,
		    "the number of data blocks");
	expect_fact(&ledger->metadata_blocks, status.metadata_blocks, in_doubt,
		    "the number of metadata blocks");
	judge_listing(judge, in_doubt);
	ledger->transaction_id.value = status.transaction_id;
	ledger->held.value = status.held_root != 0;
	ledger->data_blocks.value = status.data_blocks;
	ledger->metadata_blocks.value = status.metadata_blocks;
}

/*---------------------------- the metadata ---------------------------------*/

static void tell(void *context, const struct tp_check_finding *finding)
{
	fprintf(stderr, "%s: %s\n", tp_check_place_name(finding->place),
		finding->what);
}

/* Nothing is wrong with the metadata, and nothing has leaked (M2); needs_check,
 * if it was set, goes (NCK-03). */
void judge_metadata(struct run *run)
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

/*---------------------------- opened anew ----------------------------------*/

static void reopen(struct judge *judge, bool in_doubt)
{
	ck_ok(run_open(judge->run));
	judge_facts(judge, in_doubt);
	if (judge->more)
		judge->more(judge->run);

	/* What was lost is lost, and no later close seals it. */
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++)
		judge->run->ledger.volumes[i].marked = true;
	judge_contents(judge, LEDGER_CRASHED);
}

/* needs_check outlives the pool (NCK-02), and only then is it set. */
static void judge_needs_check(struct judge *judge)
{
	struct tp_pool_status status = world_status(&judge->run->w);

	ck_assert_int_eq(status.mode, status.needs_check ? TP_MODE_READ_ONLY
							 : TP_MODE_WRITE);
	if (judge->aborted && !judge->failed)
		ck_assert(status.needs_check);
	if (!judge->aborted && !judge->close_failed)
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
void judge_reopened(struct judge *judge, bool superblock_began)
{
	struct run *run = judge->run;

	reopen(judge,
	       superblock_began && (judge->failed || judge->close_failed));
	judge_needs_check(judge);
	ck_ok(run_close(run));
	judge_metadata(run);
	reopen(judge, false);
	ck_assert_int_eq(world_status(&run->w).mode, TP_MODE_WRITE);
	judge_forget(judge);
	write_to_all(run);
	judge_contents(judge, LEDGER_CRASHED);
	ck_ok(run_close(run));
	judge_metadata(run);
	judge_forget(judge);
}
