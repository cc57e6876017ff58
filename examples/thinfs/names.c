/*
 * names.c - looking at the directory; opening and closing what is in it.
 */
#include "names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names-private.h"
#include "report.h"

bool names_is_hidden(const char *name)
{
	return !strncmp(name, HIDDEN_PREFIX, strlen(HIDDEN_PREFIX));
}

/*---------------------------- thins without a name -------------------------*/

static void name_by_number(uint32_t id, char name[TP_NAME_MAX + 1])
{
	snprintf(name, TP_NAME_MAX + 1, "#%u", id);
}

static bool number_of_name(const char *name, uint32_t *id)
{
	char again[TP_NAME_MAX + 1];

	if (*name != '#')
		return false;
	*id = (uint32_t)strtoul(name + 1, NULL, 10);
	name_by_number(*id, again);

	return *id < TP_THIN_ID_END && !strcmp(name, again);
}

/*---------------------------- finding --------------------------------------*/

static int ask_catalogue(const struct names *names, const char *name,
			 struct tp_volume *found)
{
	struct tp_catalogue *catalogue = names->pool->catalogue;
	uint32_t id;
	int r;

	report_quiet(true);
	r = tp_catalogue_find(catalogue, name, found);
	if (r == -ENODATA && number_of_name(name, &id)) {
		r = tp_catalogue_find_id(catalogue, id, found);
		if (!r && *found->name)
			r = -ENODATA;
	}
	report_quiet(false);

	return r == -ENODATA ? -ENOENT : r;
}

int names_find(struct names *names, const char *name, struct volume **volume)
{
	struct tp_volume found = TP_VOLUME_INIT;
	int r;

	if (names_is_hidden(name))
		return -ENOENT;
	r = ask_catalogue(names, name, &found);
	if (r)
		return r;
	*volume = table_find(&names->table, found.id);
	if (*volume)
		return 0;
	*volume = volume_new(names->pool, &found);
	if (!*volume)
		return -ENOMEM;
	strcpy((*volume)->name, name);
	table_insert(&names->table, *volume);

	return 0;
}

/* A size that is not whole sectors is known nowhere but here. */
static bool is_remembered(const struct names *names,
			  const struct volume *volume)
{
	if (volume->nr_lookups || volume->nr_opens)
		return true;

	return !names->closing && !volume->is_gone &&
	       volume->size != volume->kept_size;
}

void names_settle(struct names *names, struct volume *volume)
{
	if (is_remembered(names, volume))
		return;
	if (!volume->is_gone)
		table_remove(&names->table, volume);
	volume_free(volume);
}

int names_look_up(struct names *names, const char *name, struct volume **volume)
{
	int r;

	pthread_mutex_lock(&names->lock);
	r = names_find(names, name, volume);
	if (!r)
		(*volume)->nr_lookups++;
	pthread_mutex_unlock(&names->lock);

	return r;
}

void names_forget(struct names *names, struct volume *volume, uint64_t nr)
{
	pthread_mutex_lock(&names->lock);
	volume->nr_lookups -= nr;
	names_settle(names, volume);
	pthread_mutex_unlock(&names->lock);
}

void names_of_origin(struct names *names, const struct volume *volume,
		     char name[TP_NAME_MAX + 1])
{
	struct tp_catalogue *catalogue = names->pool->catalogue;
	struct tp_volume found = TP_VOLUME_INIT, origin = TP_VOLUME_INIT;

	*name = 0;
	report_quiet(true);
	if (!tp_catalogue_find_id(catalogue, volume->id, &found) &&
	    found.has_origin) {
		if (!tp_catalogue_find_id(catalogue, found.origin, &origin) &&
		    *origin.name && !names_is_hidden(origin.name))
			strcpy(name, origin.name);
		else
			name_by_number(found.origin, name);
	}
	report_quiet(false);
}

/*---------------------------- listing --------------------------------------*/

struct listing {
	struct names *names;
	int (*each)(const char *name, void *context);
	void *context;
};

