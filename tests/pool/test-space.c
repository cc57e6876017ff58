/*
 * Running out of data space and of metadata space, and the ways back.
 */
#include <stdlib.h>

#include "support/world.h"

#define NR_BLOCKS 64
#define DATA_BYTES (NR_BLOCKS * WORLD_BLOCK)
#define THIN_BYTES (2 * DATA_BYTES)

static struct world w;
static char block[WORLD_BLOCK];
static atomic_uint nr_events[TP_EVENT_RESUME + 1];
static _Atomic enum tp_pool_mode seen_mode;
static atomic_bool saw_old_state; /* the test's own thread asserts */

/* B-EVT-2, R-45: a handler that asks sees the new state. */
static void see_event(void *context, const struct tp_event *event)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	if (tp_pool_get_status(w.pool, &status))
		saw_old_state = true;
	nr_events[event->kind]++;
	if (event->kind == TP_EVENT_MODE) {
		if (event->mode == event->old_mode ||
		    event->mode != status.mode)
			saw_old_state = true;
		seen_mode = event->mode;
	}
}

static void listen(void)
{
	for (unsigned i = 0; i <= TP_EVENT_RESUME; i++)
		nr_events[i] = 0;
	ck_ok(tp_pool_set_event_handler(w.pool, see_event, NULL));
}

static struct tp_thin *begin_with_mark(int kind, unsigned flags, uint64_t mark)
{
	world_make_sized(&w, kind, 2 * MIB, DATA_BYTES, NULL);
	w.options.flags |= flags;
	w.options.low_water_blocks = mark;
	world_format(&w);
	world_open(&w);
	listen();

	return world_new_thin(&w, 0, THIN_BYTES);
}

static struct tp_thin *begin_small(int kind, unsigned flags)
{
	return begin_with_mark(kind, flags, 8);
}

static void end_with(struct tp_thin *thin)
{
	ck_assert(!saw_old_state);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}

static enum tp_pool_mode mode(void)
{
	return world_status(&w).mode;
}

static int write_block(struct tp_thin *thin, uint64_t vblock, uint64_t seed)
{
	fill_pattern(block, WORLD_BLOCK, vblock * WORLD_BLOCK, seed);

	return tp_thin_write(thin, block, WORLD_BLOCK, vblock * WORLD_BLOCK, 0);
}

/* OOS-01, OOS-04, R-40, B-WRITE-7, F-15. */
START_TEST(test_with_the_error_policy_a_full_pool_says_so_at_once)
{
	struct tp_thin *thin = begin_small(_i, TP_POOL_ERROR_IF_NO_SPACE);

	thin_fill(thin, 0, DATA_BYTES, 1);
	ck_assert_int_eq(write_block(thin, NR_BLOCKS, 2), -ENOSPC);
	ck_assert_int_eq(mode(), TP_MODE_OUT_OF_DATA_SPACE);
	ck_assert(!world_status(&w).needs_check);
	thin_verify(thin, 0, DATA_BYTES, 1);
	ck_ok(write_block(thin, 0, 1));
	ck_ok(tp_thin_flush(thin));

	/* OOS-13: a new volume needs no data. */
	ck_ok(tp_pool_create_thin(w.pool, 1));
	observer_grow(&w.data, 2 * DATA_BYTES);
	ck_ok(tp_pool_grow_data(w.pool));
	ck_assert_int_eq(mode(), TP_MODE_WRITE);
	ck_ok(write_block(thin, NR_BLOCKS, 2));
	thin_verify(thin, NR_BLOCKS * WORLD_BLOCK, WORLD_BLOCK, 2);
	world_until(&w, nr_events[TP_EVENT_MODE] == 2);
	end_with(thin);
}
END_TEST

/* DSC-19, R-44, B-COMMIT-5, B-OODS-7, DEL-07: discard or delete is a way out by
 * itself, for the very next write. */
START_TEST(test_freeing_space_returns_the_pool_to_write_mode)
{
	for (unsigned i = 0; i < 2; i++) {
		struct tp_thin *thin =
			begin_small(_i, TP_POOL_ERROR_IF_NO_SPACE);

		ck_ok(tp_pool_create_thin(w.pool, 1));
		thin_fill(thin, 0, DATA_BYTES, 1);
		ck_assert_int_eq(write_block(thin, NR_BLOCKS, 2), -ENOSPC);
		if (i) {
			ck_ok(tp_thin_close(thin));
			ck_ok(tp_pool_delete_thin(w.pool, 0));
			thin = world_open_thin(&w, 1, THIN_BYTES);
		} else {
			ck_ok(tp_thin_discard(thin, 0, DATA_BYTES));
		}
		ck_ok(write_block(thin, 5, 2));
		ck_assert_int_eq(mode(), TP_MODE_WRITE);
		ck_assert_uint_eq(world_used(&w), 1);
		end_with(thin);
	}
}
END_TEST

