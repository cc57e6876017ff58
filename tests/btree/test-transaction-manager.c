/*
 * Copy on write of metadata blocks (metadata-format.md, 8.1): a block that may
 * be durable, or has another owner, is never changed.
 */
#include <string.h>

#include "support/btree-world.h"
#include "support/run-tests.h"

#define NR_BLOCKS 64

static struct btree_world world;
static const struct tpi_validator *validator = &tpi_node_validator;

static void setup(void)
{
	world_init(&world, NR_BLOCKS, 1);
}

/* A leaf with this key. */
static tp_mblock new_block(uint64_t key)
{
	tp_mblock block;
	void *data;

	ck_assert_int_eq(tpi_tm_new_block(&world.tm, validator, &block, &data),
			 0);
	tpi_node_init(data, TPI_NODE_LEAF, 8);
	tpi_node_insert_child(data, 0, key, 0);

	return block;
}

static uint64_t key_of(tp_mblock block)
{
	const void *data;
	int r;

	WORLD_RETRY(&world, r, tpi_tm_read(&world.tm, block, validator, &data));
	ck_assert_int_eq(r, 0);

	return tpi_node_key(data, 0);
}

static tp_mblock shadow(tp_mblock block, uint64_t key, bool *copied_shared)
{
	tp_mblock copy;
	void *data;

	ck_assert_int_eq(tpi_tm_shadow(&world.tm, block, validator, &copy,
				       &data, copied_shared),
			 0);
	tpi_node_set_key(data, 0, key);

	return copy;
}

START_TEST(test_a_block_of_this_transaction_is_changed_in_place)
{
	tp_mblock block;
	bool shared;

	setup();
	block = new_block(1);
	ck_assert_uint_eq(tpi_tm_count(&world.tm, block), 1);
	ck_assert_uint_eq(shadow(block, 2, &shared), block);
	ck_assert(!shared);
	ck_assert_uint_eq(key_of(block), 2);
	ck_assert_uint_eq(tpi_tm_count(&world.tm, block), 1);
	world_exit(&world);
}
END_TEST

START_TEST(test_a_durable_block_is_copied_once_per_transaction)
{
	tp_mblock block, copy;
	bool shared;

	setup();
	block = new_block(1);
	world_commit(&world);
	copy = shadow(block, 2, &shared);
	ck_assert_uint_ne(copy, block);
	ck_assert(!shared);
	ck_assert_uint_eq(tpi_tm_count(&world.tm, block), 0);
	ck_assert_uint_eq(tpi_tm_count(&world.tm, copy), 1);
	ck_assert_uint_eq(shadow(copy, 3, &shared), copy);
	ck_assert_uint_eq(key_of(copy), 3);

	/* The transaction before still sees its own. */
	ck_assert_uint_eq(key_of(block), 1);
	world_exit(&world);
}
END_TEST

START_TEST(test_a_shared_block_is_copied_and_lives_on)
{
	tp_mblock block, copy;
	bool shared;

	setup();
	block = new_block(1);
	world_commit(&world);
	ck_assert_int_eq(tpi_tm_inc(&world.tm, block), 0);
	ck_assert(tpi_tm_is_shared(&world.tm, block));
	copy = shadow(block, 2, &shared);
	ck_assert_uint_ne(copy, block);
	ck_assert(shared);
	ck_assert_uint_eq(tpi_tm_count(&world.tm, block), 1);
	ck_assert_uint_eq(tpi_tm_count(&world.tm, copy), 1);
	ck_assert_uint_eq(key_of(block), 1);
	world_exit(&world);
}
END_TEST

/* Fresh as it is, a snapshot of this very transaction sees it. */
START_TEST(test_a_new_block_that_became_shared_is_copied)
{
	tp_mblock block, copy;
	bool shared;

	setup();
	block = new_block(1);
	ck_assert_int_eq(tpi_tm_inc(&world.tm, block), 0);
	copy = shadow(block, 2, &shared);
	ck_assert_uint_ne(copy, block);
	ck_assert(shared);
	ck_assert_uint_eq(key_of(block), 1);
	ck_assert_uint_eq(shadow(block, 5, &shared), block);
	ck_assert(!shared);
	world_exit(&world);
}
END_TEST

