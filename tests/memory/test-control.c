/*
 * No memory in a call that changes the pool: it is done, or refused and without
 * effect (F-19).
 */
#include "memory/sweep.h"

static struct world *const w = &sweep_world;

static bool exists(uint32_t id)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;
	int r;

	options.size = SWEEP_THIN_BYTES;
	r = tp_thin_open(w->pool, id, &options, &thin);
	if (!r)
		ck_ok(tp_thin_close(thin));
	ck_assert(!r || r == -ENODATA);

	return !r;
}

/*---------------------------- create, snapshot -----------------------------*/

static int create(void)
{
	return tp_pool_create_thin(w->pool, NEW);
}

static bool is_created(void)
{
	return exists(NEW);
}

START_TEST(test_a_thin_is_created_or_not)
{
	sweep_pool(_i,
		   &(struct sweep){ .call = create, .is_done = is_created });
}
END_TEST

/* What the first change of a pool needs for good is made then. */
START_TEST(test_the_first_thin_after_an_open_is_created_or_not)
{
	sweep_pool(_i, &(struct sweep){ .is_cold = true,
					.call = create,
					.is_done = is_created });
}
END_TEST

static struct tp_thin *origin;

static void open_origin(void)
{
	origin = world_open_thin(w, PLAIN, SWEEP_THIN_BYTES);
}

static void close_origin(void)
{
	ck_ok(tp_thin_close(origin));
}

static int snapshot(void)
{
	return tp_pool_create_snapshot(w->pool, NEW, PLAIN);
}

START_TEST(test_a_snapshot_of_an_open_thin_is_taken_or_not)
{
	sweep_pool(_i, &(struct sweep){ .begin = open_origin,
					.call = snapshot,
					.end = close_origin,
					.is_done = is_created });
}
END_TEST

START_TEST(test_a_snapshot_of_a_closed_thin_is_taken_or_not)
{
	sweep_pool(_i, &(struct sweep){ .is_cold = true,
					.call = snapshot,
					.is_done = is_created });
}
END_TEST

static int snapshot_both(void)
{
	static const struct tp_snapshot_pair pairs[] = { { NEW, PLAIN },
							 { NEWER, FULL } };

	return tp_pool_create_snapshots(w->pool, pairs, 2);
}

static bool are_both_created(void)
{
	ck_assert(exists(NEW) == exists(NEWER));

	return exists(NEW);
}

START_TEST(test_snapshots_are_taken_together_or_not)
{
	sweep_pool(_i, &(struct sweep){ .begin = open_origin,
					.call = snapshot_both,
					.end = close_origin,
					.is_done = are_both_created });
}
END_TEST

/*---------------------------- delete ---------------------------------------*/

static int delete_plain(void)
{
	return tp_pool_delete_thin(w->pool, PLAIN);
}

static bool is_plain_gone(void)
{
	return !exists(PLAIN);
}

START_TEST(test_a_thin_is_deleted_or_not)
{
	sweep_pool(_i, &(struct sweep){ .call = delete_plain,
					.is_done = is_plain_gone,
					.nr_blocks = -8 });
}
END_TEST

static int delete_shared(void)
{
	return tp_pool_delete_thin(w->pool, SHARED);
}

static bool is_shared_gone(void)
{
	return !exists(SHARED);
}

START_TEST(test_a_thin_that_shares_is_deleted_or_not)
{
	sweep_pool(_i, &(struct sweep){ .call = delete_shared,
					.is_done = is_shared_gone });
}
END_TEST

/*---------------------------- numbers --------------------------------------*/

static int set_transaction_id(void)
{
	uint64_t id = world_status(w).transaction_id;

	return tp_pool_set_transaction_id(w->pool, id, 7);
}

static bool is_transaction_id_set(void)
{
	return world_status(w).transaction_id == 7;
}

START_TEST(test_the_transaction_id_is_set_or_not)
{
	sweep_pool(_i, &(struct sweep){ .call = set_transaction_id,
					.is_done = is_transaction_id_set });
}
END_TEST

static int reserve(void)
{
	return tp_pool_reserve_metadata_snapshot(w->pool);
}

static bool is_reserved(void)
{
	return world_status(w).held_root != 0;
}

