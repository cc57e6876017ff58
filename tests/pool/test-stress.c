/*
 * Threads with a queue each write, read, discard and flush at depth, while
 * another takes snapshots and deletes them, and one more replaces the pre-commit
 * hook: every read shows what its own thread wrote last (B-REQ-4, CON-02,
 * CON-03, CON-04, F-27, F-28).
 *
 * Each bio has a stretch of the thin to itself, so that what it must read is
 * known; the stretches share blocks at their edges.
 */
#include <pthread.h>
#include <stdlib.h>

#include "support/world.h"

#define NR_WRITERS 3
#define DEPTH 16
#define STRETCH ((uint64_t)MIB - 3 * 512)
#define THIN_BYTES (DEPTH * STRETCH)
#define NR_BIOS 1500

static struct world w;
static atomic_bool stop;

struct slot {
	struct tp_bio bio;
	struct iovec iov;
	bool busy;
	uint64_t begin; /* of its stretch */
	char *buffer, *expected;
};

struct writer {
	pthread_t thread;
	uint32_t id;
	uint64_t seed;
	struct slot slots[DEPTH];
};

static void ended(struct tp_bio *bio)
{
	struct slot *slot = bio->context;

	ck_assert_int_eq(bio->status, 0);
	if (bio->op == TP_READ)
		ck_assert(!memcmp(slot->buffer,
				  slot->expected + (bio->offset - slot->begin),
				  bio->length));
	slot->busy = false;
}

static void expect_zero(struct slot *slot, uint64_t from, uint64_t to)
{
	if (from < to)
		memset(slot->expected + (from - slot->begin), 0, to - from);
}

/* What the bio will have done when it ends. */
static void foresee(struct slot *slot, uint64_t seed)
{
	struct tp_bio *bio = &slot->bio;
	uint64_t end = bio->offset + bio->length;

	if (bio->op == TP_WRITE) {
		fill_pattern(slot->buffer, bio->length, bio->offset, seed);
		memcpy(slot->expected + (bio->offset - slot->begin),
		       slot->buffer, bio->length);
	} else if (bio->op == TP_WRITE_ZEROES) {
		expect_zero(slot, bio->offset, end);
	} else if (bio->op == TP_DISCARD) {
		expect_zero(slot,
			    (bio->offset + WORLD_BLOCK - 1) / WORLD_BLOCK *
				    WORLD_BLOCK,
			    end / WORLD_BLOCK * WORLD_BLOCK);
	}
}

static void choose(struct writer *writer, struct slot *slot)
{
	static const enum tp_op ops[] = { TP_WRITE,   TP_WRITE,       TP_WRITE,
					  TP_READ,    TP_READ,        TP_READ,
					  TP_DISCARD, TP_WRITE_ZEROES };
	uint64_t *seed = &writer->seed;
	uint64_t length = 512 * random_in(seed, 1, 400);
	uint64_t at = 512 * random_in(seed, 0, (STRETCH - length) / 512);

	slot->bio = (struct tp_bio){
		.op = ops[random_in(seed, 0, 8)],
		.offset = slot->begin + at,
		.length = length,
		.iov = &slot->iov,
		.iovcnt = 1,
		.end_io = ended,
		.context = slot,
	};
	slot->iov = (struct iovec){ slot->buffer, length };
	if (random_in(seed, 0, 50) == 0)
		slot->bio.op = TP_FLUSH;
	else if (slot->bio.op == TP_WRITE && random_in(seed, 0, 10) == 0)
		slot->bio.flags = TP_FUA;
	foresee(slot, next_random(seed));
}

static struct slot *find_idle(struct writer *writer)
{
	for (unsigned i = 0; i < DEPTH; i++)
		if (!writer->slots[i].busy)
			return &writer->slots[i];

	return NULL;
}

static void drive(struct writer *writer, struct tp_queue *queue,
		  struct tp_thin *thin)
{
	unsigned nr = 0;

	while (nr < NR_BIOS) {
		struct slot *slot = find_idle(writer);

		if (!slot) {
			ck_assert_int_ge(tp_queue_wait(queue, 1, -1), 0);
			continue;
		}
		choose(writer, slot);
		slot->busy = true;
		ck_ok(tp_queue_submit(queue, thin, &slot->bio));
		nr++;
	}
	while (tp_queue_wait(queue, DEPTH, -1) > 0)
		;
	for (unsigned i = 0; i < DEPTH; i++)
		ck_assert(!writer->slots[i].busy);
}

static void *write_main(void *context)
{
	struct writer *writer = context;
	struct tp_thin *thin = world_open_thin(&w, writer->id, THIN_BYTES);
	struct tp_queue *queue;

	ck_ok(tp_queue_create(w.pool, DEPTH, &queue));
	for (unsigned i = 0; i < DEPTH; i++) {
		writer->slots[i].begin = i * STRETCH;
		writer->slots[i].buffer = malloc(STRETCH);
		writer->slots[i].expected = calloc(1, STRETCH);
	}
	drive(writer, queue, thin);
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
	for (unsigned i = 0; i < DEPTH; i++) {
		free(writer->slots[i].buffer);
		free(writer->slots[i].expected);
	}

	return NULL;
}

/* At most so many snapshots at a time, so that the pool does not fill up. */
#define NR_KEPT 2u

static void *snapshot_main(void *context)
{
	uint64_t *seed = context;
	uint32_t nr = 0;

	while (!stop) {
		ck_ok(tp_pool_create_snapshot(w.pool, 100 + nr,
					      (uint32_t)random_in(seed, 0,
								  NR_WRITERS)));
		if (nr >= NR_KEPT)
			ck_ok(tp_pool_delete_thin(w.pool, 100 + nr - NR_KEPT));
		nr++;
	}
	ck_assert_uint_gt(nr, 0);

	return NULL;
}

/* The context is freed as soon as the hook was replaced. */
static int hook(void *context)
{
	struct tp_pool **pool = context;

	return tp_pool_flush_data(*pool);
}

static void *hook_main(void *context)
{
	struct tp_pool **old = NULL;

	(void)context;
	while (!stop) {
		struct tp_pool **new = malloc(sizeof(*new));

		*new = w.pool;
		ck_ok(tp_pool_set_pre_commit_hook(w.pool, hook, new));
		free(old);
		old = new;
	}
	ck_ok(tp_pool_set_pre_commit_hook(w.pool, NULL, NULL));
	free(old);

	return NULL;
}

START_TEST(test_each_thread_reads_what_it_wrote_whatever_the_others_do)
{
	static struct writer writers[NR_WRITERS];
	uint64_t seed = seed_from_environment(17);
	pthread_t snapshots, hooks;

	world_make_sized(&w, OWN_THREAD, 16 * MIB, 256 * MIB, NULL);
	w.options.commit_interval_ms = 10;
	world_format(&w);
	world_open(&w);
	for (uint32_t i = 0; i < NR_WRITERS; i++) {
		ck_ok(tp_pool_create_thin(w.pool, i));
		writers[i] = (struct writer){ .id = i, .seed = seed + i };
	}
	pthread_create(&snapshots, NULL, snapshot_main, &seed);
	pthread_create(&hooks, NULL, hook_main, NULL);
	for (unsigned i = 0; i < NR_WRITERS; i++)
		pthread_create(&writers[i].thread, NULL, write_main,
			       &writers[i]);
	for (unsigned i = 0; i < NR_WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	stop = true;
	pthread_join(snapshots, NULL);
	pthread_join(hooks, NULL);
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"stress", 1,
		test_each_thread_reads_what_it_wrote_whatever_the_others_do);
}
