/*
 * block-set.c - a set of metadata blocks.
 */
#include "space-map/block-set.h"

#include <stdlib.h>
#include <string.h>

int tpi_block_set_init(struct tpi_block_set *set, tp_mblock nr_blocks)
{
	memset(set, 0, sizeof(*set));

	return tpi_block_set_grow(set, nr_blocks);
}

void tpi_block_set_exit(struct tpi_block_set *set)
{
	free(set->words);
	memset(set, 0, sizeof(*set));
}

int tpi_block_set_grow(struct tpi_block_set *set, tp_mblock nr_blocks)
{
	size_t nr_words = tpi_div_up(nr_blocks, 64);
	uint64_t *words;

	if (nr_words <= set->nr_words)
		return 0;
	words = realloc(set->words, nr_words * sizeof(*words));
	if (!words)
		return -ENOMEM;

	memset(words + set->nr_words, 0,
	       (nr_words - set->nr_words) * sizeof(*words));
	set->words = words;
	set->nr_words = nr_words;

	return 0;
}

void tpi_block_set_clear(struct tpi_block_set *set)
{
	if (set->nr)
		memset(set->words, 0, set->nr_words * sizeof(*set->words));
	set->nr = 0;
}
