/*
 * thin-list.c - the thins that a pool has, as of one moment.
 */
#include "catalogue/thin-list.h"

#include <stdlib.h>
#include <string.h>

#include "catalogue/entry.h"

static int reserve(struct tpi_thin_list *list)
{
	size_t capacity = list->capacity ? 2 * list->capacity : 64;
	struct tp_thin_info *larger;

	if (list->nr < list->capacity)
		return 0;
	larger = realloc(list->thins, capacity * sizeof(*larger));
	if (!larger)
		return tpi_no_memory();
	list->thins = larger;
	list->capacity = capacity;

	return 0;
}

static int append(const struct tp_thin_info *info, void *context)
{
	struct tpi_thin_list *list = context;
	int r = reserve(list);

	if (!r)
		list->thins[list->nr++] = *info;

	return r;
}

int tpi_thin_list_init(struct tpi_thin_list *list, struct tp_pool *pool)
{
	int r = tp_pool_list_thins(pool, append, list);

	if (r)
		tpi_thin_list_exit(list);

	return r;
}

void tpi_thin_list_exit(struct tpi_thin_list *list)
{
	free(list->thins);
	*list = (struct tpi_thin_list){ 0 };
}

/* How many have a lower id. */
static size_t rank_of(const struct tpi_thin_list *list, uint32_t id)
{
	size_t begin = 0, end = list->nr, middle;

	while (begin < end) {
		middle = begin + (end - begin) / 2;
		if (list->thins[middle].id < id)
			begin = middle + 1;
		else
			end = middle;
	}

	return begin;
}

const struct tp_thin_info *tpi_thin_list_find(const struct tpi_thin_list *list,
					      uint32_t id)
{
	size_t rank = rank_of(list, id);

	if (rank == list->nr || list->thins[rank].id != id)
		return NULL;

	return &list->thins[rank];
}

int tpi_thin_list_insert(struct tpi_thin_list *list,
			 const struct tp_thin_info *info)
{
	size_t rank = rank_of(list, info->id);
	int r = reserve(list);

	if (r)
		return r;
	memmove(list->thins + rank + 1, list->thins + rank,
		(list->nr - rank) * sizeof(*list->thins));
	list->thins[rank] = *info;
	list->nr++;

	return 0;
}

void tpi_thin_list_remove(struct tpi_thin_list *list, uint32_t id)
{
	size_t rank = rank_of(list, id);

	tpi_assert(rank < list->nr && list->thins[rank].id == id);
	list->nr--;
	memmove(list->thins + rank, list->thins + rank + 1,
		(list->nr - rank) * sizeof(*list->thins));
}

int tpi_thin_list_free_id(const struct tpi_thin_list *list, uint32_t *id)
{
	uint32_t i = 0;

	while (i < list->nr && list->thins[i].id == i)
		i++;
	if (i >= TP_THIN_ID_END)
		return tpi_error(-ENOSPC, "all %u ids of thins are taken",
				 TP_THIN_ID_END);
	*id = i;

	return 0;
}
