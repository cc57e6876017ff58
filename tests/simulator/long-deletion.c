/*
 * Power fails while a thin is deleted that is too big for one transaction, and
 * while it is emptied in the background (architecture.md, decision 12; K3, V1
 * to V3, M2, M3, S1, 6.6).  Every event is looked at, several
 * images of each.
 */
#include "simulator/big-deletion.h"

START_TEST(test_a_big_thin_is_whole_or_gone_and_leaves_nothing_when_power_fails)
{
	const struct big_deletion how = {
		.seed = seed_from_environment(1) + (uint64_t)_i,
		.call_one_in = 1,
		.rest_one_in = 1,
		.nr_images = 2,
		.read_one_in = 7,
	};

	big_deletion_play(&how);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"deletion", 2,
		test_a_big_thin_is_whole_or_gone_and_leaves_nothing_when_power_fails);
}
