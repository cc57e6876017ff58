/*
 * Time that jumps, stands still, or runs out: no rule but the one about waiting
 * for space depends on it.
 */
#include <stdlib.h>

#include "support/world.h"
#include "pool/superblock.h"

#define NR_BLOCKS 16u
#define THIN_BYTES (64 * WORLD_BLOCK)
#define TIMEOUT_MS 60000u

static struct world w;
static struct tp_thin *thin;
static struct tp_queue *queue;
static struct io ios[2];
static char block[WORLD_BLOCK];

static void begin(unsigned flags)
{
	world_make_sized(&w, HOST_DRIVEN, 2 * MIB, NR_BLOCKS * WORLD_BLOCK,
			 NULL);
	world_use_virtual_clock(&w);
	w.options.flags |= flags;
	w.options.commit_interval_ms = 1000;
	w.options.no_space_timeout_ms = TIMEOUT_MS;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	ck_ok(tp_queue_create(w.pool, 2, &queue));
}

static void end(void)
{
	ck_ok(tp_thin_close(thin));
	tp_queue_destroy(queue);
	world_end(&w);
}

static void submit(struct io *io, enum tp_op op, uint64_t offset,
		   uint64_t length)
{
	io_init(io, op, block, offset, length, 0);
	io_submit(io, queue, thin);
	world_run(&w);
	io_has_ended(io, queue);
}

/*---------------------------- the clock ------------------------------------*/

static void work(uint64_t vblock, uint64_t seed)
{
	thin_fill(thin, vblock * WORLD_BLOCK, WORLD_BLOCK, seed);
	ck_ok(tp_thin_flush(thin));
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	thin_fill(thin, vblock * WORLD_BLOCK, 512, seed + 1);
	ck_ok(tp_thin_flush(thin));
	ck_ok(tp_pool_delete_thin(w.pool, 1));
	thin_verify(thin, vblock * WORLD_BLOCK, 512, seed + 1);
	thin_verify(thin, vblock * WORLD_BLOCK + 512, WORLD_BLOCK - 512, seed);
}

/* F-35: forward by years, back to the beginning, and not at all. */
START_TEST(test_a_clock_that_jumps_changes_nothing_that_is_written)
{
	static const uint64_t times[] = {
		SECOND_NS,
		SECOND_NS, /* it stands still */
		SECOND_NS * 86400ull * 3650,
		0,
		1,
		UINT64_MAX / 2,
		SECOND_NS * 5ull,
	};

	begin(0);
	for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		w.now_ns = times[i];
		world_run(&w);
		work(i, 2 * i + 1);
	}
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		thin_verify(thin, i * WORLD_BLOCK, 512, 2 * i + 2);
	end();
}
END_TEST

/* F-35: then nothing is committed unasked, and all that is asked for is. */
START_TEST(test_timers_that_never_fire_hold_up_nothing)
{
	begin(0);
	ck_ok(tp_thin_close(thin));
	tp_queue_destroy(queue);
	w.options.commit_interval_ms = TP_NEVER;
	w.options.no_space_timeout_ms = TP_NEVER;
	world_reopen(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	ck_ok(tp_queue_create(w.pool, 2, &queue));
	work(0, 1);
	ck_assert(!world_status(&w).changed);
	end();
}
END_TEST

/*---------------------------- no space -------------------------------------*/

/* The whole pool, and a write that waits for more. */
static void fill_and_wait(void)
{
	thin_fill(thin, 0, NR_BLOCKS * WORLD_BLOCK, 1);
	submit(&ios[0], TP_WRITE, 32 * WORLD_BLOCK, 512);
	ck_assert_uint_eq(ios[0].nr_ended, 0);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_OUT_OF_DATA_SPACE);
}

/* What a later shortage does: wait, as was asked for. */
static void expect_waiting(void)
{
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	ck_assert(!world_status(&w).error_if_no_space);
	submit(&ios[1], TP_WRITE, 33 * WORLD_BLOCK, 512);
	ck_assert_uint_eq(ios[1].nr_ended, 0);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_OUT_OF_DATA_SPACE);
	world_pass_time(&w, TIMEOUT_MS * 1000000ull - 1);
	ck_assert(!io_has_ended(&ios[1], queue));
	world_pass_time(&w, 1);
	ck_assert_int_eq(io_wait(&w, &ios[1], queue), -ENOSPC);
	ck_assert(world_status(&w).error_if_no_space);
}

