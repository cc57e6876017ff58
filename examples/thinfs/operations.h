/*
 * operations.h - what the kernel asks for.
 *
 * A request becomes a call of names.h or content.h, and its answer a reply.  An
 * inode is a volume's address, but for the one directory.
 *
 * The kernel caches.  Pages: so that mmap works, and what is read again is
 * there; written through, so that a write that has returned is with us, a
 * snapshot has it, and a pool that is full says so to who writes (a cache that
 * writes back later would do so at the next fsync or never).  All changes are
 * made by the kernel's requests, so what it has cached is good as long as it
 * likes (keep_cache, and names that do not expire).  Only the number of blocks
 * changes by itself, with what is shared or deleted: attributes expire.
 */
#ifndef THINFS_OPERATIONS_H
#define THINFS_OPERATIONS_H

#include "fuse-version.h"
#include "names.h"

/* What each request comes with. */
struct thinfs {
	struct pool pool;
	struct names *names;
	unsigned nr_workers;
	bool solid; /* files look as if no byte of them were a hole */
};

extern const struct fuse_lowlevel_ops thinfs_operations;

/*---------------------------- shared by the files op-*.c -------------------*/

#define NAME_SECONDS 86400.0
#define ATTRIBUTE_SECONDS 1.0

struct thinfs *thinfs_of(fuse_req_t req);

/* NULL: the directory. */
struct volume *volume_of(fuse_ino_t ino);
fuse_ino_t ino_of(const struct volume *volume);

/* 0 or the library's error. */
void reply(fuse_req_t req, int r);

/* What stat(2) shows; NULL: the directory. */
int get_attributes(fuse_req_t req, struct volume *volume, struct stat *st);

/*---------------------------- op-attributes.c ------------------------------*/

void op_init(void *userdata, struct fuse_conn_info *conn);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi);
void op_statfs(fuse_req_t req, fuse_ino_t ino);

/*---------------------------- op-names.c -----------------------------------*/

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nr);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	      dev_t rdev);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		const char *name);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
	     const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
	       fuse_ino_t new_parent, const char *new_name, unsigned flags);

/*---------------------------- op-directory.c -------------------------------*/

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int only_data,
		 struct fuse_file_info *fi);

/*---------------------------- op-content.c ---------------------------------*/

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	     struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
	      off_t offset, struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int only_data,
	      struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
		  off_t length, struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
	      struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t offset_in,
			struct fuse_file_info *fi_in, fuse_ino_t ino_out,
			off_t offset_out, struct fuse_file_info *fi_out,
			size_t length, int flags);

/*---------------------------- op-xattr.c -----------------------------------*/

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		 const char *value, size_t size, int flags);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);

#endif
