/*
 * world.c - a pool on two observed devices.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/oracles.h"
#include "support/world.h"

/*---------------------------- devices --------------------------------------*/

void world_make_sized(struct world *w, int kind, uint64_t metadata_bytes,
		      uint64_t data_bytes,
		      const struct tp_device_limits *data_limits)
{
	*w = (struct world){ .block_size = WORLD_BLOCK };
	w->options = (struct tp_pool_options)TP_POOL_OPTIONS_INIT;
	w->options.commit_interval_ms = TP_NEVER;
	if (kind == HOST_DRIVEN)
		w->options.flags = TP_POOL_HOST_DRIVEN;
	io_log_init(&w->log);
	observer_init(&w->metadata, &w->log, "metadata", metadata_bytes,
		      64 * MIB, NULL);
	observer_init(&w->data, &w->log, "data", data_bytes,
		      data_bytes > 256 * MIB ? data_bytes : 256 * MIB,
		      data_limits);
}

void world_make(struct world *w, int kind)
{
	world_make_sized(w, kind, 2 * MIB, 16 * MIB, NULL);
}

void world_unmake(struct world *w)
{
	observer_exit(&w->data);
	observer_exit(&w->metadata);
	io_log_exit(&w->log);
}

static void copy_device(const struct observer *from, struct observer *to)
{
	memcpy(to->bytes, from->bytes, from->size_bytes);
}

void world_copy(const struct world *w, struct world *other, int kind)
{
	world_make_sized(other, kind, w->metadata.size_bytes,
			 w->data.size_bytes, NULL);
	other->block_size = w->block_size;
	copy_device(&w->metadata, &other->metadata);
	copy_device(&w->data, &other->data);
}

static uint64_t virtual_now(void *context)
{
	struct world *w = context;

	return w->now_ns;
}

static void virtual_wait(void *context, uint64_t until_ns)
{
	struct world *w = context;

	ck_assert_msg(until_ns != UINT64_MAX,
		      "a blocking call waits for nothing that can happen");
	if (until_ns > w->now_ns)
		w->now_ns = until_ns;
}

void world_use_virtual_clock(struct world *w)
{
	ck_assert(world_is_host_driven(w));
	w->now_ns = SECOND_NS;
	w->options.clock_ns = virtual_now;
	w->options.clock_wait = virtual_wait;
	w->options.clock_context = w;
}

void world_pass_time(struct world *w, uint64_t ns)
{
	w->now_ns += ns;
	world_run(w);
}

/*---------------------------- the pool -------------------------------------*/

void world_format(struct world *w)
{
	struct tp_format_options options = TP_FORMAT_OPTIONS_INIT;

	options.data_block_size = w->block_size;
	ck_ok(tp_pool_format(w->metadata.device, w->data.device, &options));
}

void world_open(struct world *w)
{
	int r = tp_pool_open(w->metadata.device, w->data.device, &w->options,
			     &w->pool);

	ck_assert_msg(!r, "open: %d, %s", r, tp_last_error());
}

void world_close(struct world *w)
{
	int r = tp_pool_close(w->pool);

	ck_assert_msg(!r, "close: %d, %s", r, tp_last_error());
	w->pool = NULL;
}

void world_reopen(struct world *w)
{
	world_close(w);
	world_open(w);
}

void world_begin(struct world *w, int kind)
{
	world_make(w, kind);
	world_format(w);
	world_open(w);
}

void world_end(struct world *w)
{
	world_close(w);
	world_check(w);
	world_unmake(w);
}

void world_end_unchecked(struct world *w)
{
	world_close(w);
	world_unmake(w);
}

static void run_checker(const char *command, const char *path)
{
	int status = oracle_status(command, path, true);

	ck_assert_msg(status <= 0, "%s complains (%d)", command, status);
}

static void run_our_checker(const char *path)
{
	struct tp_file_options options = TP_FILE_OPTIONS_INIT;
	struct tp_check_report report = TP_CHECK_REPORT_INIT;
	struct tp_device *device;

	options.flags = TP_FILE_READ_ONLY;
	ck_ok(tp_device_open_file(path, &options, &device));
	ck_ok(tp_check(device, NULL, &report));
	tp_device_unref(device);
	ck_assert_msg(report.worst <= TP_CHECK_WARNING,
		      "tp_check finds a %s, see 'thinpool check'",
		      tp_check_severity_name(report.worst));
}

static void check_file(const char *path, bool verify_too)
{
	const char *verify = oracle_metadata_verify();

	run_our_checker(path);
	run_checker(ORACLE_THIN_CHECK, path);
	if (verify && verify_too)
		run_checker(verify, path);
}

void world_check_file(const char *path)
{
	check_file(path, true);
}

