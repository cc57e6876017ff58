/*
 * Power fails while a thin is deleted that is too big for one transaction, and
 * while it is emptied in the background (architecture.md, decision 12; K3, V1
 * to V3, M2, M3, S1, 6.6).  Some of the events are looked at;
 * long-deletion.c looks at all.
 */
#include "simulator/big-deletion.h"

START_TEST(test_a_big_thin_is_whole_or_gone_and_leaves_nothing_when_power_fails)
{
	const struct big_deletion how = {
		.seed = seed_from_environment(1),
		.call_one_in = 2,
		.rest_one_in = 8,
		.nr_images = 1,
		.read_one_in = 40,
	};

	big_deletion_play(&how);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"deletion", 1,
		test_a_big_thin_is_whole_or_gone_and_leaves_nothing_when_power_fails);
}
