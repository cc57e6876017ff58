/*
 * workload.c - what a seed decides.
 *
 * Pools are small, so that space runs short, blocks are used again soon, and
 * every sector of every volume can be looked at thousands of times.
 */
#include <stdlib.h>
#include <string.h>

#include <thinpool/thinpool.h>

#include "simulator/workload.h"
#include "support/pattern.h"

#define NR_STEPS 130
/* One in so many steps is a crash point: at least eight in each run
 * (crash-contract, 13). */
#define STEPS_A_POINT 9
/* One in so many runs has a thin that is too big to be deleted at once. */
#define RUNS_A_BALLAST 12
#define KIB 1024u
#define MS 1000000u

/*---------------------------- chance ---------------------------------------*/

static uint64_t below(uint64_t *random, uint64_t limit)
{
	return random_in(random, 0, limit);
}

static bool one_in(uint64_t *random, unsigned n)
{
	return !below(random, n);
}

static uint64_t between(uint64_t *random, uint64_t low, uint64_t high)
{
	return random_in(random, low, high + 1);
}

/*---------------------------- the configuration ----------------------------*/

static unsigned choose_features(uint64_t *random)
{
	unsigned features = 0;

	if (!one_in(random, 3))
		features |= TP_DEVICE_FUA;
	if (one_in(random, 8))
		features |= TP_DEVICE_NO_CACHE;
	if (!one_in(random, 4))
		features |= TP_DEVICE_DISCARD;
	if (one_in(random, 2))
		features |= TP_DEVICE_WRITE_ZEROES;

	return features;
}

static unsigned choose_pool_flags(uint64_t *random)
{
	unsigned flags = 0;

	if (one_in(random, 5))
		flags |= TP_POOL_SKIP_ZEROING;
	if (one_in(random, 12))
		flags |= TP_POOL_IGNORE_DISCARD;
	if (one_in(random, 4))
		flags |= TP_POOL_NO_DISCARD_PASSDOWN;
	if (one_in(random, 3))
		flags |= TP_POOL_ERROR_IF_NO_SPACE;

	return flags;
}

static void choose_config(struct config *config, uint64_t seed,
			  uint64_t *random)
{
	static const uint32_t blocks[] = { 128, 128, 128, 256, 384 };
	static const uint32_t granularities[] = { 512, 512, 64 * KIB,
						  128 * KIB };
	unsigned nr_blocks = (unsigned)between(random, 4, 10);

	config->seed = seed;
	config->nr_crash_points = 8;
	config->block_sectors = blocks[below(random, 5)];
	config->data_blocks = between(random, 12, 40);
	config->metadata_blocks = between(random, 160, 400);
	config->volume_sectors =
		(uint64_t)nr_blocks * config->block_sectors +
		(one_in(random, 2) ? between(random, 1, 100) : 0);
	if (one_in(random, 3))
		config->origin_sectors =
			between(random, 1, config->volume_sectors + 100);
	config->pool_flags = choose_pool_flags(random);
	config->commit_interval_ms =
		one_in(random, 6) ? TP_NEVER
				  : (uint32_t)between(random, 5, 200);
	config->no_space_timeout_ms = (uint32_t)between(random, 20, 300);
	config->metadata_cache_bytes = one_in(random, 3) ? 1 : 256 * KIB;
	config->mapping_cache_bytes = one_in(random, 3) ? 1 : 256 * KIB;
	config->nr_queues = (unsigned)between(random, 1, MAX_QUEUES);
	config->depth = (unsigned)between(random, 1, 8);
	config->metadata_features = choose_features(random);
	config->data_features = choose_features(random);
	if (seed % 3 == 0)
		config->data_features |= TP_DEVICE_COPY;
	if (one_in(random, 2))
		config->device_flags |= TP_SIMULATED_HARSH_FLUSH;
	config->discard_effect = (enum tp_discard_effect)below(random, 3);
	config->discard_granularity_bytes = granularities[below(random, 4)];
	config->max_latency_ns =
		one_in(random, 4) ? 1 : between(random, 1, 40) * MS / 10;
}

