/*
 * The clock, the seed, observers, forks, and what is refused.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/bench.h"
#include "support/pattern.h"
#include "support/run-tests.h"

#define SECOND_NS 1000000000u

static struct bench bench;
static struct tp_simulator *sim;

static void begin(uint64_t seed, unsigned nr_devices,
		  const struct tp_simulated_device_options *options)
{
	bench_begin(&bench, seed, nr_devices, options);
	sim = bench.simulator;
}

/*---------------------------- the clock ------------------------------------*/

static bool is_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1;
}

START_TEST(test_time_passes_only_when_it_is_let)
{
	struct tp_simulated_device_options options = bench_defaults;
	struct shot *shot;

	options.min_latency_ns = options.max_latency_ns = 5000;
	begin(1, 1, &options);
	ck_assert_uint_eq(tp_simulator_clock_ns(sim), SECOND_NS);
	shot = shot_begin(sim, 0, TP_WRITE, 0, 0, 1, 'a');
	ck_assert_int_eq(tpi_channel_arm(shot->channel), 0);
	ck_assert_uint_eq(tpi_channel_poll(shot->channel, 1), 0);
	ck_assert(!is_readable(shot->event_fd));

	/* Not beyond what was asked for, */
	ck_assert_uint_eq(tp_simulator_step(sim, SECOND_NS + 4999), 0);
	ck_assert_uint_eq(tp_simulator_clock_ns(sim), SECOND_NS + 4999);
	ck_assert_uint_eq(tpi_channel_poll(shot->channel, 1), 0);
	ck_assert(!is_readable(shot->event_fd));

	/* nor than the next request that may end, which is told. */
	ck_assert_uint_eq(tp_simulator_step(sim, UINT64_MAX), 1);
	ck_assert_uint_eq(tp_simulator_clock_ns(sim), SECOND_NS + 5000);
	ck_assert(is_readable(shot->event_fd));
	ck_assert_int_eq(tpi_channel_arm(shot->channel), 1);
	ck_assert_uint_eq(tpi_channel_poll(shot->channel, 1), 1);
	ck_assert(shot->has_ended);

	/* Time does not run away, nor back. */
	ck_assert_uint_eq(tp_simulator_step(sim, UINT64_MAX), 0);
	ck_assert_uint_eq(tp_simulator_step(sim, 17), 0);
	ck_assert_uint_eq(tp_simulator_clock_ns(sim), SECOND_NS + 5000);
	shot_free(shot);
	bench_end(&bench);
}
END_TEST

START_TEST(test_latency_is_drawn_between_its_bounds)
{
	uint64_t shortest = UINT64_MAX, longest = 0;

	begin(2, 1, NULL);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t before = tp_simulator_clock_ns(sim), taken;

		ck_assert_int_eq(do_write(sim, 0, 0, 1, 'a'), 0);
		taken = tp_simulator_clock_ns(sim) - before;
		shortest = taken < shortest ? taken : shortest;
		longest = taken > longest ? taken : longest;
	}
	ck_assert_uint_ge(shortest, bench_defaults.min_latency_ns);
	ck_assert_uint_lt(shortest, 100000);
	ck_assert_uint_le(longest, bench_defaults.max_latency_ns);
	ck_assert_uint_gt(longest, 900000);
	bench_end(&bench);
}
END_TEST

START_TEST(test_instant_requests_take_no_time)
{
	struct shot *shot;

	begin(3, 1, NULL);
	tp_simulator_set_instant(sim, true);
	shot = shot_begin(sim, 0, TP_WRITE, 0, 0, 1, 'a');
	ck_assert_int_eq(tpi_channel_arm(shot->channel), 1);
	ck_assert_uint_eq(tpi_channel_poll(shot->channel, 1), 1);
	ck_assert_uint_eq(tp_simulator_clock_ns(sim), SECOND_NS);
	shot_free(shot);

	tp_simulator_set_instant(sim, false);
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'a'), 0);
	ck_assert_uint_gt(tp_simulator_clock_ns(sim), SECOND_NS);
	bench_end(&bench);
}
END_TEST

/* Whoever sleeps learns of it. */
START_TEST(test_a_power_failure_is_told)
{
	struct shot *shot;

	begin(4, 1, NULL);
	shot = shot_begin(sim, 0, TP_WRITE, 0, 0, 1, 'a');
	ck_assert_int_eq(tpi_channel_arm(shot->channel), 0);
	tp_simulator_power_off(sim);
	ck_assert(is_readable(shot->event_fd));
	ck_assert_int_eq(shot_finish(sim, shot), -EIO);
	ck_assert_uint_eq(tp_simulator_clock_ns(sim), SECOND_NS);
	bench_end(&bench);
}
END_TEST

