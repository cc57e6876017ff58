/*
 * bios.c - bios in flight, and how they may end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/run.h"
#include "simulator/tag.h"
#include "support/pattern.h"

static const char *op_name(enum tp_op op)
{
	static const char *const names[] = { "read", "write", "flush",
					     "discard", "write zeroes" };

	return names[op];
}

/*---------------------------- the end --------------------------------------*/

static bool needs_space(enum tp_op op)
{
	return op == TP_WRITE || op == TP_WRITE_ZEROES;
}

/* Without a fault, only a want of space is a reason to fail; or the end, for
 * what waits for a commit that may free some. */
static bool is_plausible(const struct run *run, const struct io *io)
{
	const struct tp_bio *bio = &io->bio;
	const struct operation *operation =
		history_get(&run->oracle->history, io->number);

	if (!bio->status || run->is_faulty)
		return true;
	if (bio->status == -ENOSPC)
		return needs_space(bio->op) &&
		       (run->is_closing ||
			(operation->had_to_wait &&
			 (io->met_refusal || io->waited_long ||
			  run_is_patience_over(run, io))));
	if (bio->status == -ECANCELED)
		return run->is_closing;

	return bio->status == -EIO && io->met_refusal;
}

static bool was_flush(const struct tp_bio *bio)
{
	return !bio->status &&
	       (bio->op == TP_FLUSH || (bio->flags & TP_PREFLUSH));
}

/* In read-only modes a discard succeeds without effect (B-DISC-14). */
static bool is_maybe(const struct io *io)
{
	return io->bio.op == TP_DISCARD && io->met_refusal;
}

static void note_end(struct run *run, struct io *io)
{
	trace_end(run->trace, io->number, io->bio.status);
	if (!is_plausible(run, io))
		violated(run->verdict,
			 "operation %u, a %s of thin %u, ends with %d, and "
			 "nothing failed",
			 io->number, op_name(io->bio.op), slot_id(io->slot),
			 io->bio.status);
	if (was_flush(&io->bio))
		order_flushed(&run->order, io->nr_requests, run->verdict);
	history_get(&run->oracle->history, io->number)->maybe = is_maybe(io);
	oracle_end(run->oracle, io->number, io->bio.status, io->buffer,
		   run->verdict);
}

static void on_end(struct tp_bio *bio)
{
	struct io *io = bio->context;
	struct run *run = io->run;

	io->busy = false;
	run->nr_in_flight[io->queue]--;
	if (is_going(run))
		note_end(run, io);
}

/*---------------------------- the beginning --------------------------------*/

static struct io *free_io(struct run *run)
{
	for (unsigned i = 0; i < NR_IOS; i++)
		if (!run->ios[i].busy)
			return &run->ios[i];

	return NULL;
}

bool run_can_submit(struct run *run, const struct step *step)
{
	return run->queues[step->queue] &&
	       run->nr_in_flight[step->queue] < run->config->depth &&
	       free_io(run);
}

static void fill(const struct run *run, const struct io *io,
		 const struct operation *operation)
{
	struct tag tag = {
		.seed = run->config->seed,
		.volume = operation->volume,
		.operation = io->number,
	};
	char *at = io->buffer;

	for (tag.sector = operation->begin; tag.sector < operation->end;
	     tag.sector++, at += SECTOR_BYTES)
		tag_write(at, &tag);
}

static void prepare(struct run *run, struct io *io,
		    const struct operation *operation)
{
	uint64_t length = (operation->end - operation->begin) * SECTOR_BYTES;
	bool has_memory = operation->op == TP_READ || operation->op == TP_WRITE;

	io->bio = (struct tp_bio){
		.op = operation->op,
		.flags = operation->flags,
		.offset = operation->begin * SECTOR_BYTES,
		.length = has_memory ? 0 : length,
		.iov = has_memory ? &io->iov : NULL,
		.iovcnt = has_memory ? 1 : 0,
		.end_io = on_end,
		.context = io,
	};
	if (!has_memory)
		return;
	if (!io->buffer)
		io->buffer = malloc((run->config->volume_sectors + 1) *
				    SECTOR_BYTES);
	io->iov = (struct iovec){ io->buffer, length };
	if (operation->zeroes)
		memset(io->buffer, 0, length);
	else if (operation->op == TP_WRITE)
		fill(run, io, operation);
}

