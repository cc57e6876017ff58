/*
 * Snapshots: what they show, what they cost, who sees what while writers run.
 */
#include <stdlib.h>

#include "support/world.h"

#define NR_BLOCKS 24
#define THIN_BYTES (NR_BLOCKS * WORLD_BLOCK)

static struct world w;
static char buffer[THIN_BYTES];

static struct tp_thin *begin_full(int kind)
{
	struct tp_thin *thin;

	world_begin(&w, kind);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 1);

	return thin;
}

static void end_two(struct tp_thin *a, struct tp_thin *b)
{
	ck_ok(tp_thin_close(a));
	ck_ok(tp_thin_close(b));
	world_end(&w);
}

/* SNP-01. */
START_TEST(test_a_snapshot_costs_nothing_until_it_is_written)
{
	struct tp_thin *thin = begin_full(_i), *snapshot;

	ck_assert_uint_eq(world_used(&w), NR_BLOCKS);
	snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	ck_assert_uint_eq(world_used(&w), NR_BLOCKS);
	ck_assert_uint_eq(thin_mapped(snapshot), THIN_BYTES);
	thin_fill(snapshot, 0, THIN_BYTES, 2);
	ck_assert_uint_eq(world_used(&w), 2 * NR_BLOCKS);
	thin_verify(thin, 0, THIN_BYTES, 1);
	thin_verify(snapshot, 0, THIN_BYTES, 2);
	end_two(thin, snapshot);
}
END_TEST

/* SNP-03, SNP-04, B-CRASH-4: the rest of a block comes along. */
START_TEST(test_a_partial_write_breaks_sharing_for_the_writer_only)
{
	static const uint32_t block_sizes[] = { 64 * KIB, 192 * KIB, MIB };

	for (unsigned i = 0; i < 6; i++) {
		uint32_t block = block_sizes[i / 2];
		struct tp_thin *two[2], *writer, *other;

		world_make(&w, _i);
		w.block_size = block;
		world_format(&w);
		world_open(&w);
		two[0] = world_new_thin(&w, 0, 4 * block);
		thin_fill(two[0], 0, 4 * block, 1);
		two[1] = world_snapshot(&w, 1, 0, 4 * block);
		writer = two[i % 2];
		other = two[1 - i % 2];
		thin_fill(writer, block + 1024, 512, 2);
		thin_fill(writer, 3 * block - 512, 1024, 2);
		thin_verify(other, 0, 4 * block, 1);
		thin_verify(writer, 0, block + 1024, 1);
		thin_verify(writer, block + 1024, 512, 2);
		thin_verify(writer, block + 1536, 2 * block - 2048, 1);
		thin_verify(writer, 3 * block - 512, 1024, 2);
		thin_verify(writer, 3 * block + 512, block - 512, 1);
		ck_assert_uint_eq(world_used(&w), 7);
		end_two(two[0], two[1]);
	}
}
END_TEST

/* SNP-06: counts of 6 down to 1. */
START_TEST(test_blocks_with_many_owners_lose_them_one_by_one)
{
	struct tp_thin *thins[6] = { begin_full(_i) };

	for (uint32_t i = 1; i < 6; i++)
		thins[i] = world_snapshot(&w, i, 0, THIN_BYTES);
	for (uint32_t i = 0; i < 6; i++) {
		thin_fill(thins[i], 0, THIN_BYTES, 10 + i);
		ck_ok(tp_pool_commit(w.pool));
	}
	for (uint32_t i = 0; i < 6; i++)
		thin_verify(thins[i], 0, THIN_BYTES, 10 + i);
	world_until(&w, world_used(&w) == 6 * NR_BLOCKS);
	for (uint32_t i = 2; i < 6; i++)
		ck_ok(tp_thin_close(thins[i]));
	end_two(thins[0], thins[1]);
}
END_TEST

