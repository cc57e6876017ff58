/*
 * Where blocks come to lie: what is written in order lies in order, though other
 * thins are written at the same time.
 */
#include "support/world.h"

#define NR_BLOCKS 600u /* of each thin */
#define POOL_BLOCKS 2560u
#define THIN_BYTES (NR_BLOCKS * (uint64_t)WORLD_BLOCK)
#define NR_THINS 3u

static struct world w;
static struct tp_thin *thins[NR_THINS];

static void begin(int kind, uint64_t data_bytes)
{
	world_make_sized(&w, kind, 2 * MIB, data_bytes, NULL);
	w.options.flags |= TP_POOL_SKIP_ZEROING;
	world_format(&w);
	world_open(&w);
	for (uint32_t id = 0; id < NR_THINS; id++)
		thins[id] = world_new_thin(&w, id, THIN_BYTES);
}

static void end(void)
{
	for (uint32_t id = 0; id < NR_THINS; id++)
		ck_ok(tp_thin_close(thins[id]));
	world_end(&w);
}

static int count_run(const struct tp_extent *extent, void *context)
{
	unsigned *nr = context;

	*nr += extent->mapped;

	return 0;
}

static unsigned nr_runs(struct tp_thin *thin)
{
	unsigned nr = 0;

	ck_ok(tp_thin_each_extent(thin, 0, THIN_BYTES, count_run, &nr));

	return nr;
}

/* A layout by address.  Runs of 256 blocks and what is left
 * of them, where blocks in turn would make 600. */
START_TEST(test_thins_written_at_the_same_time_lie_in_long_runs)
{
	char sector[512] = { 1 };

	begin(_i, POOL_BLOCKS * (uint64_t)WORLD_BLOCK);
	for (uint64_t block = 0; block < NR_BLOCKS; block++)
		for (unsigned i = 0; i < NR_THINS; i++)
			ck_ok(tp_thin_write(thins[i], sector, 512,
					    block * WORLD_BLOCK, 0));
	for (unsigned i = 0; i < NR_THINS; i++)
		ck_assert_uint_le(nr_runs(thins[i]), 3);
	end();
}
END_TEST

/* Of many writes under way too, to two thins in turn. */
START_TEST(test_writes_under_way_together_lie_in_the_order_they_came_in)
{
	enum { DEPTH = 32 };
	char sector[512] = { 1 };
	struct tp_queue *queue;
	struct io ios[DEPTH];

	begin(_i, POOL_BLOCKS * (uint64_t)WORLD_BLOCK);
	ck_ok(tp_queue_create(w.pool, DEPTH, &queue));
	for (uint64_t block = 0; block < 512; block += DEPTH / 2) {
		for (unsigned i = 0; i < DEPTH; i++) {
			io_init(&ios[i], TP_WRITE, sector,
				(block + i / 2) * WORLD_BLOCK, 512, 0);
			io_submit(&ios[i], queue, thins[i % 2]);
		}
		for (unsigned i = 0; i < DEPTH; i++)
			ck_ok(io_wait(&w, &ios[i], queue));
	}
	ck_assert_uint_le(nr_runs(thins[0]), 2);
	ck_assert_uint_le(nr_runs(thins[1]), 2);
	tp_queue_destroy(queue);
	end();
}
END_TEST

/* Nothing is set aside by it: the last block is usable, whoever asks. */
START_TEST(test_every_block_can_be_used_by_any_thin)
{
	char sector[512] = { 1 };
	unsigned nr = 0;

	begin(_i, (NR_BLOCKS + 100) * (uint64_t)WORLD_BLOCK);
	for (uint64_t block = 0; block < 50; block++)
		for (unsigned i = 1; i < NR_THINS; i++, nr++)
			ck_ok(tp_thin_write(thins[i], sector, 512,
					    block * WORLD_BLOCK, 0));
	for (uint64_t block = 0; block < NR_BLOCKS; block++, nr++)
		ck_ok(tp_thin_write(thins[0], sector, 512, block * WORLD_BLOCK,
				    0));
	ck_assert_uint_eq(world_used(&w), nr);
	ck_assert_uint_eq(world_status(&w).data_blocks, nr);
	end();
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"locality", NR_KINDS,
		test_thins_written_at_the_same_time_lie_in_long_runs,
		test_writes_under_way_together_lie_in_the_order_they_came_in,
		test_every_block_can_be_used_by_any_thin);
}
