/*
 * metadata.h - the thin metadata: which thins there are, what they map, and the
 * transactions that change it.
 *
 * Run loop only, and never waiting.  Everything that reads answers -EAGAIN when
 * a block has to be fetched (io/cache.h) and is called again.  Everything that
 * changes first reads all that it will touch and answers -EAGAIN meanwhile,
 * nothing changed; then it changes, in the same call.  If that fails, or if
 * what has to be changed cannot be read, the metadata has *failed*: the running
 * transaction can no longer be committed, and the owner aborts it
 * (tpi_metadata_failed, B-ABORT).  Refusals (-EEXIST, -ENODATA, -EOVERFLOW, and
 * -ENOSPC or -ENOMEM before anything was done) change nothing.
 *
 * Transactions are numbered from 1 in the life of a pool object.  The running
 * one is T(r); closing it makes it T(f), whose blocks are frozen in the cache
 * and whose superblock is handed out; once that is durable it is T(c).
 */
#ifndef TPI_POOL_METADATA_H
#define TPI_POOL_METADATA_H

#include "pool/mapping.h"
#include "pool/superblock.h"
#include "space-map/data-space-map.h"
#include "space-map/metadata-space-map.h"

/* Ids of the hosts' thins are below this; it is the catalogue's, and what is
 * being emptied in the background comes after it. */
#define TPI_HOST_IDS_END ((uint64_t)1 << 24)

static inline bool tpi_id_is_of_deleted(uint64_t id)
{
	return id > TPI_HOST_IDS_END;
}

/* A thin's details (metadata-format.md, 5.2), in memory. */
struct tpi_details {
	uint64_t mapped_blocks;
	uint64_t transaction_id;
	uint32_t creation_time;
	uint32_t snapshotted_time;
};

/*
 * A thin as the running transaction has it.  For one that is open, or being
 * emptied, there is exactly one of these; its mapped count is written to the
 * details tree when a transaction is closed.
 */
struct tpi_thin_tree {
	uint64_t id;
	tp_mblock root;
	struct tpi_details details;

	/* The transaction in which the path to our root in the tree of thins
	 * was made private, so that the root may be replaced in place. */
	uint64_t private_in;

	/* The last transaction that changed something of this thin. */
	uint64_t last_change;

	struct tpi_list dirty; /* in tpi_metadata.dirty: details to write */
};

struct tpi_metadata {
	struct tpi_cache *cache;
	struct tpi_tm tm;
	struct tpi_metadata_space_map *metadata_sm;
	struct tpi_data_space_map *data_sm;

	struct tpi_btree thins;    /* id -> root of its mappings */
	struct tpi_btree roots;    /* the same tree, to replace a root */
	struct tpi_btree moves;    /* the same, to take a root elsewhere */
	struct tpi_btree mappings; /* virtual block -> mapping */
	struct tpi_btree details;  /* id -> details */

	/* The running transaction. */
	uint64_t transaction, committed;
	tp_mblock mapping_root, details_root, held_root;
	uint32_t time;
	uint64_t transaction_id; /* the host's own number */
	int64_t nr_thins;        /* since it was loaded: created less deleted */
	bool changed;
	bool dropped;      /* references to data blocks went */
	bool unseen_drops; /* perhaps more, beneath a shared node */
	struct tpi_list dirty;

	bool no_counts; /* loaded for lookups */

	/* While a discard unmaps, or a thin is deleted: what that frees is to
	 * be passed down. */
	bool discarding;

	int failed;
	struct tpi_disk_superblock superblock; /* of T(c), as on disk */
	struct tpi_disk_superblock frozen;     /* of T(f) */
};

/*---------------------------- life -----------------------------------------*/

/* In place, over @cache; nothing is read.  All zero is a valid argument to
 * exit. */
void tpi_metadata_init(struct tpi_metadata *md, struct tpi_cache *cache);
void tpi_metadata_exit(struct tpi_metadata *md);

/* Read the state that @superblock describes; again after -EAGAIN.  For opening
 * and for rolling back: drops whatever was there. */
int tpi_metadata_load(struct tpi_metadata *md,
		      const struct tpi_disk_superblock *superblock);

/* After that failed: the state without its space maps, for a pool that is never
 * written.  What is in use is what the superblock says.  Reads nothing. */
