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
 * Nothing that was read is trusted beyond what has been verified of it.  Every
 * block has one role, that of the first pointer to it; another pointer which
 * takes it for something else is told, and not followed.  So each block is
 * read, copied and expanded at most once.
 */
#ifndef TPI_CHECK_CHECK_H
#define TPI_CHECK_CHECK_H

#include <stdarg.h>
#include <thinpool/check.h>

#include "check/counters.h"
#include "check/sweep.h"
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

/* What is known of a metadata block.  All zero: nothing refers to it. */
struct tpi_check_block {
	uint32_t nr_refs; /* metadata-format.md, 7.1 */
	uint8_t role;     /* enum tp_check_place */
	uint8_t state, visit;

	/* Of a usable node. */
	bool is_leaf;
	uint16_t nr;
	uint8_t height;    /* of a leaf: 0; from here on, once it was visited */
	bool whole;        /* all beneath was read, and is in order */
	uint32_t mark;     /* of the last walk that met it */
	uint32_t index;    /* in an array of that walk's */
	uint32_t max_time; /* of a mapping leaf's own */
	uint64_t first, last; /* keys beneath it, if there are any */
	uint64_t nr_entries;  /* beneath it */

	void *copy; /* of all but mapping leaves and bitmaps */
	struct tpi_problem *problems;
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

struct tpi_check_overflow {
	uint64_t block;
	uint32_t count;
};

struct tpi_check_map {
	const char *name; /* "data" */
	bool is_data;
	uint64_t nr_blocks; /* as many as the metadata has room to count */
	uint64_t nr_allocated;
	tp_mblock index_root, overflow_root;

	size_t nr_bitmaps;
	struct tpi_check_bitmap *bitmaps;
	struct tpi_check_overflow *overflow; /* in ascending order */
	size_t nr_overflow;
	bool overflow_known;
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
	struct tpi_check_map data, metadata;

	/* References to data blocks: by leaves of the live trees, and by those
	 * that only the metadata snapshot has. */
	struct tpi_counters live_counts, held_counts;
	struct tpi_counters *counting;

	/* Blocks referred to and not read yet. */
	tp_mblock *frontier;
	size_t nr_frontier, frontier_room;

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
int tpi_load_refer(struct tpi_check *check, tp_mblock block,
		   enum tp_check_place role);

/* Read all that is referred to, and what that refers to. */
int tpi_load_run(struct tpi_check *check);

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
