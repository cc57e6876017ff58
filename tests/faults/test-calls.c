/*
 * A call at any moment of what bios do: after each of the requests that they
 * make, the call is made with the rest of them under way.  Bios and call end,
 * each with what it would have ended with by itself (F-28, F-32).
 */
#include <thinpool/check.h>

#include "faults/judge.h"
#include "faults/outset.h"

#define BLOCK WORLD_BLOCK

static struct run run;
static struct outset outset;
static struct judge judge;

/*---------------------------- the bios -------------------------------------*/

/* No two writes overlap, so that each is either in a snapshot or not. */
static void submit_bios(void)
{
	run_submit(&run, TP_WRITE, 1, 6 * BLOCK + 512, 1024, 0);
	run_submit(&run, TP_WRITE, 1, 3 * BLOCK / 2, 2 * BLOCK, 0);
	run_submit(&run, TP_WRITE, 1, 4 * BLOCK, BLOCK, TP_FUA);
	run_submit(&run, TP_WRITE, 1, 512, 1024, 0);
	run_submit(&run, TP_WRITE, 4, BLOCK / 2, BLOCK, 0);
	run_submit(&run, TP_DISCARD, 3, 0, BLOCK, 0);
	run_submit(&run, TP_WRITE_ZEROES, 3, BLOCK, 4096, 0);
	run_submit(&run, TP_FLUSH, 1, 0, 0, 0);
	run_submit(&run, TP_READ, 1, 0, RUN_THIN_BYTES, 0);
}

static void poll_all(void)
{
	do
		tp_queue_poll(run.queue, RUN_BIOS);
	while (tp_pool_poll(run.w.pool) > 0);
}

/* Let one more request end; false: there is none. */
static bool step(void)
{
	bool was_one;

	poll_all();
	was_one = observer_release_one(&run.w.metadata, ALL_OPS) ||
		  observer_release_one(&run.w.data, ALL_OPS) ||
		  observer_release_one(&run.origin, ALL_OPS);
	poll_all();

	return was_one;
}

static void hold_all(void)
{
	observer_hold(&run.w.metadata, ALL_OPS);
	observer_hold(&run.w.data, ALL_OPS);
	observer_hold(&run.origin, ALL_OPS);
}

static void release_all(void)
{
	observer_release(&run.w.metadata);
	observer_release(&run.w.data);
	observer_release(&run.origin);
}

/*---------------------------- the calls ------------------------------------*/

static int create(void)
{
	return run_create(&run, 9);
}

static int snapshot(void)
{
	return run_snapshot(&run, 9, 1);
}

static int snapshots(void)
{
	static const struct tp_snapshot_pair pairs[] = { { 9, 1 }, { 10, 3 } };

	return run_snapshots(&run, pairs, 2);
}

/* What the writes copy is shared with it. */
static int delete (void)
{
	return run_delete(&run, 2);
}

static int set_transaction_id(void)
{
	return run_set_transaction_id(&run, 8);
}

static int reserve_and_release(void)
{
	int r = run_reserve(&run);

	return r ? r : run_release(&run);
}

static int grow(void)
{
	int r = run_grow_data(&run, 160 * MIB);

	return r ? r : run_grow_metadata(&run, 16 * MIB);
}

static int suspend_and_resume(void)
{
	int r = run_suspend(&run);

	return r ? r : run_resume(&run);
}

static int commit(void)
{
	return run_commit(&run);
}

static int hook(void *context)
{
	(void)context;

	return tp_pool_flush_data(run.w.pool);
}

static int change_hook(void)
{
	return tp_pool_set_pre_commit_hook(run.w.pool, hook, NULL);
}

/* Nothing may have a pool's devices besides (F-32, B-BAD-6); nor may it be
 * closed (F-29). */
