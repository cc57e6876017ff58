/*
 * Trees that make no sense.  Every block has a good number and checksum, as an
 * attacker or a broken program would leave it; so a validator lets it in, and
 * what spans two blocks must be found where they meet (metadata-format.md, 18
 * and 19).  Whatever is there: -EILSEQ or an honest answer, never a crash, a
 * loop, or a change that stops half way for want of a block.
 */
#include <stdlib.h>
#include <string.h>

#include "support/btree-world.h"
#include "support/run-tests.h"

#define NR_BLOCKS 2048

static struct btree_world world;
static struct tpi_btree tree;
static tp_mblock root, middle, leaf, cousin; /* cousin: beside the leaf */
static uint64_t end;

/* A tree of three levels, none of it in memory. */
static void setup(void)
{
	world_init(&world, NR_BLOCKS, 1001);
	tree = world_tree(&world, 8);
	root = world_build_sparse(&world, &tree, 3, 3, 0, &end);
	world_go_cold(&world);
	middle = tpi_node_child(world_node(&world, root), 1);
	leaf = tpi_node_child(world_node(&world, middle), 10);
	cousin = tpi_node_child(world_node(&world, middle), 11);
}

static struct tpi_node *on_disk(tp_mblock block)
{
	return (struct tpi_node *)(world.disk.bytes + block * TPI_MBLOCK_BYTES);
}

static void reseal(tp_mblock block)
{
	tpi_seal(&tpi_node_validator, block, on_disk(block));
}

/*---------------------------- what is done to it ---------------------------*/

static int see(void *context, uint64_t key, const void *value)
{
	return 0;
}

static int do_lookup(uint64_t key)
{
	char value[WORLD_MAX_VALUE];
	int r;

	WORLD_RETRY(&world, r, tpi_btree_lookup(&tree, root, key, value));

	return r;
}

static int do_next(uint64_t key)
{
	char value[WORLD_MAX_VALUE];
	uint64_t found;
	int r;

	WORLD_RETRY(&world, r, tpi_btree_next(&tree, root, key, &found, value));

	return r;
}

static int do_previous(uint64_t key)
{
	char value[WORLD_MAX_VALUE];
	uint64_t found;
	int r;

	WORLD_RETRY(&world, r,
		    tpi_btree_previous(&tree, root, key, &found, value));

	return r;
}

static int do_scan(uint64_t key)
{
	uint64_t position = 0;
	int r;

	WORLD_RETRY(&world, r,
		    tpi_btree_scan(&tree, root, position, UINT64_MAX, see, NULL,
				   &position));

	return r;
}

static int do_cursor(uint64_t key)
{
	struct tpi_btree_cursor cursor;
	int r;

	WORLD_RETRY(&world, r, tpi_btree_cursor_seek(&cursor, &tree, root, 0));
	while (!r)
		WORLD_RETRY(&world, r, tpi_btree_cursor_next(&cursor));

	return r;
}

static int do_exclusive(uint64_t key)
{
	bool exclusive;
	int r;

	WORLD_RETRY(&world, r,
		    tpi_btree_path_is_exclusive(&tree, root, key, &exclusive));

	return r;
}

static int do_last_piece(uint64_t key)
{
	uint64_t begin;
	int r;

	WORLD_RETRY(&world, r, tpi_btree_last_piece(&tree, root, &begin));

	return r;
}

static int do_count(uint64_t key)
{
	unsigned nr;
	int r;

	do
		r = tpi_btree_count_exclusive(&tree, root, UINT32_MAX, &nr);
	while (r == -EAGAIN && world_wait(&world));

	return r;
}

static int do_insert(uint64_t key)
{
	uint64_t nr = 300, nr_inserted;
	char values[300 * 8] = { 0 };
	int r;

	WORLD_RETRY(&world, r, tpi_btree_prepare_insert(&tree, root, key, nr));
	if (!r)
		r = tpi_btree_insert_run(&tree, root, key, values, nr, &root,
					 &nr_inserted);

	return r;
}

static int remove_range(uint64_t begin, uint64_t after)
{
	uint64_t nr_removed;
	int r;

	do
		r = tpi_btree_prepare_remove(&tree, root, begin, after);
	while (r == -EAGAIN && world_wait(&world));
	if (!r)
		r = tpi_btree_remove_range(&tree, root, begin, after, &root,
					   &nr_removed, NULL);

	return r;
}

static int do_remove(uint64_t key)
{
	return remove_range(key, key + 1);
}

static int do_remove_range(uint64_t key)
{
	return remove_range(key, key + 1000);
}

static int do_remove_most(uint64_t key)
{
	return remove_range(10, end - 10);
}

static int do_delete(uint64_t key)
{
	int r;

	do
		r = tpi_btree_prepare_delete(&tree, root);
	while (r == -EAGAIN && world_wait(&world));

	return r ? r : tpi_btree_delete(&tree, root);
}

