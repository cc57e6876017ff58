/*
 * Bad input of every kind: refused with the documented error and a sentence,
 * before any device is written, and everything goes on as if nothing had been
 * asked (section 6 of the rules).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/scratch.h"
#include "support/world.h"

#define THIN_BYTES (4 * MIB)

static struct world w;
static char block[2 * WORLD_BLOCK];
static char *metadata_before, *data_before;

/* A sentence that is not the one of an earlier call. */
static void spoil_last_error(void)
{
	struct tp_device *device;

	ck_assert_int_eq(tp_device_open_memory(1, &device), -EINVAL);
}

static bool is_explained(void)
{
	char said[512];

	snprintf(said, sizeof(said), "%s", tp_last_error());
	spoil_last_error();

	return said[0] && strcmp(said, tp_last_error());
}

#define refused(call, error)                                                   \
	do {                                                                   \
		spoil_last_error();                                            \
		ck_assert_int_eq(call, error);                                 \
		ck_assert_msg(is_explained(), "no sentence for " #call);       \
	} while (0)

/*---------------------------- nothing is touched ---------------------------*/

static void keep_content(void)
{
	metadata_before = snapshot_of(&w.metadata);
	data_before = snapshot_of(&w.data);
	io_log_clear(&w.log);
}

static void check_untouched(void)
{
	ck_assert(is_same(&w.metadata, metadata_before));
	ck_assert(is_same(&w.data, data_before));
	for (unsigned i = 0; i < io_log_nr(&w.log); i++)
		ck_assert_int_eq(io_log_get(&w.log, i).op, TP_READ);
	free(metadata_before);
	free(data_before);
}

static int try_open(unsigned flags)
{
	struct tp_pool_options options = w.options;
	struct tp_pool *pool = (void *)block;
	int r;

	options.flags |= flags;
	r = tp_pool_open(w.metadata.device, w.data.device, &options, &pool);
	if (r)
		ck_assert_ptr_eq(pool, (void *)block);
	else
		ck_ok(tp_pool_close(pool));

	return r;
}

/*---------------------------- format ---------------------------------------*/

static int try_format(uint32_t data_block_size, unsigned flags)
{
	struct tp_format_options options = TP_FORMAT_OPTIONS_INIT;

	options.data_block_size = data_block_size;
	options.flags = flags;

	return tp_pool_format(w.metadata.device, w.data.device, &options);
}

/* B-BAD-3, CRE-06, CRE-07, CRE-08. */
START_TEST(test_block_sizes_that_do_not_exist_are_refused)
{
	static const uint32_t sizes[] = {
		1,
		512,
		64 * 512,
		64 * KIB - 512,
		64 * KIB + 512,
		185 * 512,
		96 * KIB,
		1024 * MIB + 64 * KIB,
		UINT32_MAX,
	};

	world_make(&w, _i);
	keep_content();
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		refused(try_format(sizes[i], 0), -EINVAL);
	refused(try_format(0, 1u << 31), -EINVAL);
	check_untouched();
	world_unmake(&w);
}
END_TEST

START_TEST(test_format_without_its_arguments_is_refused)
{
	struct tp_format_options options = { .struct_size = 0 };

	world_make(&w, _i);
	keep_content();
	refused(tp_pool_format(NULL, w.data.device, NULL), -EINVAL);
	refused(tp_pool_format(w.metadata.device, NULL, NULL), -EINVAL);
	refused(tp_pool_format(w.metadata.device, w.data.device, &options),
		-EINVAL);
	check_untouched();
	world_unmake(&w);
}
END_TEST

/* CRE-11. */
START_TEST(test_a_metadata_device_that_is_too_small_is_refused)
{
	for (uint64_t size = 512; size <= 16 * KIB; size *= 2) {
		world_make_sized(&w, _i, size, 16 * MIB, NULL);
		keep_content();
		refused(try_format(0, 0), -EINVAL);
		check_untouched();
		world_unmake(&w);
	}
}
END_TEST

/* B-POOL-5: never over what is not all zero, unasked. */
START_TEST(test_what_is_not_all_zero_is_not_formatted_over)
{
	world_make(&w, _i);
	w.metadata.bytes[4095] = 1;
	keep_content();
	refused(try_format(0, 0), -EEXIST);
	check_untouched();
	ck_ok(try_format(0, TP_FORMAT_OVERWRITE));
	refused(try_format(0, 0), -EEXIST);
	world_check(&w);
	world_unmake(&w);
}
END_TEST

START_TEST(test_a_device_in_use_is_not_formatted)
{
	world_begin(&w, _i);
	keep_content();
	refused(try_format(0, TP_FORMAT_OVERWRITE), -EBUSY);
	check_untouched();
	world_end(&w);
}
END_TEST

/*---------------------------- open: options --------------------------------*/

static uint64_t stand_still(void *context)
{
	return 1;
}

static void wait_for_nothing(void *context, uint64_t until_ns)
{
}

/* B-BAD-1, B-BAD-4, B-BAD-5, B-POOL-4: a device that is missing, too. */
START_TEST(test_options_out_of_range_are_refused)
{
	struct tp_pool_options options;
	struct tp_pool *pool = NULL;

	world_make(&w, _i);
	world_format(&w);
	keep_content();
	for (unsigned bit = 8; bit < 32; bit++)
		refused(try_open(1u << bit), -EINVAL);
	options = w.options;
	options.struct_size = 0;
	refused(tp_pool_open(w.metadata.device, w.data.device, &options, &pool),
		-EINVAL);
	options = w.options;
	options.data_block_size = 128 * KIB;
	refused(tp_pool_open(w.metadata.device, w.data.device, &options, &pool),
		-EINVAL);
	options.data_block_size = 1;
	refused(tp_pool_open(w.metadata.device, w.data.device, &options, &pool),
		-EINVAL);
	options = w.options;
	options.clock_wait = wait_for_nothing;
	options.clock_ns = NULL;
	refused(tp_pool_open(w.metadata.device, w.data.device, &options, &pool),
		-EINVAL);
	options.clock_ns = stand_still;
	options.flags &= ~TP_POOL_HOST_DRIVEN;
	refused(tp_pool_open(w.metadata.device, w.data.device, &options, &pool),
		-EINVAL);
	refused(tp_pool_open(NULL, w.data.device, &w.options, &pool), -EINVAL);
	refused(tp_pool_open(w.metadata.device, NULL, &w.options, &pool),
		-EINVAL);
	refused(tp_pool_open(w.metadata.device, w.data.device, &w.options,
			     NULL),
		-EINVAL);
	ck_assert_ptr_null(pool);
	check_untouched();
	options = w.options;
	options.data_block_size = WORLD_BLOCK;
	ck_ok(tp_pool_open(w.metadata.device, w.data.device, &options, &pool));
	ck_ok(tp_pool_close(pool));
	world_unmake(&w);
}
END_TEST

/* api.md: a host of an older minor version hands in a shorter struct. */
START_TEST(test_a_shorter_struct_is_taken_with_zeroes_for_the_rest)
{
	struct tp_pool_options options;
	struct tp_pool *pool;

	world_make(&w, _i);
	world_format(&w);
	options = w.options;
	options.data_block_size = 12345; /* beyond what it says it has */
	options.struct_size = offsetof(struct tp_pool_options, data_block_size);
	ck_ok(tp_pool_open(w.metadata.device, w.data.device, &options, &pool));
	ck_ok(tp_pool_close(pool));
	world_unmake(&w);
}
END_TEST

/*---------------------------- open: what is on the device ------------------*/

static uint32_t crc32c(const unsigned char *bytes, size_t length)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}

	return crc;
}

