/*
 * outset.c - the pool that each case begins with, to come back to.
 */
#include "faults/outset.h"
#include "support/forgetful.h"

#define METADATA_BYTES MIB
#define DATA_BYTES (40 * MIB)
#define ORIGIN_BYTES (RUN_THIN_BYTES - WORLD_BLOCK - 1024)
#define ORIGIN_SEED 0x0716

/* Blocks that are mapped behind the end of what the scenarios see, so that the
 * tree of the origin has more than one leaf. */
#define HIDDEN_BLOCKS 300u
#define HIDDEN_BEGIN (64ull * WORLD_BLOCK)

/* A thin of so many blocks, mapped from the last one down so that its leaves
 * are half full, is deleted in many steps (doc/architecture.md). */
#define BIG_METADATA_BYTES (4 * MIB)
#define BIG_DATA_BYTES (DATA_BYTES + RUN_BIG_BLOCKS * (uint64_t)WORLD_BLOCK)

/* A byte in each block will do; nobody looks at the rest. */
static void map_hidden_blocks(struct run *run, uint32_t id)
{
	uint64_t size = HIDDEN_BEGIN + HIDDEN_BLOCKS * 2ull * WORLD_BLOCK;
	struct tp_thin *thin = world_open_thin(&run->w, id, size);
	char sector[512] = { 0 };

	for (uint64_t i = 0; i < HIDDEN_BLOCKS; i++)
		ck_ok(tp_thin_write(thin, sector, sizeof(sector),
				    HIDDEN_BEGIN + i * 2 * WORLD_BLOCK, 0));
	ck_ok(tp_thin_close(thin));
}

static void fill_pool(struct run *run)
{
	ck_ok(run_create(run, 1));
	map_hidden_blocks(run, 1);
	ck_ok(run_write(run, 1, 0, 5 * WORLD_BLOCK, 0));
	ck_ok(run_snapshot(run, 2, 1));
	ck_ok(run_write(run, 1, 0, WORLD_BLOCK, 0));
	ck_ok(run_write(run, 1, 5 * WORLD_BLOCK, WORLD_BLOCK, 0));
	ck_ok(run_create(run, 3));
	ck_ok(run_write(run, 3, 0, 2 * WORLD_BLOCK, 0));
	ck_ok(run_set_transaction_id(run, 7));

	/* Over an external origin; nothing is mapped. */
	ck_ok(run_create(run, 4));
	ledger_volume(&run->ledger, 4)->origin_bytes = ORIGIN_BYTES;
	ledger_volume(&run->ledger, 4)->origin_seed = ORIGIN_SEED;
}

/* Its data would take much room, and nobody will look at it. */
static void make_big_thin(struct run *run)
{
	struct tp_device *data = forgetful_device(BIG_DATA_BYTES);
	uint64_t end = HIDDEN_BEGIN + RUN_BIG_BLOCKS * (uint64_t)WORLD_BLOCK;
	struct tp_thin *thin;
	char sector[512] = { 0 };

	ck_ok(tp_pool_open(run->w.metadata.device, data, &run->w.options,
			   &run->w.pool));
	ck_ok(run_create(run, RUN_BIG_THIN));
	thin = world_open_thin(&run->w, RUN_BIG_THIN, end);
	while (end > HIDDEN_BEGIN) {
		end -= WORLD_BLOCK;
		ck_ok(tp_thin_write(thin, sector, sizeof(sector), end, 0));
	}
	ck_ok(tp_thin_close(thin));
	ck_ok(run_close(run));
	tp_device_unref(data);
}

/* Likewise. */
static void fill_up(struct run *run)
{
	struct tp_pool_status status = world_status(&run->w);
	uint64_t nr_free = status.data_blocks - status.used_data_blocks;
	uint64_t end = HIDDEN_BEGIN + nr_free * WORLD_BLOCK;
	struct tp_thin *thin;
	char sector[512] = { 0 };

	ck_ok(run_create(run, RUN_FILLER));
	thin = world_open_thin(&run->w, RUN_FILLER, end);
	for (; end > HIDDEN_BEGIN; end -= WORLD_BLOCK)
		ck_ok(tp_thin_write(thin, sector, sizeof(sector),
				    end - WORLD_BLOCK, 0));
	ck_ok(tp_thin_close(thin));
}

