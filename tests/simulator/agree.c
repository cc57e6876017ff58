/*
 * agree.c - is the metadata right, before anything opens it?
 *
 * Two look at it: tp_check, and the reader that also judges the order of
 * requests (metadata.c, recount.c).  They share no line, so what one finds and
 * the other does not is a mistake in one of them.
 */
#include <stdio.h>
#include <thinpool/check.h>

#include "simulator/run.h"

static void note_finding(void *context, const struct tp_check_finding *finding)
{
	struct verdict *verdict = context;

	if (finding->kind != TP_FOUND_NEEDS_CHECK)
		violated(verdict, "%s", finding->what);
}

static void ask_tp_check(struct run *run, struct verdict *found)
{
	struct tp_check_options options = TP_CHECK_OPTIONS_INIT;
	struct tp_check_report report = TP_CHECK_REPORT_INIT;
	int r;

	options.nr_threads = 1;
	options.found = note_finding;
	options.context = found;
	options.clock_wait = tp_simulator_clock_wait;
	options.clock_context = run->simulator;
	run->is_checking = true;
	r = tp_check(tp_simulator_device(run->simulator, METADATA_DEVICE),
		     &options, &report);
	run->is_checking = false;
	if (r)
		violated(found, "%s", tp_last_error());
}

/* M1 */
static bool check_superblock(struct run *run)
{
	unsigned char superblock[METADATA_BLOCK];
	struct superblocks left = run->left;

	run->left.nr = 0;
	tp_simulator_peek(run->simulator, METADATA_DEVICE, TP_CONTENT_STABLE,
			  superblock, METADATA_BLOCK, 0);

	return superblocks_have(&left, superblock) ||
	       violated(run->verdict,
			"M1: the superblock is neither the last that was "
			"stable nor the one on its way");
}

bool run_check_metadata(struct run *run)
{
	struct verdict ours = { .broken = false }, theirs = ours;

	if (!check_superblock(run))
		return false;
	order_restart(&run->order, &ours);
	ask_tp_check(run, &theirs);
	if (theirs.broken && (ours.broken || !run->order.enabled))
		return violated(run->verdict, "M2: %s", theirs.sentence);
	if (theirs.broken)
		return violated(run->verdict,
				"M2: tp_check alone finds that %s",
				theirs.sentence);
	if (ours.broken)
		return violated(run->verdict,
				"M2: the reader alone finds that %s",
				ours.sentence);

	return true;
}
