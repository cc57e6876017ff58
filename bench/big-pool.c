/*
 * big-pool.c - a pool with a volume of millions of mappings.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "big-pool.h"
#include "volume.h"

/* Room for other volumes in the same pool. */
#define SPARE_BYTES (1024 * GIB)

#define BATCH 1000u /* snapshots */

#define METADATA_BYTES_EACH 24u /* of a mapping and its count, with room */

void map_volume(struct tp_pool *pool, uint32_t id, uint64_t nr_mappings)
{
	const struct job mapping = {
		.steps = { { TP_WRITE, 16 * MIB } },
		.nr_steps = 1,
		.stride = 16 * MIB,
		.size_bytes = nr_mappings * BLOCK_BYTES,
		.depth = 4,
		.threads = 1,
	};
	struct volume volume;
	struct measure ignored;

	check(tp_pool_create_thin(pool, id), "create");
	attach_volume(&volume, pool, id, mapping.size_bytes);
	drive(&mapping, &volume.target, &ignored);
	check(tp_thin_close(volume.thin), "close");
	check(tp_pool_commit(pool), "commit");
}

void take_snapshots(struct tp_pool *pool, uint32_t origin, uint32_t id,
		    uint32_t nr)
{
	struct tp_snapshot_pair pairs[BATCH];

	while (nr) {
		uint32_t nr_pairs = nr < BATCH ? nr : BATCH;

		for (uint32_t i = 0; i < nr_pairs; i++)
			pairs[i] = (struct tp_snapshot_pair){ id++, origin };
		check(tp_pool_create_snapshots(pool, pairs, nr_pairs),
		      "snapshots");
		nr -= nr_pairs;
	}
}

static uint64_t metadata_bytes(uint64_t nr_mappings)
{
	return nr_mappings * METADATA_BYTES_EACH / 4096 * 4096 + GIB;
}

static struct store *open_store(uint64_t nr_mappings,
				struct tp_device *metadata)
{
	struct store *store = open_forgetful_store(
		nr_mappings * BLOCK_BYTES + SPARE_BYTES, metadata);

	format_store(store);

	return store;
}

struct store *open_sparse_store(uint64_t nr_mappings)
{
	struct tp_device *metadata;

	check(tp_device_open_memory(metadata_bytes(nr_mappings), &metadata),
	      "metadata");

	return open_store(nr_mappings, metadata);
}

struct big_pool *make_big_pool(uint64_t nr_mappings)
{
	struct big_pool *big = allocate(sizeof(*big));
	struct tp_device *metadata;
	struct tp_pool *pool;
	int fd;

	snprintf(big->path, sizeof(big->path),
		 "/dev/shm/thinpool-bench-XXXXXX");
	fd = mkostemp(big->path, O_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)metadata_bytes(nr_mappings)))
		die(big->path);
	close(fd);
	check(tp_device_open_file(big->path, NULL, &metadata), big->path);
	big->nr_mappings = nr_mappings;
	big->store = open_store(nr_mappings, metadata);
	pool = open_pool(big->store, TP_POOL_SKIP_ZEROING);
	map_volume(pool, BIG_ID, nr_mappings);
	check(tp_pool_close(pool), "closing the pool");

	return big;
}

void remove_big_pool(struct big_pool *big)
{
	close_store(big->store);
	unlink(big->path);
	free(big);
}
