/*
 * bio.c - bios on the run loop: whatever could not go the fast way.
 *
 * A bio's task runs until all of it is sent or being prepared, or until it has
 * to wait; then it is on some list, and is made ready by whoever owns that.
 * Each time it looks everything up again from where it stands: what it knew
 * before it waited may no longer be so (architecture.md, decision 5).
 *
 * Writes that have begun are counted.  A snapshot waits until there are none,
 * and lets none begin meanwhile, so that each is wholly in or wholly out
 * (B-SNAP-3); but one that is parked for want of space is not waited for.
 */
#include "pool/bio.h"

#include <string.h>

#include "pool/mode.h"
#include "pool/queue.h"
#include "pool/range.h"

/*---------------------------- iovecs ---------------------------------------*/

uint64_t tpi_iov_slice(const struct iovec *iov, int iovcnt, uint64_t skip,
		       uint64_t length, struct iovec *slice, int max,
		       int *nr_slices)
{
	uint64_t covered = 0;
	int nr = 0;

	for (int i = 0; i < iovcnt && covered < length && nr < max; i++) {
		uint64_t here = iov[i].iov_len;

		if (skip >= here) {
			skip -= here;
			continue;
		}
		here = tpi_min(here - skip, length - covered);
		slice[nr].iov_base = (char *)iov[i].iov_base + skip;
		slice[nr++].iov_len = here;
		covered += here;
		skip = 0;
	}
	*nr_slices = nr;

	return covered;
}

void tpi_bio_fill_zero(struct tp_bio *bio, uint64_t from, uint64_t to)
{
	uint64_t skip = from - bio->offset, left = to - from;

	for (int i = 0; i < bio->iovcnt && left; i++) {
		uint64_t here = bio->iov[i].iov_len;

		if (skip >= here) {
			skip -= here;
			continue;
		}
		here = tpi_min(here - skip, left);
		memset((char *)bio->iov[i].iov_base + skip, 0, here);
		left -= here;
		skip = 0;
	}
}

bool tpi_bio_covers_block(const struct tp_bio *bio, tp_vblock vblock)
{
	uint64_t bytes = tpi_const_bio(bio)->thin->pool->block_bytes;
	uint64_t begin = vblock * bytes;

	return bio->offset <= begin &&
	       begin + bytes <= bio->offset + bio->length;
}

/*---------------------------- mappings -------------------------------------*/

int tpi_resolve(struct tpi_thin_state *state, tp_vblock vblock,
		tpi_mapping *mapping)
{
	struct tp_pool *pool = state->pool;
	tpi_mapping page[TPI_PAGE_MAPPINGS];
	tp_vblock first = vblock - vblock % TPI_PAGE_MAPPINGS;
	int r;

	if (tpi_mapping_cache_get(pool->mapping_cache, state->serial, vblock,
				  mapping)) {
		state->statistics.mapping_cache_hits++;
		return 0;
	}
	r = tpi_metadata_read_run(&pool->metadata, &state->tree, first,
				  TPI_PAGE_MAPPINGS, page);
	if (r)
		return r;
	state->statistics.mapping_cache_misses++;
	tpi_mapping_cache_fill(pool->mapping_cache, state->serial, first, page);
	*mapping = page[vblock - first];

	return 0;
}

static bool continues(tpi_mapping mapping, tpi_mapping next, uint64_t distance,
		      uint32_t time)
{
	if (mapping == TPI_UNMAPPED || next == TPI_UNMAPPED)
		return mapping == next;
	if (tpi_mapping_is_shared(next, time))
		return false;

	return tpi_mapping_dblock(next) ==
	       tpi_mapping_dblock(mapping) + distance;
}

uint64_t tpi_run_end(struct tpi_thin_state *state, uint64_t position,
		     uint64_t end, tpi_mapping mapping, uint32_t time)
{
	struct tp_pool *pool = state->pool;
	tp_vblock first = tpi_vblock_at(pool, position), vblock = first + 1;
	tpi_mapping next;

	while (vblock * pool->block_bytes < end) {
		if (!tpi_mapping_cache_get(pool->mapping_cache, state->serial,
					   vblock, &next) ||
		    !continues(mapping, next, vblock - first, time))
			return vblock * pool->block_bytes;
		vblock++;
	}

	return end;
}

/*---------------------------- ending ---------------------------------------*/

static void writes_ended(struct tpi_thin_state *state)
{
	if (--state->nr_writes_under_way == 0)
		tpi_loop_ready_all(&state->pool->loop, &state->quiet_waiters);
}

static void leave_writes(struct tpi_bio *room)
{
	if (!room->begun)
		return;
	room->begun = false;
	writes_ended(room->thin->state);
}

static void end(struct tp_bio *bio)
{
	leave_writes(tpi_bio(bio));
	tpi_queue_ended(bio);
}

