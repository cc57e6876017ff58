/*
 * What a simulated device does, rule by rule: D1 to D8 of the crash contract.
 */
#include <stdlib.h>
#include <string.h>

#include "simulator/bench.h"
#include "support/run-tests.h"

static struct bench bench;
static struct tp_simulator *sim;

static void begin(uint64_t seed, unsigned nr_devices,
		  const struct tp_simulated_device_options *options)
{
	bench_begin(&bench, seed, nr_devices, options);
	sim = bench.simulator;
}

static void cut_power(tp_keep_fn keep, void *context)
{
	tp_simulator_power_off(sim);
	ck_assert_int_eq(tp_simulator_power_on(sim, keep, context), 0);
}

/*---------------------------- D1, D2 ---------------------------------------*/

START_TEST(test_D1_a_write_is_seen_and_not_stable)
{
	begin(1, 1, NULL);
	ck_assert_int_eq(do_write(sim, 0, 3, 2, 'a'), 0);
	ck_assert_uint_eq(read_byte(sim, 0, 3), 'a');
	ck_assert_uint_eq(read_byte(sim, 0, 4), 'a');
	ck_assert_uint_eq(read_byte(sim, 0, 2), POISON);
	ck_assert_uint_eq(read_byte(sim, 0, 5), POISON);
	ck_assert_uint_eq(stable_byte(sim, 0, 3), POISON);

	cut_power(keep_none, NULL);
	ck_assert_uint_eq(read_byte(sim, 0, 3), POISON);
	bench_end(&bench);
}
END_TEST

START_TEST(test_D2_a_durable_write_is_stable_when_it_ends)
{
	struct shot *shot;

	begin(2, 1, NULL);
	shot = shot_begin(sim, 0, TP_WRITE, TP_FUA, 0, 8, 'a');
	ck_assert_uint_eq(stable_byte(sim, 0, 0), POISON);
	ck_assert_int_eq(shot_finish(sim, shot), 0);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(stable_byte(sim, 0, i), 'a');
	ck_assert_uint_eq(tp_simulator_get_unstable(sim, NULL, 0), 0);
	bench_end(&bench);
}
END_TEST

START_TEST(test_D2_a_flush_covers_what_ended_before_it_began)
{
	struct shot *flush;

	begin(3, 2, NULL);
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'a'), 0);
	ck_assert_int_eq(do_write(sim, 1, 0, 1, 'b'), 0);
	flush = shot_begin(sim, 0, TP_FLUSH, 0, 0, 0, 0);
	ck_assert_uint_eq(stable_byte(sim, 0, 0), POISON);
	ck_assert_int_eq(shot_finish(sim, flush), 0);
	ck_assert_uint_eq(stable_byte(sim, 0, 0), 'a');
	ck_assert_uint_eq(stable_byte(sim, 1, 0), POISON); /* another device */
	bench_end(&bench);
}
END_TEST

START_TEST(test_D2_a_flush_covers_nothing_in_flight_when_it_began)
{
	struct shot *write, *flush;

	begin(4, 1, NULL);
	write = shot_begin(sim, 0, TP_WRITE, 0, 0, 1, 'a');
	flush = shot_begin(sim, 0, TP_FLUSH, 0, 0, 0, 0);
	ck_assert_int_eq(shot_finish(sim, write), 0);
	ck_assert_int_eq(shot_finish(sim, flush), 0);
	ck_assert_uint_eq(stable_byte(sim, 0, 0), POISON);

	/* Nor what began after it. */
	flush = shot_begin(sim, 0, TP_FLUSH, 0, 0, 0, 0);
	ck_assert_int_eq(do_write(sim, 0, 1, 1, 'b'), 0);
	ck_assert_int_eq(shot_finish(sim, flush), 0);
	ck_assert_uint_eq(stable_byte(sim, 0, 0), 'a');
	ck_assert_uint_eq(stable_byte(sim, 0, 1), POISON);
	bench_end(&bench);
}
END_TEST

