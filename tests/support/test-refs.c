/*
 * test-refs.c - counts of metadata blocks in an array, for tests of the btree.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "support/test-refs.h"

static struct test_refs *of(const struct tpi_refs *refs)
{
	return tpi_container_of(refs, struct test_refs, refs);
}

/* Round and round, so that blocks are not used again at once. */
static int test_alloc(struct tpi_refs *refs, tp_mblock *block)
{
	struct test_refs *test = of(refs);

	if (!test->nr_allocs)
		return -ENOSPC;
	for (tp_mblock i = 0; i < test->nr_blocks; i++) {
		tp_mblock b = (test->cursor + i) % test->nr_blocks;

		if (test->counts[b] || test->durable[b])
			continue;
		test->counts[b] = 1;
		test->cursor = b + 1;
		if (test->nr_allocs != UINT64_MAX)
			test->nr_allocs--;
		*block = b;
		return 0;
	}

	return -ENOSPC;
}

static int test_inc(struct tpi_refs *refs, tp_mblock begin, tp_mblock end)
{
	struct test_refs *test = of(refs);

	for (tp_mblock b = begin; b < end; b++) {
		if (b >= test->nr_blocks)
			return tpi_damage("test refs", "inc past the end");
		test->counts[b]++;
	}

	return 0;
}

static int test_dec(struct tpi_refs *refs, tp_mblock begin, tp_mblock end)
{
	struct test_refs *test = of(refs);

	for (tp_mblock b = begin; b < end; b++) {
		if (b >= test->nr_blocks || !test->counts[b])
			return tpi_damage("test refs", "dec of none");
		test->counts[b]--;
	}

	return 0;
}

static uint32_t test_count(const struct tpi_refs *refs, tp_mblock block)
{
	return block < of(refs)->nr_blocks ? of(refs)->counts[block] : 0;
}

static tp_mblock test_nr_blocks(const struct tpi_refs *refs)
{
	return of(refs)->nr_blocks;
}

static const struct tpi_refs_ops test_refs_ops = {
	.alloc = test_alloc,
	.inc = test_inc,
	.dec = test_dec,
	.count = test_count,
	.nr_blocks = test_nr_blocks,
};

void test_refs_init(struct test_refs *refs, tp_mblock nr_blocks)
{
	*refs = (struct test_refs){
		.refs.ops = &test_refs_ops,
		.nr_blocks = nr_blocks,
		.nr_allocs = UINT64_MAX,
	};
	refs->counts = calloc(nr_blocks, sizeof(*refs->counts));
	refs->durable = calloc(nr_blocks, sizeof(*refs->durable));
	ck_assert(refs->counts && refs->durable);

	/* The superblock. */
	refs->counts[0] = refs->durable[0] = 1;
}

void test_refs_exit(struct test_refs *refs)
{
	free(refs->counts);
	free(refs->durable);
}

void test_refs_commit(struct test_refs *refs)
{
	memcpy(refs->durable, refs->counts,
	       refs->nr_blocks * sizeof(*refs->counts));
}
