/*
 * Queues: depth, completion exactly once, what end_io may do, waiting by
 * descriptor, and a host that runs the pool from an event loop of its own.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "support/scratch.h"
#include "support/world.h"

#define THIN_BYTES (4 * MIB)

static struct world w;
static char buffer[THIN_BYTES];

static struct tp_thin *begin_full(int kind)
{
	struct tp_thin *thin;

	world_begin(&w, kind);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 1);

	return thin;
}

static void end_with(struct tp_thin *thin)
{
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}

/* B-THR-1: -EAGAIN at depth, in flight or only not reaped; then it goes on. */
START_TEST(test_a_full_queue_answers_eagain_until_it_is_polled)
{
	struct tp_thin *thin = begin_full(_i);
	struct tp_queue *queue;
	struct io ios[4], more;

	ck_ok(tp_queue_create(w.pool, 4, &queue));
	observer_hold(&w.data, OPS(TP_READ));
	for (unsigned i = 0; i < 4; i++) {
		io_init(&ios[i], TP_READ, buffer + i * 4096, i * 4096, 4096, 0);
		io_submit(&ios[i], queue, thin);
	}
	io_init(&more, TP_READ, buffer, 0, 4096, 0);
	ck_assert_int_eq(tp_queue_submit(queue, thin, &more.bio), -EAGAIN);
	observer_release(&w.data);
	world_idle(&w);
	ck_assert_int_eq(tp_queue_submit(queue, thin, &more.bio), -EAGAIN);
	for (unsigned i = 0; i < 4; i++)
		ck_ok(io_wait(&w, &ios[i], queue));
	ck_assert_uint_eq(more.nr_ended, 0);
	io_submit(&more, queue, thin);
	ck_ok(io_wait(&w, &more, queue));
	ck_assert_uint_eq(find_other(buffer, 4 * 4096, 0, 1), UINT64_MAX);
	tp_queue_destroy(queue);
	end_with(thin);
}
END_TEST

/*---------------------------- from within end_io ---------------------------*/

struct chain {
	struct tp_bio bio;
	struct iovec iov;
	struct tp_queue *queue;
	struct tp_thin *thin, *other;
	unsigned nr_left;
	int polled, closed;
};

static void go_on(struct tp_bio *bio)
{
	struct chain *chain = bio->context;

	ck_ok(bio->status);
	chain->polled = tp_queue_poll(chain->queue, 0);
	if (chain->other) {
		chain->closed = tp_thin_close(chain->other);
		chain->other = NULL;
	}
	if (--chain->nr_left)
		ck_ok(tp_queue_submit(chain->queue, chain->thin, bio));
	else
		chain->closed = tp_thin_close(chain->thin);
}

/* Ways to have what a plugged queue was given started. */
static void by_poll(struct tp_queue *queue)
{
	tp_queue_poll(queue, 0);
}

static void by_wait(struct tp_queue *queue)
{
	ck_assert_int_ge(tp_queue_wait(queue, 1, -1), 1);
}

static void by_wait_for_nothing(struct tp_queue *queue)
{
	tp_queue_wait(queue, 0, -1);
}

static void by_wait_for_no_time(struct tp_queue *queue)
{
	tp_queue_wait(queue, 4, 0);
}

static void (*const ways[])(struct tp_queue *queue) = { by_poll, by_wait,
							by_wait_for_nothing,
							by_wait_for_no_time,
							tp_queue_unplug };

#define NR_PLUGGED 4u

static void submit_writes(struct io *ios, struct tp_queue *queue,
			  struct tp_thin *thin)
{
	for (unsigned i = 0; i < NR_PLUGGED; i++) {
		io_init(&ios[i], TP_WRITE, buffer, 2 * i * WORLD_BLOCK, 4096,
			0);
		io_submit(&ios[i], queue, thin);
	}
}

