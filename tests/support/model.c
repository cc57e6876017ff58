/*
 * model.c - a random walk over a pool beside a dumb model of it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "support/model.h"

#define MAX_VOLUMES 6
#define MAX_ID 40
#define MIN_BLOCKS 5

struct volume {
	bool exists;
	uint32_t id;
	struct tp_thin *thin;
	char *bytes;
	bool *mapped;
	uint64_t busy_begin[64], busy_end[64]; /* of bios in flight */
};

struct model {
	const struct model_run *run;
	struct world w;
	struct volume volumes[MAX_VOLUMES];
	uint64_t random;
	uint64_t volume_bytes; /* the last block is a short one */
	uint64_t nr_vblocks, block;
	unsigned step;
	const char *doing;
	char *buffer;
};

static uint64_t below(struct model *m, uint64_t end)
{
	return random_in(&m->random, 0, end);
}

#define model_check(m, condition)                                              \
	ck_assert_msg(condition,                                               \
		      "seed %llu, block %u, step %u (%s): not " #condition     \
		      " (%s)",                                                 \
		      (unsigned long long)(m)->run->seed,                      \
		      (m)->run->block_size, (m)->step, (m)->doing,             \
		      tp_last_error())

/*---------------------------- volumes --------------------------------------*/

static struct volume *pick(struct model *m, bool exists)
{
	unsigned first = below(m, MAX_VOLUMES);

	for (unsigned i = 0; i < MAX_VOLUMES; i++) {
		struct volume *v = &m->volumes[(first + i) % MAX_VOLUMES];

		if (v->exists == exists)
			return v;
	}

	return NULL;
}

static uint32_t free_id(struct model *m)
{
	for (;;) {
		uint32_t id = (uint32_t)below(m, MAX_ID);
		bool taken = false;

		for (unsigned i = 0; i < MAX_VOLUMES; i++)
			taken |= m->volumes[i].exists && m->volumes[i].id == id;
		if (!taken)
			return id;
	}
}

static void open_volume(struct model *m, struct volume *v)
{
	v->thin = world_open_thin(&m->w, v->id, m->volume_bytes);
}

static void create(struct model *m)
{
	struct volume *v = pick(m, false);

	m->doing = "create";
	if (!v)
		return;
	v->id = free_id(m);
	v->exists = true;
	model_check(m, tp_pool_create_thin(m->w.pool, v->id) == 0);
	memset(v->bytes, 0, m->volume_bytes);
	memset(v->mapped, 0, m->nr_vblocks);
	open_volume(m, v);
}

static void snapshot(struct model *m)
{
	struct volume *v = pick(m, false), *origin = pick(m, true);

	m->doing = "snapshot";
	if (!v || !origin)
		return;
	v->id = free_id(m);
	v->exists = true;
	model_check(m,
		    tp_pool_create_snapshot(m->w.pool, v->id, origin->id) == 0);
	memcpy(v->bytes, origin->bytes, m->volume_bytes);
	memcpy(v->mapped, origin->mapped, m->nr_vblocks);
	open_volume(m, v);
}

static void delete (struct model *m)
{
	struct volume *v = pick(m, true);

	m->doing = "delete";
	if (!v)
		return;
	model_check(m, tp_thin_close(v->thin) == 0);
	model_check(m, tp_pool_delete_thin(m->w.pool, v->id) == 0);
	v->exists = false;
}

/*---------------------------- comparing ------------------------------------*/

static void compare(struct model *m, struct volume *v, const char *bytes,
		    uint64_t offset, uint64_t length)
{
	for (uint64_t at = 0; at < length; at += 512)
		ck_assert_msg(!memcmp(bytes + at, v->bytes + offset + at, 512),
			      "seed %llu, block %u, step %u (%s): thin %u "
			      "differs at %llu, in the block from %llu",
			      (unsigned long long)m->run->seed,
			      m->run->block_size, m->step, m->doing, v->id,
			      (unsigned long long)(offset + at),
			      (unsigned long long)((offset + at) / m->block *
						   m->block));
}

static void compare_volume(struct model *m, struct volume *v)
{
	uint64_t nr_mapped = 0;

	model_check(m,
		    tp_thin_read(v->thin, m->buffer, m->volume_bytes, 0) == 0);
	compare(m, v, m->buffer, 0, m->volume_bytes);
	for (uint64_t i = 0; i < m->nr_vblocks; i++)
		nr_mapped += v->mapped[i];
	model_check(m, thin_mapped(v->thin) == nr_mapped * m->block);
}