START_TEST(test_a_device_without_a_cache_keeps_what_ended)
{
	struct tp_simulated_device_options options = bench_defaults;

	options.features |= TP_DEVICE_NO_CACHE;
	begin(5, 1, &options);
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'a'), 0);
	ck_assert_uint_eq(stable_byte(sim, 0, 0), 'a');
	bench_end(&bench);
}
END_TEST

/*---------------------------- D3, D4 ---------------------------------------*/

START_TEST(test_D3_each_sector_survives_by_itself)
{
	for (uint64_t mask = 0; mask < 16; mask++) {
		begin(6, 1, NULL);
		ck_assert_int_eq(do_write_fua(sim, 0, 0, 4, 'o'), 0);
		ck_assert_int_eq(do_write(sim, 0, 0, 4, 'a'), 0);
		cut_power(keep_mask, &mask);
		for (unsigned i = 0; i < 4; i++)
			ck_assert_uint_eq(read_byte(sim, 0, i),
					  mask & 1u << i ? 'a' : 'o');
		bench_end(&bench);
	}
}
END_TEST

/* Whichever ended first. */
START_TEST(test_D3_overlapping_writes_take_effect_in_the_order_they_began)
{
	static const char survivor[] = { 'o', 'a', 'b', 'b' };

	for (uint64_t mask = 0; mask < 4; mask++) {
		struct shot *a, *b;

		begin(7, 1, NULL);
		ck_assert_int_eq(do_write_fua(sim, 0, 0, 1, 'o'), 0);
		a = shot_begin(sim, 0, TP_WRITE, 0, 0, 1, 'a');
		b = shot_begin(sim, 0, TP_WRITE, 0, 0, 1, 'b');
		ck_assert_int_eq(shot_finish(sim, b), 0);
		ck_assert_int_eq(shot_finish(sim, a), 0);
		ck_assert_uint_eq(read_byte(sim, 0, 0), 'b');
		cut_power(keep_mask, &mask);
		ck_assert_uint_eq(read_byte(sim, 0, 0),
				  (unsigned char)survivor[mask]);
		bench_end(&bench);
	}
}
END_TEST

/* What is older than the stable content cannot come back. */
START_TEST(test_D3_a_stable_write_ends_what_began_before_it)
{
	struct tp_unstable_write left;

	begin(8, 1, NULL);
	ck_assert_int_eq(do_write(sim, 0, 0, 2, 'a'), 0);
	ck_assert_int_eq(do_write_fua(sim, 0, 0, 1, 'b'), 0);
	ck_assert_uint_eq(tp_simulator_get_unstable(sim, &left, 1), 1);
	ck_assert_uint_eq(left.nr_sectors, 1);
	ck_assert_uint_eq(left.length, 2 * SECTOR);
	cut_power(keep_all, NULL);
	ck_assert_uint_eq(read_byte(sim, 0, 0), 'b');
	ck_assert_uint_eq(read_byte(sim, 0, 1), 'a');
	bench_end(&bench);
}
END_TEST

START_TEST(test_D4_what_is_in_flight_is_not_stable)
{
	for (uint64_t mask = 0; mask < 2; mask++) {
		struct tp_unstable_write unstable;
		struct shot *shot;

		begin(9, 1, NULL);
		shot = shot_begin(sim, 0, TP_WRITE, TP_FUA, 0, 1, 'a');
		ck_assert_uint_eq(tp_simulator_get_unstable(sim, &unstable, 1),
				  1);
		ck_assert(unstable.in_flight);
		ck_assert_uint_eq(unstable.flags, TP_FUA);
		cut_power(keep_mask, &mask);
		ck_assert_int_eq(shot_finish(sim, shot), -EIO);
		ck_assert_uint_eq(read_byte(sim, 0, 0), mask ? 'a' : POISON);
		bench_end(&bench);
	}
}
END_TEST

