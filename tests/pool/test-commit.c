/*
 * When a pool commits, and when it does not.  How it does is in
 * test-seed-cases.c and test-pipeline.c.
 */
#include "support/world.h"

#define THIN_BYTES (4 * MIB)

static struct world w;
static char block[WORLD_BLOCK];

static uint64_t nr_commits(void)
{
	return world_status(&w).nr_commits;
}

/* Thin 0 has four blocks, thin 1 shares them; all is durable. */
static struct tp_thin *begin(int kind)
{
	struct tp_thin *thin;

	world_begin(&w, kind);
	thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	ck_assert(!world_status(&w).changed);

	return thin;
}

static void end_with(struct tp_thin *thin)
{
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}

/*---------------------------- what is a change -----------------------------*/

static void provision(struct tp_thin *thin)
{
	ck_ok(tp_thin_write(thin, block, 512, MIB, 0));
}

static void break_sharing(struct tp_thin *thin)
{
	ck_ok(tp_thin_write(thin, block, 512, 0, 0));
}

static void unmap(struct tp_thin *thin)
{
	ck_ok(tp_thin_discard(thin, 0, WORLD_BLOCK));
}

static void (*const changes[])(struct tp_thin *thin) = { provision,
							 break_sharing, unmap };
#define NR_CHANGES (sizeof(changes) / sizeof(changes[0]))

/* B-COMMIT-1, B-COMMIT-2, B-COMMIT-4: a second after each of them it is durable,
 * whoever asked or not; and then nothing more is done, however long it lasts. */
START_TEST(test_the_tick_commits_any_change_once)
{
	for (unsigned i = 0; i < NR_CHANGES; i++) {
		struct tp_thin *thin;
		uint64_t before;

		world_make(&w, HOST_DRIVEN);
		world_use_virtual_clock(&w);
		w.options.commit_interval_ms = 0; /* a second */
		world_format(&w);
		world_open(&w);
		thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
		ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
		before = nr_commits();
		changes[i](thin);
		ck_assert(world_status(&w).changed);
		ck_assert_uint_eq(nr_commits(), before);
		for (unsigned k = 0; k < 3; k++)
			world_pass_time(&w, SECOND_NS);
		world_idle(&w);
		ck_assert(!world_status(&w).changed);
		ck_assert_uint_eq(nr_commits(), before + 1);

		io_log_clear(&w.log);
		for (unsigned k = 0; k < 10; k++)
			world_pass_time(&w, SECOND_NS);
		ck_assert_uint_eq(io_log_nr(&w.log), 0);
		end_with(thin);
	}
}
END_TEST

/*---------------------------- what commits it ------------------------------*/

static int flush(struct tp_thin *thin)
{
	return tp_thin_flush(thin);
}

static int write_fua(struct tp_thin *thin)
{
	return tp_thin_write(thin, block, 512, 2 * MIB, TP_FUA);
}

static int create(struct tp_thin *thin)
{
	return tp_pool_create_thin(w.pool, 2);
}

static int snapshot(struct tp_thin *thin)
{
	return tp_pool_create_snapshot(w.pool, 3, 0);
}

static int delete (struct tp_thin *thin)
{
	return tp_pool_delete_thin(w.pool, 2);
}

static int set_transaction_id(struct tp_thin *thin)
{
	return tp_pool_set_transaction_id(w.pool, 0, 1);
}

static int reserve(struct tp_thin *thin)
{
	return tp_pool_reserve_metadata_snapshot(w.pool);
}

static int release(struct tp_thin *thin)
{
	return tp_pool_release_metadata_snapshot(w.pool);
}

static int grow(struct tp_thin *thin)
{
	observer_grow(&w.data, w.data.size_bytes + MIB);

	return tp_pool_grow_data(w.pool);
}

static int suspend(struct tp_thin *thin)
{
	return tp_pool_suspend(w.pool);
}

