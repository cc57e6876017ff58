/*
 * judge.h - what is left of a pool, judged by the crash contract.
 *
 * Each of these fails the test when it finds something that must not be.
 */
#ifndef TESTS_FAULTS_JUDGE_H
#define TESTS_FAULTS_JUDGE_H

#include "faults/run.h"

struct judge {
	struct run *run;
	bool aborted, failed;       /* the pool, while it was open */
	bool close_failed;          /* or it could not even be opened */
	char *seen[LEDGER_VOLUMES]; /* when it was last looked at */

	/* More to look at when the pool was opened anew; or NULL. */
	void (*more)(struct run *run);
};

/* Every sector of every volume; that it is as it was when last looked at. */
void judge_contents(struct judge *judge, enum ledger_view view);

/* It may have changed. */
void judge_forget(struct judge *judge);

/* Who vouches for its writes: each volume is flushed, twice, for what was lost
 * is not made good by trying again.  @healed: no device fails any more. */
void judge_flushes(struct judge *judge, bool healed);

/* A failed pool answers everything, and does nothing. */
void judge_nothing_works(struct judge *judge);

/* Which volumes there are, sizes, transaction id, metadata snapshot: what was
 * before a call that failed or, in doubt, what it would have made; after that
 * it is known. */
void judge_facts(struct judge *judge, bool in_doubt);

/* The pool is closed: nothing is wrong with the metadata, and nothing has
 * leaked (M2); needs_check, if it was set, goes (NCK-03). */
void judge_metadata(struct run *run);

/* The pool is closed, the devices work: it opens with contents by the rules,
 * which stay; after a check it is written again. */
void judge_reopened(struct judge *judge, bool superblock_began);

#endif
