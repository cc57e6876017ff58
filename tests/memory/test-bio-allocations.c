/*
 * Bios allocate nothing: what they need is there once the first of them have been.
 *
 * Counted are the allocations of the whole library, in all its threads, over a
 * long run of bios with NR_IN_FLIGHT at a time.  Reads, and writes to what is
 * mapped, make none.  Writes and discards that change mappings make none
 * themselves, but metadata changes by them, and each new block of it takes its
 * place in the cache: far fewer than there are bios, and not more than the cache
 * has room for.
 */
#include "support/failing-memory.h"
#include "support/world.h"

#define NR_IN_FLIGHT 16u
#define NR_BLOCKS 2048u
#define NR_COLD 512u /* the first of a kind, which are not counted */
#define THIN_BYTES (NR_BLOCKS * (uint64_t)WORLD_BLOCK)

static struct world world;
static struct world *const w = &world;

static struct tp_thin *thin;
static struct tp_queue *queue;
static char buffers[NR_IN_FLIGHT][WORLD_BLOCK * 2];

/*---------------------------- the pool -------------------------------------*/

static void begin(int kind)
{
	world_make_sized(w, kind, 8 * MIB, 3 * THIN_BYTES, NULL);
	world_format(w);
	world_open(w);
	thin = world_new_thin(w, 1, THIN_BYTES);
	ck_ok(tp_queue_create(w->pool, NR_IN_FLIGHT, &queue));
}

static void end(void)
{
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
	world_end(w);
}

/*---------------------------- counting -------------------------------------*/

/* A bio for each of @nr blocks from @first on: @length bytes, @offset into it;
 * after each batch that is in flight together a flush, if @flushes. */
struct run {
	enum tp_op op;
	unsigned flags;
	unsigned first, nr;
	uint64_t offset, length;
	bool flushes;
};

static struct io ios[NR_IN_FLIGHT];

static void submit_batch(const struct run *run, unsigned first)
{
	for (unsigned i = 0; i < NR_IN_FLIGHT; i++) {
		uint64_t at = (first + i) * (uint64_t)WORLD_BLOCK;

		io_init(&ios[i], run->op, buffers[i], at + run->offset,
			run->length, run->flags);
		io_submit(&ios[i], queue, thin);
	}
}

static void wait_for_batch(void)
{
	for (unsigned i = 0; i < NR_IN_FLIGHT; i++)
		ck_ok(io_wait(w, &ios[i], queue));
}

/* All writes are with the device at the same time, so that there is as much
 * beside them as there ever need be, however fast they are later. */
static void run_held_batch(const struct run *run, unsigned first)
{
	observer_hold(&w->data, OPS(TP_WRITE));
	submit_batch(run, first);
	world_until(w, w->data.nr_held == NR_IN_FLIGHT);
	observer_release(&w->data);
	wait_for_batch();
}

static void run_batch(const struct run *run, unsigned first)
{
	struct io flush;

	submit_batch(run, first);
	wait_for_batch();
	if (run->flushes) {
		io_submit_flush(&flush, queue, thin);
		ck_ok(io_wait(w, &flush, queue));
	}
}

/* How many allocations it takes. */
static unsigned count(const struct run *run)
{
	failing_memory_count();
	for (unsigned i = 0; i < run->nr; i += NR_IN_FLIGHT)
		run_batch(run, run->first + i);
	failing_memory_disarm();
	io_log_clear(&w->log);

	return failing_memory_nr_calls();
}

/* A leaf has at least 126 mappings when it is made by splitting another; with
 * what lies above them, and those that snapshots share, it is one for 64. */
static void check_few(unsigned nr_allocations, unsigned nr_bios)
{
	ck_assert_msg(nr_allocations <= nr_bios / 64,
		      "%u bios make %u allocations", nr_bios, nr_allocations);
}

/*---------------------------- none -----------------------------------------*/

static void check_none(enum tp_op op, unsigned flags, uint64_t offset,
		       uint64_t length)
{
	struct run run = { op, flags, .nr = NR_COLD, .offset = offset,
			   .length = length };

	count(&run);
	run.first = NR_COLD;
	run.nr = NR_BLOCKS / 2;
	ck_assert_uint_eq(count(&run), 0);
}