/* A transaction on its way to the device is not changed any more. */
START_TEST(test_a_frozen_block_is_copied)
{
	tp_mblock block, copy;
	bool shared;

	setup();
	block = new_block(1);
	tpi_cache_freeze(world.cache);
	test_refs_commit(&world.refs);
	copy = shadow(block, 2, &shared);
	ck_assert_uint_ne(copy, block);
	ck_assert_uint_eq(key_of(block), 1);
	tpi_cache_clear(world.cache);
	world_exit(&world);
}
END_TEST

START_TEST(test_what_is_not_there_changes_nothing)
{
	tp_mblock block, copy;
	bool shared;
	void *data;

	setup();
	block = new_block(1);
	world_go_cold(&world);
	ck_assert_int_eq(tpi_tm_shadow(&world.tm, block, validator, &copy,
				       &data, &shared),
			 -EAGAIN);
	ck_assert_uint_eq(tpi_tm_count(&world.tm, block), 1);
	world_wait(&world);
	ck_assert_uint_ne(shadow(block, 2, &shared), block);
	world_exit(&world);
}
END_TEST

/* Nothing ever points at the superblock, or past the end. */
START_TEST(test_a_wrong_pointer_is_damage)
{
	static const tp_mblock wrong[] = { 0, NR_BLOCKS, UINT64_MAX };
	tp_mblock copy;
	const void *data;
	void *writable;
	bool shared;

	setup();
	for (unsigned i = 0; i < TPI_ARRAY_SIZE(wrong); i++) {
		ck_assert_int_eq(tpi_tm_read(&world.tm, wrong[i], validator,
					     &data),
				 -EILSEQ);
		ck_assert_int_eq(tpi_tm_shadow(&world.tm, wrong[i], validator,
					       &copy, &writable, &shared),
				 -EILSEQ);
	}
	world_exit(&world);
}
END_TEST

START_TEST(test_a_block_that_loses_its_last_reference_is_not_written)
{
	tp_mblock block;

	setup();
	block = new_block(1);
	ck_assert_int_eq(tpi_tm_inc(&world.tm, block), 0);
	ck_assert_int_eq(tpi_tm_dec(&world.tm, block), 0);
	ck_assert(tpi_cache_dirty_data(world.cache, block));
	ck_assert_int_eq(tpi_tm_dec(&world.tm, block), 0);
	ck_assert_uint_eq(tpi_cache_nr_dirty(world.cache), 0);
	world_commit(&world);
	ck_assert_uint_eq(world.disk.nr_writes, 0);
	ck_assert_int_eq(tpi_tm_dec(&world.tm, block), -EILSEQ);
	world_exit(&world);
}
END_TEST

START_TEST(test_no_space_is_told_and_changes_nothing)
{
	tp_mblock block, copy;
	bool shared;
	void *data;

	setup();
	block = new_block(1);
	world_commit(&world);
	world.refs.nr_allocs = 0;
	ck_assert_int_eq(tpi_tm_shadow(&world.tm, block, validator, &copy,
				       &data, &shared),
			 -ENOSPC);
	ck_assert_int_eq(tpi_tm_new_block(&world.tm, validator, &copy, &data),
			 -ENOSPC);
	ck_assert_uint_eq(tpi_tm_count(&world.tm, block), 1);
	world_exit(&world);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"transaction-manager", 1,
		test_a_block_of_this_transaction_is_changed_in_place,
		test_a_durable_block_is_copied_once_per_transaction,
		test_a_shared_block_is_copied_and_lives_on,
		test_a_new_block_that_became_shared_is_copied,
		test_a_frozen_block_is_copied,
		test_what_is_not_there_changes_nothing,
		test_a_wrong_pointer_is_damage,
		test_a_block_that_loses_its_last_reference_is_not_written,
		test_no_space_is_told_and_changes_nothing);
}
