/*
 * ballast.c - see ballast.h.
 */
#include "simulator/ballast.h"

#include <errno.h>

#include "simulator/tag.h"

#define ROUNDS_MAX 100000u

/*---------------------------- making it ------------------------------------*/

/* Only the mappings are wanted: what is written is forgotten. */
static int sink_read(void *context, const struct iovec *iov, int iovcnt,
		     uint64_t offset)
{
	return -EIO;
}

static int sink_write(void *context, const struct iovec *iov, int iovcnt,
		      uint64_t offset, unsigned flags)
{
	return 0;
}

static int sink_flush(void *context)
{
	return 0;
}

static uint64_t sink_size(void *context)
{
	const struct config *config = context;

	return config->data_blocks * config->block_sectors * SECTOR_BYTES;
}

static struct tp_device *make_sink(const struct config *config)
{
	static const struct tp_device_ops ops = {
		TP_DEVICE_OPS_INIT,  .read = sink_read, .write = sink_write,
		.flush = sink_flush, .size = sink_size,
	};
	struct tp_device *device = NULL;

	tp_device_new(&ops, (void *)config, &device);

	return device;
}

static bool write_all(struct tp_pool *pool, const struct config *config)
{
	uint64_t block = config->block_sectors * SECTOR_BYTES;
	uint64_t begin = 2 * config->volume_sectors * SECTOR_BYTES / block;
	uint64_t end = begin + config->ballast_blocks;
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	char sector[SECTOR_BYTES] = { 0 };
	struct tp_thin *thin;
	bool right;

	options.size = end * block;
	right = !tp_pool_create_thin(pool, slot_id(0)) &&
		!tp_thin_open(pool, slot_id(0), &options, &thin);
	for (uint64_t n = begin; n < end && right; n++)
		right = !tp_thin_write(thin, sector, SECTOR_BYTES, n * block,
				       0);

	return right && !tp_thin_close(thin);
}

static bool fill(struct run *run, struct tp_device *sink)
{
	struct tp_pool_options options = run_options(run);
	struct tp_pool *pool;

	options.flags |= TP_POOL_SKIP_ZEROING;
	options.commit_interval_ms = TP_NEVER;
	options.metadata_cache_bytes = 0;
	if (tp_pool_open(tp_simulator_device(run->simulator, METADATA_DEVICE),
			 sink, &options, &pool))
		return false;

	return write_all(pool, run->config) && !tp_pool_close(pool);
}

static void tell_oracle(struct run *run)
{
	struct control control = {
		.kind = CONTROL_CREATE,
		.pairs = { { .id = slot_id(0) } },
		.nr_pairs = 1,
		.nr_sectors = run->config->volume_sectors,
	};

	oracle_control_begin(run->oracle, &control);
	oracle_control_end(run->oracle, 0, false);
	run_volume(run, 0)->has_ballast = true;
}

void ballast_make(struct run *run)
{
	struct tp_device *sink = make_sink(run->config);

	tp_simulator_set_instant(run->simulator, true);
	if (!fill(run, sink))
		violated(run->verdict, "no ballast: %s", tp_last_error());
	tp_simulator_set_instant(run->simulator, false);
	tp_device_unref(sink);
	tell_oracle(run);
}

/*---------------------------- looking at it --------------------------------*/

bool ballast_check(struct run *run, unsigned slot)
{
	struct tp_thin_info info = TP_THIN_INFO_INIT;
	uint64_t bytes = run->config->ballast_blocks *
			 run->config->block_sectors * SECTOR_BYTES;

	if (!run_volume(run, slot)->has_ballast)
		return true;
	if (tp_thin_get_info(run->slots[slot].handles[0], &info))
		return run->power_is_off ||
		       violated(run->verdict, "thin %u tells nothing: %s",
				slot_id(slot), tp_last_error());

	return info.mapped_bytes >= bytes ||
	       violated(run->verdict, "K3: thin %u is there, and not whole",
			slot_id(slot));
}

/*---------------------------- what is deleted ------------------------------*/

void ballast_await_end(struct run *run)
{
	unsigned nr_rounds = 0;

	while (is_going(run) && order_is_emptying(&run->order) &&
	       run->mode <= TP_MODE_OUT_OF_DATA_SPACE) {
		if (nr_rounds++ == ROUNDS_MAX) {
			violated(run->verdict,
				 "K3: a thin that was deleted stays");
			return;
		}
		if (!run_some(run))
			run_call(run, &(struct step){ .kind = STEP_COMMIT });
	}
}
