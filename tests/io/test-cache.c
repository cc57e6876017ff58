/*
 * The cache of metadata blocks: what is read is checked and kept, what is dirty
 * is written merged and sealed, and memory stays within bounds.
 */
#include <string.h>

#include "io/cache.h"
#include "support/ram-disk.h"
#include "support/run-tests.h"

#define NR_BLOCKS 4096
#define LIMIT 64 /* the least that a cache takes */

static const struct tpi_validator plain = { "plain block", 1111, NULL };
static const struct tpi_validator other = { "other block", 2222, NULL };

static struct ram_disk disk;
static struct tpi_channel *channel;
static struct tpi_cache *cache;

static void setup(void)
{
	ram_disk_init(&disk, NR_BLOCKS * TPI_MBLOCK_BYTES);
	ck_assert_int_eq(tpi_channel_open(disk.device, -1, true, &channel), 0);
	ck_assert_int_eq(tpi_cache_new(channel, NR_BLOCKS, 0, &cache), 0);
	ck_assert_uint_eq(tpi_cache_limit(cache), LIMIT);
}

static void teardown(void)
{
	tpi_cache_destroy(cache);
	tpi_channel_close(channel);
	ram_disk_exit(&disk);
}

/*---------------------------- steps ----------------------------------------*/

static char *on_disk(tp_mblock block)
{
	return disk.bytes + block * TPI_MBLOCK_BYTES;
}

/* A valid block on the disk. */
static void put_on_disk(tp_mblock block, char fill)
{
	memset(on_disk(block), fill, TPI_MBLOCK_BYTES);
	tpi_seal(&plain, block, on_disk(block));
}

static void wait_for_all(void)
{
	while (tpi_cache_busy(cache))
		tpi_channel_poll(channel, 100);
}

static int read_block(tp_mblock block, const char **data)
{
	const void *content;
	int r;

	while ((r = tpi_cache_read(cache, block, &plain, &content)) == -EAGAIN)
		wait_for_all();
	if (!r)
		*data = content;

	return r;
}

static void read_and_compare(tp_mblock block, char fill)
{
	const char *data;

	ck_assert_int_eq(read_block(block, &data), 0);
	ck_assert_int_eq(data[100], fill);
	ck_assert_int_eq(data[4095], fill);
}

static void make_dirty(tp_mblock block, char fill)
{
	void *data;

	ck_assert_int_eq(tpi_cache_new_block(cache, block, &plain, NULL, &data),
			 0);
	for (unsigned i = 0; i < TPI_MBLOCK_BYTES; i++)
		if (((char *)data)[i])
			ck_abort_msg("a new block is not zero");
	memset((char *)data + 16, fill, TPI_MBLOCK_BYTES - 16);
}

struct outcome {
	unsigned nr_calls;
	int error;
};

static void note_outcome(void *context, int error)
{
	struct outcome *outcome = context;

	outcome->nr_calls++;
	outcome->error = error;
}

static int write_back(void)
{
	struct outcome outcome = { 0 };

	tpi_cache_write_frozen(cache, note_outcome, &outcome);
	wait_for_all();
	ck_assert_uint_eq(outcome.nr_calls, 1);

	return outcome.error;
}

static int commit(void)
{
	tpi_cache_freeze(cache);

	return write_back();
}

static bool is_here(tp_mblock block)
{
	return tpi_cache_is_here(cache, block);
}

static struct tpi_cache_stats stats(void)
{
	struct tpi_cache_stats stats;

	tpi_cache_get_stats(cache, &stats);

	return stats;
}

/*---------------------------- reading --------------------------------------*/

/* BUF-01. */
START_TEST(test_a_cache_that_is_not_used_does_no_io)
{
	setup();
	teardown();
	ck_assert_uint_eq(disk.nr_reads + disk.nr_writes, 0);
}
END_TEST

