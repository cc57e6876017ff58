/*
 * sparse-set.c - a set of data blocks, by chunks that hold at least one.
 */
#include "space-map/sparse-set.h"

#define CHUNK_WORDS 8
#define CHUNK_BLOCKS (64 * CHUNK_WORDS)

struct chunk {
	uint64_t words[CHUNK_WORDS];
};

void tpi_sparse_set_init(struct tpi_sparse_set *set)
{
	tpi_block_table_init(&set->chunks, sizeof(struct chunk));
	set->nr = 0;
}

void tpi_sparse_set_exit(struct tpi_sparse_set *set)
{
	tpi_block_table_exit(&set->chunks);
	set->nr = 0;
}

static unsigned word_in_chunk(tp_dblock block)
{
	return block % CHUNK_BLOCKS / 64;
}

uint64_t tpi_sparse_set_word(const struct tpi_sparse_set *set, tp_dblock block)
{
	const struct chunk *chunk =
		tpi_block_table_find(&set->chunks, block / CHUNK_BLOCKS);

	return chunk ? chunk->words[word_in_chunk(block)] : 0;
}

bool tpi_sparse_set_has(const struct tpi_sparse_set *set, tp_dblock block)
{
	return tpi_sparse_set_word(set, block) >> (block % 64) & 1;
}

/* The part of [begin, begin + nr) that is in begin's word, as a mask. */
static uint64_t first_word_of(tp_dblock begin, tp_dblock nr)
{
	unsigned first = begin % 64;
	uint64_t mask = UINT64_MAX << first;

	if (nr < 64 - first)
		mask &= ~(UINT64_MAX << (first + nr));

	return mask;
}

int tpi_sparse_set_make_room(struct tpi_sparse_set *set, size_t nr)
{
	return tpi_block_table_make_room(&set->chunks, nr);
}

int tpi_sparse_set_add(struct tpi_sparse_set *set, tp_dblock begin,
		       tp_dblock nr)
{
	while (nr) {
		uint64_t mask = first_word_of(begin, nr), *word;
		struct chunk *chunk =
			tpi_block_table_add(&set->chunks, begin / CHUNK_BLOCKS);
		tp_dblock step = tpi_min(nr, 64 - begin % 64);

		if (!chunk)
			return -ENOMEM;
		word = &chunk->words[word_in_chunk(begin)];
		set->nr += (unsigned)__builtin_popcountll(mask & ~*word);
		*word |= mask;
		begin += step;
		nr -= step;
	}

	return 0;
}

static bool is_empty(const struct chunk *chunk)
{
	uint64_t all = 0;
	unsigned i;

	for (i = 0; i < CHUNK_WORDS; i++)
		all |= chunk->words[i];

	return !all;
}

static void remove_word(struct tpi_sparse_set *set, tp_dblock block,
			uint64_t mask)
{
	struct chunk *chunk =
		tpi_block_table_find(&set->chunks, block / CHUNK_BLOCKS);
	uint64_t *word;

	if (!chunk)
		return;
	word = &chunk->words[word_in_chunk(block)];
	set->nr -= (unsigned)__builtin_popcountll(mask & *word);
	*word &= ~mask;
	if (is_empty(chunk))
		tpi_block_table_remove(&set->chunks, block / CHUNK_BLOCKS);
}

void tpi_sparse_set_remove(struct tpi_sparse_set *set, tp_dblock begin,
			   tp_dblock nr)
{
	while (nr) {
		tp_dblock step = tpi_min(nr, 64 - begin % 64);

		remove_word(set, begin, first_word_of(begin, nr));
		begin += step;
		nr -= step;
	}
}