static int (*const causes[])(struct tp_thin *thin) = {
	flush,   write_fua, create, snapshot, delete, set_transaction_id,
	reserve, release,   grow,   suspend,
};
#define NR_CAUSES (sizeof(causes) / sizeof(causes[0]))

/* B-COMMIT-3: each makes durable what others had changed. */
START_TEST(test_flushes_and_calls_commit_all_changes)
{
	struct tp_thin *thin = begin(_i);

	for (unsigned i = 0; i < NR_CAUSES; i++) {
		uint64_t before = nr_commits();

		ck_ok(tp_thin_write(thin, block, 512, 3 * MIB + i * WORLD_BLOCK,
				    0));
		ck_assert(world_status(&w).changed);
		ck_ok(causes[i](thin));
		ck_assert_uint_gt(nr_commits(), before);
		ck_assert(!world_status(&w).changed);
	}
	ck_ok(tp_pool_resume(w.pool, NULL));
	provision(thin);
	ck_ok(tp_thin_close(thin));
	world_reopen(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	ck_assert_uint_ne(thin_where(thin, MIB), UINT64_MAX);
	end_with(thin);
}
END_TEST

/* CRS-04, B-FLUSH-2, B-FLUSH-3: a flush commits for a thin that was discarded
 * from, and not for another. */
START_TEST(test_a_flush_after_a_discard_commits_for_that_thin_only)
{
	struct tp_thin *thin = begin(_i), *other;
	uint64_t before = nr_commits();

	other = world_open_thin(&w, 1, THIN_BYTES);
	unmap(thin);
	ck_ok(tp_thin_flush(other));
	ck_assert_uint_eq(nr_commits(), before);
	ck_ok(tp_thin_flush(thin));
	ck_assert_uint_eq(nr_commits(), before + 1);
	ck_ok(tp_thin_flush(thin));
	ck_assert_uint_eq(nr_commits(), before + 1);
	ck_ok(tp_thin_close(other));
	end_with(thin);
}
END_TEST

#define NR_MANY 4500u

/* How many commits nobody asked for while as many blocks are provisioned. */
static uint64_t commits_by_size(int kind, uint64_t cache_bytes)
{
	struct tp_thin *thin;
	uint64_t before;

	world_make_sized(&w, kind, 4 * MIB, 300 * MIB, NULL);
	w.options.flags |= TP_POOL_SKIP_ZEROING;
	w.options.metadata_cache_bytes = cache_bytes;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, 300 * MIB);
	before = nr_commits();
	for (uint64_t i = 0; i < NR_MANY; i++)
		ck_ok(tp_thin_write(thin, block, 512, i * WORLD_BLOCK, 0));
	world_idle(&w);
	before = nr_commits() - before;
	end_with(thin);

	return before;
}

/* B-COMMIT-7: a transaction that would outgrow the cache. */
START_TEST(test_a_large_transaction_is_committed_early)
{
	ck_assert_uint_ge(commits_by_size(_i, 64 * 4096), 1);
	ck_assert_uint_eq(commits_by_size(_i, 0), 0);
}
END_TEST

/*---------------------------- what does not --------------------------------*/

/* B-WRITE-10, B-FUA-3: what is written in place changes no metadata, and with
 * FUA is durable without a commit. */
START_TEST(test_writing_in_place_commits_nothing)
{
	struct tp_thin *thin = begin(_i);
	uint64_t before, where;

	provision(thin);
	ck_ok(tp_thin_flush(thin));
	before = nr_commits();
	where = thin_where(thin, MIB);
	provision(thin);
	ck_assert(!world_status(&w).changed);
	ck_ok(tp_thin_write(thin, block, 512, MIB, TP_FUA));
	ck_assert_uint_eq(nr_commits(), before);
	ck_assert_uint_eq(thin_where(thin, MIB), where);
	ck_ok(tp_thin_flush(thin));
	ck_assert_uint_eq(nr_commits(), before);
	end_with(thin);
}
END_TEST

