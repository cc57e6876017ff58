/*
 * metadata.c - all that a superblock leads to.
 */
#include <stdlib.h>
#include <string.h>

#include "io/crc32c.h"
#include "simulator/metadata.h"
#include "support/pattern.h"

#define MAX_DEPTH 16
#define INTERNAL 1
#define LEAF 2
#define FIRST_KEY 32

static const uint32_t type_salts[] = {
	[SUPERBLOCK] = 160774,
	[NODE] = 121107,
	[INDEX] = 160478,
	[BITMAP] = 240779,
};

/* crc32c without the last inversion (metadata-format, 1.1). */
static uint32_t checksum(const unsigned char *bytes, enum block_type type)
{
	return tpi_crc32c_raw(bytes + 4, METADATA_BLOCK - 4) ^ type_salts[type];
}

static bool blame_block(struct verdict *verdict, uint64_t block,
			const char *what)
{
	return violated(verdict, "metadata block %llu: %s",
			(unsigned long long)block, what);
}

bool metadata_read_block(const struct metadata *metadata, uint64_t block,
			 enum block_type type, unsigned char *bytes,
			 struct verdict *verdict)
{
	metadata->read(metadata->context, block, bytes);
	if (get64(bytes + 8) != block)
		return blame_block(verdict, block, "its number is wrong");
	if (metadata->check_sums && checksum(bytes, type) != get32(bytes))
		return blame_block(verdict, block, "its checksum is wrong");

	return true;
}

void metadata_clear_needs_check(unsigned char *superblock)
{
	uint32_t sum;

	superblock[4] &= (unsigned char)~NEEDS_CHECK;
	sum = checksum(superblock, SUPERBLOCK);
	for (unsigned i = 0; i < 4; i++)
		superblock[i] = (unsigned char)(sum >> (8 * i));
}

/*---------------------------- trees ----------------------------------------*/

/* A node on the way down, and what it may hold. */
struct place {
	uint64_t block;
	uint64_t begin, end; /* of its keys; end 0: no limit */
	unsigned depth;
};

struct walk {
	struct metadata *metadata;
	const struct tree *tree;
	unsigned leaf_depth; /* 0: not known yet */
	struct verdict *verdict;
};

static uint32_t max_entries(uint32_t value_size)
{
	return (METADATA_BLOCK - FIRST_KEY) / (8 + value_size) / 3 * 3;
}

static uint64_t key_at(const unsigned char *node, uint32_t i)
{
	return get64(node + FIRST_KEY + 8 * i);
}

static const unsigned char *value_at(const unsigned char *node, uint32_t i)
{
	return node + FIRST_KEY + 8 * get32(node + 20) + i * get32(node + 24);
}

static bool check_node(const struct walk *walk, const struct place *place,
		       const unsigned char *node)
{
	uint32_t flags = get32(node + 4), nr = get32(node + 16);
	uint32_t size = flags == LEAF ? walk->tree->value_size : 8;

	if (flags != LEAF && flags != INTERNAL)
		return blame_block(walk->verdict, place->block,
				   "neither a leaf nor internal");
	if (get32(node + 24) != size || get32(node + 20) != max_entries(size))
		return blame_block(walk->verdict, place->block,
				   "values of another tree");
	if (nr > max_entries(size) || (flags == INTERNAL && !nr))
		return blame_block(walk->verdict, place->block,
				   "too many or too few entries");
	if (place->depth > 1 && nr < max_entries(size) / 3)
		return blame_block(walk->verdict, place->block,
				   "not filled to a third");
	for (uint32_t i = 0; i < nr; i++)
		if (key_at(node, i) < place->begin ||
		    (place->end && key_at(node, i) >= place->end) ||
		    (i && key_at(node, i) <= key_at(node, i - 1)))
			return blame_block(walk->verdict, place->block,
					   "a key is out of order");

	return true;
}

bool metadata_refer(struct metadata *metadata, uint64_t block, bool *is_new,
		    struct verdict *verdict)
{
	if (!block || block >= metadata->metadata_map.nr_blocks)
		return violated(verdict, "a pointer to metadata block %llu",
				(unsigned long long)block);
	*is_new = !metadata->counts[block]++;

	return true;
}

static bool walk_leaf(struct walk *walk, const struct place *place,
		      const unsigned char *node)
{
	if (walk->leaf_depth && walk->leaf_depth != place->depth)
		return blame_block(walk->verdict, place->block,
				   "a leaf at another depth than others");
	walk->leaf_depth = place->depth;
	for (uint32_t i = 0; i < get32(node + 16); i++)
		if (!walk->tree->entry(walk->metadata, walk->tree->context,
				       key_at(node, i), value_at(node, i),
				       walk->verdict))
			return false;

	return true;
}

static bool walk_node(struct walk *walk, const struct place *place);

