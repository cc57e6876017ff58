/*
 * block-table.h - a hash table from block numbers to small values, for what few
 * blocks of many have.
 *
 * Values lie in the table itself: a pointer to one stays good until something
 * is added or removed.
 */
#ifndef TPI_SPACE_MAP_BLOCK_TABLE_H
#define TPI_SPACE_MAP_BLOCK_TABLE_H

#include "io/base.h"

struct tpi_block_table {
	uint64_t *keys; /* open addressing; UINT64_MAX is nobody's number */
	char *values;
	size_t value_bytes;
	size_t nr;       /* how many keys are in it */
	size_t nr_slots; /* a power of two, or 0 */
	unsigned shift;  /* 64 less the logarithm of that */
};

/* Takes no memory before the first key is added. */
void tpi_block_table_init(struct tpi_block_table *table, size_t value_bytes);
void tpi_block_table_exit(struct tpi_block_table *table);

/* Empty again.  Much memory is given back; what is usual stays, for the next
 * transaction. */
void tpi_block_table_clear(struct tpi_block_table *table);

/* The value of @key; NULL: it is not there. */
void *tpi_block_table_find(const struct tpi_block_table *table, uint64_t key);

/* The value of @key, which is added with a value of zeroes if it was not there;
 * NULL: no memory, and nothing has changed. */
void *tpi_block_table_add(struct tpi_block_table *table, uint64_t key);

int tpi_block_table_enlarge(struct tpi_block_table *table, size_t nr);

/* Room for @nr more: adding them will not fail.  -ENOMEM: as before. */
static inline int tpi_block_table_make_room(struct tpi_block_table *table,
					    size_t nr)
{
	if (4 * (table->nr + nr) <= 3 * table->nr_slots)
		return 0;

	return tpi_block_table_enlarge(table, nr);
}

/* Nothing happens if it is not there. */
void tpi_block_table_remove(struct tpi_block_table *table, uint64_t key);

/*---------------------------- work lists -----------------------------------*/

/* The keys a table had when the list was filled, in ascending order: for a walk
 * that may have to stop and go on later, while the table changes. */
struct tpi_work_list {
	uint64_t *keys;
	uint64_t *spare; /* as many, to sort them */
	size_t nr, next, room;
};

/* A list of all zeroes is empty. */
void tpi_work_list_exit(struct tpi_work_list *list);

/* Room for @nr keys.  -ENOMEM: as before. */
int tpi_work_list_make_room(struct tpi_work_list *list, size_t nr);

/* The keys of @table, unless some are left from the last time.  -ENOMEM. */
int tpi_work_list_fill(struct tpi_work_list *list,
		       const struct tpi_block_table *table);

#endif
