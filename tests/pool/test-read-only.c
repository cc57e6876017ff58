/*
 * A pool that is opened read-only touches neither device, whatever state it was
 * left in and whatever is asked of it, and needs no permission to write.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/scratch.h"
#include "support/world.h"

#define THIN_BYTES (4 * MIB)
#define NOBODY 65534

static struct world w;
static char block[WORLD_BLOCK];

static void make_pool(int kind, unsigned nr_data_blocks)
{
	struct tp_thin *thin;

	world_make_sized(&w, kind, 2 * MIB,
			 (uint64_t)nr_data_blocks * WORLD_BLOCK, NULL);
	w.options.flags |= TP_POOL_ERROR_IF_NO_SPACE;
	world_format(&w);
	world_open(&w);
	thin = world_filled_thin(&w, 0, THIN_BYTES, 1);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	ck_ok(tp_thin_flush(thin));
	ck_ok(tp_thin_close(thin));
}

/*---------------------------- left in any state ----------------------------*/

static void left_clean(int kind)
{
	make_pool(kind, 64);
	world_close(&w);
}

static void left_full(int kind)
{
	make_pool(kind, NR_FILLED);
	world_close(&w);
}

static void left_pinned(int kind)
{
	make_pool(kind, 64);
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	world_close(&w);
}

static void left_to_be_checked(int kind)
{
	make_pool(kind, 64);
	observer_fail(&w.metadata, OPS(TP_FLUSH), 0, 1, -EIO);
	ck_assert_int_eq(tp_pool_create_thin(w.pool, 7), -EIO);
	observer_heal(&w.metadata);
	ck_ok(tp_pool_close(w.pool));
}

static void left_with_larger_devices(int kind)
{
	left_clean(kind);
	observer_grow(&w.metadata, 4 * MIB);
	observer_grow(&w.data, 8 * MIB);
}

static void (*const states[])(int kind) = {
	left_clean,         left_full, left_pinned, left_with_larger_devices,
	left_to_be_checked,
};
#define NR_STATES (sizeof(states) / sizeof(states[0]))

/*---------------------------- whatever is asked ----------------------------*/

static int count_thin(const struct tp_thin_info *info, void *context)
{
	*(unsigned *)context += 1;

	return 0;
}

static void ask_for_everything(void)
{
	struct tp_thin *thin = world_open_thin(&w, 0, THIN_BYTES);
	unsigned nr = 0;

	thin_verify(thin, 0, NR_FILLED * WORLD_BLOCK, 1);
	thin_verify_zero(thin, NR_FILLED * WORLD_BLOCK, WORLD_BLOCK);
	ck_assert_int_eq(tp_thin_write(thin, block, 512, 0, 0), -EIO);
	ck_assert_int_eq(tp_thin_write(thin, block, 512, MIB, TP_FUA), -EIO);
	ck_ok(tp_thin_discard(thin, 0, THIN_BYTES));
	ck_ok(tp_thin_flush(thin));
	ck_ok(tp_pool_list_thins(w.pool, count_thin, &nr));
	ck_assert_uint_eq(nr, 2);
	ck_assert_int_eq(tp_pool_create_thin(w.pool, 9), -EOPNOTSUPP);
	ck_assert_int_eq(tp_pool_delete_thin(w.pool, 1), -EOPNOTSUPP);
	ck_assert_int_eq(tp_pool_commit(w.pool), -EOPNOTSUPP);
	ck_assert_int_eq(tp_pool_grow_data(w.pool), -EOPNOTSUPP);
	ck_assert_int_eq(tp_pool_grow_metadata(w.pool), -EOPNOTSUPP);
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_resume(w.pool, NULL));
	world_idle(&w);
	thin_verify(thin, 0, NR_FILLED * WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
}

/* Nothing but reads; and flushes of the data, which were asked for. */
static void expect_no_writes(void)
{
	for (unsigned i = 0; i < io_log_nr(&w.log); i++) {
		enum tp_op op = io_log_get(&w.log, i).op;

		ck_assert(op == TP_READ || op == TP_FLUSH);
	}
	ck_assert_uint_eq(io_log_count(&w.log, "metadata", TP_FLUSH), 0);
}

