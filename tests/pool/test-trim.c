/*
 * What becomes known to the data device of space that is free: what deleting a
 * thin frees is passed down, and all that is free can be trimmed.
 */
#include "support/world.h"

#define NR_BLOCKS 32u
#define THIN_BYTES (NR_BLOCKS * WORLD_BLOCK)

static struct world w;

static void begin_with(int kind, unsigned flags,
		       const struct tp_device_limits *limits)
{
	world_make_sized(&w, kind, 2 * MIB, 16 * MIB, limits);
	w.options.flags |= flags;
	world_format(&w);
	world_open(&w);
}

static void new_full_thin(uint32_t id)
{
	struct tp_thin *thin = world_new_thin(&w, id, THIN_BYTES);

	thin_fill(thin, 0, THIN_BYTES, id);
	ck_ok(tp_thin_close(thin));
}

static uint64_t discarded_bytes(void)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < io_log_nr(&w.log); i++) {
		struct io_event event = io_log_get(&w.log, i);

		if (event.op == TP_DISCARD && event.when == IO_END)
			bytes += event.length;
	}

	return bytes;
}

static void verify(uint32_t id)
{
	struct tp_thin *thin = world_open_thin(&w, id, THIN_BYTES);

	thin_verify(thin, 0, THIN_BYTES, id);
	ck_ok(tp_thin_close(thin));
}

/*---------------------------- deleting -------------------------------------*/

/* B-THIN-5, B-DISC-10: an option, on by default; after the commit, and before
 * that nothing. */
START_TEST(test_what_deleting_frees_is_passed_down_unless_told_not_to)
{
	const unsigned flags[] = { 0, TP_POOL_NO_DELETE_PASSDOWN,
				   TP_POOL_NO_DISCARD_PASSDOWN,
				   TP_POOL_IGNORE_DISCARD };

	for (unsigned i = 0; i < 4; i++) {
		unsigned superblock, discard;

		begin_with(_i, flags[i], NULL);
		new_full_thin(1);
		io_log_clear(&w.log);
		ck_ok(tp_pool_delete_thin(w.pool, 1));
		world_until(&w, world_used(&w) == 0);
		world_settle(&w);
		ck_assert_uint_eq(discarded_bytes(), i ? 0 : THIN_BYTES);
		superblock =
			io_log_find(&w.log, 0, IO_END, "metadata", TP_WRITE);
		discard = io_log_find(&w.log, 0, IO_BEGIN, "data", TP_DISCARD);
		ck_assert(i || superblock < discard);
		world_end(&w);
	}
}
END_TEST

/* DEL-08: only what the deleted one alone had; the origin is as it was. */
START_TEST(test_what_lives_on_in_another_thin_is_not_passed_down)
{
	struct tp_thin *origin;

	begin_with(_i, 0, NULL);
	new_full_thin(1);
	ck_ok(tp_pool_create_snapshot(w.pool, 2, 1));
	origin = world_open_thin(&w, 1, THIN_BYTES);
	thin_fill(origin, 0, 3 * WORLD_BLOCK, 7);
	ck_ok(tp_pool_commit(w.pool));
	ck_assert_uint_eq(world_used(&w), NR_BLOCKS + 3);
	ck_ok(tp_pool_delete_thin(w.pool, 2));
	world_until(&w, discarded_bytes() == 3 * WORLD_BLOCK);
	world_idle(&w);
	ck_assert_uint_eq(discarded_bytes(), 3 * WORLD_BLOCK);
	ck_assert_uint_eq(world_used(&w), NR_BLOCKS);
	thin_verify(origin, 0, 3 * WORLD_BLOCK, 7);
	ck_ok(tp_thin_close(origin));
	world_end(&w);
}
END_TEST

/*---------------------------- trimming -------------------------------------*/

