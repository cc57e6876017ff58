/*
 * maps.c - both space maps over a disk in memory.
 */
#include "space-map/maps.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*---------------------------- the guard ------------------------------------*/

static struct maps *maps_of(const struct tpi_refs *refs)
{
	return tpi_container_of(refs, struct maps, guard);
}

static struct tpi_refs *guarded(const struct tpi_refs *refs)
{
	return tpi_metadata_sm_refs(maps_of(refs)->metadata);
}

static int guard_alloc(struct tpi_refs *refs, tp_mblock *block)
{
	struct maps *maps = maps_of(refs);
	struct tpi_refs *real = guarded(refs);
	tp_mblock nr_free = tpi_metadata_sm_nr_free(maps->metadata);
	int r;

	r = real->ops->alloc(real, block);
	if (r)
		return r;

	EXPECT(!maps->used_closed[*block]);
	EXPECT(!maps->used_durable[*block]);
	EXPECT(real->ops->count(real, *block) == 1);
	EXPECT(tpi_metadata_sm_nr_free(maps->metadata) == nr_free - 1);

	return 0;
}

static int guard_inc(struct tpi_refs *refs, tp_mblock begin, tp_mblock end)
{
	struct tpi_refs *real = guarded(refs);

	return real->ops->inc(real, begin, end);
}

static int guard_dec(struct tpi_refs *refs, tp_mblock begin, tp_mblock end)
{
	struct tpi_refs *real = guarded(refs);

	return real->ops->dec(real, begin, end);
}

static uint32_t guard_count(const struct tpi_refs *refs, tp_mblock block)
{
	struct tpi_refs *real = guarded(refs);

	return real->ops->count(real, block);
}

static tp_mblock guard_nr_blocks(const struct tpi_refs *refs)
{
	struct tpi_refs *real = guarded(refs);

	return real->ops->nr_blocks(real);
}

static const struct tpi_refs_ops guard_ops = {
	.alloc = guard_alloc,
	.inc = guard_inc,
	.dec = guard_dec,
	.count = guard_count,
	.nr_blocks = guard_nr_blocks,
};

/*---------------------------- coming and going -----------------------------*/

static void open_cache(struct maps *maps)
{
	ck_assert_int_eq(tpi_cache_new(maps->channel, maps->nr_mblocks,
				       maps->cache_bytes, &maps->cache),
			 0);
	maps->tm.cache = maps->cache;
}

void maps_format(struct maps *maps, tp_mblock nr_mblocks,
		 tp_mblock disk_mblocks, tp_dblock nr_dblocks,
		 uint64_t cache_bytes)
{
	tp_mblock nr_used = tpi_max(nr_mblocks, disk_mblocks);
	tp_mblock superblock;

	memset(maps, 0, sizeof(*maps));
	maps->cache_bytes = cache_bytes;
	maps->nr_mblocks = nr_mblocks;
	maps->guard.ops = &guard_ops;
	maps->tm.refs = &maps->guard;
	maps->used_closed = calloc(nr_used, sizeof(bool));
	maps->used_durable = calloc(nr_used, sizeof(bool));
	ram_disk_init(&maps->disk, disk_mblocks * TPI_MBLOCK_BYTES);
	ck_assert_int_eq(tpi_channel_open(maps->disk.device, -1, true,
					  &maps->channel),
			 0);
	open_cache(maps);

	ck_assert_int_eq(tpi_metadata_sm_new(nr_mblocks, &maps->metadata), 0);
	tpi_metadata_sm_set_tm(maps->metadata, &maps->tm);
	ck_assert_int_eq(guard_alloc(&maps->guard, &superblock), 0);
	ck_assert_uint_eq(superblock, 0);
	ck_assert_int_eq(tpi_data_sm_new(&maps->tm, nr_dblocks, &maps->data),
			 0);
}

static void forget(struct maps *maps)
{
	tpi_data_sm_destroy(maps->data);
	maps->data = NULL;
	tpi_metadata_sm_destroy(maps->metadata);
	maps->metadata = NULL;
	while (tpi_cache_busy(maps->cache))
		maps_wait(maps);
	tpi_cache_destroy(maps->cache);
	maps->cache = NULL;
}

void maps_exit(struct maps *maps)
{
	forget(maps);
	tpi_channel_close(maps->channel);
	ram_disk_exit(&maps->disk);
	free(maps->used_durable);
	free(maps->used_closed);
}

void maps_wait(struct maps *maps)
{
	tpi_channel_kick(maps->channel);
	EXPECT(tpi_channel_in_flight(maps->channel) > 0);
	tpi_channel_poll(maps->channel, 1);
	tpi_cache_trim(maps->cache);
}

