/*
 * What a check is asked to change: counts that are too high are set right, and
 * needs_check is cleared.  Others find nothing then; a power cut at any moment
 * leaves what was there, or what is to be; and nothing is touched when there is
 * worse, or when it was not asked for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <thinpool/simulator.h>
#include <unistd.h>

#include "check/checking.h"
#include "pool/metadata-internal.h"
#include "space-map/bitmap.h"
#include "support/oracles.h"
#include "support/pattern.h"

#define IMAGES_PER_MOMENT 12

/*---------------------------- leaks ----------------------------------------*/

static void seal(const struct image *image, const void *block)
{
	for (size_t i = 0; i < image->nr_blocks; i++)
		if (image_data(image, i) == block)
			image_seal(image, i);
}

static void *find(const struct image *image, enum image_role role, size_t nr)
{
	size_t i = image_find(image, role, nr);

	ck_assert_uint_ne(i, SIZE_MAX);

	return image_data(image, i);
}

/* Two of three entries below @end that are zero become one, and one two. */
static void leak_in_bitmap(const struct image *image, enum image_role role,
			   size_t nr, unsigned end)
{
	struct tpi_disk_bitmap *bitmap = find(image, role, nr);

	for (unsigned i = 0; i < end; i++) {
		unsigned count = tpi_bitmap_get(bitmap, i);

		if (count <= 1 && i % 3)
			tpi_bitmap_set(bitmap, i, count + 1);
	}
	seal(image, bitmap);
}

static void leak_in_overflow(const struct image *image, enum image_role role,
			     uint32_t by)
{
	struct tpi_node *node = find(image, role, 0);
	le32 *counts = tpi_node_values(node, 0);

	counts[0] = le32_make(le32_get(counts[0]) + by);
	seal(image, node);
}

/* Leaks of every sort, and figures that say nonsense. */
static void leak(char *bytes)
{
	struct tpi_disk_superblock *sb;
	struct tpi_disk_index_entry *entries;
	struct image image;

	image_survey(&image, bytes, IMAGE_BYTES);
	sb = image_superblock(&image);
	leak_in_bitmap(&image, IMAGE_DATA_BITMAP, 0, 1000);
	leak_in_bitmap(&image, IMAGE_DATA_BITMAP, 2, 128);
	leak_in_bitmap(&image, IMAGE_METADATA_BITMAP, 0, 500);
	leak_in_overflow(&image, IMAGE_DATA_OVERFLOW, UINT32_MAX - 10);
	leak_in_overflow(&image, IMAGE_METADATA_OVERFLOW, 3);
	entries = tpi_node_values(find(&image, IMAGE_DATA_INDEX, 0), 0);
	entries[1].nr_free = le32_make(7);
	entries[1].none_free_before = le32_make(9000);
	seal(&image, find(&image, IMAGE_DATA_INDEX, 0));
	sb->data_space_map.root.nr_allocated = le64_make(1);
	image_seal(&image, 0);
	image_exit(&image);
}

static void set_needs_check(char *bytes)
{
	struct image image;

	image_survey(&image, bytes, IMAGE_BYTES);
	image_superblock(&image)->header.flags =
		le32_make(TPI_SUPERBLOCK_NEEDS_CHECK);
	image_seal(&image, 0);
	image_exit(&image);
}

static char *leaky_image(void)
{
	char *bytes = make_image();

	leak(bytes);

	return bytes;
}

/*---------------------------- afterwards -----------------------------------*/

static void must_be_clean(char *bytes)
{
	struct checked checked;

	check_bytes(bytes, 0, &checked);
	ck_ok(checked.result);
	ck_assert_msg(checked.report.worst == TP_CHECK_CLEAN, "still:\n%s",
		      checked.told);
	checked_exit(&checked);
}

static void others_find_nothing(const char *bytes)
{
	const char *verify = oracle_metadata_verify();
	char path[SCRATCH_PATH_BYTES];

	oracle_file(path, bytes, IMAGE_BYTES);
	ck_assert_int_le(oracle_status(ORACLE_THIN_CHECK, path, true), 0);
	if (verify)
		ck_assert_int_le(oracle_status(verify, path, true), 0);
	unlink(path);
}

