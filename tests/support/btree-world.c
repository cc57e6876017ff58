/*
 * btree-world.c - a metadata device with trees on it, for tests of the btree.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support/btree-world.h"

/* As small as a cache may be, so that much is missing. */
#define CACHE_BYTES 0

/*---------------------------- chance ---------------------------------------*/

static uint64_t random_state;

void world_seed(uint64_t round)
{
	const char *given = getenv("TEST_SEED");

	random_state = given ? strtoull(given, NULL, 0)
			     : (uint64_t)time(NULL) * 1000003 + getpid();
	printf("TEST_SEED=%#llx\n", (unsigned long long)random_state);
	fflush(stdout);
	random_state += round << 48;
}

/* splitmix64 */
uint64_t world_random(uint64_t limit)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;

	return (z ^ z >> 31) % limit;
}

/*---------------------------- the world ------------------------------------*/

/* A durable block is never written again (metadata-format.md, 8.1). */
static void must_be_free(void *context, uint64_t offset, uint64_t length)
{
	struct btree_world *world = context;
	tp_mblock begin = offset / TPI_MBLOCK_BYTES;
	tp_mblock end = (offset + length) / TPI_MBLOCK_BYTES;

	for (tp_mblock b = begin; b < end; b++)
		must(world->refs.durable[b] == 0);
}

void world_init(struct btree_world *world, tp_mblock nr_blocks,
		uint32_t nr_things)
{
	memset(world, 0, sizeof(*world));
	ram_disk_init(&world->disk, nr_blocks * TPI_MBLOCK_BYTES);
	world->disk.on_write = must_be_free;
	world->disk.on_write_context = world;
	must(tpi_channel_open(world->disk.device, -1, true, &world->channel) ==
	     0);
	must(tpi_cache_new(world->channel, nr_blocks, CACHE_BYTES,
			   &world->cache) == 0);
	test_refs_init(&world->refs, nr_blocks);
	world->tm = (struct tpi_tm){ .cache = world->cache,
				     .refs = &world->refs.refs };
	world->nr_things = nr_things;
	world->things = calloc(nr_things, sizeof(*world->things));
	world->expected_things = calloc(nr_things, sizeof(*world->things));
	world->expected = calloc(nr_blocks, sizeof(*world->expected));
	world->visited = calloc(nr_blocks, sizeof(*world->visited));
}

void world_exit(struct btree_world *world)
{
	tpi_cache_destroy(world->cache);
	tpi_channel_close(world->channel);
	ram_disk_exit(&world->disk);
	test_refs_exit(&world->refs);
	free(world->things);
	free(world->expected_things);
	free(world->expected);
	free(world->visited);
}

bool world_wait(struct btree_world *world)
{
	while (tpi_cache_busy(world->cache))
		tpi_channel_poll(world->channel, 64);

	return true;
}

static void written(void *context, int error)
{
	*(int *)context = error;
}

void world_commit(struct btree_world *world)
{
	int error = 1;

	tpi_cache_freeze(world->cache);
	tpi_cache_write_frozen(world->cache, written, &error);
	world_wait(world);
	must(error == 0);
	test_refs_commit(&world->refs);
}

void world_go_cold(struct btree_world *world)
{
	world_commit(world);
	tpi_cache_clear(world->cache);
}

/*---------------------------- things ---------------------------------------*/

void world_value(uint32_t size, uint32_t thing, void *value)
{
	le32 thing_le = le32_make(thing);

	memset(value, thing * 37, size);
	memcpy(value, &thing_le, sizeof(thing_le));
}

uint32_t world_thing(const void *value)
{
	le32 thing_le;

	memcpy(&thing_le, value, sizeof(thing_le));

	return le32_get(thing_le);
}

/* As a space map would say of what a damaged tree asks for. */
static int no_such_thing(uint32_t thing)
{
	return tpi_damage("things", "thing %u has no such count", thing);
}

/* Values are packed. */
static int inc_things(struct btree_world *world, const char *values,
		      unsigned nr, uint32_t size)
{
	for (unsigned i = 0; i < nr; i++) {
		uint32_t thing = world_thing(values + i * size);

		if (thing >= world->nr_things)
			return no_such_thing(thing);
		world->things[thing]++;
	}

	return 0;
}

static int dec_things(struct btree_world *world, const char *values,
		      unsigned nr, uint32_t size)
{
	for (unsigned i = 0; i < nr; i++) {
		uint32_t thing = world_thing(values + i * size);

		if (thing >= world->nr_things || !world->things[thing])
			return no_such_thing(thing);
		world->things[thing]--;
	}

	return 0;
}

#define THING_FUNCTIONS(size)                                                  \
	static int inc_##size(void *context, const void *values, unsigned nr)  \
	{                                                                      \
		return inc_things(context, values, nr, size);                  \
	}                                                                      \
	static int dec_##size(void *context, const void *values, unsigned nr)  \
	{                                                                      \
		return dec_things(context, values, nr, size);                  \
	}

