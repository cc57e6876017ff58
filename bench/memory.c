/*
 * memory.c - how much of it the library takes, as malloc counts it.
 */
#include <malloc.h>
#include <stdlib.h>

#include "big-pool.h"
#include "special.h"
#include "volume.h"

#define NR_THINS 10000u
#define FIRST_ID 1000u
#define SMALL_BYTES (64 * MIB)
#define READ_NS 2000000000u

static double heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return (double)(info.uordblks + info.hblkhd);
}

double measure_open_thin_memory(struct bench *bench, const struct row *row)
{
	struct volume *volumes = allocate(NR_THINS * sizeof(*volumes));
	struct store *store = open_sparse_store(0);
	struct tp_pool *pool = open_pool(store, 0);
	double before, after;

	check(tp_pool_create_thin(pool, BIG_ID), "create");
	take_snapshots(pool, BIG_ID, FIRST_ID, NR_THINS);
	before = heap_bytes();
	for (uint32_t i = 0; i < NR_THINS; i++)
		attach_volume(&volumes[i], pool, FIRST_ID + i, SMALL_BYTES);
	after = heap_bytes();
	for (uint32_t i = 0; i < NR_THINS; i++)
		check(tp_thin_close(volumes[i].thin), "close");
	check(tp_pool_close(pool), "closing the pool");
	close_store(store);
	free(volumes);

	return (after - before) / NR_THINS;
}

/* Of a pool that has read all over its big volume, queue and all. */
double measure_cache_memory(struct bench *bench, const struct row *row)
{
	struct big_pool *big = get_big_pool(bench);
	const struct job reading = {
		.steps = { { TP_READ, 4096 } },
		.nr_steps = 1,
		.is_random = true,
		.stride = BLOCK_BYTES,
		.size_bytes = big->nr_mappings * BLOCK_BYTES,
		.depth = 32,
		.threads = 1,
		.run_ns = READ_NS,
	};
	struct measure ignored;
	struct volume volume;
	double before = heap_bytes(), result;

	attach_volume(&volume, open_pool(big->store, 0), BIG_ID,
		      reading.size_bytes);
	drive(&reading, &volume.target, &ignored);
	result = (heap_bytes() - before) / MIB;
	close_volume(&volume);

	return result;
}
