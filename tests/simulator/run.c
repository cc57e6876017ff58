/*
 * run.c - the pool of a run, its devices, and time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/ballast.h"
#include "simulator/run.h"
#include "simulator/tag.h"
#include "support/pattern.h"

/* So often a pool is opened read-only before it is opened to be used. */
#define READ_ONLY_ONE_IN 8

#define MS 1000000u

/* A handle may be much larger than what is looked at of its volume. */
#define HUGE_SECTORS ((uint64_t)1 << 31)

/*---------------------------- devices --------------------------------------*/

/* An external origin computes what it holds: its sectors' tags. */
static int origin_read(void *context, const struct iovec *iov, int iovcnt,
		       uint64_t offset)
{
	const struct config *config = context;
	struct tag tag = { .seed = config->seed, .volume = TAG_ORIGIN };

	tag.sector = offset / SECTOR_BYTES;
	for (int i = 0; i < iovcnt; i++) {
		char *at = iov[i].iov_base, *end = at + iov[i].iov_len;

		for (; at < end; at += SECTOR_BYTES, tag.sector++)
			tag_write(at, &tag);
	}

	return 0;
}

static int origin_write(void *context, const struct iovec *iov, int iovcnt,
			uint64_t offset, unsigned flags)
{
	return -EROFS;
}

static int origin_flush(void *context)
{
	return -EROFS;
}

static uint64_t origin_size(void *context)
{
	const struct config *config = context;

	return config->origin_sectors * SECTOR_BYTES;
}

static struct tp_device *make_origin(const struct config *config)
{
	static const struct tp_device_ops ops = {
		TP_DEVICE_OPS_INIT,    .read = origin_read,
		.write = origin_write, .flush = origin_flush,
		.size = origin_size,
	};
	struct tp_device *device = NULL;

	if (config->origin_sectors)
		tp_device_new(&ops, (void *)config, &device);

	return device;
}

static void add_device(struct run *run, uint64_t size, unsigned features)
{
	const struct config *config = run->config;
	struct tp_simulated_device_options options =
		TP_SIMULATED_DEVICE_OPTIONS_INIT;
	struct tp_device *device;

	options.size = size;
	options.features = features;
	options.flags = config->device_flags;
	options.discard_effect = config->discard_effect;
	options.min_latency_ns = 1;
	options.max_latency_ns = config->max_latency_ns;
	options.discard_granularity_bytes = config->discard_granularity_bytes;
	options.superblock_bytes = 4096;
	if (tp_simulator_add_device(run->simulator, &options, &device))
		violated(run->verdict, "no device: %s",
			 tp_simulator_last_error());
}

static void make_devices(struct run *run)
{
	const struct config *config = run->config;
	struct tp_simulator_options options = TP_SIMULATOR_OPTIONS_INIT;

	options.seed = config->seed;
	tp_simulator_new(&options, &run->simulator);
	add_device(run, config->metadata_blocks * METADATA_BLOCK,
		   config->metadata_features);
	add_device(run,
		   config->data_blocks * config->block_sectors * SECTOR_BYTES,
		   config->data_features);
}

static bool format(struct run *run)
{
	struct tp_format_options options = TP_FORMAT_OPTIONS_INIT;
	int r;

	options.data_block_size = run->config->block_sectors * SECTOR_BYTES;
	options.flags = TP_FORMAT_OVERWRITE;
	tp_simulator_set_instant(run->simulator, true);
	r = tp_pool_format(tp_simulator_device(run->simulator, METADATA_DEVICE),
			   tp_simulator_device(run->simulator, DATA_DEVICE),
			   &options);
	tp_simulator_set_instant(run->simulator, false);

	return !r ||
	       violated(run->verdict, "the format fails: %s", tp_last_error());
}

/*---------------------------- time -----------------------------------------*/

static uint64_t clock_ns(void *context)
{
	struct run *run = context;

	return tp_simulator_clock_ns(run->simulator);
}

/* A call blocks: now and then, the host does more meanwhile. */
static void clock_wait(void *context, uint64_t until_ns)
{
	struct run *run = context;
	const struct step *step = &run->steps[run->next];

	if (run->in_call && !run->in_hook && is_going(run) &&
	    run->next < run->nr_steps && step->kind == STEP_BIO &&
	    step->random % 2 && run_can_submit(run, step)) {
		run->next++;
		run_submit(run, step);
	}
	if (run->looks_back && !run->in_hook && is_going(run) && run_some(run))
		return; /* the pool itself goes on */
	tp_simulator_clock_wait(run->simulator, until_ns);
}

