/*
 * repair.c - setting right counts that are too high, and clearing needs_check.
 *
 * Only when nothing worse than leaks was found, so all that there is could be
 * read, and every reference is known.  Then the metadata is loaded as for a
 * pool, counts are lowered to what was counted, and that is committed like any
 * transaction: what T(c) uses is not touched, and the superblock is written
 * last, after a flush.  A crash leaves the metadata as it was, or as it is to
 * be; of very many leaks, repaired in several transactions, some.
 *
 * Counts of metadata blocks go first.  A node that is believed to be shared
 * would be copied, when it is changed, as if it lived on, and what it refers to
 * counted once more; when its count is right that does not happen.
 */
#include "check/check.h"

#include <stdlib.h>

#include "pool/offline.h"

#define CACHE_BYTES (8u << 20)

/* Changed counts of data blocks that go into one transaction. */
#define CHANGES_MAX 65536u

struct repair {
	struct tpi_check *check;
	struct tpi_sync_channel channel;
	struct tpi_cache *cache;
	struct tpi_metadata metadata;
	struct tpi_disk_superblock *superblock; /* to be written */
};

static int commit(struct repair *repair)
{
	struct tpi_metadata *md = &repair->metadata;
	struct tpi_freed_run *runs;
	size_t nr_runs;
	int r;

	r = tpi_offline_commit(md, &repair->channel, repair->superblock);
	if (r)
		return r;
	repair->check->report.repaired = true;
	tpi_data_sm_take_freed(md->data_sm, &runs, &nr_runs);
	for (size_t i = 0; i < nr_runs; i++)
		tpi_data_sm_release(md->data_sm, runs[i].begin, runs[i].nr);
	free(runs);

	return 0;
}

/*---------------------------- metadata blocks ------------------------------*/

static int lower_metadata_counts(struct repair *repair)
{
	struct tpi_metadata *md = &repair->metadata;
	int r = 0;

	for (tp_mblock block = 0; block < repair->check->end && !r; block++) {
		uint32_t count = tpi_tm_count(&md->tm, block);
		uint32_t wanted = repair->check->blocks[block].nr_refs;

		if (count > wanted)
			r = tpi_metadata_sm_lower(md->metadata_sm, block,
						  count - wanted);
	}
	tpi_metadata_sm_rewrite(md->metadata_sm);

	/* What was leaked may be needed to go on. */
	if (!r && !tpi_metadata_has_room(md, 1))
		r = commit(repair);

	return r;
}

/*---------------------------- data blocks ----------------------------------*/

static int lower_data_count(struct repair *repair, tp_dblock block)
{
	struct tpi_data_space_map *map = repair->metadata.data_sm;
	uint32_t wanted =
		tpi_maps_wanted(repair->check, &repair->check->data, block);
	uint32_t count;
	int r;

	while ((r = tpi_data_sm_count(map, block, &count)) == -EAGAIN)
		tpi_offline_wait(&repair->metadata, &repair->channel);
	if (!r && count > wanted)
		r = tpi_data_sm_lower(map, block, count - wanted);

	return r;
}

static int repair_bitmap(struct repair *repair, size_t i)
{
	const struct tpi_check_map *map = &repair->check->data;
	tp_dblock block = i * (uint64_t)TPI_BITMAP_ENTRIES;
	tp_dblock end = tpi_min(block + TPI_BITMAP_ENTRIES, map->nr_blocks);
	struct tpi_metadata *md = &repair->metadata;
	int r = 0;

	for (; map->bitmaps[i].differs && block < end && !r; block++)
		r = lower_data_count(repair, block);
	if (!r && map->bitmaps[i].figures_wrong)
		while ((r = tpi_data_sm_rewrite(md->data_sm, i)) == -EAGAIN)
			tpi_offline_wait(md, &repair->channel);
	if (!r && tpi_data_sm_nr_changes(md->data_sm) > CHANGES_MAX)
		r = commit(repair);

	return r;
}

/*---------------------------- all of it ------------------------------------*/