/* B-OODS-7, B-DISC-10: what was freed before it came; not what others free
 * later. */
START_TEST(test_a_write_that_may_not_wait_waits_for_what_was_freed)
{
	struct tp_thin *thin = begin_small(_i, TP_POOL_ERROR_IF_NO_SPACE);
	struct tp_queue *queue;
	struct io ios[2];

	/* The mode changes faster than a handler can look at it. */
	ck_ok(tp_pool_set_event_handler(w.pool, NULL, NULL));
	ck_ok(tp_queue_create(w.pool, 4, &queue));
	thin_fill(thin, 0, DATA_BYTES, 1);
	ck_assert_int_eq(write_block(thin, NR_BLOCKS, 2), -ENOSPC);
	observer_hold(&w.data, OPS(TP_DISCARD));
	ck_ok(tp_thin_discard(thin, 0, WORLD_BLOCK));
	for (unsigned i = 0; i < 2; i++) {
		io_init(&ios[i], TP_WRITE, block,
			(NR_BLOCKS + i) * (uint64_t)WORLD_BLOCK, WORLD_BLOCK,
			0);
		io_submit(&ios[i], queue, thin);
	}
	world_until(&w, w.data.nr_held == 1);
	world_idle(&w);
	tp_queue_poll(queue, 0);
	ck_assert_uint_eq(ios[0].nr_ended + ios[1].nr_ended, 0);

	/* There is one block for two. */
	observer_release(&w.data);
	ck_ok(io_wait(&w, &ios[0], queue));
	ck_assert_int_eq(io_wait(&w, &ios[1], queue), -ENOSPC);
	tp_queue_destroy(queue);
	end_with(thin);
}
END_TEST

/* OOS-05, OOS-06, OOS-08, F-14, B-OODS-11, R-46. */
START_TEST(test_writes_wait_for_space_and_then_finish)
{
	static char blocks[8][WORLD_BLOCK];
	struct tp_thin *thin = begin_small(_i, 0);
	struct tp_queue *queue;
	struct io ios[8];

	ck_ok(tp_queue_create(w.pool, 16, &queue));
	thin_fill(thin, 0, DATA_BYTES, 1);
	for (unsigned i = 0; i < 8; i++) {
		uint64_t at = (NR_BLOCKS + i) * WORLD_BLOCK;

		fill_pattern(blocks[i], WORLD_BLOCK, at, 2);
		io_init(&ios[i], TP_WRITE, blocks[i], at, WORLD_BLOCK, 0);
		io_submit(&ios[i], queue, thin);
	}
	world_until(&w, mode() == TP_MODE_OUT_OF_DATA_SPACE);
	world_idle(&w);
	tp_queue_poll(queue, 0);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(ios[i].nr_ended, 0);

	/* Mapped blocks go on; B-FLUSH-5: a flush never waits for space. */
	thin_fill(thin, 0, 4 * WORLD_BLOCK, 3);
	ck_ok(tp_thin_flush(thin));
	thin_verify_zero(thin, DATA_BYTES, WORLD_BLOCK);

	/* RSZ-03: the device grew, the pool did not yet. */
	observer_grow(&w.data, 2 * DATA_BYTES);
	world_idle(&w);
	ck_assert_int_eq(mode(), TP_MODE_OUT_OF_DATA_SPACE);
	ck_ok(tp_pool_grow_data(w.pool));
	for (unsigned i = 0; i < 8; i++)
		ck_ok(io_wait(&w, &ios[i], queue));
	ck_assert_int_eq(mode(), TP_MODE_WRITE);
	thin_verify(thin, DATA_BYTES, 8 * WORLD_BLOCK, 2);
	tp_queue_destroy(queue);
	end_with(thin);
}
END_TEST

/* OOS-03, OOS-07, R-41, R-43, B-EVT-1, B-OODS-5, B-OODS-6. */
START_TEST(test_writes_that_waited_too_long_fail)
{
	struct tp_thin *thin;
	struct tp_queue *queue;
	struct io io;

	world_make_sized(&w, _i, 2 * MIB, DATA_BYTES, NULL);
	w.options.no_space_timeout_ms = 50;
	world_format(&w);
	world_open(&w);
	nr_events[TP_EVENT_NO_SPACE_TIMEOUT] = 0;
	ck_ok(tp_pool_set_event_handler(w.pool, see_event, NULL));
	thin = world_new_thin(&w, 0, THIN_BYTES);
	ck_ok(tp_queue_create(w.pool, 4, &queue));
	for (unsigned i = 0; i < 2; i++) {
		thin_fill(thin, 0, DATA_BYTES, 1);
		io_init(&io, TP_WRITE, block, DATA_BYTES, WORLD_BLOCK, 0);
		io_submit(&io, queue, thin);
		ck_assert_int_eq(io_wait(&w, &io, queue), -ENOSPC);
		ck_assert_int_eq(mode(), TP_MODE_OUT_OF_DATA_SPACE);
		ck_assert(world_status(&w).error_if_no_space);
		ck_assert(!world_status(&w).needs_check);
		world_until(&w, nr_events[TP_EVENT_NO_SPACE_TIMEOUT] == i + 1);
		ck_assert_int_eq(write_block(thin, NR_BLOCKS, 1), -ENOSPC);
		ck_ok(tp_thin_discard(thin, 0, 8 * WORLD_BLOCK));
		ck_ok(tp_pool_commit(w.pool));
		world_until(&w, mode() == TP_MODE_WRITE);
		ck_assert(!world_status(&w).error_if_no_space);
	}
	tp_queue_destroy(queue);
	end_with(thin);
}
END_TEST