static void data_done(struct tp_bio *bio)
{
	struct tpi_bio *room = tpi_bio(bio);

	leave_writes(room);
	if (room->error || !(bio->flags & TP_FUA)) {
		end(bio);
		return;
	}
	room->stage = TPI_BIO_FUA;
	tpi_flush_bio(bio);
}

static bool all_started(const struct tpi_bio *room)
{
	return room->position >= room->end;
}

void tpi_bio_part_of_loop_ended(struct tp_bio *bio)
{
	struct tpi_bio *room = tpi_bio(bio);

	if (room->nr_parts || !all_started(room))
		return;

	/* Of an error the host hears after the event that tells why. */
	if (room->error) {
		tpi_loop_ready(&room->thin->pool->loop, &room->task);
		return;
	}
	tpi_list_del(&room->task.entry);
	data_done(bio);
}

static void run(struct tpi_task *task);

void tpi_bio_fail(struct tp_bio *bio, int error)
{
	struct tpi_bio *room = tpi_bio(bio);

	if (!room->error)
		room->error = tpi_bio_error(error);
	room->position = room->end;
	room->task.run = run;
	if (!room->nr_parts)
		tpi_loop_ready(&room->thin->pool->loop, &room->task);
}

/* A flush that ends well is worth nothing to a thin whose writes another one,
 * that failed meanwhile, may have dropped (B-FLUSH-10). */
void tpi_bio_flushed(struct tp_bio *bio, int error)
{
	struct tpi_bio *room = tpi_bio(bio);

	if (!error && room->thin->state->lost_writes)
		error = -EIO;
	if (error && !room->error)
		room->error = tpi_bio_error(error);
	room->task.run = run;
	if (room->stage == TPI_BIO_PREFLUSH && !room->error &&
	    bio->op != TP_FLUSH) {
		room->stage = TPI_BIO_DATA;
		tpi_loop_ready(&room->thin->pool->loop, &room->task);
		return;
	}
	end(bio);
}

void tpi_bio_park(struct tp_bio *bio, struct tpi_list *list)
{
	struct tpi_task *task = &tpi_bio(bio)->task;

	tpi_list_del(&task->entry);
	tpi_list_add_tail(list, &task->entry);
}

/*---------------------------- the gate -------------------------------------*/

bool tpi_bio_belongs(const struct tp_bio *bio, const struct tp_thin *thin,
		     const struct tp_queue *queue)
{
	const struct tpi_bio *room = tpi_const_bio(bio);

	return (!thin || room->thin == thin) &&
	       (!queue || room->queue == queue);
}

static void end_held(struct tpi_thin_state *state, const struct tp_thin *thin,
		     const struct tp_queue *queue, int error)
{
	struct tpi_list *entry, *following;

	tpi_list_each(entry, following, &state->held)
	{
		struct tp_bio *bio = tpi_bio_of_task(entry);

		if (!tpi_bio_belongs(bio, thin, queue))
			continue;
		tpi_list_del(entry);
		tpi_bio_fail(bio, error);
	}
}

struct held_end {
	const struct tp_thin *thin;
	const struct tp_queue *queue;
	int error;
};

static void end_held_of(struct tpi_thin_state *state, void *context)
{
	const struct held_end *which = context;

	end_held(state, which->thin, which->queue, which->error);
}

void tpi_held_end(struct tp_pool *pool, const struct tp_thin *thin,
		  const struct tp_queue *queue, int error)
{
	struct held_end which = { thin, queue, error };

	tpi_thins_each(pool, end_held_of, &which);
}

void tpi_held_release(struct tpi_thin_state *state)
{
	tpi_loop_ready_all(&state->pool->loop, &state->held);
}

bool tpi_writes_are_quiet(struct tpi_thin_state *state, struct tpi_task *task)
{
	if (!state->nr_writes_under_way)
		return true;
	tpi_list_add_tail(&state->quiet_waiters, &task->entry);

	return false;
}

/* What changes data or mappings of the thin. */
static bool changes(const struct tp_bio *bio)
{
	return tpi_bio_writes(bio) || bio->op == TP_DISCARD;
}

/* True if it has to wait, or has ended. */
static bool stopped_by_gate(struct tp_bio *bio)
{
	struct tpi_bio *room = tpi_bio(bio);
	struct tpi_thin_state *state = room->thin->state;
	unsigned gate =
		atomic_load_explicit(&state->gate, memory_order_relaxed);

	if (gate & TPI_GATE_FAILED) {
		tpi_bio_fail(bio, -EIO);
		return true;
	}
	if ((gate & TPI_GATE_ALL) ||
	    ((gate & TPI_GATE_WRITES) && changes(bio) && !room->begun)) {
		tpi_bio_park(bio, &state->held);
		return true;
	}

	return false;
}

/*---------------------------- parts ----------------------------------------*/