void world_check(struct world *w)
{
	char path[SCRATCH_PATH_BYTES];

	oracle_file(path, w->metadata.bytes, w->metadata.size_bytes);

	/* It takes its time: one of the two kinds will do for a quick run. */
	check_file(path,
		   !world_is_host_driven(w) || getenv("CHECK_EVERYTHING"));
	unlink(path);
}

bool world_is_host_driven(const struct world *w)
{
	return w->options.flags & TP_POOL_HOST_DRIVEN;
}

struct tp_pool_status world_status(struct world *w)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	ck_ok(tp_pool_get_status(w->pool, &status));

	return status;
}

uint64_t world_used(struct world *w)
{
	return world_status(w).used_data_blocks;
}

/*---------------------------- waiting --------------------------------------*/

void world_run(struct world *w)
{
	int nr = 0;

	if (w->pool && world_is_host_driven(w))
		nr = tp_pool_poll(w->pool);
	ck_assert_int_ge(nr, 0);
	if (!nr)
		usleep(300);
}

void world_idle(struct world *w)
{
	for (unsigned i = 0; i < 100; i++)
		world_run(w);
}

/* Asking takes a step. */
#define SETTLE_STEPS 100u

void world_settle(struct world *w)
{
	for (unsigned i = 0; i < SETTLE_STEPS; i++) {
		world_run(w);
		world_status(w);
	}
}

/*---------------------------- thins ----------------------------------------*/

struct tp_thin *world_open_thin(struct world *w, uint32_t id, uint64_t size)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;
	int r;

	options.size = size;
	r = tp_thin_open(w->pool, id, &options, &thin);
	ck_assert_msg(!r, "open thin %u: %d, %s", id, r, tp_last_error());

	return thin;
}

struct tp_thin *world_new_thin(struct world *w, uint32_t id, uint64_t size)
{
	int r = tp_pool_create_thin(w->pool, id);

	ck_assert_msg(!r, "create %u: %d, %s", id, r, tp_last_error());

	return world_open_thin(w, id, size);
}

struct tp_thin *world_filled_thin(struct world *w, uint32_t id, uint64_t size,
				  uint64_t seed)
{
	struct tp_thin *thin = world_new_thin(w, id, size);

	thin_fill(thin, 0, NR_FILLED * WORLD_BLOCK, seed);

	return thin;
}

void thins_close(struct tp_thin *one, struct tp_thin *two)
{
	ck_ok(tp_thin_close(one));
	ck_ok(tp_thin_close(two));
}

struct tp_thin *world_snapshot(struct world *w, uint32_t id, uint32_t origin,
			       uint64_t size)
{
	int r = tp_pool_create_snapshot(w->pool, id, origin);

	ck_assert_msg(!r, "snapshot %u: %d, %s", id, r, tp_last_error());

	return world_open_thin(w, id, size);
}

/* In pieces of which some are no multiple of any block. */
#define PIECE (832 * KIB)

void thin_fill(struct tp_thin *thin, uint64_t offset, uint64_t length,
	       uint64_t seed)
{
	char *buffer = malloc(PIECE);

	while (length) {
		size_t piece = length < PIECE ? length : PIECE;
		int r;

		fill_pattern(buffer, piece, offset, seed);
		r = tp_thin_write(thin, buffer, piece, offset, 0);
		ck_assert_msg(!r, "write at %llu: %d, %s",
			      (unsigned long long)offset, r, tp_last_error());
		offset += piece;
		length -= piece;
	}
	free(buffer);
}

static void verify(struct tp_thin *thin, uint64_t offset, uint64_t length,
		   const uint64_t *seed)
{
	char *buffer = malloc(PIECE);

	while (length) {
		size_t piece = length < PIECE ? length : PIECE;
		uint64_t wrong;

		memset(buffer, 0x5a, piece);
		ck_ok(tp_thin_read(thin, buffer, piece, offset));
		wrong = seed ? find_other(buffer, piece, offset, *seed)
			     : find_nonzero(buffer, piece, offset);
		ck_assert_msg(wrong == UINT64_MAX,
			      "the sector at %llu is not %s",
			      (unsigned long long)wrong,
			      seed ? "what was written" : "zero");
		offset += piece;
		length -= piece;
	}
	free(buffer);
}

void thin_verify(struct tp_thin *thin, uint64_t offset, uint64_t length,
		 uint64_t seed)
{
	verify(thin, offset, length, &seed);
}

void thin_verify_zero(struct tp_thin *thin, uint64_t offset, uint64_t length)
{
	verify(thin, offset, length, NULL);
}

struct tp_thin_info thin_info(struct tp_thin *thin)
{
	struct tp_thin_info info = TP_THIN_INFO_INIT;

	ck_ok(tp_thin_get_info(thin, &info));

	return info;
}

uint64_t thin_mapped(struct tp_thin *thin)
{
	return thin_info(thin).mapped_bytes;
}

