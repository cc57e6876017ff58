/*
 * cached-file.c - see cached-file.h.
 *
 * A request that has ended waits in its channel for the next poll, whoever did
 * it.  One that waits for a thread is in the file's list.  The locks of the two
 * are never held together.
 */
#include "cached-file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define NR_THREADS 16

/* What of a request's room is used for what. */
enum { ROOM_NEXT, ROOM_STATUS, ROOM_CHANNEL };

struct list {
	struct tp_device_request *first, *last;
	unsigned nr;
};

struct file {
	int fd;
	int exclusive_fd; /* of a block device, or -1 */
	bool is_block, read_only;

	pthread_mutex_t lock; /* all below */
	pthread_cond_t changed;
	bool is_locked, stopping;
	struct list waiting;
	unsigned nr_threads;
	pthread_t threads[NR_THREADS];
};

struct channel {
	struct file *file;
	bool inline_only;
	int event_fd;

	pthread_mutex_t lock; /* all below */
	struct list ended;
	bool armed;
};

/*---------------------------- lists of requests ----------------------------*/

static void push(struct list *list, struct tp_device_request *request)
{
	request->device_room[ROOM_NEXT] = NULL;
	if (list->nr++)
		list->last->device_room[ROOM_NEXT] = request;
	else
		list->first = request;
	list->last = request;
}

/* There is one. */
static struct tp_device_request *pop(struct list *list)
{
	struct tp_device_request *request = list->first;

	list->first = request->device_room[ROOM_NEXT];
	list->nr--;

	return request;
}

/*---------------------------- reading and writing --------------------------*/

static ssize_t transfer_some(const struct file *file,
			     const struct tp_device_request *request,
			     const struct iovec *iov, int iovcnt, uint64_t done,
			     int flags)
{
	off_t offset = (off_t)(request->offset + done);

	if (request->op == TP_READ)
		return preadv2(file->fd, iov, iovcnt, offset, flags);

	return pwritev2(file->fd, iov, iovcnt, offset, flags);
}

/* What is left of one piece of the memory, from @done bytes of the request on. */
static int transfer_piece(const struct file *file,
			  const struct tp_device_request *request,
			  struct iovec piece, uint64_t done, int flags)
{
	while (piece.iov_len) {
		ssize_t n =
			transfer_some(file, request, &piece, 1, done, flags);

		if (!n)
			return -EIO; /* cut off behind our back */
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n < 0)
			continue;
		piece.iov_base = (char *)piece.iov_base + n;
		piece.iov_len -= (size_t)n;
		done += (size_t)n;
	}

	return 0;
}

/* A call may end early; then it goes on piece by piece. */
static int transfer(const struct file *file,
		    const struct tp_device_request *request, int flags)
{
	ssize_t n = transfer_some(file, request, request->iov, request->iovcnt,
				  0, flags);
	uint64_t done = n > 0 ? (uint64_t)n : 0, begin = 0;
	int r = n < 0 && errno != EINTR ? -errno : 0;

	for (int i = 0; i < request->iovcnt && !r; i++) {
		struct iovec piece = request->iov[i];
		uint64_t end = begin + piece.iov_len;
		uint64_t skip = done > begin ? done - begin : 0;

		if (done < end) {
			piece.iov_base = (char *)piece.iov_base + skip;
			piece.iov_len -= skip;
			r = transfer_piece(file, request, piece, begin + skip,
					   flags);
		}
		begin = end;
	}

	return r;
}

/*---------------------------- the other ops --------------------------------*/

static int deallocate_some(const struct file *file,
			   const struct tp_device_request *request)
{
	bool discard = request->op == TP_DISCARD;
	uint64_t range[2] = { request->offset, request->length };

	if (file->is_block)
		return ioctl(file->fd, discard ? BLKDISCARD : BLKZEROOUT,
			     range);

	return fallocate(file->fd,
			 FALLOC_FL_KEEP_SIZE | (discard ? FALLOC_FL_PUNCH_HOLE
							: FALLOC_FL_ZERO_RANGE),
			 (off_t)request->offset, (off_t)request->length);
}

static int deallocate(const struct file *file,
		      const struct tp_device_request *request)
{
	int r;

	do
		r = deallocate_some(file, request);
	while (r && errno == EINTR);
	if (!r)
		return 0;

	return errno == ENOSYS || errno == ENOTTY ? -EOPNOTSUPP : -errno;
}

