/*
 * data-space-map.c - the data space map: changes of the running transaction in
 * memory, put into the base in block order when it is closed.
 *
 * Preparing a close does that work already, as far as it goes: a change that
 * was put into the base is done, and the metadata blocks it took are dirty and
 * stay in memory, however small the cache is.  So little has to be in memory at
 * the same time, and a call that has to wait loses nothing.  What a transaction
 * frees is withheld from the moment when the base says zero, so that nobody is
 * given a block that an older transaction uses (B-COMMIT-9).
 *
 * Changes stay in the table until the close, since the pool asks which blocks
 * were dropped, and since the freed ones have to be listed.
 */
#include "space-map/data-private.h"

#include <inttypes.h>
#include <stdlib.h>

#define WHERE "data space map"

/*---------------------------- the map --------------------------------------*/

static struct tpi_data_space_map *create(struct tpi_tm *tm)
{
	struct tpi_data_space_map *map = calloc(1, sizeof(*map));

	if (!map)
		return NULL;
	tpi_base_init(&map->base, tm);
	tpi_sparse_set_init(&map->withheld);
	tpi_block_table_init(&map->changes, sizeof(struct tpi_count_change));

	return map;
}

void tpi_data_sm_destroy(struct tpi_data_space_map *map)
{
	if (!map)
		return;

	free(map->freed);
	tpi_work_list_exit(&map->work);
	tpi_block_table_exit(&map->changes);
	tpi_sparse_set_exit(&map->withheld);
	tpi_base_exit(&map->base);
	free(map);
}

int tpi_data_sm_new(struct tpi_tm *tm, tp_dblock nr_blocks,
		    struct tpi_data_space_map **result)
{
	struct tpi_data_space_map *map = create(tm);
	int r;

	if (!map)
		return -ENOMEM;

	r = tpi_base_make_trees(&map->base);
	if (!r)
		r = tpi_data_sm_grow(map, nr_blocks);
	if (r)
		tpi_data_sm_destroy(map);
	else
		*result = map;

	return r;
}

int tpi_data_sm_load(struct tpi_tm *tm,
		     const struct tpi_disk_space_map_root *root,
		     struct tpi_data_space_map **map)
{
	if (!*map)
		*map = create(tm);
	if (!*map)
		return -ENOMEM;

	return tpi_base_load(&(*map)->base, root);
}

int tpi_data_sm_load_figures(struct tpi_tm *tm,
			     const struct tpi_disk_space_map_root *root,
			     struct tpi_data_space_map **result)
{
	struct tpi_data_space_map *map = create(tm);
	int r;

	if (!map)
		return -ENOMEM;
	r = tpi_base_load_figures(&map->base, root);
	if (r)
		tpi_data_sm_destroy(map);
	else
		*result = map;

	return r;
}

tp_dblock tpi_data_sm_nr_blocks(const struct tpi_data_space_map *map)
{
	return map->base.nr_blocks;
}

tp_dblock tpi_data_sm_nr_free(const struct tpi_data_space_map *map)
{
	tp_dblock nr_taken =
		tpi_base_nr_allocated(&map->base) + map->withheld.nr;

	return map->base.nr_blocks - tpi_min(nr_taken, map->base.nr_blocks);
}

tp_dblock tpi_data_sm_nr_used(const struct tpi_data_space_map *map)
{
	return tpi_base_nr_allocated(&map->base) + map->nr_provisioned;
}

int tpi_data_sm_grow(struct tpi_data_space_map *map, tp_dblock nr_blocks)
{
	/* Each bitmap takes a metadata block. */
	if (nr_blocks < map->base.nr_blocks ||
	    nr_blocks / TPI_BITMAP_ENTRIES >= TPI_METADATA_BLOCKS_MAX)
		return -EINVAL;

	return tpi_base_grow(&map->base, nr_blocks);
}

/*---------------------------- room -----------------------------------------*/

static int make_freed_room(struct tpi_data_space_map *map, size_t nr)
{
	size_t room = tpi_max(nr, 2 * map->freed_room);
	struct tpi_freed_run *freed;

	if (nr <= map->freed_room)
		return 0;
	freed = realloc(map->freed, room * sizeof(*freed));
	if (!freed)
		return -ENOMEM;
	map->freed = freed;
	map->freed_room = room;

	return 0;
}

/* Freed blocks mostly lie together: closing asks again for each. */
#define NR_CHUNKS 64

/* At the worst each block is a run of its own. */
int tpi_data_sm_make_room(struct tpi_data_space_map *map, size_t nr)
{
	size_t nr_changes = map->changes.nr + nr;
	int r;

	r = tpi_block_table_make_room(&map->changes, nr);
	if (!r)
		r = tpi_work_list_make_room(&map->work, nr_changes);
	if (!r)
		r = make_freed_room(map, nr_changes);
	if (!r)
		r = tpi_sparse_set_make_room(&map->withheld, NR_CHUNKS);

	return r;
}

