/*
 * passthrough.c - one file, seen through FUSE and otherwise untouched.
 *
 *	passthrough FILE MOUNTPOINT
 *
 * What bench/served measures thinfs against: libfuse's low-level interface, its
 * own threads, the kernel asked for the same as thinfs asks of it.  The file is
 * MOUNTPOINT/volume, of the size that it has when it is mounted.
 */
#define FUSE_USE_VERSION 35

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INO 2
#define REQUEST_BYTES (1u << 20)
#define SECONDS 3600.0 /* nobody else changes it */

static int file;

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	conn->want &=
		~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
			    FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
	conn->want |= conn->capable &
		      (FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO);
	if (conn->max_write > REQUEST_BYTES)
		conn->max_write = REQUEST_BYTES;
}

static int attributes(fuse_ino_t ino, struct stat *st)
{
	if (fstat(file, st))
		return errno;
	st->st_ino = ino;
	if (ino == FUSE_ROOT_ID)
		st->st_mode = S_IFDIR | 0700;

	return 0;
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct stat st;
	int error = attributes(ino, &st);

	if (error)
		fuse_reply_err(req, error);
	else
		fuse_reply_attr(req, &st, SECONDS);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .ino = INO,
					  .attr_timeout = SECONDS,
					  .entry_timeout = SECONDS };
	int error = strcmp(name, "volume") ? ENOENT
					   : attributes(INO, &entry.attr);

	if (error)
		fuse_reply_err(req, error);
	else
		fuse_reply_entry(req, &entry);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

/* Each thread has its own, for its requests come one by one. */
static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	static _Thread_local char *bytes;
	ssize_t n;

	if (!bytes)
		bytes = aligned_alloc(4096, REQUEST_BYTES);
	if (!bytes) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	n = pread(file, bytes, size, offset);
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_buf(req, bytes, (size_t)n);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes,
		     size_t size, off_t offset, struct fuse_file_info *fi)
{
	ssize_t n = pwrite(file, bytes, size, offset);

	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_write(req, (size_t)n);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		     struct fuse_file_info *fi)
{
	fuse_reply_err(req, fdatasync(file) ? errno : 0);
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.getattr = op_getattr,
	.lookup = op_lookup,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
};

static int serve(struct fuse_session *session, const char *mountpoint)
{
	struct fuse_loop_config config = { .max_idle_threads = 16 };
	int r;

	if (fuse_set_signal_handlers(session))
		return 1;
	if (fuse_session_mount(session, mountpoint))
		return 1;
	r = fuse_session_loop_mt(session, &config);
	fuse_session_unmount(session);

	return r != 0;
}

int main(int argc, char *argv[])
{
	char *nothing[] = { argv[0], NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, nothing);
	struct fuse_session *session;
	int r;

	if (argc != 3) {
		fprintf(stderr, "usage: passthrough FILE MOUNTPOINT\n");
		return 2;
	}
	file = open(argv[1], O_RDWR | O_CLOEXEC);
	if (file < 0) {
		perror(argv[1]);
		return 1;
	}
	session =
		fuse_session_new(&args, &operations, sizeof(operations), NULL);
	if (!session)
		return 1;
	r = serve(session, argv[2]);
	fuse_session_destroy(session);

	return r;
}