/* SNP-15: depth 8, a block more at each level. */
START_TEST(test_snapshots_of_snapshots_show_their_own_level)
{
	struct tp_thin *thins[9] = { begin_full(_i) };

	for (uint32_t i = 1; i < 9; i++) {
		thins[i] = world_snapshot(&w, i, i - 1, THIN_BYTES);
		thin_fill(thins[i], i * WORLD_BLOCK, WORLD_BLOCK / 2, 1 + i);
	}
	for (uint32_t i = 0; i < 9; i++) {
		for (uint32_t j = 1; j <= i; j++)
			thin_verify(thins[i], j * WORLD_BLOCK, WORLD_BLOCK / 2,
				    1 + j);
		thin_verify(thins[i], (i + 1) * WORLD_BLOCK,
			    THIN_BYTES - (i + 1) * WORLD_BLOCK, 1);
		ck_ok(tp_thin_close(thins[i]));
	}
	ck_assert_uint_eq(world_used(&w), NR_BLOCKS + 8);
	world_end(&w);
}
END_TEST

/* SNP-13's good sibling: all at one instant, and one time for all. */
START_TEST(test_snapshots_taken_together_share_an_instant)
{
	struct tp_snapshot_pair pairs[] = { { 10, 0 }, { 11, 1 }, { 12, 0 } };
	struct tp_thin *thin = begin_full(_i), *other, *snapshot;
	uint32_t time = world_status(&w).time;

	other = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(other, 0, THIN_BYTES, 2);
	ck_ok(tp_pool_create_snapshots(w.pool, pairs, 3));
	ck_assert_uint_eq(world_status(&w).time, time + 1);
	thin_fill(thin, 0, THIN_BYTES, 3);
	thin_fill(other, 0, THIN_BYTES, 3);
	for (unsigned i = 0; i < 3; i++) {
		snapshot = world_open_thin(&w, pairs[i].id, THIN_BYTES);
		thin_verify(snapshot, 0, THIN_BYTES, 1 + pairs[i].origin);
		ck_ok(tp_thin_close(snapshot));
	}
	end_two(thin, other);
}
END_TEST

/* Decision 13: cloning a golden image again spends no time. */
START_TEST(test_no_time_is_spent_where_nothing_was_mapped_since)
{
	struct tp_thin *thin = begin_full(_i);
	uint32_t time;

	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	time = world_status(&w).time;
	for (uint32_t id = 2; id < 20; id++)
		ck_ok(tp_pool_create_snapshot(w.pool, id, 0));
	ck_assert_uint_eq(world_status(&w).time, time);
	world_end(&w);
}
END_TEST

/* Decision 11, O-05: once the snapshot's deletion has settled nothing is
 * copied any more. */
START_TEST(test_a_block_whose_snapshot_is_gone_is_written_in_place)
{
	struct tp_thin *thin = begin_full(_i);
	uint64_t where = thin_where(thin, 0);

	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	ck_ok(tp_pool_delete_thin(w.pool, 1));
	ck_ok(tp_pool_commit(w.pool));
	world_settle(&w);
	thin_fill(thin, 0, THIN_BYTES, 2);
	ck_assert_uint_eq(thin_where(thin, 0), where);
	world_until(&w, world_used(&w) == NR_BLOCKS);
	thin_verify(thin, 0, THIN_BYTES, 2);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* R-11, B-CRASH-6, B-WRITE-11: O broke sharing, not durable; S, the last user
 * in T(r), must not write in place. */
START_TEST(test_a_block_shared_in_the_durable_transaction_is_not_overwritten)
{
	struct tp_thin *thin = begin_full(_i), *snapshot, *old;
	struct world crashed;

	snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 2);
	thin_fill(snapshot, 0, THIN_BYTES, 3);
	world_copy(&w, &crashed, _i);
	world_open(&crashed);
	for (uint32_t id = 0; id < 2; id++) {
		old = world_open_thin(&crashed, id, THIN_BYTES);
		thin_verify(old, 0, THIN_BYTES, 1);
		ck_ok(tp_thin_close(old));
	}
	world_end(&crashed);
	thin_verify(thin, 0, THIN_BYTES, 2);
	thin_verify(snapshot, 0, THIN_BYTES, 3);
	end_two(thin, snapshot);
}
END_TEST

