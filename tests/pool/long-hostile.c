/*
 * Metadata that was damaged on purpose does no harm: test-hostile.c with many
 * seeds.
 */
#include "pool/hostile.h"
#include "support/run-tests.h"

START_TEST(test_undamaged_pools_pass)
{
	static const struct hostile_seeds seeds = { 1000, 100, 80 };

	hostile_undamaged((enum specimen_kind)_i, &seeds);
}
END_TEST

START_TEST(test_damage_that_shows_never_leads_to_wrong_data)
{
	static const struct hostile_seeds seeds = { 1000, 1000, 40 };

	hostile_unsealed((enum specimen_kind)_i, &seeds);
}
END_TEST

START_TEST(test_damage_with_good_checksums_does_no_harm)
{
	static const struct hostile_seeds seeds = { 1000, 2000, 40 };

	hostile_sealed((enum specimen_kind)_i, &seeds);
}
END_TEST

START_TEST(test_lost_writes_do_no_harm)
{
	static const struct hostile_seeds seeds = { 1000, 300, 40 };

	hostile_lost_writes((enum specimen_kind)_i, &seeds);
}
END_TEST

int main(void)
{
	return RUN_TESTS("long-hostile", SPECIMEN_NR_KINDS,
			 test_undamaged_pools_pass,
			 test_damage_that_shows_never_leads_to_wrong_data,
			 test_damage_with_good_checksums_does_no_harm,
			 test_lost_writes_do_no_harm);
}
