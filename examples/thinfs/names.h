/*
 * names.h - the one directory: which volumes there are, what they are called,
 * who has them open, and the changes to that.
 *
 * A volume that was unlinked while it was open keeps its thin until the last
 * close, under a name that begins with HIDDEN_PREFIX and is not shown.  If we
 * do not live to see that, it is deleted by the next that mounts the pool.
 *
 * A thin without a name, made by others, is shown as "#" and its number.  It
 * gets that name, for good, with the first change to its name or size.
 *
 * Everything here that changes something is durable when it returns.  What
 * returns an int returns 0 or a negative errno, -ENOENT for what is not there.
 */
#ifndef THINFS_NAMES_H
#define THINFS_NAMES_H

#include "volume.h"

#define HIDDEN_PREFIX ".thinfs-deleted-"

struct names;

/* -EIO and the like: what is hidden cannot be deleted. */
int names_open(const struct pool *pool, struct names **names);

/* Nobody uses them any more, whatever the kernel said.  Sizes are kept, what
 * waits to be deleted is.  NULL is allowed. */
void names_close(struct names *names);

/*---------------------------- looking --------------------------------------*/

/* Every name, in no order that means anything; until @each returns other than
 * 0, which is returned. */
int names_list(struct names *names,
	       int (*each)(const char *name, void *context), void *context);

/* Takes a reference for the kernel. */
int names_look_up(struct names *names, const char *name,
		  struct volume **volume);

/* Drops so many of them. */
void names_forget(struct names *names, struct volume *volume, uint64_t nr);

/* A file is opened, closed.  The volume is in use meanwhile. */
int names_hold(struct names *names, struct volume *volume);
void names_release(struct names *names, struct volume *volume);

/* A volume is called what?  Filled, at least "". */
void names_of_origin(struct names *names, const struct volume *volume,
		     char name[TP_NAME_MAX + 1]);

/*---------------------------- changing -------------------------------------*/

/* -EEXIST; -EINVAL: the name.  Takes a reference for the kernel. */
int names_create(struct names *names, const char *name, struct volume **volume);

int names_unlink(struct names *names, const char *name);

/* @flags: as renameat2(2) has them. */
int names_rename(struct names *names, const char *from, const char *to,
		 unsigned flags);

/* -EEXIST; -EINVAL: the name. */
int names_snapshot(struct names *names, struct volume *origin,
		   const char *name);

/* Tell the catalogue the size. */
int names_keep_size(struct names *names, struct volume *volume);

/*
 * Have @copy, which is open and has no byte, be a snapshot of @origin, of which
 * nothing is shown yet: it is all tail.  -EAGAIN: something is mapped in it.
 */
int names_make_copy(struct names *names, struct volume *origin,
		    struct volume *copy);

#endif
