/*
 * What may be left after a power failure, and which of it is tried: against a
 * model that keeps, for each sector, what is stable and a list of the writes
 * upon it, and knows nothing of chunks, requests or time.
 */
#include <stdlib.h>
#include <string.h>

#include "simulator/bench.h"
#include "support/pattern.h"
#include "support/run-tests.h"

#define NR_DEVICES 2u
#define NR_SECTORS 24u /* of each, that the walk writes to */
#define MAX_WRITES 64u
#define MAX_SHOTS 4u

/*---------------------------- the model ------------------------------------*/

struct model_write {
	unsigned id; /* from 1 on, in the order of beginning */
	unsigned device;
	unsigned char byte;
	bool has_ended;
	bool touches[NR_SECTORS];
};

struct model {
	unsigned char stable[NR_DEVICES][NR_SECTORS];
	unsigned stable_id[NR_DEVICES][NR_SECTORS];
	struct model_write writes[MAX_WRITES];
	unsigned nr, last_id;
};

static void model_init(struct model *model)
{
	memset(model, 0, sizeof(*model));
	memset(model->stable, POISON, sizeof(model->stable));
}

static struct model_write *model_begin(struct model *model, unsigned device,
				       unsigned first, unsigned nr,
				       unsigned char byte)
{
	struct model_write *write = &model->writes[model->nr++];

	*write = (struct model_write){
		.id = ++model->last_id,
		.device = device,
		.byte = byte,
	};
	for (unsigned i = first; i < first + nr; i++)
		write->touches[i] = true;

	return write;
}

static bool is_open(const struct model *model, const struct model_write *write,
		    unsigned sector)
{
	return write->touches[sector] &&
	       write->id > model->stable_id[write->device][sector];
}

static void model_settle(struct model *model, struct model_write *write)
{
	for (unsigned i = 0; i < NR_SECTORS; i++) {
		if (!is_open(model, write, i))
			continue;
		model->stable[write->device][i] = write->byte;
		model->stable_id[write->device][i] = write->id;
	}
}

static struct model_write *model_find(struct model *model, unsigned id)
{
	for (unsigned i = 0; i < model->nr; i++)
		if (model->writes[i].id == id)
			return &model->writes[i];

	return NULL;
}

/* A flush covers those with an id in @ids. */
static void model_flush(struct model *model, const bool *covered)
{
	for (unsigned i = 0; i < model->nr; i++)
		if (covered[i])
			model_settle(model, &model->writes[i]);
}

/* The image that @subset of the open sectors gives; how many there are. */
static unsigned model_image(const struct model *model, uint64_t subset,
			    unsigned char image[NR_DEVICES][NR_SECTORS])
{
	unsigned at = 0;

	memcpy(image, model->stable, sizeof(model->stable));
	for (unsigned w = 0; w < model->nr; w++) {
		const struct model_write *write = &model->writes[w];

		for (unsigned i = 0; i < NR_SECTORS; i++) {
			if (!is_open(model, write, i))
				continue;
			if (at < 64 && subset >> at & 1)
				image[write->device][i] = write->byte;
			at++;
		}
	}

	return at;
}

/*---------------------------- comparing ------------------------------------*/

static void take_image(struct tp_simulator *sim,
		       unsigned char image[NR_DEVICES][NR_SECTORS])
{
	for (unsigned d = 0; d < NR_DEVICES; d++)
		for (unsigned i = 0; i < NR_SECTORS; i++) {
			image[d][i] = stable_byte(sim, d, i);
			if (image[d][i] !=
			    byte_of(sim, d, TP_CONTENT_NEWEST, i))
				ck_abort_msg("something is not stable yet");
		}
}

static void compare_fork(struct tp_simulator *sim, const struct model *model,
			 uint64_t subset, tp_keep_fn keep, void *context)
{
	unsigned char expected[NR_DEVICES][NR_SECTORS];
	unsigned char found[NR_DEVICES][NR_SECTORS];
	struct tp_simulator *other;

	ck_assert_int_eq(tp_simulator_fork(sim, 1, keep, context, &other), 0);
	model_image(model, subset, expected);
	take_image(other, found);
	ck_assert_mem_eq(found, expected, sizeof(found));
	tp_simulator_free(other);
}