bool run_some(struct run *run)
{
	uint64_t deadline = UINT64_MAX, before = clock_ns(run);
	int nr = tp_pool_poll(run->pool);

	for (unsigned i = 0; i < run->config->nr_queues; i++)
		if (run->queues[i])
			nr += tp_queue_poll(run->queues[i], 0);
	if (nr > 0)
		return true;
	tp_pool_next_deadline(run->pool, &deadline);
	nr = (int)tp_simulator_step(run->simulator, deadline);

	return nr > 0 || clock_ns(run) != before;
}

static bool is_busy(const struct run *run, unsigned slot)
{
	for (unsigned i = 0; i < NR_IOS; i++)
		if (run->ios[i].busy &&
		    (slot == NR_SLOTS || run->ios[i].slot == slot))
			return true;

	return false;
}

void run_drain(struct run *run, unsigned slot)
{
	unsigned rounds = 0;

	while (is_busy(run, slot)) {
		if (run_some(run) && ++rounds < 200000)
			continue;
		violated(run->verdict, "a bio never ends");
		return;
	}
}

/*---------------------------- volumes --------------------------------------*/

uint32_t slot_id(unsigned slot)
{
	static const uint32_t ids[NR_SLOTS] = { 1, 2,     77,
						0, 65536, (1u << 24) - 1 };

	return ids[slot];
}

struct volume *run_volume(const struct run *run, unsigned slot)
{
	return oracle_find(run->oracle, slot_id(slot));
}

static bool close_handle(struct run *run, unsigned slot, unsigned i)
{
	struct tp_thin **handle = &run->slots[slot].handles[i];
	int r = tp_thin_close(*handle);

	if (r)
		return violated(run->verdict, "thin %u does not close: %s",
				slot_id(slot), tp_last_error());
	*handle = NULL;

	return true;
}

/* Whatever a handle may be opened with besides; each handle of a volume is always
 * opened with the same. */
static void choose_options(struct run *run, unsigned slot, unsigned i,
			   struct tp_thin_options *options)
{
	uint64_t random =
		mix(run->config->seed + 2 * run_volume(run, slot)->number + i);

	run->slots[slot].patience_ns[i] = 0;
	if (run->config->plain)
		return;
	if (random % 3 == 0)
		options->flags |= TP_THIN_DETECT_ZEROES;
	if (random >> 8 & 1)
		options->no_space = random >> 9 & 1 ? TP_NO_SPACE_QUEUE
						    : TP_NO_SPACE_ERROR;
	if (options->no_space == TP_NO_SPACE_QUEUE)
		options->no_space_timeout_ms = 20 + (random >> 16) % 300;
	run->slots[slot].patience_ns[i] =
		(uint64_t)options->no_space_timeout_ms * MS;
}

static void open_handle(struct run *run, unsigned slot, unsigned i,
			uint64_t nr_sectors)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	int r;

	choose_options(run, slot, i, &options);
	options.size = nr_sectors * SECTOR_BYTES;
	if (run_volume(run, slot)->has_origin)
		options.external_origin = run->origin;
	run->slots[slot].sizes[i] = nr_sectors;
	r = tp_thin_open(run->pool, slot_id(slot), &options,
			 &run->slots[slot].handles[i]);
	if (r && !run->is_faulty && is_going(run))
		violated(run->verdict, "thin %u does not open: %s",
			 slot_id(slot), tp_last_error());
}

void run_open_handles(struct run *run, unsigned slot)
{
	uint64_t nr_sectors = run_volume(run, slot)->nr_sectors;

	open_handle(run, slot, 0, nr_sectors);
	open_handle(run, slot, 1, nr_sectors);
}

static uint64_t choose_size(const struct volume *volume, uint64_t random)
{
	switch (random % 4) {
	case 0:
		return volume->nr_sectors;
	case RANDOM_HUGE_SIZE:
		return HUGE_SECTORS;
	default:
		return 1 + random / 4 % volume->nr_sectors;
	}
}

void run_resize(struct run *run, unsigned slot, uint64_t random)
{
	if (!run->slots[slot].exists || run->nr_suspends)
		return;
	run_drain(run, slot);
	if (is_going(run) && close_handle(run, slot, 1))
		open_handle(run, slot, 1,
			    choose_size(run_volume(run, slot), random));
}

bool run_close_handles(struct run *run, unsigned slot)
{
	return close_handle(run, slot, 0) && close_handle(run, slot, 1);
}

