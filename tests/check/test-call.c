/*
 * tp_check() as a call: what it refuses, what it locks, what of the metadata it
 * looks at, how it is followed and given up (api.md, 'Locks', 'Looking inside').
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check/checking.h"
#include "support/oracles.h"
#include "support/world.h"

static int check_with(struct tp_device *device, unsigned flags,
		      struct tp_check_report *report)
{
	struct tp_check_options options = TP_CHECK_OPTIONS_INIT;

	*report = (struct tp_check_report)TP_CHECK_REPORT_INIT;
	options.flags = flags;

	return tp_check(device, &options, report);
}

/*---------------------------- arguments ------------------------------------*/

/* TOL-05: what was seen only in part is not set right. */
START_TEST(test_bad_arguments_are_refused)
{
	static const unsigned parts[] = { TP_CHECK_SUPERBLOCK_ONLY,
					  TP_CHECK_SKIP_MAPPINGS,
					  TP_CHECK_METADATA_SNAPSHOT };
	static const unsigned changes[] = { TP_CHECK_REPAIR_LEAKS,
					    TP_CHECK_CLEAR_NEEDS_CHECK };
	struct tp_check_options no_size = { .flags = 0 };
	struct tp_check_report report, unsized = { .worst = 0 };
	char *bytes = make_image();
	struct byte_device device;

	byte_device_init(&device, bytes, IMAGE_BYTES);
	ck_assert_int_eq(check_with(NULL, 0, &report), -EINVAL);
	ck_assert_int_eq(tp_check(device.device, NULL, NULL), -EINVAL);
	ck_assert_int_eq(tp_check(device.device, &no_size, &report), -EINVAL);
	ck_assert_int_eq(tp_check(device.device, NULL, &unsized), -EINVAL);
	ck_assert_int_eq(check_with(device.device, 1u << 31, &report), -EINVAL);
	for (unsigned i = 0; i < 3; i++)
		for (unsigned k = 0; k < 2; k++)
			ck_assert_int_eq(check_with(device.device,
						    parts[i] | changes[k],
						    &report),
					 -EINVAL);
	ck_ok(check_with(device.device, 0, &report));
	byte_device_exit(&device);
	free(bytes);
}
END_TEST

/* What cannot be read at all is an error; the rest is a finding. */
START_TEST(test_a_device_without_a_pool_is_something_found)
{
	struct tp_check_report report;
	struct tp_device *device;

	ck_ok(tp_device_open_memory(MIB, &device));
	ck_ok(check_with(device, 0, &report));
	ck_assert_int_eq(report.worst, TP_CHECK_FATAL);
	ck_assert_uint_eq(report.nr_by_kind[TP_FOUND_NOT_FORMATTED], 1);
	tp_device_unref(device);

	ck_ok(tp_device_open_memory(512, &device));
	ck_ok(check_with(device, 0, &report));
	ck_assert_uint_eq(report.nr_by_kind[TP_FOUND_NOT_FORMATTED], 1);
	tp_device_unref(device);
}
END_TEST

START_TEST(test_an_unreadable_superblock_is_an_error)
{
	struct tp_check_report report;
	struct world w;

	world_begin(&w, HOST_DRIVEN);
	world_close(&w);
	observer_fail(&w.metadata, OPS(TP_READ), 0, 0, -EIO);
	ck_assert_int_eq(check_with(w.metadata.device, 0, &report), -EIO);
	ck_assert_str_ne(tp_last_error(), "");
	observer_heal(&w.metadata);
	ck_ok(check_with(w.metadata.device, 0, &report));
	ck_assert_int_eq(report.worst, TP_CHECK_CLEAN);
	world_unmake(&w);
}
END_TEST

/*---------------------------- locks ----------------------------------------*/