/* All subsets, each once, in the order of their numbers. */
static void compare_all_images(struct tp_simulator *sim,
			       const struct model *model, unsigned nr_open)
{
	ck_assert_uint_eq(tp_simulator_nr_images(sim), 1u << nr_open);
	for (uint64_t n = 0; n < 1u << nr_open; n++) {
		struct tp_image image;

		ck_assert_int_eq(tp_simulator_get_image(sim, n, &image), 0);
		ck_assert_int_eq(image.kind, TP_IMAGE_SUBSET);
		compare_fork(sim, model, n, tp_keep_image, &image);
	}
}

static void compare(struct tp_simulator *sim, const struct model *model,
		    uint64_t *random)
{
	unsigned char image[NR_DEVICES][NR_SECTORS];
	unsigned nr_open = model_image(model, 0, image);

	if (nr_open <= 5)
		compare_all_images(sim, model, nr_open);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t subset = next_random(random);

		if (nr_open <= 64)
			compare_fork(sim, model, subset, keep_mask, &subset);
	}
}

/*---------------------------- a walk ---------------------------------------*/

/* What is in flight, and what it is in the model. */
struct pending {
	struct shot *shot;
	unsigned id;              /* of a write */
	bool covered[MAX_WRITES]; /* of a flush: by place */
};

struct walk {
	struct tp_simulator *sim;
	struct model model;
	struct pending pending[MAX_SHOTS];
	unsigned nr_pending;
	uint64_t random;
	unsigned char byte;
};

static uint64_t below(struct walk *walk, uint64_t end)
{
	return random_in(&walk->random, 0, end);
}

static void begin_write(struct walk *walk)
{
	struct pending *pending = &walk->pending[walk->nr_pending];
	unsigned device = below(walk, NR_DEVICES);
	unsigned first = below(walk, NR_SECTORS);
	unsigned nr = 1 + below(walk, below(walk, 4) ? 2 : NR_SECTORS - first);
	bool zeroes = !below(walk, 4);
	unsigned char byte = zeroes ? 0 : 1 + walk->byte++ % 200;

	if (walk->model.nr == MAX_WRITES)
		return;
	if (nr > NR_SECTORS - first)
		nr = NR_SECTORS - first;
	walk->nr_pending++;
	pending->id = model_begin(&walk->model, device, first, nr, byte)->id;
	pending->shot = shot_begin(walk->sim, device,
				   zeroes ? TP_DISCARD : TP_WRITE,
				   !zeroes && !below(walk, 3) ? TP_FUA : 0,
				   first, nr, byte);
}

static void begin_flush(struct walk *walk)
{
	struct pending *pending = &walk->pending[walk->nr_pending++];
	unsigned device = below(walk, NR_DEVICES);

	pending->id = 0;
	for (unsigned i = 0; i < walk->model.nr; i++)
		pending->covered[i] = walk->model.writes[i].device == device &&
				      walk->model.writes[i].has_ended;
	pending->shot = shot_begin(walk->sim, device, TP_FLUSH, 0, 0, 0, 0);
}

static void end_one(struct walk *walk)
{
	unsigned i = below(walk, walk->nr_pending);
	struct pending *pending = &walk->pending[i];
	bool fua = pending->shot->request.flags & TP_FUA;

	ck_assert_int_eq(shot_finish(walk->sim, pending->shot), 0);
	if (pending->id) {
		struct model_write *write =
			model_find(&walk->model, pending->id);

		write->has_ended = true;
		if (fua)
			model_settle(&walk->model, write);
	} else {
		model_flush(&walk->model, pending->covered);
	}
	*pending = walk->pending[--walk->nr_pending];
}

static void run_walk(uint64_t seed)
{
	struct walk walk = { .random = mix(seed) };
	struct bench bench;

	bench_begin(&bench, seed, NR_DEVICES, NULL);
	walk.sim = bench.simulator;
	model_init(&walk.model);
	for (unsigned step = 0; step < 60; step++) {
		uint64_t dice = below(&walk, 10);

		if (walk.nr_pending == MAX_SHOTS ||
		    (walk.nr_pending && dice < 5))
			end_one(&walk);
		else if (dice < 8)
			begin_write(&walk);
		else
			begin_flush(&walk);
		compare(walk.sim, &walk.model, &walk.random);
	}
	while (walk.nr_pending)
		end_one(&walk);
	bench_end(&bench);
}

START_TEST(test_D3_exactly_what_the_model_allows_is_left)
{
	uint64_t first = seed_from_environment(1);

	for (uint64_t seed = first; seed < first + 60; seed++)
		run_walk(seed);
}
END_TEST

/*---------------------------- the chooser ----------------------------------*/

