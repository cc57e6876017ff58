/*
 * ledger.h - what each sector of each volume may hold.
 *
 * Every operation on a volume is entered when it is submitted and when it ends.
 * From that alone follows what a read may give (crash-contract.md, 4), what
 * survives a crash or an abort (5 and 6), and which volumes must go on failing
 * their flushes (A2, F-07).  A volume is a list of a few operations; nothing is
 * kept by the sector.
 */
#ifndef TESTS_FAULTS_LEDGER_H
#define TESTS_FAULTS_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#define LEDGER_OPS 64
#define LEDGER_VOLUMES 8

/* Contents: a pattern's seed, or one of these. */
#define LEDGER_ZERO 0u
#define LEDGER_BLANK UINT64_MAX /* zero, or the external origin */

struct ledger_op {
	uint64_t begin, end; /* bytes */
	uint64_t content;
	unsigned submitted, ended; /* 0: not yet */
	bool ok, sealed;
	bool flushed; /* with the data, though nobody was told so */
	bool perhaps; /* so, for it may have ended before we heard of it */
};

struct ledger_volume {
	uint32_t id;
	bool exists;
	bool doubtful; /* a call that would change that has failed */
	bool marked;   /* it lost something: its flushes must fail */
	bool touched;  /* a snapshot of it has failed: they may */
	uint64_t origin_seed, origin_bytes; /* an external one, or 0 */
	unsigned nr_ops;
	struct ledger_op ops[LEDGER_OPS]; /* the first: its initial value */
};

/* A number in the superblock; after a failed call it may be the other. */
struct ledger_fact {
	uint64_t value, other;
};

struct ledger {
	unsigned now;
	bool hears_late; /* of what has ended: a pool with a thread of its own */
	uint64_t next_seed;
	struct ledger_volume volumes[LEDGER_VOLUMES];
	struct ledger_fact transaction_id, held, data_blocks, metadata_blocks;
};

void ledger_init(struct ledger *ledger);

/* The volume, made if there was none of this id; it does not exist yet. */
struct ledger_volume *ledger_volume(struct ledger *ledger, uint32_t id);

/* A moment of its own. */
unsigned ledger_tick(struct ledger *ledger);

/*---------------------------- operations -----------------------------------*/

/* A write of a pattern of its own, of zeroes, or a discard, begins; the op. */
struct ledger_op *ledger_begin(struct ledger *ledger,
			       struct ledger_volume *volume, uint64_t begin,
			       uint64_t end, uint64_t content);
uint64_t ledger_new_seed(struct ledger *ledger);
void ledger_end(struct ledger *ledger, struct ledger_op *op, bool ok);

/* A write with FUA ended well (S1). */
void ledger_seal(struct ledger_op *op);

/* A flush of the volume, submitted at @began, ended well (S2).  One of a volume
 * that lost something must not. */
void ledger_flushed(struct ledger_volume *volume, unsigned began);

/* A call that commits, begun then, ended well (S3, S4). */
void ledger_committed(struct ledger *ledger, unsigned began);

/*
 * The data device was flushed during what was begun then.  If it failed, volumes
 * with writes that had ended before, and that no earlier flush saw to, have lost
 * them (F-07, B-FLUSH-10).
 */
void ledger_data_flushed(struct ledger *ledger, unsigned began, bool ok);

/* A snapshot is taken, or may have been (N1 to N3). */
void ledger_snapshot(struct ledger *ledger, struct ledger_volume *volume,
		     struct ledger_volume *origin, bool ok);
void ledger_created(struct ledger_volume *volume, bool ok);
void ledger_deleted(struct ledger_volume *volume, bool ok);

/*---------------------------- what may be seen -----------------------------*/

/* LIVE: reads without a crash (4).  CRASHED: since the last thing that sealed,
 * power has failed or a transaction was given up (6, A1). */
enum ledger_view { LEDGER_LIVE, LEDGER_CRASHED };

/* Fails the test unless each sector of [begin, end), which reads as @bytes, is
 * one that may be seen. */
void ledger_check(const struct ledger_volume *volume, enum ledger_view view,
		  const char *bytes, uint64_t begin, uint64_t end);

#endif
