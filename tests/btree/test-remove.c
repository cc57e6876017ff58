/*
 * Taking ranges out of trees, above all of trees whose nodes have as few
 * entries as they may, so that every cut leaves nodes to be filled up.
 */
#include <stdlib.h>

#include "support/btree-world.h"
#include "support/run-tests.h"

#define NR_THINGS 1001

static struct btree_world world;
static struct tpi_btree tree;

static void setup(tp_mblock nr_blocks, uint32_t value_size)
{
	world_init(&world, nr_blocks, NR_THINGS);
	tree = world_tree(&world, value_size);
}

/* The tree has the keys below @end but for those in one range, or two. */
struct gap {
	uint64_t next, end;
	uint64_t begin[2], after[2];
};

static uint64_t skip_gaps(const struct gap *gap, uint64_t key)
{
	for (int i = 0; i < 4; i++)
		if (gap->begin[i % 2] <= key && key < gap->after[i % 2])
			key = gap->after[i % 2];

	return key;
}

static void expect_next(void *context, uint64_t key, const void *value,
			bool first)
{
	struct gap *gap = context;

	gap->next = skip_gaps(gap, gap->next);
	must(key == gap->next);
	must(world_thing(value) == 1 + key % 1000);
	gap->next++;
}

static void expect(tp_mblock root, struct gap gap)
{
	world_check_tree(&world, &tree, root, expect_next, &gap);
	must(skip_gaps(&gap, gap.next) >= gap.end);
}

static void expect_only(tp_mblock root, struct gap gap)
{
	world_check_begin(&world);
	expect(root, gap);
	world_check_end(&world);
}

/*---------------------------- single keys ----------------------------------*/

START_TEST(test_every_key_of_a_sparse_tree_can_be_removed_in_order)
{
	bool backwards = _i;
	uint64_t end;
	tp_mblock root;

	setup(2048, 8);
	world_seed(_i);
	root = world_build_sparse(&world, &tree, 3, 2, 0, &end);
	for (uint64_t i = 0; i < end; i++) {
		uint64_t key = backwards ? end - 1 - i : i;

		must(world_remove(&world, &tree, &root, key, key + 1) == 1);
		if (i % 97 == 0)
			world_go_cold(&world);
		if (i % 13)
			continue;
		if (backwards)
			expect_only(root, (struct gap){ .end = key });
		else
			expect_only(root, (struct gap){ .end = end,
							.after = { key + 1 } });
	}
	expect_only(root, (struct gap){ 0 });
	must(world_depth(&world, root) == 1);
	world_exit(&world);
}
END_TEST

START_TEST(test_removing_what_is_not_there_removes_nothing)
{
	tp_mblock root;

	setup(1024, 8);
	root = world_build(&world, &tree, 1000, 2);
	must(!world_remove(&world, &tree, &root, 501, 502));
	must(!world_remove(&world, &tree, &root, 5000, 6000));
	must(!world_remove(&world, &tree, &root, 20, 20));
	must(!world_remove(&world, &tree, &root, 30, 10));
	must(world_remove(&world, &tree, &root, 500, 501) == 1);
	must(!world_remove(&world, &tree, &root, 500, 501));
	world_check_only(&world, &tree, root);
	world_exit(&world);
}
END_TEST

/*---------------------------- ranges ---------------------------------------*/

/* Around the edges of nodes, and anywhere. */
static uint64_t random_bound(uint64_t end, uint64_t leaf)
{
	uint64_t bound = world_random(end + 1);

	if (world_random(2))
		return bound;

	return tpi_min(end, bound / leaf * leaf + world_random(3));
}

static void swap_if_wrong(uint64_t *a, uint64_t *b)
{
	uint64_t c = *a;

	if (*a > *b) {
		*a = *b;
		*b = c;
	}
}

static struct gap random_gap(uint64_t end, uint32_t value_size)
{
	uint64_t leaf = tpi_node_capacity(value_size) / 3;
	struct gap gap = { .end = end };

