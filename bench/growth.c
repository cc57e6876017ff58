/*
 * growth.c - what a bio costs on a volume of any size: its data is forgotten,
 * and costs nothing, and its metadata is in memory.
 */
#include "big-pool.h"
#include "special.h"
#include "volume.h"

#define SNAPSHOT_ID 2u

static double measure_volume(struct store *store, const struct job *job)
{
	struct tp_pool *pool = open_pool(store, TP_POOL_SKIP_ZEROING);
	struct measure measure;
	struct volume volume;

	map_volume(pool, BIG_ID, job->size_bytes / BLOCK_BYTES);
	if (job->state == STATE_SHARED)
		check(tp_pool_create_snapshot(pool, SNAPSHOT_ID, BIG_ID),
		      "snapshot");
	attach_volume(&volume, pool, BIG_ID, job->size_bytes);
	drive(job, &volume.target, &measure);
	close_volume(&volume);

	return measure.cpu_ns;
}

double measure_growth(struct bench *bench, const struct row *row)
{
	struct store *store =
		open_sparse_store(row->job.size_bytes / BLOCK_BYTES);
	struct measure raw;
	double result;

	drive(&row->job, &store->raw, &raw);
	result = measure_volume(store, &row->job) - raw.cpu_ns;
	close_store(store);

	return result;
}
