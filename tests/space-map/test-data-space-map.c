/*
 * The counts of data blocks, and their allocation, over many transactions.
 */
#include <stdlib.h>
#include <string.h>

#include "space-map/maps.h"

#define CACHE_BYTES (64 * TPI_MBLOCK_BYTES) /* as small as can be */
#define NR_MBLOCKS 4000

static int alloc(struct maps *maps, tp_dblock hint, tp_dblock max,
		 tp_dblock *begin, tp_dblock *nr)
{
	return WAIT(maps, tpi_data_sm_alloc(maps->data, hint, max, begin, nr));
}

/* Hand out and count. */
static void provision(struct maps *maps, uint32_t *counts, tp_dblock nr)
{
	tp_dblock begin, got;

	for (; nr; nr -= got) {
		ck_assert_int_eq(alloc(maps, 0, nr, &begin, &got), 0);
		ck_assert_int_eq(tpi_data_sm_inc(maps->data, begin, got), 0);
		for (tp_dblock i = 0; i < got; i++)
			EXPECT(counts[begin + i]++ == 0);
	}
}

static uint32_t count(struct maps *maps, tp_dblock block)
{
	uint32_t result = 0;

	EXPECT(!WAIT(maps, tpi_data_sm_count(maps->data, block, &result)));
	return result;
}

static void check_counts(struct maps *maps, const uint32_t *counts)
{
	tp_dblock i;

	for (i = 0; i < tpi_data_sm_nr_blocks(maps->data); i++)
		EXPECT(count(maps, i) == counts[i]);
}

static void commit_and_check(struct maps *maps, const uint32_t *counts)
{
	maps_commit(maps);
	maps_check_disk(maps, NULL, counts);
	ck_assert_int_eq(maps_reopen(maps), 0);
	check_counts(maps, counts);
}

/*---------------------------- allocation -----------------------------------*/

START_TEST(test_a_new_map_is_free_from_end_to_end)
{
	uint32_t counts[20000] = { 0 };
	tp_dblock begin, nr;
	struct maps maps;

	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, 20000, CACHE_BYTES);
	ck_assert_uint_eq(tpi_data_sm_nr_blocks(maps.data), 20000);
	ck_assert_uint_eq(tpi_data_sm_nr_free(maps.data), 20000);
	ck_assert_uint_eq(tpi_data_sm_nr_used(maps.data), 0);
	commit_and_check(&maps, counts);
	ck_assert_int_eq(alloc(&maps, 0, 100, &begin, &nr), 0);
	ck_assert_uint_eq(begin, 0);
	ck_assert_uint_eq(nr, 100);
	maps_exit(&maps);
}
END_TEST

/* Architecture, decision 6: runs, from where the caller wants them. */
START_TEST(test_runs_begin_at_the_hint_and_go_up_to_what_is_taken)
{
	tp_dblock begin, nr;
	struct maps maps;

	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, 1000, CACHE_BYTES);
	ck_assert_int_eq(alloc(&maps, 500, 10, &begin, &nr), 0);
	ck_assert_uint_eq(begin, 500);
	ck_assert_uint_eq(nr, 10);
	ck_assert_int_eq(alloc(&maps, 400, 1000, &begin, &nr), 0);
	ck_assert_uint_eq(begin, 400);
	ck_assert_uint_eq(nr, 100);
	ck_assert_int_eq(alloc(&maps, 400, 1000, &begin, &nr), 0);
	ck_assert_uint_eq(begin, 510);
	ck_assert_uint_eq(nr, 490);
	ck_assert_int_eq(alloc(&maps, 999, 1000, &begin, &nr), 0);
	ck_assert_uint_eq(begin, 0);
	ck_assert_uint_eq(nr, 400);
	ck_assert_int_eq(alloc(&maps, 0, 1, &begin, &nr), -ENOSPC);

	tpi_data_sm_give_back(maps.data, 63, 3);
	ck_assert_int_eq(alloc(&maps, 70, 2, &begin, &nr), 0);
	ck_assert_uint_eq(begin, 63);
	ck_assert_uint_eq(nr, 2);
	ck_assert_int_eq(alloc(&maps, 12345, 2, &begin, &nr), 0);
	ck_assert_uint_eq(begin, 65);
	ck_assert_uint_eq(nr, 1);
	ck_assert_uint_eq(tpi_data_sm_nr_free(maps.data), 0);
	maps_exit(&maps);
}
END_TEST

