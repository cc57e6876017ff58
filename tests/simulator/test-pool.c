/*
 * Pools on simulated devices: host-driven by the virtual clock, and with a
 * thread of their own.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <thinpool/simulator.h>
#include <thinpool/thinpool.h>

#include "support/pattern.h"
#include "support/run-tests.h"

#define MIB (1024u * 1024u)
#define BLOCK 65536u
#define VOLUME_BYTES (4 * MIB)
#define SECOND_NS 1000000000u

#define ck_ok(call) ck_assert_int_eq(call, 0)

/*---------------------------- a pool ---------------------------------------*/

struct store {
	struct tp_simulator *simulator;
	struct tp_device *metadata, *data;
	struct tp_pool *pool;
	struct tp_thin *thin;
	bool own_thread;
};

static void add_device(struct store *store, uint64_t size,
		       uint32_t superblock_bytes, struct tp_device **device)
{
	const struct tp_simulated_device_options options = {
		.struct_size = sizeof(options),
		.size = size,
		.features = TP_DEVICE_FUA | TP_DEVICE_DISCARD |
			    TP_DEVICE_WRITE_ZEROES,
		.min_latency_ns = 10000,
		.max_latency_ns = 5000000,
		.superblock_bytes = superblock_bytes,
	};

	ck_ok(tp_simulator_add_device(store->simulator, &options, device));
}

static void open_pool(struct store *store)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_thin_options thin = TP_THIN_OPTIONS_INIT;

	if (!store->own_thread) {
		options.flags = TP_POOL_HOST_DRIVEN;
		options.clock_ns = tp_simulator_clock_ns;
		options.clock_wait = tp_simulator_clock_wait;
		options.clock_context = store->simulator;
	}
	ck_ok(tp_pool_open(store->metadata, store->data, &options,
			   &store->pool));
	thin.size = VOLUME_BYTES;
	ck_ok(tp_thin_open(store->pool, 0, &thin, &store->thin));
}

static void begin(struct store *store, uint64_t seed, bool own_thread)
{
	const struct tp_simulator_options simulator = {
		.struct_size = sizeof(simulator),
		.seed = seed,
	};
	struct tp_format_options format = TP_FORMAT_OPTIONS_INIT;
	struct tp_pool *pool;

	*store = (struct store){ .own_thread = own_thread };
	ck_ok(tp_simulator_new(&simulator, &store->simulator));
	add_device(store, 2 * MIB, 4096, &store->metadata);
	add_device(store, 16 * MIB, 0, &store->data);

	tp_simulator_set_instant(store->simulator, true);
	format.flags = TP_FORMAT_OVERWRITE;
	ck_ok(tp_pool_format(store->metadata, store->data, &format));
	ck_ok(tp_pool_open(store->metadata, store->data, NULL, &pool));
	ck_ok(tp_pool_create_thin(pool, 0));
	ck_ok(tp_pool_close(pool));
	tp_simulator_set_instant(store->simulator, false);
	open_pool(store);
}

static void close_pool(struct store *store)
{
	ck_ok(tp_thin_close(store->thin));
	tp_pool_close(store->pool); /* without power it cannot commit */
}

static void end(struct store *store)
{
	close_pool(store);
	tp_simulator_free(store->simulator);
}

/*---------------------------- by the virtual clock -------------------------*/

/* The n-th record, of one sector; all of them in one block. */
static void write_record(struct store *store, uint64_t n, unsigned flags)
{
	char record[TP_SECTOR_SIZE];

	fill_pattern(record, sizeof(record), 0, n);
	ck_ok(tp_thin_write(store->thin, record, sizeof(record),
			    n * sizeof(record), flags));
}

static bool has_record(struct store *store, uint64_t n)
{
	char record[TP_SECTOR_SIZE];

	ck_ok(tp_thin_read(store->thin, record, sizeof(record),
			   n * sizeof(record)));

	return find_other(record, sizeof(record), 0, n) == UINT64_MAX;
}

START_TEST(test_a_pool_lives_by_the_virtual_clock)
{
	struct store store;
	uint64_t before;

	begin(&store, 1, false);
	before = tp_simulator_clock_ns(store.simulator);
	write_record(&store, 0, TP_FUA);
	ck_assert_uint_gt(tp_simulator_clock_ns(store.simulator), before);
	ck_assert_uint_lt(tp_simulator_clock_ns(store.simulator),
			  before + SECOND_NS);
	ck_assert(has_record(&store, 0));
	end(&store);
}
END_TEST

/* The tick of a second commits what nobody asked to be durable. */
START_TEST(test_a_pool_commits_when_its_time_has_come)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	struct store store;

	begin(&store, 2, false);
	write_record(&store, 0, 0);
	ck_ok(tp_pool_get_status(store.pool, &status));
	ck_assert(status.changed);
	for (unsigned i = 0; i < 1000 && status.changed; i++) {
		uint64_t deadline;

		ck_assert_int_ge(tp_pool_poll(store.pool), 0);
		ck_ok(tp_pool_next_deadline(store.pool, &deadline));
		tp_simulator_step(store.simulator, deadline);
		ck_ok(tp_pool_get_status(store.pool, &status));
	}
	ck_assert(!status.changed);
	ck_assert_uint_lt(tp_simulator_clock_ns(store.simulator),
			  3 * (uint64_t)SECOND_NS);
	end(&store);
}
END_TEST

static void power_cycle(struct store *store)
{
	tp_simulator_power_off(store->simulator);
	close_pool(store);
	ck_ok(tp_simulator_power_on(store->simulator, NULL, NULL));
	open_pool(store);
}

