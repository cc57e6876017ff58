/*
 * specimen.c - pools of different shapes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/metadata-image.h"
#include "support/specimen.h"

#define MIB (1024u * 1024u)

/* Half of them in the middle of the address space are written. */
#define BLOCKS 64u

/* The id of the thin that is doomed: at first, and then. */
#define DOOMED_NOW 1000u
#define DOOMED_ID ((1u << 24) + 1)
#define DOOMED_BLOCKS 24000u

/*---------------------------- what must succeed ----------------------------*/

static void must(const struct image_pool *pool, int r, const char *call)
{
	if (r)
		image_pool_complain(pool, "%s: %d", call, r);
}

#define MUST(pool, call) must(pool, call, #call)

static void fill(struct image_pool *pool, uint32_t id, uint32_t vblock,
		 uint32_t nr)
{
	struct tp_thin *thin;

	MUST(pool, image_pool_open_thin(pool, id, &thin));
	for (uint32_t i = 0; i < nr; i++)
		MUST(pool,
		     image_pool_write(pool, thin, id, vblock + i, 1, false, 0));
	MUST(pool, tp_thin_close(thin));
}

static void create(struct image_pool *pool, uint32_t id, uint32_t nr_blocks,
		   uint32_t nr_written)
{
	MUST(pool, image_pool_create(pool, id, nr_blocks));
	fill(pool, id, (nr_blocks - nr_written) / 2, nr_written);
}

/* A snapshot of each of [1, @nr] from the one before; some of what they share
 * is broken, so that leaves are copied and counts go up. */
static void snapshots(struct image_pool *pool, uint32_t nr, uint32_t vblock)
{
	for (uint32_t id = 1; id <= nr; id++) {
		MUST(pool, image_pool_snapshot(pool, id, id / 2));
		fill(pool, id, vblock + id, 1);
	}
}

/*---------------------------- shapes ---------------------------------------*/

static void make_small(struct image_pool *pool)
{
	create(pool, 0, BLOCKS, 40);
	snapshots(pool, 5, 14);
	for (uint32_t id = 10; id < 14; id++)
		MUST(pool, image_pool_snapshot(pool, id, 2));
	create(pool, 20, BLOCKS, 10);
	create(pool, 21, BLOCKS, 0);
}

static void make_deep(struct image_pool *pool)
{
	create(pool, 0, 700, 600);
	snapshots(pool, 4, 100);
	create(pool, 7, 300, 260);
}

static void make_many(struct image_pool *pool)
{
	for (uint32_t id = 0; id < 300; id++)
		create(pool, 3 * id, 4, id % 3 == 0);
	for (uint32_t id = 0; id < 6; id++)
		MUST(pool, image_pool_snapshot(pool, 3 * id + 1, 0));
}

static void make_held(struct image_pool *pool)
{
	make_small(pool);
	MUST(pool, tp_pool_reserve_metadata_snapshot(pool->pool));
	fill(pool, 0, 15, 5);
	MUST(pool, image_pool_snapshot(pool, 15, 0));
	MUST(pool, image_pool_delete(pool, 20));
	create(pool, 20, BLOCKS, 5);
}

/* Leaves of half their size; the first quarter is shared.  The thin is given its
 * new id afterwards, see doom(). */
static void make_doomed(struct image_pool *pool)
{
	struct tp_thin *thin;

	create(pool, 0, BLOCKS, 20);
	create(pool, DOOMED_NOW, DOOMED_BLOCKS, 0);
	MUST(pool, image_pool_open_thin(pool, DOOMED_NOW, &thin));
	for (uint32_t vblock = 0; vblock < DOOMED_BLOCKS; vblock += 2) {
		if (vblock == DOOMED_BLOCKS / 4)
			MUST(pool, image_pool_snapshot(pool, 1, DOOMED_NOW));
		MUST(pool, image_pool_write(pool, thin, DOOMED_NOW, vblock, 1,
					    true, 0));
	}
	MUST(pool, tp_thin_close(thin));
	fill(pool, DOOMED_NOW, DOOMED_BLOCKS / 8 + 1, 1);
}

/* First the metadata, then what is left of the data. */
static void make_full(struct image_pool *pool)
{
	struct tp_thin *thin;
	uint32_t id = 0;

	create(pool, 0, BLOCKS, 20);
	while (!image_pool_create(pool, id + 1, BLOCKS))
		id++;
	MUST(pool, image_pool_open_thin(pool, id, &thin));
	for (uint32_t i = 0; i < BLOCKS; i++)
		image_pool_write(pool, thin, id, i, 1, false, 0);
	MUST(pool, tp_thin_close(thin));
}