/*---------------------------- counting -------------------------------------*/

static int check_range(const struct tpi_data_space_map *map, tp_dblock begin,
		       tp_dblock nr)
{
	tp_dblock nr_blocks = map->base.nr_blocks;

	if (begin > nr_blocks || nr > nr_blocks - begin)
		return tpi_damage(WHERE,
				  "%" PRIu64 " blocks from %" PRIu64
				  " on, of %" PRIu64 " in all",
				  nr, begin, nr_blocks);

	return 0;
}

static struct tpi_count_change *add_pending(struct tpi_data_space_map *map,
					    tp_dblock block)
{
	struct tpi_count_change *change =
		tpi_block_table_add(&map->changes, block);

	if (change && !change->pending) {
		change->pending = true;
		map->nr_pending++;
	}

	return change;
}

static void set_provisioned(struct tpi_data_space_map *map,
			    struct tpi_count_change *change, bool provisioned)
{
	if (provisioned && !change->provisioned)
		map->nr_provisioned++;
	if (!provisioned && change->provisioned)
		map->nr_provisioned--;
	change->provisioned = provisioned;
}

int tpi_data_sm_inc(struct tpi_data_space_map *map, tp_dblock begin,
		    tp_dblock nr)
{
	struct tpi_count_change *change;
	tp_dblock block;
	int r;

	r = check_range(map, begin, nr);
	if (r)
		return r;

	for (block = begin; block < begin + nr; block++) {
		change = add_pending(map, block);
		if (!change)
			return -ENOMEM;
		change->delta++;
		if (change->delta <= 0)
			continue;
		if (tpi_sparse_set_has(&map->withheld, block))
			set_provisioned(map, change, true);
		else
			map->some_unhanded = true;
	}

	return 0;
}

static int lower(struct tpi_data_space_map *map, tp_dblock block, uint32_t by)
{
	struct tpi_count_change *change = add_pending(map, block);

	if (!change)
		return -ENOMEM;
	change->delta -= by;
	change->dropped = true;
	map->some_dropped = true;
	if (change->delta <= 0)
		set_provisioned(map, change, false);

	return 0;
}

int tpi_data_sm_dec(struct tpi_data_space_map *map, tp_dblock begin,
		    tp_dblock nr)
{
	tp_dblock block;
	int r;

	r = check_range(map, begin, nr);
	for (block = begin; block < begin + nr && !r; block++)
		r = lower(map, block, 1);

	return r;
}

int tpi_data_sm_lower(struct tpi_data_space_map *map, tp_dblock block,
		      uint32_t by)
{
	int r = check_range(map, block, 1);

	return r ? r : lower(map, block, by);
}

int tpi_data_sm_rewrite(struct tpi_data_space_map *map, size_t i)
{
	return tpi_base_rewrite(&map->base, i);
}

static int add_delta(tp_dblock block, uint32_t count, int64_t delta,
		     uint32_t *sum)
{
	int64_t total = count + delta;

	if (total < 0 || total > UINT32_MAX)
		return tpi_damage(WHERE,
				  "block %" PRIu64
				  " has a count of %u, and %" PRId64 " more",
				  block, count, delta);
	*sum = (uint32_t)total;

	return 0;
}

int tpi_data_sm_count(struct tpi_data_space_map *map, tp_dblock block,
		      uint32_t *count)
{
	const struct tpi_count_change *change =
		tpi_block_table_find(&map->changes, block);
	uint32_t in_base;
	int r;

	r = check_range(map, block, 1);
	if (!r)
		r = tpi_base_get(&map->base, block, &in_base);
	if (r)
		return r;

	return add_delta(block, in_base, change ? change->delta : 0, count);
}

bool tpi_data_sm_was_dropped(const struct tpi_data_space_map *map,
			     tp_dblock block)
{
	const struct tpi_count_change *change =
		tpi_block_table_find(&map->changes, block);

	return change && change->dropped;
}

int tpi_data_sm_mark_discarded(struct tpi_data_space_map *map, tp_dblock begin,
			       tp_dblock nr)
{
	struct tpi_count_change *change;
	tp_dblock block;
	int r;

	r = check_range(map, begin, nr);
	if (r)
		return r;

	for (block = begin; block < begin + nr; block++) {
		change = tpi_block_table_add(&map->changes, block);
		if (!change)
			return -ENOMEM;
		change->discarded = true;
	}

	return 0;
}