/*---------------------------- bios -----------------------------------------*/

/* Much of it where others are: that is where things go wrong. */
static uint64_t choose_place(const struct config *config, uint64_t *random)
{
	uint64_t nr_blocks = config->volume_sectors / config->block_sectors;
	uint64_t block = one_in(random, 2) ? below(random, 3)
					   : below(random, nr_blocks + 1);
	uint64_t at = block * config->block_sectors;

	switch (below(random, 4)) {
	case 0:
		at += below(random, config->block_sectors);
		break;
	case 1:
		at += config->block_sectors - 1 - below(random, 4);
		break;
	default:
		break;
	}

	return at < config->volume_sectors ? at : config->volume_sectors - 1;
}

static uint64_t choose_length(const struct config *config, uint64_t *random)
{
	switch (below(random, 5)) {
	case 0:
		return 1;
	case 1:
		return between(random, 1, 16);
	case 2:
		return config->block_sectors;
	case 3:
		return between(random, 1, 2 * config->block_sectors);
	default:
		return config->block_sectors * between(random, 1, 3);
	}
}

static enum tp_op choose_op(uint64_t *random)
{
	static const enum tp_op ops[] = {
		TP_WRITE, TP_WRITE, TP_WRITE,   TP_WRITE,
		TP_WRITE, TP_WRITE, TP_READ,    TP_READ,
		TP_FLUSH, TP_FLUSH, TP_DISCARD, TP_WRITE_ZEROES,
	};

	return ops[below(random, sizeof(ops) / sizeof(ops[0]))];
}

static unsigned choose_flags(enum tp_op op, uint64_t *random)
{
	unsigned flags = 0;

	if (op != TP_WRITE && op != TP_WRITE_ZEROES)
		return 0;
	if (one_in(random, 5))
		flags |= TP_FUA;
	if (op == TP_WRITE && one_in(random, 10))
		flags |= TP_PREFLUSH;
	if (op == TP_WRITE_ZEROES && one_in(random, 3))
		flags |= TP_NO_UNMAP;

	return flags;
}

static void make_bio(struct step *step, const struct config *config,
		     uint64_t *random)
{
	step->op = choose_op(random);
	step->flags = choose_flags(step->op, random);
	step->zeroes = !config->plain && step->op == TP_WRITE &&
		       one_in(random, 8);
	step->queue = (unsigned)below(random, config->nr_queues);
	step->begin = choose_place(config, random);
	step->length = choose_length(config, random);
	if (step->op == TP_DISCARD && one_in(random, 4))
		step->length = config->volume_sectors;
	if (step->length > config->volume_sectors - step->begin)
		step->length = config->volume_sectors - step->begin;
}

/*---------------------------- steps ----------------------------------------*/

/* How often, of a thousand. */
static const unsigned plain_weights[NR_STEP_KINDS] = {
	[STEP_BIO] = 796,          [STEP_CREATE] = 24,
	[STEP_SNAPSHOT] = 45,      [STEP_DELETE] = 18,
	[STEP_TRANSACTION_ID] = 8, [STEP_RESERVE] = 6,
	[STEP_RELEASE] = 6,        [STEP_COMMIT] = 8,
	[STEP_GROW_DATA] = 8,      [STEP_GROW_METADATA] = 4,
	[STEP_SUSPEND] = 5,        [STEP_RESUME] = 8,
	[STEP_HOOK] = 6,           [STEP_RESIZE] = 12,
	[STEP_REOPEN] = 6,         [STEP_WAIT] = 30,
	[STEP_DRAIN] = 10,
};

