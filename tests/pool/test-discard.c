/*
 * Discards: what they unmap, what they leave, what reaches the data device.
 */
#include <stdlib.h>

#include "support/world.h"

#define NR_BLOCKS 32
#define THIN_BYTES (NR_BLOCKS * WORLD_BLOCK)

static struct world w;
static char buffer[THIN_BYTES];

static struct tp_thin *begin_with(int kind, uint32_t block_size, unsigned flags,
				  const struct tp_device_limits *limits)
{
	struct tp_thin *thin;

	world_make_sized(&w, kind, 2 * MIB, 64 * MIB, limits);
	w.block_size = block_size;
	w.options.flags |= flags;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, NR_BLOCKS * block_size);
	thin_fill(thin, 0, NR_BLOCKS * block_size, 1);

	return thin;
}

static struct tp_thin *begin_full(int kind)
{
	return begin_with(kind, WORLD_BLOCK, 0, NULL);
}

static void end_with(struct tp_thin *thin)
{
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}

/* DSC-01, R-33, DSC-24, B-POOL-6, B-DISC-12: unmapped in any case; the device
 * hears of it only where it can and is to. */
START_TEST(test_unmapping_works_whatever_the_device_can_do)
{
	struct tp_device_limits limits[] = {
		{ .features = TP_DEVICE_DISCARD },
		{ .features = TP_DEVICE_DISCARD },
		{ .features = 0 },
		{ .features = TP_DEVICE_DISCARD, .discard_max_bytes = 32768 },
	};

	for (unsigned i = 0; i < 4; i++) {
		unsigned flags = i == 1 ? TP_POOL_NO_DISCARD_PASSDOWN : 0;
		struct tp_thin *thin;

		limits[i].struct_size = sizeof(limits[i]);
		thin = begin_with(_i, WORLD_BLOCK, flags, &limits[i]);
		ck_assert_int_eq(world_status(&w).discard_passdown, i == 0);
		ck_ok(tp_thin_discard(thin, 0, THIN_BYTES));
		ck_assert_uint_eq(thin_mapped(thin), 0);
		thin_verify_zero(thin, 0, THIN_BYTES);
		ck_ok(tp_pool_commit(w.pool));
		world_until(&w, !world_used(&w));
		world_until(&w, i || w.data.nr_begun[TP_DISCARD]);
		world_idle(&w);
		ck_assert_int_eq(w.data.nr_begun[TP_DISCARD] > 0, i == 0);
		end_with(thin);
	}
}
END_TEST

/* DSC-22: in pieces of no more than the device takes. */
START_TEST(test_what_is_passed_down_keeps_the_devices_limits)
{
	struct tp_device_limits limits = {
		.struct_size = sizeof(limits),
		.features = TP_DEVICE_DISCARD,
		.discard_granularity_bytes = WORLD_BLOCK,
		.discard_max_bytes = 3 * WORLD_BLOCK,
	};
	struct tp_thin *thin = begin_with(_i, WORLD_BLOCK, 0, &limits);

	ck_ok(tp_thin_discard(thin, 0, THIN_BYTES));
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, w.data.nr_begun[TP_DISCARD] >= NR_BLOCKS / 3);
	world_idle(&w);
	for (unsigned i = 0; i < io_log_nr(&w.log); i++) {
		struct io_event event = io_log_get(&w.log, i);

		if (event.op == TP_DISCARD && event.when == IO_BEGIN)
			ck_assert_uint_le(event.length, 3 * WORLD_BLOCK);
	}
	end_with(thin);
}
END_TEST

/* DSC-03, R-35, B-DISC-4: no metadata change, and no time, for nothing. */
START_TEST(test_discarding_what_is_not_mapped_costs_nothing)
{
	struct tp_thin *thin, *huge;
	uint64_t size = (uint64_t)1 << 50;

	thin = begin_full(_i);
	huge = world_new_thin(&w, 1, size);
	ck_assert(!world_status(&w).changed || tp_pool_commit(w.pool) == 0);
	ck_ok(tp_thin_discard(huge, 0, size));
	ck_assert(!world_status(&w).changed);
	thin_fill(huge, size - WORLD_BLOCK, WORLD_BLOCK, 1);
	thin_fill(huge, size / 2, WORLD_BLOCK, 1);
	ck_ok(tp_thin_discard(huge, 0, size));
	ck_assert_uint_eq(thin_mapped(huge), 0);
	thin_verify(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_thin_close(huge));
	end_with(thin);
}
END_TEST

