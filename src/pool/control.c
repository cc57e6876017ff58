/*
 * control.c - the calls that change a pool: thins, snapshots, the transaction
 * id, metadata snapshots, growth, suspend and resume.
 */
#include "pool/control.h"

#include <stdlib.h>
#include <string.h>

#include "pool/bio.h"
#include "pool/call.h"
#include "pool/event.h"
#include "pool/mode.h"

/* Nodes that a delete may touch in one step; a bigger thin is emptied in the
 * background. */
#define DELETE_NODES_MAX 256u

static int check_id(uint64_t id)
{
	if (id < TP_THIN_ID_END)
		return 0;

	return tpi_error(-EINVAL, "thin %llu: ids are below 2^24",
			 (unsigned long long)id);
}

static int check_pool(const struct tp_pool *pool)
{
	return pool ? 0 : tpi_error(-EINVAL, "no pool was given");
}

/*---------------------------- create and delete ----------------------------*/

struct id_call {
	struct tpi_call call;
	uint32_t id;
};

static int create_step(struct tpi_call *call)
{
	struct id_call *create = tpi_container_of(call, struct id_call, call);

	return tpi_metadata_create_thin(&call->pool->metadata, create->id);
}

int tp_pool_create_thin(struct tp_pool *pool, uint32_t id)
{
	struct id_call create = { .id = id };
	int r = check_pool(pool);

	if (!r)
		r = check_id(id);

	return r ? r : tpi_call_change(pool, &create.call, create_step);
}

int tpi_delete_step(struct tp_pool *pool, uint64_t id)
{
	struct tpi_thin_state *state = tpi_thin_find(pool, id);
	uint64_t doomed = 0;
	int r;

	if (state && !tpi_list_empty(&state->handles))
		return tpi_error(-EBUSY, "thin %llu is open",
				 (unsigned long long)id);
	if (state) {
		r = tpi_metadata_sync_details(&pool->metadata, &state->tree);
		if (r)
			return r;
	}
	r = tpi_deletion_delete(pool, id, DELETE_NODES_MAX);
	if (r == -EFBIG) {
		r = tpi_deletion_next_id(pool, &doomed);
		if (!r)
			r = tpi_metadata_rename_thin(&pool->metadata, id,
						     doomed);
		if (!r)
			tpi_deletion_start(pool);
	}
	if (r == -ENODATA)
		return tpi_error(r, "the pool has no thin %llu",
				 (unsigned long long)id);

	if (!r && state)
		tpi_thin_state_forget(state);

	return r;
}

static int delete_step(struct tpi_call *call)
{
	struct id_call *delete = tpi_container_of(call, struct id_call, call);

	return tpi_delete_step(call->pool, delete->id);
}

int tp_pool_delete_thin(struct tp_pool *pool, uint32_t id)
{
	struct id_call delete = { .id = id };
	int r = check_pool(pool);

	if (!r)
		r = check_id(id);

	return r ? r : tpi_call_change(pool, &delete.call, delete_step);
}

/*---------------------------- snapshots ------------------------------------*/

/*
 * The origins are made quiet first: new writes held, the sections that are
 * there left, the writes begun ended (architecture.md, decision 5).  Then all
 * snapshots are taken in one step, so at one instant.
 */
struct tpi_snapshot_grace {
	struct tpi_grace grace;
	struct tpi_snapshot *snapshot;
};

struct snapshot_call {
	struct tpi_call call;
	struct tpi_snapshot snapshot;
};

static struct tpi_thin_state *open_origin(const struct tpi_snapshot *snapshot,
					  size_t i)
{
	struct tpi_thin_state *state =
		tpi_thin_find(snapshot->call->pool, snapshot->pairs[i].origin);

	return state && !tpi_list_empty(&state->handles) ? state : NULL;
}

