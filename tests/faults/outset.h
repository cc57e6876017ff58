/*
 * outset.h - the pool that each case begins with, to come back to.
 *
 * Thin 1: blocks 1 to 4 are shared with thin 2, a snapshot; 0 and 5 are its own;
 * 6 and 7 are not mapped.  Thin 3 has its blocks 0 and 1.  Thin 4 lies over an
 * external origin, with nothing mapped.
 */
#ifndef TESTS_FAULTS_OUTSET_H
#define TESTS_FAULTS_OUTSET_H

#include "faults/image.h"
#include "faults/run.h"

#define OUTSET_BLANK 1u /* devices that are not formatted, instead */
#define OUTSET_BIG 2u   /* and RUN_BIG_THIN: many leaves, outside the ledger */
#define OUTSET_FULL 4u  /* and RUN_FILLER, which leaves no data block free */

struct outset {
	struct run *run;
	struct image metadata, data;
	struct ledger ledger;
	unsigned nr_freed; /* since it was opened */
};

/* @kind: HOST_DRIVEN (by a virtual clock), OWN_THREAD.  Nothing is open. */
void outset_make(struct outset *outset, struct run *run, int kind,
		 unsigned flags);
void outset_drop(struct outset *outset);

/* Nothing is open: devices and ledger are as they were made. */
void outset_restore(struct outset *outset);

/* The pool, and all volumes. */
void outset_open(struct outset *outset);

/* Of OUTSET_FULL: so many more blocks are discarded, and not committed. */
void outset_free(struct outset *outset, unsigned nr_blocks);

#endif
