/*
 * The leaf of the last change is at hand for the next one (struct tpi_finger):
 * it must be let go of when the leaf is no longer the tree's own, or covers
 * other keys.  test-walk.c does it all at random.
 */
#include "support/btree-world.h"
#include "support/run-tests.h"

#define NR_KEYS 1000

static struct btree_world world;
static struct tpi_btree tree;
static tp_mblock root;

static void setup(void)
{
	world_init(&world, 4096, 5000);
	tree = world_tree(&world, 8);
	root = world_build(&world, &tree, NR_KEYS, 10);
}

static void insert_in(tp_mblock *where, uint64_t key)
{
	uint32_t thing = 7;

	world.things[thing]++;
	must(world_insert(&world, &tree, where, key, &thing, 1) == 1);
}

static void overwrite(uint64_t key)
{
	uint32_t thing = 7;

	world.things[thing]++;
	must(world_insert(&world, &tree, &root, key, &thing, 1) == 0);
}

static bool has(tp_mblock where, uint64_t key)
{
	char value[8];
	int r;

	WORLD_RETRY(&world, r, tpi_btree_lookup(&tree, where, key, value));
	must(!r || r == -ENODATA);

	return !r;
}

START_TEST(test_it_is_there_after_an_insert_and_serves_the_next)
{
	setup();
	insert_in(&root, 501);
	must(world.tm.finger.root == root);
	must(world.tm.finger.low <= 501 && world.tm.finger.high >= 501);
	insert_in(&root, 502);
	must(has(root, 501) && has(root, 502));
	world_check_only(&world, &tree, root);
	world_exit(&world);
}
END_TEST

START_TEST(test_a_snapshot_keeps_what_it_had)
{
	tp_mblock snapshot;

	setup();
	insert_in(&root, 501);
	snapshot = root;
	must(!tpi_tm_inc(&world.tm, snapshot));
	insert_in(&root, 502);
	must(root != snapshot);
	must(has(root, 502) && !has(snapshot, 502));

	world_check_begin(&world);
	world_check_tree(&world, &tree, root, NULL, NULL);
	world_check_tree(&world, &tree, snapshot, NULL, NULL);
	world_check_end(&world);
	world_exit(&world);
}
END_TEST

START_TEST(test_what_was_committed_is_copied)
{
	tp_mblock committed;

	setup();
	insert_in(&root, 501);
	committed = root;
	world_commit(&world);
	insert_in(&root, 502);
	must(root != committed);
	world_check_only(&world, &tree, root);
	world_exit(&world);
}
END_TEST

/* A removal leaves the right neighbour with few entries, and it takes in some of
 * the leaf at hand; nothing is counted, made or dropped. */
START_TEST(test_a_leaf_whose_keys_moved_is_looked_for_again)
{
	uint64_t next;

	setup();
	overwrite(0);
	next = world.tm.finger.high + 1;
	must(has(root, next - 10) && has(root, next + 2010));
	world_remove(&world, &tree, &root, next + 10, next + 2010);
	insert_in(&root, next - 11);
	world_check_only(&world, &tree, root);
	world_exit(&world);
}
END_TEST

START_TEST(test_another_tree_has_leaves_of_its_own)
{
	tp_mblock other;

	setup();
	must(!tpi_btree_empty(&tree, &other));
	insert_in(&root, 501);
	insert_in(&other, 502);
	insert_in(&root, 503);
	must(!has(root, 502) && has(other, 502));
	must(has(root, 503) && !has(other, 503));

	world_check_begin(&world);
	world_check_tree(&world, &tree, root, NULL, NULL);
	world_check_tree(&world, &tree, other, NULL, NULL);
	world_check_end(&world);
	world_exit(&world);
}
END_TEST

int main(void)
{
	return RUN_TESTS("finger", 10,
			 test_it_is_there_after_an_insert_and_serves_the_next,
			 test_a_snapshot_keeps_what_it_had,
			 test_what_was_committed_is_copied,
			 test_a_leaf_whose_keys_moved_is_looked_for_again,
			 test_another_tree_has_leaves_of_its_own);
}
