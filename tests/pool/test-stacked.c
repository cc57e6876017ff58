/*
 * Pools beside each other and upon each other: volumes as the devices of other
 * pools, striped or not; and very many volumes, each with a thread of its own.
 */
#include <pthread.h>
#include <unistd.h>

#include "support/oracles.h"
#include "support/world.h"

#define MAX_STRIPES 5u
#define NR_LAYERS 2u /* upon the lowest pool */
#define NR_MANY 128u
#define THIN_BYTES (4 * WORLD_BLOCK)

static struct world w, other;

/*---------------------------- stripes --------------------------------------*/

/* A device of the host's: chunks of a block, from one volume after the other. */
struct stripes {
	struct tp_device *device;
	struct tp_thin *thins[MAX_STRIPES];
	unsigned nr;
	uint64_t size;
};

typedef int (*chunk_fn)(struct tp_thin *thin, char *bytes, uint64_t length,
			uint64_t offset);

static int read_chunk(struct tp_thin *thin, char *bytes, uint64_t length,
		      uint64_t offset)
{
	return tp_thin_read(thin, bytes, length, offset);
}

static int write_chunk(struct tp_thin *thin, char *bytes, uint64_t length,
		       uint64_t offset)
{
	return tp_thin_write(thin, bytes, length, offset, 0);
}

static int each_chunk(const struct stripes *stripes, const struct iovec *iov,
		      int iovcnt, uint64_t offset, chunk_fn chunk)
{
	int r = 0;

	for (int i = 0; i < iovcnt; i++)
		for (size_t at = 0; at < iov[i].iov_len && !r;) {
			uint64_t nr = offset / WORLD_BLOCK;
			uint64_t within = offset % WORLD_BLOCK;
			uint64_t length = WORLD_BLOCK - within;

			if (length > iov[i].iov_len - at)
				length = iov[i].iov_len - at;
			r = chunk(stripes->thins[nr % stripes->nr],
				  (char *)iov[i].iov_base + at, length,
				  nr / stripes->nr * WORLD_BLOCK + within);
			at += length;
			offset += length;
		}

	return r;
}

static int read_stripes(void *context, const struct iovec *iov, int iovcnt,
			uint64_t offset)
{
	return each_chunk(context, iov, iovcnt, offset, read_chunk);
}

static int write_stripes(void *context, const struct iovec *iov, int iovcnt,
			 uint64_t offset, unsigned flags)
{
	ck_assert_uint_eq(flags, 0);

	return each_chunk(context, iov, iovcnt, offset, write_chunk);
}

static int flush_stripes(void *context)
{
	struct stripes *stripes = context;
	int r = 0;

	for (unsigned i = 0; i < stripes->nr && !r; i++)
		r = tp_thin_flush(stripes->thins[i]);

	return r;
}

static uint64_t size_of_stripes(void *context)
{
	return ((struct stripes *)context)->size;
}

/* Over new volumes of @pool, from 1 on. */
static void stripes_init(struct stripes *stripes, struct tp_pool *pool,
			 unsigned nr, uint64_t size)
{
	const struct tp_device_ops ops = {
		TP_DEVICE_OPS_INIT,      .read = read_stripes,
		.write = write_stripes,  .flush = flush_stripes,
		.size = size_of_stripes,
	};
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;

	*stripes = (struct stripes){ .nr = nr, .size = size };
	options.size = size; /* more than its share: it is thin */
	for (unsigned i = 0; i < nr; i++) {
		ck_ok(tp_pool_create_thin(pool, 1 + i));
		ck_ok(tp_thin_open(pool, 1 + i, &options, &stripes->thins[i]));
	}
	ck_ok(tp_device_new(&ops, stripes, &stripes->device));
}

static void stripes_exit(struct stripes *stripes)
{
	tp_device_unref(stripes->device);
	for (unsigned i = 0; i < stripes->nr; i++)
		ck_ok(tp_thin_close(stripes->thins[i]));
}

/*---------------------------- a pool upon stripes --------------------------*/

struct layer {
	struct observer metadata;
	struct stripes data;
	struct tp_pool *pool;
	struct tp_thin *thin;
};

static void layer_open(struct layer *layer)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;

	ck_ok(tp_pool_open(layer->metadata.device, layer->data.device,
			   &w.options, &layer->pool));
	options.size = 2 * layer->data.size;
	ck_ok(tp_thin_open(layer->pool, 0, &options, &layer->thin));
}

static void layer_close(struct layer *layer)
{
	ck_ok(tp_thin_close(layer->thin));
	ck_ok(tp_pool_close(layer->pool));
}