START_TEST(test_every_block_is_handed_out_once)
{
	const tp_dblock nr_blocks = 3 * TPI_BITMAP_ENTRIES + 77;
	bool *taken = calloc(nr_blocks, sizeof(*taken));
	tp_dblock begin, nr, i, nr_taken = 0;
	struct maps maps;

	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, nr_blocks, CACHE_BYTES);
	while (!alloc(&maps, chance(nr_blocks), 1 + chance(300), &begin, &nr)) {
		for (i = begin; i < begin + nr; i++) {
			EXPECT(!taken[i]);
			taken[i] = true;
		}
		nr_taken += nr;
		EXPECT(tpi_data_sm_nr_free(maps.data) == nr_blocks - nr_taken);
	}
	ck_assert_uint_eq(nr_taken, nr_blocks);
	free(taken);
	maps_exit(&maps);
}
END_TEST

START_TEST(test_a_map_without_blocks_grows_and_allocates)
{
	uint32_t *counts = calloc(50000, sizeof(*counts));
	tp_dblock begin, nr;
	struct maps maps;

	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, 0, CACHE_BYTES);
	ck_assert_int_eq(alloc(&maps, 0, 1, &begin, &nr), -ENOSPC);
	commit_and_check(&maps, counts);
	ck_assert_int_eq(alloc(&maps, 7, 1, &begin, &nr), -ENOSPC);
	ck_assert_int_eq(tpi_data_sm_grow(maps.data, 50000), 0);
	ck_assert_uint_eq(tpi_data_sm_nr_free(maps.data), 50000);
	provision(&maps, counts, 50000);
	ck_assert_int_eq(alloc(&maps, 7, 1, &begin, &nr), -ENOSPC);
	commit_and_check(&maps, counts);
	ck_assert_int_eq(tpi_data_sm_grow(maps.data, 49999), -EINVAL);
	ck_assert_int_eq(tpi_data_sm_grow(maps.data, UINT64_MAX), -EINVAL);
	free(counts);
	maps_exit(&maps);
}
END_TEST

/* RSZ-01 and on: within a bitmap, to its very end, across several. */
START_TEST(test_growing_in_steps_keeps_all_counts)
{
	static const unsigned sizes[] = { 1,     63,    64,    1000,  16319,
					  16320, 16321, 32640, 70000, 70001 };
	uint32_t *counts = calloc(70001, sizeof(*counts));
	tp_dblock begin, nr;
	struct maps maps;
	unsigned i;

	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, 0, CACHE_BYTES);
	for (i = 0; i < TPI_ARRAY_SIZE(sizes); i++) {
		ck_assert_int_eq(tpi_data_sm_grow(maps.data, sizes[i]), 0);
		provision(&maps, counts, tpi_data_sm_nr_free(maps.data));
		ck_assert_int_eq(alloc(&maps, 7, 1, &begin, &nr), -ENOSPC);
		if (i % 2)
			commit_and_check(&maps, counts);
	}
	free(counts);
	maps_exit(&maps);
}
END_TEST

/*---------------------------- withholding ----------------------------------*/

/* B-WRITE-8: a crash forgets what was handed out and not counted. */
START_TEST(test_a_block_handed_out_is_not_counted_by_a_close)
{
	uint32_t counts[1000] = { 0 };
	tp_dblock begin, nr, other;
	struct maps maps;

	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, 1000, CACHE_BYTES);
	ck_assert_int_eq(alloc(&maps, 0, 5, &begin, &nr), 0);
	maps_commit(&maps);
	maps_check_disk(&maps, NULL, counts);
	ck_assert_uint_eq(tpi_data_sm_nr_free(maps.data), 995);
	ck_assert_uint_eq(tpi_data_sm_nr_used(maps.data), 0);
	ck_assert_int_eq(alloc(&maps, 0, 5, &other, &nr), 0);
	ck_assert_uint_eq(other, 5);

	/* Its preparation ends in a later transaction. */
	ck_assert_int_eq(tpi_data_sm_inc(maps.data, begin, 5), 0);
	ck_assert_uint_eq(tpi_data_sm_nr_used(maps.data), 5);
	ck_assert_uint_eq(tpi_data_sm_nr_free(maps.data), 990);
	maps_commit(&maps);
	ck_assert_uint_eq(tpi_data_sm_nr_used(maps.data), 5);
	ck_assert_uint_eq(tpi_data_sm_nr_free(maps.data), 990);
	ck_assert_int_eq(maps_reopen(&maps), 0);
	ck_assert_uint_eq(tpi_data_sm_nr_free(maps.data), 995);
	maps_exit(&maps);
}
END_TEST

