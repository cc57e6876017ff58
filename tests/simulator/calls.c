/*
 * calls.c - calls that change the pool.  While one blocks, bios go on: see
 * clock_wait in run.c.
 */
#include <errno.h>

#include "simulator/run.h"
#include "simulator/tag.h"

/*---------------------------- around a call --------------------------------*/

/* One that has failed can tell nothing any more. */
static bool has_lost_writes(struct run *run, unsigned slot)
{
	struct tp_thin_info info = TP_THIN_INFO_INIT;
	struct tp_thin *thin = run->slots[slot].handles[0];

	return !thin || tp_thin_get_info(thin, &info) ||
	       run->mode == TP_MODE_FAILED || info.lost_writes;
}

/* A call seals nothing of a volume that lost writes (A2): the pool tells which
 * did.  While it is asked it goes on, and may end a rollback. */
static void note_lost_writes(struct run *run)
{
	enum tp_pool_mode mode;

	do {
		mode = run->mode;
		for (unsigned i = 0; i < NR_SLOTS; i++)
			if (run_volume(run, i))
				run_volume(run, i)->lost_writes =
					has_lost_writes(run, i);
	} while (run->mode != mode);
}

/* A bio that finds too few free blocks waits for a commit to free some, and
 * then goes on block by block (N1), also if that is not a matter of modes. */
static void note_shortage(struct run *run, const struct control *control)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	uint64_t wanted = 3;

	if (control->kind != CONTROL_SNAPSHOT)
		return;
	for (unsigned i = 0; i < NR_IOS; i++)
		if (run->ios[i].busy)
			wanted += 3;
	if (tp_pool_get_status(run->pool, &status) ||
	    status.data_blocks - status.used_data_blocks < wanted)
		oracle_out_of_space(run->oracle);
}

void run_begin_call(struct run *run, const struct control *control)
{
	note_shortage(run, control);
	if (run->is_faulty)
		note_lost_writes(run);
	oracle_control_begin(run->oracle, control);
	run->call_requests = tp_simulator_nr_requests(run->simulator);
	run->call_transactions = run->order.nr_transactions;
	run->call_hook_failures = run->nr_hook_failures;
	run->call_changes = control->kind != CONTROL_COMMIT;
	run->in_call = true;
	run->stats->nr_operations++;
}

/* The event may still be on its way. */
static enum tp_pool_mode mode_now(struct run *run)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	if (!run->pool)
		return run->mode;

	return tp_pool_get_status(run->pool, &status) ? TP_MODE_FAILED
						      : status.mode;
}

static bool is_result_right(struct run *run, int result)
{
	if (!result || run->is_faulty)
		return true;
	if (result == -EBUSY)
		return run->nr_suspends;
	if (result == -EOPNOTSUPP || result == -EIO)
		return mode_now(run) > TP_MODE_OUT_OF_DATA_SPACE;

	return result == -ENOSPC;
}

static bool is_read_only(struct run *run)
{
	return !run->pool || mode_now(run) >= TP_MODE_READ_ONLY;
}

/* A call that failed may yet be found done, if its superblock was begun (K5). */
static bool is_in_doubt(struct run *run, int result)
{
	return result && is_read_only(run) &&
	       (!run->order.enabled ||
		run->order.nr_transactions != run->call_transactions);
}

/* What changes nothing, and finds nothing changed, needs no transaction: a flush
 * of the data does (S3, B-POOL-11).  If that had ended before the hook was
 * called, the call no longer waited for a commit. */
static bool needed_no_commit(const struct run *run)
{
	return !run->call_changes && run->hook_last_flush > run->call_requests;
}

/* F-06: whoever waits for a commit is told that its hook failed.  It may also
 * have been the next one's, before the call returned. */
static bool check_hook(struct run *run, int result)
{
	if (run->nr_hook_failures == run->call_hook_failures)
		return true;
	if (run->order.enabled && !result &&
	    run->order.nr_transactions == run->call_transactions &&
	    !needed_no_commit(run))
		return violated(run->verdict, "F-06: a call succeeds, and the "
					      "hook of its commit failed");
	if (!result)
		return true;

	/* The rollback may still wait for what was on its way. */
	while (is_going(run) && !is_read_only(run) && run_some(run))
		;

	return !is_going(run) || is_read_only(run) ||
	       violated(run->verdict, "F-06: the hook failed, and the pool can "
				      "still be changed");
}

