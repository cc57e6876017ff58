/*
 * scenario.h - short stories, in which power fails at every device event.
 *
 * Where a seed tries a few instants of a long run, a scenario is run as often
 * as there are events in it, and each time all that a crash may leave at that
 * event is looked at (crash-contract, 13).
 */
#ifndef TESTS_SIMULATOR_SCENARIO_H
#define TESTS_SIMULATOR_SCENARIO_H

#include "simulator/run.h"

enum scenario {
	FIRST_WRITE,
	BREAK_SHARING,
	OVERWRITE_SHARED,
	FUA_WRITES,
	FLUSHES,
	DISCARD_PASSED_DOWN,
	SNAPSHOT_UNDER_WRITE,
	SNAPSHOTS_TOGETHER,
	DELETION,
	GROWTH,
	COMMIT_UNDER_WRITE,
	METADATA_SNAPSHOT,
	ORIGIN_TAIL,
	NO_ZEROING,
	NR_SCENARIOS,
};

const char *scenario_name(enum scenario scenario);

/*
 * @every: of the images of each instant, each so-and-so-many-th is looked at;
 * 1: all of them.  What was done is added to @stats.
 */
bool scenario_play(enum scenario scenario, unsigned every, uint64_t seed,
		   struct stats *stats, struct verdict *verdict);

#endif
