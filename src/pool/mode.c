/*
 * mode.c - modes, gates, and holding back changes.
 */
#include "pool/mode.h"

#include "pool/bio.h"
#include "pool/event.h"

const char *tp_pool_mode_name(enum tp_pool_mode mode)
{
	static const char *const names[] = {
		[TP_MODE_WRITE] = "write",
		[TP_MODE_OUT_OF_DATA_SPACE] = "out of data space",
		[TP_MODE_OUT_OF_METADATA_SPACE] = "out of metadata space",
		[TP_MODE_READ_ONLY] = "read-only",
		[TP_MODE_FAILED] = "failed",
	};

	if ((unsigned)mode >= TPI_ARRAY_SIZE(names))
		return "unknown";

	return names[mode];
}

/*---------------------------- gates ----------------------------------------*/

void tpi_thin_gate(struct tpi_thin_state *state, unsigned set, unsigned clear)
{
	unsigned gate =
		atomic_load_explicit(&state->gate, memory_order_relaxed);

	atomic_store_explicit(&state->gate, (gate & ~clear) | set,
			      memory_order_release);
	if (clear)
		tpi_held_release(state);
}

struct gates {
	unsigned set, clear;
};

static void gate_one(struct tpi_thin_state *state, void *context)
{
	const struct gates *gates = context;

	tpi_thin_gate(state, gates->set, gates->clear);
}

void tpi_gate_all(struct tp_pool *pool, unsigned set, unsigned clear)
{
	struct gates gates = { set, clear };

	tpi_thins_each(pool, gate_one, &gates);
}

/*---------------------------- switching ------------------------------------*/

/* Those who wait for what will not come end with an error (B-MODE-4). */
void tpi_mode_set(struct tp_pool *pool, enum tp_pool_mode mode)
{
	enum tp_pool_mode old = pool->mode;

	if (mode == old || old == TP_MODE_FAILED)
		return;
	pool->mode = mode;
	if (mode == TP_MODE_FAILED)
		tpi_gate_all(pool, TPI_GATE_FAILED, 0);
	if (mode != TP_MODE_OUT_OF_DATA_SPACE) {
		tpi_timer_cancel(&pool->no_space_timer);
		tpi_timer_cancel(&pool->thin_timer);
	}
	if (mode >= TP_MODE_OUT_OF_METADATA_SPACE)
		tpi_space_end_waiting(pool, NULL, NULL,
				      old == TP_MODE_OUT_OF_DATA_SPACE ? -ENOSPC
								       : -EIO);
	tpi_log(mode == TP_MODE_WRITE ? TP_LOG_INFO : TP_LOG_WARNING,
		"the pool went from mode '%s' to mode '%s'",
		tp_pool_mode_name(old), tp_pool_mode_name(mode));
	tpi_event_raise(pool, TP_EVENT_MODE, old);

	/* What the mode left held up goes on. */
	if (mode == TP_MODE_WRITE && old >= TP_MODE_OUT_OF_METADATA_SPACE)
		tpi_deletion_start(pool);
}

/*---------------------------- holding changes ------------------------------*/

/* So many changed data blocks take a few milliseconds to be brought into the
 * space map when the transaction closes, and nothing else is done meanwhile. */
#define MANY_DATA_CHANGES (8u << 10)

/* Beyond a quarter of the cache, @nr_times. */
static bool has_grown(const struct tp_pool *pool, unsigned nr_times)
{
	return tpi_cache_nr_dirty(pool->cache) >=
		       nr_times * (tpi_cache_limit(pool->cache) / 4) ||
	       tpi_data_sm_nr_changes(pool->metadata.data_sm) >=
		       nr_times * MANY_DATA_CHANGES;
}

/* A transaction that has grown is committed; one that has grown twice as far
 * while another is on its way has to wait for that (B-COMMIT-7). */
static bool is_too_big(struct tp_pool *pool)
{
	if (pool->mode == TP_MODE_FAILED)
		return false; /* there is no metadata any more */
	if (has_grown(pool, 1))
		tpi_commit_want(pool);

	return tpi_commit_is_busy(&pool->commit) && has_grown(pool, 2);
}

static void hold(struct tp_pool *pool, struct tpi_task *task)
{
	tpi_list_del(&task->entry);
	tpi_list_add_tail(&pool->change_waiters, &task->entry);
}

bool tpi_is_held(struct tp_pool *pool, bool changing, struct tpi_task *task)
{
	if (!pool->aborting &&
	    !(changing && (pool->changes_held || is_too_big(pool))))
		return false;
	hold(pool, task);

	return true;
}

bool tpi_makes_way(struct tp_pool *pool, struct tpi_task *task)
{
	if (!has_grown(pool, 1))
		return false;
	hold(pool, task);
	tpi_commit_want(pool);

	return true;
}

void tpi_hold_changes(struct tp_pool *pool)
{
	pool->changes_held++;
}

void tpi_release_changes(struct tp_pool *pool)
{
	if (--pool->changes_held == 0)
		tpi_loop_ready_all(&pool->loop, &pool->change_waiters);
}
