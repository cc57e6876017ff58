/*
 * Statistics: what is counted is exact, whoever did it and wherever.
 */
#include "support/world.h"

#define THIN_BYTES (4 * MIB)

static struct world w;
static char block[4 * WORLD_BLOCK];

static struct tp_io_statistics of_thin(struct tp_thin *thin)
{
	struct tp_thin_statistics statistics = TP_THIN_STATISTICS_INIT;

	ck_ok(tp_thin_get_statistics(thin, &statistics));

	return statistics.io;
}

static struct tp_pool_statistics of_pool(void)
{
	struct tp_pool_statistics statistics = TP_POOL_STATISTICS_INIT;

	ck_ok(tp_pool_get_statistics(w.pool, &statistics));

	return statistics;
}

#define ck_count(count, nr, length)                                            \
	do {                                                                   \
		ck_assert_uint_eq((count).nr_bios, nr);                        \
		ck_assert_uint_eq((count).bytes, length);                      \
	} while (0)

static void write_at(struct tp_thin *thin, uint64_t length, uint64_t offset)
{
	fill_pattern(block, length, offset, 1);
	ck_ok(tp_thin_write(thin, block, length, offset, 0));
}

/*---------------------------- bios -----------------------------------------*/

/* Each kind by itself; what is refused does not count. */
START_TEST(test_bios_and_bytes_are_counted_by_kind)
{
	struct tp_io_statistics io;
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	write_at(thin, 4096, 0);
	write_at(thin, 8192, 4096);
	ck_ok(tp_thin_write(thin, block, 512, 0, TP_FUA));
	ck_ok(tp_thin_read(thin, block, 1024, MIB));
	ck_ok(tp_thin_write_zeroes(thin, 0, 2048, TP_FUA));
	ck_ok(tp_thin_discard(thin, MIB, MIB));
	ck_ok(tp_thin_flush(thin));
	ck_assert_int_eq(tp_thin_read(thin, block, 512, THIN_BYTES), -EINVAL);
	ck_assert_int_eq(tp_thin_write(thin, block, 100, 0, 0), -EINVAL);
	io = of_thin(thin);
	ck_count(io.reads, 1, 1024);
	ck_count(io.writes, 3, 4096 + 8192 + 512);
	ck_count(io.write_zeroes, 1, 2048);
	ck_count(io.discards, 1, MIB);
	ck_count(io.flushes, 1, 0);
	ck_assert_uint_eq(io.nr_fua, 2);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* The first write of a block reads its mapping; what is mapped then goes
 * straight to the device, and so does reading what is known to be unmapped. */
START_TEST(test_direct_bios_and_cached_mappings_are_counted)
{
	struct tp_io_statistics io;
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	write_at(thin, 4096, 0);
	io = of_thin(thin);
	ck_assert_uint_eq(io.nr_direct, 0);
	ck_assert_uint_eq(io.mapping_cache_misses, 1);
	ck_assert_uint_eq(io.mapping_cache_hits, 0);
	for (unsigned i = 0; i < 10; i++)
		write_at(thin, 4096, 4096);
	ck_ok(tp_thin_read(thin, block, 4096, MIB));
	io = of_thin(thin);
	ck_assert_uint_eq(io.nr_direct, 11);
	ck_assert_uint_eq(io.mapping_cache_misses, 1);
	ck_assert_uint_eq(io.mapping_cache_hits, 11);

	/* One that has to be provisioned finds its mapping, but is not direct. */
	write_at(thin, 4096, WORLD_BLOCK);
	io = of_thin(thin);
	ck_assert_uint_eq(io.nr_direct, 11);
	ck_assert_uint_eq(io.mapping_cache_misses, 1);
	ck_assert_uint_eq(io.mapping_cache_hits, 12);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* Through two handles and two queues; a queue that is gone has left its counts,
 * and so has a handle.  Opened anew the thin begins at nothing, but not the
 * pool. */
START_TEST(test_counts_outlive_queues_and_handles)
{
	struct tp_thin *one, *two;
	struct tp_queue *queue;
	struct io io;

	world_begin(&w, _i);
	one = world_new_thin(&w, 0, THIN_BYTES);
	two = world_open_thin(&w, 0, THIN_BYTES);
	write_at(one, 4096, 0);
	ck_ok(tp_queue_create(w.pool, 4, &queue));
	io_init(&io, TP_READ, block, 0, 4096, 0);
	io_submit(&io, queue, two);
	ck_ok(io_wait(&w, &io, queue));
	ck_count(of_thin(one).reads, 1, 4096);
	tp_queue_destroy(queue);
	ck_count(of_thin(one).reads, 1, 4096);
	ck_ok(tp_thin_close(two));
	ck_count(of_thin(one).reads, 1, 4096);
	ck_count(of_thin(one).writes, 1, 4096);
	ck_count(of_pool().io.reads, 1, 4096);
	ck_ok(tp_thin_close(one));
	ck_count(of_pool().io.reads, 1, 4096);

	one = world_open_thin(&w, 0, THIN_BYTES);
	ck_count(of_thin(one).reads, 0, 0);
	ck_assert_uint_eq(of_thin(one).provisioned_blocks, 0);
	write_at(one, 4096, 0);
	ck_count(of_thin(one).writes, 1, 4096);
	ck_count(of_pool().io.writes, 2, 8192);
	ck_assert_uint_eq(of_pool().io.provisioned_blocks, 1);
	ck_ok(tp_thin_close(one));
	world_end(&w);
}
END_TEST

/*---------------------------- blocks ---------------------------------------*/

/* Parts of blocks are filled up with zeroes, whole ones are not. */
START_TEST(test_blocks_are_counted_as_they_come_and_go)
{
	struct tp_io_statistics io;
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	write_at(thin, 4096, 0);
	write_at(thin, 3 * WORLD_BLOCK, WORLD_BLOCK);
	io = of_thin(thin);
	ck_assert_uint_eq(io.provisioned_blocks, 4);
	ck_assert_uint_eq(io.zeroed_blocks, 1);
	ck_assert_uint_eq(io.copied_blocks, 0);
	ck_assert_uint_eq(io.unshared_blocks, 0);

	/* One block of these was mapped, and one is only covered in part. */
	ck_ok(tp_thin_discard(thin, 3 * WORLD_BLOCK, 2 * WORLD_BLOCK + 4096));
	ck_assert_uint_eq(of_thin(thin).unmapped_blocks, 1);
	ck_ok(tp_thin_write_zeroes(thin, 0, 2 * WORLD_BLOCK, 0));
	ck_assert_uint_eq(of_thin(thin).unmapped_blocks, 3);
	ck_assert_uint_eq(thin_mapped(thin), WORLD_BLOCK);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* A block is copied if part of it is written, and only then; a run of shared
 * and unmapped ones counts as what each of them was. */
START_TEST(test_broken_sharing_and_copies_are_counted)
{
	struct tp_io_statistics io;
	struct tp_thin *thin, *snapshot;

	world_begin(&w, _i);
	thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	write_at(snapshot, 512, 0);
	io = of_thin(snapshot);
	ck_assert_uint_eq(io.unshared_blocks, 1);
	ck_assert_uint_eq(io.copied_blocks, 1);
	write_at(snapshot, 4 * WORLD_BLOCK, 2 * WORLD_BLOCK);
	io = of_thin(snapshot);
	ck_assert_uint_eq(io.unshared_blocks, 3);
	ck_assert_uint_eq(io.provisioned_blocks, 2);
	ck_assert_uint_eq(io.copied_blocks, 1);
	ck_assert_uint_eq(io.zeroed_blocks, 0);
	ck_assert_uint_eq(of_thin(thin).unshared_blocks, 0);
	ck_assert_uint_eq(of_pool().io.provisioned_blocks, NR_FILLED + 2);
	thins_close(thin, snapshot);
	world_end(&w);
}
END_TEST

/* Decision 11: the snapshot is gone, so nothing is copied. */
START_TEST(test_a_break_of_sharing_that_is_not_needed_is_counted)
{
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	ck_ok(tp_pool_delete_thin(w.pool, 1));
	ck_ok(tp_pool_commit(w.pool));
	world_settle(&w);
	write_at(thin, 4096, 0);
	write_at(thin, 4096, 4096);
	ck_assert_uint_eq(of_thin(thin).avoided_breaks, 1);
	ck_assert_uint_eq(of_thin(thin).unshared_blocks, 0);
	ck_assert_uint_eq(of_thin(thin).copied_blocks, 0);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* What comes from an external origin is a copy too. */
START_TEST(test_copies_of_an_external_origin_are_counted)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_device *origin;
	struct tp_io_statistics io;
	struct tp_thin *thin;

	world_begin(&w, _i);
	ck_ok(tp_device_open_memory(MIB, &origin));
	ck_ok(tp_pool_create_thin(w.pool, 0));
	options.size = THIN_BYTES;
	options.external_origin = origin;
	ck_ok(tp_thin_open(w.pool, 0, &options, &thin));
	write_at(thin, 512, 0);
	write_at(thin, 512, 2 * MIB);
	io = of_thin(thin);
	ck_assert_uint_eq(io.provisioned_blocks, 2);
	ck_assert_uint_eq(io.copied_blocks, 1);
	ck_assert_uint_eq(io.zeroed_blocks, 1);
	ck_ok(tp_thin_close(thin));
	tp_device_unref(origin);
	world_end(&w);
}
END_TEST

/* A write that fails has provisioned nothing. */
START_TEST(test_only_mapped_blocks_are_counted)
{
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	observer_fail(&w.data, OPS(TP_WRITE), 0, 1, -EIO);
	ck_assert_int_eq(tp_thin_write(thin, block, 512, 0, 0), -EIO);
	ck_count(of_thin(thin).writes, 1, 512);
	ck_assert_uint_eq(of_thin(thin).provisioned_blocks, 0);
	ck_assert_uint_eq(of_thin(thin).zeroed_blocks, 0);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/*---------------------------- commits --------------------------------------*/

#define NR_FLUSHES 3u

/* Who asks while nothing is under way shares a commit; an unchanged thin has
 * none. */
START_TEST(test_flushes_and_what_they_share_are_counted)
{
	struct tp_pool_statistics before, after;
	struct io flushes[NR_FLUSHES];
	struct tp_thin *thin;
	struct tp_queue *queue;

	world_begin(&w, HOST_DRIVEN);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	ck_ok(tp_queue_create(w.pool, 8, &queue));
	write_at(thin, 512, 0);
	before = of_pool();
	ck_assert_uint_eq(before.nr_commits, world_status(&w).nr_commits);
	ck_assert_uint_eq(before.nr_committed_flushes, 0);
	for (unsigned i = 0; i < NR_FLUSHES; i++)
		io_submit_flush(&flushes[i], queue, thin);
	for (unsigned i = 0; i < NR_FLUSHES; i++)
		ck_ok(io_wait(&w, &flushes[i], queue));
	after = of_pool();
	ck_assert_uint_eq(after.nr_commits, before.nr_commits + 1);
	ck_assert_uint_eq(after.nr_committed_flushes, NR_FLUSHES);
	ck_assert_uint_eq(after.nr_data_flushes, 0);
	ck_assert_uint_eq(after.nr_flushed_flushes, 0);

	ck_ok(tp_thin_flush(thin));
	after = of_pool();
	ck_assert_uint_eq(after.nr_commits, before.nr_commits + 1);
	ck_assert_uint_eq(after.nr_committed_flushes, NR_FLUSHES);
	ck_assert_uint_eq(after.nr_data_flushes, 1);
	ck_assert_uint_eq(after.nr_flushed_flushes, 1);
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

static uint64_t hook_ns;

static int take_time(void *context)
{
	(void)context;
	w.now_ns += hook_ns;

	return tp_pool_flush_data(w.pool);
}

static uint64_t sum(const uint64_t *counts)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < TP_LATENCY_BUCKETS; i++)
		total += counts[i];

	return total;
}

/* By the pool's clock, which stands still but for what the hook takes. */
START_TEST(test_commits_are_counted_by_how_long_they_took)
{
	static const struct {
		uint64_t ns;
		unsigned bucket;
	} cases[] = {
		{ 0, 0 },
		{ 1999, 0 },
		{ 2000, 1 },
		{ 3999999, 11 },
		{ 5000000, 12 },
		{ SECOND_NS, 19 },
		{ 33554431999, 24 },
		{ 33554432000, 25 },
		{ 900000000000, 25 },
	};
	unsigned nr = sizeof(cases) / sizeof(cases[0]);
	struct tp_thin *thin;

	world_make(&w, HOST_DRIVEN);
	world_use_virtual_clock(&w);
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	ck_ok(tp_pool_set_pre_commit_hook(w.pool, take_time, NULL));
	for (unsigned i = 0; i < nr; i++) {
		struct tp_pool_statistics before = of_pool(), after;

		hook_ns = cases[i].ns;
		write_at(thin, 512, i * WORLD_BLOCK);
		ck_ok(tp_thin_flush(thin));
		after = of_pool();
		ck_assert_uint_eq(after.commit_latency[cases[i].bucket],
				  before.commit_latency[cases[i].bucket] + 1);
		ck_assert_uint_eq(sum(after.commit_latency), after.nr_commits);
	}
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/*---------------------------- asking ---------------------------------------*/

/* A host that was built when the structs were shorter gets what it knows. */
START_TEST(test_statistics_fill_structs_of_any_size)
{
	struct tp_pool_statistics pool = TP_POOL_STATISTICS_INIT;
	struct tp_thin_statistics statistics = TP_THIN_STATISTICS_INIT;
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	write_at(thin, 512, 0);
	statistics.struct_size =
		offsetof(struct tp_thin_statistics, io.discards);
	statistics.io.discards.nr_bios = 77;
	ck_ok(tp_thin_get_statistics(thin, &statistics));
	ck_count(statistics.io.writes, 1, 512);
	ck_assert_uint_eq(statistics.io.discards.nr_bios, 77);
	statistics.struct_size = pool.struct_size = 0;
	ck_assert_int_eq(tp_thin_get_statistics(thin, &statistics), -EINVAL);
	ck_assert_int_eq(tp_thin_get_statistics(thin, NULL), -EINVAL);
	ck_assert_int_eq(tp_thin_get_statistics(NULL, &statistics), -EINVAL);
	ck_assert_int_eq(tp_pool_get_statistics(w.pool, &pool), -EINVAL);
	ck_assert_int_eq(tp_pool_get_statistics(w.pool, NULL), -EINVAL);
	ck_assert_int_eq(tp_pool_get_statistics(NULL, &pool), -EINVAL);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS("statistics", NR_KINDS,
			 test_bios_and_bytes_are_counted_by_kind,
			 test_direct_bios_and_cached_mappings_are_counted,
			 test_counts_outlive_queues_and_handles,
			 test_blocks_are_counted_as_they_come_and_go,
			 test_broken_sharing_and_copies_are_counted,
			 test_a_break_of_sharing_that_is_not_needed_is_counted,
			 test_copies_of_an_external_origin_are_counted,
			 test_only_mapped_blocks_are_counted,
			 test_flushes_and_what_they_share_are_counted,
			 test_commits_are_counted_by_how_long_they_took,
			 test_statistics_fill_structs_of_any_size);
}