static void count_stuck(void *context)
{
	++*(unsigned *)context;
}

/* A wait that nothing could end is a hang, and is told. */
START_TEST(test_a_hang_is_told)
{
	unsigned nr_stuck = 0;
	const struct tp_simulator_options options = {
		.struct_size = sizeof(options),
		.stuck = count_stuck,
		.stuck_context = &nr_stuck,
	};

	ck_assert_int_eq(tp_simulator_new(&options, &sim), 0);
	for (unsigned i = 0; i < 100000 && !nr_stuck; i++)
		tp_simulator_clock_wait(sim, SECOND_NS + i);
	ck_assert_uint_eq(nr_stuck, 0);
	for (unsigned i = 0; i < 100000 && !nr_stuck; i++)
		tp_simulator_clock_wait(sim, UINT64_MAX);
	ck_assert_uint_eq(nr_stuck, 1);
	tp_simulator_free(sim);
}
END_TEST

/*---------------------------- the seed -------------------------------------*/

/* A run of its own: what is done is drawn from the seed, too. */
static uint64_t digest_of_run(uint64_t seed)
{
	struct shot *shots[8];
	uint64_t digest;

	begin(seed, 2, NULL);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 8; i++) {
			static const enum tp_op ops[] = { TP_WRITE, TP_READ,
							  TP_WRITE, TP_DISCARD,
							  TP_FLUSH };
			enum tp_op op = ops[tp_simulator_random(sim, 5)];

			shots[i] = shot_begin(
				sim, tp_simulator_random(sim, 2), op, 0,
				op == TP_FLUSH ? 0
					       : tp_simulator_random(sim, 100),
				op == TP_FLUSH
					? 0
					: 1 + tp_simulator_random(sim, 20),
				'a' + i);
		}
		for (unsigned i = 0; i < 8; i++)
			if (shot_finish(sim, shots[i]))
				ck_abort_msg("a request failed");
		if (round == 10) {
			tp_simulator_power_off(sim);
			tp_simulator_power_on(sim, NULL, NULL);
		}
	}
	digest = tp_simulator_digest(sim);
	bench_end(&bench);

	return digest;
}

START_TEST(test_one_seed_is_one_run)
{
	uint64_t digests[20];

	for (uint64_t seed = 0; seed < 20; seed++) {
		digests[seed] = digest_of_run(seed);
		ck_assert_uint_eq(digest_of_run(seed), digests[seed]);
		for (uint64_t other = 0; other < seed; other++)
			ck_assert_uint_ne(digests[seed], digests[other]);
	}
}
END_TEST

static uint64_t digest_of_write(unsigned char byte)
{
	uint64_t digest;

	begin(7, 1, NULL);
	ck_assert_int_eq(do_write(sim, 0, 0, 8, byte), 0);
	digest = tp_simulator_digest(sim);
	bench_end(&bench);

	return digest;
}

START_TEST(test_the_digest_is_of_the_bytes_too)
{
	ck_assert_uint_eq(digest_of_write('a'), digest_of_write('a'));
	ck_assert_uint_ne(digest_of_write('a'), digest_of_write('b'));
}
END_TEST

/* So that a workload with one step less still meets the same devices. */
START_TEST(test_the_host_draws_from_a_sequence_of_its_own)
{
	uint64_t digest, now;

	begin(8, 1, NULL);
	ck_assert_int_eq(do_write(sim, 0, 0, 8, 'a'), 0);
	digest = tp_simulator_digest(sim);
	now = tp_simulator_clock_ns(sim);
	bench_end(&bench);

	begin(8, 1, NULL);
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_uint_lt(tp_simulator_random(sim, 7), 7);
	ck_assert_int_eq(do_write(sim, 0, 0, 8, 'a'), 0);
	ck_assert_uint_eq(tp_simulator_digest(sim), digest);
	ck_assert_uint_eq(tp_simulator_clock_ns(sim), now);
	bench_end(&bench);
}
END_TEST

/*---------------------------- an observer ----------------------------------*/

struct seen {
	struct tp_simulated_event events[16];
	unsigned nr;
	unsigned char first_byte; /* of the memory of the last event */
	uint64_t cut_at;          /* cut the power when this one begins */
};