START_TEST(test_what_is_mapped_is_read_and_written_without_any)
{
	begin(_i);
	thin_fill(thin, 0, THIN_BYTES, 1);
	check_none(TP_READ, 0, 512, 4096);
	check_none(TP_WRITE, 0, 512, 4096);
	check_none(TP_WRITE, 0, 0, WORLD_BLOCK);
	check_none(TP_WRITE, TP_FUA, 512, 4096);
	end();
}
END_TEST

/* Each in two parts. */
START_TEST(test_bios_over_two_blocks_make_none)
{
	begin(_i);
	thin_fill(thin, 0, THIN_BYTES, 1);
	check_none(TP_READ, 0, 512, WORLD_BLOCK);
	check_none(TP_WRITE, 0, 512, WORLD_BLOCK);
	end();
}
END_TEST

START_TEST(test_what_is_not_mapped_is_read_without_any)
{
	begin(_i);
	check_none(TP_READ, 0, 512, 4096);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	check_none(TP_READ, 0, 512, WORLD_BLOCK);
	end();
}
END_TEST

START_TEST(test_flushes_with_nothing_to_commit_make_none)
{
	struct run run = { TP_WRITE, .nr = NR_COLD, .length = 4096,
			   .flushes = true };

	begin(_i);
	count(&run);
	ck_assert_uint_eq(count(&run), 0);
	end();
}
END_TEST

/*---------------------------- few ------------------------------------------*/

START_TEST(test_first_writes_make_as_many_as_there_is_new_metadata)
{
	struct run run = { TP_WRITE, .nr = NR_COLD, .offset = 512,
			   .length = 4096 };

	begin(_i);
	ck_assert_uint_gt(count(&run), 0);
	run.first = NR_COLD;
	run.nr = NR_BLOCKS - NR_COLD;
	check_few(count(&run), run.nr);
	end();
}
END_TEST

/* The second snapshot finds all buffers that copying takes. */
START_TEST(test_writes_that_break_sharing_do_likewise)
{
	struct run run = { TP_WRITE, .nr = NR_BLOCKS, .offset = 512,
			   .length = 4096 };

	begin(_i);
	thin_fill(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_pool_create_snapshot(w->pool, 2, 1));
	run_held_batch(&run, 0);
	count(&run);
	ck_ok(tp_pool_create_snapshot(w->pool, 3, 1));
	check_few(count(&run), run.nr);
	end();
}
END_TEST

/* All are under way at the same time, behind a write to their block. */
static void run_discards_that_wait(void)
{
	ck_ok(tp_thin_discard(thin, 0, WORLD_BLOCK));
	observer_hold(&w->data, OPS(TP_WRITE));
	for (unsigned i = 0; i < NR_IN_FLIGHT; i++) {
		io_init(&ios[i], i ? TP_DISCARD : TP_WRITE, buffers[i], 0,
			WORLD_BLOCK, 0);
		io_submit(&ios[i], queue, thin);
	}
	world_settle(w);
	observer_release(&w->data);
	wait_for_batch();
}

/* Metadata shrinks by them: what they free is remembered until it is settled. */
START_TEST(test_discards_do_likewise)
{
	struct run run = { TP_DISCARD, .nr = NR_COLD, .length = WORLD_BLOCK };

	begin(_i);
	thin_fill(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_pool_commit(w->pool));
	run_discards_that_wait();
	count(&run);
	run.first = NR_COLD;
	run.nr = NR_BLOCKS - NR_COLD;
	check_few(count(&run), run.nr);
	end();
}
END_TEST

/*
 * A commit copies the path to each leaf that has changed, writes space maps and
 * details, and ends what waited for it: a dozen, whoever shares it.  So bios that
 * are flushed NR_IN_FLIGHT at a time make less than one each.
 */
START_TEST(test_bios_that_share_a_commit_make_less_than_one_each)
{
	struct run run = { TP_WRITE, .nr = NR_COLD, .length = 4096,
			   .flushes = true };

	begin(_i);
	count(&run);
	run.first = NR_COLD;
	run.nr = NR_BLOCKS - NR_COLD;
	ck_assert_uint_lt(count(&run), run.nr);
	end();
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"bios allocate nothing", NR_KINDS,
		test_what_is_mapped_is_read_and_written_without_any,
		test_bios_over_two_blocks_make_none,
		test_what_is_not_mapped_is_read_without_any,
		test_flushes_with_nothing_to_commit_make_none,
		test_first_writes_make_as_many_as_there_is_new_metadata,
		test_writes_that_break_sharing_do_likewise,
		test_discards_do_likewise,
		test_bios_that_share_a_commit_make_less_than_one_each);
}
