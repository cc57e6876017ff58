/*
 * Metadata space: what is kept back of it, when the host is told that it runs
 * low, and what happens to what was under way when it has run out.
 */
#include <stdlib.h>

#include "support/world.h"
#include "pool/superblock.h"

#define THIN_BYTES (64 * MIB)

static struct world w;
static char block[WORLD_BLOCK];
static atomic_uint nr_low;

static void note_low(void *context, const struct tp_event *event)
{
	nr_low += event->kind == TP_EVENT_LOW_METADATA;
}

static enum tp_pool_mode mode(void)
{
	return world_status(&w).mode;
}

static void begin(int kind, uint64_t metadata_bytes)
{
	world_make_sized(&w, kind, metadata_bytes, 16 * MIB, NULL);
	world_format(&w);
	world_open(&w);
	nr_low = 0;
	ck_ok(tp_pool_set_event_handler(w.pool, note_low, NULL));
}

/* Thins from @id on, each of which takes a block; how many. */
static uint32_t create_thins(uint32_t id, uint32_t max)
{
	uint32_t nr = 0;

	while (nr < max && !tp_pool_create_thin(w.pool, id + nr))
		nr++;

	return nr;
}

static void delete_thins(uint32_t id, uint32_t nr)
{
	while (nr--)
		ck_ok(tp_pool_delete_thin(w.pool, id + nr));
}

/*---------------------------- the reserve ----------------------------------*/

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What status says against what the superblock says is in use. */
static void check_figures(uint64_t nr_blocks)
{
	const struct tpi_disk_superblock *sb = (void *)w.metadata.bytes;
	struct tp_pool_status status;
	uint64_t used;

	ck_ok(tp_pool_commit(w.pool));
	status = world_status(&w);
	used = le64_get(sb->metadata_space_map.root.nr_allocated);
	ck_assert_uint_eq(status.metadata_blocks, nr_blocks);
	ck_assert_uint_eq(status.used_metadata_blocks,
			  used + least(4096, nr_blocks / 10));
	ck_assert_uint_eq(status.metadata_low_water_blocks,
			  least(1024, nr_blocks / 4));
}

/* B-META-1, B-META-2, B-STAT-3: a tenth is kept back and told as used, and an
 * event comes at a quarter; neither of more than a fixed number of blocks.  Both
 * are reckoned anew after growth. */
START_TEST(test_a_part_of_the_metadata_is_kept_back_for_commits)
{
	static const uint64_t sizes[] = { 100, 1023, 4095, 4097, 9999, 16384 };

	begin(_i, sizes[0] * 4096);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		observer_grow(&w.metadata, sizes[i] * 4096);
		ck_ok(tp_pool_grow_metadata(w.pool));
		check_figures(sizes[i]);
	}
	world_end(&w);

	begin(_i, 50000 * 4096ull);
	check_figures(50000);
	world_end(&w);
}
END_TEST

/* Until the host is told, for the @nr-th time, that little is left. */
static uint32_t create_until_low(uint32_t id, unsigned nr)
{
	uint32_t first = id;

	while (nr_low < nr) {
		ck_ok(tp_pool_create_thin(w.pool, id++));
		if (world_is_host_driven(&w))
			world_run(&w);
	}

	return id - first;
}

/* B-EVT-1, B-META-2, MDX-04: once as it falls to the mark, and again only when
 * it has been above: after thins were deleted, and after it grew. */
START_TEST(test_low_metadata_is_told_once_each_time_it_falls)
{
	uint32_t nr;

	begin(_i, 300 * 4096);
	nr = create_until_low(0, 1);
	ck_assert_uint_eq(create_thins(nr, 2), 2);
	world_idle(&w);
	ck_assert_uint_eq(nr_low, 1);
	ck_assert_int_eq(mode(), TP_MODE_WRITE);
	delete_thins(nr - 30, 30);
	world_idle(&w);
	ck_assert_uint_eq(nr_low, 1);
	create_until_low(nr - 30, 2);
	observer_grow(&w.metadata, 400 * 4096);
	ck_ok(tp_pool_grow_metadata(w.pool));
	world_idle(&w);
	ck_assert_uint_eq(nr_low, 2);
	create_until_low(nr + 100, 3);
	world_end(&w);
}
END_TEST

/*---------------------------- running out ----------------------------------*/

