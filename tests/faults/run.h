/*
 * run.h - a pool at work while something fails, and the ledger of it.
 *
 * What a scenario does to the pool goes through here: each operation is carried
 * out, entered in the ledger, and answered with its status.  Nothing here minds
 * an error; matrix.c judges.
 */
#ifndef TESTS_FAULTS_RUN_H
#define TESTS_FAULTS_RUN_H

#include <thinpool/catalogue.h>

#include "faults/ledger.h"
#include "support/world.h"

#define RUN_THIN_BYTES (8 * WORLD_BLOCK)
#define RUN_BIOS 12

/* A thin of many blocks, which none of the bios here touch. */
#define RUN_BIG_THIN 11u
#define RUN_BIG_BLOCKS 34000u

/* One that has all blocks that would be free. */
#define RUN_FILLER 12u

struct run_bio {
	struct io io;
	struct ledger_volume *volume;
	struct ledger_op *op; /* NULL: of a read or a flush */
	unsigned began;
	char *buffer;
	bool under_way;
};

struct run {
	struct world w;
	struct observer origin; /* an external one */
	bool has_origin;
	struct ledger ledger;
	struct tp_queue *queue;
	struct tp_thin *thins[LEDGER_VOLUMES]; /* as in the ledger */
	struct tp_catalogue *catalogue;
	unsigned nr_suspends;
	unsigned nr_noticed; /* how much of the log */
	struct run_bio bios[RUN_BIOS];
};

/*---------------------------- the pool -------------------------------------*/

int run_open(struct run *run);

/* Handles and queue too; 0 without a pool. */
int run_close(struct run *run);

/* A handle, and a queue when it is the first. */
int run_open_thin(struct run *run, uint32_t id);
void run_close_thin(struct run *run, uint32_t id);
struct tp_thin *run_thin(struct run *run, uint32_t id);

/*---------------------------- bios -----------------------------------------*/

/* Submit, of a pattern of its own if it is a write; wait, for all; the status,
 * of several the first that is an error. */
struct run_bio *run_submit(struct run *run, enum tp_op op, uint32_t id,
			   uint64_t offset, uint64_t length, unsigned flags);
int run_wait(struct run *run);

/* Enter those that have ended already; the first error. */
int run_reap(struct run *run);

/* Wait for one that was submitted otherwise; its status. */
int run_io(struct run *run, struct io *io);

/* Submit and wait. */
int run_bio(struct run *run, enum tp_op op, uint32_t id, uint64_t offset,
	    uint64_t length, unsigned flags);

static inline int run_write(struct run *run, uint32_t id, uint64_t offset,
			    uint64_t length, unsigned flags)
{
	return run_bio(run, TP_WRITE, id, offset, length, flags);
}

static inline int run_flush(struct run *run, uint32_t id)
{
	return run_bio(run, TP_FLUSH, id, 0, 0, 0);
}

/*---------------------------- calls ----------------------------------------*/

int run_create(struct run *run, uint32_t id);
int run_snapshot(struct run *run, uint32_t id, uint32_t origin);
int run_snapshots(struct run *run, const struct tp_snapshot_pair *pairs,
		  size_t nr);
int run_delete(struct run *run, uint32_t id);
int run_commit(struct run *run);
int run_set_transaction_id(struct run *run, uint64_t next);
int run_reserve(struct run *run);
int run_release(struct run *run);

/* The device has grown to so many bytes. */
int run_grow_data(struct run *run, uint64_t bytes);
int run_grow_metadata(struct run *run, uint64_t bytes);
int run_suspend(struct run *run);
int run_resume(struct run *run);

/* What reads may give now. */
enum ledger_view run_view(struct run *run);

/* Tell the ledger of data flushes during what was begun then. */
void run_notice(struct run *run, unsigned began);

#endif
