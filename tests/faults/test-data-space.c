/*
 * Data space runs out in the middle of each kind of write: there is one free
 * block more in each case, from none on, until there are enough of them.
 */
#include "faults/judge.h"
#include "faults/outset.h"

#define BLOCK WORLD_BLOCK

/* The way out, if it is space: more than any of them takes. */
#define PLENTY 20u

static struct run run;
static struct outset outset;
static struct judge judge;

/*---------------------------- what needs space -----------------------------*/

static void write_first(void)
{
	run_submit(&run, TP_WRITE, 1, 6 * BLOCK + 512, 1024, 0);
}

static void write_whole(void)
{
	run_submit(&run, TP_WRITE, 1, 6 * BLOCK, 2 * BLOCK, 0);
}

static void break_sharing(void)
{
	run_submit(&run, TP_WRITE, 1, 2 * BLOCK + 512, 1024, 0);
}

static void break_sharing_whole(void)
{
	run_submit(&run, TP_WRITE, 2, BLOCK, 3 * BLOCK, 0);
}

/* What is mapped, what is shared, and what is neither. */
static void write_across(void)
{
	run_submit(&run, TP_WRITE, 1, 7 * BLOCK / 2, 4 * BLOCK, 0);
}

static void copy_from_origin(void)
{
	run_submit(&run, TP_WRITE, 4, 5 * BLOCK / 2, 2 * BLOCK, 0);
}

static void write_zeroes(void)
{
	run_submit(&run, TP_WRITE_ZEROES, 1, 5 * BLOCK, 3 * BLOCK, TP_NO_UNMAP);
}

static void write_fua(void)
{
	run_submit(&run, TP_WRITE, 3, BLOCK + 512, 2 * BLOCK,
		   TP_FUA | TP_PREFLUSH);
}

/* Several on a block wait in their order. */
static void write_many(void)
{
	run_submit(&run, TP_WRITE, 1, 6 * BLOCK, 512, 0);
	run_submit(&run, TP_WRITE, 1, 6 * BLOCK, 1024, 0);
	run_submit(&run, TP_WRITE, 1, 6 * BLOCK + 512, BLOCK, TP_FUA);
	run_submit(&run, TP_READ, 1, 6 * BLOCK, 1024, 0);
	run_submit(&run, TP_WRITE, 2, 2 * BLOCK, 512, 0);
	run_submit(&run, TP_FLUSH, 2, 0, 0, 0);
}

static void (*const writes[])(void) = {
	write_first,         write_whole,  break_sharing,
	break_sharing_whole, write_across, copy_from_origin,
	write_zeroes,        write_fua,    write_many,
};
#define NR_WRITES ((int)(sizeof(writes) / sizeof(writes[0])))

/*---------------------------- helpers --------------------------------------*/

static void poll_all(void)
{
	do
		tp_queue_poll(run.queue, RUN_BIOS);
	while (tp_pool_poll(run.w.pool) > 0);
}

static enum tp_pool_mode mode(void)
{
	return world_status(&run.w).mode;
}

static bool all_ended(void)
{
	ck_assert_int_le(run_reap(&run), 0);
	for (unsigned i = 0; i < RUN_BIOS; i++)
		if (run.bios[i].under_way)
			return false;

	return true;
}

static unsigned nr_mode_changes;

static void note_event(void *context, const struct tp_event *event)
{
	(void)context;
	nr_mode_changes += event->kind == TP_EVENT_MODE;
}

static void begin(unsigned nr_free, unsigned nr_freed)
{
	outset_restore(&outset);
	judge = (struct judge){ .run = &run };
	outset_open(&outset);
	outset_free(&outset, nr_free);
	ck_ok(run_commit(&run));
	ck_ok(run_commit(&run));
	poll_all();
	outset_free(&outset, nr_freed);
	nr_mode_changes = 0;
	ck_ok(tp_pool_set_event_handler(run.w.pool, note_event, NULL));
}

static void delete_filler(void)
{
	run_close_thin(&run, RUN_FILLER);
	ck_ok(run_delete(&run, RUN_FILLER));
}

/* Everything is as it should be, now, after a reopening, and after writing. */
static void end(void)
{
	poll_all();
	ck_assert_int_eq(mode(), TP_MODE_WRITE);
	judge_contents(&judge, LEDGER_LIVE);
	if (ledger_volume(&run.ledger, RUN_FILLER)->exists)
		delete_filler();
	judge_contents(&judge, LEDGER_LIVE);
	ck_ok(run_close(&run));
	judge_reopened(&judge, false);
}

/*---------------------------- ways out -------------------------------------*/

static void grow(void)
{
	ck_ok(run_grow_data(&run,
			    run.w.data.size_bytes + PLENTY * (uint64_t)BLOCK));
}

static void discard(void)
{
	outset_free(&outset, PLENTY);
}

/* They park again (B-OODS-8). */
static void resume_and_delete(void)
{
	ck_ok(run_suspend(&run));
	ck_ok(run_resume(&run));
	poll_all();
	ck_assert_int_eq(mode(), TP_MODE_OUT_OF_DATA_SPACE);
	ck_assert(!all_ended());
	delete_filler();
}

static void (*const ways_out[])(void) = { grow, discard, delete_filler,
					  resume_and_delete };
