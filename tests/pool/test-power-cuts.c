/*
 * Why the data device is flushed before metadata is committed: without that, the
 * mapping of a new block survives a power cut, and what was to be in the block
 * does not.  The consequences, one by one (B-CRASH-10 to -17, R-01), for each
 * cause of a commit, with the power cut at each device request, and all or some
 * of what either device had not made durable lost.
 *
 * All that nobody wrote is poison, so a mapping without its data shows.
 */
#include "support/power-cut.h"

#define THIN_BYTES (8u * WORLD_BLOCK)
#define SHARED_BYTES (4u * WORLD_BLOCK)
#define OLD 1u   /* seeds: what was there, */
#define NEW 2u   /* what is written, */
#define OTHER 3u /* and by somebody else */

/*---------------------------- what is written ------------------------------*/

/* What shows where nothing was written. */
enum background {
	SHARED, /* blocks that a snapshot shares */
	NOTHING,
	ORIGIN, /* an external origin, and zeroes past its end */
};

enum cause {
	BY_TICK,
	BY_MESSAGE,
	BY_ANOTHERS_FLUSH,
	BY_ANOTHERS_FUA,
	BY_OWN_FLUSH,
	BY_OWN_FUA,
};

struct writing {
	enum background background;
	uint64_t offset, length;
	enum cause cause;

	/* What the host was told. */
	bool is_durable, others_is_durable;

	/* Where its first block lay before; and of the images, how many had it
	 * there, and how many elsewhere. */
	uint64_t where;
	unsigned nr_old, nr_new;
};

static char memory[THIN_BYTES];

static int write_seed(struct tp_thin *thin, uint64_t offset, uint64_t length,
		      uint64_t seed, unsigned flags)
{
	fill_pattern(memory, length, offset, seed);

	return tp_thin_write(thin, memory, length, offset, flags);
}

static struct tp_thin *open_written(struct sim_world *w,
				    const struct writing *writing)
{
	return sim_open_thin(w, 0, THIN_BYTES, writing->background == ORIGIN);
}

/* Thin 0 is written to; 1 is its snapshot, if any; 2 somebody else's. */
static void prepare(struct sim_world *w, void *context)
{
	struct writing *writing = context;
	struct tp_thin *thin;

	writing->is_durable = writing->others_is_durable = false;
	fill_pattern(memory, SIM_ORIGIN_BYTES, 0, OLD);
	ck_ok(tp_simulator_poke(w->simulator, SIM_ORIGIN, memory,
				SIM_ORIGIN_BYTES, 0));
	ck_ok(tp_pool_create_thin(w->pool, 0));
	ck_ok(tp_pool_create_thin(w->pool, 2));
	thin = open_written(w, writing);
	if (writing->background == SHARED) {
		ck_ok(write_seed(thin, 0, SHARED_BYTES, OLD, 0));
		ck_ok(tp_pool_create_snapshot(w->pool, 1, 0));
	}
	writing->where = thin_where(thin, writing->offset);
	ck_ok(tp_thin_close(thin));
}

/*---------------------------- what is done ---------------------------------*/

static void await_tick(struct sim_world *w)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	uint64_t deadline;

	do {
		if (!tp_pool_poll(w->pool)) {
			ck_ok(tp_pool_next_deadline(w->pool, &deadline));
			tp_simulator_clock_wait(w->simulator, deadline);
		}
		ck_ok(tp_pool_get_status(w->pool, &status));
	} while (status.changed && !w->is_cut);
}

static void commit_by_other(struct sim_world *w, struct writing *writing)
{
	struct tp_thin *other = sim_open_thin(w, 2, THIN_BYTES, false);
	bool by_fua = writing->cause == BY_ANOTHERS_FUA;
	int r;

	r = write_seed(other, 0, WORLD_BLOCK, OTHER, by_fua ? TP_FUA : 0);
	if (!r && !by_fua)
		r = tp_thin_flush(other);
	writing->others_is_durable = !r;
	ck_ok(tp_thin_close(other));
}

static void commit(struct sim_world *w, struct tp_thin *thin,
		   struct writing *writing)
{
	switch (writing->cause) {
	case BY_TICK:
		await_tick(w);
		break;
	case BY_MESSAGE:
		writing->is_durable =
			!tp_pool_set_transaction_id(w->pool, 0, 1);
		break;
	case BY_ANOTHERS_FLUSH:
	case BY_ANOTHERS_FUA:
		commit_by_other(w, writing);
		break;
	case BY_OWN_FLUSH:
		writing->is_durable = !tp_thin_flush(thin);
		break;
	case BY_OWN_FUA:
		writing->is_durable = true;
		break;
	}
}