typedef int (*do_fn)(uint64_t key);

/* Those that go to the leaf at @key, and those that go everywhere. */
static const do_fn on_the_path[] = { do_lookup, do_next,   do_previous,
				     do_insert, do_remove, do_exclusive };
static const do_fn everywhere[] = { do_scan, do_cursor, do_count,
				    do_remove_most, do_delete };
static const do_fn anything[] = {
	do_lookup,    do_next,       do_previous,     do_insert,      do_remove,
	do_exclusive, do_scan,       do_cursor,       do_remove_most, do_delete,
	do_count,     do_last_piece, do_remove_range,
};

/*---------------------------- one fault ------------------------------------*/

/* All that meet the fault tell of it, each in a world of its own. */
static void expect_damage(void (*damage)(void))
{
	unsigned nr = TPI_ARRAY_SIZE(on_the_path);

	for (unsigned i = 0; i < nr + TPI_ARRAY_SIZE(everywhere); i++) {
		do_fn fn = i < nr ? on_the_path[i] : everywhere[i - nr];
		uint64_t key;
		int r;

		setup();
		key = tpi_node_key(on_disk(leaf), 5);
		damage();
		r = fn(key);
		ck_assert_msg(r == -EILSEQ, "the %uth answers %d", i, r);
		world_wait(&world);
		world_exit(&world);
	}
}

static void set_child(tp_mblock child)
{
	tpi_node_set_child(on_disk(middle), 10, child);
	reseal(middle);
}

static void point_at_superblock(void)
{
	set_child(0);
}

static void point_beyond_the_end(void)
{
	set_child(NR_BLOCKS);
}

static void point_far_beyond_the_end(void)
{
	set_child(UINT64_MAX);
}

static void point_at_oneself(void)
{
	set_child(middle);
}

static void point_at_the_root(void)
{
	set_child(root);
}

static void point_at_the_cousin(void)
{
	set_child(cousin);
}

static void point_at_nothing(void)
{
	set_child(NR_BLOCKS - 1);
}

START_TEST(test_a_child_that_cannot_be_is_damage)
{
	expect_damage(point_at_superblock);
	expect_damage(point_beyond_the_end);
	expect_damage(point_far_beyond_the_end);
	expect_damage(point_at_oneself);
	expect_damage(point_at_the_root);
	expect_damage(point_at_the_cousin);
	expect_damage(point_at_nothing);
}
END_TEST

static void begin_too_low(void)
{
	tpi_node_set_key(on_disk(leaf), 0,
			 tpi_node_key(on_disk(middle), 10) - 1);
	reseal(leaf);
}

static void end_too_high(void)
{
	tpi_node_set_key(on_disk(leaf), tpi_node_nr(on_disk(leaf)) - 1,
			 tpi_node_key(on_disk(middle), 11));
	reseal(leaf);
}

static void middle_begins_too_low(void)
{
	tpi_node_set_key(on_disk(middle), 0, 0);
	reseal(middle);
}

static void middle_ends_too_high(void)
{
	tpi_node_set_key(on_disk(middle), tpi_node_nr(on_disk(middle)) - 1,
			 tpi_node_key(on_disk(root), 2));
	reseal(middle);
}

START_TEST(test_keys_outside_the_parents_range_are_damage)
{
	expect_damage(begin_too_low);
	expect_damage(end_too_high);
	expect_damage(middle_begins_too_low);
	expect_damage(middle_ends_too_high);
}
END_TEST

static void empty_leaf(void)
{
	on_disk(leaf)->nr_entries = le32_make(0);
	reseal(leaf);
}

static void values_of_another_size(void)
{
	uint64_t key = tpi_node_key(on_disk(leaf), 0);

	tpi_node_init(on_disk(leaf), TPI_NODE_LEAF, 16);
	tpi_node_open(on_disk(leaf), 0, 1);
	tpi_node_set_key(on_disk(leaf), 0, key);
	reseal(leaf);
}

START_TEST(test_a_leaf_that_does_not_belong_is_damage)
{
	expect_damage(empty_leaf);
	expect_damage(values_of_another_size);
}
END_TEST

/* One child each, down and down: no key is out of place. */
static void bottomless(void)
{
	tpi_node_erase(on_disk(root), 1, tpi_node_nr(on_disk(root)));
	tpi_node_set_key(on_disk(root), 0, 0);
	tpi_node_set_child(on_disk(root), 0, root);
	reseal(root);
}

START_TEST(test_a_tree_without_bottom_is_damage)
{
	expect_damage(bottomless);
}
END_TEST

/* A leaf one level too high: no way down is wrong, but what is beside it is of
 * another kind. */