/* The device overwrites what it discards, which is not done for 2 GiB each time:
 * what a deletion passes down is small elsewhere. */
static void make_pool(struct run *run, unsigned flags)
{
	world_format(&run->w);
	run->w.options.flags |= TP_POOL_SKIP_ZEROING;
	if (flags & OUTSET_BIG)
		run->w.options.flags |= TP_POOL_NO_DELETE_PASSDOWN;
	ck_ok(run_open(run));
	fill_pool(run);
	if (flags & OUTSET_FULL)
		fill_up(run);
	ck_ok(run_close(run));
	if (flags & OUTSET_BIG)
		make_big_thin(run);
	run->w.options.flags &= ~TP_POOL_SKIP_ZEROING;
}

static void make_devices(struct run *run, int kind, unsigned flags)
{
	bool big = flags & OUTSET_BIG;

	world_make_sized(&run->w, kind,
			 big ? BIG_METADATA_BYTES : METADATA_BYTES,
			 big ? BIG_DATA_BYTES : DATA_BYTES, NULL);
	memset(run->w.data.bytes, 0xee, 2 * MIB); /* somebody else's */
	observer_init(&run->origin, &run->w.log, "origin", ORIGIN_BYTES, 0,
		      NULL);
	fill_pattern(run->origin.bytes, ORIGIN_BYTES, 0, ORIGIN_SEED);
	run->w.options.metadata_cache_bytes = MIB;
	run->w.options.mapping_cache_bytes = MIB;
	if (kind == HOST_DRIVEN)
		world_use_virtual_clock(&run->w);
}

void outset_make(struct outset *outset, struct run *run, int kind,
		 unsigned flags)
{
	struct ledger *ledger = &run->ledger;

	outset->run = run;
	make_devices(run, kind, flags);
	ledger_init(ledger);
	ledger->hears_late = kind == OWN_THREAD;
	ledger->data_blocks.value = ledger->data_blocks.other =
		run->w.data.size_bytes / WORLD_BLOCK;
	ledger->metadata_blocks.value = ledger->metadata_blocks.other =
		run->w.metadata.size_bytes / 4096;
	if (!(flags & OUTSET_BLANK))
		make_pool(run, flags);
	image_take(&outset->metadata, &run->w.metadata);
	image_take(&outset->data, &run->w.data);
	outset->ledger = *ledger;
}

void outset_drop(struct outset *outset)
{
	image_drop(&outset->metadata);
	image_drop(&outset->data);
	observer_exit(&outset->run->origin);
	world_unmake(&outset->run->w);
}

void outset_restore(struct outset *outset)
{
	struct run *run = outset->run;

	image_restore(&outset->metadata, &run->w.metadata);
	image_restore(&outset->data, &run->w.data);
	run->ledger = outset->ledger;
}

void outset_open(struct outset *outset)
{
	struct run *run = outset->run;

	outset->nr_freed = 0;
	ck_ok(run_open(run));
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++)
		if (run->ledger.volumes[i].exists)
			ck_ok(run_open_thin(run, run->ledger.volumes[i].id));
}

void outset_free(struct outset *outset, unsigned nr_blocks)
{
	uint64_t begin = HIDDEN_BEGIN + outset->nr_freed * WORLD_BLOCK;
	uint64_t length = nr_blocks * (uint64_t)WORLD_BLOCK;
	struct tp_thin *thin =
		world_open_thin(&outset->run->w, RUN_FILLER, begin + length);

	ck_ok(tp_thin_discard(thin, begin, length));
	ck_ok(tp_thin_close(thin));
	outset->nr_freed += nr_blocks;
}