/*---------------------------- the pool -------------------------------------*/

static bool needs_check(struct run *run)
{
	unsigned char superblock[METADATA_BLOCK];

	tp_simulator_peek(run->simulator, METADATA_DEVICE, TP_CONTENT_STABLE,
			  superblock, METADATA_BLOCK, 0);

	return superblock[4] & NEEDS_CHECK;
}

/* A3 */
static void check_abort(struct run *run, enum tp_pool_mode mode)
{
	if (!run->is_faulty)
		violated(run->verdict,
			 "the pool goes to mode %s, and nothing failed",
			 tp_pool_mode_name(mode));
	else if (mode == TP_MODE_READ_ONLY && !needs_check(run))
		violated(run->verdict, "A3: the pool is read-only, and "
				       "needs_check is not on disk");
}

/* That the pool is out of space is told when its loop turns next: so many device
 * events later at most. */
#define EVENTS_LATE 8u

bool run_is_patience_over(const struct run *run, const struct io *io)
{
	return tp_simulator_clock_ns(run->simulator) +
		       EVENTS_LATE * run->config->max_latency_ns >=
	       run->out_of_space_since + io->patience_ns;
}

/* A bio of several parts may end later than it was given up. */
static void note_patience(struct run *run)
{
	if (run->mode != TP_MODE_OUT_OF_DATA_SPACE)
		return;
	for (unsigned i = 0; i < NR_IOS; i++)
		run->ios[i].waited_long |=
			run_is_patience_over(run, &run->ios[i]);
}

static void on_event(void *context, const struct tp_event *event)
{
	struct run *run = context;

	if (event->kind != TP_EVENT_MODE || !is_going(run))
		return;
	trace_note(run->trace, "  mode: %s", tp_pool_mode_name(event->mode));
	note_patience(run);
	if (event->mode == TP_MODE_OUT_OF_DATA_SPACE) {
		run->out_of_space_since = clock_ns(run);
		oracle_out_of_space(run->oracle);
	}
	if (event->mode >= TP_MODE_READ_ONLY && run->mode < TP_MODE_READ_ONLY) {
		oracle_rolled_back(run->oracle);
		check_abort(run, event->mode);
	}
	run->mode = event->mode;
	for (unsigned i = 0; i < NR_IOS; i++)
		run->ios[i].met_refusal |= run_refuses_changes(run);
}

bool run_refuses_changes(const struct run *run)
{
	return run->mode > TP_MODE_OUT_OF_DATA_SPACE;
}

struct tp_pool_options run_options(struct run *run)
{
	const struct config *config = run->config;
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;

	options.flags = config->pool_flags | TP_POOL_HOST_DRIVEN;
	options.commit_interval_ms = config->commit_interval_ms;
	options.no_space_timeout_ms = config->no_space_timeout_ms;
	options.metadata_cache_bytes = config->metadata_cache_bytes;
	options.mapping_cache_bytes = config->mapping_cache_bytes;
	options.clock_ns = clock_ns;
	options.clock_wait = clock_wait;
	options.clock_context = run;

	return options;
}

static int open_pool(struct run *run)
{
	struct tp_pool_options options = run_options(run);

	if (run->is_looking)
		options.flags |= TP_POOL_READ_ONLY;

	return tp_pool_open(tp_simulator_device(run->simulator,
						METADATA_DEVICE),
			    tp_simulator_device(run->simulator, DATA_DEVICE),
			    &options, &run->pool);
}

/* As a repair would: a fault was injected, and this is what it left. */
static void clear_needs_check(struct run *run)
{
	unsigned char superblock[METADATA_BLOCK];

	tp_simulator_peek(run->simulator, METADATA_DEVICE, TP_CONTENT_NEWEST,
			  superblock, METADATA_BLOCK, 0);
	if (!(superblock[4] & NEEDS_CHECK))
		return;
	if (!run->is_faulty)
		violated(run->verdict, "M3: needs_check is set, and nothing "
				       "failed");
	metadata_clear_needs_check(superblock);
	tp_simulator_poke(run->simulator, METADATA_DEVICE, superblock,
			  METADATA_BLOCK, 0);
}

/* Of a superblock whose write failed it shows now whether it is there. */
static void look_after_faults(struct run *run)
{
	clear_needs_check(run);
	if (run->is_faulty)
		order_restart(&run->order, run->verdict);
}

