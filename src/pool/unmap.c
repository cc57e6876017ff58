/*
 * unmap.c - unmapping ranges of a thin, for discards and write zeroes.
 *
 * The whole range is locked first, so that whatever comes later on it queues
 * behind (B-DISC-17).  Then mapped runs are looked up and unmapped a piece at a
 * time, a few pieces a turn, so that other bios get theirs; what is not mapped
 * costs nothing (B-DISC-4).
 *
 * The bio ends when all is unmapped.  What was freed stays withheld until that
 * is settled, and is then passed down, in the background (B-DISC-10, -20).  A
 * crash before the commit brings the old blocks back, as they were.
 */
#include <stdlib.h>

#include "pool/bio.h"
#include "pool/mode.h"
#include "pool/range.h"

/* Virtual blocks that are unmapped in one change, and changes in one turn. */
#define PIECE_BLOCKS 256u
#define PIECES_A_TURN 8u

/* More than this is not waited for by whoever closes. */
#define HUGE_BLOCKS (16u * PIECES_A_TURN * PIECE_BLOCKS)

struct unmapping {
	struct tpi_task task;
	struct tpi_list entry; /* in pool->unmappings, or idle */
	struct tpi_range range;
	struct tpi_thin_state *state;
	struct tp_bio *bio;
	tp_vblock position;
	bool cancelled;
};

/* Those that have ended are kept for the next: as many as there were at once. */
static struct unmapping *take(struct tp_pool *pool)
{
	struct tpi_list *entry = tpi_list_pop(&pool->idle_unmappings);
	struct unmapping *unmapping;

	if (!entry)
		return calloc(1, sizeof(*unmapping));
	unmapping = tpi_container_of(entry, struct unmapping, entry);
	*unmapping = (struct unmapping){ .position = 0 };

	return unmapping;
}

void tpi_unmappings_exit(struct tp_pool *pool)
{
	struct tpi_list *entry;

	while ((entry = tpi_list_pop(&pool->idle_unmappings)))
		free(tpi_container_of(entry, struct unmapping, entry));
}

static void finish(struct unmapping *unmapping, int error)
{
	struct tpi_thin_state *state = unmapping->state;
	struct tp_pool *pool = state->pool;
	struct tp_bio *bio = unmapping->bio;

	tpi_range_unlock(&pool->loop, &state->ranges, &unmapping->range);
	tpi_list_del(&unmapping->task.entry);
	tpi_list_del(&unmapping->entry);
	tpi_list_add(&pool->idle_unmappings, &unmapping->entry);

	/* Those who wait for space need not wait for the tick as well. */
	if (pool->mode == TP_MODE_OUT_OF_DATA_SPACE)
		tpi_commit_want(pool);
	tpi_bio_part_ended(bio, &pool->port, error);
}

bool tpi_passdown_is_effective(const struct tp_pool *pool)
{
	const struct tp_device_limits *limits =
		tpi_device_limits(pool->data_device);

	if (pool->options.flags &
	    (TP_POOL_NO_DISCARD_PASSDOWN | TP_POOL_IGNORE_DISCARD))
		return false;

	return (limits->features & TP_DEVICE_DISCARD) &&
	       (!limits->discard_max_bytes ||
		limits->discard_max_bytes >= pool->block_bytes);
}

bool tpi_passdown_of_deleted(const struct tp_pool *pool)
{
	return !(pool->options.flags & TP_POOL_NO_DELETE_PASSDOWN) &&
	       tpi_passdown_is_effective(pool);
}

static int unmap_piece(struct unmapping *unmapping, tp_vblock begin,
		       tp_vblock end)
{
	struct tpi_thin_state *state = unmapping->state;
	struct tp_pool *pool = state->pool;
	uint64_t nr_mapped = state->tree.details.mapped_blocks;
	int r;

	pool->metadata.discarding = unmapping->bio->op == TP_DISCARD &&
				    tpi_passdown_is_effective(pool);
	r = tpi_metadata_unmap(&pool->metadata, &state->tree, begin, end);
	pool->metadata.discarding = false;
	if (r)
		return r;
	state->statistics.unmapped_blocks +=
		nr_mapped - state->tree.details.mapped_blocks;
	tpi_thin_publish(state);
	for (tp_vblock vblock = begin; vblock < end; vblock++)
		tpi_mapping_cache_set(pool->mapping_cache, state->serial,
				      vblock, TPI_UNMAPPED);

	return 0;
}