	for (int i = 0; i < 2; i++) {
		gap.begin[i] = random_bound(end, leaf);
		gap.after[i] =
			world_random(2)
				? random_bound(end, leaf)
				: tpi_min(end, gap.begin[i] +
						       world_random(3 * leaf));
		swap_if_wrong(&gap.begin[i], &gap.after[i]);
	}

	return gap;
}

static void make_gap(tp_mblock *root, const struct gap *gap, int i)
{
	world_remove(&world, &tree, root, gap->begin[i], gap->after[i]);
}

/*
 * Two cuts out of a sparse tree, whether it has other owners or not, with cold
 * caches: what the change needs was read, every node is filled up, and the
 * snapshot sees nothing of it.
 */
static void cut_sparse_tree(uint32_t value_size, unsigned depth, unsigned more)
{
	tp_mblock root, snapshot;
	bool keep = world_random(2);
	struct gap gap;
	uint64_t end;

	root = world_build_sparse(&world, &tree, depth, 2 + world_random(3),
				  more, &end);
	snapshot = root;
	if (keep)
		must(!tpi_tm_inc(&world.tm, root));
	gap = random_gap(end, value_size);
	for (int i = 0; i < 2; i++) {
		world_go_cold(&world);
		make_gap(&root, &gap, i);
	}
	world_check_begin(&world);
	expect(root, gap);
	if (keep)
		expect(snapshot, (struct gap){ .end = end });
	world_check_end(&world);
	world_delete(&world, &tree, root);
	if (keep)
		world_delete(&world, &tree, snapshot);
	world_commit(&world);
}

START_TEST(test_cuts_leave_sparse_trees_of_three_levels_in_shape)
{
	static const uint32_t sizes[] = { 4, 8, 16, 24 };

	world_seed(_i);
	for (unsigned i = 0; i < TPI_ARRAY_SIZE(sizes); i++) {
		setup(8192, sizes[i]);
		for (int n = 0; n < 25; n++)
			cut_sparse_tree(sizes[i], 2 + world_random(2),
					world_random(2) * world_random(6));
		world_exit(&world);
	}
}
END_TEST

/* The @i-th of the places at or beside an edge of a node of @nr. */
#define NR_EDGES 3
static uint64_t edge(uint64_t i, uint64_t nr)
{
	return i < 2 ? i : nr - 1;
}

/* The @n-th of the keys that lie at edges on all three levels of a tree that is
 * as sparse as may be. */
#define NR_EDGE_KEYS (NR_EDGES * NR_EDGES * NR_EDGES)
static uint64_t edge_key(uint64_t n, uint64_t nr_children)
{
	uint64_t child = edge(n / NR_EDGES / NR_EDGES, nr_children);
	uint64_t leaf = edge(n / NR_EDGES % NR_EDGES, 84);

	return (child * 84 + leaf) * 84 + edge(n % NR_EDGES, 84);
}

static void cut_snapshot(tp_mblock snapshot, const struct gap *gap)
{
	tp_mblock root = snapshot;

	if (gap->begin[0] >= gap->after[0])
		return;
	must(!tpi_tm_inc(&world.tm, snapshot));
	world_go_cold(&world);
	make_gap(&root, gap, 0);
	world_check_begin(&world);
	expect(snapshot, (struct gap){ .end = gap->end });
	expect(root, *gap);
	world_check_end(&world);
	world_delete(&world, &tree, root);
}

/* What is hard is a cut that leaves one entry on each side, on several levels,
 * among siblings that have none to spare. */
START_TEST(test_cuts_at_all_edges_of_nodes_leave_sparse_trees_in_shape)
{
	unsigned nr_children = 2 + _i;
	struct gap gap = { 0 };
	tp_mblock snapshot;

	setup(2048, 8);
	snapshot =
		world_build_sparse(&world, &tree, 3, nr_children, 0, &gap.end);
	for (unsigned i = 0; i < NR_EDGE_KEYS; i++) {
		for (unsigned j = 0; j < NR_EDGE_KEYS; j++) {
			gap.begin[0] = edge_key(i, nr_children);
			gap.after[0] = edge_key(j, nr_children);
			cut_snapshot(snapshot, &gap);
		}
	}
	world_exit(&world);
}
END_TEST