/* B-OODS-10, F-30: closing ends what waits. */
START_TEST(test_closing_ends_writes_that_wait_for_space)
{
	struct tp_thin *thin = begin_small(_i, 0);
	struct tp_queue *queue;
	struct io io;

	ck_ok(tp_queue_create(w.pool, 4, &queue));
	thin_fill(thin, 0, DATA_BYTES, 1);
	io_init(&io, TP_WRITE, block, DATA_BYTES, WORLD_BLOCK, 0);
	io_submit(&io, queue, thin);
	world_until(&w, mode() == TP_MODE_OUT_OF_DATA_SPACE);
	ck_assert_int_eq(tp_thin_close(thin), -EBUSY);
	ck_assert_int_eq(io_wait(&w, &io, queue), -ENOSPC);
	ck_ok(tp_thin_close(thin));
	thin = world_open_thin(&w, 0, THIN_BYTES);
	io_init(&io, TP_WRITE, block, DATA_BYTES, WORLD_BLOCK, 0);
	io_submit(&io, queue, thin);
	world_idle(&w);
	tp_queue_destroy(queue);
	ck_assert_uint_eq(io.nr_ended, 1);
	ck_assert_int_eq(io.bio.status, -ENOSPC);
	end_with(thin);
}
END_TEST

/* api.md: a blocking call that only the host could help fails. */
START_TEST(test_a_host_driven_blocking_write_does_not_wait_for_space)
{
	struct tp_thin *thin = begin_small(HOST_DRIVEN, 0);

	thin_fill(thin, 0, DATA_BYTES, 1);
	ck_assert_int_eq(write_block(thin, NR_BLOCKS, 1), -ENOSPC);
	ck_assert_int_eq(mode(), TP_MODE_OUT_OF_DATA_SPACE);
	end_with(thin);
}
END_TEST

/* DEL-11, R-32, F-16, B-OODS-1: what is only freed and not committed helps. */
START_TEST(test_space_freed_in_the_running_transaction_is_found)
{
	struct tp_thin *thin = begin_small(_i, TP_POOL_ERROR_IF_NO_SPACE);

	for (unsigned i = 0; i < 6; i++) {
		thin_fill(thin, 0, DATA_BYTES, i);
		thin_verify(thin, 0, DATA_BYTES, i);
		ck_ok(tp_thin_discard(thin, 0, DATA_BYTES));
	}
	end_with(thin);
}
END_TEST

/* OOS-11, R-58, B-LWM-1, B-LWM-2: once per arming, and freeing arms nothing. */
START_TEST(test_low_water_is_told_once_until_the_pool_grows)
{
	struct tp_thin *thin = begin_small(_i, 0);

	/* Compared before a block is taken, with "<=". */
	thin_fill(thin, 0, (NR_BLOCKS - 8) * WORLD_BLOCK, 1);
	world_idle(&w);
	ck_assert_uint_eq(nr_events[TP_EVENT_LOW_WATER], 0);
	thin_fill(thin, (NR_BLOCKS - 8) * WORLD_BLOCK, 4 * WORLD_BLOCK, 1);
	world_until(&w, nr_events[TP_EVENT_LOW_WATER] == 1);
	ck_ok(tp_thin_discard(thin, 0, DATA_BYTES));
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, !world_used(&w));
	thin_fill(thin, 0, DATA_BYTES, 1);
	world_idle(&w);
	ck_assert_uint_eq(nr_events[TP_EVENT_LOW_WATER], 1);
	observer_grow(&w.data, 2 * DATA_BYTES);
	ck_ok(tp_pool_grow_data(w.pool));
	thin_fill(thin, DATA_BYTES, DATA_BYTES, 1);
	world_until(&w, nr_events[TP_EVENT_LOW_WATER] == 2);
	end_with(thin);
}
END_TEST

/* B-EVT-1, B-LWM-2, B-LWM-3: a resume arms it again, and tells only of itself; a grow
 * call that finds nothing new does not even that. */
