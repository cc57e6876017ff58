/*
 * The set of blocks to be read: the lowest are taken first, each once, however
 * many there are and wherever they lie.
 */
#include <stdlib.h>
#include <string.h>

#include "check/frontier.h"
#include "support/pattern.h"
#include "support/run-tests.h"

#define ck_ok(call) ck_assert_int_eq(call, 0)
#define END TPI_METADATA_BLOCKS_MAX
#define ROOM 100

static void add(struct tpi_frontier *frontier, char *model, tp_mblock block)
{
	tpi_frontier_add(frontier, block);
	model[block] = 1;
}

/* Must be what the model has, from @*at on. */
static void take(struct tpi_frontier *frontier, char *model, tp_mblock *at)
{
	tp_mblock blocks[ROOM];
	unsigned nr = tpi_frontier_take(frontier, blocks, ROOM);

	ck_assert_uint_gt(nr, 0);
	for (unsigned i = 0; i < nr; i++) {
		while (!model[*at])
			++*at;
		ck_assert_uint_eq(blocks[i], *at);
		model[*at] = 0;
	}
	ck_assert(nr == ROOM || !frontier->nr);
}

/* Some at both ends, some close to each other, some anywhere. */
static void fill(struct tpi_frontier *frontier, char *model, uint64_t *state)
{
	tp_mblock middle = random_in(state, 0, END - 2000);

	add(frontier, model, 0);
	add(frontier, model, END - 1);
	for (unsigned i = 0; i < 1000; i++) {
		add(frontier, model, middle + random_in(state, 0, 2000));
		add(frontier, model, random_in(state, 0, END));
	}
}

START_TEST(test_the_lowest_are_taken_first_and_each_once)
{
	uint64_t state = seed_from_environment(815);
	char *model = calloc(END, 1);
	struct tpi_frontier frontier;

	ck_ok(tpi_frontier_init(&frontier, END));
	for (unsigned round = 0; round < 5; round++) {
		tp_mblock at = 0, nr = 0;

		fill(&frontier, model, &state);
		for (tp_mblock i = 0; i < END; i++)
			nr += (unsigned char)model[i];
		ck_assert_uint_eq(frontier.nr, nr);
		while (frontier.nr)
			take(&frontier, model, &at);
		ck_assert_ptr_null(memchr(model, 1, END));
	}
	tpi_frontier_exit(&frontier);
	free(model);
}
END_TEST

int main(void)
{
	return RUN_TESTS("check/frontier", 1,
			 test_the_lowest_are_taken_first_and_each_once);
}
