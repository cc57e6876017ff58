/*
 * recount.c - do the space maps say what the trees say (M2)?
 *
 * The space maps are not part of any view and never shared; their own blocks
 * are counted as they are read.
 */
#include <stdlib.h>

#include "simulator/metadata.h"

#define COUNTS_PER_BITMAP 16320u
#define OVERFLOWN 3

struct map_check {
	const char *name;
	const struct space_map *map;
	uint32_t *found; /* what the map says */
	uint64_t nr_overflown;
};

/* The lower bit of the two weighs two (metadata-format, 6.5). */
static uint32_t bitmap_entry(const unsigned char *bitmap, uint64_t i)
{
	uint32_t raw = bitmap[16 + i / 4] >> (2 * (i % 4)) & 3;

	return (raw & 1) << 1 | raw >> 1;
}

static bool read_bitmap(struct metadata *metadata, struct map_check *check,
			uint64_t number, const unsigned char *entry,
			struct verdict *verdict)
{
	uint64_t first = number * COUNTS_PER_BITMAP;
	unsigned char bitmap[METADATA_BLOCK];
	uint32_t nr_free = 0;
	bool is_new;

	if (!metadata_refer(metadata, get64(entry), &is_new, verdict) ||
	    !metadata_read_block(metadata, get64(entry), BITMAP, bitmap,
				 verdict))
		return false;
	for (uint64_t i = 0; i < COUNTS_PER_BITMAP; i++) {
		uint32_t count = bitmap_entry(bitmap, i);

		nr_free += !count;
		if (first + i < check->map->nr_blocks)
			check->found[first + i] = count;
		else if (count)
			return violated(verdict,
					"the %s map counts blocks past its end",
					check->name);
	}

	return nr_free == get32(entry + 8) ||
	       violated(verdict, "the %s map has a wrong number of free blocks",
			check->name);
}

static bool index_entry(struct metadata *metadata, void *context, uint64_t key,
			const unsigned char *value, struct verdict *verdict)
{
	return read_bitmap(metadata, context, key, value, verdict);
}

static bool overflow_entry(struct metadata *metadata, void *context,
			   uint64_t key, const unsigned char *value,
			   struct verdict *verdict)
{
	struct map_check *check = context;

	if (key >= check->map->nr_blocks || check->found[key] != OVERFLOWN ||
	    get32(value) < OVERFLOWN)
		return violated(verdict, "the %s map overflows without reason",
				check->name);
	check->found[key] = get32(value);
	check->nr_overflown--;

	return true;
}

static bool read_overflow(struct metadata *metadata, struct map_check *check,
			  struct verdict *verdict)
{
	struct tree overflow = { .value_size = 4,
				 .entry = overflow_entry,
				 .context = check };

	for (uint64_t b = 0; b < check->map->nr_blocks; b++)
		check->nr_overflown += check->found[b] == OVERFLOWN;
	if (!metadata_walk(metadata, &overflow, check->map->overflow_root,
			   verdict))
		return false;

	return !check->nr_overflown ||
	       violated(verdict, "a count of the %s map is missing",
			check->name);
}

static bool read_data_map(struct metadata *metadata, struct map_check *check,
			  struct verdict *verdict)
{
	struct tree index = { .value_size = 16,
			      .entry = index_entry,
			      .context = check };

	return metadata_walk(metadata, &index, check->map->bitmap_root,
			     verdict) &&
	       read_overflow(metadata, check, verdict);
}

static bool read_metadata_map(struct metadata *metadata,
			      struct map_check *check, struct verdict *verdict)
{
	unsigned char index[METADATA_BLOCK];
	uint64_t nr_bitmaps = (check->map->nr_blocks + COUNTS_PER_BITMAP - 1) /
			      COUNTS_PER_BITMAP;
	bool is_new;

	if (!metadata_refer(metadata, check->map->bitmap_root, &is_new,
			    verdict) ||
	    !metadata_read_block(metadata, check->map->bitmap_root, INDEX,
				 index, verdict))
		return false;
	for (uint64_t i = 0; i < nr_bitmaps; i++)
		if (!read_bitmap(metadata, check, i, index + 16 + 16 * i,
				 verdict))
			return false;

	return read_overflow(metadata, check, verdict);
}

static bool compare(const struct map_check *check, const uint32_t *counted,
		    struct verdict *verdict)
{
	uint64_t nr_allocated = 0;

	for (uint64_t b = 0; b < check->map->nr_blocks; b++) {
		nr_allocated += check->found[b] != 0;
		if (check->found[b] != counted[b])
			return violated(
				verdict,
				"%s block %llu has %u references, and the "
				"space map says %u",
				check->name, (unsigned long long)b, counted[b],
				check->found[b]);
	}

	return nr_allocated == check->map->nr_allocated ||
	       violated(verdict, "the %s map says that %llu blocks are used",
			check->name,
			(unsigned long long)check->map->nr_allocated);
}

static bool check_details(const struct metadata *metadata,
			  struct verdict *verdict)
{
	for (unsigned i = 0; i < metadata->nr_thins; i++) {
		const struct thin_details *thin = &metadata->thins[i];

		if (thin->mapped_blocks != thin->nr_mappings)
			return violated(verdict,
					"thin %u says %llu blocks, has %llu",
					thin->id,
					(unsigned long long)thin->mapped_blocks,
					(unsigned long long)thin->nr_mappings);
	}

	return true;
}

bool metadata_recount(struct metadata *metadata, struct verdict *verdict)
{
	struct map_check data = {
		.name = "data",
		.map = &metadata->data_map,
		.found = calloc(metadata->data_map.nr_blocks + 1,
				sizeof(uint32_t)),
	};
	struct map_check own = {
		.name = "metadata",
		.map = &metadata->metadata_map,
		.found = calloc(metadata->metadata_map.nr_blocks,
				sizeof(uint32_t)),
	};
	bool right = read_data_map(metadata, &data, verdict) &&
		     read_metadata_map(metadata, &own, verdict) &&
		     compare(&data, metadata->data_counts, verdict) &&
		     compare(&own, metadata->counts, verdict) &&
		     check_details(metadata, verdict);

	free(data.found);
	free(own.found);

	return right;
}