static const unsigned all_weights[NR_STEP_KINDS] = {
	[STEP_BIO] = 772,   [STEP_CREATE] = 24,        [STEP_SNAPSHOT] = 45,
	[STEP_DELETE] = 18, [STEP_TRANSACTION_ID] = 8, [STEP_RESERVE] = 10,
	[STEP_RELEASE] = 6, [STEP_LOOK_BACK] = 10,     [STEP_TRIM] = 10,
	[STEP_COMMIT] = 8,  [STEP_GROW_DATA] = 8,      [STEP_GROW_METADATA] = 4,
	[STEP_SUSPEND] = 5, [STEP_RESUME] = 8,         [STEP_HOOK] = 6,
	[STEP_RESIZE] = 12, [STEP_REOPEN] = 6,         [STEP_WAIT] = 30,
	[STEP_DRAIN] = 10,
};

static enum step_kind choose_kind(const struct config *config, uint64_t *random)
{
	const unsigned *weights = config->plain ? plain_weights : all_weights;
	uint64_t point = below(random, 1000);
	unsigned kind = 0;

	while (point >= weights[kind])
		point -= weights[kind++];

	return (enum step_kind)kind;
}

static void make_step(struct step *step, const struct config *config,
		      unsigned number, uint64_t *random)
{
	*step = (struct step){
		.number = number,
		.kind = number < 2 ? STEP_CREATE : choose_kind(config, random),
		.slot = (unsigned)below(random, NR_SLOTS),
		.origin = (unsigned)below(random, NR_SLOTS),
		.nr = (unsigned)between(random, 1, 3),
		.with_origin = config->origin_sectors && one_in(random, 2),
		.pause = one_in(random, 2) ? 0
					   : (unsigned)between(random, 0, 6),
		.events = (unsigned)between(random, 1, 30),
		.random = next_random(random),
	};
	if (step->kind == STEP_BIO)
		make_bio(step, config, random);
}

/*
 * Places are dealt out evenly, so that each run has its share, and each point
 * mostly comes to pass before the next is due.
 */
static void add_points(struct workload *workload, uint64_t *random)
{
	for (unsigned first = 0; first + STEPS_A_POINT <= workload->nr_steps;
	     first += STEPS_A_POINT) {
		struct step *step =
			&workload->steps[first + below(random, STEPS_A_POINT)];

		step->kind = one_in(random, 8) ? STEP_CRASH : STEP_IMAGES;
		step->nr = one_in(random, 3) ? 2 : 1;
		step->events = (unsigned)between(random, 1, 24);
	}
}

static void make_fault(struct step *step, uint64_t *random)
{
	static const enum tp_op ops[] = {
		TP_FLUSH, TP_FLUSH,   TP_FLUSH,        TP_READ,  TP_READ,
		TP_WRITE, TP_DISCARD, TP_WRITE_ZEROES, TP_WRITE, TP_WRITE,
	};

	step->kind = one_in(random, 5) ? STEP_FAIL_HOOK : STEP_FAULT;
	step->op = ops[below(random, sizeof(ops) / sizeof(ops[0]))];
	step->ops = 1u << step->op;
	step->device = step->op > TP_FLUSH || one_in(random, 2);
	step->nr = one_in(random, 3) ? 0 : 1;
	step->events = (unsigned)below(random, 8);
	if (step->kind == STEP_FAIL_HOOK)
		step->events %= 4;
}

/* A step from @i on that is nothing but a bio; or the last. */
static struct step *find_bio(struct workload *workload, uint64_t i)
{
	if (i >= workload->nr_steps)
		i = workload->nr_steps - 1;
	while (i + 1 < workload->nr_steps &&
	       workload->steps[i].kind != STEP_BIO)
		i++;

	return &workload->steps[i];
}

/* A pool that gave up writing is opened again before long. */
static void add_fault(struct workload *workload, uint64_t *random)
{
	struct step *step =
		find_bio(workload, between(random, 8, workload->nr_steps - 1));

	make_fault(step, random);
	step = find_bio(workload, step->number + between(random, 5, 25));
	step->kind = STEP_REOPEN;
}

static void add_faults(struct workload *workload, uint64_t *random)
{
	unsigned nr = (unsigned)between(random, 2, 5);

	workload->config.faults = true;
	while (nr--)
		add_fault(workload, random);
}

