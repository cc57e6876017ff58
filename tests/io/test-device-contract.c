/*
 * What every device must do, run on every kind of device, threaded and inline.
 */
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <thinpool/simulator.h>
#include <unistd.h>

#include "support/nbd-server.h"
#include "support/run-tests.h"
#include "support/scratch.h"
#include "support/sync-channel.h"

#define DEVICE_BYTES (8u << 20)
#define BLOCK_BYTES 4096u

/*---------------------------- a host's blocking device ---------------------*/

/* It wants aligned memory, and has neither FUA nor zeroes nor discards. */
static int host_read(void *context, const struct iovec *iov, int iovcnt,
		     uint64_t offset)
{
	const char *from = (const char *)context + offset;

	for (int i = 0; i < iovcnt; from += iov[i++].iov_len)
		memcpy(iov[i].iov_base, from, iov[i].iov_len);

	return 0;
}

static int host_write(void *context, const struct iovec *iov, int iovcnt,
		      uint64_t offset, unsigned flags)
{
	char *to = (char *)context + offset;

	ck_assert_uint_eq(flags, 0);
	for (int i = 0; i < iovcnt; to += iov[i++].iov_len)
		memcpy(to, iov[i].iov_base, iov[i].iov_len);

	return 0;
}

static int host_flush(void *context)
{
	return 0;
}

static uint64_t host_size(void *context)
{
	return DEVICE_BYTES;
}

static int open_host_blocking(struct tp_device **device)
{
	const struct tp_device_ops ops = {
		TP_DEVICE_OPS_INIT,
		.read = host_read,
		.write = host_write,
		.flush = host_flush,
		.size = host_size,
		.close = free,
		.memory_alignment_bytes = 512,
	};

	return tp_device_new(&ops, calloc(1, DEVICE_BYTES), device);
}

/*---------------------------- a host's asynchronous device -----------------*/

/* It takes note in submit, works in poll, and knows how to do little. */
struct host_channel {
	char *content;
	struct tp_device_request *first, **last;
};

static int host_open_channel(void *context, int event_fd, int inline_only,
			     void **result)
{
	struct host_channel *channel = calloc(1, sizeof(*channel));

	channel->content = context;
	channel->last = &channel->first;
	*result = channel;

	return 0;
}

static void host_submit(void *handle, struct tp_device_request *request)
{
	struct host_channel *channel = handle;

	request->device_room[0] = NULL;
	*channel->last = request;
	channel->last = (struct tp_device_request **)&request->device_room[0];
}

static unsigned host_poll(void *handle, unsigned max)
{
	struct host_channel *channel = handle;
	struct tp_device_request *request;
	unsigned nr = 0;

	for (; nr < max && (request = channel->first); nr++) {
		channel->first = request->device_room[0];
		if (!channel->first)
			channel->last = &channel->first;
		if (request->op == TP_READ)
			host_read(channel->content, request->iov,
				  request->iovcnt, request->offset);
		if (request->op == TP_WRITE)
			host_write(channel->content, request->iov,
				   request->iovcnt, request->offset, 0);
		request->done(request, 0);
	}

	return nr;
}

static int host_arm(void *handle)
{
	struct host_channel *channel = handle;

	return channel->first != NULL;
}

static int open_host_async(struct tp_device **device)
{
	const struct tp_device_async_ops ops = {
		TP_DEVICE_ASYNC_OPS_INIT, .open_channel = host_open_channel,
		.close_channel = free,    .submit = host_submit,
		.poll = host_poll,        .arm = host_arm,
		.size = host_size,        .close = free,
	};

	return tp_device_new_async(&ops, calloc(1, DEVICE_BYTES), device);
}

/*---------------------------- a simulated device ---------------------------*/

/* It has a cache, and all that was never written is poison: written here, as
 * the tests begin with zeroes. */