static int load(struct repair *repair)
{
	struct tpi_check *check = repair->check;
	int r;

	r = tpi_superblock_check(check->live.superblock, true);
	if (!r)
		r = tpi_cache_new(repair->channel.channel, check->end,
				  CACHE_BYTES, &repair->cache);
	if (r)
		return r;
	tpi_metadata_init(&repair->metadata, repair->cache);
	while ((r = tpi_metadata_load(&repair->metadata,
				      check->live.superblock)) == -EAGAIN)
		tpi_offline_wait(&repair->metadata, &repair->channel);

	return r;
}

static void clear_flag(struct tpi_disk_superblock *superblock)
{
	uint32_t flags = le32_get(superblock->header.flags);

	superblock->header.flags =
		le32_make(flags & ~TPI_SUPERBLOCK_NEEDS_CHECK);
}

static int repair_leaks(struct repair *repair, bool clear)
{
	int r;

	r = load(repair);
	if (!r)
		r = lower_metadata_counts(repair);
	for (size_t i = 0; i < repair->check->data.nr_bitmaps && !r; i++)
		r = repair_bitmap(repair, i);
	if (r)
		return r;
	if (clear)
		clear_flag(&repair->metadata.superblock);

	return commit(repair);
}

/* Nothing else has to be written. */
static int clear_needs_check(struct repair *repair)
{
	*repair->superblock = *repair->check->live.superblock;
	clear_flag(repair->superblock);
	tpi_seal(&tpi_superblock_validator, 0, repair->superblock);

	return tpi_sync_write(&repair->channel, 0, repair->superblock,
			      TPI_MBLOCK_BYTES);
}

static bool leaks_can_be_repaired(const struct tpi_check *check)
{
	const uint64_t *nr = check->report.nr_by_kind;

	return tpi_check_has(check, TP_CHECK_REPAIR_LEAKS) &&
	       check->report.worst == TP_CHECK_LEAK && !check->hidden &&
	       nr[TP_FOUND_COUNT_HIGH] + nr[TP_FOUND_NR_FREE] +
		       nr[TP_FOUND_HINT] + nr[TP_FOUND_NR_ALLOCATED];
}

/* An underfull node cannot be repaired. */
static bool flag_can_be_cleared(const struct tpi_check *check, bool repairing)
{
	const struct tp_check_report *report = &check->report;
	bool leaks = repairing ? report->nr_by_kind[TP_FOUND_UNDERFULL]
			       : report->nr_leaks;

	return tpi_check_has(check, TP_CHECK_CLEAR_NEEDS_CHECK) &&
	       report->needs_check && report->worst <= TP_CHECK_LEAK &&
	       (!leaks || tpi_check_has(check, TP_CHECK_IGNORE_LEAKS));
}

static int open_repair(struct repair *repair)
{
	int r;

	if (posix_memalign((void **)&repair->superblock, TPI_MBLOCK_BYTES,
			   TPI_MBLOCK_BYTES)) {
		repair->superblock = NULL;
		return -ENOMEM;
	}
	r = tpi_sync_open(&repair->channel, repair->check->device);
	repair->channel.wait = repair->check->options.clock_wait;
	repair->channel.context = repair->check->options.clock_context;

	return r;
}

static void close_repair(struct repair *repair)
{
	tpi_metadata_exit(&repair->metadata);
	tpi_cache_destroy(repair->cache);
	tpi_sync_close(&repair->channel);
	free(repair->superblock);
}

int tpi_check_repair(struct tpi_check *check)
{
	bool repairing = leaks_can_be_repaired(check);
	bool clearing = flag_can_be_cleared(check, repairing);
	struct repair repair = { .check = check };
	int r;

	if (!repairing && !clearing)
		return 0;
	r = open_repair(&repair);
	if (!r && repairing)
		r = repair_leaks(&repair, clearing);
	else if (!r)
		r = clear_needs_check(&repair);
	close_repair(&repair);
	if (r)
		return tpi_error(r, "the repair failed: %s", tp_strerror(r));
	check->report.cleared_needs_check = clearing;

	return 0;
}
