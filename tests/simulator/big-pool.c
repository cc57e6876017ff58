/*
 * big-pool.c - see big-pool.h.
 */
#include "simulator/big-pool.h"

/* Mapped from the last one down, so that leaves stay half full and are more
 * than a call deletes at once. */
#define NR_BLOCKS 34000u
#define FIRST_SHARED (NR_BLOCKS - BIG_NR_SHARED)
#define FIRST_REWRITTEN (NR_BLOCKS - BIG_NR_SHARED / 2)
#define REWRITTEN_ONE_IN 50u
#define NR_REWRITTEN (BIG_NR_SHARED / 2 / REWRITTEN_ONE_IN)
#define THIN_BYTES ((uint64_t)NR_BLOCKS * WORLD_BLOCK)

#define METADATA_BYTES (4 * MIB)
#define DATA_BYTES ((uint64_t)(NR_BLOCKS + NR_REWRITTEN) * WORLD_BLOCK)

enum { OLD = 1, REWRITTEN, WRITTEN };

/*---------------------------- opening --------------------------------------*/

static void open_with(struct sim_world *w, struct tp_pool_options *options)
{
	int r;

	options->flags |= TP_POOL_HOST_DRIVEN;
	options->clock_ns = tp_simulator_clock_ns;
	options->clock_wait = tp_simulator_clock_wait;
	options->clock_context = w->simulator;
	r = tp_pool_open(tp_simulator_device(w->simulator, SIM_METADATA),
			 tp_simulator_device(w->simulator, SIM_DATA), options,
			 &w->pool);
	ck_assert_msg(!r, "V1: open: %d, %s", r, tp_last_error());
}

/* With commits often, and a cache that holds a part of the thin's leaves. */
void big_pool_open(struct sim_world *w)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	options.commit_interval_ms = 1;
	options.metadata_cache_bytes = 256 * KIB;
	open_with(w, &options);
	ck_ok(tp_pool_get_status(w->pool, &status));
	ck_assert_int_eq(status.mode, TP_MODE_WRITE);
	ck_assert(!status.needs_check);
}

struct tp_thin *big_pool_open_thin(struct sim_world *w, uint32_t id)
{
	return sim_open_thin(w, id, THIN_BYTES, false);
}

/*---------------------------- what is in it --------------------------------*/

static bool is_rewritten(uint64_t block)
{
	return block >= FIRST_REWRITTEN && block % REWRITTEN_ONE_IN == 0;
}

static uint64_t seed_of(uint32_t id, uint64_t block)
{
	return id == BIG_THIN && is_rewritten(block) ? REWRITTEN : OLD;
}

static void write_block(struct tp_thin *thin, uint64_t block, uint64_t seed)
{
	char sector[512];

	fill_pattern(sector, sizeof(sector), block * WORLD_BLOCK, seed);
	ck_ok(tp_thin_write(thin, sector, sizeof(sector), block * WORLD_BLOCK,
			    0));
}

void big_pool_fill_write(char sector[512], unsigned n)
{
	fill_pattern(sector, 512, big_pool_write_offset(n), WRITTEN);
}

uint64_t big_pool_write_offset(unsigned n)
{
	return (uint64_t)n * WORLD_BLOCK;
}

static int add_extent(const struct tp_extent *extent, void *context)
{
	uint64_t *digest = context;

	if (!extent->mapped)
		return 0;
	*digest = mix(*digest ^ extent->offset);
	*digest = mix(*digest ^ extent->data_offset);
	*digest = mix(*digest ^ extent->length);

	return 0;
}

static uint64_t digest_of(struct tp_thin *thin)
{
	uint64_t digest = 0;

	ck_ok(tp_thin_each_extent(thin, 0, THIN_BYTES, add_extent, &digest));

	return digest;
}

/*---------------------------- making it ------------------------------------*/

static void add_devices(struct tp_simulator *simulator)
{
	struct tp_simulated_device_options options =
		TP_SIMULATED_DEVICE_OPTIONS_INIT;
	struct tp_device *unused;

	options.features = TP_DEVICE_WRITE_ZEROES;
	options.min_latency_ns = 200000;
	options.max_latency_ns = 1000000;
	options.size = METADATA_BYTES;
	options.superblock_bytes = 4096;
	ck_ok(tp_simulator_add_device(simulator, &options, &unused));
	options.size = DATA_BYTES;
	options.superblock_bytes = 0;
	ck_ok(tp_simulator_add_device(simulator, &options, &unused));
}

static void format(struct tp_simulator *simulator)
{
	struct tp_format_options options = TP_FORMAT_OPTIONS_INIT;

	options.flags = TP_FORMAT_OVERWRITE;
	options.data_block_size = WORLD_BLOCK;
	ck_ok(tp_pool_format(tp_simulator_device(simulator, SIM_METADATA),
			     tp_simulator_device(simulator, SIM_DATA),
			     &options));
}

static void fill(struct sim_world *w)
{
	struct tp_thin *thin;
	uint64_t block = NR_BLOCKS;

	ck_ok(tp_pool_create_thin(w->pool, BIG_THIN));
	ck_ok(tp_pool_create_thin(w->pool, BIG_WRITER));
	thin = big_pool_open_thin(w, BIG_THIN);
	while (block > FIRST_SHARED)
		write_block(thin, --block, OLD);
	ck_ok(tp_pool_create_snapshot(w->pool, BIG_SNAPSHOT, BIG_THIN));
	while (block > 0)
		write_block(thin, --block, OLD);
	for (block = FIRST_REWRITTEN; block < NR_BLOCKS; block++)
		if (is_rewritten(block))
			write_block(thin, block, REWRITTEN);
	ck_ok(tp_thin_close(thin));
}

