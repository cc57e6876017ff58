/*
 * table.h - all entries of a catalogue in memory, by name and by id, and how
 * full its pages are.
 *
 * Takes no lock and does no I/O.
 */
#ifndef TPI_CATALOGUE_TABLE_H
#define TPI_CATALOGUE_TABLE_H

#include "catalogue/entry.h"

/* Of one page of the catalogue. */
struct tpi_page_use {
	uint32_t entry_bytes; /* 0: there is no such page */
	bool stale;           /* on disk it has entries that were dropped */
};

/* All zeroes: empty. */
struct tpi_table {
	struct tpi_entry **by_name; /* in the order of their bytes */
	struct tpi_entry **by_id;
	size_t nr, capacity;
	struct tpi_page_use *pages;
	uint32_t nr_pages;
};

void tpi_table_exit(struct tpi_table *table);

/* Make room for one more entry, on this page: the next insert cannot fail.
 * -ENOMEM. */
int tpi_table_reserve(struct tpi_table *table, uint32_t page);

/* The table owns @entry now.  Neither its name nor its id may be there. */
void tpi_table_insert(struct tpi_table *table, struct tpi_entry *entry);

/* Take @entry out and free it. */
void tpi_table_remove(struct tpi_table *table, struct tpi_entry *entry);

/*
 * Many at once: append them in any order (the table owns them, also on error:
 * -ENOMEM), then sort.  -EILSEQ: a name or an id is there twice; then the table
 * is good for nothing but tpi_table_exit().
 */
int tpi_table_append(struct tpi_table *table, struct tpi_entry *entry);
int tpi_table_sort(struct tpi_table *table);

/* NULL: not there. */
struct tpi_entry *tpi_table_find(const struct tpi_table *table,
				 const char *name);
struct tpi_entry *tpi_table_find_id(const struct tpi_table *table, uint32_t id);

/* The first behind @name, which need not be there; NULL: none. */
struct tpi_entry *tpi_table_next(const struct tpi_table *table,
				 const char *name);

/* Whether @page could hold @more bytes of entries, once it has lost @less of
 * those that it has. */
bool tpi_table_has_room(const struct tpi_table *table, uint32_t page,
			size_t more, size_t less);

#endif
