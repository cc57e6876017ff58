/*
 * No memory for a simulator, its devices or their requests: it is had, or
 * refused, or the request ends with -ENOMEM; and what the devices hold is right
 * either way.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <thinpool/simulator.h>
#include <unistd.h>

#include "memory/sweep.h"
#include "support/sync-channel.h"

#define DEVICE_BYTES (4 * MIB)
#define LENGTH 20480u
#define OFFSET 2048u

static struct tp_simulator *simulator;
static char buffer[LENGTH];

static int add_device(void)
{
	const struct tp_simulated_device_options options = {
		.struct_size = sizeof(options),
		.size = DEVICE_BYTES,
		.features = TP_DEVICE_FUA | TP_DEVICE_DISCARD,
	};
	struct tp_device *device;

	return tp_simulator_add_device(simulator, &options, &device);
}

/* The sectors that hold the pattern of @seed rather than that of @other. */
static unsigned count_seed(struct tp_simulator *in,
			   enum tp_simulated_content content, uint64_t seed,
			   uint64_t other)
{
	unsigned nr = 0;

	ck_ok(tp_simulator_peek(in, 0, content, buffer, LENGTH, OFFSET));
	for (unsigned at = 0; at < LENGTH; at += TP_SECTOR_SIZE) {
		const char *sector = buffer + at;
		bool is = find_other(sector, TP_SECTOR_SIZE, at, seed) ==
			  UINT64_MAX;

		if (!is &&
		    find_other(sector, TP_SECTOR_SIZE, at, other) != UINT64_MAX)
			ck_abort_msg("a sector is neither old nor new");
		nr += is;
	}

	return nr;
}

static int write_seed(struct sync_channel *sync, uint64_t seed, unsigned flags)
{
	fill_pattern(buffer, LENGTH, 0, seed);

	return sync_write(sync, buffer, LENGTH, OFFSET, flags);
}

/*---------------------------- requests -------------------------------------*/

/* What ended well is stable; what did not is not, and is all or nothing. */
static int write_and_flush(struct sync_channel *sync)
{
	const unsigned all = LENGTH / TP_SECTOR_SIZE;
	int r = write_seed(sync, 1, TP_FUA);

	if (r)
		return r;
	ck_assert_uint_eq(count_seed(simulator, TP_CONTENT_STABLE, 1, 1), all);
	r = write_seed(sync, 2, 0);
	ck_assert_uint_eq(count_seed(simulator, TP_CONTENT_NEWEST, 2, 1),
			  r ? 0 : all);
	if (!r)
		r = sync_op(sync, TP_FLUSH, 0, 0, 0);
	ck_assert_uint_eq(count_seed(simulator, TP_CONTENT_STABLE, 2, 1),
			  r ? 0 : all);

	return r;
}

static int read_and_discard(struct sync_channel *sync)
{
	int r = sync_read(sync, buffer, LENGTH, OFFSET);

	if (r)
		return r;
	ck_assert_uint_eq(find_other(buffer, LENGTH, 0, 2), UINT64_MAX);

	return sync_op(sync, TP_DISCARD, 0, DEVICE_BYTES, 0);
}

static int use_device(void)
{
	struct sync_channel sync = { .event_fd = eventfd(0, EFD_NONBLOCK) };
	int r = tpi_channel_open(tp_simulator_device(simulator, 0),
				 sync.event_fd, true, &sync.channel);

	if (!r)
		r = write_and_flush(&sync);
	if (!r)
		r = read_and_discard(&sync);
	sync_channel_close(&sync);

	return r;
}

/*---------------------------- power ----------------------------------------*/

static int fork_it(void)
{
	struct tp_simulator *other;
	int r = tp_simulator_fork(simulator, 1, NULL, NULL, &other);

	if (r)
		return r;
	tp_simulator_free(other);

	return 0;
}

static int cut_power(void)
{
	tp_simulator_power_off(simulator);

	return tp_simulator_power_on(simulator, NULL, NULL);
}

/*---------------------------- the whole life of one ------------------------*/

static int add_fault(void)
{
	const struct tp_simulated_fault fault = {
		.struct_size = sizeof(fault),
		.ops = 1u << TP_FLUSH,
		.skip = 1,
	};

	return tp_simulator_fail(simulator, 0, &fault);
}

static int live(void)
{
	int r = tp_simulator_new(NULL, &simulator);

	if (r)
		return r;
	r = add_device();
	if (!r)
		r = use_device();
	if (!r)
		r = tp_simulator_poke(simulator, 0, buffer, LENGTH, OFFSET);
	if (!r)
		r = fork_it();
	if (!r)
		r = cut_power();
	if (!r)
		r = add_fault();
	tp_simulator_free(simulator);

	return r;
}

START_TEST(test_a_simulator_works_or_tells)
{
	sweep_call(live);
}
END_TEST

int main(void)
{
	return RUN_TESTS("simulator-memory", 1,
			 test_a_simulator_works_or_tells);
}
