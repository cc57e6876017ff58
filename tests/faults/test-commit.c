/*
 * A commit fails: at each of its steps while the next transaction runs, by its
 * hook, and so that even rolling back does not work.
 */
#include <stdlib.h>

#include "support/commit-steps.h"

#define THIN_BYTES (4 * MIB)
#define NR_THINS 4
#define NR_IOS 8

static struct world w;
static struct tp_thin *thins[NR_THINS];
static struct tp_queue *queue;
static struct io ios[NR_IOS];
static char block[WORLD_BLOCK];

/* Each thin has its first block, durable. */
static void begin(int kind)
{
	world_begin(&w, kind);
	for (uint32_t id = 0; id < NR_THINS; id++) {
		thins[id] = world_new_thin(&w, id, THIN_BYTES);
		thin_fill(thins[id], 0, WORLD_BLOCK, 1);
	}
	ck_ok(tp_pool_commit(w.pool));
	ck_ok(tp_queue_create(w.pool, NR_IOS, &queue));
	fill_pattern(block, WORLD_BLOCK, WORLD_BLOCK, 2);
}

static void close_all(void)
{
	tp_queue_destroy(queue);
	for (uint32_t id = 0; id < NR_THINS; id++)
		ck_ok(tp_thin_close(thins[id]));
	tp_pool_close(w.pool);
	w.pool = NULL;
}

static enum tp_pool_mode mode(void)
{
	return world_status(&w).mode;
}

/* The first block, and of the second either what was written or nothing. */
static void check_reopened(bool may_be_new)
{
	world_open(&w);
	for (uint32_t id = 0; id < NR_THINS; id++) {
		struct tp_thin *thin = world_open_thin(&w, id, THIN_BYTES);

		if (id != 3)
			thin_verify(thin, 0, WORLD_BLOCK, 1);
		ck_ok(tp_thin_read(thin, block, WORLD_BLOCK, WORLD_BLOCK));
		ck_assert(find_nonzero(block, WORLD_BLOCK, 0) == UINT64_MAX ||
			  (may_be_new && !id &&
			   find_other(block, WORLD_BLOCK, WORLD_BLOCK, 2) ==
				   UINT64_MAX));
		ck_ok(tp_thin_close(thin));
	}
	world_end(&w);
}

/*---------------------------- each step ------------------------------------*/

/* In the transaction being written: thin 0.  In the running one: thin 1's new
 * block, its flush, thin 2's FUA write.  In place: thin 3. */
static void submit_around(enum commit_step step)
{
	ck_ok(tp_thin_write(thins[0], block, WORLD_BLOCK, WORLD_BLOCK, 0));
	commit_stop_at(&w, step);
	io_submit_flush(&ios[0], queue, thins[0]);
	commit_await(&w, step);
	io_init(&ios[1], TP_WRITE, block, WORLD_BLOCK, WORLD_BLOCK, 0);
	io_submit(&ios[1], queue, thins[1]);
	ck_ok(io_wait(&w, &ios[1], queue));
	io_submit_flush(&ios[2], queue, thins[1]);
	io_init(&ios[3], TP_WRITE, block, WORLD_BLOCK, WORLD_BLOCK, TP_FUA);
	io_submit(&ios[3], queue, thins[2]);
	io_init(&ios[4], TP_WRITE, block, 0, 4096, 0);
	io_submit(&ios[4], queue, thins[3]);
	ck_ok(io_wait(&w, &ios[4], queue));
}

static void expect_read_only(void)
{
	ck_assert_int_eq(mode(), TP_MODE_READ_ONLY);
	ck_assert(world_status(&w).needs_check);
	for (unsigned round = 0; round < 2; round++)
		for (uint32_t id = 0; id < 2; id++) {
			ck_assert(thin_info(thins[id]).lost_writes);
			ck_assert_int_eq(tp_thin_flush(thins[id]), -EIO);
		}
	thin_verify_zero(thins[0], WORLD_BLOCK, WORLD_BLOCK);
	thin_verify_zero(thins[1], WORLD_BLOCK, WORLD_BLOCK);
	thin_verify(thins[2], 0, WORLD_BLOCK, 1);
}

/* F-06, F-08 to F-10, R-16, R-54, R-57, B-ABORT-3 to B-ABORT-5, B-FLUSH-6: who
 * waits for it, and for the next, is told, once. */
START_TEST(test_whichever_step_of_a_commit_fails_all_who_wait_are_told_once)
{
	for (unsigned i = 0; i < 2 * NR_COMMIT_STEPS; i++) {
		enum commit_step step = i / 2;
		bool lasting = i % 2;
		bool fails = lasting && step >= METADATA_FLUSH;

		begin(_i);
		commit_fail_at(&w, step, lasting ? 0 : 1);
		submit_around(step);
		commit_go_on(&w);
		for (unsigned k = 0; k < 4; k++)
			ck_assert_int_eq(io_wait(&w, &ios[k], queue),
					 k == 1 ? 0 : -EIO);
		if (fails)
			ck_assert_int_eq(mode(), TP_MODE_FAILED);
		commit_heal(&w);
		if (!fails)
			expect_read_only();
		if (!fails && step != DATA_FLUSH)
			ck_ok(tp_thin_flush(thins[3]));
		close_all();
		check_reopened(fails && step >= SUPERBLOCK);
	}
}
END_TEST

