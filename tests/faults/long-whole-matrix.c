/*
 * The fault matrix (crash-contract.md, 14), all of it: with everything that a
 * device may answer, and of a write that fails nothing, half or all of it
 * arriving; and on a pool with a thread of its own.
 */
#include "faults/matrix.h"
#include "faults/outset.h"

/* F-01 to F-13, A1 to A5, K1 to K5, B-ABORT, B-FLUSH-10, B-WRITE-5, R-51, R-57,
 * NCK-03. */
START_TEST(test_whatever_a_device_answers_nothing_that_was_promised_is_lost)
{
	static const struct matrix_extent extent = {
		.kind = HOST_DRIVEN,
		.check_each = 32,
		.all_statuses = true,
		.every_big = 1,
	};

	ck_assert_uint_gt(matrix_sweep(&scenarios[_i], &extent), 0);
}
END_TEST

START_TEST(test_nor_does_it_matter_who_runs_the_loop)
{
	static const struct matrix_extent extent = {
		.kind = OWN_THREAD,
		.check_each = 32,
		.every_big = 8,
	};

	/* What is emptied in the background goes on when the act is over: with a
	 * thread of the pool's nobody can tell when, nor what then failed. */
	if (!(scenarios[_i].flags & SCENARIO_TICKS) &&
	    !(scenarios[_i].outset & OUTSET_BIG))
		ck_assert_uint_gt(matrix_sweep(&scenarios[_i], &extent), 0);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"matrix", (int)nr_scenarios(),
		test_whatever_a_device_answers_nothing_that_was_promised_is_lost,
		test_nor_does_it_matter_who_runs_the_loop);
}
