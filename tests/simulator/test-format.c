/*
 * Power fails in the midst of formatting: there is no pool then, or a whole
 * one; over an old pool, that one is whole, or gone.
 */
#include <errno.h>
#include <thinpool/thinpool.h>

#include "simulator/bench.h"
#include "simulator/sound.h"
#include "support/run-tests.h"

#define DATA_BYTES (8 << 20)
#define OLD_ID 5
#define EVERY 5 /* of the images of an instant one in so many is looked at */

static struct tp_simulator *simulator;
static unsigned nr_events, event_to_look_at;
static unsigned nr_none, nr_new, nr_old;

static struct tp_pool *open_pool(struct tp_simulator *from, int *error)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_pool *pool = NULL;

	options.flags = TP_POOL_HOST_DRIVEN;
	options.clock_ns = tp_simulator_clock_ns;
	options.clock_wait = tp_simulator_clock_wait;
	options.clock_context = from;
	*error = tp_pool_open(tp_simulator_device(from, 0),
			      tp_simulator_device(from, 1), &options, &pool);

	return pool;
}

static void look_at(struct tp_simulator *image, bool had_pool)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	int error;
	struct tp_pool *pool = open_pool(image, &error);

	if (!pool) {
		/* Zeroes, or what never was a superblock. */
		ck_assert(error == -EILSEQ || (error == -ENOTBLK && !had_pool));
		nr_none++;
		return;
	}
	ck_assert_int_eq(tp_pool_get_status(pool, &status), 0);
	ck_assert_uint_le(status.nr_thins, had_pool);
	nr_old += status.nr_thins == 1;
	nr_new += status.nr_thins == 0;
	ck_assert_int_eq(tp_pool_close(pool), 0);
	assert_metadata_is_sound(image);
}

static void observe(void *context, const struct tp_simulated_event *event)
{
	struct tp_simulator *image;
	struct tp_image choice;

	if (++nr_events != event_to_look_at)
		return;
	tp_simulator_set_observer(simulator, NULL, NULL);
	for (uint64_t n = event_to_look_at % EVERY;
	     n < tp_simulator_nr_images(simulator); n += EVERY) {
		ck_assert_int_eq(tp_simulator_get_image(simulator, n, &choice),
				 0);
		ck_assert_int_eq(tp_simulator_fork(simulator, n, tp_keep_image,
						   &choice, &image),
				 0);
		look_at(image, *(bool *)context);
		tp_simulator_free(image);
	}
}

static void format(void)
{
	struct tp_format_options options = TP_FORMAT_OPTIONS_INIT;

	options.flags = TP_FORMAT_OVERWRITE;
	tp_simulator_set_instant(simulator, true);
	ck_assert_int_eq(tp_pool_format(tp_simulator_device(simulator, 0),
					tp_simulator_device(simulator, 1),
					&options),
			 0);
	tp_simulator_set_instant(simulator, false);
}

static void make_old_pool(void)
{
	struct tp_pool *pool;
	int error;

	format();
	pool = open_pool(simulator, &error);
	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(tp_pool_create_thin(pool, OLD_ID), 0);
	ck_assert_int_eq(tp_pool_close(pool), 0);
}

/* Whether there was such an event. */
static bool format_and_look(unsigned event, bool had_pool, unsigned features)
{
	struct tp_simulated_device_options options = bench_defaults;
	struct bench bench;

	options.features = features;
	options.size = DATA_BYTES;
	options.superblock_bytes = 4096;
	bench_begin(&bench, 1 + event, 2, &options);
	simulator = bench.simulator;
	if (had_pool)
		make_old_pool();
	nr_events = 0;
	event_to_look_at = event;
	tp_simulator_set_observer(simulator, observe, &had_pool);
	format();
	bench_end(&bench);

	return nr_events >= event;
}

/* A round: with an old pool or without, of devices with FUA or without. */
START_TEST(test_power_fails_while_a_pool_is_formatted)
{
	bool had_pool = _i % 2;
	unsigned event = 1;

	nr_none = nr_new = nr_old = 0;
	while (format_and_look(event, had_pool, _i / 2 ? TP_DEVICE_FUA : 0))
		event++;
	ck_assert_uint_gt(event, 6);
	ck_assert_uint_gt(nr_none, 0);
	ck_assert_uint_gt(nr_new, 0);
	ck_assert_int_eq(nr_old > 0, had_pool);
}
END_TEST

int main(void)
{
	return RUN_TESTS("format", 4,
			 test_power_fails_while_a_pool_is_formatted);
}
