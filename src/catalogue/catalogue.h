/*
 * catalogue.h - a catalogue inside, and what its files share.
 *
 * Two things happen at once to a catalogue: threads look at it, and threads
 * change it.  The lock guards the table and is never held while the pool is
 * called, for the pool's run loop takes it too: to ask for a size, and to
 * begin a change.
 *
 * So a change is made optimistically: its pages are built from the table as it
 * is; on the run loop, where changes of the pool come one after another, it is
 * called off if the table is no longer the same, and tried again.  From there
 * until its thread has brought the table up to date it is `changing`, and no
 * other change begins.
 */
#ifndef TPI_CATALOGUE_CATALOGUE_H
#define TPI_CATALOGUE_CATALOGUE_H

#include <pthread.h>

#include "catalogue/table.h"
#include "catalogue/thin-list.h"
#include "pool/change.h"

/* In place of a number of commits: none was counted. */
#define TPI_NOT_KNOWN UINT64_MAX

struct tp_catalogue {
	struct tp_pool *pool;

	pthread_mutex_t lock;
	struct tpi_table table;
	uint64_t version; /* +1 whenever the table changes */

	/*
	 * What the pool had, and how many commits it had made: as long as the
	 * only ones were ours, that is what it has.
	 */
	struct tpi_thin_list thins;
	uint64_t nr_commits;

	bool changing;     /* the table is older than the pool ... */
	pthread_t changer; /* ... until this thread has seen to it */
	uint64_t nr_begun; /* changes, so far */
	pthread_cond_t changed;
};

/*---------------------------- staying with the pool ------------------------*/

/*
 * Have catalogue->thins be what the pool has, and drop entries of thins that
 * are gone or were made anew.  On success the lock is held and no change is
 * under way.  -EDEADLK: from within a change, by the thread that makes it.
 */
int tpi_catalogue_catch_up(struct tp_catalogue *catalogue);

/* A change of ours was committed, lock held, that made a thin (@info) or deleted
 * it (NULL). */
void tpi_catalogue_keep_up(struct tp_catalogue *catalogue, uint32_t id,
			   const struct tp_thin_info *info);

/* Whether @entry describes this very thin. */
bool tpi_entry_describes(const struct tpi_entry *entry,
			 const struct tp_thin_info *info);

/*---------------------------- changing -------------------------------------*/

/* Entries that one change can take, and bring: two change places. */
#define TPI_EDIT_MAX 2

/*
 * What becomes of the pool, and of the table.  NULL: no entry.  A thin that is
 * made is new[0]'s.
 */
struct tpi_edit {
	enum tpi_change_kind kind;
	uint32_t id, origin;
	struct tpi_entry *old[TPI_EDIT_MAX]; /* leave the table */
	struct tpi_entry *new[TPI_EDIT_MAX]; /* enter it; pages not chosen */
};

/*
 * Fills in an edit.  Called with the lock held and everything caught up, and
 * again if the change has to be tried again.  What is new in @edit is owned by
 * the caller once 0 was returned.
 */
typedef int (*tpi_plan_fn)(struct tp_catalogue *catalogue, void *context,
			   struct tpi_edit *edit);

/* Make a change, in the pool and in the table: both or neither. */
int tpi_catalogue_change(struct tp_catalogue *catalogue, tpi_plan_fn plan,
			 void *context);

/*---------------------------- what the host sees ---------------------------*/

/* @volume is whole, as TP_VOLUME_INIT makes it. */
void tpi_volume_fill(struct tp_volume *volume, const struct tpi_entry *entry);

/* Whether tpi_volume_give() will do: -EINVAL if not. */
int tpi_volume_check(const struct tp_volume *volume);

/* As much of @from as the host's struct has room for; NULL: nothing.  -EINVAL:
 * it has no struct_size. */
int tpi_volume_give(struct tp_volume *volume, const struct tp_volume *from);

/* -ENODATA and a sentence. */
int tpi_no_such_volume(const char *name);
int tpi_no_such_thin(uint32_t id);

/* tp_thin_open with size 0 asks here. */
int tpi_catalogue_size_of(void *context, uint32_t id, uint64_t *size);

#endif
