/*
 * No memory for a handle, a queue or a bio: it is had, or refused, or ends with
 * -ENOMEM, never with a false success (B-REQ-9, CON-07); every bio ends once, and
 * works when memory is back (F-19).
 */
#include <stdlib.h>

#include "memory/sweep.h"

#define BLOCKS(nr) ((nr) * (uint64_t)WORLD_BLOCK)
#define NEW_SEED 9

static struct world *const w = &sweep_world;
static char buffer[SWEEP_THIN_BYTES];

/*---------------------------- what is tried --------------------------------*/

static struct {
	uint32_t id;
	enum tp_op op;
	unsigned flags;
	uint64_t offset, length;
	struct tp_device *external_origin;
} aim;

static struct tp_thin *thin;
static struct tp_queue *queue;

static int open_thin(void)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;

	options.size = SWEEP_THIN_BYTES;
	options.external_origin = aim.external_origin;

	return tp_thin_open(w->pool, aim.id, &options, &thin);
}

static void begin(void)
{
	ck_ok(open_thin());
	ck_ok(tp_queue_create(w->pool, 4, &queue));
}

static void end(void)
{
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
}

/* One bio; what it, or its submission, ends with. */
static int try(void)
{
	struct io io;
	int r;

	fill_pattern(buffer, aim.length, aim.offset, NEW_SEED);
	io_init(&io, aim.op, buffer, aim.offset, aim.length, aim.flags);
	r = tp_queue_submit(queue, thin, &io.bio);

	return r ? r : io_wait(w, &io, queue);
}

/*---------------------------- what must be so ------------------------------*/

/* The seed of what the sector at @at held before; 0: zeroes. */
static uint64_t seed_before(uint64_t at)
{
	if (aim.id != PLAIN)
		return FULL_SEED;

	return at < SWEEP_THIN_BYTES / 2 ? PLAIN_SEED : 0;
}

static uint64_t seed_after(void)
{
	return aim.op == TP_WRITE ? NEW_SEED : 0;
}

static bool holds(const char *sector, uint64_t at, uint64_t seed)
{
	uint64_t wrong = seed ? find_other(sector, 512, at, seed)
			      : find_nonzero(sector, 512, at);

	return wrong == UINT64_MAX;
}

/* Each sector is as before, or as it should be. */
static bool check_content(struct tp_thin *handle)
{
	static char bytes[SWEEP_THIN_BYTES];
	bool all = true;

	ck_ok(tp_thin_read(handle, bytes, sizeof(bytes), 0));
	for (uint64_t at = 0; at < sizeof(bytes); at += 512) {
		bool aimed = at >= aim.offset && at < aim.offset + aim.length;
		bool is_new = aimed && holds(bytes + at, at, seed_after());

		ck_assert_msg(is_new || holds(bytes + at, at, seed_before(at)),
			      "the sector at %llu is neither old nor new",
			      (unsigned long long)at);
		all = all && is_new == aimed;
	}

	return all;
}

static bool is_done(void)
{
	struct tp_thin *mine = thin, *handle;
	bool done;

	ck_ok(open_thin());
	handle = thin;
	thin = mine;
	done = check_content(handle);
	ck_ok(tp_thin_close(handle));

	return done;
}

static void sweep_bio(int kind, uint32_t id, enum tp_op op, unsigned flags,
		      uint64_t offset, uint64_t length, int nr_blocks)
{
	bool looks_only = op == TP_READ || op == TP_FLUSH;

	aim.id = id;
	aim.op = op;
	aim.flags = flags;
	aim.offset = offset;
	aim.length = length;
	sweep_pool(kind, &(struct sweep){ .is_cold = looks_only,
					  .begin = begin,
					  .call = try,
					  .end = end,
					  .is_done = is_done,
					  .may_be_partial = true,
					  .has_no_effect = looks_only,
					  .nr_blocks = nr_blocks });
}

/*---------------------------- bios -----------------------------------------*/

START_TEST(test_a_read_of_mapped_and_unmapped_blocks)
{
	sweep_bio(_i, PLAIN, TP_READ, 0, 0, SWEEP_THIN_BYTES, 0);
}
END_TEST

START_TEST(test_a_write_to_a_mapped_block)
{
	sweep_bio(_i, PLAIN, TP_WRITE, 0, 512, 4096, 0);
}
END_TEST

