/*
 * Threads that submit run the loop while its own thread sleeps: what they do, what
 * they leave to it, and that several at once lose nothing.
 */
#include <pthread.h>
#include <stdlib.h>

#include "support/world.h"

#define NR_BLOCKS 256u
#define THIN_BYTES ((uint64_t)NR_BLOCKS * WORLD_BLOCK)

static struct world w;

static struct tp_thin *begin_in_memory(uint64_t low_water_blocks)
{
	world_make_sized(&w, OWN_THREAD, 4 * MIB, 2 * THIN_BYTES, NULL);
	w.options.commit_interval_ms = TP_NEVER;
	w.options.low_water_blocks = low_water_blocks;
	world_format(&w);
	world_open(&w);

	return world_new_thin(&w, 0, THIN_BYTES);
}

static void end_with(struct tp_thin *thin)
{
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}

/* B-WAKE-1: nor does giving blocks of their own to a thin need the loop's thread,
 * as long as the device answers at once. */
START_TEST(test_first_writes_do_not_wake_the_loops_thread)
{
	struct tp_thin *thin = begin_in_memory(0);
	char sector[512] = { 1 };
	uint64_t nr_wakeups;

	ck_ok(tp_thin_write(thin, sector, 512, 0, 0));
	world_settle(&w);
	nr_wakeups = world_status(&w).nr_wakeups;
	for (unsigned i = 1; i < NR_BLOCKS; i++)
		ck_ok(tp_thin_write(thin, sector, 512,
				    i * (uint64_t)WORLD_BLOCK, 0));

	/* The thread may not have been asleep yet now and then. */
	ck_assert_uint_lt(world_status(&w).nr_wakeups,
			  nr_wakeups + NR_BLOCKS / 2);
	ck_assert_uint_eq(thin_mapped(thin), THIN_BYTES);
	end_with(thin);
}
END_TEST

static pthread_t told_on;
static atomic_uint nr_told;

static void note_thread(void *context, const struct tp_event *event)
{
	(void)context;
	if (event->kind != TP_EVENT_LOW_WATER)
		return;
	told_on = pthread_self();
	nr_told++;
}

/* B-EVT-1: a host may hold a lock of its own while it submits, and take it in a
 * handler of events. */
START_TEST(test_an_event_never_comes_on_the_thread_that_submits)
{
	struct tp_thin *thin = begin_in_memory(NR_BLOCKS * 2 - 8);
	char sector[512] = { 1 };

	nr_told = 0;
	ck_ok(tp_pool_set_event_handler(w.pool, note_thread, NULL));
	for (unsigned i = 0; i < 16; i++)
		ck_ok(tp_thin_write(thin, sector, 512,
				    i * (uint64_t)WORLD_BLOCK, 0));
	world_until(&w, nr_told == 1);
	ck_assert(!pthread_equal(told_on, pthread_self()));
	end_with(thin);
}
END_TEST

#define NR_WRITERS 4u
#define WRITER_BLOCKS (NR_BLOCKS / NR_WRITERS)
#define ROUNDS 20u

struct writer {
	pthread_t thread;
	struct tp_thin *thin;
	unsigned number, nr_failed;
};

/* First writes, flushes and discards in turn, so that all of them want the loop
 * at the same time. */
static void *write_and_discard(void *context)
{
	struct writer *writer = context;
	uint64_t begin = writer->number * (uint64_t)WRITER_BLOCKS * WORLD_BLOCK;
	char sector[512] = { (char)(writer->number + 1) };

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < WRITER_BLOCKS; i++)
			writer->nr_failed +=
				tp_thin_write(writer->thin, sector, 512,
					      begin + i * (uint64_t)WORLD_BLOCK,
					      0) != 0;
		writer->nr_failed += tp_thin_flush(writer->thin) != 0;
		if (round + 1 < ROUNDS)
			writer->nr_failed +=
				tp_thin_discard(writer->thin, begin,
						(uint64_t)WRITER_BLOCKS *
							WORLD_BLOCK) != 0;
	}

	return NULL;
}

/* B-THR-1, R-84. */
START_TEST(test_threads_that_help_at_once_lose_nothing)
{
	struct tp_thin *thin = begin_in_memory(0);
	struct writer writers[NR_WRITERS];
	char sector[512];

	for (unsigned i = 0; i < NR_WRITERS; i++) {
		writers[i] = (struct writer){ .thin = thin, .number = i };
		ck_assert_int_eq(pthread_create(&writers[i].thread, NULL,
						write_and_discard, &writers[i]),
				 0);
	}
	for (unsigned i = 0; i < NR_WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		ck_assert_uint_eq(writers[i].nr_failed, 0);
	}
	ck_assert_uint_eq(thin_mapped(thin), THIN_BYTES);
	for (unsigned i = 0; i < NR_BLOCKS; i++) {
		ck_ok(tp_thin_read(thin, sector, 512,
				   i * (uint64_t)WORLD_BLOCK));
		ck_assert_int_eq(sector[0], (int)(i / WRITER_BLOCKS) + 1);
	}
	end_with(thin);
}
END_TEST

static atomic_bool stop;

static void *write_until_told(void *context)
{
	struct writer *writer = context;
	uint64_t begin = writer->number * (uint64_t)WRITER_BLOCKS * WORLD_BLOCK;
	char sector[512] = { 1 };

	for (uint64_t i = 0; !stop; i = (i + 1) % WRITER_BLOCKS) {
		uint64_t at = begin + i * WORLD_BLOCK;

		writer->nr_failed +=
			tp_thin_write(writer->thin, sector, 512, at, 0) != 0;
		writer->nr_failed +=
			tp_thin_discard(writer->thin, at, WORLD_BLOCK) != 0;
	}

	return NULL;
}

/* B-COMMIT-1: timers are for the loop's thread, which has to get its turn. */
START_TEST(test_the_tick_comes_while_others_run_the_loop)
{
	struct writer writers[NR_WRITERS];
	struct tp_thin *thin;
	uint64_t nr_commits;

	world_make_sized(&w, OWN_THREAD, 4 * MIB, 2 * THIN_BYTES, NULL);
	w.options.commit_interval_ms = 10;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	stop = false;
	for (unsigned i = 0; i < NR_WRITERS; i++) {
		writers[i] = (struct writer){ .thin = thin, .number = i };
		ck_assert_int_eq(pthread_create(&writers[i].thread, NULL,
						write_until_told, &writers[i]),
				 0);
	}
	nr_commits = world_status(&w).nr_commits;
	world_until(&w, world_status(&w).nr_commits >= nr_commits + 5);
	stop = true;
	for (unsigned i = 0; i < NR_WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		ck_assert_uint_eq(writers[i].nr_failed, 0);
	}
	end_with(thin);
}
END_TEST

int main(void)
{
	return RUN_TESTS("help", 1,
			 test_first_writes_do_not_wake_the_loops_thread,
			 test_an_event_never_comes_on_the_thread_that_submits,
			 test_threads_that_help_at_once_lose_nothing,
			 test_the_tick_comes_while_others_run_the_loop);
}
