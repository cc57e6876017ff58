/*
 * What a pool owes its host after a request to a device has failed.  That it is
 * so for each request of each operation is shown in tests/faults.
 */
#include <stdlib.h>

#include "support/world.h"

#define THIN_BYTES (4 * MIB)

static struct world w;
static char buffer[THIN_BYTES];

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

/* A2, B-ABORT-5: the thin is there again, without what was written. */
START_TEST(test_a_deletion_that_failed_does_not_hide_what_was_lost)
{
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	observer_fail(&w.metadata, OPS(TP_WRITE), 0, 1, -EIO);
	ck_assert_int_lt(tp_pool_delete_thin(w.pool, 1), 0);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_READ_ONLY);
	thin = world_open_thin(&w, 1, THIN_BYTES);
	thin_verify_zero(thin, 0, WORLD_BLOCK);
	ck_assert(thin_info(thin).lost_writes);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	ck_ok(tp_thin_close(thin));
	tp_pool_close(w.pool);
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
		test_a_discard_that_the_device_refuses_is_done_all_the_same,
		test_a_deletion_that_failed_does_not_hide_what_was_lost,
		test_a_thin_that_lost_writes_keeps_failing_its_flushes,
		test_a_data_flush_that_failed_is_not_made_good_later);
}
