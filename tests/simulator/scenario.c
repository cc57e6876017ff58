/*
 * scenario.c - short stories, in which power fails at every device event.
 */
#include <string.h>

#include "simulator/scenario.h"
#include "support/pattern.h"

#define BLOCK 128u
#define MAX_STEPS 24

/* A step that is odd may be taken while a call blocks. */
#define MEANWHILE 1

/* A line a step. */
/* clang-format off */
#define BIO(o, v, b, n, f)                                                     \
	{ .kind = STEP_BIO, .op = o, .slot = v, .begin = b, .length = n,       \
	  .flags = f, .pause = 1 }
#define WRITE(v, b, n) BIO(TP_WRITE, v, b, n, 0)
#define WRITE_FUA(v, b, n) BIO(TP_WRITE, v, b, n, TP_FUA)
#define WRITE_MEANWHILE(v, b, n)                                               \
	{ .kind = STEP_BIO, .op = TP_WRITE, .slot = v, .begin = b,             \
	  .length = n, .random = MEANWHILE }
#define ZEROES(v, b, n) BIO(TP_WRITE_ZEROES, v, b, n, 0)
#define DISCARD(v, b, n) BIO(TP_DISCARD, v, b, n, 0)
#define FLUSH(v) BIO(TP_FLUSH, v, 0, 0, 0)
#define CREATE(v) { .kind = STEP_CREATE, .slot = v }
#define CREATE_OVER_ORIGIN(v)                                                  \
	{ .kind = STEP_CREATE, .slot = v, .with_origin = true }
#define SNAPSHOT(v, of) { .kind = STEP_SNAPSHOT, .slot = v, .origin = of, .nr = 1 }
#define SNAPSHOTS(v, of, n)                                                    \
	{ .kind = STEP_SNAPSHOT, .slot = v, .origin = of, .nr = n }
#define DELETE(v) { .kind = STEP_DELETE, .slot = v }
#define CALL(k) { .kind = k, .nr = 1 }
#define DRAIN { .kind = STEP_DRAIN }
/* From here on, the power fails. */
#define NOW { .kind = STEP_IMAGES }

struct story {
	const char *name;
	unsigned pool_flags;
	uint64_t origin_sectors;
	unsigned data_features;
	unsigned nr_steps;
	struct step steps[MAX_STEPS];
};

#define STEPS(...)                                                             \
	.steps = { __VA_ARGS__ },                                              \
	.nr_steps = sizeof((struct step[]){ __VA_ARGS__ }) / sizeof(struct step)

