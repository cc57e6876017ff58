/*
 * The regressions that the kernel's own history demands (the seed feed, section
 * 9 of the rules): the data flush strictly before the superblock, the hook and
 * its context, FUA over a commit, discards of what was shared, devices given
 * twice, a data device that stays, and a run loop that is left asleep.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/commit-steps.h"
#include "support/scratch.h"

#define THIN_BYTES (4 * MIB)

static struct world w;
static char block[WORLD_BLOCK];

/*---------------------------- causes of a commit ---------------------------*/

/* A thin with a snapshot and changes of every kind that are not committed. */
struct changed {
	struct tp_thin *thin;
	struct tp_queue *queue;
};

static struct changed begin_changed(int kind)
{
	struct changed changed;

	world_begin(&w, kind);
	changed.thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(changed.thin, 0, 4 * WORLD_BLOCK, 1);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	ck_ok(tp_queue_create(w.pool, 8, &changed.queue));

	/* Break sharing whole and in part, provision whole and in part. */
	thin_fill(changed.thin, 0, WORLD_BLOCK, 2);
	thin_fill(changed.thin, WORLD_BLOCK + 4096, 4096, 2);
	thin_fill(changed.thin, 8 * WORLD_BLOCK, WORLD_BLOCK, 2);
	thin_fill(changed.thin, 9 * WORLD_BLOCK + 512, 512, 2);

	return changed;
}

static void verify_changed(struct tp_thin *thin)
{
	thin_verify(thin, 0, WORLD_BLOCK, 2);
	thin_verify(thin, WORLD_BLOCK, 4096, 1);
	thin_verify(thin, WORLD_BLOCK + 4096, 4096, 2);
	thin_verify(thin, WORLD_BLOCK + 8192, 3 * WORLD_BLOCK - 8192, 1);
	thin_verify_zero(thin, 4 * WORLD_BLOCK, 4 * WORLD_BLOCK);
	thin_verify(thin, 8 * WORLD_BLOCK, WORLD_BLOCK, 2);
	thin_verify_zero(thin, 9 * WORLD_BLOCK, 512);
	thin_verify(thin, 9 * WORLD_BLOCK + 512, 512, 2);
}

static void end_changed(struct changed *changed)
{
	tp_queue_destroy(changed->queue);
	ck_ok(tp_thin_close(changed->thin));
	world_end(&w);
}

static void end_changed_unchecked(struct changed *changed)
{
	tp_queue_destroy(changed->queue);
	ck_ok(tp_thin_close(changed->thin));
	world_end_unchecked(&w);
}

static int by_flush(struct changed *changed)
{
	return tp_thin_flush(changed->thin);
}

static int by_fua(struct changed *changed)
{
	return tp_thin_write(changed->thin, block, 4096, 20 * WORLD_BLOCK,
			     TP_FUA);
}

static int by_create(struct changed *changed)
{
	return tp_pool_create_thin(w.pool, 5);
}

static int by_snapshot(struct changed *changed)
{
	return tp_pool_create_snapshot(w.pool, 5, 0);
}

static int by_delete(struct changed *changed)
{
	return tp_pool_delete_thin(w.pool, 1);
}

static int by_transaction_id(struct changed *changed)
{
	return tp_pool_set_transaction_id(w.pool, 0, 7);
}

static int by_reserve(struct changed *changed)
{
	return tp_pool_reserve_metadata_snapshot(w.pool);
}

static int by_commit(struct changed *changed)
{
	return tp_pool_commit(w.pool);
}

static int by_growing_data(struct changed *changed)
{
	observer_grow(&w.data, w.data.size_bytes + MIB);

	return tp_pool_grow_data(w.pool);
}

static int by_growing_metadata(struct changed *changed)
{
	observer_grow(&w.metadata, w.metadata.size_bytes + MIB);

	return tp_pool_grow_metadata(w.pool);
}

static int by_suspend(struct changed *changed)
{
	int r = tp_pool_suspend(w.pool);

	return r ? r : tp_pool_resume(w.pool, NULL);
}

static int by_close(struct changed *changed)
{
	tp_queue_destroy(changed->queue);
	ck_ok(tp_thin_close(changed->thin));

	return tp_pool_close(w.pool);
}

static int (*const causes[])(struct changed *changed) = {
	by_flush,        by_fua,
	by_create,       by_snapshot,
	by_delete,       by_transaction_id,
	by_reserve,      by_commit,
	by_growing_data, by_growing_metadata,
	by_suspend,      by_close,
};

