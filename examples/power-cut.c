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

#define NR_KEYS 2000
#define NR_POWER_CUTS 200
#define KEY_DISTANCE 8192 /* a few records share a block of the pool */

static struct tp_simulator *simulator;
static struct tp_device *metadata, *data;
static struct tp_pool *pool;
static struct tp_thin *thin;

static uint64_t nr_until_cut; /* requests to the devices */
static uint64_t acknowledged[NR_KEYS], begun[NR_KEYS]; /* versions */

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

static int server_put(uint64_t key, uint64_t version)
{
	const record_t record = { version };

	return tp_thin_write(thin, record, sizeof(record), key * KEY_DISTANCE,
			     TP_FUA);
}

static void watch(void *context, const struct tp_simulated_event *event)
{
	if (!event->has_ended && !--nr_until_cut)
		tp_simulator_power_off(simulator);
}

static void add_device(uint64_t size, struct tp_device **device)
{
	const struct tp_simulated_device_options options = {
		.struct_size = sizeof(options),
		.size = size,
		.features = TP_DEVICE_FUA | TP_DEVICE_DISCARD,
		.min_latency_ns = 20000,
		.max_latency_ns = 2000000,
	};

	check(tp_simulator_add_device(simulator, &options, device), "device");
}

static void make_world(uint64_t seed)
{
	struct tp_simulator_options options = TP_SIMULATOR_OPTIONS_INIT;
	struct tp_format_options format = TP_FORMAT_OPTIONS_INIT;

	options.seed = seed;
	check(tp_simulator_new(&options, &simulator), "simulator");
	add_device(4 << 20, &metadata);
	add_device(64 << 20, &data);
	format.flags = TP_FORMAT_OVERWRITE; /* a new device is not blank */
	tp_simulator_set_instant(simulator, true); /* it knows no clock */
	check(tp_pool_format(metadata, data, &format), "format");
	tp_simulator_set_instant(simulator, false);
	tp_simulator_set_observer(simulator, watch, NULL);
}

static void start(bool is_new)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_thin_options volume = TP_THIN_OPTIONS_INIT;

	options.flags = TP_POOL_HOST_DRIVEN;
	options.clock_ns = tp_simulator_clock_ns;
	options.clock_wait = tp_simulator_clock_wait;
	options.clock_context = simulator;
	check(tp_pool_open(metadata, data, &options, &pool), "open");
	if (is_new)
		check(tp_pool_create_thin(pool, 0), "create");
	volume.size = NR_KEYS * KEY_DISTANCE;
	check(tp_thin_open(pool, 0, &volume, &thin), "volume");
}

/* Until the power fails under it; then closing it fails, too. */
static void work(void)
{
	nr_until_cut = 1 + tp_simulator_random(simulator, 300);
	for (;;) {
		uint64_t key = tp_simulator_random(simulator, NR_KEYS);

		if (server_put(key, ++begun[key]))
			break;
		acknowledged[key] = begun[key];
	}
	tp_thin_close(thin);
	tp_pool_close(pool);
	check(tp_simulator_power_on(simulator, NULL, NULL), "power");
}

/* A put that was not acknowledged may be there, and then it is for good. */
static void verify(void)
{
	record_t record;

	for (uint64_t key = 0; key < NR_KEYS; key++) {
		check(tp_thin_read(thin, record, sizeof(record),
				   key * KEY_DISTANCE),
		      "get");
		check(record[0] < acknowledged[key] || record[0] > begun[key],
		      "an acknowledged record is not there");
		acknowledged[key] = begun[key] = record[0];
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
	printf("%d power failures in %.0f s and %llu requests: no record that "
	       "was acknowledged is lost.\n",
	       NR_POWER_CUTS, tp_simulator_clock_ns(simulator) / 1e9,
	       (unsigned long long)tp_simulator_nr_requests(simulator));
	tp_simulator_free(simulator);
	return 0;
}
