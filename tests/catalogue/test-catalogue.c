/*
 * The catalogue over a real pool in memory: what it was told is there again
 * after closing everything, the pool is the truth, and whoever else makes thins
 * does not confuse it.  What a crash leaves is the pool's tests' to see.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thinpool/thinpool.h>

#include "catalogue/page.h"
#include "pool/change.h"
#include "support/run-tests.h"

#define METADATA_BYTES (32u << 20)
#define DATA_BYTES (64u << 20)
#define VOLUME_BYTES ((uint64_t)1 << 20)

static struct tp_device *metadata, *data;
static struct tp_pool *pool;
static struct tp_catalogue *catalogue;

/*---------------------------- a pool ---------------------------------------*/

static struct tp_pool_options options = TP_POOL_OPTIONS_INIT;

static void open_pool(void)
{
	ck_assert_int_eq(tp_pool_open(metadata, data, &options, &pool), 0);
}

static void open_catalogue(void)
{
	ck_assert_int_eq(tp_catalogue_open(pool, &catalogue), 0);
}

static void begin(void)
{
	ck_assert_int_eq(tp_device_open_memory(METADATA_BYTES, &metadata), 0);
	ck_assert_int_eq(tp_device_open_memory(DATA_BYTES, &data), 0);
	ck_assert_int_eq(tp_pool_format(metadata, data, NULL), 0);
	open_pool();
	open_catalogue();
}

static void close_all(void)
{
	tp_catalogue_close(catalogue);
	ck_assert_int_eq(tp_pool_close(pool), 0);
}

static void reopen(void)
{
	close_all();
	open_pool();
	open_catalogue();
}

static void end(void)
{
	close_all();
	tp_device_unref(data);
	tp_device_unref(metadata);
}

/*---------------------------- asking ---------------------------------------*/

static void create(const char *name)
{
	ck_assert_int_eq(
		tp_catalogue_create(catalogue, name, VOLUME_BYTES, 0, NULL), 0);
}

static struct tp_volume find(const char *name)
{
	struct tp_volume volume = TP_VOLUME_INIT;

	ck_assert_int_eq(tp_catalogue_find(catalogue, name, &volume), 0);
	ck_assert_str_eq(volume.name, name);

	return volume;
}

static bool is_there(const char *name)
{
	int r = tp_catalogue_find(catalogue, name, NULL);

	ck_assert(r == 0 || r == -ENODATA);

	return !r;
}

static int count_one(const struct tp_volume *volume, void *context)
{
	unsigned *nr = context;

	++*nr;

	return 0;
}

static unsigned nr_listed(void)
{
	unsigned nr = 0;

	ck_assert_int_eq(tp_catalogue_list(catalogue, count_one, &nr), 0);

	return nr;
}

static uint64_t used_data_blocks(void)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	ck_assert_int_eq(tp_pool_get_status(pool, &status), 0);

	return status.used_data_blocks;
}

/*---------------------------- making volumes -------------------------------*/

START_TEST(test_a_new_pool_has_an_empty_catalogue)
{
	begin();
	ck_assert_uint_eq(nr_listed(), 0);
	ck_assert(!is_there("base"));
	ck_assert_uint_eq(used_data_blocks(), 0);
	end();
}
END_TEST

START_TEST(test_a_volume_is_there_after_reopening)
{
	struct tp_volume made = TP_VOLUME_INIT, found;

	begin();
	ck_assert_int_eq(tp_catalogue_create(catalogue, "base", VOLUME_BYTES,
					     TP_VOLUME_READ_ONLY, &made),
			 0);
	ck_assert_uint_eq(made.struct_size, sizeof(made));
	ck_assert_str_eq(made.name, "base");
	ck_assert_uint_eq(made.id, 0);
	for (int i = 0; i < 2; i++) {
		found = find("base");
		ck_assert_mem_eq(&found, &made, sizeof(made));
		ck_assert_uint_eq(found.size, VOLUME_BYTES);
		ck_assert_uint_eq(found.flags, TP_VOLUME_READ_ONLY);
		ck_assert(!found.has_origin);
		reopen();
	}
	end();
}
END_TEST

START_TEST(test_a_snapshot_knows_its_origin)
{
	struct tp_volume snapshot;

	begin();
	ck_assert_int_eq(tp_catalogue_create(catalogue, "base", VOLUME_BYTES,
					     TP_VOLUME_READ_ONLY |
						     TP_VOLUME_EXTERNAL_ORIGIN,
					     NULL),
			 0);
	ck_assert_int_eq(tp_catalogue_snapshot(catalogue, "base", "s", NULL),
			 0);
	reopen();
	snapshot = find("s");
	ck_assert(snapshot.has_origin);
	ck_assert_uint_eq(snapshot.origin, find("base").id);
	ck_assert_uint_eq(snapshot.size, VOLUME_BYTES);
	/* It may be written, but shows what its origin shows. */
	ck_assert_uint_eq(snapshot.flags, TP_VOLUME_EXTERNAL_ORIGIN);

	ck_assert_int_eq(tp_catalogue_snapshot(catalogue, "none", "t", NULL),
			 -ENODATA);
	ck_assert_int_eq(tp_catalogue_snapshot(catalogue, "base", "s", NULL),
			 -EEXIST);
	end();
}
END_TEST