static int open_simulated(struct tp_device **device)
{
	const struct tp_simulated_device_options options = {
		.struct_size = sizeof(options),
		.size = DEVICE_BYTES,
		.features = TP_DEVICE_FUA | TP_DEVICE_DISCARD |
			    TP_DEVICE_WRITE_ZEROES,
		.max_latency_ns = 1000000,
	};
	void *zeroes = calloc(1, DEVICE_BYTES);
	struct tp_simulator *simulator;

	ck_assert_int_eq(tp_simulator_new(NULL, &simulator), 0);
	tp_simulator_set_instant(simulator, true);
	ck_assert_int_eq(tp_simulator_add_device(simulator, &options, device),
			 0);
	ck_assert_int_eq(
		tp_simulator_poke(simulator, 0, zeroes, DEVICE_BYTES, 0), 0);
	tp_device_ref(*device);
	tp_simulator_free(simulator);
	free(zeroes);

	return 0;
}

/*---------------------------- our own devices ------------------------------*/

static int open_memory(struct tp_device **device)
{
	return tp_device_open_memory(DEVICE_BYTES, device);
}

static int open_file(enum tp_file_engine engine, unsigned flags,
		     struct tp_device **device)
{
	const struct tp_file_options options = {
		.struct_size = sizeof(options),
		.flags = flags,
		.engine = engine,
	};
	char path[SCRATCH_PATH_BYTES];
	int r;

	scratch_file(path, DEVICE_BYTES);
	r = tp_device_open_file(path, &options, device);
	unlink(path);

	return r;
}

static int open_uring(struct tp_device **device)
{
	return open_file(TP_FILE_ENGINE_URING, 0, device);
}

static int open_threads(struct tp_device **device)
{
	return open_file(TP_FILE_ENGINE_THREADS, 0, device);
}

static int open_inline(struct tp_device **device)
{
	return open_file(TP_FILE_ENGINE_INLINE, 0, device);
}