THING_FUNCTIONS(4)
THING_FUNCTIONS(8)
THING_FUNCTIONS(16)
THING_FUNCTIONS(24)

struct tpi_btree world_tree(struct btree_world *world, uint32_t size)
{
	static const struct tpi_btree_value_type types[] = {
		{ .size = 4, .inc = inc_4, .dec = dec_4 },
		{ .size = 8, .inc = inc_8, .dec = dec_8 },
		{ .size = 16, .inc = inc_16, .dec = dec_16 },
		{ .size = 24, .inc = inc_24, .dec = dec_24 },
	};
	struct tpi_btree tree = {
		.tm = &world->tm,
		.context = world,
		.name = "tree of things",
	};

	for (unsigned i = 0; i < TPI_ARRAY_SIZE(types); i++)
		if (types[i].size == size)
			tree.type = types[i];
	must(tree.type.size == size);

	return tree;
}

/*---------------------------- changes --------------------------------------*/

static uint64_t nr_misses(struct btree_world *world)
{
	struct tpi_cache_stats stats;

	tpi_cache_get_stats(world->cache, &stats);

	return stats.nr_misses;
}

uint64_t world_insert(struct btree_world *world, const struct tpi_btree *tree,
		      tp_mblock *root, uint64_t key, const uint32_t *things,
		      uint64_t nr)
{
	uint32_t size = tree->type.size;
	uint64_t nr_inserted, missed;
	char *values = malloc(nr * size);
	int r;

	for (uint64_t i = 0; i < nr; i++)
		world_value(size, things[i], values + i * size);
	WORLD_RETRY(world, r, tpi_btree_prepare_insert(tree, *root, key, nr));
	must(r == 0);
	missed = nr_misses(world);
	r = tpi_btree_insert_run(tree, *root, key, values, nr, root,
				 &nr_inserted);
	must(r == 0);
	must(nr_misses(world) == missed);
	free(values);

	return nr_inserted;
}

uint64_t world_remove(struct btree_world *world, const struct tpi_btree *tree,
		      tp_mblock *root, uint64_t begin, uint64_t end)
{
	uint64_t nr_removed, missed;
	int r;

	/* Perhaps more than the cache holds: it is not trimmed meanwhile. */
	tpi_cache_trim(world->cache);
	while ((r = tpi_btree_prepare_remove(tree, *root, begin, end)) ==
	       -EAGAIN)
		world_wait(world);
	must(r == 0);
	missed = nr_misses(world);
	r = tpi_btree_remove_range(tree, *root, begin, end, root, &nr_removed,
				   NULL);
	must(r == 0);
	must(nr_misses(world) == missed);

	return nr_removed;
}

void world_delete(struct btree_world *world, const struct tpi_btree *tree,
		  tp_mblock root)
{
	uint64_t missed;
	int r;

	/* As above. */
	tpi_cache_trim(world->cache);
	while ((r = tpi_btree_prepare_delete(tree, root)) == -EAGAIN)
		world_wait(world);
	must(r == 0);
	missed = nr_misses(world);
	must(tpi_btree_delete(tree, root) == 0);
	must(nr_misses(world) == missed);
}

tp_mblock world_build(struct btree_world *world, const struct tpi_btree *tree,
		      uint64_t nr, uint64_t stride)
{
	tp_mblock root;

	must(tpi_btree_empty(tree, &root) == 0);
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t key = i * stride;
		uint32_t thing = 1 + key % 1000;

		world->things[thing]++;
		must(world_insert(world, tree, &root, key, &thing, 1) == 1);
	}

	return root;
}

static tp_mblock build_node(struct btree_world *world,
			    const struct tpi_btree *tree, unsigned depth,
			    unsigned nr, unsigned more, uint64_t *key)
{
	bool leaf = depth == 1;
	struct tpi_node *node;
	tp_mblock block;
	void *data;

	must(tpi_tm_new_block(&world->tm, &tpi_node_validator, &block, &data) ==
	     0);
	node = data;
	tpi_node_init(node, leaf ? TPI_NODE_LEAF : TPI_NODE_INTERNAL,
		      leaf ? tree->type.size : 8);
	if (!nr)
		nr = tpi_node_min(node) + world_random(more + 1);
	for (unsigned i = 0; i < nr; i++) {
		uint64_t first = *key;

		tpi_node_open(node, i, 1);
		tpi_node_set_key(node, i, first);
		if (leaf) {
			world_value(tree->type.size, 1 + first % 1000,
				    tpi_node_values(node, i));
			world->things[1 + first % 1000]++;
			++*key;
		} else {
			tpi_node_set_child(node, i,
					   build_node(world, tree, depth - 1, 0,
						      more, key));
		}
	}

	return block;
}

tp_mblock world_build_sparse(struct btree_world *world,
			     const struct tpi_btree *tree, unsigned depth,
			     unsigned nr_children, unsigned more, uint64_t *end)
{
	*end = 0;

	return build_node(world, tree, depth, nr_children, more, end);
}

