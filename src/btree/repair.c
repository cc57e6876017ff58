/*
 * repair.c - filling up the nodes that a removal has left too empty.
 *
 * Cutting out the keys [begin, end) leaves, on each level, at most two nodes
 * that lost entries and still have some: L, in whose range begin lies, and R,
 * in whose range end lies.  They are neighbours now, and may have any number of
 * entries from one up.  They are filled up from the root down, first along the
 * path to begin, then along the path to end.
 *
 * Filling up a node.  It takes in a sibling that is too small to share with, or
 * shares evenly with one that is not, until it has what it should have, which
 * is SPARE entries more than the minimum T, but T if it is a leaf.
 *
 * Why SPARE is two.  Each sibling taken in costs the parent an entry, so a
 * parent must have as many to spare as its child may take in.  On the first
 * path the child is L, with one entry or more, and its siblings have T or more,
 * but for R, which has one or more.  So with two siblings it has at least
 * 1 + 1 + T.  On the second path the child is R, and all its siblings have T or
 * more, for those of the first path were left with that.  Only the root may run
 * out of children; when it has one left, that becomes the root.
 *
 * Which nodes this touches.  On each level, apart from L and R, at most the two
 * neighbours to the left of L and the two to the right of R: along each path
 * two siblings are enough.  Nor do the two paths add up: where L took in both
 * its neighbours, it has some 2T entries and is all that R needs.  If L is
 * gone, the first to the left stands in for it on the first path, and R, if it
 * is gone, needs nothing.  Which nodes are siblings changes as their parents
 * are filled up; which are neighbours on a level does not.
 * tpi_prepare_repair() reads them.  Should one not be there after all (where a
 * tree had nodes that were too empty before), it does not help: a node that
 * stays too empty is no damage.
 */
#include "btree/repair.h"

#include "btree/shadow.h"

#define SPARE 2
#define NR_NEIGHBOURS 2

/*---------------------------- filling up a node ----------------------------*/

static uint32_t nr_wanted(const struct tpi_node *node)
{
	return tpi_node_min(node) + (tpi_node_is_leaf(node) ? 0 : SPARE);
}

/* The entries of the @j-th child, a neighbour, go to the @i-th, a shadow. */
static int take_in(const struct tpi_btree *tree,
		   const struct tpi_shadow *parent, uint32_t i, uint32_t j,
		   const struct tpi_shadow *child,
		   const struct tpi_node *sibling)
{
	tp_mblock block = tpi_node_child(parent->node, j);
	int r;

	if (tpi_tm_is_shared(tree->tm, block)) {
		r = tpi_shadow_inc_entries(tree, sibling);
		if (r)
			return r;
	}
	tpi_node_copy(child->node, j < i ? 0 : tpi_node_nr(child->node),
		      sibling, 0, tpi_node_nr(sibling));
	if (j < i) {
		tpi_node_set_key(parent->node, i,
				 tpi_node_key(parent->node, j));
	}
	tpi_node_erase(parent->node, j, j + 1);

	return tpi_tm_dec(tree->tm, block);
}

/* Between the @i-th child and the one after it. */
static int share_evenly(const struct tpi_btree *tree,
			const struct tpi_shadow *parent, uint32_t i)
{
	struct tpi_shadow left, right;
	uint32_t total;
	int r;

	r = tpi_shadow_child(tree, parent, i, &left);
	if (r)
		return r;
	r = tpi_shadow_child(tree, parent, i + 1, &right);
	if (r)
		return r;
	total = tpi_node_nr(left.node) + tpi_node_nr(right.node);
	tpi_node_balance(left.node, right.node, total / 2);
	tpi_node_set_key(parent->node, i + 1, tpi_node_key(right.node, 0));

	return 0;
}

/* The left sibling of the @i-th child, else the right; NULL: neither is to be
 * had. */
static int find_sibling(const struct tpi_btree *tree,
			const struct tpi_shadow *parent, uint32_t i,
			const struct tpi_shadow *child, uint32_t *index,
			const struct tpi_node **sibling)
{
	int r;

	*sibling = NULL;
	if (i) {
		*index = i - 1;
		r = tpi_shadow_sibling(tree, parent, *index, child, sibling);
		if (r || *sibling)
			return r;
	}
	if (i + 1 == tpi_node_nr(parent->node))
		return 0;
	*index = i + 1;

	return tpi_shadow_sibling(tree, parent, *index, child, sibling);
}

static int fill_up(const struct tpi_btree *tree,
		   const struct tpi_shadow *parent, uint32_t i,
		   const struct tpi_shadow *child)
{
	uint32_t wanted = nr_wanted(child->node);

	while (tpi_node_nr(child->node) < wanted) {
		const struct tpi_node *sibling;
		uint32_t j = i;
		int r;

		r = find_sibling(tree, parent, i, child, &j, &sibling);
		if (r || !sibling)
			return r;
		if (tpi_node_nr(child->node) + tpi_node_nr(sibling) >=
		    2 * wanted)
			return share_evenly(tree, parent, tpi_min(i, j));
		r = take_in(tree, parent, i, j, child, sibling);
		if (r)
			return r;
		if (j < i)
			i = j;
	}

	return 0;
}

