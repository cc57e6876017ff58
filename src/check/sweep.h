/*
 * sweep.h - reading many metadata blocks with all the cores there are.
 *
 * A sweep goes along a set of blocks in slices.  Of each slice the blocks are
 * read, adjacent ones in one request, and examined, by several threads; then
 * each is integrated, in ascending order, by the caller's thread.  So
 * what is costly is done in parallel, and what comes of it does not depend on
 * who did it.
 */
#ifndef TPI_CHECK_SWEEP_H
#define TPI_CHECK_SWEEP_H

#include "check/frontier.h"
#include "io/device.h"

struct tpi_sweep;

struct tpi_sweep_options {
	unsigned nr_threads; /* 1: the caller's only */
	void (*clock_wait)(void *context, uint64_t until_ns);
	void *clock_context;
};

struct tpi_sweep_ops {
	/* By any thread, several blocks at once; each block once.  @status: of
	 * the read; @data is then what it may be. */
	void (*examine)(void *context, tp_mblock block, const void *data,
			int status);

	/* In order, by the caller's thread.  Not 0: the sweep ends with it.
	 * May be NULL, as may examine. */
	int (*integrate)(void *context, tp_mblock block, const void *data,
			 int status);
};

/* Threads are started now, or as many of them as can be had.  -ENOMEM, and
 * what opening a channel answers. */
int tpi_sweep_new(struct tp_device *device,
		  const struct tpi_sweep_options *options,
		  struct tpi_sweep **sweep);
void tpi_sweep_destroy(struct tpi_sweep *sweep); /* NULL is allowed */

/* Called after each slice, with how many blocks it had; not 0: the sweep ends
 * with it. */
void tpi_sweep_set_progress(struct tpi_sweep *sweep,
			    int (*progress)(void *context, size_t nr_read),
			    void *context);

/* @blocks, which lie on the device, in ascending order, until none is left.
 * 0, or what integrate or progress returned. */
int tpi_sweep_run(struct tpi_sweep *sweep, struct tpi_frontier *blocks,
		  const struct tpi_sweep_ops *ops, void *context);

/* One block, now, to memory aligned to a block. */
int tpi_sweep_read(struct tpi_sweep *sweep, tp_mblock block, void *data);

#endif