#define NR_CAUSES (sizeof(causes) / sizeof(causes[0]))

/* R-01, B-PRE-1, B-PRE-3, M6.  At the devices: for each superblock the data
 * device had been flushed, then all metadata written and flushed. */
START_TEST(test_data_then_metadata_are_flushed_before_each_superblock)
{
	for (unsigned i = 0; i < NR_CAUSES; i++) {
		struct changed changed = begin_changed(_i);
		bool closes = causes[i] == by_close;

		io_log_clear(&w.log);
		ck_ok(causes[i](&changed));
		ck_assert_uint_ge(check_commit_order(&w.log, true), 1);
		if (closes) {
			world_open(&w);
			changed.thin = world_open_thin(&w, 0, THIN_BYTES);
			ck_ok(tp_queue_create(w.pool, 8, &changed.queue));
		}
		verify_changed(changed.thin);
		end_changed(&changed);
	}
}
END_TEST

/* B-PRE-1, B-COMMIT-1: the tick commits by the same order. */
START_TEST(test_the_tick_flushes_data_before_its_superblock)
{
	struct tp_thin *thin;

	world_make(&w, _i);
	w.options.commit_interval_ms = 30;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	io_log_clear(&w.log);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	thin_fill(thin, 3 * WORLD_BLOCK + 512, 512, 1);
	world_until(&w, !world_status(&w).changed);
	ck_assert_uint_ge(check_commit_order(&w.log, true), 1);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* B-PRE-1: as long as the data flush is on its way there is no superblock. */
START_TEST(test_no_superblock_while_the_data_flush_is_under_way)
{
	struct changed changed = begin_changed(_i);
	struct io flush;

	io_log_clear(&w.log);
	observer_hold(&w.data, OPS(TP_FLUSH));
	io_submit_flush(&flush, changed.queue, changed.thin);
	world_until(&w, w.data.nr_held == 1);
	world_idle(&w);
	ck_assert_uint_eq(nr_superblocks(&w.log), 0);
	ck_assert(!io_has_ended(&flush, changed.queue));
	observer_release(&w.data);
	ck_ok(io_wait(&w, &flush, changed.queue));
	ck_assert_uint_eq(nr_superblocks(&w.log), 1);
	end_changed(&changed);
}
END_TEST

/* M6, B-COMMIT: the superblock waits for every metadata write, for their
 * flush, and completion for its own durability. */
START_TEST(test_each_step_of_a_commit_waits_for_the_one_before)
{
	struct changed changed = begin_changed(_i);
	struct io flush;

	io_log_clear(&w.log);
	observer_hold(&w.metadata, OPS(TP_WRITE) | OPS(TP_FLUSH));
	io_submit_flush(&flush, changed.queue, changed.thin);
	world_until(&w, w.metadata.nr_held > 0);
	world_idle(&w);
	ck_assert_uint_eq(io_log_count(&w.log, "metadata", TP_FLUSH), 0);
	while (!io_log_count(&w.log, "metadata", TP_FLUSH)) {
		observer_release_one(&w.metadata, OPS(TP_WRITE));
		ck_assert_uint_eq(nr_superblocks(&w.log), 0);
		world_run(&w);
	}
	world_idle(&w);
	ck_assert_uint_eq(nr_superblocks(&w.log), 0);
	ck_assert(observer_release_one(&w.metadata, OPS(TP_FLUSH)));
	world_until(&w, nr_superblocks(&w.log) == 1);
	world_idle(&w);
	ck_assert_uint_eq(io_log_count(&w.log, "metadata", TP_FLUSH), 1);
	ck_assert(observer_release_one(&w.metadata, OPS(TP_WRITE)));
	world_until(&w, io_log_count(&w.log, "metadata", TP_FLUSH) == 2);
	world_idle(&w);
	ck_assert(!io_has_ended(&flush, changed.queue));
	observer_release(&w.metadata);
	ck_ok(io_wait(&w, &flush, changed.queue));
	end_changed(&changed);
}
END_TEST

/* R-06, B-FLUSH-2, -3, CRS-03: one data flush each, and a superblock only if
 * something changed. */
START_TEST(test_a_flush_is_one_data_flush_changed_or_not)
{
	struct changed changed = begin_changed(_i);

	io_log_clear(&w.log);
	ck_ok(tp_thin_flush(changed.thin));
	ck_assert_uint_eq(io_log_count(&w.log, "data", TP_FLUSH), 1);
	ck_assert_uint_eq(nr_superblocks(&w.log), 1);
	thin_fill(changed.thin, 0, WORLD_BLOCK, 2);
	io_log_clear(&w.log);
	ck_ok(tp_thin_flush(changed.thin));
	ck_assert_uint_eq(io_log_count(&w.log, "data", TP_FLUSH), 1);
	ck_assert_uint_eq(io_log_count(&w.log, "metadata", TP_WRITE), 0);
	ck_assert_uint_eq(io_log_count(&w.log, "metadata", TP_FLUSH), 0);
	end_changed(&changed);
}
END_TEST

/*---------------------------- the hook -------------------------------------*/

#define ALIVE 0x600dc0deu

struct hook_context {
	unsigned alive;
	struct tp_pool *pool;
	atomic_uint *nr_calls;
};

static int call_hook(void *context)
{
	struct hook_context *hook = context;
	int r;

	ck_assert_uint_eq(hook->alive, ALIVE);
	atomic_fetch_add(hook->nr_calls, 1);
	r = tp_pool_flush_data(hook->pool);
	usleep(200);
	ck_assert_uint_eq(hook->alive, ALIVE);

	return r;
}

static atomic_uint nr_hook_calls;

static struct hook_context *new_hook(void)
{
	struct hook_context *hook = malloc(sizeof(*hook));

	*hook = (struct hook_context){ ALIVE, w.pool, &nr_hook_calls };
	ck_ok(tp_pool_set_pre_commit_hook(w.pool, call_hook, hook));

	return hook;
}

static void free_hook(struct hook_context *hook)
{
	hook->alive = 0;
	free(hook);
}

#define NR_WRITERS 3
#define NR_REPLACEMENTS 150

static atomic_bool writers_stop;

static void *write_and_flush(void *context)
{
	struct tp_thin *thin = context;
	uint64_t random = (uintptr_t)thin;
	char *bytes = malloc(WORLD_BLOCK);

	while (!writers_stop) {
		uint64_t at = random_in(&random, 0, THIN_BYTES / WORLD_BLOCK) *
			      WORLD_BLOCK;

		fill_pattern(bytes, WORLD_BLOCK, at, 9);
		ck_ok(tp_thin_write(thin, bytes, WORLD_BLOCK, at, 0));
		ck_ok(tp_thin_flush(thin));
		ck_ok(tp_thin_discard(thin, at, WORLD_BLOCK));
	}
	free(bytes);

	return NULL;
}

/* B-PRE-4, architecture 8: once set_pre_commit_hook returned the
 * old context may be freed, whatever commits are running. */
START_TEST(test_a_hook_and_its_context_are_replaced_while_commits_run)
{
	struct tp_thin *thins[NR_WRITERS];
	pthread_t writers[NR_WRITERS];
	struct hook_context *hook;

	world_begin(&w, OWN_THREAD);
	io_log_clear(&w.log);
	hook = new_hook();
	writers_stop = false;
	for (unsigned i = 0; i < NR_WRITERS; i++) {
		thins[i] = world_new_thin(&w, i, THIN_BYTES);
		pthread_create(&writers[i], NULL, write_and_flush, thins[i]);
	}
	for (unsigned i = 0; i < NR_REPLACEMENTS; i++) {
		struct hook_context *next = new_hook();

		free_hook(hook);
		hook = next;
		usleep(i % 7 * 100);
	}
	ck_ok(tp_pool_set_pre_commit_hook(w.pool, NULL, NULL));
	free_hook(hook);
	usleep(2000);
	writers_stop = true;
	for (unsigned i = 0; i < NR_WRITERS; i++) {
		pthread_join(writers[i], NULL);
		ck_ok(tp_thin_close(thins[i]));
	}
	ck_assert_uint_gt(nr_hook_calls, 0);
	ck_assert_uint_ge(check_commit_order(&w.log, true), 1);
	world_end(&w);
}
END_TEST

/* B-PRE-3, B-PRE-5, B-PRE-7: called on every commit, to the last at close, after
 * the writes and before the superblock; what it takes the place of, the default
 * flush, is not sent besides. */
START_TEST(test_a_hook_takes_the_place_of_the_flush_of_each_commit)
{
	for (unsigned i = 0; i < NR_CAUSES; i++) {
		struct changed changed = begin_changed(_i);
		struct hook_context *hook = new_hook();
		bool closes = causes[i] == by_close;

		io_log_clear(&w.log);
		nr_hook_calls = 0;
		ck_ok(causes[i](&changed));
		ck_assert_uint_ge(nr_hook_calls, 1);
		ck_assert_uint_eq(check_commit_order(&w.log, true),
				  nr_superblocks(&w.log));
		if (closes) {
			w.pool = NULL;
			world_unmake(&w);
		} else {
			ck_ok(tp_pool_set_pre_commit_hook(w.pool, NULL, NULL));
			end_changed_unchecked(&changed);
		}
		free_hook(hook);
	}
}
END_TEST

static int refuse(void *context)
{
	return -EREMOTEIO;
}

/* B-PRE-8, B-ABORT-1..5, NCK-02: the superblock is not written but to set
 * needs_check; what was lost is reported for ever; so says a reopened pool. */
START_TEST(test_a_hook_that_fails_aborts_the_commit)
{
	struct tp_thin *thin, *other;
	struct tp_pool_status status;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	other = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_pool_commit(w.pool));
	thin_fill(thin, WORLD_BLOCK, WORLD_BLOCK, 2);
	ck_ok(tp_pool_set_pre_commit_hook(w.pool, refuse, NULL));
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	status = world_status(&w);
	ck_assert_int_eq(status.mode, TP_MODE_READ_ONLY);
	ck_assert(status.needs_check);
	ck_assert_uint_eq(status.used_data_blocks, 1);
	ck_ok(tp_pool_set_pre_commit_hook(w.pool, NULL, NULL));

	/* B-FLUSH-7 and its opposite. */
	ck_assert(thin_info(thin).lost_writes);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	ck_assert(!thin_info(other).lost_writes);
	ck_ok(tp_thin_flush(other));
	ck_assert_int_eq(tp_pool_create_thin(w.pool, 9), -EOPNOTSUPP);
	thin_verify(thin, 0, WORLD_BLOCK, 1);
	thin_verify_zero(thin, WORLD_BLOCK, WORLD_BLOCK);
	ck_ok(tp_thin_close(other));
	ck_ok(tp_thin_close(thin));
	for (unsigned i = 0; i < 3; i++) {
		world_reopen(&w);
		status = world_status(&w);
		ck_assert_int_eq(status.mode, TP_MODE_READ_ONLY);
		ck_assert(status.needs_check);
	}
	thin = world_open_thin(&w, 0, THIN_BYTES);
	thin_verify(thin, 0, WORLD_BLOCK, 1);
	thin_verify_zero(thin, WORLD_BLOCK, THIN_BYTES - WORLD_BLOCK);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* B-MSG-2, R-15: a control call whose commit fails says so and leaves no
 * trace. */
START_TEST(test_a_control_call_whose_commit_fails_reports_it)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;

	options.size = THIN_BYTES;
	world_begin(&w, _i);
	ck_ok(tp_pool_create_thin(w.pool, 0));
	ck_ok(tp_pool_set_pre_commit_hook(w.pool, refuse, NULL));
	ck_assert_int_eq(tp_pool_create_snapshot(w.pool, 1, 0), -EIO);
	ck_assert_uint_gt(strlen(tp_last_error()), 0);
	ck_assert_int_eq(tp_thin_open(w.pool, 1, &options, &thin), -ENODATA);
	ck_assert_uint_eq(world_status(&w).nr_thins, 1);
	ck_assert_uint_eq(world_status(&w).time, 0);
	world_end(&w);
}
END_TEST

