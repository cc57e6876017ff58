/*
 * thin-list.c - the thins that a pool has, as of one moment.
 */
#include "catalogue/thin-list.h"

#include <stdlib.h>

#include "catalogue/entry.h"

static int add_thin(const struct tp_thin_info *info, void *context)
{
	struct tpi_thin_list *list = context;
	size_t capacity = list->capacity ? 2 * list->capacity : 64;
	struct tp_thin_info *larger;

	if (list->nr == list->capacity) {
		larger = realloc(list->thins, capacity * sizeof(*larger));
		if (!larger)
			return tpi_no_memory();
		list->thins = larger;
		list->capacity = capacity;
	}
	list->thins[list->nr++] = *info;

	return 0;
}

int tpi_thin_list_init(struct tpi_thin_list *list, struct tp_pool *pool)
{
	int r = tp_pool_list_thins(pool, add_thin, list);

	if (r)
		tpi_thin_list_exit(list);

	return r;
}

void tpi_thin_list_exit(struct tpi_thin_list *list)
{
	free(list->thins);
	*list = (struct tpi_thin_list){ 0 };
}

static int compare_id(const void *key, const void *element)
{
	const uint32_t *id = key;
	const struct tp_thin_info *info = element;

	return *id < info->id ? -1 : *id > info->id;
}

const struct tp_thin_info *tpi_thin_list_find(const struct tpi_thin_list *list,
					      uint32_t id)
{
	if (!list->nr)
		return NULL;

	return bsearch(&id, list->thins, list->nr, sizeof(*list->thins),
		       compare_id);
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
