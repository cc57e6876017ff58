/*
 * volume.c - a thin in a new pool over a store, in the state that a job wants.
 *
 * A block is mapped by a write of 4 KiB, without zeroing: for what is measured
 * it does not matter what the rest of it holds.
 */
#include <stdlib.h>

#include "volume.h"

#define NR_NESTED 1000u

/*---------------------------- lanes ----------------------------------------*/

struct queue_lane {
	struct lane lane;
	struct tp_queue *queue;
	struct tp_thin *thin;
};

static void bio_ended(struct tp_bio *bio)
{
	struct slot *slot = bio->context;

	check(bio->status, "a bio");
	slot->ended(slot);
}

static void queue_submit(struct lane *lane, struct slot *slot)
{
	struct queue_lane *queue = (struct queue_lane *)lane;

	/* Its room for the library is large, and need not be cleared. */
	slot->bio.op = slot->op;
	slot->bio.offset = slot->offset;
	slot->bio.length = 0;
	slot->bio.iovcnt = 0;
	slot->bio.end_io = bio_ended;
	slot->bio.context = slot;
	if (slot->op == TP_READ || slot->op == TP_WRITE) {
		slot->part.iov_base = slot->iov.iov_base;
		slot->part.iov_len = slot->length;
		slot->bio.iov = &slot->part;
		slot->bio.iovcnt = 1;
	} else if (slot->op == TP_FLUSH) {
		slot->bio.offset = 0;
	} else {
		slot->bio.length = slot->length;
	}
	check(tp_queue_submit(queue->queue, queue->thin, &slot->bio), "submit");
}

static void queue_reap(struct lane *lane)
{
	struct queue_lane *queue = (struct queue_lane *)lane;

	if (tp_queue_wait(queue->queue, 1, -1) < 0)
		die("wait");
}

static void queue_close(struct lane *lane)
{
	tp_queue_destroy(((struct queue_lane *)lane)->queue);
	free(lane);
}

static struct lane *queue_open(struct target *target, unsigned depth)
{
	static const struct lane_ops ops = {
		.submit = queue_submit,
		.reap = queue_reap,
		.close = queue_close,
	};
	struct volume *volume = (struct volume *)target;
	struct queue_lane *queue = allocate(sizeof(*queue));

	queue->lane.ops = &ops;
	queue->thin = volume->thin;
	check(tp_queue_create(volume->pool, depth, &queue->queue), "queue");
	tp_queue_plug(queue->queue);

	return &queue->lane;
}

/*---------------------------- pools and volumes ----------------------------*/

void format_store(struct store *store)
{
	struct tp_format_options options = TP_FORMAT_OPTIONS_INIT;

	options.data_block_size = BLOCK_BYTES;
	options.flags = TP_FORMAT_OVERWRITE;
	check(tp_pool_format(store->metadata, store->data, &options), "format");
}

struct tp_pool *open_pool(struct store *store, unsigned flags)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_pool *pool;

	options.flags = flags;
	check(tp_pool_open(store->metadata, store->data, &options, &pool),
	      "opening the pool");

	return pool;
}

void attach_volume(struct volume *volume, struct tp_pool *pool, uint32_t id,
		   uint64_t size_bytes)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;

	volume->target.open = queue_open;
	volume->pool = pool;
	options.size = size_bytes;
	check(tp_thin_open(pool, id, &options, &volume->thin),
	      "opening the thin");
}

/*---------------------------- states ---------------------------------------*/

void fill_volume(struct volume *volume, uint64_t size_bytes)
{
	const struct job filling = {
		.steps = { { TP_WRITE, 4096 } },
		.nr_steps = 1,
		.stride = BLOCK_BYTES,
		.size_bytes = size_bytes,
		.depth = 32,
		.threads = 1,
	};
	struct measure ignored;

	drive(&filling, &volume->target, &ignored);
}

/* Each of the one before; the last one's id. */
static uint32_t nest_snapshots(struct tp_pool *pool, uint32_t id, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++, id++)
		check(tp_pool_create_snapshot(pool, id + 1, id), "snapshot");

	return id;
}

void open_volume(struct volume *volume, struct store *store,
		 const struct job *job)
{
	struct tp_pool *pool;
	uint32_t id = 1;

	format_store(store);
	pool = open_pool(
		store, (job->is_zeroing ? 0 : TP_POOL_SKIP_ZEROING) |
			       (job->is_host_driven ? TP_POOL_HOST_DRIVEN : 0));
	check(tp_pool_create_thin(pool, id), "create");
	attach_volume(volume, pool, id, job->size_bytes);
	if (job->state == STATE_FRESH)
		return;
	fill_volume(volume, job->size_bytes);
	if (job->state == STATE_SHARED)
		nest_snapshots(pool, id, 1);
	if (job->state == STATE_NESTED) {
		check(tp_thin_close(volume->thin), "close");
		id = nest_snapshots(pool, id, NR_NESTED);
		attach_volume(volume, pool, id, job->size_bytes);
	}
	check(tp_pool_commit(pool), "commit");
}

void close_volume(struct volume *volume)
{
	check(tp_thin_close(volume->thin), "close");
	check(tp_pool_close(volume->pool), "closing the pool");
}
