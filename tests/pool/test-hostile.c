/*
 * Metadata that was damaged on purpose does no harm: whatever is done with the
 * pool then ends, with a result that fits, and damage that checksums show never
 * leads to wrong data (F-21 to F-24).  Few seeds; long-hostile.c has many.
 */
#include "pool/hostile.h"
#include "support/run-tests.h"

/* What the others say is worth something only if a good pool passes. */
START_TEST(test_undamaged_pools_pass)
{
	static const struct hostile_seeds seeds = { 1, 4, 40 };

	hostile_undamaged((enum specimen_kind)_i, &seeds);
}
END_TEST

START_TEST(test_damage_that_shows_never_leads_to_wrong_data)
{
	static const struct hostile_seeds seeds = { 1, 24, 30 };

	hostile_unsealed((enum specimen_kind)_i, &seeds);
}
END_TEST

START_TEST(test_damage_with_good_checksums_does_no_harm)
{
	static const struct hostile_seeds seeds = { 1, 50, 30 };

	hostile_sealed((enum specimen_kind)_i, &seeds);
}
END_TEST

START_TEST(test_lost_writes_do_no_harm)
{
	static const struct hostile_seeds seeds = { 1, 10, 30 };

	hostile_lost_writes((enum specimen_kind)_i, &seeds);
}
END_TEST

int main(void)
{
	return RUN_TESTS("hostile", SPECIMEN_NR_KINDS,
			 test_undamaged_pools_pass,
			 test_damage_that_shows_never_leads_to_wrong_data,
			 test_damage_with_good_checksums_does_no_harm,
			 test_lost_writes_do_no_harm);
}