static void note_digest(struct sim_world *w, struct big_pool *pool, uint32_t id)
{
	struct tp_thin *thin = big_pool_open_thin(w, id);

	pool->digests[id] = digest_of(thin);
	ck_ok(tp_thin_close(thin));
}

struct tp_simulator *big_pool_make(struct big_pool *pool, uint64_t seed)
{
	struct tp_simulator_options options = TP_SIMULATOR_OPTIONS_INIT;
	struct tp_pool_options quick = TP_POOL_OPTIONS_INIT;
	struct sim_world w = { .cut_at = UINT64_MAX };
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	options.seed = seed;
	ck_ok(tp_simulator_new(&options, &w.simulator));
	add_devices(w.simulator);
	tp_simulator_set_instant(w.simulator, true);
	format(w.simulator);
	quick.flags = TP_POOL_SKIP_ZEROING;
	quick.commit_interval_ms = TP_NEVER;
	open_with(&w, &quick);
	fill(&w);
	note_digest(&w, pool, BIG_THIN);
	note_digest(&w, pool, BIG_SNAPSHOT);
	ck_ok(tp_pool_get_status(w.pool, &status));
	ck_assert_uint_eq(status.used_data_blocks, status.data_blocks);
	ck_ok(tp_pool_close(w.pool));
	tp_simulator_set_instant(w.simulator, false);

	return w.simulator;
}

/*---------------------------- checking it ----------------------------------*/

static void check_sector(struct tp_thin *thin, uint32_t id, uint64_t block)
{
	uint64_t at = block * WORLD_BLOCK;
	char sector[512];

	ck_ok(tp_thin_read(thin, sector, sizeof(sector), at));
	if (find_other(sector, sizeof(sector), at, seed_of(id, block)) !=
	    UINT64_MAX)
		ck_abort_msg("block %llu of thin %u has lost its content",
			     (unsigned long long)block, id);
}

static void check_mapped(struct sim_world *w, const struct big_pool *pool,
			 uint32_t id, uint64_t first, unsigned one_in)
{
	struct tp_thin *thin = big_pool_open_thin(w, id);

	ck_assert_uint_eq(thin_mapped(thin), THIN_BYTES - first * WORLD_BLOCK);
	ck_assert_uint_eq(digest_of(thin), pool->digests[id]);
	for (uint64_t block = first; block < NR_BLOCKS; block += one_in)
		check_sector(thin, id, block);
	ck_ok(tp_thin_close(thin));
}

/* Zeroes, but for what was written to it. */
static void check_write(struct tp_thin *thin, unsigned n, bool durable)
{
	uint64_t at = big_pool_write_offset(n);
	char block[WORLD_BLOCK];
	bool is_there;

	ck_ok(tp_thin_read(thin, block, sizeof(block), at));
	is_there = find_other(block, 512, at, WRITTEN) == UINT64_MAX;
	ck_assert_msg(is_there || !durable, "S1: write %u is lost", n);
	ck_assert_msg(find_nonzero(block + (is_there ? 512 : 0),
				   sizeof(block) - (is_there ? 512 : 0),
				   at) == UINT64_MAX,
		      "6.6: block %u of the writer shows what it never got", n);
}

static void check_writer(struct sim_world *w, const struct big_promise *promise)
{
	struct tp_thin *thin = big_pool_open_thin(w, BIG_WRITER);
	unsigned nr_durable = 0;

	for (unsigned n = 0; n < promise->nr_begun; n++) {
		check_write(thin, n, promise->durable[n]);
		nr_durable += promise->durable[n];
	}
	ck_assert_uint_ge(thin_mapped(thin), nr_durable * WORLD_BLOCK);
	ck_assert_uint_le(thin_mapped(thin), promise->nr_begun * WORLD_BLOCK);
	ck_ok(tp_thin_close(thin));
}

static int note_id(const struct tp_thin_info *info, void *context)
{
	bool *exists = context;

	ck_assert_uint_lt(info->id, BIG_NR_IDS);
	exists[info->id] = true;

	return 0;
}

bool big_pool_has_thin(struct sim_world *w, const struct big_promise *promise)
{
	bool exists[BIG_NR_IDS] = { false };

	ck_ok(tp_pool_list_thins(w->pool, note_id, exists));
	ck_assert_msg(!promise->deleted || !exists[BIG_THIN],
		      "K3: the deleted thin has returned");
	ck_assert(exists[BIG_SNAPSHOT] && exists[BIG_WRITER]);

	return exists[BIG_THIN];
}

void big_pool_check(struct sim_world *w, const struct big_pool *pool,
		    const struct big_promise *promise, unsigned one_in)
{
	if (big_pool_has_thin(w, promise))
		check_mapped(w, pool, BIG_THIN, 0, one_in);
	check_mapped(w, pool, BIG_SNAPSHOT, FIRST_SHARED, one_in);
	check_writer(w, promise);
}

uint64_t big_pool_used_without_it(struct sim_world *w)
{
	struct tp_thin *writer = big_pool_open_thin(w, BIG_WRITER);
	uint64_t nr_written = thin_mapped(writer) / WORLD_BLOCK;

	ck_ok(tp_thin_close(writer));

	return BIG_NR_SHARED + nr_written;
}
