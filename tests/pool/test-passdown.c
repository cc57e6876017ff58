/*
 * What discards free, on its way to the device and to its next owner; and what a
 * crash leaves of a discard.
 */
#include "support/call.h"

#define NR_BLOCKS 32
#define THIN_BYTES (NR_BLOCKS * WORLD_BLOCK)

static struct world w;
static char buffer[THIN_BYTES];

static struct tp_thin *begin_full(int kind)
{
	struct tp_thin *thin;

	world_begin(&w, kind);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_pool_commit(w.pool));

	return thin;
}

static void end_with(struct tp_thin *thin)
{
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}

/* The only discard that the data device got. */
static struct io_event only_discard(void)
{
	struct io_event found = { .op = TP_READ };

	ck_assert_uint_eq(w.data.nr_begun[TP_DISCARD], 1);
	for (unsigned i = 0; i < io_log_nr(&w.log); i++) {
		struct io_event event = io_log_get(&w.log, i);

		if (event.op == TP_DISCARD && event.when == IO_BEGIN)
			found = event;
	}
	ck_assert_int_eq(found.op, TP_DISCARD);

	return found;
}

/* B-DISC-5, B-DISC-9: not in blocks. */
START_TEST(test_a_run_of_blocks_is_passed_down_as_one)
{
	struct tp_thin *thin = begin_full(_i);
	uint64_t where = thin_where(thin, 0);
	struct io_event discard;

	ck_ok(tp_thin_discard(thin, 0, THIN_BYTES));
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, w.data.nr_begun[TP_DISCARD] > 0);
	world_idle(&w);
	discard = only_discard();
	ck_assert_uint_eq(discard.offset, where);
	ck_assert_uint_eq(discard.length, THIN_BYTES);
	end_with(thin);
}
END_TEST

/* B-DISC-9: all looks shared, and is looked at block by block. */
START_TEST(test_of_blocks_that_look_shared_those_that_are_not_are_passed_down)
{
	struct tp_thin *thin = begin_full(_i), *snapshot;
	uint64_t at = 8 * WORLD_BLOCK, length = 4 * WORLD_BLOCK, where;
	struct io_event discard;

	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	snapshot = world_open_thin(&w, 1, THIN_BYTES);
	ck_ok(tp_thin_discard(snapshot, at, length));
	ck_ok(tp_pool_commit(w.pool));
	world_idle(&w);
	ck_assert_uint_eq(w.data.nr_begun[TP_DISCARD], 0);
	where = thin_where(thin, at);
	ck_ok(tp_thin_discard(thin, 0, THIN_BYTES));
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, world_used(&w) == NR_BLOCKS - 4);
	world_settle(&w);
	discard = only_discard();
	ck_assert_uint_eq(discard.offset, where);
	ck_assert_uint_eq(discard.length, length);
	thin_verify(snapshot, 0, at, 1);
	thin_verify(snapshot, at + length, THIN_BYTES - at - length, 1);
	ck_ok(tp_thin_close(snapshot));
	end_with(thin);
}
END_TEST

/* Every discard that the device got lies in [begin, end) and is as the device
 * wants them. */
static void expect_discards_within(uint64_t begin, uint64_t end,
				   const struct tp_device_limits *limits)
{
	for (unsigned i = 0; i < io_log_nr(&w.log); i++) {
		struct io_event event = io_log_get(&w.log, i);
		uint32_t granularity = limits->discard_granularity_bytes;

		if (event.op != TP_DISCARD || event.when != IO_BEGIN)
			continue;
		ck_assert_uint_ge(event.offset, begin);
		ck_assert_uint_le(event.offset + event.length, end);
		ck_assert_uint_eq(event.offset % granularity, 0);
		ck_assert_uint_eq(event.length % granularity, 0);
		if (limits->discard_max_bytes)
			ck_assert_uint_le(event.length,
					  limits->discard_max_bytes);
	}
}

/* DSC-22, DSC-24, B-LIM-1: a granularity that is no part of a block, larger than
 * one, or smaller; thins tell of blocks, and passdown stays on. */
START_TEST(test_what_is_passed_down_suits_the_devices_granularity)
{
	static const uint32_t figures[][3] = {
		{ 64 * KIB, 96 * KIB, 0 },
		{ 64 * KIB, 256 * KIB, 0 },
		{ 256 * KIB, 64 * KIB, 256 * KIB },
	};

	for (unsigned i = 0; i < 3; i++) {
		struct tp_device_limits limits = TP_DEVICE_LIMITS_INIT;
		struct tp_thin_limits thin_limits = TP_THIN_LIMITS_INIT;
		uint64_t size = 16 * figures[i][0], where;
		struct tp_thin *thin, *other;

		limits.features = TP_DEVICE_DISCARD;
		limits.discard_granularity_bytes = figures[i][1];
		limits.discard_max_bytes = figures[i][2];
		world_make_sized(&w, _i, 2 * MIB, 16 * MIB, &limits);
		w.block_size = figures[i][0];
		world_format(&w);
		world_open(&w);
		other = world_new_thin(&w, 1, size);
		thin_fill(other, 0, figures[i][0], 2);
		thin = world_new_thin(&w, 0, size);
		thin_fill(thin, 0, size, 1);
		where = thin_where(thin, 0);
		thin_fill(other, 0, size, 2);
		ck_assert(world_status(&w).discard_passdown);
		ck_ok(tp_thin_get_limits(thin, &thin_limits));
		ck_assert_uint_eq(thin_limits.discard_granularity_bytes,
				  figures[i][0]);
		ck_assert_uint_ge(thin_limits.discard_max_bytes, size);
		ck_ok(tp_thin_discard(thin, 0, size));
		ck_assert_uint_eq(thin_mapped(thin), 0);
		ck_ok(tp_pool_commit(w.pool));
		world_until(&w, world_used(&w) == 16);
		world_settle(&w);
		ck_assert_uint_gt(w.data.nr_begun[TP_DISCARD], 0);
		expect_discards_within(where, where + size, &limits);
		thin_verify(other, 0, size, 2);
		thins_close(thin, other);
		world_end(&w);
	}
}
END_TEST

