/*
 * Reading what a metadata snapshot holds while the pool goes on working
 * (TP_POOL_METADATA_SNAPSHOT).
 */
#include <stdlib.h>

#include "support/world.h"

#define THIN_BYTES (4 * MIB)

static struct world w;

static struct tp_pool *look_back(void)
{
	struct tp_pool_options options = w.options;
	struct tp_pool *pool;

	options.flags |= TP_POOL_METADATA_SNAPSHOT;
	ck_ok(tp_pool_open(w.metadata.device, w.data.device, &options, &pool));

	return pool;
}

static struct tp_thin *open_then(struct tp_pool *then, uint32_t id)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;

	options.size = THIN_BYTES;
	ck_ok(tp_thin_open(then, id, &options, &thin));

	return thin;
}

static struct tp_pool_status status_of(struct tp_pool *pool)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	ck_ok(tp_pool_get_status(pool, &status));

	return status;
}

static int add_id(const struct tp_thin_info *info, void *context)
{
	uint64_t *ids = context;

	*ids |= 1ull << info->id;

	return 0;
}

static uint64_t ids_of(struct tp_pool *pool)
{
	uint64_t ids = 0;

	ck_ok(tp_pool_list_thins(pool, add_id, &ids));

	return ids;
}

/* Thin 1 and its snapshot 2, as they are when it is reserved. */
static struct tp_thin *begin_reserved(int kind)
{
	struct tp_thin *thin;

	world_begin(&w, kind);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_pool_create_snapshot(w.pool, 2, 1));
	ck_ok(tp_pool_set_transaction_id(w.pool, 0, 7));
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));

	return thin;
}

/* Everything that can be changed, is. */
static void change_all(struct tp_thin *thin)
{
	struct tp_thin *other;

	thin_fill(thin, 0, THIN_BYTES, 2);
	ck_ok(tp_thin_discard(thin, MIB, MIB));
	ck_ok(tp_pool_delete_thin(w.pool, 2));
	other = world_new_thin(&w, 3, THIN_BYTES);
	thin_fill(other, 0, THIN_BYTES, 3);
	ck_ok(tp_thin_close(other));
	ck_ok(tp_pool_set_transaction_id(w.pool, 7, 8));
	ck_ok(tp_pool_commit(w.pool));
}

/* B-MSG-8, MSN-03, MSN-08, MSN-09: thins, mappings and data are those of then,
 * whatever becomes of the pool; and it goes on as if nobody looked. */
