/*
 * hostile.c - pools with damaged metadata, many of them.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pool/hostile.h"
#include "support/damage.h"
#include "support/pattern.h"

#define SECONDS_A_SEED 100u

/* One seed in so many runs on a pool with a thread of its own. */
#define OWN_THREAD_EVERY 13u

static char current[512];

/*---------------------------- bounds ---------------------------------------*/

static void too_late(int signal)
{
	static const char words[] = ": it does not end\n";

	(void)!write(STDERR_FILENO, current, strlen(current));
	(void)!write(STDERR_FILENO, words, sizeof(words) - 1);
	abort();
}

#if defined(__has_feature)
#define HAS(feature) __has_feature(feature)
#else
#define HAS(feature) 0
#endif

/* Sanitizers and valgrind map far more than the program does. */
static bool is_instrumented(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||           \
	HAS(address_sanitizer) || HAS(thread_sanitizer)
	return true;
#else
	const char *fork = getenv("CK_FORK");

	return fork && !strcmp(fork, "no");
#endif
}

static void set_bounds(void)
{
	const struct rlimit limit = { 1u << 30, 1u << 30 };

	signal(SIGALRM, too_late);
	if (!is_instrumented() && setrlimit(RLIMIT_AS, &limit))
		abort();
}

/*---------------------------- one seed -------------------------------------*/

struct run {
	struct specimen specimen;
	char *metadata; /* the damaged one */
};

static void begin(struct run *run, enum specimen_kind kind)
{
	specimen_make(&run->specimen, kind);
	run->metadata = malloc(run->specimen.sizes.metadata_bytes);
	if (!run->metadata)
		abort();
	set_bounds();
}

static void end(struct run *run)
{
	alarm(0);
	free(run->metadata);
	specimen_exit(&run->specimen);
}

static void put_back(struct run *run)
{
	memcpy(run->metadata, run->specimen.metadata,
	       run->specimen.sizes.metadata_bytes);
}

static bool run_seed(struct run *run, const struct hostile_seeds *seeds,
		     uint64_t seed, const char *damage, bool shows)
{
	struct exercise one = {
		.specimen = &run->specimen,
		.seed = seed,
		.nr_steps = seeds->nr_steps,
		.own_thread = seed % OWN_THREAD_EVERY == 0,
		.metadata = damage ? run->metadata : NULL,
		.damage = damage,
		.shows = shows,
	};

	snprintf(current, sizeof(current), "%s, seed %llu, %s",
		 run->specimen.name, (unsigned long long)seed,
		 damage ? damage : "no damage");
	alarm(SECONDS_A_SEED);

	return exercise(&one);
}

/*---------------------------- many -----------------------------------------*/

#define EACH_SEED(seed, seeds)                                                 \
	uint64_t first = seed_from_environment((seeds)->first), seed = first;  \
	seed < first + (seeds)->nr;                                            \
	seed++

void hostile_undamaged(enum specimen_kind kind,
		       const struct hostile_seeds *seeds)
{
	struct run run;

	begin(&run, kind);
	for (EACH_SEED(seed, seeds))
		if (!run_seed(&run, seeds, seed, NULL, true))
			abort();
	end(&run);
}

void hostile_unsealed(enum specimen_kind kind,
		      const struct hostile_seeds *seeds)
{
	struct damage_report report;
	struct run run;

	begin(&run, kind);
	for (EACH_SEED(seed, seeds)) {
		uint64_t size = run.specimen.sizes.metadata_bytes;

		put_back(&run);
		if (damage_do(run.metadata, size,
			      (enum damage_kind)(seed %
						 (DAMAGE_LAST_UNSEALED + 1)),
			      seed, &report))
			run_seed(&run, seeds, seed, report.text, true);
	}
	end(&run);
}

void hostile_sealed(enum specimen_kind kind, const struct hostile_seeds *seeds)
{
	struct damage_report report;
	struct run run;

	begin(&run, kind);
	for (EACH_SEED(seed, seeds)) {
		put_back(&run);
		damage_apply(run.metadata, run.specimen.sizes.metadata_bytes,
			     seed, &report);
		run_seed(&run, seeds, seed, report.text, false);
	}
	end(&run);
}

void hostile_lost_writes(enum specimen_kind kind,
			 const struct hostile_seeds *seeds)
{
	struct damage_report report;
	struct run run;

	begin(&run, kind);
	for (EACH_SEED(seed, seeds)) {
		put_back(&run);
		if (damage_lost_write(run.metadata, run.specimen.older,
				      run.specimen.sizes.metadata_bytes, seed,
				      &report))
			run_seed(&run, seeds, seed, report.text, false);
	}
	end(&run);
}