static void leaf_beside_internal(void)
{
	tpi_node_init(on_disk(middle), TPI_NODE_LEAF, 8);
	for (uint64_t i = 0; i < 84; i++) {
		tpi_node_open(on_disk(middle), i, 1);
		tpi_node_set_key(on_disk(middle), i,
				 tpi_node_key(on_disk(root), 1) + i);
	}
	reseal(middle);
}

START_TEST(test_leaves_of_two_depths_do_not_mix)
{
	uint64_t key;

	setup();
	leaf_beside_internal();
	key = tpi_node_key(on_disk(root), 1);
	ck_assert_int_eq(remove_range(key, key + 1), -EILSEQ);
	world_wait(&world);
	world_exit(&world);

	setup();
	leaf_beside_internal();
	ck_assert_int_eq(remove_range(1000, 3000), -EILSEQ);
	world_wait(&world);
	world_exit(&world);
}
END_TEST

/* The counts say that it is free, but a tree points there. */
START_TEST(test_a_node_that_is_not_counted_is_damage)
{
	setup();
	world.refs.counts[leaf] = 0;
	ck_assert_int_eq(do_remove(tpi_node_key(on_disk(leaf), 5)), -EILSEQ);
	world_exit(&world);

	setup();
	world.refs.counts[root] = 0;
	ck_assert_int_eq(do_delete(0), -EILSEQ);
	world_exit(&world);
}
END_TEST

/* Many images in the field have nodes that are too empty; that is no damage,
 * and changes go on. */
START_TEST(test_nodes_that_were_too_empty_before_are_no_obstacle)
{
	world_seed(_i);
	for (unsigned left = 1; left < 20; left += 3) {
		setup();
		for (int i = 0; i < 60; i++) {
			tp_mblock block = tpi_node_child(
				on_disk(i % 3 ? middle : root), i % 3);

			if (i > 20)
				block = tpi_node_child(on_disk(middle), i);
			if (tpi_node_nr(on_disk(block)) > left &&
			    tpi_node_is_leaf(on_disk(block)))
				tpi_node_erase(on_disk(block), left,
					       tpi_node_nr(on_disk(block)));
			reseal(block);
		}
		for (uint64_t key = 0; key < end; key += 211) {
			must(remove_range(key, key + 1 + world_random(300)) ==
			     0);
			must(do_scan(0) == 0);
			world_go_cold(&world);
		}
		must(remove_range(0, UINT64_MAX) == 0);
		world_exit(&world);
	}
}
END_TEST

/*---------------------------- any fault ------------------------------------*/

static tp_mblock random_node(void)
{
	tp_mblock block;

	do
		block = 1 + world_random(NR_BLOCKS - 1);
	while (!world.refs.counts[block]);

	return block;
}

/* Bytes that matter more often than others. */
static void spoil(tp_mblock block)
{
	struct tpi_node *node = on_disk(block);
	uint32_t nr = tpi_node_nr(node);
	uint32_t i = nr ? world_random(nr) : 0;

	switch (world_random(6)) {
	case 0:
		tpi_node_set_key(node, i, world_random(end + 10));
		break;
	case 1:
		tpi_node_set_child(node, i, random_node());
		break;
	case 2:
		node->nr_entries = le32_make(world_random(253));
		break;
	case 3:
		((uint8_t *)node)[world_random(TPI_MBLOCK_BYTES)] ^=
			1u << world_random(8);
		break;
	case 4:
		memcpy(node, on_disk(random_node()), TPI_MBLOCK_BYTES);
		break;
	case 5:
		world.refs.counts[block] = world_random(4);
		break;
	}
	reseal(block);
}

static bool is_an_answer(int r)
{
	return !r || r == -EILSEQ || r == -ENODATA || r == -ENOSPC;
}

START_TEST(test_whatever_is_in_the_nodes_there_is_an_answer)
{
	world_seed(_i);
	for (int n = 0; n < 150; n++) {
		unsigned nr_faults = 1 + world_random(5);

		setup();
		for (unsigned i = 0; i < nr_faults; i++)
			spoil(world_random(4) ? random_node() : root);
		for (int i = 0; i < 10; i++) {
			unsigned which = world_random(TPI_ARRAY_SIZE(anything));

			must(is_an_answer(anything[which](world_random(end))));
			world_wait(&world);
		}
		world_exit(&world);
	}
}
END_TEST

int main(void)
{
	return RUN_TESTS("damage", 1, test_a_child_that_cannot_be_is_damage,
			 test_keys_outside_the_parents_range_are_damage,
			 test_a_leaf_that_does_not_belong_is_damage,
			 test_a_tree_without_bottom_is_damage,
			 test_leaves_of_two_depths_do_not_mix,
			 test_a_node_that_is_not_counted_is_damage,
			 test_nodes_that_were_too_empty_before_are_no_obstacle,
			 test_whatever_is_in_the_nodes_there_is_an_answer);
}
