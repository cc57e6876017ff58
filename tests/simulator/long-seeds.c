/*
 * Some thousand seeds, from a place that is printed and can be chosen
 * (TEST_SEED): at least 20,000 crash points in all.  Two thirds of the runs are
 * plain, and the more eventful in what all pools meet.
 */
#include "simulator/seeds.h"
#include "support/pattern.h"
#include "support/run-tests.h"

#define NR_ROUNDS 20
#define NR_PLAIN_ROUNDS 13
#define NR_SEEDS 130
#define NR_CRASH_POINTS (8 * NR_SEEDS) /* in each round */

START_TEST(test_no_seed_of_thousands_breaks_the_contract)
{
	bool plain = _i < NR_PLAIN_ROUNDS;
	uint64_t first = seed_from_environment(plain ? 100000 : 501);
	uint64_t round = plain ? (uint64_t)_i : (uint64_t)_i - NR_PLAIN_ROUNDS;
	struct totals totals;

	assert_seeds_hold(first + round * NR_SEEDS, NR_SEEDS, plain, &totals);
	ck_assert_uint_ge(totals.stats.nr_crash_points, NR_CRASH_POINTS);
}
END_TEST

int main(void)
{
	return RUN_TESTS("seeds", NR_ROUNDS,
			 test_no_seed_of_thousands_breaks_the_contract);
}
