/*
 * candidates.h - the values that one sector may have, oldest first.
 *
 * A list begins with what was there initially, which may itself be one of
 * several values; then come the writes and discards of the sector.  Which of
 * them a read may return, and which may be found after a crash, are questions
 * about the same list (R1 and 6.1).
 *
 * An empty list stands for a sector that was never touched: it is blank.
 */
#ifndef TESTS_SIMULATOR_CANDIDATES_H
#define TESTS_SIMULATOR_CANDIDATES_H

#include "simulator/history.h"

/*
 * A value is the number of the operation that wrote it, or one of these.
 * INITIAL's number is never a value.
 */
enum {
	VALUE_BLANK = UINT32_MAX - 3, /* zero, or the external origin */
	VALUE_ZERO,                   /* written as such */
	VALUE_ANY,                    /* what stood there was not cleared */
	VALUE_NONE,                   /* never right */
};

struct candidate {
	uint32_t operation;
	uint32_t value;

	/* When a read after a rollback showed something else (A1): none that is
	 * submitted later shows this.  What power leaves may.  0: never. */
	uint32_t gone;
};

#define NR_FEW 3

struct candidates {
	uint32_t nr, room; /* room: of many, or 0 */
	union {
		struct candidate few[NR_FEW];
		struct candidate *many;
	};
};

void candidates_exit(struct candidates *list);
void candidates_copy(struct candidates *to, const struct candidates *from);

const struct candidate *candidates_get(const struct candidates *list,
				       uint32_t i);
void candidates_add(struct candidates *list, struct candidate candidate);

/* @value and nothing else, initially. */
void candidates_set(struct candidates *list, uint32_t value);

/* Candidate @i is gone now. */
void candidates_forget(struct candidates *list, uint32_t i, uint64_t now);

/* A rollback decides anew. */
void candidates_thaw(struct candidates *list);

/* Is @value one of them? */
bool candidates_have(const struct candidates *list, uint32_t value);

/* It had no effect after all (R4). */
void candidates_withdraw(struct candidates *list, uint32_t operation);

/*
 * May a read that was submitted at @submit, and ends now, return candidate @i
 * (R1, R2)?  A snapshot is a read of everything at once: the same holds for the
 * initial values of one whose creation began then (N1).
 *
 * @rolled_back: when the pool last fell back to its last durable transaction;
 * what was not sealed by then and came before may be gone (A1).
 */
bool candidates_may_read(const struct candidates *list, uint32_t i,
			 const struct history *history, uint64_t submit,
			 uint64_t rolled_back);

/*
 * May candidate @i be there after a crash now (6.1)?  @sealed_until: what
 * completed before is sealed besides, as by a snapshot that was made but not
 * yet reported (N3).
 */
bool candidates_may_survive(const struct candidates *list, uint32_t i,
			    const struct history *history,
			    uint64_t sealed_until);

/* Forget what neither a crash nor a read submitted at @horizon or later can
 * bring back. */
void candidates_prune(struct candidates *list, const struct history *history,
		      uint64_t horizon);

#endif
