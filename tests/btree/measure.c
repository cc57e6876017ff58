/*
 * measure.c - how long the btree takes, with all of it in the cache.
 *
 *	btree-measure [ENTRIES]...
 *
 * A million and ten millions unless told otherwise.  Trees have values of eight
 * bytes, as the mapping tree does, on a metadata device in memory; a transaction
 * is a thousand inserts, and its blocks are written when it ends.  Each figure is
 * the median of a few rounds, printed as a Markdown table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "btree/btree.h"
#include "io/device.h"
#include "space-map/metadata-space-map.h"

#define NR_ROUNDS 3u
#define NR_LOOKUPS 1000000u
#define NR_RANDOM_INSERTS 200000u
#define TRANSACTION 1000u
#define CACHE_BYTES (4ull << 30)

/* Half full leaves, and what a transaction leaves behind. */
#define ENTRIES_IN_BLOCK 100u
#define SPARE_BLOCKS 16384u
#define SUPERBLOCK 0u
#define COUNTS_ROOM (64u * TRANSACTION)

static void check(int r)
{
	if (!r)
		return;
	fprintf(stderr, "btree-measure: %s: %s\n", tp_strerror(r),
		tp_last_error());
	exit(1);
}

/* One thread, and nothing to wait for: what it takes by the clock on the wall
 * where it has the processor to itself. */
static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);

	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* splitmix64 */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;

	return z ^ z >> 31;
}

/*---------------------------- a tree ---------------------------------------*/

struct place {
	struct tp_device *device;
	struct tpi_channel *channel;
	struct tpi_cache *cache;
	struct tpi_metadata_space_map *map;
	struct tpi_tm tm;
	struct tpi_btree tree;
	tp_mblock root;
};

/* For the counts that a transaction changes. */
static void make_room(struct place *place)
{
	check(tpi_metadata_sm_make_room(place->map, COUNTS_ROOM));
}

static void begin(struct place *place, uint64_t nr_entries)
{
	tp_mblock nr_blocks = nr_entries / ENTRIES_IN_BLOCK + SPARE_BLOCKS;

	check(tp_device_open_memory(nr_blocks * TPI_MBLOCK_BYTES,
				    &place->device));
	check(tpi_channel_open(place->device, -1, true, &place->channel));
	check(tpi_cache_new(place->channel, nr_blocks, CACHE_BYTES,
			    &place->cache));
	check(tpi_metadata_sm_new(nr_blocks, &place->map));
	place->tm = (struct tpi_tm){ .cache = place->cache,
				     .refs = tpi_metadata_sm_refs(place->map) };
	tpi_metadata_sm_set_tm(place->map, &place->tm);
	check(tpi_tm_inc(&place->tm, SUPERBLOCK));
	place->tree = (struct tpi_btree){
		.tm = &place->tm,
		.type.size = sizeof(uint64_t),
		.name = "measured tree",
	};
	make_room(place);
	check(tpi_btree_empty(&place->tree, &place->root));
}

static void end(struct place *place)
{
	tpi_cache_destroy(place->cache);
	tpi_channel_close(place->channel);
	tp_device_unref(place->device);
	tpi_metadata_sm_destroy(place->map);
}

static void written(void *context, int error)
{
	check(error);
}

static void commit(struct place *place)
{
	struct tpi_disk_space_map_root root;

	check(tpi_metadata_sm_prepare_close(place->map));
	check(tpi_metadata_sm_close(place->map, &root));
	tpi_cache_freeze(place->cache);
	tpi_cache_write_frozen(place->cache, written, NULL);
	while (tpi_cache_busy(place->cache))
		tpi_channel_poll(place->channel, 64);
	tpi_metadata_sm_committed(place->map);
	tpi_cache_trim(place->cache);
	make_room(place);
}

static void insert(struct place *place, uint64_t key)
{
	check(tpi_tm_make_room(&place->tm));
	check(tpi_btree_prepare_insert(&place->tree, place->root, key, 1));
	check(tpi_btree_insert(&place->tree, place->root, key, &key,
			       &place->root, NULL));
}

static void insert_run(struct place *place, uint64_t key,
		       const uint64_t *values)
{
	uint64_t nr_inserted;

	check(tpi_tm_make_room(&place->tm));
	check(tpi_btree_prepare_insert(&place->tree, place->root, key,
				       TRANSACTION));
	check(tpi_btree_insert_run(&place->tree, place->root, key, values,
				   TRANSACTION, &place->root, &nr_inserted));
}

/*---------------------------- figures --------------------------------------*/