/*---------------------------- along a path ---------------------------------*/

/* From @shadow to its child in which @bound lies, filled up; false: there is
 * none. */
static int go_down(const struct tpi_btree *tree, struct tpi_shadow *shadow,
		   uint64_t bound, bool *went)
{
	struct tpi_shadow parent = *shadow;
	int r, i = tpi_node_search(parent.node, bound);

	*went = i >= 0 && tpi_node_key(parent.node, i) != bound;
	if (!*went)
		return 0;
	r = tpi_shadow_child(tree, &parent, i, shadow);
	if (r)
		return r;
	r = fill_up(tree, &parent, i, shadow);
	if (r)
		return r;

	/* Sharing may have moved the path to the sibling. */
	return tpi_shadow_child(tree, &parent,
				tpi_node_search_clamped(parent.node, bound),
				shadow);
}

static int fill_up_along(const struct tpi_btree *tree, tp_mblock *root,
			 uint64_t bound)
{
	struct tpi_shadow shadow;
	bool went = true;
	int r;

	r = tpi_shadow_root(tree, *root, &shadow);
	if (r)
		return r;
	*root = shadow.place.block;
	while (went && !tpi_node_is_leaf(shadow.node)) {
		r = go_down(tree, &shadow, bound, &went);
		if (r)
			return r;
	}

	return 0;
}

int tpi_repair(const struct tpi_btree *tree, tp_mblock *root, uint64_t begin,
	       uint64_t end)
{
	int r;

	r = fill_up_along(tree, root, begin);

	return r ? r : fill_up_along(tree, root, end);
}

/*---------------------------- the root -------------------------------------*/

static int has_one_child(const struct tpi_btree *tree, tp_mblock root,
			 tp_mblock *child)
{
	struct tpi_place place = tpi_place_of_root(root);
	const struct tpi_node *node;
	int r;

	*child = 0;
	if (!tpi_cache_is_here(tree->tm->cache, root) ||
	    tpi_tm_is_shared(tree->tm, root))
		return 0;
	r = tpi_shadow_read(tree, &place, &node);
	if (!r && !tpi_node_is_leaf(node) && tpi_node_nr(node) == 1)
		*child = tpi_node_child(node, 0);

	return r;
}

/* The reference to the child moves from the root to the caller. */
int tpi_repair_root(const struct tpi_btree *tree, tp_mblock *root)
{
	for (;;) {
		tp_mblock child;
		int r;

		r = has_one_child(tree, *root, &child);
		if (r || !child)
			return r;
		r = tpi_tm_dec(tree->tm, *root);
		if (r)
			return r;
		*root = child;
	}
}

/*---------------------------- preparing ------------------------------------*/

/*
 * Neighbours on one level: of the node in whose range the bound lies, and then
 * of those beside it on one side, the nearest first.
 */
struct row {
	struct tpi_place places[1 + NR_NEIGHBOURS];
	const struct tpi_node *nodes[1 + NR_NEIGHBOURS];
	unsigned nr;
};

static int read_row(const struct tpi_btree *tree, struct row *row)
{
	for (unsigned i = 0; i < row->nr; i++) {
		int r = tpi_walk_read(tree, &row->places[i], &row->nodes[i]);

		if (r)
			return r;
		if (tpi_node_is_leaf(row->nodes[i]) !=
		    tpi_node_is_leaf(row->nodes[0]))
			return tpi_damage(tree->name, "leaves of two depths");
	}

	return 0;
}

/* Children of the @i-th node of @above, from the @j-th on, outwards. */
static void add_children(struct row *row, const struct row *above, unsigned i,
			 uint32_t j, int step)
{
	const struct tpi_node *node = above->nodes[i];

	while (j < tpi_node_nr(node) && row->nr < 1 + NR_NEIGHBOURS) {
		row->places[row->nr++] =
			tpi_place_of_child(&above->places[i], node, j);
		j += step; /* below 0 is beyond the end, too */
	}
}

static void row_below(struct row *row, const struct row *above, uint64_t bound,
		      int step)
{
	row->nr = 0;
	add_children(row, above, 0,
		     tpi_node_search_clamped(above->nodes[0], bound), step);
	for (unsigned i = 1; i < above->nr; i++)
		add_children(row, above, i,
			     step < 0 ? tpi_node_nr(above->nodes[i]) - 1 : 0,
			     step);
}

/* On every level the path to @bound and its neighbours; @step says on which
 * side: -1 or 1. */
static int prepare_along(const struct tpi_btree *tree, tp_mblock root,
			 uint64_t bound, int step)
{
	struct row rows[2], *row = &rows[0], *above = &rows[1];

	row->places[0] = tpi_place_of_root(root);
	row->nr = 1;
	for (;;) {
		struct row *swap = row;
		int r = read_row(tree, row);

		if (r || tpi_node_is_leaf(row->nodes[0]))
			return r;
		row = above;
		above = swap;
		row_below(row, above, bound, step);
	}
}

int tpi_prepare_repair(const struct tpi_btree *tree, tp_mblock root,
		       uint64_t begin, uint64_t end)
{
	int r;

	r = prepare_along(tree, root, begin, -1);

	return r ? r : prepare_along(tree, root, end, 1);
}
