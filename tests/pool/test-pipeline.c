/*
 * The commit as a pipeline (architecture.md, decision 7; crash contract M6, M7):
 * what overlaps, who shares a commit, who goes with one that fails.  Commits are
 * kept back at each of their steps while the next transaction runs.  The order
 * within one commit is in test-seed-cases.c, and in test-reuse.c what keeps
 * blocks from being used again too early.
 */
#include <limits.h>
#include <semaphore.h>
#include <unistd.h>

#include "support/call.h"
#include "support/commit-steps.h"

#define THIN_BYTES (4 * MIB)

static struct world w;
static struct tp_queue *queue;
static char block[WORLD_BLOCK];

static unsigned nr_metadata_requests(void)
{
	unsigned nr = 0;

	for (unsigned op = 0; op < OBSERVER_NR_OPS; op++)
		nr += io_log_count(&w.log, "metadata", op);

	return nr;
}

/*---------------------------- two thins and a queue ------------------------*/

static void begin_with_queue(int kind)
{
	world_begin(&w, kind);
	ck_ok(tp_queue_create(w.pool, 32, &queue));
}

static void end_queue(void)
{
	tp_queue_destroy(queue);
	queue = NULL;
}

/*---------------------------- what overlaps --------------------------------*/

/* Provision whole and in part, break sharing whole and in part, discard. */
static void change_everything(struct tp_thin *thin)
{
	thin_fill(thin, 8 * WORLD_BLOCK, WORLD_BLOCK, 2);
	thin_fill(thin, 9 * WORLD_BLOCK + 512, 512, 2);
	thin_fill(thin, 0, WORLD_BLOCK, 2);
	thin_fill(thin, WORLD_BLOCK + 512, 512, 2);
	ck_ok(tp_thin_discard(thin, 2 * WORLD_BLOCK, WORLD_BLOCK));
}

static void verify_everything(struct tp_thin *thin)
{
	thin_verify(thin, 0, WORLD_BLOCK, 2);
	thin_verify(thin, WORLD_BLOCK, 512, 1);
	thin_verify(thin, WORLD_BLOCK + 512, 512, 2);
	thin_verify(thin, WORLD_BLOCK + 1024, WORLD_BLOCK - 1024, 1);
	thin_verify_zero(thin, 2 * WORLD_BLOCK, WORLD_BLOCK);
	thin_verify(thin, 3 * WORLD_BLOCK, WORLD_BLOCK, 1);
	thin_verify_zero(thin, 4 * WORLD_BLOCK, 4 * WORLD_BLOCK);
	thin_verify(thin, 8 * WORLD_BLOCK, WORLD_BLOCK, 2);
	thin_verify_zero(thin, 9 * WORLD_BLOCK, 512);
	thin_verify(thin, 9 * WORLD_BLOCK + 512, 512, 2);
}

/* Decision 7, B-PRE-2: at whichever step the last transaction is kept, changes of
 * the next end, and are durable with its commit and not before. */
START_TEST(test_the_next_transaction_runs_while_the_last_is_being_written)
{
	for (enum commit_step step = 0; step < NR_COMMIT_STEPS; step++) {
		struct tp_thin *thin, *other;
		struct world crashed;
		struct io flush;

		begin_with_queue(_i);
		thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
		other = world_filled_thin(&w, 1, THIN_BYTES, 5);
		ck_ok(tp_pool_create_snapshot(w.pool, 2, 0));
		thin_fill(other, 6 * WORLD_BLOCK, WORLD_BLOCK, 5);
		commit_stop_at(&w, step);
		io_submit_flush(&flush, queue, other);
		commit_await(&w, step);
		change_everything(thin);
		verify_everything(thin);
		ck_assert(!io_has_ended(&flush, queue));
		commit_go_on(&w);
		ck_ok(io_wait(&w, &flush, queue));
		ck_ok(tp_thin_flush(thin));
		world_copy(&w, &crashed, _i);
		end_queue();
		thins_close(thin, other);
		world_end(&w);

		world_open(&crashed);
		thin = world_open_thin(&crashed, 0, THIN_BYTES);
		other = world_open_thin(&crashed, 1, THIN_BYTES);
		verify_everything(thin);
		thin_verify(other, 6 * WORLD_BLOCK, WORLD_BLOCK, 5);
		thins_close(thin, other);
		world_end(&crashed);
	}
}
END_TEST

