/*
 * Putting entries into trees (metadata-format.md, 9.1).  That trees keep their
 * shape and counts whatever is inserted in whatever order test-walk.c shows;
 * here is what must come out of orders that matter.
 */
#include <stdlib.h>
#include <string.h>

#include "support/btree-world.h"
#include "support/run-tests.h"

#define NR_KEYS 40000

static struct btree_world world;
static struct tpi_btree tree;
static tp_mblock root;

static void setup(uint32_t value_size)
{
	world_init(&world, 4096, 5000);
	tree = world_tree(&world, value_size);
	must(!tpi_btree_empty(&tree, &root));
}

static void insert_run(uint64_t key, uint64_t nr)
{
	uint32_t *things = calloc(nr, sizeof(*things));

	for (uint64_t i = 0; i < nr; i++) {
		things[i] = 1 + (key + i) % 1000;
		world.things[things[i]]++;
	}
	must(world_insert(&world, &tree, &root, key, things, nr) == nr);
	free(things);
}

static void insert(uint64_t key)
{
	insert_run(key, 1);
}

static unsigned nr_nodes(void)
{
	unsigned nr;

	while (tpi_btree_count_exclusive(&tree, root, UINT32_MAX, &nr) ==
	       -EAGAIN)
		world_wait(&world);

	return nr;
}

/* How full the nodes are, in percent, if there are this many entries. */
static unsigned fill(unsigned nr_entries)
{
	return 100 * nr_entries / (nr_nodes() * tpi_node_capacity(8));
}

/*---------------------------- order ----------------------------------------*/

/* Most volumes are first written from front to back, and the metadata device
 * is small. */
START_TEST(test_keys_in_order_leave_full_nodes)
{
	setup(8);
	for (uint64_t key = 0; key < NR_KEYS; key++)
		insert(key);
	must(fill(NR_KEYS) >= 95);
	world_check_only(&world, &tree, root);
	world_exit(&world);
}
END_TEST

START_TEST(test_keys_in_order_leave_full_nodes_whatever_is_committed_between)
{
	setup(8);
	for (uint64_t key = 0; key < NR_KEYS; key++) {
		insert(key);
		if (key % 10 == 0)
			world_commit(&world);
	}
	must(fill(NR_KEYS) >= 95);
	world_check_only(&world, &tree, root);
	world_exit(&world);
}
END_TEST

START_TEST(test_runs_in_order_leave_full_nodes)
{
	setup(8);
	for (uint64_t key = 0; key < NR_KEYS; key += 100)
		insert_run(key, 100);
	must(fill(NR_KEYS) >= 95);
	world_check_only(&world, &tree, root);
	world_exit(&world);
}
END_TEST

/* As several writers at different places of a volume do. */
START_TEST(test_several_keys_in_order_at_once_leave_well_filled_nodes)
{
	setup(8);
	for (uint64_t i = 0; i < NR_KEYS / 8; i++)
		for (uint64_t stream = 0; stream < 8; stream++)
			insert(stream * NR_KEYS + i);
	must(fill(NR_KEYS) >= 90);
	world_check_only(&world, &tree, root);
	world_exit(&world);
}
END_TEST

START_TEST(test_keys_in_reverse_order_leave_half_full_nodes)
{
	setup(8);
	for (uint64_t key = NR_KEYS; key--;)
		insert(key);
	must(fill(NR_KEYS) >= 50);
	world_check_only(&world, &tree, root);
	world_exit(&world);
}
END_TEST

START_TEST(test_keys_in_any_order_leave_well_filled_nodes)
{
	setup(8);
	for (uint64_t i = 0; i < NR_KEYS; i++)
		insert(i * 7919 % NR_KEYS);
	must(fill(NR_KEYS) >= 65);
	world_check_only(&world, &tree, root);
	world_exit(&world);
}
END_TEST

/* One way down per leaf, not per entry. */
START_TEST(test_a_run_visits_each_leaf_once)
{
	struct tpi_cache_stats before, after;
	char *values = calloc(2000, 8);
	uint64_t nr_inserted;

	setup(8);
	insert_run(0, NR_KEYS);
	tpi_cache_get_stats(world.cache, &before);
	must(!tpi_btree_insert_run(&tree, root, 1000, values, 2000, &root,
				   &nr_inserted));
	tpi_cache_get_stats(world.cache, &after);
	must(nr_inserted == 0);
	must(after.nr_hits - before.nr_hits < 100);
	world_exit(&world);
	free(values);
}
END_TEST

START_TEST(test_the_greatest_keys_are_like_any_other)
{
	char value[8];
	uint64_t found;

	setup(8);
	insert_run(UINT64_MAX - 999, 1000);
	must(!tpi_btree_lookup(&tree, root, UINT64_MAX, value));
	must(!tpi_btree_next(&tree, root, UINT64_MAX, &found, value));
	must(found == UINT64_MAX);
	must(!tpi_btree_previous(&tree, root, UINT64_MAX, &found, value));
	must(found == UINT64_MAX);
	insert_run(0, 1000);
	world_check_only(&world, &tree, root);
	world_exit(&world);
}
END_TEST

