/*
 * volume.c - the sectors of one volume that were touched.
 */
#include <stdlib.h>
#include <string.h>

#include "simulator/volume.h"

static size_t block_bytes(const struct rules *rules)
{
	return sizeof(struct block) +
	       rules->block_sectors * sizeof(struct candidates);
}

void volume_init(struct volume *volume, const struct rules *rules)
{
	volume->nr_blocks =
		(uint32_t)((volume->nr_sectors + rules->block_sectors - 1) /
			   rules->block_sectors);
	volume->blocks = calloc(volume->nr_blocks, sizeof(*volume->blocks));
}

void volume_exit(struct volume *volume, const struct rules *rules)
{
	for (uint32_t b = 0; b < volume->nr_blocks; b++) {
		if (!volume->blocks[b])
			continue;
		for (uint32_t s = 0; s < rules->block_sectors; s++)
			candidates_exit(&volume->blocks[b]->sectors[s]);
		free(volume->blocks[b]);
	}
	free(volume->blocks);
}

static struct block *copy_block(const struct block *from,
				const struct rules *rules)
{
	struct block *to = malloc(block_bytes(rules));

	memcpy(to, from, block_bytes(rules));
	for (uint32_t s = 0; s < rules->block_sectors; s++)
		if (from->sectors[s].room)
			candidates_copy(&to->sectors[s], &from->sectors[s]);

	return to;
}

void volume_copy(struct volume *to, const struct volume *from,
		 const struct rules *rules)
{
	*to = *from;
	volume_init(to, rules);
	for (uint32_t b = 0; b < from->nr_blocks; b++)
		if (from->blocks[b])
			to->blocks[b] = copy_block(from->blocks[b], rules);
}

struct candidates *volume_find(const struct volume *volume,
			       const struct rules *rules, uint64_t sector)
{
	struct block *block = volume->blocks[sector / rules->block_sectors];

	return block ? &block->sectors[sector % rules->block_sectors] : NULL;
}

struct candidates *volume_touch(struct volume *volume,
				const struct rules *rules, uint64_t sector)
{
	struct block **block = &volume->blocks[sector / rules->block_sectors];

	if (!*block)
		*block = calloc(1, block_bytes(rules));

	return &(*block)->sectors[sector % rules->block_sectors];
}

void volume_clip(const struct volume *volume, const struct rules *rules,
		 const struct operation *operation, uint64_t *begin,
		 uint64_t *end)
{
	uint64_t block = rules->block_sectors;

	*begin = operation->begin;
	*end = operation->end;
	if (operation->op != TP_DISCARD)
		return;
	*begin = (*begin + block - 1) / block * block;
	*end = *end / block * block;
	if (*end > volume->nr_sectors)
		*end = volume->nr_sectors;
	if (*end < *begin)
		*end = *begin;
}

bool volume_shows_origin(const struct volume *volume, const struct rules *rules,
			 uint64_t sector)
{
	return volume->has_origin && sector < rules->origin_sectors;
}

bool volume_may_be_stale(const struct volume *volume, const struct rules *rules,
			 uint64_t sector)
{
	uint64_t b = sector / rules->block_sectors;

	return !rules->zeroing && volume->blocks[b] &&
	       volume->blocks[b]->was_written &&
	       !volume_shows_origin(volume, rules, b * rules->block_sectors);
}
