/*
 * What a transaction freed is not used again before it is settled, and what is
 * not ours is kept (architecture.md, decision 7; crash contract M4, M5, M8):
 * data blocks freed in every way, metadata blocks, the rest of the superblock.
 */
#include <stdlib.h>

#include "pool/superblock.h"
#include "support/commit-steps.h"

#define THIN_BYTES (4 * MIB)

static struct world w;
static struct tp_queue *queue;
static char block[WORLD_BLOCK];

static void end_queue(void)
{
	tp_queue_destroy(queue);
	queue = NULL;
}

/*---------------------------- blocks that were freed -----------------------*/

#define NR_DATA_BLOCKS 16u

/* An origin and its snapshot share four blocks, durably; the first of them is
 * the one to be freed. */
struct sharing {
	struct tp_thin *origin, *snapshot, *filler;
	uint64_t where;
	struct io parked;
	uint64_t nr_filled;
};

static void begin_sharing(struct sharing *sharing, int kind)
{
	world_make_sized(&w, kind, 2 * MIB, NR_DATA_BLOCKS * WORLD_BLOCK, NULL);
	world_format(&w);
	world_open(&w);
	ck_ok(tp_queue_create(w.pool, 32, &queue));
	sharing->origin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	sharing->where = thin_where(sharing->origin, 0);
	sharing->snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	sharing->filler = world_new_thin(&w, 2, THIN_BYTES);
	sharing->nr_filled = 0;
	io_log_clear(&w.log);
}

static void close_sharing(struct sharing *sharing)
{
	end_queue();
	if (sharing->snapshot)
		ck_ok(tp_thin_close(sharing->snapshot));
	thins_close(sharing->origin, sharing->filler);
}

static void reopen_sharing(struct sharing *sharing)
{
	close_sharing(sharing);
	world_reopen(&w);
	sharing->origin = world_open_thin(&w, 0, THIN_BYTES);
	sharing->snapshot = world_open_thin(&w, 1, THIN_BYTES);
	sharing->filler = world_open_thin(&w, 2, THIN_BYTES);
	ck_ok(tp_queue_create(w.pool, 32, &queue));
}

static void verify_sharing(struct sharing *sharing)
{
	thin_verify(sharing->origin, 0, 4 * WORLD_BLOCK, 1);
	thin_verify(sharing->snapshot, 0, 4 * WORLD_BLOCK, 1);
}

static void end_sharing(struct sharing *sharing, bool check)
{
	close_sharing(sharing);
	if (check)
		world_end(&w);
	else
		world_end_unchecked(&w);
}

static void free_by_discards(struct sharing *sharing)
{
	ck_ok(tp_thin_discard(sharing->origin, 0, WORLD_BLOCK));
	ck_ok(tp_thin_discard(sharing->snapshot, 0, WORLD_BLOCK));
}

static void free_by_zeroing(struct sharing *sharing)
{
	ck_ok(tp_thin_write_zeroes(sharing->origin, 0, WORLD_BLOCK, 0));
	ck_ok(tp_thin_write_zeroes(sharing->snapshot, 0, WORLD_BLOCK, 0));
}

/* The second owner gets a copy too, for the first may come back (B-CRASH-6). */
static void free_by_breaking_sharing(struct sharing *sharing)
{
	thin_fill(sharing->snapshot, 0, WORLD_BLOCK, 2);
	thin_fill(sharing->origin, 0, WORLD_BLOCK, 2);
	ck_assert_uint_ne(thin_where(sharing->origin, 0), sharing->where);
}

static void free_by_discard_and_breaking(struct sharing *sharing)
{
	ck_ok(tp_thin_discard(sharing->snapshot, 0, WORLD_BLOCK));
	thin_fill(sharing->origin, 512, 512, 2);
	ck_assert_uint_ne(thin_where(sharing->origin, 0), sharing->where);
}

/* This one commits. */
static void free_by_deletion(struct sharing *sharing)
{
	thin_fill(sharing->origin, 0, WORLD_BLOCK, 2);
	ck_ok(tp_thin_close(sharing->snapshot));
	sharing->snapshot = NULL;
	ck_ok(tp_pool_delete_thin(w.pool, 1));
}

static const struct {
	void (*free_it)(struct sharing *sharing);
	unsigned nr_copies; /* made of it */
	bool commits;
} ways[] = {
	{ free_by_discards, 0, false },
	{ free_by_zeroing, 0, false },
	{ free_by_breaking_sharing, 2, false },
	{ free_by_discard_and_breaking, 1, false },
	{ free_by_deletion, 1, true },
};

