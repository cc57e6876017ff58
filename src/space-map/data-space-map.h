/*
 * data-space-map.h - the reference counts of data blocks, and so the allocator
 * of them (metadata-format.md, 6 and 7.2).
 *
 * Two layers.  The *base* is on metadata blocks, read through the cache: the
 * map as the last closed transaction left it.  The *changes* of the running
 * transaction are kept in memory, block by block, and put into the base in
 * block order when it is closed.  So counting up or down does no I/O and cannot
 * fail half way, and each bitmap is shadowed once.
 *
 * Allocation.  A block may be handed out if it is free in the base and not
 * *withheld*.  Withheld, in memory, are
 *   - blocks handed out and not counted yet: their content is being prepared
 *     (B-WRITE-8: no closed transaction ever counts them);
 *   - blocks that lost their last reference, until what dropped it is settled
 *     (architecture.md, decision 7) and a discard passed down has ended
 *     (B-DISC-11).
 * A crash forgets what is withheld, so nothing leaks.
 *
 * Settling.  Each closed transaction has a list of what it freed; the pool
 * takes it (tpi_data_sm_take_freed) and gives the blocks back one range at a
 * time when it sees fit.
 *
 * Run loop only.
 */
#ifndef TPI_SPACE_MAP_DATA_H
#define TPI_SPACE_MAP_DATA_H

#include "btree/btree.h"
#include "space-map/format.h"

struct tpi_data_space_map;

/*
 * A new map of @nr_blocks free blocks, written through @tm: for formatting; to
 * be closed at once.  -ENOSPC, -ENOMEM.
 */
int tpi_data_sm_new(struct tpi_tm *tm, tp_dblock nr_blocks,
		    struct tpi_data_space_map **map);

/* Read the index that @root describes; as tpi_metadata_sm_load after
 * -EAGAIN.  Bitmaps are read when needed; what the index says of free blocks
 * is a hint, corrected as bitmaps are seen. */
int tpi_data_sm_load(struct tpi_tm *tm,
		     const struct tpi_disk_space_map_root *root,
		     struct tpi_data_space_map **map);

/* No more than the figures of @root, where the rest cannot be read: for a pool
 * that is never written.  As tpi_metadata_sm_load_figures. */
int tpi_data_sm_load_figures(struct tpi_tm *tm,
			     const struct tpi_disk_space_map_root *root,
			     struct tpi_data_space_map **map);

void tpi_data_sm_destroy(struct tpi_data_space_map *map);

tp_dblock tpi_data_sm_nr_blocks(const struct tpi_data_space_map *map);

/* Free to be handed out.  As good as what the index tells of bitmaps that were
 * not seen yet; tpi_data_sm_alloc() does not rely on it. */
tp_dblock tpi_data_sm_nr_free(const struct tpi_data_space_map *map);

/* Blocks in use in the running transaction (B-STAT-4); those that lost their
 * last reference in it are counted until it is closed. */
tp_dblock tpi_data_sm_nr_used(const struct tpi_data_space_map *map);

/*---------------------------- allocation -----------------------------------*/

/*
 * Hand out up to @max adjacent blocks, the first free run found from @hint on,
 * round the end and back.  A run ends where a bitmap does, every 16320 blocks.
 * They are withheld until they are counted or given back.
 *
 * -EAGAIN: a bitmap has to be read; -ENOSPC: none is free; -EIO, -EILSEQ,
 * -ENOMEM.
 */
int tpi_data_sm_alloc(struct tpi_data_space_map *map, tp_dblock hint,
		      tp_dblock max, tp_dblock *begin, tp_dblock *nr);

/* The same, but only in [begin, end), from its beginning.  -ENOSPC: all is in
 * use there, or withheld. */
int tpi_data_sm_alloc_within(struct tpi_data_space_map *map, tp_dblock begin,
			     tp_dblock end, tp_dblock max, tp_dblock *first,
			     tp_dblock *nr);

/* Blocks that lie together on the device, for one thin to fill in order. */
#define TPI_STRETCH_BLOCKS 256u