#define NR_WAYS_OUT (sizeof(ways_out) / sizeof(ways_out[0]))

/* Whoever needs no block is not affected (B-OODS-2). */
static void use_what_is_there(void)
{
	ck_assert_int_eq(mode(), TP_MODE_OUT_OF_DATA_SPACE);
	ck_ok(run_write(&run, 3, 512, 1024, 0));
	ck_ok(run_bio(&run, TP_READ, 2, 5 * BLOCK, BLOCK, 0));
	ck_ok(run_flush(&run, 3));
	ck_ok(run_create(&run, 9));
	ck_assert_int_eq(mode(), TP_MODE_OUT_OF_DATA_SPACE);
}

/*---------------------------- cases ----------------------------------------*/

/* True if there was enough. */
static bool wait_for_space(void (*write)(void), unsigned nr_free,
			   void (*way_out)(void))
{
	bool enough;

	begin(nr_free, 0);
	write();
	poll_all();
	enough = all_ended();
	if (!enough) {
		use_what_is_there();
		way_out();
	} else {
		ck_assert_uint_eq(nr_mode_changes, 0);
	}
	ck_ok(run_wait(&run));
	end();

	return enough;
}

/* They wait for a minute, and no longer; then the pool is as full as before
 * (B-OODS-5). */
static void wait_in_vain(void (*write)(void), unsigned nr_free)
{
	begin(nr_free, 0);
	write();
	poll_all();
	world_pass_time(&run.w, 59ull * SECOND_NS);
	poll_all();
	ck_assert(!all_ended());
	world_pass_time(&run.w, 2ull * SECOND_NS);
	ck_assert_int_eq(run_wait(&run), -ENOSPC);
	use_what_is_there();
	write();
	poll_all();
	ck_assert_int_eq(run_wait(&run), -ENOSPC);
	delete_filler();
	write();
	ck_ok(run_wait(&run));
	end();
}

/* Nobody waits (B-OODS-3). */
static void be_refused(void (*write)(void), unsigned nr_free)
{
	run.w.options.flags |= TP_POOL_ERROR_IF_NO_SPACE;
	begin(nr_free, 0);
	write();
	poll_all();
	for (unsigned i = 0; i < RUN_BIOS; i++)
		ck_assert(!run.bios[i].under_way ||
			  run.bios[i].io.nr_ended == 1);
	ck_assert_int_eq(run_wait(&run), -ENOSPC);
	use_what_is_there();
	judge_contents(&judge, LEDGER_LIVE);
	judge_forget(&judge);
	delete_filler();
	poll_all();
	ck_assert_int_eq(mode(), TP_MODE_WRITE);
	write();
	ck_ok(run_wait(&run));
	end();
	run.w.options.flags &= ~TP_POOL_ERROR_IF_NO_SPACE;
}

/* What is freed and not committed counts: nobody sees a full pool. */
static void find_what_was_freed(void (*write)(void), unsigned nr_free,
				unsigned nr_freed)
{
	uint64_t before;

	begin(nr_free, nr_freed);
	before = world_status(&run.w).nr_commits;
	write();
	poll_all();
	ck_assert(all_ended());
	ck_assert_uint_eq(nr_mode_changes, 0);
	ck_assert_uint_gt(world_status(&run.w).nr_commits, before);
	end();
}

static unsigned nr_blocks_for(void (*write)(void))
{
	unsigned nr = 0;

	while (!wait_for_space(write, nr, grow))
		nr++;
	ck_assert_uint_gt(nr, 0);

	return nr;
}

/* With each number of free blocks that is not enough for it. */
static void try_with_too_few(void (*write)(void),
			     void (*try)(void (*write)(void), unsigned nr_free,
					 unsigned nr_needed))
{
	unsigned nr;

	outset_make(&outset, &run, HOST_DRIVEN, OUTSET_FULL);
	run.w.options.commit_interval_ms = TP_NEVER;
	nr = nr_blocks_for(write);
	for (unsigned nr_free = 0; nr_free < nr; nr_free++)
		try(write, nr_free, nr);
	outset_drop(&outset);
}

/*---------------------------- tests ----------------------------------------*/

static void wait_each_way(void (*write)(void), unsigned nr_free,
			  unsigned nr_needed)
{
	for (unsigned way = 0; way < NR_WAYS_OUT; way++)
		wait_for_space(write, nr_free, ways_out[way]);
	wait_in_vain(write, nr_free);
}

/* F-14, R-41, R-44, R-46, B-OODS-2 to B-OODS-8, B-OODS-11. */
START_TEST(test_with_any_number_of_free_blocks_writes_wait_for_more)
{
	try_with_too_few(writes[_i], wait_each_way);
}
END_TEST

static void find_or_be_refused(void (*write)(void), unsigned nr_free,
			       unsigned nr_needed)
{
	be_refused(write, nr_free);
	find_what_was_freed(write, nr_free, nr_needed - nr_free);
}

/* F-15, F-16, R4, R-32, B-OODS-1, B-OODS-3. */
START_TEST(test_with_any_number_freed_writes_find_them_or_are_refused)
{
	try_with_too_few(writes[_i], find_or_be_refused);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"data-space", NR_WRITES,
		test_with_any_number_of_free_blocks_writes_wait_for_more,
		test_with_any_number_freed_writes_find_them_or_are_refused);
}