static void compare_all(struct model *m)
{
	for (unsigned i = 0; i < MAX_VOLUMES; i++)
		if (m->volumes[i].exists)
			compare_volume(m, &m->volumes[i]);
	model_check(m, world_status(&m->w).mode == TP_MODE_WRITE);
}

static void close_all(struct model *m)
{
	for (unsigned i = 0; i < MAX_VOLUMES; i++)
		if (m->volumes[i].exists)
			model_check(m, tp_thin_close(m->volumes[i].thin) == 0);
	world_close(&m->w);
}

static void open_all(struct model *m)
{
	world_open(&m->w);
	for (unsigned i = 0; i < MAX_VOLUMES; i++)
		if (m->volumes[i].exists)
			open_volume(m, &m->volumes[i]);
}

static void reopen(struct model *m)
{
	m->doing = "close and open";
	close_all(m);
	open_all(m);
}

static void check_disk(struct model *m)
{
	m->doing = "check";
	close_all(m);
	world_check(&m->w);
	open_all(m);
}

/*---------------------------- what I/O does to the model -------------------*/

static void map(struct model *m, struct volume *v, uint64_t offset,
		uint64_t length)
{
	if (!length)
		return;
	for (uint64_t i = offset / m->block;
	     i <= (offset + length - 1) / m->block; i++)
		v->mapped[i] = true;
}

static void model_write(struct model *m, struct volume *v, const char *bytes,
			uint64_t offset, uint64_t length)
{
	memcpy(v->bytes + offset, bytes, length);
	map(m, v, offset, length);
}

/* B-DISC-1: whole blocks only; the short last one is none. */
static void model_discard(struct model *m, struct volume *v, uint64_t offset,
			  uint64_t length)
{
	uint64_t begin = (offset + m->block - 1) / m->block;
	uint64_t end = (offset + length) / m->block;

	for (uint64_t i = begin; i < end; i++) {
		memset(v->bytes + i * m->block, 0, m->block);
		v->mapped[i] = false;
	}
}

/* B-WZ-2, -3, -5: whether a block is mapped afterwards is the library's
 * business; ask it. */
static int learn_mapped(const struct tp_extent *extent, void *context)
{
	bool **mapped = context;

	(*mapped)[0] = extent->mapped;

	return 1;
}

static void model_write_zeroes(struct model *m, struct volume *v,
			       uint64_t offset, uint64_t length, unsigned flags)
{
	memset(v->bytes + offset, 0, length);
	if (!length)
		return;
	for (uint64_t i = offset / m->block;
	     i <= (offset + length - 1) / m->block; i++) {
		bool now = false, *at = &now;
		bool whole = offset <= i * m->block &&
			     offset + length >= (i + 1) * m->block;

		tp_thin_each_extent(v->thin, i * m->block, 512, learn_mapped,
				    &at);
		if (flags & TP_NO_UNMAP)
			model_check(m, now || !v->mapped[i]);
		if (!whole && v->mapped[i])
			model_check(m, now);
		v->mapped[i] = now;
	}
}

/*---------------------------- one step -------------------------------------*/

/* A range with a taste for the borders of blocks, and for a hot spot. */
static void pick_range(struct model *m, uint64_t *offset, uint64_t *length)
{
	uint64_t end, nr_sectors = m->volume_bytes / 512;

	switch (below(m, 8)) {
	case 0: /* whole blocks */
		*offset = below(m, m->nr_vblocks - 1) * m->block;
		end = *offset + m->block * (1 + below(m, 4));
		break;
	case 1: /* one sector off */
		*offset = below(m, m->nr_vblocks - 1) * m->block;
		end = *offset + m->block * (1 + below(m, 3)) + 512;
		*offset += below(m, 2) * 512;
		break;
	case 2: /* anything */
		*offset = below(m, nr_sectors) * 512;
		end = *offset +
		      (1 + below(m, nr_sectors - *offset / 512)) * 512;
		break;
	case 3: /* up to the end */
		end = m->volume_bytes;
		*offset = end - (1 + below(m, 2 * m->block / 512)) * 512;
		break;
	default: /* small */
		*offset = below(m, nr_sectors) * 512;
		end = *offset + (1 + below(m, 16)) * 512;
		break;
	}
	if (end > m->volume_bytes)
		end = m->volume_bytes;
	*length = end - *offset;
}

