/*
 * trees.c - what spans two nodes (metadata-format.md, 4): pointers, depth, key
 * ranges, how full nodes are; and walking along trees afterwards.
 *
 * All nodes are in memory, or what is known of them; each has been verified by
 * itself (load.c).  A node is expanded when it is come to for the first time;
 * later pointers to it find what was learned then.  So this takes as long as
 * there are pointers, whatever the trees look like.
 */
#include "check/check.h"

#include <inttypes.h>

/*---------------------------- following a pointer --------------------------*/

/* Trees of which snapshots share nodes. */
static bool may_be_shared(enum tp_check_place place)
{
	return place == TP_PLACE_THINS || place == TP_PLACE_MAPPINGS ||
	       place == TP_PLACE_DETAILS;
}

static void tell_problems(struct tpi_check *check,
			  const struct tpi_where *where)
{
	const struct tpi_problem *p = tpi_load_problems(check, where->block);

	for (; p; p = p->next)
		tpi_tell(check, p->severity, p->kind, where, "%s", p->what);
}

/* Whether the block may be used, as far as pointers to it tell. */
static bool check_pointer(struct tpi_check *check,
			  const struct tpi_where *where)
{
	const char *name = tp_check_place_name(where->place);
	const struct tpi_check_block *known;

	if (!tpi_check_in_range(check, where->block)) {
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_POINTER, where,
			 "%s: a pointer to block %" PRIu64
			 ", which is not in 1..%" PRIu64,
			 name, where->block, check->end - 1);
		return false;
	}
	known = &check->blocks[where->block];
	if (known->role != where->place) {
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_TWO_ROLES, where,
			 "used in the %s, and in the %s", name,
			 tp_check_place_name(known->role));
		return false;
	}
	if (known->visit == TPI_BEING_VISITED) {
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_CYCLE, where,
			 "a node of the %s beneath itself", name);
		return false;
	}
	if (known->visit == TPI_VISITED && !may_be_shared(where->place)) {
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_SHARED, where,
			 "two pointers to a block of the %s", name);
		return false;
	}

	return true;
}

struct tpi_check_block *tpi_trees_visit(struct tpi_check *check,
					const struct tpi_where *where,
					bool *first)
{
	struct tpi_check_block *known = NULL;

	*first = false;
	if (check_pointer(check, where)) {
		known = &check->blocks[where->block];
		*first = known->visit == TPI_NOT_VISITED;
		known->visit = TPI_VISITED;
	}
	if (*first)
		tell_problems(check, where);
	if (!known || known->state != TPI_USABLE) {
		check->hidden = true;
		return NULL;
	}

	return known;
}

/*---------------------------- expanding ------------------------------------*/

/* A place in a tree, and what those above say of it. */
struct place {
	struct tpi_where where;
	unsigned depth; /* of a root: 0 */
	uint64_t low, high;
};

static struct tpi_check_block *
visit_node(struct tpi_check *check, const struct place *place, bool *first);

static void push_step(struct tpi_check *check, tp_mblock block, uint32_t entry)
{
	tpi_assert(check->nr_steps < TPI_CHECK_STEPS);
	check->steps[check->nr_steps++] = (struct tpi_step){ block, entry };
}

static void pop_step(struct tpi_check *check)
{
	check->nr_steps--;
}

static struct place place_of_child(const struct place *place,
				   const struct tpi_node *node, uint32_t i)
{
	struct place child = *place;

	child.where.block = tpi_node_child(node, i);
	child.depth++;
	child.low = tpi_node_key(node, i);
	/* Keys that do not ascend were told: any range will do for them. */
	if (i + 1 < tpi_node_nr(node))
		child.high = tpi_node_key(node, i + 1) - 1;
	child.where.begin = child.low;
	child.where.end = child.high == UINT64_MAX ? child.high
						   : child.high + 1;

	return child;
}

static uint32_t min_entries(const struct tpi_check_block *node,
			    enum tp_check_place place)
{
	uint32_t size = node->is_leaf ? tpi_check_leaf_value_size(place)
				      : TPI_CHILD_SIZE;

	return tpi_node_capacity(size) / 3;
}

/* A child that is usable, seen from its parent. */
static void check_child(struct tpi_check *check, struct tpi_check_block *child,
			const struct place *place, bool first)
{
	const struct tpi_where *where = &place->where;

	if (first && child->nr < min_entries(child, where->place))
		tpi_tell(check, TP_CHECK_LEAK, TP_FOUND_UNDERFULL, where,
			 "only a root may have as few as %u entries",
			 child->nr);
	if (child->nr &&
	    (child->first < place->low || child->last > place->high)) {
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_KEY_RANGE, where,
			 "keys %" PRIu64 " to %" PRIu64 ", where only %" PRIu64
			 " to %" PRIu64 " can be",
			 child->first, child->last, place->low, place->high);
		child->whole = false;
	}
}

uint64_t tpi_trees_entries(const struct tpi_check *check,
			   const struct tpi_check_block *node)
{
	return node->is_leaf ? node->nr
			     : tpi_check_kept(check, node)->nr_entries;
}

/* What a child adds to what is known of its parent. */
static void absorb(struct tpi_check *check, struct tpi_check_block *node,
		   const struct tpi_check_block *child)
{
	node->whole &= child->whole;
	tpi_check_kept(check, node)->nr_entries +=
		tpi_trees_entries(check, child);
	if (!child->nr)
		return;
	node->first = tpi_min(node->first, child->first);
	node->last = tpi_max(node->last, child->last);
}

