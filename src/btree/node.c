/*
 * node.c - one node of a btree (metadata-format.md, 4).
 */
#include "btree/node.h"

#include <inttypes.h>
#include <string.h>

#define NODE_CSUM_XOR 121107

/*---------------------------- coming in ------------------------------------*/

/* Only the sizes that section 4 lists, and their capacity. */
static bool has_known_sizes(const struct tpi_node *node)
{
	uint32_t size = tpi_node_value_size(node);

	if (size != 4 && size != 8 && size != 16 && size != 24)
		return false;

	return tpi_node_max(node) == tpi_node_capacity(size);
}

static bool keys_ascend(const struct tpi_node *node)
{
	for (uint32_t i = 1; i < tpi_node_nr(node); i++)
		if (tpi_node_key(node, i - 1) >= tpi_node_key(node, i))
			return false;

	return true;
}

static int check_internal(tp_mblock block, const struct tpi_node *node)
{
	if (tpi_node_value_size(node) != TPI_CHILD_SIZE)
		return tpi_damage("btree node",
				  "block %" PRIu64 ": children of %" PRIu32
				  " bytes",
				  block, tpi_node_value_size(node));
	if (!tpi_node_nr(node))
		return tpi_damage("btree node",
				  "block %" PRIu64 ": no children", block);

	return 0;
}

static int check(tp_mblock block, const void *data)
{
	const struct tpi_node *node = data;
	uint32_t flags = le32_get(node->header.flags);

	if (flags != TPI_NODE_INTERNAL && flags != TPI_NODE_LEAF)
		return tpi_damage("btree node",
				  "block %" PRIu64 ": flags %" PRIu32, block,
				  flags);
	if (!has_known_sizes(node))
		return tpi_damage("btree node",
				  "block %" PRIu64 ": room for %" PRIu32
				  " values of %" PRIu32 " bytes",
				  block, tpi_node_max(node),
				  tpi_node_value_size(node));
	if (tpi_node_nr(node) > tpi_node_max(node))
		return tpi_damage("btree node",
				  "block %" PRIu64 ": %" PRIu32
				  " entries in room for %" PRIu32,
				  block, tpi_node_nr(node), tpi_node_max(node));
	if (!keys_ascend(node))
		return tpi_damage("btree node",
				  "block %" PRIu64 ": keys do not ascend",
				  block);

	return tpi_node_is_leaf(node) ? 0 : check_internal(block, node);
}

const struct tpi_validator tpi_node_validator = {
	.name = "btree node",
	.csum_xor = NODE_CSUM_XOR,
	.check = check,
};

/*---------------------------- looking --------------------------------------*/

uint32_t tpi_node_lower_bound(const struct tpi_node *node, uint64_t key)
{
	uint32_t begin = 0, nr = tpi_node_nr(node);

	/* Which half it is cannot be foretold, so nothing branches on it. */
	while (nr > 1) {
		uint32_t half = nr / 2;

		begin += tpi_node_key(node, begin + half - 1) < key ? half : 0;
		nr -= half;
	}

	return begin + (nr && tpi_node_key(node, begin) < key);
}

int tpi_node_search(const struct tpi_node *node, uint64_t key)
{
	uint32_t i = tpi_node_lower_bound(node, key);

	if (i < tpi_node_nr(node) && tpi_node_key(node, i) == key)
		return i;

	return (int)i - 1;
}

/*---------------------------- changing -------------------------------------*/

void tpi_node_init(struct tpi_node *node, enum tpi_node_kind kind,
		   uint32_t value_size)
{
	memset(node, 0, TPI_MBLOCK_BYTES);
	node->header.flags = le32_make(kind);
	node->max_entries = le32_make(tpi_node_capacity(value_size));
	node->value_size = le32_make(value_size);
}

static void set_nr(struct tpi_node *node, uint32_t nr)
{
	node->nr_entries = le32_make(nr);
}

/* The entries from the i-th on, to the j-th place and after. */
static void slide(struct tpi_node *node, uint32_t i, uint32_t j)
{
	size_t nr = tpi_node_nr(node) - i;

	memmove(node->keys + j, node->keys + i, nr * sizeof(le64));
	memmove(tpi_node_values(node, j), tpi_node_values(node, i),
		nr * tpi_node_value_size(node));
}

void tpi_node_open(struct tpi_node *node, uint32_t i, uint32_t nr)
{
	tpi_assert(i <= tpi_node_nr(node));
	tpi_assert(tpi_node_nr(node) + nr <= tpi_node_max(node));
	slide(node, i, i + nr);
	set_nr(node, tpi_node_nr(node) + nr);
}

void tpi_node_erase(struct tpi_node *node, uint32_t begin, uint32_t end)
{
	tpi_assert(begin <= end && end <= tpi_node_nr(node));
	slide(node, end, begin);
	set_nr(node, tpi_node_nr(node) - (end - begin));
}

void tpi_node_copy(struct tpi_node *to, uint32_t i, const struct tpi_node *from,
		   uint32_t begin, uint32_t end)
{
	size_t nr = end - begin;

	tpi_node_open(to, i, nr);
	memcpy(to->keys + i, from->keys + begin, nr * sizeof(le64));
	memcpy(tpi_node_values(to, i), tpi_node_values(from, begin),
	       nr * tpi_node_value_size(from));
}

void tpi_node_balance(struct tpi_node *left, struct tpi_node *right,
		      uint32_t nr_left)
{
	uint32_t nr = tpi_node_nr(left);

	if (nr < nr_left) {
		tpi_node_copy(left, nr, right, 0, nr_left - nr);
		tpi_node_erase(right, 0, nr_left - nr);
	} else {
		tpi_node_copy(right, 0, left, nr_left, nr);
		tpi_node_erase(left, nr_left, nr);
	}
}

void tpi_node_insert_child(struct tpi_node *node, uint32_t i, uint64_t key,
			   tp_mblock child)
{
	tpi_node_open(node, i, 1);
	tpi_node_set_key(node, i, key);
	tpi_node_set_child(node, i, child);
}