static void origin_quiet(struct tpi_grace *grace)
{
	struct tpi_snapshot *snapshot =
		tpi_container_of(grace, struct tpi_snapshot_grace, grace)
			->snapshot;

	if (--snapshot->nr_graces == 0)
		tpi_call_continue(snapshot->call);
}

/* -EINPROGRESS: goes on when all origins are quiet. */
static int gate_origins(struct tpi_snapshot *snapshot)
{
	size_t i;

	snapshot->gated = true;
	for (i = 0; i < snapshot->nr; i++) {
		struct tpi_thin_state *state = open_origin(snapshot, i);

		if (!state)
			continue;
		tpi_thin_gate(state, TPI_GATE_WRITES, 0);
		snapshot->graces[i].snapshot = snapshot;
		snapshot->nr_graces++;
		tpi_epoch_wait(&state->epoch, &snapshot->graces[i].grace,
			       origin_quiet);
	}

	return snapshot->nr_graces ? -EINPROGRESS : 0;
}

void tpi_snapshot_ungate(struct tpi_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->nr; i++) {
		struct tpi_thin_state *state = open_origin(snapshot, i);

		if (state)
			tpi_thin_gate(state, 0, TPI_GATE_WRITES);
	}
}

static int await_writes(struct tpi_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->nr; i++) {
		struct tpi_thin_state *state = open_origin(snapshot, i);

		if (state &&
		    !tpi_writes_are_quiet(state, &snapshot->call->task))
			return -EINPROGRESS;
	}

	return 0;
}

/* Refuse before anything is changed, so that it is all or none. */
static int check_pairs(struct tpi_call *call,
		       const struct tpi_snapshot *snapshot)
{
	struct tpi_metadata *md = &call->pool->metadata;
	struct tpi_thin_tree tree;

	for (size_t i = 0; i < snapshot->nr; i++) {
		uint32_t origin = snapshot->pairs[i].origin;
		uint32_t id = snapshot->pairs[i].id;
		int r = tpi_metadata_open_tree(md, origin, &tree);

		if (r == -ENODATA)
			return tpi_error(r, "the pool has no thin %u", origin);
		if (r)
			return r;
		r = tpi_metadata_open_tree(md, id, &tree);
		if (!r)
			return tpi_error(-EEXIST, "thin %u exists already", id);
		if (r != -ENODATA)
			return r;
	}

	return 0;
}

/* Snapshots taken together share one time, and none is spent if no origin has
 * a mapping of the current one (architecture.md, decision 13). */
static bool needs_time(struct tpi_call *call,
		       const struct tpi_snapshot *snapshot)
{
	struct tp_pool *pool = call->pool;

	for (size_t i = 0; i < snapshot->nr; i++) {
		struct tpi_thin_state *state =
			tpi_thin_find(pool, snapshot->pairs[i].origin);

		if (!state || state->stamped ||
		    state->tree.details.snapshotted_time != pool->metadata.time)
			return true;
	}

	return false;
}

static int choose_time(struct tpi_call *call, struct tpi_snapshot *snapshot)
{
	snapshot->spend_time = needs_time(call, snapshot);
	if (!snapshot->spend_time || call->pool->metadata.time < TPI_TIME_MAX)
		return 0;

	return tpi_error(-EOVERFLOW,
			 "the pool has no time left for another snapshot");
}

/* So many snapshots taken together cannot run out of memory half way. */
#define TOGETHER_MAX 16u

/* What would make all of them fail is found before the first is taken. */
static int find_memory(struct tpi_call *call,
		       const struct tpi_snapshot *snapshot)
{
	unsigned nr = (unsigned)tpi_min(snapshot->nr, TOGETHER_MAX);
	struct tp_pool *pool = call->pool;
	struct tpi_thin_state *state;

	for (size_t i = 0; i < snapshot->nr; i++) {
		int r = tpi_thin_get_state(pool, snapshot->pairs[i].origin,
					   &state);

		if (r)
			return r;
	}

	return tpi_metadata_make_room(&pool->metadata, nr, 0);
}