static unsigned pick_write_flags(struct model *m)
{
	switch (below(m, 16)) {
	case 0:
		return TP_FUA;
	case 1:
		return TP_PREFLUSH;
	case 2:
		return TP_FUA | TP_PREFLUSH;
	default:
		return 0;
	}
}

static void do_write(struct model *m, struct volume *v)
{
	uint64_t offset, length;

	m->doing = "write";
	pick_range(m, &offset, &length);
	fill_pattern(m->buffer, length, offset, next_random(&m->random));
	model_check(m, tp_thin_write(v->thin, m->buffer, length, offset,
				     pick_write_flags(m)) == 0);
	model_write(m, v, m->buffer, offset, length);
}

static void do_read(struct model *m, struct volume *v)
{
	uint64_t offset, length;

	m->doing = "read";
	pick_range(m, &offset, &length);
	model_check(m, tp_thin_read(v->thin, m->buffer, length, offset) == 0);
	compare(m, v, m->buffer, offset, length);
}

static void do_discard(struct model *m, struct volume *v)
{
	uint64_t offset, length;

	m->doing = "discard";
	pick_range(m, &offset, &length);
	model_check(m, tp_thin_discard(v->thin, offset, length) == 0);
	model_discard(m, v, offset, length);
}

static void do_write_zeroes(struct model *m, struct volume *v)
{
	unsigned flags = below(m, 2) ? TP_NO_UNMAP : 0;
	uint64_t offset, length;

	m->doing = flags ? "write zeroes, no unmap" : "write zeroes";
	pick_range(m, &offset, &length);
	if (!below(m, 8))
		flags |= TP_FUA;
	model_check(m,
		    tp_thin_write_zeroes(v->thin, offset, length, flags) == 0);
	model_write_zeroes(m, v, offset, length, flags);
}

static void do_control(struct model *m)
{
	switch (below(m, 8)) {
	case 0:
		create(m);
		break;
	case 1:
	case 2:
	case 3:
		snapshot(m);
		break;
	case 4:
	case 5:
		delete (m);
		break;
	case 6:
		m->doing = "commit";
		model_check(m, tp_pool_commit(m->w.pool) == 0);
		break;
	case 7:
		if (!below(m, 4))
			reopen(m);
		break;
	}
}

static void do_step(struct model *m)
{
	struct volume *v = pick(m, true);
	unsigned what = (unsigned)below(m, 100);

	if (!v)
		create(m);
	else if (what < 40)
		do_write(m, v);
	else if (what < 70)
		do_read(m, v);
	else if (what < 80)
		do_discard(m, v);
	else if (what < 86)
		do_write_zeroes(m, v);
	else if (what < 90)
		model_check(m, tp_thin_flush(v->thin) == 0);
	else
		do_control(m);
}

/*---------------------------- a walk ---------------------------------------*/

static void begin(struct model *m, const struct model_run *run)
{
	struct tp_device_limits limits = TP_DEVICE_LIMITS_INIT;
	uint64_t data_bytes;

	*m = (struct model){ .run = run, .random = run->seed };
	m->block = run->block_size;
	m->nr_vblocks = 1536 * KIB / m->block;
	if (m->nr_vblocks < MIN_BLOCKS)
		m->nr_vblocks = MIN_BLOCKS;
	m->volume_bytes = m->nr_vblocks * m->block - 7 * 512;
	limits.features = TP_DEVICE_DISCARD | TP_DEVICE_WRITE_ZEROES;
	if (run->has_fua)
		limits.features |= TP_DEVICE_FUA;

	/* Room for what is freed but not settled, and a tail that is no
	 * block. */
	data_bytes = (2 * MAX_VOLUMES + 2) * m->nr_vblocks * m->block + 512;
	world_make_sized(&m->w, run->kind, 4 * MIB, data_bytes, &limits);
	memset(m->w.data.bytes, 0xee, data_bytes);
	m->w.block_size = run->block_size;
	m->w.options.flags |= run->flags;
	m->w.options.metadata_cache_bytes = run->metadata_cache_bytes;
	m->w.options.mapping_cache_bytes = run->mapping_cache_bytes;
	m->w.options.commit_interval_ms = 20;
	world_format(&m->w);
	world_open(&m->w);
	m->buffer = malloc(m->volume_bytes);
	for (unsigned i = 0; i < MAX_VOLUMES; i++) {
		m->volumes[i].bytes = malloc(m->volume_bytes);
		m->volumes[i].mapped = malloc(m->nr_vblocks);
	}
}