/*---------------------------- D5 -------------------------------------------*/

static void add_fault(unsigned device, struct tp_simulated_fault fault)
{
	fault.struct_size = sizeof(fault);
	ck_assert_int_eq(tp_simulator_fail(sim, device, &fault), 0);
}

static unsigned count_bytes(enum tp_simulated_content content, unsigned nr,
			    unsigned char byte)
{
	unsigned found = 0;

	for (unsigned i = 0; i < nr; i++)
		found += byte_of(sim, 0, content, i) == byte;

	return found;
}

/* And those are cached writes as any other. */
START_TEST(test_D5_a_failed_write_is_done_in_some_sectors)
{
	unsigned nr;

	begin(10, 1, NULL);
	add_fault(0, (struct tp_simulated_fault){ .ops = 1u << TP_WRITE });
	ck_assert_int_eq(do_write_fua(sim, 0, 0, 64, 'a'), -EIO);
	nr = count_bytes(TP_CONTENT_NEWEST, 64, 'a');
	ck_assert_uint_gt(nr, 0);
	ck_assert_uint_lt(nr, 64);
	ck_assert_uint_eq(count_bytes(TP_CONTENT_STABLE, 64, POISON), 64);
	ck_assert_int_eq(do_flush(sim, 0), 0);
	ck_assert_uint_eq(count_bytes(TP_CONTENT_STABLE, 64, 'a'), nr);
	bench_end(&bench);
}
END_TEST

/* There is nowhere else where they could be, and no flush to make them stable. */
START_TEST(test_D5_without_a_cache_those_sectors_are_stable)
{
	struct tp_simulated_device_options options = bench_defaults;
	unsigned nr;

	options.features |= TP_DEVICE_NO_CACHE;
	begin(10, 1, &options);
	add_fault(0, (struct tp_simulated_fault){ .ops = 1u << TP_WRITE });
	ck_assert_int_eq(do_write(sim, 0, 0, 64, 'a'), -EIO);
	nr = count_bytes(TP_CONTENT_NEWEST, 64, 'a');
	ck_assert_uint_gt(nr, 0);
	ck_assert_uint_lt(nr, 64);
	ck_assert_uint_eq(count_bytes(TP_CONTENT_STABLE, 64, 'a'), nr);
	bench_end(&bench);
}
END_TEST

START_TEST(test_D5_a_failed_flush_makes_nothing_stable)
{
	begin(11, 1, NULL);
	ck_assert_int_eq(do_write(sim, 0, 0, 64, 'a'), 0);
	add_fault(0, (struct tp_simulated_fault){ .ops = 1u << TP_FLUSH,
						  .times = 1 });
	ck_assert_int_eq(do_flush(sim, 0), -EIO);
	ck_assert_uint_eq(count_bytes(TP_CONTENT_STABLE, 64, POISON), 64);
	ck_assert_uint_eq(count_bytes(TP_CONTENT_NEWEST, 64, 'a'), 64);
	ck_assert_int_eq(do_flush(sim, 0), 0);
	ck_assert_uint_eq(count_bytes(TP_CONTENT_STABLE, 64, 'a'), 64);
	bench_end(&bench);
}
END_TEST

