/*
 * execute.c - one step after another.
 */
#include "simulator/ballast.h"
#include "simulator/run.h"

static void resume_all(struct run *run)
{
	while (is_going(run) && run->nr_suspends) {
		unsigned before = run->nr_suspends;

		run_call(run, &(struct step){ .kind = STEP_RESUME });
		if (run->nr_suspends == before)
			return;
	}
}

/* Close and open: all that ended well is there (S4). */
static void reopen(struct run *run, const struct step *step)
{
	bool verify = run->is_faulty || step->random % 2;

	resume_all(run);
	if (step->random % 3 && is_going(run))
		run_drain(run, NR_SLOTS);
	if (!is_going(run))
		return;
	if (run_close(run, true) && is_going(run))
		oracle_rolled_back(run->oracle); /* no event tells of it */
	if (!is_going(run))
		return;
	if (run->oracle->doubt.kind != CONTROL_NONE) {
		/* A cache may know of it, and forget: only a power failure
		 * decides. */
		run->power_is_off = true;
		tp_simulator_power_off(run->simulator);
		return;
	}
	if (run->is_faulty)
		oracle_doubt(run->oracle);
	run->was_crash = false;
	tp_simulator_heal(run->simulator, METADATA_DEVICE);
	tp_simulator_heal(run->simulator, DATA_DEVICE);
	if (is_going(run))
		run_open(run, verify);
}

static void wait_a_while(struct run *run, const struct step *step)
{
	uint64_t now = tp_simulator_clock_ns(run->simulator);
	uint64_t until = now + step->random % 400000000;

	while (is_going(run) && tp_simulator_clock_ns(run->simulator) < until)
		if (!run_some(run))
			return;
}

static void inject(struct run *run, const struct step *step)
{
	struct tp_simulated_fault fault = TP_SIMULATED_FAULT_INIT;

	fault.ops = step->ops;
	fault.skip = step->events;
	fault.times = step->nr;
	if (step->random % 4 == 0 && !(step->ops & 1u << TP_FLUSH))
		fault.flags = TP_FAULT_SHORT;
	tp_simulator_fail(run->simulator, step->device, &fault);
	run->is_faulty = true;
}

static void heal(struct run *run)
{
	tp_simulator_heal(run->simulator, METADATA_DEVICE);
	tp_simulator_heal(run->simulator, DATA_DEVICE);
}

static void arm(struct run *run, const struct step *step)
{
	if (run->armed || run->depth > 1)
		return;
	run->armed = step;
	run->events_left = step->events;
}

/* Only the pool itself can tell whether that which is suspended is whole. */
static void drain(struct run *run)
{
	if (!run->nr_suspends)
		run_drain(run, NR_SLOTS);
}

static void do_step(struct run *run, const struct step *step)
{
	trace_step(run->trace, step);
	switch (step->kind) {
	case STEP_HOOK:
		run_set_hook(run, (enum hook_kind)(step->random % NR_HOOKS));
		break;
	case STEP_RESIZE:
		run_resize(run, step->slot, step->random);
		break;
	case STEP_LOOK_BACK:
		run_look_back(run);
		break;
	case STEP_FAIL_HOOK:
		run_fail_hook(run, step->events);
		break;
	case STEP_REOPEN:
		reopen(run, step);
		break;
	case STEP_WAIT:
		wait_a_while(run, step);
		break;
	case STEP_DRAIN:
		drain(run);
		break;
	case STEP_IMAGES:
	case STEP_CRASH:
		arm(run, step);
		break;
	case STEP_FAULT:
		inject(run, step);
		break;
	case STEP_HEAL:
		heal(run);
		break;
	default:
		run_call(run, step);
	}
}

void run_steps(struct run *run, unsigned nr)
{
	while (nr-- && run->next < run->nr_steps && !run->verdict->broken) {
		const struct step *step = &run->steps[run->next++];
		const struct step *armed = run->armed;

		run->stats->nr_steps++;
		if (step->kind == STEP_BIO)
			run_submit(run, step);
		else
			do_step(run, step);
		for (unsigned i = 0; i < step->pause && is_going(run); i++)
			run_some(run);
		if (is_going(run) && step->random >> 20 & 1)
			run_check_statistics(run);
		run_recover(run, run->armed ? run->armed : armed);
		if (is_going(run))
			run_judge_points(run);
	}
}

/* A run of whose crash points too few came to pass gets the rest now. */
static void top_up(struct run *run)
{
	unsigned nr = run->config->nr_crash_points;

	for (unsigned i = 0;
	     i < 2 * nr && is_going(run) && run->stats->nr_crash_points < nr;
	     i++) {
		struct step images = {
			.kind = STEP_IMAGES,
			.nr = 1,
			.events = 1 + i % 4,
			.random = run->config->seed + i,
		};

		arm(run, &images);
		run_call(run, &(struct step){ .kind = STEP_TRANSACTION_ID,
					      .random = i });
		run->armed = NULL;
		if (is_going(run))
			run_judge_points(run);
	}
}

/* What the volumes show in the end, and after a clean close. */
static void finish(struct run *run)
{
	struct step last = { .kind = STEP_REOPEN, .random = 1 };

	run->armed = NULL;
	resume_all(run);
	if (is_going(run))
		run_drain(run, NR_SLOTS);
	if (is_going(run))
		run_read_all(run);
	run_look_back(run);
	if (is_going(run))
		reopen(run, &last);
	run_recover(run, NULL);
	if (is_going(run))
		run_call(run,
			 &(struct step){ .kind = STEP_GROW_METADATA, .nr = 1 });
	ballast_await_end(run);
	if (is_going(run))
		top_up(run);
}

void run_workload(const struct config *config, const struct step *steps,
		  unsigned nr_steps, struct trace *trace, struct stats *stats,
		  struct verdict *verdict)
{
	struct run run = {
		.config = config,
		.steps = steps,
		.nr_steps = nr_steps,
		.trace = trace,
		.stats = stats,
		.verdict = verdict,
	};

	run_begin(&run);
	run_steps(&run, nr_steps);
	finish(&run);
	stats->nr_faults += tp_simulator_nr_failed(run.simulator);
	if (run.pool)
		run_close(&run, false);
	run_end(&run);
}
