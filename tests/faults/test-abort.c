/*
 * A transaction that is given up while others look on, and before the pool ever
 * had another.
 */
#include <stdlib.h>

#include "support/commit-steps.h"
#include "support/world.h"

#define THIN_BYTES (4 * MIB)
#define NR_READERS 2
#define NR_BLOCKS 16u

static struct world w;
static char block[WORLD_BLOCK];

static enum tp_pool_mode mode(void)
{
	return world_status(&w).mode;
}

/*---------------------------- the first ------------------------------------*/

static void expect_an_empty_pool(void)
{
	ck_assert_uint_eq(world_status(&w).nr_thins, 0);
	ck_assert_uint_eq(world_used(&w), 0);
	ck_assert_uint_eq(world_status(&w).time, 0);
}

/* B-ABORT-1, B-ABORT-8, CRS-01, NCK-03, B-NC-3: there is nothing but what formatting
 * made, and that is what is come back to; after a check the pool works. */
START_TEST(test_the_first_transaction_of_all_is_given_up)
{
	for (unsigned step = 0; step < NR_COMMIT_STEPS; step++) {
		struct tp_check_options options = TP_CHECK_OPTIONS_INIT;
		struct tp_check_report report = TP_CHECK_REPORT_INIT;
		struct tp_thin *thin;

		world_begin(&w, _i);
		commit_fail_at(&w, step, 1);
		ck_assert_int_eq(tp_pool_create_thin(w.pool, 0), -EIO);
		ck_assert_int_eq(mode(), TP_MODE_READ_ONLY);
		ck_assert(world_status(&w).needs_check);
		expect_an_empty_pool();
		ck_assert_int_eq(tp_pool_create_thin(w.pool, 0), -EOPNOTSUPP);
		commit_heal(&w);
		world_reopen(&w);
		expect_an_empty_pool();
		world_close(&w);
		options.flags = TP_CHECK_CLEAR_NEEDS_CHECK;
		ck_ok(tp_check(w.metadata.device, &options, &report));
		ck_assert(report.cleared_needs_check);
		world_open(&w);
		ck_assert_int_eq(mode(), TP_MODE_WRITE);
		thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
		thin_verify(thin, 0, NR_FILLED * WORLD_BLOCK, 1);
		ck_ok(tp_thin_close(thin));
		world_end(&w);
	}
}
END_TEST

/*---------------------------- under readers --------------------------------*/

struct reader {
	pthread_t thread;
	struct tp_thin *thin;
	unsigned nr_read;
};

static atomic_bool stop;

/* What is durable is read as it is throughout; what is not shows old or new. */
static void *read_on(void *context)
{
	static const uint64_t lost = NR_BLOCKS * WORLD_BLOCK;
	struct reader *reader = context;
	char *buffer = malloc(WORLD_BLOCK);
	struct tp_thin_info info = TP_THIN_INFO_INIT;

	while (!stop || !reader->nr_read) {
		uint64_t at = reader->nr_read++ % NR_BLOCKS * WORLD_BLOCK;

		thin_verify(reader->thin, at, WORLD_BLOCK, 1);
		ck_ok(tp_thin_read(reader->thin, buffer, WORLD_BLOCK, lost));
		ck_assert(find_nonzero(buffer, WORLD_BLOCK, 0) == UINT64_MAX ||
			  find_other(buffer, WORLD_BLOCK, lost, 2) ==
				  UINT64_MAX);
		ck_ok(tp_thin_get_info(reader->thin, &info));
		ck_assert(info.mapped_bytes == lost ||
			  info.mapped_bytes == lost + WORLD_BLOCK);
	}
	free(buffer);

	return NULL;
}

/* B-ABORT-7, R-54: whoever reads, and asks about the thin, while a
 * transaction is rolled back gets what is true, and no error. */
START_TEST(test_readers_do_not_notice_that_a_transaction_is_given_up)
{
	for (unsigned step = 0; step < NR_COMMIT_STEPS; step++) {
		struct reader readers[NR_READERS] = { { .nr_read = 0 } };
		struct tp_thin *thin;

		world_begin(&w, OWN_THREAD);
		thin = world_new_thin(&w, 0, THIN_BYTES);
		thin_fill(thin, 0, NR_BLOCKS * WORLD_BLOCK, 1);
		ck_ok(tp_thin_flush(thin));
		thin_fill(thin, NR_BLOCKS * WORLD_BLOCK, WORLD_BLOCK, 2);
		stop = false;
		for (unsigned i = 0; i < NR_READERS; i++) {
			readers[i].thin = thin;
			pthread_create(&readers[i].thread, NULL, read_on,
				       &readers[i]);
		}
		commit_fail_at(&w, step, 1);
		ck_assert_int_eq(tp_thin_flush(thin), -EIO);
		ck_assert_int_eq(mode(), TP_MODE_READ_ONLY);
		thin_verify_zero(thin, NR_BLOCKS * WORLD_BLOCK, WORLD_BLOCK);
		stop = true;
		for (unsigned i = 0; i < NR_READERS; i++)
			pthread_join(readers[i].thread, NULL);
		commit_heal(&w);
		ck_ok(tp_thin_close(thin));
		world_end(&w);
	}
}
END_TEST

/* B-ABORT-4, B-ABORT-5, B-LOCK-6, CRS-02: the write whose block cannot be mapped, and
 * all that wait for the same block, end with an error, each once. */
START_TEST(test_all_who_wait_for_a_block_are_told_that_it_is_given_up)
{
	struct tp_queue *queue;
	struct tp_thin *thin;
	struct io ios[5];

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_queue_create(w.pool, 8, &queue));
	observer_hold_next(&w.data, OPS(TP_WRITE), 1);
	for (unsigned i = 0; i < 4; i++) {
		io_init(&ios[i], TP_WRITE, block, 4 * WORLD_BLOCK + i * 512,
			512, 0);
		io_submit(&ios[i], queue, thin);
	}
	world_until(&w, w.data.nr_held == 1);
	commit_fail_at(&w, METADATA_FLUSH, 1);
	io_submit_flush(&ios[4], queue, thin);
	ck_assert_int_eq(io_wait(&w, &ios[4], queue), -EIO);
	observer_release(&w.data);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(io_wait(&w, &ios[i], queue), -EIO);
	world_idle(&w);
	tp_queue_poll(queue, 0);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_uint_eq(ios[i].nr_ended, 1);
	ck_assert(thin_info(thin).lost_writes);
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	commit_heal(&w);
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"abort", NR_KINDS,
		test_the_first_transaction_of_all_is_given_up,
		test_readers_do_not_notice_that_a_transaction_is_given_up,
		test_all_who_wait_for_a_block_are_told_that_it_is_given_up);
}
