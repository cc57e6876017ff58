/*
 * What is left of a pool can be read: whoever opens it read-only needs none of
 * the blocks that count others (metadata-format.md, 12; F-21).
 */
#include <stdlib.h>

#include "support/metadata-image.h"
#include "support/world.h"

#define THIN_BYTES (4 * MIB)

static struct world w;
static char *before;
static struct tp_pool_status status_before;

static const enum image_role roles[] = {
	IMAGE_METADATA_INDEX, IMAGE_METADATA_BITMAP, IMAGE_METADATA_OVERFLOW,
	IMAGE_DATA_INDEX,     IMAGE_DATA_BITMAP,     IMAGE_DATA_OVERFLOW,
};
#define NR_ROLES (sizeof(roles) / sizeof(roles[0]))

/* A thin and a snapshot of it, each with blocks of its own. */
static void begin(int kind)
{
	struct tp_thin *thin, *snapshot;

	world_begin(&w, kind);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, MIB, 1);
	snapshot = world_snapshot(&w, 2, 1, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 2);
	thin_fill(snapshot, MIB, WORLD_BLOCK, 3);
	ck_ok(tp_thin_close(snapshot));
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_commit(w.pool));
	status_before = world_status(&w);
	world_close(&w);
	before = snapshot_of(&w.metadata);
}

static void end(void)
{
	free(before);
	world_unmake(&w);
}

static uint64_t place_of(enum image_role role)
{
	struct image image;
	uint64_t place;

	image_survey(&image, before, w.metadata.size_bytes);
	place = image.blocks[image_find(&image, role, 0)].number * 4096;
	image_exit(&image);

	return place;
}

/*---------------------------- what is wrong with it ------------------------*/

static void flip_a_bit(uint64_t place)
{
	w.metadata.bytes[place + 1000] ^= 1;
}

static void wipe(uint64_t place)
{
	memset(w.metadata.bytes + place, 0, 4096);
}

static void make_unreadable(uint64_t place)
{
	observer_fail_range(&w.metadata, OPS(TP_READ), 0, 0, -EIO, place,
			    place + 4096);
}

static void (*const wrongs[])(uint64_t place) = { flip_a_bit, wipe,
						  make_unreadable };
#define NR_WRONGS (sizeof(wrongs) / sizeof(wrongs[0]))

/*---------------------------- what is left ---------------------------------*/

static void expect_volumes(void)
{
	struct tp_thin *thin = world_open_thin(&w, 1, THIN_BYTES);
	struct tp_thin *snapshot = world_open_thin(&w, 2, THIN_BYTES);

	thin_verify(thin, 0, WORLD_BLOCK, 2);
	thin_verify(thin, WORLD_BLOCK, MIB - WORLD_BLOCK, 1);
	thin_verify_zero(thin, MIB, THIN_BYTES - MIB);
	thin_verify(snapshot, 0, MIB, 1);
	thin_verify(snapshot, MIB, WORLD_BLOCK, 3);
	ck_ok(tp_thin_close(snapshot));
	ck_ok(tp_thin_close(thin));
}

static void expect_figures(void)
{
	struct tp_pool_status status = world_status(&w);

	ck_assert_int_eq(status.mode, TP_MODE_READ_ONLY);
	ck_assert_uint_eq(status.data_blocks, status_before.data_blocks);
	ck_assert_uint_eq(status.used_data_blocks,
			  status_before.used_data_blocks);
	ck_assert_uint_eq(status.metadata_blocks,
			  status_before.metadata_blocks);
	ck_assert_uint_eq(status.nr_thins, status_before.nr_thins);
}

static void expect_no_write(void)
{
	for (unsigned i = 0; i < io_log_nr(&w.log); i++)
		ck_assert_int_eq(io_log_get(&w.log, i).op, TP_READ);
}

static void rescue(void)
{
	io_log_clear(&w.log);
	w.options.flags |= TP_POOL_READ_ONLY;
	world_open(&w);
	expect_figures();
	expect_volumes();
	world_close(&w);
	expect_no_write();
	w.options.flags &= ~(unsigned)TP_POOL_READ_ONLY;
}

START_TEST(test_a_pool_with_damaged_space_maps_can_be_read)
{
	begin(_i);
	for (unsigned i = 0; i < NR_ROLES * NR_WRONGS; i++) {
		wrongs[i % NR_WRONGS](place_of(roles[i / NR_WRONGS]));
		rescue();
		observer_heal(&w.metadata);
		memcpy(w.metadata.bytes, before, w.metadata.size_bytes);
	}
	end();
}
END_TEST

/* Who would allocate by them does not get that far (F-13, F-21). */
START_TEST(test_it_is_not_written)
{
	begin(_i);
	for (unsigned i = 0; i < NR_WRONGS; i++) {
		struct tp_pool *pool;

		wrongs[i](place_of(IMAGE_METADATA_BITMAP));
		io_log_clear(&w.log);
		ck_assert_int_eq(tp_pool_open(w.metadata.device, w.data.device,
					      &w.options, &pool),
				 wrongs[i] == make_unreadable ? -EIO : -EILSEQ);
		expect_no_write();
		observer_heal(&w.metadata);
		memcpy(w.metadata.bytes, before, w.metadata.size_bytes);
	}
	end();
}
END_TEST

int main(void)
{
	return RUN_TESTS("rescue", NR_KINDS,
			 test_a_pool_with_damaged_space_maps_can_be_read,
			 test_it_is_not_written);
}
