/*
 * Random walks beside a dumb model, the short way: some thousand steps.
 * long-model.c takes a hundred thousand and more.  TEST_SEED chooses.
 */
#include "support/model.h"

#define TINY 1 /* raised to the least that works */

START_TEST(test_any_walk_over_a_pool_shows_what_the_model_shows)
{
	static const uint32_t block_sizes[] = { 64 * KIB, 192 * KIB, MIB };
	uint64_t seed = seed_from_environment(1000);

	for (unsigned i = 0; i < 3; i++) {
		struct model_run run = {
			.kind = _i,
			.seed = seed + i,
			.nr_ops = i ? 500 : 1200,
			.block_size = block_sizes[i],
			.has_fua = i == 1,
			.nr_checks = 3,
		};

		model_run(&run);
	}
}
END_TEST

START_TEST(test_any_walk_with_caches_that_hold_next_to_nothing)
{
	struct model_run run = {
		.kind = _i,
		.seed = seed_from_environment(2000),
		.nr_ops = 800,
		.block_size = 64 * KIB,
		.metadata_cache_bytes = TINY,
		.mapping_cache_bytes = TINY,
		.nr_checks = 3,
	};

	model_run(&run);
}
END_TEST

START_TEST(test_any_walk_with_many_bios_in_flight)
{
	struct model_run run = {
		.kind = _i,
		.seed = seed_from_environment(3000),
		.nr_ops = 800,
		.block_size = 64 * KIB,
	};

	model_run_concurrent(&run, 3, 8);
	run.metadata_cache_bytes = run.mapping_cache_bytes = TINY;
	run.seed++;
	model_run_concurrent(&run, 3, 8);
}
END_TEST

int main(void)
{
	return RUN_TESTS("model", NR_KINDS,
			 test_any_walk_over_a_pool_shows_what_the_model_shows,
			 test_any_walk_with_caches_that_hold_next_to_nothing,
			 test_any_walk_with_many_bios_in_flight);
}