START_TEST(test_D5_a_harsh_failed_flush_drops_some_of_the_cache)
{
	struct tp_simulated_device_options options = bench_defaults;
	struct shot *in_flight;
	unsigned nr;

	options.flags = TP_SIMULATED_HARSH_FLUSH;
	begin(12, 1, &options);
	ck_assert_int_eq(do_write_fua(sim, 0, 0, 64, 'o'), 0);
	ck_assert_int_eq(do_write(sim, 0, 0, 64, 'a'), 0);
	in_flight = shot_begin(sim, 0, TP_WRITE, 0, 64, 8, 'b');
	add_fault(0, (struct tp_simulated_fault){ .ops = 1u << TP_FLUSH,
						  .times = 1 });
	ck_assert_int_eq(do_flush(sim, 0), -EIO);
	nr = count_bytes(TP_CONTENT_NEWEST, 64, 'a');
	ck_assert_uint_gt(nr, 0);
	ck_assert_uint_lt(nr, 64);
	ck_assert_uint_eq(count_bytes(TP_CONTENT_NEWEST, 64, 'o'), 64 - nr);

	/* A flush that succeeds does not bring them back. */
	ck_assert_int_eq(shot_finish(sim, in_flight), 0);
	ck_assert_int_eq(do_flush(sim, 0), 0);
	ck_assert_uint_eq(count_bytes(TP_CONTENT_STABLE, 64, 'a'), nr);
	ck_assert_uint_eq(count_bytes(TP_CONTENT_STABLE, 72, 'b'), 8);
	bench_end(&bench);
}
END_TEST

START_TEST(test_a_lying_flush_makes_nothing_stable_and_succeeds)
{
	struct tp_simulated_device_options options = bench_defaults;

	options.flags = TP_SIMULATED_LYING_FLUSH;
	begin(13, 1, &options);
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'a'), 0);
	ck_assert_int_eq(do_flush(sim, 0), 0);
	ck_assert_uint_eq(stable_byte(sim, 0, 0), POISON);
	bench_end(&bench);
}
END_TEST

/*---------------------------- D6 -------------------------------------------*/

START_TEST(test_D6_a_discard_does_what_the_device_was_told)
{
	static const struct {
		enum tp_discard_effect effect;
		unsigned char byte;
	} effects[] = {
		{ TP_DISCARD_ZEROES, 0 },
		{ TP_DISCARD_POISONS, POISON },
		{ TP_DISCARD_CHANGES_NOTHING, 'a' },
	};

	for (unsigned i = 0; i < 3; i++) {
		struct tp_simulated_device_options options = bench_defaults;
		const uint64_t first_only = 1;

		options.discard_effect = effects[i].effect;
		begin(14, 1, &options);
		ck_assert_int_eq(do_write_fua(sim, 0, 0, 32, 'a'), 0);
		ck_assert_int_eq(shot_finish(sim, shot_begin(sim, 0, TP_DISCARD,
							     0, 3, 20, 0)),
				 0);
		ck_assert_uint_eq(read_byte(sim, 0, 2), 'a');
		ck_assert_uint_eq(read_byte(sim, 0, 3), effects[i].byte);
		ck_assert_uint_eq(read_byte(sim, 0, 22), effects[i].byte);
		ck_assert_uint_eq(read_byte(sim, 0, 23), 'a');
		ck_assert_uint_eq(stable_byte(sim, 0, 3), 'a');

		cut_power(keep_mask, (void *)&first_only);
		ck_assert_uint_eq(read_byte(sim, 0, 3), effects[i].byte);
		ck_assert_uint_eq(read_byte(sim, 0, 4), 'a');
		bench_end(&bench);
	}
}
END_TEST

START_TEST(test_zeroes_are_a_write)
{
	begin(15, 1, NULL);
	ck_assert_int_eq(shot_finish(sim, shot_begin(sim, 0, TP_WRITE_ZEROES, 0,
						     4, 8, 0)),
			 0);
	ck_assert_uint_eq(read_byte(sim, 0, 4), 0);
	ck_assert_uint_eq(read_byte(sim, 0, 12), POISON);
	ck_assert_uint_eq(stable_byte(sim, 0, 4), POISON);
	ck_assert_int_eq(do_flush(sim, 0), 0);
	ck_assert_uint_eq(stable_byte(sim, 0, 11), 0);
	bench_end(&bench);
}
END_TEST

static int copy(uint64_t source, uint64_t to, uint64_t nr)
{
	struct shot *shot = shot_copy(sim, 0, source, to, nr);

	return shot_finish(sim, shot);
}

