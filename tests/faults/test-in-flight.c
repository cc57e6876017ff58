/*
 * Closing, destroying and submitting again while bios are in flight, whatever
 * they wait for: each ends once, and nothing is touched after.
 */
#include <stdlib.h>

#include "support/world.h"

#define NR_BLOCKS 24u
#define THIN_BYTES (64 * WORLD_BLOCK)
#define NR_IOS 4

static struct world w;
static struct tp_thin *thin;
static struct tp_queue *queue;
static struct io ios[NR_IOS];
static unsigned nr_ios;
static char bytes[NR_IOS][WORLD_BLOCK];

static void submit(enum tp_op op, uint64_t offset, uint64_t length)
{
	struct io *io = &ios[nr_ios];

	io_init(io, op, bytes[nr_ios++], offset, length, 0);
	io_submit(io, queue, thin);
}

/*---------------------------- what they wait for ---------------------------*/

/* A block of metadata. */
static void wait_for_metadata(void)
{
	observer_hold(&w.metadata, OPS(TP_READ));
	submit(TP_READ, 0, 4096);
	submit(TP_WRITE, 8 * WORLD_BLOCK, 512);
	world_until(&w, w.metadata.nr_held > 0);
}

/* The old block, to copy it; and behind that, their turn. */
static void wait_for_copy(void)
{
	observer_hold(&w.data, OPS(TP_READ));
	submit(TP_WRITE, 512, 512);
	world_until(&w, w.data.nr_held == 1);
	submit(TP_WRITE, 1024, 512);
	submit(TP_DISCARD, 0, WORLD_BLOCK);
}

/* The new block. */
static void wait_for_content(void)
{
	observer_hold(&w.data, OPS(TP_WRITE) | OPS(TP_WRITE_ZEROES));
	submit(TP_WRITE, 8 * WORLD_BLOCK, 512);
	submit(TP_WRITE, 9 * WORLD_BLOCK, WORLD_BLOCK);
	world_until(&w, w.data.nr_held == 2);
}

/* The data, of a mapped block. */
static void wait_for_data(void)
{
	thin_verify(thin, 0, 4096, 1); /* so that it is known where it lies */
	observer_hold(&w.data, OPS(TP_READ));
	submit(TP_READ, 0, 4096);
	world_until(&w, w.data.nr_held == 1);
}

static void wait_for_data_flush(void)
{
	observer_hold(&w.data, OPS(TP_FLUSH));
	submit(TP_FLUSH, 0, 0);
	world_until(&w, w.data.nr_held == 1);
	submit(TP_FLUSH, 0, 0);
}

static void wait_for_commit(void)
{
	thin_fill(thin, 8 * WORLD_BLOCK, WORLD_BLOCK, 2);
	observer_hold(&w.metadata, OPS(TP_WRITE));
	submit(TP_FLUSH, 0, 0);
	world_until(&w, w.metadata.nr_held > 0);
	submit(TP_FLUSH, 0, 0);
}

static void fill_pool(void)
{
	thin_fill(thin, 16 * WORLD_BLOCK,
		  (NR_BLOCKS - world_used(&w)) * WORLD_BLOCK, 3);
}

/* A block that the device has not done discarding. */
static void wait_for_passdown(void)
{
	fill_pool();
	observer_hold(&w.data, OPS(TP_DISCARD));
	ck_ok(tp_thin_discard(thin, 4 * WORLD_BLOCK, WORLD_BLOCK));
	ck_ok(tp_thin_flush(thin));
	world_until(&w, w.data.nr_held == 1);
	submit(TP_WRITE, 60 * WORLD_BLOCK, 512);
	world_idle(&w);
	ck_assert_uint_eq(ios[0].nr_ended, 0);
}

static void wait_for_space(void)
{
	fill_pool();
	submit(TP_WRITE, 60 * WORLD_BLOCK, 512);
	submit(TP_WRITE, 61 * WORLD_BLOCK, WORLD_BLOCK);
	world_until(&w, world_status(&w).mode == TP_MODE_OUT_OF_DATA_SPACE);
}

static void wait_for_resume(void)
{
	ck_ok(tp_pool_suspend(w.pool));
	submit(TP_READ, 0, 4096);
	submit(TP_WRITE, 8 * WORLD_BLOCK, 512);
	submit(TP_FLUSH, 0, 0);
	world_idle(&w);
}

static const struct {
	void (*begin)(void);
	int status; /* what those end with that merely wait */
} waits[] = {
	{ wait_for_metadata, 0 },        { wait_for_copy, 0 },
	{ wait_for_content, 0 },         { wait_for_data, 0 },
	{ wait_for_commit, 0 },          { wait_for_data_flush, 0 },
	{ wait_for_passdown, -ENOSPC },  { wait_for_space, -ENOSPC },
	{ wait_for_resume, -ECANCELED },
};
#define NR_WAITS (sizeof(waits) / sizeof(waits[0]))