START_TEST(test_a_write_that_provisions_a_part_of_a_block)
{
	sweep_bio(_i, PLAIN, TP_WRITE, 0, BLOCKS(12) + 512, 4096, 1);
}
END_TEST

START_TEST(test_a_write_that_provisions_blocks)
{
	sweep_bio(_i, PLAIN, TP_WRITE, TP_FUA, BLOCKS(10) + 512, BLOCKS(3), 4);
}
END_TEST

START_TEST(test_a_write_that_copies_a_shared_block)
{
	sweep_bio(_i, SHARED, TP_WRITE, 0, BLOCKS(3) + 512, 4096, 1);
}
END_TEST

START_TEST(test_a_write_over_shared_blocks)
{
	sweep_bio(_i, FULL, TP_WRITE, TP_FUA, BLOCKS(2), BLOCKS(4), 4);
}
END_TEST

START_TEST(test_a_flush_with_nothing_to_commit)
{
	sweep_bio(_i, PLAIN, TP_FLUSH, 0, 0, 0, 0);
}
END_TEST

START_TEST(test_a_discard_of_mapped_and_unmapped_blocks)
{
	sweep_bio(_i, PLAIN, TP_DISCARD, 0, BLOCKS(2), BLOCKS(12), -6);
}
END_TEST

START_TEST(test_a_discard_of_shared_blocks)
{
	sweep_bio(_i, SHARED, TP_DISCARD, TP_FUA, BLOCKS(2), BLOCKS(5), 0);
}
END_TEST

/* Every other block, and the commit after which they are passed down. */
static int discard_and_flush(void)
{
	int r = 0;

	for (unsigned i = 0; i < 8 && !r; i += 2) {
		aim.op = TP_DISCARD;
		aim.offset = BLOCKS(i);
		aim.length = BLOCKS(1);
		r = try();
	}
	aim.op = TP_FLUSH;
	aim.offset = aim.length = 0;

	return r ? r : try();
}

static bool is_discarded(void)
{
	struct tp_thin *handle = world_open_thin(w, PLAIN, SWEEP_THIN_BYTES);
	bool all = true;

	ck_ok(tp_thin_read(handle, buffer, BLOCKS(8), 0));
	for (unsigned i = 0; i < 8; i++) {
		const char *block = buffer + BLOCKS(i);
		bool is_zero = find_nonzero(block, BLOCKS(1), 0) == UINT64_MAX;

		ck_assert(is_zero || find_other(block, BLOCKS(1), BLOCKS(i),
						PLAIN_SEED) == UINT64_MAX);
		ck_assert(!is_zero || i % 2 == 0);
		all = all && is_zero == (i % 2 == 0);
	}
	ck_ok(tp_thin_close(handle));

	return all;
}

/* nor does it wait for memory for good. */
START_TEST(test_discards_that_are_passed_down_one_by_one)
{
	aim.id = PLAIN;
	aim.flags = 0;
	sweep_pool(_i, &(struct sweep){ .begin = begin,
					.call = discard_and_flush,
					.end = end,
					.is_done = is_discarded,
					.may_be_partial = true,
					.nr_blocks = -4 });
}
END_TEST

START_TEST(test_write_zeroes_that_unmap)
{
	sweep_bio(_i, PLAIN, TP_WRITE_ZEROES, 0, BLOCKS(1), BLOCKS(3), -3);
}
END_TEST

START_TEST(test_write_zeroes_that_provision)
{
	sweep_bio(_i, PLAIN, TP_WRITE_ZEROES, TP_NO_UNMAP, BLOCKS(7), BLOCKS(3),
		  2);
}
END_TEST

/*---------------------------- external origins -----------------------------*/

static struct observer origin;
static struct io_log origin_log;

static void use_origin(void)
{
	memset(&aim, 0, sizeof(aim));
	io_log_init(&origin_log);
	observer_init(&origin, &origin_log, "origin", SWEEP_THIN_BYTES,
		      SWEEP_THIN_BYTES, NULL);
	fill_pattern(origin.bytes, SWEEP_THIN_BYTES, 0, FULL_SEED);
	aim.external_origin = origin.device;
}

static void drop_origin(void)
{
	aim.external_origin = NULL;
	observer_exit(&origin);
	io_log_exit(&origin_log);
}

static void begin_with_origin(void)
{
	ck_ok(tp_pool_create_thin(w->pool, NEW));
	begin();
}

