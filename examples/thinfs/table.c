/*
 * table.c - a hash table; thins are numbered one after another, so the number
 * is the hash.
 */
#include "table.h"

struct volume *table_find(const struct table *table, uint32_t id)
{
	struct volume *volume = table->buckets[id % TABLE_BUCKETS];

	while (volume && volume->id != id)
		volume = volume->next;

	return volume;
}

void table_insert(struct table *table, struct volume *volume)
{
	struct volume **bucket = &table->buckets[volume->id % TABLE_BUCKETS];

	volume->next = *bucket;
	*bucket = volume;
}

void table_remove(struct table *table, struct volume *volume)
{
	struct volume **link = &table->buckets[volume->id % TABLE_BUCKETS];

	while (*link != volume)
		link = &(*link)->next;
	*link = volume->next;
}

struct volume *table_first(const struct table *table)
{
	for (unsigned i = 0; i < TABLE_BUCKETS; i++)
		if (table->buckets[i])
			return table->buckets[i];

	return NULL;
}
