/*
 * A device is used by one pool, or by any number that only read (B-BAD-2,
 * B-BAD-6), whoever else has it open under whatever name.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/device.h"
#include "support/run-tests.h"
#include "support/scratch.h"

static char path[SCRATCH_PATH_BYTES];

static struct tp_device *open_file(const char *name, unsigned flags)
{
	const struct tp_file_options options = {
		.struct_size = sizeof(options),
		.flags = flags,
	};
	struct tp_device *device;

	ck_assert_int_eq(tp_device_open_file(name, &options, &device), 0);

	return device;
}

static struct tp_device *open_scratch(void)
{
	scratch_file(path, 65536);

	return open_file(path, 0);
}

/*---------------------------- the same device ------------------------------*/

START_TEST(test_two_handles_of_a_file_are_the_same_device)
{
	struct tp_device *a = open_scratch();
	struct tp_device *b = open_file(path, TP_FILE_READ_ONLY);

	ck_assert(tpi_device_same(a, a));
	ck_assert(tpi_device_same(a, b));
	tp_device_unref(a);
	tp_device_unref(b);
	unlink(path);
}
END_TEST

START_TEST(test_links_lead_to_the_same_device)
{
	char hard[SCRATCH_PATH_BYTES + 8], symbolic[SCRATCH_PATH_BYTES + 8];
	struct tp_device *a = open_scratch(), *b, *c;

	snprintf(hard, sizeof(hard), "%s.hard", path);
	snprintf(symbolic, sizeof(symbolic), "%s.sym", path);
	ck_assert_int_eq(link(path, hard), 0);
	ck_assert_int_eq(symlink(path, symbolic), 0);
	b = open_file(hard, 0);
	c = open_file(symbolic, 0);
	ck_assert(tpi_device_same(a, b));
	ck_assert(tpi_device_same(a, c));
	ck_assert_int_eq(tpi_device_claim(a, true), 0);
	ck_assert_int_eq(tpi_device_claim(b, false), -EBUSY);
	ck_assert_int_eq(tpi_device_claim(c, true), -EBUSY);
	tpi_device_release(a, true);
	tp_device_unref(a);
	tp_device_unref(b);
	tp_device_unref(c);
	unlink(hard);
	unlink(symbolic);
	unlink(path);
}
END_TEST

START_TEST(test_other_devices_are_only_the_same_as_themselves)
{
	struct tp_device *a, *b, *file = open_scratch();

	ck_assert_int_eq(tp_device_open_memory(512, &a), 0);
	ck_assert_int_eq(tp_device_open_memory(512, &b), 0);
	ck_assert(tpi_device_same(a, a));
	ck_assert(!tpi_device_same(a, b));
	ck_assert(!tpi_device_same(a, file));
	tp_device_unref(a);
	tp_device_unref(b);
	tp_device_unref(file);
	unlink(path);
}
END_TEST

/*---------------------------- within the process ---------------------------*/

START_TEST(test_an_exclusive_claim_keeps_all_others_out)
{
	struct tp_device *device;

	ck_assert_int_eq(tp_device_open_memory(512, &device), 0);
	ck_assert_int_eq(tpi_device_claim(device, true), 0);
	ck_assert_int_eq(tpi_device_claim(device, true), -EBUSY);
	ck_assert_int_eq(tpi_device_claim(device, false), -EBUSY);
	ck_assert_ptr_nonnull(strstr(tp_last_error(), "this process"));
	tpi_device_release(device, true);
	ck_assert_int_eq(tpi_device_claim(device, false), 0);
	tpi_device_release(device, false);
	tp_device_unref(device);
}
END_TEST

START_TEST(test_readers_share_a_device)
{
	struct tp_device *a = open_scratch(), *b = open_file(path, 0);

	ck_assert_int_eq(tpi_device_claim(a, false), 0);
	ck_assert_int_eq(tpi_device_claim(a, false), 0);
	ck_assert_int_eq(tpi_device_claim(b, false), 0);
	ck_assert_int_eq(tpi_device_claim(b, true), -EBUSY);
	tpi_device_release(a, false);
	tpi_device_release(b, false);
	ck_assert_int_eq(tpi_device_claim(b, true), -EBUSY);
	tpi_device_release(a, false);
	ck_assert_int_eq(tpi_device_claim(b, true), 0);
	tpi_device_release(b, true);
	tp_device_unref(a);
	tp_device_unref(b);
	unlink(path);
}
END_TEST

/*---------------------------- another process ------------------------------*/

