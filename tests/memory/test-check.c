/*
 * No memory while metadata is checked or repaired: it is done, or not, and never
 * takes its own want for damage (F-19).
 */
#include <stdlib.h>
#include <string.h>

#include "check/checking.h"
#include "support/damage.h"
#include "support/failing-memory.h"

static unsigned flags, nr_threads;
static struct byte_device device;
static struct tp_check_report report;

static int check(void)
{
	struct tp_check_options options = TP_CHECK_OPTIONS_INIT;

	options.flags = flags;
	options.nr_threads = nr_threads;
	report = (struct tp_check_report)TP_CHECK_REPORT_INIT;

	return tp_check(device.device, &options, &report);
}

/* An image with leaks, and nothing worse. */
static char *make_leaky_image(void)
{
	struct damage_report damage;
	uint64_t seed = 0;
	char *image;

	for (;;) {
		image = make_image();
		damage_do(image, IMAGE_BYTES, DAMAGE_COUNT, seed++, &damage);
		byte_device_init(&device, image, IMAGE_BYTES);
		flags = 0;
		ck_ok(check());
		byte_device_exit(&device);
		if (report.worst == TP_CHECK_LEAK)
			return image;
		free(image);
	}
}

/* True if an allocation failed. */
static bool check_without(const char *before, unsigned nth, bool lasting,
			  const struct tp_check_report *expected)
{
	bool failed;
	int r;

	memcpy(device.bytes, before, IMAGE_BYTES);
	failing_memory_arm(nth, lasting);
	r = check();
	failed = failing_memory_disarm();
	ck_assert_msg(!r || (failed && is_want_of_memory(r)),
		      "it answers %d: %s", r, tp_last_error());
	if (r) {
		ck_assert_uint_le(report.worst, expected->worst);
		r = check();
	}
	ck_assert_int_eq(r, 0);
	ck_assert(!memcmp(&report, expected, sizeof(report)));

	return failed;
}

/* With @image, which is freed. */
static void sweep_check(char *image, unsigned with_flags)
{
	char *before = malloc(IMAGE_BYTES);
	struct tp_check_report expected;

	memcpy(before, image, IMAGE_BYTES);
	byte_device_init(&device, image, IMAGE_BYTES);
	flags = with_flags;
	ck_ok(check());
	expected = report;
	for (unsigned lasting = 0; lasting < 2; lasting++) {
		unsigned nth = 1;

		while (check_without(before, nth, lasting, &expected))
			ck_assert_uint_lt(++nth, 2000);
	}
	byte_device_exit(&device);
	free(image);
	free(before);
}

/* In the calling thread, and in several. */
START_TEST(test_metadata_is_checked_or_not)
{
	nr_threads = _i ? 4 : 1;
	sweep_check(make_image(), 0);
}
END_TEST

START_TEST(test_a_metadata_snapshot_is_checked_or_not)
{
	nr_threads = _i ? 4 : 1;
	sweep_check(make_image(), TP_CHECK_METADATA_SNAPSHOT);
}
END_TEST

START_TEST(test_leaks_are_repaired_or_not)
{
	nr_threads = _i ? 4 : 1;
	sweep_check(make_leaky_image(), TP_CHECK_REPAIR_LEAKS);
	ck_assert(report.repaired);
}
END_TEST

int main(void)
{
	return RUN_TESTS("memory-check", 2, test_metadata_is_checked_or_not,
			 test_a_metadata_snapshot_is_checked_or_not,
			 test_leaks_are_repaired_or_not);
}
