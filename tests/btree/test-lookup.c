/*
 * Finding entries and walking over them, with nothing in the cache: each miss
 * is told, and coming again goes on.
 */
#include <stdlib.h>

#include "support/btree-world.h"
#include "support/run-tests.h"

#define NR_KEYS 30000
#define STRIDE 3

static struct btree_world world;
static struct tpi_btree tree;
static tp_mblock root;

/* The keys 0, 3, 6, ... but for a hole in the middle, whose edges leave keys in
 * internal nodes that are lower than what is beneath them. */
#define HOLE_BEGIN 30001
#define HOLE_END 60000

static bool is_there(uint64_t key)
{
	if (key >= HOLE_BEGIN && key < HOLE_END)
		return false;

	return key % STRIDE == 0 && key < NR_KEYS * STRIDE;
}

static void setup(void)
{
	world_init(&world, 4096, 1001);
	tree = world_tree(&world, 24);
	root = world_build(&world, &tree, NR_KEYS, STRIDE);
	world_remove(&world, &tree, &root, HOLE_BEGIN, HOLE_END);
	world_go_cold(&world);
}

/*---------------------------- single entries -------------------------------*/

START_TEST(test_an_empty_tree_has_nothing)
{
	struct tpi_btree_cursor cursor;
	char value[WORLD_MAX_VALUE];
	uint64_t found;

	world_init(&world, 64, 1);
	tree = world_tree(&world, 8);
	ck_assert_int_eq(tpi_btree_empty(&tree, &root), 0);
	ck_assert_int_eq(tpi_btree_lookup(&tree, root, 0, value), -ENODATA);
	ck_assert_int_eq(tpi_btree_next(&tree, root, 0, &found, value),
			 -ENODATA);
	ck_assert_int_eq(tpi_btree_previous(&tree, root, UINT64_MAX, &found,
					    value),
			 -ENODATA);
	ck_assert_int_eq(tpi_btree_last_piece(&tree, root, &found), -ENODATA);
	ck_assert_int_eq(tpi_btree_cursor_seek(&cursor, &tree, root, 0),
			 -ENODATA);
	ck_assert_int_eq(tpi_btree_cursor_next(&cursor), -ENODATA);
	ck_assert_int_eq(tpi_btree_cursor_get(&cursor, &found, value),
			 -ENODATA);
	world_exit(&world);
}
END_TEST

static void look_around(uint64_t key)
{
	uint64_t found, next = key, previous = key;
	char value[WORLD_MAX_VALUE];
	int r;

	WORLD_RETRY(&world, r, tpi_btree_lookup(&tree, root, key, value));
	must(r == (is_there(key) ? 0 : -ENODATA));
	must(r || world_thing(value) == 1 + key % 1000);

	while (!is_there(next) && next < NR_KEYS * STRIDE)
		next++;
	WORLD_RETRY(&world, r, tpi_btree_next(&tree, root, key, &found, value));
	must(r == (is_there(next) ? 0 : -ENODATA));
	must(r || (found == next && world_thing(value) == 1 + next % 1000));

	while (!is_there(previous))
		previous--;
	WORLD_RETRY(&world, r,
		    tpi_btree_previous(&tree, root, key, &found, value));
	must(!r && found == previous);
	must(world_thing(value) == 1 + previous % 1000);
}

START_TEST(test_the_entry_at_before_and_after_any_key_is_found)
{
	setup();
	for (uint64_t key = 0; key < NR_KEYS * STRIDE + 50; key += 7)
		look_around(key);
	for (uint64_t i = 0; i < 20; i++) {
		look_around(HOLE_BEGIN - 10 + i);
		look_around(HOLE_END - 10 + i);
	}
	world_exit(&world);
}
END_TEST

START_TEST(test_nothing_comes_before_the_first_key)
{
	char value[WORLD_MAX_VALUE];
	uint64_t found;
	int r;

	setup();
	world_remove(&world, &tree, &root, 0, 20000);
	for (uint64_t key = 0; key < 20000; key += 1999) {
		WORLD_RETRY(&world, r,
			    tpi_btree_previous(&tree, root, key, &found,
					       value));
		must(r == -ENODATA);
		WORLD_RETRY(&world, r,
			    tpi_btree_next(&tree, root, key, &found, value));
		must(!r && found == 20001);
	}
	world_exit(&world);
}
END_TEST

/*---------------------------- many -----------------------------------------*/

struct seen {
	uint64_t next, stop_at;
	unsigned nr;
};

static int see(void *context, uint64_t key, const void *value)
{
	struct seen *seen = context;

	if (key == seen->stop_at)
		return 55;
	while (!is_there(seen->next))
		seen->next++;
	must(key == seen->next);
	must(world_thing(value) == 1 + key % 1000);
	seen->next++;
	seen->nr++;

	return 0;
}