static void begin_copying(uint64_t seed)
{
	struct tp_simulated_device_options options = bench_defaults;

	options.features |= TP_DEVICE_COPY;
	begin(seed, 1, &options);
	ck_assert_int_eq(do_write(sim, 0, 0, 4, 'a'), 0);
	ck_assert_int_eq(do_write(sim, 0, 4, 4, 'b'), 0);
}

START_TEST(test_a_copy_is_a_write_of_what_was_there_when_it_began)
{
	struct shot *shot;

	begin_copying(26);
	shot = shot_copy(sim, 0, 2, 16, 4);
	ck_assert_int_eq(do_write(sim, 0, 2, 4, 'c'), 0);
	ck_assert_int_eq(shot_finish(sim, shot), 0);
	ck_assert_uint_eq(read_byte(sim, 0, 17), 'a');
	ck_assert_uint_eq(read_byte(sim, 0, 18), 'b');
	ck_assert_uint_eq(read_byte(sim, 0, 20), POISON);
	ck_assert_uint_eq(stable_byte(sim, 0, 17), POISON);
	ck_assert_int_eq(do_flush(sim, 0), 0);
	ck_assert_uint_eq(stable_byte(sim, 0, 17), 'a');
	bench_end(&bench);
}
END_TEST

/* D3, D5. */
START_TEST(test_a_copy_that_is_not_stable_survives_in_part_or_not_at_all)
{
	const uint64_t first_only = 1;

	begin_copying(27);
	ck_assert_int_eq(do_flush(sim, 0), 0);
	ck_assert_int_eq(copy(0, 16, 4), 0);
	cut_power(keep_mask, (void *)&first_only);
	ck_assert_uint_eq(read_byte(sim, 0, 16), 'a');
	ck_assert_uint_eq(read_byte(sim, 0, 17), POISON);
	bench_end(&bench);
}
END_TEST

START_TEST(test_a_copy_fails_by_its_source_and_by_its_target)
{
	begin_copying(28);
	add_fault(0, (struct tp_simulated_fault){ .ops = 1u << TP_COPY,
						  .begin = 4 * SECTOR,
						  .end = 5 * SECTOR });
	ck_assert_int_eq(copy(0, 8, 4), 0);
	ck_assert_int_eq(copy(3, 8, 2), -EIO);
	ck_assert_int_eq(copy(8, 3, 2), -EIO);
	bench_end(&bench);
}
END_TEST

/*---------------------------- D7 -------------------------------------------*/

/* Some see it whole, some not at all, some in part; then it has ended, and all
 * see all of it. */
START_TEST(test_D7_a_read_may_or_may_not_see_a_write_in_flight)
{
	bool seen_old = false, seen_new = false;

	for (uint64_t seed = 0; seed < 50; seed++) {
		struct shot *write;
		unsigned char byte;

		begin(seed, 1, NULL);
		ck_assert_int_eq(do_write(sim, 0, 0, 2, 'o'), 0);
		write = shot_begin(sim, 0, TP_WRITE, 0, 0, 2, 'n');
		byte = read_byte(sim, 0, 0);
		ck_assert(byte == 'o' || byte == 'n');
		seen_old |= byte == 'o';
		seen_new |= byte == 'n';
		ck_assert_int_eq(shot_finish(sim, write), 0);
		ck_assert_uint_eq(read_byte(sim, 0, 0), 'n');
		ck_assert_uint_eq(read_byte(sim, 0, 1), 'n');
		bench_end(&bench);
	}
	ck_assert(seen_old && seen_new);
}
END_TEST

/* Of two requests begun together: is it the second that may end first? */
static bool second_is_first(uint64_t seed)
{
	struct shot *first, *second;
	bool is;

	begin(seed, 1, NULL);
	first = shot_begin(sim, 0, TP_WRITE, 0, 0, 1, 'a');
	second = shot_begin(sim, 0, TP_WRITE, 0, 1, 1, 'b');
	ck_assert_uint_eq(tp_simulator_step(sim, UINT64_MAX), 1);
	is = tpi_channel_poll(second->channel, 1);
	ck_assert_uint_eq(tpi_channel_poll(first->channel, 1), !is);
	shot_finish(sim, first);
	shot_finish(sim, second);
	bench_end(&bench);

	return is;
}