static int take_one(struct tpi_call *call, const struct tp_snapshot_pair *pair,
		    bool spend_time)
{
	struct tp_pool *pool = call->pool;
	struct tpi_thin_state *state;
	int r;

	r = tpi_thin_get_state(pool, pair->origin, &state);
	if (!r)
		r = tpi_metadata_create_snapshot(&pool->metadata, pair->id,
						 pair->origin, &state->tree,
						 spend_time);
	if (r)
		return r;
	state->stamped = false;
	tpi_thin_publish(state);

	return 0;
}

static int find_space(struct tpi_call *call,
		      const struct tpi_snapshot *snapshot)
{
	if (tpi_metadata_has_snapshot_room(&call->pool->metadata, snapshot->nr))
		return 0;

	return tpi_error(-ENOSPC, "the metadata device is full");
}

/* All that is refused is refused before the first is taken.  A block that has
 * to be read may interrupt, so nothing is committed until the last is. */
static int take_all(struct tpi_call *call, struct tpi_snapshot *snapshot)
{
	int r;

	if (!snapshot->nr_taken) {
		r = check_pairs(call, snapshot);
		if (!r)
			r = choose_time(call, snapshot);
		if (!r)
			r = find_memory(call, snapshot);
		if (!r)
			r = find_space(call, snapshot);
		if (r)
			return r;
	}
	do {
		r = take_one(call, &snapshot->pairs[snapshot->nr_taken],
			     snapshot->spend_time && !snapshot->nr_taken);
		snapshot->nr_taken += !r;
	} while (!r && snapshot->nr_taken < snapshot->nr);
	call->pool->commit.held = r == -EAGAIN && snapshot->nr_taken;

	return r;
}

int tpi_snapshot_quiet(struct tpi_snapshot *snapshot)
{
	int r = 0;

	if (!snapshot->gated)
		r = gate_origins(snapshot);

	return r ? r : await_writes(snapshot);
}

bool tpi_snapshot_spends_time(struct tpi_snapshot *snapshot)
{
	return needs_time(snapshot->call, snapshot);
}

int tpi_snapshot_step(struct tpi_call *call, struct tpi_snapshot *snapshot)
{
	int r = tpi_snapshot_quiet(snapshot);

	if (!r)
		r = take_all(call, snapshot);
	if (r == -EINPROGRESS || r == -EAGAIN)
		return r;

	/* Some of them and not all: none may become durable. */
	if (r && snapshot->nr_taken)
		call->pool->metadata.failed = r;
	if (!r)
		tpi_snapshot_ungate(snapshot);

	return r;
}

static int snapshot_step(struct tpi_call *call)
{
	struct snapshot_call *snapshot =
		tpi_container_of(call, struct snapshot_call, call);

	return tpi_snapshot_step(call, &snapshot->snapshot);
}

static void snapshot_undo(struct tpi_call *call)
{
	tpi_snapshot_ungate(
		&tpi_container_of(call, struct snapshot_call, call)->snapshot);
}

static int check_pair(const struct tp_snapshot_pair *pair)
{
	int r = check_id(pair->id);

	if (!r)
		r = check_id(pair->origin);
	if (!r && pair->id == pair->origin)
		r = tpi_error(-EINVAL, "thin %u as a snapshot of itself",
			      pair->id);

	return r;
}

static int check_all_pairs(const struct tp_snapshot_pair *pairs, size_t nr)
{
	int r = 0;

	for (size_t i = 0; i < nr && !r; i++) {
		r = check_pair(&pairs[i]);
		for (size_t j = 0; j < i && !r; j++)
			if (pairs[i].id == pairs[j].id)
				r = tpi_error(-EEXIST, "thin %u twice",
					      pairs[i].id);
	}

	return r;
}

