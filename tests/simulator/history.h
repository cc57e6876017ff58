/*
 * history.h - what was submitted, when it ended, and what is sealed.
 *
 * The order of events, as the host sees them, is all the time there is: each
 * submission and each completion has a number.  A came before B if A had
 * completed when B was submitted; else they are concurrent (section 1).
 *
 * Operation 0 is what was there before all others: the initial value.
 */
#ifndef TESTS_SIMULATOR_HISTORY_H
#define TESTS_SIMULATOR_HISTORY_H

#include <stdbool.h>
#include <thinpool/types.h>

#define INITIAL 0
#define NOT_YET UINT64_MAX

struct operation {
	enum tp_op op;
	unsigned flags;
	uint32_t volume;
	uint64_t begin, end; /* sectors */
	bool zeroes;         /* a write of nothing but them */
	uint64_t submit, completion;
	int status;
	bool ok;     /* ended with success; of a write refused: false */
	bool sealed; /* survives a crash (section 5) */
	bool maybe;  /* ended with success, and yet its effect is in doubt */
	bool had_to_wait; /* for space: then each block of it is on its own */
	bool may_fail;    /* a device request failed while it was in flight */
};

struct history {
	struct operation *operations;
	uint32_t nr, room;
	uint32_t first; /* what came before is of no interest any more */
	uint64_t now;
};

void history_init(struct history *history);
void history_exit(struct history *history);
void history_copy(struct history *to, const struct history *from);

static inline uint64_t history_tick(struct history *history)
{
	return ++history->now;
}

/* Its number.  The pointers of others are void after this. */
uint32_t history_submit(struct history *history,
			const struct operation *operation);

static inline struct operation *history_get(const struct history *history,
					    uint32_t number)
{
	return &history->operations[number];
}

/* @a -> @b of section 1. */
static inline bool is_before(const struct operation *a,
			     const struct operation *b)
{
	return a->completion < b->submit;
}

/* Every successful operation of @volume that completed before @time is sealed
 * (S2 to S4). */
void history_seal(struct history *history, uint32_t volume, uint64_t time);

/* The submission of the oldest read in flight; NOT_YET if there is none. */
uint64_t history_oldest_read(const struct history *history);

/* Power failed, and what the devices hold has been looked at: whatever was done
 * before is now part of the initial values. */
void history_restart(struct history *history);

#endif
