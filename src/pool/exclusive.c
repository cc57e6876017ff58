/*
 * exclusive.c - what a thin shares with nobody, and deleting it would free.
 *
 * The thin's tree is gone over a piece at a time, each by a descent of its own,
 * so that it may change in between.
 */
#include "pool/call.h"

/* Leaves, or shared nodes passed by, in one turn of the loop. */
#define PIECES_A_TURN 16u

struct exclusive_call {
	struct tpi_call call;
	uint32_t id;
	tp_vblock position;
	uint64_t nr; /* blocks, before the position */
};

/* Of a thin that is open the tree in use; the root may have changed since. */
static int find_tree(struct exclusive_call *ask, struct tpi_thin_tree *tree)
{
	struct tp_pool *pool = ask->call.pool;
	struct tpi_thin_state *state = tpi_thin_find(pool, ask->id);
	int r = 0;

	if (state)
		*tree = state->tree;
	else
		r = tpi_metadata_open_tree(&pool->metadata, ask->id, tree);
	if (r == -ENODATA)
		return tpi_error(r, "the pool has no thin %u", ask->id);

	return r;
}

static int exclusive_step(struct tpi_call *call)
{
	struct exclusive_call *ask =
		tpi_container_of(call, struct exclusive_call, call);
	struct tp_pool *pool = call->pool;
	struct tpi_thin_tree tree;
	int r;

	if (pool->mode == TP_MODE_FAILED)
		return tpi_error(-EOPNOTSUPP, "the pool has failed");
	r = find_tree(ask, &tree);
	if (r)
		return r;
	for (unsigned i = 0; i < PIECES_A_TURN && !r; i++)
		r = tpi_metadata_count_exclusive(&pool->metadata, &tree,
						 &ask->position, &ask->nr);
	if (r)
		return r == -ENODATA ? 0 : r;
	tpi_call_continue(call);

	return -EINPROGRESS;
}

int tp_pool_get_exclusive(struct tp_pool *pool, uint32_t id, uint64_t *bytes)
{
	struct exclusive_call ask = { .id = id };
	int r;

	if (!pool || !bytes)
		return tpi_error(-EINVAL, "no pool, or no place for the bytes");
	if (id >= TP_THIN_ID_END)
		return tpi_error(-EINVAL, "thin %u: ids are below 2^24", id);
	r = tpi_call_ask(pool, &ask.call, exclusive_step);
	if (!r)
		*bytes = ask.nr * pool->block_bytes;

	return r;
}
