/*
 * Four queues with overlapping bios, and snapshots, discards, deletes, hook
 * changes, growth and suspends at once: every read and every snapshot shows what
 * it may (B-REQ-4, B-SNAP-3, CON-02, CON-03, CON-04, F-27, F-28, R1, N1, N2).
 */
#include "support/pattern.h"
#include "support/run-tests.h"
#include "support/stress.h"

START_TEST(test_contents_are_right_whatever_happens_at_once)
{
	struct stress stress = {
		.seed = seed_from_environment(17),
		.seconds = 2,
		.on_files = _i,
	};

	stress_run(&stress);
}
END_TEST

int main(void)
{
	return RUN_TESTS("stress", 2,
			 test_contents_are_right_whatever_happens_at_once);
}
