/*
 * preparation.c - giving a block of a thin a data block of its own: provisioning
 * and breaking sharing.
 *
 * The whole content of the new block is made before it is mapped (B-WRITE-1,
 * B-COW-1), in one pass where it fits: the bio's data, and around it zeroes,
 * the old block's content, or the external origin's.  So a partial write costs
 * one write of the block rather than two, and nothing that is mapped ever shows
 * something else than old or new.  A bio that covers blocks wholly has its data
 * sent straight to a run of new blocks (B-WRITE-2).
 *
 * Order:	allocate (in memory)  ->  content on the device  ->  map, count
 *
 * A crash before the mapping is committed leaves the old mapping, or none, and
 * nothing allocated (B-WRITE-8).  An error gives the blocks back (B-WRITE-5).
 *
 * While it is under way the virtual blocks are locked against others that would
 * change their mapping; and it is in a section of thin and pool, for the sake
 * of the old block that it reads (B-COW-6).
 */
#include "pool/preparation.h"

#include <stdlib.h>
#include <string.h>

#include "pool/bio.h"
#include "pool/mode.h"

/* As many at a time (B-THR-2). */
#define NR_PREPARATIONS 1024u

/* Blocks are filled in pieces of at most this, each with one buffer; and at
 * most this many bytes of buffers are there at a time. */
#define PIECE_BYTES (1u << 20)
#define BUFFERS_BYTES_MAX (16u << 20)
#define BUFFERS_MIN 4u

/* A run that is written by one bio straight to new blocks. */
#define RUN_BYTES_MAX (16u << 20)

/* Zeroes to point iovecs at. */
#define ZEROES_BYTES (64u << 10)

struct tpi_buffer {
	struct tpi_list entry;
	uint8_t *bytes;
};

/*---------------------------- life -----------------------------------------*/

int tpi_preparations_init(struct tp_pool *pool)
{
	pool->preparation_memory =
		calloc(NR_PREPARATIONS, sizeof(*pool->preparation_memory));
	if (posix_memalign((void **)&pool->zeroes, TPI_MBLOCK_BYTES,
			   ZEROES_BYTES))
		pool->zeroes = NULL;
	if (!pool->preparation_memory || !pool->zeroes)
		return -ENOMEM;
	memset(pool->zeroes, 0, ZEROES_BYTES);
	for (unsigned i = 0; i < NR_PREPARATIONS; i++)
		tpi_list_add_tail(&pool->idle_preparations,
				  &pool->preparation_memory[i].entry);

	return 0;
}

void tpi_preparations_exit(struct tp_pool *pool)
{
	struct tpi_list *entry;

	while ((entry = tpi_list_pop(&pool->idle_buffers))) {
		struct tpi_buffer *buffer =
			tpi_container_of(entry, struct tpi_buffer, entry);

		free(buffer->bytes);
		free(buffer);
	}
	free(pool->preparation_memory);
	free(pool->zeroes);
}

/*---------------------------- buffers --------------------------------------*/

static uint64_t buffer_bytes(const struct tp_pool *pool)
{
	return tpi_min(pool->block_bytes, PIECE_BYTES);
}

static struct tpi_buffer *make_buffer(struct tp_pool *pool)
{
	struct tpi_buffer *buffer;

	if (pool->nr_buffers >= BUFFERS_MIN &&
	    pool->nr_buffers * buffer_bytes(pool) >= BUFFERS_BYTES_MAX)
		return NULL;
	buffer = calloc(1, sizeof(*buffer));
	if (!buffer)
		return NULL;
	if (posix_memalign((void **)&buffer->bytes, TPI_MBLOCK_BYTES,
			   buffer_bytes(pool))) {
		free(buffer);
		return NULL;
	}
	tpi_list_init(&buffer->entry);
	pool->nr_buffers++;

	return buffer;
}

/* 0; -EINPROGRESS: there will be one later; -ENOMEM: not even that. */
static int take_buffer(struct tpi_preparation *prep)
{
	struct tp_pool *pool = prep->pool;
	struct tpi_list *entry;

	if (prep->buffer)
		return 0;
	entry = tpi_list_pop(&pool->idle_buffers);
	prep->buffer = entry ? tpi_container_of(entry, struct tpi_buffer, entry)
			     : make_buffer(pool);
	if (prep->buffer)
		return 0;
	if (!pool->nr_buffers)
		return -ENOMEM;
	tpi_list_add_tail(&pool->buffer_waiters, &prep->task.entry);

	return -EINPROGRESS;
}

