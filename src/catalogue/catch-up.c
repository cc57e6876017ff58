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

static void drop_stale_entries(struct tp_catalogue *catalogue)
{
	struct tpi_table *table = &catalogue->table;

	for (size_t i = table->nr; i-- > 0;) {
		struct tpi_entry *entry = table->by_id[i];

		if (tpi_entry_describes(entry,
					tpi_thin_list_find(&catalogue->thins,
							   entry->id)))
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

/*---------------------------- what the pool has ----------------------------*/

static int count_commits(struct tp_pool *pool, uint64_t *nr_commits)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	int r = tp_pool_get_status(pool, &status);

	if (!r)
		*nr_commits = status.nr_commits;

	return r;
}

void tpi_catalogue_keep_up(struct tp_catalogue *catalogue, uint32_t id,
			   const struct tp_thin_info *info)
{
	if (!info)
		tpi_thin_list_remove(&catalogue->thins, id);
	else if (tpi_thin_list_insert(&catalogue->thins, info))
		catalogue->nr_commits = TPI_NOT_KNOWN;
}

/*---------------------------- other changes --------------------------------*/

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

/* Take the lock, unless the table has changed since: then there is something
 * newer than what is known of the pool. */
static bool lock_if_still(struct tp_catalogue *catalogue,
			  const struct seen_change *seen)
{
	pthread_mutex_lock(&catalogue->lock);
	if (!catalogue->changing && catalogue->version == seen->version)
		return true;
	pthread_mutex_unlock(&catalogue->lock);

	return false;
}

/* Whether the list is as old as the pool; then the lock is held. */
static bool lock_if_known(struct tp_catalogue *catalogue,
			  const struct seen_change *seen, uint64_t nr_commits)
{
	if (!lock_if_still(catalogue, seen))
		return false;
	if (catalogue->nr_commits == nr_commits)
		return true;
	pthread_mutex_unlock(&catalogue->lock);

	return false;
}

/* The lock is held. */
static void replace_list(struct tp_catalogue *catalogue,
			 const struct tpi_thin_list *thins, uint64_t nr_commits)
{
	tpi_thin_list_exit(&catalogue->thins);
	catalogue->thins = *thins;
	catalogue->nr_commits = nr_commits;
	drop_stale_entries(catalogue);
}

/* 0 with the lock held, if *@locked; if not, things have moved on meanwhile. */
static int try_to_catch_up(struct tp_catalogue *catalogue, bool *locked)
{
	struct seen_change seen = look(catalogue);
	struct tpi_thin_list thins = { 0 };
	uint64_t nr_commits;
	int r;

	if (seen.under_way)
		return wait_for(catalogue, &seen);
	r = count_commits(catalogue->pool, &nr_commits);
	if (r)
		return r;
	*locked = lock_if_known(catalogue, &seen, nr_commits);
	if (*locked)
		return 0;

	r = tpi_thin_list_init(&thins, catalogue->pool);
	if (r)
		return r;
	*locked = lock_if_still(catalogue, &seen);
	if (*locked)
		replace_list(catalogue, &thins, nr_commits);
	else
		tpi_thin_list_exit(&thins);

	return 0;
}

int tpi_catalogue_catch_up(struct tp_catalogue *catalogue)
{
	bool locked = false;
	int r = 0;

	while (!r && !locked)
		r = try_to_catch_up(catalogue, &locked);

	return r;
}