START_TEST(test_a_block_is_read_once_and_kept)
{
	setup();
	put_on_disk(7, 'a');
	for (int i = 0; i < 10; i++)
		read_and_compare(7, 'a');
	ck_assert_uint_eq(disk.nr_reads, 1);
	ck_assert_uint_eq(stats().nr_misses, 1);
	ck_assert_uint_eq(stats().nr_hits, 10);
	teardown();
}
END_TEST

static tp_mblock arrivals[8];
static unsigned nr_arrivals;

static void note_arrival(void *context, tp_mblock block)
{
	arrivals[nr_arrivals++ % 8] = block;
}

/* The run loop wakes by this those that were told to come again. */
START_TEST(test_whoever_missed_a_block_is_told_which_and_when_it_comes)
{
	const void *data;

	setup();
	nr_arrivals = 0;
	tpi_cache_set_arrival(cache, note_arrival, NULL);
	put_on_disk(7, 'a');
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(tpi_cache_read(cache, 7, &plain, &data),
				 -EAGAIN);
		ck_assert_uint_eq(tpi_cache_missed(cache), 7);
	}
	ck_assert_uint_eq(nr_arrivals, 0);
	ck_assert(tpi_cache_busy(cache));
	ck_assert(!is_here(7));
	wait_for_all();
	ck_assert_uint_eq(nr_arrivals, 1);
	ck_assert_uint_eq(arrivals[0], 7);
	ck_assert_uint_eq(disk.nr_reads, 1);

	/* One that fails comes too. */
	disk.fail_read = 1;
	ck_assert_int_eq(tpi_cache_read(cache, 8, &plain, &data), -EAGAIN);
	wait_for_all();
	ck_assert_uint_eq(nr_arrivals, 2);
	ck_assert_uint_eq(arrivals[1], 8);
	teardown();
}
END_TEST

/* BUF-10. */
START_TEST(test_a_failed_read_is_told_once_and_then_read_again)
{
	const void *data;

	setup();
	put_on_disk(7, 'a');
	disk.fail_read = 1;
	ck_assert_int_eq(tpi_cache_read(cache, 7, &plain, &data), -EAGAIN);
	wait_for_all();
	ck_assert_int_eq(tpi_cache_read(cache, 7, &plain, &data), -EIO);
	ck_assert_uint_eq(tpi_cache_nr_blocks(cache), 0);
	read_and_compare(7, 'a');
	ck_assert_uint_eq(disk.nr_reads, 2);
	teardown();
}
END_TEST

/* F-11: who asked for two blocks and is told of one does not come back for the
 * other. */
START_TEST(test_of_reads_that_failed_together_one_is_told)
{
	const void *data;

	setup();
	put_on_disk(7, 'a');
	put_on_disk(8, 'b');
	on_disk(7)[1000] ^= 1;
	on_disk(8)[1000] ^= 1;
	ck_assert_int_eq(tpi_cache_read(cache, 7, &plain, &data), -EAGAIN);
	ck_assert_int_eq(tpi_cache_read(cache, 8, &plain, &data), -EAGAIN);
	wait_for_all();
	on_disk(7)[1000] ^= 1;
	on_disk(8)[1000] ^= 1;
	ck_assert_int_eq(tpi_cache_read(cache, 7, &plain, &data), -EILSEQ);
	read_and_compare(8, 'b');
	read_and_compare(7, 'a');
	teardown();
}
END_TEST

START_TEST(test_a_damaged_block_is_told_as_damage_and_read_again)
{
	const char *data;

	setup();
	put_on_disk(7, 'a');
	on_disk(7)[1000] ^= 1;
	ck_assert_int_eq(read_block(7, &data), -EILSEQ);
	ck_assert_int_eq(read_block(7, &data), -EILSEQ);
	on_disk(7)[1000] ^= 1;
	read_and_compare(7, 'a');
	teardown();
}
END_TEST

