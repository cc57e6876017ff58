/*
 * A random walk beside a dumb model: several trees that were snapshots of each
 * other, changed in all ways, with and without anything in the cache.  After
 * every step each tree has what its model has, every shape rule holds
 * (metadata-format.md, 4), and every count is what counting anew gives (7).
 * That no durable block is written again (8.1) the world checks.
 */
#include <stdlib.h>
#include <string.h>

#include "support/btree-world.h"
#include "support/run-tests.h"

#define NR_KEYS 60000
#define NR_TREES 4
#define NR_BLOCKS 8192
#define NR_THINGS 5000
#define NR_STEPS 250
#define MAX_RUN 700

/* What a tree should have: things by key, 0 for none.  No tree: root is 0. */
struct model {
	tp_mblock root;
	uint32_t things[NR_KEYS];
};

struct walk {
	struct btree_world world;
	struct tpi_btree tree;
	uint64_t base; /* added to all keys */
	struct model *models;
};

static void walk_init(struct walk *walk, uint32_t value_size)
{
	world_init(&walk->world, NR_BLOCKS, NR_THINGS);
	walk->tree = world_tree(&walk->world, value_size);
	walk->base = world_random(2) ? 0 : world_random(UINT64_MAX / 2);
	walk->models = calloc(NR_TREES, sizeof(*walk->models));
	must(tpi_btree_empty(&walk->tree, &walk->models[0].root) == 0);
}

static void walk_exit(struct walk *walk)
{
	world_exit(&walk->world);
	free(walk->models);
}

/*---------------------------- checking -------------------------------------*/

struct comparison {
	const struct walk *walk;
	const struct model *model;
	uint64_t next; /* index in the model */
	uint32_t size;
};

static uint64_t next_in_model(const struct model *model, uint64_t i)
{
	while (i < NR_KEYS && !model->things[i])
		i++;

	return i;
}

static void compare_entry(void *context, uint64_t key, const void *value,
			  bool first)
{
	struct comparison *comparison = context;
	const struct model *model = comparison->model;
	char expected[WORLD_MAX_VALUE];
	uint64_t i = next_in_model(model, comparison->next);

	must(key == comparison->walk->base + i);
	world_value(comparison->size, model->things[i], expected);
	must(!memcmp(value, expected, comparison->size));
	comparison->next = i + 1;
}

static void check_all(struct walk *walk)
{
	world_check_begin(&walk->world);
	for (int i = 0; i < NR_TREES; i++) {
		struct model *model = &walk->models[i];
		struct comparison comparison = {
			.walk = walk,
			.model = model,
			.size = walk->tree.type.size,
		};

		if (!model->root)
			continue;
		world_check_tree(&walk->world, &walk->tree, model->root,
				 compare_entry, &comparison);
		must(next_in_model(model, comparison.next) == NR_KEYS);
	}
	world_check_end(&walk->world);
}

/*---------------------------- steps ----------------------------------------*/

static void random_run(uint64_t max, uint64_t *begin, uint64_t *nr)
{
	*nr = 1 + world_random(max);
	*begin = world_random(NR_KEYS - *nr);
}

static void insert_at(struct walk *walk, struct model *model, uint64_t begin,
		      uint64_t nr)
{
	uint32_t things[MAX_RUN];
	uint64_t nr_new = 0;

	for (uint64_t i = 0; i < nr; i++) {
		uint32_t *there = &model->things[begin + i];

		/* What is overwritten by itself is not counted again. */
		things[i] = world_random(8) && *there
				    ? *there
				    : 1 + world_random(NR_THINGS - 1);
		if (things[i] != *there)
			walk->world.things[things[i]]++;
		nr_new += !*there;
		*there = things[i];
	}
	must(world_insert(&walk->world, &walk->tree, &model->root,
			  walk->base + begin, things, nr) == nr_new);
}

static void insert_one(struct walk *walk, struct model *model)
{
	insert_at(walk, model, world_random(NR_KEYS), 1);
}

static void insert_run(struct walk *walk, struct model *model)
{
	uint64_t begin, nr;

	random_run(MAX_RUN, &begin, &nr);
	insert_at(walk, model, begin, nr);
}

static void insert_in_order(struct walk *walk, struct model *model)
{
	uint64_t begin, nr;

	random_run(6000, &begin, &nr);
	while (nr) {
		uint64_t some = tpi_min(nr, 1 + world_random(MAX_RUN));

		insert_at(walk, model, begin, some);
		begin += some;
		nr -= some;
	}
}

static void insert_scattered(struct walk *walk, struct model *model)
{
	for (int i = 0; i < 300; i++)
		insert_one(walk, model);
}

