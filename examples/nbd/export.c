/*
 * export.c - names of exports.
 */
#include "export.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "instant.h"
#include "report.h"

static const char now[] = "@now";

/* What clients see of a volume. */
struct export_name {
	char text[TP_NAME_MAX + 1];
};

static struct export_name name_of(const struct tp_volume *volume)
{
	struct export_name name;

	if (*volume->name)
		snprintf(name.text, sizeof(name.text), "%s", volume->name);
	else
		snprintf(name.text, sizeof(name.text), "#%u", volume->id);

	return name;
}

/*---------------------------- finding one ----------------------------------*/

struct search {
	const char *name;
	size_t length;
	struct tp_volume *found;
};

static int is_it(const struct tp_volume *volume, void *context)
{
	const struct search *search = context;
	struct export_name name = name_of(volume);

	if (strlen(name.text) != search->length ||
	    memcmp(name.text, search->name, search->length))
		return 0;
	*search->found = *volume;

	return 1;
}

/*
 * By going through all of them, rather than by tp_catalogue_find: that logs an
 * error if there is none, and a client may ask for anything.  Returns 1 if it
 * is there.
 */
static int find(const struct server *server, const char *name, size_t length,
		struct tp_volume *volume)
{
	struct search search = { name, length, volume };

	return tp_catalogue_list(server->catalogue, is_it, &search);
}

/* "base@now" */
static bool is_instant(const char *name, size_t *length)
{
	size_t tail = strlen(now);

	*length = strlen(name);
	if (*length <= tail || strcmp(name + *length - tail, now))
		return false;
	*length -= tail;

	return true;
}

int export_find(const struct server *server, const char *name,
		struct export *export)
{
	size_t length;
	int r = find(server, name, strlen(name), &export->volume);

	export->instant = false;
	if (!r && is_instant(name, &length)) {
		r = find(server, name, length, &export->volume);
		export->instant = r == 1;
	}
	if (r < 0)
		return fail_library(r, "cannot look for volume \"%s\"", name);
	if (!r) {
		nbdkit_error("there is no volume \"%s\" in the pool", name);
		return -1;
	}

	return 0;
}

/*---------------------------- listing them ---------------------------------*/

static int add_to_list(const struct tp_volume *volume, void *context)
{
	struct export_name name = name_of(volume);
	char description[64];
	int nr;

	if (!volume->size || volume->flags & TP_VOLUME_EXTERNAL_ORIGIN ||
	    instant_is_one(volume))
		return 0;
	nr = snprintf(description, sizeof(description), "thin %u", volume->id);
	if (volume->has_origin)
		snprintf(description + nr, sizeof(description) - (size_t)nr,
			 ", a snapshot of thin %u", volume->origin);

	return nbdkit_add_export(context, name.text, description);
}

int export_list(const struct server *server, struct nbdkit_exports *exports)
{
	int r = tp_catalogue_list(server->catalogue, add_to_list, exports);

	if (r < -1)
		return fail_library(r, "cannot list the volumes");

	return r;
}
