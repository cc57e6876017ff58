/*
 * metadata-image.c - what lies where on a metadata device, held in memory.
 */
#include <stdlib.h>

#include "support/metadata-image.h"

/*---------------------------- blocks and pointers --------------------------*/

static void *grow(void *array, size_t nr, size_t *room, size_t size)
{
	if (nr < *room)
		return array;
	*room = *room ? 2 * *room : 64;
	array = realloc(array, *room * size);
	if (!array)
		abort();

	return array;
}

static void add_block(struct image *image, tp_mblock number,
		      enum image_role role, size_t parent)
{
	image->blocks = grow(image->blocks, image->nr_blocks,
			     &image->room_blocks, sizeof(*image->blocks));
	image->blocks[image->nr_blocks++] =
		(struct image_block){ number, role, parent };
	image->is_used[number] = true;
}

/* The pointer in the block @from, to a block of this role. */
static void see_pointer(struct image *image, size_t from, const le64 *pointer,
			enum image_role role)
{
	tp_mblock to = le64_get(*pointer);
	const char *start = image_data(image, from);

	image->pointers = grow(image->pointers, image->nr_pointers,
			       &image->room_pointers, sizeof(*image->pointers));
	image->pointers[image->nr_pointers++] = (struct image_pointer){
		from, (unsigned)((const char *)pointer - start), role
	};
	if (to < image->nr_mblocks && !image->is_used[to])
		add_block(image, to, role, from);
}

/*---------------------------- what points where ----------------------------*/

static void see_trees(struct image *image, size_t i)
{
	const struct tpi_disk_superblock *sb = image_data(image, i);

	see_pointer(image, i, &sb->data_mapping_root, IMAGE_THINS);
	see_pointer(image, i, &sb->device_details_root, IMAGE_DETAILS);
}

static void see_superblock(struct image *image, size_t i)
{
	const struct tpi_disk_superblock *sb = image_data(image, i);

	see_trees(image, i);
	see_pointer(image, i, &sb->data_space_map.root.bitmap_root,
		    IMAGE_DATA_INDEX);
	see_pointer(image, i, &sb->data_space_map.root.ref_count_root,
		    IMAGE_DATA_OVERFLOW);
	see_pointer(image, i, &sb->metadata_space_map.root.bitmap_root,
		    IMAGE_METADATA_INDEX);
	see_pointer(image, i, &sb->metadata_space_map.root.ref_count_root,
		    IMAGE_METADATA_OVERFLOW);
	if (le64_get(sb->held_root))
		see_pointer(image, i, &sb->held_root, IMAGE_HELD_SUPERBLOCK);
}

static void see_metadata_index(struct image *image, size_t i)
{
	const struct tpi_disk_index *index = image_data(image, i);

	for (unsigned j = 0; j < TPI_METADATA_BITMAPS_MAX; j++)
		if (le64_get(index->entries[j].blocknr))
			see_pointer(image, i, &index->entries[j].blocknr,
				    IMAGE_METADATA_BITMAP);
}

/* Every value of a node begins with the pointer, if it has one. */
static void see_values(struct image *image, size_t i, enum image_role role)
{
	const struct tpi_node *node = image_data(image, i);

	for (uint32_t j = 0; j < tpi_node_nr(node); j++)
		see_pointer(image, i, tpi_node_values(node, j), role);
}

static void see_node(struct image *image, size_t i)
{
	enum image_role role = image->blocks[i].role;

	if (!image_is_node(image, i))
		return;
	if (!tpi_node_is_leaf(image_data(image, i)))
		see_values(image, i, role);
	else if (role == IMAGE_THINS)
		see_values(image, i, IMAGE_MAPPINGS);
	else if (role == IMAGE_DATA_INDEX)
		see_values(image, i, IMAGE_DATA_BITMAP);
}

static void see_block(struct image *image, size_t i)
{
	switch (image->blocks[i].role) {
	case IMAGE_SUPERBLOCK:
		see_superblock(image, i);
		break;
	case IMAGE_HELD_SUPERBLOCK:
		see_trees(image, i);
		break;
	case IMAGE_METADATA_INDEX:
		see_metadata_index(image, i);
		break;
	default:
		see_node(image, i);
	}
}