START_TEST(test_a_block_beyond_the_end_is_damage_until_the_device_grows)
{
	const void *data;

	ram_disk_init(&disk, NR_BLOCKS * TPI_MBLOCK_BYTES);
	ck_assert_int_eq(tpi_channel_open(disk.device, -1, true, &channel), 0);
	ck_assert_int_eq(tpi_cache_new(channel, 100, 0, &cache), 0);
	put_on_disk(100, 'a');
	ck_assert_int_eq(tpi_cache_read(cache, 100, &plain, &data), -EILSEQ);
	ck_assert_int_eq(tpi_cache_read(cache, UINT64_MAX, &plain, &data),
			 -EILSEQ);
	ck_assert_uint_eq(disk.nr_reads, 0);
	tpi_cache_grow(cache, 101);
	read_and_compare(100, 'a');
	teardown();
}
END_TEST

/* A pointer that leads to a block of another type is damage, wherever the
 * block is found. */
START_TEST(test_a_block_in_use_as_another_type_is_damage)
{
	const void *data;

	setup();
	put_on_disk(7, 'a');
	read_and_compare(7, 'a');
	ck_assert_int_eq(tpi_cache_read(cache, 7, &other, &data), -EILSEQ);
	make_dirty(8, 'b');
	ck_assert_int_eq(tpi_cache_read(cache, 8, &other, &data), -EILSEQ);
	read_and_compare(7, 'a');
	teardown();
}
END_TEST

/* Who follows a wrong pointer must not spoil it for those who are right. */
START_TEST(test_failing_as_one_type_says_nothing_of_another)
{
	const void *data;

	setup();
	put_on_disk(7, 'a');
	ck_assert_int_eq(tpi_cache_read(cache, 7, &other, &data), -EAGAIN);
	wait_for_all();
	read_and_compare(7, 'a');
	teardown();
}
END_TEST

/*---------------------------- dirty blocks ---------------------------------*/

/* BUF-03, BUF-04. */
START_TEST(test_what_is_written_back_reads_the_same_in_a_new_cache)
{
	setup();
	for (tp_mblock b = 1; b < 200; b++)
		make_dirty(b * 3 % 211, b);
	ck_assert_int_eq(commit(), 0);
	tpi_cache_destroy(cache);
	ck_assert_int_eq(tpi_cache_new(channel, NR_BLOCKS, 0, &cache), 0);
	for (tp_mblock b = 1; b < 200; b++)
		read_and_compare(b * 3 % 211, b);
	teardown();
}
END_TEST

START_TEST(test_a_dirty_block_is_there_to_be_read_and_changed)
{
	setup();
	make_dirty(7, 'a');
	ck_assert(tpi_cache_dirty_data(cache, 7));
	ck_assert_uint_eq(tpi_cache_nr_dirty(cache), 1);
	read_and_compare(7, 'a');
	memset((char *)tpi_cache_dirty_data(cache, 7) + 16, 'b', 4080);
	read_and_compare(7, 'b');
	ck_assert_int_eq(commit(), 0);
	ck_assert(!tpi_cache_dirty_data(cache, 7));
	ck_assert_uint_eq(tpi_cache_nr_dirty(cache), 0);
	ck_assert_int_eq(on_disk(7)[500], 'b');
	ck_assert_int_eq(tpi_validate(&plain, 7, on_disk(7)), 0);
	teardown();
}
END_TEST

/* BUF-05. */
START_TEST(test_nothing_dirty_nothing_written)
{
	setup();
	put_on_disk(7, 'a');
	read_and_compare(7, 'a');
	ck_assert_int_eq(commit(), 0);
	make_dirty(8, 'b');
	ck_assert_int_eq(commit(), 0);
	disk.nr_writes = 0;
	ck_assert_int_eq(commit(), 0);
	ck_assert_uint_eq(disk.nr_writes, 0);
	teardown();
}
END_TEST

/* A copy of it may be durable, but nobody will ask for that. */
START_TEST(test_what_was_freed_takes_no_room)
{
	setup();
	make_dirty(7, 'a');
	make_dirty(8, 'b');
	ck_assert_int_eq(commit(), 0);
	tpi_cache_forget(cache, 7);
	ck_assert(!is_here(7) && is_here(8));

	make_dirty(9, 'c');
	tpi_cache_freeze(cache);
	tpi_cache_forget(cache, 9);
	read_and_compare(9, 'c');
	ck_assert_int_eq(write_back(), 0);
	ck_assert(!is_here(9));
	ck_assert_int_eq(on_disk(9)[100], 'c');
	tpi_cache_trim(cache);
	ck_assert_uint_eq(tpi_cache_nr_blocks(cache), 1);
	teardown();
}
END_TEST