static void tell_too_deep(struct tpi_check *check, const struct place *place)
{
	tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_DEPTH, &place->where,
		 "more than %u levels", TPI_BTREE_MAX_DEPTH);
}

/* Leaves are to be equally deep; and a tree is not to be too deep, one that was
 * come to elsewhere before and is beneath this node now included. */
static void check_height(struct tpi_check *check, struct tpi_check_block *node,
			 const struct tpi_check_block *child,
			 const struct place *place)
{
	unsigned height = child->height + 1u;

	if (height == TPI_BTREE_MAX_DEPTH) {
		tell_too_deep(check, place);
		node->whole = false;
		height--;
	}
	if (!node->height)
		node->height = height & 31;
	if (node->height == height)
		return;
	tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_DEPTH, &place->where,
		 "leaves at different depths: this child has %u levels beneath "
		 "it, and one before it %u",
		 child->height, node->height - 1u);
	node->whole = false;
	node->height = tpi_max(node->height, height) & 31;
}

static void expand_internal(struct tpi_check *check,
			    struct tpi_check_block *known,
			    const struct place *place)
{
	const struct tpi_node *node = tpi_check_copy(check, known);

	tpi_check_kept(check, known)->nr_entries = 0;
	for (uint32_t i = 0; i < known->nr; i++) {
		struct place below = place_of_child(place, node, i);
		struct tpi_check_block *child;
		bool first;

		push_step(check, place->where.block, i);
		child = visit_node(check, &below, &first);
		if (child) {
			check_child(check, child, &below, first);
			check_height(check, known, child, &below);
			absorb(check, known, child);
		} else {
			known->whole = false;
		}
		pop_step(check);
	}
}

/* A leaf of the tree of thins: each value is the root of a mapping tree. */
static void expand_thins(struct tpi_check *check,
			 const struct tpi_check_block *known,
			 const struct place *place)
{
	const struct tpi_node *node = tpi_check_copy(check, known);

	if (tpi_check_has(check, TP_CHECK_SKIP_MAPPINGS)) {
		check->hidden = true;
		return;
	}
	for (uint32_t i = 0; i < known->nr; i++) {
		struct tpi_where where = {
			.place = TP_PLACE_MAPPINGS,
			.held = place->where.held,
			.block = tpi_node_child(node, i),
			.thin = tpi_node_key(node, i),
		};

		push_step(check, place->where.block, i);
		tpi_trees_verify(check, &where);
		pop_step(check);
	}
}

static bool is_too_deep(struct tpi_check *check, const struct place *place)
{
	if (place->depth < TPI_BTREE_MAX_DEPTH)
		return false;
	tell_too_deep(check, place);
	check->hidden = true;

	return true;
}

static struct tpi_check_block *
visit_node(struct tpi_check *check, const struct place *place, bool *first)
{
	struct tpi_check_block *known;

	*first = false;
	if (is_too_deep(check, place))
		return NULL;
	known = tpi_trees_visit(check, &place->where, first);
	if (!known || !*first)
		return known;
	known->visit = TPI_BEING_VISITED;
	if (!known->is_leaf)
		expand_internal(check, known, place);
	else if (place->where.place == TP_PLACE_THINS)
		expand_thins(check, known, place);
	known->visit = TPI_VISITED;

	return known;
}

bool tpi_trees_verify(struct tpi_check *check, const struct tpi_where *where)
{
	struct place root = { .where = *where, .high = UINT64_MAX };
	const struct tpi_check_block *known;
	bool first;

	known = visit_node(check, &root, &first);

	return known && known->whole;
}

/*---------------------------- walking --------------------------------------*/

struct tpi_check_block *tpi_trees_node(const struct tpi_check *check,
				       tp_mblock block,
				       enum tp_check_place role)
{
	struct tpi_check_block *known;

	if (!tpi_check_in_range(check, block))
		return NULL;
	known = &check->blocks[block];

	return known->role == role && known->state == TPI_USABLE &&
			       known->visit == TPI_VISITED
		       ? known
		       : NULL;
}

void tpi_trees_begin_walk(struct tpi_check *check)
{
	check->nr_walks++;
	tpi_assert(check->nr_walks < 256);
}

static int walk(struct tpi_check *check, tp_mblock block,
		enum tp_check_place role, unsigned depth, tpi_node_fn each,
		void *context)
{
	struct tpi_check_block *known = tpi_trees_node(check, block, role);
	const struct tpi_node *node;
	int r;

	if (!known || known->mark == check->nr_walks ||
	    depth == TPI_BTREE_MAX_DEPTH)
		return 0;
	known->mark = check->nr_walks & 255;
	r = each(context, block);
	if (known->is_leaf)
		return r;
	node = tpi_check_copy(check, known);
	for (uint32_t i = 0; i < known->nr && !r; i++)
		r = walk(check, tpi_node_child(node, i), role, depth + 1, each,
			 context);

	return r;
}

int tpi_trees_walk(struct tpi_check *check, tp_mblock root,
		   enum tp_check_place role, tpi_node_fn each, void *context)
{
	return walk(check, root, role, 0, each, context);
}