/*---------------------------- closing --------------------------------------*/

/* Blocks 0 to 3 are shared with a snapshot, 4 is the thin's own; nothing of
 * the metadata has been read yet. */
static void begin(int kind)
{
	world_make_sized(&w, kind, 2 * MIB, NR_BLOCKS * WORLD_BLOCK, NULL);
	w.options.no_space_timeout_ms = TP_NEVER;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, 4 * WORLD_BLOCK, 1);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	thin_fill(thin, 4 * WORLD_BLOCK, WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	world_reopen(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	ck_ok(tp_queue_create(w.pool, NR_IOS, &queue));
	nr_ios = 0;
}

static void let_go(void)
{
	observer_release(&w.data);
	observer_release(&w.metadata);
}

static void expect_ended(int status)
{
	for (unsigned i = 0; i < nr_ios; i++) {
		ck_assert_uint_eq(ios[i].nr_ended, 1);
		ck_assert_int_eq(ios[i].bio.status, status);
	}
}

static bool all_ended(void)
{
	tp_queue_poll(queue, 0);
	for (unsigned i = 0; i < nr_ios; i++)
		if (!ios[i].nr_ended)
			return false;

	return true;
}

/* The pool works on, and the volumes are what they were but for what was
 * written. */
static void end(void)
{
	struct tp_thin *snapshot;

	let_go();
	if (world_status(&w).suspended)
		ck_ok(tp_pool_resume(w.pool, NULL));
	thin = world_open_thin(&w, 0, THIN_BYTES);
	snapshot = world_open_thin(&w, 1, THIN_BYTES);
	thin_verify(snapshot, 0, 4 * WORLD_BLOCK, 1);
	thin_verify(thin, WORLD_BLOCK, 3 * WORLD_BLOCK, 1);

	/* Nobody holds its place any more. */
	ck_ok(tp_thin_discard(thin, 8 * WORLD_BLOCK, 56 * WORLD_BLOCK));
	ck_ok(tp_thin_flush(thin));
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_thin_close(snapshot));
	world_end(&w);
}

/* F-29, F-30, B-OODS-10: busy; what merely waits ends, the rest when its device
 * lets it; then it closes. */
START_TEST(test_closing_is_busy_until_what_is_in_flight_was_reaped)
{
	for (unsigned i = 0; i < NR_WAITS; i++) {
		begin(_i);
		waits[i].begin();
		ck_assert_int_eq(tp_thin_close(thin), -EBUSY);
		ck_assert_int_eq(tp_pool_close(w.pool), -EBUSY);
		if (!waits[i].status)
			let_go();
		world_until(&w, all_ended());
		expect_ended(waits[i].status);
		ck_ok(tp_thin_close(thin));
		tp_queue_destroy(queue);
		end();
	}
}
END_TEST

/* The same by destroying the queue, which reaps all. */
START_TEST(test_destroying_a_queue_reaps_whatever_its_bios_wait_for)
{
	for (unsigned i = 0; i < NR_WAITS; i++) {
		begin(_i);
		waits[i].begin();
		if (!waits[i].status)
			let_go();
		tp_queue_destroy(queue);
		expect_ended(waits[i].status);
		ck_ok(tp_thin_close(thin));
		end();
	}
}
END_TEST

/* F-29 with a device that fails meanwhile: an error each, once. */
START_TEST(test_bios_in_flight_end_when_their_device_vanishes)
{
	for (unsigned i = 0; i < NR_WAITS; i++) {
		begin(_i);
		waits[i].begin();
		observer_fail(&w.data, ALL_OPS, 0, 0, -ENODEV);
		observer_fail(&w.metadata, ALL_OPS, 0, 0, -ENODEV);
		ck_assert_int_eq(tp_thin_close(thin), -EBUSY);
		let_go();
		tp_queue_destroy(queue);
		for (unsigned k = 0; k < nr_ios; k++)
			ck_assert_uint_eq(ios[k].nr_ended, 1);
		ck_ok(tp_thin_close(thin));
		tp_pool_close(w.pool);
		observer_heal(&w.data);
		observer_heal(&w.metadata);
		world_open(&w);
		thin = world_open_thin(&w, 1, THIN_BYTES);
		thin_verify(thin, 0, 4 * WORLD_BLOCK, 1);
		ck_ok(tp_thin_close(thin));
		world_end(&w);
	}
}
END_TEST

/*---------------------------- from within end_io ---------------------------*/

struct chain {
	struct tp_bio bio;
	struct iovec iov;
	unsigned nr_left, nr_ended;
	char *lowest, *highest; /* where the stack was */
	int polled, waited, closed, pool_closed;
};

static struct chain chain;