/* Each: nanoseconds for one, of a tree with @nr entries. */
static double ascending(uint64_t nr)
{
	struct place place;
	double spent;

	begin(&place, nr);
	spent = cpu_ns();
	for (uint64_t key = 0; key < nr; key++) {
		insert(&place, key);
		if (key % TRANSACTION == TRANSACTION - 1)
			commit(&place);
	}
	spent = cpu_ns() - spent;
	end(&place);

	return spent / (double)nr;
}

static double ascending_runs(uint64_t nr)
{
	uint64_t values[TRANSACTION] = { 0 };
	struct place place;
	double spent;

	begin(&place, nr);
	spent = cpu_ns();
	for (uint64_t key = 0; key < nr; key += TRANSACTION) {
		insert_run(&place, key, values);
		commit(&place);
	}
	spent = cpu_ns() - spent;
	end(&place);

	return spent / (double)nr;
}

/* In ascending order: then leaves are as an image's that was written so. */
static void build(struct place *place, uint64_t nr, uint64_t stride)
{
	begin(place, nr + NR_RANDOM_INSERTS);
	for (uint64_t i = 0; i < nr; i++) {
		insert(place, i * stride);
		if (i % (64 * TRANSACTION) == 0)
			commit(place);
	}
	commit(place);
}

static double lookup(uint64_t nr)
{
	uint64_t state = 1, value;
	struct place place;
	double spent;

	build(&place, nr, 1);
	spent = cpu_ns();
	for (unsigned i = 0; i < NR_LOOKUPS; i++)
		check(tpi_btree_lookup(&place.tree, place.root,
				       draw(&state) % nr, &value));
	spent = cpu_ns() - spent;
	end(&place);

	return spent / NR_LOOKUPS;
}

/* Between the keys that are there. */
static double random_inserts(uint64_t nr)
{
	uint64_t state = 1;
	struct place place;
	double spent;

	build(&place, nr, 1 << 20);
	spent = cpu_ns();
	for (unsigned i = 1; i <= NR_RANDOM_INSERTS; i++) {
		insert(&place, draw(&state) % (nr << 20));
		if (i % TRANSACTION == 0)
			commit(&place);
	}
	spent = cpu_ns() - spent;
	end(&place);

	return spent / NR_RANDOM_INSERTS;
}

/* A tree that is grown from nothing in random order: of all sizes on its way. */
static double growing(uint64_t nr)
{
	uint64_t state = 1;
	struct place place;
	double spent;

	begin(&place, nr);
	spent = cpu_ns();
	for (uint64_t i = 1; i <= nr; i++) {
		insert(&place, draw(&state));
		if (i % TRANSACTION == 0)
			commit(&place);
	}
	spent = cpu_ns() - spent;
	end(&place);

	return spent / (double)nr;
}

/*---------------------------- the table ------------------------------------*/

static const struct figure {
	const char *name;
	double (*measure)(uint64_t nr);
	double goal_ns[2]; /* of up to a million entries; of more; or 0 */
} figures[] = {
	{ "random lookup", lookup, { 800, 1200 } },
	{ "random insert, from nothing on", growing, { 2100, 3400 } },
	{ "random insert into what was built in order",
	  random_inserts,
	  { 2100, 3400 } },
	{ "ascending insert", ascending, { 150, 150 } },
	{ "ascending insert, in runs of 1,000", ascending_runs, { 150, 150 } },
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(const struct figure *figure, uint64_t nr)
{
	double goal = figure->goal_ns[nr > 1000000], ns[NR_ROUNDS];

	for (unsigned i = 0; i < NR_ROUNDS; i++)
		ns[i] = figure->measure(nr);
	qsort(ns, NR_ROUNDS, sizeof(*ns), compare);
	printf("| btree | %s, %llu entries | %.0f ns | %.0f to %.0f | <= %.0f "
	       "| %s |\n",
	       figure->name, (unsigned long long)nr, ns[NR_ROUNDS / 2], ns[0],
	       ns[NR_ROUNDS - 1], goal,
	       ns[NR_ROUNDS / 2] <= goal ? "met" : "NOT MET");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static char one[] = "1000000", ten[] = "10000000";
	static char *defaults[] = { NULL, one, ten, NULL };

	printf("| row | work | measured | least to most | goal | |\n"
	       "|---|---|--:|--:|--:|---|\n");
	for (char **given = argc > 1 ? argv : defaults; *++given;)
		for (size_t i = 0; i < sizeof(figures) / sizeof(*figures); i++)
			print(&figures[i], strtoull(*given, NULL, 10));

	return 0;
}