START_TEST(test_ids_are_the_lowest_free)
{
	begin();
	create("a");
	ck_assert_int_eq(tp_pool_create_thin(pool, 1), 0);
	create("b");
	create("c");
	ck_assert_uint_eq(find("b").id, 2);
	ck_assert_uint_eq(find("c").id, 3);
	ck_assert_int_eq(tp_catalogue_delete(catalogue, "a"), 0);
	create("d");
	ck_assert_uint_eq(find("d").id, 0);
	end();
}
END_TEST

START_TEST(test_a_name_is_taken_once)
{
	begin();
	create("a");
	ck_assert_int_eq(tp_catalogue_create(catalogue, "a", VOLUME_BYTES, 0,
					     NULL),
			 -EEXIST);
	ck_assert_uint_eq(nr_listed(), 1);
	ck_assert_ptr_nonnull(strstr(tp_last_error(), "\"a\""));
	end();
}
END_TEST

/* RSZ-09, among others. */
START_TEST(test_bad_arguments_change_nothing)
{
	struct tp_volume no_size = { 0 };

	begin();
	create("a");
	ck_assert_int_eq(tp_catalogue_create(catalogue, "", 512, 0, NULL),
			 -EINVAL);
	ck_assert_int_eq(tp_catalogue_create(catalogue, "a/b", 512, 0, NULL),
			 -EINVAL);
	ck_assert_int_eq(tp_catalogue_create(catalogue, NULL, 512, 0, NULL),
			 -EINVAL);
	ck_assert_int_eq(tp_catalogue_create(catalogue, "b", 513, 0, NULL),
			 -EINVAL);
	ck_assert_int_eq(tp_catalogue_create(catalogue, "b", (uint64_t)1 << 63,
					     0, NULL),
			 -EINVAL);
	ck_assert_int_eq(tp_catalogue_create(catalogue, "b", 512, 1u << 31,
					     NULL),
			 -EINVAL);
	ck_assert_int_eq(tp_catalogue_create(catalogue, "b", 512, 0, &no_size),
			 -EINVAL);
	ck_assert_int_eq(tp_catalogue_rename(catalogue, "a", ".."), -EINVAL);
	ck_assert_int_eq(tp_catalogue_rename(catalogue, NULL, "b"), -ENODATA);
	ck_assert_int_eq(tp_catalogue_resize(catalogue, "a", 100), -EINVAL);
	ck_assert_int_eq(tp_catalogue_resize(catalogue, "a", (uint64_t)1 << 63),
			 -EINVAL);
	ck_assert_int_eq(tp_catalogue_resize(catalogue, "x", 512), -ENODATA);
	ck_assert_int_eq(tp_catalogue_delete(catalogue, "x"), -ENODATA);
	ck_assert_int_eq(tp_catalogue_delete_id(catalogue, 99), -ENODATA);
	ck_assert_uint_eq(nr_listed(), 1);
	ck_assert_uint_eq(find("a").size, VOLUME_BYTES);
	end();
}
END_TEST

START_TEST(test_the_largest_size_is_kept)
{
	uint64_t size = ((uint64_t)1 << 63) - 512;

	begin();
	ck_assert_int_eq(tp_catalogue_create(catalogue, "a", size, 0, NULL), 0);
	reopen();
	ck_assert_uint_eq(find("a").size, size);
	end();
}
END_TEST

START_TEST(test_a_volume_may_be_empty)
{
	struct tp_thin *thin;
	char sector[512];

	begin();
	ck_assert_int_eq(tp_catalogue_create(catalogue, "a", 0, 0, NULL), 0);
	reopen();
	ck_assert_uint_eq(find("a").size, 0);
	ck_assert_int_eq(tp_catalogue_open_thin(catalogue, "a", NULL, &thin),
			 0);
	ck_assert_int_eq(tp_thin_read(thin, sector, sizeof(sector), 0),
			 -EINVAL);
	ck_assert_int_eq(tp_thin_close(thin), 0);
	ck_assert_int_eq(tp_catalogue_resize(catalogue, "a", 512), 0);
	ck_assert_int_eq(tp_catalogue_resize(catalogue, "a", 0), 0);
	end();
}
END_TEST

/*---------------------------- changing them --------------------------------*/