static void see_stack(void)
{
	char *here = __builtin_frame_address(0);

	if (!chain.lowest || here < chain.lowest)
		chain.lowest = here;
	if (here > chain.highest)
		chain.highest = here;
}

static void go_on(struct tp_bio *bio)
{
	ck_ok(bio->status);
	see_stack();
	chain.nr_ended++;
	if (--chain.nr_left)
		ck_ok(tp_queue_submit(queue, thin, bio));
}

static void init_chain(void (*end_io)(struct tp_bio *bio), enum tp_op op,
		       uint64_t offset, unsigned nr)
{
	chain = (struct chain){ .nr_left = nr };
	chain.iov = (struct iovec){ bytes[0], op == TP_FLUSH ? 0 : 4096 };
	chain.bio = (struct tp_bio){ .op = op,
				     .offset = offset,
				     .iov = &chain.iov,
				     .iovcnt = 1,
				     .end_io = end_io };
}

/* F-31: of unmapped blocks, which end at once, of mapped ones, and flushes: it
 * is not a recursion. */
START_TEST(test_submitting_from_end_io_again_and_again_takes_no_more_stack)
{
	static const struct {
		enum tp_op op;
		uint64_t offset;
	} chains[] = { { TP_READ, 32 * WORLD_BLOCK },
		       { TP_READ, 0 },
		       { TP_WRITE, 4 * WORLD_BLOCK },
		       { TP_FLUSH, 0 } };

	begin(_i);
	for (unsigned i = 0; i < 4; i++) {
		init_chain(go_on, chains[i].op, chains[i].offset, 3000);
		ck_ok(tp_queue_submit(queue, thin, &chain.bio));
		while (chain.nr_left)
			ck_assert_int_ge(tp_queue_wait(queue, 1, 60000), 1);
		ck_assert_uint_eq(chain.nr_ended, 3000);
		ck_assert_int_lt(chain.highest - chain.lowest, 4096);
	}
	ck_ok(tp_thin_close(thin));
	tp_queue_destroy(queue);
	end();
}
END_TEST

/* F-27: what ends as soon as it is submitted is for the next poll, so that a
 * host that submits without end gets to do something else. */
START_TEST(test_a_poll_returns_however_much_its_end_ios_submit)
{
	begin(_i);
	thin_verify_zero(thin, 32 * WORLD_BLOCK, 4096);
	init_chain(go_on, TP_READ, 32 * WORLD_BLOCK, 1000);
	ck_ok(tp_queue_submit(queue, thin, &chain.bio));
	for (unsigned nr = 1; nr <= 1000; nr++) {
		ck_assert_int_eq(tp_queue_poll(queue, 0), 1);
		ck_assert_uint_eq(chain.nr_ended, nr);
	}
	ck_assert_int_eq(tp_queue_poll(queue, 0), 0);
	ck_ok(tp_thin_close(thin));
	tp_queue_destroy(queue);
	end();
}
END_TEST

static void do_what_may_not_be_done(struct tp_bio *bio)
{
	chain.nr_ended++;
	chain.polled = tp_queue_poll(queue, 0);
	chain.waited = tp_queue_wait(queue, 1, -1);
	tp_queue_destroy(queue);
	chain.pool_closed = tp_pool_close(w.pool);
	chain.closed = tp_thin_close(thin);
}

/* F-31: what would wait for itself is refused, and the queue is as before; the
 * thin may be closed, for its last bio is out of flight. */
START_TEST(test_an_end_io_cannot_poll_wait_or_destroy_its_own_queue)
{
	begin(_i);
	init_chain(do_what_may_not_be_done, TP_READ, 0, 1);
	ck_ok(tp_queue_submit(queue, thin, &chain.bio));
	ck_assert_int_eq(tp_queue_wait(queue, 1, -1), 1);
	ck_assert_uint_eq(chain.nr_ended, 1);
	ck_assert_int_eq(chain.polled, -EDEADLK);
	ck_assert_int_eq(chain.waited, -EDEADLK);
	ck_assert_int_eq(chain.pool_closed, -EBUSY);
	ck_ok(chain.closed);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	submit(TP_READ, 0, 4096);
	ck_ok(io_wait(&w, &ios[0], queue));
	ck_ok(tp_thin_close(thin));
	tp_queue_destroy(queue);
	end();
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"in flight", NR_KINDS,
		test_closing_is_busy_until_what_is_in_flight_was_reaped,
		test_destroying_a_queue_reaps_whatever_its_bios_wait_for,
		test_bios_in_flight_end_when_their_device_vanishes,
		test_submitting_from_end_io_again_and_again_takes_no_more_stack,
		test_a_poll_returns_however_much_its_end_ios_submit,
		test_an_end_io_cannot_poll_wait_or_destroy_its_own_queue);
}