/* metadata-format 1: the superblock's checksum. */
static void seal_superblock(void)
{
	uint32_t sum = crc32c((unsigned char *)w.metadata.bytes + 4, 4092) ^
		       160774;

	memcpy(w.metadata.bytes, &sum, 4);
}

static void put32(unsigned offset, uint32_t value)
{
	memcpy(w.metadata.bytes + offset, &value, 4);
}

enum {
	BLOCK_NUMBER = 8,
	MAGIC = 32,
	VERSION = 40,
	MAPPING_ROOT = 320,
	DATA_BLOCK_SIZE = 336,
	METADATA_BLOCK_SIZE = 340,
	COMPAT_RO = 356,
	INCOMPAT = 360
};

struct bad_superblock {
	unsigned offset;
	uint32_t value;
	bool sealed;
	int error, error_read_only;
};

/* B-BAD-11, B-BAD-12, RDO-08, F-22, R-78. */
static const struct bad_superblock bad_superblocks[] = {
	{ BLOCK_NUMBER, 1, true, -ENOTBLK, -ENOTBLK },
	{ MAGIC, 1, true, -EILSEQ, -EILSEQ },
	{ MAGIC, 1, false, -EILSEQ, -EILSEQ },
	{ VERSION, 99, false, -EILSEQ, -EILSEQ },
	{ VERSION, 99, true, -EINVAL, -EINVAL },
	{ MAPPING_ROOT, 0xffffff, true, -EILSEQ, -EILSEQ },
	{ DATA_BLOCK_SIZE, 64, true, -EINVAL, -EINVAL },
	{ DATA_BLOCK_SIZE, 0, true, -EINVAL, -EINVAL },
	{ METADATA_BLOCK_SIZE, 16, true, -EINVAL, -EINVAL },
	{ INCOMPAT, 1, true, -EINVAL, -EINVAL },
	{ INCOMPAT, 1u << 31, true, -EINVAL, -EINVAL },
	{ COMPAT_RO, 1, true, -EINVAL, 0 },
};