static int open_tmpfs(struct tp_device **device)
{
	char *saved = strdup(getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	int r = -EOPNOTSUPP;

	setenv("TMPDIR", "/dev/shm", 1);
	if (!access("/dev/shm", W_OK))
		r = open_file(TP_FILE_ENGINE_DEFAULT, 0, device);
	setenv("TMPDIR", saved, 1);
	free(saved);

	return r;
}

static int open_direct_uring(struct tp_device **device)
{
	return open_file(TP_FILE_ENGINE_URING, TP_FILE_DIRECT, device);
}

static int open_direct_threads(struct tp_device **device)
{
	return open_file(TP_FILE_ENGINE_THREADS, TP_FILE_DIRECT, device);
}

static int open_loop(struct tp_device **device)
{
	char path[SCRATCH_PATH_BYTES];
	int fd, r;

	if (scratch_loop(path, DEVICE_BYTES, &fd))
		return -EOPNOTSUPP;
	r = tp_device_open_file(path, NULL, device);
	close(fd);

	return r;
}

/*---------------------------- an NBD server --------------------------------*/

static struct nbd_server server;

static int open_nbd(struct tp_device **device)
{
	static const char *const arguments[] = { "memory", "8M", NULL };

	nbd_server_init(&server);
	if (!nbd_server_start(&server, arguments))
		return -EOPNOTSUPP;

	return tp_device_open_nbd(server.uri, device);
}

/*---------------------------- the world of a test --------------------------*/

static const struct kind {
	const char *name;
	int (*open)(struct tp_device **device);
	bool may_lack; /* not every machine has it */
} kinds[] = {
	{ "memory", open_memory },
	{ "file, io_uring", open_uring, true },
	{ "file, threads", open_threads },
	{ "file, inline", open_inline },
	{ "file in tmpfs", open_tmpfs, true },
	{ "direct file, io_uring", open_direct_uring, true },
	{ "direct file, threads", open_direct_threads, true },
	{ "loop device", open_loop, true },
	{ "host, blocking", open_host_blocking },
	{ "host, asynchronous", open_host_async },
	{ "simulated", open_simulated },
	{ "NBD", open_nbd, true },
};
#define NR_CASES (2 * (int)TPI_ARRAY_SIZE(kinds))

static struct tp_device *device;
static struct sync_channel channel;
static char *buffer, *other; /* aligned, DEVICE_BYTES each, of zeroes */

/* False: this machine has no such device. */
static bool open_world(int i)
{
	const struct kind *kind = &kinds[i / 2];
	int r = kind->open(&device);

	if (r && kind->may_lack)
		return false;
	ck_assert_msg(r == 0, "%s: %s", kind->name, tp_last_error());
	sync_channel_open(&channel, device, i % 2);
	buffer = aligned_alloc(BLOCK_BYTES, DEVICE_BYTES);
	other = aligned_alloc(BLOCK_BYTES, DEVICE_BYTES);
	memset(buffer, 0, DEVICE_BYTES);
	memset(other, 0, DEVICE_BYTES);

	return true;
}

static void close_world(void)
{
	sync_channel_close(&channel);
	tp_device_unref(device);
	if (server.pid)
		nbd_server_exit(&server);
	free(buffer);
	free(other);
}

static void fill(char *p, size_t length, unsigned seed)
{
	for (size_t i = 0; i < length; i++)
		p[i] = (char)(seed + i / 512 * 7 + i);
}

static bool is_all(const char *p, char byte, size_t length)
{
	return p[0] == byte && !memcmp(p, p + 1, length - 1);
}

/*---------------------------- tests ----------------------------------------*/

START_TEST(test_what_was_written_is_read)
{
	if (!open_world(_i))
		return;
	fill(buffer, 65536, 1);
	ck_assert_int_eq(sync_write(&channel, buffer, 65536, 131072, 0), 0);
	ck_assert_int_eq(sync_read(&channel, other, 65536, 131072), 0);
	ck_assert_mem_eq(buffer, other, 65536);

	/* Its neighbours are untouched. */
	ck_assert_int_eq(sync_read(&channel, other, 4096, 131072 - 4096), 0);
	ck_assert(is_all(other, 0, 4096));
	ck_assert_int_eq(sync_read(&channel, other, 4096, 131072 + 65536), 0);
	ck_assert(is_all(other, 0, 4096));
	close_world();
}
END_TEST

START_TEST(test_the_whole_device_can_be_written_at_once)
{
	if (!open_world(_i))
		return;
	fill(buffer, DEVICE_BYTES, 2);
	ck_assert_int_eq(sync_write(&channel, buffer, DEVICE_BYTES, 0, 0), 0);
	ck_assert_int_eq(sync_read(&channel, other, DEVICE_BYTES, 0), 0);
	ck_assert_mem_eq(buffer, other, DEVICE_BYTES);
	close_world();
}
END_TEST

/* O_DIRECT wants aligned memory; our callers need not know. */
START_TEST(test_memory_need_not_be_aligned)
{
	if (!open_world(_i))
		return;
	fill(buffer + 3, 3 << 20, 3);
	ck_assert_int_eq(
		sync_write(&channel, buffer + 3, 3 << 20, 4096, TP_FUA), 0);
	ck_assert_int_eq(sync_read(&channel, other + 5, 3 << 20, 4096), 0);
	ck_assert_mem_eq(buffer + 3, other + 5, 3 << 20);
	close_world();
}
END_TEST

/* Pieces of these lengths, with gaps between them, from @memory on. */
static uint64_t make_pieces(struct iovec *iov, char *memory,
			    const size_t *lengths, int nr)
{
	uint64_t total = 0;

	for (int i = 0; i < nr; i++) {
		iov[i] = (struct iovec){ memory, lengths[i] };
		memory += lengths[i] + 512;
		total += lengths[i];
	}

	return total;
}

/* Write from pieces, read back whole; write whole, read back in pieces. */
static void check_pieces(const size_t *lengths, int nr, uint64_t offset)
{
	struct iovec *iov = calloc(nr, sizeof(*iov));
	struct tp_device_request request = { .iov = iov, .iovcnt = nr };
	const char *p;

	request.offset = offset;
	request.length = make_pieces(iov, buffer, lengths, nr);
	fill(buffer, request.length + nr * 512, 4);
	request.op = TP_WRITE;
	ck_assert_int_eq(sync_request(&channel, &request), 0);
	ck_assert_int_eq(sync_read(&channel, other, request.length, offset), 0);
	p = other;
	for (int i = 0; i < nr; p += lengths[i++])
		ck_assert_int_eq(memcmp(iov[i].iov_base, p, lengths[i]), 0);

	fill(other, request.length, 5);
	ck_assert_int_eq(sync_write(&channel, other, request.length, offset, 0),
			 0);
	request.op = TP_READ;
	ck_assert_int_eq(sync_request(&channel, &request), 0);
	p = other;
	for (int i = 0; i < nr; p += lengths[i++])
		ck_assert_int_eq(memcmp(iov[i].iov_base, p, lengths[i]), 0);
	free(iov);
}

START_TEST(test_memory_comes_in_pieces)
{
	const size_t even[] = { 4096, 8192, 4096, 16384 };
	const size_t odd[] = { 0, 4097, 0, 8191, 1, 4095 };
	size_t many[2048];

	if (!open_world(_i))
		return;
	check_pieces(even, 4, 8192);
	check_pieces(odd, 6, 65536);

	/* More than the kernel takes at once. */
	for (int i = 0; i < 2048; i++)
		many[i] = 512;
	check_pieces(many, 2048, 1 << 20);
	close_world();
}
END_TEST

START_TEST(test_flushes_and_durable_writes_succeed)
{
	if (!open_world(_i))
		return;
	ck_assert_int_eq(sync_op(&channel, TP_FLUSH, 0, 0, 0), 0);
	fill(buffer, 8192, 6);
	ck_assert_int_eq(sync_write(&channel, buffer, 8192, 0, TP_FUA), 0);
	ck_assert_int_eq(sync_write(&channel, buffer, 8192, 8192, TP_PREFLUSH),
			 0);
	ck_assert_int_eq(sync_write(&channel, buffer, 8192, 16384,
				    TP_PREFLUSH | TP_FUA),
			 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(sync_read(&channel, other, 8192, i * 8192), 0);
		ck_assert_mem_eq(buffer, other, 8192);
	}
	ck_assert_int_eq(sync_op(&channel, TP_FLUSH, 0, 0, 0), 0);
	close_world();
}
END_TEST

/* Whether the device can or not, and beyond the size of one piece (B-WZ-1). */
START_TEST(test_zeroes_can_always_be_written)
{
	const uint64_t offset = 1 << 20, length = (3 << 20) + BLOCK_BYTES;

	if (!open_world(_i))
		return;
	memset(buffer, 0xee, DEVICE_BYTES);
	ck_assert_int_eq(sync_write(&channel, buffer, DEVICE_BYTES, 0, 0), 0);
	ck_assert_int_eq(
		sync_op(&channel, TP_WRITE_ZEROES, offset, length, TP_FUA), 0);
	ck_assert_int_eq(sync_read(&channel, other, DEVICE_BYTES, 0), 0);
	ck_assert(is_all(other, (char)0xee, offset));
	ck_assert(is_all(other + offset, 0, length));
	ck_assert(is_all(other + offset + length, (char)0xee,
			 DEVICE_BYTES - offset - length));
	close_world();
}
END_TEST

/* What it holds afterwards is not promised; that of its neighbours is. */
START_TEST(test_a_discard_spares_its_neighbours)
{
	const uint64_t offset = (1 << 20) + 4096, length = 1 << 20;
	bool can;
	int r;

	if (!open_world(_i))
		return;
	can = tpi_device_features(device) & TP_DEVICE_DISCARD;
	memset(buffer, 0xee, DEVICE_BYTES);
	ck_assert_int_eq(sync_write(&channel, buffer, DEVICE_BYTES, 0, 0), 0);
	r = sync_op(&channel, TP_DISCARD, offset, length, 0);
	ck_assert_int_eq(r, can ? 0 : -EOPNOTSUPP);
	ck_assert_int_eq(sync_read(&channel, other, DEVICE_BYTES, 0), 0);
	ck_assert(is_all(other, (char)0xee, offset));
	ck_assert(is_all(other + offset + length, (char)0xee,
			 DEVICE_BYTES - offset - length));
	close_world();
}
END_TEST

START_TEST(test_what_lies_beyond_the_end_is_refused)
{
	const uint64_t end = DEVICE_BYTES;

	if (!open_world(_i))
		return;
	ck_assert_int_eq(sync_read(&channel, buffer, 4096, end - 4096), 0);
	ck_assert_int_eq(sync_read(&channel, buffer, 4096, end), -EIO);
	ck_assert_int_eq(sync_write(&channel, buffer, 8192, end - 4096, 0),
			 -EIO);
	ck_assert_int_eq(sync_op(&channel, TP_WRITE_ZEROES, end, 4096, 0),
			 -EIO);
	ck_assert_int_eq(sync_op(&channel, TP_WRITE_ZEROES, 4096,
				 UINT64_MAX - 4095, 0),
			 -EIO);
	ck_assert_int_eq(sync_read(&channel, buffer, 512, 511), -EINVAL);
	ck_assert_int_eq(sync_read(&channel, buffer, 511, 512), -EINVAL);
	close_world();
}
END_TEST

START_TEST(test_nothing_is_done_at_once)
{
	if (!open_world(_i))
		return;
	ck_assert_int_eq(sync_read(&channel, buffer, 0, 4096), 0);
	ck_assert_int_eq(sync_write(&channel, buffer, 0, 4096, TP_FUA), 0);
	ck_assert_int_eq(sync_op(&channel, TP_WRITE_ZEROES, 0, 0, 0), 0);
	close_world();
}
END_TEST

/*---------------------------- many at once ---------------------------------*/

#define NR_MANY 1000

struct flight {
	struct tp_device_request request;
	struct iovec iov;
	unsigned *nr_ended;
};

static void flight_ended(struct tp_device_request *request, int status)
{
	struct flight *flight = request->context;

	ck_assert_int_eq(status, 0);
	(*flight->nr_ended)++;
}

static void launch(struct tpi_channel *channel, struct flight *flight,
		   enum tp_op op, char *memory, uint64_t offset)
{
	flight->iov = (struct iovec){ memory, BLOCK_BYTES };
	flight->request = (struct tp_device_request){
		.op = op,
		.offset = offset,
		.length = BLOCK_BYTES,
		.iov = &flight->iov,
		.iovcnt = 1,
		.done = flight_ended,
		.context = flight,
	};
	tpi_channel_submit(channel, &flight->request);
}

static void run_many(struct flight *flights, enum tp_op op, char *memory)
{
	unsigned nr_ended = 0;

	for (unsigned i = 0; i < NR_MANY; i++) {
		flights[i].nr_ended = &nr_ended;
		launch(channel.channel, &flights[i], op,
		       memory + i * BLOCK_BYTES, i * BLOCK_BYTES);
	}
	ck_assert_uint_eq(tpi_channel_in_flight(channel.channel), NR_MANY);
	while (nr_ended < NR_MANY)
		sync_channel_wait(&channel);
	ck_assert_uint_eq(tpi_channel_in_flight(channel.channel), 0);
}

/* More than any ring has entries. */
START_TEST(test_any_number_may_be_in_flight)
{
	struct flight *flights = calloc(NR_MANY, sizeof(*flights));

	if (open_world(_i)) {
		fill(buffer, NR_MANY * BLOCK_BYTES, 7);
		run_many(flights, TP_WRITE, buffer);
		run_many(flights, TP_READ, other);
		ck_assert_mem_eq(buffer, other, NR_MANY * BLOCK_BYTES);
		close_world();
	}
	free(flights);
}
END_TEST

/*
 * A few requests, asleep until they have ended, again and again: a completion
 * that comes between poll and arm must be seen, else this sleeps for ever.
 */
START_TEST(test_no_wake_up_is_lost)
{
	const enum tp_op ops[] = { TP_READ, TP_WRITE, TP_READ, TP_WRITE,
				   TP_READ, TP_WRITE, TP_FLUSH };
	struct flight flights[4];

	if (!open_world(_i))
		return;
	for (unsigned round = 0; round < 500; round++) {
		enum tp_op op = ops[round % TPI_ARRAY_SIZE(ops)];
		unsigned nr = 1 + round % 4, nr_ended = 0;

		for (unsigned i = 0; i < nr; i++) {
			flights[i].nr_ended = &nr_ended;
			launch(channel.channel, &flights[i], op,
			       buffer + i * BLOCK_BYTES, i * BLOCK_BYTES);
		}
		while (nr_ended < nr)
			sync_channel_wait(&channel);
	}
	close_world();
}
END_TEST

/* What was submitted is started at once, by preparing, or by the sleep. */
enum { START_BY_KICK, START_BY_PREPARING, START_BY_SLEEP, NR_STARTS };

static void sleep_on_channel(unsigned start)
{
	unsigned nr_to_start = 0;

	if (start == START_BY_KICK)
		tpi_channel_kick(channel.channel);
	if (!tpi_channel_prepare_sleep(channel.channel, start == START_BY_SLEEP
								? &nr_to_start
								: NULL))
		tpi_channel_sleep(channel.channel, nr_to_start, UINT64_MAX);
	tpi_channel_poll(channel.channel, UINT_MAX);
}

/* The same, asleep on the channel itself where the device can be slept on. */
START_TEST(test_no_wake_up_is_lost_by_who_sleeps_on_the_channel)
{
	struct flight flights[4];

	if (!open_world(_i))
		return;
	for (unsigned round = 0;
	     round < 500 && tpi_channel_can_sleep(channel.channel); round++) {
		enum tp_op op = round % 7 == 6 ? TP_WRITE_ZEROES
				: round % 2    ? TP_WRITE
					       : TP_READ;
		unsigned nr = 1 + round % 4, nr_ended = 0;

		for (unsigned i = 0; i < nr; i++) {
			flights[i].nr_ended = &nr_ended;
			launch(channel.channel, &flights[i], op,
			       buffer + i * BLOCK_BYTES, i * BLOCK_BYTES);
		}
		while (nr_ended < nr)
			sleep_on_channel(round / 28 % NR_STARTS);
		if (op == TP_WRITE_ZEROES)
			eventfd_read(channel.event_fd, &(eventfd_t){ 0 });
	}
	close_world();
}
END_TEST

static void *signal_soon(void *context)
{
	usleep(1000);
	eventfd_write(channel.event_fd, 1);

	return NULL;
}

/* What a queue's other bios end by wakes it too, and so does time. */
START_TEST(test_a_sleep_on_the_channel_ends_by_a_signal_and_by_time)
{
	pthread_t thread;

	if (!open_world(_i))
		return;
	for (unsigned round = 0;
	     round < 3 && tpi_channel_can_sleep(channel.channel); round++) {
		eventfd_t count = 0;

		ck_assert_int_eq(
			pthread_create(&thread, NULL, signal_soon, NULL), 0);
		while (eventfd_read(channel.event_fd, &count))
			sleep_on_channel(round % NR_STARTS);
		ck_assert_uint_eq(count, 1);
		pthread_join(thread, NULL);

		while (tpi_channel_prepare_sleep(channel.channel, NULL))
			tpi_channel_poll(channel.channel, UINT_MAX);
		tpi_channel_sleep(channel.channel, 0, 1000000);
	}
	close_world();
}
END_TEST

static void *use_own_channel(void *context)
{
	const uint64_t region = (uintptr_t)context * (1 << 20);
	char *mine = aligned_alloc(BLOCK_BYTES, 65536);
	char *seen = aligned_alloc(BLOCK_BYTES, 65536);
	struct sync_channel own;

	sync_channel_open(&own, device, false);
	for (unsigned round = 0; round < 50; round++) {
		uint64_t offset = region + round % 16 * 65536;

		fill(mine, 65536, round + region);
		ck_assert_int_eq(sync_write(&own, mine, 65536, offset, 0), 0);
		memset(seen, 0, 65536);
		ck_assert_int_eq(sync_read(&own, seen, 65536, offset), 0);
		ck_assert_mem_eq(mine, seen, 65536);
		if (round % 8 == 7)
			ck_assert_int_eq(sync_op(&own, TP_WRITE_ZEROES, offset,
						 65536, 0),
					 0);
	}
	sync_channel_close(&own);
	free(mine);
	free(seen);

	return NULL;
}

START_TEST(test_channels_are_used_by_several_threads)
{
	pthread_t threads[3];

	if (!open_world(_i))
		return;
	for (uintptr_t i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
						use_own_channel, (void *)i),
				 0);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	close_world();
}
END_TEST

