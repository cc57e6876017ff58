/*
 * volume.c - thinpool volume create, delete, rename and resize, and snapshot.
 */
#include <inttypes.h>
#include <stdio.h>

#include "json.h"
#include "session.h"
#include "size.h"

/* Opens the pool, runs one of the functions below, closes it. */
static int with_pool(const struct arguments *arguments,
		     int (*act)(struct session *session,
				const struct arguments *arguments))
{
	struct session session;
	int r = session_open(&session, arguments, WRITABLE);

	return r ? r : session_close(&session, act(&session, arguments));
}

static void report(const struct tp_volume *volume,
		   const struct arguments *arguments)
{
	if (!(arguments->given & OPTION_JSON)) {
		printf("%s: id %u, %s\n", volume->name, volume->id,
		       size_format(volume->size).text);
		return;
	}
	json_begin_object(NULL);
	json_string("name", volume->name);
	json_number("id", volume->id);
	json_number("size", volume->size);
	if (volume->has_origin)
		json_number("origin_id", volume->origin);
	else
		json_null("origin_id");
	json_end_object();
}

/*---------------------------- create ---------------------------------------*/

static int create(struct session *session, const struct arguments *arguments)
{
	int r = tp_catalogue_create(session->catalogue, arguments->name,
				    arguments->size, 0, &session->volume);

	if (r)
		return fail_library(r, "cannot make volume %s",
				    arguments->name);
	report(&session->volume, arguments);

	return 0;
}

int run_volume_create(const struct arguments *arguments)
{
	if (!arguments->size)
		return fail("say with --size how large to make volume %s",
			    arguments->name);

	return with_pool(arguments, create);
}

/*---------------------------- delete ---------------------------------------*/

static int delete (struct session *session, const struct arguments *arguments)
{
	int r;

	if (arguments->name)
		r = tp_catalogue_delete(session->catalogue, arguments->name);
	else
		r = tp_catalogue_delete_id(session->catalogue, arguments->id);
	if (r)
		return fail_library(r, "cannot delete the volume");

	return 0;
}

int run_volume_delete(const struct arguments *arguments)
{
	return with_pool(arguments, delete);
}

/*---------------------------- rename ---------------------------------------*/

/* A volume that has no name yet gets a size with it. */
static int adopt(struct session *session, const struct arguments *arguments)
{
	uint64_t size = arguments->given & OPTION_SIZE ? arguments->size
						       : session->volume.size;
	int r;

	if (!size)
		return fail("nothing is mapped in volume %u: say with --size "
			    "how large it is",
			    session->volume.id);
	r = tp_catalogue_adopt(session->catalogue, session->volume.id,
			       arguments->operands[0], size);
	if (r)
		return fail_library(r, "cannot name volume %u",
				    session->volume.id);

	return 0;
}

static int rename_volume(struct session *session,
			 const struct arguments *arguments)
{
	int r = session_find_volume(session, arguments);

	if (r)
		return r;
	if (!*session->volume.name)
		return adopt(session, arguments);
	if (arguments->given & OPTION_SIZE)
		return fail("volume %s has a name and a size: change that "
			    "with 'thinpool volume resize'",
			    session->volume.name);
	r = tp_catalogue_rename(session->catalogue, session->volume.name,
				arguments->operands[0]);
	if (r)
		return fail_library(r, "cannot rename volume %s",
				    session->volume.name);

	return 0;
}

int run_volume_rename(const struct arguments *arguments)
{
	return with_pool(arguments, rename_volume);
}

/*---------------------------- resize ---------------------------------------*/

static int resize(struct session *session, const struct arguments *arguments)
{
	int r = session_find_volume(session, arguments);

	if (r)
		return r;
	if (!*session->volume.name)
		return fail("volume %u has no name and so no size of its own: "
			    "give it both with 'thinpool volume rename --id'",
			    session->volume.id);
	r = tp_catalogue_resize(session->catalogue, session->volume.name,
				arguments->size);
	if (r)
		return fail_library(r, "cannot resize volume %s",
				    session->volume.name);

	return 0;
}

int run_volume_resize(const struct arguments *arguments)
{
	if (!arguments->size)
		return fail("say with --size how large the volume shall be");

	return with_pool(arguments, resize);
}

/*---------------------------- snapshot -------------------------------------*/

static int snapshot(struct session *session, const struct arguments *arguments)
{
	const char *name = arguments->operands[0];
	int r = session_find_volume(session, arguments);

	if (r)
		return r;
	if (!*session->volume.name)
		return fail("volume %u has no name: give it one first, with "
			    "'thinpool volume rename --id'",
			    session->volume.id);
	r = tp_catalogue_snapshot(session->catalogue, session->volume.name,
				  name, &session->volume);
	if (r)
		return fail_library(r, "cannot make snapshot %s", name);
	report(&session->volume, arguments);

	return 0;
}

int run_snapshot(const struct arguments *arguments)
{
	return with_pool(arguments, snapshot);
}
