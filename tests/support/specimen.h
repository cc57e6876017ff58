/*
 * specimen.h - pools of different shapes, made by the library and closed, to be
 * copied, damaged, opened and checked.  They are the same in every run.
 */
#ifndef TESTS_SUPPORT_SPECIMEN_H
#define TESTS_SUPPORT_SPECIMEN_H

#include "support/image-pool.h"

enum specimen_kind {
	SPECIMEN_SMALL,     /* a few thins, snapshots, counts above 2 */
	SPECIMEN_DEEP,      /* mappings on two levels, shared in part */
	SPECIMEN_MANY,      /* 300 thins: thins and details on two levels */
	SPECIMEN_HELD,      /* a metadata snapshot that differs */
	SPECIMEN_DOOMED,    /* a big thin that was being deleted */
	SPECIMEN_FULL,      /* no free data block, little free metadata */
	SPECIMEN_CATALOGUE, /* volumes with names */
	SPECIMEN_NR_KINDS,
};

struct specimen {
	const char *name;
	struct image_pool_sizes sizes;
	bool runs_out;  /* of metadata, sooner or later */
	char *metadata; /* what is on the device */
	char *older;    /* what was some commits before */
	struct ledger ledger;
};

void specimen_make(struct specimen *specimen, enum specimen_kind kind);
void specimen_exit(struct specimen *specimen);

/* A pool, not opened, over copies of the images. */
void specimen_copy(const struct specimen *specimen, struct image_pool *pool,
		   bool host_driven);

#endif
