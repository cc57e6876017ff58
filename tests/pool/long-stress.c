/*
 * The stress of test-stress.c, for longer, with other seeds.
 */
#include "support/pattern.h"
#include "support/run-tests.h"
#include "support/stress.h"

START_TEST(test_contents_are_right_whatever_happens_at_once_for_long)
{
	struct stress stress = {
		.seed = seed_from_environment(1000) + (uint64_t)_i,
		.seconds = 15,
		.on_files = _i % 2,
	};

	stress_run(&stress);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"stress", 4,
		test_contents_are_right_whatever_happens_at_once_for_long);
}