START_TEST(test_D7_requests_end_in_any_order_that_the_seed_decides)
{
	unsigned nr = 0;

	for (uint64_t seed = 0; seed < 50; seed++) {
		nr += second_is_first(seed);
		ck_assert_int_eq(second_is_first(seed), second_is_first(seed));
	}
	ck_assert_uint_gt(nr, 5);
	ck_assert_uint_lt(nr, 45);
}
END_TEST

/*---------------------------- faults ---------------------------------------*/

START_TEST(test_D7_the_nth_request_fails_once)
{
	begin(16, 1, NULL);
	add_fault(0, (struct tp_simulated_fault){ .ops = 1u << TP_WRITE,
						  .skip = 2,
						  .times = 1,
						  .status = -ENXIO });
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'a'), 0);
	ck_assert_int_eq(do_flush(sim, 0), 0);
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'b'), 0);
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'c'), -ENXIO);
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'd'), 0);
	ck_assert_uint_eq(tp_simulator_nr_failed(sim), 1);
	bench_end(&bench);
}
END_TEST

START_TEST(test_D7_a_device_vanishes_for_good)
{
	begin(17, 2, NULL);
	add_fault(0, (struct tp_simulated_fault){ .skip = 1 });
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'a'), 0);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(do_write(sim, 0, 0, 1, 'a'), -EIO);
		ck_assert_int_eq(do_flush(sim, 0), -EIO);
		ck_assert_int_eq(do_write(sim, 1, 0, 1, 'a'), 0);
	}
	ck_assert_int_eq(tp_simulator_heal(sim, 0), 0);
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'a'), 0);
	bench_end(&bench);
}
END_TEST

START_TEST(test_a_fault_may_be_of_a_range_and_of_some_ops)
{
	struct shot *read;

	begin(18, 1, NULL);
	ck_assert_int_eq(do_write(sim, 0, 0, 16, 'a'), 0);
	add_fault(0, (struct tp_simulated_fault){ .ops = 1u << TP_READ,
						  .begin = 4 * SECTOR,
						  .end = 6 * SECTOR });
	ck_assert_int_eq(do_write(sim, 0, 4, 2, 'b'), 0);
	read = shot_begin(sim, 0, TP_READ, 0, 0, 4, 0);
	ck_assert_int_eq(shot_finish(sim, read), 0);
	read = shot_begin(sim, 0, TP_READ, 0, 6, 4, 0);
	ck_assert_int_eq(shot_finish(sim, read), 0);
	read = shot_begin(sim, 0, TP_READ, 0, 5, 4, 0);
	ck_assert_int_eq(shot_end(sim, read), -EIO);
	ck_assert_uint_eq(read->bytes[0], POISON); /* not to be used */
	ck_assert_uint_eq(read->bytes[4 * SECTOR - 1], POISON);
	shot_free(read);
	bench_end(&bench);
}
END_TEST

/* F-26: the library takes less than all for an error. */
START_TEST(test_D7_a_transfer_may_be_short)
{
	struct shot *read;
	unsigned nr;

	begin(19, 1, NULL);
	add_fault(0, (struct tp_simulated_fault){ .flags = TP_FAULT_SHORT });
	ck_assert_int_eq(do_write(sim, 0, 0, 64, 'a'), -EIO);
	nr = count_bytes(TP_CONTENT_NEWEST, 64, 'a');
	ck_assert_uint_gt(nr, 0);
	ck_assert_uint_lt(nr, 64);
	ck_assert_uint_eq(byte_of(sim, 0, TP_CONTENT_NEWEST, nr - 1), 'a');

	read = shot_begin(sim, 0, TP_READ, 0, 0, 2, 0);
	ck_assert_int_eq(shot_end(sim, read), -EIO);
	ck_assert_uint_eq(read->bytes[0], 'a');
	ck_assert_uint_eq(read->bytes[SECTOR], POISON);
	shot_free(read);

	/* Less than one sector is nothing. */
	ck_assert_int_eq(do_write(sim, 0, 100, 1, 'b'), -EIO);
	bench_end(&bench);
}
END_TEST