START_TEST(test_ten_sectors_give_all_subsets_and_no_other)
{
	struct model model;
	struct bench bench;

	model_init(&model);
	bench_begin(&bench, 1, NR_DEVICES, NULL);
	compare_all_images(bench.simulator, &model, 0);
	model_begin(&model, 0, 2, 4, 'a');
	ck_assert_int_eq(do_write(bench.simulator, 0, 2, 4, 'a'), 0);
	model_begin(&model, 1, 7, 3, 'b');
	ck_assert_int_eq(do_write(bench.simulator, 1, 7, 3, 'b'), 0);
	model_begin(&model, 0, 4, 3, 'c');
	ck_assert_int_eq(do_write(bench.simulator, 0, 4, 3, 'c'), 0);
	compare_all_images(bench.simulator, &model, 10);
	bench_end(&bench);
}
END_TEST

/* What a fork of each image holds, and how many there are of each kind. */
#define NR_LARGE 100u
#define NR_KINDS (TP_IMAGE_RANDOM_WRITES + 1)

struct large {
	struct bench bench;
	unsigned nr[NR_KINDS];
};

/* Twenty writes of five sectors, every other one on the other device; the
 * first of each lies in the superblock. */
static void begin_large(struct large *large)
{
	struct tp_simulated_device_options options = bench_defaults;

	options.superblock_bytes = 5 * SECTOR;
	memset(large, 0, sizeof(*large));
	bench_begin(&large->bench, 1, NR_DEVICES, &options);
	for (unsigned i = 0; i < NR_LARGE / 5; i++)
		ck_assert_int_eq(do_write(large->bench.simulator, i % 2,
					  i / 2 * 5, 5, 'a' + i),
				 0);
}

/* How many of the sectors, in the order of the writes, an image keeps. */
static unsigned kept(struct tp_simulator *other, bool keeps[NR_LARGE])
{
	unsigned nr = 0;

	for (unsigned i = 0; i < NR_LARGE; i++) {
		unsigned write = i / 5;
		uint64_t sector = write / 2 * 5 + i % 5;
		unsigned char byte = stable_byte(other, write % 2, sector);

		ck_assert(byte == POISON || byte == 'a' + write);
		keeps[i] = byte != POISON;
		nr += keeps[i];
	}

	return nr;
}

static unsigned kept_between(const bool keeps[NR_LARGE], unsigned begin,
			     unsigned end)
{
	unsigned nr = 0;

	for (unsigned i = begin; i < end; i++)
		nr += keeps[i];

	return nr;
}

static void check_random_writes(const bool keeps[NR_LARGE])
{
	for (unsigned i = 0; i < NR_LARGE; i += 5)
		ck_assert(!kept_between(keeps, i, i + 5) ||
			  kept_between(keeps, i, i + 5) == 5);
}

static void check_large(const struct tp_image *image,
			const bool keeps[NR_LARGE], unsigned nr)
{
	switch (image->kind) {
	case TP_IMAGE_NONE:
		ck_assert_uint_eq(nr, 0);
		break;
	case TP_IMAGE_ALL:
		ck_assert_uint_eq(nr, NR_LARGE);
		break;
	case TP_IMAGE_ALL_BUT_SECTOR:
		ck_assert_uint_eq(nr, NR_LARGE - 1);
		ck_assert(!keeps[image->value]);
		break;
	case TP_IMAGE_ONLY_SECTOR:
		ck_assert_uint_eq(nr, 1);
		ck_assert(keeps[image->value]);
		break;
	case TP_IMAGE_FIRST_WRITES:
		ck_assert_uint_eq(nr, image->value * 5);
		ck_assert_uint_eq(kept_between(keeps, 0, nr), nr);
		break;
	case TP_IMAGE_ONLY_DEVICE:
		ck_assert_uint_eq(nr, NR_LARGE / 2);
		ck_assert_int_eq(keeps[0], image->value == 0);
		check_random_writes(keeps);
		break;
	case TP_IMAGE_ONLY_SUPERBLOCK:
		ck_assert_uint_eq(nr, 10);
		ck_assert_uint_eq(kept_between(keeps, 0, 10), 10);
		break;
	case TP_IMAGE_ALL_BUT_SUPERBLOCK:
		ck_assert_uint_eq(nr, NR_LARGE - 10);
		ck_assert_uint_eq(kept_between(keeps, 0, 10), 0);
		break;
	case TP_IMAGE_RANDOM_SECTORS:
		ck_assert(nr > 20 && nr < 80);
		break;
	case TP_IMAGE_RANDOM_WRITES:
		check_random_writes(keeps);
		break;
	default:
		ck_abort_msg("an image of kind %s",
			     tp_image_kind_name(image->kind));
	}
}

