/*
 * Random walks beside a dumb model: over a hundred thousand steps for each kind
 * of pool, over several seeds, block sizes, caches and features.  TEST_SEED
 * chooses the first seed.
 */
#include "support/model.h"

#define NR_SEEDS 4
#define TINY 1

START_TEST(test_long_walks_over_a_pool_show_what_the_model_shows)
{
	static const uint32_t block_sizes[] = { 64 * KIB, 192 * KIB, MIB };
	static const unsigned flags[] = { 0, TP_POOL_NO_DISCARD_PASSDOWN };
	uint64_t seed = seed_from_environment(1);

	for (unsigned i = 0; i < NR_SEEDS * 3; i++) {
		struct model_run run = {
			.kind = _i,
			.seed = seed + i,
			.nr_ops = i % 3 == 2 ? 4000 : 10000,
			.block_size = block_sizes[i % 3],
			.metadata_cache_bytes = i % 2 ? TINY : 0,
			.mapping_cache_bytes = i / 2 % 2 ? TINY : 0,
			.flags = flags[i / 3 % 2],
			.has_fua = i % 4 == 1,
			.nr_checks = 10,
		};

		model_run(&run);
	}
}
END_TEST

START_TEST(test_long_walks_with_many_bios_in_flight)
{
	uint64_t seed = seed_from_environment(500);

	for (unsigned i = 0; i < NR_SEEDS; i++) {
		struct model_run run = {
			.kind = _i,
			.seed = seed + i,
			.nr_ops = 10000,
			.block_size = i % 2 ? 192 * KIB : 64 * KIB,
			.metadata_cache_bytes = i & 2 ? TINY : 0,
			.mapping_cache_bytes = i & 1 ? TINY : 0,
		};

		model_run_concurrent(&run, 1 + i, 16);
	}
}
END_TEST

int main(void)
{
	return RUN_TESTS("long-model", NR_KINDS,
			 test_long_walks_over_a_pool_show_what_the_model_shows,
			 test_long_walks_with_many_bios_in_flight);
}
