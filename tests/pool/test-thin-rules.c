/*
 * What a thin is: independent of all others whatever it came from, without a
 * size of its own, and one for all its handles; and what bios on the same block
 * do to each other.
 */
#include <pthread.h>

#include "support/world.h"

#define NR_BLOCKS 16u
#define THIN_BYTES (NR_BLOCKS * WORLD_BLOCK)

static struct world w;
static char bytes[4][WORLD_BLOCK];

/*---------------------------- independence ---------------------------------*/

static void verify_level(uint32_t id)
{
	struct tp_thin *thin = world_open_thin(&w, id, THIN_BYTES);

	thin_verify(thin, 0, id * WORLD_BLOCK, id);
	thin_verify(thin, 3 * WORLD_BLOCK, THIN_BYTES - 3 * WORLD_BLOCK, 9);
	ck_ok(tp_thin_close(thin));
}

/* 1 <- 2 <- 3: each has its first blocks of its own, as many as its id. */
static void make_chain(int kind)
{
	struct tp_thin *thin;

	world_begin(&w, kind);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 9);
	for (uint32_t id = 1; id <= 3; id++) {
		if (id > 1)
			thin = world_snapshot(&w, id, id - 1, THIN_BYTES);
		thin_fill(thin, 0, id * WORLD_BLOCK, id);
		ck_ok(tp_thin_close(thin));
	}
}

/* B-THIN-3, DEL-09, DEL-10: no chain: in whatever order they are deleted, those
 * that are left are what they were, and in the end nothing is in use. */
START_TEST(test_origins_and_snapshots_can_be_deleted_in_any_order)
{
	static const uint32_t orders[6][3] = { { 1, 2, 3 }, { 1, 3, 2 },
					       { 2, 1, 3 }, { 2, 3, 1 },
					       { 3, 1, 2 }, { 3, 2, 1 } };

	for (unsigned i = 0; i < 6; i++) {
		make_chain(_i);
		for (unsigned nr = 0; nr < 3; nr++) {
			for (unsigned left = nr; left < 3; left++)
				verify_level(orders[i][left]);
			ck_ok(tp_pool_delete_thin(w.pool, orders[i][nr]));
		}
		ck_assert_uint_eq(world_used(&w), 0);
		world_end(&w);
	}
}
END_TEST

/* B-THIN-2: a smaller open hides and frees nothing, a larger one provisions. */
START_TEST(test_a_size_is_of_the_open_and_not_of_the_thin)
{
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_thin_close(thin));

	thin = world_open_thin(&w, 1, 2 * WORLD_BLOCK);
	ck_assert_int_eq(tp_thin_read(thin, bytes[0], 512, 2 * WORLD_BLOCK),
			 -EINVAL);
	ck_assert_uint_eq(thin_mapped(thin), THIN_BYTES);
	ck_ok(tp_thin_close(thin));

	thin = world_open_thin(&w, 1, 2 * THIN_BYTES);
	thin_verify(thin, 0, THIN_BYTES, 1);
	thin_verify_zero(thin, THIN_BYTES, THIN_BYTES);
	ck_assert_uint_eq(world_used(&w), NR_BLOCKS);
	thin_fill(thin, 2 * THIN_BYTES - WORLD_BLOCK, WORLD_BLOCK, 2);
	ck_assert_uint_eq(world_used(&w), NR_BLOCKS + 1);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/*---------------------------- opening --------------------------------------*/

static int try_open(uint32_t id)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;
	int r;

	options.size = THIN_BYTES;
	r = tp_thin_open(w.pool, id, &options, &thin);
	if (!r)
		ck_ok(tp_thin_close(thin));

	return r;
}