START_TEST(test_a_superblock_that_is_not_ours_is_refused)
{
	for (unsigned i = 0;
	     i < sizeof(bad_superblocks) / sizeof(bad_superblocks[0]); i++) {
		const struct bad_superblock *bad = &bad_superblocks[i];

		world_make(&w, _i);
		world_format(&w);
		put32(bad->offset, bad->value);
		if (bad->sealed)
			seal_superblock();
		keep_content();
		refused(try_open(0), bad->error);
		if (bad->error_read_only)
			refused(try_open(TP_POOL_READ_ONLY),
				bad->error_read_only);
		else
			ck_ok(try_open(TP_POOL_READ_ONLY));
		check_untouched();
		world_unmake(&w);
	}
}
END_TEST

/* B-POOL-5, B-BAD-10; a file that is no pool. */
START_TEST(test_a_device_without_a_pool_is_refused)
{
	world_make(&w, _i);
	keep_content();
	refused(try_open(0), -EILSEQ);
	refused(try_open(TP_POOL_READ_ONLY), -EPERM);
	check_untouched();

	/* Noise: its block number is wrong before all else is. */
	fill_pattern(w.metadata.bytes, 64 * KIB, 0, 1);
	keep_content();
	refused(try_open(TP_POOL_READ_ONLY), -ENOTBLK);
	refused(try_open(0), -ENOTBLK);
	check_untouched();
	memset(w.metadata.bytes, 0, 4096);
	w.metadata.bytes[100] = 1;
	keep_content();
	refused(try_open(0), -EILSEQ);
	refused(try_open(TP_POOL_READ_ONLY), -EILSEQ);
	check_untouched();
	world_unmake(&w);
}
END_TEST

/* A flipped bit anywhere in the live part of the superblock (F-22). */
START_TEST(test_a_flipped_bit_in_the_superblock_is_refused)
{
	world_make(&w, _i);
	world_format(&w);
	for (unsigned bit = 0; bit < 364 * 8; bit += 13) {
		int r;

		w.metadata.bytes[bit / 8] ^= (char)(1 << bit % 8);
		r = try_open(0);
		ck_assert_msg(r == -EILSEQ || r == -ENOTBLK, "bit %u: %d", bit,
			      r);
		w.metadata.bytes[bit / 8] ^= (char)(1 << bit % 8);
	}
	ck_ok(try_open(0));
	world_unmake(&w);
}
END_TEST

/* B-BAD-13, B-BAD-14, F-33, RSZ-01. */
START_TEST(test_devices_smaller_than_recorded_are_refused)
{
	world_make(&w, _i);
	world_format(&w);
	for (unsigned i = 0; i < 2; i++) {
		struct observer *device = i ? &w.metadata : &w.data;
		uint64_t size = device->size_bytes;

		keep_content();
		device->size_bytes = size - (i ? 4096 : WORLD_BLOCK);
		refused(try_open(0), -EINVAL);
		refused(try_open(TP_POOL_READ_ONLY), -EINVAL);
		device->size_bytes = 0;
		ck_assert_int_ne(try_open(0), 0);
		ck_assert(is_explained());
		device->size_bytes = 512;
		ck_assert_int_ne(try_open(0), 0);
		ck_assert(is_explained());
		device->size_bytes = size;
		check_untouched();
	}
	ck_ok(try_open(0));
	world_unmake(&w);
}
END_TEST

/* F-13. */
START_TEST(test_a_superblock_that_cannot_be_read_is_an_io_error)
{
	world_make(&w, _i);
	world_format(&w);
	keep_content();
	observer_fail(&w.metadata, OPS(TP_READ), 0, 0, -EIO);
	refused(try_open(0), -EIO);
	refused(try_open(TP_POOL_READ_ONLY), -EIO);
	observer_heal(&w.metadata);
	check_untouched();
	ck_ok(try_open(0));
	world_unmake(&w);
}
END_TEST

/* B-BAD-6, B-BAD-7, F-32; and the claims are gone with the failed open. */
START_TEST(test_devices_in_use_are_busy)
{
	world_begin(&w, _i);
	keep_content();
	refused(try_open(0), -EBUSY);
	refused(try_open(TP_POOL_READ_ONLY), -EBUSY);
	check_untouched();
	world_close(&w);
	ck_ok(try_open(0));
	world_unmake(&w);
}
END_TEST

