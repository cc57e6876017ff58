/*
 * file-uring.c - requests to a file or block device through io_uring.
 *
 * Each channel has a ring.  Submit only takes note of a request; kick fills the
 * ring with what waits, and one system call starts it all.  What io_uring
 * cannot do on every kernel (discards and zeroes of block devices) goes to a
 * channel of worker threads, which kick, poll and arm serve besides.
 *
 * The ring signals the eventfd only between arm and the next poll.  Who sleeps
 * on the channel instead sleeps in the kernel's wait for the ring, where a poll
 * of the eventfd is pending for the signals of others.
 */
#include "config.h"
#include "io/file-private.h"

#ifdef HAVE_LIBURING

#include <liburing.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/uio.h>

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_DEFINED(start, length) ((void)0)
#define RUNNING_ON_VALGRIND 0
#endif

#include "io/iov.h"
#include "io/request-fifo.h"

#define NR_RING_ENTRIES 128
#define MAX_TRANSFER_BYTES (1u << 30)

/* The ring's room in a request: how many bytes are done. */
enum { ROOM_DONE = TPI_ROOM_FREE };

struct uring_channel {
	const struct tpi_file *file;
	int event_fd;
	struct io_uring ring;
	struct tpi_request_fifo waiting; /* to be put into the ring */
	void *workers;                   /* a channel of theirs */
	bool armed;
	bool is_watching; /* a poll of the eventfd is in the ring */
};

static uint64_t bytes_done(const struct tp_device_request *request)
{
	return (uintptr_t)request->device_room[ROOM_DONE];
}

/*---------------------------- into the ring --------------------------------*/

static void prepare_transfer(const struct tpi_file *file,
			     struct io_uring_sqe *sqe,
			     const struct tp_device_request *request)
{
	uint64_t done = bytes_done(request), offset = request->offset + done;
	bool read = request->op == TP_READ;
	struct tpi_iov_rest rest;

	/* A single piece need not outlive this function, a vector is the
	 * request's. */
	tpi_iov_skip(&rest, request->iov, request->iovcnt, done);
	if (rest.iovcnt == 1)
		io_uring_prep_rw(read ? IORING_OP_READ : IORING_OP_WRITE, sqe,
				 file->fd, rest.iov->iov_base,
				 (unsigned)tpi_min(rest.iov->iov_len,
						   MAX_TRANSFER_BYTES),
				 offset);
	else
		io_uring_prep_rw(read ? IORING_OP_READV : IORING_OP_WRITEV, sqe,
				 file->fd, rest.iov, rest.iovcnt, offset);
	if (request->flags & TP_FUA)
		sqe->rw_flags = RWF_DSYNC;
}

static void prepare(const struct tpi_file *file, struct io_uring_sqe *sqe,
		    struct tp_device_request *request)
{
	if (request->op == TP_FLUSH)
		io_uring_prep_fsync(sqe, file->fd, IORING_FSYNC_DATASYNC);
	else
		prepare_transfer(file, sqe, request);
	io_uring_sqe_set_data(sqe, request);
}

static void fill_ring(struct uring_channel *channel)
{
	while (!tpi_fifo_empty(&channel->waiting) &&
	       io_uring_sq_space_left(&channel->ring))
		prepare(channel->file, io_uring_get_sqe(&channel->ring),
			tpi_fifo_pop(&channel->waiting));
}

/* Is there something that the kernel has not taken? */
static bool is_behind(const struct uring_channel *channel)
{
	return !tpi_fifo_empty(&channel->waiting) ||
	       io_uring_sq_ready(&channel->ring);
}

/* The kernel may refuse for a while; then poll and arm come again. */
static void start_waiting(struct uring_channel *channel)
{
	int r;

	do {
		fill_ring(channel);
		r = io_uring_submit(&channel->ring);
	} while (is_behind(channel) && (r > 0 || r == -EINTR));
}

/*---------------------------- out of the ring ------------------------------*/

/*
 * Whether the request has ended, with *@status; else it must go on.  Transfers
 * may be short.  The kernel interrupts, or cancels, what a thread has submitted
 * that gets a signal, or exits; that is nothing to our caller.
 */
