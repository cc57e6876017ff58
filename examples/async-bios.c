/*
 * async-bios.c - a pool in a program that has an event loop of its own: one
 * thread, epoll, and many bios in flight.
 *
 *	cc async-bios.c -o async-bios $(pkg-config --cflags --libs libthinpool)
 *	./async-bios
 *
 * The pool is host-driven: it starts no thread, and does nothing but inside
 * our calls.  Two descriptors say when to call: the pool's (it has something to
 * do) and the queue's (bios have ended); a deadline says when at the latest.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <thinpool/thinpool.h>
#include <time.h>

#define MIB ((uint64_t)1 << 20)
#define NR_SLOTS 16
#define NR_BIOS 1000
#define BIO_BYTES 16384

/* A bio, its memory, and what it is for.  It is ours again in end_io. */
struct slot {
	struct tp_bio bio;
	struct iovec iov;
	char buffer[BIO_BYTES];
};

static struct {
	int epoll;
	struct tp_pool *pool;
	struct tp_thin *thin;
	struct tp_queue *queue;
	struct slot slots[NR_SLOTS];
	enum tp_op op;
	unsigned nr_begun, nr_ended;
} host;

static void check(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", what, tp_last_error());
		exit(1);
	}
}

static void end_io(struct tp_bio *bio);

/* Start the next bio on a slot that is free. */
static void begin_next(struct slot *slot)
{
	uint64_t n = host.nr_begun++;

	memset(slot->buffer, host.op == TP_WRITE ? (int)(n % 251) : 0xff,
	       BIO_BYTES);
	slot->iov = (struct iovec){ slot->buffer, BIO_BYTES };
	slot->bio = (struct tp_bio){ .op = host.op,
				     .offset = n * BIO_BYTES,
				     .iov = &slot->iov,
				     .iovcnt = 1,
				     .end_io = end_io,
				     .context = slot };
	check(tp_queue_submit(host.queue, host.thin, &slot->bio), "submit");
}

/* Runs within tp_queue_poll, and may submit. */
static void end_io(struct tp_bio *bio)
{
	struct slot *slot = bio->context;
	char byte = (char)(bio->offset / BIO_BYTES % 251);

	check(bio->status, "bio");
	if (slot->buffer[0] != byte || slot->buffer[BIO_BYTES - 1] != byte)
		check(-EIO, "wrong data");
	host.nr_ended++;
	if (host.nr_begun < NR_BIOS)
		begin_next(slot);
}

static void watch(int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	check(epoll_ctl(host.epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

/* How long to sleep before the pool has to be called in any case. */
static int timeout_ms(void)
{
	struct timespec ts;
	uint64_t now, deadline;

	check(tp_pool_next_deadline(host.pool, &deadline), "deadline");
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	if (deadline == UINT64_MAX)
		return -1;
	return deadline > now ? (int)((deadline - now) / 1000000 + 1) : 0;
}

/* The event loop: a real host watches its sockets here, too. */
static void run_all(enum tp_op op, const char *what)
{
	struct epoll_event event;

	host.op = op;
	host.nr_begun = host.nr_ended = 0;
	for (int i = 0; i < NR_SLOTS; i++)
		begin_next(&host.slots[i]);
	while (host.nr_ended < NR_BIOS) {
		check(tp_pool_poll(host.pool), "poll the pool");
		if (!tp_queue_poll(host.queue, 0)) /* nothing: now sleep */
			epoll_wait(host.epoll, &event, 1, timeout_ms());
	}
	printf("%d bios of %d bytes %s\n", NR_BIOS, BIO_BYTES, what);
}

int main(void)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_thin_options volume = TP_THIN_OPTIONS_INIT;
	struct tp_device *metadata, *data;

	check(tp_device_open_memory(4 * MIB, &metadata), "metadata");
	check(tp_device_open_memory(64 * MIB, &data), "data");
	check(tp_pool_format(metadata, data, NULL), "format");
	options.flags = TP_POOL_HOST_DRIVEN;
	check(tp_pool_open(metadata, data, &options, &host.pool), "pool");
	tp_device_unref(data); /* the pool has references of its own */
	tp_device_unref(metadata);
	check(tp_pool_create_thin(host.pool, 0), "create");
	volume.size = 32 * MIB;
	check(tp_thin_open(host.pool, 0, &volume, &host.thin), "thin");
	check(tp_queue_create(host.pool, NR_SLOTS, &host.queue), "queue");

	host.epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(tp_pool_fd(host.pool));
	watch(tp_queue_fd(host.queue));
	run_all(TP_WRITE, "written");
	run_all(TP_READ, "read back, each right");

	tp_queue_destroy(host.queue);
	check(tp_thin_close(host.thin), "close the thin");
	check(tp_pool_close(host.pool), "close the pool");
	return 0;
}