START_TEST(test_a_metadata_snapshot_is_made_or_not)
{
	sweep_pool(_i,
		   &(struct sweep){ .call = reserve, .is_done = is_reserved });
}
END_TEST

static void begin_reserved(void)
{
	ck_ok(reserve());
	ck_ok(tp_pool_delete_thin(w->pool, WARM));
}

static int release(void)
{
	return tp_pool_release_metadata_snapshot(w->pool);
}

static bool is_released(void)
{
	return world_status(w).held_root == 0;
}

START_TEST(test_a_metadata_snapshot_is_released_or_not)
{
	sweep_pool(_i, &(struct sweep){ .begin = begin_reserved,
					.call = release,
					.is_done = is_released });
}
END_TEST

/* More thins of its own than memory is kept for. */
#define NR_HELD 40u
#define FIRST_HELD 1000u

static void begin_reserved_many(void)
{
	for (unsigned i = 0; i < NR_HELD; i++)
		ck_ok(tp_pool_create_snapshot(w->pool, FIRST_HELD + i, FULL));
	ck_ok(reserve());
	for (unsigned i = 0; i < NR_HELD; i++)
		ck_ok(tp_pool_delete_thin(w->pool, FIRST_HELD + i));
}

START_TEST(test_a_release_that_has_begun_waits_for_memory)
{
	sweep_pool(_i, &(struct sweep){ .begin = begin_reserved_many,
					.call = release,
					.is_done = is_released,
					.waits = true });
}
END_TEST

/*---------------------------- growth ---------------------------------------*/

#define MORE_DATA (16 * MIB)
#define MORE_METADATA (32 * MIB)

static void more_data(void)
{
	observer_grow(&w->data, MORE_DATA);
}

static int grow_data(void)
{
	return tp_pool_grow_data(w->pool);
}

static bool has_more_data(void)
{
	return world_status(w).data_blocks == MORE_DATA / WORLD_BLOCK;
}

START_TEST(test_data_grows_or_not)
{
	sweep_pool(_i, &(struct sweep){ .begin = more_data,
					.call = grow_data,
					.is_done = has_more_data });
}
END_TEST

static void more_metadata(void)
{
	observer_grow(&w->metadata, MORE_METADATA);
}

static int grow_metadata(void)
{
	return tp_pool_grow_metadata(w->pool);
}

static bool has_more_metadata(void)
{
	return world_status(w).metadata_blocks == MORE_METADATA / 4096;
}

START_TEST(test_metadata_grows_or_not)
{
	sweep_pool(_i, &(struct sweep){ .begin = more_metadata,
					.call = grow_metadata,
					.is_done = has_more_metadata });
}
END_TEST

/*---------------------------- suspend, resume ------------------------------*/

static struct tp_thin *changed;

/* So that there is something to commit. */
static void change(void)
{
	changed = world_open_thin(w, PLAIN, SWEEP_THIN_BYTES);
	thin_fill(changed, SWEEP_THIN_BYTES / 2, WORLD_BLOCK, PLAIN_SEED);
}

static void close_changed(void)
{
	ck_ok(tp_thin_close(changed));
}

static int suspend_and_resume(void)
{
	int r = tp_pool_suspend(w->pool);

	return r ? r : tp_pool_resume(w->pool, NULL);
}

START_TEST(test_a_suspend_and_a_resume_work_or_change_nothing)
{
	sweep_pool(_i, &(struct sweep){ .begin = change,
					.call = suspend_and_resume,
					.end = close_changed,
					.nr_blocks = 1,
					.has_no_effect = true });
}
END_TEST

static void begin_suspended(void)
{
	ck_ok(tp_pool_suspend(w->pool));
	observer_grow(&w->data, MORE_DATA);
	observer_grow(&w->metadata, MORE_METADATA);
}

static int resume(void)
{
	return world_status(w).suspended ? tp_pool_resume(w->pool, NULL) : 0;
}

static bool is_resumed(void)
{
	return has_more_data() && has_more_metadata();
}

/* It picks up new sizes. */
START_TEST(test_a_resume_that_grows_works_or_changes_nothing)
{
	sweep_pool(_i, &(struct sweep){ .begin = begin_suspended,
					.call = resume,
					.is_done = is_resumed });
}
END_TEST

/*---------------------------- commit, hooks, events ------------------------*/

static int commit(void)
{
	return tp_pool_commit(w->pool);
}

