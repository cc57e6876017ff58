/*
 * check.h - what the parts of the checker share: what is known of each block,
 * of each thin, of both space maps, and how findings are told.
 *
 * The order of things, in check.c:
 *
 *	superblock.c   block 0
 *	load.c         every block that can be reached is read once, by all the
 *	               cores, and verified by itself; references are counted
 *	trees.c        what spans two nodes is verified, from the roots down
 *	thins.c        tree of thins against details, details against mappings
 *	sharing.c      who shares data blocks, and do they know
 *	space-maps.c   where the bitmaps are, and the overflow trees
 *	compare.c      what the space maps say, against what was counted
 *	repair.c       sets counts right that are too high
 *
 * The two space maps are loaded first: so it is known which data blocks can be
 * counted.  Then the live trees; then those of the metadata snapshot.
 *
 * Memory is for what must be compared later: 32 bytes for each metadata block,
 * less than a bit for most data blocks (counters.h), owners of what has several
 * (met.h), and the nodes above the leaves.  Leaves are looked at and dropped.
 *
 * Nothing that was read is trusted beyond what has been verified of it.  Every
 * block has one role, that of the first pointer to it; another pointer which
 * takes it for something else is told, and not followed.  So each block is
 * read, copied and expanded at most once.
 */
#ifndef TPI_CHECK_CHECK_H
#define TPI_CHECK_CHECK_H

#include <pthread.h>
#include <stdarg.h>
#include <thinpool/check.h>

#include "check/counters.h"
#include "check/sweep.h"
#include "space-map/block-table.h"
#include "btree/node.h"
#include "pool/mapping.h"
#include "pool/metadata-internal.h"

/*---------------------------- blocks ---------------------------------------*/

enum tpi_check_state { TPI_UNREAD, TPI_USABLE, TPI_UNUSABLE };
enum tpi_check_visit { TPI_NOT_VISITED, TPI_BEING_VISITED, TPI_VISITED };

/* Something wrong with a block by itself; told when it is visited. */
struct tpi_problem {
	struct tpi_problem *next;
	enum tp_check_kind kind;
	enum tp_check_severity severity;
	char what[];
};

/*
 * What is known of a metadata block.  All zero: nothing refers to it.
 *
 * There is one of these for each block of the device, so it is small; what most
 * blocks do not have is kept elsewhere.
 */
struct tpi_check_block {
	uint32_t nr_refs; /* metadata-format.md, 7.1 */
	uint32_t index;   /* of a kept block: in check->kept; else the walk's */
	uint64_t first, last; /* keys beneath a node, if there are any */

	unsigned role : 4;  /* enum tp_check_place */
	unsigned state : 2; /* enum tpi_check_state */
	unsigned visit : 2; /* enum tpi_check_visit */

	/* Of a usable node. */
	bool is_leaf : 1;
	bool whole : 1;      /* all beneath was read, and is in order */
	unsigned nr : 9;     /* entries of its own */
	unsigned height : 5; /* of a leaf: 0; known once it was visited */

	/* Of a mapping leaf, for sharing.c. */
	bool involved : 1; /* has entries that must be looked at */
	bool lost : 1;     /* could be read before, and cannot any more */

	unsigned max_time : 24; /* of a mapping leaf's own */
	unsigned mark : 8;      /* of the last walk that met it */
};
_Static_assert(sizeof(struct tpi_check_block) == 32, "there are many");

/* A usable block that is needed later, as all are but bitmaps, and leaves of
 * mappings and of large counts. */
struct tpi_kept_block {
	tp_mblock block;
	uint64_t nr_entries; /* beneath a node */
	uint32_t index;      /* the walk's */

	/* The block; of a node, without the room that it does not use. */
	uint64_t copy[];
};

/*---------------------------- space maps -----------------------------------*/

struct tpi_check_bitmap {
	bool there;  /* the index has it, in a block of its own */
	bool usable; /* and that is a bitmap */
	tp_mblock block;
	uint32_t nr_free, hint; /* as the index says */