START_TEST(test_rename_keeps_everything_else)
{
	struct tp_volume before, after;

	begin();
	create("a");
	create("b");
	before = find("a");
	ck_assert_int_eq(tp_catalogue_rename(catalogue, "a", "b"), -EEXIST);
	ck_assert_int_eq(tp_catalogue_rename(catalogue, "a", "c"), 0);
	reopen();
	ck_assert(!is_there("a"));
	after = find("c");
	ck_assert_uint_eq(after.id, before.id);
	ck_assert_uint_eq(after.size, before.size);
	ck_assert_uint_eq(nr_listed(), 2);
	end();
}
END_TEST

static uint64_t nr_commits(void)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	ck_assert_int_eq(tp_pool_get_status(pool, &status), 0);

	return status.nr_commits;
}

/* Whoever replaces a file by a new one relies on this: at no time is there
 * none, and at none are both gone. */
START_TEST(test_displacing_changes_both_names_in_one_transaction)
{
	uint32_t a, b;
	uint64_t before;

	begin();
	create("a");
	create("b");
	a = find("a").id;
	b = find("b").id;
	before = nr_commits();
	ck_assert_int_eq(tp_catalogue_displace(catalogue, "a", "b", "c"), 0);
	ck_assert_uint_eq(nr_commits(), before + 1);
	reopen();
	ck_assert(!is_there("a"));
	ck_assert_uint_eq(find("b").id, a);
	ck_assert_uint_eq(find("c").id, b);
	ck_assert_uint_eq(find("c").size, VOLUME_BYTES);
	ck_assert_uint_eq(nr_listed(), 2);
	end();
}
END_TEST

START_TEST(test_two_volumes_can_swap_names)
{
	uint32_t a, b;

	begin();
	create("a");
	create("b");
	a = find("a").id;
	b = find("b").id;
	ck_assert_int_eq(tp_catalogue_displace(catalogue, "a", "b", "a"), 0);
	reopen();
	ck_assert_uint_eq(find("b").id, a);
	ck_assert_uint_eq(find("a").id, b);
	ck_assert_uint_eq(nr_listed(), 2);
	end();
}
END_TEST

START_TEST(test_displacing_is_refused_where_a_name_is_not_as_needed)
{
	begin();
	create("a");
	create("b");
	create("c");
	ck_assert_int_eq(tp_catalogue_displace(catalogue, "a", "b", "c"),
			 -EEXIST);
	ck_assert_int_eq(tp_catalogue_displace(catalogue, "a", "b", "b"),
			 -EEXIST);
	ck_assert_int_eq(tp_catalogue_displace(catalogue, "a", "a", "d"),
			 -EINVAL);
	ck_assert_int_eq(tp_catalogue_displace(catalogue, "a", "b", "d/e"),
			 -EINVAL);
	ck_assert_int_eq(tp_catalogue_displace(catalogue, "a", "b", NULL),
			 -EINVAL);
	ck_assert_int_eq(tp_catalogue_displace(catalogue, "x", "b", "d"),
			 -ENODATA);
	ck_assert_int_eq(tp_catalogue_displace(catalogue, "a", "x", "d"),
			 -ENODATA);
	ck_assert_int_eq(tp_catalogue_displace(catalogue, NULL, "b", "d"),
			 -ENODATA);
	reopen();
	ck_assert(is_there("a") && is_there("b") && is_there("c"));
	ck_assert_uint_eq(nr_listed(), 3);
	end();
}
END_TEST

/* Two long names more than a page holds: what is displaced has to move to
 * another page, or what displaces it has, as the names get longer. */
START_TEST(test_displacing_on_full_pages_moves_entries)
{
	enum { NR = 227 };
	char name[TP_NAME_MAX + 1], displaced[TP_NAME_MAX + 1];
	uint32_t first, second;

	begin();
	create("a");
	create("b");
	first = find("a").id;
	second = find("b").id;
	for (int i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "%0*d", TP_NAME_MAX, i);
		create(name);
	}
	memset(displaced, 'x', sizeof(displaced) - 1);
	displaced[TP_NAME_MAX] = 0;
	snprintf(name, sizeof(name), "%0*d", TP_NAME_MAX, 0);
	ck_assert_int_eq(tp_catalogue_displace(catalogue, "a", "b", displaced),
			 0);
	ck_assert_int_eq(tp_catalogue_displace(catalogue, "b", name, "a"), 0);
	reopen();
	ck_assert_uint_eq(nr_listed(), NR + 2);
	ck_assert_uint_eq(find(displaced).id, second);
	ck_assert_uint_eq(find(name).id, first);
	ck_assert_uint_eq(find("a").id, second + 1);
	end();
}
END_TEST

START_TEST(test_resize_changes_the_size_only)
{
	begin();
	create("a");
	ck_assert_int_eq(tp_catalogue_resize(catalogue, "a", 4096), 0);
	ck_assert_uint_eq(find("a").size, 4096);
	reopen();
	ck_assert_uint_eq(find("a").size, 4096);
	ck_assert_uint_eq(nr_listed(), 1);
	end();
}
END_TEST