START_TEST(test_the_first_fault_that_matches_decides)
{
	begin(20, 1, NULL);
	add_fault(0, (struct tp_simulated_fault){ .ops = 1u << TP_WRITE,
						  .skip = 1,
						  .times = 1,
						  .status = -ENXIO });
	add_fault(0, (struct tp_simulated_fault){ .ops = 1u << TP_WRITE,
						  .skip = 1,
						  .status = -ENODEV });
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'a'), 0);
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'a'), -ENXIO);
	ck_assert_int_eq(do_write(sim, 0, 0, 1, 'a'), -ENODEV);
	bench_end(&bench);
}
END_TEST

/*---------------------------- D8, power ------------------------------------*/

START_TEST(test_D8_all_devices_lose_power_at_once_and_choose_by_themselves)
{
	for (uint64_t mask = 0; mask < 4; mask++) {
		struct shot *a, *b;

		begin(21, 2, NULL);
		a = shot_begin(sim, 0, TP_WRITE, 0, 0, 1, 'a');
		b = shot_begin(sim, 1, TP_WRITE, 0, 0, 1, 'b');
		tp_simulator_power_off(sim);
		ck_assert_int_eq(shot_finish(sim, a), -EIO);
		ck_assert_int_eq(shot_finish(sim, b), -EIO);
		ck_assert_int_eq(tp_simulator_power_on(sim, keep_mask, &mask),
				 0);
		ck_assert_uint_eq(read_byte(sim, 0, 0),
				  mask & 1 ? 'a' : POISON);
		ck_assert_uint_eq(read_byte(sim, 1, 0),
				  mask & 2 ? 'b' : POISON);
		bench_end(&bench);
	}
}
END_TEST

static void count_events(void *context, const struct tp_simulated_event *event)
{
	++*(unsigned *)context;
}

/* Who had the device open before has to open it again. */
START_TEST(test_what_was_open_when_the_power_failed_stays_dead)
{
	struct tp_device_request again;
	unsigned nr_events = 0;
	struct shot *shot;

	begin(22, 1, NULL);
	shot = shot_begin(sim, 0, TP_WRITE, 0, 0, 1, 'a');
	again = shot->request;
	again.done = shot->request.library.done;
	again.context = shot;
	tp_simulator_set_observer(sim, count_events, &nr_events);
	tp_simulator_power_off(sim);
	ck_assert_int_eq(shot_end(sim, shot), -EIO);
	ck_assert_int_eq(do_write(sim, 0, 1, 1, 'b'), -EIO);

	ck_assert_int_eq(tp_simulator_power_on(sim, keep_none, NULL), 0);
	shot->has_ended = false;
	tpi_channel_submit(shot->channel, &again);
	ck_assert_int_eq(shot_end(sim, shot), -EIO);
	shot_free(shot);
	ck_assert_uint_eq(nr_events, 0);
	ck_assert_uint_eq(tp_simulator_nr_requests(sim), 1);
	ck_assert_uint_eq(read_byte(sim, 0, 0), POISON);
	ck_assert_uint_eq(read_byte(sim, 0, 1), POISON);
	ck_assert_int_eq(do_write(sim, 0, 1, 1, 'c'), 0);
	ck_assert_uint_eq(read_byte(sim, 0, 1), 'c');
	bench_end(&bench);
}
END_TEST

