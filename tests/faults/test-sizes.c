/*
 * Devices of any other size than the metadata records: a pool on smaller ones
 * does not open, one on larger ones has the size that it had (F-33, F-34).
 */
#include <stdlib.h>

#include "support/world.h"

#define METADATA_BYTES (512 * KIB)
#define NR_BLOCKS 8u
#define DATA_BYTES (NR_BLOCKS * WORLD_BLOCK)
#define THIN_BYTES (1024 * WORLD_BLOCK)

static struct world w;

/* A pool of eight blocks; the first of them is mapped. */
static void begin(int kind)
{
	struct tp_thin *thin;

	world_make_sized(&w, kind, METADATA_BYTES, DATA_BYTES, NULL);
	w.options.flags |= TP_POOL_ERROR_IF_NO_SPACE;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	world_close(&w);
}

/*---------------------------- smaller --------------------------------------*/

static void refuse_to_open(void)
{
	struct tp_pool *pool = NULL;

	io_log_clear(&w.log);
	for (unsigned i = 0; i < 2; i++) {
		struct tp_pool_options options = w.options;
		int r;

		options.flags |= i ? TP_POOL_READ_ONLY : 0;
		r = tp_pool_open(w.metadata.device, w.data.device, &options,
				 &pool);
		if (w.metadata.size_bytes < 4096)
			ck_assert_int_eq(r, -EILSEQ);
		else
			ck_assert_int_eq(r, -EINVAL);
		ck_assert_ptr_null(pool);
	}
	for (unsigned i = 0; i < io_log_nr(&w.log); i++)
		ck_assert_int_eq(io_log_get(&w.log, i).op, TP_READ);
}

static void try_all_smaller(struct observer *device, unsigned step)
{
	uint64_t size = device->size_bytes;

	for (uint64_t less = step; less <= size; less += step) {
		device->size_bytes = size - less;
		refuse_to_open();
		device->size_bytes = size - less + step - 512;
		refuse_to_open();
	}
	device->size_bytes = size;
}

/* F-33, B-BAD-13, B-BAD-14, RSZ-01. */
START_TEST(test_no_smaller_device_is_opened_or_touched)
{
	char *metadata, *data;

	begin(_i);
	metadata = snapshot_of(&w.metadata);
	data = snapshot_of(&w.data);
	try_all_smaller(&w.metadata, 4096);
	try_all_smaller(&w.data, WORLD_BLOCK);
	ck_assert(is_same(&w.metadata, metadata));
	ck_assert(is_same(&w.data, data));
	free(metadata);
	free(data);
	world_open(&w);
	world_end(&w);
}
END_TEST

/*---------------------------- larger ---------------------------------------*/

/* All of it, so that whatever is used is seen. */
static void fill(uint64_t nr_blocks)
{
	struct tp_thin *thin = world_open_thin(&w, 1, THIN_BYTES);
	char sector[512] = { 1 };

	for (uint64_t i = 0; i < nr_blocks; i++)
		ck_ok(tp_thin_write(thin, sector, 512, i * WORLD_BLOCK, 0));
	ck_assert_int_eq(tp_thin_write(thin, sector, 512,
				       nr_blocks * WORLD_BLOCK, 0),
			 -ENOSPC);
	ck_ok(tp_thin_close(thin));
}

static bool is_untouched(const struct observer *device, uint64_t begin)
{
	for (uint64_t at = begin; at < device->size_bytes; at++)
		if ((unsigned char)device->bytes[at] != 0xee)
			return false;

	return true;
}

static void expect_sizes(uint64_t metadata_blocks, uint64_t data_blocks)
{
	struct tp_pool_status status = world_status(&w);

	ck_assert_uint_eq(status.metadata_blocks, metadata_blocks);
	ck_assert_uint_eq(status.data_blocks, data_blocks);
}

static void grow(bool by_resume)
{
	if (by_resume) {
		ck_ok(tp_pool_suspend(w.pool));
		ck_ok(tp_pool_resume(w.pool, NULL));
	} else {
		ck_ok(tp_pool_grow_metadata(w.pool));
		ck_ok(tp_pool_grow_data(w.pool));
	}
}

/* @extra: sectors more on each device. */
static void use_larger(int kind, uint64_t extra, bool by_resume)
{
	uint64_t metadata_blocks = (METADATA_BYTES + extra * 512) / 4096;
	uint64_t data_blocks = (DATA_BYTES + extra * 512) / WORLD_BLOCK;

	begin(kind);
	observer_grow(&w.metadata, METADATA_BYTES + extra * 512);
	observer_grow(&w.data, DATA_BYTES + extra * 512);
	memset(w.metadata.bytes + METADATA_BYTES, 0xee, extra * 512);
	memset(w.data.bytes + DATA_BYTES, 0xee, extra * 512);
	world_open(&w);
	expect_sizes(METADATA_BYTES / 4096, NR_BLOCKS);
	fill(NR_BLOCKS);
	ck_ok(tp_pool_commit(w.pool));
	expect_sizes(METADATA_BYTES / 4096, NR_BLOCKS);
	ck_assert(is_untouched(&w.metadata, METADATA_BYTES));
	ck_assert(is_untouched(&w.data, DATA_BYTES));
	grow(by_resume);
	expect_sizes(metadata_blocks, data_blocks);
	fill(data_blocks);
	world_reopen(&w);
	expect_sizes(metadata_blocks, data_blocks);
	world_close(&w);
	ck_assert(is_untouched(&w.data, data_blocks * WORLD_BLOCK));
	if (extra % 40 == 1)
		world_check(&w);
	world_unmake(&w);
}

/* F-34, B-POOL-8, B-GROW-1, B-GROW-5, R-47. */
START_TEST(test_no_larger_device_is_used_before_the_pool_grows)
{
	for (uint64_t extra = 1; extra < 400; extra += 13)
		use_larger(_i, extra, extra % 2);
	use_larger(_i, 32 * MIB / 512, true);
}
END_TEST

int main(void)
{
	return RUN_TESTS("sizes", NR_KINDS,
			 test_no_smaller_device_is_opened_or_touched,
			 test_no_larger_device_is_used_before_the_pool_grows);
}
