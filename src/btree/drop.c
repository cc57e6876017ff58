/*
 * drop.c - taking away a reference to a part of a tree, and what goes with it
 * (metadata-format.md, 7.4).
 *
 * A node that has another owner lives on, with all beneath it: it only loses a
 * reference.  Of the others the entries go first.
 */
#include "btree/drop.h"

#include "btree/shadow.h"

static int drop_children(const struct tpi_btree *tree,
			 const struct tpi_place *place,
			 const struct tpi_node *node,
			 struct tpi_dropped *dropped)
{
	for (uint32_t i = 0; i < tpi_node_nr(node); i++) {
		struct tpi_place child = tpi_place_of_child(place, node, i);
		int r = tpi_drop(tree, &child, dropped);

		if (r)
			return r;
	}

	return 0;
}

static int drop_values(const struct tpi_btree *tree,
		       const struct tpi_node *leaf, struct tpi_dropped *dropped)
{
	uint32_t nr = tpi_node_nr(leaf);

	dropped->nr_entries += nr;
	if (!tree->type.dec || !nr)
		return 0;

	return tree->type.dec(tree->context, tpi_node_values(leaf, 0), nr);
}

int tpi_drop(const struct tpi_btree *tree, const struct tpi_place *place,
	     struct tpi_dropped *dropped)
{
	const struct tpi_node *node;
	int r;

	if (tpi_tm_is_shared(tree->tm, place->block)) {
		dropped->shared = true;
		return tpi_tm_dec(tree->tm, place->block);
	}
	r = tpi_shadow_read(tree, place, &node);
	if (r)
		return r;
	r = tpi_node_is_leaf(node) ? drop_values(tree, node, dropped)
				   : drop_children(tree, place, node, dropped);
	if (r)
		return r;

	return tpi_tm_dec(tree->tm, place->block);
}

int tpi_btree_delete(const struct tpi_btree *tree, tp_mblock root)
{
	struct tpi_place place = tpi_place_of_root(root);
	struct tpi_dropped dropped = { 0 };

	return tpi_drop(tree, &place, &dropped);
}

/*---------------------------- preparing ------------------------------------*/

/*
 * A miss does not keep us from the next child: so all children of a node are
 * read at once, and a subtree in as many rounds as it has levels.
 */
static int prepare_children(const struct tpi_btree *tree,
			    const struct tpi_place *place,
			    const struct tpi_node *node)
{
	int result = 0;

	for (uint32_t i = 0; i < tpi_node_nr(node); i++) {
		struct tpi_place child = tpi_place_of_child(place, node, i);
		int r = tpi_prepare_drop(tree, &child);

		if (r && r != -EAGAIN)
			return r;
		if (r)
			result = r;
	}

	return result;
}

int tpi_prepare_drop(const struct tpi_btree *tree,
		     const struct tpi_place *place)
{
	const struct tpi_node *node;
	int r;

	if (tpi_tm_is_shared(tree->tm, place->block))
		return 0;
	r = tpi_walk_read(tree, place, &node);
	if (r)
		return r;
	if (!tpi_node_is_leaf(node))
		return prepare_children(tree, place, node);

	return tpi_prepare_dec(tree, node, 0, tpi_node_nr(node));
}

int tpi_prepare_dec(const struct tpi_btree *tree, const struct tpi_node *leaf,
		    uint32_t begin, uint32_t end)
{
	if (!tree->type.prepare_dec || begin == end)
		return 0;

	return tree->type.prepare_dec(
		tree->context, tpi_node_values(leaf, begin), end - begin);
}

int tpi_btree_prepare_delete(const struct tpi_btree *tree, tp_mblock root)
{
	struct tpi_place place = tpi_place_of_root(root);

	return tpi_prepare_drop(tree, &place);
}

/*---------------------------- counting -------------------------------------*/

/* Misses as above: a node is counted before it is read. */
static int count_exclusive(const struct tpi_btree *tree,
			   const struct tpi_place *place, unsigned limit,
			   unsigned *nr_nodes);

static int count_children(const struct tpi_btree *tree,
			  const struct tpi_place *place,
			  const struct tpi_node *node, unsigned limit,
			  unsigned *nr_nodes)
{
	int result = 0;

	for (uint32_t i = 0; i < tpi_node_nr(node); i++) {
		struct tpi_place child = tpi_place_of_child(place, node, i);
		int r = count_exclusive(tree, &child, limit, nr_nodes);

		if (r && r != -EAGAIN)
			return r;
		if (r)
			result = r;
	}

	return result;
}

static int count_exclusive(const struct tpi_btree *tree,
			   const struct tpi_place *place, unsigned limit,
			   unsigned *nr_nodes)
{
	const struct tpi_node *node;
	int r;

	if (*nr_nodes == limit || tpi_tm_is_shared(tree->tm, place->block))
		return 0;
	(*nr_nodes)++;
	r = tpi_walk_read(tree, place, &node);
	if (r || tpi_node_is_leaf(node))
		return r;

	return count_children(tree, place, node, limit, nr_nodes);
}

int tpi_btree_count_exclusive(const struct tpi_btree *tree, tp_mblock root,
			      unsigned limit, unsigned *nr_nodes)
{
	struct tpi_place place = tpi_place_of_root(root);
	unsigned nr = 0;
	int r;

	r = count_exclusive(tree, &place, limit, &nr);
	if (!r)
		*nr_nodes = nr;

	return r;
}
