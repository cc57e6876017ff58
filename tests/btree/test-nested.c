/*
 * Trees in trees, as volumes are: the values of the outer tree are the roots of
 * inner ones.  A snapshot of a volume is a second value with the same root; a
 * snapshot of all metadata is a second root of the outer tree
 * (metadata-format.md, 7.3 and 14).
 */
#include <stdlib.h>
#include <string.h>

#include "support/btree-world.h"
#include "support/run-tests.h"

#define NR_VOLUMES 300
#define NR_KEYS 3000
#define NR_THINGS 2000
#define NR_STEPS 200

/* A volume that is there has a root. */
struct volume {
	tp_mblock root;
	uint32_t things[NR_KEYS];
};

static struct btree_world world;
static struct tpi_btree inner, outer, roots;
static tp_mblock outer_root, held_root;
static struct volume *volumes, *held;

/*---------------------------- the outer value ------------------------------*/

static tp_mblock root_of(const void *values, unsigned i)
{
	le64 root;

	memcpy(&root, (const char *)values + 8 * i, sizeof(root));

	return le64_get(root);
}

static int each_root(const void *values, unsigned nr, int (*fn)(tp_mblock root))
{
	int r = 0;

	for (unsigned i = 0; i < nr && !r; i++)
		r = fn(root_of(values, i));

	return r;
}

static int inc_one(tp_mblock root)
{
	return tpi_tm_inc(&world.tm, root);
}

static int dec_one(tp_mblock root)
{
	return tpi_btree_delete(&inner, root);
}

static int prepare_one(tp_mblock root)
{
	return tpi_btree_prepare_delete(&inner, root);
}

static int inc(void *context, const void *values, unsigned nr)
{
	return each_root(values, nr, inc_one);
}

static int dec(void *context, const void *values, unsigned nr)
{
	return each_root(values, nr, dec_one);
}

static int prepare_dec(void *context, const void *values, unsigned nr)
{
	return each_root(values, nr, prepare_one);
}

static bool is_moved_root(void *context, const void *a, const void *b)
{
	return true;
}

static void setup(void)
{
	world_init(&world, 16384, NR_THINGS);
	inner = world_tree(&world, 8);
	outer = (struct tpi_btree){
		.tm = &world.tm,
		.type = { .size = 8,
			  .inc = inc,
			  .dec = dec,
			  .prepare_dec = prepare_dec },
		.name = "outer tree",
	};
	roots = outer;
	roots.type.same = is_moved_root;
	volumes = calloc(NR_VOLUMES, sizeof(*volumes));
	held = calloc(NR_VOLUMES, sizeof(*held));
	held_root = 0;
	must(!tpi_btree_empty(&outer, &outer_root));
}

static void teardown(void)
{
	free(volumes);
	free(held);
	world_exit(&world);
}

/*---------------------------- checking -------------------------------------*/

struct volume_check {
	const uint32_t *things;
	uint64_t next;
};

static void check_inner(void *context, uint64_t key, const void *value,
			bool first)
{
	struct volume_check *check = context;

	while (!check->things[check->next])
		check->next++;
	must(key == check->next);
	must(world_thing(value) == check->things[key]);
	check->next++;
}

struct outer_check {
	const struct volume *volumes;
	unsigned nr;
};

static void check_outer(void *context, uint64_t key, const void *value,
			bool first)
{
	struct outer_check *outer_check = context;
	const struct volume *volume = &outer_check->volumes[key];
	struct volume_check check = { .things = volume->things };
	tp_mblock root = root_of(value, 0);

	must(volume->root == root);
	world_check_tree(&world, &inner, root, check_inner, &check);
	if (!first)
		world.expected[root]--; /* its leaf was counted before */
	for (uint64_t i = check.next; i < NR_KEYS; i++)
		must(!volume->things[i]);
	outer_check->nr++;
}

static unsigned nr_there(const struct volume *all)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < NR_VOLUMES; i++)
		nr += all[i].root != 0;

	return nr;
}

static void check_view(tp_mblock root, const struct volume *all)
{
	struct outer_check check = { .volumes = all };

	world_check_tree(&world, &outer, root, check_outer, &check);
	must(check.nr == nr_there(all));
}

static void check_all(void)
{
	world_check_begin(&world);
	check_view(outer_root, volumes);
	if (held_root)
		check_view(held_root, held);
	world_check_end(&world);
}

/*---------------------------- steps ----------------------------------------*/

static uint64_t misses(void)
{
	struct tpi_cache_stats stats;

	tpi_cache_get_stats(world.cache, &stats);

	return stats.nr_misses;
}

static void put_root(const struct tpi_btree *tree, uint64_t id, tp_mblock root)
{
	le64 value = le64_make(root);

	must(!tpi_btree_insert(tree, outer_root, id, &value, &outer_root,
			       NULL));
}

