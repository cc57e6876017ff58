/*
 * many-mappings.c - opening, closing and checking a pool with millions of
 * mappings.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "big-pool.h"
#include "special.h"
#include "volume.h"

double measure_open_close(struct bench *bench, const struct row *row)
{
	struct store *store = get_big_pool(bench)->store;
	uint64_t begin = now_ns();

	check(tp_pool_close(open_pool(store, 0)), "closing the pool");

	return (double)(now_ns() - begin) * 1e-6;
}

struct program_cost {
	double seconds, kib;
};

/* The most that it has had so far; as it was asked the last time, if it has
 * ended.  What wait4() would say begins with what this process has. */
static double peak_kib(pid_t pid, double before)
{
	char path[32], line[128];
	double kib = before;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "r");
	if (!file)
		return before;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "VmHWM: %lf", &kib) == 1)
			break;
	fclose(file);

	return kib;
}

/* It must succeed. */
static struct program_cost run_program(const char *const *words)
{
	struct program_cost cost = { 0 };
	uint64_t begin = now_ns();
	pid_t pid = vfork();
	int status;

	if (pid == 0) {
		execvp(words[0], (char *const *)words);
		_exit(127);
	}
	if (pid < 0)
		die("starting a program");
	while (waitpid(pid, &status, WNOHANG) == 0) {
		cost.kib = peak_kib(pid, cost.kib);
		usleep(1000);
	}
	cost.seconds = (double)(now_ns() - begin) * 1e-9;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		die(words[0]);

	return cost;
}

/* The best of as many runs as begin within a second: what else goes on in the
 * machine does not make a program faster. */
static struct program_cost run_repeatedly(const char *const *words)
{
	struct program_cost best = run_program(words);
	double spent = best.seconds;

	while (spent < 1) {
		struct program_cost cost = run_program(words);

		spent += cost.seconds;
		if (cost.seconds < best.seconds)
			best.seconds = cost.seconds;
		if (cost.kib > best.kib)
			best.kib = cost.kib;
	}

	return best;
}

/* The command of the same build. */
static struct program_cost run_check(const char *path)
{
	char program[4096];
	ssize_t nr = readlink("/proc/self/exe", program, sizeof(program) - 32);

	if (nr < 0)
		die("/proc/self/exe");
	program[nr] = '\0';
	snprintf(strrchr(program, '/'), 32, "/../tools/thinpool");

	return run_repeatedly((const char *const[]){ program, "check",
						     "--quiet", path, NULL });
}

static struct program_cost run_thin_check(const char *path)
{
	return run_repeatedly(
		(const char *const[]){ "thin_check", "-q", path, NULL });
}

struct check_costs {
	struct program_cost ours, theirs;
};

/* Of the big pool, which does not change; both rows want them. */
static const struct check_costs *get_check_costs(struct bench *bench)
{
	static struct check_costs costs;
	const char *path = get_big_pool(bench)->path;

	if (!costs.ours.seconds) {
		costs.theirs = run_thin_check(path);
		costs.ours = run_check(path);
	}

	return &costs;
}

double measure_check_speed(struct bench *bench, const struct row *row)
{
	const struct check_costs *costs = get_check_costs(bench);

	return costs->theirs.seconds / costs->ours.seconds;
}

double measure_check_memory(struct bench *bench, const struct row *row)
{
	const struct check_costs *costs = get_check_costs(bench);

	return costs->ours.kib / costs->theirs.kib;
}
