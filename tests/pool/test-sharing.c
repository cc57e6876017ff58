/*
 * Thins that share blocks, under writes: who waits for whom, and who sees what.
 */
#include <stdlib.h>

#include "support/call.h"

#define NR_BLOCKS 16
#define THIN_BYTES (NR_BLOCKS * WORLD_BLOCK)

static struct world w;
static struct tp_queue *queue;
static char buffer[2 * THIN_BYTES];

static struct tp_thin *begin_full(int kind)
{
	struct tp_thin *thin;

	world_begin(&w, kind);
	ck_ok(tp_queue_create(w.pool, 16, &queue));
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 1);

	return thin;
}

static void end_two(struct tp_thin *one, struct tp_thin *two)
{
	tp_queue_destroy(queue);
	thins_close(one, two);
	world_end(&w);
}

/* A write of @seed's pattern. */
static void submit_write(struct io *io, struct tp_thin *thin, uint64_t offset,
			 uint64_t length, uint64_t seed, unsigned flags)
{
	static char bytes[8][WORLD_BLOCK];
	static unsigned next;
	char *mine = bytes[next++ % 8];

	fill_pattern(mine, length, offset, seed);
	io_init(io, TP_WRITE, mine, offset, length, flags);
	io_submit(io, queue, thin);
}

/*---------------------------- reads ----------------------------------------*/

/* B-READ-4: submitting does not wait for metadata; nor does who needs none. */
START_TEST(test_a_read_waits_for_its_mapping_and_nobody_else_does)
{
	struct tp_thin *thin = begin_full(_i), *other;
	struct io cold, warm;

	other = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(other, 0, WORLD_BLOCK, 2);
	thins_close(thin, other);
	tp_queue_destroy(queue);
	world_reopen(&w);
	ck_ok(tp_queue_create(w.pool, 16, &queue));
	thin = world_open_thin(&w, 0, THIN_BYTES);
	other = world_open_thin(&w, 1, THIN_BYTES);
	thin_verify(other, 0, WORLD_BLOCK, 2);
	observer_hold(&w.metadata, OPS(TP_READ));
	io_init(&cold, TP_READ, buffer, 0, WORLD_BLOCK, 0);
	io_submit(&cold, queue, thin);
	world_until(&w, w.metadata.nr_held > 0);
	io_init(&warm, TP_READ, buffer + THIN_BYTES, 0, WORLD_BLOCK, 0);
	io_submit(&warm, queue, other);
	ck_ok(io_wait(&w, &warm, queue));
	ck_assert(!io_has_ended(&cold, queue));
	observer_release(&w.metadata);
	ck_ok(io_wait(&w, &cold, queue));
	ck_assert_uint_eq(find_other(buffer, WORLD_BLOCK, 0, 1), UINT64_MAX);
	end_two(thin, other);
}
END_TEST

static void expect_zero_unread(struct tp_thin *thin, uint64_t offset)
{
	unsigned nr_reads = w.data.nr_begun[TP_READ];

	thin_verify_zero(thin, offset, THIN_BYTES - offset);
	ck_assert_uint_eq(w.data.nr_begun[TP_READ], nr_reads);
	ck_assert_uint_eq(thin_mapped(thin), offset);
}

/* B-READ-1, R-76: whatever the device held there before. */
START_TEST(test_what_is_unmapped_reads_as_zero_in_every_mode)
{
	uint64_t half = THIN_BYTES / 2;
	struct tp_thin *thin;

	world_make_sized(&w, _i, 2 * MIB, half, NULL);
	memset(w.data.bytes, 0xa5, half);
	w.options.flags |= TP_POOL_ERROR_IF_NO_SPACE;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	expect_zero_unread(thin, 0);
	thin_fill(thin, 0, half, 1);
	expect_zero_unread(thin, half);
	ck_assert_int_eq(tp_thin_write(thin, buffer, 512, half, 0), -ENOSPC);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_OUT_OF_DATA_SPACE);
	expect_zero_unread(thin, half);
	ck_ok(tp_thin_close(thin));
	w.options.flags |= TP_POOL_READ_ONLY;
	world_reopen(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	expect_zero_unread(thin, half);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* SNP-02, B-READ-2: shared or not, a block reads the same. */
START_TEST(test_a_snapshot_of_half_a_thin_stays_so)
{
	struct tp_thin *thin, *snapshot;
	uint64_t half = THIN_BYTES / 2;

	world_begin(&w, _i);
	ck_ok(tp_queue_create(w.pool, 16, &queue));
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, half, 1);
	snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	thin_verify(thin, 0, half, 1);
	thin_verify(snapshot, 0, half, 1);
	thin_verify_zero(thin, half, half);
	thin_verify_zero(snapshot, half, half);
	thin_fill(thin, half, half, 2);
	thin_verify(thin, 0, half, 1);
	thin_verify(thin, half, half, 2);
	thin_verify(snapshot, 0, half, 1);
	thin_verify_zero(snapshot, half, half);
	end_two(thin, snapshot);
}
END_TEST