#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

static uint64_t fill_offset(const struct sharing *sharing)
{
	return sharing->nr_filled * WORLD_BLOCK;
}

/* Write all blocks that are left, and one for which only the one that was freed
 * would be: it waits. */
static void fill_up(struct sharing *sharing, unsigned way)
{
	unsigned nr = NR_DATA_BLOCKS - 4 - ways[way].nr_copies;
	struct io *io = &sharing->parked;

	for (; sharing->nr_filled < nr; sharing->nr_filled++)
		thin_fill(sharing->filler, fill_offset(sharing), WORLD_BLOCK,
			  3);
	fill_pattern(block, WORLD_BLOCK, fill_offset(sharing), 3);
	io_init(io, TP_WRITE, block, fill_offset(sharing), WORLD_BLOCK, 0);
	io_submit(io, queue, sharing->filler);
	world_idle(&w);
	ck_assert(!io_has_ended(io, queue));
}

static unsigned nr_changes_of(uint64_t where)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < io_log_nr(&w.log); i++) {
		struct io_event event = io_log_get(&w.log, i);

		nr += event.when == IO_BEGIN && !strcmp(event.name, "data") &&
		      event.op != TP_READ && event.op != TP_FLUSH &&
		      event.offset < where + WORLD_BLOCK &&
		      event.offset + event.length > where;
	}

	return nr;
}

static void expect_the_block_to_be_used(struct sharing *sharing)
{
	ck_ok(io_wait(&w, &sharing->parked, queue));
	ck_assert_uint_eq(thin_where(sharing->filler, fill_offset(sharing)),
			  sharing->where);
	sharing->nr_filled++;
	thin_verify(sharing->filler, 0, fill_offset(sharing), 3);
}

/* Decision 7, B-QUI-2, -3, B-LOCK-2: durable is not enough.  While a bio that was sent by
 * the old mapping is in flight, over any number of commits, the block is neither
 * handed out nor passed down. */
START_TEST(test_a_freed_block_is_not_reused_while_an_old_reader_is_in_flight)
{
	for (unsigned way = 0; way < NR_WAYS; way++) {
		static char bytes[WORLD_BLOCK];
		struct sharing sharing;
		struct io read;

		begin_sharing(&sharing, _i);
		observer_hold_next(&w.data, OPS(TP_READ), 1);
		io_init(&read, TP_READ, bytes, 0, WORLD_BLOCK, 0);
		io_submit(&read, queue, sharing.origin);
		world_until(&w, w.data.nr_held == 1);
		ways[way].free_it(&sharing);
		fill_up(&sharing, way);
		for (unsigned i = 0; i < 3; i++)
			ck_ok(tp_pool_set_transaction_id(w.pool, i, i + 1));
		world_idle(&w);
		ck_assert(!io_has_ended(&sharing.parked, queue));
		ck_assert_uint_eq(nr_changes_of(sharing.where), 0);
		ck_assert(!io_has_ended(&read, queue));
		observer_release(&w.data);
		ck_ok(io_wait(&w, &read, queue));
		ck_assert_uint_eq(find_other(bytes, WORLD_BLOCK, 0, 1),
				  UINT64_MAX);
		expect_the_block_to_be_used(&sharing);
		end_sharing(&sharing, true);
	}
}
END_TEST

/* Free the block while a commit is kept back: in the transaction after it. */
static void free_in_the_running_transaction(struct sharing *sharing,
					    unsigned way, struct io *flush)
{
	thin_fill(sharing->filler, 0, WORLD_BLOCK, 3);
	sharing->nr_filled++;
	commit_stop_at(&w, SUPERBLOCK);
	io_submit_flush(flush, queue, sharing->filler);
	commit_await(&w, SUPERBLOCK);
	ways[way].free_it(sharing);
}

/* B-COMMIT-9, -10: what was freed in T(f) or T(r) is not handed out, nor passed
 * down, before that is durable. */