START_TEST(test_what_is_plugged_is_started_together_by_the_next_poll_or_wait)
{
	struct tp_thin *thin = begin_full(_i);
	struct tp_queue *queue;
	struct io ios[NR_PLUGGED];

	ck_ok(tp_queue_create(w.pool, NR_PLUGGED, &queue));
	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		unsigned nr = w.data.nr_started;

		tp_queue_plug(queue);
		submit_writes(ios, queue, thin);
		ck_assert_uint_eq(w.data.nr_started, nr);
		ways[i](queue);
		ck_assert_uint_eq(w.data.nr_started, nr + NR_PLUGGED);
		for (unsigned k = 0; k < NR_PLUGGED; k++)
			ck_ok(io_wait(&w, &ios[k], queue));
	}
	tp_queue_unplug(queue);
	submit_writes(ios, queue, thin);
	tp_queue_destroy(queue);
	end_with(thin);
}
END_TEST

/* Nobody else waits for a host that does not. */
START_TEST(test_what_is_plugged_holds_up_no_suspend_and_no_end_of_the_queue)
{
	struct tp_thin *thin = begin_full(_i);
	struct tp_queue *queue;
	struct io ios[NR_PLUGGED];

	ck_ok(tp_queue_create(w.pool, NR_PLUGGED, &queue));
	tp_queue_plug(queue);
	submit_writes(ios, queue, thin);
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_resume(w.pool, NULL));
	for (unsigned k = 0; k < NR_PLUGGED; k++)
		ck_ok(io_wait(&w, &ios[k], queue));
	submit_writes(ios, queue, thin);
	tp_queue_destroy(queue);
	for (unsigned k = 0; k < NR_PLUGGED; k++)
		ck_ok(ios[k].bio.status);
	end_with(thin);
}
END_TEST

/* F-31, B-REQ-2: submit again the same bio, close another handle, and at last
 * the bio's own: it is out of flight when end_io starts.  Polling from there
 * is answered -EDEADLK. */
START_TEST(test_an_end_io_may_submit_and_close)
{
	struct chain chain = { .nr_left = 20000 };

	chain.thin = begin_full(_i);
	chain.other = world_open_thin(&w, 0, THIN_BYTES);
	ck_ok(tp_queue_create(w.pool, 1, &chain.queue));
	chain.iov = (struct iovec){ buffer, 4096 };
	chain.bio = (struct tp_bio){ .op = TP_READ,
				     .iov = &chain.iov,
				     .iovcnt = 1,
				     .end_io = go_on,
				     .context = &chain };
	ck_ok(tp_queue_submit(chain.queue, chain.thin, &chain.bio));
	for (unsigned i = 0; chain.nr_left; i++) {
		if (i % 256 == 0)
			tp_queue_plug(chain.queue);
		if (i % 256 == 128)
			tp_queue_unplug(chain.queue);
		ck_assert_int_ge(tp_queue_wait(chain.queue, 1, 10000), 1);
	}
	ck_ok(chain.closed);
	ck_assert_int_eq(chain.polled, -EDEADLK);
	tp_queue_destroy(chain.queue);
	world_end(&w);
}
END_TEST

/* F-29, F-30: destroying reaps all, each once. */
START_TEST(test_destroying_a_queue_ends_what_is_in_flight)
{
	struct tp_thin *thin = begin_full(_i);
	struct tp_queue *queue;
	struct io ios[16];

	ck_ok(tp_queue_create(w.pool, 16, &queue));
	for (unsigned i = 0; i < 16; i++) {
		io_init(&ios[i], i % 4 == 3 ? TP_FLUSH : TP_WRITE,
			buffer + i * 4096, i * 4096, i % 4 == 3 ? 0 : 4096, 0);
		io_submit(&ios[i], queue, thin);
	}
	ck_assert_int_eq(tp_thin_close(thin), -EBUSY);
	tp_queue_destroy(queue);
	for (unsigned i = 0; i < 16; i++) {
		ck_assert_uint_eq(ios[i].nr_ended, 1);
		ck_ok(ios[i].bio.status);
	}
	end_with(thin);
}
END_TEST