/* TOL-03: all three checkers find nothing, and every mapping is where it was. */
START_TEST(test_leaks_are_repaired)
{
	char *bytes = leaky_image();
	struct checked before, checked;

	check_bytes(bytes, 0, &before);
	ck_assert_int_eq(before.report.worst, TP_CHECK_LEAK);
	ck_assert_uint_gt(before.report.leaked_data_blocks, 500);
	ck_assert_uint_gt(before.report.leaked_metadata_blocks, 200);
	check_bytes(bytes, TP_CHECK_REPAIR_LEAKS, &checked);
	ck_ok(checked.result);
	ck_assert_str_eq(checked.told, before.told);
	ck_assert(checked.report.repaired);
	ck_assert(!checked.report.cleared_needs_check);
	checked_exit(&checked);

	must_be_clean(bytes);
	others_find_nothing(bytes);
	check_bytes(bytes, TP_CHECK_REPAIR_LEAKS, &checked);
	ck_assert(!checked.report.repaired);
	ck_assert_uint_eq(checked.report.nr_mappings,
			  before.report.nr_mappings);
	ck_assert_uint_eq(checked.report.used_data_blocks,
			  before.report.used_data_blocks);
	checked_exit(&checked);
	checked_exit(&before);
	free(bytes);
}
END_TEST

static char *empty_image(void)
{
	char *bytes = calloc(1, IMAGE_BYTES);
	struct byte_device metadata;
	struct tp_device *data;

	byte_device_init(&metadata, bytes, IMAGE_BYTES);
	ck_ok(tp_device_open_memory(64 * MIB, &data));
	ck_ok(tp_pool_format(metadata.device, data, NULL));
	tp_device_unref(data);
	byte_device_exit(&metadata);

	return bytes;
}

/* Blocks from the first on that are free, and counted so, are nothing to tell
 * of, when others of the same bitmap are. */
START_TEST(test_a_leak_behind_free_blocks_is_a_leak_and_no_more)
{
	char *bytes = empty_image();
	struct checked checked;
	struct image image;

	image_survey(&image, bytes, IMAGE_BYTES);
	tpi_bitmap_set(find(&image, IMAGE_DATA_BITMAP, 0), 7, 1);
	seal(&image, find(&image, IMAGE_DATA_BITMAP, 0));
	image_exit(&image);
	check_bytes(bytes, TP_CHECK_REPAIR_LEAKS, &checked);
	ck_ok(checked.result);
	ck_assert_msg(checked.report.worst == TP_CHECK_LEAK, "told:\n%s",
		      checked.told);
	ck_assert_uint_eq(checked.report.leaked_data_blocks, 1);
	ck_assert(checked.report.repaired);
	checked_exit(&checked);
	must_be_clean(bytes);
	free(bytes);
}
END_TEST

/* TOL-17: the second time as the first. */
START_TEST(test_what_was_repaired_can_be_repaired_again)
{
	char *bytes = make_image();
	struct checked checked;

	for (unsigned round = 0; round < 2; round++) {
		leak(bytes);
		check_bytes(bytes, TP_CHECK_REPAIR_LEAKS, &checked);
		ck_ok(checked.result);
		ck_assert(checked.report.repaired);
		checked_exit(&checked);
		must_be_clean(bytes);
	}
	free(bytes);
}
END_TEST

/*---------------------------- what is left alone ---------------------------*/

static void expect_untouched(char *bytes, unsigned flags,
			     enum tp_check_severity worst)
{
	char *before = malloc(IMAGE_BYTES);
	struct checked checked;

	memcpy(before, bytes, IMAGE_BYTES);
	check_bytes(bytes, flags, &checked);
	ck_ok(checked.result);
	ck_assert_int_eq(checked.report.worst, worst);
	ck_assert(!checked.report.repaired);
	ck_assert(!checked.report.cleared_needs_check);
	ck_assert_int_eq(memcmp(before, bytes, IMAGE_BYTES), 0);
	checked_exit(&checked);
	free(before);
}

/* TOL-03: a sound image stays as it is, to the byte. */
START_TEST(test_nothing_is_touched_where_there_is_worse_or_nothing)
{
	char *bytes = make_image();
	struct tpi_node *details;
	struct image image;

	expect_untouched(bytes, TP_CHECK_REPAIR_LEAKS, TP_CHECK_CLEAN);
	expect_untouched(bytes, TP_CHECK_CLEAR_NEEDS_CHECK, TP_CHECK_CLEAN);
	leak(bytes);
	set_needs_check(bytes);
	expect_untouched(bytes, 0, TP_CHECK_LEAK);
	expect_untouched(bytes, TP_CHECK_CLEAR_NEEDS_CHECK, TP_CHECK_LEAK);

	image_survey(&image, bytes, IMAGE_BYTES);
	details = find(&image, IMAGE_DETAILS, 0);
	((struct tpi_disk_details *)tpi_node_values(details, 0))
		->mapped_blocks = le64_make(1);
	seal(&image, details);
	image_exit(&image);
	expect_untouched(bytes,
			 TP_CHECK_REPAIR_LEAKS | TP_CHECK_CLEAR_NEEDS_CHECK |
				 TP_CHECK_IGNORE_LEAKS,
			 TP_CHECK_CORRUPTION);
	free(bytes);
}
END_TEST

