/*
 * Files that read and write less than was asked for: because the kernel likes
 * to, because they were cut off, or because they must not grow so large.
 *
 * The library's calls of preadv2 and pwritev2 end up here.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "support/scratch.h"
#include "support/world.h"

#define METADATA_BYTES (2 * MIB)
#define DATA_BYTES (8 * MIB)
#define THIN_BYTES (16 * MIB)

/*---------------------------- a kernel that does little --------------------*/

static bool stingy;
static atomic_uint nr_calls, nr_short;

/* Each third call is interrupted, others transfer at most a bit more than a
 * sector. */
static ssize_t transfer(long number, int fd, const struct iovec *iov,
			int iovcnt, off_t offset, int flags)
{
	struct iovec little = *iov;

	if (!stingy)
		return syscall(number, fd, iov, iovcnt, offset, 0, flags);
	if (++nr_calls % 3 == 0) {
		errno = EINTR;
		return -1;
	}
	if (little.iov_len > 7777) {
		little.iov_len = 7777;
		nr_short++;
	}

	return syscall(number, fd, &little, 1, offset, 0, flags);
}

ssize_t preadv2(int fd, const struct iovec *iov, int iovcnt, off_t offset,
		int flags);
ssize_t pwritev2(int fd, const struct iovec *iov, int iovcnt, off_t offset,
		 int flags);

ssize_t preadv2(int fd, const struct iovec *iov, int iovcnt, off_t offset,
		int flags)
{
	return transfer(SYS_preadv2, fd, iov, iovcnt, offset, flags);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int iovcnt, off_t offset,
		 int flags)
{
	return transfer(SYS_pwritev2, fd, iov, iovcnt, offset, flags);
}

/*---------------------------- a pool on files ------------------------------*/

static char paths[2][SCRATCH_PATH_BYTES];
static struct tp_device *metadata, *data;
static struct tp_pool *pool;
static struct tp_thin *thin;
static char bytes[THIN_BYTES], seen[THIN_BYTES];

static int open_device(const char *path, enum tp_file_engine engine,
		       struct tp_device **device)
{
	struct tp_file_options options = TP_FILE_OPTIONS_INIT;

	options.engine = engine;

	return tp_device_open_file(path, &options, device);
}

static void open_pool(void)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_thin_options thin_options = TP_THIN_OPTIONS_INIT;

	options.commit_interval_ms = TP_NEVER;
	thin_options.size = THIN_BYTES;
	ck_ok(tp_pool_open(metadata, data, &options, &pool));
	ck_ok(tp_thin_open(pool, 0, &thin_options, &thin));
}

static int close_pool(void)
{
	ck_ok(tp_thin_close(thin));

	return tp_pool_close(pool);
}

/* False: the engine is not to be had. */
static bool begin(enum tp_file_engine engine)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;

	scratch_file(paths[0], METADATA_BYTES);
	scratch_file(paths[1], DATA_BYTES);
	if (open_device(paths[0], engine, &metadata) == -EOPNOTSUPP)
		return false;
	ck_ok(open_device(paths[1], engine, &data));
	ck_ok(tp_pool_format(metadata, data, NULL));
	ck_ok(tp_pool_open(metadata, data, &options, &pool));
	ck_ok(tp_pool_create_thin(pool, 0));
	ck_ok(tp_pool_close(pool));
	open_pool();
	fill_pattern(bytes, sizeof(bytes), 0, 1);

	return true;
}

static void end(void)
{
	tp_device_unref(data);
	tp_device_unref(metadata);
	unlink(paths[0]);
	unlink(paths[1]);
}

static struct tp_pool_status status_of_pool(void)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	ck_ok(tp_pool_get_status(pool, &status));

	return status;
}

static const enum tp_file_engine engines[] = {
	TP_FILE_ENGINE_THREADS,
	TP_FILE_ENGINE_INLINE,
	TP_FILE_ENGINE_URING,
};
#define NR_ENGINES (sizeof(engines) / sizeof(engines[0]))

/*---------------------------- tests ----------------------------------------*/

/* F-26: what is not done at once is gone on with, from where it stopped. */
START_TEST(test_transfers_go_on_until_all_is_done)
{
	if (engines[_i] == TP_FILE_ENGINE_URING || !begin(engines[_i]))
		return;
	stingy = true;
	ck_ok(tp_thin_write(thin, bytes, 4 * MIB, 0, 0));
	ck_ok(tp_pool_create_snapshot(pool, 1, 0));
	ck_ok(tp_thin_write(thin, bytes + 4 * MIB + 512, 512, 4 * MIB + 512,
			    TP_FUA));
	ck_ok(tp_thin_write(thin, bytes + 65536, 1024, 65536, 0));
	ck_ok(close_pool());
	open_pool();
	ck_ok(tp_thin_read(thin, seen, 4 * MIB, 0));
	stingy = false;
	ck_assert_uint_gt(nr_short, 100);
	ck_assert_int_eq(memcmp(seen, bytes, 4 * MIB), 0);
	ck_ok(close_pool());
	end();
}
END_TEST

