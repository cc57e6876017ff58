/*
 * What a pool and its thins tell of themselves, and where they keep what they
 * were given.
 */
#include <stdlib.h>

#include "support/world.h"

#define THIN_BYTES (4 * MIB)

static struct world w;
static char block[WORLD_BLOCK];

static struct tp_thin *begin(int kind)
{
	world_begin(&w, kind);

	return world_new_thin(&w, 0, THIN_BYTES);
}

static void end_with(struct tp_thin *thin)
{
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}

static uint64_t le64_at(const struct observer *observer, uint64_t offset)
{
	uint64_t value = 0;

	for (unsigned i = 8; i-- > 0;)
		value = value << 8 | (uint8_t)observer->bytes[offset + i];

	return value;
}

/*---------------------------- the pool -------------------------------------*/

/* B-STAT-1, B-POOL-2: the figures, as they follow what is done. */
START_TEST(test_a_pool_tells_what_it_is)
{
	struct tp_thin *thin = begin(_i);
	struct tp_pool_status status = world_status(&w);

	ck_assert_int_eq(status.mode, TP_MODE_WRITE);
	ck_assert(!status.needs_check && !status.suspended);
	ck_assert_uint_eq(status.transaction_id, 0);
	ck_assert_uint_eq(status.held_root, 0);
	ck_assert_uint_eq(status.data_block_size, WORLD_BLOCK);
	ck_assert_uint_eq(status.data_blocks, 16 * MIB / WORLD_BLOCK);
	ck_assert_uint_eq(status.used_data_blocks, 0);
	ck_assert_uint_eq(status.metadata_blocks, 2 * MIB / 4096);
	ck_assert_uint_eq(status.metadata_low_water_blocks, 2 * MIB / 4096 / 4);
	ck_assert_uint_eq(status.nr_thins, 1);

	thin_fill(thin, 0, 3 * WORLD_BLOCK, 1);
	ck_ok(tp_pool_set_transaction_id(w.pool, 0, 7));
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	status = world_status(&w);
	ck_assert_uint_eq(status.used_data_blocks, 3);
	ck_assert_uint_eq(status.transaction_id, 7);
	ck_assert_uint_gt(status.held_root, 0);
	ck_assert_uint_lt(status.held_root, status.metadata_blocks);
	ck_ok(tp_pool_release_metadata_snapshot(w.pool));
	ck_assert_uint_eq(world_status(&w).held_root, 0);
	end_with(thin);
}
END_TEST

/* B-POOL-3, B-STAT-1: each feature, by itself and left out. */
START_TEST(test_features_are_off_until_they_are_asked_for)
{
	static const unsigned flags[] = {
		0,
		TP_POOL_SKIP_ZEROING,
		TP_POOL_IGNORE_DISCARD,
		TP_POOL_NO_DISCARD_PASSDOWN,
		TP_POOL_ERROR_IF_NO_SPACE,
		TP_POOL_READ_ONLY,
	};
	unsigned own;

	world_make(&w, _i);
	own = w.options.flags;
	world_format(&w);
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct tp_pool_status status;
		unsigned flag = flags[i];

		w.options.flags = own | flag;
		world_open(&w);
		status = world_status(&w);
		ck_assert_int_eq(status.mode, flag == TP_POOL_READ_ONLY
						      ? TP_MODE_READ_ONLY
						      : TP_MODE_WRITE);
		ck_assert(status.ignore_discard ==
			  (flag == TP_POOL_IGNORE_DISCARD));
		ck_assert(status.discard_passdown ==
			  (flag != TP_POOL_IGNORE_DISCARD &&
			   flag != TP_POOL_NO_DISCARD_PASSDOWN));
		ck_assert(status.error_if_no_space ==
			  (flag == TP_POOL_ERROR_IF_NO_SPACE));
		world_close(&w);
	}
	world_check(&w);
	world_unmake(&w);
}
END_TEST

/* B-STAT-3, B-META-1: a tenth is kept for commits; what is left is what the
 * superblock's space map says (metadata-format.md). */