/* RDO-01, RDO-03, RDO-04, RDO-05: byte by byte. */
START_TEST(test_a_pool_opened_read_only_touches_neither_device)
{
	for (unsigned i = 0; i < NR_STATES; i++) {
		char *metadata, *data;

		states[i](_i);
		metadata = snapshot_of(&w.metadata);
		data = snapshot_of(&w.data);
		io_log_clear(&w.log);
		w.options.flags |= TP_POOL_READ_ONLY;
		w.options.commit_interval_ms = 1;
		world_open(&w);
		ck_assert_int_eq(world_status(&w).mode, TP_MODE_READ_ONLY);
		ask_for_everything();
		world_close(&w);
		expect_no_writes();
		ck_assert(is_same(&w.metadata, metadata));
		ck_assert(is_same(&w.data, data));
		free(metadata);
		free(data);
		world_unmake(&w);
	}
}
END_TEST

/*---------------------------- without permission ---------------------------*/

static struct tp_pool *open_files(const char *metadata, const char *data,
				  unsigned file_flags, unsigned pool_flags)
{
	struct tp_file_options file_options = TP_FILE_OPTIONS_INIT;
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_device *m = NULL, *d = NULL;
	struct tp_pool *pool = NULL;

	file_options.flags = file_flags;
	options.flags = pool_flags;
	if (!tp_device_open_file(metadata, &file_options, &m) &&
	    !tp_device_open_file(data, &file_options, &d) &&
	    tp_pool_open(m, d, &options, &pool))
		pool = NULL;
	tp_device_unref(m);
	tp_device_unref(d);

	return pool;
}

static struct tp_thin *open_thin(struct tp_pool *pool)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin = NULL;

	options.size = THIN_BYTES;

	return tp_thin_open(pool, 0, &options, &thin) ? NULL : thin;
}

/* In a process of its own; which step went wrong, or 0. */
static int read_as_nobody(const char *metadata, const char *data)
{
	struct tp_pool *pool;
	struct tp_thin *thin;

	if (!geteuid() && setuid(NOBODY))
		return 1;
	if (open_files(metadata, data, 0, 0))
		return 2;
	if (open_files(metadata, data, TP_FILE_READ_ONLY, 0))
		return 3;
	pool = open_files(metadata, data, TP_FILE_READ_ONLY, TP_POOL_READ_ONLY);
	if (!pool)
		return 4;
	thin = open_thin(pool);
	if (!thin || tp_thin_read(thin, block, WORLD_BLOCK, 0))
		return 5;
	if (find_other(block, WORLD_BLOCK, 0, 1) != UINT64_MAX)
		return 6;

	return tp_thin_close(thin) || tp_pool_close(pool) ? 7 : 0;
}

static void fill_files(const char *metadata, const char *data)
{
	struct tp_device *m, *d;
	struct tp_pool *pool;
	struct tp_thin *thin;

	ck_ok(tp_device_open_file(metadata, NULL, &m));
	ck_ok(tp_device_open_file(data, NULL, &d));
	ck_ok(tp_pool_format(m, d, NULL));
	ck_ok(tp_pool_open(m, d, NULL, &pool));
	ck_ok(tp_pool_create_thin(pool, 0));
	thin = open_thin(pool);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_close(pool));
	tp_device_unref(m);
	tp_device_unref(d);
	ck_ok(chmod(metadata, 0444));
	ck_ok(chmod(data, 0444));
}

/* RDO-06, B-BAD-25: of files that may only be read, by whoever may not write
 * them. */
START_TEST(test_who_may_only_read_the_files_can_open_the_pool_read_only)
{
	char metadata[SCRATCH_PATH_BYTES], data[SCRATCH_PATH_BYTES];
	int status;
	pid_t child;

	scratch_file(metadata, 2 * MIB);
	scratch_file(data, 4 * MIB);
	fill_files(metadata, data);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child)
		_exit(read_as_nobody(metadata, data));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	unlink(metadata);
	unlink(data);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"read-only", NR_KINDS,
		test_a_pool_opened_read_only_touches_neither_device,
		test_who_may_only_read_the_files_can_open_the_pool_read_only);
}
