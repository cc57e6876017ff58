/*
 * No memory for the space maps and the trees they lie in: what stops half way
 * can be gone on with, and a change that there is room for does not stop (F-19).
 */
#include <stdlib.h>

#include "space-map/maps.h"
#include "support/failing-memory.h"

#define NR_MBLOCKS 512
#define NR_DBLOCKS 40000 /* three bitmaps */
#define NR_CHANGED 600

static struct maps maps;
static uint32_t *counts;

/*---------------------------- data blocks ----------------------------------*/

/* Far apart, so that they are in all bitmaps. */
static tp_dblock changed_block(unsigned i)
{
	return i * (NR_DBLOCKS / NR_CHANGED);
}

static void change(tp_dblock block, int by)
{
	for (; by > 0; by--, counts[block]++)
		EXPECT(tpi_data_sm_inc(maps.data, block, 1) == 0);
	for (; by < 0; by++, counts[block]--)
		EXPECT(tpi_data_sm_dec(maps.data, block, 1) == 0);
}

/* Counts of every size, below and above what a bitmap holds. */
static void make_maps(void)
{
	counts = calloc(NR_DBLOCKS, sizeof(*counts));
	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, NR_DBLOCKS, 1 << 20);
	for (unsigned i = 0; i < NR_CHANGED; i++)
		change(changed_block(i), (int)(i % 6));
	maps_commit(&maps);

	/* From each of them to each other one. */
	for (unsigned i = 0; i < NR_CHANGED; i++) {
		tp_dblock block = changed_block(i);

		change(block, (int)(i / 6 % 6) - (int)counts[block]);
	}
}

static void end_maps(void)
{
	maps_check_disk(&maps, NULL, counts);
	maps_exit(&maps);
	free(counts);
}

static int prepare_close(void)
{
	int r = WAIT(&maps, tpi_data_sm_prepare_close(maps.data));

	if (r)
		return r;

	return WAIT(&maps, tpi_metadata_sm_prepare_close(maps.metadata));
}

/* True if an allocation failed. */
static bool prepare_without(unsigned nth)
{
	bool failed;
	int r;

	make_maps();
	tpi_cache_clear(maps.cache); /* all is read again */
	failing_memory_arm(nth, false);
	r = prepare_close();
	failed = failing_memory_disarm();
	ck_assert(!r || (failed && r == -ENOMEM));
	if (r)
		r = prepare_close();
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(maps_close(&maps), 0);
	maps_write(&maps);
	end_maps();

	return failed;
}

START_TEST(test_preparing_to_close_goes_on_where_it_stopped)
{
	unsigned nth = 1;

	while (prepare_without(nth))
		nth++;
	ck_assert_uint_gt(nth, 5);
}
END_TEST

/* Changing what there is room for, and closing with it, needs no more. */
START_TEST(test_a_change_with_room_needs_no_memory)
{
	make_maps();
	maps_commit(&maps);
	ck_assert_int_eq(tpi_data_sm_make_room(maps.data, 200), 0);
	ck_assert_int_eq(tpi_metadata_sm_make_room(maps.metadata, 200), 0);
	tpi_cache_set_reserve(maps.cache, 64);
	ck_assert_int_eq(tpi_cache_make_room(maps.cache, 64), 0);
	failing_memory_arm(1, true);
	for (unsigned i = 0; i < 100; i++)
		change(changed_block(i), 1);
	for (unsigned i = 100; i < 200; i++)
		change(changed_block(i), -(int)counts[changed_block(i)]);
	ck_assert_int_eq(maps_close(&maps), 0);
	failing_memory_disarm();
	maps_write(&maps);
	end_maps();
}
END_TEST

/* Growing changes all or nothing. */
START_TEST(test_a_map_grows_or_not)
{
	for (unsigned nth = 1, failed = 1; failed; nth++) {
		int r;

		make_maps();
		failing_memory_arm(nth, true);
		r = tpi_data_sm_grow(maps.data, 200 * (tp_dblock)NR_DBLOCKS);
		failed = failing_memory_disarm();
		ck_assert_int_eq(r, failed ? -ENOMEM : 0);
		ck_assert_uint_eq(tpi_data_sm_nr_blocks(maps.data),
				  failed ? NR_DBLOCKS : 200 * NR_DBLOCKS);
		maps_exit(&maps);
		free(counts);
	}
}
END_TEST

int main(void)
{
	return RUN_TESTS("memory-space-maps", 1,
			 test_preparing_to_close_goes_on_where_it_stopped,
			 test_a_change_with_room_needs_no_memory,
			 test_a_map_grows_or_not);
}