START_TEST(test_low_water_is_told_again_after_a_resume)
{
	struct tp_thin *thin = begin_small(_i, 0);

	thin_fill(thin, 0, (NR_BLOCKS - 7) * WORLD_BLOCK, 1);
	world_until(&w, nr_events[TP_EVENT_LOW_WATER] == 1);
	ck_ok(tp_pool_grow_data(w.pool));
	ck_ok(write_block(thin, NR_BLOCKS - 7, 1));
	world_idle(&w);
	ck_assert_uint_eq(nr_events[TP_EVENT_LOW_WATER], 1);
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_resume(w.pool, NULL));
	world_until(&w, nr_events[TP_EVENT_RESUME] == 1);
	world_idle(&w);
	ck_assert_uint_eq(nr_events[TP_EVENT_LOW_WATER], 1);
	ck_ok(write_block(thin, NR_BLOCKS - 6, 1));
	world_until(&w, nr_events[TP_EVENT_LOW_WATER] == 2);
	end_with(thin);
}
END_TEST

/* B-LWM-4, OOS-12: a mark of none is told of by whoever finds none; that is when
 * every block is in use. */
START_TEST(test_a_mark_of_nothing_is_told_when_nothing_is_left)
{
	struct tp_thin *thin =
		begin_with_mark(_i, TP_POOL_ERROR_IF_NO_SPACE, 0);

	thin_fill(thin, 0, DATA_BYTES, 1);
	world_idle(&w);
	ck_assert_uint_eq(nr_events[TP_EVENT_LOW_WATER], 0);
	ck_assert_uint_eq(world_used(&w), NR_BLOCKS);
	ck_assert_int_eq(write_block(thin, NR_BLOCKS, 1), -ENOSPC);
	world_until(&w, nr_events[TP_EVENT_LOW_WATER] == 1);
	end_with(thin);
}
END_TEST

/*---------------------------- ways out -------------------------------------*/

/* Blocks 0 to 63, of two thins, and a write that waits for a 65th. */
static struct tp_thin *fill_and_wait(int kind, struct io *io,
				     struct tp_queue **queue)
{
	struct tp_thin *thin = begin_small(kind, 0), *other;

	other = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, DATA_BYTES / 2, 1);
	thin_fill(other, 0, DATA_BYTES / 2, 2);
	ck_ok(tp_thin_close(other));
	ck_ok(tp_pool_commit(w.pool));
	ck_ok(tp_queue_create(w.pool, 4, queue));
	fill_pattern(block, WORLD_BLOCK, DATA_BYTES, 3);
	io_init(io, TP_WRITE, block, DATA_BYTES, WORLD_BLOCK, 0);
	io_submit(io, *queue, thin);
	world_until(&w, mode() == TP_MODE_OUT_OF_DATA_SPACE);

	return thin;
}

static void discard_some(struct tp_thin *thin, struct io *io,
			 struct tp_queue *queue)
{
	io_init(io, TP_DISCARD, NULL, WORLD_BLOCK, 4 * WORLD_BLOCK, 0);
	io_submit(io, queue, thin);
}

/* B-OODS-7, B-OODS-11: nobody asks for a commit, and what waits is not let on
 * before one has made the freeing durable. */
START_TEST(test_the_commit_that_frees_space_wakes_who_waits)
{
	struct tp_queue *queue;
	struct tp_thin *thin;
	struct io io, discard;

	thin = fill_and_wait(_i, &io, &queue);
	observer_hold(&w.metadata, OPS(TP_FLUSH));
	discard_some(thin, &discard, queue);
	world_until(&w, w.metadata.nr_held == 1);
	world_idle(&w);
	ck_assert(!io_has_ended(&io, queue));
	ck_assert_int_eq(mode(), TP_MODE_OUT_OF_DATA_SPACE);
	observer_release(&w.metadata);
	ck_ok(io_wait(&w, &io, queue));
	ck_ok(io_wait(&w, &discard, queue));
	ck_assert_int_eq(mode(), TP_MODE_WRITE);
	thin_verify(thin, DATA_BYTES, WORLD_BLOCK, 3);
	thin_verify_zero(thin, WORLD_BLOCK, 4 * WORLD_BLOCK);
	tp_queue_destroy(queue);
	end_with(thin);
}
END_TEST

/* B-OODS-7, F-16: a block that was shared, and that both its owners have left,
 * is used again; so every block of the pool is. */
