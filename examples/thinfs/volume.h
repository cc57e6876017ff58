/*
 * volume.h - a volume that the kernel knows: its thin and its size.
 *
 * Three locks, taken in this order:
 *
 *	names		of all volumes: which there are, what they are called
 *			and who has them open (names.h);
 *	ranges		of one volume: its bytes (range-lock.h).  The size, and
 *			which thin is behind it, change only under all of it;
 *	lock		of one volume: who uses its thin.
 *
 * A size is a number of bytes as long as the volume is known.  The pool keeps
 * whole sectors: what it adds is zero.
 *
 * The thin's handle reaches as far as a thin can, and the end of the volume is
 * kept here: growing takes no new handle.  A new size is told to the catalogue
 * when somebody asks for what is durable, or closes the file, not with every
 * write: it costs a commit.
 *
 * The tail, what may be mapped beyond the end, is shown to nobody.  It is
 * cleared when the volume shrinks, and, since others may have left something,
 * before it grows for the first time.
 *
 * What returns an int returns 0 or a negative errno.
 */
#ifndef THINFS_VOLUME_H
#define THINFS_VOLUME_H

#include <stdatomic.h>
#include <time.h>

#include "bytes.h"
#include "pool.h"
#include "range-lock.h"

/* The largest size: 2^63 less the largest logical block. */
#define VOLUME_BYTES_MAX (((uint64_t)1 << 63) - 4096)

struct volume {
	const struct pool *pool;
	uint64_t number; /* as an inode; never used again */
	bool read_only;
	bool needs_origin; /* a device beneath, which nobody has told us */

	/* Under the lock of names. */
	struct volume *next; /* with the same hash */
	uint64_t nr_lookups; /* references of the kernel's */
	unsigned nr_opens;
	char name[TP_NAME_MAX + 1];
	bool has_entry;   /* else it is a thin that has only a number */
	bool is_unlinked; /* its name is hidden, it goes with the last close */
	uint64_t kept_size; /* what the catalogue says */

	struct range_lock ranges;
	_Atomic uint64_t size; /* changed under all of ranges, read at will */
	bool tail_is_clear;

	/*
	 * Another number with every change of the content, never the same for
	 * two volumes; and the number of the volume that this one, with its
	 * tail, is a copy of, or 0.
	 */
	_Atomic uint64_t version;
	uint64_t copied_version;

	pthread_mutex_t lock;
	pthread_cond_t unused;
	uint32_t id;          /* changed under all locks: any will do */
	struct tp_thin *thin; /* while somebody uses it */
	unsigned nr_users;
	bool is_gone;
	struct timespec changed_at;
};

/* NULL: no memory. */
struct volume *volume_new(const struct pool *pool,
			  const struct tp_volume *found);
void volume_free(struct volume *volume);

/*---------------------------- its thin -------------------------------------*/

/* Have volume->thin until volume_unuse().  -ENOENT: it is gone; -ENXIO: it
 * needs an external origin. */
int volume_use(struct volume *volume);
void volume_unuse(struct volume *volume);

/* Nobody uses it now or ever again: waits for those who do. */
void volume_retire(struct volume *volume);

/* Another thin takes the place of the one behind it, which is closed.  The
 * volume is in use, and all of its ranges are held. */
int volume_open_thin(const struct volume *volume, uint32_t id,
		     struct tp_thin **thin);
void volume_switch(struct volume *volume, uint32_t id, struct tp_thin *thin);

struct bytes volume_bytes(const struct volume *volume);

/* How much of it is mapped. */
int volume_mapped_bytes(struct volume *volume, uint64_t *bytes);

/*---------------------------- its content and size -------------------------*/

/* As the pool keeps it: in whole sectors, rounded up. */
uint64_t volume_round_size(uint64_t size);

/* The content is about to change: a part of it is held exclusively. */
void volume_touch(struct volume *volume);

/* All of it is held exclusively, and it is in use. */
int volume_clear_tail(struct volume *volume);
int volume_grow(struct volume *volume, uint64_t size);
int volume_set_size(struct volume *volume, uint64_t size);

#endif