static int take_snapshot(void *context)
{
	(void)context;

	return tp_pool_create_snapshot(w.pool, 7, 0);
}

/* A snapshot is taken at once, into the next transaction, and returns when that
 * is durable (B-SNAP-5). */
START_TEST(test_a_snapshot_is_taken_while_the_last_transaction_is_being_written)
{
	for (enum commit_step step = 0; step < NR_COMMIT_STEPS; step++) {
		struct tp_thin *thin, *other, *snapshot;
		struct call call;
		struct io flush;

		begin_with_queue(OWN_THREAD);
		thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
		other = world_filled_thin(&w, 1, THIN_BYTES, 5);
		commit_stop_at(&w, step);
		io_submit_flush(&flush, queue, other);
		commit_await(&w, step);
		call_begin(&call, take_snapshot, NULL);
		world_until(&w, world_status(&w).nr_thins == 3);
		thin_fill(thin, 0, 4 * WORLD_BLOCK, 2);
		ck_assert(!call.returned);
		ck_assert(!io_has_ended(&flush, queue));
		io_log_clear(&w.log);
		commit_go_on(&w);
		ck_ok(call_end(&call));
		ck_ok(io_wait(&w, &flush, queue));
		ck_assert_uint_le(nr_superblocks(&w.log), 2);
		snapshot = world_open_thin(&w, 7, THIN_BYTES);
		thin_verify(snapshot, 0, 4 * WORLD_BLOCK, 1);
		thin_verify(thin, 0, 4 * WORLD_BLOCK, 2);
		ck_ok(tp_thin_close(snapshot));
		end_queue();
		thins_close(thin, other);
		world_end(&w);
	}
}
END_TEST

/* Both are under way at once, and the metadata flush waits for the one that ends
 * last, whichever that is. */
START_TEST(test_the_data_flush_and_the_write_back_overlap)
{
	for (unsigned data_first = 0; data_first < 2; data_first++) {
		struct observer *first = data_first ? &w.data : &w.metadata;
		struct observer *second = data_first ? &w.metadata : &w.data;
		struct tp_thin *thin;
		struct io flush;

		begin_with_queue(_i);
		thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
		io_log_clear(&w.log);
		commit_stop_at(&w, DATA_FLUSH);
		commit_stop_at(&w, WRITE_BACK);
		io_submit_flush(&flush, queue, thin);
		world_until(&w, w.data.nr_held && w.metadata.nr_held);
		observer_release(first);
		world_idle(&w);
		ck_assert_uint_eq(io_log_count(&w.log, "metadata", TP_FLUSH),
				  0);
		ck_assert_uint_eq(nr_superblocks(&w.log), 0);
		observer_release(second);
		ck_ok(io_wait(&w, &flush, queue));
		ck_assert_uint_eq(check_commit_order(&w.log, true), 1);
		ck_assert_uint_eq(io_log_count(&w.log, "data", TP_FLUSH), 1);
		end_queue();
		ck_ok(tp_thin_close(thin));
		world_end(&w);
	}
}
END_TEST

/*---------------------------- the hook -------------------------------------*/

static unsigned nr_metadata_writes_before;
static atomic_bool saw_write_back;

/* Wait a second at most for the write-back to begin, beside the hook. */
static int await_write_back(void *context)
{
	(void)context;
	for (unsigned i = 0; i < 1000 && !saw_write_back; i++) {
		saw_write_back = w.metadata.nr_begun[TP_WRITE] >
				 nr_metadata_writes_before;
		if (!saw_write_back)
			usleep(1000);
	}

	return tp_pool_flush_data(w.pool);
}

/* Decision 7: a slow hook does not hold the write-back up, on whatever thread it
 * runs. */
