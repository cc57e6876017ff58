/*
 * ledger.h - what the volumes of a pool may contain, by whole blocks.
 *
 * A block begins with 4096 bytes that tell which write they came from (a tag;
 * 0: zeroes, nothing was written).  Several tags are possible where an
 * operation failed, or where what succeeded was not sealed by a flush or commit
 * since and could be lost to a rollback (crash-contract.md, 6 and 10).
 */
#ifndef TESTS_SUPPORT_LEDGER_H
#define TESTS_SUPPORT_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_BLOCK 65536u
#define LEDGER_KEPT 4096u
#define LEDGER_MAX_TAGS 6

struct ledger_cell {
	uint32_t tags[LEDGER_MAX_TAGS]; /* the latest last */
	uint8_t nr_tags;
	bool in_doubt; /* the latest may not have happened */
	bool anything; /* too many to remember */
};

struct ledger_thin {
	uint32_t id;
	uint32_t nr_blocks;
	struct ledger_cell *cells;
};

struct ledger {
	struct ledger_thin *thins;
	size_t nr_thins;
	uint32_t last_tag;
};

void ledger_exit(struct ledger *ledger);
void ledger_copy(struct ledger *to, const struct ledger *from);

/* NULL: it has none of this id. */
struct ledger_thin *ledger_find(const struct ledger *ledger, uint32_t id);

/* An empty volume, a copy of one, one less. */
void ledger_add(struct ledger *ledger, uint32_t id, uint32_t nr_blocks);
void ledger_add_snapshot(struct ledger *ledger, uint32_t id, uint32_t origin);
void ledger_remove(struct ledger *ledger, uint32_t id);

/* The content that a block has by the write with this tag. */
void ledger_fill(void *block, uint32_t tag);

/* A write with this tag, or with 0 a discard, has ended. */
void ledger_write(struct ledger_thin *thin, uint32_t vblock, uint32_t tag,
		  bool ok);

/* What has ended so far cannot be lost any more. */
void ledger_seal(struct ledger *ledger);

/* May the block begin like this? */
bool ledger_allows(const struct ledger_thin *thin, uint32_t vblock,
		   const void *block);

#endif