START_TEST(test_a_write_over_an_external_origin)
{
	use_origin();
	aim.id = NEW;
	aim.op = TP_WRITE;
	aim.offset = BLOCKS(3) + 512;
	aim.length = 4096;
	sweep_pool(_i, &(struct sweep){ .begin = begin_with_origin,
					.call = try,
					.end = end,
					.is_done = is_done,
					.may_be_partial = true,
					.nr_blocks = 1 });
	drop_origin();
}
END_TEST

static void create_new(void)
{
	ck_ok(tp_pool_create_thin(w->pool, NEW));
}

static int open_and_close(void)
{
	int r = open_thin();

	if (!r)
		ck_ok(tp_thin_close(thin));

	return r;
}

START_TEST(test_a_thin_with_an_external_origin_is_opened_or_not)
{
	use_origin();
	aim.id = NEW;
	sweep_pool(_i, &(struct sweep){ .begin = create_new,
					.call = open_and_close,
					.has_no_effect = true });
	drop_origin();
}
END_TEST

/*---------------------------- handles and queues ---------------------------*/

START_TEST(test_a_thin_is_opened_or_not)
{
	aim.id = FULL;
	sweep_pool(_i, &(struct sweep){ .is_cold = true,
					.call = open_and_close,
					.has_no_effect = true });
}
END_TEST

static int create_and_destroy(void)
{
	int r = tp_queue_create(w->pool, 32, &queue);

	if (!r)
		tp_queue_destroy(queue);

	return r;
}

START_TEST(test_a_queue_is_created_or_not)
{
	sweep_pool(_i, &(struct sweep){ .is_cold = true,
					.call = create_and_destroy,
					.has_no_effect = true });
}
END_TEST

static void begin_thin(void)
{
	ck_ok(open_thin());
}

static void end_thin(void)
{
	ck_ok(tp_thin_close(thin));
}

static int read_all(void)
{
	int r = tp_thin_read(thin, buffer, SWEEP_THIN_BYTES, 0);

	if (!r)
		ck_assert_uint_eq(find_other(buffer, SWEEP_THIN_BYTES, 0,
					     FULL_SEED),
				  UINT64_MAX);

	return r;
}

/* It makes a queue of its own. */
START_TEST(test_a_blocking_read)
{
	aim.id = FULL;
	sweep_pool(_i, &(struct sweep){ .is_cold = true,
					.begin = begin_thin,
					.call = read_all,
					.end = end_thin,
					.has_no_effect = true });
}
END_TEST

static int take_extent(const struct tp_extent *extent, void *context)
{
	uint64_t *nr_bytes = context;

	*nr_bytes += extent->length;

	return 0;
}

static int look(void)
{
	struct tp_thin_limits limits = TP_THIN_LIMITS_INIT;
	struct tp_thin_info info = TP_THIN_INFO_INIT;
	uint64_t nr_bytes = 0;
	int r;

	r = tp_thin_get_limits(thin, &limits);
	if (!r)
		r = tp_thin_get_info(thin, &info);
	if (!r)
		r = tp_thin_each_extent(thin, 0, SWEEP_THIN_BYTES, take_extent,
					&nr_bytes);
	if (!r)
		ck_assert_uint_eq(nr_bytes, SWEEP_THIN_BYTES);

	return r;
}

START_TEST(test_a_thin_is_looked_at_or_not)
{
	aim.id = FULL;
	sweep_pool(_i, &(struct sweep){ .is_cold = true,
					.begin = begin_thin,
					.call = look,
					.end = end_thin,
					.has_no_effect = true });
}
END_TEST

int main(void)
{
	return RUN_TESTS("memory-bios", NR_KINDS,
			 test_a_read_of_mapped_and_unmapped_blocks,
			 test_a_write_to_a_mapped_block,
			 test_a_write_that_provisions_a_part_of_a_block,
			 test_a_write_that_provisions_blocks,
			 test_a_write_that_copies_a_shared_block,
			 test_a_write_over_shared_blocks,
			 test_a_flush_with_nothing_to_commit,
			 test_a_discard_of_mapped_and_unmapped_blocks,
			 test_a_discard_of_shared_blocks,
			 test_discards_that_are_passed_down_one_by_one,
			 test_write_zeroes_that_unmap,
			 test_write_zeroes_that_provision,
			 test_a_write_over_an_external_origin,
			 test_a_thin_with_an_external_origin_is_opened_or_not,
			 test_a_thin_is_opened_or_not,
			 test_a_queue_is_created_or_not, test_a_blocking_read,
			 test_a_thin_is_looked_at_or_not);
}