static int try_to_claim(const char *name, bool exclusive)
{
	struct tp_device *device = open_file(name, 0);
	int r = tpi_device_claim(device, exclusive);

	if (!r)
		tpi_device_release(device, exclusive);
	tp_device_unref(device);

	return r;
}

/* What another process is told that claims the file: 0, or an errno. */
/* Told by a pipe, for valgrind has a say in how a child exits. */
static int claim_in_child(const char *name, bool exclusive)
{
	int ends[2], error;
	pid_t child;

	ck_assert_int_eq(pipe(ends), 0);
	child = fork();
	if (!child) {
		error = -try_to_claim(name, exclusive);
		_exit(write(ends[1], &error, sizeof(error)) < 0);
	}
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], &error, sizeof(error)), sizeof(error));
	close(ends[0]);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);

	return error;
}

/* Another one has the lock; this one and its children are told. */
START_TEST(test_another_process_is_kept_out)
{
	struct tp_device *device;
	int fd;

	scratch_file(path, 65536);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	ck_assert_int_eq(claim_in_child(path, true), EBUSY);
	ck_assert_int_eq(claim_in_child(path, false), EBUSY);
	device = open_file(path, 0);
	ck_assert_int_eq(tpi_device_claim(device, true), -EBUSY);
	ck_assert_ptr_nonnull(strstr(tp_last_error(), "another process"));

	ck_assert_int_eq(flock(fd, LOCK_SH | LOCK_NB), 0);
	ck_assert_int_eq(claim_in_child(path, true), EBUSY);
	ck_assert_int_eq(claim_in_child(path, false), 0);

	close(fd);
	ck_assert_int_eq(claim_in_child(path, true), 0);
	tp_device_unref(device);
	unlink(path);
}
END_TEST

/* As the others see it: they can lock what we do not hold. */
START_TEST(test_a_claim_is_seen_until_it_is_released)
{
	struct tp_device *device = open_scratch();
	int fd = open(path, O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(tpi_device_claim(device, true), 0);
	ck_assert_int_ne(flock(fd, LOCK_SH | LOCK_NB), 0);
	tpi_device_release(device, true);
	ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	ck_assert_int_eq(flock(fd, LOCK_UN), 0);

	ck_assert_int_eq(tpi_device_claim(device, false), 0);
	ck_assert_int_eq(flock(fd, LOCK_SH | LOCK_NB), 0);
	ck_assert_int_ne(flock(fd, LOCK_EX | LOCK_NB), 0);
	tpi_device_release(device, false);
	close(fd);
	tp_device_unref(device);
	unlink(path);
}
END_TEST

/*---------------------------- block devices --------------------------------*/

START_TEST(test_a_block_device_is_the_same_under_any_node)
{
	char node[SCRATCH_PATH_BYTES];
	struct tp_device *a, *b;
	int fd;

	if (scratch_loop(path, 1 << 20, &fd))
		return;
	snprintf(node, sizeof(node), "/proc/self/fd/%d", fd);
	a = open_file(path, 0);
	b = open_file(node, 0);
	ck_assert(tpi_device_same(a, b));
	tp_device_unref(a);
	tp_device_unref(b);
	close(fd);
}
END_TEST

/* Mounts and LVM do not know flock, but they do know O_EXCL. */
START_TEST(test_a_claimed_block_device_is_open_exclusively)
{
	struct tp_device *device;
	int fd, other;

	if (scratch_loop(path, 1 << 20, &fd))
		return;
	device = open_file(path, 0);
	ck_assert_int_eq(tpi_device_claim(device, true), 0);
	ck_assert_int_lt(open(path, O_RDWR | O_EXCL | O_CLOEXEC), 0);
	ck_assert_int_eq(errno, EBUSY);
	tpi_device_release(device, true);

	other = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	ck_assert_int_ge(other, 0);
	ck_assert_int_eq(tpi_device_claim(device, true), -EBUSY);
	ck_assert_int_eq(tpi_device_claim(device, false), 0);
	tpi_device_release(device, false);
	close(other);
	ck_assert_int_eq(tpi_device_claim(device, true), 0);
	tpi_device_release(device, true);
	tp_device_unref(device);
	close(fd);
}
END_TEST

int main(void)
{
	return RUN_TESTS("claims", 1,
			 test_two_handles_of_a_file_are_the_same_device,
			 test_links_lead_to_the_same_device,
			 test_other_devices_are_only_the_same_as_themselves,
			 test_an_exclusive_claim_keeps_all_others_out,
			 test_readers_share_a_device,
			 test_another_process_is_kept_out,
			 test_a_claim_is_seen_until_it_is_released,
			 test_a_block_device_is_the_same_under_any_node,
			 test_a_claimed_block_device_is_open_exclusively);
}
