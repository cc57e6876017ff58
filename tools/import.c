/*
 * import.c - thinpool import: a file becomes the content of a volume.
 *
 * What is zero in the file takes no space in the volume: holes are stepped
 * over, zeroes are looked for.  A volume that was there before has to read as
 * the file from then on, so there zeroes are written as such (which gives space
 * back), behind the file's end too.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "progress.h"
#include "session.h"
#include "stream.h"
#include "transfer.h"

#define LARGEST_SIZE ((UINT64_C(1) << 63) - TP_SECTOR_SIZE)

struct import {
	struct session *session;
	const struct arguments *arguments;
	struct transfer transfer;
	struct progress progress;

	const char *label; /* of the file */
	int fd;
	bool has_holes;     /* it can tell where they are */
	uint64_t file_size; /* 0: not known before its end */

	bool is_new; /* the volume is ours, and empty */
	uint64_t offset;

	/* What is to read as zeroes, and was not asked for yet. */
	uint64_t zeroes_begin, zeroes_end;
	uint64_t block_size;
};

/*---------------------------- interruption ---------------------------------*/

static volatile sig_atomic_t interrupted;

static void note_signal(int signal)
{
	interrupted = 1;
}

/* Without SA_RESTART, so that a read from a terminal or a pipe ends. */
static void catch_signals(void)
{
	const struct sigaction action = { .sa_handler = note_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/*---------------------------- the file -------------------------------------*/

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return n + (unit - n % unit) % unit;
}

static int open_file(struct import *import, const char *path)
{
	struct stat st;
	off_t end;

	import->label = path;
	import->fd = strcmp(path, "-")
			     ? open(path, O_RDONLY | O_CLOEXEC)
			     : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	if (import->fd < 0 || fstat(import->fd, &st))
		return fail_errno("cannot open %s", path);
	if (S_ISDIR(st.st_mode))
		return fail("%s is a directory", path);
	if (pool_files_include(&import->session->files, &st))
		return fail("%s is the pool itself", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return 0;

	end = lseek(import->fd, 0, SEEK_END);
	if (end < 0 || lseek(import->fd, 0, SEEK_SET) < 0)
		return fail_errno("cannot tell the size of %s", path);
	if (!end)
		return fail("%s is empty, and a volume is not", path);
	import->file_size = (uint64_t)end;
	import->has_holes = S_ISREG(st.st_mode);

	return 0;
}

/* Where the next data is, from the offset on; the file's end if there is none.
 * The descriptor is left there. */
static int find_data(struct import *import, uint64_t *data)
{
	off_t found = lseek(import->fd, (off_t)import->offset, SEEK_DATA);

	if (found < 0 && errno == ENXIO)
		found = (off_t)import->file_size;
	if (found < 0) /* a file system that does not know */
		found = (off_t)import->offset;

	/* Whole granules are skipped, so that the rest stays aligned. */
	*data = (uint64_t)found;
	if (*data < import->file_size)
		*data -= *data % GRANULE_BYTES;
	if (*data < import->offset)
		*data = import->offset;
	if (lseek(import->fd, (off_t)*data, SEEK_SET) < 0)
		return fail_errno("cannot read %s", import->label);

	return 0;
}

/*---------------------------- the volume -----------------------------------*/

/* How large to make it: for a file that does not say how long it is, as large
 * as can be, and to be corrected. */
static uint64_t size_of_new(const struct import *import)
{
	if (import->arguments->given & OPTION_SIZE)
		return import->arguments->size;
	if (import->file_size)
		return round_up(import->file_size, TP_SECTOR_SIZE);

	return LARGEST_SIZE;
}

static int make_volume(struct import *import)
{
	const struct arguments *arguments = import->arguments;
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct session *session = import->session;
	int r;

	import->is_new = true;
	session->size = size_of_new(import);
	r = tp_catalogue_create(session->catalogue, arguments->name,
				session->size, 0, &session->volume);
	if (r)
		return fail_library(r, "cannot make volume %s",
				    arguments->name);
	r = tp_catalogue_open_thin(session->catalogue, arguments->name,
				   &options, &session->thin);
	if (r)
		return fail_library(r, "cannot open volume %s",
				    arguments->name);

	return 0;
}

static int provide_volume(struct import *import)
{
	struct session *session = import->session;
	const char *name = import->arguments->name;
	int r;

	if (name && tp_catalogue_find(session->catalogue, name, NULL))
		r = make_volume(import);
	else
		r = session_open_volume(session, import->arguments, WRITABLE);
	if (r)
		return r;
	if (import->file_size > session->size)
		return fail("%s has %" PRIu64 " bytes and volume %s only "
			    "%" PRIu64 ": enlarge it with 'thinpool volume "
			    "resize'",
			    import->label, import->file_size,
			    session_label(session).text, session->size);

	return 0;
}

/* A volume of no size cannot be. */
static int drop_volume(struct import *import)
{
	struct session *session = import->session;

	tp_thin_close(session->thin);
	session->thin = NULL;
	tp_catalogue_delete(session->catalogue, session->volume.name);

	return fail("%s is empty, and a volume is not", import->label);
}

/* What was made for a file of unknown length gets the length it came to. */
static int correct_size(struct import *import, int status)
{
	uint64_t size = round_up(import->offset, TP_SECTOR_SIZE);
	struct session *session = import->session;
	int r;

	if (!import->is_new || session->size != LARGEST_SIZE)
		return status;
	if (!size && !status)
		return drop_volume(import);
	r = tp_catalogue_resize(session->catalogue, session->volume.name,
				size ? size : TP_SECTOR_SIZE);
	if (r && !status)
		status = fail_library(r, "cannot set the size of volume %s",
				      session->volume.name);

	return status;
}

/*---------------------------- copying --------------------------------------*/

static int fail_transfer(const struct import *import, int error)
{
	return fail_bio(error, "cannot write volume %s",
			session_label(import->session).text);
}

/* A volume that we made has zeroes wherever nothing was written. */
static void note_zeroes(struct import *import, uint64_t begin, uint64_t end)
{
	if (import->is_new || begin == end)
		return;
	if (import->zeroes_begin == import->zeroes_end)
		import->zeroes_begin = begin;
	import->zeroes_end = end;
}

static int submit_zeroes(struct chunk *chunk, uint64_t begin, uint64_t end)
{
	return begin < end ? chunk_submit_zeroes(chunk, begin, end - begin) : 0;
}

/* The whole blocks apart, for only they can be unmapped. */
static int put_zeroes(struct import *import, struct chunk *chunk)
{
	uint64_t begin = import->zeroes_begin, end = import->zeroes_end;
	uint64_t first = round_up(begin, import->block_size);
	uint64_t last = end - end % import->block_size;
	int r;

	import->zeroes_begin = import->zeroes_end;
	if (first >= last) {
		r = submit_zeroes(chunk, begin, end);
	} else {
		r = submit_zeroes(chunk, begin, first);
		if (!r)
			r = submit_zeroes(chunk, first, last);
		if (!r)
			r = submit_zeroes(chunk, last, end);
	}

	return r;
}

static int put_last_zeroes(struct import *import)
{
	struct chunk *chunk;
	int r = transfer_next(&import->transfer, &chunk);

	if (!r)
		r = put_zeroes(import, chunk);

	return r ? fail_transfer(import, r) : 0;
}

/* The end of the run of granules that are all zero, or all not, from @at on. */
static size_t end_of_run(const char *buffer, size_t at, size_t length,
			 bool *zero)
{
	size_t n = length - at < GRANULE_BYTES ? length - at : GRANULE_BYTES;

	*zero = is_zero(buffer + at, n);
	for (at += n; at < length; at += n) {
		n = length - at < GRANULE_BYTES ? length - at : GRANULE_BYTES;
		if (is_zero(buffer + at, n) != *zero)
			break;
	}

	return at;
}

static int put_data(struct import *import, struct chunk *chunk, size_t at,
		    size_t length)
{
	int r = put_zeroes(import, chunk); /* which come before it */

	if (!r)
		r = chunk_submit(chunk, TP_WRITE, at, length,
				 import->offset + at);

	return r ? fail_transfer(import, r) : 0;
}

static int put_chunk(struct import *import, struct chunk *chunk, size_t length)
{
	size_t end;
	bool zero;
	int r = 0;

	for (size_t at = 0; !r && at < length; at = end) {
		end = end_of_run(chunk->buffer, at, length, &zero);
		if (zero)
			note_zeroes(import, import->offset + at,
				    import->offset + end);
		else
			r = put_data(import, chunk, at, end - at);
	}

	return r;
}

/* Copy up to a chunk; *@more: the file did not end. */
static int copy_chunk(struct import *import, bool *more)
{
	struct chunk *chunk;
	size_t length;
	ssize_t n;
	int r = transfer_next(&import->transfer, &chunk);

	if (r)
		return fail_transfer(import, r);
	n = stream_read(import->fd, chunk->buffer, CHUNK_BYTES);
	if (n < 0 && interrupted)
		return 0;
	if (n < 0)
		return fail_errno("cannot read %s", import->label);
	if ((uint64_t)n > import->session->size - import->offset)
		return fail("%s is longer than volume %s, which ends at "
			    "%" PRIu64,
			    import->label, session_label(import->session).text,
			    import->session->size);

	length = round_up((uint64_t)n, TP_SECTOR_SIZE);
	memset(chunk->buffer + n, 0, length - (size_t)n);
	r = put_chunk(import, chunk, length);
	import->offset += (uint64_t)n;
	*more = n == CHUNK_BYTES;

	return r;
}

static int skip_hole(struct import *import)
{
	uint64_t begin = import->offset, end;
	int r;

	if (!import->has_holes)
		return 0;
	r = find_data(import, &end);
	if (r)
		return r;
	import->offset = end;
	note_zeroes(import, begin, round_up(end, TP_SECTOR_SIZE));

	return 0;
}

static int copy_all(struct import *import)
{
	bool more = true;
	int r = 0;

	while (!r && more && !interrupted) {
		r = skip_hole(import);
		if (!r)
			r = copy_chunk(import, &more);
		progress_tell(&import->progress, import->offset);
	}
	if (!interrupted) /* what is behind the file's end */
		note_zeroes(import, round_up(import->offset, TP_SECTOR_SIZE),
			    import->session->size);

	return r ? r : put_last_zeroes(import);
}

/* What was copied is made durable, whatever stopped the copying. */
static int finish(struct import *import, int status)
{
	int r = transfer_drain(&import->transfer);

	if (!r)
		r = tp_thin_flush(import->session->thin);
	if (r && !status)
		status = fail_transfer(import, r);
	if (!status && interrupted)
		status = fail("interrupted: the first %" PRIu64 " bytes of %s "
			      "are in volume %s",
			      import->offset, import->label,
			      session_label(import->session).text);

	return status;
}

static int copy(struct import *import)
{
	struct tp_thin_limits limits = TP_THIN_LIMITS_INIT;
	struct session *session = import->session;
	int r = tp_thin_get_limits(session->thin, &limits);

	if (!r)
		r = transfer_init(&import->transfer, session->pool,
				  session->thin);
	if (r)
		return fail_transfer(import, r);
	import->block_size = limits.preferred_bytes;
	progress_begin(&import->progress, import->file_size);
	r = copy_all(import);
	progress_end(&import->progress);
	r = finish(import, r);
	transfer_exit(&import->transfer);

	return r;
}

static int import_file(struct import *import)
{
	int r = open_file(import, import->arguments->operands[0]);

	if (!r)
		r = provide_volume(import);
	if (!r)
		r = correct_size(import, copy(import));
	if (import->fd >= 0)
		close(import->fd);

	return r;
}

int run_import(const struct arguments *arguments)
{
	struct session session;
	struct import import = {
		.session = &session,
		.arguments = arguments,
		.fd = -1,
	};
	int r = session_open(&session, arguments, WRITABLE);

	if (r)
		return r;
	catch_signals();

	return session_close(&session, import_file(&import));
}