/* B-BAD-25, RDO-06. */
START_TEST(test_a_read_only_device_does_for_a_read_only_pool_only)
{
	struct tp_device_limits limits = TP_DEVICE_LIMITS_INIT;

	limits.features = TP_DEVICE_READ_ONLY;
	world_make_sized(&w, _i, 2 * MIB, 16 * MIB, &limits);
	refused(try_format(0, 0), -EROFS);
	world_unmake(&w);

	world_begin(&w, _i);
	world_close(&w);
	for (unsigned i = 0; i < 2; i++) {
		struct observer *device = i ? &w.metadata : &w.data;
		struct observer twin;
		struct tp_pool *pool;
		struct tp_pool_options options = w.options;
		struct tp_device *two[2] = { w.metadata.device, w.data.device };

		observer_init(&twin, &w.log, "twin", device->size_bytes, 0,
			      &limits);
		memcpy(twin.bytes, device->bytes, device->size_bytes);
		two[i ? 0 : 1] = twin.device;
		refused(tp_pool_open(two[0], two[1], &options, &pool), -EROFS);
		options.flags |= TP_POOL_READ_ONLY;
		ck_ok(tp_pool_open(two[0], two[1], &options, &pool));
		ck_ok(tp_pool_close(pool));
		ck_assert_uint_eq(twin.nr_begun[TP_WRITE], 0);
		observer_exit(&twin);
	}
	world_unmake(&w);
}
END_TEST

/*---------------------------- files ----------------------------------------*/

/* Text, an empty file, a short one, a directory, none, one that may not be
 * read (TOL-06). */
START_TEST(test_files_that_are_no_pool_are_refused)
{
	char metadata[SCRATCH_PATH_BYTES], data[SCRATCH_PATH_BYTES];
	struct tp_device *m, *d;
	struct tp_pool *pool;
	FILE *file;

	scratch_file(metadata, 2 * MIB);
	scratch_file(data, 16 * MIB);
	refused(tp_device_open_file("/nonexistent/metadata", NULL, &m),
		-ENOENT);
	refused(tp_device_open_file("/tmp", NULL, &m), -EINVAL);
	refused(tp_device_open_file("/dev/null", NULL, &m), -EINVAL);
	refused(tp_device_open_file(NULL, NULL, &m), -EINVAL);
	refused(tp_device_open_file(metadata, NULL, NULL), -EINVAL);
	if (geteuid()) {
		ck_ok(chmod(metadata, 0));
		refused(tp_device_open_file(metadata, NULL, &m), -EACCES);
		ck_ok(chmod(metadata, 0600));
	}
	ck_ok(tp_device_open_file(data, NULL, &d));

	file = fopen(metadata, "w");
	for (unsigned i = 0; i < 4000; i++)
		fprintf(file, "This is a letter and no pool.\n");
	fclose(file);
	for (unsigned i = 0; i < 3; i++) {
		ck_ok(tp_device_open_file(metadata, NULL, &m));
		ck_assert_int_ne(tp_pool_open(m, d, NULL, &pool), 0);
		ck_assert(is_explained());
		tp_device_unref(m);
		ck_ok(truncate(metadata, i ? 0 : 1024));
	}

	/* A pool that was cut short. */
	ck_ok(truncate(metadata, 2 * MIB));
	ck_ok(tp_device_open_file(metadata, NULL, &m));
	ck_ok(tp_pool_format(m, d, NULL));
	ck_ok(truncate(metadata, MIB));
	refused(tp_pool_open(m, d, NULL, &pool), -EINVAL);
	ck_ok(truncate(metadata, 2 * MIB));
	ck_ok(truncate(data, 15 * MIB));
	refused(tp_pool_open(m, d, NULL, &pool), -EINVAL);
	ck_ok(truncate(data, 16 * MIB));
	ck_ok(tp_pool_open(m, d, NULL, &pool));
	ck_ok(tp_pool_close(pool));
	tp_device_unref(m);
	tp_device_unref(d);
	unlink(metadata);
	unlink(data);
}
END_TEST

/*---------------------------- ids ------------------------------------------*/

/* B-BAD-17, -18, -20, -21, -22, CRE-10, CRE-14, DEL-05, DEL-06, SNP-13, R-81,
 * MSN-02, TXN-03. */