/* What was used last is used next, as the processor's caches have it still. */
static void put_buffer(struct tpi_preparation *prep)
{
	struct tp_pool *pool = prep->pool;
	struct tpi_list *waiter;

	if (!prep->buffer)
		return;
	tpi_list_add(&pool->idle_buffers, &prep->buffer->entry);
	prep->buffer = NULL;
	waiter = tpi_list_pop(&pool->buffer_waiters);
	if (waiter)
		tpi_loop_ready(&pool->loop,
			       tpi_container_of(waiter, struct tpi_task,
						entry));
}

/*---------------------------- the end --------------------------------------*/

static void finish(struct tpi_preparation *prep, int error)
{
	struct tp_pool *pool = prep->pool;
	struct tp_bio *bio = prep->bio;

	if (error && prep->generation == pool->generation)
		tpi_data_sm_give_back(pool->metadata.data_sm, prep->dblock,
				      prep->nr);
	tpi_range_unlock(&pool->loop, &prep->state->ranges, &prep->range);
	tpi_port_leave(&pool->port, prep->section, prep->pool_parity,
		       prep->thin_parity);
	put_buffer(prep);
	tpi_list_add(&pool->idle_preparations, &prep->entry);
	tpi_loop_ready_all(&pool->loop, &pool->preparation_waiters);
	tpi_bio_part_ended(bio, &pool->port, error);
}

/* @nr_more: mapped blocks that the thin has now. */
static void count(const struct tpi_preparation *prep, uint64_t nr_more)
{
	struct tp_io_statistics *statistics = &prep->state->statistics;

	statistics->provisioned_blocks += nr_more;
	statistics->unshared_blocks += prep->nr - nr_more;
	if (prep->background == TPI_BACKGROUND_ZEROES)
		statistics->zeroed_blocks += prep->nr;
	else if (prep->background != TPI_BACKGROUND_NONE)
		statistics->copied_blocks += prep->nr;
}

static void publish(struct tpi_preparation *prep)
{
	struct tpi_thin_state *state = prep->state;
	struct tp_pool *pool = prep->pool;

	state->stamped = true;
	state->wrote = true;
	tpi_thin_publish(state);
	for (uint64_t i = 0; i < prep->nr; i++)
		tpi_mapping_cache_set(pool->mapping_cache, state->serial,
				      prep->vblock + i,
				      tpi_mapping_make(prep->dblock + i,
						       pool->metadata.time));
}

/* The content is on the device: map it. */
static void map(struct tpi_task *task)
{
	struct tpi_preparation *prep =
		tpi_container_of(task, struct tpi_preparation, task);
	struct tp_pool *pool = prep->pool;
	uint64_t nr_mapped = prep->state->tree.details.mapped_blocks;
	int r;

	if (tpi_is_held(pool, true, task))
		return;
	if (prep->generation != pool->generation ||
	    prep->nr_failed_flushes != pool->nr_failed_flushes ||
	    !tpi_mode_can_commit(pool)) {
		finish(prep, -EIO);
		return;
	}
	r = tpi_metadata_map(&pool->metadata, &prep->state->tree, prep->vblock,
			     prep->dblock, prep->nr);
	if (r == -EAGAIN) {
		tpi_loop_await_block(&pool->loop, task);
		return;
	}
	tpi_abort_if_failed(pool);
	if (r == -ENOSPC && tpi_space_await_metadata(pool, task))
		return;
	if (!r) {
		count(prep,
		      prep->state->tree.details.mapped_blocks - nr_mapped);
		publish(prep);
	}
	finish(prep, !r || r == -ENOMEM ? r : -EIO);
}

/*---------------------------- the content ----------------------------------*/

static void next_piece(struct tpi_task *task);

static void go_on(struct tpi_preparation *prep,
		  void (*run)(struct tpi_task *task))
{
	prep->task.run = run;
	tpi_loop_ready(&prep->pool->loop, &prep->task);
}