START_TEST(test_blocks_freed_by_breaking_sharing_are_used_again)
{
	struct tp_thin *origin, *snapshot;
	uint64_t first;

	world_make_sized(&w, _i, 2 * MIB, 3 * WORLD_BLOCK, NULL);
	w.options.flags |= TP_POOL_ERROR_IF_NO_SPACE;
	world_format(&w);
	world_open(&w);
	origin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(origin, 0, WORLD_BLOCK, 1);
	first = thin_where(origin, 0);
	snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	thin_fill(origin, 0, 512, 2);
	thin_fill(snapshot, 0, 512, 3);
	ck_ok(write_block(origin, 1, 4));
	ck_assert_uint_eq(thin_where(origin, WORLD_BLOCK), first);
	ck_assert_uint_eq(world_used(&w), 3);
	ck_assert_int_eq(write_block(origin, 2, 4), -ENOSPC);
	thin_verify(origin, 0, 512, 2);
	thin_verify(origin, 512, WORLD_BLOCK - 512, 1);
	thin_verify(origin, WORLD_BLOCK, WORLD_BLOCK, 4);
	thin_verify(snapshot, 0, 512, 3);
	thin_verify(snapshot, 512, WORLD_BLOCK - 512, 1);
	ck_ok(tp_thin_close(snapshot));
	end_with(origin);
}
END_TEST

/* B-OODS-9, B-MODE-4: the pool goes on to read-only, to failed, or is made
 * read-only: what waits for space ends for want of it, once. */
START_TEST(test_writes_that_wait_end_when_the_pool_stops_writing)
{
	for (unsigned i = 0; i < 3; i++) {
		struct tp_pool_options options;
		struct tp_queue *queue;
		struct tp_thin *thin;
		struct io io;

		thin = fill_and_wait(_i, &io, &queue);
		options = w.options;
		options.flags |= TP_POOL_READ_ONLY;
		if (i < 2)
			observer_fail(&w.metadata, ALL_OPS, 0, i ? 0 : 1, -EIO);
		if (i < 2)
			ck_assert_int_eq(tp_pool_create_thin(w.pool, 5), -EIO);
		else
			ck_ok(tp_pool_suspend(w.pool));
		if (i == 2)
			ck_ok(tp_pool_resume(w.pool, &options));
		ck_assert_int_eq(io_wait(&w, &io, queue), -ENOSPC);
		ck_assert_int_eq(mode(),
				 i == 1 ? TP_MODE_FAILED : TP_MODE_READ_ONLY);
		observer_heal(&w.metadata);
		world_idle(&w);
		ck_assert_uint_eq(io.nr_ended, 1);
		tp_queue_destroy(queue);
		ck_ok(tp_thin_close(thin));
		tp_pool_close(w.pool);
		world_open(&w);
		world_end(&w);
	}
}
END_TEST

/* B-OODS-9, B-ABORT-4: it waits to see what a commit frees, and that fails. */
START_TEST(test_a_write_that_waits_for_a_commit_fails_with_it)
{
	struct tp_thin *thin = begin_small(_i, 0);
	struct tp_queue *queue;
	struct io io;

	ck_ok(tp_queue_create(w.pool, 4, &queue));
	thin_fill(thin, 0, DATA_BYTES, 1);
	ck_ok(tp_thin_discard(thin, 0, DATA_BYTES));
	observer_fail(&w.metadata, OPS(TP_FLUSH), 0, 1, -EIO);
	io_init(&io, TP_WRITE, block, DATA_BYTES, WORLD_BLOCK, 0);
	io_submit(&io, queue, thin);
	ck_assert_int_eq(io_wait(&w, &io, queue), -EIO);
	ck_assert_uint_eq(io.nr_ended, 1);
	ck_assert_int_eq(mode(), TP_MODE_READ_ONLY);
	tp_queue_destroy(queue);
	end_with(thin);
}
END_TEST

/* OOS-10. */
START_TEST(test_a_thin_that_fills_the_pool_leaves_the_others_alone)
{
	struct tp_thin *thin = begin_small(_i, TP_POOL_ERROR_IF_NO_SPACE);
	struct tp_thin *other = world_new_thin(&w, 1, THIN_BYTES);

	thin_fill(thin, 0, DATA_BYTES / 2, 1);
	thin_fill(other, 0, DATA_BYTES / 2, 2);
	ck_assert_int_eq(write_block(other, NR_BLOCKS, 2), -ENOSPC);
	ck_assert_int_eq(write_block(thin, NR_BLOCKS, 2), -ENOSPC);
	thin_verify(thin, 0, DATA_BYTES / 2, 1);
	thin_verify(other, 0, DATA_BYTES / 2, 2);
	ck_ok(write_block(thin, 0, 1));
	ck_ok(tp_thin_close(other));
	end_with(thin);
}
END_TEST

/*---------------------------- growing under load ---------------------------*/

static atomic_int grow_result;

/* A host that adds space when it is told that there is little. */
static void grow_when_told(void *context, const struct tp_event *event)
{
	int r = 0;

	nr_events[event->kind]++;
	if (event->kind != TP_EVENT_LOW_WATER)
		return;
	observer_grow(&w.data, w.data.size_bytes + 16 * WORLD_BLOCK);
	r = tp_pool_grow_data(w.pool);
	if (!r)
		r = tp_pool_create_thin(w.pool, 100 + nr_events[event->kind]);
	if (r)
		grow_result = r;
}