/* tp_queue_wait: what it returns when nothing is left or time runs out. */
START_TEST(test_waiting_ends_when_nothing_more_can_come)
{
	struct tp_thin *thin = begin_full(_i);
	struct tp_queue *queue;
	struct io io;

	ck_ok(tp_queue_create(w.pool, 4, &queue));
	ck_assert_int_eq(tp_queue_wait(queue, 1, -1), 0);
	observer_hold(&w.data, OPS(TP_READ));
	io_init(&io, TP_READ, buffer, 0, 4096, 0);
	io_submit(&io, queue, thin);
	ck_assert_int_eq(tp_queue_wait(queue, 1, 0), 0);
	ck_assert_int_eq(tp_queue_wait(queue, 1, 20), 0);
	observer_release(&w.data);
	ck_assert_int_eq(tp_queue_wait(queue, 5, -1), 1);
	tp_queue_destroy(queue);
	end_with(thin);
}
END_TEST

/*---------------------------- several threads ------------------------------*/

#define NR_THREADS 4
#define DEPTH 16
#define NR_BIOS 4000

static struct tp_thin *shared_thin;
static atomic_uint nr_ended;

static void count(struct tp_bio *bio)
{
	ck_ok(bio->status);
	*(unsigned *)bio->context += 1;
	nr_ended++;
}

/* Each thread a queue; each sleeps on its descriptor only. */
static void *submit_and_sleep(void *context)
{
	uint64_t random = (uintptr_t)context;
	struct iovec iovs[DEPTH];
	struct tp_bio bios[DEPTH];
	unsigned nr_here[DEPTH] = { 0 }, nr_sent[DEPTH] = { 0 }, nr = 0;
	struct tp_queue *queue;
	char *bytes = malloc(DEPTH * 8192);

	ck_ok(tp_queue_create(w.pool, DEPTH, &queue));
	while (nr < NR_BIOS) {
		struct pollfd fd = { .fd = tp_queue_fd(queue),
				     .events = POLLIN };

		for (unsigned i = 0; i < DEPTH && nr < NR_BIOS; i++) {
			unsigned what = random_in(&random, 0, 20);

			if (nr_here[i] != nr_sent[i])
				continue;
			iovs[i] = (struct iovec){ bytes + i * 8192, 8192 };
			bios[i] = (struct tp_bio){
				.op = what < 9    ? TP_READ
				      : what < 18 ? TP_WRITE
				      : what < 19 ? TP_DISCARD
						  : TP_FLUSH,
				.offset = random_in(&random, 0,
						    THIN_BYTES / 8192) *
					  8192,
				.end_io = count,
				.context = &nr_here[i],
			};
			if (bios[i].op == TP_DISCARD)
				bios[i].length = 2 * WORLD_BLOCK;
			if (bios[i].op == TP_DISCARD &&
			    bios[i].offset > THIN_BYTES - 2 * WORLD_BLOCK)
				bios[i].offset = 0;
			if (bios[i].op <= TP_WRITE) {
				bios[i].iov = &iovs[i];
				bios[i].iovcnt = 1;
			}
			ck_ok(tp_queue_submit(queue, shared_thin, &bios[i]));
			nr_sent[i]++;
			nr++;
		}
		if (!tp_queue_poll(queue, 0))
			ck_assert_int_eq(poll(&fd, 1, 20000), 1);
	}

	/* What still waits would be cancelled by destroying. */
	tp_queue_wait(queue, DEPTH, -1);
	tp_queue_destroy(queue);
	for (unsigned i = 0; i < DEPTH; i++)
		ck_assert_uint_eq(nr_here[i], nr_sent[i]);
	free(bytes);

	return NULL;
}

/* R-84, B-REQ-1, F-27, CON-02: count in is count out, no wake-up is lost. */
START_TEST(test_threads_with_queues_of_their_own_lose_no_completion)
{
	pthread_t threads[NR_THREADS];

	shared_thin = begin_full(OWN_THREAD);
	nr_ended = 0;
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		pthread_create(&threads[i], NULL, submit_and_sleep, (void *)i);
	for (unsigned i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(nr_ended, NR_THREADS * NR_BIOS);
	end_with(shared_thin);
}
END_TEST

/*---------------------------- a host's own event loop ----------------------*/

struct host_pool {
	struct tp_device *metadata, *data;
	struct tp_pool *pool;
	struct tp_thin *thin;
	struct tp_queue *queue;
	int epoll_fd;
};

static void watch(struct host_pool *h, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	ck_ok(epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, fd, &event));
}

