/*
 * What a node must be by itself to come in (metadata-format.md, 4), and moving
 * entries within and between nodes.
 */
#include <string.h>

#include "btree/node.h"
#include "support/run-tests.h"

static char bytes[2][TPI_MBLOCK_BYTES] __attribute__((aligned(8)));

static struct tpi_node *node_at(int i)
{
	return (struct tpi_node *)bytes[i];
}

/* Keys from @first on, as many as @nr; each value is its key. */
static struct tpi_node *make(int i, enum tpi_node_kind kind, uint64_t first,
			     uint32_t nr)
{
	struct tpi_node *node = node_at(i);

	tpi_node_init(node, kind, 8);
	for (uint32_t j = 0; j < nr; j++)
		tpi_node_insert_child(node, j, first + j, first + j);

	return node;
}

static void expect_run(const struct tpi_node *node, uint32_t i, uint64_t first,
		       uint32_t nr)
{
	for (uint32_t j = 0; j < nr; j++) {
		ck_assert_uint_eq(tpi_node_key(node, i + j), first + j);
		ck_assert_uint_eq(tpi_node_child(node, i + j), first + j);
	}
}

static int come_in(struct tpi_node *node)
{
	tpi_seal(&tpi_node_validator, 7, node);

	return tpi_validate(&tpi_node_validator, 7, node);
}

/*---------------------------- the format -----------------------------------*/

START_TEST(test_sizes_are_those_of_the_format)
{
	static const struct {
		uint32_t value_size, max, offset;
	} rows[] = { { 4, 336, 2720 },
		     { 8, 252, 2048 },
		     { 16, 168, 1376 },
		     { 24, 126, 1040 } };

	for (unsigned i = 0; i < TPI_ARRAY_SIZE(rows); i++) {
		struct tpi_node *node = node_at(0);

		tpi_node_init(node, TPI_NODE_LEAF, rows[i].value_size);
		ck_assert_uint_eq(tpi_node_max(node), rows[i].max);
		ck_assert_uint_eq(tpi_node_min(node), rows[i].max / 3);
		ck_assert_uint_eq((char *)tpi_node_values(node, 0) - bytes[0],
				  rows[i].offset);
		ck_assert_int_eq(come_in(node), 0);
	}
}
END_TEST

/* metadata-format.md, 21.4: block 2 of a fresh pool. */
START_TEST(test_an_empty_leaf_is_byte_for_byte_the_kernels)
{
	static const uint8_t expected[32] = {
		0x52, 0xe4, 0x60, 0xc3, 2,    0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
		0,    0,    0,    0,    0x50, 1, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0
	};

	memset(bytes, 0xff, sizeof(bytes));
	tpi_node_init(node_at(0), TPI_NODE_LEAF, 4);
	tpi_seal(&tpi_node_validator, 2, bytes[0]);
	ck_assert_mem_eq(bytes[0], expected, sizeof(expected));
	for (unsigned i = sizeof(expected); i < TPI_MBLOCK_BYTES; i++)
		ck_assert_int_eq(bytes[0][i], 0);
}
END_TEST

START_TEST(test_a_whole_node_comes_in)
{
	ck_assert_int_eq(come_in(make(0, TPI_NODE_LEAF, 5, 0)), 0);
	ck_assert_int_eq(come_in(make(0, TPI_NODE_LEAF, 5, 252)), 0);
	ck_assert_int_eq(come_in(make(0, TPI_NODE_INTERNAL, 0, 1)), 0);
	ck_assert_int_eq(come_in(make(0, TPI_NODE_INTERNAL, 5, 252)), 0);
}
END_TEST

START_TEST(test_a_node_is_a_leaf_or_internal_and_not_both)
{
	static const uint32_t wrong[] = { 0, 3, 4, 5, 6, 1u << 31 | 1 };

	for (unsigned i = 0; i < TPI_ARRAY_SIZE(wrong); i++) {
		make(0, TPI_NODE_LEAF, 5, 10);
		node_at(0)->header.flags = le32_make(wrong[i]);
		ck_assert_int_eq(come_in(node_at(0)), -EILSEQ);
	}
}
END_TEST

START_TEST(test_a_node_has_a_known_value_size_and_its_capacity)
{
	static const struct {
		uint32_t value_size, max;
	} wrong[] = { { 0, 507 },        { 12, 201 },    { 8, 253 },
		      { 8, 249 },        { 24, 252 },    { 4, 252 },
		      { 8, 0 },          { 0, 0 },       { UINT32_MAX, 252 },
		      { 8, UINT32_MAX }, { 4096, 0 },    { 2048, 1 },
		      { 8, 1u << 28 },   { 1u << 31, 2 } };

	for (unsigned i = 0; i < TPI_ARRAY_SIZE(wrong); i++) {
		make(0, TPI_NODE_LEAF, 5, 10);
		node_at(0)->value_size = le32_make(wrong[i].value_size);
		node_at(0)->max_entries = le32_make(wrong[i].max);
		ck_assert_int_eq(come_in(node_at(0)), -EILSEQ);
	}
}
END_TEST

START_TEST(test_a_node_has_no_more_entries_than_room)
{
	static const uint32_t wrong[] = { 253, 254, 1u << 20, UINT32_MAX };

	for (unsigned i = 0; i < TPI_ARRAY_SIZE(wrong); i++) {
		make(0, TPI_NODE_LEAF, 5, 252);
		node_at(0)->nr_entries = le32_make(wrong[i]);
		ck_assert_int_eq(come_in(node_at(0)), -EILSEQ);
	}
}
END_TEST