static int list_one(const struct tp_volume *volume, void *context)
{
	struct listing *listing = context;
	struct tp_volume other = TP_VOLUME_INIT;
	char name[TP_NAME_MAX + 1];

	if (*volume->name)
		return names_is_hidden(volume->name)
			       ? 0
			       : listing->each(volume->name, listing->context);
	name_by_number(volume->id, name);
	if (ask_catalogue(listing->names, name, &other) ||
	    other.id != volume->id)
		return 0; /* it is the true name of another one */

	return listing->each(name, listing->context);
}

int names_list(struct names *names,
	       int (*each)(const char *name, void *context), void *context)
{
	struct listing listing = { names, each, context };

	return tp_catalogue_list(names->pool->catalogue, list_one, &listing);
}

/*---------------------------- opening and closing --------------------------*/

int names_hold(struct names *names, struct volume *volume)
{
	int r;

	pthread_mutex_lock(&names->lock);
	r = volume_use(volume);
	volume->nr_opens += !r;
	pthread_mutex_unlock(&names->lock);

	return r;
}

/* A copy that stopped half way has shown all that it will: what it has in
 * common with its origin beyond that is given up. */
static void cut_tail(struct volume *volume)
{
	struct range range;
	int r;

	range_take_all(&volume->ranges, &range, RANGE_EXCLUSIVE);
	r = volume->copied_version ? volume_clear_tail(volume) : 0;
	range_leave(&volume->ranges, &range);
	if (r)
		fail_library(r, "cannot clear what is beyond the end of %s",
			     volume->name);
}

void names_release(struct names *names, struct volume *volume)
{
	pthread_mutex_lock(&names->lock);
	if (!--volume->nr_opens) {
		if (!volume->is_unlinked) {
			cut_tail(volume);
			names_save_size(names, volume);
		}
		volume_unuse(volume);
		if (volume->is_unlinked)
			names_delete(names, volume);
	} else {
		volume_unuse(volume);
	}
	names_settle(names, volume);
	pthread_mutex_unlock(&names->lock);
}

/*---------------------------- beginning and end ----------------------------*/

struct hidden {
	uint32_t *ids;
	size_t nr;
	bool no_memory;
};

static int collect_hidden(const struct tp_volume *volume, void *context)
{
	struct hidden *hidden = context;
	uint32_t *longer;

	if (!names_is_hidden(volume->name))
		return 0;
	longer = realloc(hidden->ids, (hidden->nr + 1) * sizeof(*longer));
	if (!longer)
		return -ENOMEM;
	hidden->ids = longer;
	hidden->ids[hidden->nr++] = volume->id;

	return 0;
}

/* Volumes that were unlinked while open when we, or the machine, died. */
static int delete_hidden(const struct pool *pool)
{
	struct hidden hidden = { NULL };
	int r = tp_catalogue_list(pool->catalogue, collect_hidden, &hidden);

	for (size_t i = 0; i < hidden.nr && !r; i++)
		r = tp_catalogue_delete_id(pool->catalogue, hidden.ids[i]);
	free(hidden.ids);

	return r;
}

int names_open(const struct pool *pool, struct names **result)
{
	struct names *names;
	int r = pool->read_only ? 0 : delete_hidden(pool);

	if (r)
		return r;
	names = calloc(1, sizeof(*names));
	if (!names)
		return -ENOMEM;
	names->pool = pool;
	pthread_mutex_init(&names->lock, NULL);
	*result = names;

	return 0;
}

void names_close(struct names *names)
{
	struct volume *volume;

	if (!names)
		return;
	names->closing = true;
	while ((volume = table_first(&names->table))) {
		while (volume->nr_opens > 1)
			names_release(names, volume);
		volume->nr_lookups = 0;
		if (volume->nr_opens)
			names_release(names, volume);
		else
			names_settle(names, volume);
	}
	pthread_mutex_destroy(&names->lock);
	free(names);
}