/* All of it, however long it takes. */
static int carry_out(const struct file *file,
		     const struct tp_device_request *request)
{
	switch (request->op) {
	case TP_READ:
		return transfer(file, request, 0);
	case TP_WRITE:
		return transfer(file, request,
				request->flags & TP_FUA ? RWF_DSYNC : 0);
	case TP_FLUSH:
		return fdatasync(file->fd) ? -errno : 0;
	case TP_DISCARD:
	case TP_WRITE_ZEROES:
		return deallocate(file, request);
	case TP_COPY:
		break;
	}

	return -EOPNOTSUPP;
}

/*---------------------------- at once, or by a thread ----------------------*/

static int read_at_once(const struct file *file,
			const struct tp_device_request *request)
{
	ssize_t n = transfer_some(file, request, request->iov, request->iovcnt,
				  0, RWF_NOWAIT);

	if (n < 0 && errno == EOPNOTSUPP) /* tmpfs: where there is no wait */
		return transfer(file, request, 0);
	if (n < 0 && errno != EINTR)
		return -errno;

	return n == (ssize_t)request->length ? 0 : -EAGAIN;
}

/* -EAGAIN: it would wait. */
static int do_at_once(const struct channel *channel,
		      const struct tp_device_request *request)
{
	if (channel->inline_only)
		return carry_out(channel->file, request);
	if (request->op == TP_READ)
		return read_at_once(channel->file, request);
	if (request->op == TP_WRITE && !(request->flags & TP_FUA))
		return carry_out(channel->file, request);

	return -EAGAIN;
}

/* With the signal under the lock: once the owner has the request, nobody else
 * touches the channel. */
static void end(struct tp_device_request *request, int status)
{
	struct channel *channel = request->device_room[ROOM_CHANNEL];

	request->device_room[ROOM_STATUS] = (void *)(intptr_t)status;
	pthread_mutex_lock(&channel->lock);
	push(&channel->ended, request);
	if (channel->armed)
		eventfd_write(channel->event_fd, 1);
	channel->armed = false;
	pthread_mutex_unlock(&channel->lock);
}

/* NULL: there will be none. */
static struct tp_device_request *next_request(struct file *file)
{
	struct tp_device_request *request = NULL;

	pthread_mutex_lock(&file->lock);
	while (!file->waiting.nr && !file->stopping)
		pthread_cond_wait(&file->changed, &file->lock);
	if (file->waiting.nr)
		request = pop(&file->waiting);
	pthread_mutex_unlock(&file->lock);

	return request;
}

static void *run(void *context)
{
	struct file *file = context;
	struct tp_device_request *request;

	while ((request = next_request(file)))
		end(request, carry_out(file, request));

	return NULL;
}

static void file_submit(void *handle, struct tp_device_request *request)
{
	struct channel *channel = handle;
	struct file *file = channel->file;
	int r = do_at_once(channel, request);

	request->device_room[ROOM_CHANNEL] = channel;
	if (r != -EAGAIN) {
		end(request, r);
		return;
	}
	pthread_mutex_lock(&file->lock);
	push(&file->waiting, request);
	pthread_cond_signal(&file->changed);
	pthread_mutex_unlock(&file->lock);
}

/*---------------------------- channels -------------------------------------*/

static struct tp_device_request *take_ended(struct channel *channel)
{
	struct tp_device_request *request = NULL;

	pthread_mutex_lock(&channel->lock);
	if (channel->ended.nr)
		request = pop(&channel->ended);
	pthread_mutex_unlock(&channel->lock);

	return request;
}

/* What done() submits may end at once: that is for the next time. */
static unsigned file_poll(void *handle, unsigned max)
{
	struct channel *channel = handle;
	unsigned nr;

	pthread_mutex_lock(&channel->lock);
	nr = channel->ended.nr < max ? channel->ended.nr : max;
	pthread_mutex_unlock(&channel->lock);
	for (unsigned i = 0; i < nr; i++) {
		struct tp_device_request *request = take_ended(channel);

		request->done(request,
			      (int)(intptr_t)request->device_room[ROOM_STATUS]);
	}

	return nr;
}

static int file_arm(void *handle)
{
	struct channel *channel = handle;
	bool has_ended;

	pthread_mutex_lock(&channel->lock);
	has_ended = channel->ended.nr;
	channel->armed = !has_ended;
	pthread_mutex_unlock(&channel->lock);

	return has_ended;
}

/* Through /proc, for the path may lead elsewhere by now. */
static int lock_block_device(struct file *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	file->exclusive_fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);

	return file->exclusive_fd < 0 ? -errno : 0;
}

