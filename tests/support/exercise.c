/*
 * exercise.c - everything that can be done with a pool, by chance.
 *
 * First all volumes are read.  A block whose mapping is what it was in the good
 * image, by a plain lookup, must show its content or an error; and a volume of
 * which nothing at all was changed must show it.  Then come steps of all kinds.
 * What they find is compared as long as the ledger can be trusted, which is to
 * the end if damage shows: where a count is wrong and its checksum right, one
 * volume's write may end up in another's block, and nobody could tell.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thinpool/check.h>

#include "pool/superblock.h"
#include "support/exercise.h"
#include "support/image-lookup.h"
#include "support/pattern.h"

#define NR_HANDLES 4
#define NR_BIOS 8
#define NEW_BLOCKS 64u
#define SECOND_NS 1000000000u

struct handle {
	struct tp_thin *thin; /* NULL: not open */
	uint32_t id, nr_blocks;
};

struct run {
	const struct exercise *exercise;
	struct image_pool pool;
	uint64_t random;
	struct handle handles[NR_HANDLES];
	unsigned steps_left;
	bool has_changed;
	bool is_sound; /* the checker found nothing that matters */
};

static uint32_t below(struct run *run, uint32_t limit)
{
	return (uint32_t)random_in(&run->random, 0, limit);
}

/* What is sound may only forbid what is asked by its mode, and only that of a
 * pool that is opened to read or has run out of metadata (F-17, F-18). */
static bool may_fail(const struct run *run)
{
	return !run->is_sound || run->exercise->specimen->runs_out ||
	       run->pool.options.flags & TP_POOL_READ_ONLY;
}

static void expect_good(struct run *run, const char *call, int r)
{
	image_pool_expect(&run->pool, call, r);
	if ((r == -EIO || r == -EILSEQ) && !may_fail(run))
		image_pool_complain(&run->pool,
				    "%s: %d, and the metadata is sound", call,
				    r);
}

#define TRY(run, call) expect_good(run, #call, call)

/*---------------------------- the checker ----------------------------------*/

static enum tp_check_severity check(struct run *run,
				    struct tp_check_report *report)
{
	struct tp_check_options options = TP_CHECK_OPTIONS_INIT;
	int r;

	options.nr_threads = run->exercise->own_thread ? 2 : 1;
	options.data_bytes = run->pool.data.size_bytes;
	options.clock_wait = run->pool.options.clock_wait;
	options.clock_context = run->pool.options.clock_context;
	*report = (struct tp_check_report)TP_CHECK_REPORT_INIT;
	r = tp_check(run->pool.metadata.device, &options, report);
	if (r)
		image_pool_complain(&run->pool, "check: %d", r);

	return report->worst;
}

/* What is lost or odd may be harmless; but a time near the last one ends
 * snapshots, a count near the greatest new references, and needs_check all
 * changes. */
static bool is_sound(struct run *run)
{
	struct tp_check_report report;

	return check(run, &report) <= TP_CHECK_LEAK &&
	       !report.nr_by_kind[TP_FOUND_DETAILS_TIME] &&
	       !report.nr_by_kind[TP_FOUND_COUNT_HIGH] && !report.needs_check &&
	       report.time < TPI_TIME_MAX / 2;
}

/* Sound pools stay so, and lose nothing that was not lost before. */
static void check_end(struct run *run)
{
	enum tp_check_severity most = run->exercise->damage ? TP_CHECK_LEAK
							    : TP_CHECK_WARNING;
	struct tp_check_report report;

	if (check(run, &report) > most && run->is_sound)
		image_pool_complain(&run->pool, "check at the end: %s",
				    tp_check_severity_name(report.worst));
}

/*---------------------------- reading everything ---------------------------*/

/* Blocks that are looked at of a huge volume. */
#define LOOKS 1000u

static const char *damaged(const struct run *run)
{
	const struct exercise *exercise = run->exercise;

	return exercise->metadata ? exercise->metadata
				  : exercise->specimen->metadata;
}