/*---------------------------- breaking sharing -----------------------------*/

/* B-COW-4: nothing is committed for it; after a crash the thin is back on the
 * old block, which nobody wrote. */
START_TEST(test_breaking_sharing_ends_without_a_commit)
{
	struct tp_thin *thin = begin_full(_i), *old;
	struct tp_thin *snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	uint64_t where = thin_where(thin, 0), nr_commits;
	unsigned nr_writes = w.metadata.nr_begun[TP_WRITE];
	struct world crashed;

	nr_commits = world_status(&w).nr_commits;
	thin_fill(thin, 512, 512, 2);
	ck_assert_uint_eq(world_status(&w).nr_commits, nr_commits);
	ck_assert_uint_eq(w.metadata.nr_begun[TP_WRITE], nr_writes);
	ck_assert_uint_ne(thin_where(thin, 0), where);
	world_copy(&w, &crashed, _i);
	world_open(&crashed);
	for (uint32_t id = 0; id < 2; id++) {
		old = world_open_thin(&crashed, id, THIN_BYTES);
		ck_assert_uint_eq(thin_where(old, 0), where);
		thin_verify(old, 0, THIN_BYTES, 1);
		ck_ok(tp_thin_close(old));
	}
	world_end(&crashed);
	end_two(thin, snapshot);
}
END_TEST

/* B-COW-5, B-LOCK-9: writes to one block by both of its owners, while the copy
 * for the first is under way.  Each goes to its own thin's new block, and what
 * has to be durable at its end is. */
START_TEST(test_writes_that_wait_for_a_copy_end_up_in_their_own_thin)
{
	struct tp_thin *thin = begin_full(_i), *old;
	struct tp_thin *snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	struct world crashed;
	struct io io[4];

	observer_hold_next(&w.data, OPS(TP_READ), 1);
	submit_write(&io[0], thin, 512, 512, 2, 0);
	world_until(&w, w.data.nr_held == 1);
	submit_write(&io[1], thin, 2048, 512, 2, 0);
	submit_write(&io[2], thin, 4096, 512, 2, TP_FUA);
	submit_write(&io[3], snapshot, 1024, 512, 3, 0);
	world_idle(&w);
	ck_assert(!io_has_ended(&io[0], queue));
	ck_assert(!io_has_ended(&io[2], queue));
	observer_release(&w.data);
	for (unsigned i = 0; i < 4; i++)
		ck_ok(io_wait(&w, &io[i], queue));
	world_copy(&w, &crashed, _i);
	world_open(&crashed);
	old = world_open_thin(&crashed, 0, THIN_BYTES);
	thin_verify(old, 4096, 512, 2);
	ck_ok(tp_thin_close(old));
	world_end(&crashed);

	thin_verify(thin, 0, 512, 1);
	thin_verify(thin, 512, 512, 2);
	thin_verify(thin, 1024, 1024, 1);
	thin_verify(thin, 2048, 512, 2);
	thin_verify(thin, 2560, 1536, 1);
	thin_verify(thin, 4096, 512, 2);
	thin_verify(thin, 4608, THIN_BYTES - 4608, 1);
	thin_verify(snapshot, 0, 1024, 1);
	thin_verify(snapshot, 1024, 512, 3);
	thin_verify(snapshot, 1536, THIN_BYTES - 1536, 1);
	end_two(thin, snapshot);
}
END_TEST

/*---------------------------- snapshots under writes -----------------------*/