static void do_it(struct sim_world *w, void *context)
{
	struct writing *writing = context;
	struct tp_thin *thin = open_written(w, writing);
	unsigned flags = writing->cause == BY_OWN_FUA ? TP_FUA : 0;

	if (!write_seed(thin, writing->offset, writing->length, NEW, flags))
		commit(w, thin, writing);
	ck_ok(tp_thin_close(thin));
}

/*---------------------------- what it shows --------------------------------*/

static bool holds(const char *sector, uint64_t at, uint64_t seed)
{
	return find_other(sector, 512, at, seed) == UINT64_MAX;
}

static bool is_zero(const char *sector)
{
	return find_nonzero(sector, 512, 0) == UINT64_MAX;
}

static bool holds_old(const struct writing *writing, const char *sector,
		      uint64_t at)
{
	uint64_t end = 0;

	if (writing->background == SHARED)
		end = SHARED_BYTES;
	else if (writing->background == ORIGIN)
		end = SIM_ORIGIN_BYTES;

	return at < end ? holds(sector, at, OLD) : is_zero(sector);
}

/* Old or new, in each sector by itself; new, if that was promised; and where
 * nothing was written, old. */
static void check_written(struct sim_world *image, struct writing *writing)
{
	struct tp_thin *thin = open_written(image, writing);

	ck_ok(tp_thin_read(thin, memory, THIN_BYTES, 0));
	for (uint64_t at = 0; at < THIN_BYTES; at += 512) {
		bool is_written = at >= writing->offset &&
				  at < writing->offset + writing->length;
		bool is_new = is_written && holds(memory + at, at, NEW);
		bool may_be_old = !is_written || !writing->is_durable;

		ck_assert_msg(is_new || (may_be_old &&
					 holds_old(writing, memory + at, at)),
			      "the sector at %llu is not as it may be",
			      (unsigned long long)at);
	}
	if (thin_where(thin, writing->offset) == writing->where)
		writing->nr_old++;
	else
		writing->nr_new++;
	ck_ok(tp_thin_close(thin));
}

static void check_snapshot(struct sim_world *image)
{
	struct tp_thin *thin = sim_open_thin(image, 1, THIN_BYTES, false);

	thin_verify(thin, 0, SHARED_BYTES, OLD);
	thin_verify_zero(thin, SHARED_BYTES, THIN_BYTES - SHARED_BYTES);
	ck_ok(tp_thin_close(thin));
}

static void check_other(struct sim_world *image, const struct writing *writing)
{
	struct tp_thin *thin = sim_open_thin(image, 2, THIN_BYTES, false);

	ck_ok(tp_thin_read(thin, memory, WORLD_BLOCK, 0));
	for (uint64_t at = 0; at < WORLD_BLOCK; at += 512)
		ck_assert(
			holds(memory + at, at, OTHER) ||
			(!writing->others_is_durable && is_zero(memory + at)));
	ck_ok(tp_thin_close(thin));
}

static void check(struct sim_world *image, void *context)
{
	struct writing *writing = context;

	check_written(image, writing);
	if (writing->background == SHARED)
		check_snapshot(image);
	check_other(image, writing);
}

/* Not in vain: some images have the old mapping, and some the new. */
static void cut_everywhere(struct writing *writing)
{
	struct power_cut_case what = {
		.prepare = prepare,
		.do_it = do_it,
		.check = check,
		.context = writing,
	};

	writing->nr_old = writing->nr_new = 0;
	ck_assert_uint_gt(power_cut_everywhere(&what), 5);
	ck_assert_uint_gt(writing->nr_old, 0);
	ck_assert_uint_gt(writing->nr_new, 0);
}

/* By whatever but what the host itself asks for this thin. */
static void cut_with_each_cause(struct writing *writing)
{
	for (writing->cause = BY_TICK; writing->cause < BY_OWN_FLUSH;
	     writing->cause++)
		cut_everywhere(writing);
}

/*---------------------------- the four implications ------------------------*/

