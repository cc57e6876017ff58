/*
 * thin-list.h - the thins that a pool has, as of one moment: who they are, not
 * what they have mapped.
 */
#ifndef TPI_CATALOGUE_THIN_LIST_H
#define TPI_CATALOGUE_THIN_LIST_H

#include <thinpool/pool.h>

#include "io/base.h"

/* All zeroes: empty. */
struct tpi_thin_list {
	struct tp_thin_info *thins; /* by id */
	size_t nr, capacity;
};

/* Ask the pool; @list is empty.  The errors of tp_pool_list_thins. */
int tpi_thin_list_init(struct tpi_thin_list *list, struct tp_pool *pool);
void tpi_thin_list_exit(struct tpi_thin_list *list);

/* NULL: the pool has no such thin. */
const struct tp_thin_info *tpi_thin_list_find(const struct tpi_thin_list *list,
					      uint32_t id);

/* Keep up with a thin that was made or deleted.  -ENOMEM. */
int tpi_thin_list_insert(struct tpi_thin_list *list,
			 const struct tp_thin_info *info);
void tpi_thin_list_remove(struct tpi_thin_list *list, uint32_t id);

/* The lowest that no thin has.  -ENOSPC: there is none. */
int tpi_thin_list_free_id(const struct tpi_thin_list *list, uint32_t *id);

#endif