int tpi_metadata_load_for_lookups(struct tpi_metadata *md,
				  const struct tpi_disk_superblock *superblock);

/* Forget the state, to load another; no read or write is under way. */
void tpi_metadata_unload(struct tpi_metadata *md);

/* A new, empty state with room for these; close() then gives its first
 * superblock. */
int tpi_metadata_make(struct tpi_metadata *md, tp_mblock nr_metadata_blocks,
		      tp_dblock nr_data_blocks, uint32_t data_block_sectors);

/* Why the running transaction cannot be committed; 0 if it can. */
static inline int tpi_metadata_failed(const struct tpi_metadata *md)
{
	return md->failed;
}

/*---------------------------- looking --------------------------------------*/

/* -ENODATA: no such thin. */
int tpi_metadata_open_tree(struct tpi_metadata *md, uint64_t id,
			   struct tpi_thin_tree *tree);

/*
 * Before the thin is written: the pool's time is not before its last snapshot,
 * so that what is mapped from now on does not look shared.  Where the metadata
 * says otherwise, which no commit leaves but other tools may, time goes on to
 * that.  -EILSEQ: no mapping can have such a time.
 */
int tpi_metadata_heed_time(struct tpi_metadata *md,
			   const struct tpi_thin_tree *tree);

/* The first thin with an id >= @id.  -ENODATA. */
int tpi_metadata_next_thin(struct tpi_metadata *md, uint64_t id,
			   uint64_t *found, struct tpi_details *details);

/* The mappings of [begin, begin + nr), TPI_UNMAPPED where there is none. */
int tpi_metadata_read_run(struct tpi_metadata *md,
			  const struct tpi_thin_tree *tree, tp_vblock begin,
			  unsigned nr, tpi_mapping *mappings);

/* The first mapped block at or after @vblock.  -ENODATA. */
int tpi_metadata_next_mapped(struct tpi_metadata *md,
			     const struct tpi_thin_tree *tree, tp_vblock vblock,
			     tp_vblock *found, tpi_mapping *mapping);
/* The last one at or before it. */
int tpi_metadata_previous_mapped(struct tpi_metadata *md,
				 const struct tpi_thin_tree *tree,
				 tp_vblock vblock, tp_vblock *found);

/* Is the mapping of @vblock, which is to @dblock, the only one there is, in
 * T(r) and thereby in T(c) (architecture.md, decision 11)?  Of references that
 * closed transactions dropped the caller knows. */
int tpi_metadata_is_exclusive(struct tpi_metadata *md,
			      const struct tpi_thin_tree *tree,
			      tp_vblock vblock, tp_dblock dblock,
			      bool *exclusive);

/*
 * How many data blocks in one more piece of the thin, which begins at
 * *@position, would go with it: nobody else counts them, nor the nodes above.
 * Adds them to *@nr and moves *@position on.  Nodes with another owner are
 * passed by in one piece.  -ENODATA: that was the last piece; -EOPNOTSUPP: the
 * counts were not loaded.
 */
int tpi_metadata_count_exclusive(struct tpi_metadata *md,
				 const struct tpi_thin_tree *tree,
				 tp_vblock *position, uint64_t *nr);

/* Metadata blocks free beyond the reserve for commits (B-META-1), and the
 * level at which an event tells that they run low (B-META-2). */
tp_mblock tpi_metadata_nr_free(const struct tpi_metadata *md);
tp_mblock tpi_metadata_low_water(const struct tpi_metadata *md);

/* Is there room for so many more changes, each with paths of its own, and for
 * closing?  If not for one, and a commit does not help, the metadata is full. */
bool tpi_metadata_has_room(const struct tpi_metadata *md, unsigned nr_changes);

/* The same for @nr snapshots that are taken together, one at least. */
bool tpi_metadata_has_snapshot_room(const struct tpi_metadata *md, size_t nr);

/*
 * Memory for @nr_changes of the below and for closing, if they are of ordinary
 * size, and for @nr_data_blocks more that change their owners.  Each change
 * asks for its own; ask before several that must go together.  -ENOMEM.
 */
int tpi_metadata_make_room(struct tpi_metadata *md, unsigned nr_changes,
			   uint64_t nr_data_blocks);

/*---------------------------- changing mappings ----------------------------*/

/*
 * Map [vblock, vblock + nr) to [dblock, dblock + nr), with the current time.
 * The blocks were handed out by the data space map and are counted here; what
 * was mapped loses its reference.
 */