static bool walk_children(struct walk *walk, const struct place *place,
			  const unsigned char *node)
{
	uint32_t nr = get32(node + 16);

	for (uint32_t i = 0; i < nr; i++) {
		struct place child = {
			.block = get64(value_at(node, i)),
			.begin = key_at(node, i),
			.end = i + 1 < nr ? key_at(node, i + 1) : place->end,
			.depth = place->depth + 1,
		};

		if (!walk_node(walk, &child))
			return false;
	}

	return true;
}

static bool walk_node(struct walk *walk, const struct place *place)
{
	unsigned char node[METADATA_BLOCK];
	bool is_new;

	if (place->depth > MAX_DEPTH)
		return blame_block(walk->verdict, place->block,
				   "too far from its root");
	if (walk->tree->again)
		is_new = true;
	else if (!metadata_refer(walk->metadata, place->block, &is_new,
				 walk->verdict))
		return false;
	if (!is_new)
		return true;
	if (!metadata_read_block(walk->metadata, place->block, NODE, node,
				 walk->verdict) ||
	    !check_node(walk, place, node))
		return false;
	if (get32(node + 4) == LEAF)
		return walk_leaf(walk, place, node);

	return walk_children(walk, place, node);
}

bool metadata_walk(struct metadata *metadata, const struct tree *tree,
		   uint64_t root, struct verdict *verdict)
{
	struct walk walk = { metadata, tree, 0, verdict };
	struct place place = { .block = root, .depth = 1 };

	return walk_node(&walk, &place);
}

/*---------------------------- mappings -------------------------------------*/

static bool check_mapping(const struct metadata *metadata, uint64_t value,
			  struct verdict *verdict)
{
	if (value >> 24 >= metadata->data_map.nr_blocks)
		return violated(verdict, "a mapping to data block %llu",
				(unsigned long long)(value >> 24));
	if ((value & 0xffffff) > metadata->time)
		return violated(verdict, "a mapping of a time to come");

	return true;
}

static bool count_mapping(struct metadata *metadata, void *context,
			  uint64_t key, const unsigned char *value,
			  struct verdict *verdict)
{
	if (!check_mapping(metadata, get64(value), verdict))
		return false;
	metadata->data_counts[get64(value) >> 24]++;

	return true;
}

/*
 * What is held only by a metadata snapshot is digested as the live mappings
 * are: which thins there are, and what each maps where.
 */
static uint64_t add_mapping(uint64_t digest, uint64_t key, uint64_t value)
{
	return mix(mix(digest ^ key) ^ value);
}

static uint64_t add_thin(uint64_t digest, uint64_t key)
{
	return mix(digest ^ key);
}

static bool held_mapping(struct metadata *metadata, void *context, uint64_t key,
			 const unsigned char *value, struct verdict *verdict)
{
	metadata->held_digest =
		add_mapping(metadata->held_digest, key, get64(value));

	return true;
}

static bool held_thin(struct metadata *metadata, void *context, uint64_t key,
		      const unsigned char *value, struct verdict *verdict)
{
	struct tree mappings = {
		.value_size = 8,
		.again = true,
		.entry = held_mapping,
	};

	metadata->held_digest = add_thin(metadata->held_digest, key);

	return metadata_walk(metadata, &mappings, get64(value), verdict);
}

/* What is being emptied nobody reads any more: it does not count as another
 * owner of what a thin has, and all of it comes after the thins. */
static bool own_mapping(struct metadata *metadata, void *context, uint64_t key,
			const unsigned char *value, struct verdict *verdict)
{
	struct thin_details *thin = context;
	struct owner *owner = &metadata->owners[get64(value) >> 24];

	if (!owner->nr) {
		owner->thin = thin->id;
		owner->vblock = key;
	}
	owner->nr += !owner->nr || thin->id <= CATALOGUE_ID;
	thin->nr_mappings++;
	metadata->live_digest =
		add_mapping(metadata->live_digest, key, get64(value));

	return true;
}

/* An entry of level 0 is a reference to the root of a tree of mappings. */
static bool count_thin(struct metadata *metadata, void *context, uint64_t key,
		       const unsigned char *value, struct verdict *verdict)
{
	struct tree mappings = { .value_size = 8, .entry = count_mapping };

	return metadata_walk(metadata, &mappings, get64(value), verdict);
}

static bool own_thin(struct metadata *metadata, void *context, uint64_t key,
		     const unsigned char *value, struct verdict *verdict)
{
	struct thin_details *thin = &metadata->thins[metadata->nr_thins];
	struct tree mappings = {
		.value_size = 8,
		.again = true,
		.entry = own_mapping,
		.context = thin,
	};

	if (metadata->nr_thins == METADATA_MAX_THINS)
		return violated(verdict, "more thins than a run makes");
	*thin = (struct thin_details){ .id = (uint32_t)key };
	metadata->nr_thins++;
	metadata->live_digest = add_thin(metadata->live_digest, key);

	return metadata_walk(metadata, &mappings, get64(value), verdict);
}