/* Send [position, to), as far as fragments go. */
static int send(struct tp_bio *bio, struct tpi_channel *channel, uint64_t to,
		uint64_t offset)
{
	struct tpi_bio *room = tpi_bio(bio);
	struct tpi_port *port = &room->thin->pool->port;
	struct tpi_thin_section *section = tpi_port_section(port, room->thin);

	if (!section)
		return -ENOMEM;
	while (room->position < to) {
		uint64_t sent = tpi_port_send(port, channel, bio, section,
					      room->position, to, offset);

		if (!sent) {
			tpi_bio_park(bio, &port->waiting);
			return -EINPROGRESS;
		}
		room->position += sent;
		offset += sent;
	}

	return 0;
}

/* No further than @end. */
static int send_mapped(struct tp_bio *bio, struct tpi_thin_state *state,
		       tpi_mapping mapping, uint32_t time, uint64_t end)
{
	struct tpi_bio *room = tpi_bio(bio);
	struct tp_pool *pool = state->pool;
	uint64_t to = tpi_run_end(state, room->position, end, mapping, time);

	return send(bio, pool->port.channel, to,
		    tpi_data_offset(pool, tpi_mapping_dblock(mapping),
				    room->position));
}

static uint64_t block_end(const struct tp_pool *pool,
			  const struct tpi_bio *room)
{
	uint64_t next = tpi_vblock_at(pool, room->position) + 1;

	return tpi_min(room->end, next * pool->block_bytes);
}

/* What an unmapped block shows: the external origin, and zeroes past its end
 * (B-EXT-1). */
static int read_unmapped(struct tp_bio *bio, struct tpi_thin_state *state)
{
	struct tpi_bio *room = tpi_bio(bio);
	uint64_t to = block_end(state->pool, room);
	uint64_t from_origin = 0;
	int r = 0;

	if (state->origin_channel && room->position < state->origin_bytes)
		from_origin = tpi_min(to, state->origin_bytes);
	if (from_origin)
		r = send(bio, state->origin_channel, from_origin,
			 room->position);
	if (r)
		return r;
	tpi_bio_fill_zero(bio, room->position, to);
	room->position = to;

	return 0;
}

static int read_part(struct tp_bio *bio, struct tpi_thin_state *state)
{
	struct tpi_bio *room = tpi_bio(bio);
	tpi_mapping mapping;
	int r;

	r = tpi_resolve(state, tpi_vblock_at(state->pool, room->position),
			&mapping);
	if (r)
		return r;
	if (mapping == TPI_UNMAPPED)
		return read_unmapped(bio, state);

	return send_mapped(bio, state, mapping, 0, tpi_bio(bio)->end);
}

/* What is unmapped reads as zeroes, and will whatever is written beside it: no
 * origin shows (B-WZ-4), and no new block shows what it held before. */
static bool unmapped_is_zero(const struct tpi_thin_state *state)
{
	return !state->external_origin &&
	       !(state->pool->options.flags & TP_POOL_SKIP_ZEROING);
}

static bool is_zero(const char *bytes, size_t length)
{
	return !length || (!bytes[0] && !memcmp(bytes, bytes + 1, length - 1));
}

bool tpi_bio_needs_no_block(const struct tp_bio *bio,
			    const struct tpi_thin_state *state, uint64_t from,
			    uint64_t to)
{
	uint64_t skip = from - bio->offset, left = to - from;

	if (!tpi_const_bio(bio)->thin->detect_zeroes || bio->op != TP_WRITE ||
	    !unmapped_is_zero(state))
		return false;
	for (int i = 0; i < bio->iovcnt && left; i++) {
		uint64_t here = bio->iov[i].iov_len;

		if (skip >= here) {
			skip -= here;
			continue;
		}
		here = tpi_min(here - skip, left);
		if (!is_zero((const char *)bio->iov[i].iov_base + skip, here))
			return false;
		left -= here;
		skip = 0;
	}

	return true;
}

/* What is mapped up to @end, or the block at the position and what else the bio
 * covers. */
static int write_part(struct tp_bio *bio, struct tpi_thin_state *state,
		      uint64_t end)
{
	struct tpi_bio *room = tpi_bio(bio);
	uint32_t time = state->tree.details.snapshotted_time;
	tpi_mapping mapping;
	uint64_t to;
	int r;

	r = tpi_resolve(state, tpi_vblock_at(state->pool, room->position),
			&mapping);
	if (r)
		return r;
	if (mapping != TPI_UNMAPPED && !tpi_mapping_is_shared(mapping, time))
		return send_mapped(bio, state, mapping, time, end);
	to = block_end(state->pool, room);
	if (mapping == TPI_UNMAPPED &&
	    tpi_bio_needs_no_block(bio, state, room->position, to)) {
		room->position = to;
		return 0;
	}

	return tpi_prepare(bio, state, mapping);
}