/* Nothing is left of the cache, and a second failure finds nothing to lose. */
START_TEST(test_what_survived_is_stable)
{
	begin(23, 1, NULL);
	ck_assert_int_eq(do_write(sim, 0, 0, 100, 'a'), 0);
	cut_power(NULL, NULL);
	ck_assert_uint_eq(tp_simulator_get_unstable(sim, NULL, 0), 0);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_uint_eq(byte_of(sim, 0, TP_CONTENT_NEWEST, i),
				  stable_byte(sim, 0, i));
	bench_end(&bench);
}
END_TEST

/*---------------------------- size, damage ---------------------------------*/

START_TEST(test_a_device_grows_and_its_end_is_poison)
{
	begin(24, 1, NULL);
	ck_assert_int_eq(do_write(sim, 0, 512, 1, 'a'), -EIO);
	ck_assert_int_eq(tp_simulator_grow(sim, 0, 2 * BENCH_BYTES), 0);
	ck_assert_uint_eq(read_byte(sim, 0, 1023), POISON);
	ck_assert_int_eq(do_write(sim, 0, 1023, 1, 'a'), 0);
	ck_assert_uint_eq(read_byte(sim, 0, 1023), 'a');
	bench_end(&bench);
}
END_TEST

START_TEST(test_damage_is_there_at_once_and_for_good)
{
	unsigned char bytes[SECTOR];

	begin(25, 1, NULL);
	memset(bytes, 'x', sizeof(bytes));
	ck_assert_int_eq(do_write(sim, 0, 0, 2, 'a'), 0);
	ck_assert_int_eq(tp_simulator_poke(sim, 0, bytes, SECTOR, SECTOR), 0);
	ck_assert_uint_eq(read_byte(sim, 0, 0), 'a');
	ck_assert_uint_eq(read_byte(sim, 0, 1), 'x');
	cut_power(keep_all, NULL);
	ck_assert_uint_eq(read_byte(sim, 0, 0), 'a');
	ck_assert_uint_eq(read_byte(sim, 0, 1), 'x');
	bench_end(&bench);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"simulated-device", 1, test_D1_a_write_is_seen_and_not_stable,
		test_D2_a_durable_write_is_stable_when_it_ends,
		test_D2_a_flush_covers_what_ended_before_it_began,
		test_D2_a_flush_covers_nothing_in_flight_when_it_began,
		test_a_device_without_a_cache_keeps_what_ended,
		test_D3_each_sector_survives_by_itself,
		test_D3_overlapping_writes_take_effect_in_the_order_they_began,
		test_D3_a_stable_write_ends_what_began_before_it,
		test_D4_what_is_in_flight_is_not_stable,
		test_D5_a_failed_write_is_done_in_some_sectors,
		test_D5_without_a_cache_those_sectors_are_stable,
		test_D5_a_failed_flush_makes_nothing_stable,
		test_D5_a_harsh_failed_flush_drops_some_of_the_cache,
		test_a_lying_flush_makes_nothing_stable_and_succeeds,
		test_D6_a_discard_does_what_the_device_was_told,
		test_zeroes_are_a_write,
		test_a_copy_is_a_write_of_what_was_there_when_it_began,
		test_a_copy_that_is_not_stable_survives_in_part_or_not_at_all,
		test_a_copy_fails_by_its_source_and_by_its_target,
		test_D7_a_read_may_or_may_not_see_a_write_in_flight,
		test_D7_requests_end_in_any_order_that_the_seed_decides,
		test_D7_the_nth_request_fails_once,
		test_D7_a_device_vanishes_for_good,
		test_a_fault_may_be_of_a_range_and_of_some_ops,
		test_D7_a_transfer_may_be_short,
		test_the_first_fault_that_matches_decides,
		test_D8_all_devices_lose_power_at_once_and_choose_by_themselves,
		test_what_was_open_when_the_power_failed_stays_dead,
		test_what_survived_is_stable,
		test_a_device_grows_and_its_end_is_poison,
		test_damage_is_there_at_once_and_for_good);
}
