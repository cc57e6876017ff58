/*
 * frontier.c - metadata blocks that are to be read.
 */
#include "check/frontier.h"

#include <stdlib.h>

int tpi_frontier_init(struct tpi_frontier *frontier, tp_mblock nr_blocks)
{
	tpi_assert(nr_blocks <= TPI_METADATA_BLOCKS_MAX);
	*frontier = (struct tpi_frontier){
		.words = calloc(nr_blocks / 64 + 1, sizeof(uint64_t)),
	};

	return frontier->words ? 0 : -ENOMEM;
}

void tpi_frontier_exit(struct tpi_frontier *frontier)
{
	free(frontier->words);
}

void tpi_frontier_add(struct tpi_frontier *frontier, tp_mblock block)
{
	uint64_t *word = &frontier->words[block / 64];
	uint64_t bit = (uint64_t)1 << block % 64;

	frontier->nr += !(*word & bit);
	*word |= bit;
	frontier->in_use[block / 64 / 64] |= (uint64_t)1 << block / 64 % 64;
}

/* Of the @i-th word. */
static unsigned take_word(struct tpi_frontier *frontier, size_t i,
			  tp_mblock *blocks, unsigned room)
{
	uint64_t *word = &frontier->words[i];
	unsigned nr = 0;

	for (; *word && nr < room; *word &= *word - 1)
		blocks[nr++] = 64 * i + (unsigned)__builtin_ctzll(*word);
	if (!*word)
		frontier->in_use[i / 64] &= ~((uint64_t)1 << i % 64);
	frontier->nr -= nr;

	return nr;
}

unsigned tpi_frontier_take(struct tpi_frontier *frontier, tp_mblock *blocks,
			   unsigned room)
{
	unsigned nr = 0;

	for (size_t i = 0; i < TPI_ARRAY_SIZE(frontier->in_use); i++)
		while (frontier->in_use[i] && nr < room)
			nr += take_word(frontier,
					64 * i + (unsigned)__builtin_ctzll(
							 frontier->in_use[i]),
					blocks + nr, room - nr);

	return nr;
}