/* TOL-14. */
START_TEST(test_trimming_discards_all_that_is_free_and_nothing_else)
{
	uint64_t trimmed = 0;

	begin_with(_i, TP_POOL_NO_DELETE_PASSDOWN, NULL);
	new_full_thin(1);
	new_full_thin(2);
	new_full_thin(3);
	ck_ok(tp_pool_delete_thin(w.pool, 2));
	world_until(&w, world_used(&w) == 2 * NR_BLOCKS);
	world_idle(&w);
	ck_assert_uint_eq(discarded_bytes(), 0);
	ck_ok(tp_pool_trim(w.pool, 0, TP_TO_THE_END, &trimmed));
	ck_assert_uint_eq(trimmed, 16 * MIB - 2 * THIN_BYTES);
	ck_assert_uint_eq(discarded_bytes(), trimmed);
	ck_assert_uint_eq(w.metadata.nr_begun[TP_DISCARD], 0);
	verify(1);
	verify(3);

	/* All of it can be used again. */
	for (uint32_t id = 4; id < 10; id++)
		new_full_thin(id);
	ck_assert_uint_eq(world_used(&w), 256);
	ck_ok(tp_pool_trim(w.pool, 0, TP_TO_THE_END, &trimmed));
	ck_assert_uint_eq(trimmed, 0);
	world_end(&w);
}
END_TEST

/* Only whole blocks. */
START_TEST(test_trimming_keeps_to_its_range)
{
	uint64_t trimmed;

	begin_with(_i, 0, NULL);
	ck_ok(tp_pool_trim(w.pool, WORLD_BLOCK - 512, 3 * WORLD_BLOCK,
			   &trimmed));
	ck_assert_uint_eq(trimmed, 2 * WORLD_BLOCK);
	ck_ok(tp_pool_trim(w.pool, 20 * MIB, MIB, &trimmed));
	ck_assert_uint_eq(trimmed, 0);
	ck_ok(tp_pool_trim(w.pool, 0, WORLD_BLOCK - 512, NULL));
	ck_assert_uint_eq(discarded_bytes(), 2 * WORLD_BLOCK);
	world_end(&w);
}
END_TEST

/* 6.3, M5: what the durable transaction maps comes back by a power cut, so it
 * is no free space yet. */
START_TEST(test_what_a_crash_would_bring_back_is_not_trimmed)
{
	struct tp_thin *thin;
	uint64_t trimmed;
	struct world cut;

	begin_with(_i, TP_POOL_NO_DISCARD_PASSDOWN, NULL);
	new_full_thin(1);
	ck_ok(tp_pool_commit(w.pool));
	thin = world_open_thin(&w, 1, THIN_BYTES);
	ck_ok(tp_thin_discard(thin, 0, THIN_BYTES));
	ck_ok(tp_pool_trim(w.pool, 0, TP_TO_THE_END, &trimmed));
	ck_assert_uint_eq(trimmed, 16 * MIB - THIN_BYTES);

	world_copy(&w, &cut, _i);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, !world_used(&w));
	world_settle(&w);
	ck_ok(tp_pool_trim(w.pool, 0, TP_TO_THE_END, &trimmed));
	ck_assert_uint_eq(trimmed, 16 * MIB);
	world_end(&w);

	world_open(&cut);
	thin = world_open_thin(&cut, 1, THIN_BYTES);
	thin_verify(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_thin_close(thin));
	world_end(&cut);
}
END_TEST

static void *trim_all(void *trimmed)
{
	return (void *)(intptr_t)tp_pool_trim(w.pool, 0, TP_TO_THE_END,
					      trimmed);
}

static atomic_uint nr_low_water;

static void count_low_water(void *context, const struct tp_event *event)
{
	(void)context;
	nr_low_water += event->kind == TP_EVENT_LOW_WATER;
}

/* B-DISC-11: whoever needs space waits for what is being trimmed; the pool is
 * neither out of space nor low on it. */