/* B-COMMIT-9, B-DISC-11: freed blocks are nobody's until they are released. */
START_TEST(test_a_freed_block_is_withheld_until_it_is_released)
{
	uint32_t counts[1000] = { 0 };
	struct tpi_freed_run *runs;
	tp_dblock begin, nr, i;
	struct maps maps;
	size_t nr_runs;

	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, 1000, CACHE_BYTES);
	provision(&maps, counts, 1000);
	maps_commit(&maps);
	ck_assert_int_eq(tpi_data_sm_dec(maps.data, 10, 20), 0);
	ck_assert_int_eq(tpi_data_sm_mark_discarded(maps.data, 15, 5), 0);
	ck_assert_uint_eq(tpi_data_sm_nr_changes(maps.data), 20);
	ck_assert_int_eq(alloc(&maps, 0, 1, &begin, &nr), -ENOSPC);
	ck_assert_int_eq(maps_close(&maps), 0);
	ck_assert_uint_eq(tpi_data_sm_nr_changes(maps.data), 0);
	maps_write(&maps);
	ck_assert_int_eq(alloc(&maps, 0, 1, &begin, &nr), -ENOSPC);

	tpi_data_sm_take_freed(maps.data, &runs, &nr_runs);
	ck_assert_uint_eq(nr_runs, 3);
	for (i = 0; i < 3; i++) {
		static const struct tpi_freed_run expected[] = {
			{ 10, 5, false }, { 15, 5, true }, { 20, 10, false }
		};

		ck_assert_uint_eq(runs[i].begin, expected[i].begin);
		ck_assert_uint_eq(runs[i].nr, expected[i].nr);
		ck_assert(runs[i].discarded == expected[i].discarded);
	}
	free(runs);
	tpi_data_sm_release(maps.data, 15, 5);
	ck_assert_int_eq(alloc(&maps, 0, 100, &begin, &nr), 0);
	ck_assert_uint_eq(begin, 15);
	ck_assert_uint_eq(nr, 5);
	ck_assert_int_eq(alloc(&maps, 0, 1, &begin, &nr), -ENOSPC);
	tpi_data_sm_take_freed(maps.data, &runs, &nr_runs);
	ck_assert_uint_eq(nr_runs, 0);
	free(runs);
	maps_exit(&maps);
}
END_TEST

START_TEST(test_a_block_counted_and_dropped_in_one_transaction_is_freed)
{
	uint32_t counts[1000] = { 0 };
	struct tpi_freed_run *runs;
	tp_dblock begin, nr;
	struct maps maps;
	size_t nr_runs;

	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, 1000, CACHE_BYTES);
	maps_commit(&maps);
	ck_assert_int_eq(alloc(&maps, 100, 3, &begin, &nr), 0);
	ck_assert_int_eq(tpi_data_sm_inc(maps.data, begin, 3), 0);
	ck_assert(!tpi_data_sm_was_dropped(maps.data, begin));
	ck_assert_int_eq(tpi_data_sm_dec(maps.data, begin, 2), 0);
	ck_assert(tpi_data_sm_was_dropped(maps.data, begin));
	ck_assert(!tpi_data_sm_was_dropped(maps.data, begin + 2));
	ck_assert_uint_eq(tpi_data_sm_nr_used(maps.data), 1);
	ck_assert_uint_eq(tpi_data_sm_nr_free(maps.data), 997);
	ck_assert_int_eq(maps_close(&maps), 0);
	ck_assert(!tpi_data_sm_was_dropped(maps.data, begin));
	maps_write(&maps);
	counts[102] = 1;
	maps_check_disk(&maps, NULL, counts);
	ck_assert_uint_eq(tpi_data_sm_nr_free(maps.data), 997);

	tpi_data_sm_take_freed(maps.data, &runs, &nr_runs);
	ck_assert_uint_eq(nr_runs, 1);
	ck_assert_uint_eq(runs[0].begin, 100);
	ck_assert_uint_eq(runs[0].nr, 2);
	ck_assert(!runs[0].discarded);
	tpi_data_sm_release(maps.data, 100, 2);
	free(runs);
	ck_assert_uint_eq(tpi_data_sm_nr_free(maps.data), 999);
	maps_exit(&maps);
}
END_TEST

