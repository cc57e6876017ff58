/*
 * operations.c - the table of them, and what they share.
 */
#include "operations.h"

#include "report.h"

const struct fuse_lowlevel_ops thinfs_operations = {
	.init = op_init,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.statfs = op_statfs,

	.lookup = op_lookup,
	.forget = op_forget,
	.mknod = op_mknod,
	.create = op_create,
	.mkdir = op_mkdir,
	.symlink = op_symlink,
	.link = op_link,
	.unlink = op_unlink,
	.rename = op_rename,

	.opendir = op_opendir,
	.readdir = op_readdir,
	.releasedir = op_releasedir,
	.fsyncdir = op_fsyncdir,

	.open = op_open,
	.release = op_release,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.fsync = op_fsync,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.copy_file_range = op_copy_file_range,

	.getxattr = op_getxattr,
	.setxattr = op_setxattr,
	.listxattr = op_listxattr,
};

struct thinfs *thinfs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

struct volume *volume_of(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? NULL : (struct volume *)(uintptr_t)ino;
}

fuse_ino_t ino_of(const struct volume *volume)
{
	return (fuse_ino_t)(uintptr_t)volume;
}

void reply(fuse_req_t req, int r)
{
	fuse_reply_err(req, errno_for_kernel(r));
}