/* TOL-02, TOL-04: a leak wastes a block, a count too low would have it handed
 * out twice: that is never passed over, nor set right. */
START_TEST(test_counts_too_low_are_no_leaks)
{
	struct tpi_disk_bitmap *bitmap;
	char *bytes = make_image();
	struct checked checked;
	struct image image;
	unsigned i = 0;

	leak(bytes);
	expect_untouched(bytes, TP_CHECK_IGNORE_LEAKS, TP_CHECK_LEAK);
	free(bytes);

	bytes = make_image();
	image_survey(&image, bytes, IMAGE_BYTES);
	bitmap = find(&image, IMAGE_DATA_BITMAP, 0);
	while (tpi_bitmap_get(bitmap, i) != 1)
		i++;
	tpi_bitmap_set(bitmap, i, 0);
	seal(&image, bitmap);
	image_exit(&image);
	expect_untouched(bytes,
			 TP_CHECK_REPAIR_LEAKS | TP_CHECK_CLEAR_NEEDS_CHECK |
				 TP_CHECK_IGNORE_LEAKS,
			 TP_CHECK_CORRUPTION);
	check_bytes(bytes, 0, &checked);
	ck_assert_uint_eq(checked.report.undercounted_data_blocks, 1);
	checked_exit(&checked);
	free(bytes);
}
END_TEST

/*---------------------------- needs_check ----------------------------------*/

static bool needs_check(char *bytes)
{
	struct checked checked;
	bool needed;

	check_bytes(bytes, 0, &checked);
	needed = checked.report.needs_check;
	checked_exit(&checked);

	return needed;
}

static void expect_cleared(char *bytes, unsigned flags, bool repaired)
{
	struct checked checked;

	ck_assert(needs_check(bytes));
	check_bytes(bytes, flags | TP_CHECK_CLEAR_NEEDS_CHECK, &checked);
	ck_ok(checked.result);
	ck_assert(checked.report.cleared_needs_check);
	ck_assert(checked.report.repaired == repaired);
	ck_assert(!needs_check(bytes));
	checked_exit(&checked);
}

/* B-NC-3, NCK-03: after a check that leaves nothing, and only then. */
START_TEST(test_needs_check_is_cleared_when_nothing_is_left_to_complain_of)
{
	char *bytes = make_image();

	set_needs_check(bytes);
	expect_cleared(bytes, 0, false);
	must_be_clean(bytes);

	leak(bytes);
	set_needs_check(bytes);
	expect_cleared(bytes, TP_CHECK_IGNORE_LEAKS, false);
	set_needs_check(bytes);
	expect_cleared(bytes, TP_CHECK_REPAIR_LEAKS, true);
	must_be_clean(bytes);
	others_find_nothing(bytes);
	free(bytes);
}
END_TEST

/*---------------------------- power cuts -----------------------------------*/

struct cuts {
	struct tp_simulator *simulator;
	const char *before; /* what is found in the old image */
	unsigned nr_old, nr_new;
	uint64_t state;
};

static void judge_image(struct cuts *cuts, struct tp_image *image)
{
	char *bytes = malloc(IMAGE_BYTES);
	struct tp_simulator *after;
	struct checked checked;

	ck_ok(tp_simulator_fork(cuts->simulator, 1, tp_keep_image, image,
				&after));
	ck_ok(tp_simulator_peek(after, 0, TP_CONTENT_STABLE, bytes, IMAGE_BYTES,
				0));
	tp_simulator_free(after);
	check_bytes(bytes, 0, &checked);
	ck_ok(checked.result);
	if (!strcmp(checked.told, cuts->before))
		cuts->nr_old++;
	else if (checked.report.worst == TP_CHECK_CLEAN)
		cuts->nr_new++;
	else
		ck_abort_msg("after a power cut (%s %llu):\n%s",
			     tp_image_kind_name(image->kind),
			     (unsigned long long)image->value, checked.told);
	checked_exit(&checked);
	free(bytes);
}