static void piece_written(struct tpi_relay *relay, int status)
{
	struct tpi_preparation *prep =
		tpi_container_of(relay, struct tpi_preparation, relay);

	if (status) {
		finish(prep, status);
		return;
	}
	prep->position = prep->piece_end;
	go_on(prep, prep->position < prep->end ? next_piece : map);
}

/* Add memory to the iovec; how much fits. */
static uint64_t add_memory(struct tpi_preparation *prep, void *bytes,
			   uint64_t length)
{
	struct iovec *iov = &prep->iov[prep->relay.request.iovcnt];

	if (prep->relay.request.iovcnt == TPI_PREPARATION_IOVECS)
		return 0;
	iov->iov_base = bytes;
	iov->iov_len = length;
	prep->relay.request.iovcnt++;

	return length;
}

static uint64_t add_zeroes(struct tpi_preparation *prep, uint64_t length)
{
	return add_memory(prep, prep->pool->zeroes,
			  tpi_min(length, ZEROES_BYTES));
}

static uint64_t add_data(struct tpi_preparation *prep, uint64_t from,
			 uint64_t to)
{
	int room = TPI_PREPARATION_IOVECS - prep->relay.request.iovcnt, nr;
	uint64_t covered;

	if (prep->bio->op == TP_WRITE_ZEROES)
		return add_zeroes(prep, to - from);
	covered = tpi_iov_slice(prep->bio->iov, prep->bio->iovcnt,
				from - prep->bio->offset, to - from,
				prep->iov + prep->relay.request.iovcnt, room,
				&nr);
	prep->relay.request.iovcnt += nr;

	return covered;
}

static uint64_t add_background(struct tpi_preparation *prep, uint64_t from,
			       uint64_t to)
{
	if (prep->background == TPI_BACKGROUND_ZEROES)
		return add_zeroes(prep, to - from);

	return add_memory(prep, prep->buffer->bytes + (from - prep->position),
			  to - from);
}

/* Where at @from the next change between data and background is. */
static uint64_t segment_end(const struct tpi_preparation *prep, uint64_t from,
			    bool *is_data)
{
	*is_data = from >= prep->data_begin && from < prep->data_end;
	if (*is_data)
		return tpi_min(prep->data_end, prep->piece_end);
	if (from < prep->data_begin)
		return tpi_min(prep->data_begin, prep->piece_end);

	return prep->piece_end;
}

/* Compose the piece from the position on; where it ends, which is earlier if
 * the iovec is full. */
static void compose(struct tpi_preparation *prep)
{
	uint64_t from = prep->position, added;

	while (from < prep->piece_end) {
		bool is_data;
		uint64_t to = segment_end(prep, from, &is_data);

		added = is_data ? add_data(prep, from, to)
				: add_background(prep, from, to);
		if (!added)
			break;
		from += added;
	}
	prep->piece_end = from;
}

static void init_request(struct tpi_preparation *prep, enum tp_op op,
			 uint64_t offset,
			 void (*done)(struct tpi_relay *relay, int status))
{
	prep->relay.done = done;
	prep->relay.request = (struct tp_device_request){
		.op = op,
		.offset = offset,
		.iov = prep->iov,
	};
}

static uint64_t target(const struct tpi_preparation *prep, uint64_t position)
{
	return prep->dblock * prep->pool->block_bytes +
	       (position - prep->begin);
}

static void write_piece(struct tpi_preparation *prep)
{
	init_request(prep, TP_WRITE, target(prep, prep->position),
		     piece_written);
	compose(prep);
	prep->relay.request.length = prep->piece_end - prep->position;
	tpi_port_relay(prep->bio, &prep->relay);
}

static void source_read(struct tpi_relay *relay, int status)
{
	struct tpi_preparation *prep =
		tpi_container_of(relay, struct tpi_preparation, relay);

	if (status)
		finish(prep, status);
	else
		write_piece(prep);
}

/* Past the origin's end are zeroes (B-EXT-4). */
static uint64_t origin_part(struct tpi_preparation *prep)
{
	uint64_t end = tpi_min(prep->piece_end, prep->state->origin_bytes);
	uint64_t length = end > prep->position ? end - prep->position : 0;

	memset(prep->buffer->bytes + length, 0,
	       prep->piece_end - prep->position - length);

	return length;
}