static struct tp_pool *hooked_pool;
static int results[3];

static int call_back(void *context)
{
	struct tp_thin *thin = context;

	results[0] = tp_pool_commit(hooked_pool);
	results[1] = tp_pool_set_pre_commit_hook(hooked_pool, NULL, NULL);
	results[2] = tp_thin_flush(thin);

	return tp_pool_flush_data(hooked_pool);
}

/* api.md, 'From where': what would wait for itself is -EDEADLK. */
START_TEST(test_a_hook_that_would_wait_for_itself_is_refused)
{
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	hooked_pool = w.pool;
	ck_ok(tp_pool_set_pre_commit_hook(w.pool, call_back, thin));
	ck_ok(tp_pool_create_thin(w.pool, 1));
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(results[i], -EDEADLK);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/*---------------------------- FUA ------------------------------------------*/

/* Four writes that change mappings: provision whole, in part, break sharing
 * whole, in part. */
struct fua_case {
	uint64_t offset, length;
};

static const struct fua_case fua_cases[] = {
	{ 8 * WORLD_BLOCK, WORLD_BLOCK },
	{ 9 * WORLD_BLOCK + 4096, 4096 },
	{ 2 * WORLD_BLOCK, WORLD_BLOCK },
	{ 3 * WORLD_BLOCK + 4096, 4096 },
};

#define NR_FUA_CASES (sizeof(fua_cases) / sizeof(fua_cases[0]))

static struct tp_thin *begin_shared(int kind)
{
	struct tp_thin *thin;

	world_begin(&w, kind);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, 4 * WORLD_BLOCK, 1);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	io_log_clear(&w.log);

	return thin;
}