/* Preparing puts changes into the base; that must not be seen from outside. */
START_TEST(test_what_was_prepared_is_still_part_of_the_transaction)
{
	uint32_t counts[1000] = { 0 };
	struct tpi_freed_run *runs;
	tp_dblock begin, nr;
	struct maps maps;
	size_t nr_runs;

	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, 1000, CACHE_BYTES);
	provision(&maps, counts, 1000);
	maps_commit(&maps);
	ck_assert_int_eq(tpi_data_sm_dec(maps.data, 10, 2), 0);
	ck_assert_int_eq(WAIT(&maps, tpi_data_sm_prepare_close(maps.data)), 0);
	ck_assert_uint_eq(tpi_data_sm_nr_changes(maps.data), 0);
	ck_assert(tpi_data_sm_was_dropped(maps.data, 10));
	ck_assert_uint_eq(count(&maps, 10), 0);
	ck_assert_int_eq(alloc(&maps, 0, 1, &begin, &nr), -ENOSPC);
	ck_assert_int_eq(tpi_data_sm_mark_discarded(maps.data, 10, 2), 0);
	ck_assert_int_eq(tpi_data_sm_inc(maps.data, 20, 1), 0);
	ck_assert_int_eq(maps_close(&maps), 0);
	maps_write(&maps);
	counts[10] = counts[11] = 0;
	counts[20]++;
	maps_check_disk(&maps, NULL, counts);

	tpi_data_sm_take_freed(maps.data, &runs, &nr_runs);
	ck_assert_uint_eq(nr_runs, 1);
	ck_assert_uint_eq(runs[0].begin, 10);
	ck_assert_uint_eq(runs[0].nr, 2);
	ck_assert(runs[0].discarded);
	free(runs);
	maps_exit(&maps);
}
END_TEST

/* references counted by whoever did not ask the allocator. */
START_TEST(test_a_block_counted_without_being_handed_out_is_not_handed_out)
{
	uint32_t counts[1000] = { 0 };
	tp_dblock begin, nr;
	struct maps maps;

	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, 1000, CACHE_BYTES);
	maps_commit(&maps);
	ck_assert_int_eq(tpi_data_sm_inc(maps.data, 0, 5), 0);
	ck_assert_int_eq(tpi_data_sm_inc(maps.data, 10, 1), 0);
	ck_assert_int_eq(alloc(&maps, 0, 100, &begin, &nr), 0);
	ck_assert_uint_eq(begin, 5);
	ck_assert_uint_eq(nr, 5);
	ck_assert_int_eq(tpi_data_sm_dec(maps.data, 0, 2), 0);
	for (begin = 2; begin < 11; begin++)
		counts[begin] = begin < 5 || begin == 10;
	maps_commit(&maps);
	maps_check_disk(&maps, NULL, counts);
	ck_assert_int_eq(alloc(&maps, 0, 100, &begin, &nr), 0);
	ck_assert_uint_eq(begin, 0);
	ck_assert_uint_eq(nr, 2);
	maps_exit(&maps);
}
END_TEST

/*---------------------------- counting -------------------------------------*/

/* SNP-06: counts walk up past three and back, each step a transaction. */
START_TEST(test_counts_walk_to_six_and_back)
{
	uint32_t counts[17000] = { 0 };
	struct maps maps;
	unsigned step;
	tp_dblock i;

	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, 17000, CACHE_BYTES);
	provision(&maps, counts, 17000);
	for (step = 0; step < 10; step++) {
		commit_and_check(&maps, counts);
		for (i = 0; i < 17000; i += 40) {
			if (step < 5)
				ck_assert_int_eq(
					tpi_data_sm_inc(maps.data, i, 3), 0);
			else
				ck_assert_int_eq(
					tpi_data_sm_dec(maps.data, i, 3), 0);
			for (tp_dblock j = i; j < i + 3; j++)
				counts[j] += step < 5 ? 1 : -1;
		}
	}
	commit_and_check(&maps, counts);
	maps_exit(&maps);
}
END_TEST

