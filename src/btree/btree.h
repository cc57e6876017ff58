/*
 * btree.h - the copy-on-write B+tree of metadata-format.md, 4 and 9.
 *
 * A tree is known by its root block.  A change shadows every node on the way
 * down, so the tree of an older transaction stays whole, and hands back a new
 * root; the old root must not be used again (its reference has moved).
 *
 * Trees in trees: the mapping tree has a tree of virtual blocks for each thin,
 * kept as a value (its root) in a tree of thins.  That is said by the value's
 * type: inc counts the root of the inner tree, dec deletes that tree.
 *
 * Never waits (io/cache.h).  Lookups answer -EAGAIN and are called again.
 * Changes must not meet -EAGAIN half way, so they have a prepare function
 * beside them that reads all that they will touch; call it until it returns 0
 * and make the change in the same step of the run loop, with nothing in between
 * that takes references away from the tree's nodes.  A change that fails
 * otherwise (-ENOSPC, -EIO, -EILSEQ, -ENOMEM) leaves the transaction unfit to
 * be committed: the owner aborts it.
 *
 * Everything that crosses from one node to the next is checked on the way:
 * child numbers, depth (16 at most), kinds and sizes of nodes, keys within
 * what the parent says.  Damage is -EILSEQ, never an assertion.
 *
 * Ranges are [begin, end), and an end of UINT64_MAX means that there is none:
 * then the greatest key is in the range too.
 */
#ifndef TPI_BTREE_BTREE_H
#define TPI_BTREE_BTREE_H

#include "btree/transaction-manager.h"

#define TPI_BTREE_MAX_DEPTH 16
#define TPI_BTREE_MAX_VALUE_SIZE 24

struct tpi_btree_value_type {
	uint32_t size; /* bytes on disk: 4, 8, 16 or 24 */

	/*
	 * @nr values, packed as on disk, have got another owner, or have lost
	 * one: a leaf was copied that stays in use, an entry was removed or
	 * overwritten.  NULL: values refer to nothing.  0, -EILSEQ, -ENOSPC,
	 * -ENOMEM.
	 */
	int (*inc)(void *context, const void *values, unsigned nr);
	int (*dec)(void *context, const void *values, unsigned nr);

	/*
	 * Read what dec(), of the last owner, will touch: the tree that a
	 * value is the root of.  NULL: nothing.  0, -EAGAIN, ...
	 *
	 * Values that share nodes with each other go one change at a time: the
	 * first to go may leave the next as the last owner of a node that was
	 * not read.
	 */
	int (*prepare_dec)(void *context, const void *values, unsigned nr);

	/* Do two values refer to the same thing, so that overwriting one by
	 * the other needs no inc and no dec?  NULL: compare all bytes. */
	bool (*same)(void *context, const void *a, const void *b);
};

struct tpi_btree {
	struct tpi_tm *tm;
	struct tpi_btree_value_type type;
	void *context;    /* of the value type */
	const char *name; /* "mapping tree", for messages */
};

/* A new tree without entries. */
int tpi_btree_empty(const struct tpi_btree *tree, tp_mblock *root);

/*---------------------------- lookups --------------------------------------*/

/* The value at @key.  -ENODATA: there is none; -EAGAIN, -EIO, -EILSEQ. */
int tpi_btree_lookup(const struct tpi_btree *tree, tp_mblock root, uint64_t key,
		     void *value);

/* The entry with the least key >= @key, or with the greatest <= @key.
 * -ENODATA as above. */
int tpi_btree_next(const struct tpi_btree *tree, tp_mblock root, uint64_t key,
		   uint64_t *found, void *value);
int tpi_btree_previous(const struct tpi_btree *tree, tp_mblock root,
		       uint64_t key, uint64_t *found, void *value);

/*
 * Call @each for the entries with keys in [begin, end), in order.  Stops with
 * what @each returns if that is not 0.  On any error, -EAGAIN too, *@position
 * is where to go on: the entries before it were seen, and @each returned 0.
 */
typedef int (*tpi_btree_each_fn)(void *context, uint64_t key,
				 const void *value);
int tpi_btree_scan(const struct tpi_btree *tree, tp_mblock root, uint64_t begin,
		   uint64_t end, tpi_btree_each_fn each, void *context,
		   uint64_t *position);

/*
 * A piece of what a tree shares with no other: call @each for those entries of
 * the leaf of *@position that are at or after it, as above; or pass by a node
 * that has another owner, unread, with all beneath it.  *@position is moved on
 * past either.  -ENODATA: that was the last piece.
 */