static void check_start(struct run *run, const struct ledger_thin *thin,
			uint32_t vblock, const char *start)
{
	const struct specimen *specimen = run->exercise->specimen;
	uint64_t size = specimen->sizes.metadata_bytes;
	uint64_t good = 0, now = 0;
	int r = image_lookup(specimen->metadata, size, thin->id, vblock, &good);
	bool same = image_lookup(damaged(run), size, thin->id, vblock, &now) ==
			    r &&
		    good == now;

	if ((same || run->pool.is_trusted) &&
	    !ledger_allows(thin, vblock, start))
		image_pool_complain(&run->pool, "thin %u, block %u: wrong data",
				    thin->id, vblock);
}

static void look_at_block(struct run *run, const struct ledger_thin *thin,
			  struct tp_thin *open, uint32_t vblock, bool intact)
{
	char start[LEDGER_KEPT];
	int r = tp_thin_read(open, start, LEDGER_KEPT,
			     (uint64_t)vblock * LEDGER_BLOCK);

	TRY(run, r);
	if (!r)
		check_start(run, thin, vblock, start);
	else if (intact)
		image_pool_complain(&run->pool, "thin %u, block %u: %d",
				    thin->id, vblock, r);
}

/* Later on a thin may be another than the one it was. */
static bool is_intact(const struct run *run, const struct ledger_thin *thin)
{
	const struct specimen *specimen = run->exercise->specimen;

	return !run->has_changed &&
	       image_has_same_thin(specimen->metadata, damaged(run),
				   specimen->sizes.metadata_bytes, thin->id);
}

static void look_at_thin(struct run *run, const struct ledger_thin *thin)
{
	bool intact = is_intact(run, thin);
	uint32_t stride = 1 + thin->nr_blocks / LOOKS;
	struct tp_thin *open;
	int r = image_pool_open_thin(&run->pool, thin->id, &open);

	if (r && intact)
		image_pool_complain(&run->pool, "thin %u: open: %d", thin->id,
				    r);
	if (r)
		return;
	for (uint32_t i = 0; i < thin->nr_blocks; i += stride)
		look_at_block(run, thin, open, i, intact);
	TRY(run, tp_thin_close(open));
}

static void look_at_all(struct run *run)
{
	const struct ledger *ledger = &run->pool.ledger;

	for (size_t i = 0; i < ledger->nr_thins; i++)
		look_at_thin(run, &ledger->thins[i]);
}

/*---------------------------- handles --------------------------------------*/

/* Mostly of a thin that there is. */
static uint32_t choose_id(struct run *run)
{
	const struct ledger *ledger = &run->pool.ledger;

	if (!ledger->nr_thins || !below(run, 6))
		return below(run, 40);

	return ledger->thins[below(run, (uint32_t)ledger->nr_thins)].id;
}

static uint32_t size_of(const struct run *run, uint32_t id)
{
	const struct ledger_thin *thin = ledger_find(&run->pool.ledger, id);

	return thin ? thin->nr_blocks : NEW_BLOCKS;
}

static void close_handle(struct run *run, struct handle *handle)
{
	if (handle->thin)
		TRY(run, tp_thin_close(handle->thin));
	handle->thin = NULL;
}

static void close_handles(struct run *run)
{
	for (unsigned i = 0; i < NR_HANDLES; i++)
		close_handle(run, &run->handles[i]);
}

/* An open one, or NULL: none could be opened. */
static struct handle *choose_handle(struct run *run)
{
	struct handle *handle = &run->handles[below(run, NR_HANDLES)];

	if (handle->thin && !below(run, 8))
		close_handle(run, handle);
	if (handle->thin)
		return handle;
	handle->id = choose_id(run);
	handle->nr_blocks = size_of(run, handle->id);
	if (image_pool_open_thin(&run->pool, handle->id, &handle->thin))
		handle->thin = NULL;

	return handle->thin ? handle : NULL;
}