/* The whole blocks from the position on, none of them the thin's short last
 * one. */
static uint64_t whole_blocks(const struct tp_pool *pool,
			     const struct tpi_bio *room)
{
	if (room->position % pool->block_bytes)
		return 0;

	return (room->end - room->position) / pool->block_bytes;
}

/*
 * Zeroes (B-WZ).  Whole blocks are unmapped, if that may be and zeroes them.
 * Of what is unmapped then nothing has to be done; a block that is covered in
 * part is written by itself, for whole ones may follow.
 */
static int zero_part(struct tp_bio *bio, struct tpi_thin_state *state)
{
	struct tpi_bio *room = tpi_bio(bio);
	struct tp_pool *pool = state->pool;
	bool may_unmap = !(bio->flags & TP_NO_UNMAP) && unmapped_is_zero(state);
	uint64_t nr = may_unmap ? whole_blocks(pool, room) : 0;
	tp_vblock vblock = tpi_vblock_at(pool, room->position);
	tpi_mapping mapping;
	int r;

	if (nr && tpi_mode_can_commit(pool)) {
		room->position += nr * pool->block_bytes;
		return tpi_unmap(bio, state, vblock, vblock + nr);
	}
	if (may_unmap) {
		r = tpi_resolve(state, vblock, &mapping);
		if (r)
			return r;
		if (mapping == TPI_UNMAPPED) {
			room->position = block_end(pool, room);
			return 0;
		}
	}

	return write_part(bio, state,
			  may_unmap ? block_end(pool, room) : room->end);
}

/* Only whole blocks (B-DISC-1); in modes that may not change anything, none
 * (B-DISC-14). */
static int discard(struct tp_bio *bio, struct tpi_thin_state *state)
{
	struct tpi_bio *room = tpi_bio(bio);
	struct tp_pool *pool = state->pool;
	tp_vblock begin = tpi_div_up(room->position, pool->block_bytes);
	tp_vblock end = room->end / pool->block_bytes;

	room->position = room->end;
	if (begin >= end || !tpi_mode_can_commit(pool))
		return 0;

	return tpi_unmap(bio, state, begin, end);
}

static int part(struct tp_bio *bio, struct tpi_thin_state *state)
{
	switch (bio->op) {
	case TP_READ:
		return read_part(bio, state);
	case TP_WRITE:
		return write_part(bio, state, tpi_bio(bio)->end);
	case TP_WRITE_ZEROES:
		return zero_part(bio, state);
	default:
		return discard(bio, state);
	}
}

/*---------------------------- the task -------------------------------------*/

static void begin_write(struct tp_bio *bio, struct tpi_thin_state *state)
{
	struct tpi_bio *room = tpi_bio(bio);

	if (room->begun || !changes(bio))
		return;
	room->begun = true;
	state->nr_writes_under_way++;
}

static void run_data(struct tp_bio *bio)
{
	struct tpi_bio *room = tpi_bio(bio);
	struct tp_pool *pool = room->thin->pool;
	struct tpi_thin_state *state = room->thin->state;
	int r = 0;

	begin_write(bio, state);
	while (!r && !all_started(room))
		r = part(bio, state);
	tpi_abort_if_failed(pool);
	if (r == -EAGAIN) {
		tpi_loop_await_block(&pool->loop, &room->task);
	} else if (r == -ENOSPC) {
		leave_writes(room);
		tpi_space_wait(pool, bio);
	} else if (r && r != -EINPROGRESS) {
		tpi_bio_fail(bio, r);
	} else if (!r && !room->nr_parts) {
		data_done(bio);
	}
}

static void run(struct tpi_task *task)
{
	struct tpi_bio *room = tpi_container_of(task, struct tpi_bio, task);
	struct tp_bio *bio = tpi_bio_of(room);

	if (all_started(room) && !room->nr_parts) {
		data_done(bio);
		return;
	}
	if (stopped_by_gate(bio))
		return;
	run_data(bio);
}

/* The first time on the loop. */
static void arrive(struct tpi_task *task)
{
	struct tpi_bio *room = tpi_container_of(task, struct tpi_bio, task);
	struct tp_bio *bio = tpi_bio_of(room);

	task->run = run;
	if (bio->op == TP_FLUSH || (bio->flags & TP_PREFLUSH)) {
		room->stage = TPI_BIO_PREFLUSH;
		tpi_flush_bio(bio);
		return;
	}
	room->stage = TPI_BIO_DATA;
	run(task);
}

void tpi_bio_defer(struct tp_bio *bio)
{
	struct tpi_bio *room = tpi_bio(bio);

	room->device_flags = 0;
	tpi_task_init(&room->task, arrive);
	tpi_loop_put_in(&room->thin->pool->loop, &room->task);
}
