/*
 * No memory for a device, a channel, or a request that has to be cut up or
 * copied: it is had, or refused, or ends with -ENOMEM (F-19).
 */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "memory/sweep.h"
#include "support/scratch.h"
#include "support/sync-channel.h"

#define DEVICE_BYTES (4 * MIB)

static bool is_inline;
static char buffer[2 * MIB];

/*---------------------------- what is done with a device -------------------*/

/* The first error.  The memory is not aligned, and is more than one piece. */
static int use_channel(struct sync_channel *sync)
{
	size_t length = sizeof(buffer) - 4096;
	char *memory = buffer + 512;
	int r;

	fill_pattern(memory, length, 0, 1);
	r = sync_write(sync, memory, length, 4096, 0);
	if (r)
		return r;
	memset(memory, 0, length);
	r = sync_read(sync, memory, length, 4096);
	if (r)
		return r;
	ck_assert_uint_eq(find_other(memory, length, 0, 1), UINT64_MAX);
	r = sync_op(sync, TP_WRITE_ZEROES, 4096, MIB, 0);
	if (!r)
		r = sync_op(sync, TP_DISCARD, 0, DEVICE_BYTES, 0);

	return r ? r : sync_op(sync, TP_FLUSH, 0, 0, 0);
}

static int use(struct tp_device *device)
{
	struct sync_channel sync = { .event_fd = eventfd(0, EFD_NONBLOCK) };
	int r;

	r = tpi_channel_open(device, sync.event_fd, is_inline, &sync.channel);
	if (!r)
		r = use_channel(&sync);
	sync_channel_close(&sync);

	return r;
}

static int use_and_close(int error, struct tp_device *device)
{
	if (error)
		return error;
	error = use(device);
	tp_device_unref(device);

	return error;
}

/*---------------------------- memory ---------------------------------------*/

static int memory(void)
{
	struct tp_device *device = NULL;
	int r = tp_device_open_memory(DEVICE_BYTES, &device);

	return use_and_close(r, device);
}

START_TEST(test_a_memory_device_works_or_tells)
{
	is_inline = _i;
	sweep_call(memory);
}
END_TEST

/*---------------------------- files ----------------------------------------*/

static char path[SCRATCH_PATH_BYTES];
static enum tp_file_engine engine;

static int file(void)
{
	struct tp_file_options options = TP_FILE_OPTIONS_INIT;
	struct tp_device *device = NULL;
	int r;

	options.engine = engine;
	r = tp_device_open_file(path, &options, &device);

	return use_and_close(r, device);
}

static void sweep_file(enum tp_file_engine with)
{
	engine = with;
	scratch_file(path, DEVICE_BYTES);
	sweep_call(file);
	unlink(path);
}

START_TEST(test_a_file_with_threads_works_or_tells)
{
	is_inline = _i;
	sweep_file(TP_FILE_ENGINE_THREADS);
}
END_TEST

START_TEST(test_a_file_read_and_written_inline_works_or_tells)
{
	is_inline = _i;
	sweep_file(TP_FILE_ENGINE_INLINE);
}
END_TEST

/* What the kernel has not is not tried. */
START_TEST(test_a_file_with_io_uring_works_or_tells)
{
	is_inline = _i;
	scratch_file(path, DEVICE_BYTES);
	engine = TP_FILE_ENGINE_URING;
	if (file() != -EOPNOTSUPP)
		sweep_file(TP_FILE_ENGINE_URING);
	unlink(path);
}
END_TEST

START_TEST(test_a_file_works_or_tells)
{
	is_inline = _i;
	sweep_file(TP_FILE_ENGINE_DEFAULT);
}
END_TEST

/*---------------------------- a host's own ---------------------------------*/

static char content[DEVICE_BYTES];

static int host_read(void *context, const struct iovec *iov, int iovcnt,
		     uint64_t offset)
{
	for (int i = 0; i < iovcnt; offset += iov[i++].iov_len)
		memcpy(iov[i].iov_base, content + offset, iov[i].iov_len);

	return 0;
}

static int host_write(void *context, const struct iovec *iov, int iovcnt,
		      uint64_t offset, unsigned flags)
{
	for (int i = 0; i < iovcnt; offset += iov[i++].iov_len)
		memcpy(content + offset, iov[i].iov_base, iov[i].iov_len);

	return 0;
}

static int host_flush(void *context)
{
	return 0;
}

static int host_discard(void *context, uint64_t offset, uint64_t length)
{
	return 0;
}

static uint64_t host_size(void *context)
{
	return DEVICE_BYTES;
}

/* It wants all of its requests cut up. */
static int blocking(void)
{
	const struct tp_device_ops ops = {
		TP_DEVICE_OPS_INIT,
		.read = host_read,
		.write = host_write,
		.flush = host_flush,
		.discard = host_discard,
		.size = host_size,
		.memory_alignment_bytes = 4096,
		.discard_granularity_bytes = 64 * KIB,
		.discard_max_bytes = MIB,
	};
	struct tp_device *device = NULL;
	int r = tp_device_new(&ops, NULL, &device);

	return use_and_close(r, device);
}

START_TEST(test_a_blocking_device_of_the_hosts_works_or_tells)
{
	is_inline = _i;
	sweep_call(blocking);
}
END_TEST

static struct observer *observer;

static int observe(void)
{
	return use(observer->device);
}

/* A channel of a device that was made by tp_device_new_async(). */
START_TEST(test_an_asynchronous_device_of_the_hosts_works_or_tells)
{
	struct observer made;
	struct io_log log;

	is_inline = _i;
	io_log_init(&log);
	observer_init(&made, &log, "host", DEVICE_BYTES, 0,
		      &(struct tp_device_limits){
			      .struct_size = sizeof(struct tp_device_limits),
			      .logical_block_bytes = 512,
			      .memory_alignment_bytes = 1024,
			      .discard_granularity_bytes = 64 * KIB,
			      .discard_max_bytes = MIB,
			      .features = TP_DEVICE_DISCARD,
		      });
	observer = &made;
	sweep_call(observe);
	observer_exit(&made);
	io_log_exit(&log);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"memory-devices", 2, test_a_memory_device_works_or_tells,
		test_a_file_with_threads_works_or_tells,
		test_a_file_read_and_written_inline_works_or_tells,
		test_a_file_with_io_uring_works_or_tells,
		test_a_file_works_or_tells,
		test_a_blocking_device_of_the_hosts_works_or_tells,
		test_an_asynchronous_device_of_the_hosts_works_or_tells);
}