/* Deeper, a bit of a tree that a cut leaves hangs on more than one node that is
 * too empty. */
START_TEST(test_cuts_leave_sparse_trees_of_four_levels_in_shape)
{
	world_seed(_i);
	setup(100000, 24);
	cut_sparse_tree(24, 4, 4 * _i);
	world_exit(&world);
}
END_TEST

START_TEST(test_a_cut_of_everything_leaves_one_empty_leaf)
{
	static const uint64_t ends[] = { UINT64_MAX, UINT64_MAX - 1, 1 << 30 };
	uint64_t end;
	tp_mblock root;

	world_seed(_i);
	setup(4096, 8);
	for (unsigned i = 0; i < TPI_ARRAY_SIZE(ends); i++) {
		root = world_build_sparse(&world, &tree, 3, 2, 10, &end);
		world_go_cold(&world);
		must(world_remove(&world, &tree, &root, 0, ends[i]) == end);
		must(world_depth(&world, root) == 1);
		must(tpi_node_nr(world_node(&world, root)) == 0);
		world_check_only(&world, &tree, root);
		world_delete(&world, &tree, root);
		world_commit(&world);
	}
	world_exit(&world);
}
END_TEST

/* The range [., UINT64_MAX) has no end. */
START_TEST(test_the_greatest_key_can_be_removed)
{
	uint32_t thing = 1;
	tp_mblock root;

	setup(1024, 8);
	root = world_build(&world, &tree, 1000, 1);
	world.things[1]++;
	must(world_insert(&world, &tree, &root, UINT64_MAX, &thing, 1) == 1);
	must(world_remove(&world, &tree, &root, 1000, UINT64_MAX - 1) == 0);
	must(world_remove(&world, &tree, &root, 1000, UINT64_MAX) == 1);
	expect_only(root, (struct gap){ .end = 1000 });
	world_exit(&world);
}
END_TEST

/*---------------------------- sharing --------------------------------------*/

/* What is beneath a shared node is not looked at, and not counted (7.4). */
START_TEST(test_a_shared_subtree_is_dropped_unseen)
{
	uint64_t end, nr_removed;
	tp_mblock root, snapshot;
	bool dropped_shared;
	struct tpi_cache_stats before, after;

	world_seed(_i);
	setup(4096, 8);
	root = snapshot = world_build_sparse(&world, &tree, 3, 4, 0, &end);
	must(!tpi_tm_inc(&world.tm, root));
	world_go_cold(&world);
	tpi_cache_get_stats(world.cache, &before);
	must(world_remove(&world, &tree, &root, end / 4, UINT64_MAX) == 0);
	tpi_cache_get_stats(world.cache, &after);
	must(after.nr_misses - before.nr_misses < 10);

	world_check_begin(&world);
	expect(root, (struct gap){ .end = end / 4 });
	expect(snapshot, (struct gap){ .end = end });
	world_check_end(&world);

	/* And that is told. */
	for (int i = 0; i < 2; i++) {
		while (tpi_btree_prepare_remove(&tree, root, 0, end) == -EAGAIN)
			world_wait(&world);
		must(!tpi_btree_remove_range(&tree, root, 0, end, &root,
					     &nr_removed, &dropped_shared));
		must(dropped_shared == !i);
	}
	world_exit(&world);
}
END_TEST