/* All of it as the catalogue says, and not a sector more. */
static void fill_volume(const char *name, uint64_t size)
{
	static char bytes[2 * VOLUME_BYTES];
	struct tp_thin *thin;

	ck_assert_int_eq(tp_catalogue_open_thin(catalogue, name, NULL, &thin),
			 0);
	memset(bytes, 1, sizeof(bytes));
	ck_assert_int_eq(tp_thin_write(thin, bytes, size, 0, 0), 0);
	ck_assert_int_eq(tp_thin_write(thin, bytes, 512, size, 0), -EINVAL);
	ck_assert_int_eq(tp_thin_read(thin, bytes, 512, size), -EINVAL);
	ck_assert_int_eq(tp_thin_read(thin, bytes, 512, size - 512), 0);
	ck_assert_int_eq(bytes[0], 1);
	ck_assert_int_eq(tp_thin_close(thin), 0);
}

/* RSZ-08: growing takes no space, and shrinking hides what is beyond the end
 * and frees nothing. */
START_TEST(test_a_volume_grows_and_shrinks)
{
	uint64_t used, blocks = VOLUME_BYTES / 65536;

	begin();
	create("a");
	used = used_data_blocks();
	fill_volume("a", VOLUME_BYTES);
	ck_assert_uint_eq(used_data_blocks(), used + blocks);
	ck_assert_int_eq(tp_catalogue_resize(catalogue, "a", 2 * VOLUME_BYTES),
			 0);
	ck_assert_uint_eq(used_data_blocks(), used + blocks);
	fill_volume("a", 2 * VOLUME_BYTES);
	ck_assert_uint_eq(used_data_blocks(), used + 2 * blocks);
	ck_assert_int_eq(tp_catalogue_resize(catalogue, "a", VOLUME_BYTES / 2),
			 0);
	reopen();
	fill_volume("a", VOLUME_BYTES / 2);
	ck_assert_uint_eq(used_data_blocks(), used + 2 * blocks);
	end();
}
END_TEST

START_TEST(test_delete_takes_the_thin_and_the_entry)
{
	begin();
	create("a");
	create("b");
	ck_assert_int_eq(tp_catalogue_delete(catalogue, "a"), 0);
	ck_assert_int_eq(tp_catalogue_delete_id(catalogue, find("b").id), 0);
	ck_assert_uint_eq(nr_listed(), 0);
	ck_assert_int_eq(tp_pool_delete_thin(pool, 0), -ENODATA);
	reopen();
	ck_assert_uint_eq(nr_listed(), 0);
	end();
}
END_TEST

START_TEST(test_an_open_volume_is_not_deleted)
{
	struct tp_thin *thin;

	begin();
	create("a");
	ck_assert_int_eq(tp_catalogue_open_thin(catalogue, "a", NULL, &thin),
			 0);
	ck_assert_int_eq(tp_catalogue_delete(catalogue, "a"), -EBUSY);
	ck_assert(is_there("a"));
	ck_assert_int_eq(tp_thin_close(thin), 0);
	ck_assert_int_eq(tp_catalogue_delete(catalogue, "a"), 0);
	end();
}
END_TEST

/* Several pages, and names that move from one to another as they grow. */
START_TEST(test_thousands_of_names_are_kept_on_several_pages)
{
	enum { NR = 3000 };
	char name[TP_NAME_MAX + 1], longer[TP_NAME_MAX + 1];
	tp_vblock last;

	begin();
	for (int i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "volume-%05d", i);
		create(name);
	}
	ck_assert_int_eq(tpi_pool_last_page(pool, &last), 0);
	ck_assert_uint_ge(last, 2);

	for (int i = 0; i < NR; i += 10) {
		snprintf(name, sizeof(name), "volume-%05d", i);
		snprintf(longer, sizeof(longer), "%0*d", TP_NAME_MAX, i);
		ck_assert_int_eq(tp_catalogue_rename(catalogue, name, longer),
				 0);
	}
	reopen();
	ck_assert_uint_eq(nr_listed(), NR);
	for (int i = 0; i < NR; i++) {
		if (i % 10)
			snprintf(name, sizeof(name), "volume-%05d", i);
		else
			snprintf(name, sizeof(name), "%0*d", TP_NAME_MAX, i);
		ck_assert_uint_eq(find(name).id, i);
	}
	end();
}
END_TEST

START_TEST(test_a_page_without_entries_is_given_back)
{
	tp_vblock last;

	begin();
	create("a");
	ck_assert_int_eq(tpi_pool_last_page(pool, &last), 0);
	ck_assert_int_eq(tp_catalogue_delete(catalogue, "a"), 0);
	ck_assert_int_eq(tpi_pool_last_page(pool, &last), -ENODATA);
	ck_assert_uint_le(used_data_blocks(), 1); /* the spare */
	end();
}
END_TEST