START_TEST(test_keys_ascend)
{
	for (uint32_t i = 1; i < 10; i++) {
		make(0, TPI_NODE_LEAF, 5, 10);
		tpi_node_set_key(node_at(0), i, 5 + i - 1);
		ck_assert_int_eq(come_in(node_at(0)), -EILSEQ);
		tpi_node_set_key(node_at(0), i, 0);
		ck_assert_int_eq(come_in(node_at(0)), -EILSEQ);
	}

	/* What lies in unused slots is nobody's business. */
	make(0, TPI_NODE_LEAF, 5, 10);
	tpi_node_set_key(node_at(0), 10, 0);
	ck_assert_int_eq(come_in(node_at(0)), 0);
}
END_TEST

START_TEST(test_an_internal_node_has_children_and_they_are_block_numbers)
{
	ck_assert_int_eq(come_in(make(0, TPI_NODE_INTERNAL, 5, 0)), -EILSEQ);
	tpi_node_init(node_at(0), TPI_NODE_LEAF, 16);
	node_at(0)->nr_entries = le32_make(1);
	node_at(0)->header.flags = le32_make(TPI_NODE_INTERNAL);
	ck_assert_int_eq(come_in(node_at(0)), -EILSEQ);
}
END_TEST

/*---------------------------- searching ------------------------------------*/

START_TEST(test_a_search_finds_the_greatest_key_not_above)
{
	struct tpi_node *node = node_at(0);

	tpi_node_init(node, TPI_NODE_LEAF, 8);
	ck_assert_int_eq(tpi_node_search(node, 5), -1);
	ck_assert_uint_eq(tpi_node_lower_bound(node, 5), 0);
	for (uint32_t i = 0; i < 252; i++)
		tpi_node_insert_child(node, i, 10 + 3 * i, 0);
	ck_assert_int_eq(tpi_node_search(node, 9), -1);
	ck_assert_uint_eq(tpi_node_search_clamped(node, 9), 0);
	ck_assert_int_eq(tpi_node_search(node, UINT64_MAX), 251);
	ck_assert_uint_eq(tpi_node_lower_bound(node, UINT64_MAX), 252);
	for (uint32_t i = 0; i < 252; i++) {
		uint64_t key = 10 + 3 * i;

		ck_assert_int_eq(tpi_node_search(node, key), i);
		ck_assert_int_eq(tpi_node_search(node, key + 2), i);
		ck_assert_uint_eq(tpi_node_lower_bound(node, key), i);
		ck_assert_uint_eq(tpi_node_lower_bound(node, key - 1), i);
		ck_assert_uint_eq(tpi_node_lower_bound(node, key + 1), i + 1);
	}
}
END_TEST

/*---------------------------- moving ---------------------------------------*/

START_TEST(test_erasing_closes_the_gap)
{
	struct tpi_node *node = make(0, TPI_NODE_LEAF, 0, 252);

	tpi_node_erase(node, 100, 150);
	ck_assert_uint_eq(tpi_node_nr(node), 202);
	expect_run(node, 0, 0, 100);
	expect_run(node, 100, 150, 102);
	tpi_node_erase(node, 100, 202);
	tpi_node_erase(node, 0, 0);
	ck_assert_uint_eq(tpi_node_nr(node), 100);
	tpi_node_erase(node, 0, 100);
	ck_assert_uint_eq(tpi_node_nr(node), 0);
}
END_TEST

START_TEST(test_copying_makes_room_where_it_is_told)
{
	struct tpi_node *to = make(0, TPI_NODE_LEAF, 0, 100);
	struct tpi_node *from = make(1, TPI_NODE_LEAF, 1000, 200);

	tpi_node_copy(to, 50, from, 20, 172);
	ck_assert_uint_eq(tpi_node_nr(to), 252);
	expect_run(to, 0, 0, 50);
	expect_run(to, 50, 1020, 152);
	expect_run(to, 202, 50, 50);
	ck_assert_uint_eq(tpi_node_nr(from), 200);
}
END_TEST

START_TEST(test_balancing_keeps_all_entries_in_order)
{
	for (uint32_t nr_left = 48; nr_left <= 252; nr_left++) {
		struct tpi_node *left = make(0, TPI_NODE_LEAF, 0, 150);
		struct tpi_node *right = make(1, TPI_NODE_LEAF, 150, 150);

		tpi_node_balance(left, right, nr_left);
		ck_assert_uint_eq(tpi_node_nr(left), nr_left);
		ck_assert_uint_eq(tpi_node_nr(right), 300 - nr_left);
		expect_run(left, 0, 0, nr_left);
		expect_run(right, 0, nr_left, 300 - nr_left);
	}
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"node", 1, test_sizes_are_those_of_the_format,
		test_an_empty_leaf_is_byte_for_byte_the_kernels,
		test_a_whole_node_comes_in,
		test_a_node_is_a_leaf_or_internal_and_not_both,
		test_a_node_has_a_known_value_size_and_its_capacity,
		test_a_node_has_no_more_entries_than_room, test_keys_ascend,
		test_an_internal_node_has_children_and_they_are_block_numbers,
		test_a_search_finds_the_greatest_key_not_above,
		test_erasing_closes_the_gap,
		test_copying_makes_room_where_it_is_told,
		test_balancing_keeps_all_entries_in_order);
}
