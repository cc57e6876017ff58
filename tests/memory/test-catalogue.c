/*
 * No memory while volumes are made, named and deleted: the thin and what the
 * catalogue says of it change together, or not at all (F-19).
 */
#include "memory/sweep.h"

static struct world *const w = &sweep_world;
static struct tp_catalogue *catalogue;

/* Blocks: a page and the spare. */
#define CATALOGUE_BLOCKS 2

static int open_catalogue(void)
{
	return tp_catalogue_open(w->pool, &catalogue);
}

static bool has(const char *name)
{
	struct tp_volume volume = TP_VOLUME_INIT;
	int r;

	ck_ok(open_catalogue());
	r = tp_catalogue_find(catalogue, name, &volume);
	tp_catalogue_close(catalogue);
	ck_assert(!r || r == -ENODATA);

	return !r;
}

static void begin(void)
{
	ck_ok(open_catalogue());
	ck_ok(tp_catalogue_create(catalogue, "old", SWEEP_THIN_BYTES, 0, NULL));
	tp_catalogue_close(catalogue);
}

static int with_catalogue(int (*change)(void))
{
	int r = open_catalogue();

	if (r)
		return r;
	r = change();
	tp_catalogue_close(catalogue);

	return r;
}

/*---------------------------- changes --------------------------------------*/

static int create_new(void)
{
	return tp_catalogue_create(catalogue, "new", SWEEP_THIN_BYTES, 0, NULL);
}

static int create(void)
{
	return with_catalogue(create_new);
}

static bool is_created(void)
{
	return has("new");
}

START_TEST(test_the_first_volume_is_created_or_not)
{
	sweep_pool(_i, &(struct sweep){ .call = create,
					.is_done = is_created,
					.nr_blocks = CATALOGUE_BLOCKS });
}
END_TEST

START_TEST(test_another_volume_is_created_or_not)
{
	sweep_pool(_i, &(struct sweep){ .begin = begin,
					.call = create,
					.is_done = is_created,
					.nr_blocks = CATALOGUE_BLOCKS });
}
END_TEST

static int snapshot_old(void)
{
	return tp_catalogue_snapshot(catalogue, "old", "new", NULL);
}

static int snapshot(void)
{
	return with_catalogue(snapshot_old);
}

START_TEST(test_a_snapshot_is_taken_and_named_or_not)
{
	sweep_pool(_i, &(struct sweep){ .begin = begin,
					.call = snapshot,
					.is_done = is_created,
					.nr_blocks = CATALOGUE_BLOCKS });
}
END_TEST

static int adopt_plain(void)
{
	return tp_catalogue_adopt(catalogue, PLAIN, "new", SWEEP_THIN_BYTES);
}

static int adopt(void)
{
	return with_catalogue(adopt_plain);
}

START_TEST(test_a_thin_is_given_a_name_or_not)
{
	sweep_pool(_i, &(struct sweep){ .begin = begin,
					.call = adopt,
					.is_done = is_created,
					.nr_blocks = CATALOGUE_BLOCKS });
}
END_TEST

static int rename_old(void)
{
	return tp_catalogue_rename(catalogue, "old", "new");
}

static int change_name(void)
{
	return with_catalogue(rename_old);
}

static bool is_renamed(void)
{
	ck_assert(has("old") != has("new"));

	return has("new");
}

START_TEST(test_a_volume_is_renamed_or_not)
{
	sweep_pool(_i, &(struct sweep){ .begin = begin,
					.call = change_name,
					.is_done = is_renamed,
					.nr_blocks = CATALOGUE_BLOCKS });
}
END_TEST

static int resize_old(void)
{
	return tp_catalogue_resize(catalogue, "old", 2 * SWEEP_THIN_BYTES);
}

static int resize(void)
{
	return with_catalogue(resize_old);
}

static bool is_resized(void)
{
	struct tp_volume volume = TP_VOLUME_INIT;

	ck_ok(open_catalogue());
	ck_ok(tp_catalogue_find(catalogue, "old", &volume));
	tp_catalogue_close(catalogue);

	return volume.size == 2 * SWEEP_THIN_BYTES;
}

START_TEST(test_a_volume_is_resized_or_not)
{
	sweep_pool(_i, &(struct sweep){ .begin = begin,
					.call = resize,
					.is_done = is_resized,
					.nr_blocks = CATALOGUE_BLOCKS });
}
END_TEST

static int delete_old(void)
{
	return tp_catalogue_delete(catalogue, "old");
}

static int delete (void)
{
	return with_catalogue(delete_old);
}

static bool is_deleted(void)
{
	return !has("old");
}

/* The last entry of a page: the page goes, too; the spare stays. */
START_TEST(test_a_volume_is_deleted_or_not)
{
	sweep_pool(_i, &(struct sweep){ .begin = begin,
					.call = delete,
					.is_done = is_deleted,
					.nr_blocks = CATALOGUE_BLOCKS - 1 });
}
END_TEST

/*---------------------------- looking --------------------------------------*/

static int take_volume(const struct tp_volume *volume, void *context)
{
	unsigned *nr = context;

	(*nr)++;

	return 0;
}

static int list_all(void)
{
	unsigned nr = 0;
	int r = tp_catalogue_list(catalogue, take_volume, &nr);

	if (!r)
		ck_assert_uint_eq(nr, 5);

	return r;
}

static int list(void)
{
	return with_catalogue(list_all);
}

START_TEST(test_volumes_are_listed_or_not)
{
	sweep_pool(_i, &(struct sweep){ .begin = begin,
					.call = list,
					.nr_blocks = CATALOGUE_BLOCKS,
					.has_no_effect = true });
}
END_TEST

static int open_old(void)
{
	struct tp_thin *thin;
	int r = tp_catalogue_open_thin(catalogue, "old", NULL, &thin);

	if (!r)
		ck_ok(tp_thin_close(thin));

	return r;
}

static int open_by_name(void)
{
	return with_catalogue(open_old);
}

START_TEST(test_a_volume_is_opened_by_name_or_not)
{
	sweep_pool(_i, &(struct sweep){ .begin = begin,
					.call = open_by_name,
					.nr_blocks = CATALOGUE_BLOCKS,
					.has_no_effect = true });
}
END_TEST

int main(void)
{
	return RUN_TESTS("memory-catalogue", NR_KINDS,
			 test_the_first_volume_is_created_or_not,
			 test_another_volume_is_created_or_not,
			 test_a_snapshot_is_taken_and_named_or_not,
			 test_a_thin_is_given_a_name_or_not,
			 test_a_volume_is_renamed_or_not,
			 test_a_volume_is_resized_or_not,
			 test_a_volume_is_deleted_or_not,
			 test_volumes_are_listed_or_not,
			 test_a_volume_is_opened_by_name_or_not);
}