/* TOL-15. */
START_TEST(test_a_pool_in_use_is_not_checked_but_its_metadata_snapshot_is)
{
	struct tp_check_report report;
	struct world w;

	world_begin(&w, HOST_DRIVEN);
	tp_thin_close(world_new_thin(&w, 1, MIB));
	ck_assert_int_eq(check_with(w.metadata.device, 0, &report), -EBUSY);
	ck_assert_int_eq(check_with(w.metadata.device,
				    TP_CHECK_METADATA_SNAPSHOT, &report),
			 -ENODATA);
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	ck_ok(check_with(w.metadata.device, TP_CHECK_METADATA_SNAPSHOT,
			 &report));
	ck_assert_int_eq(report.worst, TP_CHECK_CLEAN);
	ck_assert_uint_eq(report.nr_blocks_read, 4);

	world_close(&w);
	w.options.flags |= TP_POOL_READ_ONLY;
	world_open(&w);
	ck_ok(check_with(w.metadata.device, 0, &report));
	ck_assert_int_eq(report.worst, TP_CHECK_CLEAN);
	ck_assert_int_eq(check_with(w.metadata.device, TP_CHECK_REPAIR_LEAKS,
				    &report),
			 -EBUSY);
	ck_assert_int_eq(check_with(w.metadata.device,
				    TP_CHECK_CLEAR_NEEDS_CHECK, &report),
			 -EBUSY);
	world_close(&w);

	/* Nothing is left claimed. */
	ck_ok(check_with(w.metadata.device, TP_CHECK_REPAIR_LEAKS, &report));
	w.options.flags &= ~TP_POOL_READ_ONLY;
	world_open(&w);
	world_close(&w);
	world_unmake(&w);
}
END_TEST

START_TEST(test_what_was_opened_read_only_is_not_changed)
{
	struct tp_file_options options = TP_FILE_OPTIONS_INIT;
	struct tp_check_report report;
	char path[SCRATCH_PATH_BYTES];
	char *bytes = make_image();
	struct tp_device *device;

	oracle_file(path, bytes, IMAGE_BYTES);
	options.flags = TP_FILE_READ_ONLY;
	ck_ok(tp_device_open_file(path, &options, &device));
	ck_assert_int_eq(check_with(device, TP_CHECK_REPAIR_LEAKS, &report),
			 -EROFS);
	ck_ok(check_with(device, 0, &report));
	ck_assert_int_eq(report.worst, TP_CHECK_CLEAN);
	tp_device_unref(device);
	unlink(path);
	free(bytes);
}
END_TEST

/*---------------------------- parts ----------------------------------------*/

/* TOL-01: damage in the mappings shows only where these are looked at. */
START_TEST(test_parts_can_be_left_out)
{
	char *bytes = make_image();
	struct checked checked;
	struct image image;
	size_t i;

	image_survey(&image, bytes, IMAGE_BYTES);
	i = image_find(&image, IMAGE_MAPPINGS, 3);
	*((char *)image_data(&image, i) + 100) ^= 1;
	image_exit(&image);

	check_bytes(bytes, 0, &checked);
	ck_assert_int_eq(checked.report.worst, TP_CHECK_CORRUPTION);
	checked_exit(&checked);
	check_bytes(bytes, TP_CHECK_SKIP_MAPPINGS, &checked);
	ck_assert_int_eq(checked.report.worst, TP_CHECK_CLEAN);
	ck_assert_uint_gt(checked.report.nr_thins, 5);
	checked_exit(&checked);
	check_bytes(bytes, TP_CHECK_SUPERBLOCK_ONLY, &checked);
	ck_assert_int_eq(checked.report.worst, TP_CHECK_CLEAN);
	ck_assert_uint_eq(checked.report.nr_blocks_read, 0);
	checked_exit(&checked);
	free(bytes);
}
END_TEST

START_TEST(test_a_data_device_that_is_too_small_is_found)
{
	struct tp_check_options options = TP_CHECK_OPTIONS_INIT;
	struct tp_check_report report = TP_CHECK_REPORT_INIT;
	char *bytes = make_image();
	struct byte_device device;

	byte_device_init(&device, bytes, IMAGE_BYTES);
	options.data_bytes = 32768ull * 64 * KIB;
	ck_ok(tp_check(device.device, &options, &report));
	ck_assert_int_eq(report.worst, TP_CHECK_CLEAN);
	options.data_bytes--;
	ck_ok(tp_check(device.device, &options, &report));
	ck_assert_uint_eq(report.nr_by_kind[TP_FOUND_SIZE], 1);
	byte_device_exit(&device);
	free(bytes);
}
END_TEST

