/*
 * stress.h - all at once: four queues with overlapping bios at depth, and
 * threads that take and delete snapshots, make and delete thins, replace the
 * hook, grow both devices, suspend, and hold metadata snapshots.
 */
#ifndef TESTS_SUPPORT_STRESS_H
#define TESTS_SUPPORT_STRESS_H

#include <stdbool.h>
#include <stdint.h>

struct stress {
	uint64_t seed;
	unsigned seconds;
	bool on_files; /* else the data is in memory */
};

/* Every read is checked, every snapshot, and at the end all content, before and
 * after reopening, and the metadata.  Fails the test. */
void stress_run(const struct stress *stress);

#endif