	/* What it holds. */
	bool read, beyond_end, differs;
	uint32_t nr_wanted;  /* blocks that are referred to */
	uint32_t nr_zero;    /* of all entries */
	uint32_t nr_used;    /* of those that count a block */
	uint32_t first_zero; /* TPI_BITMAP_ENTRIES: none */
	uint32_t nr_hidden;  /* zeroes before the hint */
	bool figures_wrong;  /* nr_free or the hint is to be set right */
};

struct tpi_check_map {
	const char *name; /* "data" */
	bool is_data;
	uint64_t nr_blocks; /* as many as the metadata has room to count */
	uint64_t nr_allocated;
	tp_mblock index_root, overflow_root;

	size_t nr_bitmaps;
	struct tpi_check_bitmap *bitmaps;

	/* The overflow tree.  Of blocks that it has, one more than the count
	 * there; or ODD, and the count is among those that nobody would have.
	 */
	struct tpi_counters large;
	struct tpi_odd_count {
		uint64_t block; /* may be one that there is not */
		uint32_t count;
	} * odd;
	size_t nr_odd, odd_room;
	bool overflow_known; /* all of it was read, and is in order */
};

/*---------------------------- thins ----------------------------------------*/

struct tpi_check_thin {
	uint64_t id;
	bool has_root, has_details;
	tp_mblock root;
	struct tpi_details details;
};

/* The live trees, or those of the metadata snapshot. */
struct tpi_check_view {
	bool held, there;
	struct tpi_disk_superblock *superblock;
	struct tpi_check_thin *thins; /* in ascending order */
	size_t nr_thins;
};

/*---------------------------- the check ------------------------------------*/

/* Enough for the deepest path: a tree of thins, then a mapping tree. */
#define TPI_CHECK_STEPS (2 * (TPI_BTREE_MAX_DEPTH + 2))

struct tpi_check {
	struct tp_device *device;
	struct tp_check_options options;
	struct tp_check_report report;
	struct tpi_sweep *sweep;
	uint64_t blocks_done, blocks_total; /* for progress */

	struct tpi_check_view live, held;
	tp_mblock end; /* metadata blocks that are there */
	struct tpi_check_block *blocks;
	struct tpi_kept_block **kept;
	size_t nr_kept, kept_room;
	struct tpi_check_map data, metadata;

	/* References to data blocks by the leaves that were read so far: those
	 * of the live trees, then those that only the metadata snapshot has. */
	struct tpi_counters counts;

	/* Blocks referred to and not read yet, and those of this round. */
	struct tpi_frontier frontier, round;

	/* By block, the first of its problems. */
	pthread_mutex_t problems_lock;
	struct tpi_block_table problems;

	/* Something could not be read: there may be more references than were
	 * counted. */
	bool hidden;

	/* The way from the superblock to where we are, for messages. */
	struct tpi_step {
		tp_mblock block;
		uint32_t entry;
	} steps[TPI_CHECK_STEPS];
	unsigned nr_steps;
	uint32_t nr_walks;
	atomic_bool out_of_memory;
};

/* Of a block that is kept. */
static inline struct tpi_kept_block *
tpi_check_kept(const struct tpi_check *check,
	       const struct tpi_check_block *known)
{
	return check->kept[known->index];
}

static inline void *tpi_check_copy(const struct tpi_check *check,
				   const struct tpi_check_block *known)
{
	return tpi_check_kept(check, known)->copy;
}

static inline bool tpi_check_has(const struct tpi_check *check, unsigned flag)
{
	return check->options.flags & flag;
}

/* A pointer that may be followed. */
static inline bool tpi_check_in_range(const struct tpi_check *check,
				      tp_mblock block)
{
	return block > 0 && block < check->end;
}

/*---------------------------- findings -------------------------------------*/

struct tpi_where {
	enum tp_check_place place;
	bool held;
	uint64_t block, thin;
	uint64_t begin, end;
};

#define TPI_WHERE(p, b)                                                        \
	((struct tpi_where){ .place = p, .block = b, .thin = TP_CHECK_NONE })

