/*
 * custom-device.c - a pool on a device of the host's own, a mirror of two files.
 *
 *	cc custom-device.c $(pkg-config --cflags --libs libthinpool); ./a.out
 *
 * A device is a table of blocking functions, called from the library's I/O
 * threads, several at once.  The promise to keep with care is flush's: whatever
 * was written before it is durable when it returns.
 */
#include <err.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <thinpool/thinpool.h>
#include <unistd.h>

#define MIRROR_BYTES ((uint64_t)64 << 20)
#define VOLUME_BYTES ((uint64_t)8 << 20)

struct mirror {
	int fds[2];
	atomic_bool lost[2]; /* this half is not used any more */
};

/* Whether half @i did all of it; one that did not is not used again. */
static bool half_does(struct mirror *mirror, int i, enum tp_op op,
		      const struct iovec *iov, int iovcnt, uint64_t offset)
{
	ssize_t wanted = 0, done;

	for (int n = 0; n < iovcnt; n++)
		wanted += (ssize_t)iov[n].iov_len;
	if (mirror->lost[i])
		return false;
	errno = EIO; /* for less than all */
	if (op == TP_READ)
		done = preadv(mirror->fds[i], iov, iovcnt, (off_t)offset);
	else if (op == TP_WRITE)
		done = pwritev(mirror->fds[i], iov, iovcnt, (off_t)offset);
	else
		done = fdatasync(mirror->fds[i]);
	if (done == wanted)
		return true;
	printf("half %d is given up: %s\n", i, strerror(errno));
	mirror->lost[i] = true;
	return false;
}

/* The first half that can, does. */
static int mirror_read(void *context, const struct iovec *iov, int iovcnt,
		       uint64_t offset)
{
	struct mirror *mirror = context;

	for (int i = 0; i < 2; i++)
		if (half_does(mirror, i, TP_READ, iov, iovcnt, offset))
			return 0;
	return -EIO;
}

/* Both do, as long as there are two; it has failed if none could. */
static int change(struct mirror *mirror, enum tp_op op, const struct iovec *iov,
		  int iovcnt, uint64_t offset)
{
	int nr_done = 0;

	for (int i = 0; i < 2; i++)
		nr_done += half_does(mirror, i, op, iov, iovcnt, offset);
	return nr_done ? 0 : -EIO;
}

/* FUA is not among our features: the library writes, then flushes. */
static int mirror_write(void *context, const struct iovec *iov, int iovcnt,
			uint64_t offset, unsigned flags)
{
	return change(context, TP_WRITE, iov, iovcnt, offset);
}

static int mirror_flush(void *context)
{
	return change(context, TP_FLUSH, NULL, 0, 0);
}

static uint64_t mirror_size(void *context)
{
	return MIRROR_BYTES;
}

static void check(int r, const char *what)
{
	if (r < 0)
		errx(1, "%s: %s", what, tp_last_error());
}

static struct tp_device *open_mirror(struct mirror *mirror)
{
	const struct tp_device_ops ops = {
		TP_DEVICE_OPS_INIT,    .read = mirror_read,
		.write = mirror_write, .flush = mirror_flush,
		.size = mirror_size,
	};
	struct tp_device *device;

	for (int i = 0; i < 2; i++) {
		mirror->fds[i] = memfd_create("half", MFD_CLOEXEC);
		check(ftruncate(mirror->fds[i], MIRROR_BYTES), "a half");
	}
	check(tp_device_new(&ops, mirror, &device), "device");
	return device;
}

static void use(struct tp_pool *pool, struct mirror *mirror)
{
	static char written[VOLUME_BYTES], back[VOLUME_BYTES];
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;

	memset(written, 'x', VOLUME_BYTES);
	options.size = VOLUME_BYTES;
	check(tp_pool_create_thin(pool, 0), "create");
	check(tp_thin_open(pool, 0, &options, &thin), "open");
	check(tp_thin_write(thin, written, VOLUME_BYTES, 0, 0), "write");
	check(tp_thin_flush(thin), "flush");
	check(ftruncate(mirror->fds[0], 0), "break half 0: reads are short");
	check(tp_thin_read(thin, back, VOLUME_BYTES, 0), "read");
	check(memcmp(written, back, VOLUME_BYTES) ? -EIO : 0, "compare");
	printf("written to both halves, read back from the other\n");
	check(tp_thin_close(thin), "close the thin");
}

int main(void)
{
	struct mirror mirror = { .lost = { false } };
	struct tp_device *metadata, *data = open_mirror(&mirror);
	struct tp_pool *pool;

	check(tp_device_open_memory(4 << 20, &metadata), "metadata");
	check(tp_pool_format(metadata, data, NULL), "format");
	check(tp_pool_open(metadata, data, NULL, &pool), "pool");
	use(pool, &mirror);
	check(tp_pool_close(pool), "close the pool");
	tp_device_unref(data);
	tp_device_unref(metadata);
	return 0;
}