START_TEST(test_a_block_that_is_being_trimmed_is_not_given_away)
{
	static char buffer[WORLD_BLOCK];
	struct tp_queue *queue;
	struct tp_thin *thin;
	pthread_t trimmer;
	uint64_t trimmed;
	struct io write;
	void *result;

	world_make(&w, OWN_THREAD);
	w.options.low_water_blocks = 16;
	world_format(&w);
	world_open(&w);
	ck_ok(tp_pool_set_event_handler(w.pool, count_low_water, NULL));
	thin = world_new_thin(&w, 1, THIN_BYTES);
	ck_ok(tp_queue_create(w.pool, 4, &queue));
	observer_hold(&w.data, OPS(TP_DISCARD));
	pthread_create(&trimmer, NULL, trim_all, &trimmed);
	world_until(&w, w.data.nr_held == 1);
	io_init(&write, TP_WRITE, buffer, 0, sizeof(buffer), 0);
	io_submit(&write, queue, thin);
	world_idle(&w);
	ck_assert(!io_has_ended(&write, queue));
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	ck_assert_uint_eq(nr_low_water, 0);

	observer_release(&w.data);
	pthread_join(trimmer, &result);
	ck_assert_ptr_null(result);
	ck_assert_uint_eq(trimmed, 16 * MIB);
	ck_ok(io_wait(&w, &write, queue));
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* A suspended pool touches no device. */
START_TEST(test_a_suspended_or_stopped_pool_is_not_trimmed)
{
	static const struct tp_device_limits none = {
		.struct_size = sizeof(none),
	};

	begin_with(_i, 0, NULL);
	ck_ok(tp_pool_suspend(w.pool));
	ck_assert_int_eq(tp_pool_trim(w.pool, 0, TP_TO_THE_END, NULL), -EBUSY);
	ck_ok(tp_pool_resume(w.pool, NULL));
	ck_assert_int_eq(tp_pool_trim(w.pool, 1, TP_TO_THE_END, NULL), -EINVAL);
	ck_assert_int_eq(tp_pool_trim(w.pool, 0, 1, NULL), -EINVAL);
	ck_assert_int_eq(tp_pool_trim(w.pool, 1024, UINT64_MAX - 1023, NULL),
			 -EINVAL);
	ck_assert_int_eq(tp_pool_trim(NULL, 0, 512, NULL), -EINVAL);
	world_close(&w);

	w.options.flags |= TP_POOL_READ_ONLY;
	world_open(&w);
	ck_assert_int_eq(tp_pool_trim(w.pool, 0, TP_TO_THE_END, NULL),
			 -EOPNOTSUPP);
	ck_assert_uint_eq(discarded_bytes(), 0);
	world_end(&w);

	begin_with(_i, 0, &none);
	ck_assert_int_eq(tp_pool_trim(w.pool, 0, TP_TO_THE_END, NULL),
			 -EOPNOTSUPP);
	world_end(&w);
}
END_TEST

/* It is told, and every block can be used. */
START_TEST(test_a_trim_that_the_device_fails_takes_no_space_away)
{
	begin_with(_i, 0, NULL);
	observer_fail(&w.data, OPS(TP_DISCARD), 0, 1, -EIO);
	ck_assert_int_eq(tp_pool_trim(w.pool, 0, TP_TO_THE_END, NULL), -EIO);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	for (uint32_t id = 0; id < 8; id++)
		new_full_thin(id);
	ck_assert_uint_eq(world_used(&w), 256);
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"trim", NR_KINDS,
		test_what_deleting_frees_is_passed_down_unless_told_not_to,
		test_what_lives_on_in_another_thin_is_not_passed_down,
		test_trimming_discards_all_that_is_free_and_nothing_else,
		test_trimming_keeps_to_its_range,
		test_what_a_crash_would_bring_back_is_not_trimmed,
		test_a_block_that_is_being_trimmed_is_not_given_away,
		test_a_suspended_or_stopped_pool_is_not_trimmed,
		test_a_trim_that_the_device_fails_takes_no_space_away);
}