START_TEST(test_it_shows_the_pool_as_of_then_while_that_goes_on)
{
	struct tp_thin *thin = begin_reserved(_i), *then1, *then2;
	uint64_t where[THIN_BYTES / WORLD_BLOCK];
	struct tp_pool *then;

	for (uint64_t at = 0; at < THIN_BYTES; at += WORLD_BLOCK)
		where[at / WORLD_BLOCK] = thin_where(thin, at);
	change_all(thin);
	then = look_back();
	ck_assert_uint_eq(status_of(then).transaction_id, 7);
	ck_assert_uint_eq(status_of(then).held_root,
			  world_status(&w).held_root);
	ck_assert_uint_eq(status_of(then).nr_thins, 2);
	ck_assert_int_eq(status_of(then).mode, TP_MODE_READ_ONLY);
	ck_assert_uint_eq(ids_of(then), 1 << 1 | 1 << 2);
	ck_assert_uint_eq(ids_of(w.pool), 1 << 1 | 1 << 3);
	then1 = open_then(then, 1);
	then2 = open_then(then, 2);
	for (unsigned round = 0; round < 2; round++) {
		thin_verify(then2, 0, THIN_BYTES, 1);
		for (uint64_t at = 0; at < THIN_BYTES; at += WORLD_BLOCK)
			ck_assert_uint_eq(thin_where(then1, at),
					  where[at / WORLD_BLOCK]);
		ck_assert_uint_eq(thin_mapped(then1), THIN_BYTES);
		thin_fill(thin, 0, THIN_BYTES, 4 + round);
		ck_ok(tp_pool_commit(w.pool));
	}
	for (uint64_t at = 0; at < THIN_BYTES; at += WORLD_BLOCK)
		ck_assert_uint_ne(thin_where(thin, at),
				  where[at / WORLD_BLOCK]);
	thin_verify(thin, 0, THIN_BYTES, 5);
	thins_close(then1, then2);
	ck_ok(tp_pool_close(then));
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* Only mappings are held: what a thin has to itself is written in place, held
 * or not (B-WRITE-11). */
START_TEST(test_a_block_of_one_owner_shows_what_is_written_to_it)
{
	struct tp_thin *thin, *then1;
	struct tp_pool *then;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	thin_fill(thin, 0, WORLD_BLOCK, 2);
	ck_ok(tp_thin_flush(thin));
	then = look_back();
	then1 = open_then(then, 1);
	ck_assert_uint_eq(thin_where(then1, 0), thin_where(thin, 0));
	thin_verify(then1, 0, WORLD_BLOCK, 2);
	thin_verify(then1, WORLD_BLOCK, THIN_BYTES - WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(then1));
	ck_ok(tp_pool_close(then));
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* Nothing is written to either device, and nothing can be. */
START_TEST(test_it_is_only_read)
{
	struct tp_thin *thin = begin_reserved(_i), *then1;
	struct tp_pool_options options = w.options;
	struct tp_pool *then;
	char sector[512] = "";

	ck_ok(tp_pool_commit(w.pool));
	io_log_clear(&w.log);
	then = look_back();
	then1 = open_then(then, 1);
	ck_assert_int_eq(tp_thin_write(then1, sector, 512, 0, 0), -EROFS);
	ck_assert_int_eq(tp_thin_write_zeroes(then1, 0, 512, 0), -EROFS);
	ck_assert_int_eq(tp_thin_discard(then1, 0, WORLD_BLOCK), -EROFS);
	ck_assert_int_eq(tp_pool_create_thin(then, 5), -EOPNOTSUPP);
	ck_assert_int_eq(tp_pool_delete_thin(then, 1), -EOPNOTSUPP);
	ck_assert_int_eq(tp_pool_grow_metadata(then), -EOPNOTSUPP);
	ck_assert_int_eq(tp_pool_release_metadata_snapshot(then), -EOPNOTSUPP);
	ck_ok(tp_pool_suspend(then));
	ck_assert_int_eq(tp_pool_resume(then, &options), -EINVAL);
	options.flags |= TP_POOL_READ_ONLY;
	ck_assert_int_eq(tp_pool_resume(then, &options), -EINVAL);
	ck_ok(tp_pool_resume(then, NULL));
	ck_assert_int_eq(tp_thin_write(then1, sector, 512, 0, 0), -EROFS);
	ck_ok(tp_thin_close(then1));
	ck_ok(tp_pool_close(then));
	for (unsigned i = 0; i < io_log_nr(&w.log); i++)
		ck_assert_int_ne(io_log_get(&w.log, i).op, TP_WRITE);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* The pool need not be open, nor do its devices have to be writable; it may be
 * opened and worked with while somebody looks. */
START_TEST(test_nobody_is_kept_from_the_pool)
{
	struct tp_thin *thin = begin_reserved(_i), *then2;
	struct tp_pool *then, *again;

	change_all(thin);
	ck_ok(tp_thin_close(thin));
	world_close(&w);
	then = look_back();
	then2 = open_then(then, 2);
	thin_verify(then2, 0, THIN_BYTES, 1);
	world_open(&w);
	again = look_back();
	thin = world_open_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 4);
	thin_verify(then2, 0, THIN_BYTES, 1);
	ck_assert_uint_eq(ids_of(again), ids_of(then));
	ck_ok(tp_pool_close(again));
	ck_ok(tp_thin_close(then2));
	ck_ok(tp_pool_close(then));
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* A pool without one, and one whose copy is damaged. */
START_TEST(test_what_is_not_there_is_not_opened)
{
	struct tp_pool_options options;
	struct tp_pool *then;
	uint64_t root;

	world_begin(&w, _i);
	options = w.options;
	options.flags |= TP_POOL_METADATA_SNAPSHOT;
	ck_assert_int_eq(tp_pool_open(w.metadata.device, w.data.device,
				      &options, &then),
			 -ENODATA);
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	root = world_status(&w).held_root;
	world_close(&w);
	w.metadata.bytes[root * 4096 + 40] ^= 1;
	ck_assert_int_eq(tp_pool_open(w.metadata.device, w.data.device,
				      &options, &then),
			 -EILSEQ);
	w.metadata.bytes[root * 4096 + 40] ^= 1;
	observer_fail_range(&w.metadata, OPS(TP_READ), 0, 1, -EIO, root * 4096,
			    root * 4096 + 4096);
	ck_assert_int_eq(tp_pool_open(w.metadata.device, w.data.device,
				      &options, &then),
			 -EIO);
	ck_ok(tp_pool_open(w.metadata.device, w.data.device, &options, &then));
	ck_ok(tp_pool_close(then));
	world_open(&w);
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS("look-back", NR_KINDS,
			 test_it_shows_the_pool_as_of_then_while_that_goes_on,
			 test_a_block_of_one_owner_shows_what_is_written_to_it,
			 test_it_is_only_read,
			 test_nobody_is_kept_from_the_pool,
			 test_what_is_not_there_is_not_opened);
}
