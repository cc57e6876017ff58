/*
 * Metadata space runs out in the middle of each kind of operation: the metadata
 * device has one block more in each case, from too few for a pool on.
 */
#include <stdlib.h>

#include "faults/judge.h"

#define BLOCK WORLD_BLOCK
#define DATA_BYTES (128 * MIB)
#define ENOUGH_BYTES (4 * MIB)

/* Far apart, so that the tree grows; no more is looked at than the first. */
#define WIDE_BYTES ((uint64_t)1 << 40)

static struct run run;
static struct judge judge;

/*---------------------------- what runs out of it --------------------------*/

/* Blocks of a thin that are far apart; -ENOSPC or -EIO: no more of them. */
static int map_many(uint32_t id, unsigned nr)
{
	struct tp_thin *thin = world_open_thin(&run.w, id, WIDE_BYTES);
	static char sector[512];
	int r = 0;

	for (unsigned i = 0; i < nr && !r; i++)
		r = tp_thin_write(thin, sector, sizeof(sector),
				  (16ull + i * 1000ull) * BLOCK, 0);
	ck_ok(tp_thin_close(thin));

	return r;
}

static int create_thins(void)
{
	int r = 0;

	for (uint32_t id = 1; id <= 4 && !r; id++)
		r = run_create(&run, id);

	return r;
}

static int write_first(void)
{
	int r = run_write(&run, 1, 0, 4 * BLOCK, 0);

	return r ? r : map_many(1, 700);
}

static int break_sharing(void)
{
	int r = run_snapshot(&run, 5, 1);

	if (!r)
		r = run_write(&run, 1, BLOCK, 2 * BLOCK, 0);

	return r ? r : map_many(1, 700);
}

static int snapshots(void)
{
	static const struct tp_snapshot_pair pairs[] = { { 6, 1 }, { 7, 2 } };
	int r = run_write(&run, 2, 0, BLOCK, 0);

	return r ? r : run_snapshots(&run, pairs, 2);
}

static int zero(void)
{
	int r = run_bio(&run, TP_WRITE_ZEROES, 1, BLOCK, 512, 0);

	return r ? r : run_bio(&run, TP_WRITE_ZEROES, 1, 2 * BLOCK, BLOCK, 0);
}

static int discard(void)
{
	int r = run_bio(&run, TP_DISCARD, 1, BLOCK, 2 * BLOCK, 0);

	return r ? r : run_flush(&run, 1);
}

static int reserve_and_release(void)
{
	int r = run_reserve(&run);

	if (!r)
		r = run_write(&run, 1, 5 * BLOCK, BLOCK, TP_FUA);

	return r ? r : run_release(&run);
}

static int delete (void)
{
	run_close_thin(&run, 2);

	return run_delete(&run, 2);
}

static int set_transaction_id(void)
{
	return run_set_transaction_id(&run, 1);
}

static int grow_data(void)
{
	return run_grow_data(&run, 2 * DATA_BYTES);
}

static int suspend(void)
{
	int r = run_suspend(&run), r2 = run_resume(&run);

	return r ? r : r2;
}

static int (*const operations[])(void) = {
	create_thins,
	write_first,
	break_sharing,
	snapshots,
	zero,
	discard,
	delete,
	reserve_and_release,
	set_transaction_id,
	grow_data,
	suspend,
};
#define NR_OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/*---------------------------- the judge ------------------------------------*/

/* Full: for want of space, or the mode that follows from it. */
static bool is_for_want_of_space(int r)
{
	return r == -ENOSPC || r == -EIO || r == -EOPNOTSUPP;
}

/* F-17: nothing is rolled back; F-18: or all that was not durable is, and each
 * volume that lost something says so. */
static void judge_full(void)
{
	struct tp_pool_status status = world_status(&run.w);

	judge.aborted = status.needs_check;
	ck_assert_int_ne(status.mode, TP_MODE_FAILED);
	ck_assert_int_eq(status.mode == TP_MODE_READ_ONLY, status.needs_check);
	judge_flushes(&judge, true);
	judge_facts(&judge, false);
	judge_contents(&judge, run_view(&run));
}

/* Growing is the way out of that mode (B-META-5); with needs_check, after a
 * check. */
static void judge_grown(void)
{
	if (judge.aborted)
		ck_assert_int_eq(tp_pool_grow_metadata(run.w.pool),
				 -EOPNOTSUPP);
	run_close(&run);
	judge_metadata(&run);
	run.w.options.flags &= ~TP_POOL_SKIP_ZEROING;
	ck_ok(run_open(&run));
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++)
		run.ledger.volumes[i].marked |= judge.aborted;
	judge_contents(&judge, LEDGER_CRASHED);
	ck_ok(run_grow_metadata(&run, ENOUGH_BYTES));
	ck_assert_int_eq(world_status(&run.w).mode, TP_MODE_WRITE);
	judge_contents(&judge, LEDGER_CRASHED);
	judge_forget(&judge);
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++)
		if (run.ledger.volumes[i].exists)
			ck_ok(run_write(&run, run.ledger.volumes[i].id,
					BLOCK / 2, BLOCK, TP_FUA));
	judge_contents(&judge, LEDGER_CRASHED);
	ck_ok(run_close(&run));
	judge_metadata(&run);
	judge_forget(&judge);
}

/*---------------------------- the sweep ------------------------------------*/

static bool make_pool(uint64_t metadata_blocks)
{
	struct tp_format_options options = TP_FORMAT_OPTIONS_INIT;
	struct ledger *ledger = &run.ledger;
	int r;

	run = (struct run){ .nr_noticed = 0 };
	judge = (struct judge){ .run = &run };
	world_make_sized(&run.w, HOST_DRIVEN, metadata_blocks * 4096,
			 DATA_BYTES, NULL);
	run.w.options.flags |= TP_POOL_SKIP_ZEROING;
	run.w.options.metadata_cache_bytes = MIB;
	run.w.options.mapping_cache_bytes = MIB;
	ledger_init(ledger);
	ledger->data_blocks.value = DATA_BYTES / BLOCK;
	ledger->metadata_blocks.value = metadata_blocks;
	r = tp_pool_format(run.w.metadata.device, run.w.data.device, &options);
	ck_assert(r == 0 || r == -EINVAL || r == -ENOSPC);

	return !r;
}

/* True if there was enough for all of it. */
static bool run_out_after(uint64_t metadata_blocks)
{
	int r = 0;

	if (!make_pool(metadata_blocks)) {
		world_unmake(&run.w);
		return false;
	}
	ck_ok(run_open(&run));
	for (unsigned i = 0; i < NR_OPERATIONS && !r; i++)
		r = operations[i]();
	if (r) {
		ck_assert_msg(is_for_want_of_space(r),
			      "with %llu blocks: %d, %s",
			      (unsigned long long)metadata_blocks, r,
			      tp_last_error());
		judge_full();
		judge_grown();
	} else {
		ck_ok(run_close(&run));
		judge_metadata(&run);
	}
	world_unmake(&run.w);

	return !r;
}

/* F-17, F-18, R-48, B-META-3 to B-META-6, MDX-01, MDX-02, MDX-05. */
START_TEST(test_with_ever_so_little_metadata_nothing_durable_is_lost)
{
	uint64_t nr = 1;

	while (!run_out_after(nr))
		nr++;
	ck_assert_uint_gt(nr, 40); /* or nothing was shown */
	ck_assert_uint_lt(nr, 400);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"metadata space", 1,
		test_with_ever_so_little_metadata_nothing_durable_is_lost);
}