/* B-THIN-6: in every mode but failed, and not while suspended. */
START_TEST(test_a_thin_opens_in_every_mode_but_failed)
{
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_filled_thin(&w, 1, THIN_BYTES, 1);
	ck_ok(tp_thin_close(thin));
	ck_ok(try_open(1));
	ck_ok(tp_pool_suspend(w.pool));
	ck_assert_int_eq(try_open(1), -EBUSY);
	ck_ok(tp_pool_resume(w.pool, NULL));
	ck_ok(try_open(1));

	observer_fail(&w.metadata, OPS(TP_WRITE), 0, 1, -EIO);
	ck_assert_int_eq(tp_pool_create_thin(w.pool, 2), -EIO);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_READ_ONLY);
	ck_ok(try_open(1));
	observer_heal(&w.metadata);
	world_end_unchecked(&w);

	world_begin(&w, _i);
	ck_ok(tp_pool_create_thin(w.pool, 1));
	observer_fail(&w.metadata, OPS(TP_WRITE), 0, 0, -EIO);
	ck_assert_int_eq(tp_pool_create_thin(w.pool, 2), -EIO);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_FAILED);
	ck_assert_int_eq(try_open(1), -EINVAL);
	observer_heal(&w.metadata);
	world_end_unchecked(&w);
}
END_TEST