static void host_pool_begin(struct host_pool *h, char paths[2][256])
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_thin_options thin_options = TP_THIN_OPTIONS_INIT;

	scratch_file(paths[0], 2 * MIB);
	scratch_file(paths[1], 16 * MIB);
	ck_ok(tp_device_open_file(paths[0], NULL, &h->metadata));
	ck_ok(tp_device_open_file(paths[1], NULL, &h->data));
	ck_ok(tp_pool_format(h->metadata, h->data, NULL));
	options.flags = TP_POOL_HOST_DRIVEN;
	options.commit_interval_ms = TP_NEVER; /* no tick helps out */
	ck_ok(tp_pool_open(h->metadata, h->data, &options, &h->pool));
	ck_ok(tp_pool_create_thin(h->pool, 0));
	thin_options.size = THIN_BYTES;
	ck_ok(tp_thin_open(h->pool, 0, &thin_options, &h->thin));
	ck_ok(tp_queue_create(h->pool, 8, &h->queue));
	h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	watch(h, tp_pool_fd(h->pool));
	watch(h, tp_queue_fd(h->queue));
}

static void host_pool_end(struct host_pool *h, char paths[2][256])
{
	tp_queue_destroy(h->queue);
	ck_ok(tp_thin_close(h->thin));
	ck_ok(tp_pool_close(h->pool));
	tp_device_unref(h->data);
	tp_device_unref(h->metadata);
	close(h->epoll_fd);
	unlink(paths[0]);
	unlink(paths[1]);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);

	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static int ms_to_deadline(struct host_pool *h)
{
	uint64_t deadline, now = now_ns();

	ck_ok(tp_pool_next_deadline(h->pool, &deadline));
	if (deadline <= now)
		return 0;
	if (deadline - now > 20 * (uint64_t)SECOND_NS)
		return 20000;

	return (int)((deadline - now) / 1000000 + 1);
}

/* Nothing but what an epoll host does; the bio takes the slow path, over real
 * files whose requests end on threads or in the kernel. */
static void host_wait(struct host_pool *h, struct io *io)
{
	uint64_t begin = now_ns();

	while (!io->nr_ended) {
		struct epoll_event event;
		int nr = tp_pool_poll(h->pool);

		nr += tp_queue_poll(h->queue, 0);
		if (!nr)
			epoll_wait(h->epoll_fd, &event, 1, ms_to_deadline(h));
		ck_assert_msg(now_ns() - begin < 20 * (uint64_t)SECOND_NS,
			      "no descriptor told that there is work");
	}
}

/* tp_pool_fd is readable when poll has work: none is missed. */
START_TEST(test_a_host_driven_pool_runs_in_an_epoll_loop)
{
	struct host_pool h;
	char paths[2][256];

	host_pool_begin(&h, paths);
	for (unsigned i = 0; i < 300; i++) {
		uint64_t at = i % 64 * WORLD_BLOCK;
		struct io io;

		fill_pattern(buffer, 8192, at, i);
		io_init(&io, TP_WRITE, buffer, at, 8192, i % 8 ? 0 : TP_FUA);
		io_submit(&io, h.queue, h.thin);
		host_wait(&h, &io);
		ck_ok(io.bio.status);
		io_init(&io, i % 3 ? TP_READ : TP_FLUSH, buffer, at,
			i % 3 ? 8192 : 0, 0);
		io_submit(&io, h.queue, h.thin);
		host_wait(&h, &io);
		ck_ok(io.bio.status);
		ck_assert_uint_eq(find_other(buffer, 8192, at, i), UINT64_MAX);
	}
	host_pool_end(&h, paths);
}
END_TEST

