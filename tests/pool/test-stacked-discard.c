/*
 * A pool on a thin of another pool (DSC-18): what is discarded above is given
 * back below, if the pool above passes it down and the one below takes it.
 */
#include "support/world.h"

#define NR_BLOCKS 16
#define THIN_BYTES (NR_BLOCKS * WORLD_BLOCK)

static struct world lower;
static struct tp_thin *beneath;

/*---------------------------- a thin as a device ---------------------------*/

static int read_thin(void *context, const struct iovec *iov, int iovcnt,
		     uint64_t offset)
{
	int r = 0;

	for (int i = 0; i < iovcnt && !r; offset += iov[i++].iov_len)
		r = tp_thin_read(context, iov[i].iov_base, iov[i].iov_len,
				 offset);

	return r;
}

static int write_thin(void *context, const struct iovec *iov, int iovcnt,
		      uint64_t offset, unsigned flags)
{
	int r = 0;

	for (int i = 0; i < iovcnt && !r; offset += iov[i++].iov_len)
		r = tp_thin_write(context, iov[i].iov_base, iov[i].iov_len,
				  offset, flags);

	return r;
}

static int flush_thin(void *context)
{
	return tp_thin_flush(context);
}

static int discard_thin(void *context, uint64_t offset, uint64_t length)
{
	return tp_thin_discard(context, offset, length);
}

static uint64_t size_of_thin(void *context)
{
	struct tp_thin_limits limits = TP_THIN_LIMITS_INIT;

	return tp_thin_get_limits(context, &limits) ? 0 : limits.size_bytes;
}

/* It can do what the thin's limits say. */
static struct tp_device *device_on(struct tp_thin *thin)
{
	struct tp_device_ops ops = { TP_DEVICE_OPS_INIT };
	struct tp_thin_limits limits = TP_THIN_LIMITS_INIT;
	struct tp_device *device;

	ck_ok(tp_thin_get_limits(thin, &limits));
	ops.read = read_thin;
	ops.write = write_thin;
	ops.flush = flush_thin;
	ops.size = size_of_thin;
	if (limits.discard_granularity_bytes) {
		ops.discard = discard_thin;
		ops.discard_granularity_bytes =
			(uint32_t)limits.discard_granularity_bytes;
	}
	ck_ok(tp_device_new(&ops, thin, &device));

	return device;
}

/*---------------------------- the test -------------------------------------*/

static const unsigned kinds[] = { 0, TP_POOL_NO_DISCARD_PASSDOWN,
				  TP_POOL_IGNORE_DISCARD };

static uint64_t used(struct tp_pool *pool)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	ck_ok(tp_pool_commit(pool));
	ck_ok(tp_pool_get_status(pool, &status));

	return status.used_data_blocks;
}

static void discard_half(struct tp_pool *pool, unsigned flags)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	bool ignored = flags & TP_POOL_IGNORE_DISCARD;
	struct tp_thin *thin;

	ck_ok(tp_pool_create_thin(pool, 0));
	options.size = THIN_BYTES;
	ck_ok(tp_thin_open(pool, 0, &options, &thin));
	thin_fill(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_thin_flush(thin));
	ck_assert_uint_eq(used(lower.pool), NR_BLOCKS);
	ck_assert_int_eq(tp_thin_discard(thin, 0, THIN_BYTES / 2),
			 ignored ? -EOPNOTSUPP : 0);
	world_until(&lower,
		    used(pool) == (ignored ? NR_BLOCKS : NR_BLOCKS / 2));
	thin_verify(thin, THIN_BYTES / 2, THIN_BYTES / 2, 1);
	ck_ok(tp_thin_close(thin));
}

START_TEST(test_what_is_discarded_above_is_free_below_if_both_have_it_so)
{
	unsigned above = kinds[_i / 3], below = kinds[_i % 3];
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_device *metadata, *data;
	struct tp_pool *pool;

	world_make(&lower, OWN_THREAD);
	lower.options.flags |= below;
	world_format(&lower);
	world_open(&lower);
	beneath = world_new_thin(&lower, 0, 4 * THIN_BYTES);
	data = device_on(beneath);
	ck_ok(tp_device_open_memory(2 * MIB, &metadata));
	ck_ok(tp_pool_format(metadata, data, NULL));
	options.flags = above;
	ck_ok(tp_pool_open(metadata, data, &options, &pool));
	discard_half(pool, above);
	if (!above && !(below & TP_POOL_IGNORE_DISCARD))
		world_until(&lower, used(lower.pool) == NR_BLOCKS / 2);
	world_idle(&lower);
	ck_ok(tp_pool_close(pool));
	ck_assert_uint_eq(used(lower.pool),
			  !above && !(below & TP_POOL_IGNORE_DISCARD)
				  ? NR_BLOCKS / 2
				  : NR_BLOCKS);
	tp_device_unref(data);
	tp_device_unref(metadata);
	ck_ok(tp_thin_close(beneath));
	world_end(&lower);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"stacked-discard", 9,
		test_what_is_discarded_above_is_free_below_if_both_have_it_so);
}