/* Where, and how many blocks. */
static uint32_t choose_range(struct run *run, const struct handle *handle,
			     uint32_t *nr)
{
	uint32_t vblock = below(run, handle->nr_blocks);

	*nr = below(run, 3) ? 1 : 1 + below(run, 12);
	if (*nr > handle->nr_blocks - vblock)
		*nr = handle->nr_blocks - vblock;

	return vblock;
}

/*---------------------------- steps: blocks --------------------------------*/

static void do_to_blocks(struct run *run, const char *what,
			 int (*act)(struct image_pool *pool,
				    struct tp_thin *thin, uint32_t id,
				    uint32_t vblock, uint32_t nr))
{
	struct handle *handle = choose_handle(run);
	uint32_t vblock, nr;

	if (!handle)
		return;
	vblock = choose_range(run, handle, &nr);
	expect_good(run, what,
		    act(&run->pool, handle->thin, handle->id, vblock, nr));
}

static void do_read(struct run *run)
{
	do_to_blocks(run, "read", image_pool_read);
}

static void do_zero(struct run *run)
{
	do_to_blocks(run, "zero", image_pool_zero);
}

static void do_write(struct run *run)
{
	struct handle *handle = choose_handle(run);
	unsigned flags = below(run, 4) ? 0 : TP_FUA;
	bool whole = below(run, 2);
	uint32_t vblock, nr;

	if (!handle)
		return;
	vblock = choose_range(run, handle, &nr);
	TRY(run, image_pool_write(&run->pool, handle->thin, handle->id, vblock,
				  nr, whole, flags));
}

static void do_discard(struct run *run)
{
	struct handle *handle = choose_handle(run);
	uint32_t vblock, nr;

	if (!handle)
		return;
	vblock = choose_range(run, handle, &nr);
	if (!below(run, 4))
		nr = handle->nr_blocks - vblock;
	TRY(run, image_pool_discard(&run->pool, handle->thin, handle->id,
				    vblock, nr));
}

static void do_flush(struct run *run)
{
	struct handle *handle = choose_handle(run);

	if (handle)
		TRY(run, image_pool_flush(&run->pool, handle->thin));
}

/*---------------------------- steps: bios in flight together ---------------*/

struct io {
	struct tp_bio bio;
	struct iovec iov;
	uint32_t id, vblock, tag;
	unsigned nr_ended;
	char block[LEDGER_KEPT];
};

static void end_io(struct tp_bio *bio)
{
	struct io *io = bio->context;

	io->nr_ended++;
}

/* Blocks of their own, so that their order does not matter. */
static void prepare_io(struct run *run, struct io *io, uint32_t id,
		       uint32_t vblock)
{
	static const enum tp_op ops[] = { TP_READ, TP_WRITE, TP_WRITE,
					  TP_DISCARD };

	*io = (struct io){ .id = id, .vblock = vblock };
	io->bio = (struct tp_bio){
		.op = ops[below(run, 4)],
		.offset = (uint64_t)vblock * LEDGER_BLOCK,
		.length = LEDGER_BLOCK,
		.iov = &io->iov,
		.iovcnt = 1,
		.end_io = end_io,
		.context = io,
	};
	io->iov = (struct iovec){ io->block, LEDGER_KEPT };
	if (io->bio.op == TP_WRITE)
		io->tag = ++run->pool.ledger.last_tag;
	ledger_fill(io->block, io->tag);
}

static void check_io(struct run *run, struct io *io)
{
	struct ledger_thin *thin = ledger_find(&run->pool.ledger, io->id);
	int status = io->bio.status;

	if (io->nr_ended != 1)
		image_pool_complain(&run->pool, "a bio ended %u times",
				    io->nr_ended);
	if (status && status != -EIO && status != -ENOSPC)
		image_pool_complain(&run->pool, "a bio ended with %d", status);
	TRY(run, status);
	if (!thin)
		return;
	if (io->bio.op == TP_DISCARD && !image_pool_discards(&run->pool))
		ledger_write(thin, io->vblock, 0, false);
	else if (io->bio.op != TP_READ)
		ledger_write(thin, io->vblock, io->tag, !status);
	else if (!status && run->pool.is_trusted &&
		 !ledger_allows(thin, io->vblock, io->block))
		image_pool_complain(&run->pool, "thin %u, block %u: wrong data",
				    io->id, io->vblock);
}

