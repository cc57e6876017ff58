/*
 * owners.h - sets of thins: who a mapping, or a data block, belongs to.
 *
 * A set has a number.  Few different sets turn up, however many blocks there
 * are, so each is kept once, and what the union of two of them is, is looked up
 * in a table.  If they become too many all the same, the answer is
 * TPI_OWNERS_MANY: several, and nobody knows which.
 */
#ifndef TPI_CHECK_OWNERS_H
#define TPI_CHECK_OWNERS_H

#include "space-map/block-table.h"

#define TPI_OWNERS_NONE 0u
#define TPI_OWNERS_MANY UINT32_MAX

struct tpi_owners {
	uint32_t nr_thins;
	size_t nr_words; /* of a set, a bit for each thin */
	uint64_t *sets;
	size_t nr, room, limit;
	bool full; /* some were left out */

	struct tpi_block_table by_content; /* hash to number */
	struct tpi_block_table unions;     /* two numbers to the answer */

	/* The last that was looked up: the same is asked again and again. */
	uint64_t last_key;
	struct tpi_owners_answer {
		uint32_t set;
		bool overlap;
	} last;
};

void tpi_owners_init(struct tpi_owners *owners, uint32_t nr_thins);
void tpi_owners_exit(struct tpi_owners *owners);

/* The set of the @i-th thin only. */
static inline uint32_t tpi_owners_single(uint32_t i)
{
	return i + 1;
}

static inline bool tpi_owners_is_single(const struct tpi_owners *owners,
					uint32_t set)
{
	return set != TPI_OWNERS_NONE && set <= owners->nr_thins;
}

/* What is in either; *@overlap (may be NULL): there is a thin in both, as far
 * as is known.  -ENOMEM. */
int tpi_owners_union(struct tpi_owners *owners, uint32_t a, uint32_t b,
		     uint32_t *both, bool *overlap);

#endif