int tpi_btree_scan_exclusive(const struct tpi_btree *tree, tp_mblock root,
			     tpi_btree_each_fn each, void *context,
			     uint64_t *position);

/*
 * A place in a tree, for walking entry by entry; one descent per leaf.  Good as
 * long as nothing changes the tree.  The fields are cursor.c's.
 */
struct tpi_btree_cursor {
	const struct tpi_btree *tree;
	tp_mblock root;

	/* The entry it is at, and where in the leaf that is. */
	bool at_entry;
	uint64_t key;
	char value[TPI_BTREE_MAX_VALUE_SIZE];
	uint32_t index;

	/* The leaf, and what those above said of it. */
	tp_mblock leaf;
	unsigned depth;
	uint64_t low, high;
};

/* To the first entry with a key >= @key.  -ENODATA: there is none; -EAGAIN:
 * again. */
int tpi_btree_cursor_seek(struct tpi_btree_cursor *cursor,
			  const struct tpi_btree *tree, tp_mblock root,
			  uint64_t key);

/* To the entry after; it stays where it is on -EAGAIN, and is at none on
 * -ENODATA. */
int tpi_btree_cursor_next(struct tpi_btree_cursor *cursor);

/* Key and value of the entry it is at.  -ENODATA: it is at none. */
int tpi_btree_cursor_get(const struct tpi_btree_cursor *cursor, uint64_t *key,
			 void *value);

/* Is every node on the path to @key's leaf, the leaf too, owned once in the
 * running transaction (architecture.md, decision 11)?  -EAGAIN, ... */
int tpi_btree_path_is_exclusive(const struct tpi_btree *tree, tp_mblock root,
				uint64_t key, bool *exclusive);

/*---------------------------- changes --------------------------------------*/

/*
 * Read all that inserting @key, or any of [@key, @key + @nr), will touch, but
 * not what lies beneath values that are overwritten: prepare_dec is not called.
 */
int tpi_btree_prepare_insert(const struct tpi_btree *tree, tp_mblock root,
			     uint64_t key, uint64_t nr);

/*
 * Insert @value at @key, or overwrite the one there, which then loses its
 * owner.  The reference that @value stands for becomes the tree's.
 * @inserted (may be NULL): the key is new.
 */
int tpi_btree_insert(const struct tpi_btree *tree, tp_mblock root, uint64_t key,
		     const void *value, tp_mblock *new_root, bool *inserted);

/*
 * The same for the @nr keys from @key on, the values packed in an array; one
 * descent per leaf rather than per entry.  @nr_inserted: how many keys are
 * new.
 */
int tpi_btree_insert_run(const struct tpi_btree *tree, tp_mblock root,
			 uint64_t key, const void *values, uint64_t nr,
			 tp_mblock *new_root, uint64_t *nr_inserted);

/* Read all that removing [begin, end) will touch. */
int tpi_btree_prepare_remove(const struct tpi_btree *tree, tp_mblock root,
			     uint64_t begin, uint64_t end);

/*
 * Remove every entry with a key in [begin, end).  A subtree that lies wholly
 * inside is dropped at once: if it is shared it only loses a reference, and
 * what is beneath it is not visited.  @nr_removed counts the entries that were
 * visited; entries beneath a dropped shared node are not in it.
 *
 * @dropped_shared (may be NULL) tells whether that happened.
 */
int tpi_btree_remove_range(const struct tpi_btree *tree, tp_mblock root,
			   uint64_t begin, uint64_t end, tp_mblock *new_root,
			   uint64_t *nr_removed, bool *dropped_shared);

/*
 * A bounded piece to delete next, when a big tree is emptied from its end: all
 * keys >= *@begin are one leaf's at most, or lie beneath one shared node.
 * -ENODATA: the tree is empty; -EAGAIN, ...
 */
int tpi_btree_last_piece(const struct tpi_btree *tree, tp_mblock root,
			 uint64_t *begin);

/* Read all that tpi_btree_delete() will touch: every node of the tree that has
 * no other owner.  For trees known to be small. */
int tpi_btree_prepare_delete(const struct tpi_btree *tree, tp_mblock root);

/* How many nodes that reads, but not more than @limit: then it stops counting.
 */
int tpi_btree_count_exclusive(const struct tpi_btree *tree, tp_mblock root,
			      unsigned limit, unsigned *nr_nodes);

/* Drop a reference to a tree, and if it was the last, all that is in it
 * (7.4). */
int tpi_btree_delete(const struct tpi_btree *tree, tp_mblock root);

#endif
