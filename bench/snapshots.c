/*
 * snapshots.c - how long it takes to take them.
 */
#include "big-pool.h"
#include "special.h"
#include "volume.h"

#define SMALL_ID 2u
#define NR_SMALL_MAPPINGS 10u
#define FIRST_SNAPSHOT_ID 1000u
#define NR_SINGLE 200u
#define NR_IN_BATCHES 20000u

static uint64_t take_ns(struct tp_pool *pool, uint32_t id, uint32_t origin)
{
	uint64_t begin = now_ns();

	check(tp_pool_create_snapshot(pool, id, origin), "snapshot");

	return now_ns() - begin;
}

/* Of both in turn. */
static double compare_origins(struct tp_pool *pool)
{
	struct samples big, small;
	double big_us[NR_PERCENTILES], small_us[NR_PERCENTILES];
	uint32_t id = FIRST_SNAPSHOT_ID;

	init_samples(&big, NR_SINGLE);
	init_samples(&small, NR_SINGLE);
	for (unsigned i = 0; i < NR_SINGLE; i++) {
		add_sample(&small, take_ns(pool, id++, SMALL_ID));
		add_sample(&big, take_ns(pool, id++, BIG_ID));
	}
	while (id-- > FIRST_SNAPSHOT_ID)
		check(tp_pool_delete_thin(pool, id), "delete");
	get_percentiles(&big, big_us);
	get_percentiles(&small, small_us);
	exit_samples(&big);
	exit_samples(&small);

	return big_us[MEDIAN] / small_us[MEDIAN];
}

double measure_snapshot_of_many(struct bench *bench, const struct row *row)
{
	struct tp_pool *pool = open_pool(get_big_pool(bench)->store, 0);
	double result;

	map_volume(pool, SMALL_ID, NR_SMALL_MAPPINGS);
	result = compare_origins(pool);
	check(tp_pool_delete_thin(pool, SMALL_ID), "delete");
	check(tp_pool_close(pool), "closing the pool");

	return result;
}

/* One call, and so one commit, for each batch. */
double measure_snapshot_batches(struct bench *bench, const struct row *row)
{
	struct store *store = open_sparse_store(NR_SMALL_MAPPINGS);
	struct tp_pool *pool = open_pool(store, 0);
	uint64_t begin, spent;

	map_volume(pool, BIG_ID, NR_SMALL_MAPPINGS);
	begin = now_ns();
	take_snapshots(pool, BIG_ID, FIRST_SNAPSHOT_ID, NR_IN_BATCHES);
	spent = now_ns() - begin;
	check(tp_pool_close(pool), "closing the pool");
	close_store(store);

	return NR_IN_BATCHES / ((double)spent * 1e-9);
}
