/*
 * model.h - a random walk over a pool beside a dumb model of it: byte arrays.
 *
 * What the model keeps of a volume is its bytes and which of its blocks are
 * mapped, as far as the rules say so.
 */
#ifndef TESTS_SUPPORT_MODEL_H
#define TESTS_SUPPORT_MODEL_H

#include "support/world.h"

struct model_run {
	int kind;
	uint64_t seed;
	unsigned nr_ops;
	uint32_t block_size;
	uint64_t metadata_cache_bytes, mapping_cache_bytes; /* 0: ample */
	unsigned flags;     /* TP_POOL_, besides the kind's */
	bool has_fua;       /* the data device */
	unsigned nr_checks; /* of the metadata on disk, on the way */
};

/* Fails the test, with seed and step, when pool and model part. */
void model_run(const struct model_run *run);

/*
 * @nr_queues queues with @depth bios in flight on each, on ranges of which no
 * two in flight overlap, and control calls between; then all is compared.
 */
void model_run_concurrent(const struct model_run *run, unsigned nr_queues,
			  unsigned depth);

#endif