static void *launch_and_exit(void *context)
{
	struct flight *flights = context;

	for (unsigned i = 0; i < 8; i++)
		launch(channel.channel, &flights[i], TP_WRITE,
		       buffer + i * BLOCK_BYTES, i * BLOCK_BYTES);
	tpi_channel_kick(channel.channel);

	return NULL;
}

/* One at a time, that is: even when the one that submitted is gone, and the
 * kernel with it took back what it had not done yet. */
START_TEST(test_a_channel_may_be_handed_to_another_thread)
{
	unsigned nr_ended = 0;
	struct flight flights[8];
	pthread_t thread;

	if (!open_world(_i))
		return;
	for (unsigned round = 0; round < 20; round++, nr_ended = 0) {
		for (unsigned i = 0; i < 8; i++)
			flights[i].nr_ended = &nr_ended;
		pthread_create(&thread, NULL, launch_and_exit, flights);
		pthread_join(thread, NULL);
		while (nr_ended < 8)
			sync_channel_wait(&channel);
	}
	close_world();
}
END_TEST

START_TEST(test_limits_are_told)
{
	struct tp_device_limits limits = TP_DEVICE_LIMITS_INIT;

	if (!open_world(_i))
		return;
	ck_assert_int_eq(tp_device_get_limits(device, &limits), 0);
	ck_assert_uint_eq(limits.struct_size, sizeof(limits));
	ck_assert_uint_eq(limits.size_bytes, DEVICE_BYTES);
	ck_assert_uint_ge(limits.logical_block_bytes, 512);
	ck_assert_uint_ge(limits.memory_alignment_bytes, 1);
	ck_assert_uint_ge(limits.discard_granularity_bytes, 512);

	/* A host with an older header knows only the first fields. */
	memset(&limits, 0xee, sizeof(limits));
	limits.struct_size =
		offsetof(struct tp_device_limits, logical_block_bytes);
	ck_assert_int_eq(tp_device_get_limits(device, &limits), 0);
	ck_assert_uint_eq(limits.size_bytes, DEVICE_BYTES);
	ck_assert_uint_eq(limits.logical_block_bytes, 0xeeeeeeee);

	limits.struct_size = 0;
	ck_assert_int_eq(tp_device_get_limits(device, &limits), -EINVAL);
	close_world();
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"device-contract", NR_CASES, test_what_was_written_is_read,
		test_the_whole_device_can_be_written_at_once,
		test_memory_need_not_be_aligned, test_memory_comes_in_pieces,
		test_flushes_and_durable_writes_succeed,
		test_zeroes_can_always_be_written,
		test_a_discard_spares_its_neighbours,
		test_what_lies_beyond_the_end_is_refused,
		test_nothing_is_done_at_once, test_any_number_may_be_in_flight,
		test_no_wake_up_is_lost,
		test_no_wake_up_is_lost_by_who_sleeps_on_the_channel,
		test_a_sleep_on_the_channel_ends_by_a_signal_and_by_time,
		test_channels_are_used_by_several_threads,
		test_a_channel_may_be_handed_to_another_thread,
		test_limits_are_told);
}
