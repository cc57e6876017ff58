/*
 * Files and block devices: what can be opened, and how they change under us.
 * What all devices do is in test-device-contract.c.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/run-tests.h"
#include "support/scratch.h"
#include "support/sync-channel.h"

#define FILE_BYTES (1u << 20)

static struct tp_device *device;
static char path[SCRATCH_PATH_BYTES];
static char buffer[65536] __attribute__((aligned(4096)));

static int open_path(const char *name, unsigned flags,
		     enum tp_file_engine engine)
{
	const struct tp_file_options options = {
		.struct_size = sizeof(options),
		.flags = flags,
		.engine = engine,
	};

	return tp_device_open_file(name, &options, &device);
}

static const enum tp_file_engine engines[] = {
	TP_FILE_ENGINE_THREADS,
	TP_FILE_ENGINE_DEFAULT,
	TP_FILE_ENGINE_INLINE,
};

/* Each engine, in turn. */
static void open_scratch(int i, uint64_t size, struct sync_channel *channel)
{
	scratch_file(path, size);
	ck_assert_int_eq(open_path(path, 0, engines[i]), 0);
	sync_channel_open(channel, device, false);
}

static void close_scratch(struct sync_channel *channel)
{
	sync_channel_close(channel);
	tp_device_unref(device);
	unlink(path);
}

/*---------------------------- opening --------------------------------------*/

START_TEST(test_what_is_not_there_is_not_made)
{
	ck_assert_int_eq(open_path("/nonexistent/file", 0, 0), -ENOENT);
	ck_assert_ptr_nonnull(strstr(tp_last_error(), "/nonexistent/file"));
}
END_TEST

/* Least of all may opening a fifo wait for somebody to write to it. */
START_TEST(test_only_files_and_block_devices_are_opened)
{
	scratch_file(path, 0);
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(open_path(path, 0, 0), -EINVAL);
	ck_assert_int_eq(open_path(path, TP_FILE_READ_ONLY, 0), -EINVAL);
	unlink(path);
	ck_assert_int_eq(open_path("/tmp", 0, 0), -EINVAL);
	ck_assert_int_eq(open_path("/dev/null", 0, 0), -EINVAL);
}
END_TEST

START_TEST(test_options_are_checked)
{
	struct tp_file_options options = TP_FILE_OPTIONS_INIT;

	scratch_file(path, FILE_BYTES);
	ck_assert_int_eq(open_path(path, 1u << 31, 0), -EINVAL);
	ck_assert_int_eq(open_path(path, 0, 17), -EINVAL);
	ck_assert_int_eq(tp_device_open_file(NULL, NULL, &device), -EINVAL);
	ck_assert_int_eq(tp_device_open_file(path, NULL, NULL), -EINVAL);
	options.nr_threads = 1000000;
	ck_assert_int_eq(tp_device_open_file(path, &options, &device), -EINVAL);
	options.struct_size = 0;
	ck_assert_int_eq(tp_device_open_file(path, &options, &device), -EINVAL);

	/* Of a host that has never heard of engines and threads. */
	options.struct_size = offsetof(struct tp_file_options, engine);
	ck_assert_int_eq(tp_device_open_file(path, &options, &device), 0);
	tp_device_unref(device);
	unlink(path);
}
END_TEST

/* Leave room for @nr more descriptors; the limit as it was. */
static struct rlimit limit_descriptors(unsigned nr)
{
	struct rlimit before, after;
	int next = dup(0);

	ck_assert_int_ge(next, 0);
	close(next);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	after = before;
	after.rlim_cur = next + nr;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &after), 0);

	return before;
}

/* Which engine it is is found out when the device is opened: here, a ring is
 * one descriptor too many.  Who asked for that engine is told so, or that the
 * kernel does not have it. */
START_TEST(test_without_io_uring_threads_do_its_work)
{
	struct sync_channel channel;
	struct rlimit limit;
	int r[2];

	scratch_file(path, FILE_BYTES);
	limit = limit_descriptors(1);
	r[0] = open_path(path, 0, TP_FILE_ENGINE_URING);
	r[1] = open_path(path, 0, TP_FILE_ENGINE_DEFAULT);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert(r[0] == -EMFILE || r[0] == -EOPNOTSUPP);
	ck_assert_int_eq(r[1], 0);

	sync_channel_open(&channel, device, false);
	ck_assert_int_eq(sync_write(&channel, buffer, 4096, 0, TP_FUA), 0);
	close_scratch(&channel);
}
END_TEST