/* R-89, B-QUI-2, B-QUI-5, B-COW-1: a slow read of O, then O rewrites the block, the
 * other owner goes, and the pool is filled: the read shows what was there. */
START_TEST(test_a_slow_read_keeps_its_block_from_being_reused)
{
	struct tp_thin *thin = begin_full(_i), *filler;
	uint64_t where = thin_where(thin, 0);
	static char fresh[WORLD_BLOCK];
	struct tp_queue *queue;
	struct io read, write;

	ck_ok(tp_queue_create(w.pool, 4, &queue));
	filler = world_new_thin(&w, 2, 16 * MIB);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	observer_hold_next(&w.data, OPS(TP_READ), 1);
	io_init(&read, TP_READ, buffer, 0, WORLD_BLOCK, 0);
	io_submit(&read, queue, thin);
	world_until(&w, w.data.nr_held == 1);
	fill_pattern(fresh, WORLD_BLOCK, 0, 2);
	io_init(&write, TP_WRITE, fresh, 0, WORLD_BLOCK, 0);
	io_submit(&write, queue, thin);
	world_idle(&w);
	ck_ok(tp_pool_delete_thin(w.pool, 1));
	ck_ok(tp_pool_commit(w.pool));
	for (uint64_t at = 0; at < 12 * MIB; at += WORLD_BLOCK) {
		thin_fill(filler, at, WORLD_BLOCK, 4);
		ck_assert_uint_ne(thin_where(filler, at), where);
	}
	ck_ok(tp_pool_commit(w.pool));
	ck_assert_uint_eq(read.nr_ended, 0);
	observer_release(&w.data);
	ck_ok(io_wait(&w, &read, queue));
	ck_ok(io_wait(&w, &write, queue));
	ck_assert_uint_eq(find_other(buffer, WORLD_BLOCK, 0, 1), UINT64_MAX);
	thin_verify(thin, 0, WORLD_BLOCK, 2);
	tp_queue_destroy(queue);
	end_two(thin, filler);
}
END_TEST

/* B-COW-3, F-02, EXT-09's sibling: the copy's source cannot be read. */
START_TEST(test_a_copy_that_fails_leaves_both_as_they_were)
{
	struct tp_thin *thin = begin_full(_i);
	struct tp_thin *snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	static const enum tp_op ops[] = { TP_READ, TP_WRITE };

	for (unsigned i = 0; i < 2; i++) {
		observer_fail(&w.data, OPS(ops[i]), 0, 1, -EIO);
		ck_assert_int_eq(tp_thin_write(thin, buffer, 512, 512, 0),
				 -EIO);
		thin_verify(thin, 0, THIN_BYTES, 1);
		thin_verify(snapshot, 0, THIN_BYTES, 1);
		ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
		world_until(&w, world_used(&w) == NR_BLOCKS);
	}
	thin_fill(thin, 512, 512, 2);
	thin_verify(thin, 512, 512, 2);
	end_two(thin, snapshot);
}
END_TEST

/*---------------------------- while writers run ----------------------------*/

static atomic_bool stop;

/* All sectors of a generation, then the next: an image is a cut of that. */
static void *write_generations(void *context)
{
	struct tp_thin *thin = context;
	char *bytes = malloc(4096);

	for (uint64_t generation = 2; !stop; generation++) {
		for (uint64_t at = 0; at < THIN_BYTES && !stop; at += 4096) {
			memset(bytes, 0, 4096);
			memcpy(bytes, &generation, sizeof(generation));
			ck_ok(tp_thin_write(thin, bytes, 4096, at, 0));
		}
	}
	free(bytes);

	return NULL;
}

/* B-SNAP-2, -3, SNP-11, R-80, N1: generations never grow towards the end, and
 * differ by one at most. */
static void check_cut(struct tp_thin *snapshot)
{
	uint64_t first, last = UINT64_MAX;

	ck_ok(tp_thin_read(snapshot, buffer, THIN_BYTES, 0));
	memcpy(&first, buffer, sizeof(first));
	for (uint64_t at = 0; at < THIN_BYTES; at += 4096) {
		uint64_t here;

		memcpy(&here, buffer + at, sizeof(here));
		ck_assert_uint_le(here, last);
		last = here;
	}
	ck_assert_uint_le(first - last, 1);
}