static bool open_queues(struct run *run)
{
	for (unsigned i = 0; i < run->config->nr_queues; i++)
		if (tp_queue_create(run->pool, run->config->depth,
				    &run->queues[i]))
			return violated(run->verdict, "no queue: %s",
					tp_last_error());

	return true;
}

static bool see_what_is_there(struct run *run)
{
	struct found found;

	if (!run_look(run, &found))
		return false;
	if (!oracle_recover(run->oracle, &found, run->verdict))
		return false;
	for (unsigned i = 0; i < NR_SLOTS && is_going(run); i++) {
		run->slots[i].exists = run_volume(run, i) != NULL;
		if (run->slots[i].exists)
			run_open_handles(run, i);
	}

	return is_going(run);
}

static void close_queues(struct run *run)
{
	run->is_closing = true;
	while (run->pool && run->nr_suspends && run->nr_suspends--)
		tp_pool_resume(run->pool, NULL);
	for (unsigned i = 0; i < run->config->nr_queues; i++) {
		tp_queue_destroy(run->queues[i]);
		run->queues[i] = NULL;
	}
}

int run_close(struct run *run, bool counts)
{
	struct control control = { .kind = CONTROL_COMMIT };
	int r;

	close_queues(run);
	if (counts && is_going(run))
		run_begin_call(run, &control);
	for (unsigned i = 0; i < NR_SLOTS; i++)
		run_close_handles(run, i);
	run->in_call = true;
	r = tp_pool_close(run->pool);
	run->in_call = false;
	run->pool = NULL;
	if (counts && is_going(run))
		run_end_call(run, r);

	return r;
}

static bool open_and_look(struct run *run, bool verify)
{
	int r = open_pool(run);

	if (r && !run->power_is_off)
		return violated(run->verdict, "V1: the pool does not open: %s",
				tp_last_error());
	if (r)
		return false;
	run->statistics = (struct tp_pool_statistics){ 0 };
	tp_pool_set_event_handler(run->pool, on_event, run);
	if (!open_queues(run) || !see_what_is_there(run))
		return false;

	return !verify || run_verify(run);
}

/* All is there, and nothing is written: see run_observe. */
static bool look_read_only(struct run *run)
{
	bool right;

	run->is_looking = true;
	right = open_and_look(run, true);
	if (right && !tp_pool_create_thin(run->pool, slot_id(0)))
		right = violated(run->verdict, "a thin is created in a pool "
					       "that was opened read-only");
	if (right) {
		run_close(run, false);
		run->is_looking = run->is_closing = false;
		run->mode = TP_MODE_WRITE;
	}

	return right && is_going(run);
}

static bool looks_first(const struct run *run)
{
	return mix(run->config->seed + run->next) % READ_ONLY_ONE_IN == 0;
}

bool run_open(struct run *run, bool verify)
{
	bool is_right = run_check_metadata(run);

	if (!is_right)
		return false;
	look_after_faults(run);
	run->is_faulty = run->is_closing = run->is_open = false;
	run->hook_fails = run->is_looking = false;
	run->mode = TP_MODE_WRITE;
	run->nr_suspends = 0;
	if (looks_first(run) && !look_read_only(run))
		return false;
	if (!open_and_look(run, verify))
		return false;
	run_set_hook(run, run->hook);
	run->is_open = true;

	return is_going(run);
}

void run_begin(struct run *run)
{
	const struct config *config = run->config;
	struct rules rules = {
		.seed = config->seed,
		.block_sectors = config->block_sectors,
		.zeroing = !(config->pool_flags & TP_POOL_SKIP_ZEROING),
		.origin_sectors = config->origin_sectors,
	};
	struct facts facts = {
		.data_blocks = config->data_blocks,
		.metadata_blocks = config->metadata_blocks,
	};

	run->origin = make_origin(config);
	run->oracle = oracle_new(&rules, &facts);
	make_devices(run);
	order_init(&run->order, run->simulator, run->oracle,
		   !(config->data_features & TP_DEVICE_NO_CACHE),
		   config->order_checks);
	if (!run->verdict->broken && format(run)) {
		if (config->ballast_blocks)
			ballast_make(run);
		tp_simulator_set_observer(run->simulator, run_observe, run);
		run_open(run, true);
	}
}

void run_end(struct run *run)
{
	for (unsigned i = 0; i < NR_IOS; i++)
		free(run->ios[i].buffer);
	run_drop_points(run);
	order_exit(&run->order);
	oracle_free(run->oracle);
	tp_simulator_free(run->simulator);
	if (!run->depth)
		tp_device_unref(run->origin);
}
