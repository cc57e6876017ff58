/*
 * extents.c - what a thin maps, run by run.
 */
#include <stdlib.h>

#include "pool/bio.h"
#include "pool/call.h"

/* Runs are collected on the loop a batch at a time, and told in the caller's
 * thread. */
#define BATCH 128u

/* Blocks that are looked up in one go. */
#define LOOKUP 256u

struct extents_call {
	struct tpi_call call;
	struct tp_thin *thin;
	uint64_t position, end; /* bytes */
	unsigned nr;
	struct tp_extent extents[BATCH];
};

static struct tp_extent extent_of(const struct tpi_thin_state *state,
				  uint64_t from, uint64_t to,
				  tpi_mapping mapping)
{
	struct tp_extent extent = { .offset = from, .length = to - from };

	if (mapping == TPI_UNMAPPED)
		return extent;
	extent.mapped = true;
	extent.shared = tpi_mapping_is_shared(
		mapping, state->tree.details.snapshotted_time);
	extent.data_offset =
		tpi_data_offset(state->pool, tpi_mapping_dblock(mapping), from);

	return extent;
}

static bool continues(const struct tp_extent *last,
		      const struct tp_extent *next)
{
	if (last->offset + last->length != next->offset ||
	    last->mapped != next->mapped || last->shared != next->shared)
		return false;

	return !next->mapped ||
	       last->data_offset + last->length == next->data_offset;
}

/* False: there is no room for another run. */
static bool add(struct extents_call *ask, const struct tp_extent *extent)
{
	struct tp_extent *last = ask->nr ? &ask->extents[ask->nr - 1] : NULL;

	if (last && continues(last, extent))
		last->length += extent->length;
	else if (ask->nr < BATCH)
		ask->extents[ask->nr++] = *extent;
	else
		return false;
	ask->position = extent->offset + extent->length;

	return true;
}

/* A hole, which may be huge, up to the next mapped block. */
static int add_hole(struct extents_call *ask, struct tpi_thin_state *state,
		    tp_vblock vblock, bool *added)
{
	struct tp_pool *pool = state->pool;
	uint64_t to = ask->end;
	struct tp_extent extent;
	tpi_mapping mapping;
	tp_vblock found;
	int r;

	r = tpi_metadata_next_mapped(&pool->metadata, &state->tree, vblock,
				     &found, &mapping);
	if (r && r != -ENODATA)
		return r;
	if (!r)
		to = tpi_min(to, found * pool->block_bytes);
	extent = extent_of(state, ask->position, to, TPI_UNMAPPED);
	*added = add(ask, &extent);

	return 0;
}

static int add_blocks(struct extents_call *ask, struct tpi_thin_state *state,
		      bool *added)
{
	uint64_t bytes = state->pool->block_bytes;
	tp_vblock vblock = ask->position / bytes;
	tpi_mapping mappings[LOOKUP];
	int r;

	r = tpi_metadata_read_run(&state->pool->metadata, &state->tree, vblock,
				  LOOKUP, mappings);
	if (r)
		return r;
	if (mappings[0] == TPI_UNMAPPED)
		return add_hole(ask, state, vblock, added);
	for (unsigned i = 0; i < LOOKUP && *added && ask->position < ask->end &&
			     mappings[i] != TPI_UNMAPPED;
	     i++) {
		struct tp_extent extent =
			extent_of(state, ask->position,
				  tpi_min(ask->end, (vblock + i + 1) * bytes),
				  mappings[i]);

		*added = add(ask, &extent);
	}

	return 0;
}

static int extents_step(struct tpi_call *call)
{
	struct extents_call *ask =
		tpi_container_of(call, struct extents_call, call);
	struct tpi_thin_state *state = ask->thin->state;
	bool added = true;
	int r = 0;

	if (call->pool->mode == TP_MODE_FAILED)
		return tpi_error(-EIO, "the pool has failed");
	while (!r && added && ask->position < ask->end)
		r = add_blocks(ask, state, &added);

	return r;
}

static int tell(const struct extents_call *ask,
		int (*each)(const struct tp_extent *extent, void *context),
		void *context)
{
	int r = 0;

	for (unsigned i = 0; i < ask->nr && !r; i++)
		r = each(&ask->extents[i], context);

	return r;
}

/* The last run of a batch may go on in the next: it is told then. */
static int tell_batches(struct extents_call *ask,
			int (*each)(const struct tp_extent *extent,
				    void *context),
			void *context)
{
	struct tp_pool *pool = ask->thin->pool;
	int r = 0;

	while (!r && ask->position < ask->end) {
		ask->call = (struct tpi_call){ .changing = false };
		ask->nr = 0;
		r = tpi_call_ask(pool, &ask->call, extents_step);
		if (r)
			return r;
		if (ask->position < ask->end && ask->nr > 1)
			ask->position = ask->extents[--ask->nr].offset;
		r = tell(ask, each, context);
	}

	return r;
}

int tp_thin_each_extent(struct tp_thin *thin, uint64_t offset, uint64_t length,
			int (*each)(const struct tp_extent *extent,
				    void *context),
			void *context)
{
	struct extents_call *ask;
	int r;

	if (!thin || !each)
		return tpi_error(-EINVAL, "no thin, or no function to call");
	if (offset % TP_SECTOR_SIZE || length % TP_SECTOR_SIZE ||
	    offset > thin->size || length > thin->size - offset)
		return tpi_error(-EINVAL,
				 "extents of %llu bytes at %llu: not whole "
				 "sectors within the thin",
				 (unsigned long long)length,
				 (unsigned long long)offset);
	ask = calloc(1, sizeof(*ask));
	if (!ask)
		return tpi_error(-ENOMEM, "no memory to list extents");
	ask->thin = thin;
	ask->position = offset;
	ask->end = offset + length;
	r = tell_batches(ask, each, context);
	free(ask);

	return r;
}
