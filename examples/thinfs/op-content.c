/*
 * op-content.c - what is done to an open file.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "content.h"
#include "operations.h"
#include "worker.h"

/*---------------------------- open and close -------------------------------*/

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct names *names = thinfs_of(req)->names;
	struct volume *volume = volume_of(ino);
	int r = 0;

	if (volume->read_only && (fi->flags & O_ACCMODE) != O_RDONLY)
		r = -EROFS;
	if (!r)
		r = names_hold(names, volume);
	if (r) {
		reply(req, r);
		return;
	}
	fi->keep_cache = 1;
	if (fuse_reply_open(req, fi)) /* who asked is gone */
		names_release(names, volume);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	names_release(thinfs_of(req)->names, volume_of(ino));
	reply(req, 0);
}

/* Of each close(2), which can tell of an error. */
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	reply(req, names_keep_size(thinfs_of(req)->names, volume_of(ino)));
}

/*---------------------------- read, write, sync ----------------------------*/

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	     struct fuse_file_info *fi)
{
	char *data;
	int r = -EINVAL;

	if (size <= REQUEST_BYTES)
		r = content_read(volume_of(ino), (uint64_t)offset, &size,
				 &data);
	if (r)
		reply(req, r);
	else
		fuse_reply_buf(req, data, size);
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
	      off_t offset, struct fuse_file_info *fi)
{
	int r = -EINVAL;

	if (size <= REQUEST_BYTES)
		r = content_write(volume_of(ino), (uint64_t)offset, size, data);
	if (r)
		reply(req, r);
	else
		fuse_reply_write(req, size);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int only_data,
	      struct fuse_file_info *fi)
{
	reply(req, content_sync(thinfs_of(req)->names, volume_of(ino)));
}

/*---------------------------- holes ----------------------------------------*/

/*
 * Nothing is reserved: in a thin pool, space is taken by writing.  So to zero a
 * range gives its blocks back as to punch a hole does, and to allocate one
 * makes the file as long as asked, no more.
 */
static int allocate(struct volume *volume, int mode, uint64_t begin,
		    uint64_t end)
{
	switch (mode) {
	case 0:
		return content_extend(volume, end);
	case FALLOC_FL_KEEP_SIZE:
		return 0;
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		return content_clear(volume, begin, end, false);
	case FALLOC_FL_ZERO_RANGE:
		return content_clear(volume, begin, end, true);
	default:
		return -EINVAL;
	}
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
		  off_t length, struct fuse_file_info *fi)
{
	uint64_t begin = (uint64_t)offset;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE |
		     FALLOC_FL_ZERO_RANGE))
		fuse_reply_err(req, EOPNOTSUPP);
	else
		reply(req, allocate(volume_of(ino), mode, begin,
				    begin + (uint64_t)length));
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
	      struct fuse_file_info *fi)
{
	uint64_t found;
	int r = content_seek(volume_of(ino), (uint64_t)offset, whence, &found);

	if (r)
		reply(req, r);
	else
		fuse_reply_lseek(req, (off_t)found);
}

/*---------------------------- copies ---------------------------------------*/

void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t offset_in,
			struct fuse_file_info *fi_in, fuse_ino_t ino_out,
			off_t offset_out, struct fuse_file_info *fi_out,
			size_t length, int flags)
{
	int r = content_copy(thinfs_of(req)->names, volume_of(ino_in),
			     (uint64_t)offset_in, volume_of(ino_out),
			     (uint64_t)offset_out, &length);

	if (r)
		reply(req, r);
	else
		fuse_reply_write(req, length);
}