/* B-OODS-6: space comes back just when the time is up, just before
 * and just after. */
START_TEST(
	test_the_policy_asked_for_survives_a_timeout_that_comes_at_the_same_time)
{
	for (int64_t early = -1; early <= 1; early++) {
		begin(0);
		fill_and_wait();

		/* Freed, and its commit held up until the time is up. */
		observer_hold(&w.metadata, OPS(TP_FLUSH));
		io_init(&ios[1], TP_DISCARD, NULL, 0, WORLD_BLOCK, 0);
		io_submit(&ios[1], queue, thin);
		world_until(&w, w.metadata.nr_held == 1);
		w.now_ns += TIMEOUT_MS * 1000000ull - 1000 - early;
		world_run(&w);
		w.now_ns += 1000;
		observer_release(&w.metadata);
		world_run(&w);
		ck_ok(io_wait(&w, &ios[1], queue));
		world_until(&w, io_has_ended(&ios[0], queue));

		/* Had it to give up, its block is free; else it is taken. */
		if (ios[0].bio.status) {
			ck_assert_int_eq(ios[0].bio.status, -ENOSPC);
			thin_fill(thin, 40 * WORLD_BLOCK, WORLD_BLOCK, 2);
		}
		expect_waiting();
		end();
	}
}
END_TEST

/* B-OODS-4, F-35: a clock set back makes them wait longer, not for ever. */
START_TEST(test_a_clock_set_back_does_not_lose_the_timeout)
{
	begin(0);
	w.now_ns = 1000ull * SECOND_NS;
	world_run(&w);
	fill_and_wait();
	w.now_ns = SECOND_NS;
	world_pass_time(&w, TIMEOUT_MS * 1000000ull);
	ck_assert(!io_has_ended(&ios[0], queue));
	w.now_ns = 1000ull * SECOND_NS;
	world_pass_time(&w, TIMEOUT_MS * 1000000ull);
	ck_assert_int_eq(io_wait(&w, &ios[0], queue), -ENOSPC);
	end();
}
END_TEST

static void resume_after(uint64_t ns, const struct tp_pool_options *options)
{
	ck_ok(tp_pool_suspend(w.pool));
	world_pass_time(&w, ns);
	ck_assert(!io_has_ended(&ios[0], queue));
	ck_ok(tp_pool_resume(w.pool, options));
	world_run(&w);
	ck_assert(!io_has_ended(&ios[0], queue));
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_OUT_OF_DATA_SPACE);
}

static void expect_timeout_in(uint64_t ns)
{
	world_pass_time(&w, ns - 1);
	ck_assert(!io_has_ended(&ios[0], queue));
	world_pass_time(&w, 1);
	ck_assert_int_eq(io_wait(&w, &ios[0], queue), -ENOSPC);
}

/* B-OODS-4, B-OODS-8: while it is suspended no time passes for those who wait,
 * and a resume gives them all of it anew; as much as its options say. */
START_TEST(test_a_resume_begins_the_time_anew)
{
	uint64_t timeout_ns = TIMEOUT_MS * 1000000ull;
	struct tp_pool_options options;

	begin(0);
	fill_and_wait();
	world_pass_time(&w, timeout_ns - 1);
	resume_after(3 * timeout_ns, NULL);
	expect_timeout_in(timeout_ns);

	/* The policy asked for is in force again. */
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_resume(w.pool, NULL));
	ck_assert(!world_status(&w).error_if_no_space);
	submit(&ios[0], TP_WRITE, 32 * WORLD_BLOCK, 512);
	options = w.options;
	options.no_space_timeout_ms = 7;
	resume_after(3 * timeout_ns, &options);
	expect_timeout_in(7000000);

	/* Asked for errors, they end at once. */
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_resume(w.pool, &w.options));
	submit(&ios[0], TP_WRITE, 32 * WORLD_BLOCK, 512);
	options.flags |= TP_POOL_ERROR_IF_NO_SPACE;
	ck_ok(tp_pool_suspend(w.pool));
	ck_assert(!io_has_ended(&ios[0], queue));
	ck_ok(tp_pool_resume(w.pool, &options));
	ck_assert_int_eq(io_wait(&w, &ios[0], queue), -ENOSPC);
	end();
}
END_TEST

