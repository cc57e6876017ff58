/*
 * bench.c - what the rows share: made when first asked for.
 */
#include "big-pool.h"
#include "row.h"

/* A volume, and as much again for what breaks sharing. */
#define MEMORY_STORE_BYTES (4 * GIB + 64 * MIB)
#define FILE_STORE_BYTES (1 * GIB + 64 * MIB)

static struct store *open_store(const struct bench *bench, enum device device)
{
	switch (device) {
	case MEMORY:
		return open_memory_store(MEMORY_STORE_BYTES);
	case TMPFS:
		return open_file_store("/dev/shm", FILE_STORE_BYTES, false);
	default:
		return open_file_store(bench->directory, FILE_STORE_BYTES,
				       true);
	}
}

struct store *get_store(struct bench *bench, enum device device)
{
	if (!bench->stores[device])
		bench->stores[device] = open_store(bench, device);

	return bench->stores[device];
}

struct big_pool *get_big_pool(struct bench *bench)
{
	if (!bench->big_pool)
		bench->big_pool = make_big_pool(bench->nr_mappings);

	return bench->big_pool;
}

void end_bench(struct bench *bench)
{
	for (unsigned i = 0; i < NR_DEVICES; i++)
		if (bench->stores[i])
			close_store(bench->stores[i]);
	if (bench->big_pool)
		remove_big_pool(bench->big_pool);
}