int maps_reopen(struct maps *maps)
{
	int r;

	forget(maps);
	open_cache(maps);
	r = WAIT(maps, tpi_metadata_sm_load(maps->cache, &maps->metadata_root,
					    &maps->metadata));
	if (r)
		return r;
	tpi_metadata_sm_set_tm(maps->metadata, &maps->tm);

	return WAIT(maps,
		    tpi_data_sm_load(&maps->tm, &maps->data_root, &maps->data));
}

void maps_grow_metadata(struct maps *maps, tp_mblock nr_mblocks)
{
	EXPECT(nr_mblocks * TPI_MBLOCK_BYTES <= maps->disk.size_bytes);
	maps->nr_mblocks = nr_mblocks;
	tpi_cache_grow(maps->cache, nr_mblocks);
	ck_assert_int_eq(tpi_metadata_sm_grow(maps->metadata, nr_mblocks), 0);
}

/*---------------------------- transactions ---------------------------------*/

static int prepare(struct maps *maps)
{
	int r = tpi_data_sm_prepare_close(maps->data);

	return r ? r : tpi_metadata_sm_prepare_close(maps->metadata);
}

int maps_close(struct maps *maps)
{
	tp_mblock i;
	int r;

	r = WAIT(maps, prepare(maps));
	if (!r)
		r = tpi_data_sm_close(maps->data, &maps->data_root);
	if (!r)
		r = tpi_metadata_sm_close(maps->metadata, &maps->metadata_root);
	if (r)
		return r;

	for (i = 0; i < tpi_metadata_sm_nr_blocks(maps->metadata); i++)
		maps->used_closed[i] = guard_count(&maps->guard, i) > 0;
	tpi_cache_freeze(maps->cache);

	return 0;
}

static void written(void *context, int error)
{
	*(int *)context = error;
}

void maps_write(struct maps *maps)
{
	int status = -EINPROGRESS;

	tpi_cache_write_frozen(maps->cache, written, &status);
	while (status == -EINPROGRESS)
		maps_wait(maps);
	ck_assert_int_eq(status, 0);
	tpi_metadata_sm_committed(maps->metadata);
	memcpy(maps->used_durable, maps->used_closed,
	       maps->nr_mblocks * sizeof(*maps->used_closed));
}

void maps_commit(struct maps *maps)
{
	struct tpi_freed_run *runs;
	size_t i, nr;

	ck_assert_int_eq(maps_close(maps), 0);
	maps_write(maps);
	tpi_data_sm_take_freed(maps->data, &runs, &nr);
	for (i = 0; i < nr; i++)
		tpi_data_sm_release(maps->data, runs[i].begin, runs[i].nr);
	free(runs);
}

void *maps_block(struct maps *maps, tp_mblock block)
{
	return maps->disk.bytes + block * TPI_MBLOCK_BYTES;
}

/*---------------------------- the second opinion ---------------------------*/

/* A space map as a dumb reader sees it. */
struct reading {
	struct maps *maps;
	uint32_t *own;    /* blocks of maps, how often met */
	uint32_t *counts; /* of the map that is being read */
	uint64_t nr_blocks, nr_allocated;
	size_t nr_bitmaps, nr_large, nr_keys;
};

static const void *read_own(struct reading *reading, tp_mblock block,
			    const struct tpi_validator *validator)
{
	const void *data;

	EXPECT(block > 0);
	EXPECT(block < le64_get(reading->maps->metadata_root.nr_blocks));
	data = maps_block(reading->maps, block);
	EXPECT(tpi_validate(validator, block, data) == 0);
	reading->own[block]++;

	return data;
}

/* A node, straight from metadata-format.md, 4. */
struct raw_node {
	struct tpi_block_header header;
	le32 nr_entries, max_entries, value_size, padding;
	le64 keys[];
};

/* Every leaf entry below @block, in order. */
static void walk(struct reading *reading, tp_mblock block,
		 void (*each)(struct reading *, uint64_t, const void *))
{
	const struct raw_node *node =
		read_own(reading, block, &tpi_node_validator);
	const char *values =
		(const char *)&node->keys[le32_get(node->max_entries)];
	uint32_t i;

	for (i = 0; i < le32_get(node->nr_entries); i++) {
		const void *value =
			values + (size_t)i * le32_get(node->value_size);

		if (le32_get(node->header.flags) == 1)
			walk(reading, le64_get(*(const le64 *)value), each);
		else
			each(reading, le64_get(node->keys[i]), value);
	}
}