START_TEST(test_a_commit_is_made_or_can_be_made_later)
{
	sweep_pool(_i, &(struct sweep){ .begin = change,
					.call = commit,
					.end = close_changed,
					.nr_blocks = 1,
					.has_no_effect = true });
}
END_TEST

static atomic_uint nr_hook_calls;

static int hook(void *context)
{
	nr_hook_calls++;

	return tp_pool_flush_data(w->pool);
}

static int set_hook(void)
{
	return tp_pool_set_pre_commit_hook(w->pool, hook, NULL);
}

/* Nothing of it is told but that it runs. */
static void check_hook(void)
{
	unsigned before = nr_hook_calls;

	ck_ok(tp_pool_create_thin(w->pool, NEWER));
	ck_assert_uint_gt(nr_hook_calls, before);
}

START_TEST(test_a_hook_is_set_or_not)
{
	sweep_pool(_i, &(struct sweep){ .call = set_hook,
					.end = check_hook,
					.has_no_effect = true });
}
END_TEST

static void begin_hook(void)
{
	ck_ok(set_hook());
}

static void end_hook(void)
{
	ck_ok(tp_pool_set_pre_commit_hook(w->pool, NULL, NULL));
}

START_TEST(test_a_commit_with_a_hook_is_made_or_not)
{
	sweep_pool(_i, &(struct sweep){ .begin = begin_hook,
					.call = create,
					.end = end_hook,
					.is_done = is_created });
}
END_TEST

static atomic_uint nr_resume_events;

static void on_event(void *context, const struct tp_event *event)
{
	nr_resume_events += event->kind == TP_EVENT_RESUME;
}

static void set_handler(void)
{
	ck_ok(tp_pool_set_event_handler(w->pool, on_event, NULL));
	ck_ok(tp_pool_suspend(w->pool));
	nr_resume_events = 0;
}

static void check_event(void)
{
	world_until(w, nr_resume_events);
	ck_assert_uint_eq(nr_resume_events, 1);
	ck_ok(tp_pool_set_event_handler(w->pool, NULL, NULL));
}

/* B-EVT: a host that was told once is told always. */
START_TEST(test_an_event_is_told_of_all_the_same)
{
	sweep_pool(_i, &(struct sweep){ .begin = set_handler,
					.call = resume,
					.end = check_event,
					.has_no_effect = true });
}
END_TEST

/*---------------------------- looking --------------------------------------*/

static int take_thin(const struct tp_thin_info *info, void *context)
{
	unsigned *nr = context;

	(*nr)++;

	return 0;
}

static int look(void)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	unsigned nr = 0;
	int r = tp_pool_get_status(w->pool, &status);

	if (!r)
		r = tp_pool_list_thins(w->pool, take_thin, &nr);
	if (!r)
		ck_assert_uint_eq(nr, 3);

	return r;
}

START_TEST(test_a_pool_is_looked_at_or_not)
{
	sweep_pool(_i, &(struct sweep){ .is_cold = true,
					.call = look,
					.has_no_effect = true });
}
END_TEST

int main(void)
{
	return RUN_TESTS("memory-control", NR_KINDS,
			 test_a_thin_is_created_or_not,
			 test_the_first_thin_after_an_open_is_created_or_not,
			 test_a_snapshot_of_an_open_thin_is_taken_or_not,
			 test_a_snapshot_of_a_closed_thin_is_taken_or_not,
			 test_snapshots_are_taken_together_or_not,
			 test_a_thin_is_deleted_or_not,
			 test_a_thin_that_shares_is_deleted_or_not,
			 test_the_transaction_id_is_set_or_not,
			 test_a_metadata_snapshot_is_made_or_not,
			 test_a_metadata_snapshot_is_released_or_not,
			 test_a_release_that_has_begun_waits_for_memory,
			 test_data_grows_or_not, test_metadata_grows_or_not,
			 test_a_suspend_and_a_resume_work_or_change_nothing,
			 test_a_resume_that_grows_works_or_changes_nothing,
			 test_a_commit_is_made_or_can_be_made_later,
			 test_a_hook_is_set_or_not,
			 test_a_commit_with_a_hook_is_made_or_not,
			 test_an_event_is_told_of_all_the_same,
			 test_a_pool_is_looked_at_or_not);
}