void image_survey(struct image *image, void *bytes, uint64_t size_bytes)
{
	*image = (struct image){
		.bytes = bytes,
		.nr_mblocks = size_bytes / TPI_MBLOCK_BYTES,
	};
	image->is_used = calloc(image->nr_mblocks, sizeof(bool));
	if (!image->is_used)
		abort();
	add_block(image, 0, IMAGE_SUPERBLOCK, 0);
	for (size_t i = 0; i < image->nr_blocks; i++)
		see_block(image, i);
}

void image_exit(struct image *image)
{
	free(image->blocks);
	free(image->pointers);
	free(image->is_used);
}

/*---------------------------- looking --------------------------------------*/

void *image_data(const struct image *image, size_t i)
{
	return image->bytes + image->blocks[i].number * TPI_MBLOCK_BYTES;
}

le64 *image_pointer(const struct image *image, size_t i)
{
	const struct image_pointer *pointer = &image->pointers[i];

	return (le64 *)((char *)image_data(image, pointer->from) + pointer->at);
}

struct tpi_disk_superblock *image_superblock(const struct image *image)
{
	return image_data(image, 0);
}

size_t image_find(const struct image *image, enum image_role role, size_t nr)
{
	for (size_t i = 0; i < image->nr_blocks; i++)
		if (image->blocks[i].role == role && nr-- == 0)
			return i;

	return SIZE_MAX;
}

size_t image_count(const struct image *image, enum image_role role)
{
	size_t nr = 0;

	for (size_t i = 0; i < image->nr_blocks; i++)
		nr += image->blocks[i].role == role;

	return nr;
}

/* The values of a leaf, by role; 0: no tree. */
static const uint32_t value_sizes[IMAGE_NR_ROLES] = {
	[IMAGE_THINS] = 8,         [IMAGE_MAPPINGS] = 8,
	[IMAGE_DETAILS] = 24,      [IMAGE_DATA_INDEX] = 16,
	[IMAGE_DATA_OVERFLOW] = 4, [IMAGE_METADATA_OVERFLOW] = 4,
};

bool image_is_node(const struct image *image, size_t i)
{
	uint32_t size = value_sizes[image->blocks[i].role];
	const struct tpi_node *node = image_data(image, i);
	enum tpi_node_kind kind = tpi_node_kind_of(node);

	if (kind == TPI_NODE_INTERNAL && size)
		size = TPI_CHILD_SIZE;

	return size && (kind == TPI_NODE_INTERNAL || kind == TPI_NODE_LEAF) &&
	       tpi_node_value_size(node) == size &&
	       tpi_node_max(node) == tpi_node_capacity(size) &&
	       tpi_node_nr(node) <= tpi_node_max(node);
}

/*---------------------------- sealing --------------------------------------*/

static const struct tpi_validator *validator_of(enum image_role role)
{
	switch (role) {
	case IMAGE_SUPERBLOCK:
	case IMAGE_HELD_SUPERBLOCK:
		return &tpi_superblock_validator;
	case IMAGE_METADATA_INDEX:
		return &tpi_index_validator;
	case IMAGE_DATA_BITMAP:
	case IMAGE_METADATA_BITMAP:
		return &tpi_bitmap_validator;
	default:
		return &tpi_node_validator;
	}
}

void image_seal_as(const struct image *image, tp_mblock place,
		   enum image_role role, tp_mblock number)
{
	tpi_seal(validator_of(role), number,
		 image->bytes + place * TPI_MBLOCK_BYTES);
}

void image_seal(const struct image *image, size_t i)
{
	const struct image_block *block = &image->blocks[i];

	image_seal_as(image, block->number, block->role, block->number);
}

const char *image_role_name(enum image_role role)
{
	static const char *const names[IMAGE_NR_ROLES] = {
		[IMAGE_SUPERBLOCK] = "superblock",
		[IMAGE_HELD_SUPERBLOCK] = "metadata snapshot",
		[IMAGE_THINS] = "thins",
		[IMAGE_MAPPINGS] = "mappings",
		[IMAGE_DETAILS] = "details",
		[IMAGE_DATA_INDEX] = "data index",
		[IMAGE_DATA_BITMAP] = "data bitmap",
		[IMAGE_DATA_OVERFLOW] = "data overflow",
		[IMAGE_METADATA_INDEX] = "metadata index",
		[IMAGE_METADATA_BITMAP] = "metadata bitmap",
		[IMAGE_METADATA_OVERFLOW] = "metadata overflow",
	};

	return names[role];
}