static void read_bitmap(struct reading *reading, uint64_t key,
			const void *value)
{
	const struct tpi_disk_index_entry *entry = value;
	const struct tpi_disk_bitmap *bitmap = read_own(
		reading, le64_get(entry->blocknr), &tpi_bitmap_validator);
	uint32_t i, nr_free = 0, first = TPI_BITMAP_ENTRIES;

	EXPECT(key == reading->nr_bitmaps);
	for (i = 0; i < TPI_BITMAP_ENTRIES; i++) {
		uint64_t block = key * TPI_BITMAP_ENTRIES + i;
		unsigned count = tpi_bitmap_get(bitmap, i);

		if (!count && first > i)
			first = i;
		nr_free += !count;
		reading->nr_large += count == 3;
		if (block < reading->nr_blocks)
			reading->counts[block] = count;
		else
			EXPECT(count == 0);
	}
	EXPECT(le32_get(entry->nr_free) == nr_free);
	EXPECT(le32_get(entry->none_free_before) == first);
	reading->nr_allocated += TPI_BITMAP_ENTRIES - nr_free;
	reading->nr_bitmaps++;
}

static void read_large(struct reading *reading, uint64_t key, const void *value)
{
	uint32_t count = le32_get(*(const le32 *)value);

	EXPECT(key < reading->nr_blocks);
	EXPECT(reading->counts[key] == 3);
	EXPECT(count >= 3);
	reading->counts[key] = count;
	reading->nr_keys++;
}

static void read_metadata_index(struct reading *reading, tp_mblock block)
{
	const struct tpi_disk_index *index =
		read_own(reading, block, &tpi_index_validator);
	uint64_t nr = tpi_div_up(reading->nr_blocks, TPI_BITMAP_ENTRIES);
	uint64_t i;

	for (i = 0; i < nr; i++)
		read_bitmap(reading, i, &index->entries[i]);
	for (; i < TPI_METADATA_BITMAPS_MAX; i++)
		EXPECT(le64_get(index->entries[i].blocknr) == 0);
}

static uint32_t *read_map(struct reading *reading,
			  const struct tpi_disk_space_map_root *root,
			  bool is_data)
{
	reading->nr_blocks = le64_get(root->nr_blocks);
	reading->counts = calloc(reading->nr_blocks + 1, sizeof(uint32_t));
	reading->nr_allocated = 0;
	reading->nr_bitmaps = reading->nr_large = reading->nr_keys = 0;
	if (is_data)
		walk(reading, le64_get(root->bitmap_root), read_bitmap);
	else
		read_metadata_index(reading, le64_get(root->bitmap_root));
	walk(reading, le64_get(root->ref_count_root), read_large);

	EXPECT(reading->nr_bitmaps ==
	       tpi_div_up(reading->nr_blocks, TPI_BITMAP_ENTRIES));
	EXPECT(reading->nr_large == reading->nr_keys);
	EXPECT(le64_get(root->nr_allocated) == reading->nr_allocated);

	return reading->counts;
}

static void compare_data(const uint32_t *found, const uint32_t *expected,
			 uint64_t nr)
{
	uint64_t i;

	for (i = 0; i < nr; i++)
		if (found[i] != expected[i])
			ck_abort_msg("data block %" PRIu64
				     ": %u on disk, not %u",
				     i, found[i], expected[i]);
}

static void compare_metadata(const uint32_t *found, const uint32_t *users,
			     const uint32_t *own, uint64_t nr)
{
	uint64_t i;

	for (i = 0; i < nr; i++) {
		EXPECT(own[i] <= 1);
		if (found[i] != users[i] + own[i])
			ck_abort_msg("metadata block %" PRIu64
				     ": %u on disk, not %u and %u",
				     i, found[i], users[i], own[i]);
	}
}

void maps_check_disk(struct maps *maps, const uint32_t *users,
		     const uint32_t *data)
{
	struct reading reading = { .maps = maps };
	uint32_t *counts;

	reading.own = calloc(le64_get(maps->metadata_root.nr_blocks),
			     sizeof(uint32_t));
	counts = read_map(&reading, &maps->data_root, true);
	if (data)
		compare_data(counts, data, reading.nr_blocks);
	free(counts);

	counts = read_map(&reading, &maps->metadata_root, false);
	if (users)
		compare_metadata(counts, users, reading.own, reading.nr_blocks);
	free(counts);
	free(reading.own);
}

/*---------------------------- chance ---------------------------------------*/

static uint64_t chance_state;

void chance_init(void)
{
	const char *seed = getenv("TEST_SEED");

	chance_state = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
	printf("TEST_SEED=%" PRIu64 "\n", chance_state);
	fflush(stdout);
}

uint64_t chance(uint64_t below)
{
	uint64_t z = chance_state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;

	return (z ^ z >> 31) % below;
}
