/*
 * thins.c - the tree of thins against the details, and the details against the
 * mappings (metadata-format.md, 5.2 and 19).
 */
#include "check/check.h"

#include <inttypes.h>
#include <stdlib.h>

/*---------------------------- both trees -----------------------------------*/

struct collecting {
	const struct tpi_check *check;
	struct tpi_check_view *view;
	size_t room;
};

static struct tpi_check_thin *add_thin(struct collecting *collecting)
{
	struct tpi_check_view *view = collecting->view;
	size_t room = 2 * collecting->room + 16;
	struct tpi_check_thin *longer;

	if (view->nr_thins == collecting->room) {
		longer = realloc(view->thins, room * sizeof(*longer));
		if (!longer)
			return NULL;
		view->thins = longer;
		collecting->room = room;
	}
	view->thins[view->nr_thins] = (struct tpi_check_thin){ 0 };

	return &view->thins[view->nr_thins++];
}

static int take_roots(void *context, tp_mblock block)
{
	struct collecting *collecting = context;
	const struct tpi_check_block *known = &collecting->check->blocks[block];
	const struct tpi_node *node = tpi_check_copy(collecting->check, known);

	for (uint32_t i = 0; known->is_leaf && i < known->nr; i++) {
		struct tpi_check_thin *thin = add_thin(collecting);

		if (!thin)
			return -ENOMEM;
		thin->id = tpi_node_key(node, i);
		thin->has_root = true;
		thin->root = tpi_node_child(node, i);
	}

	return 0;
}

static int take_details(void *context, tp_mblock block)
{
	struct collecting *collecting = context;
	const struct tpi_check_block *known = &collecting->check->blocks[block];
	const struct tpi_node *node = tpi_check_copy(collecting->check, known);
	const struct tpi_disk_details *details = tpi_node_values(node, 0);

	for (uint32_t i = 0; known->is_leaf && i < known->nr; i++) {
		struct tpi_check_thin *thin = add_thin(collecting);

		if (!thin)
			return -ENOMEM;
		thin->id = tpi_node_key(node, i);
		thin->has_details = true;
		tpi_details_unpack(&details[i], &thin->details);
	}

	return 0;
}

/* By id; a root before the details. */
static int compare_thins(const void *a, const void *b)
{
	const struct tpi_check_thin *left = a, *right = b;

	if (left->id != right->id)
		return left->id < right->id ? -1 : 1;

	return right->has_root - left->has_root;
}

/* What both trees say of one thin, in one. */
static void merge_thins(struct tpi_check_view *view)
{
	struct tpi_check_thin *thins = view->thins;
	size_t nr = 0;

	for (size_t i = 0; i < view->nr_thins; i++) {
		struct tpi_check_thin *last = nr ? &thins[nr - 1] : NULL;

		if (last && last->id == thins[i].id && !last->has_details &&
		    thins[i].has_details) {
			last->has_details = true;
			last->details = thins[i].details;
		} else {
			thins[nr++] = thins[i];
		}
	}
	view->nr_thins = nr;
}

static int collect(struct tpi_check *check, struct tpi_check_view *view)
{
	struct collecting collecting = { .check = check, .view = view };
	const struct tpi_disk_superblock *sb = view->superblock;
	int r;

	tpi_trees_begin_walk(check);
	r = tpi_trees_walk(check, le64_get(sb->data_mapping_root),
			   TP_PLACE_THINS, take_roots, &collecting);
	if (!r)
		r = tpi_trees_walk(check, le64_get(sb->device_details_root),
				   TP_PLACE_DETAILS, take_details, &collecting);
	if (r)
		return r;
	if (view->nr_thins)
		qsort(view->thins, view->nr_thins, sizeof(*view->thins),
		      compare_thins);
	merge_thins(view);

	return 0;
}

/*---------------------------- each thin ------------------------------------*/

static void check_set(struct tpi_check *check,
		      const struct tpi_check_thin *thin,
		      const struct tpi_where *where)
{
	if (thin->has_root != thin->has_details)
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_THIN_SET, where,
			 "thin %" PRIu64 " has %s, and no %s", thin->id,
			 thin->has_root ? "mappings" : "details",
			 thin->has_root ? "details" : "mappings");
}

static void check_mapped(struct tpi_check *check,
			 const struct tpi_check_thin *thin,
			 const struct tpi_where *where)
{
	const struct tpi_check_block *root = NULL;
	uint64_t nr_mappings;

	if (thin->has_root)
		root = tpi_trees_node(check, thin->root, TP_PLACE_MAPPINGS);
	if (!root)
		return;
	nr_mappings = tpi_trees_entries(check, root);
	if (!where->held && thin->id < TPI_HOST_IDS_END)
		check->report.nr_mappings += nr_mappings;
	if (thin->has_details && root->whole &&
	    nr_mappings != thin->details.mapped_blocks)
		tpi_tell(check, TP_CHECK_CORRUPTION, TP_FOUND_MAPPED_BLOCKS,
			 where,
			 "thin %" PRIu64 " has %" PRIu64
			 " mappings, and its details say %" PRIu64,
			 thin->id, nr_mappings, thin->details.mapped_blocks);
}

static void check_times(struct tpi_check *check,
			const struct tpi_check_thin *thin, uint32_t now,
			const struct tpi_where *where)
{
	const struct tpi_details *details = &thin->details;

	if (!thin->has_details ||
	    (details->creation_time <= details->snapshotted_time &&
	     details->snapshotted_time <= now))
		return;
	tpi_tell(check, TP_CHECK_WARNING, TP_FOUND_DETAILS_TIME, where,
		 "thin %" PRIu64 " was created at time %u and last snapshotted "
		 "at %u, and now is %u",
		 thin->id, details->creation_time, details->snapshotted_time,
		 now);
}

static void check_thin(struct tpi_check *check,
		       const struct tpi_check_view *view,
		       const struct tpi_check_thin *thin, bool both_whole)
{
	struct tpi_where where = {
		.place = TP_PLACE_DETAILS,
		.held = view->held,
		.block = TP_CHECK_NONE,
		.thin = thin->id,
	};

	if (both_whole)
		check_set(check, thin, &where);
	check_mapped(check, thin, &where);
	check_times(check, thin, le32_get(view->superblock->time), &where);
	if (!view->held)
		++*(thin->id < TPI_HOST_IDS_END ? &check->report.nr_thins
						: &check->report.nr_own_thins);
}

int tpi_thins_verify(struct tpi_check *check, struct tpi_check_view *view)
{
	const struct tpi_disk_superblock *sb = view->superblock;
	struct tpi_where thins =
		TPI_WHERE(TP_PLACE_THINS, le64_get(sb->data_mapping_root));
	struct tpi_where details =
		TPI_WHERE(TP_PLACE_DETAILS, le64_get(sb->device_details_root));
	bool whole;
	int r;

	tpi_load_refer(check, thins.block, TP_PLACE_THINS);
	tpi_load_refer(check, details.block, TP_PLACE_DETAILS);
	r = tpi_load_run(check);
	if (r)
		return r;
	thins.held = details.held = view->held;
	whole = tpi_trees_verify(check, &thins);
	whole &= tpi_trees_verify(check, &details);
	r = collect(check, view);
	for (size_t i = 0; i < view->nr_thins && !r; i++)
		check_thin(check, view, &view->thins[i], whole);

	return r;
}