int tpi_snapshot_init(struct tpi_snapshot *snapshot, struct tpi_call *call,
		      const struct tp_snapshot_pair *pairs, size_t nr)
{
	int r = check_all_pairs(pairs, nr);

	if (r)
		return r;
	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->call = call;
	snapshot->pairs = pairs;
	snapshot->nr = nr;
	snapshot->graces = calloc(nr, sizeof(*snapshot->graces));

	return snapshot->graces ? 0 : tpi_error(-ENOMEM, "no memory");
}

void tpi_snapshot_exit(struct tpi_snapshot *snapshot)
{
	free(snapshot->graces);
}

int tp_pool_create_snapshots(struct tp_pool *pool,
			     const struct tp_snapshot_pair *pairs, size_t nr)
{
	struct snapshot_call snapshot = { .call = { .undo = snapshot_undo } };
	int r = check_pool(pool);

	if (r || !nr)
		return r;
	if (!pairs)
		return tpi_error(-EINVAL, "no pairs were given");
	r = tpi_snapshot_init(&snapshot.snapshot, &snapshot.call, pairs, nr);
	if (r)
		return r;
	r = tpi_call_change(pool, &snapshot.call, snapshot_step);
	tpi_snapshot_exit(&snapshot.snapshot);

	return r;
}

int tp_pool_create_snapshot(struct tp_pool *pool, uint32_t id, uint32_t origin)
{
	struct tp_snapshot_pair pair = { .id = id, .origin = origin };

	return tp_pool_create_snapshots(pool, &pair, 1);
}

/*---------------------------- transaction id -------------------------------*/

struct transaction_id_call {
	struct tpi_call call;
	uint64_t expected, next;
};

static int transaction_id_step(struct tpi_call *call)
{
	struct transaction_id_call *set =
		tpi_container_of(call, struct transaction_id_call, call);
	struct tpi_metadata *md = &call->pool->metadata;

	if (md->transaction_id != set->expected)
		return tpi_error(-EINVAL,
				 "the transaction id is %llu, not %llu",
				 (unsigned long long)md->transaction_id,
				 (unsigned long long)set->expected);
	tpi_metadata_set_transaction_id(md, set->next);

	return 0;
}

int tp_pool_set_transaction_id(struct tp_pool *pool, uint64_t expected,
			       uint64_t next)
{
	struct transaction_id_call set = { .expected = expected, .next = next };
	int r = check_pool(pool);

	return r ? r : tpi_call_change(pool, &set.call, transaction_id_step);
}

/*---------------------------- commit ---------------------------------------*/

static int commit_step(struct tpi_call *call)
{
	(void)call;
	return 0;
}

int tp_pool_commit(struct tp_pool *pool)
{
	struct tpi_call commit = { .any_mode = false };
	int r = check_pool(pool);

	return r ? r : tpi_call_change(pool, &commit, commit_step);
}

/*---------------------------- metadata snapshots ---------------------------*/

/*
 * The copy is of T(c), so T(r) has to be as T(c) when it is made: changes are
 * held back from before the commit until then.
 */
struct reserve_call {
	struct tpi_call call;
	struct tpi_commit_waiter committed;
	bool started, ended;
	int error;
};

static void reserve_committed(struct tpi_commit_waiter *waiter, int error)
{
	struct reserve_call *reserve =
		tpi_container_of(waiter, struct reserve_call, committed);

	/* That is what the host is told, whatever mode it left. */
	reserve->call.any_mode = error != 0;
	reserve->ended = true;
	reserve->error = error;
	tpi_call_continue(&reserve->call);
}

static int reserve_step(struct tpi_call *call)
{
	struct reserve_call *reserve =
		tpi_container_of(call, struct reserve_call, call);
	struct tp_pool *pool = call->pool;
	int r;

	if (!reserve->started) {
		reserve->started = true;
		reserve->call.ignores_hold = true;
		tpi_hold_changes(pool);
		reserve->committed.committed = reserve_committed;
		tpi_commit_wait(pool, &reserve->committed);
	}
	if (!reserve->ended)
		return -EINPROGRESS;
	r = reserve->error;
	if (!r)
		r = tpi_metadata_reserve_held_root(&pool->metadata);
	if (!r) {
		reserve->started = false;
		tpi_release_changes(pool);
	}

	return r;
}