int tpi_metadata_map(struct tpi_metadata *md, struct tpi_thin_tree *tree,
		     tp_vblock vblock, tp_dblock dblock, tp_dblock nr);

/* Give the mapping of @vblock to @dblock the current time. */
int tpi_metadata_restamp(struct tpi_metadata *md, struct tpi_thin_tree *tree,
			 tp_vblock vblock, tp_dblock dblock);

/* Unmap all of [begin, end): meant for pieces of a leaf or so. */
int tpi_metadata_unmap(struct tpi_metadata *md, struct tpi_thin_tree *tree,
		       tp_vblock begin, tp_vblock end);

/*---------------------------- changing thins -------------------------------*/

/* -EEXIST. */
int tpi_metadata_create_thin(struct tpi_metadata *md, uint64_t id);

/*
 * Snapshot @origin, which is quiet, as @id.  @spend_time: the pool's time goes
 * on first (13); without, the caller knows that no mapping of the origin has
 * the current time.  @open: the origin's tree if it is open, else NULL.
 * -EEXIST, -ENODATA, -EOVERFLOW.
 */
int tpi_metadata_create_snapshot(struct tpi_metadata *md, uint64_t id,
				 uint64_t origin, struct tpi_thin_tree *open,
				 bool spend_time);

/*
 * Delete a thin that is not open, if that touches at most @limit nodes;
 * -EFBIG, nothing changed, if it is bigger.  -ENODATA.
 */
int tpi_metadata_delete_thin(struct tpi_metadata *md, uint64_t id,
			     unsigned limit);

/* Write the details of a thin now rather than at the close. */
int tpi_metadata_sync_details(struct tpi_metadata *md,
			      struct tpi_thin_tree *tree);

/* Give a thin that is not open another id.  -ENODATA, -EEXIST. */
int tpi_metadata_rename_thin(struct tpi_metadata *md, uint64_t id,
			     uint64_t new_id);

/* A piece of a thin that is being taken off, and how far its entries have been
 * counted.  All zero at first. */
struct tpi_shrink {
	bool counting;
	tp_vblock begin, position;
	uint64_t nr_counted;
};

/* Take a bounded piece off the end of a thin that is not open.  -ENODATA: it
 * is empty. */
int tpi_metadata_shrink_thin(struct tpi_metadata *md,
			     struct tpi_thin_tree *tree,
			     struct tpi_shrink *shrink);

void tpi_metadata_set_transaction_id(struct tpi_metadata *md, uint64_t id);

/* Pin what T(c) maps (14), when T(r) is as T(c).  -EBUSY: there is one. */
int tpi_metadata_reserve_held_root(struct tpi_metadata *md);

/* How far a release is.  All zero at first; once it has changed something,
 * nothing may be committed until it is done. */
struct tpi_release {
	bool started, changed;
	tp_mblock mapping_root, details_root;
	unsigned nr_dropped; /* nodes */
};

/*
 * Take a bounded piece off the held root: a thin, or details.  What only that
 * has of the thin goes at once, unless more than @limit nodes would have gone
 * by then: then it becomes the thin @new_id, and @moved is set.
 *
 * -ENODATA: there is nothing left; -EINVAL: no held root; -ENOMEM: this piece
 * is as it was.
 */
int tpi_metadata_release_piece(struct tpi_metadata *md,
			       struct tpi_release *release, unsigned limit,
			       uint64_t new_id, bool *moved);

/* When nothing is left: unpin.  -ENOMEM as above. */
int tpi_metadata_release_held_root(struct tpi_metadata *md,
				   struct tpi_release *release);

int tpi_metadata_grow_data(struct tpi_metadata *md, tp_dblock nr_blocks);
int tpi_metadata_grow_metadata(struct tpi_metadata *md, tp_mblock nr_blocks);

/*---------------------------- transactions ---------------------------------*/

/* Read all that closing will touch.  Call close() in the same step. */
int tpi_metadata_prepare_close(struct tpi_metadata *md);

/* Close T(r): its blocks are frozen, md->frozen is its superblock, and a new
 * T(r) is open. */
int tpi_metadata_close(struct tpi_metadata *md);

/* T(f) is durable. */
void tpi_metadata_committed(struct tpi_metadata *md);

#endif
