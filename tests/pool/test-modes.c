/*
 * Read-only pools, needs_check, failed pools: what each mode still does.
 */
#include <stdlib.h>

#include "support/world.h"

#define THIN_BYTES (4 * MIB)

static struct world w;
static char block[WORLD_BLOCK];

/* A thin with a mapped block, an own one and one shared with a snapshot. */
static void make_pool(int kind)
{
	struct tp_thin *thin;

	world_begin(&w, kind);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	thin_fill(thin, WORLD_BLOCK, WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	world_close(&w);
}

static enum tp_pool_mode mode(void)
{
	return world_status(&w).mode;
}

/* The table of 5.5 for the read-only modes. */
static void check_read_only(struct tp_thin *thin)
{
	fill_pattern(block, WORLD_BLOCK, WORLD_BLOCK, 2);
	thin_verify(thin, 0, WORLD_BLOCK, 1);
	thin_verify_zero(thin, 8 * WORLD_BLOCK, 4 * WORLD_BLOCK);
	ck_ok(tp_thin_write(thin, block, WORLD_BLOCK, WORLD_BLOCK, 0));
	thin_verify(thin, WORLD_BLOCK, WORLD_BLOCK, 2);
	ck_ok(tp_thin_write_zeroes(thin, WORLD_BLOCK, 512, 0));
	ck_assert_int_eq(tp_thin_write(thin, block, 512, 0, 0), -EIO);
	ck_assert_int_eq(tp_thin_write(thin, block, 512, 9 * WORLD_BLOCK, 0),
			 -EIO);
	ck_ok(tp_thin_flush(thin));
	ck_ok(tp_thin_discard(thin, 0, THIN_BYTES));
	ck_assert_uint_eq(thin_mapped(thin), 2 * WORLD_BLOCK);
	thin_verify(thin, 0, WORLD_BLOCK, 1);
	ck_assert_int_eq(tp_pool_create_thin(w.pool, 5), -EOPNOTSUPP);
	ck_assert_int_eq(tp_pool_create_snapshot(w.pool, 5, 0), -EOPNOTSUPP);
	ck_assert_int_eq(tp_pool_delete_thin(w.pool, 1), -EOPNOTSUPP);
	ck_assert_int_eq(tp_pool_set_transaction_id(w.pool, 0, 1), -EOPNOTSUPP);
	ck_assert_int_eq(tp_pool_reserve_metadata_snapshot(w.pool),
			 -EOPNOTSUPP);
	ck_assert_int_eq(tp_pool_grow_data(w.pool), -EOPNOTSUPP);
	ck_assert_int_eq(tp_pool_grow_metadata(w.pool), -EOPNOTSUPP);
	ck_assert_uint_eq(world_status(&w).nr_thins, 2);
}

/* RDO-01..05, R-59, R-76, R-81, B-MSG-1. */
START_TEST(test_a_read_only_pool_never_changes_metadata)
{
	struct tp_thin *thin;
	unsigned nr_writes;
	char *before;

	make_pool(_i);
	nr_writes = w.metadata.nr_begun[TP_WRITE];
	before = snapshot_of(&w.metadata);
	w.options.flags |= TP_POOL_READ_ONLY;
	world_open(&w);
	ck_assert_int_eq(mode(), TP_MODE_READ_ONLY);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	check_read_only(thin);
	ck_ok(tp_thin_close(thin));
	world_close(&w);
	ck_assert(is_same(&w.metadata, before));
	ck_assert_uint_eq(w.metadata.nr_begun[TP_WRITE], nr_writes);
	free(before);
	world_check(&w);
	world_unmake(&w);
}
END_TEST

/* R-07, B-POOL-11, CRS-05.  It flushes once, before it reads: what a superblock
 * says may be built on only when that superblock is durable (B-ABORT-9, M4). */
START_TEST(test_looking_around_writes_nothing)
{
	struct tp_thin *thin;
	unsigned nr_requests;

	make_pool(_i);
	nr_requests =
		w.metadata.nr_begun[TP_WRITE] + w.metadata.nr_begun[TP_FLUSH];
	world_open(&w);
	ck_assert_uint_eq(w.metadata.nr_begun[TP_WRITE] +
				  w.metadata.nr_begun[TP_FLUSH],
			  nr_requests + 1);
	nr_requests++;
	thin = world_open_thin(&w, 0, THIN_BYTES);
	thin_verify(thin, 0, 2 * WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	world_close(&w);
	ck_assert_uint_eq(w.metadata.nr_begun[TP_WRITE] +
				  w.metadata.nr_begun[TP_FLUSH],
			  nr_requests);
	world_unmake(&w);
}
END_TEST

/* B-POOL-11 [S]: data that was only overwritten in place is flushed. */
START_TEST(test_close_flushes_data_that_changed_no_metadata)
{
	struct tp_thin *thin;

	make_pool(_i);
	world_open(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, WORLD_BLOCK, WORLD_BLOCK, 3);
	ck_ok(tp_thin_close(thin));
	io_log_clear(&w.log);
	world_close(&w);
	ck_assert_uint_eq(io_log_count(&w.log, "data", TP_FLUSH), 1);
	ck_assert_uint_eq(io_log_count(&w.log, "metadata", TP_WRITE), 0);
	world_unmake(&w);
}
END_TEST

struct fault {
	enum tp_op op;
	unsigned skip;
	uint64_t begin;
	enum tp_pool_mode mode;
};

/* CRS-01, NCK-01, -02, -06, F-08, B-MODE-1, R-50, R-54, R-88. */
START_TEST(test_a_commit_that_fails_leaves_the_last_transaction_read_only)
{
	static const struct fault faults[] = {
		{ TP_WRITE, 0, 4096, TP_MODE_READ_ONLY },
		{ TP_WRITE, 1, 4096, TP_MODE_READ_ONLY },
		{ TP_FLUSH, 0, 0, TP_MODE_READ_ONLY },
	};

	for (unsigned i = 0; i < 3; i++) {
		struct tp_thin *thin;
		uint32_t time;

		make_pool(_i);
		world_open(&w);
		time = world_status(&w).time;
		thin = world_open_thin(&w, 0, THIN_BYTES);
		thin_fill(thin, 4 * WORLD_BLOCK, 4 * WORLD_BLOCK, 5);
		observer_fail_range(&w.metadata, OPS(faults[i].op),
				    faults[i].skip, 1, -EIO, faults[i].begin,
				    UINT64_MAX);
		ck_assert_int_eq(tp_pool_create_snapshot(w.pool, 9, 0), -EIO);
		ck_assert_int_eq(mode(), faults[i].mode);
		ck_assert(world_status(&w).needs_check);
		ck_assert_uint_eq(world_status(&w).time, time);
		ck_assert_uint_eq(thin_mapped(thin), 2 * WORLD_BLOCK);
		ck_assert(thin_info(thin).lost_writes);
		ck_assert_int_eq(tp_thin_flush(thin), -EIO);
		thin_verify_zero(thin, 4 * WORLD_BLOCK, 4 * WORLD_BLOCK);
		ck_ok(tp_thin_close(thin));
		for (unsigned round = 0; round < 3; round++) {
			world_reopen(&w);
			ck_assert_int_eq(mode(), TP_MODE_READ_ONLY);
			ck_assert(world_status(&w).needs_check);
		}
		thin = world_open_thin(&w, 0, THIN_BYTES);
		check_read_only(thin);
		ck_ok(tp_thin_close(thin));
		world_end(&w);
	}
}
END_TEST

/* F-10, F-25, NCK-04, NCK-05, R-53, R-55, B-MODE-2, B-BAD-24, B-GROW-6. */
START_TEST(test_a_failed_pool_answers_every_call_and_closes)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin, *other;
	struct tp_pool_options changed;
	int r;

	make_pool(_i);
	world_open(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 4 * WORLD_BLOCK, WORLD_BLOCK, 5);
	observer_fail(&w.metadata, ALL_OPS, 0, 0, -EIO);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	ck_assert_int_eq(mode(), TP_MODE_FAILED);
	observer_heal(&w.metadata);
	ck_assert_int_eq(tp_thin_read(thin, block, 512, 0), -EIO);
	ck_assert_int_eq(tp_thin_read(thin, block, 512, 3 * MIB), -EIO);
	ck_assert_int_eq(tp_thin_write(thin, block, 512, WORLD_BLOCK, 0), -EIO);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	ck_assert_int_eq(tp_thin_discard(thin, 0, THIN_BYTES), -EIO);
	ck_assert_int_eq(tp_pool_create_thin(w.pool, 9), -EOPNOTSUPP);
	options.size = THIN_BYTES;
	ck_assert_int_eq(tp_thin_open(w.pool, 1, &options, &other), -EINVAL);
	r = tp_pool_suspend(w.pool);
	if (!r) {
		changed = w.options;
		ck_ok(tp_pool_resume(w.pool, &changed));
	}
	ck_assert_int_eq(mode(), TP_MODE_FAILED);
	ck_ok(tp_thin_close(thin));
	tp_pool_close(w.pool);
	w.pool = NULL;
	world_open(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	thin_verify(thin, 0, 2 * WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* F-09, R-18, B-ABORT-9: reported failed, and it may be on disk or not. */
START_TEST(test_a_superblock_that_failed_leaves_old_or_new)
{
	for (unsigned i = 0; i < 4; i++) {
		struct tp_thin *thin;
		bool arrives = i % 2;
		int r;

		make_pool(_i);
		world_open(&w);
		thin = world_open_thin(&w, 0, THIN_BYTES);
		thin_fill(thin, 4 * WORLD_BLOCK, WORLD_BLOCK, 5);

		/* The write fails, or it gets through and its flush fails. */
		if (arrives)
			observer_fail(&w.metadata, OPS(TP_FLUSH), 1,
				      i < 2 ? 1 : 0, -EIO);
		else
			observer_fail_range(&w.metadata, OPS(TP_WRITE), 0,
					    i < 2 ? 1 : 0, -EIO, 0, 4096);
		ck_assert_int_eq(tp_thin_flush(thin), -EIO);
		ck_assert_int_eq(mode(),
				 i < 2 ? TP_MODE_READ_ONLY : TP_MODE_FAILED);
		observer_heal(&w.metadata);
		ck_ok(tp_thin_close(thin));
		r = tp_pool_close(w.pool);
		(void)r;
		w.pool = NULL;
		world_open(&w);
		thin = world_open_thin(&w, 0, THIN_BYTES);
		thin_verify(thin, 0, 2 * WORLD_BLOCK, 1);
		ck_ok(tp_thin_read(thin, block, WORLD_BLOCK, 4 * WORLD_BLOCK));
		ck_assert(find_other(block, WORLD_BLOCK, 4 * WORLD_BLOCK, 5) ==
				  UINT64_MAX ||
			  find_nonzero(block, WORLD_BLOCK, 0) == UINT64_MAX);
		ck_ok(tp_thin_close(thin));
		world_end(&w);
	}
}
END_TEST

/* F-07, R-17, B-FLUSH-10: no commit is involved; nobody may be told later that
 * all is well, and who wrote nothing goes on. */
START_TEST(test_a_data_flush_that_failed_is_never_made_good)
{
	struct tp_thin *thin, *other;

	make_pool(_i);
	world_open(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	other = world_open_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, WORLD_BLOCK, WORLD_BLOCK, 3);
	observer_fail(&w.data, OPS(TP_FLUSH), 0, 1, -EIO);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	ck_assert_int_eq(mode(), TP_MODE_WRITE);
	ck_assert(!world_status(&w).needs_check);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(tp_thin_flush(thin), -EIO);
		ck_assert_int_eq(tp_thin_write(thin, block, 512, WORLD_BLOCK,
					       TP_FUA),
				 -EIO);
		ck_ok(tp_thin_flush(other));
	}

	/* Reopening the thin does not forgive, reopening the pool does. */
	ck_ok(tp_thin_close(thin));
	thin = world_open_thin(&w, 0, THIN_BYTES);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_thin_close(other));
	tp_pool_close(w.pool);
	world_open(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	ck_ok(tp_thin_flush(thin));
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* F-06, 6.6: the device may have dropped what a new block of another thin was
 * filled with, and no later flush brings it back. */
START_TEST(test_a_data_flush_that_fails_gives_up_the_open_transaction)
{
	struct tp_thin *thin, *other;

	make_pool(_i);
	world_open(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	other = world_open_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 4 * WORLD_BLOCK, 512, 3);
	observer_fail(&w.data, OPS(TP_FLUSH), 0, 1, -EIO);
	ck_assert_int_eq(tp_thin_flush(other), -EIO);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	ck_assert_int_eq(mode(), TP_MODE_READ_ONLY);
	ck_assert(world_status(&w).needs_check);
	ck_ok(tp_thin_flush(other));
	ck_ok(tp_thin_read(thin, block, WORLD_BLOCK, 4 * WORLD_BLOCK));
	ck_assert_uint_eq(find_nonzero(block, WORLD_BLOCK, 0), UINT64_MAX);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_thin_close(other));
	tp_pool_close(w.pool);
	w.pool = NULL;
	world_open(&w);
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"modes", NR_KINDS, test_a_read_only_pool_never_changes_metadata,
		test_looking_around_writes_nothing,
		test_close_flushes_data_that_changed_no_metadata,
		test_a_commit_that_fails_leaves_the_last_transaction_read_only,
		test_a_failed_pool_answers_every_call_and_closes,
		test_a_superblock_that_failed_leaves_old_or_new,
		test_a_data_flush_that_failed_is_never_made_good,
		test_a_data_flush_that_fails_gives_up_the_open_transaction);
}