/* Names so long that 227 fill a page: the first page goes, the second stays. */
START_TEST(test_a_page_may_be_missing_before_another)
{
	enum { NR = 230 };
	char name[TP_NAME_MAX + 1];

	begin();
	for (int i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "%0*d", TP_NAME_MAX, i);
		create(name);
	}
	for (uint32_t id = 0; id < 227; id++)
		ck_assert_int_eq(tp_catalogue_delete_id(catalogue, id), 0);
	reopen();
	ck_assert_uint_eq(nr_listed(), 3);
	create("a"); /* on the first page again */
	reopen();
	ck_assert_uint_eq(nr_listed(), 4);
	end();
}
END_TEST

static void fill_pool(const char *name)
{
	static const char block[65536] = { 1 };
	struct tp_thin *thin;
	int r = 0;

	ck_assert_int_eq(tp_catalogue_open_thin(catalogue, name, NULL, &thin),
			 0);
	for (uint64_t at = 0; !r; at += sizeof(block))
		r = tp_thin_write(thin, block, sizeof(block), at, 0);
	ck_assert_int_eq(r, -ENOSPC);
	ck_assert_int_eq(tp_thin_close(thin), 0);
	ck_assert_uint_eq(used_data_blocks(), DATA_BYTES / 65536);
}

/* Deleting is the way out of a full pool, and has to write a page. */
START_TEST(test_a_full_pool_can_be_changed_and_emptied)
{
	options.flags = TP_POOL_ERROR_IF_NO_SPACE;
	begin();
	ck_assert_int_eq(
		tp_catalogue_create(catalogue, "full", 1 << 30, 0, NULL), 0);
	create("a");
	create("b");
	fill_pool("full");
	ck_assert_int_eq(tp_catalogue_rename(catalogue, "a", "c"), 0);
	ck_assert_int_eq(tp_catalogue_delete(catalogue, "b"), 0);
	create("d");
	reopen();
	ck_assert_uint_eq(nr_listed(), 3);
	ck_assert_int_eq(tp_catalogue_delete(catalogue, "full"), 0);
	ck_assert_uint_le(used_data_blocks(), 2);
	reopen();
	ck_assert(is_there("c") && is_there("d") && !is_there("full"));
	end();
	options.flags = 0;
}
END_TEST

/* A blocking call runs the loop itself there. */
START_TEST(test_a_host_driven_pool_has_one_too)
{
	options.flags = TP_POOL_HOST_DRIVEN;
	begin();
	create("a");
	ck_assert_int_eq(tp_catalogue_snapshot(catalogue, "a", "b", NULL), 0);
	reopen();
	ck_assert_uint_eq(nr_listed(), 2);
	ck_assert_int_eq(tp_catalogue_delete(catalogue, "a"), 0);
	end();
	options.flags = 0;
}
END_TEST

START_TEST(test_a_suspended_pool_refuses_changes)
{
	begin();
	create("a");
	ck_assert_int_eq(tp_pool_suspend(pool), 0);
	ck_assert_int_eq(tp_catalogue_create(catalogue, "b", VOLUME_BYTES, 0,
					     NULL),
			 -EBUSY);
	ck_assert(is_there("a"));
	ck_assert_int_eq(tp_pool_resume(pool, NULL), 0);
	create("b");
	end();
}
END_TEST

/* It can be read, and refuses to be changed. */
START_TEST(test_a_read_only_pool_shows_its_names)
{
	begin();
	create("a");
	options.flags = TP_POOL_READ_ONLY;
	reopen();
	ck_assert_uint_eq(find("a").size, VOLUME_BYTES);
	ck_assert_int_eq(tp_catalogue_create(catalogue, "b", VOLUME_BYTES, 0,
					     NULL),
			 -EOPNOTSUPP);
	ck_assert_int_eq(tp_catalogue_delete(catalogue, "a"), -EOPNOTSUPP);
	ck_assert_uint_eq(nr_listed(), 1);
	end();
	options.flags = 0;
}
END_TEST

/*---------------------------- the pool is the truth ------------------------*/

static void write_block(const char *name, uint64_t offset)
{
	static const char block[4096] = { 1 };
	struct tp_thin *thin;

	ck_assert_int_eq(tp_catalogue_open_thin(catalogue, name, NULL, &thin),
			 0);
	ck_assert_int_eq(tp_thin_write(thin, block, sizeof(block), offset, 0),
			 0);
	ck_assert_int_eq(tp_thin_close(thin), 0);
}

static int note_volume(const struct tp_volume *volume, void *context)
{
	struct tp_volume **at = context;

	*(*at)++ = *volume;

	return 0;
}