static void remove_at(struct walk *walk, struct model *model, uint64_t begin,
		      uint64_t nr)
{
	uint64_t there = 0, removed;

	for (uint64_t i = begin; i < begin + nr; i++) {
		there += model->things[i] != 0;
		model->things[i] = 0;
	}
	removed = world_remove(&walk->world, &walk->tree, &model->root,
			       walk->base + begin, walk->base + begin + nr);
	must(removed <= there);
}

static void remove_scattered(struct walk *walk, struct model *model)
{
	for (int i = 0; i < 100; i++)
		remove_at(walk, model, world_random(NR_KEYS), 1);
}

static void remove_short(struct walk *walk, struct model *model)
{
	uint64_t begin, nr;

	random_run(400, &begin, &nr);
	remove_at(walk, model, begin, nr);
}

static void remove_long(struct walk *walk, struct model *model)
{
	uint64_t begin, nr;

	random_run(NR_KEYS / 4, &begin, &nr);
	remove_at(walk, model, begin, nr);
}

/* All but a little. */
static void remove_most(struct walk *walk, struct model *model)
{
	uint64_t left = world_random(NR_KEYS / 50);

	if (world_random(4))
		return;
	remove_at(walk, model, left, NR_KEYS - left - world_random(200));
}

static struct model *other_model(struct walk *walk, const struct model *model)
{
	uint64_t i = model - walk->models;

	return &walk->models[(i + 1 + world_random(NR_TREES - 1)) % NR_TREES];
}

static void snapshot(struct walk *walk, struct model *model)
{
	struct model *other = other_model(walk, model);

	if (other->root)
		world_delete(&walk->world, &walk->tree, other->root);
	must(tpi_tm_inc(&walk->world.tm, model->root) == 0);
	*other = *model;
}

static void commit(struct walk *walk, struct model *model)
{
	world_commit(&walk->world);
}

static void go_cold(struct walk *walk, struct model *model)
{
	world_go_cold(&walk->world);
}

/*---------------------------- looking --------------------------------------*/

static void look_up(struct walk *walk, const struct model *model, uint64_t i)
{
	char value[WORLD_MAX_VALUE], expected[WORLD_MAX_VALUE];
	int r;

	WORLD_RETRY(&walk->world, r,
		    tpi_btree_lookup(&walk->tree, model->root, walk->base + i,
				     value));
	must(r == (model->things[i] ? 0 : -ENODATA));
	if (r)
		return;
	world_value(walk->tree.type.size, model->things[i], expected);
	must(!memcmp(value, expected, walk->tree.type.size));
}

static void look_next(struct walk *walk, const struct model *model, uint64_t i)
{
	uint64_t found, expected = next_in_model(model, i);
	char value[WORLD_MAX_VALUE];
	int r;

	WORLD_RETRY(&walk->world, r,
		    tpi_btree_next(&walk->tree, model->root, walk->base + i,
				   &found, value));
	must(r == (expected < NR_KEYS ? 0 : -ENODATA));
	if (!r)
		must(found == walk->base + expected);
}

static void look_previous(struct walk *walk, const struct model *model,
			  uint64_t i)
{
	char value[WORLD_MAX_VALUE];
	uint64_t found, after = i + 1;
	int r;

	while (after && !model->things[after - 1])
		after--;
	WORLD_RETRY(&walk->world, r,
		    tpi_btree_previous(&walk->tree, model->root, walk->base + i,
				       &found, value));
	must(r == (after ? 0 : -ENODATA));
	if (!r)
		must(found == walk->base + after - 1);
}

static void look_around(struct walk *walk, struct model *model)
{
	for (int n = 0; n < 30; n++) {
		uint64_t i = world_random(NR_KEYS);

		look_up(walk, model, i);
		look_next(walk, model, i);
		look_previous(walk, model, i);
	}
}

/*---------------------------- the walk -------------------------------------*/

typedef void (*step_fn)(struct walk *walk, struct model *model);

static const step_fn steps[] = {
	insert_one,       insert_run,   insert_in_order, insert_in_order,
	insert_scattered, remove_short, remove_short,    remove_long,
	remove_scattered, remove_most,  snapshot,        snapshot,
	commit,           go_cold,      go_cold,         look_around,
};

static void one_step(struct walk *walk)
{
	struct model *model = &walk->models[world_random(NR_TREES)];

	if (!model->root)
		model = &walk->models[0];
	steps[world_random(TPI_ARRAY_SIZE(steps))](walk, model);
	check_all(walk);
}

START_TEST(test_trees_do_as_their_models_do)
{
	static const uint32_t sizes[] = { 4, 8, 16, 24 };
	struct walk walk;

	world_seed(_i);
	walk_init(&walk, sizes[_i % TPI_ARRAY_SIZE(sizes)]);
	for (int i = 0; i < NR_STEPS; i++)
		one_step(&walk);
	walk_exit(&walk);
}
END_TEST

int main(void)
{
	return RUN_TESTS("walk", 8, test_trees_do_as_their_models_do);
}