size_t tpi_data_sm_nr_changes(const struct tpi_data_space_map *map)
{
	return map->nr_pending;
}

/*---------------------------- into the base --------------------------------*/

/* The base went from @old to @count: is the block in use, or withheld, or
 * neither?  There is room to withhold it. */
static int settle(struct tpi_data_space_map *map, tp_dblock block,
		  struct tpi_count_change *change, uint32_t old, uint32_t count)
{
	change->freed = !count &&
			(old || tpi_sparse_set_has(&map->withheld, block));
	if (change->freed)
		return tpi_sparse_set_add(&map->withheld, block, 1);

	if (count)
		tpi_sparse_set_remove(&map->withheld, block, 1);
	else
		tpi_data_sm_search_again(map, block, 1);

	return 0;
}

/* Memory for the next change, or the next entry: between these there is
 * nothing half done. */
static int make_step_room(struct tpi_data_space_map *map)
{
	int r = tpi_tm_make_room(map->base.index.tm);

	if (!r)
		r = tpi_sparse_set_make_room(&map->withheld, 1);

	return r;
}

static int put_change(struct tpi_data_space_map *map, tp_dblock block)
{
	struct tpi_count_change *change =
		tpi_block_table_find(&map->changes, block);
	uint32_t old, count = 0;
	int r;

	if (!change->pending)
		return 0;
	r = tpi_base_get(&map->base, block, &old);
	if (!r)
		r = add_delta(block, old, change->delta, &count);
	if (!r)
		r = tpi_base_set(&map->base, block, old, count);
	if (!r)
		r = settle(map, block, change, old, count);
	if (r)
		return r;

	set_provisioned(map, change, false);
	change->delta = 0;
	change->pending = false;
	map->nr_pending--;

	return 0;
}

/* -EAGAIN: what is done is done; come again for the rest. */
static int put_changes(struct tpi_data_space_map *map)
{
	int r;

	map->group_is_known = false;
	r = tpi_base_make_bitmaps(&map->base);
	while (!r && map->nr_pending) {
		r = make_step_room(map);
		if (!r)
			r = tpi_work_list_fill(&map->work, &map->changes);
		if (!r)
			r = put_change(map, map->work.keys[map->work.next]);
		if (!r)
			map->work.next++;
	}
	if (!r)
		r = tpi_base_write_index(&map->base);

	return r;
}

/*---------------------------- what was freed -------------------------------*/

/* The runs of freed blocks.  There is room. */
static size_t find_freed_runs(const struct tpi_data_space_map *map,
			      struct tpi_freed_run *runs)
{
	const struct tpi_work_list *blocks = &map->work;
	struct tpi_freed_run run = { 0 };
	size_t i, nr = 0;

	for (i = 0; i < blocks->nr; i++) {
		tp_dblock block = blocks->keys[i];
		const struct tpi_count_change *change =
			tpi_block_table_find(&map->changes, block);

		if (!change->freed)
			continue;
		if (run.nr && block == run.begin + run.nr &&
		    change->discarded == run.discarded) {
			run.nr++;
		} else {
			run = (struct tpi_freed_run){ block, 1,
						      change->discarded };
			nr++;
		}
		runs[nr - 1] = run;
	}

	return nr;
}

static int list_freed(struct tpi_data_space_map *map)
{
	int r;

	tpi_assert(!map->nr_freed);
	if (!map->some_dropped)
		return 0;
	map->work.next = map->work.nr;
	r = tpi_work_list_fill(&map->work, &map->changes);
	if (!r)
		r = make_freed_room(map, map->work.nr);
	if (!r)
		map->nr_freed = find_freed_runs(map, map->freed);

	return r;
}

void tpi_data_sm_take_freed(struct tpi_data_space_map *map,
			    struct tpi_freed_run **runs, size_t *nr_runs)
{
	*runs = NULL;
	*nr_runs = map->nr_freed;
	if (!map->nr_freed)
		return;
	*runs = map->freed;
	map->freed = NULL;
	map->nr_freed = map->freed_room = 0;
}

/*---------------------------- transactions ---------------------------------*/

int tpi_data_sm_prepare_close(struct tpi_data_space_map *map)
{
	return put_changes(map);
}

int tpi_data_sm_close(struct tpi_data_space_map *map,
		      struct tpi_disk_space_map_root *root)
{
	int r;

	r = put_changes(map);
	tpi_assert(r != -EAGAIN); /* it was prepared */
	if (!r)
		r = list_freed(map);
	if (r)
		return r;

	tpi_base_get_root(&map->base, root);
	map->work.nr = map->work.next = 0;
	map->some_dropped = map->some_unhanded = false;
	tpi_block_table_clear(&map->changes);

	return 0;
}