/* B-THIN-7: all that is known of a thin, and of the pool, is of T(c) again. */
START_TEST(test_after_an_abort_all_is_as_it_was_committed)
{
	struct tp_thin_info before, after;
	struct tp_pool_status then, now;
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_filled_thin(&w, 1, THIN_BYTES, 1);
	ck_ok(tp_pool_create_snapshot(w.pool, 2, 1));
	ck_ok(tp_pool_set_transaction_id(w.pool, 0, 7));
	before = thin_info(thin);
	then = world_status(&w);

	thin_fill(thin, 8 * WORLD_BLOCK, 4 * WORLD_BLOCK, 2);
	ck_ok(tp_thin_discard(thin, 0, WORLD_BLOCK));
	observer_fail(&w.metadata, OPS(TP_WRITE), 0, 1, -EIO);
	ck_assert_int_eq(tp_pool_create_snapshot(w.pool, 3, 1), -EIO);
	after = thin_info(thin);
	now = world_status(&w);
	ck_assert_uint_eq(after.mapped_bytes, before.mapped_bytes);
	ck_assert_uint_eq(after.snapshotted_time, before.snapshotted_time);
	ck_assert_uint_eq(after.highest_mapped_end, before.highest_mapped_end);
	ck_assert_uint_eq(now.time, then.time);
	ck_assert_uint_eq(now.transaction_id, 7);
	ck_assert_uint_eq(now.held_root, 0);
	ck_assert_uint_eq(now.nr_thins, 2);
	ck_assert_uint_eq(now.used_data_blocks, then.used_data_blocks);
	thin_verify(thin, 0, NR_FILLED * WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	observer_heal(&w.metadata);
	world_end_unchecked(&w);
}
END_TEST

/*---------------------------- bios on one block ----------------------------*/

static void submit_write(struct io *io, unsigned i, struct tp_queue *queue,
			 struct tp_thin *thin, uint64_t vblock)
{
	fill_pattern(bytes[i], WORLD_BLOCK, vblock * WORLD_BLOCK, i);
	io_init(io, TP_WRITE, bytes[i], vblock * WORLD_BLOCK, WORLD_BLOCK, 0);
	io_submit(io, queue, thin);
}

/*
 * B-THIN-8, B-LOCK-1, B-LOCK-4, B-LOCK-6: the first write to a block holds it
 * until it is mapped, against another handle's too, but not the block beside
 * it; whoever waited ends once, and no block is handed out for it.
 */
START_TEST(test_the_first_write_to_a_block_holds_it)
{
	struct tp_thin *one, *two;
	struct tp_queue *queue;
	struct io ios[4];

	world_begin(&w, _i);
	one = world_new_thin(&w, 1, THIN_BYTES);
	two = world_open_thin(&w, 1, 4 * WORLD_BLOCK);
	ck_ok(tp_queue_create(w.pool, 8, &queue));
	observer_hold_next(&w.data, OPS(TP_WRITE), 1);
	submit_write(&ios[0], 0, queue, one, 3);
	world_until(&w, w.data.nr_held == 1);
	submit_write(&ios[1], 1, queue, two, 3);
	submit_write(&ios[2], 2, queue, one, 3);
	submit_write(&ios[3], 3, queue, two, 2);
	ck_ok(io_wait(&w, &ios[3], queue));
	world_idle(&w);
	ck_assert(!io_has_ended(&ios[1], queue));
	ck_assert(!io_has_ended(&ios[2], queue));
	observer_release(&w.data);
	for (unsigned i = 0; i < 3; i++)
		ck_ok(io_wait(&w, &ios[i], queue));
	world_idle(&w);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(ios[i].nr_ended, 1);
	ck_assert_uint_eq(world_used(&w), 2);
	ck_assert_uint_eq(thin_mapped(one), 2 * WORLD_BLOCK);
	thin_verify(one, 2 * WORLD_BLOCK, WORLD_BLOCK, 3);
	tp_queue_destroy(queue);
	thins_close(one, two);
	world_end(&w);
}
END_TEST

/* B-LOCK-5, B-LOCK-8: a discard behind that write, and a write behind the
 * discard, look everything up again when their turn comes: the last write gets a
 * block that the discard has not seen. */
START_TEST(test_who_waited_for_a_block_looks_it_up_again)
{
	struct io first, discard, last;
	struct tp_queue *queue;
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	ck_ok(tp_queue_create(w.pool, 8, &queue));
	observer_hold_next(&w.data, OPS(TP_WRITE), 1);
	submit_write(&first, 0, queue, thin, 3);
	world_until(&w, w.data.nr_held == 1);
	io_init(&discard, TP_DISCARD, NULL, 0, THIN_BYTES, 0);
	io_submit(&discard, queue, thin);
	world_idle(&w);
	submit_write(&last, 1, queue, thin, 3);
	world_idle(&w);
	ck_assert(!io_has_ended(&discard, queue));
	ck_assert(!io_has_ended(&last, queue));
	observer_release(&w.data);
	ck_ok(io_wait(&w, &first, queue));
	ck_ok(io_wait(&w, &discard, queue));
	ck_ok(io_wait(&w, &last, queue));
	thin_verify(thin, 3 * WORLD_BLOCK, WORLD_BLOCK, 1);
	ck_assert_uint_eq(thin_mapped(thin), WORLD_BLOCK);
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* B-LOCK-3, B-LOCK-11: in place, many are on their way at once; and what the
 * device keeps holds up no call and no other bio. */
START_TEST(test_what_the_device_keeps_holds_up_nobody_else)
{
	struct tp_queue *queue;
	struct tp_thin *thin, *other;
	struct io ios[4], read;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 9);
	other = world_new_thin(&w, 2, THIN_BYTES);
	thin_fill(other, 0, WORLD_BLOCK, 8);
	ck_ok(tp_queue_create(w.pool, 8, &queue));
	observer_hold(&w.data, OPS(TP_WRITE));
	for (unsigned i = 0; i < 4; i++)
		submit_write(&ios[i], i, queue, thin, 0);
	world_until(&w, w.data.nr_held == 4);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	ck_assert_uint_eq(thin_mapped(thin), WORLD_BLOCK);
	thin_verify(other, 0, WORLD_BLOCK, 8);
	io_init(&read, TP_READ, bytes[0], 0, WORLD_BLOCK, 0);
	io_submit(&read, queue, other);
	ck_ok(io_wait(&w, &read, queue));
	observer_release(&w.data);
	for (unsigned i = 0; i < 4; i++)
		ck_ok(io_wait(&w, &ios[i], queue));
	tp_queue_destroy(queue);
	thins_close(thin, other);
	world_end(&w);
}
END_TEST

/* B-LOCK-9: while a copy reads the block that two thins share, the other one
 * does not write it in place. */
START_TEST(test_a_block_that_a_copy_reads_is_not_written_by_another_thin)
{
	struct tp_thin *origin, *snapshot;
	struct io partial, whole;
	struct tp_queue *queue;
	uint64_t where;

	world_begin(&w, _i);
	origin = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(origin, 0, WORLD_BLOCK, 9);
	snapshot = world_snapshot(&w, 2, 1, THIN_BYTES);
	where = thin_where(snapshot, 0);
	ck_ok(tp_queue_create(w.pool, 8, &queue));
	observer_hold_next(&w.data, OPS(TP_READ), 1);
	fill_pattern(bytes[0], 512, 0, 1);
	io_init(&partial, TP_WRITE, bytes[0], 0, 512, 0);
	io_submit(&partial, queue, origin);
	world_until(&w, w.data.nr_held == 1);
	submit_write(&whole, 2, queue, snapshot, 0);
	world_idle(&w);
	if (io_has_ended(&whole, queue))
		ck_assert_uint_ne(thin_where(snapshot, 0), where);
	observer_release(&w.data);
	ck_ok(io_wait(&w, &partial, queue));
	ck_ok(io_wait(&w, &whole, queue));
	thin_verify(origin, 0, 512, 1);
	thin_verify(origin, 512, WORLD_BLOCK - 512, 9);
	thin_verify(snapshot, 0, WORLD_BLOCK, 2);
	tp_queue_destroy(queue);
	thins_close(origin, snapshot);
	world_end(&w);
}
END_TEST

/*---------------------------- several threads ------------------------------*/

#define NR_THREADS 2u
#define THREAD_BLOCKS 24u
#define PIECE (2 * WORLD_BLOCK + 4096)

static struct tp_thin *shared;

/* Every other block is this thread's, or every other piece of two and a bit. */
struct writer {
	unsigned number;
	uint64_t piece_bytes;
};

static void *write_pieces(void *context)
{
	const struct writer *writer = context;
	uint64_t step = NR_THREADS * writer->piece_bytes;
	uint64_t end = NR_THREADS * THREAD_BLOCKS * (uint64_t)WORLD_BLOCK;

	for (uint64_t at = writer->number * writer->piece_bytes;
	     at + writer->piece_bytes <= end; at += step)
		thin_fill(shared, at, writer->piece_bytes, writer->number);

	return NULL;
}

static void write_from_threads(uint64_t piece_bytes)
{
	struct writer writers[NR_THREADS];
	pthread_t threads[NR_THREADS];

	for (unsigned i = 0; i < NR_THREADS; i++) {
		writers[i] = (struct writer){ i, piece_bytes };
		ck_ok(pthread_create(&threads[i], NULL, write_pieces,
				     &writers[i]));
	}
	for (unsigned i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void verify_pieces(uint64_t piece_bytes)
{
	uint64_t end = NR_THREADS * THREAD_BLOCKS * (uint64_t)WORLD_BLOCK;
	unsigned i = 0;

	for (uint64_t at = 0; at + piece_bytes <= end; at += piece_bytes)
		thin_verify(shared, at, piece_bytes, i++ % NR_THREADS);
}

/* CON-01, CON-05, CON-06: neighbouring blocks, and bios that meet within a
 * block, from two threads, on a device that ends the newest first. */
START_TEST(test_threads_that_write_side_by_side_do_not_disturb_each_other)
{
	world_begin(&w, OWN_THREAD);
	atomic_store(&w.data.newest_first, _i == 1);
	shared = world_new_thin(
		&w, 1, NR_THREADS * THREAD_BLOCKS * (uint64_t)WORLD_BLOCK);
	write_from_threads(WORLD_BLOCK);
	ck_assert_uint_eq(world_used(&w), NR_THREADS * THREAD_BLOCKS);
	verify_pieces(WORLD_BLOCK);
	ck_ok(tp_thin_discard(
		shared, 0, NR_THREADS * THREAD_BLOCKS * (uint64_t)WORLD_BLOCK));
	write_from_threads(PIECE);
	verify_pieces(PIECE);
	ck_ok(tp_thin_close(shared));
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"thin-rules", NR_KINDS,
		test_origins_and_snapshots_can_be_deleted_in_any_order,
		test_a_size_is_of_the_open_and_not_of_the_thin,
		test_a_thin_opens_in_every_mode_but_failed,
		test_after_an_abort_all_is_as_it_was_committed,
		test_the_first_write_to_a_block_holds_it,
		test_who_waited_for_a_block_looks_it_up_again,
		test_what_the_device_keeps_holds_up_nobody_else,
		test_a_block_that_a_copy_reads_is_not_written_by_another_thin,
		test_threads_that_write_side_by_side_do_not_disturb_each_other);
}
