/*
 * entry.c - making entries.  free() ends them.
 */
#include "catalogue/entry.h"

#include <stdlib.h>
#include <string.h>

struct tpi_entry *tpi_entry_new(const char *name, size_t length)
{
	struct tpi_entry *entry = calloc(1, sizeof(*entry) + length + 1);

	if (entry) {
		memcpy(entry->name, name, length);
		entry->origin = TPI_NO_ORIGIN;
	}

	return entry;
}

struct tpi_entry *tpi_entry_renamed(const struct tpi_entry *entry,
				    const char *name)
{
	struct tpi_entry *copy = tpi_entry_new(name, strlen(name));

	if (copy) {
		copy->page = entry->page;
		copy->id = entry->id;
		copy->flags = entry->flags;
		copy->origin = entry->origin;
		copy->size = entry->size;
		copy->transaction_id = entry->transaction_id;
		copy->creation_time = entry->creation_time;
	}

	return copy;
}