START_TEST(test_the_reserve_counts_as_used)
{
	struct tp_thin *thin = begin(_i);
	struct tp_pool_status status;
	uint64_t used;

	thin_fill(thin, 0, MIB, 1);
	ck_ok(tp_thin_close(thin));
	world_reopen(&w);
	status = world_status(&w);
	used = le64_at(&w.metadata, 192 + 8);
	ck_assert_uint_eq(le64_at(&w.metadata, 192), status.metadata_blocks);
	ck_assert_uint_gt(used, 5);
	ck_assert_uint_eq(status.used_metadata_blocks,
			  used + status.metadata_blocks / 10);
	world_end(&w);
}
END_TEST

/* B-STAT-4: what is allocated counts at once, what is freed when nothing can
 * bring it back (B-COMMIT-10), and asking commits nothing; a larger device
 * counts when it has been taken up. */
START_TEST(test_used_blocks_are_those_of_the_running_transaction)
{
	struct tp_thin *thin = begin(_i);
	struct tp_pool_status before = world_status(&w), after;

	thin_fill(thin, 0, 2 * WORLD_BLOCK, 1);
	after = world_status(&w);
	ck_assert(after.changed);
	ck_assert_uint_eq(after.nr_commits, before.nr_commits);
	ck_assert_uint_eq(after.used_data_blocks, 2);
	ck_ok(tp_pool_commit(w.pool));
	after = world_status(&w);
	ck_assert(!after.changed);
	ck_assert_uint_eq(after.used_data_blocks, 2);
	ck_ok(tp_thin_discard(thin, 0, WORLD_BLOCK));
	ck_assert_uint_eq(world_used(&w), 2);
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, world_used(&w) == 1);
	observer_grow(&w.data, 17 * MIB);
	ck_assert_uint_eq(world_status(&w).data_blocks, before.data_blocks);
	ck_ok(tp_pool_grow_data(w.pool));
	ck_assert(!world_status(&w).changed);
	ck_assert_uint_eq(world_status(&w).data_blocks,
			  before.data_blocks + MIB / WORLD_BLOCK);
	end_with(thin);
}
END_TEST

/* B-STAT-1, B-STAT-5: of a failed pool only that. */
START_TEST(test_a_failed_pool_tells_only_that)
{
	struct tp_thin_info info = TP_THIN_INFO_INIT;
	struct tp_thin *thin = begin(_i);
	struct tp_pool_status status;

	thin_fill(thin, 0, WORLD_BLOCK, 1);
	observer_fail(&w.metadata, ~0u, 0, 0, -EIO);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	observer_heal(&w.metadata);
	status = world_status(&w);
	ck_assert_int_eq(status.mode, TP_MODE_FAILED);
	ck_assert_uint_eq(status.data_blocks, 0);
	ck_assert_uint_eq(status.used_data_blocks, 0);
	ck_assert_uint_eq(status.metadata_blocks, 0);
	ck_assert_uint_eq(status.nr_thins, 0);
	ck_assert_int_eq(tp_thin_get_info(thin, &info), -EIO);
	ck_ok(tp_thin_close(thin));
	tp_pool_close(w.pool);
	world_unmake(&w);
}
END_TEST

/*---------------------------- thins ----------------------------------------*/

/* B-STAT-5: mapped and highest, and nothing where nothing is mapped. */
START_TEST(test_a_thin_tells_what_is_mapped)
{
	struct tp_thin *thin = begin(_i);

	ck_assert_uint_eq(thin_info(thin).mapped_bytes, 0);
	ck_assert_uint_eq(thin_info(thin).highest_mapped_end, 0);
	thin_fill(thin, 5 * WORLD_BLOCK, 512, 1);
	ck_assert_uint_eq(thin_info(thin).mapped_bytes, WORLD_BLOCK);
	ck_assert_uint_eq(thin_info(thin).highest_mapped_end, 6 * WORLD_BLOCK);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_assert_uint_eq(thin_info(thin).mapped_bytes, 2 * WORLD_BLOCK);
	ck_assert_uint_eq(thin_info(thin).highest_mapped_end, 6 * WORLD_BLOCK);
	ck_ok(tp_thin_discard(thin, 5 * WORLD_BLOCK, WORLD_BLOCK));
	ck_assert_uint_eq(thin_info(thin).highest_mapped_end, WORLD_BLOCK);
	end_with(thin);
}
END_TEST