START_TEST(test_a_file_opened_read_only_is_not_written)
{
	struct sync_channel channel;

	scratch_file(path, FILE_BYTES);
	chmod(path, 0400);
	ck_assert_int_eq(open_path(path, TP_FILE_READ_ONLY, 0), 0);
	ck_assert(tpi_device_features(device) & TP_DEVICE_READ_ONLY);
	sync_channel_open(&channel, device, false);
	ck_assert_int_eq(sync_write(&channel, buffer, 512, 0, 0), -EROFS);
	ck_assert_int_eq(sync_op(&channel, TP_DISCARD, 0, 4096, 0), -EROFS);
	ck_assert_int_eq(sync_read(&channel, buffer, 512, 0), 0);
	ck_assert_int_eq(sync_op(&channel, TP_FLUSH, 0, 0, 0), 0);
	close_scratch(&channel);
}
END_TEST

/* A child that the host starts must not keep our files open. */
START_TEST(test_every_descriptor_is_close_on_exec)
{
	struct sync_channel channel;

	open_scratch(_i, FILE_BYTES, &channel);
	ck_assert_int_eq(tpi_device_claim(device, true), 0);
	for (int fd = 3; fd < 100; fd++) {
		int flags = fcntl(fd, F_GETFD);
		struct stat st;

		if (flags < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) ||
		    st.st_size != FILE_BYTES)
			continue;
		ck_assert(flags & FD_CLOEXEC);
	}
	tpi_device_release(device, true);
	close_scratch(&channel);
}
END_TEST

/*---------------------------- sizes ----------------------------------------*/

START_TEST(test_a_file_that_grew_is_seen_to_have_grown)
{
	struct sync_channel channel;

	open_scratch(_i, FILE_BYTES, &channel);
	ck_assert_int_eq(sync_write(&channel, buffer, 512, FILE_BYTES, 0),
			 -EIO);
	ck_assert_int_eq(truncate(path, 2 * FILE_BYTES), 0);
	ck_assert_int_eq(sync_write(&channel, buffer, 512, FILE_BYTES, 0), 0);
	ck_assert_uint_eq(tpi_device_size(device), 2 * FILE_BYTES);
	close_scratch(&channel);
}
END_TEST

START_TEST(test_the_last_odd_bytes_of_a_file_are_left_out)
{
	struct sync_channel channel;

	open_scratch(_i, 1000, &channel);
	ck_assert_uint_eq(tpi_device_size(device), 512);
	ck_assert_int_eq(sync_read(&channel, buffer, 512, 512), -EIO);
	close_scratch(&channel);
}
END_TEST

/* A device does not shrink; a file cut off behind our back gives errors, and
 * never a buffer that was half filled. */
START_TEST(test_a_file_that_was_cut_off_gives_errors)
{
	struct sync_channel channel;

	open_scratch(_i, FILE_BYTES, &channel);
	ck_assert_int_eq(sync_read(&channel, buffer, 4096, FILE_BYTES - 4096),
			 0);
	ck_assert_int_eq(truncate(path, FILE_BYTES / 2), 0);
	ck_assert_int_eq(sync_read(&channel, buffer, 4096, FILE_BYTES - 4096),
			 -EIO);
	ck_assert_int_eq(
		sync_read(&channel, buffer, 4096, FILE_BYTES / 2 - 2048), -EIO);
	close_scratch(&channel);
}
END_TEST

/*---------------------------- short transfers ------------------------------*/

static int transfer(struct sync_channel *channel, enum tp_op op,
		    struct iovec *iov, int iovcnt)
{
	struct tp_device_request request = { .op = op,
					     .iov = iov,
					     .iovcnt = iovcnt };

	for (int i = 0; i < iovcnt; i++)
		request.length += iov[i].iov_len;

	return sync_request(channel, &request);
}

/*
 * The kernel transfers 2 GiB at most, and here a piece of memory lies across
 * that: what is left must go on from where it stopped.  Cheap, for it is the
 * same memory many times over, and the file one big hole.
 */
START_TEST(test_a_short_transfer_goes_on)
{
	const size_t piece = 48 << 20;
	const int nr = 44;
	char *memory = aligned_alloc(4096, piece);
	struct sync_channel channel;
	struct iovec iov[44];

	scratch_file(path, nr * piece);
	if (open_path(path, TP_FILE_DIRECT, engines[_i])) {
		free(memory);
		return;
	}
	sync_channel_open(&channel, device, false);
	for (int i = 0; i < nr; i++)
		iov[i] = (struct iovec){ memory, piece };
	memset(memory, 1, piece);
	ck_assert_int_eq(transfer(&channel, TP_READ, iov, nr), 0);
	for (size_t i = 0; i < piece; i += 512)
		ck_assert_int_eq(memory[i], 0);
	close_scratch(&channel);
	free(memory);
}
END_TEST

