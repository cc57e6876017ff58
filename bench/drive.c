/*
 * drive.c - keeps operations in flight: each thread on a lane of its own.
 *
 * The places of a job are laid out before it begins, so that choosing the next
 * costs the same everywhere.  Threads begin at different ones.
 *
 * Reading the clock costs as much as a bio in memory.  So it is read for one
 * operation in SAMPLE_EVERY, unless the job says that it does not matter, and for
 * whether time is up as rarely.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"

#define SAMPLE_EVERY 64u
#define NR_SAMPLES_MAX (1u << 20) /* of a thread */
#define NR_RANDOM_PLACES_MAX (1u << 24)

struct driver {
	const struct job *job;
	struct lane *lane;
	struct operation *operations; /* as many as are in flight at most */

	const uint32_t *order; /* places, in strides */
	uint64_t at, nr_places, nr_left, until_ns;
	uint64_t nr_begun, nr_in_flight, nr_done;
	uint64_t sample_every;
	struct samples samples;
	pthread_t thread;
};

struct operation {
	struct slot slot;
	struct driver *driver;
	unsigned nr_steps_done;
	bool is_read;      /* of a mixed job */
	uint64_t place;    /* bytes */
	uint64_t begun_ns; /* 0: not timed */
};

/*---------------------------- one operation --------------------------------*/

static void submit_step(struct operation *op)
{
	const struct step *step = &op->driver->job->steps[op->nr_steps_done];
	struct lane *lane = op->driver->lane;

	op->slot.op = op->is_read ? TP_READ : step->op;
	op->slot.offset =
		op->place +
		(step->is_elsewhere ? op->driver->job->size_bytes : 0);
	op->slot.length = step->bytes;
	lane->ops->submit(lane, &op->slot);
}

/* The same for the same number, and without pattern. */
static bool draws_read(const struct job *job, uint64_t number)
{
	return job->read_percent &&
	       (number * 0x9e3779b97f4a7c15u >> 32) % 100 < job->read_percent;
}

static bool is_over(const struct driver *driver)
{
	const struct job *job = driver->job;

	if (!driver->nr_left)
		return true;
	if (job->stop)
		return atomic_load_explicit(job->stop, memory_order_relaxed);

	return job->run_ns && driver->nr_begun % SAMPLE_EVERY == 0 &&
	       now_ns() >= driver->until_ns;
}

static void begin_next(struct operation *op)
{
	struct driver *driver = op->driver;

	if (is_over(driver)) {
		driver->nr_left = 0;
		return;
	}
	driver->nr_left--;
	op->place = (uint64_t)driver->order[driver->at] * driver->job->stride;
	if (++driver->at == driver->nr_places)
		driver->at = 0;
	op->is_read = draws_read(driver->job, driver->nr_begun);
	op->begun_ns = driver->nr_begun++ % driver->sample_every ? 0 : now_ns();
	op->nr_steps_done = 0;
	driver->nr_in_flight++;
	submit_step(op);
}

static void step_ended(struct slot *slot)
{
	struct operation *op = slot->context;
	struct driver *driver = op->driver;

	if (++op->nr_steps_done < driver->job->nr_steps && !op->is_read) {
		submit_step(op);
		return;
	}
	if (op->begun_ns)
		add_sample(&driver->samples, now_ns() - op->begun_ns);
	driver->nr_done++;
	driver->nr_in_flight--;
	begin_next(op);
}

/*---------------------------- a thread -------------------------------------*/

static void *run_driver(void *context)
{
	struct driver *driver = context;

	driver->until_ns = now_ns() + driver->job->run_ns;
	for (unsigned i = 0; i < driver->job->depth; i++)
		begin_next(&driver->operations[i]);
	while (driver->nr_in_flight)
		driver->lane->ops->reap(driver->lane);

	return NULL;
}

static uint32_t largest_step(const struct job *job)
{
	uint32_t bytes = 0;

	for (unsigned i = 0; i < job->nr_steps; i++)
		if (job->steps[i].bytes > bytes)
			bytes = job->steps[i].bytes;

	return bytes;
}