static int write_fua(struct tp_thin *thin, const struct fua_case *fua)
{
	struct tp_queue *queue;
	struct io io;
	int status;

	fill_pattern(block, fua->length, fua->offset, 7);
	ck_ok(tp_queue_create(w.pool, 8, &queue));
	io_init(&io, TP_WRITE, block, fua->offset, fua->length, TP_FUA);
	io.log = &w.log;
	io.note = "fua ended";
	io_submit(&io, queue, thin);
	status = io_wait(&w, &io, queue);
	tp_queue_destroy(queue);

	return status;
}

static void check_fua_order(void)
{
	unsigned superblock = UINT_MAX, i, durable, ended;

	for (i = 0; i < io_log_nr(&w.log); i++) {
		struct io_event event = io_log_get(&w.log, i);

		if (event.when == IO_END && !strcmp(event.name, "metadata") &&
		    event.op == TP_WRITE && !event.offset)
			superblock = i;
	}
	ck_assert_uint_ne(superblock, UINT_MAX);
	durable = io_log_find(&w.log, superblock, IO_END, "metadata", TP_FLUSH);
	ended = io_log_find_note(&w.log, 0, "fua ended");
	ck_assert_uint_lt(superblock, durable);
	ck_assert_uint_lt(durable, ended);
}