static unsigned nr_turns_of_an_idle_host(struct host_pool *h, unsigned ms)
{
	unsigned nr = 0;
	struct epoll_event event;

	for (unsigned quiet = 0; quiet < ms; nr++) {
		tp_pool_poll(h->pool);
		tp_queue_poll(h->queue, 0);
		if (!epoll_wait(h->epoll_fd, &event, 1, 1))
			quiet++;
		else if (nr > 10000)
			break;
	}

	return nr;
}

/* And it is not readable for ever: an idle host sleeps. */
START_TEST(test_the_descriptor_of_an_idle_pool_falls_silent)
{
	struct host_pool h;
	char paths[2][256];
	struct io io;

	host_pool_begin(&h, paths);
	for (unsigned i = 0; i < 20; i++) {
		io_init(&io, TP_WRITE, buffer, i * WORLD_BLOCK, 8192, TP_FUA);
		io_submit(&io, h.queue, h.thin);
		host_wait(&h, &io);
	}
	ck_assert_uint_lt(nr_turns_of_an_idle_host(&h, 30), 100);
	host_pool_end(&h, paths);
}
END_TEST

/* F-35, api.md: time is what the host says; waiting moves it. */
START_TEST(test_a_virtual_clock_drives_the_tick)
{
	struct tp_thin *thin;
	uint64_t deadline;

	world_make(&w, HOST_DRIVEN);
	w.options.commit_interval_ms = 1000;
	world_use_virtual_clock(&w);
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	world_run(&w);
	ck_assert(world_status(&w).changed);
	ck_ok(tp_pool_next_deadline(w.pool, &deadline));
	ck_assert_uint_gt(deadline, w.now_ns);
	ck_assert_uint_le(deadline, w.now_ns + SECOND_NS);
	world_pass_time(&w, deadline - w.now_ns);
	world_run(&w);
	world_pass_time(&w, SECOND_NS);
	world_run(&w);
	ck_assert(!world_status(&w).changed);

	/* CRS-05: an idle pool writes nothing, however long. */
	io_log_clear(&w.log);
	for (unsigned i = 0; i < 20; i++)
		world_pass_time(&w, SECOND_NS);
	ck_assert_uint_eq(io_log_nr(&w.log), 0);
	end_with(thin);
}
END_TEST

/* S4, B-POOL-11: a clean close flushes what was written, whoever wrote it. */
START_TEST(test_what_a_queue_wrote_is_flushed_after_it_is_gone)
{
	struct tp_thin *thin = begin_full(_i);
	struct tp_queue *queue;
	struct io io;
	unsigned nr;

	ck_ok(tp_pool_commit(w.pool));
	nr = w.data.nr_begun[TP_FLUSH];
	ck_ok(tp_queue_create(w.pool, 4, &queue));
	io_init(&io, TP_WRITE, buffer, 0, 4096, 0);
	io_submit(&io, queue, thin);
	ck_ok(io_wait(&w, &io, queue));
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
	world_close(&w);
	ck_assert_uint_gt(w.data.nr_begun[TP_FLUSH], nr);
	world_unmake(&w);
}
END_TEST

/*---------------------------- one half, then the other ---------------------*/

/* A device that ends reads when the test says so; all else as it comes. */
static struct {
	char bytes[1 << 20];
	bool holds_reads;
	unsigned nr_ending; /* held reads that may end */
	bool ends_when_asked;
	struct halves_channel *last; /* that was opened: the queue's */
	unsigned nr_reads;
} halves;

struct halves_channel {
	int event_fd;
	bool watched; /* a signal is promised, and no poll has withdrawn it */
	unsigned nr;
	struct tp_device_request *requests[64];
};

static int halves_open(void *context, int event_fd, int inline_only,
		       void **channel)
{
	struct halves_channel *new = calloc(1, sizeof(*new));

	new->event_fd = event_fd;
	halves.last = new;
	*channel = new;

	return 0;
}

static void halves_submit(void *context, struct tp_device_request *request)
{
	struct halves_channel *channel = context;

	ck_assert_uint_lt(channel->nr, 64);
	channel->requests[channel->nr++] = request;
}