START_TEST(test_many_references_come_and_go_in_one_transaction)
{
	uint32_t counts[1000] = { 0 };
	struct maps maps;
	unsigned i;

	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, 1000, CACHE_BYTES);
	provision(&maps, counts, 1);
	for (i = 0; i < 70000; i++)
		EXPECT(!tpi_data_sm_inc(maps.data, 0, 1));
	counts[0] = 70001;
	ck_assert_uint_eq(count(&maps, 0), 70001);
	commit_and_check(&maps, counts);
	for (i = 0; i < 70001; i++)
		EXPECT(!tpi_data_sm_dec(maps.data, 0, 1));
	counts[0] = 0;
	commit_and_check(&maps, counts);
	maps_exit(&maps);
}
END_TEST

/* More overflow leaves and bitmaps than the cache holds: closing must not wait
 * for all of them to be there at once. */
START_TEST(test_maps_larger_than_the_cache_are_closed)
{
	const tp_dblock nr_blocks = 80 * TPI_BITMAP_ENTRIES;
	uint32_t *counts = calloc(nr_blocks, sizeof(*counts));
	struct maps maps;
	tp_dblock i;

	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, nr_blocks, CACHE_BYTES);
	maps_commit(&maps);
	for (i = 0; i < nr_blocks; i += 70) {
		EXPECT(!tpi_data_sm_inc(maps.data, i, 1));
		EXPECT(!tpi_data_sm_inc(maps.data, i, 1));
		EXPECT(!tpi_data_sm_inc(maps.data, i, 1));
		counts[i] = 3;
	}
	commit_and_check(&maps, counts);
	for (i = 0; i < nr_blocks; i += 700) {
		EXPECT(!tpi_data_sm_inc(maps.data, i, 1));
		counts[i]++;
	}
	commit_and_check(&maps, counts);
	for (i = 0; i < nr_blocks; i += 140) {
		EXPECT(!tpi_data_sm_dec(maps.data, i, 1));
		counts[i]--;
	}
	commit_and_check(&maps, counts);
	free(counts);
	maps_exit(&maps);
}
END_TEST

START_TEST(test_counts_stay_between_zero_and_the_end)
{
	uint32_t counts[1000] = { 0 }, result;
	struct maps maps;

	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, 1000, CACHE_BYTES);
	provision(&maps, counts, 10);
	commit_and_check(&maps, counts);
	ck_assert_int_eq(tpi_data_sm_inc(maps.data, 999, 2), -EILSEQ);
	ck_assert_int_eq(tpi_data_sm_dec(maps.data, 1001, 0), -EILSEQ);
	ck_assert_int_eq(tpi_data_sm_dec(maps.data, 5, UINT64_MAX), -EILSEQ);
	ck_assert_int_eq(tpi_data_sm_mark_discarded(maps.data, 1000, 1),
			 -EILSEQ);
	ck_assert_int_eq(tpi_data_sm_count(maps.data, 1000, &result), -EILSEQ);
	ck_assert_int_eq(tpi_data_sm_dec(maps.data, 9, 1), 0);
	ck_assert_int_eq(tpi_data_sm_dec(maps.data, 9, 1), 0);
	ck_assert_int_eq(WAIT(&maps, tpi_data_sm_count(maps.data, 9, &result)),
			 -EILSEQ);
	ck_assert_int_eq(maps_close(&maps), -EILSEQ);

	/* The abort that follows. */
	ck_assert_int_eq(maps_reopen(&maps), 0);
	check_counts(&maps, counts);
	maps_exit(&maps);
}
END_TEST

