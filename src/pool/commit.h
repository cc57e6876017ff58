/*
 * commit.h - making transactions durable (architecture.md, decision 7).
 *
 * The pipeline, one deep:
 *
 *	prepare   read what closing will touch; T(r) goes on meanwhile
 *	close     T(r) becomes T(f), its set of mappings fixed; one step
 *	write     together: the pre-commit hook, which flushes the data device,
 *	          and the write-back of T(f)'s metadata blocks
 *	flush     the metadata device, when both have ended well
 *	switch    write the superblock, flush: T(f) is T(c)
 *
 * A crash before the superblock is written leaves T(c), after it T(f); while it
 * is being written one of them, for it changes one sector only (M8).
 *
 * Whoever asks while a transaction is on its way waits for the next one; all
 * who ask meanwhile share that (B-FLUSH-4).
 */
#ifndef TPI_POOL_COMMIT_H
#define TPI_POOL_COMMIT_H

#include "io/device.h"
#include "pool/epoch.h"
#include "pool/loop.h"
#include "space-map/data-space-map.h"

struct tp_bio;
struct tp_pool;

enum tpi_commit_stage {
	TPI_COMMIT_IDLE,
	TPI_COMMIT_PREPARE,
	TPI_COMMIT_WRITE,
	TPI_COMMIT_FLUSH,
	TPI_COMMIT_SWITCH,
	TPI_COMMIT_DATA_ONLY, /* nothing to commit: only the data is flushed */
};

/* What waits for a commit besides bios. */
struct tpi_commit_waiter {
	struct tpi_list entry;
	void (*committed)(struct tpi_commit_waiter *waiter, int error);
};

/* A closed transaction on its way to being settled: durable, and all bios that
 * were in flight when it closed have ended. */
struct tpi_settlement {
	struct tpi_list entry;
	struct tp_pool *pool;
	uint64_t transaction;
	struct tpi_freed_run *runs;
	size_t nr_runs, next_run;
	bool dropped; /* references to data blocks were dropped in it */
	bool durable, quiet;
	struct tpi_grace grace;
	struct tp_device_request request; /* of the run being passed down */
	bool passing_down;
};

struct tpi_commit {
	enum tpi_commit_stage stage;
	bool wanted;
	bool held; /* T(r) is in the middle of something that goes as one */
	struct tpi_task task;
	struct tpi_timer tick;
	uint64_t begun_ns, last_ns; /* of the last one */
	_Atomic uint64_t nr_commits;

	/* Who waits for the next transaction, and for the one on its way. */
	struct tpi_list waiters, bios;
	struct tpi_list committing_waiters, committing_bios;

	unsigned nr_pending; /* of the write stage: hook and write-back */
	int error;
	struct tp_device_request request;
	struct iovec iov;
	void *superblock; /* 4096 bytes, aligned */
	struct tpi_commit_waiter data_flush;

	/* Closing found no memory: when it tries again, how often it has. */
	struct tpi_timer retry;
	unsigned nr_retries;

	/* In order of their transactions; settled and being passed down.  And
	 * one for when there is no memory, or NULL while it is in use. */
	struct tpi_list settlements;
	struct tpi_settlement *spare_settlement;
	uint64_t settled; /* up to this transaction all are */
};

int tpi_commit_init(struct tp_pool *pool);
void tpi_commit_exit(struct tp_pool *pool);

/* See to it that what is changed now gets durable. */
void tpi_commit_want(struct tp_pool *pool);

/* The same, and wait: with 0, or an error if it did not. */
void tpi_commit_wait(struct tp_pool *pool, struct tpi_commit_waiter *waiter);
void tpi_commit_wait_bio(struct tp_pool *pool, struct tp_bio *bio);

/* Is a transaction on its way? */
static inline bool tpi_commit_is_busy(const struct tpi_commit *commit)
{
	return commit->stage > TPI_COMMIT_PREPARE;
}

/* Is anything but reading under way for a commit, or a settlement? */
bool tpi_commit_is_quiet(const struct tp_pool *pool);

/* The tick of the clock starts, and stops. */
void tpi_commit_start_tick(struct tp_pool *pool);
void tpi_commit_stop_tick(struct tp_pool *pool);

/* A data flush beside the commits failed, and what was written may be gone:
 * what is not known to be flushed is given up, and who waits is told. */
void tpi_commit_data_lost(struct tp_pool *pool, int error);

/* Fail all who wait: an abort. */
void tpi_commit_fail_waiters(struct tp_pool *pool, int error);

/*---------------------------- settling (settle.c) --------------------------*/

/* A transaction closes: remember what it freed.  Before the close, so that it
 * cannot fail after. */
int tpi_settle_begin(struct tp_pool *pool, struct tpi_settlement **settlement);
void tpi_settle_closed(struct tp_pool *pool, struct tpi_settlement *settlement);
void tpi_settle_cancel(struct tpi_settlement *settlement); /* it did not */
void tpi_settle_durable(struct tp_pool *pool, uint64_t transaction);

/* Is it sure that no reference to a data block was dropped in a closed
 * transaction that is not settled? */
bool tpi_settle_nothing_dropped(const struct tp_pool *pool);

/* Forget them all: an abort, or the end.  None is being passed down. */
void tpi_settle_drop_all(struct tp_pool *pool);
bool tpi_settle_is_passing_down(const struct tp_pool *pool);

#endif