/* B-EVT-3: it may call what changes the pool, and waits for it. */
START_TEST(test_an_event_handler_may_grow_the_pool)
{
	struct tp_thin *thin = begin_small(_i, TP_POOL_ERROR_IF_NO_SPACE);

	grow_result = 0;
	ck_ok(tp_pool_set_event_handler(w.pool, grow_when_told, NULL));
	for (unsigned i = 0; i < 2 * NR_BLOCKS; i++) {
		ck_ok(write_block(thin, i, 1));
		if (i % 4 == 0)
			world_settle(&w);
	}
	ck_assert_int_eq(grow_result, 0);
	ck_assert_uint_ge(nr_events[TP_EVENT_LOW_WATER], 4);
	ck_assert_uint_eq(nr_events[TP_EVENT_MODE], 0);
	thin_verify(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_pool_set_event_handler(w.pool, NULL, NULL));
	end_with(thin);
}
END_TEST

static void *fill_slowly(void *context)
{
	for (unsigned i = 0; i < 2 * NR_BLOCKS; i++)
		thin_fill(context, (uint64_t)i * WORLD_BLOCK, WORLD_BLOCK, 1);

	return NULL;
}

static atomic_bool stop_polling;
static atomic_uint nr_polls;

/* Never more used than there is. */
static void *poll_status(void *context)
{
	do {
		struct tp_pool_status status = world_status(&w);

		ck_assert_uint_le(status.used_data_blocks, status.data_blocks);
		ck_assert_uint_le(status.data_blocks, 2 * NR_BLOCKS);
		ck_assert_uint_le(status.used_metadata_blocks,
				  status.metadata_blocks);
		nr_polls++;
	} while (!stop_polling);

	return NULL;
}

static void grow_a_step(unsigned step)
{
	observer_grow(&w.data, w.data.size_bytes + DATA_BYTES / 8);
	observer_grow(&w.metadata, w.metadata.size_bytes + MIB);
	if (step % 2) {
		ck_ok(tp_pool_suspend(w.pool));
		ck_ok(tp_pool_resume(w.pool, NULL));
	} else {
		ck_ok(tp_pool_grow_metadata(w.pool));
		ck_ok(tp_pool_grow_data(w.pool));
	}
}

/* OOS-09, OOS-14, RSZ-05, RSZ-07: both devices grow in eight steps, each when
 * the writer is stuck, and others look on. */
START_TEST(test_a_writer_goes_on_each_time_the_pool_grows)
{
	struct tp_thin *thin = begin_small(OWN_THREAD, 0);
	pthread_t writer, poller;

	stop_polling = false;
	nr_polls = 0;
	pthread_create(&poller, NULL, poll_status, NULL);
	pthread_create(&writer, NULL, fill_slowly, thin);
	for (unsigned step = 0; step < 8; step++) {
		world_until(&w, mode() == TP_MODE_OUT_OF_DATA_SPACE);
		grow_a_step(step);
	}
	pthread_join(writer, NULL);
	stop_polling = true;
	pthread_join(poller, NULL);
	ck_assert_uint_gt(nr_polls, 0);
	thin_verify(thin, 0, THIN_BYTES, 1);
	ck_assert_uint_eq(world_used(&w), 2 * NR_BLOCKS);
	ck_assert_uint_eq(world_status(&w).metadata_blocks, 10 * MIB / 4096);
	ck_assert_int_eq(mode(), TP_MODE_WRITE);
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_resume(w.pool, NULL));
	ck_assert_int_eq(mode(), TP_MODE_WRITE);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_delete_thin(w.pool, 0));
	world_until(&w, !world_used(&w));
	world_end(&w);
}
END_TEST

/* B-BAD-26, RSZ-10: sizes are rounded down, to nothing if need be. */
START_TEST(test_a_data_device_shorter_than_a_block_is_full)
{
	struct tp_thin *thin;

	world_make_sized(&w, _i, 2 * MIB, WORLD_BLOCK - 512, NULL);
	w.options.flags |= TP_POOL_ERROR_IF_NO_SPACE;
	world_format(&w);
	world_open(&w);
	ck_assert_uint_eq(world_status(&w).data_blocks, 0);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	ck_assert_int_eq(write_block(thin, 0, 1), -ENOSPC);
	end_with(thin);
}
END_TEST

/*---------------------------- metadata -------------------------------------*/

/* Until a write fails, each block far from the last: how many. */
static unsigned fill_metadata(struct tp_thin *thin, int *error)
{
	unsigned nr = 0;

	do
		*error = tp_thin_write(thin, block, 512,
				       (uint64_t)nr * 300 * WORLD_BLOCK, 0);
	while (!*error && ++nr < 100000);

	return nr;
}

