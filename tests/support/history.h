/*
 * history.h - what a sector may read as while many bios overlap (crash contract,
 * sections 3, 4 and 7), for threads that write as they please.
 *
 * Every written sector names its operation.  Times are ticks of one counter,
 * taken before an operation is submitted and after it has ended; so what the
 * history takes to overlap may not have, and it is never too strict.
 *
 * Of each sector it keeps a floor: the latest submission among the operations
 * that have ended.  Whatever ended before the floor has been written over, and
 * a read that begins now must not show it (R1).
 *
 * Threads: any.  A volume has a lock.
 */
#ifndef TESTS_SUPPORT_HISTORY_H
#define TESTS_SUPPORT_HISTORY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_READ_SECTORS 8192u
#define HISTORY_NEVER UINT64_MAX /* not ended yet */

struct history_op {
	_Atomic uint64_t submitted, ended;
	struct history_volume *volume;
	uint32_t begin, end; /* sectors */
	bool blanks;         /* a discard or zeroes; else it writes tags */
};

struct history_sector {
	uint64_t floor;
	uint64_t ended;       /* when the last operation on it had */
	uint64_t blanked;     /* when the last that blanked it had ended */
	uint32_t nr_blanking; /* under way */
	uint32_t nr_under_way;
};

struct history_volume {
	struct history *history;
	pthread_mutex_t lock;
	uint32_t nr_sectors;
	struct history_sector *sectors;

	/* While a cut is taken: the operations that end. */
	bool recording;
	uint32_t *recorded;
	size_t nr_recorded, room_recorded;
};

struct history {
	_Atomic uint64_t clock;
	atomic_uint nr_ops;
	bool may_tear; /* below is a page cache: who reads what is being written
			* may see half of it */
	struct history_op *ops;
};

/* Room for so many operations; 0 is none of them. */
void history_init(struct history *history);
void history_exit(struct history *history);
bool history_is_full(const struct history *history);

/* All sectors are zero. */
void history_volume_init(struct history *history, struct history_volume *volume,
			 uint64_t bytes);
void history_volume_exit(struct history_volume *volume);

/* An operation is about to be submitted; its number.  And it has ended, well. */
uint32_t history_begin(struct history_volume *volume, uint64_t offset,
		       uint64_t length, bool blanks);
void history_end(struct history *history, uint32_t op);

/* What the operation writes. */
void history_fill(struct history *history, uint32_t op, char *buffer);

/* A read that is under way. */
struct history_read {
	struct history_volume *volume;
	uint64_t submitted;
	uint32_t begin, end;
	uint64_t floors[HISTORY_READ_SECTORS];
};

/* It is about to be submitted; and it has ended: asserts what it shows. */
void history_begin_read(struct history_volume *volume, uint64_t offset,
			uint64_t length, struct history_read *read);
void history_check_read(const struct history_read *read, const char *buffer);

/* An instant of a volume, as a snapshot shows it (N1). */
struct history_cut {
	struct history_volume *volume;
	uint64_t begin, end; /* of the call */
	struct history_sector *before, *after;
	uint32_t *recorded;
	size_t nr_recorded;
};

/* Before the call and after it; one cut of a volume at a time. */
void history_begin_cut(struct history_volume *volume, struct history_cut *cut);
void history_end_cut(struct history_cut *cut);

/*
 * Asserts of @content, which is all of the snapshot: what ended before the call
 * is in it, what was submitted after is not; with an operation everything that
 * ended before that is in; and each is in it wholly or not at all.
 */
void history_check_cut(const struct history_cut *cut, const char *content);
void history_cut_exit(struct history_cut *cut);

#endif
