/*
 * file-device.c - opening a file or a block device, and locking it against
 * other processes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "io/file-private.h"
#include "io/sized-struct.h"

#define ALL_FLAGS (TP_FILE_READ_ONLY | TP_FILE_DIRECT)
#define MAX_THREADS 1024

/*---------------------------- locks ----------------------------------------*/

static bool is_writable(const struct tpi_file *file)
{
	return !(file->flags & TP_FILE_READ_ONLY);
}

static void file_unlock(void *context)
{
	struct tpi_file *file = context;

	if (file->exclusive_fd >= 0)
		close(file->exclusive_fd);
	file->exclusive_fd = -1;
	flock(file->fd, LOCK_UN);
}

/*
 * What keeps mounts, LVM and other careful users away from a block device.
 * Through /proc, for the path may lead elsewhere by now.
 */
static int open_exclusively(struct tpi_file *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	file->exclusive_fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);

	return file->exclusive_fd < 0 ? -errno : 0;
}

static int file_lock(void *context, bool exclusive)
{
	struct tpi_file *file = context;
	int r;

	if (flock(file->fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (!exclusive || !file->is_block || !is_writable(file))
		return 0;

	r = open_exclusively(file);
	if (r)
		file_unlock(file);

	return r;
}

/*---------------------------- engines --------------------------------------*/

static int threads_open_channel(void *context, int event_fd, int inline_only,
				void **channel)
{
	struct tpi_file *file = context;

	return tpi_workers_open_channel(file->workers, event_fd, inline_only,
					channel);
}

void tpi_file_use_threads(struct tp_device_async_ops *ops)
{
	ops->open_channel = threads_open_channel;
	ops->close_channel = tpi_workers_close_channel;
	ops->submit = tpi_workers_submit;
	ops->kick = tpi_workers_kick;
	ops->poll = tpi_workers_poll;
	ops->arm = tpi_workers_arm;
}

static int use_engine(const struct tpi_file *file,
		      struct tp_device_async_ops *ops,
		      struct tpi_device_identity *identity,
		      enum tp_file_engine engine)
{
	int r = -EOPNOTSUPP;

	if (engine == TP_FILE_ENGINE_INLINE ||
	    (engine == TP_FILE_ENGINE_DEFAULT && file->is_memory)) {
		tpi_file_use_inline(ops);
		return 0;
	}
	if (engine != TP_FILE_ENGINE_THREADS)
		r = tpi_file_use_uring(ops, identity);
	if (!r)
		return 0;
	if (engine == TP_FILE_ENGINE_URING)
		return tpi_error(r, "io_uring is not to be had here: %s",
				 tp_strerror(r));
	if (engine == TP_FILE_ENGINE_DEFAULT)
		tpi_log(TP_LOG_INFO, "io_uring is not to be had here: "
				     "threads do its work");
	tpi_file_use_threads(ops);

	return 0;
}

/*---------------------------- open, close ----------------------------------*/

static int open_failed(const char *path)
{
	return tpi_error(-errno, "%s cannot be opened: %s", path,
			 tp_strerror(errno));
}

/* Looked at first, for opening a fifo or a tape does things. */
static int check_type(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return open_failed(path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return tpi_error(-EINVAL,
				 "%s is neither a regular file nor a block "
				 "device",
				 path);

	return 0;
}

/* A block device's node may be, and that says nothing of the device. */
static bool is_on_tmpfs(const struct tpi_file *file)
{
	struct statfs st;

	return !file->is_block && !fstatfs(file->fd, &st) &&
	       st.f_type == TMPFS_MAGIC;
}

static int open_fd(struct tpi_file *file, const char *path)
{
	int r = check_type(path);

	if (r)
		return r;

	file->fd = open(path,
			O_CLOEXEC | (is_writable(file) ? O_RDWR : O_RDONLY) |
				(file->flags & TP_FILE_DIRECT ? O_DIRECT : 0));
	if (file->fd < 0 || fstat(file->fd, &file->stat))
		return open_failed(path);
	file->is_block = S_ISBLK(file->stat.st_mode);
	file->is_memory = is_on_tmpfs(file);

	return 0;
}

static void file_close(void *context)
{
	struct tpi_file *file = context;

	tpi_workers_destroy(file->workers);
	if (file->fd >= 0)
		close(file->fd);
	free(file);
}

static uint64_t file_size(void *context)
{
	return tpi_file_size(context);
}

static struct tpi_device_identity identity_of(const struct tpi_file *file,
					      const char *path)
{
	struct tpi_device_identity identity = {
		.kind = TPI_DEVICE_FILE,
		.major = file->stat.st_dev,
		.minor = file->stat.st_ino,
		.name = path,
		.lock = file_lock,
		.unlock = file_unlock,
	};

	if (file->is_block) {
		identity.kind = TPI_DEVICE_BLOCK;
		identity.major = file->stat.st_rdev;
		identity.minor = 0;
	}

	return identity;
}

static int file_init(struct tpi_file *file, const char *path,
		     const struct tp_file_options *options,
		     struct tp_device **device)
{
	struct tp_device_async_ops ops = {
		TP_DEVICE_ASYNC_OPS_INIT,
		.size = file_size,
		.close = file_close,
	};
	struct tpi_device_identity identity;
	int r;

	file->fd = file->exclusive_fd = -1;
	file->flags = options->flags;
	r = open_fd(file, path);
	if (r)
		return r;
	r = tpi_file_ask_limits(file, &ops);
	if (r)
		return r;
	identity = identity_of(file, path);
	r = use_engine(file, &ops, &identity, options->engine);
	if (r)
		return r;
	r = tpi_workers_new(options->nr_threads, tpi_file_work, file,
			    &file->workers);
	if (r)
		return r;

	return tpi_device_new(&ops, file, &identity, device);
}

static int take_options(struct tp_file_options *ours,
			const struct tp_file_options *theirs)
{
	int r;

	*ours = (struct tp_file_options)TP_FILE_OPTIONS_INIT;
	if (!theirs)
		return 0;

	r = tpi_take_struct(ours, sizeof(*ours), theirs,
			    "struct tp_file_options");
	if (r)
		return r;
	if (ours->flags & ~ALL_FLAGS)
		return tpi_error(-EINVAL, "unknown flags %#x for a file",
				 ours->flags & ~ALL_FLAGS);
	if (ours->engine > TP_FILE_ENGINE_INLINE)
		return tpi_error(-EINVAL, "unknown engine %d for a file",
				 (int)ours->engine);
	if (ours->nr_threads > MAX_THREADS)
		return tpi_error(-EINVAL, "%u I/O threads are more than %u",
				 ours->nr_threads, MAX_THREADS);

	return 0;
}

int tp_device_open_file(const char *path, const struct tp_file_options *options,
			struct tp_device **device)
{
	struct tp_file_options ours;
	struct tpi_file *file;
	int r;

	if (!path || !device)
		return tpi_error(-EINVAL, "tp_device_open_file: NULL argument");
	r = take_options(&ours, options);
	if (r)
		return r;

	file = calloc(1, sizeof(*file));
	if (!file)
		return tpi_error(-ENOMEM, "no memory for a file device");
	r = file_init(file, path, &ours, device);
	if (r)
		file_close(file);

	return r;
}