/*---------------------------- figures --------------------------------------*/

/* What the report says of the image is what was put into it. */
START_TEST(test_the_report_sums_up_the_pool)
{
	char *bytes = make_image();
	struct checked checked;
	const struct tp_check_report *report = &checked.report;

	check_bytes(bytes, 0, &checked);
	ck_ok(checked.result);
	ck_assert_str_eq(checked.told, "");
	ck_assert_uint_eq(report->nr_thins, 12);
	ck_assert_uint_eq(report->nr_own_thins, 0);
	ck_assert_uint_eq(report->nr_mappings, 9 * 300 + 2 * 20);
	ck_assert_uint_eq(report->metadata_blocks,
			  IMAGE_BYTES / TPI_MBLOCK_BYTES);
	ck_assert_uint_eq(report->data_blocks, 32768);
	ck_assert_uint_eq(report->used_data_blocks, 300 + 3 * 2 + 300 + 20 + 1);
	ck_assert_uint_eq(report->data_block_size, 64 * KIB);
	ck_assert_uint_ne(report->held_root, 0);
	ck_assert_uint_eq(report->leaked_data_blocks, 0);
	ck_assert_uint_ge(report->nr_blocks_read + 1,
			  report->used_metadata_blocks);
	checked_exit(&checked);
	free(bytes);
}
END_TEST

/*---------------------------- a device that changes its mind --------------*/

/* Bitmaps and leaves are read more than once; what is lost meanwhile must not
 * pass for sound. */
START_TEST(test_a_block_that_can_be_read_once_only_is_found)
{
	char *bytes = make_image();
	struct byte_device device;
	unsigned nr_found = 0;
	struct checked checked;
	struct image image;

	image_survey(&image, bytes, IMAGE_BYTES);
	byte_device_init(&device, bytes, IMAGE_BYTES);
	for (size_t i = 1; i < image.nr_blocks; i++) {
		const struct tp_check_report *report = &checked.report;
		enum image_role role = image.blocks[i].role;

		device.bad_block = image.blocks[i].number;
		device.good_reads = 1;
		check_device(device.device, 0, 1, &checked);
		ck_ok(checked.result);
		ck_assert_uint_eq(report->nr_findings,
				  report->nr_by_kind[TP_FOUND_IO]);
		if (role == IMAGE_DATA_BITMAP || role == IMAGE_METADATA_BITMAP)
			ck_assert_uint_eq(report->nr_findings, 1);
		nr_found += report->nr_findings > 0;
		checked_exit(&checked);
	}
	ck_assert_uint_gt(nr_found, 10);
	byte_device_exit(&device);
	image_exit(&image);
	free(bytes);
}
END_TEST

/*---------------------------- following it ---------------------------------*/

struct progress {
	uint64_t last_done, last_total;
	unsigned nr_calls, give_up_at;
};

static int take_progress(void *context, uint64_t done, uint64_t total)
{
	struct progress *progress = context;

	ck_assert_uint_ge(done, progress->last_done);
	ck_assert_uint_le(done, total);
	progress->last_done = done;
	progress->last_total = total;

	return ++progress->nr_calls == progress->give_up_at;
}