/* What is discarded may be under a reader's eyes. */
static void read_what_goes(struct step *before, const struct step *discard,
			   const struct config *config, uint64_t *random)
{
	before->kind = STEP_BIO;
	before->op = TP_READ;
	before->flags = 0;
	before->zeroes = false;
	before->slot = discard->slot;
	before->queue = (unsigned)below(random, config->nr_queues);
	before->begin = discard->begin;
	before->length = discard->length;
	before->pause = 0;
}

static void add_readers(struct workload *workload, uint64_t *random)
{
	for (unsigned i = 3; i < workload->nr_steps; i++) {
		struct step *step = &workload->steps[i];

		if (step->kind == STEP_BIO && step->op == TP_DISCARD &&
		    step[-1].kind == STEP_BIO && one_in(random, 2))
			read_what_goes(step - 1, step, &workload->config,
				       random);
	}
}

/* Through a handle that is far larger than the volume: all its ballast goes. */
static void discard_ballast(struct workload *workload, struct step *step,
			    uint64_t *random)
{
	const struct config *config = &workload->config;
	struct step *resize = find_bio(workload, step->number / 2);

	resize->kind = STEP_RESIZE;
	resize->slot = 0;
	resize->random = RANDOM_HUGE_SIZE;
	step->op = TP_DISCARD;
	step->flags = 0;
	step->zeroes = false;
	step->begin = choose_place(config, random);
	step->length = config->volume_sectors - step->begin;
	step->random |= RANDOM_SECOND_HANDLE;
}

/* One of the volumes is too big to be deleted at once.  That happens, or what
 * makes it big is discarded; and half the time a metadata snapshot still has
 * it, and then is released. */
static void add_ballast(struct workload *workload)
{
	struct config *config = &workload->config;
	uint64_t random = mix(config->seed ^ 0x62616c6c61737400u);
	struct step *step;

	if (config->plain || !one_in(&random, RUNS_A_BALLAST))
		return;
	config->ballast_blocks = between(&random, 6000, 9000);
	config->data_blocks += config->ballast_blocks;
	config->metadata_blocks += 64;
	config->metadata_cache_bytes = 1;
	config->commit_interval_ms = (uint32_t)between(&random, 1, 5);
	step = find_bio(workload, below(&random, workload->nr_steps));
	step->slot = 0;
	if (one_in(&random, 2)) {
		find_bio(workload, step->number / 3)->kind = STEP_RESERVE;
		find_bio(workload, step->number + 5)->kind = STEP_RELEASE;
	}
	if (one_in(&random, 3))
		discard_ballast(workload, step, &random);
	else
		step->kind = STEP_DELETE;
}

/* In some runs metadata runs short, too. */
static void make_metadata_scarce(struct config *config)
{
	uint64_t random = mix(config->seed ^ 0x7363617263650000u);

	if (one_in(&random, 6))
		config->metadata_blocks = between(&random, 22, 44);
}

void workload_make(struct workload *workload, uint64_t seed,
		   const struct workload_options *options)
{
	uint64_t random = mix(seed ^ 0x73696d756c617465u);

	memset(workload, 0, sizeof(*workload));
	choose_config(&workload->config, seed, &random);
	make_metadata_scarce(&workload->config);
	workload->config.device_flags |= options->device_flags;
	workload->config.order_checks = !options->only_oracle;
	workload->config.plain = options->plain;
	workload->nr_steps = options->nr_steps ? options->nr_steps : NR_STEPS;
	workload->steps = calloc(workload->nr_steps, sizeof(*workload->steps));
	for (unsigned i = 0; i < workload->nr_steps; i++)
		make_step(&workload->steps[i], &workload->config, i, &random);
	add_readers(workload, &random);
	add_points(workload, &random);
	if (options->faults && one_in(&random, 2))
		add_faults(workload, &random);
	add_ballast(workload);
}

void workload_free(struct workload *workload)
{
	free(workload->steps);
}

/*---------------------------- for people -----------------------------------*/