/* Count it, and tell it unless there were too many of its kind. */
void tpi_tell(struct tpi_check *check, enum tp_check_severity severity,
	      enum tp_check_kind kind, const struct tpi_where *where,
	      const char *format, ...) __attribute__((format(printf, 5, 6)));

/*---------------------------- parts ----------------------------------------*/

/* All return 0 or what ends the check: -ENOMEM, -ECANCELED, a callback's own,
 * of the device where it says so. */

/* Block 0 and what follows from it.  *@usable: the rest can be looked at.
 * -EIO, ... */
int tpi_check_superblock(struct tpi_check *check, bool *usable);

/* The copy behind a metadata snapshot: check->held.there tells. */
int tpi_check_held_superblock(struct tpi_check *check);

/* Bytes of a value in a leaf of such a tree. */
uint32_t tpi_check_leaf_value_size(enum tp_check_place role);

/* A reference to a block that is to be read in @role. */
void tpi_load_refer(struct tpi_check *check, tp_mblock block,
		    enum tp_check_place role);

/* The same, if the caller sees to it that it is read, should it be the first
 * reference: true. */
bool tpi_load_claim(struct tpi_check *check, tp_mblock block,
		    enum tp_check_place role);

/* Read all that is referred to, and what that refers to. */
int tpi_load_run(struct tpi_check *check);

/* Add the data blocks of a mapping leaf to @counts: those that exist, and whose
 * bitmap does.  Any thread. */
void tpi_load_count(const struct tpi_check *check, struct tpi_counters *counts,
		    const struct tpi_node *leaf);

/* What is wrong with a block by itself; NULL: nothing. */
const struct tpi_problem *tpi_load_problems(const struct tpi_check *check,
					    tp_mblock block);
void tpi_load_exit(struct tpi_check *check);

/*
 * Follow a pointer, @where->block, to what is in @where->place: the block, if
 * it is usable in that role; else NULL, and why was told.  @first: nobody has
 * come here before.
 */
struct tpi_check_block *tpi_trees_visit(struct tpi_check *check,
					const struct tpi_where *where,
					bool *first);

/* Verify the tree whose root is @where->block, the pointer to it too.  Is all of
 * it there, and in order? */
bool tpi_trees_verify(struct tpi_check *check, const struct tpi_where *where);

/* How many entries the leaves beneath a usable node have; once it was verified.
 */
uint64_t tpi_trees_entries(const struct tpi_check *check,
			   const struct tpi_check_block *node);

/*
 * Call @each for the usable nodes of a tree, a parent before its children, and
 * those in order.  Nodes that were met since the walk began are left out, those
 * of other trees too: so each is met once.
 */
typedef int (*tpi_node_fn)(void *context, tp_mblock block);
void tpi_trees_begin_walk(struct tpi_check *check);
int tpi_trees_walk(struct tpi_check *check, tp_mblock root,
		   enum tp_check_place role, tpi_node_fn each, void *context);

/* The node of a block in that role, if it is usable. */
struct tpi_check_block *tpi_trees_node(const struct tpi_check *check,
				       tp_mblock block,
				       enum tp_check_place role);

/* The blocks of a space map: verify index, bitmaps and overflow tree. */
int tpi_maps_load(struct tpi_check *check, struct tpi_check_map *map);

/* A leaf of the overflow tree was read; of several counts for a block, that
 * which comes first is taken. */
int tpi_maps_take_overflow(struct tpi_check_map *map,
			   const struct tpi_node *leaf);
void tpi_maps_exit(struct tpi_check_map *map);

/* Compare with what was counted. */
int tpi_maps_compare(struct tpi_check *check, struct tpi_check_map *map);

/* How many references to a block were found. */
uint32_t tpi_maps_wanted(const struct tpi_check *check,
			 const struct tpi_check_map *map, uint64_t block);

/* The thins of a view. */
int tpi_thins_verify(struct tpi_check *check, struct tpi_check_view *view);
int tpi_sharing_verify(struct tpi_check *check,
		       const struct tpi_check_view *view);

/* Write what is better, as check->options asks.  -EIO, -ENOSPC, ... */
int tpi_check_repair(struct tpi_check *check);

#endif
