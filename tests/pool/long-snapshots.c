/*
 * A thousand snapshots; metadata snapshots under load; discards against writers.
 */
#include <pthread.h>
#include <stdlib.h>

#include "support/world.h"

#define NR_BLOCKS 8
#define THIN_BYTES (NR_BLOCKS * WORLD_BLOCK)

static struct world w;
static atomic_bool stop;

/* SNP-05, CRE-02: all but the two that are written stay as they were. */
START_TEST(test_of_a_thousand_snapshots_each_shows_its_own)
{
	struct tp_thin *thin, *snapshot;

	world_make_sized(&w, _i, 8 * MIB, 16 * MIB, NULL);
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 1);
	for (uint32_t id = 1; id < 1000; id++)
		ck_ok(tp_pool_create_snapshot(w.pool, id, 0));
	snapshot = world_open_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 2);
	thin_fill(snapshot, 0, THIN_BYTES, 3);
	thin_verify(thin, 0, THIN_BYTES, 2);
	thin_verify(snapshot, 0, THIN_BYTES, 3);
	thins_close(thin, snapshot);
	for (uint32_t id = 2; id < 1000; id++) {
		snapshot = world_open_thin(&w, id, THIN_BYTES);
		thin_verify(snapshot, 0, THIN_BYTES, 1);
		ck_ok(tp_thin_close(snapshot));
	}
	ck_assert_uint_eq(world_used(&w), 3 * NR_BLOCKS);
	world_end(&w);
}
END_TEST

/*---------------------------- metadata snapshots ---------------------------*/

static void *write_until_stopped(void *context)
{
	struct tp_thin *thin = context;
	uint64_t random = 3;

	while (!stop) {
		uint64_t at = random_in(&random, 0, THIN_BYTES / 512) * 512;

		if (at % WORLD_BLOCK)
			thin_fill(thin, at, 512, 1);
		else
			ck_ok(tp_thin_discard(thin, at, WORLD_BLOCK));
	}

	return NULL;
}

static void reserve_and_release(void)
{
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	ck_assert_uint_ne(world_status(&w).held_root, 0);
	ck_ok(tp_pool_release_metadata_snapshot(w.pool));
	ck_assert_uint_eq(world_status(&w).held_root, 0);
}

/* MSN-05: 100 of them while a writer goes on, in one pool after another. */
START_TEST(test_metadata_snapshots_come_and_go_under_a_writer)
{
	for (unsigned pool = 0; pool < 5; pool++) {
		struct tp_thin *thin;
		pthread_t writer;

		world_begin(&w, OWN_THREAD);
		thin = world_new_thin(&w, 0, THIN_BYTES);
		stop = false;
		pthread_create(&writer, NULL, write_until_stopped, thin);
		for (unsigned i = 0; i < 100; i++)
			reserve_and_release();
		stop = true;
		pthread_join(writer, NULL);
		ck_ok(tp_thin_close(thin));
		world_end(&w);
	}
}
END_TEST

static void *make_and_delete(void *context)
{
	uint32_t id = 1;

	while (!stop) {
		struct tp_thin *thin = world_new_thin(&w, id, THIN_BYTES);

		thin_fill(thin, 0, THIN_BYTES, id);
		thin_verify(thin, 0, THIN_BYTES, id);
		ck_ok(tp_thin_close(thin));
		ck_ok(tp_pool_create_snapshot(w.pool, id + 1, id));
		ck_ok(tp_pool_delete_thin(w.pool, id));
		ck_ok(tp_pool_delete_thin(w.pool, id + 1));
		id += 2;
	}

	return context;
}

/* MSN-07: while thins are made, filled and deleted. */
START_TEST(test_metadata_snapshots_come_and_go_while_thins_do)
{
	pthread_t maker;

	world_begin(&w, OWN_THREAD);
	stop = false;
	pthread_create(&maker, NULL, make_and_delete, NULL);
	for (unsigned i = 0; i < 200; i++)
		reserve_and_release();
	stop = true;
	pthread_join(maker, NULL);
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, !world_used(&w));
	world_end(&w);
}
END_TEST

/*---------------------------- discards against writers ---------------------*/

#define NR_ROUNDS 2000u

struct party {
	struct tp_thin *thin;
	uint64_t random, seed; /* 0: it discards */
};

static void *take_part(void *context)
{
	struct party *party = context;

	for (unsigned i = 0; i < NR_ROUNDS; i++) {
		uint64_t at =
			random_in(&party->random, 0, THIN_BYTES / 512) * 512;
		uint64_t length =
			random_in(&party->random, 1, 2 * WORLD_BLOCK / 512) *
			512;

		if (length > THIN_BYTES - at)
			length = THIN_BYTES - at;
		if (party->seed)
			thin_fill(party->thin, at, length, party->seed);
		else
			ck_ok(tp_thin_discard(party->thin, at, length));
	}

	return NULL;
}

static bool is_of_somebody(const char *sector, uint64_t at)
{
	return find_nonzero(sector, 512, at) == UINT64_MAX ||
	       find_other(sector, 512, at, 1) == UINT64_MAX ||
	       find_other(sector, 512, at, 2) == UINT64_MAX;
}

/* DSC-17: two writers, two that discard: each sector is what one of the writers
 * put there, or zero, and the counts are right. */
START_TEST(test_random_discards_against_writers_leave_each_sector_whole)
{
	static char bytes[THIN_BYTES];
	struct party parties[4];
	pthread_t threads[4];
	struct tp_thin *thin;

	world_begin(&w, OWN_THREAD);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	for (unsigned i = 0; i < 4; i++) {
		parties[i] = (struct party){ thin, 7 + i, i < 2 ? 1 + i : 0 };
		pthread_create(&threads[i], NULL, take_part, &parties[i]);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_ok(tp_thin_read(thin, bytes, THIN_BYTES, 0));
	for (uint64_t at = 0; at < THIN_BYTES; at += 512)
		ck_assert_msg(is_of_somebody(bytes + at, at),
			      "the sector at %llu is nobody's",
			      (unsigned long long)at);
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, world_used(&w) == thin_mapped(thin) / WORLD_BLOCK);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"snapshots", NR_KINDS,
		test_of_a_thousand_snapshots_each_shows_its_own,
		test_metadata_snapshots_come_and_go_under_a_writer,
		test_metadata_snapshots_come_and_go_while_thins_do,
		test_random_discards_against_writers_leave_each_sector_whole);
}