static const struct story stories[NR_SCENARIOS] = {
	[FIRST_WRITE] = {
		"first write",
		STEPS(CREATE(0), NOW,
		      WRITE(0, 3, 2), DRAIN,
		      WRITE(0, 2 * BLOCK - 1, 2), DRAIN,
		      CALL(STEP_COMMIT)) },
	[BREAK_SHARING] = {
		"break sharing",
		STEPS(CREATE(0), WRITE(0, 0, 2 * BLOCK), DRAIN, SNAPSHOT(1, 0), NOW,
		      WRITE(0, 5, 2), WRITE(1, BLOCK + 5, 2), DRAIN,
		      WRITE(1, 5, 1), DRAIN, CALL(STEP_COMMIT),
		      WRITE(0, 5, 1), WRITE(1, 5, 1), DRAIN) },
	[OVERWRITE_SHARED] = {
		"whole-block overwrite of a shared block",
		STEPS(CREATE(0), WRITE(0, 0, BLOCK), DRAIN, SNAPSHOT(1, 0), NOW,
		      WRITE(0, 0, BLOCK), DRAIN, CALL(STEP_COMMIT),
		      WRITE(1, 0, BLOCK), DRAIN, FLUSH(1), DRAIN) },
	[FUA_WRITES] = {
		"FUA",
		STEPS(CREATE(0), WRITE(0, 0, BLOCK), DRAIN, SNAPSHOT(1, 0), NOW,
		      WRITE_FUA(0, 0, BLOCK), WRITE_FUA(1, 3 * BLOCK, 2), DRAIN,
		      WRITE_FUA(0, BLOCK, BLOCK), DRAIN, WRITE_FUA(0, 7, 1), DRAIN) },
	[FLUSHES] = {
		"flush",
		STEPS(CREATE(0), CREATE(1), NOW,
		      WRITE(0, 1, 1), WRITE(1, 1, 1), DRAIN,
		      FLUSH(0), WRITE(0, 2, 1), FLUSH(0), DRAIN,
		      WRITE(0, 2, 1), DRAIN, FLUSH(0), FLUSH(1), DRAIN) },
	[DISCARD_PASSED_DOWN] = {
		"discard with passdown",
		.data_features = TP_DEVICE_DISCARD,
		STEPS(CREATE(0), WRITE(0, 0, 3 * BLOCK), DRAIN, SNAPSHOT(1, 0),
		      WRITE(0, 0, BLOCK), DRAIN, NOW,
		      DISCARD(0, 0, 2 * BLOCK), DRAIN, FLUSH(0), DRAIN,
		      DISCARD(1, 0, 3 * BLOCK), DRAIN, CALL(STEP_COMMIT),
		      WRITE(1, 0, BLOCK), DRAIN, CALL(STEP_COMMIT)) },
	[SNAPSHOT_UNDER_WRITE] = {
		"snapshot under write",
		STEPS(CREATE(0), WRITE(0, 0, BLOCK), DRAIN, NOW,
		      WRITE(0, BLOCK - 2, 4), WRITE(0, 1, 1), SNAPSHOT(1, 0),
		      WRITE_MEANWHILE(0, BLOCK - 2, 4), WRITE_MEANWHILE(0, 1, 1),
		      SNAPSHOT(2, 1), WRITE(1, 0, 1), DRAIN) },
	[SNAPSHOTS_TOGETHER] = {
		"several snapshots at one instant",
		STEPS(CREATE(0), CREATE(1), NOW,
		      WRITE(0, 1, 1), WRITE(1, 1, 1), SNAPSHOTS(2, 0, 2),
		      WRITE_MEANWHILE(0, 1, 1), WRITE_MEANWHILE(1, 1, 1), DRAIN) },
	[DELETION] = {
		"delete",
		STEPS(CREATE(0), WRITE(0, 0, 2 * BLOCK), DRAIN, SNAPSHOT(1, 0),
		      WRITE(1, 0, BLOCK), DRAIN, NOW,
		      DELETE(0), CREATE(0), WRITE(0, 0, 1), WRITE(0, BLOCK, BLOCK),
		      DRAIN, DELETE(1), CALL(STEP_COMMIT)) },
	[GROWTH] = {
		"growth of both devices",
		STEPS(CREATE(0), WRITE(0, 0, 1), DRAIN, NOW,
		      CALL(STEP_GROW_DATA), WRITE(0, BLOCK, 1),
		      CALL(STEP_GROW_METADATA), DRAIN, CALL(STEP_COMMIT)) },
	[COMMIT_UNDER_WRITE] = {
		"commit with the next transaction under way",
		STEPS(CREATE(0), WRITE(0, 0, BLOCK), DRAIN, SNAPSHOT(1, 0),
		      WRITE(0, 0, 1), DRAIN, NOW,
		      CALL(STEP_COMMIT), WRITE_MEANWHILE(1, 1, 1),
		      WRITE_MEANWHILE(0, BLOCK, 1), WRITE_MEANWHILE(0, 1, 1),
		      CALL(STEP_COMMIT), WRITE(1, 0, BLOCK), DRAIN, FLUSH(1), DRAIN) },
	[METADATA_SNAPSHOT] = {
		"metadata snapshot",
		STEPS(CREATE(0), WRITE(0, 0, BLOCK), DRAIN, NOW,
		      CALL(STEP_RESERVE), WRITE(0, 0, 1), DISCARD(0, 0, BLOCK), DRAIN,
		      WRITE(0, BLOCK, 1), CALL(STEP_RELEASE), WRITE(0, 0, 1), DRAIN,
		      CALL(STEP_COMMIT)) },
	[ORIGIN_TAIL] = {
		"writes over an external origin and its end",
		.origin_sectors = BLOCK + 20,
		STEPS(CREATE_OVER_ORIGIN(0), NOW,
		      WRITE(0, 3, 1), WRITE(0, BLOCK + 19, 2), DRAIN,
		      CALL(STEP_COMMIT), ZEROES(0, 0, BLOCK), DRAIN,
		      DISCARD(0, 0, 2 * BLOCK), DRAIN, FLUSH(0), DRAIN) },
	[NO_ZEROING] = {
		"no zeroing of new blocks",
		.pool_flags = TP_POOL_SKIP_ZEROING,
		STEPS(CREATE(0), NOW,
		      WRITE(0, 3, 2), ZEROES(0, BLOCK, BLOCK), DRAIN,
		      WRITE(0, BLOCK + 1, 1), DRAIN, CALL(STEP_COMMIT)) },
};
/* clang-format on */

const char *scenario_name(enum scenario scenario)
{
	return stories[scenario].name;
}

static struct config config_of(const struct story *story, uint64_t seed)
{
	return (struct config){
		.seed = seed,
		.block_sectors = BLOCK,
		.data_blocks = 14,
		.metadata_blocks = 96,
		.volume_sectors = 3 * BLOCK + 40,
		.origin_sectors = story->origin_sectors,
		.pool_flags = story->pool_flags,
		.commit_interval_ms = 1000,
		.no_space_timeout_ms = 1000,
		.metadata_cache_bytes = 256 << 10,
		.mapping_cache_bytes = 64 << 10,
		.nr_queues = 1,
		.depth = 4,
		.data_features = story->data_features,
		.discard_effect = TP_DISCARD_POISONS,
		.discard_granularity_bytes = 512,
		.max_latency_ns = 1000000,
		.order_checks = true,
	};
}

static void add_stats(struct stats *sum, const struct stats *stats)
{
	sum->nr_crash_points += stats->nr_crash_points;
	sum->nr_images += stats->nr_images;
	sum->nr_crashes += stats->nr_crashes;
}

/* Whether that event was reached. */
static bool play_to(const struct story *story, unsigned event, unsigned every,
		    uint64_t seed, struct stats *sum, struct verdict *verdict)
{
	struct config config = config_of(story, seed);
	struct step steps[MAX_STEPS];
	struct trace trace = { .digest = 0 };
	struct stats stats = { .nr_steps = 0 };

	memcpy(steps, story->steps, sizeof(steps));
	for (unsigned i = 0; i < story->nr_steps; i++) {
		steps[i].number = i;
		if (steps[i].kind != STEP_IMAGES)
			continue;
		steps[i].events = event;
		steps[i].every = every;
		steps[i].random = mix(seed + event);
	}
	run_workload(&config, steps, story->nr_steps, &trace, &stats, verdict);
	add_stats(sum, &stats);

	return stats.nr_crash_points;
}

bool scenario_play(enum scenario scenario, unsigned every, uint64_t seed,
		   struct stats *stats, struct verdict *verdict)
{
	unsigned event = 1;

	while (!verdict->broken &&
	       play_to(&stories[scenario], event, every, seed, stats, verdict))
		event++;

	return !verdict->broken;
}