/* B-STAT-6: whose acknowledged writes were rolled back says so, and no other;
 * until the pool is opened anew. */
START_TEST(test_a_thin_tells_that_it_lost_writes)
{
	struct tp_thin *thin = begin(_i), *other;

	other = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(other, 0, WORLD_BLOCK, 1);
	ck_ok(tp_thin_flush(other));
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_assert(!thin_info(thin).lost_writes);
	observer_fail_range(&w.metadata, OPS(TP_WRITE), 0, 1, -EIO, 4096,
			    UINT64_MAX);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	ck_assert(thin_info(thin).lost_writes);
	ck_assert(!thin_info(other).lost_writes);
	thins_close(thin, other);
	world_reopen(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	ck_assert(!thin_info(thin).lost_writes);
	end_with(thin);
}
END_TEST

/*---------------------------- on the devices -------------------------------*/

/* B-POOL-12: a pool that is empty fills its data device from the start; there is
 * nothing on it but the blocks. */
START_TEST(test_data_blocks_lie_side_by_side_from_the_start)
{
	struct tp_thin *thin = begin(_i);

	for (uint64_t i = 0; i < 4; i++) {
		uint64_t at = i * WORLD_BLOCK;

		thin_fill(thin, at, WORLD_BLOCK, 1);
		ck_assert_uint_eq(thin_where(thin, at), at);
		ck_assert_uint_eq(find_other(w.data.bytes + at, WORLD_BLOCK, at,
					     1),
				  UINT64_MAX);
	}
	end_with(thin);
}
END_TEST

/* B-REQ-3: a bio is split where mappings part, and nowhere else. */
START_TEST(test_a_read_is_split_only_where_mappings_part)
{
	struct tp_thin *thin = begin(_i);
	unsigned before;

	thin_fill(thin, 0, 4 * WORLD_BLOCK, 1);
	thin_fill(thin, 8 * WORLD_BLOCK, WORLD_BLOCK, 1);
	thin_fill(thin, 7 * WORLD_BLOCK, WORLD_BLOCK, 1);
	before = w.data.nr_begun[TP_READ];
	thin_verify(thin, 512, 4 * WORLD_BLOCK - 1024, 1);
	ck_assert_uint_eq(w.data.nr_begun[TP_READ], before + 1);
	thin_verify(thin, 7 * WORLD_BLOCK, 2 * WORLD_BLOCK, 1);
	ck_assert_uint_eq(w.data.nr_begun[TP_READ], before + 3);
	end_with(thin);
}
END_TEST

/* CRE-04, B-BAD-3: a gibibyte, and a pool of two such blocks. */
START_TEST(test_the_largest_block_makes_a_pool)
{
	struct tp_format_options format = TP_FORMAT_OPTIONS_INIT;
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	struct tp_device *metadata, *data;
	struct tp_pool *pool;

	ck_ok(tp_device_open_memory(2 * MIB, &metadata));
	ck_ok(tp_device_open_memory(3ull << 30, &data));
	format.data_block_size = 1u << 30;
	ck_ok(tp_pool_format(metadata, data, &format));
	if (_i == HOST_DRIVEN)
		options.flags = TP_POOL_HOST_DRIVEN;
	ck_ok(tp_pool_open(metadata, data, &options, &pool));
	ck_ok(tp_pool_get_status(pool, &status));
	ck_assert_uint_eq(status.data_block_size, 1u << 30);
	ck_assert_uint_eq(status.data_blocks, 3);
	ck_ok(tp_pool_close(pool));
	tp_device_unref(metadata);
	tp_device_unref(data);
}
END_TEST

/*---------------------------- calls ----------------------------------------*/

/* B-MSG-3: an id that is known, or cannot be one. */
START_TEST(test_a_thin_is_created_once)
{
	struct tp_thin *thin = begin(_i);

	ck_assert_int_eq(tp_pool_create_thin(w.pool, 0), -EEXIST);
	ck_assert_int_eq(tp_pool_create_thin(w.pool, TP_THIN_ID_END), -EINVAL);
	ck_ok(tp_pool_create_thin(w.pool, TP_THIN_ID_END - 1));
	ck_assert_uint_eq(world_status(&w).nr_thins, 2);
	end_with(thin);
}
END_TEST

/* B-MSG-4: no data block is used, the metadata of one thin is, whatever is
 * mapped; both have the time of the snapshot. */
START_TEST(test_a_snapshot_shares_everything_at_once)
{
	struct tp_thin *thin = begin(_i), *snapshot;
	struct tp_pool_status before, after;

	thin_fill(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_pool_commit(w.pool));
	before = world_status(&w);
	snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	after = world_status(&w);
	ck_assert_uint_eq(after.used_data_blocks, before.used_data_blocks);
	ck_assert_uint_eq(after.time, before.time + 1);
	ck_assert_uint_eq(thin_mapped(snapshot), THIN_BYTES);
	ck_assert_uint_eq(thin_info(snapshot).snapshotted_time, after.time);
	ck_assert_uint_eq(thin_info(thin).snapshotted_time, after.time);
	thin_verify(snapshot, 0, THIN_BYTES, 1);
	ck_assert_int_eq(tp_pool_create_snapshot(w.pool, 1, 0), -EEXIST);
	ck_assert_int_eq(tp_pool_create_snapshot(w.pool, 2, 9), -ENODATA);
	thins_close(thin, snapshot);
	world_end(&w);
}
END_TEST

/* B-MSG-4: one whose commit fails is not there, and has left nothing: the
 * checks at the end count every reference. */
START_TEST(test_a_snapshot_that_fails_leaves_no_trace)
{
	unsigned nr_failed;

	for (unsigned skip = 0;; skip++) {
		struct tp_thin *thin = begin(_i);
		int r;

		thin_fill(thin, 0, THIN_BYTES, 1);
		ck_ok(tp_pool_commit(w.pool));
		observer_fail_range(&w.metadata, OPS(TP_WRITE), skip, 1, -EIO,
				    4096, UINT64_MAX);
		r = tp_pool_create_snapshot(w.pool, 1, 0);
		nr_failed = w.metadata.nr_failed;
		observer_heal(&w.metadata);
		if (!r)
			ck_assert_uint_eq(nr_failed, 0);
		else
			ck_assert_uint_eq(world_status(&w).nr_thins, 1);
		end_with(thin);
		if (!r)
			break;
	}
}
END_TEST

/* B-MSG-6: what a deletion frees can be had at once, and a full pool may write
 * again. */
START_TEST(test_deleting_makes_room)
{
	struct tp_thin *thin, *other;

	world_make_sized(&w, _i, 2 * MIB, MIB, NULL);
	w.options.flags |= TP_POOL_ERROR_IF_NO_SPACE;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	other = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, MIB, 1);
	ck_assert_int_eq(tp_thin_write(other, block, 512, 0, 0), -ENOSPC);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_OUT_OF_DATA_SPACE);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_delete_thin(w.pool, 0));
	world_until(&w, world_status(&w).mode == TP_MODE_WRITE);
	thin_fill(other, 0, WORLD_BLOCK, 2);
	thin_verify(other, 0, WORLD_BLOCK, 2);
	end_with(other);
}
END_TEST

int main(void)
{
	return RUN_TESTS("status", NR_KINDS, test_a_pool_tells_what_it_is,
			 test_features_are_off_until_they_are_asked_for,
			 test_the_reserve_counts_as_used,
			 test_used_blocks_are_those_of_the_running_transaction,
			 test_a_failed_pool_tells_only_that,
			 test_a_thin_tells_what_is_mapped,
			 test_a_thin_tells_that_it_lost_writes,
			 test_data_blocks_lie_side_by_side_from_the_start,
			 test_a_read_is_split_only_where_mappings_part,
			 test_the_largest_block_makes_a_pool,
			 test_a_thin_is_created_once,
			 test_a_snapshot_shares_everything_at_once,
			 test_a_snapshot_that_fails_leaves_no_trace,
			 test_deleting_makes_room);
}