START_TEST(test_a_freed_block_is_not_reused_before_its_transaction_is_durable)
{
	for (unsigned way = 0; !ways[way].commits; way++) {
		struct sharing sharing;
		struct io flush;

		begin_sharing(&sharing, _i);
		free_in_the_running_transaction(&sharing, way, &flush);
		fill_up(&sharing, way);
		ck_assert_uint_eq(nr_changes_of(sharing.where), 0);

		/* Its own commit is kept back too. */
		ck_assert(observer_release_one(&w.metadata, OPS(TP_WRITE)));
		commit_await(&w, SUPERBLOCK);
		world_idle(&w);
		ck_assert_uint_eq(nr_changes_of(sharing.where), 0);
		commit_go_on(&w);
		ck_ok(io_wait(&w, &flush, queue));
		expect_the_block_to_be_used(&sharing);
		end_sharing(&sharing, true);
	}
}
END_TEST

/* B-ABORT-9: the commit that frees the block fails, at whatever step; so its
 * owners are as they were, and nothing ever touched it. */
START_TEST(test_a_block_whose_freeing_was_aborted_keeps_its_content)
{
	for (unsigned i = 0; i < NR_WAYS * NR_COMMIT_STEPS; i++) {
		unsigned way = i % NR_WAYS;
		struct sharing sharing;
		struct io flush;

		if (ways[way].commits)
			continue;
		begin_sharing(&sharing, _i);
		ways[way].free_it(&sharing);
		commit_fail_at(&w, i / NR_WAYS, 1);
		io_submit_flush(&flush, queue, sharing.origin);
		ck_assert_int_eq(io_wait(&w, &flush, queue), -EIO);
		ck_assert_int_eq(world_status(&w).mode, TP_MODE_READ_ONLY);
		verify_sharing(&sharing);
		ck_assert_int_eq(
			tp_thin_write(sharing.origin, block, 512, 0, 0), -EIO);
		reopen_sharing(&sharing);
		verify_sharing(&sharing);
		ck_assert_uint_eq(nr_changes_of(sharing.where), 0);
		end_sharing(&sharing, i / NR_WAYS == SUPERBLOCK);
	}
}
END_TEST

/* B-ABORT-3, -6: a write whose new block is still being written when the
 * transaction is given up ends with -EIO, and neither maps the block nor leaks
 * it. */
START_TEST(test_a_write_under_way_at_an_abort_maps_nothing)
{
	struct sharing sharing;
	struct io write, flush;

	begin_sharing(&sharing, _i);
	thin_fill(sharing.filler, 0, WORLD_BLOCK, 3);
	observer_hold_next(&w.data, OPS(TP_WRITE), 1);
	io_init(&write, TP_WRITE, block, 0, WORLD_BLOCK, 0);
	io_submit(&write, queue, sharing.origin);
	world_until(&w, w.data.nr_held == 1);
	observer_fail(&w.metadata, OPS(TP_FLUSH), 0, 1, -EIO);
	io_submit_flush(&flush, queue, sharing.filler);
	ck_assert_int_eq(io_wait(&w, &flush, queue), -EIO);
	ck_assert(!io_has_ended(&write, queue));
	observer_release(&w.data);
	ck_assert_int_eq(io_wait(&w, &write, queue), -EIO);
	thin_verify(sharing.origin, 0, 4 * WORLD_BLOCK, 1);
	ck_assert_uint_eq(world_used(&w), 4);
	end_sharing(&sharing, true);
}
END_TEST

/* Power fails now: what a pool finds that opens then. */
static void expect_after_power_cut(uint64_t nr_used)
{
	struct world other;

	world_copy(&w, &other, HOST_DRIVEN);
	world_check(&other);
	world_open(&other);
	ck_assert_uint_eq(world_used(&other), nr_used);
	world_end(&other);
}

/* R-13, B-WRITE-8, B-DISC-11: blocks that are handed out and not mapped yet, or
 * unmapped and not passed down yet, leak nothing when power fails, whatever was
 * committed meanwhile. */
START_TEST(test_a_power_cut_leaks_no_block_on_its_way)
{
	struct sharing sharing;
	struct io writes[2];

	begin_sharing(&sharing, _i);
	thin_fill(sharing.filler, 0, 4 * WORLD_BLOCK, 3);
	observer_hold(&w.data, OPS(TP_WRITE) | OPS(TP_DISCARD));
	io_init(&writes[0], TP_WRITE, block, 0, WORLD_BLOCK, 0);
	io_submit(&writes[0], queue, sharing.origin);
	io_init(&writes[1], TP_WRITE, block, MIB, WORLD_BLOCK, 0);
	io_submit(&writes[1], queue, sharing.filler);
	world_until(&w, w.data.nr_held == 2);
	ck_ok(tp_pool_commit(w.pool));
	expect_after_power_cut(8);

	/* Two are freed; one that is on its way frees nothing. */
	ck_ok(tp_thin_discard(sharing.filler, 0, 2 * WORLD_BLOCK));
	ck_ok(tp_pool_commit(w.pool));
	expect_after_power_cut(6);
	ck_assert(observer_release_one(&w.data, OPS(TP_WRITE)));
	ck_assert(observer_release_one(&w.data, OPS(TP_WRITE)));
	ck_ok(io_wait(&w, &writes[0], queue));
	ck_ok(io_wait(&w, &writes[1], queue));
	expect_after_power_cut(6);
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, w.data.nr_held > 0);
	expect_after_power_cut(8);
	observer_release(&w.data);
	end_sharing(&sharing, true);
}
END_TEST