/* A block that was made and freed in one transaction costs no write; its data
 * stays for whoever is looking at it. */
START_TEST(test_a_forgotten_block_is_not_written)
{
	char *data;
	uint64_t era;

	setup();
	make_dirty(7, 'a');
	make_dirty(8, 'b');
	data = tpi_cache_dirty_data(cache, 7);
	era = tpi_cache_era(cache);
	tpi_cache_forget(cache, 7);
	ck_assert_uint_ne(tpi_cache_era(cache), era);
	ck_assert_int_eq(data[100], 'a');
	ck_assert(!is_here(7));
	ck_assert_uint_eq(tpi_cache_nr_dirty(cache), 1);
	make_dirty(7, 'c'); /* it may be allocated again */
	ck_assert_int_eq(data[100], 'a');
	tpi_cache_forget(cache, 7);
	tpi_cache_trim(cache);
	ck_assert_uint_eq(tpi_cache_nr_blocks(cache), 1);
	ck_assert_int_eq(commit(), 0);
	ck_assert_uint_eq(disk.nr_writes, 1);
	ck_assert_int_eq(on_disk(7)[100], 0);
	teardown();
}
END_TEST

START_TEST(test_a_new_block_replaces_a_clean_copy)
{
	const char *data;

	setup();
	put_on_disk(7, 'a');
	ck_assert_int_eq(read_block(7, &data), 0);
	make_dirty(7, 'b');
	ck_assert_int_eq(data[100], 'a'); /* until trim */
	read_and_compare(7, 'b');
	ck_assert_int_eq(commit(), 0);
	ck_assert_int_eq(on_disk(7)[100], 'b');
	teardown();
}
END_TEST

/* Someone may still be reading the block that was freed and is used anew: he
 * is told to look again, and what he read does no harm. */
START_TEST(test_a_new_block_replaces_one_that_is_being_read)
{
	const void *data;

	setup();
	nr_arrivals = 0;
	tpi_cache_set_arrival(cache, note_arrival, NULL);
	put_on_disk(7, 'a');
	ck_assert_int_eq(tpi_cache_read(cache, 7, &plain, &data), -EAGAIN);
	make_dirty(7, 'b');
	read_and_compare(7, 'b');
	wait_for_all();
	ck_assert_uint_eq(nr_arrivals, 1);
	read_and_compare(7, 'b');
	ck_assert_uint_eq(tpi_cache_nr_blocks(cache), 1);
	teardown();
}
END_TEST

/* A clean block that nobody has any use for gives its content away. */
START_TEST(test_a_clean_block_becomes_its_copy)
{
	const char *old;
	void *data;

	setup();
	put_on_disk(7, 'a');
	put_on_disk(8, 'b');
	ck_assert_int_eq(read_block(7, &old), 0);
	read_and_compare(8, 'b');
	ck_assert_int_eq(tpi_cache_replace(cache, 7, 8, &data), 0);
	ck_assert_ptr_eq(data, old);
	ck_assert_ptr_eq(tpi_cache_dirty_data(cache, 8), data);
	ck_assert(!is_here(7));
	ck_assert_uint_eq(tpi_cache_nr_dirty(cache), 1);
	memset((char *)data + 16, 'c', TPI_MBLOCK_BYTES - 16);
	ck_assert_int_eq(commit(), 0);
	ck_assert_int_eq(on_disk(8)[100], 'c');
	read_and_compare(7, 'a');
	read_and_compare(8, 'c');
	tpi_cache_trim(cache);
	ck_assert_uint_eq(tpi_cache_nr_blocks(cache), 2);
	teardown();
}
END_TEST

