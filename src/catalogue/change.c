/*
 * change.c - how a change is made: the pages concerned are built anew in
 * memory, and go to disk in the transaction that changes the pool.
 *
 * Pages that have entries of their own dropped go along with every change but
 * a delete, so that no dropped entry can come back beside a new one with its
 * name or id.  A delete adds nothing, and has to do with one block in a full
 * pool.
 */
#include "catalogue/catalogue.h"

#include <stdlib.h>
#include <string.h>

#include "catalogue/page.h"

/* How often an id may be taken from under our nose. */
#define MAX_ID_ATTEMPTS 1000

struct attempt {
	struct tp_catalogue *catalogue;
	pthread_t thread;
	uint64_t version; /* of the table that the pages were built from */
	struct tpi_edit edit;
	struct tpi_page *pages;
	size_t nr_pages;

	/* Where new[0] lies, to fill in its details. */
	void *new_page;
	size_t new_at;

	bool begun;    /* the table is ours to bring up to date */
	bool outdated; /* another change came first: try again */
};

/*---------------------------- building pages -------------------------------*/

/* What the entries of @entries that lie on @page take up. */
static size_t bytes_on(struct tpi_entry *const entries[TPI_EDIT_MAX],
		       uint32_t page)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < TPI_EDIT_MAX; i++)
		if (entries[i] && entries[i]->page == page)
			bytes += tpi_page_entry_bytes(entries[i]);

	return bytes;
}

/*
 * A page for @new: the one that an old entry leaves, if that does not overfill
 * it, else the first with room, perhaps a new one.  @placed: what the change
 * brings, as far as it has its pages.
 */
static int choose_page(struct attempt *a, const struct tpi_entry *left,
		       struct tpi_entry *const placed[TPI_EDIT_MAX],
		       struct tpi_entry *new)
{
	struct tpi_table *table = &a->catalogue->table;
	size_t bytes = tpi_page_entry_bytes(new);
	uint32_t page = left ? left->page : 0;
	bool retried = !left;

	while (!tpi_table_has_room(table, page, bytes + bytes_on(placed, page),
				   bytes_on(a->edit.old, page))) {
		page = retried ? page + 1 : 0;
		retried = true;
	}
	new->page = page;

	return tpi_table_reserve(table, page);
}

static int choose_pages(struct attempt *a)
{
	struct tpi_entry *placed[TPI_EDIT_MAX] = { 0 };
	const struct tpi_edit *edit = &a->edit;
	int r = 0;

	for (unsigned i = 0; i < TPI_EDIT_MAX && !r; i++) {
		if (edit->new[i])
			r = choose_page(a, edit->old[i], placed, edit->new[i]);
		placed[i] = edit->new[i];
	}

	return r;
}

static bool is_concerned(const struct attempt *a, uint32_t page)
{
	const struct tpi_edit *edit = &a->edit;

	if (bytes_on(edit->old, page) || bytes_on(edit->new, page))
		return true;

	return edit->kind != TPI_CHANGE_DELETE &&
	       a->catalogue->table.pages[page].stale;
}

static bool leaves(const struct attempt *a, const struct tpi_entry *entry)
{
	for (unsigned i = 0; i < TPI_EDIT_MAX; i++)
		if (a->edit.old[i] == entry)
			return true;

	return false;
}

static void add_new(struct attempt *a, struct tpi_page *page,
		    const struct tpi_entry *new)
{
	size_t at = tpi_page_add(page->data, new);

	if (new == a->edit.new[0]) {
		a->new_page = page->data;
		a->new_at = at;
	}
}

static void fill_page(struct attempt *a, struct tpi_page *page)
{
	const struct tpi_table *table = &a->catalogue->table;
	uint32_t number = (uint32_t)page->vblock;

	tpi_page_start(page->data, number);
	for (size_t i = 0; i < table->nr; i++)
		if (table->by_id[i]->page == number &&
		    !leaves(a, table->by_id[i]))
			tpi_page_add(page->data, table->by_id[i]);
	for (unsigned i = 0; i < TPI_EDIT_MAX; i++)
		if (a->edit.new[i] && a->edit.new[i]->page == number)
			add_new(a, page, a->edit.new[i]);
	tpi_page_seal(page->data);
}

static int build_page(struct attempt *a, uint32_t number)
{
	struct tpi_page *page = &a->pages[a->nr_pages];
	size_t length;

	page->vblock = number;
	page->data = aligned_alloc(TPI_MBLOCK_BYTES, TPI_CATALOGUE_PAGE_BYTES);
	if (!page->data)
		return tpi_no_memory();
	a->nr_pages++;
	fill_page(a, page);

	length = tpi_page_length(page->data);
	page->length = tpi_div_up(length, TPI_MBLOCK_BYTES) * TPI_MBLOCK_BYTES;
	if (length == TPI_PAGE_HEADER_BYTES) { /* not needed any more */
		free(page->data);
		page->data = NULL;
		page->length = 0;
	}

	return 0;
}