static void run_batch(struct run *run, struct handle *handle,
		      struct tp_queue *queue, struct io *ios)
{
	uint32_t stride = 1 + below(run, handle->nr_blocks / NR_BIOS);
	unsigned nr = 0;

	for (unsigned i = 0; i < NR_BIOS; i++) {
		int r;

		prepare_io(run, &ios[nr], handle->id, i * stride);
		r = tp_queue_submit(queue, handle->thin, &ios[nr].bio);
		TRY(run, r);
		nr += !r;
	}
	if (below(run, 2))
		tp_queue_wait(queue, below(run, nr + 1), -1);
	else
		tp_queue_wait(queue, nr, -1);
	tp_queue_destroy(queue);
	for (unsigned i = 0; i < nr; i++)
		check_io(run, &ios[i]);
}

static void do_batch(struct run *run)
{
	struct handle *handle = choose_handle(run);
	struct io ios[NR_BIOS];
	struct tp_queue *queue;
	int r;

	if (!handle || handle->nr_blocks < NR_BIOS)
		return;
	r = tp_queue_create(run->pool.pool, NR_BIOS, &queue);
	TRY(run, r);
	if (!r)
		run_batch(run, handle, queue, ios);
}

/*---------------------------- steps: looking -------------------------------*/

struct looker {
	const struct run *run;
	uint64_t next, end; /* ids that come now, or bytes of a thin */
};

static int see_thin(const struct tp_thin_info *info, void *context)
{
	struct looker *looker = context;

	if (info->id < looker->next || info->id >= TP_THIN_ID_END)
		image_pool_complain(&looker->run->pool, "thin %u is listed",
				    info->id);
	looker->next = (uint64_t)info->id + 1;

	return 0;
}

static void do_list(struct run *run)
{
	struct looker looker = { .run = run };

	TRY(run, tp_pool_list_thins(run->pool.pool, see_thin, &looker));
}

static int see_extent(const struct tp_extent *extent, void *context)
{
	struct looker *looker = context;
	const struct image_device *data = &looker->run->pool.data;

	if (extent->offset != looker->next || !extent->length ||
	    extent->length > looker->end - extent->offset)
		image_pool_complain(&looker->run->pool, "an extent at %llu",
				    (unsigned long long)extent->offset);
	if (extent->mapped &&
	    extent->data_offset + extent->length > data->size_bytes)
		image_pool_complain(&looker->run->pool,
				    "mapped beyond the data device: %llu",
				    (unsigned long long)extent->data_offset);
	looker->next += extent->length;

	return 0;
}

static void do_extents(struct run *run)
{
	struct handle *handle = choose_handle(run);
	struct looker looker = { .run = run };

	if (!handle)
		return;
	looker.end = (uint64_t)handle->nr_blocks * LEDGER_BLOCK;
	TRY(run, tp_thin_each_extent(handle->thin, 0, looker.end, see_extent,
				     &looker));
}

static void do_info(struct run *run)
{
	struct tp_thin_info info = TP_THIN_INFO_INIT;
	struct handle *handle = choose_handle(run);

	image_pool_mode(&run->pool);
	if (handle)
		TRY(run, tp_thin_get_info(handle->thin, &info));
}

/*---------------------------- steps: the pool ------------------------------*/

static void do_create(struct run *run)
{
	TRY(run, image_pool_create(&run->pool, below(run, 40), NEW_BLOCKS));
}

static void do_snapshot(struct run *run)
{
	uint32_t id = below(run, 40), origin = choose_id(run);

	TRY(run, image_pool_snapshot(&run->pool, id, origin));
}

