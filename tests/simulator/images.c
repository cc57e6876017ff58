/*
 * images.c - power fails.
 *
 * At some device event the images of that instant are set aside, with what the
 * oracle knows then; they are looked at when the call under way has returned,
 * each as a run of its own.  Or the power fails for good: whatever happens from
 * then on does not count, and the run goes on with one of the images.
 */
#include <stdlib.h>

#include "simulator/run.h"
#include "support/pattern.h"

/* How far a run goes on in an image, and images of images are looked at. */
#define MAX_TAIL 12
#define MAX_DEPTH 2

/*---------------------------- the instant ----------------------------------*/

static void fork_one(struct run *run, struct crash_point *point, uint64_t n)
{
	struct tp_simulator *fork;
	struct tp_image image;

	if (tp_simulator_get_image(run->simulator, n, &image) ||
	    tp_simulator_fork(run->simulator, n, tp_keep_image, &image,
			      &fork)) {
		violated(run->verdict, "no image: %s",
			 tp_simulator_last_error());
		return;
	}
	trace_note(run->trace, "  crash image %u: %s, %llu", point->nr_images,
		   tp_image_kind_name(image.kind), (unsigned long long)n);
	point->images[point->nr_images++] = fork;
}

/* A sample, or each so-and-so-many-th. */
static void fork_some(struct run *run, const struct step *step,
		      struct crash_point *point)
{
	uint64_t nr = tp_simulator_nr_images(run->simulator);
	uint64_t random = step->random;

	point->images = calloc(nr + step->nr, sizeof(*point->images));
	if (step->every)
		for (uint64_t n = step->random % step->every; n < nr;
		     n += step->every)
			fork_one(run, point, n);
	else
		for (unsigned i = 0; i < step->nr; i++)
			fork_one(run, point, next_random(&random) % nr);
}

static void set_aside(struct run *run, const struct step *step)
{
	struct crash_point *point = &run->points[run->nr_points];

	if (run->nr_points == MAX_POINTS)
		return;
	*point = (struct crash_point){
		.oracle = oracle_copy(run->oracle),
		.next = run->next,
		.was_faulty = run->is_faulty,
		.random = step->random,
	};
	order_get_superblocks(&run->order, &point->left);
	fork_some(run, step, point);
	run->nr_points++;
	run->stats->nr_crash_points++;
}

static void strike(struct run *run)
{
	const struct step *step = run->armed;

	run->armed = NULL;
	if (step->kind == STEP_IMAGES) {
		set_aside(run, step);
		return;
	}
	trace_note(run->trace, "  the power fails");
	run->power_is_off = true;
	order_get_superblocks(&run->order, &run->left);
	run->stats->nr_crash_points++;
	tp_simulator_power_off(run->simulator);
}

/* A device that drops what it could not flush does so at once (A5). */
static void note_failure(struct run *run,
			 const struct tp_simulated_event *event)
{
	oracle_request_failed(run->oracle);
	if (event->op == TP_FLUSH && event->device == DATA_DEVICE &&
	    (run->config->device_flags & TP_SIMULATED_HARSH_FLUSH))
		oracle_rolled_back(run->oracle);
}

void run_observe(void *context, const struct tp_simulated_event *event)
{
	struct run *run = context;

	if (!is_going(run) || run->is_checking)
		return;
	trace_request(run->trace, event);
	if (run->is_looking && event->op != TP_READ)
		violated(run->verdict, "a pool that was opened read-only does "
				       "more than read");
	run->stats->nr_requests += !event->has_ended;
	if (event->has_ended && event->status)
		note_failure(run, event);
	if (order_event(&run->order, event, run->verdict) && run->armed &&
	    !--run->events_left)
		strike(run);
}

/*---------------------------- what was set aside ---------------------------*/

/* Closed and opened again with nothing done, all is as it was (V2). */
static void reopen(struct run *run)
{
	run_close(run, true);
	if (is_going(run))
		run_open(run, true);
}

/* The image is opened; then perhaps again, and perhaps the run goes on in it
 * for a while. */
static void go_through(struct run *image, uint64_t random)
{
	if (!run_open(image, true))
		return;
	if (random % 4 == 0)
		reopen(image);
	if (random % 4 == 2)
		run_look_back(image);
	if (random % 4 == 1)
		run_steps(image, (unsigned)(random >> 8) % MAX_TAIL);
}

static void judge(struct run *run, const struct crash_point *point, unsigned i)
{
	struct run image = {
		.config = run->config,
		.steps = run->steps,
		.nr_steps = run->nr_steps,
		.next = point->next,
		.depth = run->depth + 1,
		.simulator = point->images[i],
		.origin = run->origin,
		.oracle = oracle_copy(point->oracle),
		.trace = run->trace,
		.stats = run->stats,
		.verdict = run->verdict,
		.is_faulty = point->was_faulty,
		.left = point->left,
		.was_crash = true,
	};
	uint64_t random = mix(point->random + i);

	order_init(&image.order, image.simulator, image.oracle,
		   run->order.has_cache, run->order.enabled);
	tp_simulator_set_observer(image.simulator, run_observe, &image);
	run->trace->depth++;
	trace_note(run->trace, "image %u", i);
	run->stats->nr_images++;
	go_through(&image, random);
	if (image.pool)
		run_close(&image, false);
	run->trace->depth--;
	run_end(&image);
}

void run_drop_points(struct run *run)
{
	for (unsigned p = 0; p < run->nr_points; p++) {
		for (unsigned i = 0; i < run->points[p].nr_images; i++)
			tp_simulator_free(run->points[p].images[i]);
		free(run->points[p].images);
		oracle_free(run->points[p].oracle);
	}
	run->nr_points = 0;
}

void run_judge_points(struct run *run)
{
	for (unsigned p = 0; p < run->nr_points; p++) {
		struct crash_point *point = &run->points[p];

		while (point->nr_images && !run->verdict->broken)
			judge(run, point, --point->nr_images);
	}
	run_drop_points(run);
}

/*---------------------------- the run goes on ------------------------------*/

static void power_on(struct run *run, uint64_t random)
{
	uint64_t nr = tp_simulator_nr_images(run->simulator);
	struct tp_image image;

	tp_simulator_heal(run->simulator, METADATA_DEVICE);
	tp_simulator_heal(run->simulator, DATA_DEVICE);
	if (tp_simulator_get_image(run->simulator, random % nr, &image) ||
	    tp_simulator_power_on(run->simulator, tp_keep_image, &image))
		violated(run->verdict, "the power does not come back: %s",
			 tp_simulator_last_error());
	trace_note(run->trace, "the power is back: %s",
		   tp_image_kind_name(image.kind));
	run->power_is_off = false;
}

/* It may fail again while the pool recovers. */
void run_recover(struct run *run, const struct step *step)
{
	uint64_t random = step ? step->random : run->config->seed;

	while (run->power_is_off && !run->verdict->broken) {
		bool was_faulty = run->is_faulty;

		if (run->pool)
			run_close(run, false);
		run_judge_points(run);
		power_on(run, next_random(&random));
		run->stats->nr_crashes++;
		run->is_faulty = was_faulty;
		run->was_crash = true;
		if (step && next_random(&random) % 3 == 0) {
			run->armed = step;
			run->events_left = 1 + next_random(&random) % 40;
		}
		run_open(run, true);
	}
}