static void see(void *context, const struct tp_simulated_event *event)
{
	struct seen *seen = context;

	ck_assert_uint_lt(seen->nr, 16);
	seen->events[seen->nr++] = *event;
	if (event->op == TP_READ || event->op == TP_WRITE)
		seen->first_byte = *(unsigned char *)event->iov->iov_base;
	if (event->id == seen->cut_at && !event->has_ended)
		tp_simulator_power_off(sim);
}

static void check_event(const struct tp_simulated_event *event, bool has_ended,
			enum tp_op op, unsigned flags, uint64_t sector,
			int status)
{
	ck_assert_int_eq(event->has_ended, has_ended);
	ck_assert_int_eq(event->op, op);
	ck_assert_uint_eq(event->flags, flags);
	ck_assert_uint_eq(event->offset, sector * SECTOR);
	ck_assert_int_eq(event->status, status);
	ck_assert_uint_eq(event->device, 1);
}

START_TEST(test_an_observer_sees_requests_begin_and_end)
{
	const struct tp_simulated_fault fault = {
		.struct_size = sizeof(fault),
		.ops = 1u << TP_FLUSH,
		.status = -ENXIO,
	};
	struct seen seen = { .nr = 0 };

	begin(9, 2, NULL);
	ck_assert_int_eq(tp_simulator_fail(sim, 1, &fault), 0);
	tp_simulator_set_observer(sim, see, &seen);
	ck_assert_int_eq(do_write_fua(sim, 1, 5, 2, 'a'), 0);
	ck_assert_uint_eq(seen.first_byte, 'a');
	ck_assert_int_eq(do_flush(sim, 1), -ENXIO);
	ck_assert_uint_eq(read_byte(sim, 1, 5), 'a');
	ck_assert_uint_eq(seen.first_byte, 'a');
	ck_assert_uint_eq(seen.nr, 6);
	check_event(&seen.events[0], false, TP_WRITE, TP_FUA, 5, 0);
	check_event(&seen.events[1], true, TP_WRITE, TP_FUA, 5, 0);
	check_event(&seen.events[2], false, TP_FLUSH, 0, 0, 0);
	check_event(&seen.events[3], true, TP_FLUSH, 0, 0, -ENXIO);
	check_event(&seen.events[4], false, TP_READ, 0, 5, 0);
	check_event(&seen.events[5], true, TP_READ, 0, 5, 0);
	for (unsigned i = 0; i < 6; i++) {
		ck_assert_uint_eq(seen.events[i].id, 1 + i / 2);
		ck_assert_uint_gt(seen.events[i].time_ns,
				  i ? seen.events[i - 1].time_ns - 1 : 0);
	}
	ck_assert_uint_eq(tp_simulator_nr_requests(sim), 3);

	tp_simulator_set_observer(sim, NULL, NULL);
	ck_assert_int_eq(do_write(sim, 1, 0, 1, 'b'), 0);
	ck_assert_uint_eq(seen.nr, 6);
	bench_end(&bench);
}
END_TEST

/* F-20: the N-th request is in flight then, and nothing comes after it. */
START_TEST(test_an_observer_may_cut_the_power_at_the_nth_request)
{
	struct tp_unstable_write unstable[3];
	struct seen seen = { .cut_at = 2 };

	begin(10, 1, NULL);
	tp_simulator_set_observer(sim, see, &seen);
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'a'), 0);
	ck_assert_int_eq(do_write(sim, 0, 1, 1, 'b'), -EIO);
	ck_assert_int_eq(do_write(sim, 0, 2, 1, 'c'), -EIO);
	ck_assert_uint_eq(seen.nr, 3);
	ck_assert_uint_eq(tp_simulator_get_unstable(sim, unstable, 3), 2);
	ck_assert(!unstable[0].in_flight && unstable[1].in_flight);
	bench_end(&bench);
}
END_TEST

/*---------------------------- forks ----------------------------------------*/

/* What one does, the other does not see; and the first goes on as if the other
 * had never been. */