/* What is on its way to the device, or held by somebody, stays as it is. */
START_TEST(test_a_frozen_or_pinned_block_is_copied)
{
	void *data;

	setup();
	put_on_disk(7, 'a');
	read_and_compare(7, 'a');
	tpi_cache_pin(cache, 7);
	ck_assert_int_eq(tpi_cache_replace(cache, 7, 8, &data), 0);
	memset((char *)data + 16, 'b', TPI_MBLOCK_BYTES - 16);
	read_and_compare(7, 'a');
	tpi_cache_unpin(cache, 7);
	tpi_cache_freeze(cache);
	ck_assert_int_eq(tpi_cache_replace(cache, 8, 9, &data), 0);
	memset((char *)data + 16, 'c', TPI_MBLOCK_BYTES - 16);
	ck_assert_int_eq(write_back(), 0);
	ck_assert_int_eq(on_disk(8)[100], 'b');
	read_and_compare(8, 'b');
	read_and_compare(9, 'c');
	teardown();
}
END_TEST

/* Wrong counts on the device must not make us lose what is in memory. */
START_TEST(test_a_block_in_use_is_not_taken_as_new)
{
	void *data;

	setup();
	make_dirty(7, 'a');
	put_on_disk(8, 'b');
	read_and_compare(8, 'b');
	ck_assert_int_eq(tpi_cache_new_block(cache, 7, &plain, NULL, &data),
			 -EILSEQ);
	ck_assert_int_eq(tpi_cache_replace(cache, 8, 7, &data), -EILSEQ);
	read_and_compare(8, 'b');
	tpi_cache_freeze(cache);
	ck_assert_int_eq(tpi_cache_new_block(cache, 7, &plain, NULL, &data),
			 -EILSEQ);
	ck_assert_int_eq(write_back(), 0);
	tpi_cache_pin(cache, 7);
	ck_assert_int_eq(tpi_cache_new_block(cache, 7, &plain, NULL, &data),
			 -EILSEQ);
	tpi_cache_unpin(cache, 7);
	make_dirty(7, 'b');
	teardown();
}
END_TEST

/*---------------------------- writing back ---------------------------------*/

START_TEST(test_adjacent_blocks_are_written_in_one_request)
{
	/* Five runs, made dirty in disorder. */
	static const tp_mblock blocks[] = { 12, 900, 10, 31, 13, 11,
					    30, 500, 29, 28, 700 };

	setup();
	for (unsigned i = 0; i < TPI_ARRAY_SIZE(blocks); i++)
		make_dirty(blocks[i], blocks[i] % 100);
	ck_assert_int_eq(commit(), 0);
	ck_assert_uint_eq(disk.nr_writes, 5);
	ck_assert_uint_eq(stats().nr_writes, 5);
	ck_assert_uint_eq(disk.nr_bytes_written, 11 * TPI_MBLOCK_BYTES);
	for (unsigned i = 0; i < TPI_ARRAY_SIZE(blocks); i++)
		ck_assert_int_eq(
			tpi_validate(&plain, blocks[i], on_disk(blocks[i])), 0);
	teardown();
}
END_TEST

/* BUF-06. */
START_TEST(test_far_more_dirty_blocks_than_the_cache_holds_are_all_written)
{
	setup();
	for (tp_mblock b = 1; b < 3000; b++) {
		make_dirty(b, b % 127);
		tpi_cache_trim(cache);
	}
	ck_assert_int_eq(commit(), 0);
	ck_assert_uint_eq(disk.nr_bytes_written, 2999 * TPI_MBLOCK_BYTES);
	ck_assert_uint_lt(disk.nr_writes, 2999 / 50);
	tpi_cache_trim(cache);
	ck_assert_uint_le(tpi_cache_nr_blocks(cache), LIMIT);
	for (tp_mblock b = 1; b < 3000; b++) {
		read_and_compare(b, b % 127);
		tpi_cache_trim(cache);
		ck_assert_uint_le(tpi_cache_nr_blocks(cache), LIMIT);
	}
	teardown();
}
END_TEST

