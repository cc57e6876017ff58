/*
 * thinpool/catalogue.h - names and sizes for thins, kept inside the pool.
 *
 * dm-thin knows volumes by number only and stores no size.  The catalogue keeps
 * a name, a size in bytes, the origin and flags for each, in a thin of its own
 * (id 2^24, which no message can name), so that they travel with the pool and
 * the kernel still opens it.  A change to it is made in the same transaction as
 * the create, snapshot or delete that it describes: a crash shows both or
 * neither.
 *
 * The pool is the truth: a thin without an entry has no name, and ends after
 * its highest mapped block; an entry whose thin is gone, or was made anew
 * since, is dropped.  (While a catalogue is open, delete through it:
 * tp_catalogue_find does not notice else before the next change.)
 *
 * Names:   1 to 255 bytes of UTF-8, no '/', no control characters, not "." or
 *          ".."; unique in the pool.
 * Units:   bytes; sizes are multiples of 512, below 2^63.  0 is a size too.
 * Threads: any, several at once; of a host-driven pool, the one that polls it.
 * Errors:  those of the calls in thinpool/pool.h that change a pool, and
 *          -EINVAL (a bad name or size; a logged sentence says which),
 *          -EEXIST (the name is taken), -ENODATA (no such volume).
 */
#ifndef THINPOOL_CATALOGUE_H
#define THINPOOL_CATALOGUE_H

#include <thinpool/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TP_NAME_MAX 255

struct tp_catalogue;

/*
 * One per pool, and before other handles of its volumes.  It is read whole;
 * nothing is written, and a pool without a catalogue has an empty one.
 * -EILSEQ: it is damaged; -EINVAL: of a version that we do not know.
 */
int tp_catalogue_open(struct tp_pool *pool, struct tp_catalogue **catalogue);

/* Before the pool is closed.  NULL is allowed. */
void tp_catalogue_close(struct tp_catalogue *catalogue);

#define TP_VOLUME_READ_ONLY (1u << 0)       /* opened read-only */
#define TP_VOLUME_EXTERNAL_ORIGIN (1u << 1) /* needs one when opened */

struct tp_volume {
	size_t struct_size;
	char name[TP_NAME_MAX + 1]; /* empty: no entry, only an id */
	uint32_t id;
	uint64_t size;
	bool has_origin;
	uint32_t origin; /* its id when the snapshot was made */
	unsigned flags;  /* TP_VOLUME_ */
};
#define TP_VOLUME_INIT                                                         \
	{                                                                      \
		.struct_size = sizeof(struct tp_volume)                        \
	}

/* Picks a free id and makes an empty volume; @volume (or NULL) is filled. */
int tp_catalogue_create(struct tp_catalogue *catalogue, const char *name,
			uint64_t size, unsigned flags,
			struct tp_volume *volume);

/* A snapshot of the volume @origin, under a name and an id of its own. */
int tp_catalogue_snapshot(struct tp_catalogue *catalogue, const char *origin,
			  const char *name, struct tp_volume *volume);

/* Give a thin that has none a name and a size: -EEXIST if it has. */
int tp_catalogue_adopt(struct tp_catalogue *catalogue, uint32_t id,
		       const char *name, uint64_t size);

int tp_catalogue_rename(struct tp_catalogue *catalogue, const char *name,
			const char *new_name);

/*
 * The volume @name takes the name @new_name from the volume that has it, and
 * that is called @displaced from then on: both or neither, also after a crash.
 * @displaced may be @name, and they swap; any other has to be free.  -EINVAL:
 * @name and @new_name are the same.
 */
int tp_catalogue_displace(struct tp_catalogue *catalogue, const char *name,
			  const char *new_name, const char *displaced);

/* Smaller hides blocks and frees none (B-THIN-2).  Open handles keep theirs. */
int tp_catalogue_resize(struct tp_catalogue *catalogue, const char *name,
			uint64_t size);

/* Thin and entry.  -EBUSY: it is open. */
int tp_catalogue_delete(struct tp_catalogue *catalogue, const char *name);

/* The same by id, for those without a name too. */
int tp_catalogue_delete_id(struct tp_catalogue *catalogue, uint32_t id);

int tp_catalogue_find(struct tp_catalogue *catalogue, const char *name,
		      struct tp_volume *volume);
int tp_catalogue_find_id(struct tp_catalogue *catalogue, uint32_t id,
			 struct tp_volume *volume);

/*
 * Every volume of the pool: those without a name, by id, then the others, by
 * the bytes of their names; stops when @each returns other than 0, and returns
 * that.  @each may call anything.
 */
int tp_catalogue_list(struct tp_catalogue *catalogue,
		      int (*each)(const struct tp_volume *volume,
				  void *context),
		      void *context);

/*
 * tp_thin_open by name.  options->size 0, or NULL options: the catalogue's
 * size and flags.  -EINVAL: the volume needs an external origin and none is
 * given.
 */
int tp_catalogue_open_thin(struct tp_catalogue *catalogue, const char *name,
			   const struct tp_thin_options *options,
			   struct tp_thin **thin);

#ifdef __cplusplus
}
#endif

#endif