/* MDX-01, MDX-02, MDX-05, R-48, B-META-3, B-META-5. */
START_TEST(test_full_metadata_stops_writing_and_loses_nothing)
{
	struct tp_pool_status status;
	struct tp_thin *thin;
	unsigned nr;
	int error;

	world_make_sized(&w, _i, 512 * KIB, (uint64_t)2048 * MIB, NULL);
	w.options.flags |= TP_POOL_SKIP_ZEROING;
	world_format(&w);
	world_open(&w);
	listen();
	thin = world_new_thin(&w, 0, (uint64_t)1 << 50);
	fill_pattern(block, 512, 0, 1);
	nr = fill_metadata(thin, &error);
	ck_assert_int_eq(error, -EIO);
	status = world_status(&w);
	ck_assert_msg(status.mode == TP_MODE_OUT_OF_METADATA_SPACE,
		      "mode %d after %u writes, %llu of %llu used", status.mode,
		      nr, (unsigned long long)status.used_metadata_blocks,
		      (unsigned long long)status.metadata_blocks);
	ck_assert(!status.needs_check);
	ck_assert_uint_eq(nr_events[TP_EVENT_LOW_METADATA], 1);
	ck_assert_int_eq(tp_pool_create_thin(w.pool, 7), -EOPNOTSUPP);
	ck_ok(tp_thin_close(thin));

	/* Everything acknowledged is there, also after reopening. */
	world_reopen(&w);
	thin = world_open_thin(&w, 0, (uint64_t)1 << 50);
	for (unsigned i = 0; i < nr; i++) {
		ck_ok(tp_thin_read(thin, block, 512,
				   (uint64_t)i * 300 * WORLD_BLOCK));
		ck_assert_uint_eq(find_other(block, 512, 0, 1), UINT64_MAX);
	}
	fill_metadata(thin, &error);
	ck_assert_int_eq(mode(), TP_MODE_OUT_OF_METADATA_SPACE);
	observer_grow(&w.metadata, 4 * MIB);
	ck_ok(tp_pool_grow_metadata(w.pool));
	ck_assert_int_eq(mode(), TP_MODE_WRITE);
	ck_ok(tp_thin_write(thin, block, 512, (uint64_t)nr * 300 * WORLD_BLOCK,
			    0));
	end_with(thin);
}
END_TEST

/* MDX-06. */
START_TEST(test_snapshots_until_metadata_is_full_end_in_a_clean_error)
{
	struct tp_thin *thin;
	uint32_t id = 1;
	int r;

	world_make_sized(&w, _i, 512 * KIB, 256 * MIB, NULL);
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	do {
		r = tp_pool_create_snapshot(w.pool, id, 0);
		if (!r && tp_thin_write(thin, block, 512, 0, 0))
			break;
	} while (!r && ++id < 20000);
	ck_assert(r == -ENOSPC || r == -EOPNOTSUPP ||
		  mode() == TP_MODE_OUT_OF_METADATA_SPACE);
	ck_assert(!world_status(&w).needs_check);
	ck_assert_uint_ge(world_status(&w).nr_thins, id);
	end_with(thin);
}
END_TEST

/* The mode is the one that only asks for more metadata. */
static void assert_metadata_is_full(void)
{
	ck_assert_int_eq(mode(), TP_MODE_OUT_OF_METADATA_SPACE);
	ck_assert(!world_status(&w).needs_check);
}

#define NR_SHARED 4800u
#define SHARED_BYTES ((uint64_t)NR_SHARED * WORLD_BLOCK)

/* B-META-3, B-META-6: a discard copies the shared nodes that it changes, more
 * of them in a transaction than there is room for. */
START_TEST(test_discards_of_what_is_shared_do_not_overrun_full_metadata)
{
	struct tp_thin *thin;

	world_make_sized(&w, _i, 224 * KIB, SHARED_BYTES, NULL);
	w.options.flags |= TP_POOL_SKIP_ZEROING;
	w.options.commit_interval_ms = TP_NEVER;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, SHARED_BYTES);
	for (uint64_t at = 0; at < SHARED_BYTES; at += WORLD_BLOCK)
		ck_ok(tp_thin_write(thin, block, 512, at, 0));
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	for (uint64_t at = 0; at < SHARED_BYTES; at += 200 * WORLD_BLOCK)
		ck_ok(tp_thin_discard(thin, at, WORLD_BLOCK));
	assert_metadata_is_full();
	ck_ok(tp_thin_close(thin));

	world_reopen(&w);
	observer_grow(&w.metadata, MIB);
	ck_ok(tp_pool_grow_metadata(w.pool));
	thin = world_open_thin(&w, 0, SHARED_BYTES);
	ck_ok(tp_thin_discard(thin, 0, SHARED_BYTES));
	ck_assert_uint_eq(thin_mapped(thin), 0);
	end_with(thin);
}
END_TEST