/* B-META-6: metadata runs out while closing; an abort brings T(c) back. */
START_TEST(test_running_out_of_metadata_is_an_error_to_abort_on)
{
	uint32_t counts[1000] = { 0 };
	struct maps maps;
	tp_mblock block;

	maps_format(&maps, 100, 100, 1000, CACHE_BYTES);
	provision(&maps, counts, 500);
	maps_commit(&maps);
	while (!maps.guard.ops->alloc(&maps.guard, &block))
		;
	ck_assert_int_eq(tpi_data_sm_dec(maps.data, 0, 10), 0);
	ck_assert_int_eq(maps_close(&maps), -ENOSPC);
	ck_assert_int_eq(maps_reopen(&maps), 0);
	check_counts(&maps, counts);
	maps_exit(&maps);
}
END_TEST

/*---------------------------- a random walk --------------------------------*/

#define WALK_BLOCKS 34000

/* What should be so. */
struct model {
	uint32_t running[WALK_BLOCKS]; /* counts */
	uint32_t closed[WALK_BLOCKS];
	bool held[WALK_BLOCKS];      /* withheld: handed out, or freed */
	bool discarded[WALK_BLOCKS]; /* in the running transaction */
	bool touched[WALK_BLOCKS];   /* counted in the running transaction */
	struct tpi_freed_run *freed; /* to be released some day */
	size_t nr_freed;
};

static void walk_alloc(struct maps *maps, struct model *model)
{
	tp_dblock begin, nr, i, end;

	EXPECT(!alloc(maps, chance(WALK_BLOCKS), 1 + chance(200), &begin, &nr));
	end = begin + nr;
	for (i = begin; i < end; i++) {
		EXPECT(!model->running[i] && !model->closed[i]);
		EXPECT(!model->held[i]);
		model->held[i] = true;
	}

	switch (chance(4)) {
	case 0:
		tpi_data_sm_give_back(maps->data, begin, nr);
		memset(&model->held[begin], 0, nr);
		break;
	case 1: /* counted never, or by chance */
		break;
	default:
		EXPECT(!tpi_data_sm_inc(maps->data, begin, nr));
		for (i = begin; i < end; i++) {
			model->running[i] = 1;
			model->touched[i] = true;
		}
	}
}

static void walk_count(struct maps *maps, struct model *model)
{
	tp_dblock i = chance(WALK_BLOCKS), end;

	end = tpi_min(i + 1 + chance(30), WALK_BLOCKS);
	for (; i < end; i++) {
		if (!model->running[i])
			continue;
		if (model->running[i] < 6 && chance(2)) {
			EXPECT(!tpi_data_sm_inc(maps->data, i, 1));
			model->running[i]++;
		} else {
			EXPECT(!tpi_data_sm_dec(maps->data, i, 1));
			EXPECT(tpi_data_sm_was_dropped(maps->data, i));
			model->running[i]--;
			if (chance(2)) {
				EXPECT(!tpi_data_sm_mark_discarded(maps->data,
								   i, 1));
				model->discarded[i] = true;
			}
		}
		model->touched[i] = true;
	}
}

static void walk_a_little(struct maps *maps, struct model *model)
{
	unsigned nr = (unsigned)chance(60);

	while (nr--) {
		if (tpi_data_sm_nr_free(maps->data) > 2000 && chance(2))
			walk_alloc(maps, model);
		else
			walk_count(maps, model);
		if (!chance(40))
			EXPECT(!WAIT(maps,
				     tpi_data_sm_prepare_close(maps->data)));
	}
}

static void release_some(struct maps *maps, struct model *model)
{
	size_t i, kept = 0;

	for (i = 0; i < model->nr_freed; i++) {
		struct tpi_freed_run run = model->freed[i];

		if (chance(3)) {
			model->freed[kept++] = run;
			continue;
		}
		tpi_data_sm_release(maps->data, run.begin, run.nr);
		memset(&model->held[run.begin], 0, run.nr);
	}
	model->nr_freed = kept;
}