static void do_delete(struct run *run)
{
	uint32_t id = choose_id(run);

	for (unsigned i = 0; i < NR_HANDLES; i++)
		if (run->handles[i].id == id)
			close_handle(run, &run->handles[i]);
	TRY(run, image_pool_delete(&run->pool, id));
}

static void do_commit(struct run *run)
{
	TRY(run, image_pool_commit(&run->pool));
}

static void do_metadata_snapshot(struct run *run)
{
	struct tp_pool *pool = run->pool.pool;

	if (below(run, 2))
		TRY(run, tp_pool_reserve_metadata_snapshot(pool));
	else
		TRY(run, tp_pool_release_metadata_snapshot(pool));
}

static void do_transaction_id(struct run *run)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	TRY(run, tp_pool_get_status(run->pool.pool, &status));
	TRY(run,
	    tp_pool_set_transaction_id(run->pool.pool, status.transaction_id,
				       status.transaction_id + 1));
}

static void grow(struct image_device *device, uint64_t stripe)
{
	uint64_t room =
		device->room_bytes / device->kept_bytes * device->stripe_bytes;

	if (device->size_bytes + stripe <= room)
		device->size_bytes += stripe;
}

static void do_grow(struct run *run)
{
	if (below(run, 2)) {
		grow(&run->pool.data, 8 * LEDGER_BLOCK);
		TRY(run, tp_pool_grow_data(run->pool.pool));
	} else {
		grow(&run->pool.metadata, 16 * 4096);
		TRY(run, tp_pool_grow_metadata(run->pool.pool));
	}
}

static void do_suspend(struct run *run)
{
	/* One whose commit fails is suspended too. */
	TRY(run, tp_pool_suspend(run->pool.pool));
	TRY(run, tp_pool_resume(run->pool.pool, NULL));
}

static void do_pass_time(struct run *run)
{
	image_pool_pass_time(&run->pool, SECOND_NS << below(run, 8));
}

/* False: it could not be opened again, which ends the exercise. */
static bool reopen(struct run *run)
{
	int r;

	close_handles(run);
	TRY(run, image_pool_close(&run->pool));
	r = image_pool_open(&run->pool);
	TRY(run, r);

	return !r;
}

static void do_reopen(struct run *run)
{
	if (!reopen(run))
		run->steps_left = 1;
}

/*---------------------------- steps: the catalogue -------------------------*/

static int see_volume(const struct tp_volume *volume, void *context)
{
	struct run *run = context;

	if (strnlen(volume->name, sizeof(volume->name)) > TP_NAME_MAX ||
	    volume->id >= TP_THIN_ID_END)
		image_pool_complain(&run->pool, "volume %u is listed",
				    volume->id);

	return 0;
}

static void choose_name(struct run *run, char name[16])
{
	snprintf(name, 16, "volume %u", below(run, 10));
}

/* Its volumes have ids of its own choosing, which the ledger may know. */
static void change_catalogue(struct run *run, struct tp_catalogue *catalogue)
{
	struct tp_volume volume = TP_VOLUME_INIT;
	char name[16], other[16];

	choose_name(run, name);
	choose_name(run, other);
	switch (below(run, 6)) {
	case 0:
		TRY(run,
		    tp_catalogue_create(catalogue, name,
					NEW_BLOCKS * LEDGER_BLOCK, 0, NULL));
		break;
	case 1:
		TRY(run, tp_catalogue_snapshot(catalogue, name, other, NULL));
		break;
	case 2:
		TRY(run, tp_catalogue_rename(catalogue, name, other));
		break;
	case 3:
		TRY(run, tp_catalogue_resize(catalogue, name,
					     NEW_BLOCKS * LEDGER_BLOCK));
		break;
	case 4:
		TRY(run, tp_catalogue_adopt(catalogue, choose_id(run), name,
					    NEW_BLOCKS * LEDGER_BLOCK));
		break;
	default:
		TRY(run, tp_catalogue_find(catalogue, name, &volume));
	}
}

