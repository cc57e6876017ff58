/*
 * op-attributes.c - what files look like, and the file system as a whole.
 *
 * The pool keeps no owners, modes and times: a volume belongs to whoever has
 * mounted the pool, who may read and write it; its time of change is known as
 * long as the kernel knows the file.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "content.h"
#include "operations.h"
#include "worker.h"

/*---------------------------- the connection -------------------------------*/

static void ask_for(struct fuse_conn_info *conn, unsigned capability)
{
	conn->want |= conn->capable & capability;
}

/*
 * Not wanted: splice, for requests are read into memory anyway; that open()
 * truncates, for setattr does; that a new time of change drops the page cache,
 * for it tells of nothing that the kernel has not done itself.
 */
void op_init(void *userdata, struct fuse_conn_info *conn)
{
	const struct thinfs *thinfs = userdata;

	conn->want &=
		~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
			    FUSE_CAP_SPLICE_MOVE | FUSE_CAP_ATOMIC_O_TRUNC |
			    FUSE_CAP_AUTO_INVAL_DATA);
	ask_for(conn, FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO |
			      FUSE_CAP_PARALLEL_DIROPS);
#ifdef FUSE_CAP_HANDLE_KILLPRIV_V2
	ask_for(conn, FUSE_CAP_HANDLE_KILLPRIV_V2); /* init-reply.h */
#endif
	if (conn->max_write > REQUEST_BYTES)
		conn->max_write = REQUEST_BYTES;
	conn->max_background = thinfs->nr_workers;
	conn->congestion_threshold = thinfs->nr_workers;
}

/*---------------------------- files ----------------------------------------*/

static void directory_attributes(struct stat *st)
{
	st->st_ino = FUSE_ROOT_ID;
	st->st_mode = S_IFDIR | 0700;
	st->st_nlink = 2;
}

/*
 * cp looks for holes in what has fewer blocks than bytes, and copies what lies
 * between them by reading and writing.  Of a solid file it asks for a copy of
 * all at once, and that is a snapshot.
 */
static blkcnt_t nr_blocks(const struct thinfs *thinfs,
			  const struct volume *volume, uint64_t mapped)
{
	uint64_t size = volume_round_size(volume->size);

	return (blkcnt_t)((thinfs->solid && size > mapped ? size : mapped) /
			  512);
}

static int volume_attributes(const struct thinfs *thinfs, struct volume *volume,
			     struct stat *st)
{
	uint64_t mapped = 0;
	int r = 0;

	if (!volume->needs_origin)
		r = volume_mapped_bytes(volume, &mapped);
	if (r)
		return r;
	st->st_ino = volume->number;
	st->st_mode = S_IFREG | (volume->read_only ? 0400 : 0600);
	st->st_nlink = !volume->is_unlinked;
	st->st_size = (off_t)volume->size;
	st->st_blocks = nr_blocks(thinfs, volume, mapped);
	pthread_mutex_lock(&volume->lock);
	st->st_mtim = st->st_ctim = st->st_atim = volume->changed_at;
	pthread_mutex_unlock(&volume->lock);

	return 0;
}

int get_attributes(fuse_req_t req, struct volume *volume, struct stat *st)
{
	const struct thinfs *thinfs = thinfs_of(req);

	memset(st, 0, sizeof(*st));
	st->st_uid = getuid();
	st->st_gid = getgid();
	st->st_blksize = (blksize_t)(thinfs->pool.block_bytes < REQUEST_BYTES
					     ? thinfs->pool.block_bytes
					     : REQUEST_BYTES);
	if (volume)
		return volume_attributes(thinfs, volume, st);
	directory_attributes(st);

	return 0;
}

static void reply_attributes(fuse_req_t req, struct volume *volume)
{
	struct stat st;
	int r = get_attributes(req, volume, &st);

	if (r)
		reply(req, r);
	else
		fuse_reply_attr(req, &st, ATTRIBUTE_SECONDS);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	reply_attributes(req, volume_of(ino));
}

/*---------------------------- changing them --------------------------------*/

/* Who asks for what is there already may have it. */
static int check_owner(fuse_req_t req, struct volume *volume,
		       const struct stat *attr, int to_set)
{
	struct stat st;
	int r = get_attributes(req, volume, &st);

	if (r)
		return r;
	if ((to_set & FUSE_SET_ATTR_MODE &&
	     (attr->st_mode & 07777) != (st.st_mode & 07777)) ||
	    (to_set & FUSE_SET_ATTR_UID && attr->st_uid != st.st_uid) ||
	    (to_set & FUSE_SET_ATTR_GID && attr->st_gid != st.st_gid))
		return -EPERM;

	return 0;
}

/* Durable at once: who sizes a volume does so once. */
static int set_size(struct thinfs *thinfs, struct volume *volume, off_t size)
{
	int r = volume->read_only ? -EROFS : volume_use(volume);

	if (r)
		return r;
	r = content_resize(volume, (uint64_t)size);
	if (!r)
		r = names_keep_size(thinfs->names, volume);
	volume_unuse(volume);

	return r;
}

static void set_time(struct volume *volume, const struct stat *attr, int to_set)
{
	pthread_mutex_lock(&volume->lock);
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		clock_gettime(CLOCK_REALTIME, &volume->changed_at);
	else if (to_set & FUSE_SET_ATTR_MTIME)
		volume->changed_at = attr->st_mtim;
	pthread_mutex_unlock(&volume->lock);
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi)
{
	struct volume *volume = volume_of(ino);
	int r = check_owner(req, volume, attr, to_set);

	if (!r && volume && to_set & FUSE_SET_ATTR_SIZE)
		r = set_size(thinfs_of(req), volume, attr->st_size);
	if (!r && volume)
		set_time(volume, attr, to_set);
	if (r)
		reply(req, r);
	else
		reply_attributes(req, volume);
}

/*---------------------------- the whole of it ------------------------------*/

/* Blocks are those of the data device, since it is with these that a volume
 * grows; files are thins. */
void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	const struct pool *pool = &thinfs_of(req)->pool;
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	struct statvfs st = { .f_namemax = TP_NAME_MAX };
	int r = tp_pool_get_status(pool->pool, &status);

	if (r) {
		reply(req, r);
		return;
	}
	st.f_bsize = st.f_frsize = pool->block_bytes;
	st.f_blocks = status.data_blocks;
	st.f_bfree = st.f_bavail = status.data_blocks - status.used_data_blocks;
	st.f_files = TP_THIN_ID_END;
	st.f_ffree = st.f_favail = TP_THIN_ID_END - status.nr_thins;
	fuse_reply_statfs(req, &st);
}