/* R-37, B-COW-6, B-QUI-7: nor while a copy reads from it, with no passdown to hold it. */
START_TEST(test_what_a_copy_reads_from_is_not_reused)
{
	struct sharing sharing;
	struct io write, discard;

	begin_sharing(&sharing, _i);
	w.options.flags |= TP_POOL_NO_DISCARD_PASSDOWN;
	reopen_sharing(&sharing);
	observer_hold_next(&w.data, OPS(TP_READ), 1);
	fill_pattern(block, 512, 512, 4);
	io_init(&write, TP_WRITE, block, 512, 512, 0);
	io_submit(&write, queue, sharing.origin);
	world_until(&w, w.data.nr_held == 1);

	/* Its other owner drops it, and its own thin wants to. */
	ck_ok(tp_thin_close(sharing.snapshot));
	sharing.snapshot = NULL;
	ck_ok(tp_pool_delete_thin(w.pool, 1));
	io_init(&discard, TP_DISCARD, NULL, WORLD_BLOCK, 3 * WORLD_BLOCK, 0);
	io_submit(&discard, queue, sharing.origin);
	ck_ok(io_wait(&w, &discard, queue));
	ck_ok(tp_pool_commit(w.pool));
	for (unsigned i = 0; i < NR_DATA_BLOCKS - 5; i++)
		thin_fill(sharing.filler, i * WORLD_BLOCK, WORLD_BLOCK, 3);
	ck_ok(tp_pool_commit(w.pool));
	ck_assert_uint_eq(nr_changes_of(sharing.where), 0);
	ck_assert(!io_has_ended(&write, queue));
	observer_release(&w.data);
	ck_ok(io_wait(&w, &write, queue));
	thin_verify(sharing.origin, 0, 512, 1);
	thin_verify(sharing.origin, 512, 512, 4);
	thin_verify(sharing.origin, 1024, WORLD_BLOCK - 1024, 1);
	end_sharing(&sharing, true);
}
END_TEST

/*---------------------------- metadata blocks ------------------------------*/

#define NR_ROUNDS 5u
#define CHURN_BLOCKS 400u /* several leaves */

/* What each block of the origin held in T(c), T(f) and T(r): a seed, or 0 for
 * nothing.  Its snapshot has seed 1 all over. */
struct churn {
	struct tp_thin *thin;
	uint64_t random, next_seed;
	uint64_t durable[CHURN_BLOCKS], frozen[CHURN_BLOCKS],
		live[CHURN_BLOCKS];
};

static struct churn churn;

static void begin_churn(int kind)
{
	churn = (struct churn){ .random = seed_from_environment(3),
				.next_seed = 1 };
	world_make_sized(&w, kind, 2 * MIB, 48 * MIB, NULL);
	world_format(&w);
	world_open(&w);
	ck_ok(tp_queue_create(w.pool, 32, &queue));
	churn.thin = world_new_thin(&w, 0, 64 * MIB);
	thin_fill(churn.thin, 0, (uint64_t)CHURN_BLOCKS * WORLD_BLOCK, 1);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	for (unsigned i = 0; i < CHURN_BLOCKS; i++)
		churn.live[i] = churn.frozen[i] = churn.durable[i] = 1;
}

static void change_some(void)
{
	for (unsigned nr = 0; nr < 6; nr++) {
		uint64_t i = random_in(&churn.random, 0, CHURN_BLOCKS);
		uint64_t at = i * WORLD_BLOCK;

		if (random_in(&churn.random, 0, 3)) {
			churn.live[i] = ++churn.next_seed;
			thin_fill(churn.thin, at, WORLD_BLOCK, churn.live[i]);
		} else {
			churn.live[i] = 0;
			ck_ok(tp_thin_discard(churn.thin, at, WORLD_BLOCK));
		}
	}
}

