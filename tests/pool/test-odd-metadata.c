/*
 * Metadata that the library would never have written, with good checksums: times
 * and places that cannot be.  Nobody's block may be taken for somebody's own
 * because of them, and no write may go on for ever (13, F-23).  thin_restore
 * lets some of it be made by hand.
 */
#include "pool/metadata-internal.h"
#include "support/metadata-image.h"
#include "support/world.h"

#define THIN_BYTES (4 * MIB)
#define LATE 1000u

static struct world w;

/* A thin whose first blocks are mapped, and a snapshot of it; closed. */
static void setup(int kind)
{
	struct tp_thin *thin;

	world_begin(&w, kind);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, MIB, 1);
	ck_ok(tp_thin_close(world_snapshot(&w, 1, 0, THIN_BYTES)));
	ck_ok(tp_thin_close(thin));
	world_close(&w);
}

/* The first entry of the first block of its kind. */
static void *first_value(const struct image *image, enum image_role role)
{
	return tpi_node_values(image_data(image, image_find(image, role, 0)),
			       0);
}

static void set_snapshotted_time(uint32_t time)
{
	struct tpi_disk_details *details;
	struct image image;

	image_survey(&image, w.metadata.bytes, w.metadata.size_bytes);
	details = first_value(&image, IMAGE_DETAILS);
	details->snapshotted_time = le32_make(time);
	image_seal(&image, image_find(&image, IMAGE_DETAILS, 0));
	image_exit(&image);
}

static void set_mapping_times(uint32_t time)
{
	struct image image;
	le64 *mappings;

	image_survey(&image, w.metadata.bytes, w.metadata.size_bytes);
	mappings = first_value(&image, IMAGE_MAPPINGS);
	for (unsigned i = 0; i < MIB / WORLD_BLOCK; i++) {
		uint64_t dblock = tpi_mapping_dblock(le64_get(mappings[i]));

		mappings[i] = le64_make(tpi_mapping_make(dblock, time));
	}
	image_seal(&image, image_find(&image, IMAGE_MAPPINGS, 0));
	image_exit(&image);
}

static void check_both(struct tp_thin *thin, uint64_t seed)
{
	struct tp_thin *snapshot = world_open_thin(&w, 1, THIN_BYTES);

	thin_verify(thin, 0, MIB, seed);
	thin_verify(snapshot, 0, MIB, 1);
	ck_ok(tp_thin_close(snapshot));
}

/* Every mapping there can be is older than that snapshot: so each write would
 * copy, and look again, and copy. */
START_TEST(test_a_snapshot_later_than_the_clock_moves_the_clock)
{
	struct tp_thin *thin;

	setup(_i);
	set_snapshotted_time(LATE);
	world_open(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, MIB, 2);
	check_both(thin, 2);
	ck_assert_uint_eq(world_used(&w), 2 * MIB / WORLD_BLOCK);
	thin_fill(thin, 0, MIB, 3);
	ck_assert_uint_eq(world_used(&w), 2 * MIB / WORLD_BLOCK);
	ck_assert_uint_ge(world_status(&w).time, LATE);
	ck_ok(tp_thin_close(thin));
	world_reopen(&w);
	ck_assert_uint_ge(world_status(&w).time, LATE);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	check_both(thin, 3);
	ck_ok(tp_thin_close(thin));
	world_end(&w);
}
END_TEST

START_TEST(test_a_snapshot_later_than_any_clock_is_damage)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;

	setup(_i);
	set_snapshotted_time(1u << 24);
	world_open(&w);
	options.size = THIN_BYTES;
	ck_assert_int_eq(tp_thin_open(w.pool, 0, &options, &thin), -EILSEQ);
	ck_assert_int_eq(tp_pool_create_snapshot(w.pool, 2, 0), -EILSEQ);
	thin = world_open_thin(&w, 1, THIN_BYTES);
	thin_verify(thin, 0, MIB, 1);
	ck_ok(tp_thin_close(thin));
	world_end_unchecked(&w);
}
END_TEST

/* It would pass for younger than snapshots that are yet to be taken. */
START_TEST(test_a_mapping_later_than_the_clock_is_not_taken_for_unshared)
{
	struct tp_thin *thin, *snapshot;

	setup(_i);
	set_mapping_times(LATE);
	world_open(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, MIB, 2);
	check_both(thin, 2);
	snapshot = world_snapshot(&w, 2, 1, THIN_BYTES);
	thin_fill(snapshot, 0, MIB, 3);
	check_both(thin, 2);
	thin_verify(snapshot, 0, MIB, 3);
	ck_ok(tp_thin_close(snapshot));
	ck_ok(tp_thin_close(thin));
	world_end_unchecked(&w); /* what was not written stays odd */
}
END_TEST

/* The last entry of the first leaf of mappings, and the details' count. */
static void set_last_place(uint64_t vblock, uint64_t mapped_blocks)
{
	struct tpi_disk_details *details;
	struct tpi_node *leaf;
	struct image image;

	image_survey(&image, w.metadata.bytes, w.metadata.size_bytes);
	leaf = image_data(&image, image_find(&image, IMAGE_MAPPINGS, 0));
	tpi_node_set_key(leaf, tpi_node_nr(leaf) - 1, vblock);
	image_seal(&image, image_find(&image, IMAGE_MAPPINGS, 0));
	details = first_value(&image, IMAGE_DETAILS);
	details->mapped_blocks = le64_make(mapped_blocks);
	image_seal(&image, image_find(&image, IMAGE_DETAILS, 0));
	image_exit(&image);
}

static int see_info(const struct tp_thin_info *info, void *context)
{
	*(struct tp_thin_info *)context = *info;

	return 1;
}

/* Multiplied by the block's size these would wrap around, and a volume that has
 * no size of its own would end before its data. */
START_TEST(test_places_beyond_any_volume_do_not_shorten_it)
{
	static const uint64_t vblocks[] = {
		((uint64_t)1 << 47) - 1, /* the last that a volume can have */
		(uint64_t)1 << 47,       (uint64_t)1 << 48,
		UINT64_MAX - 1,          UINT64_MAX,
	};
	const uint64_t most = ((uint64_t)1 << 63) - TP_SECTOR_SIZE;

	for (unsigned i = 0; i < TPI_ARRAY_SIZE(vblocks); i++) {
		struct tp_thin_info info = TP_THIN_INFO_INIT;
		struct tp_thin *thin;

		setup(_i);
		set_last_place(vblocks[i], vblocks[i]);
		world_open(&w);
		ck_assert_int_eq(tp_pool_list_thins(w.pool, see_info, &info),
				 1);
		ck_assert_uint_eq(info.highest_mapped_end, most);
		thin = world_open_thin(&w, 0, THIN_BYTES);
		ck_assert_uint_eq(thin_info(thin).highest_mapped_end, most);
		ck_assert_uint_ge(thin_mapped(thin), most - WORLD_BLOCK);
		thin_verify(thin, 0, MIB - WORLD_BLOCK, 1);
		ck_ok(tp_thin_close(thin));
		world_end_unchecked(&w);
	}
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"odd-metadata", NR_KINDS,
		test_a_snapshot_later_than_the_clock_moves_the_clock,
		test_a_snapshot_later_than_any_clock_is_damage,
		test_a_mapping_later_than_the_clock_is_not_taken_for_unshared,
		test_places_beyond_any_volume_do_not_shorten_it);
}