/*---------------------------- discards, zeroes -----------------------------*/

static blkcnt_t nr_sectors_of(const char *name)
{
	struct stat st;

	ck_assert_int_eq(stat(name, &st), 0);

	return st.st_blocks;
}

START_TEST(test_a_discard_makes_a_hole)
{
	struct sync_channel channel;

	open_scratch(_i, FILE_BYTES, &channel);
	if (tpi_device_features(device) & TP_DEVICE_DISCARD) {
		for (unsigned i = 0; i < FILE_BYTES; i += sizeof(buffer))
			ck_assert_int_eq(sync_write(&channel, buffer,
						    sizeof(buffer), i, TP_FUA),
					 0);
		ck_assert_int_ge(nr_sectors_of(path), FILE_BYTES / 512);
		ck_assert_int_eq(
			sync_op(&channel, TP_DISCARD, 0, FILE_BYTES, 0), 0);
		ck_assert_int_lt(nr_sectors_of(path), FILE_BYTES / 1024);
		ck_assert_uint_eq(tpi_device_size(device), FILE_BYTES);
	}
	close_scratch(&channel);
}
END_TEST

/* B-WRITE-4: a file system that cannot write zeroes is given zeroes to write;
 * tmpfs is one. */
START_TEST(test_zeroes_reach_a_file_system_that_has_none)
{
	const char *dir = getenv("TMPDIR");
	struct sync_channel channel;

	if (access("/dev/shm", W_OK))
		return;
	setenv("TMPDIR", "/dev/shm", 1);
	open_scratch(_i, FILE_BYTES, &channel);
	setenv("TMPDIR", dir ? dir : "/tmp", 1);
	memset(buffer, 0xee, sizeof(buffer));
	ck_assert_int_eq(sync_write(&channel, buffer, 8192, 0, 0), 0);
	ck_assert_int_eq(sync_op(&channel, TP_WRITE_ZEROES, 0, 4096, 0), 0);
	ck_assert_int_eq(sync_read(&channel, buffer, 8192, 0), 0);
	for (unsigned i = 0; i < 8192; i++)
		ck_assert_int_eq(buffer[i], i < 4096 ? 0 : (char)0xee);
	close_scratch(&channel);
}
END_TEST

/* What has left the page cache has to be read from the disk again. */
START_TEST(test_what_is_not_in_the_page_cache_is_read)
{
	struct sync_channel channel;
	int fd;

	open_scratch(_i, FILE_BYTES, &channel);
	memset(buffer, 0xee, sizeof(buffer));
	for (unsigned at = 0; at < FILE_BYTES; at += sizeof(buffer))
		ck_assert_int_eq(
			sync_write(&channel, buffer, sizeof(buffer), at, 0), 0);
	ck_assert_int_eq(sync_op(&channel, TP_FLUSH, 0, 0, 0), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(posix_fadvise(fd, 4096, 0, POSIX_FADV_DONTNEED), 0);
	close(fd);
	memset(buffer, 0, sizeof(buffer));
	ck_assert_int_eq(sync_read(&channel, buffer, sizeof(buffer), 0), 0);
	for (unsigned i = 0; i < sizeof(buffer); i++)
		ck_assert_int_eq(buffer[i], (char)0xee);
	close_scratch(&channel);
}
END_TEST

int main(void)
{
	return RUN_TESTS("file-device", TPI_ARRAY_SIZE(engines),
			 test_what_is_not_there_is_not_made,
			 test_only_files_and_block_devices_are_opened,
			 test_options_are_checked,
			 test_without_io_uring_threads_do_its_work,
			 test_a_file_opened_read_only_is_not_written,
			 test_every_descriptor_is_close_on_exec,
			 test_a_file_that_grew_is_seen_to_have_grown,
			 test_the_last_odd_bytes_of_a_file_are_left_out,
			 test_a_file_that_was_cut_off_gives_errors,
			 test_a_short_transfer_goes_on,
			 test_a_discard_makes_a_hole,
			 test_zeroes_reach_a_file_system_that_has_none,
			 test_what_is_not_in_the_page_cache_is_read);
}