/* DSC-06, DSC-20, DSC-21, R-29, B-DISC-1, B-LIM-1. */
START_TEST(test_only_whole_blocks_inside_the_range_are_unmapped)
{
	static const uint32_t block_sizes[] = { 64 * KIB, 192 * KIB, MIB };

	for (unsigned i = 0; i < 3; i++) {
		uint64_t block = block_sizes[i], size = NR_BLOCKS * block;
		struct tp_thin *thin = begin_with(_i, block_sizes[i], 0, NULL);
		struct tp_thin_limits thin_limits = TP_THIN_LIMITS_INIT;

		ck_ok(tp_thin_get_limits(thin, &thin_limits));
		ck_assert_uint_eq(thin_limits.discard_granularity_bytes, block);
		ck_ok(tp_thin_discard(thin, block - 512, block + 1024));
		thin_verify(thin, 0, block, 1);
		thin_verify_zero(thin, block, block);
		thin_verify(thin, 2 * block, size - 2 * block, 1);
		ck_assert_uint_eq(thin_mapped(thin), size - block);
		thin_fill(thin, block + 512, 512, 2);
		thin_verify_zero(thin, block, 512);
		thin_verify(thin, block + 512, 512, 2);
		thin_verify_zero(thin, block + 1024, block - 1024);
		end_with(thin);
	}
}
END_TEST

/* DSC-09, B-DISC-2, R-31. */
START_TEST(test_a_discard_inside_a_block_changes_nothing)
{
	struct tp_thin *thin = begin_full(_i);

	ck_ok(tp_thin_discard(thin, 0, 120 * 512));
	ck_ok(tp_thin_discard(thin, 56 * 512, 104 * 512));
	ck_ok(tp_thin_discard(thin, 512, 0));
	ck_assert_uint_eq(thin_mapped(thin), THIN_BYTES);
	thin_verify(thin, 0, THIN_BYTES, 1);
	end_with(thin);
}
END_TEST

/* 6.2: the short last block of a volume stays. */
START_TEST(test_a_short_last_block_is_never_unmapped)
{
	struct tp_thin *thin, *smaller;

	thin = begin_full(_i);
	smaller = world_open_thin(&w, 0, THIN_BYTES - 512);
	ck_ok(tp_thin_discard(smaller, 0, THIN_BYTES - 512));
	ck_assert_uint_eq(thin_mapped(thin), WORLD_BLOCK);
	thin_verify(thin, THIN_BYTES - WORLD_BLOCK, WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(smaller));
	end_with(thin);
}
END_TEST

/* DSC-16, DSC-05. */
START_TEST(test_every_other_block_can_be_discarded)
{
	struct tp_thin *thin = begin_full(_i);

	for (unsigned i = 0; i < NR_BLOCKS; i += 2)
		ck_ok(tp_thin_discard(thin, i * WORLD_BLOCK, WORLD_BLOCK));
	for (unsigned i = 0; i < NR_BLOCKS; i++)
		ck_assert_int_eq(
			thin_where(thin, i * WORLD_BLOCK) != UINT64_MAX, i % 2);
	ck_ok(tp_thin_discard(thin, 0, THIN_BYTES));
	ck_assert_uint_eq(thin_mapped(thin), 0);
	end_with(thin);
}
END_TEST

/* DSC-10. */
START_TEST(test_the_same_block_can_be_discarded_again_and_again)
{
	struct tp_thin *thin = begin_full(_i);

	for (unsigned i = 0; i < 1000; i++)
		ck_ok(tp_thin_discard(thin, 0, WORLD_BLOCK));
	ck_assert_uint_eq(thin_mapped(thin), THIN_BYTES - WORLD_BLOCK);
	end_with(thin);
}
END_TEST

/* DSC-04. */
START_TEST(test_a_discard_of_one_thin_leaves_another_alone)
{
	struct tp_thin *thin = begin_full(_i), *other;

	other = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(other, 0, THIN_BYTES, 2);
	ck_ok(tp_thin_discard(thin, 0, THIN_BYTES));
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, world_used(&w) == NR_BLOCKS);
	ck_assert_uint_eq(thin_mapped(thin), 0);
	ck_assert_uint_eq(thin_mapped(other), THIN_BYTES);
	thin_verify(other, 0, THIN_BYTES, 2);
	ck_ok(tp_thin_close(other));
	end_with(thin);
}
END_TEST