/* B-WRITE-12, B-WRITE-11: a metadata snapshot pins mappings, so blocks have more
 * references than before; but what was one thin's alone is still written in
 * place. */
START_TEST(test_a_metadata_snapshot_makes_no_block_shared)
{
	struct tp_thin *thin;
	uint64_t where;

	world_begin(&w, _i);
	thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	where = thin_where(thin, 0);
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	break_sharing(thin);
	ck_assert_uint_eq(thin_where(thin, 0), where);
	ck_assert_uint_eq(world_used(&w), NR_FILLED);
	ck_ok(tp_pool_release_metadata_snapshot(w.pool));
	end_with(thin);
}
END_TEST

/* B-COMMIT-6: nothing is written to metadata, whoever asks. */
START_TEST(test_a_read_only_pool_commits_nothing)
{
	struct tp_thin *thin = begin(_i);
	unsigned before;

	ck_ok(tp_thin_close(thin));
	w.options.flags |= TP_POOL_READ_ONLY;
	world_reopen(&w);
	before = w.metadata.nr_begun[TP_WRITE];
	thin = world_open_thin(&w, 0, THIN_BYTES);
	ck_assert_int_eq(tp_thin_write(thin, block, 512, MIB, TP_FUA), -EIO);
	ck_assert_int_eq(tp_pool_commit(w.pool), -EOPNOTSUPP);
	ck_ok(tp_thin_flush(thin));
	ck_ok(tp_thin_close(thin));
	world_close(&w);
	ck_assert_uint_eq(w.metadata.nr_begun[TP_WRITE], before);
	world_check(&w);
	world_unmake(&w);
}
END_TEST

/* B-FLUSH-9. */
START_TEST(test_a_flush_does_not_wait_for_writes_in_flight)
{
	struct tp_thin *thin;
	struct tp_queue *queue;
	struct io write, flush;

	world_begin(&w, _i);
	thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	ck_ok(tp_thin_flush(thin));
	ck_ok(tp_queue_create(w.pool, 4, &queue));
	observer_hold_next(&w.data, OPS(TP_WRITE), 1);
	fill_pattern(block, 4096, 0, 2);
	io_init(&write, TP_WRITE, block, 0, 4096, 0);
	io_submit(&write, queue, thin);
	world_until(&w, w.data.nr_held == 1);
	io_submit_flush(&flush, queue, thin);
	ck_ok(io_wait(&w, &flush, queue));
	ck_assert_uint_eq(write.nr_ended, 0);
	observer_release(&w.data);
	ck_ok(io_wait(&w, &write, queue));
	thin_verify(thin, 0, 4096, 2);
	tp_queue_destroy(queue);
	end_with(thin);
}
END_TEST

/*---------------------------- on the device --------------------------------*/

/* B-COMMIT-8: a superblock differs from the one before in its first sector
 * alone, so that no device that writes whole sectors can tear it. */
START_TEST(test_a_superblock_changes_in_its_first_sector_only)
{
	static char rest[4096 - 512];
	struct tp_thin *thin;

	world_begin(&w, _i);
	memcpy(rest, w.metadata.bytes + 512, sizeof(rest));
	thin = world_new_thin(&w, 0, THIN_BYTES);
	for (unsigned i = 0; i < NR_CAUSES - 1; i++) {
		provision(thin);
		ck_ok(causes[i](thin));
		ck_assert_int_eq(
			memcmp(rest, w.metadata.bytes + 512, sizeof(rest)), 0);
	}
	end_with(thin);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"commit", NR_KINDS, test_the_tick_commits_any_change_once,
		test_flushes_and_calls_commit_all_changes,
		test_a_flush_after_a_discard_commits_for_that_thin_only,
		test_a_large_transaction_is_committed_early,
		test_writing_in_place_commits_nothing,
		test_a_metadata_snapshot_makes_no_block_shared,
		test_a_read_only_pool_commits_nothing,
		test_a_flush_does_not_wait_for_writes_in_flight,
		test_a_superblock_changes_in_its_first_sector_only);
}
