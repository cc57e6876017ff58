/*
 * A device request fails, the first, the second, and so on until none does,
 * once or from then on: whatever was asked for ends with an error or was done,
 * the pool is in the mode that the rules give, closes, and opens again with the
 * old content or the new in every sector (B-ABORT, B-WRITE-5, crash-contract
 * F-01 to F-13, A3).
 */
#include <stdlib.h>

#include "support/world.h"

#define THIN_BYTES (4 * MIB)

static struct world w;
static char buffer[THIN_BYTES];

/* What is done while the fault lurks; stops at the first error, and closes what
 * it opened. */
static int write_both(struct tp_thin *thin, struct tp_thin *snapshot)
{
	static char bytes[600 * KIB];
	int r;

	fill_pattern(bytes, sizeof(bytes), 8 * KIB, 2);
	r = tp_thin_write(thin, bytes, sizeof(bytes), 8 * KIB, 0);
	if (!r)
		r = tp_thin_flush(thin);
	fill_pattern(bytes, WORLD_BLOCK, WORLD_BLOCK, 3);
	if (!r)
		r = tp_thin_write(snapshot, bytes, WORLD_BLOCK, WORLD_BLOCK,
				  TP_FUA);
	if (!r)
		r = tp_thin_discard(thin, 2 * MIB, MIB);
	if (!r)
		r = tp_thin_flush(thin);

	return r;
}

static int with_snapshot(struct tp_thin *thin)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *snapshot;
	int r;

	options.size = THIN_BYTES;
	r = tp_pool_create_snapshot(w.pool, 2, 1);
	if (!r)
		r = tp_thin_open(w.pool, 2, &options, &snapshot);
	if (r)
		return r;
	r = write_both(thin, snapshot);
	ck_ok(tp_thin_close(snapshot));
	if (!r)
		r = tp_pool_delete_thin(w.pool, 2);

	return r;
}

static int live(void)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;
	int r;

	options.size = THIN_BYTES;
	r = tp_thin_open(w.pool, 1, &options, &thin);
	if (r)
		return r;
	r = with_snapshot(thin);
	ck_ok(tp_thin_close(thin));

	return r;
}

/* Old, new, or discarded; nothing else. */
static void check_sectors(void)
{
	struct tp_thin *thin = world_open_thin(&w, 1, THIN_BYTES);

	ck_ok(tp_thin_read(thin, buffer, THIN_BYTES, 0));
	for (uint64_t at = 0; at < THIN_BYTES; at += 512) {
		char *sector = buffer + at;
		bool is_new = at >= 8 * KIB && at < 608 * KIB;
		bool is_gone = at >= 2 * MIB && at < 3 * MIB;

		ck_assert_msg(
			find_other(sector, 512, at, 1) == UINT64_MAX ||
				(is_new && find_other(sector, 512, at, 2) ==
						   UINT64_MAX) ||
				(is_gone &&
				 find_nonzero(sector, 512, at) == UINT64_MAX),
			"the sector at %llu is neither old nor new",
			(unsigned long long)at);
	}
	ck_ok(tp_thin_close(thin));
}

static void prepare(int kind)
{
	struct tp_thin *thin;

	world_make(&w, kind);
	memset(w.data.bytes, 0xee, w.data.size_bytes);
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_thin_close(thin));
	world_close(&w);
}

/* An error, and then only what the rules allow: a commit that failed leaves the
 * pool read-only, or failed if not even that could be recorded. */
static void check_mode(int error, enum tp_op op, bool on_metadata, bool lasting)
{
	struct tp_pool_status status = world_status(&w);

	if (!error)
		ck_assert_int_eq(status.mode, TP_MODE_WRITE);
	if (error && on_metadata && op != TP_READ)
		ck_assert_int_eq(status.mode,
				 lasting ? TP_MODE_FAILED : TP_MODE_READ_ONLY);
	if (status.mode == TP_MODE_READ_ONLY)
		ck_assert(status.needs_check);
	if (error && !on_metadata && op == TP_WRITE)
		ck_assert_int_eq(status.mode, TP_MODE_WRITE);
}

/* True if the fault was met. */
static bool fault_at(int kind, enum tp_op op, bool on_metadata, unsigned skip,
		     bool lasting)
{
	struct observer *device = on_metadata ? &w.metadata : &w.data;
	bool met;
	int r;

	prepare(kind);
	world_open(&w);
	device->nr_failed = 0;
	observer_fail(device, OPS(op), skip, lasting ? 0 : 1, -EIO);
	r = live();
	check_mode(r, op, on_metadata, lasting);
	r = tp_pool_close(w.pool);
	w.pool = NULL;
	met = device->nr_failed != 0;
	observer_heal(device);
	if (!met)
		ck_assert_int_eq(r, 0);

	world_open(&w);
	check_sectors();
	world_close(&w);
	if (skip % 3 == 0) /* the checkers take their time */
		world_check(&w);
	world_unmake(&w);

	return met;
}

static unsigned sweep(int kind, enum tp_op op, bool on_metadata)
{
	unsigned skip = 0;

	while (fault_at(kind, op, on_metadata, skip, skip % 2) && skip < 200)
		skip++;
	ck_assert_uint_lt(skip, 200);

	return skip;
}

/* F-08, F-09, F-10: before the superblock, at the superblock, at needs_check. */
START_TEST(test_a_metadata_write_that_fails_leaves_the_old_or_the_new)
{
	ck_assert_uint_gt(sweep(_i, TP_WRITE, true), 3);
}
END_TEST