static void read_source(struct tpi_preparation *prep)
{
	uint64_t length = prep->piece_end - prep->position;
	uint64_t offset = prep->old * prep->pool->block_bytes +
			  (prep->position - prep->begin);

	if (prep->background == TPI_BACKGROUND_ORIGIN) {
		offset = prep->position;
		length = origin_part(prep);
	}
	if (!length) {
		write_piece(prep);
		return;
	}
	init_request(prep, TP_READ, offset, source_read);
	prep->relay.request.length =
		add_memory(prep, prep->buffer->bytes, length);
	if (prep->background == TPI_BACKGROUND_ORIGIN)
		tpi_loop_relay(prep->pool, prep->state->origin_channel,
			       &prep->relay);
	else
		tpi_port_relay(prep->bio, &prep->relay);
}

/* A piece of zeroes alone, if the device can make them itself (B-WRITE-4). */
static bool zero_piece(struct tpi_preparation *prep)
{
	struct tp_pool *pool = prep->pool;
	bool is_data;
	uint64_t to;

	if (prep->end - prep->position <= ZEROES_BYTES ||
	    prep->background != TPI_BACKGROUND_ZEROES ||
	    !(tpi_device_features(pool->data_device) & TP_DEVICE_WRITE_ZEROES))
		return false;
	prep->piece_end = prep->end;
	to = segment_end(prep, prep->position, &is_data);
	if (is_data || to - prep->position <= ZEROES_BYTES)
		return false;
	prep->piece_end = to;
	init_request(prep, TP_WRITE_ZEROES, target(prep, prep->position),
		     piece_written);
	prep->relay.request.length = to - prep->position;
	tpi_port_relay(prep->bio, &prep->relay);

	return true;
}

/*
 * On to the bio's own data, on top of the copy.  A device that cannot after all
 * is not asked again.
 */
static void copied(struct tpi_relay *relay, int status)
{
	struct tpi_preparation *prep =
		tpi_container_of(relay, struct tpi_preparation, relay);

	if (status == -EOPNOTSUPP) {
		prep->pool->cannot_copy = true;
		go_on(prep, next_piece);
		return;
	}
	if (status) {
		finish(prep, status);
		return;
	}
	prep->background = TPI_BACKGROUND_COPIED;
	prep->position = prep->data_begin;
	prep->end = prep->data_end;
	go_on(prep, next_piece);
}

/* The old block as a whole, if the device can do that itself. */
static bool copy_block(struct tpi_preparation *prep)
{
	struct tp_pool *pool = prep->pool;

	if (prep->background != TPI_BACKGROUND_OLD_BLOCK ||
	    prep->position != prep->begin || pool->cannot_copy ||
	    !(tpi_device_features(pool->data_device) & TP_DEVICE_COPY))
		return false;
	init_request(prep, TP_COPY, target(prep, prep->begin), copied);
	prep->relay.request.source = prep->old * pool->block_bytes;
	prep->relay.request.length = prep->end - prep->begin;
	tpi_port_relay(prep->bio, &prep->relay);

	return true;
}

static bool needs_source(const struct tpi_preparation *prep)
{
	bool covered = prep->data_begin <= prep->position &&
		       prep->piece_end <= prep->data_end;

	return prep->background >= TPI_BACKGROUND_OLD_BLOCK && !covered;
}

/* As a task: nothing ends while it is begun, which its bio relies on. */
static void without_buffer(struct tpi_task *task)
{
	finish(tpi_container_of(task, struct tpi_preparation, task), -ENOMEM);
}

static void next_piece(struct tpi_task *task)
{
	struct tpi_preparation *prep =
		tpi_container_of(task, struct tpi_preparation, task);
	int r;

	if (zero_piece(prep) || copy_block(prep))
		return;
	prep->piece_end = prep->end;
	if (prep->background == TPI_BACKGROUND_ZEROES ||
	    prep->background >= TPI_BACKGROUND_OLD_BLOCK)
		prep->piece_end = tpi_min(
			prep->end, prep->position + buffer_bytes(prep->pool));
	if (!needs_source(prep)) {
		write_piece(prep);
		return;
	}
	r = take_buffer(prep);
	if (!r)
		read_source(prep);
	else if (r != -EINPROGRESS)
		go_on(prep, without_buffer);
}

/*---------------------------- the beginning --------------------------------*/