static uint64_t run_with_power_cuts(uint64_t seed)
{
	struct store store;
	uint64_t digest;

	begin(&store, seed, false);
	for (uint64_t n = 0; n < 40; n++) {
		write_record(&store, n,
			     tp_simulator_random(store.simulator, 2) ? TP_FUA
								     : 0);
		if (n % 8 == 7) {
			write_record(&store, n, TP_FUA);
			power_cycle(&store);
			ck_assert(has_record(&store, n));
		}
	}
	digest = tp_simulator_digest(store.simulator);
	end(&store);

	return digest;
}

START_TEST(test_a_pool_and_a_seed_give_one_run)
{
	uint64_t one = run_with_power_cuts(3);

	ck_assert_uint_eq(run_with_power_cuts(3), one);
	ck_assert_uint_ne(run_with_power_cuts(4), one);
}
END_TEST

/* Whatever was under way: nothing hangs, and the rest is what survives. */
static void cut_under_way(void *context, const struct tp_simulated_event *event)
{
	struct tp_simulator *simulator = context;

	if (tp_simulator_nr_requests(simulator) % 50 == 0)
		tp_simulator_power_off(simulator);
}

START_TEST(test_a_pool_without_power_fails_and_closes)
{
	char bytes[BLOCK];
	struct store store;
	int r = 0;

	begin(&store, 5, false);
	memset(bytes, 'a', sizeof(bytes));
	tp_simulator_set_observer(store.simulator, cut_under_way,
				  store.simulator);
	for (unsigned i = 0; i < 60 && !r; i++)
		r = tp_thin_write(store.thin, bytes, BLOCK, i * BLOCK, TP_FUA);
	ck_assert_int_eq(r, -EIO);
	tp_simulator_set_observer(store.simulator, NULL, NULL);
	close_pool(&store);
	ck_ok(tp_simulator_power_on(store.simulator, NULL, NULL));
	open_pool(&store);
	end(&store);
}
END_TEST

/* Each of them opens as the origin would have. */
START_TEST(test_a_pool_opens_on_every_image_of_an_instant)
{
	struct store store;
	uint64_t nr;

	begin(&store, 6, false);
	write_record(&store, 0, TP_FUA);
	write_record(&store, 200, 0); /* a new block, not committed */
	nr = tp_simulator_nr_images(store.simulator);
	ck_assert_uint_gt(nr, 100);
	for (uint64_t n = 0; n < nr; n++) {
		struct store other = { .own_thread = false };
		struct tp_image image;

		ck_ok(tp_simulator_get_image(store.simulator, n, &image));
		ck_ok(tp_simulator_fork(store.simulator, n, tp_keep_image,
					&image, &other.simulator));
		other.metadata = tp_simulator_device(other.simulator, 0);
		other.data = tp_simulator_device(other.simulator, 1);
		open_pool(&other);
		ck_assert(has_record(&other, 0));
		end(&other);
	}
	ck_assert(has_record(&store, 200));
	end(&store);
}
END_TEST

/*---------------------------- a thread of its own --------------------------*/

static void *write_much(void *context)
{
	struct store *store = context;
	static atomic_uint nr_threads;
	uint64_t first = atomic_fetch_add(&nr_threads, 1) % 2 * 1000;

	for (uint64_t n = first; n < first + 300; n++)
		write_record(store, n, n % 7 ? 0 : TP_FUA);

	return NULL;
}

static void run_two_threads(struct store *store)
{
	pthread_t threads[2];

	for (unsigned i = 0; i < 2; i++)
		ck_ok(pthread_create(&threads[i], NULL, write_much, store));
	for (unsigned i = 0; i < 2; i++)
		ck_ok(pthread_join(threads[i], NULL));
}

START_TEST(test_a_pool_with_threads_survives_power_failures_too)
{
	struct store store;

	begin(&store, 7, true);
	for (unsigned round = 0; round < 3; round++) {
		run_two_threads(&store);
		power_cycle(&store);
		for (uint64_t n = 0; n < 300; n += 7)
			ck_assert(has_record(&store, n));
		for (uint64_t n = 1001; n < 1300; n += 7)
			ck_assert(has_record(&store, n));
	}
	end(&store);
}
END_TEST

/* A fork may be tried by another thread while the origin goes on. */
static void *try_fork(void *context)
{
	struct store other = { .simulator = context };

	other.metadata = tp_simulator_device(other.simulator, 0);
	other.data = tp_simulator_device(other.simulator, 1);
	open_pool(&other);
	for (uint64_t n = 0; n < 100; n++)
		write_record(&other, 3000 + n, 0);
	end(&other);

	return NULL;
}

START_TEST(test_forks_may_be_tried_by_several_threads)
{
	pthread_t threads[3];
	struct store store;

	begin(&store, 8, false);
	write_record(&store, 1, 0);
	for (unsigned i = 0; i < 3; i++) {
		struct tp_simulator *other;

		ck_ok(tp_simulator_fork(store.simulator, i, NULL, NULL,
					&other));
		ck_ok(pthread_create(&threads[i], NULL, try_fork, other));
	}
	for (uint64_t n = 0; n < 300; n++)
		write_record(&store, n, n % 9 ? 0 : TP_FUA);
	for (unsigned i = 0; i < 3; i++)
		ck_ok(pthread_join(threads[i], NULL));
	end(&store);
}
END_TEST

int main(void)
{
	return RUN_TESTS("simulated-pool", 1,
			 test_a_pool_lives_by_the_virtual_clock,
			 test_a_pool_commits_when_its_time_has_come,
			 test_a_pool_and_a_seed_give_one_run,
			 test_a_pool_without_power_fails_and_closes,
			 test_a_pool_opens_on_every_image_of_an_instant,
			 test_a_pool_with_threads_survives_power_failures_too,
			 test_forks_may_be_tried_by_several_threads);
}