START_TEST(test_thins_without_an_entry_are_listed_by_id)
{
	struct tp_volume seen[4], *at = seen;

	begin();
	create("b");
	create("a");
	write_block("b", 65536);
	ck_assert_int_eq(tp_pool_create_snapshot(pool, 9, find("b").id), 0);
	ck_assert_int_eq(tp_pool_create_thin(pool, 5), 0);
	ck_assert_int_eq(tp_catalogue_list(catalogue, note_volume, &at), 0);
	ck_assert_ptr_eq(at, seen + 4);
	ck_assert_str_eq(seen[0].name, "");
	ck_assert_uint_eq(seen[0].id, 5);
	ck_assert_uint_eq(seen[0].size, 0);
	ck_assert_uint_eq(seen[1].id, 9);
	ck_assert_uint_eq(seen[1].size, 2 * 65536);
	ck_assert_str_eq(seen[2].name, "a");
	ck_assert_str_eq(seen[3].name, "b");

	ck_assert_int_eq(tp_catalogue_find_id(catalogue, 9, &seen[0]), 0);
	ck_assert_str_eq(seen[0].name, "");
	ck_assert_uint_eq(seen[0].size, 2 * 65536);
	ck_assert_int_eq(tp_catalogue_find_id(catalogue, 0, &seen[0]), 0);
	ck_assert_str_eq(seen[0].name, "b");
	ck_assert_int_eq(tp_catalogue_find_id(catalogue, 7, &seen[0]),
			 -ENODATA);
	end();
}
END_TEST

static int stop_at_second(const struct tp_volume *volume, void *context)
{
	unsigned *nr = context;

	return ++*nr == 2 ? 42 : 0;
}

START_TEST(test_listing_stops_when_told_to)
{
	unsigned nr = 0;

	begin();
	create("a");
	create("b");
	create("c");
	ck_assert_int_eq(tp_catalogue_list(catalogue, stop_at_second, &nr), 42);
	ck_assert_uint_eq(nr, 2);
	end();
}
END_TEST

/* Nobody sees our own thin, and nobody can name it. */
START_TEST(test_the_catalogues_own_thin_is_not_a_volume)
{
	begin();
	create("a");
	ck_assert_uint_eq(nr_listed(), 1);
	ck_assert_int_eq(tp_catalogue_delete_id(catalogue, 1 << 24), -ENODATA);
	ck_assert_int_eq(tp_catalogue_adopt(catalogue, 1 << 24, "x", 512),
			 -ENODATA);
	end();
}
END_TEST

START_TEST(test_an_entry_whose_thin_is_gone_is_dropped)
{
	begin();
	create("a");
	create("b");
	ck_assert_int_eq(tp_pool_delete_thin(pool, find("a").id), 0);
	ck_assert_uint_eq(nr_listed(), 1);
	create("a"); /* its name and its id are free again */
	ck_assert_uint_eq(find("a").id, 0);
	ck_assert_uint_eq(nr_listed(), 2);
	reopen();
	ck_assert_uint_eq(nr_listed(), 2);
	end();
}
END_TEST

/* The kernel may have deleted a thin and made its id anew: that is another
 * volume, as its details tell. */
START_TEST(test_an_entry_whose_thin_was_made_anew_is_dropped)
{
	struct tp_volume volume = TP_VOLUME_INIT;
	struct tp_thin *thin;

	begin();
	create("a");
	create("b");
	ck_assert_int_eq(tp_pool_delete_thin(pool, 0), 0);
	ck_assert_int_eq(tp_pool_set_transaction_id(pool, 0, 1), 0);
	ck_assert_int_eq(tp_pool_create_thin(pool, 0), 0);
	ck_assert_int_eq(tp_catalogue_open_thin(catalogue, "a", NULL, &thin),
			 -ENODATA);
	reopen();
	ck_assert(!is_there("a"));
	ck_assert_int_eq(tp_catalogue_find_id(catalogue, 0, &volume), 0);
	ck_assert_str_eq(volume.name, "");
	ck_assert_uint_eq(nr_listed(), 2);

	/* Its page is written without it, so it cannot come back. */
	ck_assert_int_eq(tp_catalogue_adopt(catalogue, 0, "a2", 512), 0);
	reopen();
	ck_assert(!is_there("a"));
	ck_assert_uint_eq(find("a2").id, 0);
	end();
}
END_TEST

START_TEST(test_a_thin_without_a_name_is_adopted)
{
	begin();
	ck_assert_int_eq(tp_pool_create_thin(pool, 7), 0);
	ck_assert_int_eq(tp_catalogue_adopt(catalogue, 8, "x", 512), -ENODATA);
	ck_assert_int_eq(tp_catalogue_adopt(catalogue, 7, "x", 512), 0);
	ck_assert_int_eq(tp_catalogue_adopt(catalogue, 7, "y", 512), -EEXIST);
	reopen();
	ck_assert_uint_eq(find("x").id, 7);
	ck_assert_uint_eq(find("x").size, 512);
	ck_assert_uint_eq(nr_listed(), 1);
	end();
}
END_TEST

