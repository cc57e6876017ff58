/*
 * commit-steps.h - keep a commit back at one of its steps, or have it fail there.
 */
#ifndef TESTS_SUPPORT_COMMIT_STEPS_H
#define TESTS_SUPPORT_COMMIT_STEPS_H

#include "support/world.h"

enum commit_step {
	DATA_FLUSH,
	WRITE_BACK, /* of all metadata blocks but the superblock */
	METADATA_FLUSH,
	SUPERBLOCK,
	SUPERBLOCK_FLUSH,
	NR_COMMIT_STEPS,
};

/* The next commits stop at @step; commit_await() until one is there. */
void commit_stop_at(struct world *w, enum commit_step step);
void commit_await(struct world *w, enum commit_step step);
void commit_go_on(struct world *w);

/* The next commit fails at @step, or, @times 0, every one. */
void commit_fail_at(struct world *w, enum commit_step step, unsigned times);
void commit_heal(struct world *w);

/* How many superblock writes have begun since the log was cleared. */
unsigned nr_superblocks(struct io_log *log);

#endif