START_TEST(test_progress_goes_on_to_the_end_and_can_give_up)
{
	struct tp_check_options options = TP_CHECK_OPTIONS_INIT;
	struct tp_check_report report = TP_CHECK_REPORT_INIT;
	struct progress progress = { .nr_calls = 0 };
	char *bytes = make_image();
	struct byte_device device;
	unsigned nr_calls, nth;

	byte_device_init(&device, bytes, IMAGE_BYTES);
	options.progress = take_progress;
	options.context = &progress;
	ck_ok(tp_check(device.device, &options, &report));
	ck_assert_uint_eq(progress.last_done, progress.last_total);
	nr_calls = progress.nr_calls;
	ck_assert_uint_gt(nr_calls, 5);
	for (nth = 1; nth <= nr_calls; nth++) {
		progress = (struct progress){ .give_up_at = nth };
		ck_assert_int_eq(tp_check(device.device, &options, &report),
				 -ECANCELED);
		ck_assert_uint_eq(progress.nr_calls, nth);
	}
	byte_device_exit(&device);
	free(bytes);
}
END_TEST

static void count_finding(void *context, const struct tp_check_finding *finding)
{
	unsigned *nr = context;

	ck_assert_uint_eq(finding->struct_size, sizeof(*finding));
	++*nr;
}

START_TEST(test_of_many_findings_of_a_kind_some_are_told)
{
	struct tp_check_options options = TP_CHECK_OPTIONS_INIT;
	struct tp_check_report report = TP_CHECK_REPORT_INIT;
	char *bytes = make_image();
	struct byte_device device;
	struct image image;
	unsigned nr_told = 0;
	size_t i;

	image_survey(&image, bytes, IMAGE_BYTES);
	i = image_find(&image, IMAGE_DATA_BITMAP, 0);
	memset((char *)image_data(&image, i) + 1000, 0xc2, 400);
	image_seal(&image, i);
	image_exit(&image);

	byte_device_init(&device, bytes, IMAGE_BYTES);
	options.found = count_finding;
	options.context = &nr_told;
	options.findings_per_kind = 7;
	ck_ok(tp_check(device.device, &options, &report));
	ck_assert_uint_gt(report.nr_by_kind[TP_FOUND_COUNT_HIGH], 300);
	ck_assert_uint_eq(nr_told + report.nr_untold, report.nr_findings);
	ck_assert_uint_le(nr_told, 3 * 7);

	nr_told = 0;
	options.findings_per_kind = TP_CHECK_ALL_FINDINGS;
	ck_ok(tp_check(device.device, &options, &report));
	ck_assert_uint_eq(nr_told, report.nr_findings);
	ck_assert_uint_eq(report.nr_untold, 0);
	byte_device_exit(&device);
	free(bytes);
}
END_TEST

START_TEST(test_names_are_there_for_all_and_for_what_is_not)
{
	for (int kind = 0; kind < TP_CHECK_NR_KINDS; kind++) {
		ck_assert_ptr_nonnull(tp_check_kind_name(kind));
		ck_assert_str_ne(tp_check_kind_name(kind), "unknown");
		for (int other = 0; other < kind; other++)
			ck_assert_str_ne(tp_check_kind_name(kind),
					 tp_check_kind_name(other));
	}
	ck_assert_str_eq(tp_check_kind_name(TP_CHECK_NR_KINDS), "unknown");
	ck_assert_str_eq(tp_check_severity_name(TP_CHECK_FATAL), "fatal");
	ck_assert_str_eq(tp_check_severity_name(99), "unknown");
	ck_assert_str_eq(tp_check_place_name(TP_PLACE_MAPPINGS),
			 "mapping tree");
	ck_assert_str_eq(tp_check_place_name(99), "unknown");
}
END_TEST

int main(void)
{
	free(make_image());

	return RUN_TESTS(
		"check/call", 1, test_bad_arguments_are_refused,
		test_a_device_without_a_pool_is_something_found,
		test_an_unreadable_superblock_is_an_error,
		test_a_pool_in_use_is_not_checked_but_its_metadata_snapshot_is,
		test_what_was_opened_read_only_is_not_changed,
		test_parts_can_be_left_out,
		test_a_data_device_that_is_too_small_is_found,
		test_the_report_sums_up_the_pool,
		test_a_block_that_can_be_read_once_only_is_found,
		test_progress_goes_on_to_the_end_and_can_give_up,
		test_of_many_findings_of_a_kind_some_are_told,
		test_names_are_there_for_all_and_for_what_is_not);
}