static int take_extent(const struct tp_extent *extent, void *context)
{
	uint64_t *where = context;

	*where = extent->mapped ? extent->data_offset : UINT64_MAX;

	return 1;
}

uint64_t thin_where(struct tp_thin *thin, uint64_t offset)
{
	uint64_t where = 0;

	ck_assert_int_eq(
		tp_thin_each_extent(thin, offset, 512, take_extent, &where), 1);

	return where;
}

/*---------------------------- bios -----------------------------------------*/

static void end_io(struct tp_bio *bio)
{
	struct io *io = bio->context;

	ck_assert_uint_eq(io->nr_ended, 0);
	io->nr_ended++;
	if (io->log)
		io_log_note(io->log, io->note);
}

void io_init(struct io *io, enum tp_op op, void *buffer, uint64_t offset,
	     uint64_t length, unsigned flags)
{
	*io = (struct io){
		.bio = { .op = op,
			 .flags = flags,
			 .offset = offset,
			 .length = length,
			 .end_io = end_io },
		.iov = { .iov_base = buffer, .iov_len = length },
	};
	io->bio.context = io;
	if (op == TP_READ || op == TP_WRITE) {
		io->bio.iov = &io->iov;
		io->bio.iovcnt = 1;
	}
}

void io_submit(struct io *io, struct tp_queue *queue, struct tp_thin *thin)
{
	int r = tp_queue_submit(queue, thin, &io->bio);

	ck_assert_msg(!r, "submit: %d, %s", r, tp_last_error());
}

void io_submit_flush(struct io *io, struct tp_queue *queue,
		     struct tp_thin *thin)
{
	io_init(io, TP_FLUSH, NULL, 0, 0, 0);
	io_submit(io, queue, thin);
}

bool io_has_ended(struct io *io, struct tp_queue *queue)
{
	tp_queue_poll(queue, 0);

	return io->nr_ended;
}

int io_wait(struct world *w, struct io *io, struct tp_queue *queue)
{
	world_until(w, io_has_ended(io, queue));

	return io->bio.status;
}

/*---------------------------- the order of a commit ------------------------*/

struct order {
	unsigned metadata_writes_open;
	bool metadata_written;   /* since a flush that ended */
	bool data_flushed;       /* since the last superblock */
	unsigned metadata_flush; /* under way, by id */
	bool metadata_dirty_at_flush;
	unsigned nr_superblocks;
};

static bool is_superblock(const struct io_event *event)
{
	return !strcmp(event->name, "metadata") && event->op == TP_WRITE &&
	       event->offset == 0;
}

static void check_superblock(struct order *order, bool needs_data)
{
	ck_assert_msg(!needs_data || order->data_flushed,
		      "a superblock was written before the data was flushed");
	ck_assert_msg(!order->metadata_writes_open,
		      "a superblock was written before the metadata was");
	ck_assert_msg(!order->metadata_written,
		      "a superblock was written before metadata was flushed");
	order->nr_superblocks++;
	order->data_flushed = false;
}

static void see_metadata(struct order *order, const struct io_event *event,
			 bool needs_data)
{
	bool begins = event->when == IO_BEGIN;

	if (is_superblock(event)) {
		if (begins)
			check_superblock(order, needs_data);
	} else if (event->op == TP_WRITE || event->op == TP_WRITE_ZEROES) {
		order->metadata_written = true;
		order->metadata_writes_open += begins ? 1 : -1u;
	} else if (event->op == TP_FLUSH && begins) {
		order->metadata_flush = event->id;
		order->metadata_dirty_at_flush = order->metadata_writes_open;
	} else if (event->op == TP_FLUSH && !event->status &&
		   event->id == order->metadata_flush) {
		order->metadata_written = order->metadata_dirty_at_flush;
	}
}

static void see_data(struct order *order, const struct io_event *event)
{
	if (event->op == TP_FLUSH && event->when == IO_END && !event->status)
		order->data_flushed = true;
}

unsigned check_commit_order(struct io_log *log, bool needs_data)
{
	struct order order = { .nr_superblocks = 0 };
	unsigned nr = io_log_nr(log);

	for (unsigned i = 0; i < nr; i++) {
		struct io_event event = io_log_get(log, i);

		if (event.when == IO_NOTE)
			continue;
		if (!strcmp(event.name, "metadata"))
			see_metadata(&order, &event, needs_data);
		else if (!strcmp(event.name, "data"))
			see_data(&order, &event);
	}

	return order.nr_superblocks;
}

char *snapshot_of(const struct observer *observer)
{
	char *copy = malloc(observer->size_bytes);

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, observer->bytes, observer->size_bytes);

	return copy;
}

bool is_same(const struct observer *observer, const char *before)
{
	return !memcmp(observer->bytes, before, observer->size_bytes);
}