static void reserve_undo(struct tpi_call *call)
{
	struct reserve_call *reserve =
		tpi_container_of(call, struct reserve_call, call);

	if (reserve->started)
		tpi_release_changes(call->pool);
}

int tp_pool_reserve_metadata_snapshot(struct tp_pool *pool)
{
	struct reserve_call reserve = { .call = { .undo = reserve_undo } };
	int r = check_pool(pool);

	return r ? r : tpi_call_change(pool, &reserve.call, reserve_step);
}

struct release_call {
	struct tpi_call call;
	struct tpi_release release;
	uint64_t doomed; /* the id that the next thin may be moved to */
	bool moved;
	struct tpi_timer retry;
	unsigned nr_retries;
};

/* Pieces that are taken off in one turn. */
#define RELEASE_PIECES 16u

/* Without memory one is tried again so often. */
#define RELEASE_RETRIES_MAX 5u
#define RELEASE_RETRY_NS 20000000u

static void retry_release(struct tpi_timer *timer)
{
	tpi_call_continue(
		&tpi_container_of(timer, struct release_call, retry)->call);
}

/* What has gone of it cannot stay alone, so the rest waits for memory, for a
 * while (F-19). */
static int await_memory(struct release_call *release)
{
	struct tp_pool *pool = release->call.pool;

	if (release->nr_retries == RELEASE_RETRIES_MAX) {
		tpi_abort(pool);
		return -ENOMEM;
	}
	release->nr_retries++;
	tpi_timer_set(&pool->loop, &release->retry,
		      tpi_loop_now(&pool->loop) + RELEASE_RETRY_NS);

	return -EINPROGRESS;
}

static int release_piece(struct tp_pool *pool, struct release_call *release)
{
	bool moved = false;
	int r;

	r = tpi_deletion_next_id(pool, &release->doomed);
	if (!r)
		r = tpi_metadata_release_piece(
			&pool->metadata, &release->release,
			tpi_deletion_nodes(pool, DELETE_NODES_MAX),
			release->doomed, &moved);
	release->moved |= moved;

	return r;
}

/* In turns, but in one transaction: a crash leaves the snapshot or none. */
static int release_step(struct tpi_call *call)
{
	struct release_call *release =
		tpi_container_of(call, struct release_call, call);
	struct tp_pool *pool = call->pool;
	int r = 0;

	for (unsigned i = 0; i < RELEASE_PIECES && !r; i++)
		r = release_piece(pool, release);
	if (r == -ENODATA) {
		r = tpi_metadata_release_held_root(&pool->metadata,
						   &release->release);
	} else if (!r) {
		release->nr_retries = 0;
		tpi_call_continue(call);
		r = -EINPROGRESS;
	}
	if (r == -ENOMEM && release->release.changed)
		r = await_memory(release);
	pool->commit.held = (r == -EAGAIN || r == -EINPROGRESS) &&
			    release->release.changed;
	if (!r && release->moved)
		tpi_deletion_start(pool);

	return r;
}

int tp_pool_release_metadata_snapshot(struct tp_pool *pool)
{
	struct release_call release = { .doomed = 0 };
	int r = check_pool(pool);

	tpi_timer_init(&release.retry, retry_release);

	return r ? r : tpi_call_change(pool, &release.call, release_step);
}

/*---------------------------- growth ---------------------------------------*/

/* What the devices have room for, of what the format can address. */
static uint64_t data_room(const struct tp_pool *pool)
{
	return tpi_min(tpi_device_size(pool->data_device) / pool->block_bytes,
		       TPI_DATA_BLOCKS_MAX - 1);
}