static void end(struct model *m)
{
	m->doing = "the end";
	compare_all(m);
	reopen(m);
	compare_all(m);
	while (pick(m, true))
		delete (m);
	world_until(&m->w, !world_used(&m->w));
	world_end(&m->w);
	for (unsigned i = 0; i < MAX_VOLUMES; i++) {
		free(m->volumes[i].bytes);
		free(m->volumes[i].mapped);
	}
	free(m->buffer);
}

void model_run(const struct model_run *run)
{
	struct model m;

	begin(&m, run);
	for (m.step = 0; m.step < run->nr_ops; m.step++) {
		do_step(&m);
		if (m.step % 500 == 499)
			compare_all(&m);
		if (run->nr_checks &&
		    m.step % (run->nr_ops / run->nr_checks) == 0)
			check_disk(&m);
		io_log_clear(&m.w.log);
	}
	end(&m);
}

/*---------------------------- several at once ------------------------------*/

struct flight {
	struct tp_bio bio;
	struct iovec iov[3];
	struct volume *volume;
	unsigned slot;
	char *buffer;
	bool busy, ended;
};

static void landed(struct tp_bio *bio)
{
	struct flight *flight = bio->context;

	ck_assert(flight->busy && !flight->ended);
	flight->ended = true;
}

/* No two in flight in one block: what is next to a discard may read either
 * way, and the model would have to know which. */
static bool is_clear(struct model *m, struct volume *v, uint64_t begin,
		     uint64_t end)
{
	begin = begin / m->block * m->block;
	end = (end + m->block - 1) / m->block * m->block;
	for (unsigned i = 0; i < 64; i++)
		if (v->busy_begin[i] < end && begin < v->busy_end[i])
			return false;

	return true;
}

static bool claim(struct model *m, struct flight *flight)
{
	struct volume *v = flight->volume;
	uint64_t end = flight->bio.offset + flight->bio.length;
	unsigned slot = 0;

	if (!is_clear(m, v, flight->bio.offset, end))
		return false;
	while (slot < 64 && v->busy_end[slot])
		slot++;
	if (slot == 64)
		return false;
	v->busy_begin[slot] = flight->bio.offset / m->block * m->block;
	v->busy_end[slot] = (end + m->block - 1) / m->block * m->block;
	flight->slot = slot;

	return true;
}

static enum tp_op pick_op(struct model *m)
{
	unsigned what = (unsigned)below(m, 100);

	return what < 50   ? TP_WRITE
	       : what < 80 ? TP_READ
	       : what < 90 ? TP_DISCARD
	       : what < 97 ? TP_WRITE_ZEROES
			   : TP_FLUSH;
}

static bool prepare(struct model *m, struct flight *flight)
{
	struct tp_bio *bio = &flight->bio;
	uint64_t cut;

	flight->volume = pick(m, true);
	if (!flight->volume)
		return false;
	*bio = (struct tp_bio){ .op = pick_op(m),
				.end_io = landed,
				.context = flight };
	if (bio->op == TP_FLUSH)
		return true;
	pick_range(m, &bio->offset, &bio->length);
	if (!claim(m, flight))
		return false;
	if (bio->op == TP_WRITE)
		bio->flags = pick_write_flags(m);
	if (bio->op == TP_WRITE_ZEROES)
		bio->flags = below(m, 2) ? TP_NO_UNMAP : 0;
	if (bio->op == TP_WRITE)
		fill_pattern(flight->buffer, bio->length, bio->offset,
			     next_random(&m->random));
	if (bio->op != TP_WRITE && bio->op != TP_READ)
		return true;

	/* In two pieces, cut anywhere. */
	cut = below(m, bio->length / 512 + 1) * 512;
	flight->iov[0] = (struct iovec){ flight->buffer, cut };
	flight->iov[1] =
		(struct iovec){ flight->buffer + cut, bio->length - cut };
	bio->iov = flight->iov;
	bio->iovcnt = 2;

	return true;
}

