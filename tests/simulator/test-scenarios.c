/*
 * Power fails at every device event of short stories, one for each thing that
 * a pool does (crash-contract, 13); of what it may leave, a share is looked
 * at.  long-scenarios.c looks at all.
 *
 * First writes, plain and with FUA, and overwritten ones, flushed or not, on one
 * volume and beside another (CRS-07 to CRS-09, CRS-13, B-FLUSH-1); every call
 * (CRS-10); snapshots under writes and discards (B-CRASH-18, -19); without
 * zeroing (B-CRASH-8).  Whatever is left has to be what the host may expect of
 * each sector (B-CRASH-3), with nothing of another volume (B-CRASH-5).
 */
#include "simulator/scenario.h"
#include "support/run-tests.h"

#define EVERY 16

/* A round of the test is a scenario. */
START_TEST(test_power_fails_at_every_device_event)
{
	enum scenario scenario = (enum scenario)_i;
	struct stats stats = { .nr_images = 0 };
	struct verdict verdict = { .broken = false };

	scenario_play(scenario, EVERY, 1, &stats, &verdict);
	printf("%s: %llu crash points, %llu images\n", scenario_name(scenario),
	       (unsigned long long)stats.nr_crash_points,
	       (unsigned long long)stats.nr_images);
	ck_assert_msg(!verdict.broken, "%s, event %llu: %s",
		      scenario_name(scenario),
		      (unsigned long long)stats.nr_crash_points,
		      verdict.sentence);
	ck_assert_uint_gt(stats.nr_crash_points, 10);
}
END_TEST

int main(void)
{
	return RUN_TESTS("scenarios", NR_SCENARIOS,
			 test_power_fails_at_every_device_event);
}
