/*
 * image-lookup.c - mappings looked up in an image, in the plainest way.
 */
#include "support/image-lookup.h"

#include <string.h>

#include "btree/node.h"
#include "pool/superblock.h"

#define MAX_DEPTH 16

struct lookup {
	const char *bytes, *other; /* other: NULL, or what to compare with */
	uint64_t nr_mblocks;
};

static const void *block_at(const struct lookup *lookup, tp_mblock block)
{
	size_t at = block * TPI_MBLOCK_BYTES;

	if (block >= lookup->nr_mblocks)
		return NULL;
	if (lookup->other &&
	    memcmp(lookup->bytes + at, lookup->other + at, TPI_MBLOCK_BYTES))
		return NULL;

	return lookup->bytes + at;
}

static bool is_node(const struct tpi_node *node, uint32_t value_size)
{
	return (tpi_node_kind_of(node) == TPI_NODE_INTERNAL ||
		tpi_node_is_leaf(node)) &&
	       tpi_node_value_size(node) ==
		       (tpi_node_is_leaf(node) ? value_size : TPI_CHILD_SIZE) &&
	       tpi_node_max(node) ==
		       tpi_node_capacity(tpi_node_value_size(node)) &&
	       tpi_node_nr(node) <= tpi_node_max(node);
}

/* The value at @key of one tree; NULL if that cannot be told. */
static int look_up(const struct lookup *lookup, tp_mblock root, uint64_t key,
		   uint32_t value_size, const void **value)
{
	const struct tpi_node *node;
	int i;

	for (unsigned depth = 0; depth < MAX_DEPTH; depth++) {
		node = block_at(lookup, root);
		if (!node || !is_node(node, value_size))
			return -EILSEQ;
		i = tpi_node_search(node, key);
		if (i < 0)
			return -ENODATA;
		*value = tpi_node_values(node, (uint32_t)i);
		if (tpi_node_is_leaf(node))
			return tpi_node_key(node, (uint32_t)i) == key
				       ? 0
				       : -ENODATA;
		root = tpi_node_child(node, (uint32_t)i);
	}

	return -EILSEQ;
}

static int find_root(const struct lookup *lookup, uint64_t thin,
		     tp_mblock *root)
{
	const struct tpi_disk_superblock *sb = block_at(lookup, 0);
	const void *value;
	int r;

	if (!sb)
		return -EILSEQ;
	r = look_up(lookup, le64_get(sb->data_mapping_root), thin, sizeof(le64),
		    &value);
	if (!r)
		*root = le64_get(*(const le64 *)value);

	return r;
}

int image_lookup(const void *bytes, uint64_t size_bytes, uint64_t thin,
		 uint64_t vblock, uint64_t *mapping)
{
	struct lookup lookup = { bytes, NULL, size_bytes / TPI_MBLOCK_BYTES };
	const void *value;
	tp_mblock root;
	int r;

	r = find_root(&lookup, thin, &root);
	if (!r)
		r = look_up(&lookup, root, vblock, sizeof(le64), &value);
	if (!r)
		*mapping = le64_get(*(const le64 *)value);

	return r;
}

/* Of a good image, so it ends. */
static bool is_same_tree(const struct lookup *lookup, tp_mblock root)
{
	const struct tpi_node *node = block_at(lookup, root);

	if (!node)
		return false;
	for (uint32_t i = 0; !tpi_node_is_leaf(node) && i < tpi_node_nr(node);
	     i++)
		if (!is_same_tree(lookup, tpi_node_child(node, i)))
			return false;

	return true;
}

bool image_has_same_thin(const void *good, const void *other,
			 uint64_t size_bytes, uint64_t thin)
{
	struct lookup lookup = { good, other, size_bytes / TPI_MBLOCK_BYTES };
	const struct tpi_disk_superblock *sb = block_at(&lookup, 0);
	const uint32_t details_size = 24;
	const void *details;
	tp_mblock root;

	return sb && !find_root(&lookup, thin, &root) &&
	       !look_up(&lookup, le64_get(sb->device_details_root), thin,
			details_size, &details) &&
	       is_same_tree(&lookup, root);
}
