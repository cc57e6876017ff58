/*
 * run.c - a pool at work while something fails, and the ledger of it.
 */
#include <limits.h>
#include <stdlib.h>

#include "faults/run.h"

void run_notice(struct run *run, unsigned began)
{
	unsigned nr = io_log_nr(&run->w.log);

	for (; run->nr_noticed < nr; run->nr_noticed++) {
		struct io_event event =
			io_log_get(&run->w.log, run->nr_noticed);

		if (event.when == IO_END && event.op == TP_FLUSH &&
		    !strcmp(event.name, "data"))
			ledger_data_flushed(&run->ledger, began, !event.status);
	}
}

/*---------------------------- the pool -------------------------------------*/

int run_open(struct run *run)
{
	return tp_pool_open(run->w.metadata.device, run->w.data.device,
			    &run->w.options, &run->w.pool);
}

static unsigned slot_of(struct run *run, uint32_t id)
{
	return (unsigned)(ledger_volume(&run->ledger, id) -
			  run->ledger.volumes);
}

struct tp_thin *run_thin(struct run *run, uint32_t id)
{
	return run->thins[slot_of(run, id)];
}

static int open_queue(struct run *run)
{
	return run->queue ? 0
			  : tp_queue_create(run->w.pool, RUN_BIOS, &run->queue);
}

int run_open_thin(struct run *run, uint32_t id)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	unsigned slot = slot_of(run, id);
	int r = open_queue(run);

	options.size = RUN_THIN_BYTES;
	if (run->ledger.volumes[slot].origin_bytes)
		options.external_origin = run->origin.device;
	if (!r && !run->thins[slot])
		r = tp_thin_open(run->w.pool, id, &options, &run->thins[slot]);

	return r;
}

static void close_thin(struct run *run, unsigned slot)
{
	ck_ok(tp_thin_close(run->thins[slot]));
	run->thins[slot] = NULL;
}

void run_close_thin(struct run *run, uint32_t id)
{
	close_thin(run, slot_of(run, id));
}

/* What was flushed by a close that ended well is sealed (S4). */
int run_close(struct run *run)
{
	unsigned began = ledger_tick(&run->ledger);
	int r;

	if (!run->w.pool)
		return 0;
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++)
		close_thin(run, i);
	tp_queue_destroy(run->queue);
	run->queue = NULL;
	tp_catalogue_close(run->catalogue);
	run->catalogue = NULL;
	r = tp_pool_close(run->w.pool);
	ck_assert_int_ne(r, -EBUSY);
	run->w.pool = NULL;
	run->nr_suspends = 0;
	run_notice(run, began);
	if (!r)
		ledger_committed(&run->ledger, began);

	return r;
}

/*---------------------------- bios -----------------------------------------*/

static struct run_bio *find_idle(struct run *run)
{
	for (unsigned i = 0; i < RUN_BIOS; i++)
		if (!run->bios[i].under_way)
			return &run->bios[i];
	ck_abort_msg("more bios at once than there is room for");
}

static bool changes_contents(enum tp_op op)
{
	return op != TP_READ && op != TP_FLUSH;
}

/* What a discard unmaps: whole blocks (6.2). */
static void enter(struct run *run, struct run_bio *bio, enum tp_op op,
		  uint64_t begin, uint64_t end)
{
	uint64_t content = ledger_new_seed(&run->ledger);

	if (op == TP_WRITE)
		fill_pattern(bio->buffer, end - begin, begin, content);
	if (op == TP_DISCARD) {
		begin = (begin + WORLD_BLOCK - 1) / WORLD_BLOCK * WORLD_BLOCK;
		end = end / WORLD_BLOCK * WORLD_BLOCK;
		content = LEDGER_BLANK;
	}
	if (op == TP_WRITE_ZEROES)
		content = LEDGER_ZERO;
	bio->op = ledger_begin(&run->ledger, bio->volume, begin, end, content);
}

