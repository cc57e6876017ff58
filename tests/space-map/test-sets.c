/*
 * The table from blocks to values, and the two kinds of sets of blocks, each
 * beside an array.
 */
#include "space-map/block-set.h"
#include "space-map/block-table.h"
#include "space-map/sparse-set.h"
#include "space-map/maps.h"

#define NR_KEYS 3000u

/* Keys far apart and side by side. */
static uint64_t key_of(unsigned i)
{
	return i % 2 ? i : (uint64_t)i << 33;
}

static void check_table(const struct tpi_block_table *table,
			const uint32_t *values)
{
	struct tpi_work_list list = { 0 };
	size_t i, nr = 0;

	for (i = 0; i < NR_KEYS; i++) {
		uint32_t *value = tpi_block_table_find(table, key_of(i));

		EXPECT(!value == !values[i]);
		EXPECT(!value || *value == values[i]);
		nr += values[i] != 0;
	}
	ck_assert_uint_eq(table->nr, nr);

	ck_assert_int_eq(tpi_work_list_fill(&list, table), 0);
	ck_assert_uint_eq(list.nr, nr);
	for (i = 1; i < nr; i++)
		EXPECT(list.keys[i - 1] < list.keys[i]);
	tpi_work_list_exit(&list);
}

/* Removing moves others up; none of them may get lost. */
START_TEST(test_a_table_holds_what_was_added_and_not_removed)
{
	uint32_t values[NR_KEYS] = { 0 };
	struct tpi_block_table table;
	unsigned i, round;

	tpi_block_table_init(&table, sizeof(uint32_t));
	for (round = 0; round < 40; round++) {
		unsigned adding = (unsigned)chance(100);

		for (i = 0; i < 2000; i++) {
			unsigned k = (unsigned)chance(NR_KEYS);

			if (chance(100) < adding) {
				uint32_t *value =
					tpi_block_table_add(&table, key_of(k));

				EXPECT(*value == values[k]);
				*value = values[k] = 1 + i;
			} else {
				tpi_block_table_remove(&table, key_of(k));
				values[k] = 0;
			}
		}
		check_table(&table, values);
	}
	tpi_block_table_clear(&table);
	ck_assert_ptr_null(tpi_block_table_find(&table, key_of(1)));
	tpi_block_table_exit(&table);
}
END_TEST

/* It must be kept while work is left, though the table changes. */
START_TEST(test_a_work_list_is_filled_again_only_when_it_is_through)
{
	struct tpi_work_list list = { 0 };
	struct tpi_block_table table;

	tpi_block_table_init(&table, sizeof(uint32_t));
	ck_assert_int_eq(tpi_work_list_fill(&list, &table), 0);
	ck_assert_uint_eq(list.nr, 0);
	tpi_block_table_add(&table, 7);
	tpi_block_table_add(&table, 5);
	ck_assert_int_eq(tpi_work_list_fill(&list, &table), 0);
	ck_assert_uint_eq(list.keys[list.next++], 5);
	tpi_block_table_add(&table, 1);
	ck_assert_int_eq(tpi_work_list_fill(&list, &table), 0);
	ck_assert_uint_eq(list.keys[list.next++], 7);
	ck_assert_int_eq(tpi_work_list_fill(&list, &table), 0);
	ck_assert_uint_eq(list.nr, 3);
	ck_assert_uint_eq(list.keys[list.next], 1);
	tpi_work_list_exit(&list);
	tpi_block_table_exit(&table);
}
END_TEST

#define NR_BLOCKS 5000u

static void check_sparse_set(const struct tpi_sparse_set *set, const bool *in)
{
	tp_dblock block, nr = 0;

	for (block = 0; block < NR_BLOCKS; block++) {
		uint64_t word = tpi_sparse_set_word(set, block / 64 * 64);

		EXPECT(tpi_sparse_set_has(set, block) == in[block]);
		EXPECT((word >> (block % 64) & 1) == in[block]);
		nr += in[block];
	}
	ck_assert_uint_eq(set->nr, nr);
}

START_TEST(test_a_sparse_set_holds_the_ranges_added_and_not_removed)
{
	bool in[NR_BLOCKS] = { false };
	struct tpi_sparse_set set;
	unsigned i, round;

	tpi_sparse_set_init(&set);
	for (round = 0; round < 300; round++) {
		tp_dblock begin = chance(NR_BLOCKS);
		tp_dblock nr = chance(tpi_min(NR_BLOCKS - begin, 1200) + 1);
		bool add = chance(2);

		if (add)
			ck_assert_int_eq(tpi_sparse_set_add(&set, begin, nr),
					 0);
		else
			tpi_sparse_set_remove(&set, begin, nr);
		for (i = 0; i < nr; i++)
			in[begin + i] = add;
		check_sparse_set(&set, in);
	}
	/* And takes no memory when it is empty. */
	tpi_sparse_set_remove(&set, 0, NR_BLOCKS);
	ck_assert_uint_eq(set.nr, 0);
	ck_assert_uint_eq(set.chunks.nr, 0);
	tpi_sparse_set_exit(&set);
}
END_TEST

START_TEST(test_a_block_set_keeps_its_members_when_it_grows)
{
	struct tpi_block_set set;

	ck_assert_int_eq(tpi_block_set_init(&set, 100), 0);
	tpi_block_set_add(&set, 0);
	tpi_block_set_add(&set, 99);
	ck_assert_int_eq(tpi_block_set_grow(&set, 1000), 0);
	tpi_block_set_add(&set, 999);
	ck_assert_uint_eq(set.nr, 3);
	ck_assert(tpi_block_set_has(&set, 99));
	ck_assert(!tpi_block_set_has(&set, 500));
	ck_assert(tpi_block_set_remove(&set, 99));
	ck_assert(!tpi_block_set_remove(&set, 99));
	ck_assert_uint_eq(set.nr, 2);
	tpi_block_set_clear(&set);
	ck_assert_uint_eq(set.nr, 0);
	ck_assert(!tpi_block_set_has(&set, 999));
	tpi_block_set_exit(&set);
}
END_TEST

int main(void)
{
	chance_init();

	return RUN_TESTS(
		"sets", 1, test_a_table_holds_what_was_added_and_not_removed,
		test_a_work_list_is_filled_again_only_when_it_is_through,
		test_a_sparse_set_holds_the_ranges_added_and_not_removed,
		test_a_block_set_keeps_its_members_when_it_grows);
}
