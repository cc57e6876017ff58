/*
 * mode.h - what the pool may still do, and how it stops (B-MODE, B-ABORT,
 * B-OODS).
 */
#ifndef TPI_POOL_MODE_H
#define TPI_POOL_MODE_H

#include "pool/pool.h"

/* Switch, as one, and tell the host (B-MODE-3, -4). */
void tpi_mode_set(struct tp_pool *pool, enum tp_pool_mode mode);

/* May metadata be changed and committed? */
static inline bool tpi_mode_can_commit(const struct tp_pool *pool)
{
	return pool->mode <= TP_MODE_OUT_OF_DATA_SPACE && !pool->aborting;
}

/*---------------------------- rolling back (rollback.c) --------------------*/

/* Give up T(r) and T(f): roll back to T(c), set needs_check, go read-only; or,
 * if that fails, to failed.  May be called again while it is under way. */
void tpi_abort(struct tp_pool *pool);

/* If the metadata can no longer be committed. */
static inline void tpi_abort_if_failed(struct tp_pool *pool)
{
	if (tpi_metadata_failed(&pool->metadata))
		tpi_abort(pool);
}

int tpi_rollback_init(struct tp_pool *pool);
void tpi_rollback_exit(struct tp_pool *pool);

/* Something that a rollback, or a suspend, waits for may have ended. */
void tpi_quiet_look(struct tp_pool *pool);

/*
 * Must @task wait, because no metadata may be changed now (@changing) or even
 * read (rolling back)?  Then it is put where it will be made ready.
 */
bool tpi_is_held(struct tp_pool *pool, bool changing, struct tpi_task *task);

/* The same for what can wait, and can commit: has the transaction grown so far
 * that more would only keep others waiting when it closes? */
bool tpi_makes_way(struct tp_pool *pool, struct tpi_task *task);

/* Nothing may be changed until as many releases. */
void tpi_hold_changes(struct tp_pool *pool);
void tpi_release_changes(struct tp_pool *pool);

/*---------------------------- data space (space.c) -------------------------*/

void tpi_space_init(struct tp_pool *pool);

/* A bio found no free data block: keep it until there is one, or end it. */
void tpi_space_wait(struct tp_pool *pool, struct tp_bio *bio);

/* Blocks were freed, or will not be: look at those who wait. */
void tpi_space_look(struct tp_pool *pool);

/* Before a block is taken: low water (B-LWM-1), metadata running low. */
void tpi_space_take(struct tp_pool *pool);

/* After a run was taken: low water as if its blocks had come one by one. */
void tpi_space_taken(struct tp_pool *pool);

/* A change found no metadata space.  True: @task is made ready after a commit,
 * which may free some; false: none comes, and the mode has changed. */
bool tpi_space_await_metadata(struct tp_pool *pool, struct tpi_task *task);

/* After a commit (B-COMMIT-5, B-META-3). */
void tpi_space_committed(struct tp_pool *pool);

/* A resume: whoever waited tries again, the time begins anew (B-OODS-4, -8). */
void tpi_space_resumed(struct tp_pool *pool);

/* End all bios that wait, or those of a handle or queue (NULL: of any). */
void tpi_space_end_waiting(struct tp_pool *pool, const struct tp_thin *thin,
			   const struct tp_queue *queue, int error);

/*---------------------------- the hook (hook.c) ----------------------------*/

int tpi_hook_init(struct tp_pool *pool);
void tpi_hook_exit(struct tp_pool *pool);

/* Flush the data device in the thread that runs the hook. */
int tpi_hook_flush(struct tp_pool *pool);

/* Run the pre-commit hook, or the default; tpi_flush_ended() follows. */
void tpi_hook_run(struct tp_pool *pool);

/* Does the calling thread run the pool's hook now? */
bool tpi_hook_is_here(struct tp_pool *pool);

/*---------------------------- flushes (flush.c) ----------------------------*/

int tpi_flushes_init(struct tp_pool *pool);
void tpi_flushes_exit(struct tp_pool *pool);

/* Make durable what completed on the bio's thin before; tpi_bio_flushed()
 * follows. */
