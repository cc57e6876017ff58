/*
 * The oracle can fail, and what it finds can be read: devices that lie about
 * their flushes (F-36) are found out, and a failing run is reduced to a few
 * steps.
 */
#include <stdlib.h>

#include "simulator/shrink.h"
#include "support/run-tests.h"

/* By what is found after a crash alone. */
static const struct workload_options lying = {
	.only_oracle = true,
	.device_flags = TP_SIMULATED_LYING_FLUSH,
};

/* F-36 */
START_TEST(test_devices_that_do_not_flush_are_caught)
{
	struct batch batch = { .from = 1, .nr = 20, .options = lying };
	struct totals totals;

	batch_run(&batch, &totals);
	ck_assert_uint_gt(totals.nr_failed, 0);
}
END_TEST

START_TEST(test_a_failing_run_is_reduced_to_few_steps_that_fail_too)
{
	struct job job = { .seed = 1, .options = lying };
	struct outcome outcome = { .digest = 0 }, again;
	uint32_t *numbers;
	unsigned nr;

	do
		job_run_isolated(&job, &outcome);
	while (!outcome.verdict.broken && ++job.seed);
	numbers = shrink(&job, &nr, &outcome);
	ck_assert(outcome.verdict.broken);
	ck_assert_uint_le(nr, 12);

	job.only = numbers;
	job.nr_only = nr;
	job_run_isolated(&job, &again);
	ck_assert(again.verdict.broken);
	ck_assert_str_eq(again.verdict.sentence, outcome.verdict.sentence);
	ck_assert_uint_eq(again.digest, outcome.digest);
	free(numbers);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"planted", 1, test_devices_that_do_not_flush_are_caught,
		test_a_failing_run_is_reduced_to_few_steps_that_fail_too);
}