static void try_image(struct large *large, uint64_t n)
{
	struct tp_simulator *sim = large->bench.simulator, *other;
	struct tp_image image, same;
	bool keeps[NR_LARGE];

	ck_assert_int_eq(tp_simulator_get_image(sim, n, &image), 0);
	ck_assert_int_eq(tp_simulator_get_image(sim, n, &same), 0);
	ck_assert_uint_eq(image.value, same.value);
	ck_assert_int_eq(
		tp_simulator_fork(sim, n, tp_keep_image, &image, &other), 0);
	check_large(&image, keeps, kept(other, keeps));
	large->nr[image.kind]++;
	tp_simulator_free(other);
}

START_TEST(test_many_sectors_give_each_kind_of_image)
{
	static const unsigned expected[NR_KINDS] = {
		[TP_IMAGE_NONE] = 1,
		[TP_IMAGE_ALL] = 1,
		[TP_IMAGE_ALL_BUT_SECTOR] = 64,
		[TP_IMAGE_ONLY_SECTOR] = 64,
		[TP_IMAGE_FIRST_WRITES] = NR_LARGE / 5 - 1,
		[TP_IMAGE_ONLY_DEVICE] = NR_DEVICES,
		[TP_IMAGE_ONLY_SUPERBLOCK] = 1,
		[TP_IMAGE_ALL_BUT_SUPERBLOCK] = 1,
		[TP_IMAGE_RANDOM_SECTORS] = 32,
		[TP_IMAGE_RANDOM_WRITES] = 32,
	};
	struct large large;
	struct tp_image image;
	uint64_t nr;

	begin_large(&large);
	nr = tp_simulator_nr_images(large.bench.simulator);
	for (uint64_t n = 0; n < nr; n++)
		try_image(&large, n);
	ck_assert_mem_eq(large.nr, expected, sizeof(expected));
	ck_assert_int_eq(tp_simulator_get_image(large.bench.simulator, nr,
						&image),
			 -EINVAL);
	bench_end(&large.bench);
}
END_TEST

/* The singles are of different sectors, and random is not always the same. */
START_TEST(test_no_image_of_a_kind_is_another)
{
	uint64_t values[NR_KINDS][64], nr;
	struct large large;

	begin_large(&large);
	nr = tp_simulator_nr_images(large.bench.simulator);
	for (uint64_t n = 0; n < nr; n++) {
		struct tp_image image;
		unsigned *nr_seen;

		ck_assert_int_eq(tp_simulator_get_image(large.bench.simulator,
							n, &image),
				 0);
		nr_seen = &large.nr[image.kind];
		for (unsigned i = 0; i < *nr_seen; i++)
			ck_assert_uint_ne(values[image.kind][i], image.value);
		values[image.kind][(*nr_seen)++] = image.value;
	}
	bench_end(&large.bench);
}
END_TEST

START_TEST(test_every_kind_of_image_has_a_name)
{
	for (unsigned a = 0; a < NR_KINDS; a++)
		for (unsigned b = 0; b < a; b++)
			ck_assert_str_ne(tp_image_kind_name(a),
					 tp_image_kind_name(b));
	ck_assert_str_eq(tp_image_kind_name(99), "an unknown kind");
}
END_TEST

/* If nobody chooses. */
START_TEST(test_the_seed_draws_an_image)
{
	unsigned nr_kept[2] = { 0, 0 };

	for (uint64_t seed = 0; seed < 40; seed++) {
		struct bench bench;

		bench_begin(&bench, seed, 1, NULL);
		ck_assert_int_eq(do_write(bench.simulator, 0, 0, 1, 'a'), 0);
		tp_simulator_power_off(bench.simulator);
		ck_assert_int_eq(
			tp_simulator_power_on(bench.simulator, NULL, NULL), 0);
		nr_kept[stable_byte(bench.simulator, 0, 0) == 'a']++;
		bench_end(&bench);
	}
	ck_assert_uint_gt(nr_kept[0], 5);
	ck_assert_uint_gt(nr_kept[1], 5);
}
END_TEST

int main(void)
{
	return RUN_TESTS("crash-images", 1,
			 test_D3_exactly_what_the_model_allows_is_left,
			 test_ten_sectors_give_all_subsets_and_no_other,
			 test_many_sectors_give_each_kind_of_image,
			 test_no_image_of_a_kind_is_another,
			 test_every_kind_of_image_has_a_name,
			 test_the_seed_draws_an_image);
}