START_TEST(test_the_hook_and_the_write_back_overlap)
{
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	ck_ok(tp_pool_set_pre_commit_hook(w.pool, await_write_back, NULL));
	nr_metadata_writes_before = w.metadata.nr_begun[TP_WRITE];
	saw_write_back = false;
	io_log_clear(&w.log);
	ck_ok(tp_thin_flush(thin));
	ck_assert(saw_write_back);
	ck_assert_uint_eq(check_commit_order(&w.log, true), 1);
	ck_ok(tp_pool_set_pre_commit_hook(w.pool, NULL, NULL));
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

struct slow_hook {
	sem_t entered, leave;
	atomic_uint nr_calls;
};

static int run_slowly(void *context)
{
	struct slow_hook *hook = context;
	int r;

	hook->nr_calls++;
	r = tp_pool_flush_data(w.pool);
	sem_post(&hook->entered);
	sem_wait(&hook->leave);

	return r;
}

static int set_default_hook(void *context)
{
	struct slow_hook *hook = context;
	int r = tp_pool_set_pre_commit_hook(w.pool, NULL, NULL);

	/* From here on the old context may be gone. */
	memset(hook, 0xee, sizeof(*hook));

	return r;
}

/* Decision 8: the hook of a commit under way ends before it is replaced; the
 * commit goes by the old one, those after it by the new. */
START_TEST(test_setting_a_hook_waits_for_the_one_that_runs)
{
	struct slow_hook hook = { .nr_calls = 0 };
	struct tp_thin *thin;
	struct call call;
	struct io flush;

	begin_with_queue(OWN_THREAD);
	thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	sem_init(&hook.entered, 0, 0);
	sem_init(&hook.leave, 0, 0);
	ck_ok(tp_pool_set_pre_commit_hook(w.pool, run_slowly, &hook));
	io_submit_flush(&flush, queue, thin);
	sem_wait(&hook.entered);
	call_begin(&call, set_default_hook, &hook);
	call_await(&w, &call);
	ck_assert(!call.returned);
	ck_assert(!io_has_ended(&flush, queue));
	ck_assert_uint_eq(hook.nr_calls, 1);
	sem_post(&hook.leave);
	ck_ok(call_end(&call));
	ck_ok(io_wait(&w, &flush, queue));

	io_log_clear(&w.log);
	thin_fill(thin, 8 * WORLD_BLOCK, WORLD_BLOCK, 2);
	ck_ok(tp_thin_flush(thin));
	ck_assert_uint_eq(check_commit_order(&w.log, true), 1);
	end_queue();
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/*---------------------------- who shares a commit --------------------------*/

#define NR_SHARERS 8u

/* B-FLUSH-4, B-FUA-2: whoever comes while a transaction is on its way shares the
 * next: one superblock, and one data flush, for all. */
START_TEST(test_flushes_and_fua_writes_that_come_together_share_a_commit)
{
	struct tp_thin *thins[NR_SHARERS];
	struct io first, flushes[NR_SHARERS], writes[NR_SHARERS];

	begin_with_queue(_i);
	for (uint32_t i = 0; i < NR_SHARERS; i++)
		thins[i] = world_filled_thin(&w, i, THIN_BYTES, 1);
	thin_fill(thins[0], 20 * WORLD_BLOCK, WORLD_BLOCK, 1);
	commit_stop_at(&w, SUPERBLOCK);
	io_submit_flush(&first, queue, thins[0]);
	commit_await(&w, SUPERBLOCK);
	io_log_clear(&w.log);
	for (unsigned i = 0; i < NR_SHARERS; i++) {
		uint64_t at = (8 + i) * WORLD_BLOCK;

		thin_fill(thins[i], at, 512, 2);
		io_submit_flush(&flushes[i], queue, thins[i]);
		io_init(&writes[i], TP_WRITE, block, at + WORLD_BLOCK,
			i % 2 ? WORLD_BLOCK : 4096, TP_FUA);
		io_submit(&writes[i], queue, thins[i]);
	}
	world_settle(&w);
	ck_assert_uint_eq(io_log_count(&w.log, "data", TP_FLUSH), 0);
	commit_go_on(&w);
	ck_ok(io_wait(&w, &first, queue));
	for (unsigned i = 0; i < NR_SHARERS; i++) {
		ck_ok(io_wait(&w, &flushes[i], queue));
		ck_ok(io_wait(&w, &writes[i], queue));
		ck_ok(tp_thin_close(thins[i]));
	}
	ck_assert_uint_eq(nr_superblocks(&w.log), 1);
	ck_assert_uint_eq(io_log_count(&w.log, "data", TP_FLUSH), 1);
	end_queue();
	world_end(&w);
}
END_TEST

/* How the thin of a late flush stands: changed in nothing, in the transaction
 * on its way, in the running one. */
enum changed { UNCHANGED, IN_FROZEN, IN_RUNNING, NR_CHANGED };

static void check_not_credited(unsigned nr_commits)
{
	unsigned asked = io_log_find_note(&w.log, 0, "asked");
	unsigned ended = io_log_find_note(&w.log, asked, "ended");
	unsigned begun = io_log_find(&w.log, asked, IO_BEGIN, "data", TP_FLUSH);
	unsigned flushed = io_log_find(&w.log, begun, IO_END, "data", TP_FLUSH);

	ck_assert_uint_lt(asked, begun);
	ck_assert_uint_lt(begun, flushed);
	ck_assert_uint_lt(flushed, ended);
	ck_assert_uint_eq(nr_superblocks(&w.log), nr_commits);
}

static void flush_late(enum commit_step step, enum changed changed, int kind)
{
	struct tp_thin *thin, *other;
	struct io first, late;

	begin_with_queue(kind);
	thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	other = world_filled_thin(&w, 1, THIN_BYTES, 5);
	ck_ok(tp_pool_commit(w.pool));
	thin_fill(other, 8 * WORLD_BLOCK, WORLD_BLOCK, 5);
	if (changed == IN_FROZEN)
		thin_fill(thin, 8 * WORLD_BLOCK, WORLD_BLOCK, 2);
	commit_stop_at(&w, step);
	io_submit_flush(&first, queue, other);
	commit_await(&w, step);

	/* This write has come too late for the data flush under way. */
	thin_fill(thin, 0, WORLD_BLOCK, 2);
	if (changed == IN_RUNNING)
		thin_fill(thin, 8 * WORLD_BLOCK, WORLD_BLOCK, 2);
	io_init(&late, TP_FLUSH, NULL, 0, 0, 0);
	late.log = &w.log;
	late.note = "ended";
	io_log_clear(&w.log);
	io_log_note(&w.log, "asked");
	io_submit(&late, queue, thin);
	world_idle(&w);
	commit_go_on(&w);
	ck_ok(io_wait(&w, &first, queue));
	ck_ok(io_wait(&w, &late, queue));
	check_not_credited((step < SUPERBLOCK) + (changed == IN_RUNNING));
	end_queue();
	thins_close(thin, other);
	world_end(&w);
}

/* M7, B-FLUSH-4. */
START_TEST(test_a_flush_that_comes_after_the_data_flush_does_not_join_it)
{
	for (enum commit_step step = 0; step < NR_COMMIT_STEPS; step++)
		for (enum changed i = 0; i < NR_CHANGED; i++)
			flush_late(step, i, _i);
}
END_TEST

/* R-06, B-FLUSH-3: one data flush each, shared by those who come while one is
 * under way; the metadata device sees nothing.  Nor does it of FUA writes in
 * place, and a commit asked for. */
START_TEST(test_with_nothing_to_commit_the_metadata_device_is_left_alone)
{
	struct io flushes[NR_SHARERS];
	struct tp_thin *thin;

	begin_with_queue(_i);
	thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	ck_ok(tp_pool_commit(w.pool));
	io_log_clear(&w.log);
	ck_ok(tp_thin_flush(thin));
	ck_assert_uint_eq(io_log_count(&w.log, "data", TP_FLUSH), 1);
	ck_ok(tp_pool_commit(w.pool));
	ck_assert_uint_eq(io_log_count(&w.log, "data", TP_FLUSH), 2);
	ck_ok(tp_thin_write(thin, block, 4096, 0, TP_FUA));

	io_log_clear(&w.log);
	commit_stop_at(&w, DATA_FLUSH);
	io_submit_flush(&flushes[0], queue, thin);
	commit_await(&w, DATA_FLUSH);
	for (unsigned i = 1; i < NR_SHARERS; i++)
		io_submit_flush(&flushes[i], queue, thin);
	world_settle(&w);
	commit_go_on(&w);
	for (unsigned i = 0; i < NR_SHARERS; i++)
		ck_ok(io_wait(&w, &flushes[i], queue));
	ck_assert_uint_eq(io_log_count(&w.log, "data", TP_FLUSH), 2);
	ck_assert_uint_eq(nr_metadata_requests(), 0);
	end_queue();
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/*---------------------------- a transaction that fails ---------------------*/

/* Changed in T(f), in T(r), and in neither. */
struct three {
	struct tp_thin *frozen, *running, *neither;
};

/* The commit of T(f), kept back at @step, will fail there. */
static void begin_failing(struct three *three, enum commit_step step,
			  struct io *flush, int kind)
{
	begin_with_queue(kind);
	three->frozen = world_filled_thin(&w, 0, THIN_BYTES, 1);
	three->running = world_filled_thin(&w, 1, THIN_BYTES, 1);
	three->neither = world_filled_thin(&w, 2, THIN_BYTES, 1);
	ck_ok(tp_pool_commit(w.pool));
	thin_fill(three->frozen, 8 * WORLD_BLOCK, WORLD_BLOCK, 2);
	commit_fail_at(&w, step, 1);
	commit_stop_at(&w, step);
	io_submit_flush(flush, queue, three->frozen);
	commit_await(&w, step);
	thin_fill(three->running, 8 * WORLD_BLOCK, WORLD_BLOCK, 2);
}

static void expect_both_gone(struct three *three)
{
	struct tp_pool_status status = world_status(&w);

	ck_assert_int_eq(status.mode, TP_MODE_READ_ONLY);
	ck_assert(status.needs_check);
	ck_assert(!status.changed);
	ck_assert_uint_eq(status.nr_thins, 3);
	ck_assert_uint_eq(status.used_data_blocks, 12);
	thin_verify_zero(three->frozen, 8 * WORLD_BLOCK, WORLD_BLOCK);
	thin_verify_zero(three->running, 8 * WORLD_BLOCK, WORLD_BLOCK);
	thin_verify(three->neither, 0, 4 * WORLD_BLOCK, 1);
}

static void close_three(struct three *three)
{
	thins_close(three->frozen, three->running);
	ck_ok(tp_thin_close(three->neither));
}

static void reopen_three(struct three *three)
{
	close_three(three);
	world_reopen(&w);
	three->frozen = world_open_thin(&w, 0, THIN_BYTES);
	three->running = world_open_thin(&w, 1, THIN_BYTES);
	three->neither = world_open_thin(&w, 2, THIN_BYTES);
}

/* B-ABORT-1, -5, A1, A2: N+1 goes with N; whoever lost changes of either is told
 * for ever, whoever lost none is not. */
START_TEST(test_a_transaction_that_fails_takes_the_next_with_it)
{
	for (enum commit_step step = 0; step < NR_COMMIT_STEPS; step++) {
		struct three three;
		struct io flush, next;

		begin_failing(&three, step, &flush, _i);
		io_submit_flush(&next, queue, three.running);
		world_idle(&w);
		commit_go_on(&w);
		ck_assert_int_eq(io_wait(&w, &flush, queue), -EIO);
		ck_assert_int_eq(io_wait(&w, &next, queue), -EIO);
		expect_both_gone(&three);
		for (unsigned i = 0; i < 2; i++) {
			ck_assert_int_eq(tp_thin_flush(three.frozen), -EIO);
			ck_assert_int_eq(tp_thin_flush(three.running), -EIO);
			ck_ok(tp_thin_flush(three.neither));
		}
		end_queue();
		reopen_three(&three);
		expect_both_gone(&three);
		close_three(&three);
		world_end(&w);
	}
}
END_TEST

/* B-MSG-2, K5: a call of the next transaction fails with it and leaves nothing. */
START_TEST(test_a_call_fails_with_the_transaction_before_its_own)
{
	for (enum commit_step step = 0; step < NR_COMMIT_STEPS; step++) {
		struct three three;
		struct call call;
		struct io flush;

		begin_failing(&three, step, &flush, OWN_THREAD);
		call_begin(&call, take_snapshot, NULL);
		world_until(&w, world_status(&w).nr_thins == 4);
		commit_go_on(&w);
		ck_assert_int_eq(call_end(&call), -EIO);
		ck_assert_int_eq(io_wait(&w, &flush, queue), -EIO);
		expect_both_gone(&three);
		end_queue();
		close_three(&three);
		world_end(&w);
	}
}
END_TEST

static int flush_data(void *context)
{
	(void)context;

	return tp_pool_flush_data(w.pool);
}

/* Not from a hook: nothing is committed, those who ask while one is under way
 * share the next, and one that fails is told to all whom it was for
 * (B-FLUSH-10). */
START_TEST(test_a_host_may_flush_the_data_device)
{
	struct tp_thin *thin;
	struct call calls[3];

	world_begin(&w, OWN_THREAD);
	thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	io_log_clear(&w.log);
	ck_ok(tp_pool_flush_data(w.pool));
	ck_assert_uint_eq(io_log_count(&w.log, "data", TP_FLUSH), 1);
	commit_stop_at(&w, DATA_FLUSH);
	call_begin(&calls[0], flush_data, NULL);
	commit_await(&w, DATA_FLUSH);
	for (unsigned i = 1; i < 3; i++)
		call_begin(&calls[i], flush_data, NULL);
	for (unsigned i = 1; i < 3; i++)
		call_await(&w, &calls[i]);
	commit_go_on(&w);
	for (unsigned i = 0; i < 3; i++)
		ck_ok(call_end(&calls[i]));
	ck_assert_uint_eq(io_log_count(&w.log, "data", TP_FLUSH), 3);
	ck_assert_uint_eq(nr_metadata_requests(), 0);
	thin_fill(thin, 0, WORLD_BLOCK, 2);
	observer_fail(&w.data, OPS(TP_FLUSH), 0, 1, -EIO);
	ck_assert_int_eq(tp_pool_flush_data(w.pool), -EIO);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	ck_ok(tp_thin_close(thin));
	world_end_unchecked(&w);
}
END_TEST

/* F-06, F-08, F-10: the second failure ends what the first waits for. */
START_TEST(test_a_commit_that_fails_while_a_rollback_waits_for_it_ends_both)
{
	struct tp_thin *thin, *other;
	struct io flush;

	begin_with_queue(_i);
	thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	other = world_filled_thin(&w, 1, THIN_BYTES, 5);
	ck_ok(tp_pool_commit(w.pool));
	thin_fill(thin, 8 * WORLD_BLOCK, WORLD_BLOCK, 2);
	commit_fail_at(&w, WRITE_BACK, 1);
	commit_stop_at(&w, WRITE_BACK);
	io_log_clear(&w.log);
	io_submit_flush(&flush, queue, thin);
	commit_await(&w, WRITE_BACK);
	world_until(&w, io_log_count(&w.log, "data", TP_FLUSH) == 1);

	/* The data that the commit flushed, which succeeds, may be gone. */
	observer_fail(&w.data, OPS(TP_FLUSH), 0, 1, -EIO);
	ck_assert_int_eq(tp_thin_flush(other), -EIO);
	commit_go_on(&w);
	ck_assert_int_eq(io_wait(&w, &flush, queue), -EIO);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_READ_ONLY);
	ck_assert(world_status(&w).needs_check);
	end_queue();
	thins_close(thin, other);
	world_end_unchecked(&w);
}
END_TEST

/*---------------------------- beside a flush that fails --------------------*/

/* Two thins of which the first has changed in place, and a flush of the second
 * that fails when data flushes are let go. */
static void begin_failing_flush(struct tp_thin *thins[2], struct io *flush,
				int kind)
{
	begin_with_queue(kind);
	for (unsigned i = 0; i < 2; i++)
		thins[i] = world_filled_thin(&w, i, THIN_BYTES, 1 + 4 * i);
	ck_ok(tp_pool_commit(w.pool));
	thin_fill(thins[0], 0, WORLD_BLOCK, 2);
	observer_fail(&w.data, OPS(TP_FLUSH), 0, 1, -EIO);
	observer_hold(&w.data, OPS(TP_FLUSH));
	io_submit_flush(flush, queue, thins[1]);
	world_until(&w, w.data.nr_held == 1);
}

static void end_failing_flush(struct tp_thin *thins[2])
{
	end_queue();
	thins_close(thins[0], thins[1]);
	world_end_unchecked(&w);
}

/* F-06, M6: what the commit maps may be gone although its own flush, begun
 * before the other failed, ends well. */
START_TEST(test_a_commit_beside_a_data_flush_that_fails_is_given_up)
{
	struct tp_thin *thins[2];
	struct io failing, flush;

	begin_failing_flush(thins, &failing, _i);
	thin_fill(thins[0], 8 * WORLD_BLOCK, 512, 2);
	io_log_clear(&w.log);
	io_submit_flush(&flush, queue, thins[0]);
	world_until(&w, w.data.nr_held == 2);
	ck_assert(observer_release_one(&w.data, OPS(TP_FLUSH)));
	commit_go_on(&w);
	ck_assert_int_eq(io_wait(&w, &failing, queue), -EIO);
	ck_assert_int_eq(io_wait(&w, &flush, queue), -EIO);

	/* The one superblock that is written says needs_check. */
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_READ_ONLY);
	ck_assert(world_status(&w).needs_check);
	ck_assert_uint_eq(nr_superblocks(&w.log), 1);
	thin_verify_zero(thins[0], 8 * WORLD_BLOCK, 512);
	end_failing_flush(thins);
}
END_TEST

/* F-06, S2: nor is it known that the one asked for, whose success is heard of
 * first, ended first. */
START_TEST(test_a_flush_beside_a_commits_that_fails_is_no_success)
{
	struct tp_thin *thins[2];
	struct io flush, committing;

	begin_with_queue(_i);
	for (unsigned i = 0; i < 2; i++)
		thins[i] = world_filled_thin(&w, i, THIN_BYTES, 1 + 4 * i);
	ck_ok(tp_pool_commit(w.pool));
	thin_fill(thins[0], 0, WORLD_BLOCK, 2);
	observer_fail(&w.data, OPS(TP_FLUSH), 1, 1, -EIO);
	observer_hold(&w.data, OPS(TP_FLUSH));
	io_submit_flush(&flush, queue, thins[0]);
	world_until(&w, w.data.nr_held == 1);
	thin_fill(thins[1], 8 * WORLD_BLOCK, 512, 2);
	io_submit_flush(&committing, queue, thins[1]);
	world_until(&w, w.data.nr_held == 2);

	ck_assert(observer_release_one(&w.data, OPS(TP_FLUSH)));
	world_idle(&w);
	ck_assert(!io_has_ended(&flush, queue));
	commit_go_on(&w);
	ck_assert_int_eq(io_wait(&w, &flush, queue), -EIO);
	ck_assert_int_eq(io_wait(&w, &committing, queue), -EIO);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_READ_ONLY);
	end_failing_flush(thins);
}
END_TEST

