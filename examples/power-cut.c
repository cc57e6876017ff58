/*
 * power-cut.c - a server put through 200 power failures, which one seed decides.
 *
 *	cc power-cut.c -o power-cut \
 *		$(pkg-config --cflags --libs libthinpool-simulator)
 *	./power-cut [SEED]
 *
 * The server keeps records, a sector each, in a thin volume.  A put is
 * acknowledged when a durable write has ended.  The test around it remembers
 * what was acknowledged; after each failure, which comes at any request to a
 * device and leaves any part of what was in the caches, it asks for all of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <thinpool/simulator.h>
#include <thinpool/thinpool.h>

#define MIB ((uint64_t)1 << 20)
#define NR_KEYS 2000
#define NR_POWER_CUTS 200
#define KEY_DISTANCE 8192 /* a few records share a block of the pool */

static void check(int r, const char *what)
{
	if (!r)
		return;
	fprintf(stderr, "%s: %s %s\n", what, tp_last_error(),
		tp_simulator_last_error());
	exit(1);
}

/* A record is its version, 0 where there is none, and whatever else. */
typedef uint64_t record_t[TP_SECTOR_SIZE / 8];

static struct tp_pool *pool;
static struct tp_thin *thin;

static int server_put(uint64_t key, uint64_t version)
{
	const record_t record = { version };

	return tp_thin_write(thin, record, sizeof(record), key * KEY_DISTANCE,
			     TP_FUA);
}

static uint64_t server_get(uint64_t key)
{
	record_t record;

	check(tp_thin_read(thin, record, sizeof(record), key * KEY_DISTANCE),
	      "get");
	return record[0];
}

static struct {
	struct tp_simulator *simulator;
	struct tp_device *metadata, *data;
	uint64_t nr_until_cut; /* requests to the devices */
	uint64_t acknowledged[NR_KEYS], begun[NR_KEYS]; /* versions */
	uint64_t nr_puts;
} test;

static void watch(void *context, const struct tp_simulated_event *event)
{
	if (!event->has_ended && !--test.nr_until_cut)
		tp_simulator_power_off(test.simulator);
}

static struct tp_device *add_device(uint64_t size)
{
	const struct tp_simulated_device_options options = {
		.struct_size = sizeof(options),
		.size = size,
		.features = TP_DEVICE_FUA | TP_DEVICE_DISCARD,
		.min_latency_ns = 20000,
		.max_latency_ns = 2000000,
	};
	struct tp_device *device;

	check(tp_simulator_add_device(test.simulator, &options, &device),
	      "device");
	return device;
}

static void make_world(uint64_t seed)
{
	struct tp_simulator_options options = TP_SIMULATOR_OPTIONS_INIT;
	struct tp_format_options format = TP_FORMAT_OPTIONS_INIT;

	options.seed = seed;
	check(tp_simulator_new(&options, &test.simulator), "simulator");
	test.metadata = add_device(4 * MIB);
	test.data = add_device(64 * MIB);
	format.flags =
		TP_FORMAT_OVERWRITE; /* what was never written is poison */
	tp_simulator_set_instant(test.simulator, true); /* it knows no clock */
	check(tp_pool_format(test.metadata, test.data, &format), "format");
	tp_simulator_set_instant(test.simulator, false);
	tp_simulator_set_observer(test.simulator, watch, NULL);
}

static void start(bool is_new)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_thin_options volume = TP_THIN_OPTIONS_INIT;

	options.flags = TP_POOL_HOST_DRIVEN;
	options.clock_ns = tp_simulator_clock_ns;
	options.clock_wait = tp_simulator_clock_wait;
	options.clock_context = test.simulator;
	check(tp_pool_open(test.metadata, test.data, &options, &pool), "open");
	if (is_new)
		check(tp_pool_create_thin(pool, 0), "create");
	volume.size = NR_KEYS * KEY_DISTANCE;
	check(tp_thin_open(pool, 0, &volume, &thin), "volume");
}

/* Until the power fails under it; then closing it fails, too. */
static void work(void)
{
	test.nr_until_cut = 1 + tp_simulator_random(test.simulator, 300);
	for (;;) {
		uint64_t key = tp_simulator_random(test.simulator, NR_KEYS);

		if (server_put(key, ++test.begun[key]))
			break;
		test.acknowledged[key] = test.begun[key];
		test.nr_puts++;
	}
	tp_thin_close(thin);
	tp_pool_close(pool);
	check(tp_simulator_power_on(test.simulator, NULL, NULL), "power");
}

/* A put that was not acknowledged may be there, and then it is for good. */
static void verify(void)
{
	for (uint64_t key = 0; key < NR_KEYS; key++) {
		uint64_t version = server_get(key);

		check(version < test.acknowledged[key] ||
			      version > test.begun[key],
		      "an acknowledged record is not there");
		test.acknowledged[key] = test.begun[key] = version;
	}
}

int main(int argc, char **argv)
{
	make_world(argc > 1 ? strtoull(argv[1], NULL, 0) : 1);
	start(true);
	for (int i = 0; i < NR_POWER_CUTS; i++) {
		work();
		start(false);
		verify();
	}
	check(tp_thin_close(thin), "close the volume");
	check(tp_pool_close(pool), "close the pool");
	printf("%d power failures in %.0f s: %llu puts were acknowledged, and "
	       "none was lost.\n",
	       NR_POWER_CUTS, tp_simulator_clock_ns(test.simulator) / 1e9,
	       (unsigned long long)test.nr_puts);
	tp_simulator_free(test.simulator);
	return 0;
}