static bool has_ended(struct tp_device_request *request, int result,
		      int *status)
{
	uint64_t done;

	if (result == -EINTR || result == -ECANCELED)
		return false;
	*status = result < 0 ? result : 0;
	if (result < 0 || request->op == TP_FLUSH)
		return true;

	*status = -EIO; /* of a file that was cut off behind our back */
	if (!result)
		return true;

	*status = 0;
	done = bytes_done(request) + result;
	request->device_room[ROOM_DONE] = (void *)(uintptr_t)done;

	return done == request->length;
}

/* It does not see what the kernel writes by itself, and would complain about
 * whoever looks at it, hosts included. */
static void tell_valgrind(const struct tp_device_request *request)
{
	for (int i = 0; i < request->iovcnt; i++)
		VALGRIND_MAKE_MEM_DEFINED(request->iov[i].iov_base,
					  request->iov[i].iov_len);
}

static unsigned reap_one(struct uring_channel *channel,
			 struct io_uring_cqe *cqe)
{
	struct tp_device_request *request = io_uring_cqe_get_data(cqe);
	int result = cqe->res, status;

	io_uring_cqe_seen(&channel->ring, cqe);
	if (!request) {
		channel->is_watching = false;
		return 0;
	}
	if (!has_ended(request, result, &status)) {
		tpi_fifo_push(&channel->waiting, request, 0);
		return 0;
	}
	if (request->op == TP_READ && !status)
		tell_valgrind(request);
	request->done(request, status);

	return 1;
}

static unsigned reap_ring(struct uring_channel *channel, unsigned max)
{
	struct io_uring_cqe *cqe;
	unsigned nr = 0;

	while (nr < max && !io_uring_peek_cqe(&channel->ring, &cqe))
		nr += reap_one(channel, cqe);
	if (is_behind(channel))
		start_waiting(channel);

	return nr;
}

static void set_armed(struct uring_channel *channel, bool armed)
{
	if (channel->armed != armed)
		io_uring_cq_eventfd_toggle(&channel->ring, armed);
	channel->armed = armed;
}

/*---------------------------- the channel ----------------------------------*/

static int ring_init(struct io_uring *ring, int event_fd)
{
	int r = io_uring_queue_init(NR_RING_ENTRIES, ring, 0);

	if (r)
		return r;
	r = io_uring_register_eventfd(ring, event_fd);
	if (!r)
		r = io_uring_cq_eventfd_toggle(ring, false);
	if (r)
		io_uring_queue_exit(ring);

	return r;
}

static int channel_init(struct uring_channel *channel,
			const struct tpi_file *file, int event_fd,
			bool inline_only)
{
	int r;

	channel->file = file;
	channel->event_fd = event_fd;
	r = ring_init(&channel->ring, event_fd);
	if (r)
		return r;
	r = tpi_workers_open_channel(file->workers, event_fd, inline_only,
				     &channel->workers);
	if (r)
		io_uring_queue_exit(&channel->ring);

	return r;
}

static int uring_open_channel(void *context, int event_fd, int inline_only,
			      void **result)
{
	struct uring_channel *channel = calloc(1, sizeof(*channel));
	int r;

	if (!channel)
		return -ENOMEM;

	r = channel_init(channel, context, event_fd, inline_only);
	if (r)
		free(channel);
	else
		*result = channel;

	return r;
}

static void uring_close_channel(void *handle)
{
	struct uring_channel *channel = handle;

	tpi_workers_close_channel(channel->workers);
	io_uring_queue_exit(&channel->ring);
	free(channel);
}

static void uring_submit(void *handle, struct tp_device_request *request)
{
	struct uring_channel *channel = handle;

	if (request->op == TP_DISCARD || request->op == TP_WRITE_ZEROES) {
		tpi_workers_submit(channel->workers, request);
		return;
	}
	request->device_room[ROOM_DONE] = NULL;
	tpi_fifo_push(&channel->waiting, request, 0);
}

static void uring_kick(void *handle)
{
	struct uring_channel *channel = handle;

	tpi_workers_kick(channel->workers);
	if (is_behind(channel))
		start_waiting(channel);
}

static unsigned uring_poll(void *handle, unsigned max)
{
	struct uring_channel *channel = handle;
	unsigned nr;

	set_armed(channel, false);
	nr = reap_ring(channel, max);

	return nr + tpi_workers_poll(channel->workers, max - nr);
}

static bool something_has_ended(const struct uring_channel *channel)
{
	return io_uring_cq_ready(&channel->ring) ||
	       io_uring_cq_has_overflow(&channel->ring) ||
	       tpi_workers_arm(channel->workers);
}