/* F-07, B-FLUSH-10: it was asked for before its thin was marked, and comes after
 * the failure; who wrote nothing goes on. */
START_TEST(test_a_flush_that_waits_for_one_that_fails_is_no_success)
{
	struct tp_thin *thins[2];
	struct io failing, waiting, other;

	begin_failing_flush(thins, &failing, _i);
	io_submit_flush(&waiting, queue, thins[0]);
	io_submit_flush(&other, queue, thins[1]);
	world_idle(&w);
	commit_go_on(&w);
	ck_assert_int_eq(io_wait(&w, &failing, queue), -EIO);
	ck_assert_int_eq(io_wait(&w, &waiting, queue), -EIO);
	ck_ok(io_wait(&w, &other, queue));
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	end_failing_flush(thins);
}
END_TEST

/* F-07, B-FLUSH-10: the device had ended it before it dropped what was in its
 * cache, and its host hears of it only afterwards. */
START_TEST(test_a_write_that_is_reaped_after_a_failed_flush_may_be_lost)
{
	char data[TP_SECTOR_SIZE] = "not durable";
	struct tp_thin *thins[2];
	struct io failing, write;
	struct tp_queue *other;

	begin_failing_flush(thins, &failing, _i);
	ck_ok(tp_queue_create(w.pool, 1, &other));
	io_init(&write, TP_WRITE, data, 0, sizeof(data), 0);
	io_submit(&write, other, thins[1]);
	world_settle(&w);
	commit_go_on(&w);
	ck_assert_int_eq(io_wait(&w, &failing, queue), -EIO);
	ck_ok(io_wait(&w, &write, other));
	ck_assert(thin_info(thins[1]).lost_writes);
	ck_assert_int_eq(tp_thin_flush(thins[1]), -EIO);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	tp_queue_destroy(other);
	end_failing_flush(thins);
}
END_TEST