/* Until something is refused. */
static void use_up_metadata(struct tp_thin *thin)
{
	for (uint32_t i = 0; i < 200; i++) {
		struct tp_snapshot_pair pairs[] = { { 3 * i + 1, 0 },
						    { 3 * i + 2, 0 },
						    { 3 * i + 3, 0 } };

		if (tp_thin_write(thin, block, 512, i * WORLD_BLOCK, 0) ||
		    tp_pool_reserve_metadata_snapshot(w.pool) ||
		    tp_pool_create_snapshots(w.pool, pairs, 3) ||
		    tp_thin_write(thin, block, 512, 0, 0) ||
		    tp_pool_release_metadata_snapshot(w.pool) ||
		    tp_pool_delete_thin(w.pool, pairs[1].id))
			return;
	}
	ck_abort_msg("the metadata never gets full");
}

/* B-META-1, B-META-3: what is held back suffices for a commit, and so nothing
 * is rolled back, however little there is. */
START_TEST(test_a_commit_finds_room_in_very_little_metadata)
{
	for (unsigned nr_blocks = 20; nr_blocks < 56; nr_blocks += 7) {
		struct tp_thin *thin;

		world_make_sized(&w, _i, nr_blocks * 4096, 16 * MIB, NULL);
		world_format(&w);
		world_open(&w);
		if (!tp_pool_create_thin(w.pool, 0)) {
			thin = world_open_thin(&w, 0, THIN_BYTES);
			use_up_metadata(thin);
			ck_ok(tp_thin_close(thin));
		}
		ck_assert(!world_status(&w).needs_check);
		ck_assert_int_lt(mode(), TP_MODE_READ_ONLY);
		world_end(&w);
	}
}
END_TEST

#define NR_HELD 6u

/* As far as there is room. */
static void write_to_all(uint64_t vblock)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;

	options.size = THIN_BYTES;
	for (uint32_t id = 0; id < NR_HELD; id++) {
		if (tp_thin_open(w.pool, id, &options, &thin))
			return;
		tp_thin_write(thin, block, 512, vblock * WORLD_BLOCK, 0);
		ck_ok(tp_thin_close(thin));
	}
}

static void hold_and_release(void)
{
	for (uint32_t id = 0; id < NR_HELD; id++)
		if (tp_pool_create_thin(w.pool, id))
			break;
	write_to_all(0);
	if (tp_pool_reserve_metadata_snapshot(w.pool))
		return;
	write_to_all(1);
	tp_pool_release_metadata_snapshot(w.pool);
}

/* B-META-6: a release is refused before it begins, or done. */
START_TEST(test_a_release_is_not_given_up_for_want_of_metadata)
{
	for (unsigned nr_blocks = 40; nr_blocks < 45; nr_blocks++) {
		world_make_sized(&w, _i, nr_blocks * 4096, 16 * MIB, NULL);
		world_format(&w);
		world_open(&w);
		hold_and_release();
		ck_assert(!world_status(&w).needs_check);
		world_close(&w);
		world_unmake(&w);
	}
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"space", NR_KINDS,
		test_with_the_error_policy_a_full_pool_says_so_at_once,
		test_freeing_space_returns_the_pool_to_write_mode,
		test_a_write_that_may_not_wait_waits_for_what_was_freed,
		test_writes_wait_for_space_and_then_finish,
		test_writes_that_waited_too_long_fail,
		test_closing_ends_writes_that_wait_for_space,
		test_a_host_driven_blocking_write_does_not_wait_for_space,
		test_space_freed_in_the_running_transaction_is_found,
		test_low_water_is_told_once_until_the_pool_grows,
		test_low_water_is_told_again_after_a_resume,
		test_a_mark_of_nothing_is_told_when_nothing_is_left,
		test_the_commit_that_frees_space_wakes_who_waits,
		test_blocks_freed_by_breaking_sharing_are_used_again,
		test_writes_that_wait_end_when_the_pool_stops_writing,
		test_a_write_that_waits_for_a_commit_fails_with_it,
		test_a_thin_that_fills_the_pool_leaves_the_others_alone,
		test_an_event_handler_may_grow_the_pool,
		test_a_writer_goes_on_each_time_the_pool_grows,
		test_a_data_device_shorter_than_a_block_is_full,
		test_full_metadata_stops_writing_and_loses_nothing,
		test_snapshots_until_metadata_is_full_end_in_a_clean_error,
		test_discards_of_what_is_shared_do_not_overrun_full_metadata,
		test_a_release_is_not_given_up_for_want_of_metadata,
		test_a_commit_finds_room_in_very_little_metadata);
}