/* DSC-23: files come and go at any offset; what no file uses is trimmed. */
START_TEST(test_trimming_what_files_left_frees_it)
{
	struct tp_thin *thin;
	uint64_t random = seed_from_environment(23), at = 0;
	uint64_t kept[11] = { 0 };

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, 8 * MIB);
	for (unsigned i = 0; i < 10; i++) {
		uint64_t length = random_in(&random, 1, 512) * 1024;

		thin_fill(thin, at, length, 1);
		at += length;
		kept[i] = at; /* a sector behind each stays in use */
		thin_fill(thin, at, 1024, 2);
		at += 1024;
	}
	for (unsigned i = 0; i < 10; i++) {
		uint64_t begin = i ? kept[i - 1] + 1024 : 0;

		ck_ok(tp_thin_discard(thin, begin, kept[i] - begin));
	}
	ck_ok(tp_thin_discard(thin, at, 8 * MIB - at));
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, world_used(&w) <= 20);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	for (unsigned i = 0; i < 10; i++)
		thin_verify(thin, kept[i], 1024, 2);
	end_with(thin);
}
END_TEST

/* DSC-13, R-28: random ranges of O never hurt S. */
START_TEST(test_discards_of_an_origin_leave_its_snapshot_alone)
{
	struct tp_thin *thin = begin_full(_i), *snapshot;
	uint64_t random = seed_from_environment(5);

	snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	for (unsigned i = 0; i < 60; i++) {
		uint64_t at = random_in(&random, 0, THIN_BYTES / 512) * 512;
		uint64_t length = random_in(&random, 0, 8 * WORLD_BLOCK / 512);

		length *= 512;
		if (length > THIN_BYTES - at)
			length = THIN_BYTES - at;
		ck_ok(tp_thin_discard(thin, at, length));
		if (i % 8 == 7)
			ck_ok(tp_pool_commit(w.pool));
	}
	thin_verify(snapshot, 0, THIN_BYTES, 1);
	ck_assert_uint_eq(thin_mapped(snapshot), THIN_BYTES);
	ck_assert_uint_eq(world_used(&w), NR_BLOCKS);
	ck_ok(tp_thin_close(snapshot));
	end_with(thin);
}
END_TEST

/* DSC-15, R-14: the tick commits it. */
START_TEST(test_a_discard_is_committed_without_a_flush)
{
	struct tp_thin *thin;

	world_make(&w, _i);
	w.options.commit_interval_ms = 30;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_thin_discard(thin, 0, THIN_BYTES));
	world_until(&w, !world_used(&w) && !world_status(&w).changed);
	end_with(thin);
}
END_TEST

/* R-23, B-DISC-7: held until the device answered. */
START_TEST(test_a_block_is_not_reused_while_its_discard_is_under_way)
{
	struct tp_thin *thin = begin_full(_i);
	uint64_t where = thin_where(thin, 0);

	observer_hold(&w.data, OPS(TP_DISCARD));
	ck_ok(tp_thin_discard(thin, 0, WORLD_BLOCK));
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, w.data.nr_held == 1);
	for (unsigned i = 0; i < 40; i++) {
		thin_fill(thin, 0, WORLD_BLOCK, 2);
		ck_assert_uint_ne(thin_where(thin, 0), where);
		if (i % 8)
			ck_ok(tp_thin_discard(thin, 0, WORLD_BLOCK));
	}
	observer_release(&w.data);
	thin_fill(thin, 0, WORLD_BLOCK, 3);
	thin_verify(thin, 0, WORLD_BLOCK, 3);
	end_with(thin);
}
END_TEST

/* B-DISC-7: its error is ignored. */
START_TEST(test_a_discard_that_the_device_fails_frees_all_the_same)
{
	struct tp_thin *thin = begin_full(_i);

	observer_fail(&w.data, OPS(TP_DISCARD), 0, 0, -EIO);
	ck_ok(tp_thin_discard(thin, 0, THIN_BYTES));
	ck_ok(tp_thin_flush(thin));
	world_until(&w, !world_used(&w));
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	thin_verify_zero(thin, 0, THIN_BYTES);
	end_with(thin);
}
END_TEST