static bool may_end(const struct tp_device_request *request)
{
	return request->op != TP_READ || !halves.holds_reads ||
	       halves.nr_ending;
}

static void carry_out(struct tp_device_request *request)
{
	char *at = halves.bytes + request->offset;

	for (int i = 0; i < request->iovcnt; i++) {
		size_t length = request->iov[i].iov_len;

		if (request->op == TP_WRITE)
			memcpy(at, request->iov[i].iov_base, length);
		else if (request->op == TP_READ)
			memcpy(request->iov[i].iov_base, at, length);
		at += length;
	}
	if (request->op == TP_READ && halves.holds_reads)
		halves.nr_ending--;
	halves.nr_reads += request->op == TP_READ;
}

static unsigned halves_poll(void *context, unsigned max)
{
	struct halves_channel *channel = context;
	struct tp_device_request *request;
	unsigned nr = 0;

	channel->watched = false;
	while (nr < max && channel->nr && may_end(channel->requests[0])) {
		request = channel->requests[0];
		channel->nr--;
		memmove(channel->requests, channel->requests + 1,
			channel->nr * sizeof(*channel->requests));
		carry_out(request);
		request->done(request, 0);
		nr++;
	}

	return nr;
}

static int halves_arm(void *context)
{
	struct halves_channel *channel = context;

	if (!channel->nr)
		return 0;
	if (halves.holds_reads && halves.ends_when_asked) {
		halves.ends_when_asked = false;
		halves.nr_ending++;
	}
	channel->watched = !may_end(channel->requests[0]);

	return !channel->watched;
}

static uint64_t halves_size(void *context)
{
	return sizeof(halves.bytes);
}

static const struct tp_device_async_ops halves_ops = {
	TP_DEVICE_ASYNC_OPS_INIT,    .features = TP_DEVICE_NO_CACHE,
	.open_channel = halves_open, .close_channel = free,
	.submit = halves_submit,     .poll = halves_poll,
	.arm = halves_arm,           .size = halves_size,
};

static struct {
	struct tp_device *metadata, *data;
	struct tp_pool *pool;
	struct tp_thin *thin;
	struct tp_queue *queue;
	char buffer[2 * 65536];
} of_halves;

/* A read of the whole of the thin is two requests, for its blocks lie the other
 * way round. */
static void begin_halves(void)
{
	struct tp_pool_options pool_options = TP_POOL_OPTIONS_INIT;
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	char *buffer = of_halves.buffer;

	/* No commit: it would look at the queue, and take its bios along. */
	pool_options.commit_interval_ms = TP_NEVER;
	memset(&halves, 0, sizeof(halves));
	ck_ok(tp_device_open_memory(4 << 20, &of_halves.metadata));
	ck_ok(tp_device_new_async(&halves_ops, NULL, &of_halves.data));
	ck_ok(tp_pool_format(of_halves.metadata, of_halves.data, NULL));
	ck_ok(tp_pool_open(of_halves.metadata, of_halves.data, &pool_options,
			   &of_halves.pool));
	ck_ok(tp_pool_create_thin(of_halves.pool, 0));
	options.size = sizeof(of_halves.buffer);
	ck_ok(tp_thin_open(of_halves.pool, 0, &options, &of_halves.thin));
	ck_ok(tp_thin_write(of_halves.thin, buffer, 65536, 65536, 0));
	ck_ok(tp_thin_write(of_halves.thin, buffer, 65536, 0, 0));
	ck_ok(tp_thin_read(of_halves.thin, buffer, sizeof(of_halves.buffer),
			   0));
	ck_assert_uint_eq(halves.nr_reads, 2);
	halves.holds_reads = true;
	ck_ok(tp_queue_create(of_halves.pool, 1, &of_halves.queue));
}

static void end_halves(void)
{
	halves.holds_reads = false;
	tp_queue_destroy(of_halves.queue);
	ck_ok(tp_thin_close(of_halves.thin));
	ck_ok(tp_pool_close(of_halves.pool));
	tp_device_unref(of_halves.data);
	tp_device_unref(of_halves.metadata);
}