/*---------------------------- checking -------------------------------------*/

const struct tpi_node *world_node(struct btree_world *world, tp_mblock block)
{
	const void *on_disk = world->disk.bytes + block * TPI_MBLOCK_BYTES;
	const void *cached;

	must(block < world->refs.nr_blocks);
	if (tpi_cache_dirty_data(world->cache, block))
		return tpi_cache_dirty_data(world->cache, block);
	must(tpi_validate(&tpi_node_validator, block, on_disk) == 0);
	if (tpi_cache_is_here(world->cache, block)) {
		must(tpi_cache_read(world->cache, block, &tpi_node_validator,
				    &cached) == 0);
		must(!memcmp(cached, on_disk, TPI_MBLOCK_BYTES));
	}

	return on_disk;
}

unsigned world_depth(struct btree_world *world, tp_mblock root)
{
	const struct tpi_node *node = world_node(world, root);
	unsigned depth = 1;

	while (!tpi_node_is_leaf(node)) {
		node = world_node(world, tpi_node_child(node, 0));
		depth++;
	}

	return depth;
}

struct tree_check {
	struct btree_world *world;
	const struct tpi_btree *tree;
	world_entry_fn entry;
	void *context;
	unsigned depth;
};

static void check_leaf(struct tree_check *check, const struct tpi_node *leaf,
		       bool first)
{
	must(tpi_node_value_size(leaf) == check->tree->type.size);
	for (unsigned i = 0; i < tpi_node_nr(leaf); i++) {
		const void *value = tpi_node_values(leaf, i);

		if (first && check->tree->context == check->world)
			check->world->expected_things[world_thing(value)]++;
		if (check->entry)
			check->entry(check->context, tpi_node_key(leaf, i),
				     value, first);
	}
}

static void check_node(struct tree_check *check, tp_mblock block,
		       unsigned depth, uint64_t low, uint64_t high);

static void check_internal(struct tree_check *check,
			   const struct tpi_node *node, bool first,
			   unsigned depth, uint64_t high)
{
	unsigned nr = tpi_node_nr(node);

	must(nr > 0);
	for (unsigned i = 0; i < nr; i++) {
		tp_mblock child = tpi_node_child(node, i);

		if (first)
			check->world->expected[child]++;
		check_node(check, child, depth + 1, tpi_node_key(node, i),
			   i + 1 < nr ? tpi_node_key(node, i + 1) - 1 : high);
	}
}

static void check_node(struct tree_check *check, tp_mblock block,
		       unsigned depth, uint64_t low, uint64_t high)
{
	const struct tpi_node *node = world_node(check->world, block);
	unsigned nr = tpi_node_nr(node);
	bool first = !check->world->visited[block];

	check->world->visited[block] = true;
	must(tpi_node_max(node) ==
	     tpi_node_capacity(tpi_node_value_size(node)));
	must(nr <= tpi_node_max(node));
	if (depth > 1)
		must(nr >= tpi_node_min(node));
	for (unsigned i = 1; i < nr; i++)
		must(tpi_node_key(node, i - 1) < tpi_node_key(node, i));
	if (nr) {
		must(tpi_node_key(node, 0) >= low);
		must(tpi_node_key(node, nr - 1) <= high);
	}
	must(tpi_node_is_leaf(node) == (depth == check->depth));
	if (tpi_node_is_leaf(node))
		check_leaf(check, node, first);
	else
		check_internal(check, node, first, depth, high);
}

void world_check_begin(struct btree_world *world)
{
	tp_mblock nr = world->refs.nr_blocks;

	memset(world->expected, 0, nr * sizeof(*world->expected));
	memset(world->visited, 0, nr * sizeof(*world->visited));
	memset(world->expected_things, 0,
	       world->nr_things * sizeof(*world->things));
	world->expected[0] = 1;
}

void world_check_tree(struct btree_world *world, const struct tpi_btree *tree,
		      tp_mblock root, world_entry_fn entry, void *context)
{
	struct tree_check check = {
		.world = world,
		.tree = tree,
		.entry = entry,
		.context = context,
		.depth = world_depth(world, root),
	};

	world->expected[root]++;
	check_node(&check, root, 1, 0, UINT64_MAX);
}

void world_check_end(struct btree_world *world)
{
	for (tp_mblock b = 0; b < world->refs.nr_blocks; b++)
		if (world->refs.counts[b] != world->expected[b])
			ck_abort_msg("block %llu has count %u, not %u",
				     (unsigned long long)b,
				     world->refs.counts[b], world->expected[b]);
	for (uint32_t i = 0; i < world->nr_things; i++)
		if (!(world->things[i] == world->expected_things[i]))
			ck_abort_msg("thing %u has count %u, not %u", i,
				     world->things[i],
				     world->expected_things[i]);
}

void world_check_only(struct btree_world *world, const struct tpi_btree *tree,
		      tp_mblock root)
{
	world_check_begin(world);
	world_check_tree(world, tree, root, NULL, NULL);
	world_check_end(world);
}