/* R-02, B-FUA-1, B-FUA-2, B-CRASH-17: the superblock is durable before end_io;
 * and so a copy of the devices taken then shows the data. */
START_TEST(test_fua_that_changes_a_mapping_ends_after_its_commit)
{
	for (unsigned i = 0; i < NR_FUA_CASES; i++) {
		struct tp_thin *thin = begin_shared(_i);
		struct world after;

		ck_ok(write_fua(thin, &fua_cases[i]));
		check_fua_order();
		check_commit_order(&w.log, true);
		world_copy(&w, &after, _i);
		ck_ok(tp_thin_close(thin));
		world_end(&w);

		world_open(&after);
		thin = world_open_thin(&after, 0, THIN_BYTES);
		thin_verify(thin, fua_cases[i].offset, fua_cases[i].length, 7);
		ck_ok(tp_thin_close(thin));
		world_end(&after);
	}
}
END_TEST

/* R-02, B-FUA-4, R-57: whichever step of the commit fails, once or for ever:
 * -EIO, although the data was written, and the pool writes no more. */
START_TEST(test_fua_whose_commit_fails_ends_with_eio)
{
	for (unsigned i = 0; i < NR_FUA_CASES * NR_COMMIT_STEPS * 2; i++) {
		const struct fua_case *fua = &fua_cases[i % NR_FUA_CASES];
		enum commit_step step = i / NR_FUA_CASES % NR_COMMIT_STEPS;
		bool for_ever = i / NR_FUA_CASES / NR_COMMIT_STEPS;
		struct tp_thin *thin = begin_shared(_i);
		struct tp_pool_status status;

		commit_fail_at(&w, step, for_ever ? 0 : 1);
		ck_assert_int_eq(write_fua(thin, fua), -EIO);
		status = world_status(&w);
		ck_assert_int_ge(status.mode, TP_MODE_READ_ONLY);
		ck_assert(status.mode == TP_MODE_FAILED || status.needs_check);
		commit_heal(&w);
		ck_assert_int_eq(tp_thin_flush(thin), -EIO);
		ck_ok(tp_thin_close(thin));
		if (i % NR_FUA_CASES)
			world_end_unchecked(&w);
		else
			world_end(&w);
	}
}
END_TEST

/*---------------------------- discards of what was shared ------------------*/

/* The requests to the data device that discarded some of the block @where. */
static unsigned nr_discards_of(uint64_t where)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < io_log_nr(&w.log); i++) {
		struct io_event event = io_log_get(&w.log, i);

		nr += event.when == IO_BEGIN && event.op == TP_DISCARD &&
		      event.offset < where + WORLD_BLOCK &&
		      event.offset + event.length > where;
	}

	return nr;
}