/*---------------------------- opening --------------------------------------*/

static uint64_t size_of(struct tp_thin *thin)
{
	struct tp_thin_limits limits = TP_THIN_LIMITS_INIT;

	ck_assert_int_eq(tp_thin_get_limits(thin, &limits), 0);

	return limits.size_bytes;
}

START_TEST(test_a_thin_opens_with_the_catalogues_size)
{
	struct tp_thin_options asked = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;

	begin();
	create("a");
	ck_assert_int_eq(tp_thin_open(pool, 0, &asked, &thin), 0);
	ck_assert_uint_eq(size_of(thin), VOLUME_BYTES);
	ck_assert_int_eq(tp_thin_close(thin), 0);

	asked.size = 4096;
	ck_assert_int_eq(tp_catalogue_open_thin(catalogue, "a", &asked, &thin),
			 0);
	ck_assert_uint_eq(size_of(thin), 4096);
	ck_assert_int_eq(tp_thin_close(thin), 0);

	/* One that it does not know has no size. */
	asked.size = 0;
	ck_assert_int_eq(tp_pool_create_thin(pool, 5), 0);
	ck_assert_int_eq(tp_thin_open(pool, 5, &asked, &thin), -EINVAL);
	end();
}
END_TEST

START_TEST(test_flags_govern_opening)
{
	static const char sector[512];
	struct tp_thin *thin;

	begin();
	ck_assert_int_eq(tp_catalogue_create(catalogue, "ro", VOLUME_BYTES,
					     TP_VOLUME_READ_ONLY, NULL),
			 0);
	ck_assert_int_eq(tp_catalogue_open_thin(catalogue, "ro", NULL, &thin),
			 0);
	ck_assert_int_eq(tp_thin_write(thin, sector, sizeof(sector), 0, 0),
			 -EROFS);
	ck_assert_int_eq(tp_thin_close(thin), 0);

	ck_assert_int_eq(tp_catalogue_create(catalogue, "ext", VOLUME_BYTES,
					     TP_VOLUME_EXTERNAL_ORIGIN, NULL),
			 0);
	ck_assert_int_eq(tp_catalogue_open_thin(catalogue, "ext", NULL, &thin),
			 -EINVAL);
	end();
}
END_TEST

/*---------------------------- damage ---------------------------------------*/

/* Put a page there as whoever would damage it. */
static void put_page(void *bytes)
{
	struct tpi_page page = { .vblock = 0,
				 .data = bytes,
				 .length = TPI_CATALOGUE_PAGE_BYTES };
	const struct tpi_change change = { .kind = TPI_CHANGE_PAGES_ONLY,
					   .pages = &page,
					   .nr_pages = 1 };

	ck_assert_int_eq(tpi_pool_change(pool, &change), 0);
}

START_TEST(test_a_damaged_page_is_refused)
{
	char *bytes = malloc(TPI_CATALOGUE_PAGE_BYTES);

	begin();
	create("a");
	ck_assert_int_eq(tpi_pool_read_page(pool, 0, bytes,
					    TPI_CATALOGUE_PAGE_BYTES),
			 0);
	bytes[40] ^= 1;
	put_page(bytes);
	tp_catalogue_close(catalogue);
	ck_assert_int_eq(tp_catalogue_open(pool, &catalogue), -EILSEQ);
	ck_assert_ptr_nonnull(strstr(tp_last_error(), "catalogue page 0"));

	/* The pool is as good as ever. */
	ck_assert_int_eq(tp_pool_create_thin(pool, 1), 0);
	catalogue = NULL;
	end();
	free(bytes);
}
END_TEST

static void add_entry(void *page, const char *name, uint32_t id)
{
	struct tpi_entry *entry = tpi_entry_new(name, strlen(name));

	entry->id = id;
	entry->size = 512;
	tpi_page_add(page, entry);
	free(entry);
}

START_TEST(test_a_name_or_an_id_twice_is_damage)
{
	char *bytes = malloc(TPI_CATALOGUE_PAGE_BYTES);

	begin();
	for (int i = 0; i < 2; i++) {
		tp_catalogue_close(catalogue);
		tpi_page_start(bytes, 0);
		add_entry(bytes, "a", 0);
		add_entry(bytes, i ? "a" : "b", i ? 1 : 0);
		tpi_page_seal(bytes);
		put_page(bytes);
		ck_assert_int_eq(tp_catalogue_open(pool, &catalogue), -EILSEQ);
		catalogue = NULL;
	}
	end();
	free(bytes);
}
END_TEST

/*---------------------------- threads --------------------------------------*/

#define NR_THREADS 4
#define NR_ROUNDS 30

