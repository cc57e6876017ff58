/*
 * big-deletion.c - the story, and each of the images.
 *
 * The pool is full, and some writes are held for want of space when the call
 * comes: so blocks of the thin are used again as early as can be.  More writes
 * follow, each with TP_FUA, so that it takes many transactions to empty it.
 *
 * An image is opened, empties the thin for a while by itself, loses power once
 * more, is opened again and left alone until nothing is to be done.
 */
#include "simulator/big-deletion.h"

#include <stdio.h>

#include "simulator/sound.h"

#define NR_HELD 4u

/* An image loses power again within so many rounds of its loop, or not before
 * all is done. */
#define ROUNDS_TO_CUT 300u
#define ROUNDS_MAX 100000u

struct stats {
	unsigned nr_events, nr_images;
	unsigned nr_whole;   /* openings that found the thin, */
	unsigned nr_partial; /* that had some of it to empty, */
	unsigned nr_emptied; /* and that had nothing left of it */
	unsigned nr_cut;     /* images that lost power again meanwhile */
	uint64_t nr_commits; /* from the call until all was emptied */
};

struct story {
	const struct big_deletion *how;
	struct stats *stats;
	struct big_pool pool;
	struct big_promise promise;
	struct sim_world w;
	uint64_t random;
};

/*---------------------------- an image -------------------------------------*/

static uint64_t used(struct sim_world *w, bool *changed)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	ck_ok(tp_pool_get_status(w->pool, &status));
	*changed = status.changed;

	return status.used_data_blocks;
}

static void run_a_round(struct sim_world *w)
{
	uint64_t deadline;

	if (tp_pool_poll(w->pool))
		return;
	ck_ok(tp_pool_next_deadline(w->pool, &deadline));
	tp_simulator_clock_wait(w->simulator, deadline);
}

/* Nobody asks for anything.  Whether the thin was emptied, durably, within so
 * many rounds. */
static bool is_emptied_within(struct sim_world *w, unsigned nr_rounds)
{
	uint64_t end = big_pool_used_without_it(w);
	bool changed;

	while (used(w, &changed) != end || changed) {
		if (!nr_rounds--)
			return false;
		run_a_round(w);
	}

	return true;
}

static void cut_power(struct sim_world *w)
{
	tp_simulator_power_off(w->simulator);
	tp_pool_close(w->pool); /* without power it cannot commit */
	ck_ok(tp_simulator_power_on(w->simulator, NULL, NULL));
}

/* What power left goes on, if it has to.  The others are looked at in the end:
 * while they are read, the thin would be emptied. */
static void open_and_go_on(struct story *story, struct sim_world *image,
			   struct big_promise *promise)
{
	struct stats *stats = story->stats;
	uint64_t nr_used;
	bool changed;

	assert_metadata_is_sound(image->simulator);
	big_pool_open(image);
	nr_used = used(image, &changed);
	if (big_pool_has_thin(image, promise)) {
		stats->nr_whole++;
		big_pool_check(image, &story->pool, promise,
			       story->how->read_one_in);
		ck_ok(tp_pool_delete_thin(image->pool, BIG_THIN));
		promise->deleted = true;
	} else if (nr_used != big_pool_used_without_it(image)) {
		stats->nr_partial++;
	} else {
		stats->nr_emptied++;
	}
}

/* No block of it is left, data or metadata, and others have lost none. */
static void check_the_end(struct story *story, struct sim_world *image,
			  const struct big_promise *promise)
{
	ck_assert_msg(is_emptied_within(image, ROUNDS_MAX),
		      "K3: blocks of the deleted thin stay in use");
	big_pool_check(image, &story->pool, promise, story->how->read_one_in);
	ck_ok(tp_pool_close(image->pool));
	assert_metadata_is_sound(image->simulator);
}

static void check_image(struct story *story, struct sim_world *image)
{
	struct big_promise promise = story->promise;

	open_and_go_on(story, image, &promise);
	if (!is_emptied_within(image, (unsigned)random_in(&story->random, 0,
							  ROUNDS_TO_CUT)))
		story->stats->nr_cut++;
	cut_power(image);
	open_and_go_on(story, image, &promise);
	check_the_end(story, image, &promise);
}

/*---------------------------- power fails ----------------------------------*/