static void expect_discard_after_commit(uint64_t where)
{
	unsigned superblock, discard;

	ck_assert_uint_eq(nr_discards_of(where), 0);
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, nr_discards_of(where) == 1);
	superblock = io_log_find(&w.log, 0, IO_NOTE, "discarded", TP_READ);
	ck_assert_uint_ne(superblock, UINT_MAX);
	superblock =
		io_log_find(&w.log, superblock, IO_END, "metadata", TP_WRITE);
	discard = io_log_find(&w.log, 0, IO_BEGIN, "data", TP_DISCARD);
	ck_assert_uint_lt(superblock, discard);
}

static void discard_block(struct tp_thin *thin, uint64_t offset)
{
	ck_ok(tp_thin_discard(thin, offset, WORLD_BLOCK));
	io_log_note(&w.log, "discarded");
}

/* R-20, DSC-07: sharing broken by the origin, discarded in the snapshot: the
 * old block has no user left. */
START_TEST(test_a_block_that_lost_both_owners_is_passed_down)
{
	struct tp_thin *thin, *snapshot;
	uint64_t where, fresh;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, 2 * WORLD_BLOCK, 1);
	where = thin_where(thin, WORLD_BLOCK);
	snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	thin_fill(thin, WORLD_BLOCK, WORLD_BLOCK, 2);
	fresh = thin_where(thin, WORLD_BLOCK);
	ck_assert_uint_ne(fresh, where);
	discard_block(snapshot, WORLD_BLOCK);
	expect_discard_after_commit(where);
	ck_assert_uint_eq(nr_discards_of(fresh), 0);
	ck_assert_uint_eq(nr_discards_of(thin_where(thin, 0)), 0);
	world_until(&w, world_used(&w) == 2);
	thin_verify(thin, 0, WORLD_BLOCK, 1);
	thin_verify(thin, WORLD_BLOCK, WORLD_BLOCK, 2);
	thin_verify(snapshot, 0, WORLD_BLOCK, 1);
	thin_verify_zero(snapshot, WORLD_BLOCK, WORLD_BLOCK);
	ck_ok(tp_thin_close(snapshot));
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* R-21, DSC-08: the snapshot is gone; that the mapping looks shared by time is
 * a hint only. */
