/*
 * failure.h - what a request that failed was for, as the log tells.
 */
#ifndef TESTS_FAULTS_FAILURE_H
#define TESTS_FAULTS_FAILURE_H

#include "support/world.h"

/* The first request that failed, as the number of its end; UINT_MAX: none. */
unsigned failure_find(struct io_log *log);

/* Did somebody else than us make the first request that failed? */
bool failure_is_of_another_thread(struct io_log *log);

/* Was that one the superblock, or the flush that makes it durable? */
bool failure_is_superblocks(struct io_log *log, unsigned end);

/* Has a flush of the data device that a commit made failed? */
bool failure_of_a_commits_flush(struct io_log *log);

/* Has a superblock been on its way at all? */
bool failure_superblock_began(struct io_log *log);

#endif
