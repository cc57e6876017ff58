/*
 * A pool that runs out of metadata while volumes are made by name: a change that
 * there is no room for is refused before it begins, and what is there stays as
 * it was (B-META-6).
 */
#include <stdio.h>

#include "support/world.h"

#define METADATA_BYTES (256 * KIB)
#define VOLUME_BYTES MIB

static struct world w;

typedef int (*change_fn)(struct tp_catalogue *catalogue, const char *name,
			 uint32_t nr);

static int create(struct tp_catalogue *catalogue, const char *name, uint32_t nr)
{
	return tp_catalogue_create(catalogue, name, VOLUME_BYTES, 0, NULL);
}

static int snapshot(struct tp_catalogue *catalogue, const char *name,
		    uint32_t nr)
{
	return tp_catalogue_snapshot(catalogue, "base", name, NULL);
}

/* Thins take most of the room, and a name is for the last. */
static int adopt(struct tp_catalogue *catalogue, const char *name, uint32_t nr)
{
	uint32_t id = 1000 + nr;
	int r = tp_pool_create_thin(w.pool, id);

	return r ? r : tp_catalogue_adopt(catalogue, id, name, VOLUME_BYTES);
}

/* What they may fail with: full now, or the mode that says so. */
static void change_until_full(struct tp_catalogue *catalogue, change_fn change)
{
	char name[32];
	int r = 0;

	for (uint32_t i = 0; !r; i++) {
		ck_assert_uint_lt(i, 10000);
		snprintf(name, sizeof(name), "a volume with the number %u", i);
		r = change(catalogue, name, i);
	}
	ck_assert_msg(r == -ENOSPC || r == -EOPNOTSUPP, "%d, %s", r,
		      tp_last_error());
	ck_assert_int_lt(world_status(&w).mode, TP_MODE_READ_ONLY);
	ck_assert(!world_status(&w).needs_check);
}

START_TEST(test_volumes_are_refused_before_metadata_runs_out)
{
	static const change_fn changes[] = { create, snapshot, adopt };
	struct tp_catalogue *catalogue;

	for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		world_make_sized(&w, _i, METADATA_BYTES, 64 * MIB, NULL);
		world_format(&w);
		world_open(&w);
		ck_ok(tp_catalogue_open(w.pool, &catalogue));
		ck_ok(tp_catalogue_create(catalogue, "base", VOLUME_BYTES, 0,
					  NULL));
		change_until_full(catalogue, changes[i]);
		tp_catalogue_close(catalogue);
		world_end(&w);
	}
}
END_TEST

/* The first name makes the catalogue too. */
START_TEST(test_the_first_name_is_refused_before_metadata_runs_out)
{
	struct tp_catalogue *catalogue;
	uint32_t nr_thins = 0;
	int r = 0;

	while (!r) {
		world_make_sized(&w, _i, METADATA_BYTES, 64 * MIB, NULL);
		world_format(&w);
		world_open(&w);
		ck_ok(tp_pool_create_thin(w.pool, 0));
		for (uint32_t id = 1; id < nr_thins; id++)
			tp_pool_create_thin(w.pool, id);
		ck_ok(tp_catalogue_open(w.pool, &catalogue));
		r = tp_catalogue_adopt(catalogue, 0, "first", VOLUME_BYTES);
		ck_assert_msg(!r || r == -ENOSPC || r == -EOPNOTSUPP, "%d", r);
		ck_assert_int_lt(world_status(&w).mode, TP_MODE_READ_ONLY);
		tp_catalogue_close(catalogue);
		world_end_unchecked(&w);
		nr_thins++;
	}
	ck_assert_uint_gt(nr_thins, 10);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"full-metadata", NR_KINDS,
		test_volumes_are_refused_before_metadata_runs_out,
		test_the_first_name_is_refused_before_metadata_runs_out);
}