static int build_pages(struct attempt *a)
{
	const struct tpi_table *table = &a->catalogue->table;
	int r = choose_pages(a);

	if (r || !table->nr_pages)
		return r;
	a->pages = calloc(table->nr_pages, sizeof(*a->pages));
	if (!a->pages)
		return tpi_no_memory();
	for (uint32_t i = 0; !r && i < table->nr_pages; i++)
		if (is_concerned(a, i))
			r = build_page(a, i);

	return r;
}

/*---------------------------- making the change ----------------------------*/

/* Whether the table is still what the pages were built from; then it is the
 * attempt's to bring up to date. */
static bool take_table(struct attempt *a)
{
	struct tp_catalogue *catalogue = a->catalogue;

	pthread_mutex_lock(&catalogue->lock);
	if (!catalogue->changing && catalogue->version == a->version) {
		catalogue->changing = a->begun = true;
		catalogue->changer = a->thread;
		catalogue->nr_begun++;
	}
	pthread_mutex_unlock(&catalogue->lock);

	return a->begun;
}

/* On the run loop, where no other change can come between any more. */
static int begin(void *context, const struct tpi_change_facts *facts)
{
	struct attempt *a = context;
	struct tpi_entry *new = a->edit.new[0];

	if (!take_table(a)) {
		a->outdated = true;
		return -ECANCELED;
	}
	if (new && a->edit.kind != TPI_CHANGE_PAGES_ONLY) {
		new->transaction_id = facts->transaction_id;
		new->creation_time = facts->creation_time;
		tpi_page_set_details(a->new_page, a->new_at,
				     new->transaction_id, new->creation_time);
		tpi_page_seal(a->new_page);
	}

	return 0;
}

/* The thins that are known to be there. */
static void update_thins(struct attempt *a)
{
	const struct tpi_entry *new = a->edit.new[0];
	struct tp_thin_info info = TP_THIN_INFO_INIT;

	a->catalogue->nr_commits++;
	switch (a->edit.kind) {
	case TPI_CHANGE_CREATE:
	case TPI_CHANGE_SNAPSHOT:
		info.id = new->id;
		info.transaction_id = new->transaction_id;
		info.creation_time = new->creation_time;
		tpi_catalogue_keep_up(a->catalogue, new->id, &info);
		break;
	case TPI_CHANGE_DELETE:
		tpi_catalogue_keep_up(a->catalogue, a->edit.id, NULL);
		break;
	case TPI_CHANGE_PAGES_ONLY:
		break;
	}
}

static void update_table(struct attempt *a)
{
	struct tpi_table *table = &a->catalogue->table;

	for (size_t i = 0; i < a->nr_pages; i++)
		table->pages[a->pages[i].vblock].stale = false;
	for (unsigned i = 0; i < TPI_EDIT_MAX; i++)
		if (a->edit.old[i])
			tpi_table_remove(table, a->edit.old[i]);
	for (unsigned i = 0; i < TPI_EDIT_MAX; i++) {
		if (a->edit.new[i])
			tpi_table_insert(table, a->edit.new[i]);
		a->edit.new[i] = NULL;
	}
	a->catalogue->version++;
}

static int change_pool(struct attempt *a)
{
	struct tp_catalogue *catalogue = a->catalogue;
	const struct tpi_change change = {
		.kind = a->edit.kind,
		.id = a->edit.id,
		.origin = a->edit.origin,
		.complete = begin,
		.context = a,
		.pages = a->pages,
		.nr_pages = a->nr_pages,
	};
	int r = tpi_pool_change(catalogue->pool, &change);

	pthread_mutex_lock(&catalogue->lock);
	if (!r) {
		update_thins(a);
		update_table(a);
	}
	if (a->begun) {
		catalogue->changing = false;
		pthread_cond_broadcast(&catalogue->changed);
	}
	pthread_mutex_unlock(&catalogue->lock);

	return r;
}

static int plan_attempt(struct attempt *a, tpi_plan_fn plan, void *context)
{
	struct tp_catalogue *catalogue = a->catalogue;
	int r = tpi_catalogue_catch_up(catalogue);

	if (r)
		return r;
	a->version = catalogue->version;
	r = plan(catalogue, context, &a->edit);
	if (!r)
		r = build_pages(a);
	pthread_mutex_unlock(&catalogue->lock);

	return r;
}

static void attempt_exit(struct attempt *a)
{
	for (size_t i = 0; i < a->nr_pages; i++)
		free(a->pages[i].data);
	free(a->pages);
	for (unsigned i = 0; i < TPI_EDIT_MAX; i++)
		free(a->edit.new[i]);
}

int tpi_catalogue_change(struct tp_catalogue *catalogue, tpi_plan_fn plan,
			 void *context)
{
	unsigned nr_ids_lost = 0;
	bool again;
	int r;

	do {
		struct attempt a = { .catalogue = catalogue,
				     .thread = pthread_self() };

		r = plan_attempt(&a, plan, context);
		again = false;
		if (!r) {
			r = change_pool(&a);
			again = a.outdated || (r == -EEXIST &&
					       ++nr_ids_lost < MAX_ID_ATTEMPTS);
		}
		attempt_exit(&a);
	} while (again);

	return r;
}