START_TEST(test_a_block_whose_snapshot_was_deleted_is_passed_down)
{
	struct tp_thin *thin;
	uint64_t where;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	where = thin_where(thin, 0);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	ck_ok(tp_pool_delete_thin(w.pool, 1));
	discard_block(thin, 0);
	expect_discard_after_commit(where);
	world_until(&w, !world_used(&w));
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* R-22, DSC-07, DSC-13, B-DISC-8: nothing in use is freed or passed down, and
 * runs that go down part where a block is in use. */
START_TEST(test_a_block_that_a_snapshot_maps_is_not_passed_down)
{
	struct tp_thin *thin, *snapshot;
	uint64_t shared[8], own[8];

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, 16 * WORLD_BLOCK, 1);
	snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	for (unsigned i = 0; i < 8; i++) {
		shared[i] = thin_where(thin, (2 * i) * WORLD_BLOCK);
		thin_fill(thin, (2 * i + 1) * WORLD_BLOCK, WORLD_BLOCK, 2);
		own[i] = thin_where(thin, (2 * i + 1) * WORLD_BLOCK);
	}
	io_log_clear(&w.log);
	ck_ok(tp_thin_discard(thin, 0, 16 * WORLD_BLOCK));
	ck_assert_uint_eq(thin_mapped(thin), 0);
	ck_ok(tp_pool_commit(w.pool));
	for (unsigned i = 0; i < 8; i++)
		world_until(&w, nr_discards_of(own[i]) == 1);
	world_idle(&w);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(nr_discards_of(shared[i]), 0);
	ck_assert_uint_eq(world_used(&w), 16);
	thin_verify_zero(thin, 0, 16 * WORLD_BLOCK);
	thin_verify(snapshot, 0, 16 * WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(snapshot));
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* R-12, B-DISC-10, B-CRASH-7, B-CRASH-20: the origin broke sharing but that is
 * not durable when the snapshot discards: up to the commit a crash brings both
 * back. */
START_TEST(test_nothing_is_passed_down_that_a_crash_brings_back)
{
	struct tp_thin *thin, *snapshot;
	struct world crashed;
	uint64_t where;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	where = thin_where(thin, 0);
	snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	io_log_clear(&w.log);
	thin_fill(thin, 0, WORLD_BLOCK, 2);
	discard_block(snapshot, 0);

	/* Nor is it given to anybody else, though all the pool is filled. */
	world_idle(&w);
	ck_assert_uint_eq(nr_discards_of(where), 0);
	world_copy(&w, &crashed, _i);
	world_open(&crashed);
	for (uint32_t id = 0; id < 2; id++) {
		struct tp_thin *old = world_open_thin(&crashed, id, THIN_BYTES);

		thin_verify(old, 0, WORLD_BLOCK, 1);
		ck_ok(tp_thin_close(old));
	}
	world_end(&crashed);
	expect_discard_after_commit(where);
	ck_ok(tp_thin_close(snapshot));
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/*---------------------------- devices given twice --------------------------*/

struct files {
	char metadata[SCRATCH_PATH_BYTES], data[SCRATCH_PATH_BYTES];
	char hard[SCRATCH_PATH_BYTES + 8], symbolic[SCRATCH_PATH_BYTES + 8];
};

static struct files files;

static void begin_files(void)
{
	scratch_file(files.metadata, 2 * MIB);
	scratch_file(files.data, 16 * MIB);
	snprintf(files.hard, sizeof(files.hard), "%s.hard", files.metadata);
	snprintf(files.symbolic, sizeof(files.symbolic), "%s.sym",
		 files.metadata);
	ck_ok(link(files.metadata, files.hard));
	ck_ok(symlink(files.metadata, files.symbolic));
}

static void end_files(void)
{
	unlink(files.symbolic);
	unlink(files.hard);
	unlink(files.metadata);
	unlink(files.data);
}

static struct tp_device *open_file(const char *path)
{
	struct tp_device *device;

	ck_ok(tp_device_open_file(path, NULL, &device));

	return device;
}

static bool is_all_zero(const char *path)
{
	FILE *file = fopen(path, "r");
	bool zero = true;
	int c;

	while (zero && (c = getc(file)) != EOF)
		zero = !c;
	fclose(file);

	return zero;
}

/* R-70, B-BAD-2: identity, not names; refused before anything is written. */
START_TEST(test_one_device_as_both_is_refused_by_whatever_name)
{
	const char *names[] = { files.metadata, files.hard, files.symbolic };
	struct tp_device *one, *two, *data;
	struct tp_pool *pool;

	begin_files();
	for (unsigned i = 0; i < 4; i++) {
		struct tp_pool_options options = TP_POOL_OPTIONS_INIT;

		one = open_file(files.metadata);
		two = i == 3 ? tp_device_ref(one) : open_file(names[i]);
		ck_assert_int_eq(tp_pool_format(one, two, NULL), -EINVAL);
		ck_assert_uint_gt(strlen(tp_last_error()), 0);
		ck_assert(is_all_zero(files.metadata));
		for (options.flags = 0; options.flags < 4; options.flags++)
			ck_assert_int_eq(tp_pool_open(one, two, &options,
						      &pool),
					 -EINVAL);
		tp_device_unref(two);
		tp_device_unref(one);
	}

	/* Also where there is a pool. */
	one = open_file(files.metadata);
	data = open_file(files.data);
	ck_ok(tp_pool_format(one, data, NULL));
	two = open_file(files.hard);
	ck_assert_int_eq(tp_pool_open(one, two, NULL, &pool), -EINVAL);
	ck_ok(tp_pool_open(one, data, NULL, &pool));
	ck_ok(tp_pool_close(pool));
	tp_device_unref(two);
	tp_device_unref(data);
	tp_device_unref(one);
	end_files();
}
END_TEST

/* R-71, B-BAD-16: through the same handle and through another of the file. */
START_TEST(test_a_device_of_the_pool_is_no_external_origin)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_device *metadata, *data, *origins[4];
	struct tp_thin *thin;
	struct tp_pool *pool;

	begin_files();
	metadata = open_file(files.metadata);
	data = open_file(files.data);
	ck_ok(tp_pool_format(metadata, data, NULL));
	ck_ok(tp_pool_open(metadata, data, NULL, &pool));
	ck_ok(tp_pool_create_thin(pool, 0));
	origins[0] = tp_device_ref(metadata);
	origins[1] = tp_device_ref(data);
	origins[2] = open_file(files.hard);
	origins[3] = open_file(files.data);
	options.size = MIB;
	for (unsigned i = 0; i < 4; i++) {
		options.external_origin = origins[i];
		ck_assert_int_eq(tp_thin_open(pool, 0, &options, &thin),
				 -EINVAL);
		ck_assert_uint_gt(strlen(tp_last_error()), 0);
		tp_device_unref(origins[i]);
	}
	options.external_origin = NULL;
	ck_ok(tp_thin_open(pool, 0, &options, &thin));
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_close(pool));
	tp_device_unref(data);
	tp_device_unref(metadata);
	end_files();
}
END_TEST