START_TEST(test_a_fork_and_its_origin_are_independent)
{
	uint64_t digests[2];

	for (unsigned with_fork = 0; with_fork < 2; with_fork++) {
		struct tp_simulator *other = NULL;
		struct shot *in_flight;

		begin(11, 2, NULL);
		ck_assert_int_eq(do_write(sim, 0, 0, 20, 'a'), 0);
		in_flight = shot_begin(sim, 1, TP_WRITE, 0, 0, 1, 'b');
		if (with_fork) {
			ck_assert_int_eq(tp_simulator_fork(sim, 1, keep_all,
							   NULL, &other),
					 0);
			ck_assert_uint_eq(tp_simulator_clock_ns(other),
					  tp_simulator_clock_ns(sim));
			ck_assert_uint_eq(stable_byte(other, 0, 19), 'a');
			ck_assert_uint_eq(stable_byte(other, 1, 0), 'b');
			ck_assert_int_eq(do_write_fua(other, 0, 3, 2, 'x'), 0);
			tp_simulator_power_off(other);
		}
		ck_assert_int_eq(shot_finish(sim, in_flight), 0);
		ck_assert_int_eq(do_flush(sim, 0), 0);
		ck_assert_int_eq(do_write(sim, 0, 4, 1, 'c'), 0);
		ck_assert_uint_eq(stable_byte(sim, 0, 3), 'a');
		ck_assert_uint_eq(stable_byte(sim, 1, 0), POISON);
		digests[with_fork] = tp_simulator_digest(sim);
		bench_end(&bench);
		if (other)
			ck_assert_uint_eq(stable_byte(other, 0, 4), 'x');
		tp_simulator_free(other);
	}
	ck_assert_uint_eq(digests[0], digests[1]);
}
END_TEST

/* Each would copy 64 MiB, were it not for the sharing. */
START_TEST(test_a_fork_costs_what_it_changes)
{
	struct tp_simulated_device_options options = bench_defaults;

	options.size = 64u << 20;
	begin(12, 1, &options);
	for (uint64_t at = 0; at < options.size; at += BENCH_BYTES)
		ck_assert_int_eq(do_write_fua(sim, 0, at / SECTOR,
					      BENCH_BYTES / SECTOR, 'a'),
				 0);
	ck_assert_int_eq(do_write(sim, 0, 0, 8, 'b'), 0);
	for (unsigned i = 0; i < 20000; i++) {
		struct tp_simulator *other;

		ck_assert_int_eq(tp_simulator_fork(sim, i, NULL, NULL, &other),
				 0);
		tp_simulator_free(other);
	}
	bench_end(&bench);
}
END_TEST

START_TEST(test_a_fork_of_a_fork_outlives_both)
{
	struct tp_simulator *child, *grandchild;

	begin(13, 1, NULL);
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'a'), 0);
	tp_simulator_power_off(sim);
	ck_assert_int_eq(tp_simulator_fork(sim, 1, keep_all, NULL, &child), 0);
	ck_assert_int_eq(do_write(child, 0, 1, 1, 'b'), 0);
	ck_assert_int_eq(
		tp_simulator_fork(child, 1, keep_all, NULL, &grandchild), 0);
	bench_end(&bench);
	tp_simulator_free(child);
	ck_assert_uint_eq(read_byte(grandchild, 0, 0), 'a');
	ck_assert_uint_eq(read_byte(grandchild, 0, 1), 'b');
	tp_simulator_free(grandchild);
}
END_TEST

/*---------------------------- what is refused ------------------------------*/

static void check_refused(int r)
{
	ck_assert_int_eq(r, -EINVAL);
	ck_assert_str_ne(tp_simulator_last_error(), "");
	ck_assert_ptr_null(strchr(tp_simulator_last_error(), '\n'));
}

static void check_bad_device(struct tp_simulated_device_options options)
{
	struct tp_device *device = NULL;

	check_refused(tp_simulator_add_device(sim, &options, &device));
	ck_assert_ptr_null(device);
	ck_assert_ptr_null(tp_simulator_device(sim, 1));
}

START_TEST(test_bad_devices_are_refused)
{
	const struct tp_simulated_device_options good = bench_defaults;
	struct tp_simulated_device_options bad;

	begin(14, 1, NULL);
	bad = good, bad.struct_size = 0;
	check_bad_device(bad);
	bad = good, bad.size = 1000;
	check_bad_device(bad);
	bad = good, bad.size = ((uint64_t)4 << 40) + SECTOR;
	check_bad_device(bad);
	bad = good, bad.flags = 1u << 9;
	check_bad_device(bad);
	bad = good, bad.features = 1u << 9;
	check_bad_device(bad);
	bad = good, bad.discard_effect = 9;
	check_bad_device(bad);
	bad = good, bad.max_latency_ns = 10;
	check_bad_device(bad);
	bad = good, bad.logical_block_bytes = 768;
	check_bad_device(bad);
	check_refused(tp_simulator_add_device(sim, NULL, NULL));
	check_refused(tp_simulator_grow(sim, 0, BENCH_BYTES - SECTOR));
	check_refused(tp_simulator_grow(sim, 0, BENCH_BYTES + 1));
	check_refused(tp_simulator_grow(sim, 1, BENCH_BYTES));
	bench_end(&bench);
}
END_TEST