static void expect_no_reuse_under_a_write(int kind, unsigned flags)
{
	struct tp_thin *thin = begin_with(kind, WORLD_BLOCK, flags, NULL);
	struct tp_thin *other;
	uint64_t where = thin_where(thin, 0);
	struct tp_queue *queue;
	struct io write, discard;

	ck_ok(tp_queue_create(w.pool, 8, &queue));
	other = world_new_thin(&w, 1, THIN_BYTES);
	observer_hold_next(&w.data, OPS(TP_WRITE), 1);
	fill_pattern(buffer, WORLD_BLOCK, 0, 2);
	io_init(&write, TP_WRITE, buffer, 0, WORLD_BLOCK, 0);
	io_submit(&write, queue, thin);
	world_until(&w, w.data.nr_held == 1);
	io_init(&discard, TP_DISCARD, NULL, 0, WORLD_BLOCK, 0);
	io_submit(&discard, queue, thin);
	world_idle(&w);
	for (unsigned i = 0; i < 3; i++) {
		ck_ok(tp_pool_commit(w.pool));
		thin_fill(other, i * WORLD_BLOCK, WORLD_BLOCK, 3);
		ck_assert_uint_ne(thin_where(other, i * WORLD_BLOCK), where);
	}
	ck_assert_uint_eq(w.data.nr_begun[TP_DISCARD], 0);
	observer_release(&w.data);
	ck_ok(io_wait(&w, &write, queue));
	ck_ok(io_wait(&w, &discard, queue));
	ck_ok(tp_pool_commit(w.pool));
	if (!flags)
		world_until(&w, w.data.nr_begun[TP_DISCARD] == 1);
	thin_verify_zero(thin, 0, WORLD_BLOCK);
	thin_verify(thin, WORLD_BLOCK, THIN_BYTES - WORLD_BLOCK, 1);
	thin_verify(other, 0, 3 * WORLD_BLOCK, 3);
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(other));
	end_with(thin);
}

/* B-QUI-3, R-27, B-LOCK-12, B-DISC-6, B-DISC-12: a write is on its way to a block that is
 * unmapped meanwhile: nobody else gets the block, and it is not passed down,
 * before that ended; nor where nothing is passed down. */
START_TEST(test_a_block_is_not_reused_while_a_write_to_it_is_under_way)
{
	expect_no_reuse_under_a_write(_i, 0);
	expect_no_reuse_under_a_write(_i, TP_POOL_NO_DISCARD_PASSDOWN);
}
END_TEST

/* what is being passed down has no need of the thin that it came from,
 * nor of another of that id. */
START_TEST(test_what_is_passed_down_outlives_its_thin)
{
	struct tp_thin *thin = begin_full(_i);

	observer_hold(&w.data, OPS(TP_DISCARD));
	for (unsigned i = 0; i < NR_BLOCKS; i += 2)
		ck_ok(tp_thin_discard(thin, i * WORLD_BLOCK, WORLD_BLOCK));
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, w.data.nr_held > 0);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_delete_thin(w.pool, 0));
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 2);
	observer_release(&w.data);
	/* What was discarded, and then what the deletion freed. */
	world_until(&w, w.data.nr_begun[TP_DISCARD] == NR_BLOCKS);
	world_idle(&w);
	thin_verify(thin, 0, THIN_BYTES, 2);
	ck_assert_uint_eq(world_used(&w), NR_BLOCKS);
	end_with(thin);
}
END_TEST

/*---------------------------- in several pieces ----------------------------*/

#define NR_PIECES_BLOCKS 900u
#define PIECES_BYTES (NR_PIECES_BLOCKS * (uint64_t)WORLD_BLOCK)

/* Blocks in several leaves; nothing of them is in memory. */
static struct tp_thin *begin_in_pieces(int kind)
{
	char sector[512] = { 1 };
	struct tp_thin *thin;

	world_make_sized(&w, kind, 2 * MIB, 100 * MIB, NULL);
	w.options.flags |= TP_POOL_SKIP_ZEROING;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, PIECES_BYTES);
	for (unsigned i = 0; i < NR_PIECES_BLOCKS; i++)
		ck_ok(tp_thin_write(thin, sector, 512,
				    i * (uint64_t)WORLD_BLOCK, 0));
	ck_ok(tp_thin_close(thin));
	world_reopen(&w);

	return world_open_thin(&w, 0, PIECES_BYTES);
}

/* R-25, B-DISC-15: whatever its pieces wait for, all is unmapped when it
 * ends. */
