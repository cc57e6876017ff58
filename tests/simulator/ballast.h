/*
 * ballast.h - a thin that is too big to be deleted in one transaction
 * (architecture.md, decision 12).
 *
 * In some runs the first slot's volume is there from the beginning, and far
 * past the end of what is looked at it maps some thousand blocks: the ballast.  It
 * takes all of the data device but a few blocks.
 * Snapshots share it, discards through a large handle unmap it, and whoever
 * deletes the last volume that has it leaves the pool something to empty in the
 * background.  The oracle knows of it only that it is whole, until a discard
 * reaches it.
 */
#ifndef TESTS_SIMULATOR_BALLAST_H
#define TESTS_SIMULATOR_BALLAST_H

#include "simulator/run.h"

/* In the formatted pool, before anything looks at it. */
void ballast_make(struct run *run);

/* The volume in @slot has all of it, if it has to. */
bool ballast_check(struct run *run, unsigned slot);

/* What has been deleted is emptied in the end, and leaves nothing (K3). */
void ballast_await_end(struct run *run);

#endif
