/*
 * load.c - reading every block that can be reached, once, and verifying each by
 * itself.
 *
 * It goes in rounds: the blocks that are referred to and not read yet are read,
 * in ascending order, by all threads; what those refer to is the next round.
 * A thread that examines a block writes what it learns to that block's entry
 * and, of a mapping leaf, adds to the counts of data blocks; the rest is the
 * caller's.
 */
#include "check/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/seal.h"

/*---------------------------- problems -------------------------------------*/

/* After those that the block has already.  False: no memory. */
static bool append(struct tpi_check *check, tp_mblock block,
		   struct tpi_problem *problem)
{
	struct tpi_problem **last;

	last = tpi_block_table_add(&check->problems, block);
	if (!last)
		return false;
	while (*last)
		last = &(*last)->next;
	*last = problem;

	return true;
}

__attribute__((format(printf, 5, 6))) static void
add_problem(struct tpi_check *check, const struct tpi_check_block *known,
	    enum tp_check_severity severity, enum tp_check_kind kind,
	    const char *format, ...)
{
	struct tpi_problem *problem;
	char what[160];
	bool added;
	va_list args;
	size_t size;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	size = strlen(what) + 1;
	problem = calloc(1, sizeof(*problem) + size);
	if (!problem) {
		atomic_store(&check->out_of_memory, true);
		return;
	}
	problem->severity = severity;
	problem->kind = kind;
	memcpy(problem->what, what, size);

	pthread_mutex_lock(&check->problems_lock);
	added = append(check, (tp_mblock)(known - check->blocks), problem);
	pthread_mutex_unlock(&check->problems_lock);
	if (added)
		return;
	atomic_store(&check->out_of_memory, true);
	free(problem);
}

#define add_damage(check, block, kind, ...)                                    \
	add_problem(check, block, TP_CHECK_CORRUPTION, kind, __VA_ARGS__)

const struct tpi_problem *tpi_load_problems(const struct tpi_check *check,
					    tp_mblock block)
{
	struct tpi_problem *const *first =
		tpi_block_table_find(&check->problems, block);

	return first ? *first : NULL;
}

/*---------------------------- the roles of blocks --------------------------*/

static const struct tpi_validator *validator_of(enum tp_check_place role)
{
	switch (role) {
	case TP_PLACE_HELD_SUPERBLOCK:
		return &tpi_superblock_validator;
	case TP_PLACE_METADATA_INDEX:
		return &tpi_index_validator;
	case TP_PLACE_DATA_BITMAP:
	case TP_PLACE_METADATA_BITMAP:
		return &tpi_bitmap_validator;
	default:
		return &tpi_node_validator;
	}
}

static bool is_node(const struct tpi_check_block *known)
{
	return validator_of(known->role) == &tpi_node_validator;
}

uint32_t tpi_check_leaf_value_size(enum tp_check_place role)
{
	switch (role) {
	case TP_PLACE_DETAILS:
		return sizeof(struct tpi_disk_details);
	case TP_PLACE_DATA_INDEX:
		return sizeof(struct tpi_disk_index_entry);
	case TP_PLACE_DATA_OVERFLOW:
	case TP_PLACE_METADATA_OVERFLOW:
		return sizeof(le32);
	default:
		return sizeof(le64);
	}
}

/*---------------------------- nodes ----------------------------------------*/

/* Can its entries be found? */
static bool check_shape(struct tpi_check *check, struct tpi_check_block *known,
			const struct tpi_node *node)
{
	uint32_t flags = le32_get(node->header.flags);
	uint32_t size = TPI_CHILD_SIZE;

	if (flags != TPI_NODE_INTERNAL && flags != TPI_NODE_LEAF) {
		add_damage(check, known, TP_FOUND_NODE_FLAGS,
			   "flags %#x: neither an internal node nor a leaf",
			   flags);
		return false;
	}
	if (flags == TPI_NODE_LEAF)
		size = tpi_check_leaf_value_size(known->role);
	if (tpi_node_value_size(node) != size ||
	    tpi_node_max(node) != tpi_node_capacity(size)) {
		add_damage(check, known, TP_FOUND_NODE_SIZES,
			   "room for %u values of %u bytes, which should be %u "
			   "of %u",
			   tpi_node_max(node), tpi_node_value_size(node),
			   tpi_node_capacity(size), size);
		return false;
	}
	if (tpi_node_nr(node) > tpi_node_max(node)) {
		add_damage(check, known, TP_FOUND_NODE_ENTRIES,
			   "%u entries in room for %u", tpi_node_nr(node),
			   tpi_node_max(node));
		return false;
	}
	if (flags == TPI_NODE_INTERNAL && !tpi_node_nr(node)) {
		add_damage(check, known, TP_FOUND_NODE_ENTRIES,
			   "an internal node without children");
		return false;
	}

	return true;
}