START_TEST(test_a_discard_ends_after_the_last_of_its_pieces)
{
	struct tp_thin *thin = begin_in_pieces(_i);
	struct tp_queue *queue;
	struct io io;
	unsigned nr_steps = 0;

	ck_ok(tp_queue_create(w.pool, 4, &queue));
	observer_hold(&w.metadata, OPS(TP_READ));
	io_init(&io, TP_DISCARD, NULL, 0, PIECES_BYTES, 0);
	io_submit(&io, queue, thin);
	while (!io_has_ended(&io, queue)) {
		nr_steps += observer_release_one(&w.metadata, OPS(TP_READ));
		world_run(&w);
	}
	observer_release(&w.metadata);
	ck_assert_uint_gt(nr_steps, 4);
	ck_ok(io.bio.status);
	ck_assert_uint_eq(io.nr_ended, 1);
	ck_assert_uint_eq(thin_mapped(thin), 0);
	tp_queue_destroy(queue);
	end_with(thin);
}
END_TEST

/* or one of them fails, whichever, and it ends with that, once. */
START_TEST(test_a_discard_of_which_a_piece_fails_ends_with_that)
{
	unsigned nr_failed = 0;
	int r;

	do {
		struct tp_thin *thin = begin_in_pieces(_i);

		observer_fail(&w.metadata, OPS(TP_READ), nr_failed++, 1, -EIO);
		r = tp_thin_discard(thin, 0, PIECES_BYTES);
		observer_heal(&w.metadata);
		if (r) {
			ck_assert_int_eq(r, -EIO);
			ck_assert_uint_eq(thin_mapped(thin), PIECES_BYTES);
			ck_assert_int_eq(world_status(&w).needs_check,
					 world_status(&w).mode ==
						 TP_MODE_READ_ONLY);
		}
		ck_ok(tp_thin_close(thin));
		world_close(&w);
		world_unmake(&w);
	} while (r);
	ck_assert_uint_gt(nr_failed, 4);
}
END_TEST

static void expect_passed_down(uint64_t from)
{
	for (unsigned i = 0; i < io_log_nr(&w.log); i++) {
		struct io_event event = io_log_get(&w.log, i);

		if (event.op == TP_DISCARD && event.when == IO_BEGIN &&
		    event.offset <= from && from < event.offset + event.length)
			return;
	}
	ck_abort_msg("the block at %llu was not passed down",
		     (unsigned long long)from);
}

/* R-36, B-DISC-3, B-DISC-18: the first block of the range is in another's hands for a
 * while, some are shared; of each other block just its own data goes. */
START_TEST(test_virtual_and_data_blocks_stay_paired_in_every_piece)
{
	struct tp_thin *thin = begin_in_pieces(_i), *snapshot;
	static uint64_t where[NR_PIECES_BLOCKS];
	char sector[512] = { 1 };
	struct tp_queue *queue;
	struct io write, discard;

	/* Every third is the thin's own again. */
	snapshot = world_snapshot(&w, 1, 0, PIECES_BYTES);
	for (unsigned i = 2; i < NR_PIECES_BLOCKS; i += 3)
		ck_ok(tp_thin_write(thin, sector, 512,
				    i * (uint64_t)WORLD_BLOCK, 0));
	ck_ok(tp_pool_commit(w.pool));
	for (unsigned i = 0; i < NR_PIECES_BLOCKS; i++)
		where[i] = thin_where(thin, i * (uint64_t)WORLD_BLOCK);
	io_log_clear(&w.log);

	ck_ok(tp_queue_create(w.pool, 4, &queue));
	observer_hold_next(&w.data, OPS(TP_READ), 1);
	io_init(&write, TP_WRITE, buffer, 512, 512, 0);
	io_submit(&write, queue, thin);
	world_until(&w, w.data.nr_held == 1);
	io_init(&discard, TP_DISCARD, NULL, 0, PIECES_BYTES, 0);
	io_submit(&discard, queue, thin);
	world_idle(&w);
	ck_assert_uint_eq(discard.nr_ended, 0);
	observer_release(&w.data);
	ck_ok(io_wait(&w, &write, queue));
	ck_ok(io_wait(&w, &discard, queue));
	ck_assert_uint_eq(thin_mapped(thin), 0);
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, world_used(&w) == NR_PIECES_BLOCKS);
	world_settle(&w);
	for (unsigned i = 2; i < NR_PIECES_BLOCKS; i += 3)
		expect_passed_down(where[i]);
	for (unsigned i = 0; i < NR_PIECES_BLOCKS; i++) {
		ck_ok(tp_thin_read(snapshot, buffer, 512,
				   i * (uint64_t)WORLD_BLOCK));
		ck_assert(!memcmp(buffer, sector, 512));
	}
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(snapshot));
	end_with(thin);
}
END_TEST