START_TEST(test_a_metadata_flush_that_fails_leaves_the_old_or_the_new)
{
	ck_assert_uint_gt(sweep(_i, TP_FLUSH, true), 3);
}
END_TEST

/* F-03, F-04, F-05: the blocks are given back, nothing is mapped. */
START_TEST(test_a_data_write_that_fails_maps_nothing)
{
	ck_assert_uint_gt(sweep(_i, TP_WRITE, false), 2);
}
END_TEST

/* F-06, F-07. */
START_TEST(test_a_data_flush_that_fails_makes_nothing_durable)
{
	ck_assert_uint_gt(sweep(_i, TP_FLUSH, false), 3);
}
END_TEST

/* F-02: the source of a copy. */
START_TEST(test_a_data_read_that_fails_maps_nothing)
{
	ck_assert_uint_gt(sweep(_i, TP_READ, false), 0);
}
END_TEST

/* B-DISC-7: the device's answer to a discard does not matter. */
START_TEST(test_a_discard_that_the_device_refuses_is_done_all_the_same)
{
	struct tp_thin *thin;

	prepare(_i);
	world_open(&w);
	observer_fail(&w.data, OPS(TP_DISCARD), 0, 0, -EIO);
	thin = world_open_thin(&w, 1, THIN_BYTES);
	ck_ok(tp_thin_discard(thin, 0, THIN_BYTES));
	ck_ok(tp_thin_flush(thin));
	thin_verify_zero(thin, 0, THIN_BYTES);
	ck_assert_uint_eq(world_used(&w), 0);
	ck_ok(tp_thin_close(thin));
	observer_heal(&w.data);
	world_close(&w);
	world_check(&w);
	world_unmake(&w);
}
END_TEST

/* B-ABORT-5, B-FLUSH-7, R-57: what was lost is told for as long as the pool is
 * open, also to a new handle; another thin goes on. */
START_TEST(test_a_thin_that_lost_writes_keeps_failing_its_flushes)
{
	struct tp_thin *lost, *other;
	static char bytes[WORLD_BLOCK];

	world_make(&w, _i);
	world_format(&w);
	world_open(&w);
	lost = world_new_thin(&w, 1, THIN_BYTES);
	other = world_new_thin(&w, 2, THIN_BYTES);
	thin_fill(other, 0, WORLD_BLOCK, 1);
	ck_ok(tp_pool_commit(w.pool));
	thin_fill(lost, 0, WORLD_BLOCK, 1);
	observer_fail(&w.metadata, OPS(TP_WRITE), 0, 1, -EIO);
	ck_assert_int_eq(tp_thin_flush(lost), -EIO);
	observer_heal(&w.metadata);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_READ_ONLY);
	ck_assert(thin_info(lost).lost_writes);
	ck_assert_int_eq(tp_thin_flush(lost), -EIO);
	ck_ok(tp_thin_close(lost));
	lost = world_open_thin(&w, 1, THIN_BYTES);
	ck_assert_int_eq(tp_thin_flush(lost), -EIO);
	ck_ok(tp_thin_flush(other));
	thin_verify(other, 0, WORLD_BLOCK, 1);
	thin_verify_zero(lost, 0, WORLD_BLOCK);
	ck_assert_int_eq(tp_thin_write(lost, bytes, sizeof(bytes), 0, 0), -EIO);
	ck_assert_int_eq(tp_pool_create_thin(w.pool, 9), -EOPNOTSUPP);
	ck_ok(tp_thin_close(lost));
	ck_ok(tp_thin_close(other));
	world_close(&w);
	world_open(&w);
	ck_assert(world_status(&w).needs_check);
	lost = world_open_thin(&w, 1, THIN_BYTES);
	ck_ok(tp_thin_flush(lost));
	ck_ok(tp_thin_close(lost));
	world_close(&w);
	world_unmake(&w);
}
END_TEST

/* B-FLUSH-10, R-17: without a commit too, and a flush that succeeds later does
 * not make it good. */
START_TEST(test_a_data_flush_that_failed_is_not_made_good_later)
{
	struct tp_thin *written, *other;

	world_make(&w, _i);
	world_format(&w);
	world_open(&w);
	written = world_new_thin(&w, 1, THIN_BYTES);
	other = world_new_thin(&w, 2, THIN_BYTES);
	thin_fill(written, 0, WORLD_BLOCK, 1);
	thin_fill(other, 0, WORLD_BLOCK, 1);
	ck_ok(tp_pool_commit(w.pool));
	thin_fill(written, 0, WORLD_BLOCK, 2);
	observer_fail(&w.data, OPS(TP_FLUSH), 0, 1, -EIO);
	ck_assert_int_eq(tp_thin_flush(written), -EIO);
	observer_heal(&w.data);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	ck_assert_int_eq(tp_thin_flush(written), -EIO);
	ck_ok(tp_thin_flush(other));
	ck_assert_int_eq(tp_thin_write(written, buffer, WORLD_BLOCK, 0, TP_FUA),
			 -EIO);
	ck_ok(tp_thin_close(written));
	ck_ok(tp_thin_close(other));
	world_close(&w);
	world_unmake(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"faults", NR_KINDS,
		test_a_metadata_write_that_fails_leaves_the_old_or_the_new,
		test_a_metadata_flush_that_fails_leaves_the_old_or_the_new,
		test_a_data_write_that_fails_maps_nothing,
		test_a_data_flush_that_fails_makes_nothing_durable,
		test_a_data_read_that_fails_maps_nothing,
		test_a_discard_that_the_device_refuses_is_done_all_the_same,
		test_a_thin_that_lost_writes_keeps_failing_its_flushes,
		test_a_data_flush_that_failed_is_not_made_good_later);
}