static void check_order(struct tpi_check *check, struct tpi_check_block *known,
			const struct tpi_node *node)
{
	for (uint32_t i = 1; i < known->nr; i++) {
		uint64_t before = tpi_node_key(node, i - 1);
		uint64_t key = tpi_node_key(node, i);

		if (before < key)
			continue;
		known->whole = false;
		add_damage(check, known, TP_FOUND_KEY_ORDER,
			   "keys do not ascend: entry %u has key %" PRIu64
			   ", after %" PRIu64,
			   i, key, before);
		return;
	}
}

static void note_keys(struct tpi_check_block *known,
		      const struct tpi_node *node)
{
	known->is_leaf = tpi_node_is_leaf(node);
	known->nr = tpi_node_nr(node) & 511;
	known->whole = true;
	if (!known->nr)
		return;
	known->first = tpi_node_key(node, 0);
	known->last = tpi_node_key(node, known->nr - 1u);
}

/*---------------------------- mappings -------------------------------------*/

/* The end of the run of mappings to adjacent data blocks that begins at @i. */
static uint32_t end_of_run(const le64 *values, uint32_t i, uint32_t nr)
{
	tp_dblock next = tpi_mapping_dblock(le64_get(values[i])) + 1;

	while (++i < nr && tpi_mapping_dblock(le64_get(values[i])) == next)
		next++;

	return i;
}

/* Those of the blocks [begin, end) whose bitmaps are there. */
static void count_run(const struct tpi_check *check,
		      struct tpi_counters *counts, tp_dblock begin,
		      tp_dblock end)
{
	end = tpi_min(end, check->data.nr_blocks);
	while (begin < end) {
		size_t bitmap = begin / TPI_BITMAP_ENTRIES;
		tp_dblock stop =
			tpi_min(end, (bitmap + 1) * TPI_BITMAP_ENTRIES);

		if (check->data.bitmaps[bitmap].there)
			tpi_counters_add(counts, begin, stop);
		begin = stop;
	}
}

void tpi_load_count(const struct tpi_check *check, struct tpi_counters *counts,
		    const struct tpi_node *leaf)
{
	const le64 *values = tpi_node_values(leaf, 0);
	uint32_t i, end, nr = tpi_node_nr(leaf);

	for (i = 0; i < nr; i = end) {
		tp_dblock block = tpi_mapping_dblock(le64_get(values[i]));

		end = end_of_run(values, i, nr);
		if (end + TPI_COUNTERS_AHEAD < nr)
			tpi_counters_prefetch(
				counts,
				tpi_mapping_dblock(le64_get(
					values[end + TPI_COUNTERS_AHEAD])));
		count_run(check, counts, block, block + (end - i));
	}
}

static void check_data_blocks(struct tpi_check *check,
			      const struct tpi_check_block *known,
			      const struct tpi_node *node)
{
	const le64 *values = tpi_node_values(node, 0);
	uint32_t nr_beyond = 0, first_beyond = 0;

	for (uint32_t i = 0; i < known->nr; i++)
		if (tpi_mapping_dblock(le64_get(values[i])) >=
			    check->data.nr_blocks &&
		    !nr_beyond++)
			first_beyond = i;
	if (nr_beyond)
		add_damage(
			check, known, TP_FOUND_DATA_BLOCK,
			"%u mappings past the end of the data: virtual block "
			"%" PRIu64 " to data block %" PRIu64 " of %" PRIu64,
			nr_beyond, tpi_node_key(node, first_beyond),
			tpi_mapping_dblock(le64_get(values[first_beyond])),
			check->data.nr_blocks);
}

static uint32_t latest_time(const struct tpi_node *leaf)
{
	const le64 *values = tpi_node_values(leaf, 0);
	uint32_t latest = 0;

	for (uint32_t i = 0; i < tpi_node_nr(leaf); i++)
		latest = (uint32_t)tpi_max(
			latest, tpi_mapping_time(le64_get(values[i])));

	return latest;
}

static void examine_mappings(struct tpi_check *check,
			     struct tpi_check_block *known,
			     const struct tpi_node *node)
{
	known->max_time = latest_time(node) & 0xffffff;
	check_data_blocks(check, known, node);
	if (check->data.bitmaps)
		tpi_load_count(check, &check->counts, node);
}