/* Has a block that the bio covers, and that is mapped so, to get another? */
static bool needs_block(const struct tp_bio *bio,
			const struct tpi_thin_state *state, tp_vblock vblock,
			tpi_mapping mapping)
{
	uint64_t bytes = state->pool->block_bytes;

	if (mapping != TPI_UNMAPPED)
		return tpi_mapping_is_shared(
			mapping, state->tree.details.snapshotted_time);

	return !tpi_bio_needs_no_block(bio, state, vblock * bytes,
				       (vblock + 1) * bytes);
}

/* How many blocks from @vblock on the bio covers whole and may give new data
 * blocks in one go; 0 if it does not even cover the first. */
static uint64_t blocks_covered(const struct tp_bio *bio,
			       struct tpi_thin_state *state, tp_vblock vblock)
{
	struct tp_pool *pool = state->pool;
	uint64_t max = tpi_max(1, RUN_BYTES_MAX / pool->block_bytes);
	uint64_t nr = 0;
	tpi_mapping mapping;

	while (nr < max && tpi_bio_covers_block(bio, vblock + nr)) {
		if (nr && (tpi_range_find(&state->ranges, vblock + nr,
					  vblock + nr + 1) ||
			   tpi_resolve(state, vblock + nr, &mapping) ||
			   !needs_block(bio, state, vblock + nr, mapping)))
			break;
		nr++;
	}

	return nr;
}

static enum tpi_background choose_background(const struct tpi_preparation *prep,
					     tpi_mapping mapping, bool covered)
{
	struct tpi_thin_state *state = prep->state;

	if (covered)
		return TPI_BACKGROUND_NONE;
	if (mapping != TPI_UNMAPPED)
		return TPI_BACKGROUND_OLD_BLOCK;
	if (state->external_origin && prep->begin < state->origin_bytes)
		return TPI_BACKGROUND_ORIGIN;
	if (prep->pool->options.flags & TP_POOL_SKIP_ZEROING)
		return TPI_BACKGROUND_NONE;

	return TPI_BACKGROUND_ZEROES;
}

/* Without a background only the bio's own bytes are written. */
static void set_extent(struct tpi_preparation *prep)
{
	struct tp_bio *bio = prep->bio;
	uint64_t bytes = prep->pool->block_bytes;

	prep->begin = prep->vblock * bytes;
	prep->end = (prep->vblock + prep->nr) * bytes;
	prep->data_begin = tpi_bio(bio)->position;
	prep->data_end = tpi_min(prep->end, tpi_bio(bio)->end);
}

static void begin(struct tpi_preparation *prep, tpi_mapping mapping,
		  bool covered)
{
	struct tp_pool *pool = prep->pool;
	struct tpi_bio *room = tpi_bio(prep->bio);

	set_extent(prep);
	prep->old = tpi_mapping_dblock(mapping);
	prep->background = choose_background(prep, mapping, covered);
	prep->position = prep->begin;
	if (prep->background == TPI_BACKGROUND_NONE) {
		prep->position = prep->data_begin;
		prep->end = prep->data_end;
	}
	prep->generation = pool->generation;
	prep->nr_failed_flushes = pool->nr_failed_flushes;
	tpi_range_lock(&prep->state->ranges, &prep->range, prep->vblock,
		       prep->vblock + prep->nr, NULL);
	tpi_assert(prep->range.granted);
	tpi_port_enter(&pool->port, room->thin, prep->section, true,
		       &prep->pool_parity, &prep->thin_parity);
	room->nr_parts++;
	room->position = prep->data_end;
	tpi_task_init(&prep->task, next_piece);
	next_piece(&prep->task);
}

/* A block that looks shared and is not is stamped anew (decision 11).  1: so it
 * was. */
static int restamp(struct tpi_thin_state *state, tp_vblock vblock,
		   tpi_mapping mapping)
{
	struct tp_pool *pool = state->pool;
	tp_dblock dblock = tpi_mapping_dblock(mapping);
	bool exclusive;
	int r;

	if (!tpi_settle_nothing_dropped(pool))
		return 0;
	r = tpi_metadata_is_exclusive(&pool->metadata, &state->tree, vblock,
				      dblock, &exclusive);
	if (r || !exclusive)
		return r;
	r = tpi_metadata_restamp(&pool->metadata, &state->tree, vblock, dblock);
	if (r) /* no metadata space: what follows sees to that */
		return r == -ENOSPC ? 0 : r;
	state->statistics.avoided_breaks++;
	state->stamped = true;
	tpi_thin_publish(state);
	tpi_mapping_cache_set(pool->mapping_cache, state->serial, vblock,
			      tpi_mapping_make(dblock, pool->metadata.time));

	return 1;
}