START_TEST(test_ids_and_numbers_that_do_not_fit_are_refused)
{
	static const uint32_t too_large[] = { TP_THIN_ID_END,
					      TP_THIN_ID_END + 1, UINT32_MAX };
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_snapshot_pair pairs[] = { { 7, 1 }, { 7, 1 } };
	struct tp_thin *thin, *other = NULL;

	world_begin(&w, _i);
	refused(tp_pool_delete_thin(w.pool, 0), -ENODATA);
	refused(tp_pool_release_metadata_snapshot(w.pool), -EINVAL);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_pool_commit(w.pool));
	keep_content();
	options.size = THIN_BYTES;
	for (unsigned i = 0; i < 3; i++) {
		uint32_t id = too_large[i];

		refused(tp_pool_create_thin(w.pool, id), -EINVAL);
		refused(tp_pool_create_snapshot(w.pool, id, 1), -EINVAL);
		ck_assert_int_ne(tp_pool_create_snapshot(w.pool, 2, id), 0);
		ck_assert_int_ne(tp_pool_delete_thin(w.pool, id), 0);
		refused(tp_thin_open(w.pool, id, &options, &other), -EINVAL);
	}
	refused(tp_pool_create_thin(w.pool, 1), -EEXIST);
	refused(tp_pool_create_snapshot(w.pool, 2, 9), -ENODATA);
	refused(tp_pool_create_snapshot(w.pool, 1, 1), -EINVAL);
	refused(tp_pool_create_snapshots(w.pool, pairs, 2), -EEXIST);
	pairs[1] = (struct tp_snapshot_pair){ 8, 9 };
	refused(tp_pool_create_snapshots(w.pool, pairs, 2), -ENODATA);
	refused(tp_pool_create_snapshots(w.pool, NULL, 2), -EINVAL);
	refused(tp_pool_delete_thin(w.pool, 1), -EBUSY);
	refused(tp_pool_delete_thin(w.pool, 5), -ENODATA);
	refused(tp_thin_open(w.pool, 5, &options, &other), -ENODATA);
	refused(tp_pool_set_transaction_id(w.pool, 1, 2), -EINVAL);
	ck_assert_ptr_null(other);
	check_untouched();
	ck_assert_uint_eq(world_status(&w).nr_thins, 1);
	ck_assert_uint_eq(world_status(&w).transaction_id, 0);
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	refused(tp_pool_reserve_metadata_snapshot(w.pool), -EBUSY);
	ck_ok(tp_pool_release_metadata_snapshot(w.pool));
	refused(tp_pool_release_metadata_snapshot(w.pool), -EINVAL);
	thin_verify(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* 1.7: sizes of thins. */
START_TEST(test_thin_options_out_of_range_are_refused)
{
	static const uint64_t sizes[] = {
		0, 1, 511, 513, (uint64_t)1 << 63, UINT64_MAX
	};
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin = NULL;

	world_begin(&w, _i);
	ck_ok(tp_pool_create_thin(w.pool, 0));
	keep_content();
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		options.size = sizes[i];
		refused(tp_thin_open(w.pool, 0, &options, &thin), -EINVAL);
	}
	options.size = THIN_BYTES;
	for (unsigned bit = 2; bit < 32; bit++) {
		options.flags = 1u << bit;
		refused(tp_thin_open(w.pool, 0, &options, &thin), -EINVAL);
	}
	options.flags = 0;
	refused(tp_thin_open(w.pool, 0, NULL, &thin), -EINVAL);
	refused(tp_thin_open(NULL, 0, &options, &thin), -EINVAL);
	refused(tp_thin_open(w.pool, 0, &options, NULL), -EINVAL);
	options.struct_size = 0;
	refused(tp_thin_open(w.pool, 0, &options, &thin), -EINVAL);
	ck_assert_ptr_null(thin);
	check_untouched();
	options.struct_size = sizeof(options);
	options.size = ((uint64_t)1 << 63) - 512;
	ck_ok(tp_thin_open(w.pool, 0, &options, &thin));
	ck_ok(tp_thin_read(thin, block, 512, options.size - 512));
	ck_ok(tp_thin_write(thin, block, 512, options.size - 512, 0));
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/*---------------------------- bios -----------------------------------------*/

struct bad_bio {
	enum tp_op op;
	unsigned flags;
	uint64_t offset, length;
};

/* B-REQ-7, B-REQ-8, OOS-02, DSC-14, FST-12. */
static const struct bad_bio bad_bios[] = {
	{ TP_READ, 0, 1, 512 },
	{ TP_READ, 0, 0, 511 },
	{ TP_READ, 0, THIN_BYTES, 512 },
	{ TP_READ, 0, THIN_BYTES - 512, 1024 },
	{ TP_READ, 0, UINT64_MAX - 511, 512 },
	{ TP_READ, 0, UINT64_MAX - 511, 1024 },
	{ TP_READ, TP_FUA, 0, 512 },
	{ TP_READ, TP_NO_UNMAP, 0, 512 },
	{ TP_WRITE, 0, 256, 512 },
	{ TP_WRITE, 0, 0, 513 },
	{ TP_WRITE, 0, THIN_BYTES, 512 },
	{ TP_WRITE, 0, THIN_BYTES - 512, 1024 },
	{ TP_WRITE, TP_NO_UNMAP, 0, 512 },
	{ TP_WRITE, 1u << 31, 0, 512 },
	{ TP_DISCARD, 0, 0, 2 * THIN_BYTES },
	{ TP_DISCARD, 0, 1, 512 },
	{ TP_DISCARD, 0, 0, UINT64_MAX - 511 },
	{ TP_DISCARD, 0, 512, UINT64_MAX - 511 },
	{ TP_DISCARD, TP_NO_UNMAP, 0, 512 },
	{ TP_WRITE_ZEROES, 0, 0, THIN_BYTES + 512 },
	{ TP_WRITE_ZEROES, 0, 100, 512 },
	{ TP_WRITE_ZEROES, 1u << 30, 0, 512 },
	{ TP_FLUSH, TP_NO_UNMAP, 0, 0 },
	{ TP_COPY, 0, 0, 512 },
	{ (enum tp_op)(TP_COPY + 1), 0, 0, 512 },
	{ (enum tp_op) - 1, 0, 0, 512 },
};

START_TEST(test_bios_that_make_no_sense_are_refused_at_submit)
{
	struct tp_thin *thin;
	struct tp_queue *queue;
	struct io io;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_thin_flush(thin));
	ck_ok(tp_queue_create(w.pool, 4, &queue));
	keep_content();
	for (unsigned i = 0; i < sizeof(bad_bios) / sizeof(bad_bios[0]); i++) {
		const struct bad_bio *bad = &bad_bios[i];
		int r;

		io_init(&io, bad->op, block, bad->offset, bad->length,
			bad->flags);
		spoil_last_error();
		r = tp_queue_submit(queue, thin, &io.bio);
		ck_assert_msg(r == -EINVAL, "bio %u: %d", i, r);
		ck_assert_msg(is_explained(), "bio %u", i);
	}
	io_init(&io, TP_READ, block, 0, 512, 0);
	refused(tp_queue_submit(NULL, thin, &io.bio), -EINVAL);
	refused(tp_queue_submit(queue, NULL, &io.bio), -EINVAL);
	refused(tp_queue_submit(queue, thin, NULL), -EINVAL);
	io.bio.end_io = NULL;
	refused(tp_queue_submit(queue, thin, &io.bio), -EINVAL);
	io_init(&io, TP_READ, block, 0, 512, 0);
	io.bio.iov = NULL;
	refused(tp_queue_submit(queue, thin, &io.bio), -EINVAL);
	io_init(&io, TP_READ, block, 0, 512, 0);
	io.bio.iovcnt = -1;
	refused(tp_queue_submit(queue, thin, &io.bio), -EINVAL);
	ck_assert_int_eq(tp_queue_poll(queue, 0), 0);
	ck_assert_uint_eq(io.nr_ended, 0);
	check_untouched();
	tp_queue_destroy(queue);
	thin_verify(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* Reading past the end, by the blocking calls too. */
START_TEST(test_blocking_calls_refuse_what_submit_refuses)
{
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	keep_content();
	refused(tp_thin_read(thin, block, 512, THIN_BYTES), -EINVAL);
	refused(tp_thin_read(thin, block, 100, 0), -EINVAL);
	refused(tp_thin_write(thin, block, 1024, THIN_BYTES - 512, 0), -EINVAL);
	refused(tp_thin_write(thin, block, 512, 0, 1u << 20), -EINVAL);
	refused(tp_thin_discard(thin, 0, THIN_BYTES + 512), -EINVAL);
	refused(tp_thin_write_zeroes(thin, THIN_BYTES, 512, 0), -EINVAL);
	refused(tp_thin_read(NULL, block, 512, 0), -EINVAL);
	refused(tp_thin_flush(NULL), -EINVAL);
	refused(tp_thin_each_extent(thin, 0, THIN_BYTES + 512, NULL, NULL),
		-EINVAL);
	check_untouched();
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* RDO-07. */
START_TEST(test_a_read_only_handle_refuses_what_writes)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin, *snapshot;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(thin));
	options.size = THIN_BYTES;
	options.flags = TP_THIN_READ_ONLY;
	ck_ok(tp_thin_open(w.pool, 0, &options, &thin));
	refused(tp_thin_write(thin, block, 512, 0, 0), -EROFS);
	refused(tp_thin_write(thin, block, 512, 0, TP_FUA), -EROFS);
	refused(tp_thin_discard(thin, 0, WORLD_BLOCK), -EROFS);
	refused(tp_thin_write_zeroes(thin, 0, 512, 0), -EROFS);
	ck_ok(tp_thin_flush(thin));
	thin_verify(thin, 0, WORLD_BLOCK, 1);
	snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	thin_fill(snapshot, 0, WORLD_BLOCK, 2);
	thin_verify(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_thin_close(snapshot));
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* B-DISC-13, DSC-02, R-34. */
START_TEST(test_a_pool_that_ignores_discards_refuses_them)
{
	struct tp_thin_limits limits = TP_THIN_LIMITS_INIT;
	struct tp_thin *thin;

	world_make(&w, _i);
	w.options.flags |= TP_POOL_IGNORE_DISCARD;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	refused(tp_thin_discard(thin, 0, WORLD_BLOCK), -EOPNOTSUPP);
	ck_ok(tp_thin_get_limits(thin, &limits));
	ck_assert_uint_eq(limits.discard_granularity_bytes, 0);
	ck_assert_uint_eq(limits.discard_max_bytes, 0);
	ck_assert(world_status(&w).ignore_discard);
	thin_verify(thin, 0, WORLD_BLOCK, 1);
	ck_assert_uint_eq(world_used(&w), 1);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/*---------------------------- queues and the rest --------------------------*/

START_TEST(test_queues_and_status_calls_check_their_arguments)
{
	struct tp_pool_status status = { .struct_size = 0 };
	struct tp_thin_info info = { .struct_size = 0 };
	struct tp_thin_limits limits = { .struct_size = 0 };
	struct tp_queue *queue = NULL;
	struct tp_thin *thin;
	uint64_t deadline;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	keep_content();
	refused(tp_queue_create(w.pool, 0, &queue), -EINVAL);
	refused(tp_queue_create(w.pool, 65537, &queue), -EINVAL);
	refused(tp_queue_create(NULL, 1, &queue), -EINVAL);
	refused(tp_queue_create(w.pool, 1, NULL), -EINVAL);
	refused(tp_queue_poll(NULL, 0), -EINVAL);
	refused(tp_queue_wait(NULL, 1, 0), -EINVAL);
	refused(tp_pool_get_status(w.pool, &status), -EINVAL);
	refused(tp_pool_get_status(w.pool, NULL), -EINVAL);
	refused(tp_pool_get_status(NULL, &status), -EINVAL);
	refused(tp_thin_get_info(thin, &info), -EINVAL);
	refused(tp_thin_get_info(thin, NULL), -EINVAL);
	refused(tp_thin_get_limits(thin, &limits), -EINVAL);
	refused(tp_pool_create_thin(NULL, 1), -EINVAL);
	refused(tp_pool_delete_thin(NULL, 1), -EINVAL);
	refused(tp_pool_commit(NULL), -EINVAL);
	refused(tp_pool_list_thins(w.pool, NULL, NULL), -EINVAL);
	refused(tp_pool_resume(w.pool, NULL), -EINVAL);
	refused(tp_pool_resume(NULL, NULL), -EINVAL);
	refused(tp_pool_suspend(NULL), -EINVAL);
	refused(tp_pool_flush_data(NULL), -EINVAL);
	refused(tp_pool_set_pre_commit_hook(NULL, NULL, NULL), -EINVAL);
	refused(tp_pool_set_event_handler(NULL, NULL, NULL), -EINVAL);
	refused(tp_pool_next_deadline(w.pool, NULL), -EINVAL);
	if (_i == OWN_THREAD) {
		refused(tp_pool_poll(w.pool), -EINVAL);
		refused(tp_pool_fd(w.pool), -EINVAL);
		refused(tp_pool_next_deadline(w.pool, &deadline), -EINVAL);
	}
	check_untouched();
	ck_assert_ptr_null(queue);
	ck_ok(tp_pool_close(NULL));
	ck_ok(tp_thin_close(NULL));
	tp_queue_destroy(NULL);
	tp_device_unref(NULL);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* A thin of one pool, on a queue of another. */
START_TEST(test_a_thin_of_another_pool_is_refused)
{
	static struct world other;
	struct tp_queue *queue;
	struct tp_thin *thin;
	struct io io;

	world_begin(&w, _i);
	world_begin(&other, _i);
	thin = world_new_thin(&other, 0, THIN_BYTES);
	ck_ok(tp_queue_create(w.pool, 4, &queue));
	io_init(&io, TP_FLUSH, NULL, 0, 0, 0);
	refused(tp_queue_submit(queue, thin, &io.bio), -EINVAL);
	ck_assert_uint_eq(io.nr_ended, 0);
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
	world_end(&other);
	world_end(&w);
}
END_TEST

static _Atomic int close_result;

static void close_pool(void *context, const struct tp_event *event)
{
	close_result = tp_pool_close(w.pool);
}

/* B-EVT-3: it would wait for itself. */
START_TEST(test_an_event_handler_cannot_close_its_pool)
{
	struct tp_thin *thin;

	world_begin(&w, _i);
	close_result = 1;
	ck_ok(tp_pool_set_event_handler(w.pool, close_pool, NULL));
	thin = world_new_thin(&w, 0, THIN_BYTES);
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_resume(w.pool, NULL)); /* raises one: B-LWM-3 */
	world_until(&w, close_result != 1);
	ck_assert_int_eq(atomic_load(&close_result), -EDEADLK);
	ck_ok(tp_pool_set_event_handler(w.pool, NULL, NULL));
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

/* R-79, CRE-18, B-BAD-15: more metadata than the format can use is used in part. */
START_TEST(test_metadata_beyond_the_largest_is_left_alone)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	struct tp_device *metadata, *data;
	struct tp_pool *pool;

	ck_ok(tp_device_open_memory(20ull << 30, &metadata));
	ck_ok(tp_device_open_memory(16 * MIB, &data));
	ck_ok(tp_pool_format(metadata, data, NULL));
	if (_i == HOST_DRIVEN)
		options.flags = TP_POOL_HOST_DRIVEN;
	ck_ok(tp_pool_open(metadata, data, &options, &pool));
	ck_ok(tp_pool_create_thin(pool, 1));
	ck_ok(tp_pool_get_status(pool, &status));
	ck_assert_uint_eq(status.metadata_blocks, 255 * 16320);
	ck_ok(tp_pool_grow_metadata(pool));
	ck_ok(tp_pool_get_status(pool, &status));
	ck_assert_uint_eq(status.metadata_blocks, 255 * 16320);
	ck_ok(tp_pool_close(pool));
	tp_device_unref(metadata);
	tp_device_unref(data);
}
END_TEST

/* B-POOL-10: a pool with thins or queues stays, and works. */
START_TEST(test_a_pool_in_use_is_not_closed)
{
	struct tp_queue *queue;
	struct tp_thin *thin;

	world_begin(&w, _i);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	refused(tp_pool_close(w.pool), -EBUSY);
	thin_fill(thin, 0, WORLD_BLOCK, 1);
	ck_ok(tp_queue_create(w.pool, 4, &queue));
	ck_ok(tp_thin_close(thin));
	refused(tp_pool_close(w.pool), -EBUSY);
	tp_queue_destroy(queue);
	world_end(&w);
}
END_TEST

static unsigned nr_logged;

static void count_sentence(void *context, enum tp_log_level level,
			   const char *message)
{
	ck_assert_uint_gt(strlen(message), 0);
	ck_assert_ptr_null(strchr(message, '\n'));
	nr_logged++;
}

/* A host that listens to the log hears of what was refused. */
START_TEST(test_what_is_refused_is_logged)
{
	world_begin(&w, _i);
	tp_set_log(count_sentence, NULL, TP_LOG_DEBUG);
	nr_logged = 0;
	ck_assert_int_eq(tp_pool_create_thin(w.pool, TP_THIN_ID_END), -EINVAL);
	ck_assert_uint_gt(nr_logged, 0);
	tp_set_log(NULL, NULL, TP_LOG_ERROR);
	world_end(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"bad-input", NR_KINDS,
		test_block_sizes_that_do_not_exist_are_refused,
		test_format_without_its_arguments_is_refused,
		test_a_metadata_device_that_is_too_small_is_refused,
		test_what_is_not_all_zero_is_not_formatted_over,
		test_a_device_in_use_is_not_formatted,
		test_options_out_of_range_are_refused,
		test_a_shorter_struct_is_taken_with_zeroes_for_the_rest,
		test_a_superblock_that_is_not_ours_is_refused,
		test_a_device_without_a_pool_is_refused,
		test_a_flipped_bit_in_the_superblock_is_refused,
		test_devices_smaller_than_recorded_are_refused,
		test_a_superblock_that_cannot_be_read_is_an_io_error,
		test_devices_in_use_are_busy,
		test_a_read_only_device_does_for_a_read_only_pool_only,
		test_files_that_are_no_pool_are_refused,
		test_ids_and_numbers_that_do_not_fit_are_refused,
		test_thin_options_out_of_range_are_refused,
		test_bios_that_make_no_sense_are_refused_at_submit,
		test_blocking_calls_refuse_what_submit_refuses,
		test_a_read_only_handle_refuses_what_writes,
		test_a_pool_that_ignores_discards_refuses_them,
		test_queues_and_status_calls_check_their_arguments,
		test_a_pool_in_use_is_not_closed,
		test_what_is_refused_is_logged,
		test_a_thin_of_another_pool_is_refused,
		test_an_event_handler_cannot_close_its_pool,
		test_metadata_beyond_the_largest_is_left_alone);
}