static bool no_entry(struct metadata *metadata, void *context, uint64_t key,
		     const unsigned char *value, struct verdict *verdict)
{
	return true;
}

/* The trees of one view: the live one, or the metadata snapshot. */
static bool count_view(struct metadata *metadata, uint64_t mapping_root,
		       uint64_t details_root, struct verdict *verdict)
{
	struct tree level0 = { .value_size = 8, .entry = count_thin };
	struct tree details = { .value_size = 24, .entry = no_entry };

	return metadata_walk(metadata, &level0, mapping_root, verdict) &&
	       metadata_walk(metadata, &details, details_root, verdict);
}

static bool count_held(struct metadata *metadata, struct verdict *verdict)
{
	struct tree held = { .value_size = 8,
			     .again = true,
			     .entry = held_thin };
	unsigned char copy[METADATA_BLOCK];
	bool is_new;

	if (!metadata->held_root)
		return true;
	if (!metadata_refer(metadata, metadata->held_root, &is_new, verdict) ||
	    !metadata_read_block(metadata, metadata->held_root, SUPERBLOCK,
				 copy, verdict))
		return false;

	return count_view(metadata, get64(copy + 320), get64(copy + 328),
			  verdict) &&
	       metadata_walk(metadata, &held, get64(copy + 320), verdict);
}

static bool details_of(struct metadata *metadata, void *context, uint64_t key,
		       const unsigned char *value, struct verdict *verdict)
{
	unsigned *nr = context;

	if (*nr == metadata->nr_thins || metadata->thins[*nr].id != key)
		return violated(verdict,
				"thin %llu has details and no mappings, or "
				"the other way round",
				(unsigned long long)key);
	metadata->thins[(*nr)++].mapped_blocks = get64(value);

	return true;
}

static bool own_all(struct metadata *metadata, struct verdict *verdict)
{
	unsigned nr = 0;
	struct tree level0 = { .value_size = 8,
			       .again = true,
			       .entry = own_thin };
	struct tree details = { .value_size = 24,
				.again = true,
				.entry = details_of,
				.context = &nr };

	if (!metadata_walk(metadata, &level0, metadata->mapping_root,
			   verdict) ||
	    !metadata_walk(metadata, &details, metadata->details_root, verdict))
		return false;

	return nr == metadata->nr_thins ||
	       violated(verdict, "a thin has no details");
}

/*---------------------------- the superblock -------------------------------*/

static struct space_map read_space_map(const unsigned char *bytes)
{
	return (struct space_map){
		.nr_blocks = get64(bytes),
		.nr_allocated = get64(bytes + 8),
		.bitmap_root = get64(bytes + 16),
		.overflow_root = get64(bytes + 24),
	};
}

static bool load_superblock(struct metadata *metadata, uint64_t nr_blocks,
			    struct verdict *verdict)
{
	unsigned char sb[METADATA_BLOCK];

	if (!metadata_read_block(metadata, 0, SUPERBLOCK, sb, verdict))
		return false;
	metadata->flags = get32(sb + 4);
	metadata->time = get32(sb + 44);
	metadata->transaction_id = get64(sb + 48);
	metadata->held_root = get64(sb + 56);
	metadata->data_map = read_space_map(sb + 64);
	metadata->metadata_map = read_space_map(sb + 192);
	metadata->mapping_root = get64(sb + 320);
	metadata->details_root = get64(sb + 328);
	metadata->block_sectors = get32(sb + 336);
	if (get64(sb + 32) != 27022010 || get32(sb + 40) != 2)
		return blame_block(verdict, 0, "no superblock of version 2");
	if (metadata->flags & ~NEEDS_CHECK)
		return blame_block(verdict, 0, "unknown flags");
	if (metadata->metadata_map.nr_blocks > nr_blocks)
		return blame_block(verdict, 0, "more blocks than there are");

	return true;
}

bool metadata_load(struct metadata *metadata,
		   void (*read)(void *context, uint64_t block, void *bytes),
		   void *context, uint64_t nr_device_blocks, bool check_sums,
		   struct verdict *verdict)
{
	memset(metadata, 0, sizeof(*metadata));
	metadata->read = read;
	metadata->context = context;
	metadata->check_sums = check_sums;
	if (!load_superblock(metadata, nr_device_blocks, verdict))
		return false;
	metadata->counts = calloc(metadata->metadata_map.nr_blocks,
				  sizeof(*metadata->counts));
	metadata->data_counts = calloc(metadata->data_map.nr_blocks + 1,
				       sizeof(*metadata->data_counts));
	metadata->owners = calloc(metadata->data_map.nr_blocks + 1,
				  sizeof(*metadata->owners));
	metadata->counts[0] = 1;

	return count_view(metadata, metadata->mapping_root,
			  metadata->details_root, verdict) &&
	       count_held(metadata, verdict) && own_all(metadata, verdict);
}

void metadata_free(struct metadata *metadata)
{
	free(metadata->counts);
	free(metadata->data_counts);
	free(metadata->owners);
}
