/*
 * btree-world.h - a metadata device with trees on it, for tests of the btree.
 *
 * The values of its trees refer to things, by number; each thing has a count,
 * kept as those of data blocks are (metadata-format.md, 7.2): one for each
 * entry of each leaf, however many trees the leaf is in.
 *
 * A change is prepared until nothing is missing, and then must not miss.
 */
#ifndef TESTS_SUPPORT_BTREE_WORLD_H
#define TESTS_SUPPORT_BTREE_WORLD_H

#include <check.h>

#include "btree/btree.h"
#include "btree/node.h"
#include "support/ram-disk.h"
#include "support/test-refs.h"

struct btree_world {
	struct ram_disk disk;
	struct tpi_channel *channel;
	struct tpi_cache *cache;
	struct test_refs refs;
	struct tpi_tm tm;
	uint32_t *things;
	uint32_t nr_things;

	/* Of a check that is under way. */
	uint32_t *expected, *expected_things;
	bool *visited;
};

void world_init(struct btree_world *world, tp_mblock nr_blocks,
		uint32_t nr_things);
void world_exit(struct btree_world *world);

/* A tree of things, with values of @size bytes. */
struct tpi_btree world_tree(struct btree_world *world, uint32_t size);

/* As ck_assert(), which makes a system call each time: for what is asked a
 * million times. */
#define must(condition)                                                        \
	do {                                                                   \
		if (!(condition))                                              \
			ck_abort_msg("%s", #condition);                        \
	} while (0)

/* A value that refers to @thing, and back. */
#define WORLD_MAX_VALUE TPI_BTREE_MAX_VALUE_SIZE
void world_value(uint32_t size, uint32_t thing, void *value);
uint32_t world_thing(const void *value);

/* Let what is under way end; always true. */
bool world_wait(struct btree_world *world);

/* Do it again until nothing is missing; its result to @r. */
#define WORLD_RETRY(world, r, call)                                            \
	do {                                                                   \
		tpi_cache_trim((world)->cache);                                \
		r = call;                                                      \
	} while (r == -EAGAIN && world_wait(world))

void world_commit(struct btree_world *world);

/* Commit, and forget all that is in memory. */
void world_go_cold(struct btree_world *world);

/*---------------------------- changes --------------------------------------*/

/* These must succeed.  The run is of @nr entries with the values of the
 * @things, which lose the caller's reference. */
uint64_t world_insert(struct btree_world *world, const struct tpi_btree *tree,
		      tp_mblock *root, uint64_t key, const uint32_t *things,
		      uint64_t nr);
uint64_t world_remove(struct btree_world *world, const struct tpi_btree *tree,
		      tp_mblock *root, uint64_t begin, uint64_t end);
void world_delete(struct btree_world *world, const struct tpi_btree *tree,
		  tp_mblock root);

/* A tree of @nr entries with the keys 0, @stride, 2 * @stride, ...; key k has
 * thing 1 + k % 1000. */
tp_mblock world_build(struct btree_world *world, const struct tpi_btree *tree,
		      uint64_t nr, uint64_t stride);

/*
 * A tree without any value in it to speak of, of @depth levels, whose nodes
 * have as few entries as they may, plus up to @more; the root has @nr_children.
 * *@end: after its keys, which are 0, 1, 2, ...
 */
tp_mblock world_build_sparse(struct btree_world *world,
			     const struct tpi_btree *tree, unsigned depth,
			     unsigned nr_children, unsigned more,
			     uint64_t *end);

/*---------------------------- checking -------------------------------------*/

/* The bytes of a node: as they are on the disk, if it is not dirty. */
const struct tpi_node *world_node(struct btree_world *world, tp_mblock block);

/* How many levels a tree has. */
unsigned world_depth(struct btree_world *world, tp_mblock root);

/*
 * All trees that there are, one after another, between begin and end: their
 * shape (metadata-format.md, 4) as each is walked, and in the end all counts.
 * @entry (may be NULL) is called for each entry, in order; @first: for the
 * first time, its leaf has not been met before.
 */
typedef void (*world_entry_fn)(void *context, uint64_t key, const void *value,
			       bool first);
void world_check_begin(struct btree_world *world);
void world_check_tree(struct btree_world *world, const struct tpi_btree *tree,
		      tp_mblock root, world_entry_fn entry, void *context);
void world_check_end(struct btree_world *world);

/* The same for a world with one tree. */
void world_check_only(struct btree_world *world, const struct tpi_btree *tree,
		      tp_mblock root);

/*---------------------------- chance ---------------------------------------*/

/* From TEST_SEED, or anew; it is printed.  Each round of a test has its own. */
void world_seed(uint64_t round);
uint64_t world_random(uint64_t limit); /* below it */

#endif