/* -ENODATA: nothing is left. */
static int next_piece(struct unmapping *unmapping)
{
	struct tpi_thin_state *state = unmapping->state;
	tp_vblock found, end;
	tpi_mapping mapping;
	int r;

	r = tpi_metadata_next_mapped(&state->pool->metadata, &state->tree,
				     unmapping->position, &found, &mapping);
	if (r)
		return r;
	if (found >= unmapping->range.end)
		return -ENODATA;
	end = tpi_min(unmapping->range.end, found + PIECE_BLOCKS);
	r = unmap_piece(unmapping, found, end);
	if (!r)
		unmapping->position = end;

	return r;
}

/* What becomes of it where nothing may be changed (B-DISC-14, B-ABORT-3). */
static int without_effect(const struct unmapping *unmapping)
{
	const struct tp_pool *pool = unmapping->state->pool;

	if (unmapping->bio->op == TP_DISCARD && pool->mode != TP_MODE_FAILED)
		return 0;

	return -EIO;
}

/* Does so much lie before it that others are to go first? */
static bool is_huge(const struct unmapping *unmapping)
{
	return unmapping->range.end - unmapping->position > HUGE_BLOCKS;
}

static void run(struct tpi_task *task)
{
	struct unmapping *unmapping =
		tpi_container_of(task, struct unmapping, task);
	struct tp_pool *pool = unmapping->state->pool;
	int r = 0;

	if (is_huge(unmapping) && tpi_loop_leave_to_thread(&pool->loop, task))
		return;
	if (tpi_is_held(pool, true, task))
		return;
	if (unmapping->cancelled || !tpi_mode_can_commit(pool)) {
		finish(unmapping, unmapping->cancelled
					  ? -ECANCELED
					  : without_effect(unmapping));
		return;
	}
	if (is_huge(unmapping) && tpi_makes_way(pool, task))
		return;
	for (unsigned i = 0; i < PIECES_A_TURN && !r; i++)
		r = next_piece(unmapping);
	tpi_abort_if_failed(pool);
	if (r == -ENOSPC && tpi_space_await_metadata(pool, task))
		return;
	if (!r)
		tpi_loop_ready(&pool->loop, task);
	else if (r == -EAGAIN)
		tpi_loop_await_block(&pool->loop, task);
	else if (r == -ENOSPC)
		finish(unmapping, without_effect(unmapping));
	else
		finish(unmapping, r == -ENODATA ? 0 : r);
}

int tpi_unmap(struct tp_bio *bio, struct tpi_thin_state *state, tp_vblock begin,
	      tp_vblock end)
{
	struct unmapping *unmapping = take(state->pool);

	if (!unmapping)
		return -ENOMEM;
	tpi_task_init(&unmapping->task, run);
	tpi_list_init(&unmapping->entry);
	unmapping->state = state;
	unmapping->bio = bio;
	unmapping->position = begin;
	tpi_list_add_tail(&state->pool->unmappings, &unmapping->entry);
	tpi_bio(bio)->nr_parts++;
	if (tpi_range_lock(&state->ranges, &unmapping->range, begin, end,
			   &unmapping->task))
		tpi_loop_ready(&state->pool->loop, &unmapping->task);

	return 0;
}

/* Only what would take long is cut short; one that waits for its range does so
 * for bios that end by themselves. */
void tpi_unmap_cancel(struct tp_pool *pool, const struct tp_thin *thin,
		      const struct tp_queue *queue)
{
	struct tpi_list *entry, *following;

	tpi_list_each(entry, following, &pool->unmappings)
	{
		struct unmapping *unmapping =
			tpi_container_of(entry, struct unmapping, entry);

		if (tpi_bio_belongs(unmapping->bio, thin, queue) &&
		    is_huge(unmapping))
			unmapping->cancelled = true;
	}
}
