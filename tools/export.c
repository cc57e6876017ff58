/*
 * export.c - thinpool export: a volume's content becomes a file.
 *
 * What is unmapped or zero in the volume becomes a hole of the file, where the
 * file can have holes; a pipe gets the zeroes.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "progress.h"
#include "session.h"
#include "stream.h"
#include "transfer.h"

/* The smallest hole worth making. */
#define HOLE_BYTES 4096u

struct export
{
	struct session *session;
	struct transfer transfer;
	struct progress progress;

	const char *label; /* of the file */
	int fd;
	bool is_file;   /* emptied before: what is not written is zero */
	bool is_device; /* keeps what it had */
	int status;     /* of what the extents came to */
};

/*---------------------------- the file -------------------------------------*/

static int settle_kind(struct export *export, bool is_stdout)
{
	struct stat st;

	if (fstat(export->fd, &st))
		return fail_errno("cannot look at %s", export->label);
	if (pool_files_include(&export->session->files, &st))
		return fail("%s is the pool itself", export->label);
	export->is_device = S_ISBLK(st.st_mode);
	/* Standard output may be in the middle of a file of someone's. */
	export->is_file = S_ISREG(st.st_mode) && !is_stdout;
	if (export->is_file && ftruncate(export->fd, 0))
		return fail_errno("cannot empty %s", export->label);

	return 0;
}

static int open_file(struct export *export, const char *path)
{
	bool is_stdout = !strcmp(path, "-");

	export->label = path;
	export->fd = is_stdout
			     ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
			     : open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (export->fd < 0)
		return fail_errno("cannot open %s", path);

	return settle_kind(export, is_stdout);
}

/* Give the file its length, which a hole at its end does not. */
static int close_file(struct export *export, int status)
{
	if (export->fd < 0)
		return status;
	if (!status && export->is_file &&
	    ftruncate(export->fd, (off_t) export->session->size))
		status = fail_errno("cannot make %s %" PRIu64 " bytes long",
				    export->label, export->session->size);
	if (close(export->fd) && !status)
		status = fail_errno("cannot write %s", export->label);

	return status;
}

/*---------------------------- writing --------------------------------------*/

static int write_bytes(struct export *export, const char *bytes, size_t length,
		       uint64_t offset)
{
	int r = export->is_file || export->is_device
			? stream_write_at(export->fd, bytes, length,
					  (off_t)offset)
			: stream_write(export->fd, bytes, length);

	return r ? fail_errno("cannot write %s", export->label) : 0;
}

static int write_zeroes(struct export *export, uint64_t offset, uint64_t length)
{
	static const char zeroes[CHUNK_BYTES];
	size_t n;
	int r = 0;

	if (export->is_file)
		return 0;
	if (export->is_device &&
	    !fallocate(export->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		       (off_t)offset, (off_t)length))
		return 0;
	for (; !r && length; offset += n, length -= n) {
		n = length < CHUNK_BYTES ? (size_t)length : CHUNK_BYTES;
		r = write_bytes(export, zeroes, n, offset);
		progress_tell(&export->progress, offset);
	}

	return r;
}

/* The length of the run at the start of @bytes that is all zero, or all not. */
static size_t run_length(const char *bytes, size_t length, bool *zero)
{
	size_t n = length < HOLE_BYTES ? length : HOLE_BYTES, run;

	*zero = is_zero(bytes, n);
	for (run = n; run < length; run += n) {
		n = length - run < HOLE_BYTES ? length - run : HOLE_BYTES;
		if (is_zero(bytes + run, n) != *zero)
			break;
	}

	return run;
}

static int write_sparse(struct export *export, const struct chunk *chunk)
{
	size_t n;
	bool zero;
	int r = 0;

	for (size_t at = 0; !r && at < chunk->length; at += n) {
		n = run_length(chunk->buffer + at, chunk->length - at, &zero);
		if (!zero)
			r = write_bytes(export, chunk->buffer + at, n,
					chunk->offset + at);
	}

	return r;
}

/* What a chunk has come to goes to the file; then it can be used again. */
static int write_chunk(struct export *export, struct chunk *chunk)
{
	int r = 0;

	if (chunk->length && chunk->is_hole)
		r = write_zeroes(export, chunk->offset, chunk->length);
	else if (chunk->length && export->is_file)
		r = write_sparse(export, chunk);
	else if (chunk->length)
		r = write_bytes(export, chunk->buffer, chunk->length,
				chunk->offset);
	progress_tell(&export->progress, chunk->offset + chunk->length);
	chunk->length = 0;

	return r;
}

/*---------------------------- reading --------------------------------------*/

static int fail_transfer(const struct export *export, int error)
{
	return fail_bio(error, "cannot read volume %s",
			session_label(export->session).text);
}

static int next_chunk(struct export *export, struct chunk **chunk)
{
	int r = transfer_next(&export->transfer, chunk);

	return r ? fail_transfer(export, r) : write_chunk(export, *chunk);
}

static int put_hole(struct export *export, uint64_t offset, uint64_t length)
{
	struct chunk *chunk;
	int r = next_chunk(export, &chunk);

	if (r)
		return r;
	chunk->offset = offset;
	chunk->length = length;
	chunk->is_hole = true;

	return 0;
}

static int read_piece(struct export *export, uint64_t offset, size_t length)
{
	struct chunk *chunk;
	int r = next_chunk(export, &chunk);

	if (r)
		return r;
	r = chunk_submit(chunk, TP_READ, 0, length, offset);
	if (r)
		return fail_transfer(export, r);
	chunk->offset = offset;
	chunk->length = length;
	chunk->is_hole = false;

	return 0;
}

/* 1 ends the walk; export->status says why. */
static int put_extent(const struct tp_extent *extent, void *context)
{
	struct export *export = context;
	uint64_t end = extent->offset + extent->length;
	size_t n;

	if (!extent->mapped)
		export->status =
			put_hole(export, extent->offset, extent->length);
	for (uint64_t at = extent->offset;
	     extent->mapped && !export->status && at < end; at += n) {
		n = end - at < CHUNK_BYTES ? (size_t)(end - at) : CHUNK_BYTES;
		export->status = read_piece(export, at, n);
	}

	return export->status ? 1 : 0;
}

static int write_rest(struct export *export)
{
	struct chunk *chunk;
	int r = 0;

	for (unsigned i = 0; !r && i < NR_CHUNKS; i++)
		r = next_chunk(export, &chunk);

	return r;
}

static int copy_all(struct export *export)
{
	int r = tp_thin_each_extent(export->session->thin, 0,
				    export->session->size, put_extent, export);

	if (r < 0)
		return fail_library(r, "cannot map volume %s",
				    session_label(export->session).text);

	return export->status ? export->status : write_rest(export);
}

static int copy(struct export *export)
{
	struct session *session = export->session;
	int r = transfer_init(&export->transfer, session->pool, session->thin);

	if (r)
		return fail_transfer(export, r);
	progress_begin(&export->progress, session->size);
	r = copy_all(export);
	progress_end(&export->progress);
	transfer_exit(&export->transfer);

	return r;
}

static int export_volume(struct export *export,
			 const struct arguments *arguments)
{
	int r = session_open_volume(export->session, arguments, READ_ONLY);

	if (!r)
		r = open_file(export, arguments->operands[0]);
	if (!r)
		r = copy(export);

	return close_file(export, r);
}

int run_export(const struct arguments *arguments)
{
	struct session session;
	struct export export = { .session = &session, .fd = -1 };
	int r = session_open(&session, arguments, READ_ONLY);

	return r ? r
		 : session_close(&session, export_volume(&export, arguments));
}
