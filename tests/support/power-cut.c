/*
 * power-cut.c - the power is cut at every device request.
 */
#include "support/power-cut.h"

#include <stdlib.h>

static const uint64_t device_bytes[NR_SIM_DEVICES] = {
	[SIM_METADATA] = 2 * MIB,
	[SIM_DATA] = 8 * MIB,
	[SIM_ORIGIN] = SIM_ORIGIN_BYTES,
};

/*---------------------------- a pool on the simulator ----------------------*/

static struct tp_device *device(struct sim_world *w, unsigned i)
{
	return tp_simulator_device(w->simulator, i);
}

static void cut_if_it_is_time(void *context,
			      const struct tp_simulated_event *event)
{
	struct sim_world *w = context;

	(void)event;
	if (tp_simulator_nr_requests(w->simulator) <= w->cut_at)
		return;
	w->is_cut = true;
	tp_simulator_power_off(w->simulator);
}

static void open_pool(struct sim_world *w)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	int r;

	options.flags = TP_POOL_HOST_DRIVEN;
	options.clock_ns = tp_simulator_clock_ns;
	options.clock_wait = tp_simulator_clock_wait;
	options.clock_context = w->simulator;
	r = tp_pool_open(device(w, SIM_METADATA), device(w, SIM_DATA), &options,
			 &w->pool);
	ck_assert_msg(!r, "open: %d, %s", r, tp_last_error());
}

static void format(struct sim_world *w)
{
	struct tp_format_options options = TP_FORMAT_OPTIONS_INIT;

	options.flags = TP_FORMAT_OVERWRITE;
	options.data_block_size = WORLD_BLOCK;
	tp_simulator_set_instant(w->simulator, true);
	ck_ok(tp_pool_format(device(w, SIM_METADATA), device(w, SIM_DATA),
			     &options));
	tp_simulator_set_instant(w->simulator, false);
}

static void begin(struct sim_world *w, uint64_t seed)
{
	struct tp_simulator_options options = TP_SIMULATOR_OPTIONS_INIT;
	struct tp_simulated_device_options added =
		TP_SIMULATED_DEVICE_OPTIONS_INIT;

	*w = (struct sim_world){ .cut_at = UINT64_MAX };
	options.seed = seed;
	ck_ok(tp_simulator_new(&options, &w->simulator));
	added.features = TP_DEVICE_DISCARD | TP_DEVICE_WRITE_ZEROES;
	added.discard_effect = TP_DISCARD_POISONS;
	added.min_latency_ns = 10000;
	added.max_latency_ns = 200000;
	for (unsigned i = 0; i < NR_SIM_DEVICES; i++) {
		struct tp_device *unused;

		added.size = device_bytes[i];
		added.superblock_bytes = i == SIM_METADATA ? 4096 : 0;
		ck_ok(tp_simulator_add_device(w->simulator, &added, &unused));
	}
	tp_simulator_set_observer(w->simulator, cut_if_it_is_time, w);
	format(w);
	open_pool(w);
}

struct tp_thin *sim_open_thin(struct sim_world *w, uint32_t id, uint64_t size,
			      bool with_origin)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;

	options.size = size;
	options.external_origin = with_origin ? device(w, SIM_ORIGIN) : NULL;
	ck_ok(tp_thin_open(w->pool, id, &options, &thin));

	return thin;
}

/*---------------------------- images ---------------------------------------*/

/* The telling ones, and some of the others. */
static bool is_wanted(const struct tp_image *image, uint64_t n)
{
	uint64_t one_in = getenv("CHECK_EVERYTHING") ? 11 : 127;

	switch (image->kind) {
	case TP_IMAGE_NONE:
	case TP_IMAGE_ALL:
	case TP_IMAGE_ONLY_DEVICE:
	case TP_IMAGE_ONLY_SUPERBLOCK:
	case TP_IMAGE_ALL_BUT_SUPERBLOCK:
		return true;
	default:
		return n % one_in == 7;
	}
}

static void check_image(const struct power_cut_case *what, struct sim_world *w,
			struct tp_image *image)
{
	struct sim_world other = { .cut_at = UINT64_MAX };

	ck_ok(tp_simulator_fork(w->simulator, image->value, tp_keep_image,
				image, &other.simulator));
	open_pool(&other);
	what->check(&other, what->context);
	ck_ok(tp_pool_close(other.pool));
	tp_simulator_free(other.simulator);
}

static void check_images(const struct power_cut_case *what, struct sim_world *w)
{
	uint64_t nr = tp_simulator_nr_images(w->simulator);

	for (uint64_t n = 0; n < nr; n++) {
		struct tp_image image;

		ck_ok(tp_simulator_get_image(w->simulator, n, &image));
		if (is_wanted(&image, n))
			check_image(what, w, &image);
	}
}

/*---------------------------- everywhere -----------------------------------*/

static bool cut_at(const struct power_cut_case *what, uint64_t nr_requests)
{
	struct sim_world w;
	bool is_cut;

	begin(&w, 1000 + nr_requests);
	what->prepare(&w, what->context);
	w.cut_at = tp_simulator_nr_requests(w.simulator) + nr_requests;
	what->do_it(&w, what->context);
	is_cut = w.is_cut;
	tp_simulator_power_off(w.simulator);
	tp_pool_close(w.pool); /* says that its commit failed, or not */
	check_images(what, &w);
	tp_simulator_free(w.simulator);

	return is_cut;
}

unsigned power_cut_everywhere(const struct power_cut_case *what)
{
	unsigned nr = 0;

	while (cut_at(what, nr))
		ck_assert_uint_lt(++nr, 500);

	return nr;
}
