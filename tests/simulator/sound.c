/*
 * sound.c - see sound.h.
 */
#include "simulator/sound.h"

#include <check.h>
#include <thinpool/check.h>

#include "simulator/metadata.h"

#define DEVICE 0

static void note_finding(void *context, const struct tp_check_finding *finding)
{
	violated(context, "%s", finding->what);
}

static void ask_tp_check(struct tp_simulator *simulator)
{
	struct tp_check_options options = TP_CHECK_OPTIONS_INIT;
	struct tp_check_report report = TP_CHECK_REPORT_INIT;
	struct verdict verdict = { .broken = false };

	options.nr_threads = 1;
	options.found = note_finding;
	options.context = &verdict;
	options.clock_wait = tp_simulator_clock_wait;
	options.clock_context = simulator;
	ck_assert_int_eq(tp_check(tp_simulator_device(simulator, DEVICE),
				  &options, &report),
			 0);
	ck_assert_msg(report.worst == TP_CHECK_CLEAN, "tp_check: %s",
		      verdict.sentence);
}

static void read_stable(void *context, uint64_t block, void *bytes)
{
	ck_assert_int_eq(tp_simulator_peek(context, DEVICE, TP_CONTENT_STABLE,
					   bytes, METADATA_BLOCK,
					   block * METADATA_BLOCK),
			 0);
}

static void ask_reader(struct tp_simulator *simulator)
{
	struct tp_device_limits limits = TP_DEVICE_LIMITS_INIT;
	struct verdict verdict = { .broken = false };
	struct metadata metadata;

	ck_assert_int_eq(
		tp_device_get_limits(tp_simulator_device(simulator, DEVICE),
				     &limits),
		0);
	if (metadata_load(&metadata, read_stable, simulator,
			  limits.size_bytes / METADATA_BLOCK, true, &verdict))
		metadata_recount(&metadata, &verdict);
	ck_assert_msg(!verdict.broken, "the reader: %s", verdict.sentence);
	ck_assert_uint_eq(metadata.flags, 0);
	metadata_free(&metadata);
}

void assert_metadata_is_sound(struct tp_simulator *simulator)
{
	ask_tp_check(simulator);
	ask_reader(simulator);
}
