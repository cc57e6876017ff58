/*
 * Thins are opened, used and closed while the pool goes over all of them, for
 * commits, listings, snapshots and growth.
 */
#include <pthread.h>

#include "support/world.h"

#define NR_OPENERS 3u
#define NR_ROUNDS 150u
#define THIN_BYTES (16 * WORLD_BLOCK)

static struct world w;
static atomic_uint nr_at_work;

/* The first bio of a handle must not be missed: it may sleep until that ends. */
static void *open_and_close(void *context)
{
	uint32_t id = *(uint32_t *)context;

	for (unsigned i = 0; i < NR_ROUNDS; i++) {
		uint64_t at = i % 16 * WORLD_BLOCK;
		struct tp_thin *thin = world_open_thin(&w, id, THIN_BYTES);

		thin_fill(thin, at, WORLD_BLOCK / 2, id);
		if (i % 8 == 0)
			ck_ok(tp_thin_flush(thin));
		thin_verify(thin, at, WORLD_BLOCK / 2, id);
		ck_ok(tp_thin_close(thin));
	}
	nr_at_work--;

	return NULL;
}

static int look(const struct tp_thin_info *info, void *context)
{
	unsigned *nr = context;

	(void)info;
	++*nr;

	return 0;
}

static void go_over_all(unsigned i)
{
	unsigned nr = 0;

	ck_ok(tp_pool_list_thins(w.pool, look, &nr));
	ck_assert_uint_ge(nr, NR_OPENERS);
	ck_ok(tp_pool_create_snapshot(w.pool, 100, 1 + i % NR_OPENERS));
	ck_ok(tp_pool_delete_thin(w.pool, 100));
	ck_ok(tp_pool_grow_data(w.pool));
}

/* */
START_TEST(test_handles_come_and_go_while_the_pool_goes_over_them)
{
	pthread_t threads[NR_OPENERS];
	uint32_t ids[NR_OPENERS];
	unsigned nr_rounds = 0;

	world_make_sized(&w, OWN_THREAD, 2 * MIB, 64 * MIB, NULL);
	w.options.commit_interval_ms = 1;
	world_format(&w);
	world_open(&w);
	nr_at_work = NR_OPENERS;
	for (unsigned i = 0; i < NR_OPENERS; i++) {
		ids[i] = i + 1;
		ck_ok(tp_pool_create_thin(w.pool, ids[i]));
	}
	for (unsigned i = 0; i < NR_OPENERS; i++)
		ck_ok(pthread_create(&threads[i], NULL, open_and_close,
				     &ids[i]));
	while (nr_at_work)
		go_over_all(nr_rounds++);
	for (unsigned i = 0; i < NR_OPENERS; i++)
		ck_ok(pthread_join(threads[i], NULL));
	ck_assert_uint_gt(nr_rounds, 2);
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"handles", 1,
		test_handles_come_and_go_while_the_pool_goes_over_them);
}
