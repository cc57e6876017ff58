/*
 * What a host may ask for when it opens a thin: what becomes of its writes in a
 * full pool, and that zeroes take no space.
 */
#include "support/world.h"

#define NR_BLOCKS 256u /* of the data device */
#define DATA_BYTES (NR_BLOCKS * WORLD_BLOCK)
#define THIN_BYTES (2 * DATA_BYTES)

static struct world w;
static char block[WORLD_BLOCK];

static struct tp_thin *open_with(uint32_t id,
				 const struct tp_thin_options *asked)
{
	struct tp_thin_options options = *asked;
	struct tp_thin *thin;

	options.size = THIN_BYTES;
	ck_ok(tp_thin_open(w.pool, id, &options, &thin));

	return thin;
}

/*---------------------------- a full pool ----------------------------------*/

static struct tp_thin *open_policy(uint32_t id, enum tp_no_space no_space,
				   uint32_t timeout_ms)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;

	options.no_space = no_space;
	options.no_space_timeout_ms = timeout_ms;

	return open_with(id, &options);
}

static struct tp_queue *begin_full(int kind, unsigned flags)
{
	struct tp_queue *queue;
	struct tp_thin *thin;

	world_make(&w, kind);
	w.options.flags |= flags;
	w.options.no_space_timeout_ms = TP_NEVER;
	world_format(&w);
	world_open(&w);
	for (uint32_t id = 1; id <= 3; id++)
		ck_ok(tp_pool_create_thin(w.pool, id));
	thin = world_new_thin(&w, 0, DATA_BYTES);
	thin_fill(thin, 0, DATA_BYTES, 1);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_queue_create(w.pool, 8, &queue));

	return queue;
}

static void submit_write(struct io *io, struct tp_queue *queue,
			 struct tp_thin *thin)
{
	io_init(io, TP_WRITE, block, 0, WORLD_BLOCK, 0);
	io_submit(io, queue, thin);
}

/* The handle's word holds, whatever the pool's is; and the others wait on. */
START_TEST(test_each_handle_has_its_own_way_in_a_full_pool)
{
	const unsigned flags[] = { 0, TP_POOL_ERROR_IF_NO_SPACE };

	for (unsigned i = 0; i < 2; i++) {
		struct tp_queue *queue = begin_full(_i, flags[i]);
		struct tp_thin *as_pool, *waits, *fails;
		struct io pools, waiting, failing;

		as_pool = open_policy(1, TP_NO_SPACE_AS_POOL, 0);
		waits = open_policy(2, TP_NO_SPACE_QUEUE, 0);
		fails = open_policy(3, TP_NO_SPACE_ERROR, 0);
		submit_write(&waiting, queue, waits);
		submit_write(&failing, queue, fails);
		submit_write(&pools, queue, as_pool);
		ck_assert_int_eq(io_wait(&w, &failing, queue), -ENOSPC);
		if (i)
			ck_assert_int_eq(io_wait(&w, &pools, queue), -ENOSPC);
		world_idle(&w);
		ck_assert(!io_has_ended(&waiting, queue));
		ck_assert(i || !pools.nr_ended);
		ck_assert_int_eq(world_status(&w).mode,
				 TP_MODE_OUT_OF_DATA_SPACE);

		ck_ok(tp_pool_delete_thin(w.pool, 0));
		ck_ok(io_wait(&w, &waiting, queue));
		if (!i)
			ck_ok(io_wait(&w, &pools, queue));
		world_until(&w, world_status(&w).mode == TP_MODE_WRITE);
		submit_write(&failing, queue, fails);
		ck_ok(io_wait(&w, &failing, queue));
		tp_queue_destroy(queue);
		ck_ok(tp_thin_close(as_pool));
		thins_close(waits, fails);
		world_end(&w);
	}
}
END_TEST

/* Each at its own time; what comes later does not wait. */
START_TEST(test_each_handle_has_its_own_deadline)
{
	struct tp_queue *queue = begin_full(_i, 0);
	struct tp_thin *sooner, *later, *ever;
	struct io first, second, third;

	sooner = open_policy(1, TP_NO_SPACE_QUEUE, 30);
	later = open_policy(2, TP_NO_SPACE_QUEUE, 90);
	ever = open_policy(3, TP_NO_SPACE_QUEUE, TP_NEVER);
	submit_write(&third, queue, ever);
	submit_write(&second, queue, later);
	submit_write(&first, queue, sooner);
	ck_assert_int_eq(io_wait(&w, &first, queue), -ENOSPC);
	submit_write(&first, queue, sooner);
	ck_assert_int_eq(io_wait(&w, &first, queue), -ENOSPC);
	ck_assert_int_eq(io_wait(&w, &second, queue), -ENOSPC);
	ck_assert(!world_status(&w).error_if_no_space);
	ck_assert(!io_has_ended(&third, queue));
	ck_ok(tp_pool_delete_thin(w.pool, 0));
	ck_ok(io_wait(&w, &third, queue));
	submit_write(&first, queue, sooner);
	ck_ok(io_wait(&w, &first, queue));
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(ever));
	thins_close(sooner, later);
	world_end(&w);
}
END_TEST

