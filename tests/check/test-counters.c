/*
 * How often data blocks are referred to: the counts are those of a dumb array,
 * whatever is counted, in however many threads; and blocks that are all referred
 * to equally often take no memory of their own.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "check/counters.h"
#include "support/pattern.h"
#include "support/run-tests.h"

#define ck_ok(call) ck_assert_int_eq(call, 0)

/* Two bitmaps, and a bit: the last page is not whole. */
#define NR_BLOCKS (2ull * TPI_BITMAP_ENTRIES + 1000)
#define NR_THREADS 4

/*---------------------------- beside a model -------------------------------*/

static void count_run(struct tpi_counters *counters, uint32_t *model,
		      uint64_t begin, uint64_t nr)
{
	uint64_t end = tpi_min(begin + nr, NR_BLOCKS);

	tpi_counters_add(counters, begin, end);
	while (begin < end)
		model[begin++]++;
}

static unsigned model_word(const uint32_t *model, uint64_t begin,
			   uint64_t *word)
{
	struct tpi_disk_bitmap bitmap = { 0 };
	unsigned nr_large = 0;

	for (unsigned i = 0; i < 32; i++) {
		nr_large += model[begin + i] >= TPI_LARGE_COUNT;
		tpi_bitmap_set(&bitmap, i,
			       (unsigned)tpi_min(model[begin + i], 3));
	}
	*word = le64_get(bitmap.words[0]);

	return nr_large;
}

static void compare_words(const struct tpi_counters *counters,
			  const uint32_t *model)
{
	uint64_t word, expected;

	for (uint64_t i = 0; i + 32 <= NR_BLOCKS; i += 32) {
		unsigned nr_large = model_word(model, i, &expected);

		if (!tpi_counters_word(counters, i, &word))
			continue;
		ck_assert_uint_eq(nr_large, 0);
		ck_assert_uint_eq(word, expected);
	}
}

static void compare(const struct tpi_counters *counters, const uint32_t *model)
{
	uint64_t nr_shared = 0, shared = 0;

	for (uint64_t i = 0; i < NR_BLOCKS; i++) {
		if (i % 64 == 0)
			shared = tpi_counters_shared(counters, i);
		ck_assert_uint_eq(tpi_counters_get(counters, i), model[i]);
		ck_assert_uint_eq(shared >> i % 64 & 1, model[i] > 1);
		nr_shared += model[i] > 1;
	}
	ck_assert_uint_eq(atomic_load(&counters->nr_shared), nr_shared);
	ck_assert_uint_eq(tpi_counters_get(counters, NR_BLOCKS), 0);
	compare_words(counters, model);
}

START_TEST(test_counts_are_those_of_a_dumb_array)
{
	uint64_t state = seed_from_environment(4711);
	uint32_t *model = calloc(NR_BLOCKS, sizeof(*model));
	struct tpi_counters counters = { 0 };

	ck_ok(tpi_counters_init(&counters, NR_BLOCKS));
	for (unsigned round = 0; round < 12; round++) {
		for (unsigned i = 0; i < 300; i++)
			count_run(&counters, model,
				  random_in(&state, 0, NR_BLOCKS),
				  random_in(&state, 1, 300));
		if (round % 3 == 2)
			count_run(&counters, model, 0, NR_BLOCKS);
		compare(&counters, model);
	}

	/* One block very often. */
	for (unsigned i = 0; i < 70000; i++)
		count_run(&counters, model, 5, 1);
	count_run(&counters, model, 0, NR_BLOCKS);
	compare(&counters, model);
	ck_assert(!atomic_load(&counters.out_of_memory));
	tpi_counters_exit(&counters);
	free(model);
}
END_TEST

/* As of the counts in an overflow tree. */
START_TEST(test_counts_of_any_size_can_be_set)
{
	static const uint32_t sizes[] = { 1, 2, 3, 15, 16, 255, 70000 };
	uint64_t state = seed_from_environment(42);
	uint32_t *model = calloc(NR_BLOCKS, sizeof(*model));
	struct tpi_counters counters = { 0 };

	ck_ok(tpi_counters_init(&counters, NR_BLOCKS));
	for (uint64_t i = 0; i < NR_BLOCKS; i++) {
		uint64_t chosen = random_in(&state, 0, 40);

		if (i >= TPI_COUNTERS_PAGE && chosen >= TPI_ARRAY_SIZE(sizes))
			continue;
		model[i] = sizes[chosen % TPI_ARRAY_SIZE(sizes)];
		tpi_counters_set(&counters, i, model[i]);
	}
	compare(&counters, model);
	for (uint64_t i = 0; i + 32 <= NR_BLOCKS; i += 32) {
		uint32_t any = 0;

		for (unsigned j = 0; j < 32; j++)
			any |= model[i + j];
		ck_assert(tpi_counters_are_zero(&counters, i) == !any);
	}
	tpi_counters_exit(&counters);
	free(model);
}
END_TEST

START_TEST(test_blocks_with_equal_counts_take_no_memory)
{
	uint32_t *model = calloc(NR_BLOCKS, sizeof(*model));
	struct tpi_counters counters = { 0 };

	ck_ok(tpi_counters_init(&counters, NR_BLOCKS));
	for (unsigned round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < NR_BLOCKS; i += 252)
			count_run(&counters, model, i, 252);
		for (size_t i = 0; i < counters.nr_pages; i++)
			ck_assert_ptr_null(
				(void *)atomic_load(&counters.pages[i].words));
		compare(&counters, model);
	}
	tpi_counters_exit(&counters);
	free(model);
}
END_TEST

/*---------------------------- threads --------------------------------------*/

static void *count_all(void *context)
{
	struct tpi_counters *counters = context;

	for (unsigned step = 1; step <= 3; step++)
		for (uint64_t i = 0; i + 7 <= NR_BLOCKS; i += 7 * step)
			tpi_counters_add(counters, i, i + 7);

	return NULL;
}

START_TEST(test_threads_do_not_lose_counts_of_each_other)
{
	struct tpi_counters counters = { 0 }, alone = { 0 };
	pthread_t threads[NR_THREADS];

	ck_ok(tpi_counters_init(&counters, NR_BLOCKS));
	ck_ok(tpi_counters_init(&alone, NR_BLOCKS));
	for (unsigned i = 0; i < NR_THREADS; i++)
		ck_ok(pthread_create(&threads[i], NULL, count_all, &counters));
	for (unsigned i = 0; i < NR_THREADS; i++)
		ck_ok(pthread_join(threads[i], NULL));
	for (unsigned i = 0; i < NR_THREADS; i++)
		count_all(&alone);
	for (uint64_t i = 0; i < NR_BLOCKS; i++)
		ck_assert_uint_eq(tpi_counters_get(&counters, i),
				  tpi_counters_get(&alone, i));
	ck_assert_uint_eq(atomic_load(&counters.nr_shared),
			  atomic_load(&alone.nr_shared));
	tpi_counters_exit(&counters);
	tpi_counters_exit(&alone);
}
END_TEST

int main(void)
{
	return RUN_TESTS("check/counters", 1,
			 test_counts_are_those_of_a_dumb_array,
			 test_counts_of_any_size_can_be_set,
			 test_blocks_with_equal_counts_take_no_memory,
			 test_threads_do_not_lose_counts_of_each_other);
}
