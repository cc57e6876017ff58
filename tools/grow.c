/*
 * grow.c - thinpool grow: makes the files longer, and has the pool use them.
 *
 * The pool is opened first, so that its files are ours alone.  Without a size
 * it uses what its devices have become.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "session.h"

/* Only a regular file can be made longer from here. */
static int lengthen(const char *path, uint64_t from, uint64_t to)
{
	struct stat st;
	int r = 0;
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return fail_errno("cannot open %s", path);
	if (fstat(fd, &st))
		r = fail_errno("cannot look at %s", path);
	else if (!S_ISREG(st.st_mode))
		r = fail("%s is a device of %" PRIu64 " bytes: make that "
			 "larger by its own means",
			 path, from);
	else if (ftruncate(fd, (off_t)to))
		r = fail_errno("cannot make %s %" PRIu64 " bytes long", path,
			       to);
	close(fd);

	return r;
}

/* Have @path be @size bytes long; 0: as it is. */
static int resize_file(const char *path, uint64_t size)
{
	uint64_t old_size;
	int r;

	if (!size)
		return 0;
	r = file_size(path, &old_size);
	if (r || size == old_size)
		return r;
	if (size < old_size)
		return fail("%s has %" PRIu64 " bytes, and a pool cannot "
			    "shrink",
			    path, old_size);

	return lengthen(path, old_size, size);
}

static int grow(struct session *session, const struct arguments *arguments)
{
	int r = resize_file(session->files.metadata, arguments->metadata_size);

	if (!r)
		r = resize_file(session->files.data, arguments->size);
	if (r)
		return r;

	/* Metadata first: without it there is no growing of data. */
	r = tp_pool_grow_metadata(session->pool);
	if (r)
		return fail_library(r, "cannot grow the metadata of %s",
				    arguments->pool);
	r = tp_pool_grow_data(session->pool);
	if (r)
		return fail_library(r, "cannot grow the data of %s",
				    arguments->pool);

	return 0;
}

int run_grow(const struct arguments *arguments)
{
	struct session session;
	int r = session_open(&session, arguments, WRITABLE);

	return r ? r : session_close(&session, grow(&session, arguments));
}