static uint64_t metadata_room(const struct tp_pool *pool)
{
	return tpi_min(tpi_device_size(pool->metadata_device) /
			       TPI_MBLOCK_BYTES,
		       TPI_METADATA_BLOCKS_MAX);
}

static int refuse_shrinking(const char *what, uint64_t nr, uint64_t recorded)
{
	if (nr >= recorded)
		return 0;

	return tpi_error(-EINVAL,
			 "the %s device has %llu blocks, and the pool %llu: it "
			 "cannot shrink",
			 what, (unsigned long long)nr,
			 (unsigned long long)recorded);
}

static int refuse_growth(const struct tp_pool *pool, const char *what,
			 uint64_t nr, uint64_t recorded)
{
	if (pool->needs_check)
		return tpi_error(-EOPNOTSUPP,
				 "the pool needs a check: it cannot grow");

	return refuse_shrinking(what, nr, recorded);
}

int tpi_grow_check(struct tp_pool *pool, bool *larger)
{
	struct tpi_metadata *md = &pool->metadata;
	uint64_t nr_data, nr_metadata;
	int r;

	*larger = false;
	if (pool->mode == TP_MODE_FAILED)
		return 0; /* there is no metadata any more */
	nr_data = tpi_data_sm_nr_blocks(md->data_sm);
	nr_metadata = tpi_metadata_sm_nr_blocks(md->metadata_sm);
	r = refuse_shrinking("data", data_room(pool), nr_data);
	if (!r)
		r = refuse_shrinking("metadata", metadata_room(pool),
				     nr_metadata);
	*larger = data_room(pool) > nr_data ||
		  metadata_room(pool) > nr_metadata;

	return r;
}

int tpi_grow_data_step(struct tp_pool *pool)
{
	struct tpi_metadata *md = &pool->metadata;
	uint64_t nr = data_room(pool);
	uint64_t recorded = tpi_data_sm_nr_blocks(md->data_sm);
	int r;

	r = refuse_growth(pool, "data", nr, recorded);
	if (r || nr == recorded)
		return r;
	r = tpi_metadata_grow_data(md, nr);
	if (!r)
		pool->low_water_triggered = false;

	return r;
}

int tpi_grow_metadata_step(struct tp_pool *pool)
{
	struct tpi_metadata *md = &pool->metadata;
	uint64_t nr = metadata_room(pool);
	uint64_t recorded = tpi_metadata_sm_nr_blocks(md->metadata_sm);
	int r;

	r = refuse_growth(pool, "metadata", nr, recorded);
	if (r || nr == recorded)
		return r;

	/* More metadata is the way out of that mode (B-META-5). */
	if (pool->mode == TP_MODE_OUT_OF_METADATA_SPACE)
		tpi_mode_set(pool, TP_MODE_WRITE);

	return tpi_metadata_grow_metadata(md, nr);
}

static int grow_data_step(struct tpi_call *call)
{
	return tpi_grow_data_step(call->pool);
}

static int grow_metadata_step(struct tpi_call *call)
{
	if (call->pool->mode > TP_MODE_OUT_OF_METADATA_SPACE)
		return tpi_error(-EOPNOTSUPP,
				 "the pool is in mode '%s': it cannot grow",
				 tp_pool_mode_name(call->pool->mode));

	return tpi_grow_metadata_step(call->pool);
}

int tp_pool_grow_data(struct tp_pool *pool)
{
	struct tpi_call grow = { .any_mode = false };
	int r = check_pool(pool);

	return r ? r : tpi_call_change(pool, &grow, grow_data_step);
}

int tp_pool_grow_metadata(struct tp_pool *pool)
{
	struct tpi_call grow = { .any_mode = true };
	int r = check_pool(pool);

	return r ? r : tpi_call_change(pool, &grow, grow_metadata_step);
}