START_TEST(test_scattered_blocks_are_written_in_parallel_but_not_all_at_once)
{
	setup();
	for (tp_mblock b = 1; b < 1000; b++)
		make_dirty(2 * b, 'a');
	ck_assert_int_eq(commit(), 0);
	ck_assert_uint_eq(disk.nr_writes, 999);
	ck_assert_uint_ge(disk.max_in_flight, 8);
	ck_assert_uint_le(disk.max_in_flight, 64);
	teardown();
}
END_TEST

/*
 * While a transaction is on its way to the device the next one runs: it reads
 * the frozen blocks, and makes and forgets its own.
 */
START_TEST(test_the_next_transaction_runs_while_blocks_are_written)
{
	struct outcome outcome = { 0 };

	setup();
	for (tp_mblock b = 1; b < 500; b++)
		make_dirty(b, 'a');
	tpi_cache_freeze(cache);
	make_dirty(600, 'b');
	disk.hold = true;
	disk.newest_first = true;
	tpi_cache_write_frozen(cache, note_outcome, &outcome);
	tpi_channel_poll(channel, 100);
	ck_assert_uint_eq(outcome.nr_calls, 0);
	for (tp_mblock b = 1; b < 500; b++) {
		ck_assert(!tpi_cache_dirty_data(cache, b));
		read_and_compare(b, 'a');
		make_dirty(1000 + b, 'c');
		tpi_cache_trim(cache);
	}
	for (tp_mblock b = 1; b < 500; b += 2)
		tpi_cache_forget(cache, 1000 + b);
	ck_assert_uint_eq(tpi_cache_nr_dirty(cache), 250);
	disk.hold = false;
	wait_for_all();
	ck_assert_uint_eq(outcome.nr_calls, 1);
	ck_assert_int_eq(outcome.error, 0);
	ck_assert_int_eq(on_disk(499)[100], 'a');
	ck_assert_int_eq(on_disk(600)[100], 0);
	ck_assert_int_eq(commit(), 0);
	ck_assert_int_eq(on_disk(600)[100], 'b');
	ck_assert_int_eq(on_disk(1002)[100], 'c');
	teardown();
}
END_TEST

/* Fail the first write, the second, ... until none fails.  The error is told,
 * the blocks stay frozen, and writing them again does. */
START_TEST(test_each_failing_write_is_told_and_loses_nothing)
{
	unsigned nth = 0;
	int r;

	do {
		setup();
		for (tp_mblock b = 1; b < 50; b++)
			make_dirty(2 * b, b);
		disk.fail_write = ++nth;
		r = commit();
		ck_assert(r == 0 || r == -EIO);
		for (tp_mblock b = 1; b < 50; b++)
			read_and_compare(2 * b, b);
		if (r)
			ck_assert_int_eq(write_back(), 0);
		for (tp_mblock b = 1; b < 50; b++)
			ck_assert_int_eq(on_disk(2 * b)[100], b);
		teardown();
	} while (r);
	ck_assert_uint_eq(nth, 50);
}
END_TEST

/*---------------------------- memory ---------------------------------------*/

START_TEST(test_the_least_recently_used_go_first)
{
	setup();
	for (tp_mblock b = 0; b < LIMIT; b++) {
		put_on_disk(b, 'a');
		read_and_compare(b, 'a');
	}
	read_and_compare(0, 'a');
	put_on_disk(100, 'b');
	read_and_compare(100, 'b');
	ck_assert_uint_eq(tpi_cache_nr_blocks(cache), LIMIT + 1);
	tpi_cache_trim(cache);
	ck_assert_uint_eq(tpi_cache_nr_blocks(cache), LIMIT);
	ck_assert_uint_eq(stats().nr_evictions, 1);
	ck_assert(is_here(0));
	ck_assert(!is_here(1));
	ck_assert(is_here(2));
	teardown();
}
END_TEST

static void read_many(tp_mblock begin, tp_mblock end)
{
	for (tp_mblock b = begin; b < end; b++) {
		put_on_disk(b, 'a');
		read_and_compare(b, 'a');
	}
}