/* All make and delete volumes at once; each name is one thread's. */
static void *make_and_delete(void *context)
{
	char name[32], snapshot[64];

	for (int i = 0; i < NR_ROUNDS; i++) {
		snprintf(name, sizeof(name), "%s-%d", (char *)context, i);
		snprintf(snapshot, sizeof(snapshot), "%s-snapshot", name);
		create(name);
		ck_assert_int_eq(tp_catalogue_snapshot(catalogue, name,
						       snapshot, NULL),
				 0);
		ck_assert(is_there(snapshot));
		ck_assert_uint_ge(nr_listed(), 1);
		ck_assert_int_eq(tp_catalogue_delete(catalogue, name), 0);
	}

	return NULL;
}

START_TEST(test_threads_change_it_at_once)
{
	static char names[NR_THREADS][2] = { "a", "b", "c", "d" };
	pthread_t threads[NR_THREADS];

	begin();
	for (int i = 0; i < NR_THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
						make_and_delete, names[i]),
				 0);
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(nr_listed(), NR_THREADS * NR_ROUNDS);
	reopen();
	ck_assert_uint_eq(nr_listed(), NR_THREADS * NR_ROUNDS);
	end();
}
END_TEST

/* Someone who does not know of us takes ids at the same time: we take others. */
static void *take_ids(void *context)
{
	for (uint32_t id = 0; id < 100; id++) {
		int r = tp_pool_create_thin(pool, id);

		ck_assert(r == 0 || r == -EEXIST);
	}

	return NULL;
}

START_TEST(test_ids_taken_meanwhile_do_no_harm)
{
	char name[16];
	pthread_t thread;

	begin();
	ck_assert_int_eq(pthread_create(&thread, NULL, take_ids, NULL), 0);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		create(name);
	}
	pthread_join(thread, NULL);
	ck_assert_uint_ge(nr_listed(), 100);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		ck_assert(is_there(name));
	}
	end();
}
END_TEST

struct handled {
	sem_t done;
	int r;
};

static void change_from_handler(void *context, const struct tp_event *event)
{
	struct handled *handled = context;

	if (event->kind != TP_EVENT_RESUME)
		return;
	handled->r =
		tp_catalogue_create(catalogue, "from-handler", 512, 0, NULL);
	sem_post(&handled->done);
}

/* A handler runs on the run loop, which a change of another thread waits for:
 * neither may wait for the other for ever. */
START_TEST(test_an_event_handler_may_change_it)
{
	struct handled handled = { .r = -1 };

	begin();
	sem_init(&handled.done, 0, 0);
	ck_assert_int_eq(tp_pool_set_event_handler(pool, change_from_handler,
						   &handled),
			 0);
	ck_assert_int_eq(tp_pool_suspend(pool), 0);
	ck_assert_int_eq(tp_pool_resume(pool, NULL), 0);
	create("a");
	sem_wait(&handled.done);
	ck_assert_int_eq(tp_pool_set_event_handler(pool, NULL, NULL), 0);
	ck_assert_int_eq(handled.r, 0);
	ck_assert(is_there("from-handler"));
	ck_assert(is_there("a"));
	end();
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"catalogue/catalogue", 1,
		test_a_new_pool_has_an_empty_catalogue,
		test_a_volume_is_there_after_reopening,
		test_a_snapshot_knows_its_origin, test_ids_are_the_lowest_free,
		test_a_name_is_taken_once, test_bad_arguments_change_nothing,
		test_the_largest_size_is_kept, test_a_volume_may_be_empty,
		test_rename_keeps_everything_else,
		test_displacing_changes_both_names_in_one_transaction,
		test_two_volumes_can_swap_names,
		test_displacing_is_refused_where_a_name_is_not_as_needed,
		test_displacing_on_full_pages_moves_entries,
		test_resize_changes_the_size_only,
		test_a_volume_grows_and_shrinks,
		test_delete_takes_the_thin_and_the_entry,
		test_an_open_volume_is_not_deleted,
		test_thousands_of_names_are_kept_on_several_pages,
		test_a_page_without_entries_is_given_back,
		test_a_page_may_be_missing_before_another,
		test_a_full_pool_can_be_changed_and_emptied,
		test_a_host_driven_pool_has_one_too,
		test_a_suspended_pool_refuses_changes,
		test_a_read_only_pool_shows_its_names,
		test_thins_without_an_entry_are_listed_by_id,
		test_listing_stops_when_told_to,
		test_the_catalogues_own_thin_is_not_a_volume,
		test_an_entry_whose_thin_is_gone_is_dropped,
		test_an_entry_whose_thin_was_made_anew_is_dropped,
		test_a_thin_without_a_name_is_adopted,
		test_a_thin_opens_with_the_catalogues_size,
		test_flags_govern_opening, test_a_damaged_page_is_refused,
		test_a_name_or_an_id_twice_is_damage,
		test_threads_change_it_at_once,
		test_ids_taken_meanwhile_do_no_harm,
		test_an_event_handler_may_change_it);
}