static void make_catalogue(struct image_pool *pool)
{
	struct tp_volume volume = TP_VOLUME_INIT;
	struct tp_catalogue *catalogue;
	char name[16];

	make_small(pool);
	MUST(pool, tp_catalogue_open(pool->pool, &catalogue));
	for (uint32_t i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "volume %u", i);
		MUST(pool,
		     tp_catalogue_create(catalogue, name, BLOCKS * LEDGER_BLOCK,
					 0, &volume));
		ledger_add(&pool->ledger, volume.id, BLOCKS);
		fill(pool, volume.id, 1, 3);
	}
	tp_catalogue_close(catalogue);
}

/*---------------------------- the doomed thin ------------------------------*/

static bool doom_in(struct image *image, enum image_role role)
{
	struct tpi_node *leaf = image_data(image, image_find(image, role, 0));
	uint32_t last = tpi_node_nr(leaf) - 1;

	if (tpi_node_key(leaf, last) != DOOMED_NOW)
		return false;
	tpi_node_set_key(leaf, last, DOOMED_ID);
	image_seal(image, image_find(image, role, 0));

	return true;
}

/* What a deletion commits before it empties a big thin: the other id, in both
 * trees, of which each is a leaf. */
static void doom(struct image_pool *pool)
{
	struct image image;

	image_survey(&image, pool->metadata.bytes, pool->metadata.size_bytes);
	if (!doom_in(&image, IMAGE_THINS) || !doom_in(&image, IMAGE_DETAILS))
		image_pool_complain(pool, "no thin to be doomed");
	image_exit(&image);
	ledger_remove(&pool->ledger, DOOMED_NOW);
}

/*---------------------------- making one -----------------------------------*/

static const struct {
	const char *name;
	uint64_t metadata_bytes, data_blocks;
	void (*make)(struct image_pool *pool);
} shapes[SPECIMEN_NR_KINDS] = {
	[SPECIMEN_SMALL] = { "small", MIB, 256, make_small },
	[SPECIMEN_DEEP] = { "deep", MIB, 1024, make_deep },
	[SPECIMEN_MANY] = { "many", 3 * MIB, 256, make_many },
	[SPECIMEN_HELD] = { "held", MIB, 256, make_held },
	[SPECIMEN_DOOMED] = { "doomed", 2 * MIB, 12100, make_doomed },
	[SPECIMEN_FULL] = { "full", MIB / 4, 40, make_full },
	[SPECIMEN_CATALOGUE] = { "catalogue", MIB, 256, make_catalogue },
};

static void make_content(struct image_pool *pool, enum specimen_kind kind)
{
	MUST(pool,
	     tp_pool_format(pool->metadata.device, pool->data.device, NULL));
	MUST(pool, image_pool_open(pool));
	shapes[kind].make(pool);
	MUST(pool, image_pool_close(pool));
}

/* The last transaction of all, if there is room for it; it is left out of what
 * is older. */
static void add_transaction(struct image_pool *pool)
{
	struct tp_thin *thin;

	MUST(pool, image_pool_open(pool));
	MUST(pool, image_pool_open_thin(pool, 0, &thin));
	image_pool_write(pool, thin, 0, 1, 2, false, 0);
	MUST(pool, tp_thin_close(thin));
	tp_pool_set_transaction_id(pool->pool, 0, 1);
	MUST(pool, image_pool_close(pool));
}

static char *copy_metadata(const struct image_pool *pool)
{
	char *copy = malloc(pool->metadata.size_bytes);

	if (!copy)
		abort();
	memcpy(copy, pool->metadata.bytes, pool->metadata.size_bytes);

	return copy;
}

void specimen_make(struct specimen *specimen, enum specimen_kind kind)
{
	struct image_pool pool;

	*specimen = (struct specimen){
		.name = shapes[kind].name,
		.runs_out = kind == SPECIMEN_FULL,
		.sizes = { shapes[kind].metadata_bytes,
			   shapes[kind].data_blocks * LEDGER_BLOCK, -1, -1 },
	};
	image_pool_init(&pool, &specimen->sizes, true);
	snprintf(pool.what, sizeof(pool.what), "specimen %s", specimen->name);
	make_content(&pool, kind);
	specimen->older = copy_metadata(&pool);
	add_transaction(&pool);
	if (kind == SPECIMEN_DOOMED)
		doom(&pool);
	specimen->metadata = copy_metadata(&pool);
	specimen->sizes.metadata_fd = image_device_save(&pool.metadata);
	specimen->sizes.data_fd = image_device_save(&pool.data);
	ledger_copy(&specimen->ledger, &pool.ledger);
	image_pool_exit(&pool);
}

void specimen_exit(struct specimen *specimen)
{
	close(specimen->sizes.metadata_fd);
	close(specimen->sizes.data_fd);
	free(specimen->metadata);
	free(specimen->older);
	ledger_exit(&specimen->ledger);
}

void specimen_copy(const struct specimen *specimen, struct image_pool *pool,
		   bool host_driven)
{
	image_pool_init(pool, &specimen->sizes, host_driven);
	ledger_copy(&pool->ledger, &specimen->ledger);
	snprintf(pool->what, sizeof(pool->what), "specimen %s", specimen->name);
}