bool run_end_call(struct run *run, int result)
{
	run->in_call = false;
	trace_result(run->trace, result);
	if (!is_going(run))
		return false;
	oracle_control_end(run->oracle, result, is_in_doubt(run, result));
	if (!check_hook(run, result))
		return false;
	if (!is_result_right(run, result))
		return violated(run->verdict,
				"a call fails with %d, and nothing failed: %s",
				result, tp_last_error());

	return !result;
}

/* The same for a call that commits. */
static bool end_commit(struct run *run, int result)
{
	return run_end_call(run, result) &&
	       order_flushed(&run->order, run->call_requests, run->verdict);
}

/*---------------------------- volumes --------------------------------------*/

static void add_slot(struct run *run, unsigned slot)
{
	run->slots[slot].exists = true;
	run_open_handles(run, slot);
}

static void create(struct run *run, const struct step *step)
{
	struct control control = {
		.kind = CONTROL_CREATE,
		.pairs = { { .id = slot_id(step->slot) } },
		.nr_pairs = 1,
		.nr_sectors = run->config->volume_sectors,
		.has_origin = step->with_origin,
	};

	if (run->slots[step->slot].exists)
		return;
	run_begin_call(run, &control);
	if (end_commit(run,
		       tp_pool_create_thin(run->pool, slot_id(step->slot))))
		add_slot(run, step->slot);
}

static unsigned choose_pairs(const struct run *run, const struct step *step,
			     unsigned slots[MAX_PAIRS], struct control *control)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < NR_SLOTS && nr < step->nr; i++) {
		unsigned to = (step->slot + i) % NR_SLOTS;
		unsigned from = (step->origin + nr) % NR_SLOTS;

		if (run->slots[to].exists)
			continue;
		if (!run->slots[from].exists)
			from = step->origin;
		slots[nr] = to;
		control->pairs[nr].id = slot_id(to);
		control->pairs[nr++].origin = slot_id(from);
	}

	return nr;
}

static int take(struct run *run, const struct control *control)
{
	struct tp_snapshot_pair pairs[MAX_PAIRS];

	if (control->nr_pairs == 1)
		return tp_pool_create_snapshot(run->pool, control->pairs[0].id,
					       control->pairs[0].origin);
	for (unsigned i = 0; i < control->nr_pairs; i++) {
		pairs[i].id = control->pairs[i].id;
		pairs[i].origin = control->pairs[i].origin;
	}

	return tp_pool_create_snapshots(run->pool, pairs, control->nr_pairs);
}

static void snapshot(struct run *run, const struct step *step)
{
	struct control control = { .kind = CONTROL_SNAPSHOT };
	unsigned slots[MAX_PAIRS];

	if (!run->slots[step->origin].exists)
		return;
	control.nr_pairs = choose_pairs(run, step, slots, &control);
	if (!control.nr_pairs)
		return;
	run_begin_call(run, &control);
	if (end_commit(run, take(run, &control)))
		for (unsigned i = 0; i < control.nr_pairs; i++)
			add_slot(run, slots[i]);
}

static void delete (struct run *run, const struct step *step)
{
	struct control control = {
		.kind = CONTROL_DELETE,
		.pairs = { { .id = slot_id(step->slot) } },
		.nr_pairs = 1,
	};

	if (!run->slots[step->slot].exists || run->nr_suspends)
		return;
	run_drain(run, step->slot);
	if (!is_going(run) || !run_close_handles(run, step->slot))
		return;
	run->slots[step->slot].exists = false;
	run_begin_call(run, &control);
	if (end_commit(run,
		       tp_pool_delete_thin(run->pool, slot_id(step->slot))) ||
	    !is_going(run))
		return;
	add_slot(run, step->slot);
}

/*---------------------------- facts ----------------------------------------*/

static void set_transaction_id(struct run *run, const struct step *step)
{
	struct control control = {
		.kind = CONTROL_FACTS,
		.facts = run->oracle->facts,
	};

	control.facts.transaction_id = step->random;
	run_begin_call(run, &control);
	end_commit(run, tp_pool_set_transaction_id(
				run->pool, run->oracle->facts.transaction_id,
				step->random));
}

