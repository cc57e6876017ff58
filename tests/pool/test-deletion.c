/*
 * Deleting thins that are too big for one transaction (architecture.md,
 * decision 12): for everybody they are gone when the call returns; their blocks
 * come back in the background, also after a crash, and nothing is leaked.
 *
 * The data device forgets what is written, so that the thins can be big.
 */
#include <stdlib.h>

#include "support/forgetful.h"
#include "support/world.h"

#define NR_BLOCKS 80000u
#define RUN_BLOCKS 256u
#define THIN_BYTES ((uint64_t)NR_BLOCKS * WORLD_BLOCK)

static struct world w;
static struct tp_device *data;

static void begin_on(int kind, uint64_t data_bytes, unsigned flags)
{
	world_make_sized(&w, kind, 16 * MIB, MIB, NULL);
	w.options.flags |= flags;
	data = forgetful_device(data_bytes);
	ck_ok(tp_pool_format(w.metadata.device, data, NULL));
	ck_ok(tp_pool_open(w.metadata.device, data, &w.options, &w.pool));
}

static void begin(int kind)
{
	begin_on(kind, 2 * THIN_BYTES, 0);
}

static void end(void)
{
	world_close(&w);
	world_check(&w);
	tp_device_unref(data);
	world_unmake(&w);
}

static void fill(uint32_t id)
{
	size_t run_bytes = (size_t)RUN_BLOCKS * WORLD_BLOCK;
	struct tp_thin *thin = world_new_thin(&w, id, THIN_BYTES);
	char *buffer = calloc(1, run_bytes);

	/* From the end, so that leaves stay half full and are many. */
	ck_assert_ptr_nonnull(buffer);
	for (uint64_t at = THIN_BYTES; at >= run_bytes; at -= run_bytes)
		ck_ok(tp_thin_write(thin, buffer, run_bytes, at - run_bytes,
				    0));
	free(buffer);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_commit(w.pool));
}

static int count_thin(const struct tp_thin_info *info, void *context)
{
	unsigned *nr = context;

	ck_assert_uint_lt(info->id, TP_THIN_ID_END);
	++*nr;

	return 0;
}

static unsigned nr_thins(void)
{
	unsigned nr = 0;

	ck_ok(tp_pool_list_thins(w.pool, count_thin, &nr));

	return nr;
}

static uint64_t used_after_commit(void)
{
	ck_ok(tp_pool_commit(w.pool));

	return world_used(&w);
}

/* DEL-04, K3: gone at once; the space comes back by and by; the id is free. */
START_TEST(test_a_big_thin_is_gone_at_once_and_its_space_comes_back)
{
	struct tp_thin *thin;

	begin(_i);
	fill(1);
	ck_assert_uint_eq(world_used(&w), NR_BLOCKS / RUN_BLOCKS * RUN_BLOCKS);
	ck_ok(tp_pool_delete_thin(w.pool, 1));
	ck_assert_uint_eq(nr_thins(), 0);
	ck_assert_int_eq(tp_pool_delete_thin(w.pool, 1), -ENODATA);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	ck_assert_uint_eq(thin_mapped(thin), 0);
	ck_ok(tp_thin_close(thin));
	world_until(&w, used_after_commit() == 0);
	end();
}
END_TEST

/* B-OODS-7, F-16: a write that waits for no more than what is being freed. */
START_TEST(test_a_write_to_a_full_pool_waits_for_a_big_thin_to_be_emptied)
{
	uint64_t all = NR_BLOCKS / RUN_BLOCKS * RUN_BLOCKS;
	char sector[512] = { 1 };
	struct tp_thin *thin;

	begin_on(_i, all * WORLD_BLOCK, TP_POOL_ERROR_IF_NO_SPACE);
	fill(1);
	thin = world_new_thin(&w, 2, THIN_BYTES);
	ck_assert_int_eq(tp_thin_write(thin, sector, 512, 0, 0), -ENOSPC);
	ck_ok(tp_pool_delete_thin(w.pool, 1));
	for (unsigned i = 0; i < 64; i++)
		ck_ok(tp_thin_write(thin, sector, 512,
				    i * (uint64_t)WORLD_BLOCK, 0));
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	world_until(&w, used_after_commit() == 64);
	ck_ok(tp_thin_close(thin));
	end();
}
END_TEST

/* What a snapshot shares with it stays. */
START_TEST(test_a_snapshot_of_a_big_thin_that_is_deleted_keeps_its_blocks)
{
	uint64_t all = NR_BLOCKS / RUN_BLOCKS * RUN_BLOCKS;
	struct tp_thin *snapshot, *thin;
	char sector[512] = { 1 };

	begin(_i);
	fill(1);
	ck_ok(tp_pool_create_snapshot(w.pool, 2, 1));

	/* The thin gets leaves of its own all over. */
	thin = world_open_thin(&w, 1, THIN_BYTES);
	for (uint64_t i = 1; i < NR_BLOCKS; i += 100)
		ck_ok(tp_thin_write(thin, sector, 512, i * WORLD_BLOCK, 0));
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_delete_thin(w.pool, 1));
	world_until(&w, used_after_commit() == all);
	snapshot = world_open_thin(&w, 2, THIN_BYTES);
	ck_assert_uint_eq(thin_mapped(snapshot), all * WORLD_BLOCK);
	ck_ok(tp_thin_close(snapshot));
	end();
}
END_TEST

/* Power fails while it is being emptied: the next open goes on.  Metadata is
 * sound at every stage. */
START_TEST(test_a_deletion_that_power_cut_short_is_carried_on)
{
	char *cut;

	begin(_i);
	fill(1);
	ck_ok(tp_pool_delete_thin(w.pool, 1));
	ck_ok(tp_pool_suspend(w.pool)); /* nothing is written meanwhile */
	cut = snapshot_of(&w.metadata);
	ck_ok(tp_pool_resume(w.pool, NULL));
	world_close(&w);
	memcpy(w.metadata.bytes, cut, w.metadata.size_bytes);
	free(cut);
	world_check(&w);

	ck_ok(tp_pool_open(w.metadata.device, data, &w.options, &w.pool));
	ck_assert_uint_eq(nr_thins(), 0);
	world_until(&w, used_after_commit() == 0);
	end();
}
END_TEST

static void resume_with(unsigned flags)
{
	struct tp_pool_options options = w.options;

	options.flags |= flags;
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_resume(w.pool, &options));
}

/* A pool that is made read-only meanwhile stops emptying it, and goes on when
 * it is writable again. */
START_TEST(test_a_deletion_that_a_mode_held_up_is_carried_on)
{
	uint64_t used;

	begin(HOST_DRIVEN);
	fill(1);
	ck_ok(tp_pool_delete_thin(w.pool, 1));
	resume_with(TP_POOL_READ_ONLY);
	world_idle(&w);
	used = world_used(&w);
	world_idle(&w);
	ck_assert_uint_eq(world_used(&w), used);
	ck_assert_uint_gt(used, 0);
	resume_with(0);
	world_until(&w, used_after_commit() == 0);
	end();
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"deletion", NR_KINDS,
		test_a_big_thin_is_gone_at_once_and_its_space_comes_back,
		test_a_write_to_a_full_pool_waits_for_a_big_thin_to_be_emptied,
		test_a_snapshot_of_a_big_thin_that_is_deleted_keeps_its_blocks,
		test_a_deletion_that_power_cut_short_is_carried_on,
		test_a_deletion_that_a_mode_held_up_is_carried_on);
}