static void run_what_is_due(struct tp_queue *queue)
{
	do
		tp_queue_poll(queue, 8);
	while (tp_pool_poll(w.pool) > 0);
}

/* R-30, B-QUI-4, B-WAKE-2: it goes on when what it waited for has ended, and so
 * does what it freed: with no tick, and no time that passes. */
START_TEST(test_a_discard_that_waited_goes_on_at_once)
{
	static char bytes[WORLD_BLOCK];
	struct tp_thin *thin;
	struct tp_queue *queue;
	struct io read, write, discard;
	uint64_t now_ns;

	world_make(&w, HOST_DRIVEN);
	world_use_virtual_clock(&w);
	now_ns = w.now_ns;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES / 2, 1);
	ck_ok(tp_queue_create(w.pool, 8, &queue));
	observer_hold(&w.data, OPS(TP_READ) | OPS(TP_WRITE));
	io_init(&read, TP_READ, bytes, 0, WORLD_BLOCK, 0);
	io_submit(&read, queue, thin);
	io_init(&write, TP_WRITE, buffer, THIN_BYTES / 2, WORLD_BLOCK, 0);
	io_submit(&write, queue, thin);
	run_what_is_due(queue);
	io_init(&discard, TP_DISCARD, NULL, 0, THIN_BYTES, 0);
	io_submit(&discard, queue, thin);
	run_what_is_due(queue);
	ck_assert_uint_eq(discard.nr_ended, 0);

	/* It waited for a block that was being made; what it frees waits for
	 * the reader. */
	ck_assert(observer_release_one(&w.data, OPS(TP_WRITE)));
	run_what_is_due(queue);
	ck_assert_uint_eq(discard.nr_ended, 1);
	ck_ok(tp_pool_commit(w.pool));
	run_what_is_due(queue);
	ck_assert_uint_eq(w.data.nr_begun[TP_DISCARD], 0);
	ck_assert_uint_eq(read.nr_ended, 0);
	observer_release(&w.data);
	run_what_is_due(queue);
	ck_assert_uint_eq(read.nr_ended, 1);
	ck_assert_uint_gt(w.data.nr_begun[TP_DISCARD], 0);
	ck_assert_uint_eq(w.now_ns, now_ns);
	tp_queue_destroy(queue);
	end_with(thin);
}
END_TEST

static void *fill_again_and_again(void *context)
{
	for (unsigned i = 0; i < 20; i++)
		thin_fill(context, 0, THIN_BYTES, 1);

	return NULL;
}

/* DSC-11, R-26: each block is what was written, or zero. */
START_TEST(test_discards_under_a_writer_leave_old_new_or_zero)
{
	struct tp_thin *thin = begin_full(OWN_THREAD), *other;
	uint64_t random = seed_from_environment(6);
	pthread_t writer;

	other = world_new_thin(&w, 1, THIN_BYTES);
	pthread_create(&writer, NULL, fill_again_and_again, thin);
	for (unsigned i = 0; i < 500; i++) {
		uint64_t at = random_in(&random, 0, NR_BLOCKS) * WORLD_BLOCK;

		ck_ok(tp_thin_discard(thin, at, WORLD_BLOCK));
		thin_fill(other, at, WORLD_BLOCK, 9);
		if (i % 3)
			ck_ok(tp_thin_discard(other, at, WORLD_BLOCK));
	}
	pthread_join(writer, NULL);
	ck_ok(tp_thin_read(thin, buffer, THIN_BYTES, 0));
	for (uint64_t at = 0; at < THIN_BYTES; at += 512)
		ck_assert(find_other(buffer + at, 512, at, 1) == UINT64_MAX ||
			  find_nonzero(buffer + at, 512, at) == UINT64_MAX);
	ck_ok(tp_thin_close(other));
	end_with(thin);
}
END_TEST

/*---------------------------- cut short -------------------------------------*/

/* A write to block 0 that the data device keeps: what comes behind it on the
 * block waits. */
static void hold_write(struct io *write, struct tp_queue *queue,
		       struct tp_thin *thin)
{
	observer_hold_next(&w.data, OPS(TP_WRITE), 1);
	io_init(write, TP_WRITE, buffer, 0, 4096, 0);
	io_submit(write, queue, thin);
	world_until(&w, w.data.nr_held == 1);
}

