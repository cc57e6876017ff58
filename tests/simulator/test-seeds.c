/*
 * The crash contract, by simulation: some hundred seeds, each a pool of its
 * own whose power fails again and again, also while it opens (crash-contract,
 * 2 to 13; CRS-06, CRS-11, CRS-12, B-CRASH-1, B-CRASH-21).
 *
 * ./dev simulate runs more of them, and replays one; long-seeds.c runs many.
 */
#include "simulator/seeds.h"
#include "support/run-tests.h"

#define NR_ROUNDS 5
#define NR_CRASH_POINTS 8 /* in each run, at least */

/* Five hundred in all; under a sanitizer, which takes ten times as long, a
 * fifth of that. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NR_SEEDS 20
#else
#define NR_SEEDS 100
#endif

START_TEST(test_no_seed_breaks_the_contract)
{
	struct totals totals;

	assert_seeds_hold(1 + (uint64_t)_i * NR_SEEDS, NR_SEEDS, false,
			  &totals);
	ck_assert_uint_eq(totals.nr_seeds, NR_SEEDS);
	ck_assert_uint_ge(totals.fewest_crash_points, NR_CRASH_POINTS);
}
END_TEST

/* The same seed, the same run, to the last event. */
START_TEST(test_a_seed_gives_the_same_run_each_time)
{
	struct job job = { .seed = 1 + (uint64_t)_i };
	struct outcome first, second;

	job_run_isolated(&job, &first);
	job_run_isolated(&job, &second);
	ck_assert_uint_ne(first.digest, 0);
	ck_assert_uint_eq(first.digest, second.digest);
}
END_TEST

int main(void)
{
	return RUN_TESTS("seeds", NR_ROUNDS, test_no_seed_breaks_the_contract,
			 test_a_seed_gives_the_same_run_each_time);
}