static void hold(struct run *run, bool reserve)
{
	struct control control = {
		.kind = CONTROL_FACTS,
		.facts = run->oracle->facts,
	};

	if (control.facts.held == reserve)
		return;
	control.facts.held = reserve;
	run_begin_call(run, &control);
	end_commit(run, reserve ? tp_pool_reserve_metadata_snapshot(run->pool)
				: tp_pool_release_metadata_snapshot(run->pool));
}

static void commit(struct run *run)
{
	struct control control = { .kind = CONTROL_COMMIT };

	run_begin_call(run, &control);
	end_commit(run, tp_pool_commit(run->pool));
}

static uint64_t device_blocks(const struct run *run, unsigned device,
			      uint64_t block_bytes)
{
	struct tp_device_limits limits = TP_DEVICE_LIMITS_INIT;

	tp_device_get_limits(tp_simulator_device(run->simulator, device),
			     &limits);

	return limits.size_bytes / block_bytes;
}

/* What a pool grows to that looks at its devices now. */
static struct facts facts_grown(const struct run *run, bool data, bool metadata)
{
	struct facts facts = run->oracle->facts;

	if (data)
		facts.data_blocks = device_blocks(
			run, DATA_DEVICE,
			(uint64_t)run->config->block_sectors * SECTOR_BYTES);
	if (metadata)
		facts.metadata_blocks =
			device_blocks(run, METADATA_DEVICE, METADATA_BLOCK);

	return facts;
}

static void grow_device(struct run *run, unsigned device, uint64_t bytes)
{
	uint64_t size = device_blocks(run, device, 1);

	tp_simulator_grow(run->simulator, device, size + bytes);
}

static void grow_data(struct run *run, const struct step *step)
{
	struct control control = { .kind = CONTROL_FACTS };

	grow_device(run, DATA_DEVICE,
		    (uint64_t)step->nr * run->config->block_sectors *
			    SECTOR_BYTES);
	control.facts = facts_grown(run, true, false);
	run_begin_call(run, &control);
	run_end_call(run, tp_pool_grow_data(run->pool));
}

static void grow_metadata(struct run *run, const struct step *step)
{
	struct control control = { .kind = CONTROL_FACTS };

	grow_device(run, METADATA_DEVICE, 16ull * step->nr * METADATA_BLOCK);
	control.facts = facts_grown(run, false, true);
	run_begin_call(run, &control);
	run_end_call(run, tp_pool_grow_metadata(run->pool));
}

/*---------------------------- trim -----------------------------------------*/

static bool is_trim_right(struct run *run, int result)
{
	bool discards = run->config->data_features & TP_DEVICE_DISCARD;

	if (!result || run->is_faulty)
		return true;
	if (result == -EBUSY)
		return run->nr_suspends;

	return result == -EOPNOTSUPP &&
	       (!discards || mode_now(run) > TP_MODE_OUT_OF_DATA_SPACE);
}

/* Of all of the device, or a part.  It changes nothing, and so makes nothing
 * durable: what it must leave alone is seen by the order of requests, and by
 * what is read. */
static void trim(struct run *run, const struct step *step)
{
	uint64_t size = device_blocks(run, DATA_DEVICE, SECTOR_BYTES);
	bool all = step->random % 2;
	uint64_t begin = all ? 0 : step->random / 2 % size;
	uint64_t nr = all ? size : step->random / 4 % (size - begin);
	int r;

	run->in_call = true;
	r = tp_pool_trim(run->pool, begin * SECTOR_BYTES, nr * SECTOR_BYTES,
			 NULL);
	run->in_call = false;
	trace_result(run->trace, r);
	if (is_going(run) && !is_trim_right(run, r))
		violated(run->verdict,
			 "a trim fails with %d, and nothing failed: %s", r,
			 tp_last_error());
}

/*---------------------------- suspend and resume ---------------------------*/

static void suspend(struct run *run)
{
	struct control control = { .kind = CONTROL_COMMIT };

	run_begin_call(run, &control);
	run_end_call(run, tp_pool_suspend(run->pool));
	run->nr_suspends++; /* also if its commit failed */
}