/*---------------------------- the hook -------------------------------------*/

static int hook_result;

static int failing_hook(void *context)
{
	return hook_result;
}

static int by_flush(void)
{
	return tp_thin_flush(thins[0]);
}

static int by_fua(void)
{
	return tp_thin_write(thins[0], block, WORLD_BLOCK, 2 * WORLD_BLOCK,
			     TP_FUA);
}

static int by_create(void)
{
	return tp_pool_create_thin(w.pool, 9);
}

static int by_snapshot(void)
{
	return tp_pool_create_snapshot(w.pool, 9, 0);
}

static int by_delete(void)
{
	return tp_pool_delete_thin(w.pool, 8);
}

static int by_transaction_id(void)
{
	return tp_pool_set_transaction_id(w.pool, 0, 1);
}

static int by_reserve(void)
{
	return tp_pool_reserve_metadata_snapshot(w.pool);
}

static int by_growth(void)
{
	observer_grow(&w.data, 32 * MIB);

	return tp_pool_grow_data(w.pool);
}

static int by_metadata_growth(void)
{
	observer_grow(&w.metadata, 8 * MIB);

	return tp_pool_grow_metadata(w.pool);
}

static int by_commit(void)
{
	return tp_pool_commit(w.pool);
}

static int by_suspend(void)
{
	int r = tp_pool_suspend(w.pool);

	ck_ok(tp_pool_resume(w.pool, NULL));

	return r;
}

static int (*const commits[])(void) = {
	by_flush,   by_fua,    by_create,          by_snapshot,
	by_delete,  by_commit, by_transaction_id,  by_reserve,
	by_suspend, by_growth, by_metadata_growth,
};
#define NR_COMMITS (sizeof(commits) / sizeof(commits[0]))

/* B-PRE-8, F-06: whatever a hook answers that is not 0, whatever the commit is
 * for, nothing of the transaction becomes durable. */
START_TEST(test_a_hook_that_fails_stops_every_kind_of_commit)
{
	for (unsigned i = 0; i < NR_COMMITS; i++) {
		begin(_i);
		ck_ok(tp_pool_create_thin(w.pool, 8));
		ck_ok(tp_thin_write(thins[0], block, WORLD_BLOCK, WORLD_BLOCK,
				    0));
		hook_result = i % 2 ? 7 : -EREMOTEIO;
		ck_ok(tp_pool_set_pre_commit_hook(w.pool, failing_hook, NULL));
		io_log_clear(&w.log);
		ck_assert_int_eq(commits[i](), -EIO);
		ck_assert_int_eq(mode(), TP_MODE_READ_ONLY);

		/* The old one, with needs_check. */
		ck_assert_uint_eq(nr_superblocks(&w.log), 1);
		ck_assert(thin_info(thins[0]).lost_writes);
		ck_assert_int_eq(tp_thin_flush(thins[0]), -EIO);
		ck_ok(tp_thin_flush(thins[1]));
		ck_assert_uint_eq(world_status(&w).nr_thins, NR_THINS + 1);
		ck_assert_uint_eq(world_status(&w).transaction_id, 0);
		ck_assert_uint_eq(world_status(&w).data_blocks, 256);
		close_all();
		check_reopened(false);
	}
}
END_TEST

/* The tick's commit, and the one of a close: nobody waits for the first. */
START_TEST(test_a_hook_that_fails_stops_the_commits_that_nobody_asked_for)
{
	begin(_i);
	close_all();
	w.options.commit_interval_ms = 1;
	world_open(&w);
	thins[0] = world_open_thin(&w, 0, THIN_BYTES);
	hook_result = -EIO;
	ck_ok(tp_pool_set_pre_commit_hook(w.pool, failing_hook, NULL));
	ck_ok(tp_thin_write(thins[0], block, WORLD_BLOCK, WORLD_BLOCK, 0));
	world_until(&w, mode() == TP_MODE_READ_ONLY);
	ck_assert_int_eq(tp_thin_flush(thins[0]), -EIO);
	ck_ok(tp_thin_close(thins[0]));
	tp_pool_close(w.pool);
	w.options.commit_interval_ms = TP_NEVER;
	check_reopened(false);

	begin(_i);
	ck_ok(tp_thin_write(thins[0], block, WORLD_BLOCK, WORLD_BLOCK, 0));
	ck_ok(tp_pool_set_pre_commit_hook(w.pool, failing_hook, NULL));
	tp_queue_destroy(queue);
	for (uint32_t id = 0; id < NR_THINS; id++)
		ck_ok(tp_thin_close(thins[id]));
	ck_assert_int_eq(tp_pool_close(w.pool), -EIO);
	check_reopened(false);
}
END_TEST