/*---------------------------- examining ------------------------------------*/

static bool check_seal(struct tpi_check *check, struct tpi_check_block *known,
		       tp_mblock block, const void *data)
{
	const struct tpi_validator *validator = validator_of(known->role);
	struct tpi_seal_look look = tpi_seal_look(validator, block, data);

	if (look.other)
		add_damage(check, known, TP_FOUND_CHECKSUM,
			   "a %s, where a %s should be", look.other,
			   validator->name);
	else if (!look.right_checksum)
		add_damage(check, known, TP_FOUND_CHECKSUM, "bad checksum");
	if (!look.right_number)
		add_damage(check, known, TP_FOUND_BLOCK_NUMBER,
			   "it says that it is block %" PRIu64, look.number);

	return look.right_checksum && look.right_number;
}

static bool examine_node(struct tpi_check *check, struct tpi_check_block *known,
			 const struct tpi_node *node)
{
	if (!check_shape(check, known, node))
		return false;
	note_keys(known, node);
	check_order(check, known, node);
	if (known->role == TP_PLACE_MAPPINGS && known->is_leaf)
		examine_mappings(check, known, node);

	return true;
}

/* Index and bitmap blocks have no flags. */
static void check_padding(struct tpi_check *check,
			  struct tpi_check_block *known,
			  const struct tpi_block_header *header)
{
	if (le32_get(header->flags))
		add_problem(check, known, TP_CHECK_WARNING, TP_FOUND_PADDING,
			    "bytes 4 to 7 are %#x, and should be zero",
			    le32_get(header->flags));
}

static void examine(void *context, tp_mblock block, const void *data,
		    int status)
{
	struct tpi_check *check = context;
	struct tpi_check_block *known = &check->blocks[block];
	bool usable = false;

	if (status)
		add_damage(check, known, TP_FOUND_IO, "it cannot be read: %s",
			   tp_strerror(status));
	else
		usable = check_seal(check, known, block, data);
	if (usable && is_node(known))
		usable = examine_node(check, known, data);
	else if (usable && known->role != TP_PLACE_HELD_SUPERBLOCK)
		check_padding(check, known, data);
	known->state = usable ? TPI_USABLE : TPI_UNUSABLE;
}

/*---------------------------- what it refers to ----------------------------*/

bool tpi_load_claim(struct tpi_check *check, tp_mblock block,
		    enum tp_check_place role)
{
	struct tpi_check_block *known;

	if (!tpi_check_in_range(check, block))
		return false;
	known = &check->blocks[block];
	if (known->nr_refs < UINT32_MAX)
		known->nr_refs++;
	if (known->role)
		return false;
	known->role = role & 15;

	return true;
}

void tpi_load_refer(struct tpi_check *check, tp_mblock block,
		    enum tp_check_place role)
{
	if (tpi_load_claim(check, block, role))
		tpi_frontier_add(&check->frontier, block);
}

static void refer_children(struct tpi_check *check, enum tp_check_place role,
			   const struct tpi_node *node)
{
	for (uint32_t i = 0; i < tpi_node_nr(node); i++)
		tpi_load_refer(check, tpi_node_child(node, i), role);
}

static void refer_data_bitmaps(struct tpi_check *check,
			       const struct tpi_node *node)
{
	const struct tpi_disk_index_entry *entries = tpi_node_values(node, 0);

	for (uint32_t i = 0; i < tpi_node_nr(node); i++)
		tpi_load_refer(check, le64_get(entries[i].blocknr),
			       TP_PLACE_DATA_BITMAP);
}

static void refer_metadata_bitmaps(struct tpi_check *check,
				   const struct tpi_disk_index *index)
{
	for (size_t i = 0; i < check->metadata.nr_bitmaps; i++)
		tpi_load_refer(check, le64_get(index->entries[i].blocknr),
			       TP_PLACE_METADATA_BITMAP);
}

static void refer_from_node(struct tpi_check *check, enum tp_check_place role,
			    const struct tpi_node *node)
{
	if (!tpi_node_is_leaf(node))
		refer_children(check, role, node);
	else if (role == TP_PLACE_THINS &&
		 !tpi_check_has(check, TP_CHECK_SKIP_MAPPINGS))
		refer_children(check, TP_PLACE_MAPPINGS, node);
	else if (role == TP_PLACE_DATA_INDEX)
		refer_data_bitmaps(check, node);
}

/*---------------------------- what is kept ---------------------------------*/

