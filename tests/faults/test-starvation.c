/*
 * Nobody waits for ever behind others (F-27): while as many bios as a queue
 * holds go on without a pause on one block, whatever else is asked of that block
 * ends within a second, on devices that take their time.
 */
#include <stdlib.h>
#include <thinpool/simulator.h>

#include "support/world.h"

#define NR_HOGS 8
#define THIN_BYTES (16 * WORLD_BLOCK)
#define LIMIT_NS SECOND_NS

static struct tp_simulator *simulator;
static struct tp_pool *pool;
static struct tp_thin *thin;
static struct tp_queue *queue;

struct hog {
	struct tp_bio bio;
	struct iovec iov;
	char bytes[4096];
};

static struct hog hogs[NR_HOGS];
static bool stopping;
static unsigned nr_hogs, nr_hogged;

/*---------------------------- the pool -------------------------------------*/

static struct tp_device *make_device(uint64_t size)
{
	struct tp_simulated_device_options options =
		TP_SIMULATED_DEVICE_OPTIONS_INIT;
	struct tp_device *device;

	options.size = size;
	options.features = TP_DEVICE_DISCARD;
	options.min_latency_ns = 100000;
	options.max_latency_ns = 5000000;
	ck_ok(tp_simulator_add_device(simulator, &options, &device));

	return device;
}

static void open_pool(struct tp_device *metadata, struct tp_device *data)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_thin_options thin_options = TP_THIN_OPTIONS_INIT;

	options.flags = TP_POOL_HOST_DRIVEN;
	options.clock_ns = tp_simulator_clock_ns;
	options.clock_wait = tp_simulator_clock_wait;
	options.clock_context = simulator;
	ck_ok(tp_pool_open(metadata, data, &options, &pool));
	thin_options.size = THIN_BYTES;
	ck_ok(tp_pool_create_thin(pool, 0));
	ck_ok(tp_thin_open(pool, 0, &thin_options, &thin));
	ck_ok(tp_queue_create(pool, NR_HOGS + 1, &queue));
}

static void begin(void)
{
	struct tp_simulator_options options = TP_SIMULATOR_OPTIONS_INIT;
	struct tp_device *metadata, *data;

	options.seed = 7;
	ck_ok(tp_simulator_new(&options, &simulator));
	metadata = make_device(2 * MIB);
	data = make_device(16 * MIB);
	tp_simulator_set_instant(simulator, true);
	ck_ok(tp_pool_format(metadata, data,
			     &(struct tp_format_options){
				     .struct_size =
					     sizeof(struct tp_format_options),
				     .flags = TP_FORMAT_OVERWRITE }));
	tp_simulator_set_instant(simulator, false);
	open_pool(metadata, data);
}

static void end(void)
{
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_close(pool));
	tp_simulator_free(simulator);
}

/* One round of what a host does, which takes a moment. */
static void go_on(void)
{
	tp_pool_poll(pool);
	tp_queue_poll(queue, 0);
	tp_simulator_step(simulator, tp_simulator_clock_ns(simulator) + 20000);
}

/*---------------------------- the others -----------------------------------*/

static void hog_again(struct tp_bio *bio)
{
	ck_ok(bio->status);
	nr_hogged++;
	if (stopping)
		nr_hogs--;
	else
		ck_ok(tp_queue_submit(queue, thin, bio));
}

static void start_hogging(enum tp_op op)
{
	stopping = false;
	nr_hogs = NR_HOGS;
	nr_hogged = 0;
	for (unsigned i = 0; i < NR_HOGS; i++) {
		struct hog *hog = &hogs[i];

		hog->iov = (struct iovec){ hog->bytes, sizeof(hog->bytes) };
		hog->bio = (struct tp_bio){
			.op = op,
			.flags = op == TP_WRITE && i % 4 == 3 ? TP_FUA : 0,
			.offset = i * 4096,
			.iov = &hog->iov,
			.iovcnt = 1,
			.end_io = hog_again,
		};
		ck_ok(tp_queue_submit(queue, thin, &hog->bio));
	}
	while (nr_hogged < 4 * NR_HOGS)
		go_on();
}

static void stop_hogging(void)
{
	stopping = true;
	while (nr_hogs)
		go_on();
}

/*---------------------------- the one --------------------------------------*/

static const struct {
	enum tp_op op;
	unsigned flags;
	uint64_t length;
} victims[] = {
	{ TP_READ, 0, 4096 },
	{ TP_WRITE, 0, 4096 },
	{ TP_WRITE, TP_FUA, WORLD_BLOCK },
	{ TP_FLUSH, 0, 0 },
	{ TP_DISCARD, 0, WORLD_BLOCK },
	{ TP_DISCARD, TP_FUA, WORLD_BLOCK },
	{ TP_WRITE_ZEROES, 0, WORLD_BLOCK },
};
#define NR_VICTIMS (sizeof(victims) / sizeof(victims[0]))

static void expect_soon(unsigned which)
{
	static char bytes[WORLD_BLOCK];
	uint64_t began = tp_simulator_clock_ns(simulator), took;
	struct io io;

	io_init(&io, victims[which].op, bytes, 0, victims[which].length,
		victims[which].flags);
	io_submit(&io, queue, thin);
	while (!io.nr_ended)
		go_on();
	ck_ok(io.bio.status);
	took = tp_simulator_clock_ns(simulator) - began;
	ck_assert_msg(took < LIMIT_NS, "victim %u took %llu ns", which,
		      (unsigned long long)took);
}

/* B-DISC-17, B-SORT-2: reads, writes, discards, of one block all the time. */
START_TEST(test_no_bio_starves_behind_others_on_the_same_block)
{
	begin();
	for (unsigned i = 0; i < NR_VICTIMS; i++) {
		start_hogging(_i ? TP_READ : TP_WRITE);
		for (unsigned round = 0; round < 4; round++)
			expect_soon(i);
		stop_hogging();
	}
	end();
}
END_TEST

int main(void)
{
	return RUN_TESTS("starvation", 2,
			 test_no_bio_starves_behind_others_on_the_same_block);
}