static void check_landed(struct model *m, struct flight *flight)
{
	struct tp_bio *bio = &flight->bio;
	struct volume *v = flight->volume;

	model_check(m, bio->status == 0);
	switch (bio->op) {
	case TP_READ:
		compare(m, v, flight->buffer, bio->offset, bio->length);
		break;
	case TP_WRITE:
		model_write(m, v, flight->buffer, bio->offset, bio->length);
		break;
	case TP_DISCARD:
		model_discard(m, v, bio->offset, bio->length);
		break;
	case TP_WRITE_ZEROES:
		model_write_zeroes(m, v, bio->offset, bio->length, bio->flags);
		break;
	case TP_COPY:
	case TP_FLUSH:
		break;
	}
	if (bio->op != TP_FLUSH)
		v->busy_end[flight->slot] = v->busy_begin[flight->slot] = 0;
	flight->busy = flight->ended = false;
}

struct lane {
	struct tp_queue *queue;
	struct flight *flights;
};

static void reap(struct model *m, struct lane *lane, unsigned depth, bool all)
{
	unsigned nr_busy = 0;

	m->doing = "reap";
	for (unsigned i = 0; i < depth; i++)
		nr_busy += lane->flights[i].busy;
	model_check(m, tp_queue_wait(lane->queue, all ? nr_busy : 1, -1) >= 0);
	for (unsigned i = 0; i < depth; i++)
		if (lane->flights[i].ended)
			check_landed(m, &lane->flights[i]);
	for (unsigned i = 0; all && i < depth; i++)
		model_check(m, !lane->flights[i].busy);
}

static struct flight *idle_flight(struct lane *lane, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		if (!lane->flights[i].busy)
			return &lane->flights[i];

	return NULL;
}

static void launch(struct model *m, struct lane *lane, unsigned depth)
{
	struct flight *flight = idle_flight(lane, depth);

	if (!flight) {
		reap(m, lane, depth, false);
		flight = idle_flight(lane, depth);
	}
	m->doing = "submit";
	if (!flight || !prepare(m, flight))
		return;
	flight->busy = true;
	model_check(m, tp_queue_submit(lane->queue, flight->volume->thin,
				       &flight->bio) == 0);
}

static void open_lanes(struct model *m, struct lane *lanes, unsigned nr,
		       unsigned depth)
{
	for (unsigned i = 0; i < nr; i++)
		model_check(m, tp_queue_create(m->w.pool, depth,
					       &lanes[i].queue) == 0);
}

/* All bios land; only the model's own control calls see a quiet pool. */
static void calm(struct model *m, struct lane *lanes, unsigned nr,
		 unsigned depth)
{
	for (unsigned i = 0; i < nr; i++)
		reap(m, &lanes[i], depth, true);
}

/* With bios under way, those that read do not hinder anything.  A snapshot
 * waits, as the model does not know which side of it a write fell on. */
static void control_between(struct model *m, struct lane *lanes, unsigned nr,
			    unsigned depth)
{
	calm(m, lanes, nr, depth);
	for (unsigned i = 0; i < nr; i++)
		tp_queue_destroy(lanes[i].queue);
	do_control(m);
	open_lanes(m, lanes, nr, depth);
}

void model_run_concurrent(const struct model_run *run, unsigned nr_queues,
			  unsigned depth)
{
	struct lane lanes[8];
	struct model m;

	ck_assert_uint_le(nr_queues, 8);
	begin(&m, run);
	create(&m);
	for (unsigned i = 0; i < nr_queues; i++) {
		lanes[i].flights = calloc(depth, sizeof(struct flight));
		for (unsigned j = 0; j < depth; j++)
			lanes[i].flights[j].buffer = malloc(m.volume_bytes);
	}
	open_lanes(&m, lanes, nr_queues, depth);
	for (m.step = 0; m.step < run->nr_ops; m.step++) {
		m.w.data.newest_first = below(&m, 2);
		launch(&m, &lanes[below(&m, nr_queues)], depth);
		if (!below(&m, 60))
			control_between(&m, lanes, nr_queues, depth);
		if (m.step % 500 == 499) {
			calm(&m, lanes, nr_queues, depth);
			compare_all(&m);
		}
		io_log_clear(&m.w.log);
	}
	calm(&m, lanes, nr_queues, depth);
	for (unsigned i = 0; i < nr_queues; i++) {
		tp_queue_destroy(lanes[i].queue);
		for (unsigned j = 0; j < depth; j++)
			free(lanes[i].flights[j].buffer);
		free(lanes[i].flights);
	}
	end(&m);
}
