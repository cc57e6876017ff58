/*
 * catch-up.c - the pool is the truth: entries of thins that are gone, or were
 * made anew by someone who does not know of us, are dropped.
 */
#include "catalogue/catalogue.h"

bool tpi_entry_describes(const struct tpi_entry *entry,
			 const struct tp_thin_info *info)
{
	return info && entry->id == info->id &&
	       entry->transaction_id == info->transaction_id &&
	       entry->creation_time == info->creation_time;
}

static void drop_stale_entries(struct tp_catalogue *catalogue,
			       const struct tpi_thin_list *thins)
{
	struct tpi_table *table = &catalogue->table;
	struct tpi_entry *entry;

	for (size_t i = table->nr; i-- > 0;) {
		entry = table->by_id[i];
		if (tpi_entry_describes(entry,
					tpi_thin_list_find(thins, entry->id)))
			continue;
		tpi_log(TP_LOG_INFO,
			"the entry \"%s\" is dropped: thin %u is not the one "
			"it was made for",
			entry->name, entry->id);
		table->pages[entry->page].stale = true;
		tpi_table_remove(table, entry);
		catalogue->version++;
	}
}

/* Another thread's change, seen under way. */
struct seen_change {
	bool under_way, is_ours;
	uint64_t nr_begun, version;
};

static struct seen_change look(struct tp_catalogue *catalogue)
{
	struct seen_change seen;

	pthread_mutex_lock(&catalogue->lock);
	seen.under_way = catalogue->changing;
	seen.is_ours = pthread_equal(catalogue->changer, pthread_self());
	seen.nr_begun = catalogue->nr_begun;
	seen.version = catalogue->version;
	pthread_mutex_unlock(&catalogue->lock);

	return seen;
}

/*
 * Wait until a change is over.  Its thread may be waiting for the run loop, and
 * that may be us, in an event handler.  But changes of a pool are made one
 * after another: when a commit of ours is through, then so is that change, and
 * its thread has only to take the lock.
 */
static int wait_for(struct tp_catalogue *catalogue,
		    const struct seen_change *seen)
{
	int r;

	if (seen->is_ours)
		return tpi_error(-EDEADLK, "this thread is changing the "
					   "catalogue already");
	r = tp_pool_commit(catalogue->pool);
	if (r)
		return r;

	pthread_mutex_lock(&catalogue->lock);
	while (catalogue->changing && catalogue->nr_begun == seen->nr_begun)
		pthread_cond_wait(&catalogue->changed, &catalogue->lock);
	pthread_mutex_unlock(&catalogue->lock);

	return 0;
}

/* With the lock held if true: a list that is older than the table would have
 * us drop what was made in between. */
static bool lock_if_still(struct tp_catalogue *catalogue,
			  const struct seen_change *seen)
{
	pthread_mutex_lock(&catalogue->lock);
	if (!catalogue->changing && catalogue->version == seen->version)
		return true;
	pthread_mutex_unlock(&catalogue->lock);

	return false;
}

int tpi_catalogue_catch_up(struct tp_catalogue *catalogue,
			   struct tpi_thin_list *thins)
{
	struct seen_change seen;
	int r;

	for (;;) {
		seen = look(catalogue);
		r = seen.under_way ? wait_for(catalogue, &seen)
				   : tpi_thin_list_init(thins, catalogue->pool);
		if (r)
			return r;
		if (!seen.under_way && lock_if_still(catalogue, &seen))
			break;
		tpi_thin_list_exit(thins);
	}
	drop_stale_entries(catalogue, thins);

	return 0;
}