/* Nothing goes but by trim: pointers are good until then. */
START_TEST(test_nothing_is_evicted_between_trims)
{
	setup();
	read_many(1, 1000);
	ck_assert_uint_eq(tpi_cache_nr_blocks(cache), 999);
	tpi_cache_trim(cache);
	ck_assert_uint_eq(tpi_cache_nr_blocks(cache), LIMIT);
	teardown();
}
END_TEST

START_TEST(test_a_pinned_block_is_never_evicted)
{
	const char *data;

	setup();
	put_on_disk(7, 'a');
	ck_assert_int_eq(read_block(7, &data), 0);
	tpi_cache_pin(cache, 7);
	tpi_cache_pin(cache, 7);
	make_dirty(8, 'b');
	tpi_cache_pin(cache, 8);
	ck_assert_int_eq(commit(), 0);
	read_many(100, 500);
	tpi_cache_unpin(cache, 7);
	tpi_cache_trim(cache);
	ck_assert(is_here(7) && is_here(8));
	ck_assert_int_eq(data[100], 'a');

	tpi_cache_unpin(cache, 7);
	tpi_cache_unpin(cache, 8);
	read_many(100, 500);
	tpi_cache_trim(cache);
	ck_assert(!is_here(7) && !is_here(8));
	teardown();
}
END_TEST

/* BUF-07: what is used again and again stays, whatever streams through. */
START_TEST(test_hot_blocks_stay_while_others_stream_through)
{
	setup();
	read_many(1, 17);
	for (tp_mblock b = 100; b < 2000; b += 10) {
		read_many(b, b + 10);
		for (tp_mblock hot = 1; hot < 17; hot++) {
			ck_assert(is_here(hot));
			read_and_compare(hot, 'a');
		}
		tpi_cache_trim(cache);
	}
	teardown();
}
END_TEST

/* Else a change that waits for two blocks would never have both. */
START_TEST(test_some_clean_blocks_stay_however_many_are_dirty)
{
	setup();
	for (tp_mblock b = 1000; b < 1000 + 3 * LIMIT; b++)
		make_dirty(b, 'd');
	read_many(1, 30);
	tpi_cache_trim(cache);
	for (tp_mblock b = 1; b < 30; b++)
		ck_assert(is_here(b));
	tpi_cache_freeze(cache);
	tpi_cache_trim(cache);
	for (tp_mblock b = 1; b < 30; b++)
		ck_assert(is_here(b));
	ck_assert_int_eq(write_back(), 0);
	tpi_cache_trim(cache);
	ck_assert_uint_eq(tpi_cache_nr_blocks(cache), LIMIT);
	teardown();
}
END_TEST

/* A failure nobody asks for again does not stay for ever. */
START_TEST(test_failures_are_evicted_too)
{
	const void *data;

	setup();
	for (tp_mblock b = 1; b < 100; b++)
		ck_assert_int_eq(tpi_cache_read(cache, b, &plain, &data),
				 -EAGAIN);
	wait_for_all();
	tpi_cache_trim(cache);
	ck_assert_uint_eq(tpi_cache_nr_blocks(cache), LIMIT);
	teardown();
}
END_TEST

/*---------------------------- abort ----------------------------------------*/

START_TEST(test_after_clear_everything_is_as_on_the_device)
{
	setup();
	put_on_disk(7, 'a');
	read_and_compare(7, 'a');
	make_dirty(8, 'b');
	tpi_cache_freeze(cache);
	disk.fail_write = 1;
	ck_assert_int_eq(write_back(), -EIO);
	make_dirty(9, 'c');
	put_on_disk(8, 'x');
	put_on_disk(9, 'y');
	tpi_cache_clear(cache);
	ck_assert_uint_eq(tpi_cache_nr_blocks(cache), 0);
	ck_assert_uint_eq(tpi_cache_nr_dirty(cache), 0);
	read_and_compare(7, 'a');
	read_and_compare(8, 'x');
	read_and_compare(9, 'y');
	teardown();
}
END_TEST

/* What was asked for before an abort comes after it, which whoever waits for the
 * device is told, and no more; what is asked for anew is read anew. */