START_TEST(test_a_snapshot_under_writes_is_an_instant_of_its_origin)
{
	struct tp_thin *thin, *snapshot;
	pthread_t writer;

	world_begin(&w, OWN_THREAD);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	memset(buffer, 0, THIN_BYTES); /* another test may have used it */
	for (uint64_t at = 0; at < THIN_BYTES; at += 4096)
		buffer[at] = 1;
	ck_ok(tp_thin_write(thin, buffer, THIN_BYTES, 0, 0));
	stop = false;
	pthread_create(&writer, NULL, write_generations, thin);
	for (uint32_t id = 1; id <= 40; id++) {
		snapshot = world_snapshot(&w, id, 0, THIN_BYTES);
		check_cut(snapshot);
		ck_ok(tp_thin_close(snapshot));
		if (id > 3)
			ck_ok(tp_pool_delete_thin(w.pool, id - 3));
	}
	stop = true;
	pthread_join(writer, NULL);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

static void *write_and_verify(void *context)
{
	struct tp_thin *thin = context;
	uint64_t seed = thin_info(thin).id + 20;

	for (unsigned i = 0; i < 3; i++, seed += 10) {
		thin_fill(thin, 0, THIN_BYTES, seed);
		thin_verify(thin, 0, THIN_BYTES, seed);
	}

	return NULL;
}

/* SNP-07: six writers on shared data. */
START_TEST(test_writers_on_shared_data_do_not_see_each_other)
{
	struct tp_thin *thins[6] = { begin_full(OWN_THREAD) };
	pthread_t threads[6];

	for (uint32_t i = 1; i < 6; i++)
		thins[i] = world_snapshot(&w, i, 0, THIN_BYTES);
	for (unsigned i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, write_and_verify, thins[i]);
	for (unsigned i = 0; i < 6; i++) {
		pthread_join(threads[i], NULL);
		ck_ok(tp_thin_close(thins[i]));
	}
	world_end(&w);
}
END_TEST

/* B-SNAP-2: only writes are waited for.  The read shows what was there when it
 * was sent, though the block has got another owner and another content. */
START_TEST(test_a_read_that_the_device_keeps_does_not_hold_up_a_snapshot)
{
	static char bytes[WORLD_BLOCK];
	struct tp_queue *queue;
	struct tp_thin *thin;
	struct io io;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, 8 * WORLD_BLOCK);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	thin_verify(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_queue_create(w.pool, 4, &queue));
	observer_hold(&w.data, OPS(TP_READ));
	io_init(&io, TP_READ, bytes, 0, WORLD_BLOCK, 0);
	io_submit(&io, queue, thin);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	ck_assert(!io_has_ended(&io, queue));
	observer_release(&w.data);
	thin_fill(thin, 0, WORLD_BLOCK, 2);
	ck_ok(io_wait(&w, &io, queue));
	ck_assert_uint_eq(find_other(bytes, WORLD_BLOCK, 0, 1), UINT64_MAX);
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"snapshot", NR_KINDS,
		test_a_snapshot_costs_nothing_until_it_is_written,
		test_a_partial_write_breaks_sharing_for_the_writer_only,
		test_blocks_with_many_owners_lose_them_one_by_one,
		test_snapshots_of_snapshots_show_their_own_level,
		test_snapshots_taken_together_share_an_instant,
		test_no_time_is_spent_where_nothing_was_mapped_since,
		test_a_block_whose_snapshot_is_gone_is_written_in_place,
		test_a_block_shared_in_the_durable_transaction_is_not_overwritten,
		test_a_slow_read_keeps_its_block_from_being_reused,
		test_a_copy_that_fails_leaves_both_as_they_were,
		test_a_snapshot_under_writes_is_an_instant_of_its_origin,
		test_writers_on_shared_data_do_not_see_each_other,
		test_a_read_that_the_device_keeps_does_not_hold_up_a_snapshot);
}