/* The runs of what this transaction freed, no more, no less, in order. */
static void take_freed(struct maps *maps, struct model *model)
{
	struct tpi_freed_run *runs;
	tp_dblock i, at = 0;
	size_t r, nr;

	tpi_data_sm_take_freed(maps->data, &runs, &nr);
	for (r = 0; r < nr; r++) {
		for (; at < runs[r].begin; at++)
			EXPECT(!model->touched[at] || model->running[at]);
		for (i = 0; i < runs[r].nr; i++, at++) {
			EXPECT(model->touched[at] && !model->running[at]);
			EXPECT(model->discarded[at] == runs[r].discarded);
			model->held[at] = true;
		}
	}
	for (; at < WALK_BLOCKS; at++)
		EXPECT(!model->touched[at] || model->running[at]);

	model->freed = realloc(model->freed, (model->nr_freed + nr + 1) *
						     sizeof(*model->freed));
	if (nr)
		memcpy(model->freed + model->nr_freed, runs,
		       nr * sizeof(*runs));
	model->nr_freed += nr;
	free(runs);
}

/* Blocks that got their first reference are withheld no longer. */
static void model_close(struct maps *maps, struct model *model)
{
	tp_dblock i;

	take_freed(maps, model);
	memcpy(model->closed, model->running, sizeof(model->closed));
	memset(model->touched, 0, sizeof(model->touched));
	memset(model->discarded, 0, sizeof(model->discarded));
	for (i = 0; i < WALK_BLOCKS; i++)
		if (model->running[i])
			model->held[i] = false;
}

static void model_check(struct maps *maps, const struct model *model)
{
	tp_dblock i, nr_used = 0, nr_held = 0;

	for (i = 0; i < WALK_BLOCKS; i++) {
		nr_used += model->running[i] != 0;
		nr_held += model->held[i];
		if (chance(100) == 0)
			EXPECT(count(maps, i) == model->running[i]);
	}
	ck_assert_uint_eq(tpi_data_sm_nr_used(maps->data), nr_used);
	ck_assert_uint_eq(tpi_data_sm_nr_free(maps->data),
			  WALK_BLOCKS - nr_used - nr_held);
}

/* A crash, or an orderly end: nothing is withheld any more. */
static void walk_reopen(struct maps *maps, struct model *model)
{
	ck_assert_int_eq(maps_reopen(maps), 0);
	memset(model->held, 0, sizeof(model->held));
	model->nr_freed = 0;
	model_check(maps, model);
}

START_TEST(test_a_random_walk_keeps_all_counts)
{
	struct model *model = calloc(1, sizeof(*model));
	unsigned round;
	struct maps maps;

	maps_format(&maps, NR_MBLOCKS, NR_MBLOCKS, WALK_BLOCKS, CACHE_BYTES);
	for (round = 0; round < 60; round++) {
		walk_a_little(&maps, model);
		ck_assert_int_eq(maps_close(&maps), 0);
		model_close(&maps, model);
		model_check(&maps, model);
		if (chance(2))
			walk_a_little(&maps, model);
		maps_write(&maps);
		maps_check_disk(&maps, NULL, model->closed);
		release_some(&maps, model);
		if (!memcmp(model->closed, model->running,
			    sizeof(model->closed)) &&
		    !tpi_data_sm_nr_changes(maps.data) && chance(2))
			walk_reopen(&maps, model);
	}
	free(model->freed);
	free(model);
	maps_exit(&maps);
}
END_TEST

int main(void)
{
	int failed;

	chance_init();
	failed = RUN_TESTS(
		"data-space-map", 1, test_a_new_map_is_free_from_end_to_end,
		test_runs_begin_at_the_hint_and_go_up_to_what_is_taken,
		test_every_block_is_handed_out_once,
		test_a_map_without_blocks_grows_and_allocates,
		test_growing_in_steps_keeps_all_counts,
		test_a_block_handed_out_is_not_counted_by_a_close,
		test_a_freed_block_is_withheld_until_it_is_released,
		test_a_block_counted_and_dropped_in_one_transaction_is_freed,
		test_what_was_prepared_is_still_part_of_the_transaction,
		test_a_block_counted_without_being_handed_out_is_not_handed_out,
		test_counts_walk_to_six_and_back,
		test_many_references_come_and_go_in_one_transaction,
		test_maps_larger_than_the_cache_are_closed,
		test_counts_stay_between_zero_and_the_end,
		test_running_out_of_metadata_is_an_error_to_abort_on);
	failed |= RUN_TESTS("data-space-map, at random", 5,
			    test_a_random_walk_keeps_all_counts);

	return failed;
}