/* B-OODS-4: TP_NEVER is no time that can run out. */
START_TEST(test_writes_may_wait_for_space_for_ever)
{
	begin(0);
	ck_ok(tp_thin_close(thin));
	tp_queue_destroy(queue);
	w.options.no_space_timeout_ms = TP_NEVER;
	world_reopen(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	ck_ok(tp_queue_create(w.pool, 2, &queue));
	fill_and_wait();
	world_pass_time(&w, 1000000ull * SECOND_NS);
	ck_assert(!io_has_ended(&ios[0], queue));
	ck_assert(!world_status(&w).error_if_no_space);
	ck_ok(tp_thin_discard(thin, 0, WORLD_BLOCK));
	ck_ok(io_wait(&w, &ios[0], queue));
	end();
}
END_TEST

/* nothing fires on a pool that is gone. */
START_TEST(test_closing_with_timers_set_stops_them)
{
	begin(0);
	fill_and_wait();
	ck_assert_int_eq(tp_thin_close(thin), -EBUSY);
	ck_assert_int_eq(io_wait(&w, &ios[0], queue), -ENOSPC);
	ck_ok(tp_thin_close(thin));
	tp_queue_destroy(queue);
	world_close(&w);
	w.now_ns += 3600ull * SECOND_NS;
	world_open(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	ck_ok(tp_queue_create(w.pool, 2, &queue));
	world_pass_time(&w, 3600ull * SECOND_NS);
	end();
}
END_TEST

/*---------------------------- the pool's own time --------------------------*/

static void set_time(uint32_t time)
{
	struct tpi_disk_superblock *sb = (void *)w.metadata.bytes;

	sb->time = le32_make(time);
	tpi_seal(&tpi_superblock_validator, 0, sb);
}

/* R-87, B-MSG-5, decision 13: the last snapshot that can be told apart from the
 * next is the last; all else goes on, and copies that need no time too. */
START_TEST(test_no_snapshot_is_taken_when_the_pools_time_has_run_out)
{
	uint64_t used;

	begin(0);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	tp_queue_destroy(queue);
	world_close(&w);
	set_time(TPI_TIME_MAX - 1);
	world_open(&w);
	ck_ok(tp_queue_create(w.pool, 2, &queue));
	thin = world_open_thin(&w, 0, THIN_BYTES);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	ck_assert_uint_eq(world_status(&w).time, TPI_TIME_MAX);
	thin_fill(thin, 0, 512, 2);
	used = world_used(&w);
	ck_assert_int_eq(tp_pool_create_snapshot(w.pool, 2, 0), -EOVERFLOW);
	ck_assert_uint_eq(world_status(&w).time, TPI_TIME_MAX);
	ck_assert_uint_eq(world_status(&w).nr_thins, 2);
	ck_assert_uint_eq(world_used(&w), used);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	thin_fill(thin, 4 * WORLD_BLOCK, WORLD_BLOCK, 3);
	ck_ok(tp_thin_flush(thin));
	thin_verify(thin, 0, 512, 2);
	thin_verify(thin, 512, WORLD_BLOCK - 512, 1);
	ck_ok(tp_thin_close(thin));
	thin = world_open_thin(&w, 1, THIN_BYTES);
	thin_verify(thin, 0, WORLD_BLOCK, 1);
	end();
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"time", 1,
		test_a_clock_that_jumps_changes_nothing_that_is_written,
		test_timers_that_never_fire_hold_up_nothing,
		test_the_policy_asked_for_survives_a_timeout_that_comes_at_the_same_time,
		test_a_clock_set_back_does_not_lose_the_timeout,
		test_a_resume_begins_the_time_anew,
		test_writes_may_wait_for_space_for_ever,
		test_closing_with_timers_set_stops_them,
		test_no_snapshot_is_taken_when_the_pools_time_has_run_out);
}