/*---------------------------- references -----------------------------------*/

/* The old value loses an owner; the new one brings its own (7.3). */
START_TEST(test_overwriting_drops_the_old_value)
{
	uint32_t thing = 3000;

	setup(16);
	insert_run(0, 2000);
	must(world.things[1 + 77] == 2);
	world.things[thing]++;
	must(world_insert(&world, &tree, &root, 77, &thing, 1) == 0);
	must(world.things[1 + 77] == 1);
	must(world.things[thing] == 1);
	world_check_only(&world, &tree, root);

	/* By the same nothing changes. */
	must(world_insert(&world, &tree, &root, 77, &thing, 1) == 0);
	must(world.things[thing] == 1);
	world_exit(&world);
}
END_TEST

static bool same_thing(void *context, const void *a, const void *b)
{
	return world_thing(a) == world_thing(b);
}

/* As a mapping that is stamped with another time. */
START_TEST(test_what_the_type_calls_the_same_is_overwritten_uncounted)
{
	char value[16], found[16];
	bool inserted = true;

	setup(16);
	tree.type.same = same_thing;
	insert_run(0, 2000);
	world_value(16, 1 + 77, value);
	value[10] ^= 0x55;
	must(!tpi_btree_insert(&tree, root, 77, value, &root, &inserted));
	must(!inserted);
	must(world.things[1 + 77] == 2);
	must(!tpi_btree_lookup(&tree, root, 77, found));
	must(!memcmp(found, value, 16));
	must(!tpi_btree_insert(&tree, root, 5000, value, &root, &inserted));
	must(inserted);
	world_exit(&world);
}
END_TEST

/* A snapshot shares all; a change copies the path, and what the copies refer
 * to gets another owner (8.1). */
START_TEST(test_a_snapshot_sees_no_change)
{
	tp_mblock snapshot;
	uint32_t thing = 4000;
	char value[8];

	setup(8);
	insert_run(0, NR_KEYS);
	snapshot = root;
	must(!tpi_tm_inc(&world.tm, root));
	world.things[thing]++;
	must(world_insert(&world, &tree, &root, 777, &thing, 1) == 0);
	must(root != snapshot);
	must(!tpi_btree_lookup(&tree, snapshot, 777, value));
	must(world_thing(value) == 778);
	must(!tpi_btree_lookup(&tree, root, 777, value));
	must(world_thing(value) == thing);
	world_check_begin(&world);
	world_check_tree(&world, &tree, root, NULL, NULL);
	world_check_tree(&world, &tree, snapshot, NULL, NULL);
	world_check_end(&world);
	world_exit(&world);
}
END_TEST

/*---------------------------- failures -------------------------------------*/

START_TEST(test_each_failing_allocation_is_told)
{
	uint64_t nth = 0, nr_inserted;
	char *values = calloc(3000, 8);
	tp_mblock new_root;
	int r;

	do {
		setup(8);
		insert_run(0, 5000);
		world_commit(&world);
		new_root = 12345;
		world.refs.nr_allocs = nth++;
		r = tpi_btree_insert_run(&tree, root, 4000, values, 3000,
					 &new_root, &nr_inserted);
		must(r == 0 || r == -ENOSPC);
		must(!r || new_root == 12345);
		world_exit(&world);
	} while (r);
	must(nth > 10);
	free(values);
}
END_TEST

/* A change that was not prepared must not stop half way and go on later. */
START_TEST(test_a_change_that_misses_is_not_to_be_tried_again)
{
	char value[8] = { 0 };
	uint64_t nr_removed;

	setup(8);
	insert_run(0, NR_KEYS);
	world_go_cold(&world);
	must(tpi_btree_insert(&tree, root, 1, value, &root, NULL) == -EILSEQ);
	world_wait(&world);
	world_go_cold(&world);
	must(tpi_btree_remove_range(&tree, root, 1, 2, &root, &nr_removed,
				    NULL) == -EILSEQ);
	world_wait(&world);
	world_go_cold(&world);
	must(tpi_btree_delete(&tree, root) == -EILSEQ);
	world_wait(&world);
	world_exit(&world);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"insert", 1, test_keys_in_order_leave_full_nodes,
		test_keys_in_order_leave_full_nodes_whatever_is_committed_between,
		test_runs_in_order_leave_full_nodes,
		test_several_keys_in_order_at_once_leave_well_filled_nodes,
		test_keys_in_reverse_order_leave_half_full_nodes,
		test_keys_in_any_order_leave_well_filled_nodes,
		test_a_run_visits_each_leaf_once,
		test_the_greatest_keys_are_like_any_other,
		test_overwriting_drops_the_old_value,
		test_what_the_type_calls_the_same_is_overwritten_uncounted,
		test_a_snapshot_sees_no_change,
		test_each_failing_allocation_is_told,
		test_a_change_that_misses_is_not_to_be_tried_again);
}