START_TEST(test_clear_ignores_what_is_being_read)
{
	const void *data;

	setup();
	nr_arrivals = 0;
	tpi_cache_set_arrival(cache, note_arrival, NULL);
	put_on_disk(7, 'a');
	disk.fail_read = 2;
	ck_assert_int_eq(tpi_cache_read(cache, 7, &plain, &data), -EAGAIN);
	ck_assert_int_eq(tpi_cache_read(cache, 8, &plain, &data), -EAGAIN);
	tpi_cache_clear(cache);
	ck_assert(tpi_cache_busy(cache));
	ck_assert_int_eq(tpi_cache_read(cache, 7, &plain, &data), -EAGAIN);
	ck_assert_uint_eq(disk.nr_reads, 3);
	wait_for_all();
	ck_assert_uint_eq(nr_arrivals, 3);
	read_and_compare(7, 'a');
	ck_assert_uint_eq(tpi_cache_nr_blocks(cache), 1);
	teardown();
}
END_TEST

/* BUF-08. */
START_TEST(test_four_caches_keep_apart)
{
	struct tpi_cache *caches[4];

	ram_disk_init(&disk, NR_BLOCKS * TPI_MBLOCK_BYTES);
	ck_assert_int_eq(tpi_channel_open(disk.device, -1, true, &channel), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(
			tpi_cache_new(channel, NR_BLOCKS, 0, &caches[i]), 0);
	for (tp_mblock b = 0; b < 2000; b++) {
		cache = caches[b % 4];
		make_dirty(b, b % 100);
		if (b % 40 >= 36)
			ck_assert_int_eq(commit(), 0);
		tpi_cache_trim(cache);
		ck_assert_uint_le(tpi_cache_nr_blocks(cache), 2 * LIMIT);
	}
	for (int i = 0; i < 4; i++) {
		cache = caches[i];
		ck_assert_int_eq(commit(), 0);
		for (tp_mblock b = i; b < 2000; b += 4)
			read_and_compare(b, b % 100);
		tpi_cache_destroy(cache);
	}
	tpi_channel_close(channel);
	ram_disk_exit(&disk);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"cache", 1, test_a_cache_that_is_not_used_does_no_io,
		test_a_block_is_read_once_and_kept,
		test_whoever_missed_a_block_is_told_which_and_when_it_comes,
		test_a_failed_read_is_told_once_and_then_read_again,
		test_of_reads_that_failed_together_one_is_told,
		test_a_damaged_block_is_told_as_damage_and_read_again,
		test_a_block_beyond_the_end_is_damage_until_the_device_grows,
		test_a_block_in_use_as_another_type_is_damage,
		test_failing_as_one_type_says_nothing_of_another,
		test_what_is_written_back_reads_the_same_in_a_new_cache,
		test_a_dirty_block_is_there_to_be_read_and_changed,
		test_nothing_dirty_nothing_written,
		test_a_forgotten_block_is_not_written,
		test_what_was_freed_takes_no_room,
		test_a_new_block_replaces_a_clean_copy,
		test_a_new_block_replaces_one_that_is_being_read,
		test_a_clean_block_becomes_its_copy,
		test_a_frozen_or_pinned_block_is_copied,
		test_a_block_in_use_is_not_taken_as_new,
		test_adjacent_blocks_are_written_in_one_request,
		test_far_more_dirty_blocks_than_the_cache_holds_are_all_written,
		test_scattered_blocks_are_written_in_parallel_but_not_all_at_once,
		test_the_next_transaction_runs_while_blocks_are_written,
		test_each_failing_write_is_told_and_loses_nothing,
		test_the_least_recently_used_go_first,
		test_nothing_is_evicted_between_trims,
		test_a_pinned_block_is_never_evicted,
		test_hot_blocks_stay_while_others_stream_through,
		test_some_clean_blocks_stay_however_many_are_dirty,
		test_failures_are_evicted_too,
		test_after_clear_everything_is_as_on_the_device,
		test_clear_ignores_what_is_being_read,
		test_four_caches_keep_apart);
}