static bool holds(const char *sector, uint64_t at, uint64_t seed)
{
	return seed ? find_other(sector, 512, at, seed) == UINT64_MAX
		    : find_nonzero(sector, 512, at) == UINT64_MAX;
}

/* As if power had failed now: T(c) is whole, and shows its own content or what
 * was written since. */
static void check_crashed(int kind)
{
	struct tp_thin *thin, *snapshot;
	struct world crashed;
	char sector[512];

	world_copy(&w, &crashed, kind);
	world_check(&crashed);
	world_open(&crashed);
	thin = world_open_thin(&crashed, 0, 64 * MIB);
	snapshot = world_open_thin(&crashed, 1, 64 * MIB);
	for (unsigned i = 0; i < CHURN_BLOCKS; i++) {
		uint64_t at = (uint64_t)i * WORLD_BLOCK;

		thin_verify(snapshot, at, 512, 1);
		ck_ok(tp_thin_read(thin, sector, 512, at));
		ck_assert(holds(sector, at, churn.durable[i]) ||
			  holds(sector, at, churn.frozen[i]) ||
			  holds(sector, at, churn.live[i]));
	}
	thins_close(thin, snapshot);
	world_end(&crashed);
}

/* M4, B-COMMIT-9: with T(f) all on the device but for its superblock, and T(r)
 * changing beside it, nothing of T(c) has been overwritten; over many commits,
 * so that blocks freed by one are wanted by the next. */
START_TEST(test_metadata_of_the_durable_transaction_is_never_overwritten)
{
	begin_churn(_i);
	for (unsigned round = 0; round < NR_ROUNDS; round++) {
		struct io flush;

		change_some();
		memcpy(churn.frozen, churn.live, sizeof(churn.live));
		commit_stop_at(&w, SUPERBLOCK);
		io_submit_flush(&flush, queue, churn.thin);
		commit_await(&w, SUPERBLOCK);
		change_some();
		check_crashed(_i);
		commit_go_on(&w);
		ck_ok(io_wait(&w, &flush, queue));
		memcpy(churn.durable, churn.frozen, sizeof(churn.frozen));
	}
	end_queue();
	ck_ok(tp_thin_close(churn.thin));
	world_end(&w);
}
END_TEST

/* M8, metadata-format.md 2: bytes that are not ours stay as they were found, by
 * whatever the superblock is written; so a torn write is old or new, whole. */
START_TEST(test_the_rest_of_the_superblock_is_kept)
{
	const size_t first = offsetof(struct tpi_disk_superblock, padding);
	struct tp_thin *thin;
	char *rest;

	ck_assert_uint_le(first, 512);
	world_make(&w, _i);
	world_format(&w);
	fill_pattern(w.metadata.bytes + 512, 4096 - 512, 0, 77);
	memset(w.metadata.bytes + first, 0x77, 512 - first);
	tpi_seal(&tpi_superblock_validator, 0, w.metadata.bytes);
	rest = snapshot_of(&w.metadata);

	world_open(&w);
	thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	ck_ok(tp_thin_flush(thin));
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	observer_grow(&w.metadata, 3 * MIB);
	ck_ok(tp_pool_grow_metadata(w.pool));
	ck_assert(
		!memcmp(w.metadata.bytes + first, rest + first, 4096 - first));

	/* The one that sets needs_check. */
	thin_fill(thin, 0, WORLD_BLOCK, 2);
	observer_fail(&w.metadata, OPS(TP_FLUSH), 0, 1, -EIO);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	ck_assert(world_status(&w).needs_check);
	ck_ok(tp_thin_close(thin));
	world_close(&w);
	ck_assert(
		!memcmp(w.metadata.bytes + first, rest + first, 4096 - first));
	world_unmake(&w);
	free(rest);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"reuse", NR_KINDS,
		test_a_freed_block_is_not_reused_while_an_old_reader_is_in_flight,
		test_a_freed_block_is_not_reused_before_its_transaction_is_durable,
		test_a_block_whose_freeing_was_aborted_keeps_its_content,
		test_a_write_under_way_at_an_abort_maps_nothing,
		test_a_power_cut_leaks_no_block_on_its_way,
		test_what_a_copy_reads_from_is_not_reused,
		test_metadata_of_the_durable_transaction_is_never_overwritten,
		test_the_rest_of_the_superblock_is_kept);
}