static int take_its_devices(void)
{
	struct tp_format_options format = TP_FORMAT_OPTIONS_INIT;
	struct tp_check_report report = TP_CHECK_REPORT_INIT;
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_device *metadata = run.w.metadata.device;
	struct tp_device *data = run.w.data.device;
	struct tp_pool *second = NULL;

	format.flags = TP_FORMAT_OVERWRITE;
	ck_assert_int_eq(tp_pool_open(metadata, data, &options, &second),
			 -EBUSY);
	options.flags = TP_POOL_READ_ONLY;
	ck_assert_int_eq(tp_pool_open(metadata, data, &options, &second),
			 -EBUSY);
	ck_assert_ptr_null(second);
	ck_assert_int_eq(tp_pool_format(metadata, data, &format), -EBUSY);
	ck_assert_int_eq(tp_check(metadata, NULL, &report), -EBUSY);
	ck_assert_int_eq(tp_pool_close(run.w.pool), -EBUSY);

	return 0;
}

static int (*const calls[])(void) = {
	create,      snapshot,           snapshots,
	delete,      set_transaction_id, reserve_and_release,
	grow,        suspend_and_resume, commit,
	change_hook, take_its_devices,
};
#define NR_CALLS ((int)(sizeof(calls) / sizeof(calls[0])))

/*---------------------------- the judge ------------------------------------*/

static unsigned nr_sectors_of(const struct ledger_op *op, const char *bytes)
{
	unsigned nr = 0;

	for (uint64_t at = op->begin; at < op->end; at += 512)
		nr += find_other(bytes + at, 512, at, op->content) ==
		      UINT64_MAX;

	return nr;
}

/* Each write that was under way when the snapshot was taken is in it as a
 * whole, or not at all (N1, B-SNAP-3). */
static void judge_cut(uint32_t id, unsigned first_op)
{
	const struct ledger_volume *volume = ledger_volume(&run.ledger, id);
	static char bytes[RUN_THIN_BYTES];
	struct io io;

	if (!volume->exists)
		return;
	ck_ok(run_open_thin(&run, id));
	io_init(&io, TP_READ, bytes, 0, RUN_THIN_BYTES, 0);
	io_submit(&io, run.queue, run_thin(&run, id));
	ck_ok(run_io(&run, &io));
	for (unsigned i = first_op; i < volume->nr_ops; i++) {
		const struct ledger_op *op = &volume->ops[i];
		unsigned nr = nr_sectors_of(op, bytes);

		ck_assert_msg(nr == 0 || nr == (op->end - op->begin) / 512,
			      "a write is in the snapshot in part");
	}
}

static void judge_all(unsigned first_op)
{
	ck_assert_int_eq(world_status(&run.w).mode, TP_MODE_WRITE);
	judge_facts(&judge, false);
	judge_contents(&judge, LEDGER_LIVE);
	judge_cut(9, first_op);
	judge_contents(&judge, LEDGER_LIVE);
	ck_ok(run_close(&run));
	judge_reopened(&judge, false);
}

/* True if the bios had that many requests. */
static bool call_after(int (*call)(void), unsigned nr_requests)
{
	bool had = true;
	unsigned first_op;

	outset_restore(&outset);
	judge = (struct judge){ .run = &run };
	outset_open(&outset);
	run_close_thin(&run, 2);
	first_op = ledger_volume(&run.ledger, 1)->nr_ops;
	hold_all();
	submit_bios();
	for (unsigned i = 0; i < nr_requests && had; i++)
		had = step();
	poll_all();
	ck_ok(run_reap(&run));
	release_all();
	ck_ok(call());
	ck_ok(run_wait(&run));
	judge_all(first_op);

	return had;
}

START_TEST(test_a_call_at_any_moment_of_what_bios_do)
{
	unsigned nr = 0;

	outset_make(&outset, &run, HOST_DRIVEN, 0);
	run.w.options.commit_interval_ms = TP_NEVER;
	while (call_after(calls[_i], nr))
		nr++;
	ck_assert_uint_gt(nr, 20); /* or there was little under way */
	outset_drop(&outset);
}
END_TEST

int main(void)
{
	return RUN_TESTS("calls", NR_CALLS,
			 test_a_call_at_any_moment_of_what_bios_do);
}
