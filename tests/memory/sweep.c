/*
 * sweep.c - a call, again and again, until all of its allocations succeed.
 */
#include <malloc.h>
#include <stdlib.h>

#include "memory/sweep.h"

#define METADATA_BYTES (512 * KIB)
#define DATA_BYTES (4 * MIB)

/* More than any call needs. */
#define ROUNDS_MAX 1000

struct world sweep_world;
static struct world *const w = &sweep_world;

/*---------------------------- the pool -------------------------------------*/

/* As it is before each round. */
static char *metadata_before, *data_before;
static uint64_t nr_used_before;

static void make_pool(int kind)
{
	struct tp_thin *thin;

	/* What a pool takes is not given back to the system every time. */
	mallopt(M_MMAP_THRESHOLD, 32 * MIB);
	mallopt(M_TRIM_THRESHOLD, 64 * MIB);
	world_make_sized(w, kind, METADATA_BYTES, DATA_BYTES, NULL);
	w->options.metadata_cache_bytes = 1 * MIB;
	w->options.mapping_cache_bytes = 64 * KIB;
	world_format(w);
	world_open(w);
	thin = world_new_thin(w, FULL, SWEEP_THIN_BYTES);
	thin_fill(thin, 0, SWEEP_THIN_BYTES, FULL_SEED);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_create_snapshot(w->pool, SHARED, FULL));
	thin = world_new_thin(w, PLAIN, SWEEP_THIN_BYTES);
	thin_fill(thin, 0, SWEEP_THIN_BYTES / 2, PLAIN_SEED);
	ck_ok(tp_thin_close(thin));
	nr_used_before = world_used(w);
	world_close(w);
	metadata_before = snapshot_of(&w->metadata);
	data_before = snapshot_of(&w->data);
}

static void restore(struct observer *device, const char *before, uint64_t size)
{
	observer_grow(device, size);
	memcpy(device->bytes, before, size);
}

/* What the first change, and the first bio, take for good is there. */
static void warm_up(void)
{
	struct tp_thin *thin = world_open_thin(w, PLAIN, SWEEP_THIN_BYTES);

	thin_fill(thin, 0, WORLD_BLOCK, PLAIN_SEED);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_create_thin(w->pool, WARM));
}

static void begin_round(const struct sweep *sweep)
{
	restore(&w->metadata, metadata_before, METADATA_BYTES);
	restore(&w->data, data_before, DATA_BYTES);
	io_log_clear(&w->log);
	world_open(w);
	if (!sweep->is_cold)
		warm_up();
	if (sweep->begin)
		sweep->begin();
}

/*---------------------------- what must be so ------------------------------*/

static void check_done(const struct sweep *sweep, bool expected)
{
	bool done;

	if (sweep->has_no_effect)
		return;
	done = sweep->is_done();
	if (expected || !sweep->may_be_partial)
		ck_assert_msg(done == expected, "it %s",
			      done ? "was done all the same" : "was not done");
}

static void check_used(const struct sweep *sweep)
{
	ck_assert_int_eq((int)world_used(w) - (int)nr_used_before,
			 sweep->nr_blocks);
}

/* The call has answered @error, and the pool goes on. */
static void check_answer(const struct sweep *sweep, int error)
{
	ck_assert_msg(!error || is_want_of_memory(error), "it answers %d: %s",
		      error, tp_last_error());
	ck_assert_int_eq(world_status(w).mode, TP_MODE_WRITE);
	check_done(sweep, !error);
}

static void call_again(const struct sweep *sweep)
{
	int r = sweep->call();

	ck_assert_msg(!r, "with memory it answers %d: %s", r, tp_last_error());
	check_done(sweep, true);
}

/* The pool is closed. */
static void check_metadata(void)
{
	struct tp_check_options options = TP_CHECK_OPTIONS_INIT;
	struct tp_check_report report = TP_CHECK_REPORT_INIT;

	options.nr_threads = 1;
	ck_ok(tp_check(w->metadata.device, &options, &report));
	ck_assert_int_eq(report.worst, TP_CHECK_CLEAN);
}

static void check_reopened(const struct sweep *sweep)
{
	world_open(w);
	check_done(sweep, true);
	check_used(sweep);
	world_close(w);
}

/*---------------------------- rounds ---------------------------------------*/

/* True if an allocation failed. */
static bool run_round(const struct sweep *sweep, unsigned nth, bool lasting)
{
	bool failed;
	int r;

	begin_round(sweep);
	failing_memory_arm(nth, lasting);
	r = sweep->call();
	failed = failing_memory_disarm();
	if (!failed)
		ck_assert_int_eq(r, 0);
	check_answer(sweep, r);
	if (r)
		call_again(sweep);
	if (sweep->end)
		sweep->end();
	world_close(w);
	check_metadata();
	check_reopened(sweep);

	return failed;
}

static void run_rounds(const struct sweep *sweep, bool lasting)
{
	unsigned nth = 1;

	while (run_round(sweep, nth, lasting))
		ck_assert_uint_lt(++nth, ROUNDS_MAX);
}

void sweep_pool(int kind, const struct sweep *sweep)
{
	make_pool(kind);
	run_rounds(sweep, false);
	if (!sweep->waits)
		run_rounds(sweep, true);
	free(metadata_before);
	free(data_before);
	world_unmake(w);
}

void sweep_call(int (*call)(void))
{
	for (unsigned lasting = 0; lasting < 2; lasting++) {
		unsigned nth = 0;
		int r;

		do {
			failing_memory_arm(++nth, lasting);
			r = call();
			ck_assert_uint_lt(nth, ROUNDS_MAX);
			ck_assert_msg(!r || is_want_of_memory(r),
				      "it answers %d: %s", r, tp_last_error());
		} while (failing_memory_disarm());
		ck_assert_int_eq(r, 0);
	}
}
