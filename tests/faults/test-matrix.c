/*
 * The fault matrix (crash-contract.md, 14): each request of each kind of
 * operation fails, once and for good.  The rest of it is in long-whole-matrix.c.
 */
#include "faults/matrix.h"

/* F-01 to F-13, A1 to A5, K1 to K5, B-ABORT, B-FLUSH-10, B-WRITE-5,
 * B-WRITE-6, R-51, R-57, R-72, R-86, NCK-03. */
START_TEST(test_whichever_request_fails_nothing_that_was_promised_is_lost)
{
	static const struct matrix_extent extent = {
		.kind = HOST_DRIVEN,
		.check_each = 32,
		.every_big = 8,
	};

	ck_assert_uint_gt(matrix_sweep(&scenarios[_i], &extent), 0);
}
END_TEST

/* The same with a thread of the pool's, of every fourth. */
START_TEST(test_nor_does_it_matter_who_runs_the_loop)
{
	static const struct matrix_extent extent = {
		.kind = OWN_THREAD,
		.check_each = 32,
		.every_big = 8,
	};

	if (_i % 4 == 1)
		ck_assert_uint_gt(matrix_sweep(&scenarios[_i], &extent), 0);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"matrix", (int)nr_scenarios(),
		test_whichever_request_fails_nothing_that_was_promised_is_lost,
		test_nor_does_it_matter_who_runs_the_loop);
}