static void check_bad_fault(struct tp_simulated_fault fault)
{
	check_refused(tp_simulator_fail(sim, 0, &fault));
}

START_TEST(test_bad_faults_are_refused)
{
	const struct tp_simulated_fault good = { .struct_size = sizeof(good) };
	struct tp_simulated_fault bad;

	begin(15, 1, NULL);
	bad = good, bad.struct_size = 0;
	check_bad_fault(bad);
	bad = good, bad.ops = 1u << 9;
	check_bad_fault(bad);
	bad = good, bad.flags = 1u << 9;
	check_bad_fault(bad);
	bad = good, bad.status = 5;
	check_bad_fault(bad);
	bad = good, bad.status = -5000;
	check_bad_fault(bad);
	bad = good, bad.begin = bad.end = SECTOR;
	check_bad_fault(bad);
	check_refused(tp_simulator_fail(sim, 1, &good));
	check_refused(tp_simulator_heal(sim, 1));
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'a'), 0);
	bench_end(&bench);
}
END_TEST

START_TEST(test_other_nonsense_is_refused)
{
	const struct tp_simulator_options no_size = { .seed = 1 };
	struct tp_simulator *none = NULL;
	char bytes[2 * SECTOR];

	check_refused(tp_simulator_new(&no_size, &none));
	ck_assert_ptr_null(none);
	begin(16, 1, NULL);
	check_refused(tp_simulator_power_on(sim, NULL, NULL));
	check_refused(tp_simulator_peek(sim, 0, TP_CONTENT_STABLE, bytes,
					SECTOR, BENCH_BYTES));
	check_refused(
		tp_simulator_peek(sim, 0, TP_CONTENT_STABLE, bytes, 100, 0));
	check_refused(
		tp_simulator_peek(sim, 1, TP_CONTENT_STABLE, bytes, SECTOR, 0));
	check_refused(tp_simulator_poke(sim, 0, bytes, 2 * SECTOR,
					BENCH_BYTES - SECTOR));
	check_refused(tp_simulator_poke(sim, 0, bytes, SECTOR,
					UINT64_MAX - SECTOR + 1));
	check_refused(tp_simulator_poke(sim, 1, bytes, SECTOR, 0));
	ck_assert_int_eq(tp_simulator_poke(sim, 0, bytes, 0, 0), 0);
	bench_end(&bench);
	tp_simulator_free(NULL);
}
END_TEST

/* A host that was built with the first version of a struct. */
START_TEST(test_a_short_struct_is_taken_for_what_it_has)
{
	struct {
		size_t struct_size;
		uint64_t size;
	} old = { sizeof(old), BENCH_BYTES };
	struct tp_device_limits limits = TP_DEVICE_LIMITS_INIT;
	struct tp_device *device;

	begin(17, 0, NULL);
	ck_assert_int_eq(
		tp_simulator_add_device(sim, (const void *)&old, &device), 0);
	ck_assert_int_eq(tp_device_get_limits(device, &limits), 0);
	ck_assert_uint_eq(limits.size_bytes, BENCH_BYTES);
	ck_assert_uint_eq(limits.features, 0);
	ck_assert_uint_eq(limits.logical_block_bytes, SECTOR);
	bench_end(&bench);
}
END_TEST

int main(void)
{
	return RUN_TESTS("simulator", 1, test_time_passes_only_when_it_is_let,
			 test_latency_is_drawn_between_its_bounds,
			 test_instant_requests_take_no_time,
			 test_a_power_failure_is_told, test_a_hang_is_told,
			 test_one_seed_is_one_run,
			 test_the_digest_is_of_the_bytes_too,
			 test_the_host_draws_from_a_sequence_of_its_own,
			 test_an_observer_sees_requests_begin_and_end,
			 test_an_observer_may_cut_the_power_at_the_nth_request,
			 test_a_fork_and_its_origin_are_independent,
			 test_a_fork_costs_what_it_changes,
			 test_a_fork_of_a_fork_outlives_both,
			 test_bad_devices_are_refused,
			 test_bad_faults_are_refused,
			 test_other_nonsense_is_refused,
			 test_a_short_struct_is_taken_for_what_it_has);
}