void tpi_flush_bio(struct tp_bio *bio);

/* Flush the data device; whoever comes while one is under way shares the next.
 * Through @waiter, which is not a commit's here. */
void tpi_flush_wait(struct tp_pool *pool, struct tpi_commit_waiter *waiter);

/* At most one of each kind is under way. */
enum tpi_flush_kind {
	TPI_FLUSH_ASKED_FOR,
	TPI_FLUSH_OF_COMMIT, /* the hook */
	TPI_NR_FLUSH_KINDS,
};

/* A data flush begins; and how it ended (B-FLUSH-10).  The commit is told of its
 * own by tpi_commit_data_flushed(), perhaps later, perhaps by another error. */
void tpi_flush_began(struct tp_pool *pool, enum tpi_flush_kind kind);
void tpi_flush_ended(struct tp_pool *pool, enum tpi_flush_kind kind, int error);
void tpi_commit_data_flushed(struct tp_pool *pool, int error);

/* Some thin has writes that ended and that no flush made durable. */
bool tpi_flush_is_needed(struct tp_pool *pool);

bool tpi_flush_is_busy(const struct tp_pool *pool);

/* A commit has ended: bios that waited to see what is still to be done. */
void tpi_flushes_after_commit(struct tp_pool *pool);

/*---------------------------- deleting big thins (deletion.c) --------------*/

int tpi_deletion_init(struct tp_pool *pool);
void tpi_deletion_exit(struct tp_pool *pool);

/* There may be something to empty: look, and go on until there is not. */
void tpi_deletion_start(struct tp_pool *pool);

/* The next id, from *@id on, that a thin to be emptied gets.  -EAGAIN. */
int tpi_deletion_next_id(struct tp_pool *pool, uint64_t *id);

/* How many nodes one step may delete: @most, or as many as find room in the
 * cache together, beside what else is there. */
unsigned tpi_deletion_nodes(const struct tp_pool *pool, unsigned most);

/* Delete a thin in one step, if that touches no more nodes than that.  As
 * tpi_metadata_delete_thin. */
int tpi_deletion_delete(struct tp_pool *pool, uint64_t id, unsigned most);

/* Is one being emptied, so that there will be more free blocks soon? */
bool tpi_deletion_goes_on(const struct tp_pool *pool);

/* Rolled back: start over. */
void tpi_deletion_reset(struct tp_pool *pool);

/*---------------------------- preparations (preparation.c) -----------------*/

int tpi_preparations_init(struct tp_pool *pool);
void tpi_preparations_exit(struct tp_pool *pool);

/*
 * Give the unmapped or shared block at the bio's position a data block of its
 * own, and write the bio's data to it; more blocks than one if the bio covers
 * them whole.  Moves the position.  0: under way, or done; -EINPROGRESS: the
 * bio waits; -EAGAIN: a metadata block is being read; -ENOSPC, -EIO, ...
 */
int tpi_prepare(struct tp_bio *bio, struct tpi_thin_state *state,
		tpi_mapping mapping);

/*---------------------------- unmapping (unmap.c) --------------------------*/

/*
 * Unmap the whole blocks [begin, end) as a part of the bio: it ends like any
 * other.  -ENOMEM.
 */
int tpi_unmap(struct tp_bio *bio, struct tpi_thin_state *state, tp_vblock begin,
	      tp_vblock end);
void tpi_unmappings_exit(struct tp_pool *pool);

/* End what is left of those of a handle, or of a queue, with -ECANCELED. */
void tpi_unmap_cancel(struct tp_pool *pool, const struct tp_thin *thin,
		      const struct tp_queue *queue);

/* Are discards passed down, as configured and as the device can (B-POOL-6)? */
bool tpi_passdown_is_effective(const struct tp_pool *pool);

/* Is what deleting a thin frees? */
bool tpi_passdown_of_deleted(const struct tp_pool *pool);

/*---------------------------- trimming (trim.c) ----------------------------*/

/* Is the data device being told of free blocks? */
bool tpi_trim_is_busy(const struct tp_pool *pool);

#endif
