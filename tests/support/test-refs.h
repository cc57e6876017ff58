/*
 * test-refs.h - counts of metadata blocks in an array, for tests of the btree.
 */
#ifndef TESTS_SUPPORT_TEST_REFS_H
#define TESTS_SUPPORT_TEST_REFS_H

#include "btree/refs.h"

struct test_refs {
	struct tpi_refs refs;
	tp_mblock nr_blocks, cursor;
	uint32_t *counts;   /* of the running transaction */
	uint32_t *durable;  /* of the last that was committed */
	uint64_t nr_allocs; /* left to succeed; UINT64_MAX: all */
};

void test_refs_init(struct test_refs *refs, tp_mblock nr_blocks);
void test_refs_exit(struct test_refs *refs);

/* The running transaction is durable: what it freed may be allocated. */
void test_refs_commit(struct test_refs *refs);

#endif
