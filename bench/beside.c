/*
 * beside.c - how long bios in the foreground take while a commit, a deletion or
 * a discard of something big goes on in the same pool.
 *
 * They go on one at a time on a volume of their own until the other is through.
 * Two kinds: first writes, which need the run loop that the other keeps busy;
 * and reads and writes of what is mapped, which do not.
 */
#include <pthread.h>
#include <unistd.h>

#include "big-pool.h"
#include "special.h"
#include "volume.h"

#define OTHER_ID 1u
#define OWN_ID 2u
#define NR_OTHER_MAPPINGS 1000000u
#define COMMITTING_NS 2000000000u

struct background {
	void (*work)(struct tp_pool *pool);
	struct tp_pool *pool;
	atomic_bool has_ended;
};

/*---------------------------- what goes on beside --------------------------*/

/* As fast as they go; in each is what the foreground has changed. */
static void commit_often(struct tp_pool *pool)
{
	uint64_t until = now_ns() + COMMITTING_NS;

	while (now_ns() < until)
		check(tp_pool_commit(pool), "commit");
}

static uint64_t nr_used_blocks(struct tp_pool *pool)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	check(tp_pool_get_status(pool, &status), "status");

	return status.used_data_blocks;
}

static uint64_t nr_mapped_blocks(struct tp_thin *thin)
{
	struct tp_thin_info info = TP_THIN_INFO_INIT;

	check(tp_thin_get_info(thin, &info), "info");

	return info.mapped_bytes / BLOCK_BYTES;
}

/* The call returns when the thin is gone; its blocks are freed after that,
 * until there are no more than those of the foreground's. */
static void delete_other(struct tp_pool *pool)
{
	struct volume own;
	uint64_t nr_used;

	attach_volume(&own, pool, OWN_ID, BLOCK_BYTES);
	check(tp_pool_delete_thin(pool, OTHER_ID), "delete");
	do {
		usleep(2000);
		nr_used = nr_used_blocks(pool);
	} while (nr_used > nr_mapped_blocks(own.thin));
	check(tp_thin_close(own.thin), "close");
}

static void discard_other(struct tp_pool *pool)
{
	uint64_t bytes = NR_OTHER_MAPPINGS * BLOCK_BYTES;
	struct volume other;

	attach_volume(&other, pool, OTHER_ID, bytes);
	check(tp_thin_discard(other.thin, 0, bytes), "discard");
	check(tp_thin_close(other.thin), "close");
}

static void *run_background(void *context)
{
	struct background *background = context;

	background->work(background->pool);
	atomic_store(&background->has_ended, true);

	return NULL;
}

/*---------------------------- the foreground -------------------------------*/

static double drive_beside(struct background *background,
			   const struct job *foreground)
{
	struct job job = *foreground;
	struct measure measure;
	struct volume own;
	pthread_t thread;

	attach_volume(&own, background->pool, OWN_ID, job.size_bytes);
	if (job.state == STATE_MAPPED)
		fill_volume(&own, job.size_bytes);
	if (pthread_create(&thread, NULL, run_background, background))
		die("no thread");
	job.stop = &background->has_ended;
	drive(&job, &own.target, &measure);
	pthread_join(thread, NULL);
	check(tp_thin_close(own.thin), "close");

	return measure.latency_us[P999];
}

static double measure_beside(void (*work)(struct tp_pool *pool),
			     const struct row *row)
{
	struct background background = { .work = work };
	struct store *store = open_sparse_store(NR_OTHER_MAPPINGS);
	double result;

	background.pool = open_pool(store, TP_POOL_SKIP_ZEROING);
	map_volume(background.pool, OTHER_ID, NR_OTHER_MAPPINGS);
	check(tp_pool_create_thin(background.pool, OWN_ID), "create");
	result = drive_beside(&background, &row->job);
	check(tp_pool_close(background.pool), "closing the pool");
	close_store(store);

	return result;
}

double measure_beside_commits(struct bench *bench, const struct row *row)
{
	return measure_beside(commit_often, row);
}

double measure_beside_deletion(struct bench *bench, const struct row *row)
{
	return measure_beside(delete_other, row);
}

double measure_beside_discard(struct bench *bench, const struct row *row)
{
	return measure_beside(discard_other, row);
}