/*
 * The fence stands between our telling the kernel that we want a signal and
 * our looking once more for what ended before it knew.
 */
static int uring_arm(void *handle)
{
	struct uring_channel *channel = handle;

	if (is_behind(channel))
		start_waiting(channel);
	set_armed(channel, true);
	atomic_thread_fence(memory_order_seq_cst);

	return is_behind(channel) || something_has_ended(channel);
}

/*---------------------------- sleeping in the ring -------------------------*/

/* It has no request; what it tells ends a sleep, and no more. */
static void watch_eventfd(struct uring_channel *channel)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&channel->ring);

	if (!sqe)
		return;
	io_uring_prep_poll_add(sqe, channel->event_fd, POLLIN);
	io_uring_sqe_set_data(sqe, NULL);
	channel->is_watching = true;
}

/* Show the kernel what is in the ring, as starting it would, and leave it there;
 * how much it is. */
static unsigned publish(struct io_uring *ring)
{
	struct io_uring_sq *sq = &ring->sq;
	unsigned tail = *sq->ktail;

	for (; sq->sqe_head != sq->sqe_tail; sq->sqe_head++, tail++)
		if (sq->array)
			sq->array[tail & sq->ring_mask] = sq->sqe_head &
							  sq->ring_mask;
	io_uring_smp_store_release(sq->ktail, tail);

	return tail - io_uring_smp_load_acquire(sq->khead);
}

/* False: it does not fit. */
static bool leave_to_sleep(struct uring_channel *channel, unsigned *nr)
{
	fill_ring(channel);
	if (!tpi_fifo_empty(&channel->waiting))
		return false;
	*nr = publish(&channel->ring);

	return true;
}

static int uring_prepare_sleep(void *handle, unsigned *nr_to_start)
{
	struct uring_channel *channel = handle;
	bool behind = false;

	tpi_workers_kick(channel->workers);
	if (!channel->is_watching)
		watch_eventfd(channel);
	if ((!nr_to_start || !leave_to_sleep(channel, nr_to_start)) &&
	    is_behind(channel)) {
		start_waiting(channel);
		behind = is_behind(channel);
	}

	return behind || !channel->is_watching || something_has_ended(channel);
}

/* Of the ring only its descriptor is used, as others may reap meanwhile.  They
 * may start, too, what was left to it: then it ends early. */
static void uring_sleep(void *handle, unsigned nr_to_start, uint64_t timeout_ns)
{
	struct uring_channel *channel = handle;
	struct __kernel_timespec timeout = {
		.tv_sec = (long long)(timeout_ns / 1000000000u),
		.tv_nsec = (long long)(timeout_ns % 1000000000u),
	};
	struct io_uring_getevents_arg arg = {
		.ts = timeout_ns == UINT64_MAX ? 0 : (uintptr_t)&timeout,
	};

	io_uring_enter2((unsigned)channel->ring.ring_fd, nr_to_start, 1,
			IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
			(sigset_t *)&arg, sizeof(arg));
}

/*---------------------------- is it there? ---------------------------------*/

/* Since 5.12 all of the above is there, and costs no locked memory. */
static int ask_kernel(void)
{
	struct io_uring_params params = { 0 };
	struct io_uring ring;
	int r = io_uring_queue_init_params(1, &ring, &params);

	if (r)
		return r;
	io_uring_queue_exit(&ring);

	return params.features & IORING_FEAT_NATIVE_WORKERS ? 0 : -ENOSYS;
}

int tpi_file_use_uring(struct tp_device_async_ops *ops,
		       struct tpi_device_identity *identity)
{
	int r = ask_kernel();

	/* It has it, and not now. */
	if (r == -ENOMEM)
		return r;
	if (r)
		return -EOPNOTSUPP;

	ops->open_channel = uring_open_channel;
	ops->close_channel = uring_close_channel;
	ops->submit = uring_submit;
	ops->kick = uring_kick;
	ops->poll = uring_poll;
	ops->arm = uring_arm;

	/* It runs one thread at a time, and lets no other run while this one
	 * is in the wait for a ring. */
	if (!RUNNING_ON_VALGRIND) {
		identity->prepare_sleep = uring_prepare_sleep;
		identity->sleep = uring_sleep;
	}

	return 0;
}

#else

int tpi_file_use_uring(struct tp_device_async_ops *ops,
		       struct tpi_device_identity *identity)
{
	return -EOPNOTSUPP;
}

#endif
