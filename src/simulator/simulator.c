/*
 * simulator.c - the seed, the clock, and what all devices have in common.
 *
 * Latencies and ties are drawn when a request begins, and time passes only when
 * the host lets it: so what happens depends on nothing but the calls.
 */
#include <stdio.h>
#include <stdlib.h>

#include "private.h"

#define START_NS 1000000000u
/* So many waits in vain are no accident: something may have been due that only
 * the host could reap, but not each time. */
#define MAX_IDLE_WAITS 10000u

void tpi_sim_lock(struct tp_simulator *simulator)
{
	pthread_mutex_lock(&simulator->lock);
}

void tpi_sim_unlock(struct tp_simulator *simulator)
{
	pthread_mutex_unlock(&simulator->lock);
}

/*---------------------------- new, free ------------------------------------*/

static void init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

int tpi_sim_new(const struct tp_simulator_options *options,
		struct tp_simulator **result)
{
	struct tp_simulator *simulator = calloc(1, sizeof(*simulator));

	if (!simulator)
		return tpi_sim_error(-ENOMEM, "no memory for a simulator");
	init_lock(&simulator->lock);
	simulator->nr_refs = 1;
	simulator->options = *options;
	simulator->now_ns = START_NS;
	simulator->host_state = tpi_sim_mix(options->seed);
	simulator->device_state = tpi_sim_mix(simulator->host_state);
	*result = simulator;

	return 0;
}

int tp_simulator_new(const struct tp_simulator_options *theirs,
		     struct tp_simulator **simulator)
{
	struct tp_simulator_options options = TP_SIMULATOR_OPTIONS_INIT;
	int r = 0;

	if (theirs)
		r = tpi_sim_take_struct(&options, sizeof(options), theirs,
					"struct tp_simulator_options");

	return r ? r : tpi_sim_new(&options, simulator);
}

/* Who has the last reference is alone. */
void tpi_sim_unref(struct tp_simulator *simulator)
{
	unsigned nr_refs;

	tpi_sim_lock(simulator);
	nr_refs = --simulator->nr_refs;
	tpi_sim_unlock(simulator);
	if (nr_refs)
		return;
	pthread_mutex_destroy(&simulator->lock);
	free(simulator->devices);
	free(simulator);
}

void tp_simulator_free(struct tp_simulator *simulator)
{
	if (!simulator)
		return;
	tp_simulator_set_observer(simulator, NULL, NULL);
	for (unsigned i = 0; i < simulator->nr_devices; i++)
		tp_device_unref(simulator->devices[i]->device);
	tpi_sim_unref(simulator);
}

/*---------------------------- what there is to know ------------------------*/

uint64_t tp_simulator_random(struct tp_simulator *simulator, uint64_t below)
{
	uint64_t n;

	tpi_sim_lock(simulator);
	n = tpi_sim_random(&simulator->host_state, below);
	tpi_sim_unlock(simulator);

	return n;
}

uint64_t tpi_sim_get(struct tp_simulator *simulator, const uint64_t *value)
{
	uint64_t result;

	tpi_sim_lock(simulator);
	result = *value;
	tpi_sim_unlock(simulator);

	return result;
}

uint64_t tp_simulator_nr_requests(struct tp_simulator *simulator)
{
	return tpi_sim_get(simulator, &simulator->nr_requests);
}

uint64_t tp_simulator_digest(struct tp_simulator *simulator)
{
	return tpi_sim_get(simulator, &simulator->digest);
}

void tpi_sim_note(struct tp_simulator *simulator, uint64_t what)
{
	simulator->digest = tpi_sim_mix(simulator->digest ^ what);
}

void tp_simulator_set_observer(struct tp_simulator *simulator,
			       tp_simulated_event_fn observer, void *context)
{
	tpi_sim_lock(simulator);
	simulator->observer = observer;
	simulator->observer_context = context;
	tpi_sim_unlock(simulator);
}

/*---------------------------- the clock ------------------------------------*/

uint64_t tp_simulator_clock_ns(void *context)
{
	struct tp_simulator *simulator = context;
	uint64_t now;

	tpi_sim_lock(simulator);
	now = simulator->now_ns;
	tpi_sim_unlock(simulator);

	return now;
}

void tp_simulator_set_instant(struct tp_simulator *simulator, bool instant)
{
	tpi_sim_lock(simulator);
	simulator->is_instant = instant;
	tpi_sim_unlock(simulator);
}

static uint64_t next_due(const struct tpi_sim_channel *channel, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	for (const struct tpi_sim_flight *flight = channel->flights; flight;
	     flight = flight->next)
		if (flight->due_ns > now && flight->due_ns < next)
			next = flight->due_ns;

	return next;
}

static unsigned count_due(const struct tpi_sim_channel *channel, uint64_t now)
{
	unsigned nr = 0;

	for (const struct tpi_sim_flight *flight = channel->flights; flight;
	     flight = flight->next)
		nr += flight->due_ns == now;

	return nr;
}

static uint64_t next_of_all(const struct tp_simulator *simulator)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < simulator->nr_devices; i++) {
		const struct tpi_sim_channel *channel;

		for (channel = simulator->devices[i]->channels; channel;
		     channel = channel->next) {
			uint64_t due = next_due(channel, simulator->now_ns);

			if (due < next)
				next = due;
		}
	}

	return next;
}

static unsigned arrive(struct tp_simulator *simulator, uint64_t when)
{
	unsigned nr = 0;

	simulator->now_ns = when;
	for (unsigned i = 0; i < simulator->nr_devices; i++) {
		struct tpi_sim_channel *channel;

		for (channel = simulator->devices[i]->channels; channel;
		     channel = channel->next) {
			nr += count_due(channel, when);
			tpi_sim_signal(channel);
		}
	}

	return nr;
}

unsigned tp_simulator_step(struct tp_simulator *simulator, uint64_t until_ns)
{
	unsigned nr = 0;
	uint64_t next;

	tpi_sim_lock(simulator);
	next = next_of_all(simulator);
	if (next > until_ns)
		next = until_ns;
	if (next > simulator->now_ns && next != UINT64_MAX)
		nr = arrive(simulator, next);
	tpi_sim_unlock(simulator);

	return nr;
}

/* Nothing to wait for, and nothing was done since the last time. */
static bool is_stuck(struct tp_simulator *simulator)
{
	uint64_t progress;
	bool stuck;

	tpi_sim_lock(simulator);
	progress = simulator->nr_requests + simulator->nr_ended;
	if (progress != simulator->seen_progress)
		simulator->nr_idle_waits = 0;
	simulator->seen_progress = progress;
	stuck = ++simulator->nr_idle_waits > MAX_IDLE_WAITS;
	tpi_sim_unlock(simulator);

	return stuck;
}

void tp_simulator_clock_wait(void *context, uint64_t until_ns)
{
	struct tp_simulator *simulator = context;

	if (tp_simulator_step(simulator, until_ns) || until_ns != UINT64_MAX ||
	    !is_stuck(simulator))
		return;
	if (simulator->options.stuck) {
		simulator->options.stuck(simulator->options.stuck_context);
		return;
	}
	fprintf(stderr,
		"thinpool simulator, seed %llu: a wait without a "
		"deadline, and nothing in flight that could end\n",
		(unsigned long long)simulator->options.seed);
	abort();
}