/* F-26, F-01, F-03: behind the end of a file that was cut off there is nothing
 * to be read, and that is an error, not zeroes; all else goes on. */
START_TEST(test_a_file_that_was_cut_off_is_an_io_error_behind_its_end)
{
	if (!begin(engines[_i]))
		return;
	ck_ok(tp_thin_write(thin, bytes, 4 * MIB, 0, 0));
	ck_ok(tp_thin_flush(thin));
	ck_ok(truncate(paths[1], MIB + 512));
	memset(seen, 0x11, sizeof(seen));
	ck_assert_int_eq(tp_thin_read(thin, seen, 4 * MIB, 0), -EIO);
	ck_assert_int_eq(tp_thin_read(thin, seen, 65536, MIB), -EIO);
	ck_assert_int_eq(tp_thin_read(thin, seen, 4096, 3 * MIB), -EIO);
	ck_ok(tp_thin_read(thin, seen, MIB, 0));
	ck_assert_int_eq(memcmp(seen, bytes, MIB), 0);
	ck_assert_int_eq(status_of_pool().mode, TP_MODE_WRITE);

	ck_ok(truncate(paths[1], DATA_BYTES));
	ck_ok(tp_thin_write(thin, bytes + MIB, 3 * MIB, MIB, 0));
	ck_ok(tp_thin_read(thin, seen, 4 * MIB, 0));
	ck_assert_int_eq(memcmp(seen, bytes, 4 * MIB), 0);
	ck_ok(close_pool());
	end();
}
END_TEST

static void limit_files(uint64_t nr_bytes)
{
	struct rlimit limit;

	ck_ok(getrlimit(RLIMIT_FSIZE, &limit));
	limit.rlim_cur = nr_bytes ? nr_bytes : limit.rlim_max;
	ck_ok(setrlimit(RLIMIT_FSIZE, &limit));
}

/* F-26, F-05: half a write arrives and the rest is refused.  Nothing is mapped,
 * and the blocks are given back. */
START_TEST(test_a_write_that_the_system_cuts_short_has_failed)
{
	uint64_t used;

	if (!begin(engines[_i]))
		return;
	signal(SIGXFSZ, SIG_IGN);
	used = status_of_pool().used_data_blocks;
	limit_files(3 * MIB / 2 + 512);
	ck_assert_int_eq(tp_thin_write(thin, bytes, 4 * MIB, 0, 0), -EIO);
	limit_files(0);
	ck_assert_int_eq(status_of_pool().mode, TP_MODE_WRITE);
	ck_ok(tp_thin_read(thin, seen, 4 * MIB, 0));
	for (uint64_t at = 0; at < 4 * MIB; at += 512)
		ck_assert(!memcmp(seen + at, bytes + at, 512) ||
			  find_nonzero(seen + at, 512, 0) == UINT64_MAX);
	ck_assert_uint_lt(status_of_pool().used_data_blocks, used + 64);
	ck_ok(tp_thin_write(thin, bytes, 4 * MIB, 0, 0));
	ck_assert_uint_eq(status_of_pool().used_data_blocks, used + 64);
	ck_ok(close_pool());
	end();
}
END_TEST

/* F-08, F-26: the same to the metadata, and T(c) is what is left. */
START_TEST(test_metadata_that_the_system_cuts_short_is_rolled_back)
{
	if (!begin(engines[_i]))
		return;
	signal(SIGXFSZ, SIG_IGN);
	ck_ok(tp_thin_write(thin, bytes, MIB, 0, 0));
	ck_ok(tp_thin_flush(thin));
	ck_ok(tp_thin_write(thin, bytes + MIB, MIB, MIB, 0));
	limit_files(4096 + 512); /* the superblock is let through */
	ck_assert_int_eq(tp_thin_flush(thin), -EIO);
	limit_files(0);
	ck_assert_int_eq(status_of_pool().mode, TP_MODE_READ_ONLY);
	ck_assert(status_of_pool().needs_check);
	ck_ok(tp_thin_read(thin, seen, 2 * MIB, 0));
	ck_assert_int_eq(memcmp(seen, bytes, MIB), 0);
	ck_assert_uint_eq(find_nonzero(seen + MIB, MIB, 0), UINT64_MAX);
	ck_ok(close_pool());
	end();
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"short transfers", NR_ENGINES,
		test_transfers_go_on_until_all_is_done,
		test_a_file_that_was_cut_off_is_an_io_error_behind_its_end,
		test_a_write_that_the_system_cuts_short_has_failed,
		test_metadata_that_the_system_cuts_short_is_rolled_back);
}