/* api.md: whoever closes does not wait for the rest of a huge discard; what it
 * has not done stays mapped. */
START_TEST(test_closing_ends_the_rest_of_a_huge_discard)
{
	uint64_t size = 1ull << 40;
	struct tp_queue *queue;
	struct tp_thin *thin;
	struct io write, discard;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, size);
	thin_fill(thin, size / 2, WORLD_BLOCK, 1);
	ck_ok(tp_queue_create(w.pool, 8, &queue));
	hold_write(&write, queue, thin);
	io_init(&discard, TP_DISCARD, NULL, 0, size, 0);
	io_submit(&discard, queue, thin);
	world_idle(&w);
	ck_assert_int_eq(tp_thin_close(thin), -EBUSY);
	observer_release(&w.data);
	ck_ok(io_wait(&w, &write, queue));
	ck_assert_int_eq(io_wait(&w, &discard, queue), -ECANCELED);
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
	thin = world_open_thin(&w, 0, size);
	thin_verify(thin, size / 2, WORLD_BLOCK, 1);
	end_with(thin);
}
END_TEST

/* B-ABORT-3, B-DISC-14: what was waiting to unmap when the pool stopped writing
 * has no effect: a discard says so by nothing, zeroes that were asked for must
 * be there, and are not. */
START_TEST(test_what_waits_to_unmap_at_an_abort_has_no_effect)
{
	struct io write, discard, zeroes;
	struct tp_queue *queue;
	struct tp_thin *thin, *other;

	world_begin(&w, _i);
	other = world_new_thin(&w, 1, THIN_BYTES);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, WORLD_BLOCK, 3 * WORLD_BLOCK, 1);
	ck_ok(tp_pool_commit(w.pool));
	ck_ok(tp_queue_create(w.pool, 8, &queue));
	hold_write(&write, queue, thin);
	io_init(&discard, TP_DISCARD, NULL, 0, 2 * WORLD_BLOCK, 0);
	io_submit(&discard, queue, thin);
	io_init(&zeroes, TP_WRITE_ZEROES, NULL, 0, 3 * WORLD_BLOCK, 0);
	io_submit(&zeroes, queue, thin);
	thin_fill(other, 0, WORLD_BLOCK, 2);
	observer_fail(&w.metadata, OPS(TP_FLUSH), 0, 1, -EIO);
	ck_assert_int_eq(tp_thin_flush(other), -EIO);
	observer_release(&w.data);
	ck_assert_int_eq(io_wait(&w, &write, queue), -EIO);
	ck_ok(io_wait(&w, &discard, queue));
	ck_assert_int_eq(io_wait(&w, &zeroes, queue), -EIO);
	thin_verify(thin, WORLD_BLOCK, 3 * WORLD_BLOCK, 1);
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(other));
	end_with(thin);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"discard", NR_KINDS,
		test_unmapping_works_whatever_the_device_can_do,
		test_what_is_passed_down_keeps_the_devices_limits,
		test_discarding_what_is_not_mapped_costs_nothing,
		test_only_whole_blocks_inside_the_range_are_unmapped,
		test_a_discard_inside_a_block_changes_nothing,
		test_a_short_last_block_is_never_unmapped,
		test_every_other_block_can_be_discarded,
		test_the_same_block_can_be_discarded_again_and_again,
		test_a_discard_of_one_thin_leaves_another_alone,
		test_trimming_what_files_left_frees_it,
		test_discards_of_an_origin_leave_its_snapshot_alone,
		test_a_discard_is_committed_without_a_flush,
		test_a_block_is_not_reused_while_its_discard_is_under_way,
		test_a_discard_that_the_device_fails_frees_all_the_same,
		test_a_block_is_not_reused_while_a_write_to_it_is_under_way,
		test_what_is_passed_down_outlives_its_thin,
		test_a_discard_ends_after_the_last_of_its_pieces,
		test_a_discard_of_which_a_piece_fails_ends_with_that,
		test_virtual_and_data_blocks_stay_paired_in_every_piece,
		test_a_discard_that_waited_goes_on_at_once,
		test_discards_under_a_writer_leave_old_new_or_zero,
		test_closing_ends_the_rest_of_a_huge_discard,
		test_what_waits_to_unmap_at_an_abort_has_no_effect);
}
