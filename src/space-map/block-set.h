/*
 * block-set.h - a set of metadata blocks, one bit for each there is.
 */
#ifndef TPI_SPACE_MAP_BLOCK_SET_H
#define TPI_SPACE_MAP_BLOCK_SET_H

#include "io/base.h"

struct tpi_block_set {
	uint64_t *words; /* 64 blocks each */
	size_t nr_words;
	tp_mblock nr; /* how many blocks are in it */
};

/* Room for blocks below @nr_blocks; all zero is a set without room.
 * -ENOMEM. */
int tpi_block_set_init(struct tpi_block_set *set, tp_mblock nr_blocks);
void tpi_block_set_exit(struct tpi_block_set *set);

/* Room for more; -ENOMEM: as before. */
int tpi_block_set_grow(struct tpi_block_set *set, tp_mblock nr_blocks);

void tpi_block_set_clear(struct tpi_block_set *set);

static inline bool tpi_block_set_has(const struct tpi_block_set *set,
				     tp_mblock block)
{
	return set->words[block / 64] >> (block % 64) & 1;
}

/* It is not in the set. */
static inline void tpi_block_set_add(struct tpi_block_set *set, tp_mblock block)
{
	set->words[block / 64] |= (uint64_t)1 << (block % 64);
	set->nr++;
}

/* Was it in the set? */
static inline bool tpi_block_set_remove(struct tpi_block_set *set,
					tp_mblock block)
{
	if (!tpi_block_set_has(set, block))
		return false;

	set->words[block / 64] &= ~((uint64_t)1 << (block % 64));
	set->nr--;

	return true;
}

#endif