static void init_operations(struct driver *driver)
{
	uint32_t bytes = largest_step(driver->job);
	unsigned depth = driver->job->depth;

	driver->operations = allocate(depth * sizeof(*driver->operations));
	for (unsigned i = 0; i < depth; i++) {
		struct operation *op = &driver->operations[i];

		op->driver = driver;
		op->slot.ended = step_ended;
		op->slot.context = op;
		op->slot.iov.iov_len = bytes;
		op->slot.iov.iov_base = aligned_alloc(4096, bytes);
		if (!op->slot.iov.iov_base)
			die("no memory for buffers");
		/* Not zeroes, which a device may store in other ways. */
		memset(op->slot.iov.iov_base, 'x', bytes);
	}
}

static void init_driver(struct driver *driver, const struct job *job,
			unsigned index, const uint32_t *order,
			uint64_t nr_places, struct target *target)
{
	uint64_t nr = job->nr_operations ? job->nr_operations : nr_places;

	*driver = (struct driver){
		.job = job,
		.order = order,
		.at = nr_places * index / job->threads,
		.nr_places = nr_places,
		.nr_left = job->stop || job->run_ns ? UINT64_MAX
						    : nr / job->threads,
		.sample_every = job->is_all_timed ? 1 : SAMPLE_EVERY,
	};
	init_samples(&driver->samples, NR_SAMPLES_MAX);
	init_operations(driver);
	driver->lane = target->open(target, job->depth);
}

static void exit_driver(struct driver *driver)
{
	driver->lane->ops->close(driver->lane);
	for (unsigned i = 0; i < driver->job->depth; i++)
		free(driver->operations[i].slot.iov.iov_base);
	free(driver->operations);
	exit_samples(&driver->samples);
}

/*---------------------------- a job ----------------------------------------*/

/* The same numbers every time. */
static uint64_t draw(uint64_t *random, uint64_t end)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;

	return (*random >> 31) % end;
}

static void shuffle(uint32_t *order, uint64_t nr)
{
	uint64_t random = 1;

	for (uint64_t i = nr; i > 1; i--) {
		uint64_t other = draw(&random, i);
		uint32_t swapped = order[i - 1];

		order[i - 1] = order[other];
		order[other] = swapped;
	}
}

/* All places, or as many as there is room for, drawn from all of them. */
static uint32_t *lay_out(const struct job *job, uint64_t *nr)
{
	uint64_t nr_places = job->size_bytes / job->stride, random = 1;
	uint32_t *order;

	*nr = nr_places;
	if (job->is_random && *nr > NR_RANDOM_PLACES_MAX)
		*nr = NR_RANDOM_PLACES_MAX;
	order = allocate(*nr * sizeof(*order));
	for (uint64_t i = 0; i < *nr; i++)
		order[i] = (uint32_t)(*nr == nr_places
					      ? i
					      : draw(&random, nr_places));
	if (job->is_random)
		shuffle(order, *nr);

	return order;
}

/* The last of them runs here. */
static void run_drivers(struct driver *drivers, unsigned nr)
{
	for (unsigned i = 0; i + 1 < nr; i++)
		if (pthread_create(&drivers[i].thread, NULL, run_driver,
				   &drivers[i]))
			die("no thread");
	run_driver(&drivers[nr - 1]);
	for (unsigned i = 0; i + 1 < nr; i++)
		pthread_join(drivers[i].thread, NULL);
}

static void sum_up(struct driver *drivers, unsigned nr, struct measure *measure)
{
	struct samples samples;

	init_samples(&samples, nr * (size_t)NR_SAMPLES_MAX);
	measure->nr = 0;
	for (unsigned i = 0; i < nr; i++) {
		add_samples(&samples, &drivers[i].samples);
		measure->nr += drivers[i].nr_done;
	}
	get_percentiles(&samples, measure->latency_us);
	exit_samples(&samples);
}

void drive(const struct job *job, struct target *target,
	   struct measure *measure)
{
	uint64_t nr_places;
	uint32_t *order = lay_out(job, &nr_places);
	struct driver drivers[THREADS_MAX];
	uint64_t wall, cpu;

	for (unsigned i = 0; i < job->threads; i++)
		init_driver(&drivers[i], job, i, order, nr_places, target);
	cpu = cpu_ns();
	wall = now_ns();
	run_drivers(drivers, job->threads);
	wall = now_ns() - wall;
	cpu = cpu_ns() - cpu;
	sum_up(drivers, job->threads, measure);
	measure->wall_ns = (double)wall / (double)measure->nr;
	measure->cpu_ns = (double)cpu / (double)measure->nr;
	for (unsigned i = 0; i < job->threads; i++)
		exit_driver(&drivers[i]);
	free(order);
}
