/*
 * metadata-space-map.h - the reference counts of metadata blocks, and so the
 * allocator of them (metadata-format.md, 6, 8.2 and 10).
 *
 * Two things.  Core (metadata-counts.h): the counts of all blocks in memory,
 * two bits each, larger ones in a table, implementing refs_ops without any I/O.
 * Disk: reads them when a pool is opened, and writes the bitmaps that changed
 * when a transaction is closed, as a plain client of the transaction manager
 * on core.  Writing a bitmap shadows it, which changes counts and may dirty
 * another, so it goes on until nothing is dirty; a block is shadowed at most
 * once in a transaction, so that ends.
 *
 * Allocation takes blocks that are free in the running transaction and in every
 * one that may be on disk: what a transaction frees is withheld until that
 * transaction is durable; a block made and freed within one transaction is
 * free again at once.
 *
 * Run loop only.
 */
#ifndef TPI_SPACE_MAP_METADATA_H
#define TPI_SPACE_MAP_METADATA_H

#include "btree/btree.h"
#include "space-map/format.h"

struct tpi_metadata_space_map;

/* A map of @nr_blocks blocks, all free: for formatting.  -ENOMEM. */
int tpi_metadata_sm_new(tp_mblock nr_blocks,
			struct tpi_metadata_space_map **map);

/*
 * Read the map that @root describes.  Called again after -EAGAIN with the same
 * *@map, which is NULL at first; on any other error, destroy it.  @cache reads
 * the blocks.  Counts, free figures and hints are computed from the bitmaps;
 * what the root and the index say of them is not trusted.
 */
int tpi_metadata_sm_load(struct tpi_cache *cache,
			 const struct tpi_disk_space_map_root *root,
			 struct tpi_metadata_space_map **map);

/* No more than the figures of @root, where the rest cannot be read: for a pool
 * that is never written.  -EILSEQ, -ENOMEM; *@map is untouched then. */
int tpi_metadata_sm_load_figures(const struct tpi_disk_space_map_root *root,
				 struct tpi_metadata_space_map **map);

void tpi_metadata_sm_destroy(struct tpi_metadata_space_map *map);

/* What a transaction manager is built on. */
struct tpi_refs *tpi_metadata_sm_refs(struct tpi_metadata_space_map *map);

/* The transaction manager that writes the map; set once, before any close. */
void tpi_metadata_sm_set_tm(struct tpi_metadata_space_map *map,
			    struct tpi_tm *tm);

tp_mblock tpi_metadata_sm_nr_blocks(const struct tpi_metadata_space_map *map);

/* Blocks that can be allocated now: free, and not withheld.  The last
 * tpi_metadata_sm_reserve() of them go to closing alone; whoever else asks gets
 * -ENOSPC, so that a close cannot run out. */
tp_mblock tpi_metadata_sm_nr_free(const struct tpi_metadata_space_map *map);

/* Blocks whose count is not zero in the running transaction. */
tp_mblock
tpi_metadata_sm_nr_allocated(const struct tpi_metadata_space_map *map);

/* Memory to change @nr counts, and to close with them: these will not answer
 * -ENOMEM, as long as there are blocks.  -ENOMEM: as before. */
int tpi_metadata_sm_make_room(struct tpi_metadata_space_map *map, size_t nr);

/* How many blocks closing a transaction may need at most, now. */
tp_mblock tpi_metadata_sm_reserve(const struct tpi_metadata_space_map *map);

/* Whether what is done now belongs to a close, and so may use the reserve.  A
 * close of the map does in any case, and leaves this off. */
void tpi_metadata_sm_set_closing(struct tpi_metadata_space_map *map,
				 bool closing);

/* More blocks, all free; at most TPI_METADATA_BLOCKS_MAX.  -ENOMEM. */
int tpi_metadata_sm_grow(struct tpi_metadata_space_map *map,
			 tp_mblock nr_blocks);

/* Set right a count that is too high: @by references less, which nobody has.
 * -EILSEQ: there are fewer; -ENOMEM. */
int tpi_metadata_sm_lower(struct tpi_metadata_space_map *map, tp_mblock block,
			  uint32_t by);

/* Write every bitmap and all figures of the index with the next close, changed
 * or not. */
void tpi_metadata_sm_rewrite(struct tpi_metadata_space_map *map);

/*
 * Do all of closing that may have to read: tell the overflow tree the large
 * counts that changed so far, within the running transaction.  As
 * tpi_data_sm_prepare_close: until it returns 0, then close in the same step.
 * Between the two, changes that touch no count of three and more are allowed:
 * writing details, closing the data space map.
 *
 * -EAGAIN, -ENOMEM: what is done is kept, nothing is half done.  Others as
 * tpi_metadata_sm_close: abort.
 */
int tpi_metadata_sm_prepare_close(struct tpi_metadata_space_map *map);

/*
 * The last change of a transaction: write what changed, fill in the root.  The
 * map then counts for the next transaction; what this one freed is withheld.
 * -ENOSPC, -EIO, -EILSEQ, -ENOMEM: abort.
 */
int tpi_metadata_sm_close(struct tpi_metadata_space_map *map,
			  struct tpi_disk_space_map_root *root);

/* The closed transaction is durable: what it freed may be allocated. */
void tpi_metadata_sm_committed(struct tpi_metadata_space_map *map);

/* Are there changes since the last close? */
bool tpi_metadata_sm_changed(const struct tpi_metadata_space_map *map);

#endif
