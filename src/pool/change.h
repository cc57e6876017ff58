/*
 * change.h - what the catalogue needs of a pool: pages of its own that change
 * in the same transaction as the volumes they describe (architecture.md,
 * decision 12).
 *
 * The pages lie in a thin with the id TPI_CATALOGUE_ID, which is made with the
 * first change.  A page is one virtual block of it, written from its start; the
 * rest of the block is unspecified.  A page is never written in place: its new
 * content goes to a fresh data block, is flushed by the commit's data flush,
 * and is mapped by the transaction that makes the change.  When no data block
 * is free, a spare that the thin keeps mapped (at TPI_SPARE_VBLOCK) is used, so
 * that deleting works in a full pool.
 */
#ifndef TPI_POOL_CHANGE_H
#define TPI_POOL_CHANGE_H

#include <thinpool/pool.h>

#include "io/base.h"

#define TPI_CATALOGUE_ID ((uint64_t)TP_THIN_ID_END)
#define TPI_SPARE_VBLOCK ((tp_vblock)1 << 32)

struct tpi_page {
	tp_vblock vblock; /* below TPI_SPARE_VBLOCK */
	void *data;       /* NULL: the page is no longer needed, unmap it */
	size_t length;    /* bytes, a multiple of 4096, at most a data block */
};

/* What is known of the thin that a change makes, before it is made. */
struct tpi_change_facts {
	uint64_t transaction_id;
	uint32_t creation_time;
};

enum tpi_change_kind {
	TPI_CHANGE_PAGES_ONLY,
	TPI_CHANGE_CREATE,
	TPI_CHANGE_SNAPSHOT,
	TPI_CHANGE_DELETE,
};

struct tpi_change {
	enum tpi_change_kind kind;
	uint32_t id, origin;

	/* Called on the run loop before the pages are written, when nothing can
	 * come between any more: completes their content.  NULL: nothing to
	 * complete.  Anything but 0 calls the change off. */
	int (*complete)(void *context, const struct tpi_change_facts *facts);
	void *context;

	struct tpi_page *pages;
	size_t nr_pages;
};

/*
 * Make a change and commit it: all of it or nothing, also after a crash.
 * Blocks, from any thread, as the calls of thinpool/pool.h do, with their
 * errors; -ENOSPC: neither a free data block nor the spare.
 */
int tpi_pool_change(struct tp_pool *pool, const struct tpi_change *change);

/* Read the start of a page.  -ENODATA: not mapped, or no catalogue yet. */
int tpi_pool_read_page(struct tp_pool *pool, tp_vblock vblock, void *data,
		       size_t length);

/* The highest mapped page.  -ENODATA as above. */
int tpi_pool_last_page(struct tp_pool *pool, tp_vblock *vblock);

/*
 * Who is asked for the size of a thin that is opened with size 0: 0, or
 * -ENODATA.  NULL: nobody.  Called from any thread that opens a thin.
 */
typedef int (*tpi_size_fn)(void *context, uint32_t id, uint64_t *size);
void tpi_pool_set_size_source(struct tp_pool *pool, tpi_size_fn size_of,
			      void *context);

#endif