static void do_catalogue(struct run *run)
{
	struct tp_catalogue *catalogue;
	int r = tp_catalogue_open(run->pool.pool, &catalogue);

	TRY(run, r);
	if (r)
		return;
	TRY(run, tp_catalogue_list(catalogue, see_volume, run));
	change_catalogue(run, catalogue);
	tp_catalogue_close(catalogue);
}

/*---------------------------- all of it ------------------------------------*/

static const struct {
	void (*fn)(struct run *run);
	unsigned weight;
} steps[] = {
	{ do_read, 4 },           { do_write, 8 },
	{ do_discard, 2 },        { do_zero, 1 },
	{ do_flush, 2 },          { do_batch, 4 },
	{ do_list, 1 },           { do_extents, 1 },
	{ do_info, 1 },           { do_create, 2 },
	{ do_snapshot, 3 },       { do_delete, 2 },
	{ do_commit, 2 },         { do_metadata_snapshot, 2 },
	{ do_transaction_id, 1 }, { do_grow, 1 },
	{ do_suspend, 1 },        { do_pass_time, 2 },
	{ do_reopen, 1 },         { do_catalogue, 1 },
};

static void do_step(struct run *run)
{
	unsigned total = 0, at = 0, chosen;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		total += steps[i].weight;
	chosen = below(run, total);
	while (chosen >= steps[at].weight)
		chosen -= steps[at++].weight;
	steps[at].fn(run);
}

static void choose_options(struct run *run)
{
	static const unsigned flags[] = { 0, 0, 0, TP_POOL_ERROR_IF_NO_SPACE,
					  TP_POOL_NO_DISCARD_PASSDOWN };

	run->pool.options.flags |= flags[below(run, 5)];
	if (below(run, 8))
		run->pool.options.commit_interval_ms = 0;
	if (!below(run, 10))
		run->pool.options.flags |= TP_POOL_READ_ONLY;
}

static void check_untouched(struct run *run, const char *when)
{
	if (memcmp(run->pool.metadata.bytes, damaged(run),
		   run->exercise->specimen->sizes.metadata_bytes))
		image_pool_complain(&run->pool, "%s has written", when);
}

static void use_pool(struct run *run)
{
	look_at_all(run);
	run->has_changed = true;
	run->pool.is_trusted = run->exercise->shows || !run->exercise->damage;
	for (run->steps_left = run->exercise->nr_steps; run->steps_left;
	     run->steps_left--)
		do_step(run);
	if (!run->pool.pool)
		return;
	if (run->pool.is_trusted && reopen(run))
		look_at_all(run);
	close_handles(run);
	TRY(run, image_pool_close(&run->pool));
	if (run->pool.options.flags & TP_POOL_READ_ONLY)
		check_untouched(run, "a read-only pool");
	check_end(run);
}

bool exercise(const struct exercise *exercise)
{
	struct run run = { .exercise = exercise,
			   .random = mix(exercise->seed) };
	int r;

	specimen_copy(exercise->specimen, &run.pool, !exercise->own_thread);
	snprintf(run.pool.what, sizeof(run.pool.what), "%s, seed %llu, %s",
		 exercise->specimen->name, (unsigned long long)exercise->seed,
		 exercise->damage ? exercise->damage : "no damage");
	image_device_put(&run.pool.metadata, damaged(&run),
			 exercise->specimen->sizes.metadata_bytes);
	choose_options(&run);
	run.pool.is_trusted = exercise->shows;
	run.is_sound = is_sound(&run);
	if (!exercise->damage && !run.is_sound)
		image_pool_complain(&run.pool, "the checker finds damage");
	r = image_pool_open(&run.pool);
	TRY(&run, r);
	if (r)
		check_untouched(&run, "a failed open");
	else
		use_pool(&run);
	image_pool_exit(&run.pool);

	return !r;
}