/*
 * A pool that may not change its metadata resumes, and does not grow (B-GROW-4);
 * out of metadata space its data grows only if its metadata does, or if it is
 * asked anew to be written.
 */
static struct facts facts_resumed(const struct run *run, bool reconfigured)
{
	bool metadata = run->mode < TP_MODE_READ_ONLY;
	struct facts facts = facts_grown(run, false, metadata);
	bool data = run->mode < TP_MODE_OUT_OF_METADATA_SPACE ||
		    facts.metadata_blocks > run->oracle->facts.metadata_blocks;

	return facts_grown(run, data || (metadata && reconfigured), metadata);
}

/* In force until the pool is opened anew. */
static struct tp_pool_options options_changed(struct run *run, uint64_t random)
{
	struct tp_pool_options options = run_options(run);

	options.flags ^=
		(unsigned)(random >> 8) &
		(TP_POOL_ERROR_IF_NO_SPACE | TP_POOL_NO_DISCARD_PASSDOWN);
	options.commit_interval_ms = (uint32_t)(5 + random / 4 % 200);
	options.no_space_timeout_ms = (uint32_t)(20 + random / 4 % 300);

	return options;
}

static void resume(struct run *run, const struct step *step)
{
	struct control control = { .kind = CONTROL_FACTS };
	struct tp_pool_options options = options_changed(run, step->random);
	bool changes = step->random % 2;

	if (!run->nr_suspends)
		return;
	if (run->nr_suspends > 1) { /* still suspended afterwards */
		run->nr_suspends -= !tp_pool_resume(run->pool, NULL);
		return;
	}
	control.facts = facts_resumed(run, changes);
	run_begin_call(run, &control);
	if (run_end_call(run,
			 tp_pool_resume(run->pool, changes ? &options : NULL)))
		run->nr_suspends--;
}

/*---------------------------- the hook -------------------------------------*/

/* Whether it is this one that is to fail. */
static bool fails_now(struct run *run)
{
	if (!is_going(run) || !run->hook_fails)
		return false;
	if (run->hook_successes) {
		run->hook_successes--;
		return false;
	}
	run->hook_fails = false;
	run->nr_hook_failures++;
	order_give_up(&run->order);
	trace_note(run->trace, "  the hook fails");

	return true;
}

static int flush(struct run *run)
{
	int r;

	run->in_hook = true;
	r = tp_pool_flush_data(run->pool);
	run->in_hook = false;

	return !r && fails_now(run) ? -EREMOTEIO : r;
}

static int flush_once(void *context)
{
	struct run *run = context;

	run->hook_last_flush = run->order.last_flush;

	return flush(run);
}

static int flush_twice(void *context)
{
	int r = flush_once(context);

	return r ? r : flush(context);
}

void run_set_hook(struct run *run, enum hook_kind hook)
{
	static const tp_pre_commit_fn hooks[NR_HOOKS] = { NULL, flush_once,
							  flush_twice };

	run->hook = hook;
	tp_pool_set_pre_commit_hook(run->pool, hooks[hook], run);
}

void run_fail_hook(struct run *run, unsigned successes)
{
	if (run->hook == HOOK_DEFAULT)
		run_set_hook(run, HOOK_FLUSHES);
	run->hook_fails = run->is_faulty = true;
	run->hook_successes = successes;
}

/*---------------------------- all of them ----------------------------------*/

void run_call(struct run *run, const struct step *step)
{
	switch (step->kind) {
	case STEP_CREATE:
		create(run, step);
		break;
	case STEP_SNAPSHOT:
		snapshot(run, step);
		break;
	case STEP_DELETE:
		delete (run, step);
		break;
	case STEP_TRANSACTION_ID:
		set_transaction_id(run, step);
		break;
	case STEP_RESERVE:
	case STEP_RELEASE:
		hold(run, step->kind == STEP_RESERVE);
		break;
	case STEP_COMMIT:
		commit(run);
		break;
	case STEP_TRIM:
		trim(run, step);
		break;
	case STEP_GROW_DATA:
		grow_data(run, step);
		break;
	case STEP_GROW_METADATA:
		grow_metadata(run, step);
		break;
	case STEP_SUSPEND:
		suspend(run);
		break;
	case STEP_RESUME:
		resume(run, step);
		break;
	default:
		break;
	}
}