static int take_snapshot(void *context)
{
	(void)context;

	return tp_pool_create_snapshot(w.pool, 2, 0);
}

/*
 * A write is on its way to the device when the snapshot is asked for: to a block
 * that the origin has to itself, or to one that is being made for it.
 */
static void snapshot_during_write(uint64_t offset)
{
	struct tp_thin *thin = begin_full(OWN_THREAD), *other, *snapshot;
	struct io before, after, beside;
	struct call call;

	ck_ok(tp_thin_discard(thin, 0, THIN_BYTES / 2));
	thin_verify(thin, THIN_BYTES / 2, THIN_BYTES / 2, 1);
	other = world_new_thin(&w, 1, THIN_BYTES);
	observer_hold_next(&w.data, OPS(TP_WRITE), 1);
	submit_write(&before, thin, offset, 4096, 2, 0);
	world_until(&w, w.data.nr_held == 1);
	call_begin(&call, take_snapshot, NULL);
	call_await(&w, &call);
	submit_write(&after, thin, offset + 4096, 4096, 3, 0);
	submit_write(&beside, other, 0, 4096, 4, 0);
	ck_ok(io_wait(&w, &beside, queue));
	thin_verify(other, 0, 4096, 4);
	ck_assert(!io_has_ended(&before, queue));
	ck_assert(!io_has_ended(&after, queue));
	observer_release(&w.data);
	ck_ok(call_end(&call));
	ck_ok(io_wait(&w, &before, queue));
	ck_ok(io_wait(&w, &after, queue));
	thin_verify(thin, offset, 4096, 2);
	thin_verify(thin, offset + 4096, 4096, 3);
	snapshot = world_open_thin(&w, 2, THIN_BYTES);
	thin_verify(snapshot, offset, 4096, 2);
	ck_ok(tp_thin_read(snapshot, buffer, 4096, offset + 4096));
	ck_assert(find_other(buffer, 4096, offset + 4096, 3) != UINT64_MAX);
	ck_ok(tp_thin_close(snapshot));
	end_two(thin, other);
}

/* B-SNAP-1: one that is written in place is in the snapshot, and never writes
 * what the snapshot has already.  B-SNAP-6: other thins go on. */
START_TEST(test_a_snapshot_awaits_a_write_in_place_and_others_go_on)
{
	snapshot_during_write(THIN_BYTES / 2);
}
END_TEST

/* B-SNAP-4: a block that is being made is finished before. */
START_TEST(test_a_snapshot_awaits_a_block_that_is_being_made)
{
	snapshot_during_write(0);
}
END_TEST

/*---------------------------- what users do --------------------------------*/

static void write_and_verify(struct tp_thin *thin, uint64_t seed)
{
	thin_fill(thin, 0, THIN_BYTES, seed);
	thin_verify(thin, 0, THIN_BYTES, seed);
}

/* SNP-08: unprovisioned, provisioned, shared, unshared; each opened anew. */
START_TEST(test_a_thin_shows_what_is_written_at_every_stage_of_its_life)
{
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	for (uint32_t stage = 0; stage < 4; stage++) {
		write_and_verify(thin, stage);
		ck_ok(tp_thin_close(thin));
		world_close(&w);
		world_check(&w);
		world_open(&w);
		if (stage == 1)
			ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
		thin = world_open_thin(&w, stage >= 1, THIN_BYTES);
		thin_verify(thin, 0, THIN_BYTES, stage);
	}
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* SNP-09: twice the thin, and a window, is room for a thin and its snapshot. */
START_TEST(test_a_snapshot_takes_no_more_space_than_it_needs)
{
	struct tp_thin *thin, *snapshot;

	world_make_sized(&w, _i, 2 * MIB, 2 * THIN_BYTES + 2 * WORLD_BLOCK,
			 NULL);
	w.options.flags |= TP_POOL_ERROR_IF_NO_SPACE;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 1);
	snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	for (uint64_t at = 0; at < THIN_BYTES; at += WORLD_BLOCK)
		thin_fill(thin, at, WORLD_BLOCK, 2);
	for (uint64_t at = 0; at < THIN_BYTES; at += WORLD_BLOCK)
		thin_fill(snapshot, at, WORLD_BLOCK, 3);
	thin_verify(thin, 0, THIN_BYTES, 2);
	thin_verify(snapshot, 0, THIN_BYTES, 3);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	thins_close(thin, snapshot);
	world_end(&w);
}
END_TEST

