/*
 * owners.c - sets of thins.
 *
 * Number 0 is the empty set, those up to nr_thins have one thin each, and are
 * not stored; after them come sets of several.
 */
#include "check/owners.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Memory for sets. */
#define LIMIT_BYTES (64u << 20)

void tpi_owners_init(struct tpi_owners *owners, uint32_t nr_thins)
{
	memset(owners, 0, sizeof(*owners));
	owners->nr_thins = nr_thins;
	owners->nr_words = nr_thins / 64 + 1;
	owners->limit = LIMIT_BYTES / (owners->nr_words * sizeof(uint64_t));
	tpi_block_table_init(&owners->by_content, sizeof(uint32_t));
	tpi_block_table_init(&owners->unions, sizeof(struct tpi_owners_answer));
}

void tpi_owners_exit(struct tpi_owners *owners)
{
	tpi_block_table_exit(&owners->unions);
	tpi_block_table_exit(&owners->by_content);
	free(owners->sets);
}

static uint64_t *words_of(const struct tpi_owners *owners, size_t i)
{
	return owners->sets + i * owners->nr_words;
}

/* Add @set to @words; did they have a thin in common? */
static bool add_set(const struct tpi_owners *owners, uint32_t set,
		    uint64_t *words)
{
	uint64_t common = 0, bit;
	const uint64_t *from;

	if (tpi_owners_is_single(owners, set)) {
		bit = (uint64_t)1 << ((set - 1) % 64);
		common = words[(set - 1) / 64] & bit;
		words[(set - 1) / 64] |= bit;
		return common;
	}
	from = words_of(owners, set - owners->nr_thins - 1);
	for (size_t i = 0; i < owners->nr_words; i++) {
		common |= words[i] & from[i];
		words[i] |= from[i];
	}

	return common;
}

/* Room for one more after the last, which is used to try things out. */
static int make_room(struct tpi_owners *owners)
{
	size_t room = tpi_min(2 * owners->room + 8, owners->limit + 1);
	uint64_t *longer;

	if (owners->nr < owners->room)
		return 0;
	longer = realloc(owners->sets,
			 room * owners->nr_words * sizeof(*longer));
	if (!longer)
		return -ENOMEM;
	owners->sets = longer;
	owners->room = room;

	return 0;
}

/* UINT64_MAX is not to be had as a key. */
static uint64_t hash_of(const struct tpi_owners *owners, const uint64_t *words)
{
	return XXH3_64bits(words, owners->nr_words * sizeof(*words)) >> 1;
}

/* The number of the set that was tried out. */
static int keep(struct tpi_owners *owners, uint32_t *set)
{
	const uint64_t *words = words_of(owners, owners->nr);
	uint64_t hash = hash_of(owners, words);
	uint32_t *known = tpi_block_table_find(&owners->by_content, hash);

	if (known &&
	    !memcmp(words, words_of(owners, *known - owners->nr_thins - 1),
		    owners->nr_words * sizeof(*words))) {
		*set = *known;
		return 0;
	}
	if (owners->nr == owners->limit) {
		owners->full = true;
		*set = TPI_OWNERS_MANY;
		return 0;
	}
	if (!known)
		known = tpi_block_table_add(&owners->by_content, hash);
	if (!known)
		return -ENOMEM;
	*set = *known = owners->nr_thins + 1 + (uint32_t)owners->nr++;

	return 0;
}

static int unite(struct tpi_owners *owners, uint32_t a, uint32_t b,
		 struct tpi_owners_answer *answer)
{
	uint64_t *words;
	int r;

	r = make_room(owners);
	if (r)
		return r;
	words = words_of(owners, owners->nr);
	memset(words, 0, owners->nr_words * sizeof(*words));
	add_set(owners, a, words);
	answer->overlap = add_set(owners, b, words);

	return keep(owners, &answer->set);
}

/* Of two sets with numbers of their own. */
static int look_up(struct tpi_owners *owners, uint32_t a, uint32_t b,
		   struct tpi_owners_answer *answer)
{
	uint64_t key = (uint64_t)tpi_min(a, b) << 32 | tpi_max(a, b);
	struct tpi_owners_answer *known;
	int r = 0;

	if (key == owners->last_key) {
		*answer = owners->last;
		return 0;
	}
	known = tpi_block_table_find(&owners->unions, key);
	if (known) {
		*answer = *known;
	} else {
		r = unite(owners, a, b, answer);
		known = r ? NULL : tpi_block_table_add(&owners->unions, key);
		if (!known)
			return -ENOMEM;
		*known = *answer;
	}
	owners->last_key = key;
	owners->last = *answer;

	return 0;
}

int tpi_owners_union(struct tpi_owners *owners, uint32_t a, uint32_t b,
		     uint32_t *both, bool *overlap)
{
	struct tpi_owners_answer answer = { .set = TPI_OWNERS_MANY };
	int r = 0;

	if (a == TPI_OWNERS_NONE || b == TPI_OWNERS_NONE)
		answer.set = a | b;
	else if (a == b)
		answer = (struct tpi_owners_answer){ a, a != TPI_OWNERS_MANY };
	else if (a != TPI_OWNERS_MANY && b != TPI_OWNERS_MANY)
		r = look_up(owners, a, b, &answer);
	if (r)
		return r;
	*both = answer.set;
	if (overlap)
		*overlap = answer.overlap;

	return 0;
}