struct run_bio *run_submit(struct run *run, enum tp_op op, uint32_t id,
			   uint64_t offset, uint64_t length, unsigned flags)
{
	struct run_bio *bio = find_idle(run);

	*bio = (struct run_bio){ .under_way = true };
	bio->volume = ledger_volume(&run->ledger, id);
	bio->began = ledger_tick(&run->ledger);
	if (op == TP_READ || op == TP_WRITE)
		bio->buffer = malloc(length);
	if (changes_contents(op))
		enter(run, bio, op, offset, offset + length);
	io_init(&bio->io, op, bio->buffer, offset, length, flags);
	io_submit(&bio->io, run->queue, run_thin(run, id));

	return bio;
}

/* Host-driven, whatever can be done is done at once: no need to sleep for it. */
int run_io(struct run *run, struct io *io)
{
	bool host_driven = world_is_host_driven(&run->w);

	while (!io_has_ended(io, run->queue) &&
	       (!host_driven || tp_pool_poll(run->w.pool)))
		if (!host_driven)
			world_run(&run->w);

	return io_wait(&run->w, io, run->queue);
}

/* After an abort what is live counts as if it had crashed (A1). */
enum ledger_view run_view(struct run *run)
{
	return world_status(&run->w).needs_check ? LEDGER_CRASHED : LEDGER_LIVE;
}

/* Where nothing may be changed any more a discard ends well and does nothing
 * (B-DISC-14): what it would have unmapped may still be there. */
static bool took_effect(struct run *run, const struct run_bio *bio)
{
	if (bio->io.bio.status)
		return false;

	return bio->io.bio.op != TP_DISCARD || run_view(run) == LEDGER_LIVE;
}

/* @began: it, and whatever was under way at the same time. */
static void settle(struct run *run, struct run_bio *bio, unsigned began)
{
	int status = bio->io.bio.status;
	unsigned flags = bio->io.bio.flags;

	ck_assert_uint_eq(bio->io.nr_ended, 1);
	bio->under_way = false;
	if (bio->op)
		ledger_end(&run->ledger, bio->op, took_effect(run, bio));
	run_notice(run, began);
	if (!status && (bio->io.bio.op == TP_FLUSH || (flags & TP_PREFLUSH)))
		ledger_flushed(bio->volume, bio->began);
	if (!status && (flags & TP_FUA) && bio->op)
		ledger_seal(bio->op);
	free(bio->buffer);
	bio->buffer = NULL;
}

static void check_read(struct run *run, const struct run_bio *bio)
{
	uint64_t begin = bio->io.bio.offset;

	if (bio->io.bio.op == TP_READ && !bio->io.bio.status)
		ledger_check(bio->volume, run_view(run), bio->buffer, begin,
			     begin + bio->io.bio.length);
}

static int wait_for(struct run *run, struct run_bio *bio, unsigned began)
{
	int status = run_io(run, &bio->io);

	/* Alone, nothing else may have changed what it read. */
	if (began == bio->began)
		check_read(run, bio);
	settle(run, bio, began);

	return status;
}

static unsigned earliest_began(const struct run *run)
{
	unsigned earliest = UINT_MAX;

	for (unsigned i = 0; i < RUN_BIOS; i++)
		if (run->bios[i].under_way && run->bios[i].began < earliest)
			earliest = run->bios[i].began;

	return earliest;
}

static int settle_all(struct run *run, bool only_ended)
{
	unsigned began = earliest_began(run);
	int first = 0;

	for (unsigned i = 0; i < RUN_BIOS; i++) {
		struct run_bio *bio = &run->bios[i];
		int r;

		if (!bio->under_way ||
		    (only_ended && !io_has_ended(&bio->io, run->queue)))
			continue;
		r = wait_for(run, bio, began);
		first = first ? first : r;
	}

	return first;
}

int run_wait(struct run *run)
{
	return settle_all(run, false);
}

int run_reap(struct run *run)
{
	return settle_all(run, true);
}

int run_bio(struct run *run, enum tp_op op, uint32_t id, uint64_t offset,
	    uint64_t length, unsigned flags)
{
	struct run_bio *bio;
	int r = run_open_thin(run, id);

	if (r)
		return r;
	bio = run_submit(run, op, id, offset, length, flags);

	return wait_for(run, bio, bio->began);
}

