/*
 * file-store.c - files, raw by a ring of io_uring for each lane; in tmpfs, by
 * calls, as the library's own device has them.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "call-lane.h"
#include "store.h"

struct file_store {
	struct store store;
	int fd;
};

/*---------------------------- raw ------------------------------------------*/

struct ring_lane {
	struct lane lane;
	struct io_uring ring;
	int fd;
};

static void prepare(struct io_uring_sqe *sqe, int fd, const struct slot *slot)
{
	unsigned length = (unsigned)slot->length;

	switch (slot->op) {
	case TP_READ:
		io_uring_prep_read(sqe, fd, slot->iov.iov_base, length,
				   slot->offset);
		break;
	case TP_WRITE:
		io_uring_prep_write(sqe, fd, slot->iov.iov_base, length,
				    slot->offset);
		break;
	case TP_FLUSH:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	case TP_WRITE_ZEROES:
		io_uring_prep_fallocate(sqe, fd, FALLOC_FL_ZERO_RANGE,
					slot->offset, slot->length);
		break;
	case TP_DISCARD:
		io_uring_prep_fallocate(
			sqe, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			slot->offset, slot->length);
		break;
	case TP_COPY:
		break;
	}
}

/* It is started by the next reap, with all others. */
static void ring_submit(struct lane *lane, struct slot *slot)
{
	struct ring_lane *ring = (struct ring_lane *)lane;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);

	if (!sqe)
		die("the ring is full");
	prepare(sqe, ring->fd, slot);
	io_uring_sqe_set_data(sqe, slot);
}

static bool is_whole(const struct slot *slot, int result)
{
	bool transfers = slot->op == TP_READ || slot->op == TP_WRITE;

	return transfers ? result == (int)slot->length : result == 0;
}

static void ring_reap(struct lane *lane)
{
	struct ring_lane *ring = (struct ring_lane *)lane;
	struct io_uring_cqe *cqe;
	int r = io_uring_submit_and_wait(&ring->ring, 1);

	if (r < 0 && r != -EINTR)
		check(r, "io_uring");
	while (!io_uring_peek_cqe(&ring->ring, &cqe)) {
		struct slot *slot = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&ring->ring, cqe);
		if (!is_whole(slot, result))
			die("a raw request of the file");
		slot->ended(slot);
	}
}

static void ring_close(struct lane *lane)
{
	struct ring_lane *ring = (struct ring_lane *)lane;

	io_uring_queue_exit(&ring->ring);
	free(ring);
}

static struct lane *ring_open(struct target *target, unsigned depth)
{
	static const struct lane_ops ops = {
		.submit = ring_submit,
		.reap = ring_reap,
		.close = ring_close,
	};
	struct ring_lane *ring = allocate(sizeof(*ring));

	ring->lane.ops = &ops;
	ring->fd = ((struct file_store *)target)->fd;
	check(io_uring_queue_init(depth, &ring->ring, 0), "io_uring");

	return &ring->lane;
}

static struct lane *calls_open(struct target *target, unsigned depth)
{
	return open_call_lane(((struct file_store *)target)->fd, depth);
}

/*---------------------------- open and close -------------------------------*/

/* Every block is written, so that none is the file system's to provide. */
static void write_whole(int fd, uint64_t size_bytes)
{
	char *data = allocate_pages(MIB);

	for (uint64_t at = 0; at < size_bytes; at += MIB)
		if (pwrite(fd, data, MIB, (off_t)at) != (ssize_t)MIB)
			die("writing the file");
	if (fsync(fd))
		die("flushing the file");
	munmap(data, MIB);
}

/* The path is gone before anything is written. */
static struct tp_device *open_file(const char *directory, uint64_t size_bytes,
				   bool is_direct, int *fd)
{
	struct tp_file_options options = TP_FILE_OPTIONS_INIT;
	struct tp_device *device;
	char path[4096];

	snprintf(path, sizeof(path), "%s/thinpool-bench-XXXXXX", directory);
	*fd = mkostemp(path, O_CLOEXEC | (is_direct ? O_DIRECT : 0));
	if (*fd < 0)
		die(path);
	options.flags = is_direct ? TP_FILE_DIRECT : 0;
	options.engine = is_direct ? TP_FILE_ENGINE_URING
				   : TP_FILE_ENGINE_DEFAULT;
	check(tp_device_open_file(path, &options, &device), path);
	unlink(path);
	write_whole(*fd, size_bytes);

	return device;
}

static void close_file(struct store *store)
{
	close(((struct file_store *)store)->fd);
	free(store);
}

struct store *open_file_store(const char *directory, uint64_t size_bytes,
			      bool is_direct)
{
	struct file_store *file = allocate(sizeof(*file));
	int metadata_fd;

	file->store.size_bytes = size_bytes;
	file->store.is_slow = true;
	file->store.raw.open = is_direct ? ring_open : calls_open;
	file->store.close = close_file;
	file->store.metadata =
		open_file(directory, METADATA_BYTES, is_direct, &metadata_fd);
	close(metadata_fd);
	file->store.data =
		open_file(directory, size_bytes, is_direct, &file->fd);

	return &file->store;
}