static bool is_kept(const struct tpi_check_block *known)
{
	switch (known->role) {
	case TP_PLACE_DATA_BITMAP:
	case TP_PLACE_METADATA_BITMAP:
		return false;
	case TP_PLACE_MAPPINGS:
	case TP_PLACE_DATA_OVERFLOW:
	case TP_PLACE_METADATA_OVERFLOW:
		return !known->is_leaf;
	default:
		return true;
	}
}

/* Without the room between keys and values, and after those. */
static size_t packed_bytes(const struct tpi_node *node)
{
	return sizeof(*node) +
	       (size_t)tpi_node_nr(node) * (8 + tpi_node_value_size(node));
}

static void pack(struct tpi_node *packed, const struct tpi_node *node)
{
	uint32_t nr = tpi_node_nr(node);

	*packed = *node;
	packed->max_entries = le32_make(nr);
	memcpy(packed->keys, node->keys, (size_t)nr * 8);
	memcpy(tpi_node_values(packed, 0), tpi_node_values(node, 0),
	       (size_t)nr * tpi_node_value_size(node));
}

static bool make_room(struct tpi_check *check)
{
	size_t room = 2 * check->kept_room + 64;
	struct tpi_kept_block **longer;

	if (check->nr_kept < check->kept_room)
		return true;
	longer = realloc(check->kept, room * sizeof(*longer));
	if (!longer)
		return false;
	check->kept = longer;
	check->kept_room = room;

	return true;
}

static int keep(struct tpi_check *check, tp_mblock block, const void *data)
{
	struct tpi_check_block *known = &check->blocks[block];
	size_t size = is_node(known) ? packed_bytes(data) : TPI_MBLOCK_BYTES;
	struct tpi_kept_block *kept;

	if (!make_room(check))
		return -ENOMEM;
	kept = malloc(sizeof(*kept) + size);
	if (!kept)
		return -ENOMEM;
	*kept = (struct tpi_kept_block){ .block = block,
					 .nr_entries = known->nr };
	if (is_node(known))
		pack((struct tpi_node *)kept->copy, data);
	else
		memcpy(kept->copy, data, size);
	known->index = (uint32_t)check->nr_kept;
	check->kept[check->nr_kept++] = kept;

	return 0;
}

/* What is not kept must be taken now. */
static int take_leaf(struct tpi_check *check, enum tp_check_place role,
		     const struct tpi_node *leaf)
{
	if (role == TP_PLACE_DATA_OVERFLOW)
		return tpi_maps_take_overflow(&check->data, leaf);
	if (role == TP_PLACE_METADATA_OVERFLOW)
		return tpi_maps_take_overflow(&check->metadata, leaf);

	return 0;
}

static int integrate(void *context, tp_mblock block, const void *data,
		     int status)
{
	struct tpi_check *check = context;
	struct tpi_check_block *known = &check->blocks[block];
	int r;

	check->report.nr_blocks_read++;
	if (known->state != TPI_USABLE)
		return 0;
	if (!is_kept(known))
		return take_leaf(check, known->role, data);
	r = keep(check, block, data);
	if (r)
		return r;
	if (is_node(known))
		refer_from_node(check, known->role, data);
	else if (known->role == TP_PLACE_METADATA_INDEX)
		refer_metadata_bitmaps(check, data);

	return 0;
}

void tpi_load_exit(struct tpi_check *check)
{
	struct tpi_problem **first, *problem;

	for (size_t i = 0; i < check->nr_kept; i++)
		free(check->kept[i]);
	free(check->kept);
	for (size_t i = 0; i < check->problems.nr_slots; i++) {
		if (check->problems.keys[i] == UINT64_MAX)
			continue;
		first = (struct tpi_problem **)check->problems.values + i;
		while ((problem = *first)) {
			*first = problem->next;
			free(problem);
		}
	}
	tpi_block_table_exit(&check->problems);
}

/*---------------------------- rounds ---------------------------------------*/

static int load_round(struct tpi_check *check)
{
	static const struct tpi_sweep_ops ops = {
		.examine = examine,
		.integrate = integrate,
	};
	struct tpi_frontier next = check->round;

	check->round = check->frontier;
	check->frontier = next;

	return tpi_sweep_run(check->sweep, &check->round, &ops, check);
}

int tpi_load_run(struct tpi_check *check)
{
	int r = 0;

	while (check->frontier.nr && !r)
		r = load_round(check);
	if (!r && (atomic_load(&check->out_of_memory) ||
		   atomic_load(&check->counts.out_of_memory)))
		r = -ENOMEM;

	return r;
}