/*---------------------------- rolling back ---------------------------------*/

/* F-10, B-ABORT-2, R-52: T(c) cannot be read any more; or it can, and
 * needs_check cannot be written. */
START_TEST(test_a_pool_that_cannot_be_rolled_back_has_failed)
{
	for (unsigned i = 0; i < 3; i++) {
		begin(_i);
		ck_ok(tp_thin_write(thins[0], block, WORLD_BLOCK, WORLD_BLOCK,
				    0));
		commit_fail_at(&w, WRITE_BACK, 1);
		if (i == 0)
			observer_fail(&w.metadata, OPS(TP_READ), 0, 0, -EIO);
		else if (i == 1)
			commit_fail_at(&w, SUPERBLOCK, 0);
		else /* it arrives, and is never known to be durable */
			observer_fail(&w.metadata, OPS(TP_FLUSH), 0, 0, -EIO);
		ck_assert_int_eq(tp_thin_flush(thins[0]), -EIO);
		ck_assert_int_eq(mode(), TP_MODE_FAILED);
		commit_heal(&w);
		for (uint32_t id = 0; id < NR_THINS; id++) {
			ck_assert_int_eq(tp_thin_read(thins[id], block, 512, 0),
					 -EIO);
			ck_assert_int_eq(tp_thin_flush(thins[id]), -EIO);
			ck_assert_int_eq(tp_thin_discard(thins[id], 0,
							 THIN_BYTES),
					 -EIO);
		}
		ck_assert_int_eq(tp_pool_create_thin(w.pool, 9), -EOPNOTSUPP);
		close_all();
		check_reopened(false);
	}
}
END_TEST

/* once read-only, whatever fails is one bio's or call's own affair. */
START_TEST(test_failures_of_a_read_only_pool_change_its_mode_no_more)
{
	begin(_i);
	ck_ok(tp_thin_write(thins[0], block, WORLD_BLOCK, WORLD_BLOCK, 0));
	commit_fail_at(&w, WRITE_BACK, 1);
	ck_assert_int_eq(tp_thin_flush(thins[0]), -EIO);
	observer_fail(&w.metadata, ALL_OPS, 0, 0, -EIO);
	observer_fail(&w.data, ALL_OPS, 0, 0, -EIO);
	ck_assert_int_eq(tp_thin_write(thins[1], block, 512, 0, 0), -EIO);
	ck_assert_int_eq(tp_thin_flush(thins[1]), -EIO);
	ck_assert_int_eq(tp_thin_read(thins[1], block, 512, 0), -EIO);
	ck_assert_int_eq(tp_pool_commit(w.pool), -EOPNOTSUPP);
	ck_assert_int_eq(mode(), TP_MODE_READ_ONLY);
	commit_heal(&w);
	thin_verify(thins[1], 0, WORLD_BLOCK, 1);
	close_all();
	check_reopened(false);
}
END_TEST

/* R-60, B-MODE-3: a discard that is being passed down when the pool stops: its answer
 * changes nothing any more, and the blocks have their owner back only if the
 * unmapping was not durable. */
START_TEST(test_a_discard_passed_down_while_the_pool_stops_changes_nothing)
{
	unsigned nr_superblocks_before;

	begin(_i);
	observer_hold(&w.data, OPS(TP_DISCARD));
	ck_ok(tp_thin_discard(thins[3], 0, WORLD_BLOCK));
	ck_ok(tp_thin_flush(thins[3]));
	world_until(&w, w.data.nr_held == 1);
	ck_ok(tp_thin_write(thins[0], block, WORLD_BLOCK, WORLD_BLOCK, 0));
	commit_fail_at(&w, WRITE_BACK, 1);
	io_submit_flush(&ios[0], queue, thins[0]);
	world_until(&w, w.metadata.nr_failed == 1);
	observer_release(&w.data);
	ck_assert_int_eq(io_wait(&w, &ios[0], queue), -EIO);
	ck_assert_int_eq(mode(), TP_MODE_READ_ONLY);
	nr_superblocks_before = w.metadata.nr_begun[TP_WRITE];
	world_idle(&w);
	ck_assert_uint_eq(w.metadata.nr_begun[TP_WRITE], nr_superblocks_before);
	thin_verify_zero(thins[3], 0, WORLD_BLOCK);
	close_all();
	check_reopened(false);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"commit", NR_KINDS,
		test_whichever_step_of_a_commit_fails_all_who_wait_are_told_once,
		test_a_hook_that_fails_stops_every_kind_of_commit,
		test_a_hook_that_fails_stops_the_commits_that_nobody_asked_for,
		test_a_pool_that_cannot_be_rolled_back_has_failed,
		test_failures_of_a_read_only_pool_change_its_mode_no_more,
		test_a_discard_passed_down_while_the_pool_stops_changes_nothing);
}
