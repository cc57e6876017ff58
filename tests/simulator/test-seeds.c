/*
 * The crash contract, by simulation: some hundred seeds, each a pool of its
 * own whose power fails again and again (crash-contract, 2 to 13).
 *
 * ./dev simulate runs more of them, and replays one; long-seeds.c runs many.
 */
#include "simulator/isolate.h"
#include "support/run-tests.h"

#define NR_SEEDS 500

START_TEST(test_no_seed_breaks_the_contract)
{
	struct batch batch = { .from = 1, .nr = NR_SEEDS };
	struct totals totals;

	batch_run(&batch, &totals);
	printf("%llu seeds, %llu crash points, %llu images, %llu crashes, "
	       "%.1f s\n",
	       (unsigned long long)totals.nr_seeds,
	       (unsigned long long)totals.stats.nr_crash_points,
	       (unsigned long long)totals.stats.nr_images,
	       (unsigned long long)totals.stats.nr_crashes, totals.seconds);
	ck_assert_msg(!totals.nr_failed,
		      "seed %llu: %s; ./dev simulate --from %llu --trace",
		      (unsigned long long)totals.failed_seed,
		      totals.verdict.sentence,
		      (unsigned long long)totals.failed_seed);
	ck_assert_uint_eq(totals.nr_seeds, NR_SEEDS);
	ck_assert_uint_ge(totals.stats.nr_crash_points, 4 * NR_SEEDS);
}
END_TEST

/* The same seed, the same run, to the last event. */
START_TEST(test_a_seed_gives_the_same_run_each_time)
{
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct job job = { .seed = seed };
		struct outcome first, second;

		job_run_isolated(&job, &first);
		job_run_isolated(&job, &second);
		ck_assert_uint_ne(first.digest, 0);
		ck_assert_uint_eq(first.digest, second.digest);
	}
}
END_TEST

int main(void)
{
	return RUN_TESTS("seeds", 1, test_no_seed_breaks_the_contract,
			 test_a_seed_gives_the_same_run_each_time);
}