static void layer_begin(struct layer *layer, struct tp_pool *below,
			unsigned nr_stripes, uint64_t size)
{
	struct tp_format_options format = TP_FORMAT_OPTIONS_INIT;

	observer_init(&layer->metadata, &w.log, "metadata", 2 * MIB, 2 * MIB,
		      NULL);
	stripes_init(&layer->data, below, nr_stripes, size);
	format.data_block_size = WORLD_BLOCK;
	ck_ok(tp_pool_format(layer->metadata.device, layer->data.device,
			     &format));
	ck_ok(tp_pool_open(layer->metadata.device, layer->data.device,
			   &w.options, &layer->pool));
	ck_ok(tp_pool_create_thin(layer->pool, 0));
	ck_ok(tp_pool_close(layer->pool));
	layer_open(layer);
}

static void layer_end(struct layer *layer)
{
	char path[SCRATCH_PATH_BYTES];

	layer_close(layer);
	oracle_file(path, layer->metadata.bytes, layer->metadata.size_bytes);
	world_check_file(path);
	unlink(path);
	stripes_exit(&layer->data);
	observer_exit(&layer->metadata);
}

/* Written, snapshotted, written again: in pieces that know no blocks. */
static void use(struct layer *layer, uint64_t seed)
{
	const uint64_t end = 8 * WORLD_BLOCK - 5 * KIB;

	for (uint64_t at = KIB; at < end; at += 53 * KIB)
		thin_fill(layer->thin, at,
			  end - at < 53 * KIB ? end - at : 53 * KIB, seed);
	ck_ok(tp_pool_create_snapshot(layer->pool, 99, 0));
	thin_fill(layer->thin, 3 * KIB, 2 * WORLD_BLOCK, seed + 1);
	ck_ok(tp_thin_discard(layer->thin, 6 * WORLD_BLOCK, WORLD_BLOCK));
}

static void verify(struct layer *layer, uint64_t seed)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	const uint64_t second = 3 * KIB + 2 * WORLD_BLOCK;
	const uint64_t end = 8 * WORLD_BLOCK - 5 * KIB;
	struct tp_thin *snapshot;

	thin_verify_zero(layer->thin, 0, KIB);
	thin_verify(layer->thin, KIB, 2 * KIB, seed);
	thin_verify(layer->thin, 3 * KIB, 2 * WORLD_BLOCK, seed + 1);
	thin_verify(layer->thin, second, 6 * WORLD_BLOCK - second, seed);
	thin_verify_zero(layer->thin, 6 * WORLD_BLOCK, WORLD_BLOCK);
	thin_verify(layer->thin, 7 * WORLD_BLOCK, end - 7 * WORLD_BLOCK, seed);
	options.size = 2 * layer->data.size;
	ck_ok(tp_thin_open(layer->pool, 99, &options, &snapshot));
	thin_verify_zero(snapshot, 0, KIB);
	thin_verify(snapshot, KIB, end - KIB, seed);
	ck_ok(tp_thin_close(snapshot));
}

/* FST-07. */
START_TEST(test_a_pool_may_lie_on_volumes_of_another_striped)
{
	for (unsigned nr = 2; nr <= MAX_STRIPES; nr++) {
		struct layer layer;

		world_begin(&w, _i);
		layer_begin(&layer, w.pool, nr, 40 * WORLD_BLOCK);
		use(&layer, nr);
		verify(&layer, nr);
		layer_close(&layer);
		layer_open(&layer);
		verify(&layer, nr);
		layer_end(&layer);
		world_end(&w);
	}
}
END_TEST

/* FST-08. */
START_TEST(test_three_pools_may_lie_one_upon_the_other)
{
	struct layer layers[NR_LAYERS];
	struct layer *top = &layers[NR_LAYERS - 1];

	world_begin(&w, _i);
	layer_begin(&layers[0], w.pool, 1, 100 * WORLD_BLOCK);
	layer_begin(&layers[1], layers[0].pool, 1, 50 * WORLD_BLOCK);
	use(top, 1);
	verify(top, 1);
	layer_close(top);
	layer_open(top);
	verify(top, 1);
	for (unsigned i = NR_LAYERS; i > 0; i--)
		layer_end(&layers[i - 1]);
	world_end(&w);
}
END_TEST

/*---------------------------- side by side ---------------------------------*/

static void *write_and_snapshot(void *context)
{
	struct world *world = context;
	uint64_t seed = world == &other ? 100 : 0;
	struct tp_thin *thin = world_open_thin(world, 0, THIN_BYTES);

	for (uint32_t i = 1; i <= 8; i++) {
		struct tp_thin *snapshot;

		thin_fill(thin, 0, THIN_BYTES, seed + i);
		snapshot = world_snapshot(world, i, 0, THIN_BYTES);
		thin_fill(thin, 0, WORLD_BLOCK, seed + 50);
		thin_verify(snapshot, 0, THIN_BYTES, seed + i);
		ck_ok(tp_thin_close(snapshot));
	}
	ck_ok(tp_thin_close(thin));

	return NULL;
}