/* What a pool finds that opens after power failed now: all of [offset, offset +
 * length) is zero; if it need not be, each block is that or what it was. */
static void expect_after_power_cut(uint64_t offset, uint64_t length,
				   bool durable)
{
	struct world other;
	struct tp_thin *thin;

	world_copy(&w, &other, HOST_DRIVEN);
	world_open(&other);
	thin = world_open_thin(&other, 0, THIN_BYTES);
	ck_ok(tp_thin_read(thin, buffer, length, offset));
	for (uint64_t at = 0; at < length; at += WORLD_BLOCK)
		ck_assert(
			find_nonzero(buffer + at, WORLD_BLOCK, at) ==
				UINT64_MAX ||
			(!durable && find_other(buffer + at, WORLD_BLOCK,
						offset + at, 1) == UINT64_MAX));
	ck_ok(tp_thin_close(thin));
	world_end(&other);
}

/* What was to be passed down is, and this thread sees it. */
static void settle_down(void)
{
	world_settle(&w);
}

/* B-DISC-16, B-DISC-19, B-CRASH-19: until a flush, or with FUA its own end, a
 * discard may be undone, and then the old data is there. */
START_TEST(test_a_discard_is_durable_with_a_flush_or_its_fua)
{
	struct tp_thin *thin = begin_full(_i);
	uint64_t half = THIN_BYTES / 2;
	struct tp_queue *queue;
	struct io io;

	ck_ok(tp_queue_create(w.pool, 4, &queue));
	ck_ok(tp_thin_discard(thin, 0, half));
	settle_down();
	expect_after_power_cut(0, half, false);
	ck_ok(tp_thin_flush(thin));
	settle_down();
	expect_after_power_cut(0, half, true);
	io_init(&io, TP_DISCARD, NULL, half, half, TP_FUA);
	io_submit(&io, queue, thin);
	ck_ok(io_wait(&w, &io, queue));
	settle_down();
	expect_after_power_cut(half, half, true);
	tp_queue_destroy(queue);
	end_with(thin);
}
END_TEST

/*---------------------------- in the background ----------------------------*/

/* Every other block, and the device keeps what is passed down. */
static void discard_every_other(struct tp_thin *thin)
{
	observer_hold(&w.data, OPS(TP_DISCARD));
	for (unsigned i = 0; i < NR_BLOCKS; i += 2)
		ck_ok(tp_thin_discard(thin, i * WORLD_BLOCK, WORLD_BLOCK));
	ck_ok(tp_thin_flush(thin));
	world_until(&w, w.data.nr_held > 0);
	world_idle(&w);
}

static int suspend(void *context)
{
	(void)context;

	return tp_pool_suspend(w.pool);
}

static int close_pool(void *context)
{
	world_close(&w);

	return 0;
}

/* What waits for the one that the device has. */
static void run_and_let_go(int (*function)(void *context))
{
	struct call call;

	call_begin(&call, function, NULL);
	call_await(&w, &call);
	ck_assert(!call.returned);
	ck_assert(observer_release_one(&w.data, OPS(TP_DISCARD)));
	ck_ok(call_end(&call));
	world_idle(&w);
	ck_assert_uint_eq(w.data.nr_held, 0);
	observer_release(&w.data);
}

/* B-DISC-20: discards end though the device does not get done with them, only
 * one is on its way, and a suspend or a close drops the rest, which are free all
 * the same. */
START_TEST(test_what_is_not_passed_down_yet_is_dropped_by_a_suspend_or_close)
{
	struct tp_thin *thin = begin_full(OWN_THREAD);

	discard_every_other(thin);
	ck_assert_uint_eq(thin_mapped(thin), THIN_BYTES / 2);
	ck_assert_uint_eq(w.data.nr_begun[TP_DISCARD], 1);
	run_and_let_go(suspend);
	ck_assert_uint_eq(w.data.nr_begun[TP_DISCARD], 1);
	ck_ok(tp_pool_resume(w.pool, NULL));
	world_until(&w, world_used(&w) == NR_BLOCKS / 2);
	thin_fill(thin, 0, THIN_BYTES, 2);
	ck_ok(tp_pool_commit(w.pool));

	discard_every_other(thin);
	ck_assert_uint_eq(w.data.nr_begun[TP_DISCARD], 2);
	ck_ok(tp_thin_close(thin));
	run_and_let_go(close_pool);
	ck_assert_uint_eq(w.data.nr_begun[TP_DISCARD], 2);
	world_check(&w);
	world_open(&w);
	ck_assert_uint_eq(world_used(&w), NR_BLOCKS / 2);
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"passdown", NR_KINDS,
		test_a_run_of_blocks_is_passed_down_as_one,
		test_of_blocks_that_look_shared_those_that_are_not_are_passed_down,
		test_what_is_passed_down_suits_the_devices_granularity,
		test_a_discard_is_durable_with_a_flush_or_its_fua,
		test_what_is_not_passed_down_yet_is_dropped_by_a_suspend_or_close);
}