/* 1, B-CRASH-10: the rest of the block, which nobody wrote to. */
START_TEST(test_a_small_write_to_a_shared_block_leaves_the_rest_of_it_alone)
{
	struct writing writing = { SHARED, WORLD_BLOCK + 8192, 4096 };

	cut_with_each_cause(&writing);
}
END_TEST

/* 2, B-CRASH-10: a sector is old or new, and never anything else. */
START_TEST(test_a_sector_written_to_a_shared_block_is_old_or_new)
{
	struct writing writing = { SHARED, WORLD_BLOCK + 512, 512 };

	cut_with_each_cause(&writing);
}
END_TEST

/* 3, B-CRASH-11: any mix of old and new sectors, and nothing else. */
START_TEST(test_each_sector_of_an_overwritten_shared_block_is_old_or_new)
{
	struct writing writing = { SHARED, WORLD_BLOCK, 2 * WORLD_BLOCK };

	cut_with_each_cause(&writing);
}
END_TEST

/* 4, B-CRASH-14: also while the host flushes the thin; and then it is new. */
START_TEST(test_a_flush_of_the_thin_never_shows_a_mapping_without_its_data)
{
	struct writing writings[] = {
		{ SHARED, WORLD_BLOCK + 8192, 4096, BY_OWN_FLUSH },
		{ SHARED, WORLD_BLOCK, WORLD_BLOCK, BY_OWN_FLUSH },
		{ NOTHING, 5 * WORLD_BLOCK + 8192, 4096, BY_OWN_FLUSH },
	};

	for (unsigned i = 0; i < 3; i++)
		cut_everywhere(&writings[i]);
}
END_TEST

/*---------------------------- FUA ------------------------------------------*/

/* The case that was never affected, B-CRASH-17, B-FUA-2: once it has ended it is
 * there. */
START_TEST(test_a_whole_block_written_with_fua_is_there_once_it_has_ended)
{
	struct writing writings[] = {
		{ SHARED, WORLD_BLOCK, WORLD_BLOCK, BY_OWN_FUA },
		{ NOTHING, 5 * WORLD_BLOCK, WORLD_BLOCK, BY_OWN_FUA },
	};

	for (unsigned i = 0; i < 2; i++)
		cut_everywhere(&writings[i]);
}
END_TEST

/* But it commits, B-CRASH-15: and with it, another thin's copy, whose data must
 * be there as well.  So must a part of a block that is written with FUA. */
START_TEST(test_a_write_with_fua_does_not_commit_mappings_without_their_data)
{
	struct writing writings[] = {
		{ SHARED, WORLD_BLOCK, WORLD_BLOCK, BY_ANOTHERS_FUA },
		{ SHARED, WORLD_BLOCK + 8192, 4096, BY_ANOTHERS_FUA },
		{ SHARED, WORLD_BLOCK + 8192, 4096, BY_OWN_FUA },
		{ NOTHING, 5 * WORLD_BLOCK + 8192, 4096, BY_OWN_FUA },
	};

	for (unsigned i = 0; i < 4; i++)
		cut_everywhere(&writings[i]);
}
END_TEST

/*---------------------------- new blocks -----------------------------------*/

/* B-CRASH-12: zeroing is data like any other. */
START_TEST(test_a_newly_provisioned_block_is_zero_around_what_was_written)
{
	struct writing writing = { NOTHING, 5 * WORLD_BLOCK + 8192, 4096 };

	cut_with_each_cause(&writing);
}
END_TEST

/* B-CRASH-13: within the origin, and across its end. */
START_TEST(
	test_a_block_over_an_external_origin_shows_it_around_what_was_written)
{
	struct writing writing = { ORIGIN, WORLD_BLOCK + 8192, 4096 };

	cut_with_each_cause(&writing);
	writing.offset = SIM_ORIGIN_BYTES - 1024;
	writing.length = 2048;
	cut_with_each_cause(&writing);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"power-cuts", 1,
		test_a_small_write_to_a_shared_block_leaves_the_rest_of_it_alone,
		test_a_sector_written_to_a_shared_block_is_old_or_new,
		test_each_sector_of_an_overwritten_shared_block_is_old_or_new,
		test_a_flush_of_the_thin_never_shows_a_mapping_without_its_data,
		test_a_whole_block_written_with_fua_is_there_once_it_has_ended,
		test_a_write_with_fua_does_not_commit_mappings_without_their_data,
		test_a_newly_provisioned_block_is_zero_around_what_was_written,
		test_a_block_over_an_external_origin_shows_it_around_what_was_written);
}