static void verify_world(struct world *world, uint64_t seed)
{
	for (uint32_t i = 1; i <= 8; i++) {
		struct tp_thin *thin = world_open_thin(world, i, THIN_BYTES);

		thin_verify(thin, 0, THIN_BYTES, seed + i);
		ck_ok(tp_thin_close(thin));
	}
	ck_assert_uint_eq(world_used(world), 33); /* one for each, and one */
}

/* FST-09: the same ids, at the same time; one is closed, the other goes on. */
START_TEST(test_two_pools_in_one_process_share_nothing)
{
	pthread_t threads[2];

	world_begin(&w, _i);
	world_begin(&other, _i);
	ck_ok(tp_pool_create_thin(w.pool, 0));
	ck_ok(tp_pool_create_thin(other.pool, 0));
	pthread_create(&threads[0], NULL, write_and_snapshot, &w);
	pthread_create(&threads[1], NULL, write_and_snapshot, &other);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	verify_world(&w, 0);
	world_end(&w);
	verify_world(&other, 100);
	world_reopen(&other);
	verify_world(&other, 100);
	world_end(&other);
}
END_TEST

/*---------------------------- very many ------------------------------------*/

struct many {
	pthread_t thread;
	uint32_t id;
};

static void each_in_a_thread(struct many *many, void *(*run)(void *context))
{
	for (uint32_t i = 0; i < NR_MANY; i++) {
		many[i].id = i;
		ck_ok(pthread_create(&many[i].thread, NULL, run, &many[i]));
	}
	for (uint32_t i = 0; i < NR_MANY; i++)
		pthread_join(many[i].thread, NULL);
}

/* One after the other, then anywhere. */
static void *write_and_verify(void *context)
{
	const struct many *self = context;
	uint64_t state = self->id;
	struct tp_thin *thin = world_open_thin(&w, self->id, THIN_BYTES);

	thin_fill(thin, 0, WORLD_BLOCK, self->id);
	thin_verify(thin, 0, WORLD_BLOCK, self->id);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t at = random_in(&state, 0, THIN_BYTES / KIB) * KIB;

		thin_fill(thin, at, KIB, self->id);
		thin_verify(thin, at, KIB, self->id);
	}
	thin_verify(thin, 0, WORLD_BLOCK, self->id);
	ck_ok(tp_thin_close(thin));

	return NULL;
}

static void *delete (void *context)
{
	const struct many *self = context;

	ck_ok(tp_pool_delete_thin(w.pool, self->id));

	return NULL;
}

/* FST-04. */
START_TEST(test_128_volumes_are_written_at_once_and_deleted)
{
	struct many many[NR_MANY];

	world_make_sized(&w, OWN_THREAD, 4 * MIB,
			 NR_MANY * (uint64_t)THIN_BYTES, NULL);
	world_format(&w);
	world_open(&w);
	for (uint32_t i = 0; i < NR_MANY; i++)
		ck_ok(tp_pool_create_thin(w.pool, i));
	each_in_a_thread(many, write_and_verify);
	ck_assert_uint_ge(world_used(&w), NR_MANY);
	each_in_a_thread(many, delete);
	ck_ok(tp_pool_commit(w.pool));
	ck_assert_uint_eq(world_used(&w), 0);
	world_end(&w);
}
END_TEST

static void *come_and_go(void *context)
{
	const struct many *self = context;

	ck_ok(tp_thin_close(world_new_thin(&w, self->id, THIN_BYTES)));
	ck_ok(tp_pool_delete_thin(w.pool, self->id));

	return NULL;
}

/* FST-05. */
START_TEST(test_128_threads_make_open_and_delete_a_volume_each)
{
	struct many many[NR_MANY];

	world_begin(&w, OWN_THREAD);
	each_in_a_thread(many, come_and_go);
	ck_ok(tp_pool_commit(w.pool));
	ck_assert_uint_eq(world_used(&w), 0);
	ck_assert_uint_eq(world_status(&w).nr_thins, 0);
	world_end(&w);
}
END_TEST

int main(void)
{
	int failed =
		RUN_TESTS("stacked", NR_KINDS,
			  test_a_pool_may_lie_on_volumes_of_another_striped,
			  test_three_pools_may_lie_one_upon_the_other,
			  test_two_pools_in_one_process_share_nothing);

	return failed +
	       RUN_TESTS("many", 1,
			 test_128_volumes_are_written_at_once_and_deleted,
			 test_128_threads_make_open_and_delete_a_volume_each);
}
