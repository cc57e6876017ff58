/*
 * node.h - one node of a btree (metadata-format.md, 4): its bytes, and what
 * can be done to it without looking at any other.
 *
 * A node that came through the cache is one that tpi_node_validator let pass:
 * its sizes fit the block and its keys ascend.  Beyond that nothing is known
 * of it; see walk.h.
 */
#ifndef TPI_BTREE_NODE_H
#define TPI_BTREE_NODE_H

#include "io/validator.h"

enum tpi_node_kind {
	TPI_NODE_INTERNAL = 1,
	TPI_NODE_LEAF = 2,
};

struct tpi_node {
	struct tpi_block_header header; /* its flags are the kind */
	le32 nr_entries;
	le32 max_entries;
	le32 value_size;
	le32 padding;
	le64 keys[]; /* max_entries of them, and as many values */
};
_Static_assert(sizeof(struct tpi_node) == 32, "metadata-format 4");

#define TPI_CHILD_SIZE 8 /* bytes of an internal node's value */

/* How many entries a node for values of this size has room for. */
static inline uint32_t tpi_node_capacity(uint32_t value_size)
{
	uint32_t room = TPI_MBLOCK_BYTES - sizeof(struct tpi_node);

	return 3 * (room / (8 + value_size) / 3);
}

/* Make an empty node of a new block. */
void tpi_node_init(struct tpi_node *node, enum tpi_node_kind kind,
		   uint32_t value_size);

static inline enum tpi_node_kind tpi_node_kind_of(const struct tpi_node *node)
{
	return (enum tpi_node_kind)le32_get(node->header.flags);
}

static inline bool tpi_node_is_leaf(const struct tpi_node *node)
{
	return tpi_node_kind_of(node) == TPI_NODE_LEAF;
}

static inline uint32_t tpi_node_nr(const struct tpi_node *node)
{
	return le32_get(node->nr_entries);
}

static inline uint32_t tpi_node_max(const struct tpi_node *node)
{
	return le32_get(node->max_entries);
}

/* What every node but the root should have at least. */
static inline uint32_t tpi_node_min(const struct tpi_node *node)
{
	return tpi_node_max(node) / 3;
}

static inline uint32_t tpi_node_value_size(const struct tpi_node *node)
{
	return le32_get(node->value_size);
}

static inline uint64_t tpi_node_key(const struct tpi_node *node, uint32_t i)
{
	return le64_get(node->keys[i]);
}

/* The values from the i-th on, packed; writable if the node is. */
static inline void *tpi_node_values(const struct tpi_node *node, uint32_t i)
{
	return (char *)(node->keys + tpi_node_max(node)) +
	       (size_t)i * tpi_node_value_size(node);
}

/* Of an internal node. */
static inline tp_mblock tpi_node_child(const struct tpi_node *node, uint32_t i)
{
	return le64_get(((const le64 *)tpi_node_values(node, 0))[i]);
}

static inline void tpi_node_set_key(struct tpi_node *node, uint32_t i,
				    uint64_t key)
{
	node->keys[i] = le64_make(key);
}

static inline void tpi_node_set_child(struct tpi_node *node, uint32_t i,
				      tp_mblock child)
{
	((le64 *)tpi_node_values(node, 0))[i] = le64_make(child);
}

/* The index of the first entry with a key >= @key; nr if there is none. */
uint32_t tpi_node_lower_bound(const struct tpi_node *node, uint64_t key);

/* The index of the last entry with a key <= @key; -1 if there is none. */
int tpi_node_search(const struct tpi_node *node, uint64_t key);

/* The same, for a node whose first entry answers for all keys below too. */
static inline uint32_t tpi_node_search_clamped(const struct tpi_node *node,
					       uint64_t key)
{
	int i = tpi_node_search(node, key);

	return i < 0 ? 0 : i;
}

/* Room for @nr entries before the i-th, whose keys and values the caller sets.
 * They fit. */
void tpi_node_open(struct tpi_node *node, uint32_t i, uint32_t nr);

/* Take out the entries [begin, end). */
void tpi_node_erase(struct tpi_node *node, uint32_t begin, uint32_t end);

/* Put a copy of the entries [begin, end) of @from before the i-th of @to; of
 * the same kind and sizes. */
void tpi_node_copy(struct tpi_node *to, uint32_t i, const struct tpi_node *from,
		   uint32_t begin, uint32_t end);

/* Move entries between two neighbours, so that @left has @nr_left. */
void tpi_node_balance(struct tpi_node *left, struct tpi_node *right,
		      uint32_t nr_left);

/* A child put before the i-th of an internal node that has room. */
void tpi_node_insert_child(struct tpi_node *node, uint32_t i, uint64_t key,
			   tp_mblock child);

#endif
