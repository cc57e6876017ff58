/*
 * Some thousand seeds, from a place that is printed and can be chosen
 * (TEST_SEED): at least 20,000 crash points in all.
 */
#include "simulator/seeds.h"
#include "support/pattern.h"
#include "support/run-tests.h"

#define NR_ROUNDS 20
#define NR_SEEDS 130
#define NR_CRASH_POINTS (8 * NR_SEEDS) /* in each round */

START_TEST(test_no_seed_of_thousands_breaks_the_contract)
{
	struct totals totals;

	assert_seeds_hold(seed_from_environment(100000) +
				  (uint64_t)_i * NR_SEEDS,
			  NR_SEEDS, &totals);
	ck_assert_uint_ge(totals.stats.nr_crash_points, NR_CRASH_POINTS);
}
END_TEST

int main(void)
{
	return RUN_TESTS("seeds", NR_ROUNDS,
			 test_no_seed_of_thousands_breaks_the_contract);
}
