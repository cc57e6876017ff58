/*
 * table.c - all entries of a catalogue in memory: two sorted arrays of
 * pointers.  Looking up is a binary search; a change moves pointers, which is
 * little beside the commit that it needs.
 */
#include "catalogue/table.h"

#include <stdlib.h>
#include <string.h>

#include "catalogue/page.h"

void tpi_table_exit(struct tpi_table *table)
{
	for (size_t i = 0; i < table->nr; i++)
		free(table->by_id[i]);
	free(table->by_name);
	free(table->by_id);
	free(table->pages);
	*table = (struct tpi_table){ 0 };
}

/*---------------------------- room -----------------------------------------*/

static int grow_array(struct tpi_entry ***array, size_t capacity)
{
	struct tpi_entry **larger = realloc(*array, capacity * sizeof(**array));

	if (!larger)
		return tpi_no_memory();
	*array = larger;

	return 0;
}

static int reserve_entry(struct tpi_table *table)
{
	size_t capacity = table->capacity ? 2 * table->capacity : 64;
	int r;

	if (table->nr < table->capacity)
		return 0;
	r = grow_array(&table->by_name, capacity);
	if (!r)
		r = grow_array(&table->by_id, capacity);
	if (!r)
		table->capacity = capacity;

	return r;
}

static int reserve_page(struct tpi_table *table, uint32_t page)
{
	struct tpi_page_use *larger;

	if (page < table->nr_pages)
		return 0;
	larger = realloc(table->pages, (page + 1) * sizeof(*larger));
	if (!larger)
		return tpi_no_memory();
	memset(larger + table->nr_pages, 0,
	       (page + 1 - table->nr_pages) * sizeof(*larger));
	table->pages = larger;
	table->nr_pages = page + 1;

	return 0;
}

int tpi_table_reserve(struct tpi_table *table, uint32_t page)
{
	int r = reserve_entry(table);

	return r ? r : reserve_page(table, page);
}

bool tpi_table_has_room(const struct tpi_table *table, uint32_t page,
			size_t more, size_t less)
{
	size_t used = page < table->nr_pages ? table->pages[page].entry_bytes
					     : 0;

	return TPI_PAGE_HEADER_BYTES + used - less + more <=
	       TPI_CATALOGUE_PAGE_BYTES;
}

/*---------------------------- looking up -----------------------------------*/

/* How many come before @name; *@found: whether it is the next. */
static size_t rank_of_name(const struct tpi_table *table, const char *name,
			   bool *found)
{
	size_t begin = 0, end = table->nr, middle;
	int order;

	*found = false;
	while (begin < end) {
		middle = begin + (end - begin) / 2;
		order = strcmp(table->by_name[middle]->name, name);
		*found |= order == 0;
		if (order < 0)
			begin = middle + 1;
		else
			end = middle;
	}

	return begin;
}

static size_t rank_of_id(const struct tpi_table *table, uint32_t id)
{
	size_t begin = 0, end = table->nr, middle;

	while (begin < end) {
		middle = begin + (end - begin) / 2;
		if (table->by_id[middle]->id < id)
			begin = middle + 1;
		else
			end = middle;
	}

	return begin;
}

struct tpi_entry *tpi_table_find(const struct tpi_table *table,
				 const char *name)
{
	bool found;
	size_t rank = rank_of_name(table, name, &found);

	return found ? table->by_name[rank] : NULL;
}

struct tpi_entry *tpi_table_find_id(const struct tpi_table *table, uint32_t id)
{
	size_t rank = rank_of_id(table, id);

	if (rank == table->nr || table->by_id[rank]->id != id)
		return NULL;

	return table->by_id[rank];
}

struct tpi_entry *tpi_table_next(const struct tpi_table *table,
				 const char *name)
{
	bool found;
	size_t rank = rank_of_name(table, name, &found) + found;

	return rank < table->nr ? table->by_name[rank] : NULL;
}

/*---------------------------- one entry ------------------------------------*/

static void insert_at(struct tpi_entry **array, size_t nr, size_t rank,
		      struct tpi_entry *entry)
{
	memmove(array + rank + 1, array + rank, (nr - rank) * sizeof(*array));
	array[rank] = entry;
}

static void remove_at(struct tpi_entry **array, size_t nr, size_t rank)
{
	memmove(array + rank, array + rank + 1,
		(nr - rank - 1) * sizeof(*array));
}

void tpi_table_insert(struct tpi_table *table, struct tpi_entry *entry)
{
	bool found;
	size_t rank = rank_of_name(table, entry->name, &found);

	tpi_assert(!found && table->nr < table->capacity);
	tpi_assert(entry->page < table->nr_pages);
	insert_at(table->by_name, table->nr, rank, entry);
	insert_at(table->by_id, table->nr, rank_of_id(table, entry->id), entry);
	table->nr++;
	table->pages[entry->page].entry_bytes +=
		(uint32_t)tpi_page_entry_bytes(entry);
}

void tpi_table_remove(struct tpi_table *table, struct tpi_entry *entry)
{
	bool found;
	size_t rank = rank_of_name(table, entry->name, &found);

	tpi_assert(found && table->by_name[rank] == entry);
	remove_at(table->by_name, table->nr, rank);
	remove_at(table->by_id, table->nr, rank_of_id(table, entry->id));
	table->nr--;
	table->pages[entry->page].entry_bytes -=
		(uint32_t)tpi_page_entry_bytes(entry);
	free(entry);
}

/*---------------------------- all entries ----------------------------------*/

int tpi_table_append(struct tpi_table *table, struct tpi_entry *entry)
{
	int r = tpi_table_reserve(table, entry->page);

	if (r) {
		free(entry);
		return r;
	}
	table->by_name[table->nr] = table->by_id[table->nr] = entry;
	table->nr++;
	table->pages[entry->page].entry_bytes +=
		(uint32_t)tpi_page_entry_bytes(entry);

	return 0;
}

static int compare_names(const void *a, const void *b)
{
	const struct tpi_entry *const *left = a, *const *right = b;

	return strcmp((*left)->name, (*right)->name);
}

static int compare_ids(const void *a, const void *b)
{
	const struct tpi_entry *const *left = a, *const *right = b;

	return (*left)->id < (*right)->id ? -1 : (*left)->id > (*right)->id;
}

int tpi_table_sort(struct tpi_table *table)
{
	if (!table->nr)
		return 0;
	qsort(table->by_name, table->nr, sizeof(*table->by_name),
	      compare_names);
	qsort(table->by_id, table->nr, sizeof(*table->by_id), compare_ids);

	for (size_t i = 1; i < table->nr; i++) {
		if (!compare_names(&table->by_name[i - 1], &table->by_name[i]))
			return tpi_damage("catalogue",
					  "two volumes are called "
					  "\"%s\"",
					  table->by_name[i]->name);
		if (!compare_ids(&table->by_id[i - 1], &table->by_id[i]))
			return tpi_damage("catalogue",
					  "two entries describe thin %u",
					  table->by_id[i]->id);
	}

	return 0;
}