static void look_at_an_image(struct story *story)
{
	uint64_t nr = tp_simulator_nr_images(story->w.simulator);
	struct sim_world image = { .cut_at = UINT64_MAX };
	struct tp_image choice;

	ck_ok(tp_simulator_get_image(
		story->w.simulator, random_in(&story->random, 0, nr), &choice));
	ck_ok(tp_simulator_fork(story->w.simulator, story->random,
				tp_keep_image, &choice, &image.simulator));
	check_image(story, &image);
	tp_simulator_free(image.simulator);
	story->stats->nr_images++;
}

static void observe(void *context, const struct tp_simulated_event *event)
{
	struct story *story = context;
	unsigned one_in = story->promise.deleted ? story->how->rest_one_in
						 : story->how->call_one_in;

	if (event->op == TP_READ || story->stats->nr_events++ % one_in)
		return;
	for (unsigned i = 0; i < story->how->nr_images; i++)
		look_at_an_image(story);
}

/*---------------------------- the story ------------------------------------*/

struct held_write {
	struct io io;
	char sector[512];
};

static void submit_writes(struct story *story, struct held_write *writes,
			  struct tp_queue *queue, struct tp_thin *thin)
{
	for (unsigned n = 0; n < NR_HELD; n++) {
		big_pool_fill_write(writes[n].sector, n);
		io_init(&writes[n].io, TP_WRITE, writes[n].sector,
			big_pool_write_offset(n), 512, TP_FUA);
		story->promise.nr_begun++;
		io_submit(&writes[n].io, queue, thin);
	}
}

static void reap_writes(struct story *story, struct held_write *writes,
			struct tp_queue *queue)
{
	ck_assert_int_eq(tp_queue_wait(queue, NR_HELD, -1), NR_HELD);
	for (unsigned n = 0; n < NR_HELD; n++) {
		ck_ok(writes[n].io.bio.status);
		story->promise.durable[n] = true;
	}
}

static void write_one_more(struct story *story, struct tp_thin *thin)
{
	unsigned n = story->promise.nr_begun++;
	char sector[512];

	ck_assert_uint_lt(n, BIG_NR_WRITES);
	big_pool_fill_write(sector, n);
	ck_ok(tp_thin_write(thin, sector, sizeof(sector),
			    big_pool_write_offset(n), TP_FUA));
	story->promise.durable[n] = true;
}

static void delete_it(struct story *story)
{
	struct tp_thin *thin = big_pool_open_thin(&story->w, BIG_WRITER);
	struct held_write writes[NR_HELD];
	struct tp_queue *queue;

	ck_ok(tp_queue_create(story->w.pool, NR_HELD, &queue));
	submit_writes(story, writes, queue, thin);
	ck_ok(tp_pool_delete_thin(story->w.pool, BIG_THIN));
	story->promise.deleted = true;
	reap_writes(story, writes, queue);
	tp_queue_destroy(queue);
	while (!is_emptied_within(&story->w, 0))
		write_one_more(story, thin);
	ck_ok(tp_thin_close(thin));
}

/* Not in vain. */
static void check_stats(const struct stats *stats)
{
	printf("%u events, %llu commits; %u images, %u of them cut again; "
	       "%u openings found it whole, %u in part, %u emptied\n",
	       stats->nr_events, (unsigned long long)stats->nr_commits,
	       stats->nr_images, stats->nr_cut, stats->nr_whole,
	       stats->nr_partial, stats->nr_emptied);
	ck_assert_uint_gt(stats->nr_commits, 10);
	ck_assert_uint_gt(stats->nr_whole, 0);
	ck_assert_uint_gt(stats->nr_partial, 0);
	ck_assert_uint_gt(stats->nr_emptied, 0);
	ck_assert_uint_gt(stats->nr_cut, 0);
}

void big_deletion_play(const struct big_deletion *how)
{
	struct stats stats = { .nr_events = 0 };
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	struct story story = {
		.how = how,
		.stats = &stats,
		.random = how->seed,
		.w = { .cut_at = UINT64_MAX },
	};

	story.w.simulator = big_pool_make(&story.pool, how->seed);
	big_pool_open(&story.w);
	tp_simulator_set_observer(story.w.simulator, observe, &story);
	delete_it(&story);
	tp_simulator_set_observer(story.w.simulator, NULL, NULL);
	ck_ok(tp_pool_get_status(story.w.pool, &status));
	stats.nr_commits = status.nr_commits;
	ck_ok(tp_pool_close(story.w.pool));
	tp_simulator_free(story.w.simulator);
	check_stats(&stats);
}
