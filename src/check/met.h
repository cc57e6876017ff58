/*
 * met.h - of data blocks that several leaves refer to: whose those of the leaves
 * are that were met so far, and so whether somebody has a block twice.
 *
 * It takes memory for such blocks only: a byte or two for each, as long as there
 * are few different sets of owners.
 */
#ifndef TPI_CHECK_MET_H
#define TPI_CHECK_MET_H

#include "check/counters.h"
#include "check/owners.h"

struct tpi_met_page;

struct tpi_met {
	const struct tpi_counters *counts; /* which blocks they are */
	struct tpi_owners *owners;
	struct tpi_met_page **pages; /* by bitmap; NULL: none yet */
	size_t nr_pages;
};

/* All zero is a valid argument to exit.  -ENOMEM. */
int tpi_met_init(struct tpi_met *met, const struct tpi_counters *counts,
		 struct tpi_owners *owners);
void tpi_met_exit(struct tpi_met *met);

/* A leaf of @owners, a set, refers to @block, whose count is two or more.
 * *@twice: one of them was met there before.  -ENOMEM. */
int tpi_met_add(struct tpi_met *met, tp_dblock block, uint32_t owners,
		bool *twice);

#endif