/* R-04, B-BAD-6, -7, B-POOL-1, B-PRE-6: a second open with other data is busy, and
 * the running pool goes on flushing the device that it has. */
START_TEST(test_the_data_device_of_an_open_pool_stays)
{
	struct tp_thin *thin;
	struct observer twin;
	struct tp_pool *pool;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	observer_init(&twin, &w.log, "twin", w.data.size_bytes, 0, NULL);
	memcpy(twin.bytes, w.data.bytes, w.data.size_bytes);
	ck_assert_int_eq(tp_pool_open(w.metadata.device, twin.device, NULL,
				      &pool),
			 -EBUSY);
	ck_assert_uint_gt(strlen(tp_last_error()), 0);
	io_log_clear(&w.log);
	ck_ok(tp_thin_flush(thin));
	ck_assert_uint_eq(io_log_count(&w.log, "data", TP_FLUSH), 1);
	for (unsigned op = 0; op < OBSERVER_NR_OPS; op++)
		ck_assert_uint_eq(twin.nr_begun[op], 0);
	ck_assert_uint_eq(check_commit_order(&w.log, true), 1);
	thin_fill(thin, 3 * WORLD_BLOCK, WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
	observer_exit(&twin);
}
END_TEST

/*---------------------------- a loop left asleep ---------------------------*/

#define NR_MAPPED_IOS 10000
#define DEPTH 128

/* R-82, B-WAKE-1: mapped and unshared reads and writes never get to the loop. */
START_TEST(test_mapped_io_does_not_wake_the_run_loop)
{
	static struct io ios[DEPTH];
	static char buffers[DEPTH][4096];
	struct tp_thin *thin;
	struct tp_queue *queue;
	uint64_t nr_wakeups;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_queue_create(w.pool, DEPTH, &queue));
	ck_ok(tp_thin_flush(thin));
	thin_verify(thin, 0, THIN_BYTES, 1);
	world_settle(&w);
	nr_wakeups = world_status(&w).nr_wakeups;

	for (unsigned i = 0; i < NR_MAPPED_IOS; i++) {
		struct io *io = &ios[i % DEPTH];
		uint64_t at = i * 17 % (THIN_BYTES / 4096) * 4096;

		if (i >= DEPTH)
			while (!io->nr_ended)
				tp_queue_wait(queue, 1, -1);
		fill_pattern(buffers[i % DEPTH], 4096, at, 1);
		io_init(io, i % 2 ? TP_READ : TP_WRITE, buffers[i % DEPTH], at,
			4096, 0);
		io_submit(io, queue, thin);
	}
	for (unsigned i = 0; i < DEPTH; i++)
		ck_ok(io_wait(&w, &ios[i], queue));
	/* Asking for the status wakes it itself, if it sleeps. */
	ck_assert_uint_le(world_status(&w).nr_wakeups, nr_wakeups + 1);
	thin_verify(thin, 0, THIN_BYTES, 1);
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"seed-cases", NR_KINDS,
		test_data_then_metadata_are_flushed_before_each_superblock,
		test_the_tick_flushes_data_before_its_superblock,
		test_no_superblock_while_the_data_flush_is_under_way,
		test_each_step_of_a_commit_waits_for_the_one_before,
		test_a_flush_is_one_data_flush_changed_or_not,
		test_a_hook_and_its_context_are_replaced_while_commits_run,
		test_a_hook_takes_the_place_of_the_flush_of_each_commit,
		test_a_hook_that_fails_aborts_the_commit,
		test_a_control_call_whose_commit_fails_reports_it,
		test_a_hook_that_would_wait_for_itself_is_refused,
		test_fua_that_changes_a_mapping_ends_after_its_commit,
		test_fua_whose_commit_fails_ends_with_eio,
		test_a_block_that_lost_both_owners_is_passed_down,
		test_a_block_whose_snapshot_was_deleted_is_passed_down,
		test_a_block_that_a_snapshot_maps_is_not_passed_down,
		test_nothing_is_passed_down_that_a_crash_brings_back,
		test_one_device_as_both_is_refused_by_whatever_name,
		test_a_device_of_the_pool_is_no_external_origin,
		test_the_data_device_of_an_open_pool_stays,
		test_mapped_io_does_not_wake_the_run_loop);
}