static void prepare_outer(uint64_t id)
{
	int r;

	WORLD_RETRY(&world, r,
		    tpi_btree_prepare_insert(&outer, outer_root, id, 1));
	must(!r);
}

static void create(uint64_t id)
{
	struct volume *volume = &volumes[id];

	if (volume->root)
		return;
	prepare_outer(id);
	must(!tpi_btree_empty(&inner, &volume->root));
	put_root(&outer, id, volume->root);
}

static void snapshot(uint64_t id)
{
	uint64_t other = world_random(NR_VOLUMES);

	if (!volumes[id].root || volumes[other].root)
		return;
	prepare_outer(id);
	prepare_outer(other);
	must(!tpi_tm_inc(&world.tm, volumes[id].root));
	volumes[other] = volumes[id];
	put_root(&outer, other, volumes[other].root);
}

/* First the path to the root is made our own, so that the root's count is
 * right; then the inner tree is changed, and its root put back. */
static void write_to(uint64_t id)
{
	struct volume *volume = &volumes[id];
	uint64_t nr = 1 + world_random(300), before;
	uint64_t begin = world_random(NR_KEYS - nr);
	uint64_t nr_inserted;
	char values[300 * 8];
	int r;

	if (!volume->root)
		return;
	do {
		WORLD_RETRY(&world, r,
			    tpi_btree_prepare_insert(&outer, outer_root, id,
						     1));
		if (!r)
			r = tpi_btree_prepare_insert(&inner, volume->root,
						     begin, nr);
	} while (r == -EAGAIN && world_wait(&world));
	must(!r);
	before = misses();
	put_root(&outer, id, volume->root);
	for (uint64_t i = 0; i < nr; i++) {
		uint32_t thing = 1 + world_random(NR_THINGS - 1);

		if (thing != volume->things[begin + i])
			world.things[thing]++;
		volume->things[begin + i] = thing;
		world_value(8, thing, values + 8 * i);
	}
	must(!tpi_btree_insert_run(&inner, volume->root, begin, values, nr,
				   &volume->root, &nr_inserted));
	put_root(&roots, id, volume->root);
	must(misses() == before);
}

static void discard_from(uint64_t id)
{
	struct volume *volume = &volumes[id];
	uint64_t begin = world_random(NR_KEYS);
	uint64_t end = begin + world_random(NR_KEYS - begin) + 1;
	uint64_t before, nr_removed;
	int r;

	if (!volume->root)
		return;
	do {
		WORLD_RETRY(&world, r,
			    tpi_btree_prepare_insert(&outer, outer_root, id,
						     1));
		if (!r)
			r = tpi_btree_prepare_remove(&inner, volume->root,
						     begin, end);
	} while (r == -EAGAIN && world_wait(&world));
	must(!r);
	before = misses();
	put_root(&outer, id, volume->root);
	memset(volume->things + begin, 0,
	       (end - begin) * sizeof(*volume->things));
	must(!tpi_btree_remove_range(&inner, volume->root, begin, end,
				     &volume->root, &nr_removed, NULL));
	put_root(&roots, id, volume->root);
	must(misses() == before);
}

static void delete (uint64_t id)
{
	bool there = volumes[id].root;
	uint64_t removed;

	removed = world_remove(&world, &outer, &outer_root, id, id + 1);
	must(removed == there);
	memset(&volumes[id], 0, sizeof(volumes[id]));
}

static void hold(uint64_t id)
{
	if (held_root)
		return;
	must(!tpi_tm_inc(&world.tm, outer_root));
	held_root = outer_root;
	memcpy(held, volumes, NR_VOLUMES * sizeof(*held));
}

/* Two volumes of the held view may share nodes that nobody else has; one goes
 * after the other. */
static void let_go(uint64_t id)
{
	if (!held_root || world_random(4))
		return;
	for (unsigned i = 0; i < NR_VOLUMES; i++)
		world_remove(&world, &outer, &held_root, i, i + 1);
	world_delete(&world, &outer, held_root);
	held_root = 0;
}

static void go_cold(uint64_t id)
{
	world_go_cold(&world);
}

typedef void (*step_fn)(uint64_t id);

static const step_fn steps[] = { create,       create,   create,   snapshot,
				 snapshot,     write_to, write_to, write_to,
				 discard_from, delete,   delete,   hold,
				 let_go,       go_cold };

START_TEST(test_volumes_do_as_their_models_do)
{
	world_seed(_i);
	setup();
	/* So many that the outer tree has two levels. */
	for (uint64_t id = 0; id < 280; id++)
		create(id);
	for (int i = 0; i < NR_STEPS; i++) {
		steps[world_random(TPI_ARRAY_SIZE(steps))](
			world_random(NR_VOLUMES));
		check_all();
	}
	teardown();
}
END_TEST

int main(void)
{
	return RUN_TESTS("nested", 3, test_volumes_do_as_their_models_do);
}
