/*
 * As test-scenarios.c, and everything that a crash may leave is looked at.
 */
#include "simulator/scenario.h"
#include "support/run-tests.h"

START_TEST(test_all_that_any_crash_may_leave_is_right)
{
	enum scenario scenario = (enum scenario)_i;
	struct stats stats = { .nr_images = 0 };
	struct verdict verdict = { .broken = false };

	scenario_play(scenario, 1, 1, &stats, &verdict);
	printf("%s: %llu crash points, %llu images\n", scenario_name(scenario),
	       (unsigned long long)stats.nr_crash_points,
	       (unsigned long long)stats.nr_images);
	ck_assert_msg(!verdict.broken, "%s, event %llu: %s",
		      scenario_name(scenario),
		      (unsigned long long)stats.nr_crash_points,
		      verdict.sentence);
}
END_TEST

int main(void)
{
	return RUN_TESTS("scenarios", NR_SCENARIOS,
			 test_all_that_any_crash_may_leave_is_right);
}