/*
 * A bio of two requests, of which one ends just when the queue asks for a
 * signal: then there is something to poll, but nothing to reap, and the queue
 * has to ask again.  Else nobody hears of the other, and who waits does so for
 * ever.
 */
START_TEST(test_a_bio_that_ends_by_halves_is_heard_of)
{
	struct io io;

	begin_halves();
	halves.ends_when_asked = true;
	io_init(&io, TP_READ, of_halves.buffer, 0, sizeof(of_halves.buffer), 0);
	io_submit(&io, of_halves.queue, of_halves.thin);
	ck_assert_int_eq(tp_queue_poll(of_halves.queue, 0), 0);
	ck_assert_uint_eq(halves.nr_reads, 3);
	ck_assert(halves.last->watched);

	halves.nr_ending = 1;
	ck_assert_int_eq(tp_queue_poll(of_halves.queue, 0), 1);
	end_halves();
}
END_TEST

/* A device may take a poll for the end of the sleep that it was to end: who has
 * polled in vain sleeps again, and has to be woken. */
START_TEST(test_a_poll_in_vain_asks_for_the_signal_again)
{
	struct io io;

	begin_halves();
	io_init(&io, TP_READ, of_halves.buffer, 0, sizeof(of_halves.buffer), 0);
	io_submit(&io, of_halves.queue, of_halves.thin);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(tp_queue_poll(of_halves.queue, 0), 0);
		ck_assert(halves.last->watched);
	}

	halves.nr_ending = 2;
	ck_assert_int_eq(tp_queue_poll(of_halves.queue, 0), 1);
	end_halves();
}
END_TEST

/* The loop polls a host's queue for it while it waits for bios to end; a device
 * may then forget that the host sleeps (tp_device_async_ops.arm). */
START_TEST(test_a_host_that_sleeps_is_woken_though_the_loop_has_polled_for_it)
{
	static char bytes[4096];
	struct tp_thin *origin, *other;
	struct tp_queue *queue;
	struct pollfd fd;
	struct io io;

	world_begin(&w, _i);
	origin = world_new_thin(&w, 0, THIN_BYTES);
	other = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(other, 0, WORLD_BLOCK, 1);
	ck_ok(tp_queue_create(w.pool, 1, &queue));
	observer_hold_next(&w.data, OPS(TP_WRITE), 1);
	io_init(&io, TP_WRITE, bytes, 0, sizeof(bytes), 0);
	io_submit(&io, queue, other);
	ck_assert_int_eq(tp_queue_poll(queue, 0), 0);

	ck_ok(tp_pool_create_snapshot(w.pool, 2, 0));
	observer_release(&w.data);
	fd = (struct pollfd){ .fd = tp_queue_fd(queue), .events = POLLIN };
	ck_assert_int_eq(poll(&fd, 1, 30000), 1);
	ck_ok(io_wait(&w, &io, queue));
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(other));
	ck_ok(tp_thin_close(origin));
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"queue", NR_KINDS,
		test_a_full_queue_answers_eagain_until_it_is_polled,
		test_what_is_plugged_is_started_together_by_the_next_poll_or_wait,
		test_what_is_plugged_holds_up_no_suspend_and_no_end_of_the_queue,
		test_an_end_io_may_submit_and_close,
		test_destroying_a_queue_ends_what_is_in_flight,
		test_waiting_ends_when_nothing_more_can_come,
		test_threads_with_queues_of_their_own_lose_no_completion,
		test_a_host_driven_pool_runs_in_an_epoll_loop,
		test_the_descriptor_of_an_idle_pool_falls_silent,
		test_a_virtual_clock_drives_the_tick,
		test_what_a_queue_wrote_is_flushed_after_it_is_gone,
		test_a_bio_that_ends_by_halves_is_heard_of,
		test_a_poll_in_vain_asks_for_the_signal_again,
		test_a_host_that_sleeps_is_woken_though_the_loop_has_polled_for_it);
}
