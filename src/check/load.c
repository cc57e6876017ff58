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

__attribute__((format(printf, 5, 6))) static void
add_problem(struct tpi_check *check, struct tpi_check_block *block,
	    enum tp_check_severity severity, enum tp_check_kind kind,
	    const char *format, ...)
{
	struct tpi_problem **last = &block->problems, *problem;
	char what[160];
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
	while (*last)
		last = &(*last)->next;
	*last = problem;
}

#define add_damage(check, block, kind, ...)                                    \
	add_problem(check, block, TP_CHECK_CORRUPTION, kind, __VA_ARGS__)

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
	known->nr = (uint16_t)tpi_node_nr(node);
	known->nr_entries = known->nr;
	known->whole = true;
	if (!known->nr)
		return;
	known->first = tpi_node_key(node, 0);
	known->last = tpi_node_key(node, known->nr - 1u);
}

/*---------------------------- mappings -------------------------------------*/

static void prefetch_count(const struct tpi_check *check,
			   const struct tpi_check_block *known,
			   const le64 *values, uint32_t i)
{
	if (check->counting && i < known->nr)
		tpi_counters_prefetch(check->counting,
				      tpi_mapping_dblock(le64_get(values[i])));
}

/* Its bitmap is there, so that it can be counted. */
static bool can_be_counted(const struct tpi_check *check, tp_dblock block)
{
	return check->counting && check->data.bitmaps &&
	       check->data.bitmaps[block / TPI_BITMAP_ENTRIES].there;
}

static void count_mappings(struct tpi_check *check,
			   struct tpi_check_block *known,
			   const struct tpi_node *node)
{
	const le64 *values = tpi_node_values(node, 0);
	uint32_t nr_beyond = 0, first_beyond = 0;

	for (uint32_t i = 0; i < known->nr; i++) {
		tpi_mapping mapping = le64_get(values[i]);
		tp_dblock block = tpi_mapping_dblock(mapping);

		prefetch_count(check, known, values, i + TPI_COUNTERS_AHEAD);
		if (tpi_mapping_time(mapping) > known->max_time)
			known->max_time = tpi_mapping_time(mapping);
		if (block >= check->data.nr_blocks) {
			if (!nr_beyond++)
				first_beyond = i;
		} else if (can_be_counted(check, block)) {
			tpi_counters_add(check->counting, block);
		}
	}
	if (nr_beyond)
		add_damage(
			check, known, TP_FOUND_DATA_BLOCK,
			"%u mappings past the end of the data: virtual block "
			"%" PRIu64 " to data block %" PRIu64 " of %" PRIu64,
			nr_beyond, tpi_node_key(node, first_beyond),
			tpi_mapping_dblock(le64_get(values[first_beyond])),
			check->data.nr_blocks);
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
		count_mappings(check, known, node);

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
	if (usable && validator_of(known->role) == &tpi_node_validator)
		usable = examine_node(check, known, data);
	else if (usable && known->role != TP_PLACE_HELD_SUPERBLOCK)
		check_padding(check, known, data);
	known->state = usable ? TPI_USABLE : TPI_UNUSABLE;
}

/*---------------------------- what it refers to ----------------------------*/

static int push(struct tpi_check *check, tp_mblock block)
{
	size_t room = 2 * check->frontier_room + 64;
	tp_mblock *longer;

	if (check->nr_frontier == check->frontier_room) {
		longer = realloc(check->frontier, room * sizeof(*longer));
		if (!longer)
			return -ENOMEM;
		check->frontier = longer;
		check->frontier_room = room;
	}
	check->frontier[check->nr_frontier++] = block;

	return 0;
}

int tpi_load_refer(struct tpi_check *check, tp_mblock block,
		   enum tp_check_place role)
{
	struct tpi_check_block *known;

	if (!tpi_check_in_range(check, block))
		return 0;
	known = &check->blocks[block];
	if (known->nr_refs < UINT32_MAX)
		known->nr_refs++;
	if (known->role)
		return 0;
	known->role = (uint8_t)role;

	return push(check, block);
}

static int refer_children(struct tpi_check *check, enum tp_check_place role,
			  const struct tpi_node *node)
{
	int r = 0;

	for (uint32_t i = 0; i < tpi_node_nr(node) && !r; i++)
		r = tpi_load_refer(check, tpi_node_child(node, i), role);

	return r;
}

static int refer_data_bitmaps(struct tpi_check *check,
			      const struct tpi_node *node)
{
	const struct tpi_disk_index_entry *entries = tpi_node_values(node, 0);
	int r = 0;

	for (uint32_t i = 0; i < tpi_node_nr(node) && !r; i++)
		r = tpi_load_refer(check, le64_get(entries[i].blocknr),
				   TP_PLACE_DATA_BITMAP);

	return r;
}

static int refer_metadata_bitmaps(struct tpi_check *check,
				  const struct tpi_disk_index *index)
{
	int r = 0;

	for (size_t i = 0; i < check->metadata.nr_bitmaps && !r; i++)
		r = tpi_load_refer(check, le64_get(index->entries[i].blocknr),
				   TP_PLACE_METADATA_BITMAP);

	return r;
}

static int refer_from_leaf(struct tpi_check *check, enum tp_check_place role,
			   const struct tpi_node *leaf)
{
	if (role == TP_PLACE_THINS &&
	    !tpi_check_has(check, TP_CHECK_SKIP_MAPPINGS))
		return refer_children(check, TP_PLACE_MAPPINGS, leaf);
	if (role == TP_PLACE_DATA_INDEX)
		return refer_data_bitmaps(check, leaf);

	return 0;
}

static bool is_kept(const struct tpi_check_block *known)
{
	switch (known->role) {
	case TP_PLACE_DATA_BITMAP:
	case TP_PLACE_METADATA_BITMAP:
		return false;
	case TP_PLACE_MAPPINGS:
		return !known->is_leaf;
	default:
		return true;
	}
}

static int integrate(void *context, tp_mblock block, const void *data,
		     int status)
{
	struct tpi_check *check = context;
	struct tpi_check_block *known = &check->blocks[block];

	check->report.nr_blocks_read++;
	if (known->state != TPI_USABLE || !is_kept(known))
		return 0;
	known->copy = malloc(TPI_MBLOCK_BYTES);
	if (!known->copy)
		return -ENOMEM;
	memcpy(known->copy, data, TPI_MBLOCK_BYTES);
	if (known->role == TP_PLACE_HELD_SUPERBLOCK)
		return 0;
	if (known->role == TP_PLACE_METADATA_INDEX)
		return refer_metadata_bitmaps(check, data);
	if (!known->is_leaf)
		return refer_children(check, known->role, data);

	return refer_from_leaf(check, known->role, data);
}

/*---------------------------- rounds ---------------------------------------*/

static int load_round(struct tpi_check *check)
{
	static const struct tpi_sweep_ops ops = {
		.examine = examine,
		.integrate = integrate,
	};
	tp_mblock *blocks = check->frontier;
	size_t nr = check->nr_frontier;
	int r;

	check->frontier = NULL;
	check->nr_frontier = check->frontier_room = 0;
	tpi_sweep_sort(blocks, nr);
	r = tpi_sweep_run(check->sweep, blocks, nr, &ops, check);
	free(blocks);

	return r;
}

int tpi_load_run(struct tpi_check *check)
{
	int r = 0;

	while (check->nr_frontier && !r)
		r = load_round(check);
	if (!r && (atomic_load(&check->out_of_memory) ||
		   atomic_load(&check->live_counts.out_of_memory) ||
		   atomic_load(&check->held_counts.out_of_memory)))
		r = -ENOMEM;

	return r;
}
