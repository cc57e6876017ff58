/*
 * isolate.c - runs in processes of their own.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "simulator/isolate.h"

/* No run takes a tenth of that, even under a sanitizer. */
#define LIMIT_SECONDS 30

/*---------------------------- one run --------------------------------------*/

static bool is_wanted(const struct job *job, uint32_t number)
{
	if (!job->only)
		return true;
	for (unsigned i = 0; i < job->nr_only; i++)
		if (job->only[i] == number)
			return true;

	return false;
}

static void keep_wanted(struct workload *workload, const struct job *job)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < workload->nr_steps; i++)
		if (is_wanted(job, workload->steps[i].number))
			workload->steps[kept++] = workload->steps[i];
	workload->nr_steps = kept;
}

void job_run(const struct job *job, struct outcome *outcome)
{
	struct trace trace = { .file = job->trace };
	struct workload workload;
	char text[300];

	memset(outcome, 0, sizeof(*outcome));
	workload_make(&workload, job->seed, &job->options);
	keep_wanted(&workload, job);
	config_describe(&workload.config, text, sizeof(text));
	trace_note(&trace, "seed %llu: %s", (unsigned long long)job->seed,
		   text);
	run_workload(&workload.config, workload.steps, workload.nr_steps,
		     &trace, &outcome->stats, &outcome->verdict);
	outcome->digest = trace.digest;
	workload_free(&workload);
}

/*---------------------------- in another process ---------------------------*/

static struct outcome *shared_outcomes(unsigned nr)
{
	void *memory = mmap(NULL, nr * sizeof(struct outcome),
			    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);

	if (memory == MAP_FAILED)
		abort();

	return memory;
}

static pid_t start(const struct job *job, struct outcome *outcome)
{
	pid_t pid;

	memset(outcome, 0, sizeof(*outcome));
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		abort();
	if (pid)
		return pid;
	alarm(LIMIT_SECONDS);
	job_run(job, outcome);
	fflush(NULL);
	exit(0); /* so that leaks are found, and coverage is noted */
}

/* A process that did not come to its end has not written a verdict. */
static void note_exit(struct outcome *outcome, int status)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		violated(&outcome->verdict, "the run does not end");
	else if (WIFSIGNALED(status))
		violated(&outcome->verdict, "the run was ended by signal %d",
			 WTERMSIG(status));
	else if (WEXITSTATUS(status))
		violated(&outcome->verdict, "the run exited with %d",
			 WEXITSTATUS(status));
}

void job_run_isolated(const struct job *job, struct outcome *outcome)
{
	struct outcome *shared = shared_outcomes(1);
	int status = 0;

	waitpid(start(job, shared), &status, 0);
	note_exit(shared, status);
	*outcome = *shared;
	munmap(shared, sizeof(*shared));
}

/*---------------------------- many -----------------------------------------*/

struct worker {
	pid_t pid; /* 0: idle */
	struct job job;
	struct outcome *outcome;
};

static void add_stats(struct stats *sum, const struct stats *stats)
{
	sum->nr_steps += stats->nr_steps;
	sum->nr_operations += stats->nr_operations;
	sum->nr_requests += stats->nr_requests;
	sum->nr_crash_points += stats->nr_crash_points;
	sum->nr_images += stats->nr_images;
	sum->nr_crashes += stats->nr_crashes;
	sum->nr_faults += stats->nr_faults;
}

static void take_outcome(const struct batch *batch, struct totals *totals,
			 const struct worker *worker)
{
	const struct outcome *outcome = worker->outcome;

	if (!totals->nr_seeds++ ||
	    outcome->stats.nr_crash_points < totals->fewest_crash_points)
		totals->fewest_crash_points = outcome->stats.nr_crash_points;
	add_stats(&totals->stats, &outcome->stats);
	if (!outcome->verdict.broken)
		return;
	if (batch->failures)
		fprintf(batch->failures, "seed %llu: %s\n",
			(unsigned long long)worker->job.seed,
			outcome->verdict.sentence);
	if (!totals->nr_failed++ || worker->job.seed < totals->failed_seed) {
		totals->failed_seed = worker->job.seed;
		totals->verdict = outcome->verdict;
	}
}

static void await_one(const struct batch *batch, struct worker *workers,
		      unsigned nr, struct totals *totals)
{
	int status = 0;
	pid_t pid = waitpid(-1, &status, 0);

	for (unsigned i = 0; i < nr; i++)
		if (workers[i].pid == pid) {
			note_exit(workers[i].outcome, status);
			take_outcome(batch, totals, &workers[i]);
			workers[i].pid = 0;
		}
}

static struct worker *idle_worker(struct worker *workers, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		if (!workers[i].pid)
			return &workers[i];

	return NULL;
}

static double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);

	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void show_progress(const struct batch *batch,
			  const struct totals *totals)
{
	if (batch->shows_progress)
		fprintf(stderr,
			"\r%llu of %llu seeds, %llu crash points, "
			"%llu failed ",
			(unsigned long long)totals->nr_seeds,
			(unsigned long long)batch->nr,
			(unsigned long long)totals->stats.nr_crash_points,
			(unsigned long long)totals->nr_failed);
}

static void run_all(const struct batch *batch, struct worker *workers,
		    unsigned nr, struct totals *totals)
{
	uint64_t next = batch->from, end = batch->from + batch->nr;
	uint64_t nr_running = 0;

	while (next < end || nr_running) {
		struct worker *worker = idle_worker(workers, nr);

		if (totals->nr_failed && !batch->goes_on)
			end = next;
		if (worker && next < end) {
			worker->job = (struct job){ .seed = next++,
						    .options = batch->options };
			worker->pid = start(&worker->job, worker->outcome);
			nr_running++;
		} else if (nr_running) {
			await_one(batch, workers, nr, totals);
			nr_running--;
			show_progress(batch, totals);
		}
	}
}

void batch_run(const struct batch *batch, struct totals *totals)
{
	long nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned nr = batch->nr_jobs ? batch->nr_jobs
		      : nr_cpus > 0  ? (unsigned)nr_cpus
				     : 1;
	struct worker *workers = calloc(nr, sizeof(*workers));
	struct outcome *outcomes = shared_outcomes(nr);
	double begin = now_seconds();

	memset(totals, 0, sizeof(*totals));
	for (unsigned i = 0; i < nr; i++)
		workers[i].outcome = &outcomes[i];
	run_all(batch, workers, nr, totals);
	totals->seconds = now_seconds() - begin;
	if (batch->shows_progress)
		fprintf(stderr, "\r\033[K");
	munmap(outcomes, nr * sizeof(*outcomes));
	free(workers);
}

void batch_print(const struct totals *totals)
{
	const struct stats *stats = &totals->stats;

	printf("%llu seeds in %.1f s (%.1f a second), %llu failed\n",
	       (unsigned long long)totals->nr_seeds, totals->seconds,
	       (double)totals->nr_seeds / totals->seconds,
	       (unsigned long long)totals->nr_failed);
	printf("%llu crash points, at least %llu a seed, %llu images looked "
	       "at, %llu crashes gone on from\n",
	       (unsigned long long)stats->nr_crash_points,
	       (unsigned long long)totals->fewest_crash_points,
	       (unsigned long long)stats->nr_images,
	       (unsigned long long)stats->nr_crashes);
	printf("%llu operations, %llu device requests, %llu faults\n",
	       (unsigned long long)stats->nr_operations,
	       (unsigned long long)stats->nr_requests,
	       (unsigned long long)stats->nr_faults);
}