/*
 * A stretch of which no block is in use or withheld, not before @hint if there
 * is one, so that thins written at the same time need not share one.  Few
 * bitmaps are looked at: -ENOSPC tells only that there is none nearby.
 * -EAGAIN.
 */
int tpi_data_sm_find_stretch(struct tpi_data_space_map *map, tp_dblock hint,
			     tp_dblock *begin);

/* Handed-out blocks that were not needed, or could not be filled: free at
 * once (B-WRITE-5). */
void tpi_data_sm_give_back(struct tpi_data_space_map *map, tp_dblock begin,
			   tp_dblock nr);

/*---------------------------- counting -------------------------------------*/

/* Memory for changes of @nr blocks besides those made so far, and for closing
 * with them: these will not answer -ENOMEM.  -ENOMEM: as before. */
int tpi_data_sm_make_room(struct tpi_data_space_map *map, size_t nr);

/* One reference more, or less, for each block of [begin, begin + nr), in the
 * running transaction.  A handed-out block gets its first one by inc.
 * -EILSEQ: beyond the end; -ENOMEM.  Taking from zero is found at close. */
int tpi_data_sm_inc(struct tpi_data_space_map *map, tp_dblock begin,
		    tp_dblock nr);
int tpi_data_sm_dec(struct tpi_data_space_map *map, tp_dblock begin,
		    tp_dblock nr);

/* Set right a count that is too high: @by references less, which nobody has.
 * As dec. */
int tpi_data_sm_lower(struct tpi_data_space_map *map, tp_dblock block,
		      uint32_t by);

/* Write the figures of the index for the @i-th bitmap with the next close,
 * changed or not.  -EAGAIN, -EILSEQ, ... */
int tpi_data_sm_rewrite(struct tpi_data_space_map *map, size_t i);

/* The count of a block in the running transaction.  -EAGAIN, -EILSEQ, ... */
int tpi_data_sm_count(struct tpi_data_space_map *map, tp_dblock block,
		      uint32_t *count);

/* Has a reference to the block been dropped since the last close? */
bool tpi_data_sm_was_dropped(const struct tpi_data_space_map *map,
			     tp_dblock block);

/* When these are freed by the running transaction, say so in the list: they
 * are to be passed down. */
int tpi_data_sm_mark_discarded(struct tpi_data_space_map *map, tp_dblock begin,
			       tp_dblock nr);

/* How many blocks have changes that are not in the base yet. */
size_t tpi_data_sm_nr_changes(const struct tpi_data_space_map *map);

/*---------------------------- transactions ---------------------------------*/

/* More blocks, all free; in the running transaction. -ENOMEM, -EINVAL:
 * fewer. */
int tpi_data_sm_grow(struct tpi_data_space_map *map, tp_dblock nr_blocks);

/*
 * Do all of closing that may have to read: put the changes made so far into the
 * base, within the running transaction.  Call it until it returns 0, and close
 * in the same step of the run loop; changes made after it returned 0 ask for
 * another call.
 *
 * -EAGAIN: a block is being read; what is done is kept, and is dirty, so it
 * takes no large cache.  -ENOMEM: likewise, nothing is half done.  Other errors
 * as tpi_data_sm_close, and mean abort.
 */
int tpi_data_sm_prepare_close(struct tpi_data_space_map *map);

/*
 * Put the changes into the base and fill in the root.  0, or an error that
 * means abort: -ENOSPC, -EILSEQ (a count below zero, an overflow entry that is
 * not there), -EIO, -ENOMEM.
 */
int tpi_data_sm_close(struct tpi_data_space_map *map,
		      struct tpi_disk_space_map_root *root);

/* A run of blocks that a transaction freed. */
struct tpi_freed_run {
	tp_dblock begin, nr;
	bool discarded; /* to be passed down before it is released */
};

/*
 * What the transaction closed last has freed, in order; the caller owns the
 * array (free(3)) and must release every run some day.  All of it is withheld
 * until then.
 */
void tpi_data_sm_take_freed(struct tpi_data_space_map *map,
			    struct tpi_freed_run **runs, size_t *nr_runs);

/* Withheld no longer. */
void tpi_data_sm_release(struct tpi_data_space_map *map, tp_dblock begin,
			 tp_dblock nr);

#endif