/* No thin more, and nothing more is mapped. */
static void run_out(struct tp_thin *thin)
{
	uint64_t at = 0;
	int r;

	create_thins(100, 1000);
	do
		r = tp_thin_write(thin, block, 512, at, 0);
	while (!r && (at += WORLD_BLOCK) < THIN_BYTES);
	ck_assert_int_eq(r, -EIO);
	ck_assert_int_eq(mode(), TP_MODE_OUT_OF_METADATA_SPACE);
	ck_assert(!world_status(&w).needs_check);
}

/* B-META-4, B-MODE-3, B-ABORT-3: a block that was being filled when the
 * metadata ran out is not mapped, and not leaked. */
START_TEST(test_a_write_under_way_when_metadata_runs_out_fails)
{
	struct tp_thin *thin, *other;
	struct tp_queue *queue;
	struct io io;

	begin(_i, 100 * 4096);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	other = world_new_thin(&w, 1, THIN_BYTES);
	ck_ok(tp_queue_create(w.pool, 2, &queue));
	observer_hold_next(&w.data, OPS(TP_WRITE), 1);
	io_init(&io, TP_WRITE, block, 0, 512, 0);
	io_submit(&io, queue, thin);
	world_until(&w, w.data.nr_held == 1);
	run_out(other);
	ck_assert(!io_has_ended(&io, queue));
	observer_release(&w.data);
	ck_assert_int_eq(io_wait(&w, &io, queue), -EIO);
	ck_assert_uint_eq(thin_mapped(thin), 0);
	thin_verify_zero(thin, 0, WORLD_BLOCK);
	ck_ok(tp_thin_flush(thin));
	tp_queue_destroy(queue);
	thins_close(thin, other);
	world_end(&w);
}
END_TEST

/* MDX-01, MDX-02, MDX-03, B-META-5, R-48: what was durable stays, also if the
 * pool is opened anew; after growth thins are deleted and filled as ever. */
START_TEST(test_a_pool_that_got_more_metadata_deletes_and_fills)
{
	struct tp_thin *thin, *other;
	uint64_t nr_thins;

	begin(_i, 100 * 4096);
	thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	other = world_filled_thin(&w, 1, THIN_BYTES, 2);
	run_out(other);
	nr_thins = world_status(&w).nr_thins;
	thins_close(thin, other);
	world_reopen(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	thin_verify(thin, 0, NR_FILLED * WORLD_BLOCK, 1);
	ck_assert_int_ne(tp_thin_write(thin, block, 512, MIB, 0), 0);
	ck_assert_int_eq(mode(), TP_MODE_OUT_OF_METADATA_SPACE);
	ck_assert_int_eq(tp_pool_delete_thin(w.pool, 1), -EOPNOTSUPP);
	ck_assert_uint_eq(world_status(&w).nr_thins, nr_thins);
	observer_grow(&w.metadata, 64 * MIB);
	ck_ok(tp_pool_grow_metadata(w.pool));
	ck_assert_int_eq(mode(), TP_MODE_WRITE);
	ck_ok(tp_pool_delete_thin(w.pool, 1));
	thin_fill(thin, 0, 8 * MIB, 3);
	thin_verify(thin, 0, 8 * MIB, 3);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_delete_thin(w.pool, 0));
	world_until(&w, !world_used(&w));
	ck_assert_int_eq(mode(), TP_MODE_WRITE);
	world_end(&w);
}
END_TEST

/* MDX-06, B-META-6: a clean error, and all snapshots show what they were taken
 * of. */
START_TEST(test_snapshots_taken_until_metadata_is_full_are_intact)
{
	struct tp_thin *thin;
	uint32_t nr = 0;

	begin(_i, 100 * 4096);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	do {
		fill_pattern(block, 512, 0, nr);
		if (tp_thin_write(thin, block, 512, 0, 0))
			break;
		nr++;
	} while (nr < 1000 && !tp_pool_create_snapshot(w.pool, nr, 0));
	ck_assert_uint_gt(nr, 5);
	ck_assert_uint_lt(nr, 1000);
	ck_assert(!world_status(&w).needs_check);
	ck_ok(tp_thin_close(thin));
	world_reopen(&w);
	for (uint32_t id = 1; id < nr; id++) {
		thin = world_open_thin(&w, id, THIN_BYTES);
		thin_verify(thin, 0, 512, id - 1);
		ck_ok(tp_thin_close(thin));
	}
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"metadata-space", NR_KINDS,
		test_a_part_of_the_metadata_is_kept_back_for_commits,
		test_low_metadata_is_told_once_each_time_it_falls,
		test_a_write_under_way_when_metadata_runs_out_fails,
		test_a_pool_that_got_more_metadata_deletes_and_fills,
		test_snapshots_taken_until_metadata_is_full_are_intact);
}