/* A big tree goes leaf by leaf from its end, in steps of a bounded size. */
START_TEST(test_a_tree_is_emptied_piece_by_piece)
{
	uint64_t end, begin, nr_removed = 0, nr_pieces = 0;
	tp_mblock root, snapshot = 0;
	int r;

	world_seed(_i);
	setup(4096, 8);
	root = world_build_sparse(&world, &tree, 3, 2, 20, &end);
	if (_i) {
		snapshot = root;
		must(!tpi_tm_inc(&world.tm, root));
		must(world_remove(&world, &tree, &root, 0, 1) == 1);
	}
	world_go_cold(&world);
	for (;; nr_pieces++) {
		WORLD_RETRY(&world, r,
			    tpi_btree_last_piece(&tree, root, &begin));
		if (r)
			break;
		nr_removed +=
			world_remove(&world, &tree, &root, begin, UINT64_MAX);
		if (nr_pieces % 10 == 0)
			world_go_cold(&world);
	}
	must(r == -ENODATA);
	world_check_begin(&world);
	expect(root, (struct gap){ 0 });
	if (_i)
		expect(snapshot, (struct gap){ .end = end });
	world_check_end(&world);
	must(_i ? nr_pieces < 400 : nr_pieces >= 2 * 84);
	must(_i ? nr_removed < 400 : nr_removed == end);
	world_exit(&world);
}
END_TEST

START_TEST(test_the_nodes_that_a_delete_visits_can_be_counted_before)
{
	tp_mblock root, snapshot;
	unsigned nr_nodes;
	uint64_t end;
	int r;

	setup(4096, 8);
	root = world_build_sparse(&world, &tree, 3, 2, 0, &end);
	world_go_cold(&world);
	WORLD_RETRY(&world, r,
		    tpi_btree_count_exclusive(&tree, root, 10, &nr_nodes));
	must(!r && nr_nodes == 10);
	while ((r = tpi_btree_count_exclusive(&tree, root, 1000, &nr_nodes)) ==
	       -EAGAIN)
		world_wait(&world);
	must(!r && nr_nodes == 1 + 2 + 2 * 84);

	/* After a snapshot and a change, only the path to the change. */
	snapshot = root;
	must(!tpi_tm_inc(&world.tm, root));
	must(!tpi_btree_count_exclusive(&tree, root, 1000, &nr_nodes));
	must(nr_nodes == 0);
	must(world_remove(&world, &tree, &root, end - 1, end) == 1);
	must(!tpi_btree_count_exclusive(&tree, root, 1000, &nr_nodes));
	must(nr_nodes >= 2 && nr_nodes <= 5);
	world_delete(&world, &tree, root);
	expect_only(snapshot, (struct gap){ .end = end });
	world_exit(&world);
}
END_TEST

/* The owner aborts, so the tree may be in any state; but it must be told. */
START_TEST(test_each_failing_allocation_is_told)
{
	uint64_t end, nr_removed, nth = 0;
	tp_mblock root, new_root;
	int r;

	do {
		setup(4096, 8);
		root = world_build_sparse(&world, &tree, 3, 2, 0, &end);
		world_commit(&world);
		world.refs.nr_allocs = nth++;
		new_root = 12345;
		r = tpi_btree_remove_range(&tree, root, 100, end / 2 + 300,
					   &new_root, &nr_removed, NULL);
		must(r == 0 || r == -ENOSPC);
		must(!r || new_root == 12345);
		world_exit(&world);
	} while (r);
	must(nth > 4);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"remove", 2,
		test_every_key_of_a_sparse_tree_can_be_removed_in_order,
		test_removing_what_is_not_there_removes_nothing,
		test_cuts_leave_sparse_trees_of_three_levels_in_shape,
		test_cuts_at_all_edges_of_nodes_leave_sparse_trees_in_shape,
		test_cuts_leave_sparse_trees_of_four_levels_in_shape,
		test_a_cut_of_everything_leaves_one_empty_leaf,
		test_the_greatest_key_can_be_removed,
		test_a_shared_subtree_is_dropped_unseen,
		test_a_tree_is_emptied_piece_by_piece,
		test_the_nodes_that_a_delete_visits_can_be_counted_before,
		test_each_failing_allocation_is_told);
}
