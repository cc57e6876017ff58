/*
 * power.c - what a power failure leaves.
 *
 * The stable content of each device is copied, which is cheap, and the chosen
 * sectors of the writes that are not stable are written to the copies, in the
 * order in which the writes began.  Then the copies are the devices' content,
 * or that of another simulator's.
 */
#include <stdlib.h>

#include "write.h"

static uint64_t count_sectors(const struct tpi_sim_write *write)
{
	uint64_t end = tpi_sim_write_end_chunk(write), nr = 0;

	for (uint64_t i = tpi_sim_write_first_chunk(write); i < end; i++)
		nr += (unsigned)__builtin_popcount(
			tpi_sim_write_unstable(write, i));

	return nr;
}

static struct tp_unstable_write describe(const struct tpi_sim_write *write)
{
	return (struct tp_unstable_write){
		.device = write->device->number,
		.id = write->id,
		.op = write->op,
		.flags = write->flags,
		.offset = write->offset,
		.length = write->length,
		.in_flight = write->in_flight,
		.nr_sectors = count_sectors(write),
	};
}

size_t tp_simulator_get_unstable(struct tp_simulator *simulator,
				 struct tp_unstable_write *writes, size_t max)
{
	const struct tpi_sim_write *write;
	size_t nr = 0;

	tpi_sim_lock(simulator);
	for (write = simulator->first; write; write = write->next) {
		struct tp_unstable_write described = describe(write);

		if (!described.nr_sectors)
			continue;
		if (nr < max)
			writes[nr] = described;
		nr++;
	}
	tpi_sim_unlock(simulator);

	return nr;
}

/*---------------------------- an image -------------------------------------*/

struct choice {
	tp_keep_fn keep;
	void *context;
	struct tp_unstable_write write;
	size_t i;
	uint64_t sector;
};

static unsigned kept_sectors(void *context, const struct tpi_sim_write *write,
			     uint64_t chunk, unsigned mask)
{
	struct choice *choice = context;
	unsigned kept = 0;

	for (unsigned i = 0; i < TPI_SIM_CHUNK_SECTORS; i++) {
		uint64_t sector = chunk * TPI_SIM_CHUNK_SECTORS + i;

		if (mask & 1u << i &&
		    choice->keep(choice->context, &choice->write, choice->i,
				 choice->sector++, sector * TP_SECTOR_SIZE))
			kept |= 1u << i;
	}

	return kept;
}

static int apply_kept(struct tp_simulator *simulator, struct choice *choice,
		      struct tpi_sim_content *contents)
{
	const struct tpi_sim_write *write;
	int r = 0;

	for (write = simulator->first; write && !r; write = write->next) {
		choice->write = describe(write);
		if (!choice->write.nr_sectors)
			continue;
		r = tpi_sim_write_apply(write, &contents[write->device->number],
					kept_sectors, choice);
		choice->i++;
	}

	return r;
}

static void drop_contents(struct tpi_sim_content *contents, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		tpi_sim_content_drop(&contents[i]);
	free(contents);
}

/* One for each device; NULL: no memory.  @draw: what an image is drawn by. */
static struct tpi_sim_content *make_image(struct tp_simulator *simulator,
					  uint64_t draw, tp_keep_fn keep,
					  void *context)
{
	struct choice choice = { .keep = keep, .context = context };
	struct tpi_sim_content *contents;
	struct tp_image image;

	if (!keep) {
		tp_simulator_get_image(simulator,
				       draw % tp_simulator_nr_images(simulator),
				       &image);
		choice.keep = tp_keep_image;
		choice.context = &image;
	}
	contents = calloc(simulator->nr_devices + 1, sizeof(*contents));
	if (!contents)
		return NULL;
	for (unsigned i = 0; i < simulator->nr_devices; i++)
		contents[i] =
			tpi_sim_content_copy(&simulator->devices[i]->stable);
	if (!apply_kept(simulator, &choice, contents))
		return contents;
	drop_contents(contents, simulator->nr_devices);

	return NULL;
}

/*---------------------------- off and on -----------------------------------*/

void tp_simulator_power_off(struct tp_simulator *simulator)
{
	tpi_sim_lock(simulator);
	if (!simulator->is_off) {
		simulator->is_off = true;
		simulator->life++;
		for (unsigned i = 0; i < simulator->nr_devices; i++)
			tpi_sim_lose_flights(simulator->devices[i]);
	}
	tpi_sim_unlock(simulator);
}

static int power_on(struct tp_simulator *simulator, tp_keep_fn keep,
		    void *context)
{
	uint64_t draw = tpi_sim_random(&simulator->device_state, 0);
	struct tpi_sim_content *contents;

	if (!simulator->is_off)
		return tpi_sim_error(-EINVAL, "the power is on");
	tpi_sim_note(simulator, draw);
	contents = make_image(simulator, draw, keep, context);
	if (!contents)
		return tpi_sim_error(-ENOMEM, "no memory for an image");

	while (simulator->first)
		tpi_sim_write_free(simulator->first);
	for (unsigned i = 0; i < simulator->nr_devices; i++) {
		struct tpi_sim_device *device = simulator->devices[i];

		tpi_sim_content_replace(&device->stable, contents[i]);
		tpi_sim_content_replace(&device->newest,
					tpi_sim_content_copy(&device->stable));
	}
	free(contents);
	simulator->is_off = false;

	return 0;
}

int tp_simulator_power_on(struct tp_simulator *simulator, tp_keep_fn keep,
			  void *context)
{
	int r;

	tpi_sim_lock(simulator);
	r = power_on(simulator, keep, context);
	tpi_sim_unlock(simulator);

	return r;
}

/*---------------------------- another one ----------------------------------*/

/* The contents become those of @other's devices. */
static int add_devices(struct tp_simulator *other,
		       const struct tp_simulator *simulator,
		       struct tpi_sim_content *contents)
{
	int r = 0;

	for (unsigned i = 0; i < simulator->nr_devices && !r; i++) {
		r = tpi_sim_device_add(other, &simulator->devices[i]->options,
				       contents[i]);
		contents[i].root = NULL;
	}

	return r;
}

static int make_other(struct tp_simulator *simulator, uint64_t seed,
		      tp_keep_fn keep, void *context,
		      struct tp_simulator **result)
{
	struct tp_simulator_options options = simulator->options;
	struct tpi_sim_content *contents;
	struct tp_simulator *other;
	int r;

	options.seed = seed;
	r = tpi_sim_new(&options, &other);
	if (r)
		return r;
	other->now_ns = simulator->now_ns;
	other->last_id = simulator->last_id;
	contents = make_image(simulator, tpi_sim_mix(seed), keep, context);
	r = contents ? add_devices(other, simulator, contents) : -ENOMEM;
	if (contents)
		drop_contents(contents, simulator->nr_devices);
	if (r)
		tp_simulator_free(other);
	else
		*result = other;

	return r ? tpi_sim_error(r, "no memory for another simulator") : 0;
}

int tp_simulator_fork(struct tp_simulator *simulator, uint64_t seed,
		      tp_keep_fn keep, void *context,
		      struct tp_simulator **other)
{
	int r;

	tpi_sim_lock(simulator);
	r = make_other(simulator, seed, keep, context, other);
	tpi_sim_unlock(simulator);

	return r;
}