/* Nothing is in the way?  -EINPROGRESS: the bio waits for it. */
static int wait_for_turn(struct tp_bio *bio, struct tpi_thin_state *state,
			 tp_vblock vblock)
{
	struct tp_pool *pool = state->pool;
	struct tpi_range *range =
		tpi_range_find(&state->ranges, vblock, vblock + 1);

	if (range) {
		tpi_bio_park(bio, &range->waiters);
		return -EINPROGRESS;
	}
	if (tpi_is_held(pool, true, &tpi_bio(bio)->task))
		return -EINPROGRESS;
	if (!tpi_mode_can_commit(pool))
		return -EIO;
	if (tpi_list_empty(&pool->idle_preparations)) {
		tpi_bio_park(bio, &pool->preparation_waiters);
		return -EINPROGRESS;
	}

	return 0;
}

/*
 * A thin fills one stretch of the data device after another, so that those which
 * are written at the same time do not come to lie between each other.  Where no
 * whole stretch is left nearby, whatever is free comes next, and a stretch is
 * looked for again when that much has been passed.
 */
static int take_blocks(struct tpi_thin_state *state, tp_dblock max,
		       tp_dblock *first, tp_dblock *nr)
{
	struct tpi_data_space_map *map = state->pool->metadata.data_sm;
	tp_dblock stretch;
	int r;

	r = tpi_data_sm_alloc_within(map, state->alloc_hint, state->alloc_end,
				     max, first, nr);
	if (r != -ENOSPC)
		return r;
	r = tpi_data_sm_find_stretch(map, state->alloc_hint, &stretch);
	if (r && r != -ENOSPC)
		return r;
	if (!r) {
		state->alloc_hint = stretch;
		max = tpi_min(max, TPI_STRETCH_BLOCKS);
	}
	r = tpi_data_sm_alloc(map, state->alloc_hint, max, first, nr);
	if (!r)
		state->alloc_end = tpi_min(*first + TPI_STRETCH_BLOCKS,
					   tpi_data_sm_nr_blocks(map));

	return r;
}

static int allocate(struct tpi_thin_state *state, tp_dblock max,
		    tp_dblock *first, tp_dblock *nr)
{
	struct tp_pool *pool = state->pool;
	int r;

	tpi_space_take(pool);
	if (pool->mode == TP_MODE_OUT_OF_DATA_SPACE)
		return -ENOSPC;
	r = take_blocks(state, max, first, nr);
	if (r)
		return r;
	state->alloc_hint = *first + *nr;
	tpi_space_taken(pool);

	return 0;
}

int tpi_prepare(struct tp_bio *bio, struct tpi_thin_state *state,
		tpi_mapping mapping)
{
	struct tp_pool *pool = state->pool;
	struct tpi_bio *room = tpi_bio(bio);
	tp_vblock vblock = tpi_vblock_at(pool, room->position);
	struct tpi_thin_section *section;
	struct tpi_preparation *prep;
	uint64_t nr_covered;
	tp_dblock dblock, nr;
	int r;

	r = wait_for_turn(bio, state, vblock);
	if (!r && mapping != TPI_UNMAPPED)
		r = restamp(state, vblock, mapping);
	if (r)
		return r > 0 ? 0 : r;
	section = tpi_port_section(&pool->port, room->thin);
	if (!section)
		return -ENOMEM;
	nr_covered = blocks_covered(bio, state, vblock);
	r = allocate(state, tpi_max(1, nr_covered), &dblock, &nr);
	if (r)
		return r;

	prep = tpi_container_of(tpi_list_pop(&pool->idle_preparations),
				struct tpi_preparation, entry);
	prep->pool = pool;
	prep->state = state;
	prep->bio = bio;
	prep->section = section;
	prep->vblock = vblock;
	prep->dblock = dblock;
	prep->nr = nr;
	begin(prep, mapping, nr_covered > 0);

	return 0;
}