/*---------------------------- calls ----------------------------------------*/

/* How a call that commits ended; @fact (or NULL) is what it would change. */
static int enter_call(struct run *run, unsigned began, int r,
		      struct ledger_fact *fact, uint64_t next)
{
	run_notice(run, began);
	if (!r)
		ledger_committed(&run->ledger, began);
	if (fact && r)
		fact->other = next;
	else if (fact)
		fact->value = fact->other = next;

	return r;
}

int run_create(struct run *run, uint32_t id)
{
	unsigned began = ledger_tick(&run->ledger);
	int r = tp_pool_create_thin(run->w.pool, id);

	ledger_created(ledger_volume(&run->ledger, id), !r);

	return enter_call(run, began, r, NULL, 0);
}

int run_snapshots(struct run *run, const struct tp_snapshot_pair *pairs,
		  size_t nr)
{
	unsigned began = ledger_tick(&run->ledger);
	int r = tp_pool_create_snapshots(run->w.pool, pairs, nr);

	for (size_t i = 0; i < nr; i++)
		ledger_snapshot(&run->ledger,
				ledger_volume(&run->ledger, pairs[i].id),
				ledger_volume(&run->ledger, pairs[i].origin),
				!r);

	return enter_call(run, began, r, NULL, 0);
}

int run_snapshot(struct run *run, uint32_t id, uint32_t origin)
{
	return run_snapshots(
		run, &(struct tp_snapshot_pair){ .id = id, .origin = origin },
		1);
}

int run_delete(struct run *run, uint32_t id)
{
	unsigned began = ledger_tick(&run->ledger);
	int r = tp_pool_delete_thin(run->w.pool, id);

	ledger_deleted(ledger_volume(&run->ledger, id), !r);

	return enter_call(run, began, r, NULL, 0);
}

int run_commit(struct run *run)
{
	unsigned began = ledger_tick(&run->ledger);

	return enter_call(run, began, tp_pool_commit(run->w.pool), NULL, 0);
}

int run_set_transaction_id(struct run *run, uint64_t next)
{
	struct ledger_fact *fact = &run->ledger.transaction_id;
	unsigned began = ledger_tick(&run->ledger);

	return enter_call(run, began,
			  tp_pool_set_transaction_id(run->w.pool, fact->value,
						     next),
			  fact, next);
}

int run_reserve(struct run *run)
{
	unsigned began = ledger_tick(&run->ledger);

	return enter_call(run, began,
			  tp_pool_reserve_metadata_snapshot(run->w.pool),
			  &run->ledger.held, 1);
}

int run_release(struct run *run)
{
	unsigned began = ledger_tick(&run->ledger);

	return enter_call(run, began,
			  tp_pool_release_metadata_snapshot(run->w.pool),
			  &run->ledger.held, 0);
}

int run_grow_data(struct run *run, uint64_t bytes)
{
	unsigned began = ledger_tick(&run->ledger);

	observer_grow(&run->w.data, bytes);

	return enter_call(run, began, tp_pool_grow_data(run->w.pool),
			  &run->ledger.data_blocks, bytes / WORLD_BLOCK);
}

int run_grow_metadata(struct run *run, uint64_t bytes)
{
	unsigned began = ledger_tick(&run->ledger);

	observer_grow(&run->w.metadata, bytes);

	return enter_call(run, began, tp_pool_grow_metadata(run->w.pool),
			  &run->ledger.metadata_blocks, bytes / 4096);
}

/* Suspended even if the commit failed: so it is resumed when all is over. */
int run_suspend(struct run *run)
{
	unsigned began = ledger_tick(&run->ledger);
	int r = tp_pool_suspend(run->w.pool);

	run->nr_suspends += world_status(&run->w).suspended;

	return enter_call(run, began, r, NULL, 0);
}

/* It need not commit, so it seals nothing. */
int run_resume(struct run *run)
{
	int r = tp_pool_resume(run->w.pool, NULL);

	run->nr_suspends -= !r;

	return r;
}
