/*
 * Many thins, many snapshots, made and deleted over and over; ids at the ends of
 * their range; the transaction id.
 */
#include "support/world.h"

#define THIN_BYTES (4 * MIB)
#define NR 1000u

static struct world w;

static void begin(int kind)
{
	world_make_sized(&w, kind, 16 * MIB, 16 * MIB, NULL);
	world_format(&w);
	world_open(&w);
}

static int check_order(const struct tp_thin_info *info, void *context)
{
	uint32_t *next = context;

	ck_assert_uint_eq(info->id, *next);
	++*next;

	return 0;
}

static void check_listed(uint32_t nr)
{
	uint32_t next = 0;

	ck_ok(tp_pool_list_thins(w.pool, check_order, &next));
	ck_assert_uint_eq(next, nr);
	ck_assert_uint_eq(world_status(&w).nr_thins, nr);
}

/* CRE-01, DEL-02: many, then none, and the metadata comes back. */
START_TEST(test_many_thins_are_made_listed_and_deleted)
{
	uint64_t before;

	begin(_i);
	before = world_status(&w).used_metadata_blocks;
	for (uint32_t id = 0; id < NR; id++)
		ck_ok(tp_pool_create_thin(w.pool, id));
	check_listed(NR);
	ck_assert_uint_eq(world_used(&w), 0);
	world_reopen(&w);
	check_listed(NR);
	for (uint32_t id = NR; id-- > 0;)
		ck_ok(tp_pool_delete_thin(w.pool, id));
	check_listed(0);
	ck_assert_uint_le(world_status(&w).used_metadata_blocks, before + 2);
	world_end(&w);
}
END_TEST

/* CRE-02, CRE-03: from one, and one from the other; deleting any one leaves the
 * rest. */
START_TEST(test_snapshots_in_a_row_and_in_a_chain_live_by_themselves)
{
	struct tp_thin *thin;

	begin(_i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, MIB, 1);
	ck_ok(tp_thin_close(thin));
	for (uint32_t id = 1; id < NR; id++)
		ck_ok(tp_pool_create_snapshot(w.pool, id,
					      id < NR / 2 ? 0 : id - 1));
	check_listed(NR);
	ck_assert_uint_eq(world_used(&w), 16);
	for (uint32_t id = 0; id < NR - 1; id++)
		ck_ok(tp_pool_delete_thin(w.pool, id));
	ck_assert_uint_eq(world_used(&w), 16);
	thin = world_open_thin(&w, NR - 1, THIN_BYTES);
	thin_verify(thin, 0, MIB, 1);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_delete_thin(w.pool, NR - 1));
	ck_assert_uint_eq(world_used(&w), 0);
	world_end(&w);
}
END_TEST

/* DEL-01, DEL-03, DEL-11: nothing is used up by it. */
START_TEST(test_making_and_deleting_one_thin_again_and_again_uses_nothing_up)
{
	uint64_t after_first = 0;

	begin(_i);
	for (unsigned round = 0; round < NR; round++) {
		struct tp_thin *thin = world_new_thin(&w, 0, THIN_BYTES);

		thin_fill(thin, 0, WORLD_BLOCK, round);
		ck_ok(tp_thin_close(thin));
		ck_ok(tp_pool_delete_thin(w.pool, 0));
		if (!round)
			after_first = world_status(&w).used_metadata_blocks;
	}
	ck_assert_uint_le(world_status(&w).used_metadata_blocks,
			  after_first + 2);
	ck_assert_uint_eq(world_used(&w), 0);
	world_end(&w);
}
END_TEST

/* CRE-09, CRE-10, CRE-17, B-THIN-1. */
START_TEST(test_the_largest_ids_work_and_those_above_do_not)
{
	static const uint32_t ids[] = { 0, 1, TP_THIN_ID_END - 2,
					TP_THIN_ID_END - 1 };
	struct tp_thin *thin;

	begin(_i);
	thin = world_new_thin(&w, ids[3], THIN_BYTES);
	thin_fill(thin, 0, MIB, 1);
	ck_ok(tp_thin_close(thin));
	for (unsigned i = 0; i < 3; i++)
		ck_ok(tp_pool_create_snapshot(w.pool, ids[i], ids[3]));
	ck_assert_int_eq(tp_pool_create_thin(w.pool, TP_THIN_ID_END), -EINVAL);
	ck_ok(tp_pool_delete_thin(w.pool, ids[3]));
	ck_ok(tp_pool_delete_thin(w.pool, ids[1]));
	world_reopen(&w);
	thin = world_open_thin(&w, ids[2], THIN_BYTES);
	thin_verify(thin, 0, MIB, 1);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* DEL-05, DEL-06, B-THIN-5. */
START_TEST(test_what_is_open_or_unknown_is_not_deleted)
{
	struct tp_thin *thin;

	begin(_i);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	ck_assert_int_eq(tp_pool_delete_thin(w.pool, 1), -EBUSY);
	ck_assert_int_eq(tp_pool_delete_thin(w.pool, 2), -ENODATA);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_delete_thin(w.pool, 1));
	ck_assert_int_eq(tp_pool_delete_thin(w.pool, 1), -ENODATA);
	world_end(&w);
}
END_TEST

static void set_twice(uint64_t from, uint64_t to)
{
	ck_ok(tp_pool_set_transaction_id(w.pool, from, to));
	ck_assert_int_eq(tp_pool_set_transaction_id(w.pool, from, to), -EINVAL);
	ck_assert_uint_eq(world_status(&w).transaction_id, to);
}

/* TXN-01 to TXN-04, B-MSG-7: also when power fails as soon as it returned. */
START_TEST(test_the_transaction_id_is_compared_and_set)
{
	struct world crashed;

	begin(_i);
	ck_assert_uint_eq(world_status(&w).transaction_id, 0);
	ck_assert_int_eq(tp_pool_set_transaction_id(w.pool, 500, 1000),
			 -EINVAL);
	ck_assert_int_eq(tp_pool_set_transaction_id(w.pool, 500, 0), -EINVAL);
	set_twice(0, 1234);
	set_twice(1234, 0);
	for (uint64_t id = 0; id < NR; id++) {
		ck_ok(tp_pool_set_transaction_id(w.pool, id, id + 1));
		ck_assert_uint_eq(world_status(&w).transaction_id, id + 1);
	}
	ck_ok(tp_pool_set_transaction_id(w.pool, NR, UINT64_MAX));
	world_copy(&w, &crashed, _i);
	world_open(&crashed);
	ck_assert_uint_eq(world_status(&crashed).transaction_id, UINT64_MAX);
	world_end(&crashed);
	world_reopen(&w);
	ck_assert_uint_eq(world_status(&w).transaction_id, UINT64_MAX);
	ck_ok(tp_pool_set_transaction_id(w.pool, UINT64_MAX, 0));
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"create-delete", NR_KINDS,
		test_many_thins_are_made_listed_and_deleted,
		test_snapshots_in_a_row_and_in_a_chain_live_by_themselves,
		test_making_and_deleting_one_thin_again_and_again_uses_nothing_up,
		test_the_largest_ids_work_and_those_above_do_not,
		test_what_is_open_or_unknown_is_not_deleted,
		test_the_transaction_id_is_compared_and_set);
}