static int lock_file(struct file *file)
{
	if (file->is_locked)
		return 0;
	if (flock(file->fd, (file->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (file->is_block && !file->read_only && lock_block_device(file))
		return -EBUSY;
	file->is_locked = true;

	return 0;
}

static int start_threads(struct file *file)
{
	int r = 0;

	while (!r && file->nr_threads < NR_THREADS) {
		r = -pthread_create(&file->threads[file->nr_threads], NULL, run,
				    file);
		file->nr_threads += !r;
	}

	return r;
}

/* The first that opens one is the pool. */
static int prepare(struct file *file, bool inline_only)
{
	int r;

	pthread_mutex_lock(&file->lock);
	r = lock_file(file);
	if (!r && !inline_only)
		r = start_threads(file);
	pthread_mutex_unlock(&file->lock);

	return r;
}

static int file_open_channel(void *context, int event_fd, int inline_only,
			     void **result)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	int r = channel ? prepare(context, inline_only) : -ENOMEM;

	if (r) {
		free(channel);
		return r;
	}
	channel->file = context;
	channel->inline_only = inline_only;
	channel->event_fd = event_fd;
	pthread_mutex_init(&channel->lock, NULL);
	*result = channel;

	return 0;
}

static void file_close_channel(void *handle)
{
	struct channel *channel = handle;

	pthread_mutex_destroy(&channel->lock);
	free(channel);
}

/*---------------------------- open and close -------------------------------*/

static uint64_t file_size(void *context)
{
	const struct file *file = context;
	struct stat st;
	uint64_t bytes;

	if (file->is_block)
		return ioctl(file->fd, BLKGETSIZE64, &bytes) ? 0 : bytes;

	return fstat(file->fd, &st) ? 0 : (uint64_t)st.st_size;
}

static void stop_threads(struct file *file)
{
	pthread_mutex_lock(&file->lock);
	file->stopping = true;
	pthread_cond_broadcast(&file->changed);
	pthread_mutex_unlock(&file->lock);
	for (unsigned i = 0; i < file->nr_threads; i++)
		pthread_join(file->threads[i], NULL);
}

static void file_close(void *context)
{
	struct file *file = context;

	stop_threads(file);
	if (file->exclusive_fd >= 0)
		close(file->exclusive_fd);
	if (file->fd >= 0)
		close(file->fd);
	pthread_cond_destroy(&file->changed);
	pthread_mutex_destroy(&file->lock);
	free(file);
}

/* The library's own device says what the file is good for, and what is wrong
 * with it. */
static int ask_limits(const char *path, bool read_only,
		      struct tp_device_limits *limits)
{
	struct tp_file_options options = TP_FILE_OPTIONS_INIT;
	struct tp_device *device;
	int r;

	options.flags = read_only ? TP_FILE_READ_ONLY : 0;
	r = tp_device_open_file(path, &options, &device);
	if (r)
		return r;
	r = tp_device_get_limits(device, limits);
	tp_device_unref(device);

	return r;
}

static int file_init(struct file *file, const char *path, bool read_only)
{
	struct stat st;

	pthread_mutex_init(&file->lock, NULL);
	pthread_cond_init(&file->changed, NULL);
	file->exclusive_fd = -1;
	file->read_only = read_only;
	file->fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (file->fd < 0 || fstat(file->fd, &st))
		return -errno;
	file->is_block = S_ISBLK(st.st_mode);

	return 0;
}

static int make_device(struct file *file, const struct tp_device_limits *limits,
		       struct tp_device **device)
{
	struct tp_device_async_ops ops = {
		TP_DEVICE_ASYNC_OPS_INIT,
		.features = limits->features,
		.open_channel = file_open_channel,
		.close_channel = file_close_channel,
		.submit = file_submit,
		.poll = file_poll,
		.arm = file_arm,
		.size = file_size,
		.close = file_close,
		.logical_block_bytes = limits->logical_block_bytes,
		.discard_granularity_bytes = limits->discard_granularity_bytes,
		.discard_max_bytes = limits->discard_max_bytes,
	};

	return tp_device_new_async(&ops, file, device);
}

int cached_file_open(const char *path, bool read_only,
		     struct tp_device **device)
{
	struct tp_device_limits limits = TP_DEVICE_LIMITS_INIT;
	struct file *file;
	int r = ask_limits(path, read_only, &limits);

	if (r)
		return r;
	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	r = file_init(file, path, read_only);
	if (!r)
		r = make_device(file, &limits, device);
	if (r)
		file_close(file);

	return r;
}
