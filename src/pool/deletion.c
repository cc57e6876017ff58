/*
 * deletion.c - emptying thins that are too big to be deleted in one transaction
 * (architecture.md, decision 12).
 *
 * Such a thin is given an id above the catalogue's; with the commit of that it
 * is gone for everybody.  Then it is emptied from its end, a piece at a time,
 * in as many transactions as it takes, and at last removed.  After a crash the
 * next writable open goes on.
 */
#include <stdlib.h>

#include "pool/mode.h"

/* tpi_id_is_of_deleted() */
#define DOOMED_IDS (TPI_CATALOGUE_ID + 1)

/* Pieces of a leaf each, and nodes that the last step may touch at once. */
#define PIECES_A_TURN 4u
#define NODES_AT_ONCE 64u

struct tpi_deletion {
	struct tp_pool *pool;
	struct tpi_task task;
	bool running, has_tree;
	struct tpi_thin_tree tree;
	struct tpi_shrink shrink;
	struct tpi_timer retry;
};

/* Without memory it tries again after this. */
#define RETRY_NS 100000000u

static void run(struct tpi_task *task);
static void retry(struct tpi_timer *timer);

int tpi_deletion_init(struct tp_pool *pool)
{
	struct tpi_deletion *deletion = calloc(1, sizeof(*deletion));

	if (!deletion)
		return -ENOMEM;
	deletion->pool = pool;
	tpi_task_init(&deletion->task, run);
	tpi_timer_init(&deletion->retry, retry);
	tpi_list_init(&deletion->tree.dirty);
	pool->deletion = deletion;

	return 0;
}

void tpi_deletion_exit(struct tp_pool *pool)
{
	free(pool->deletion);
}

void tpi_deletion_start(struct tp_pool *pool)
{
	struct tpi_deletion *deletion = pool->deletion;

	if (deletion->running || pool->read_only)
		return;
	deletion->running = true;
	tpi_loop_ready(&pool->loop, &deletion->task);
}

bool tpi_deletion_goes_on(const struct tp_pool *pool)
{
	const struct tpi_deletion *deletion = pool->deletion;

	return deletion->running && tpi_list_empty(&deletion->retry.entry);
}

void tpi_deletion_reset(struct tp_pool *pool)
{
	struct tpi_deletion *deletion = pool->deletion;

	if (deletion->has_tree)
		tpi_list_del(&deletion->tree.dirty);
	deletion->has_tree = false;
}

/* A quarter of the cache: as much may be dirty, as much frozen (mode.c). */
unsigned tpi_deletion_nodes(const struct tp_pool *pool, unsigned most)
{
	return (unsigned)tpi_min((size_t)most,
				 tpi_cache_limit(pool->cache) / 4);
}

int tpi_deletion_delete(struct tp_pool *pool, uint64_t id, unsigned most)
{
	int r;

	pool->metadata.discarding = tpi_passdown_of_deleted(pool);
	r = tpi_metadata_delete_thin(&pool->metadata, id,
				     tpi_deletion_nodes(pool, most));
	pool->metadata.discarding = false;

	return r;
}

int tpi_deletion_next_id(struct tp_pool *pool, uint64_t *id)
{
	struct tpi_metadata *md = &pool->metadata;
	struct tpi_details details;
	uint64_t found;
	int r;

	for (*id = tpi_max(*id, DOOMED_IDS);; (*id)++) {
		r = tpi_metadata_next_thin(md, *id, &found, &details);
		if (r == -ENODATA || (!r && found > *id))
			return 0;
		if (r)
			return r;
	}
}

static int find_tree(struct tpi_deletion *deletion)
{
	struct tpi_metadata *md = &deletion->pool->metadata;
	struct tpi_details details;
	uint64_t id;
	int r;

	if (deletion->has_tree)
		return 0;
	r = tpi_metadata_next_thin(md, DOOMED_IDS, &id, &details);
	if (!r)
		r = tpi_metadata_open_tree(md, id, &deletion->tree);
	if (r)
		return r;
	deletion->shrink = (struct tpi_shrink){ .counting = false };
	deletion->has_tree = true;

	return 0;
}

/* What is left of it may go at once.  -EFBIG: it is too much. */
static int remove_tree(struct tpi_deletion *deletion)
{
	struct tp_pool *pool = deletion->pool;
	int r = tpi_deletion_delete(pool, deletion->tree.id, NODES_AT_ONCE);

	if (!r)
		tpi_deletion_reset(pool);

	return r;
}

static int shrink_tree(struct tpi_deletion *deletion)
{
	struct tp_pool *pool = deletion->pool;
	int r;

	pool->metadata.discarding = tpi_passdown_of_deleted(pool);
	r = tpi_metadata_shrink_thin(&pool->metadata, &deletion->tree,
				     &deletion->shrink);
	pool->metadata.discarding = false;

	return r;
}

/* -ENODATA: there is nothing to empty. */
static int step(struct tpi_deletion *deletion)
{
	int r = find_tree(deletion);

	if (r)
		return r;
	r = remove_tree(deletion);
	if (r != -EFBIG)
		return r;
	r = shrink_tree(deletion);

	return r == -ENODATA ? remove_tree(deletion) : r;
}

static void retry(struct tpi_timer *timer)
{
	struct tpi_deletion *deletion =
		tpi_container_of(timer, struct tpi_deletion, retry);

	tpi_loop_ready(&deletion->pool->loop, &deletion->task);
}

static void stop(struct tpi_deletion *deletion)
{
	deletion->running = false;
	tpi_space_look(deletion->pool);
}

static void wait_for_memory(struct tpi_deletion *deletion)
{
	struct tp_pool *pool = deletion->pool;

	tpi_timer_set(&pool->loop, &deletion->retry,
		      tpi_loop_now(&pool->loop) + RETRY_NS);
	tpi_space_look(pool);
}

static void run(struct tpi_task *task)
{
	struct tpi_deletion *deletion =
		tpi_container_of(task, struct tpi_deletion, task);
	struct tp_pool *pool = deletion->pool;
	int r = 0;

	if (tpi_loop_leave_to_thread(&pool->loop, task) ||
	    tpi_is_held(pool, true, task))
		return;
	if (!tpi_mode_can_commit(pool) || pool->closing) {
		stop(deletion);
		return;
	}
	if (tpi_makes_way(pool, task))
		return;
	for (unsigned i = 0; i < PIECES_A_TURN && !r; i++)
		r = step(deletion);
	tpi_abort_if_failed(pool);
	if (r == -ENOSPC && tpi_space_await_metadata(pool, task))
		return;
	if (!r)
		tpi_loop_ready(&pool->loop, task);
	else if (r == -EAGAIN)
		tpi_loop_await_block(&pool->loop, task);
	else if (r == -ENOMEM)
		wait_for_memory(deletion);
	else
		stop(deletion);
}