static const char *const kind_names[NR_STEP_KINDS] = {
	[STEP_BIO] = "bio",
	[STEP_CREATE] = "create",
	[STEP_SNAPSHOT] = "snapshot",
	[STEP_DELETE] = "delete",
	[STEP_TRANSACTION_ID] = "set the transaction id",
	[STEP_RESERVE] = "reserve a metadata snapshot",
	[STEP_RELEASE] = "release the metadata snapshot",
	[STEP_LOOK_BACK] = "read the metadata snapshot",
	[STEP_COMMIT] = "commit",
	[STEP_TRIM] = "trim",
	[STEP_GROW_DATA] = "grow data",
	[STEP_GROW_METADATA] = "grow metadata",
	[STEP_SUSPEND] = "suspend",
	[STEP_RESUME] = "resume",
	[STEP_HOOK] = "change the hook",
	[STEP_RESIZE] = "open with another size",
	[STEP_REOPEN] = "close and open",
	[STEP_WAIT] = "let time pass",
	[STEP_DRAIN] = "await all bios",
	[STEP_IMAGES] = "crash images",
	[STEP_CRASH] = "crash",
	[STEP_FAULT] = "fault",
	[STEP_FAIL_HOOK] = "let the hook fail",
	[STEP_HEAL] = "heal",
};

static const char *const op_names[] = { "read", "write", "flush", "discard",
					"write zeroes" };

static void describe_bio(const struct step *step, char *text, size_t size)
{
	if (step->op == TP_FLUSH)
		snprintf(text, size, "flush volume %u on queue %u", step->slot,
			 step->queue);
	else
		snprintf(text, size,
			 "%s%s%s%s%s volume %u, sectors %llu to %llu, queue %u",
			 op_names[step->op], step->zeroes ? " of zeroes" : "",
			 step->flags & TP_FUA ? " fua" : "",
			 step->flags & TP_PREFLUSH ? " preflush" : "",
			 step->flags & TP_NO_UNMAP ? " no-unmap" : "",
			 step->slot, (unsigned long long)step->begin,
			 (unsigned long long)(step->begin + step->length),
			 step->queue);
}

void step_describe(const struct step *step, char *text, size_t size)
{
	const char *name = kind_names[step->kind];

	switch (step->kind) {
	case STEP_BIO:
		describe_bio(step, text, size);
		break;
	case STEP_CREATE:
	case STEP_DELETE:
		snprintf(text, size, "%s volume %u%s", name, step->slot,
			 step->kind == STEP_CREATE && step->with_origin
				 ? " over the external origin"
				 : "");
		break;
	case STEP_SNAPSHOT:
		snprintf(text, size, "%s volume %u of %u, batch of %u", name,
			 step->slot, step->origin, step->nr);
		break;
	case STEP_RESIZE:
		snprintf(text, size, "%s volume %u", name, step->slot);
		break;
	case STEP_FAIL_HOOK:
		snprintf(text, size, "%s after %u commits", name, step->events);
		break;
	case STEP_IMAGES:
	case STEP_CRASH:
		snprintf(text, size, "%s after %u device events", name,
			 step->events);
		break;
	case STEP_FAULT:
		snprintf(text, size, "%s of %s on %s after %u, %s", name,
			 op_names[__builtin_ctz(step->ops)],
			 step->device ? "data" : "metadata", step->events,
			 step->nr ? "once" : "for ever");
		break;
	default:
		snprintf(text, size, "%s", name);
	}
}

void config_describe(const struct config *config, char *text, size_t size)
{
	snprintf(text, size,
		 "blocks of %u KiB, %llu of data, %llu of metadata, volumes of "
		 "%llu sectors, origin of %llu, ballast of %llu, pool flags "
		 "%#x, features "
		 "%#x/%#x, %u queues of %u",
		 config->block_sectors / 2,
		 (unsigned long long)config->data_blocks,
		 (unsigned long long)config->metadata_blocks,
		 (unsigned long long)config->volume_sectors,
		 (unsigned long long)config->origin_sectors,
		 (unsigned long long)config->ballast_blocks, config->pool_flags,
		 config->metadata_features, config->data_features,
		 config->nr_queues, config->depth);
}
