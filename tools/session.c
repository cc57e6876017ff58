/*
 * session.c - a pool opened for one command.
 *
 * A write never waits for space: nobody would make any while we hold the pool.
 */
#include "session.h"

#include <errno.h>
#include <stdio.h>

/*---------------------------- the pool -------------------------------------*/

static int open_device(const char *path, enum access access,
		       struct tp_device **device)
{
	struct tp_file_options options = TP_FILE_OPTIONS_INIT;
	int r;

	if (access == READ_ONLY)
		options.flags = TP_FILE_READ_ONLY;
	r = tp_device_open_file(path, &options, device);
	if (r == -ENOENT)
		return fail("there is no %s: 'thinpool create' makes a pool",
			    path);
	if (r)
		return fail_library(r, "cannot open %s", path);

	return 0;
}

static bool looks_back(const struct session *session)
{
	return session->arguments->given & OPTION_METADATA_SNAPSHOT;
}

static int open_pool(struct session *session, const char *name,
		     struct tp_device *metadata, struct tp_device *data,
		     enum access access)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	int r;

	options.flags = TP_POOL_ERROR_IF_NO_SPACE;
	if (access == READ_ONLY)
		options.flags |= TP_POOL_READ_ONLY;
	if (looks_back(session))
		options.flags |= TP_POOL_METADATA_SNAPSHOT;
	r = tp_pool_open(metadata, data, &options, &session->pool);
	if (r)
		return fail_library(r, "cannot open pool %s", name);
	r = tp_catalogue_open(session->pool, &session->catalogue);
	if (r)
		return fail_library(r, "cannot read the names in pool %s",
				    name);

	return 0;
}

static int open_all(struct session *session, const char *name,
		    enum access access)
{
	struct tp_device *metadata = NULL, *data = NULL;
	int r = open_device(session->files.metadata, access, &metadata);

	if (!r)
		r = open_device(session->files.data, access, &data);
	if (!r)
		r = open_pool(session, name, metadata, data, access);
	tp_device_unref(data);
	tp_device_unref(metadata);

	return r;
}

static int close_all(struct session *session, int status)
{
	int r = tp_thin_close(session->thin);

	tp_catalogue_close(session->catalogue);
	if (!r)
		r = tp_pool_close(session->pool);
	if (r && !status)
		status = fail_library(r, "cannot close the pool");
	pool_files_exit(&session->files);

	return status;
}

int session_open(struct session *session, const struct arguments *arguments,
		 enum access access)
{
	int r;

	*session = (struct session){ .arguments = arguments,
				     .volume = TP_VOLUME_INIT };
	r = pool_files_init(&session->files, arguments->pool);
	if (!r)
		r = open_all(session, arguments->pool, access);
	if (r)
		close_all(session, r);

	return r;
}

/*---------------------------- a metadata snapshot --------------------------*/

static bool is_same(const struct tp_pool_status *a,
		    const struct tp_pool_status *b)
{
	return a->held_root == b->held_root && a->time == b->time &&
	       a->transaction_id == b->transaction_id;
}

/*
 * Nothing keeps others from releasing it.  But if it still is there, what was
 * read is right.
 */
static int check_still_there(struct session *session)
{
	struct tp_pool_status before = TP_POOL_STATUS_INIT;
	struct tp_pool_status after = TP_POOL_STATUS_INIT;
	struct session again;
	int r = tp_pool_get_status(session->pool, &before);

	if (r)
		return fail_library(r, "cannot look at the pool");
	r = session_open(&again, session->arguments, READ_ONLY);
	if (r)
		return r;
	r = tp_pool_get_status(again.pool, &after);
	if (r)
		r = fail_library(r, "cannot look at the pool");
	else if (!is_same(&before, &after))
		r = fail(
			"the metadata snapshot was released while it was read: "
			"what was read may be wrong");

	return close_all(&again, r);
}

int session_close(struct session *session, int status)
{
	if (!status && looks_back(session))
		status = check_still_there(session);

	return close_all(session, status);
}

/*---------------------------- a volume -------------------------------------*/

struct volume_label session_label(const struct session *session)
{
	struct volume_label label;

	if (*session->volume.name)
		snprintf(label.text, sizeof(label.text), "%s",
			 session->volume.name);
	else
		snprintf(label.text, sizeof(label.text), "%u",
			 session->volume.id);

	return label;
}

int session_find_volume(struct session *session,
			const struct arguments *arguments)
{
	int r;

	if (arguments->name)
		r = tp_catalogue_find(session->catalogue, arguments->name,
				      &session->volume);
	else
		r = tp_catalogue_find_id(session->catalogue, arguments->id,
					 &session->volume);
	if (r)
		return fail_library(r, "pool %s", arguments->pool);

	return 0;
}

/* How large the handle has to be. */
static int settle_size(struct session *session,
		       const struct arguments *arguments)
{
	if (arguments->given & OPTION_SIZE && arguments->name)
		return fail("volume %s is there and has its size: leave out "
			    "--size, or use 'thinpool volume resize'",
			    arguments->name);
	session->size = arguments->given & OPTION_SIZE ? arguments->size
						       : session->volume.size;
	if (!session->size && !*session->volume.name)
		return fail("nothing is mapped in volume %u and the pool does "
			    "not know its size: give --size",
			    session->volume.id);

	return 0;
}

int session_open_volume(struct session *session,
			const struct arguments *arguments, enum access access)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	int r = session_find_volume(session, arguments);

	if (!r)
		r = settle_size(session, arguments);
	if (r)
		return r;

	options.size = session->size;
	if (access == READ_ONLY)
		options.flags = TP_THIN_READ_ONLY;
	if (*session->volume.name)
		r = tp_catalogue_open_thin(session->catalogue,
					   session->volume.name, &options,
					   &session->thin);
	else
		r = tp_thin_open(session->pool, session->volume.id, &options,
				 &session->thin);
	if (r)
		return fail_library(r, "cannot open volume %s",
				    session_label(session).text);

	return 0;
}
