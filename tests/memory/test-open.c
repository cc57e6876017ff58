/*
 * No memory while a pool is formatted, opened or closed: it is done, or nothing
 * is; and a close frees everything, whatever happens (F-19).
 */
#include <stdlib.h>

#include "memory/sweep.h"

static struct world *const w = &sweep_world;
static char *metadata_before;

static void make(int kind)
{
	world_make_sized(w, kind, 512 * KIB, 4 * MIB, NULL);
	w->options.metadata_cache_bytes = MIB;
	w->options.mapping_cache_bytes = 64 * KIB;
}

/*---------------------------- format ---------------------------------------*/

static int format(void)
{
	struct tp_format_options options = TP_FORMAT_OPTIONS_INIT;

	options.flags = TP_FORMAT_OVERWRITE;

	return tp_pool_format(w->metadata.device, w->data.device, &options);
}

START_TEST(test_a_pool_is_formatted_or_not)
{
	make(_i);
	sweep_call(format);
	world_open(w);
	world_close(w);
	world_check(w);
	world_unmake(w);
}
END_TEST

/*---------------------------- open -----------------------------------------*/

/* A pool that was opened closes without memory, too. */
static int open_and_close(void)
{
	int r = tp_pool_open(w->metadata.device, w->data.device, &w->options,
			     &w->pool);

	if (!r)
		ck_ok(tp_pool_close(w->pool));
	w->pool = NULL;
	ck_assert(is_same(&w->metadata, metadata_before));

	return r;
}

static void sweep_open(void)
{
	metadata_before = snapshot_of(&w->metadata);
	sweep_call(open_and_close);
	free(metadata_before);
	world_unmake(w);
}

START_TEST(test_a_fresh_pool_is_opened_or_not)
{
	make(_i);
	world_format(w);
	sweep_open();
}
END_TEST

static void use_pool(int kind)
{
	struct tp_thin *thin;

	make(kind);
	world_format(w);
	world_open(w);
	thin = world_new_thin(w, FULL, SWEEP_THIN_BYTES);
	thin_fill(thin, 0, SWEEP_THIN_BYTES, FULL_SEED);
	ck_ok(tp_thin_close(thin));

	/* Counts of three and more are kept in a tree of their own. */
	for (uint32_t id = 10; id < 14; id++)
		ck_ok(tp_pool_create_snapshot(w->pool, id, FULL));
	world_close(w);
}

START_TEST(test_a_used_pool_is_opened_or_not)
{
	use_pool(_i);
	sweep_open();
}
END_TEST

START_TEST(test_a_pool_is_opened_to_read_or_not)
{
	use_pool(_i);
	w->options.flags |= TP_POOL_READ_ONLY;
	sweep_open();
}
END_TEST

START_TEST(test_a_pool_that_needs_a_check_is_opened_or_not)
{
	use_pool(_i);
	world_open(w);
	observer_fail(&w->metadata, OPS(TP_WRITE), 0, 1, -EIO);
	ck_assert_int_eq(tp_pool_create_thin(w->pool, NEW), -EIO);
	ck_assert(world_status(w).needs_check);
	world_close(w);
	sweep_open();
}
END_TEST

/*---------------------------- close ----------------------------------------*/

static char *data_before;

/* What close has to commit: mappings, a freed block, details. */
static void change(void)
{
	struct tp_thin *thin = world_open_thin(w, FULL, SWEEP_THIN_BYTES);

	thin_fill(thin, 0, WORLD_BLOCK, PLAIN_SEED);
	ck_ok(tp_thin_discard(thin, WORLD_BLOCK, WORLD_BLOCK));
	ck_ok(tp_thin_close(thin));
}

static bool is_changed(void)
{
	struct tp_thin *thin = world_open_thin(w, FULL, SWEEP_THIN_BYTES);
	bool changed = thin_where(thin, WORLD_BLOCK) == UINT64_MAX;

	thin_verify(thin, 0, WORLD_BLOCK, changed ? PLAIN_SEED : FULL_SEED);
	if (changed)
		thin_verify_zero(thin, WORLD_BLOCK, WORLD_BLOCK);
	thin_verify(thin, 2 * WORLD_BLOCK, SWEEP_THIN_BYTES - 2 * WORLD_BLOCK,
		    FULL_SEED);
	ck_ok(tp_thin_close(thin));

	return changed;
}

/* True if an allocation failed. */
static bool close_without(unsigned nth, bool lasting)
{
	bool failed;
	int r;

	memcpy(w->metadata.bytes, metadata_before, w->metadata.size_bytes);
	memcpy(w->data.bytes, data_before, w->data.size_bytes);
	world_open(w);
	change();
	failing_memory_arm(nth, lasting);
	r = tp_pool_close(w->pool);
	failed = failing_memory_disarm();
	w->pool = NULL;
	world_open(w);
	ck_assert(is_changed() == !r);
	world_close(w);

	return failed;
}

static void sweep_close(void)
{
	metadata_before = snapshot_of(&w->metadata);
	data_before = snapshot_of(&w->data);
	for (unsigned lasting = 0; lasting < 2; lasting++) {
		unsigned nth = 1;

		while (close_without(nth, lasting))
			ck_assert_uint_lt(++nth, 1000);
	}
	free(data_before);
	free(metadata_before);
}

START_TEST(test_a_close_commits_or_tells_and_frees_everything)
{
	use_pool(_i);
	sweep_close();
	world_check(w);
	world_unmake(w);
}
END_TEST

int main(void)
{
	return RUN_TESTS("memory-open", NR_KINDS,
			 test_a_pool_is_formatted_or_not,
			 test_a_fresh_pool_is_opened_or_not,
			 test_a_used_pool_is_opened_or_not,
			 test_a_pool_is_opened_to_read_or_not,
			 test_a_pool_that_needs_a_check_is_opened_or_not,
			 test_a_close_commits_or_tells_and_frees_everything);
}