/* What makes no sense is refused. */
START_TEST(test_policies_that_make_no_sense_are_refused)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;

	world_begin(&w, _i);
	ck_ok(tp_pool_create_thin(w.pool, 1));
	options.size = THIN_BYTES;
	options.no_space = TP_NO_SPACE_ERROR + 1;
	ck_assert_int_eq(tp_thin_open(w.pool, 1, &options, &thin), -EINVAL);
	options.no_space = TP_NO_SPACE_ERROR;
	options.no_space_timeout_ms = 1;
	ck_assert_int_eq(tp_thin_open(w.pool, 1, &options, &thin), -EINVAL);
	options.no_space = TP_NO_SPACE_AS_POOL;
	ck_assert_int_eq(tp_thin_open(w.pool, 1, &options, &thin), -EINVAL);
	world_end(&w);
}
END_TEST

/*---------------------------- zeroes ---------------------------------------*/

static struct tp_thin *open_detecting(uint32_t id, struct tp_device *origin)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;

	options.flags = TP_THIN_DETECT_ZEROES;
	options.external_origin = origin;

	return open_with(id, &options);
}

#define IMAGE_BLOCKS 8u
static char image[IMAGE_BLOCKS * WORLD_BLOCK];

/* Blocks 1, 2 and 5 hold something, 5 only in its last byte. */
static void make_image(void)
{
	memset(image, 0, sizeof(image));
	fill_pattern(image + WORLD_BLOCK, 2 * WORLD_BLOCK, WORLD_BLOCK, 1);
	image[6 * WORLD_BLOCK - 1] = 1;
}

static void verify_image(struct tp_thin *thin)
{
	static char back[sizeof(image)];

	ck_ok(tp_thin_read(thin, back, sizeof(back), 0));
	ck_assert(!memcmp(back, image, sizeof(image)));
}

START_TEST(test_zeroes_take_no_space_where_that_is_asked_for)
{
	struct tp_thin *plain, *detecting;

	world_begin(&w, _i);
	make_image();
	plain = world_new_thin(&w, 1, THIN_BYTES);
	ck_ok(tp_thin_write(plain, image, sizeof(image), 0, 0));
	ck_assert_uint_eq(thin_mapped(plain), sizeof(image));

	ck_ok(tp_pool_create_thin(w.pool, 2));
	detecting = open_detecting(2, NULL);
	ck_ok(tp_thin_write(detecting, image, sizeof(image), 0, TP_FUA));
	ck_assert_uint_eq(thin_mapped(detecting), 3 * WORLD_BLOCK);
	verify_image(detecting);

	/* Parts of blocks, too. */
	ck_ok(tp_thin_write(detecting, image, 1024, 64 * WORLD_BLOCK + 512, 0));
	ck_assert_uint_eq(thin_mapped(detecting), 3 * WORLD_BLOCK);
	thins_close(plain, detecting);
	world_end(&w);
}
END_TEST

/* What is mapped is overwritten: by zeroes as by anything else, and a snapshot
 * keeps what it had. */
START_TEST(test_zeroes_written_over_something_are_stored)
{
	struct tp_thin *thin, *snapshot;

	world_begin(&w, _i);
	ck_ok(tp_pool_create_thin(w.pool, 1));
	thin = open_detecting(1, NULL);
	thin_fill(thin, 0, 4 * WORLD_BLOCK, 1);
	memset(block, 0, sizeof(block));
	ck_ok(tp_thin_write(thin, block, sizeof(block), 0, 0));
	thin_verify_zero(thin, 0, WORLD_BLOCK);
	thin_verify(thin, WORLD_BLOCK, 3 * WORLD_BLOCK, 1);
	snapshot = world_snapshot(&w, 2, 1, THIN_BYTES);
	ck_ok(tp_thin_write(thin, block, sizeof(block), WORLD_BLOCK, 0));
	thin_verify_zero(thin, 0, 2 * WORLD_BLOCK);
	thin_verify(snapshot, WORLD_BLOCK, 3 * WORLD_BLOCK, 1);
	thins_close(thin, snapshot);
	world_end(&w);
}
END_TEST

/* Unmapped is not zero there. */
START_TEST(test_zeroes_over_an_external_origin_are_stored)
{
	struct tp_device *origin;
	struct tp_thin *thin;

	world_make(&w, _i);
	world_format(&w);
	world_open(&w);
	ck_ok(tp_device_open_memory(4 * WORLD_BLOCK, &origin));
	ck_ok(tp_pool_create_thin(w.pool, 1));
	thin = open_detecting(1, origin);
	memset(block, 0, sizeof(block));
	ck_ok(tp_thin_write(thin, block, sizeof(block), 0, 0));
	ck_assert_uint_eq(thin_mapped(thin), WORLD_BLOCK);
	ck_ok(tp_thin_close(thin));
	tp_device_unref(origin);
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS("thin-options", NR_KINDS,
			 test_each_handle_has_its_own_way_in_a_full_pool,
			 test_each_handle_has_its_own_deadline,
			 test_policies_that_make_no_sense_are_refused,
			 test_zeroes_take_no_space_where_that_is_asked_for,
			 test_zeroes_written_over_something_are_stored,
			 test_zeroes_over_an_external_origin_are_stored);
}