/* Whenever a request begins or has ended. */
static void cut(void *context, const struct tp_simulated_event *event)
{
	struct cuts *cuts = context;
	uint64_t nr = tp_simulator_nr_images(cuts->simulator);
	struct tp_image image;

	if (event->op == TP_READ)
		return;
	for (unsigned i = 0; i < IMAGES_PER_MOMENT && i < nr; i++) {
		uint64_t n = nr <= IMAGES_PER_MOMENT
				     ? i
				     : random_in(&cuts->state, 0, nr);

		ck_ok(tp_simulator_get_image(cuts->simulator, n, &image));
		judge_image(cuts, &image);
	}
}

static struct tp_simulator *make_simulator(const char *bytes,
					   struct tp_device **device)
{
	struct tp_simulated_device_options options =
		TP_SIMULATED_DEVICE_OPTIONS_INIT;
	struct tp_simulator *simulator;

	options.size = IMAGE_BYTES;
	options.min_latency_ns = 1000;
	options.max_latency_ns = 100000;
	options.superblock_bytes = TPI_MBLOCK_BYTES;
	ck_ok(tp_simulator_new(NULL, &simulator));
	ck_ok(tp_simulator_add_device(simulator, &options, device));
	ck_ok(tp_simulator_poke(simulator, 0, bytes, IMAGE_BYTES, 0));

	return simulator;
}

/* M1, M6, V2: at each moment of a repair, whatever of the unflushed writes
 * survives, sector by sector. */
START_TEST(test_a_power_cut_leaves_the_old_or_the_repaired)
{
	struct tp_check_options options = TP_CHECK_OPTIONS_INIT;
	struct tp_check_report report = TP_CHECK_REPORT_INIT;
	char *bytes = leaky_image();
	struct checked before;
	struct cuts cuts = { .state = seed_from_environment(1) };
	struct tp_device *device;

	check_bytes(bytes, 0, &before);
	cuts.before = before.told;
	cuts.simulator = make_simulator(bytes, &device);
	tp_simulator_set_observer(cuts.simulator, cut, &cuts);
	options.flags = TP_CHECK_REPAIR_LEAKS;
	options.nr_threads = 1;
	options.clock_wait = tp_simulator_clock_wait;
	options.clock_context = cuts.simulator;
	ck_ok(tp_check(device, &options, &report));
	ck_assert(report.repaired);
	ck_assert_uint_gt(cuts.nr_old, 20);
	ck_assert_uint_gt(cuts.nr_new, 2);

	tp_simulator_free(cuts.simulator);
	checked_exit(&before);
	free(bytes);
}
END_TEST

/* The same is found as before. */
static void must_be_as_before(char *bytes, const char *told)
{
	struct checked checked;

	check_bytes(bytes, 0, &checked);
	ck_assert_str_eq(checked.told, told);
	checked_exit(&checked);
}

/* F-08, F-09: the repair says so, and the old is there, or the new. */
START_TEST(test_a_write_that_fails_leaves_the_old_or_the_repaired)
{
	struct byte_device device;
	struct checked checked;
	unsigned nth = 0;
	char *bytes;

	do {
		bytes = leaky_image();
		byte_device_init(&device, bytes, IMAGE_BYTES);
		device.fail_write = ++nth;
		check_device(device.device, TP_CHECK_REPAIR_LEAKS, 1, &checked);
		byte_device_exit(&device);
		ck_assert(checked.result == 0 || checked.result == -EIO);
		ck_assert(checked.report.repaired == !checked.result);
		if (!checked.result)
			must_be_clean(bytes);
		else
			must_be_as_before(bytes, checked.told);
		checked_exit(&checked);
		free(bytes);
	} while (device.nr_writes >= nth);
	ck_assert_uint_gt(nth, 2);
}
END_TEST

int main(void)
{
	free(make_image());

	return RUN_TESTS(
		"check/repair", 1, test_leaks_are_repaired,
		test_a_leak_behind_free_blocks_is_a_leak_and_no_more,
		test_what_was_repaired_can_be_repaired_again,
		test_nothing_is_touched_where_there_is_worse_or_nothing,
		test_counts_too_low_are_no_leaks,
		test_needs_check_is_cleared_when_nothing_is_left_to_complain_of,
		test_a_power_cut_leaves_the_old_or_the_repaired,
		test_a_write_that_fails_leaves_the_old_or_the_repaired);
}
