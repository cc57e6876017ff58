/*
 * catalogue.c - opening a catalogue: all its pages are read, and what they say
 * is held against the pool.  Nothing is written.
 */
#include "catalogue/catalogue.h"

#include <stdlib.h>

#include "catalogue/page.h"

static int append_entry(struct tpi_entry *entry, void *context)
{
	return tpi_table_append(context, entry);
}

/* @buffer has room for a page. */
static int read_page(struct tp_catalogue *catalogue, uint32_t number,
		     void *buffer)
{
	int r = tpi_pool_read_page(catalogue->pool, number, buffer,
				   TPI_CATALOGUE_PAGE_BYTES);

	if (r == -ENODATA) /* pages may be missing in between */
		return 0;
	if (r)
		return r;

	return tpi_page_read(buffer, number, append_entry, &catalogue->table);
}

static int read_pages(struct tp_catalogue *catalogue)
{
	tp_vblock last;
	void *buffer;
	int r = tpi_pool_last_page(catalogue->pool, &last);

	if (r)
		return r == -ENODATA ? 0 : r;
	if (last >= TPI_CATALOGUE_MAX_PAGES)
		return tpi_damage("catalogue", "there is a page %llu",
				  (unsigned long long)last);

	buffer = aligned_alloc(TPI_MBLOCK_BYTES, TPI_CATALOGUE_PAGE_BYTES);
	if (!buffer)
		return tpi_no_memory();
	for (tp_vblock i = 0; !r && i <= last; i++)
		r = read_page(catalogue, (uint32_t)i, buffer);
	free(buffer);

	return r ? r : tpi_table_sort(&catalogue->table);
}

static int read_all(struct tp_catalogue *catalogue)
{
	int r = read_pages(catalogue);

	if (!r)
		r = tpi_catalogue_catch_up(catalogue);
	if (!r)
		pthread_mutex_unlock(&catalogue->lock);

	return r;
}

static void catalogue_free(struct tp_catalogue *catalogue)
{
	tpi_table_exit(&catalogue->table);
	tpi_thin_list_exit(&catalogue->thins);
	pthread_cond_destroy(&catalogue->changed);
	pthread_mutex_destroy(&catalogue->lock);
	free(catalogue);
}

int tp_catalogue_open(struct tp_pool *pool, struct tp_catalogue **result)
{
	struct tp_catalogue *catalogue = calloc(1, sizeof(*catalogue));
	int r;

	if (!catalogue)
		return tpi_no_memory();
	catalogue->pool = pool;
	catalogue->nr_commits = TPI_NOT_KNOWN;
	pthread_mutex_init(&catalogue->lock, NULL);
	pthread_cond_init(&catalogue->changed, NULL);

	r = read_all(catalogue);
	if (r) {
		catalogue_free(catalogue);
		return r;
	}
	tpi_pool_set_size_source(pool, tpi_catalogue_size_of, catalogue);
	*result = catalogue;

	return 0;
}

void tp_catalogue_close(struct tp_catalogue *catalogue)
{
	if (!catalogue)
		return;
	tpi_pool_set_size_source(catalogue->pool, NULL, NULL);
	catalogue_free(catalogue);
}