#define NR_STEPS 30u

/* SNP-10: each snapshot shows the step at which it was taken. */
START_TEST(test_every_snapshot_of_a_history_shows_its_step)
{
	struct tp_thin *thin = begin_full(_i), *snapshot;
	uint64_t random = seed_from_environment(10);
	char *steps = malloc(NR_STEPS * (size_t)THIN_BYTES);

	ck_assert_ptr_nonnull(steps);
	for (uint32_t i = 0; i < NR_STEPS; i++) {
		ck_ok(tp_thin_read(thin, steps + i * (size_t)THIN_BYTES,
				   THIN_BYTES, 0));
		ck_ok(tp_pool_create_snapshot(w.pool, 1 + i, 0));
		for (unsigned k = 0; k < 4; k++) {
			uint64_t at =
				random_in(&random, 0, NR_BLOCKS) * WORLD_BLOCK;

			if (k)
				thin_fill(thin, at + 512, 4096, 2 + i);
			else
				ck_ok(tp_thin_discard(thin, at, WORLD_BLOCK));
		}
	}
	for (uint32_t i = 0; i < NR_STEPS; i++) {
		snapshot = world_open_thin(&w, 1 + i, THIN_BYTES);
		ck_ok(tp_thin_read(snapshot, buffer, THIN_BYTES, 0));
		ck_assert(!memcmp(buffer, steps + i * (size_t)THIN_BYTES,
				  THIN_BYTES));
		ck_ok(tp_thin_close(snapshot));
	}
	free(steps);
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* SNP-12. */
START_TEST(test_clones_of_a_snapshot_do_not_see_each_other)
{
	struct tp_thin *thin = begin_full(_i), *snapshot, *one, *two;

	snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	one = world_snapshot(&w, 2, 1, THIN_BYTES);
	two = world_snapshot(&w, 3, 1, THIN_BYTES);
	thin_fill(one, 0, THIN_BYTES / 2, 2);
	thin_verify(one, 0, THIN_BYTES / 2, 2);
	thin_verify(one, THIN_BYTES / 2, THIN_BYTES / 2, 1);
	thin_verify(two, 0, THIN_BYTES, 1);
	thin_verify(snapshot, 0, THIN_BYTES, 1);
	thins_close(one, two);
	end_two(thin, snapshot);
}
END_TEST

/* SNP-14: what is written to both is written twice. */
START_TEST(test_the_same_bytes_on_both_sides_take_two_blocks)
{
	struct tp_thin *thin = begin_full(_i);
	struct tp_thin *snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);

	thin_fill(thin, 0, THIN_BYTES, 2);
	thin_fill(snapshot, 0, THIN_BYTES, 2);
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, world_used(&w) == 2 * NR_BLOCKS);
	for (uint64_t at = 0; at < THIN_BYTES; at += WORLD_BLOCK)
		ck_assert_uint_ne(thin_where(thin, at),
				  thin_where(snapshot, at));
	thin_verify(thin, 0, THIN_BYTES, 2);
	thin_verify(snapshot, 0, THIN_BYTES, 2);
	end_two(thin, snapshot);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"sharing", NR_KINDS,
		test_a_read_waits_for_its_mapping_and_nobody_else_does,
		test_what_is_unmapped_reads_as_zero_in_every_mode,
		test_a_snapshot_of_half_a_thin_stays_so,
		test_breaking_sharing_ends_without_a_commit,
		test_writes_that_wait_for_a_copy_end_up_in_their_own_thin,
		test_a_snapshot_awaits_a_write_in_place_and_others_go_on,
		test_a_snapshot_awaits_a_block_that_is_being_made,
		test_a_thin_shows_what_is_written_at_every_stage_of_its_life,
		test_a_snapshot_takes_no_more_space_than_it_needs,
		test_every_snapshot_of_a_history_shows_its_step,
		test_clones_of_a_snapshot_do_not_see_each_other,
		test_the_same_bytes_on_both_sides_take_two_blocks);
}