static bool is_refusal_right(const struct run *run, enum tp_op op, int error)
{
	return op == TP_DISCARD && error == -EOPNOTSUPP &&
	       (run->config->pool_flags & TP_POOL_IGNORE_DISCARD);
}

static void submit(struct run *run, struct io *io, struct tp_thin *thin,
		   const struct operation *operation)
{
	int r;

	io->number = oracle_submit(run->oracle, operation);
	io->nr_requests = tp_simulator_nr_requests(run->simulator);
	trace_submit(run->trace, io->number, operation);
	prepare(run, io, operation);
	io->busy = true;
	io->met_refusal = run_refuses_changes(run);
	io->waited_long = false;
	run->nr_in_flight[io->queue]++;
	run->stats->nr_operations++;
	if (run->mode == TP_MODE_OUT_OF_DATA_SPACE)
		oracle_out_of_space(run->oracle);
	r = tp_queue_submit(run->queues[io->queue], thin, &io->bio);
	if (!r)
		return;
	io->busy = false;
	run->nr_in_flight[io->queue]--;
	oracle_refused(run->oracle, io->number);
	if (is_going(run) && !is_refusal_right(run, operation->op, r))
		violated(run->verdict, "a %s is refused: %d (%s)",
			 op_name(operation->op), r, tp_last_error());
}

/* What cannot be submitted now waits until it can. */
static struct io *await_room(struct run *run, const struct step *step)
{
	while (is_going(run) && !run_can_submit(run, step))
		if (!run_some(run)) {
			if (!run->nr_suspends)
				violated(run->verdict, "a bio never ends");
			return NULL;
		}

	return is_going(run) ? free_io(run) : NULL;
}

/* The smaller one only for what lies in it. */
static unsigned choose_handle(const struct slot *slot, const struct step *step)
{
	return (step->random & RANDOM_SECOND_HANDLE) &&
	       step->begin < slot->sizes[1];
}

/* A discard of the end of a volume is one of all that its handle shows. */
static bool reaches_on(const struct run *run, const struct step *step)
{
	return step->op == TP_DISCARD &&
	       step->begin + step->length == run->config->volume_sectors;
}

void run_submit(struct run *run, const struct step *step)
{
	struct slot *slot = &run->slots[step->slot];
	unsigned handle = choose_handle(slot, step);
	struct tp_thin *thin = slot->handles[handle];
	struct operation operation = {
		.op = step->op,
		.flags = step->flags,
		.zeroes = step->zeroes,
		.begin = step->op == TP_FLUSH ? 0 : step->begin,
		.end = step->op == TP_FLUSH ? 0 : step->begin + step->length,
	};
	struct volume *volume;
	struct io *io;

	if (reaches_on(run, step) || operation.end > slot->sizes[handle])
		operation.end = slot->sizes[handle];

	if (!slot->exists || !thin)
		return;
	io = await_room(run, step);
	if (!io)
		return;
	volume = run_volume(run, step->slot);
	operation.volume = volume->number;
	volume->has_ballast &= operation.end <= volume->nr_sectors;
	io->run = run;
	io->slot = step->slot;
	io->patience_ns = slot->patience_ns[handle];
	io->queue = step->queue;
	trace_step(run->trace, step);
	submit(run, io, thin, &operation);
}

void run_read_all(struct run *run)
{
	struct step step = { .kind = STEP_BIO, .op = TP_READ };

	for (step.slot = 0; step.slot < NR_SLOTS && is_going(run); step.slot++)
		if (run->slots[step.slot].exists) {
			step.length = run_volume(run, step.slot)->nr_sectors;
			run_submit(run, &step);
		}
	run_drain(run, NR_SLOTS);
}