static int commit(void *context)
{
	(void)context;

	return tp_pool_commit(w.pool);
}

/* S3: it would seal what the device has dropped. */
START_TEST(test_a_call_that_waits_for_a_flush_that_fails_is_no_success)
{
	int (*const calls[])(void *context) = { commit, flush_data };

	for (unsigned i = 0; i < 2; i++) {
		struct tp_thin *thins[2];
		struct io failing;
		struct call call;

		begin_failing_flush(thins, &failing, OWN_THREAD);
		call_begin(&call, calls[i], NULL);
		call_await(&w, &call);
		ck_assert(!call.returned);
		commit_go_on(&w);
		ck_assert_int_eq(call_end(&call), -EIO);
		ck_assert_int_eq(io_wait(&w, &failing, queue), -EIO);

		/* Who asks now has been told of what was lost. */
		ck_assert(thin_info(thins[0]).lost_writes);
		ck_ok(tp_pool_commit(w.pool));
		end_failing_flush(thins);
	}
}
END_TEST

static int close_pool(void *context)
{
	(void)context;

	return tp_pool_close(w.pool);
}

/* F-29: a read that a rollback has made pointless is still the device's. */
START_TEST(test_a_close_waits_for_a_read_that_was_forgotten)
{
	struct tp_thin *thin, *other;
	struct call call;
	struct io read;

	world_begin(&w, OWN_THREAD);
	thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	other = world_filled_thin(&w, 1, THIN_BYTES, 5);
	thins_close(thin, other);
	world_reopen(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	other = world_open_thin(&w, 1, THIN_BYTES);
	ck_ok(tp_queue_create(w.pool, 1, &queue));
	thin_fill(thin, 8 * WORLD_BLOCK, WORLD_BLOCK, 2);

	observer_hold_next(&w.metadata, OPS(TP_READ), 1);
	io_init(&read, TP_READ, block, 0, WORLD_BLOCK, 0);
	io_submit(&read, queue, other);
	world_until(&w, w.metadata.nr_held == 1);
	commit_fail_at(&w, DATA_FLUSH, 1);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	ck_ok(io_wait(&w, &read, queue));
	end_queue();
	thins_close(thin, other);

	call_begin(&call, close_pool, NULL);
	world_idle(&w);
	ck_assert_uint_eq(w.metadata.nr_held, 1);
	observer_release(&w.metadata);
	ck_ok(call_end(&call));
	world_unmake(&w);
}
END_TEST

int main(void)
{
	int of_either_kind = RUN_TESTS(
		"pipeline", NR_KINDS,
		test_the_next_transaction_runs_while_the_last_is_being_written,
		test_the_data_flush_and_the_write_back_overlap,
		test_the_hook_and_the_write_back_overlap,
		test_flushes_and_fua_writes_that_come_together_share_a_commit,
		test_a_flush_that_comes_after_the_data_flush_does_not_join_it,
		test_with_nothing_to_commit_the_metadata_device_is_left_alone,
		test_a_transaction_that_fails_takes_the_next_with_it,
		test_a_commit_that_fails_while_a_rollback_waits_for_it_ends_both,
		test_a_commit_beside_a_data_flush_that_fails_is_given_up,
		test_a_flush_beside_a_commits_that_fails_is_no_success,
		test_a_flush_that_waits_for_one_that_fails_is_no_success,
		test_a_write_that_is_reaped_after_a_failed_flush_may_be_lost);
	int with_calls = RUN_TESTS(
		"pipeline-calls", 1,
		test_a_snapshot_is_taken_while_the_last_transaction_is_being_written,
		test_setting_a_hook_waits_for_the_one_that_runs,
		test_a_host_may_flush_the_data_device,
		test_a_call_fails_with_the_transaction_before_its_own,
		test_a_call_that_waits_for_a_flush_that_fails_is_no_success,
		test_a_close_waits_for_a_read_that_was_forgotten);

	return of_either_kind | with_calls;
}