static void scan(uint64_t begin, uint64_t end, struct seen *seen)
{
	uint64_t position = begin;
	int r;

	do {
		tpi_cache_clear(world.cache);
		r = tpi_btree_scan(&tree, root, position, end, see, seen,
				   &position);
		/* A leaf further with each, were the path not to be read. */
		while (r == -EAGAIN && world_wait(&world))
			r = tpi_btree_scan(&tree, root, position, end, see,
					   seen, &position);
	} while (r == -EAGAIN);
	must(!r);
	must(position == end);
}

START_TEST(test_a_scan_sees_each_entry_of_the_range_once_and_in_order)
{
	struct seen seen = { .stop_at = UINT64_MAX };
	unsigned nr_there = 0;

	setup();
	scan(0, UINT64_MAX, &seen);
	for (uint64_t key = 0; key < NR_KEYS * STRIDE; key++)
		nr_there += is_there(key);
	must(seen.nr == nr_there);

	for (uint64_t begin = 0; begin < 1000; begin += 17) {
		seen = (struct seen){ .next = begin, .stop_at = UINT64_MAX };
		scan(begin, begin + 900, &seen);
		must(seen.nr == 300);
	}
	seen = (struct seen){ 0 };
	scan(500, 500, &seen);
	scan(HOLE_BEGIN, HOLE_END, &seen);
	must(!seen.nr);
	world_exit(&world);
}
END_TEST

START_TEST(test_a_scan_stops_where_it_is_told_to_and_says_where)
{
	struct seen seen = { .stop_at = 9000 };
	uint64_t position = 0;
	int r;

	setup();
	while ((r = tpi_btree_scan(&tree, root, position, 20000, see, &seen,
				   &position)) == -EAGAIN)
		world_wait(&world);
	must(r == 55);
	must(position == 9000);
	must(seen.nr == 3000);
	world_exit(&world);
}
END_TEST

START_TEST(test_a_cursor_walks_over_all_entries)
{
	struct tpi_btree_cursor cursor;
	char value[WORLD_MAX_VALUE];
	uint64_t key, expected = 0;
	int r;

	setup();
	WORLD_RETRY(&world, r, tpi_btree_cursor_seek(&cursor, &tree, root, 0));
	while (!r) {
		while (!is_there(expected))
			expected++;
		must(!tpi_btree_cursor_get(&cursor, &key, value));
		must(key == expected);
		must(world_thing(value) == 1 + key % 1000);
		expected++;
		if (key % 999 == 0)
			tpi_cache_clear(world.cache);
		WORLD_RETRY(&world, r, tpi_btree_cursor_next(&cursor));
	}
	must(r == -ENODATA);
	must(expected == NR_KEYS * STRIDE - STRIDE + 1);
	must(tpi_btree_cursor_get(&cursor, &key, value) == -ENODATA);
	world_exit(&world);
}
END_TEST

START_TEST(test_a_cursor_that_misses_stays_where_it_is)
{
	struct tpi_btree_cursor cursor;
	char value[WORLD_MAX_VALUE];
	uint64_t key;
	int r;

	setup();
	WORLD_RETRY(&world, r,
		    tpi_btree_cursor_seek(&cursor, &tree, root, 301));
	must(!r);
	tpi_cache_clear(world.cache);
	must(tpi_btree_cursor_next(&cursor) == -EAGAIN);
	must(!tpi_btree_cursor_get(&cursor, &key, value));
	must(key == 303);
	WORLD_RETRY(&world, r, tpi_btree_cursor_next(&cursor));
	must(!tpi_btree_cursor_get(&cursor, &key, value));
	must(key == 306);
	world_exit(&world);
}
END_TEST

/*---------------------------- exclusive paths ------------------------------*/

static bool is_exclusive(tp_mblock of_root, uint64_t key)
{
	bool exclusive;
	int r;

	WORLD_RETRY(&world, r,
		    tpi_btree_path_is_exclusive(&tree, of_root, key,
						&exclusive));
	must(!r);

	return exclusive;
}

/* architecture.md, decision 11. */
START_TEST(test_a_path_is_exclusive_if_every_node_on_it_is)
{
	tp_mblock snapshot;
	uint32_t thing = 5;

	setup();
	must(is_exclusive(root, 303));
	snapshot = root;
	must(!tpi_tm_inc(&world.tm, root));
	must(!is_exclusive(root, 303));

	/* A write makes the path to it our own, and no other. */
	world.things[thing]++;
	must(!world_insert(&world, &tree, &root, 303, &thing, 1));
	must(is_exclusive(root, 303));
	must(is_exclusive(root, 306));
	must(!is_exclusive(root, 20001));
	must(is_exclusive(snapshot, 303));
	must(!is_exclusive(snapshot, 20001));
	world_exit(&world);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"lookup", 1, test_an_empty_tree_has_nothing,
		test_the_entry_at_before_and_after_any_key_is_found,
		test_nothing_comes_before_the_first_key,
		test_a_scan_sees_each_entry_of_the_range_once_and_in_order,
		test_a_scan_stops_where_it_is_told_to_and_says_where,
		test_a_cursor_walks_over_all_entries,
		test_a_cursor_that_misses_stays_where_it_is,
		test_a_path_is_exclusive_if_every_node_on_it_is);
}
