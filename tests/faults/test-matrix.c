/*
 * The fault matrix (crash-contract.md, 14), host-driven: each request of each
 * kind of operation fails, once and for good.
 */
#include <stdio.h>

#include "faults/matrix.h"

static const struct matrix_extent extent = {
	.kind = HOST_DRIVEN,
	.check_each = 8,
};

/* F-01 to F-13, A1 to A5, B-ABORT, B-FLUSH-10, B-WRITE-5, R-57. */
START_TEST(test_whichever_request_fails_nothing_that_was_promised_is_lost)
{
	unsigned nr = matrix_sweep(&scenarios[_i], &extent);

	fprintf(stderr, "%s: %u cases\n", scenarios[_i].name, nr);
	ck_assert_uint_gt(nr, 0);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"matrix", (int)nr_scenarios(),
		test_whichever_request_fails_nothing_that_was_promised_is_lost);
}
