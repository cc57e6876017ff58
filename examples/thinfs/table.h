/*
 * table.h - the volumes that the kernel knows, by the number of their thin.
 *
 * Takes no lock: it is part of the names.
 */
#ifndef THINFS_TABLE_H
#define THINFS_TABLE_H

#include "volume.h"

#define TABLE_BUCKETS 1024

/* All zeroes: empty. */
struct table {
	struct volume *buckets[TABLE_BUCKETS];
};

/* NULL: it is not known. */
struct volume *table_find(const struct table *table, uint32_t id);

void table_insert(struct table *table, struct volume *volume);
void table_remove(struct table *table, struct volume *volume);

/* Any of them; NULL: it is empty. */
struct volume *table_first(const struct table *table);

#endif
