/*
 * file-work.c - requests to a file or block device, by calls that block.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/file-private.h"
#include "io/iov.h"

/*---------------------------- read and write -------------------------------*/

static ssize_t transfer_some(const struct tpi_file *file,
			     const struct tp_device_request *request,
			     uint64_t done, int flags)
{
	off_t offset = (off_t)(request->offset + done);
	struct tpi_iov_rest rest;

	tpi_iov_skip(&rest, request->iov, request->iovcnt, done);
	if (request->op == TP_READ)
		return preadv2(file->fd, rest.iov, rest.iovcnt, offset, flags);

	return pwritev2(file->fd, rest.iov, rest.iovcnt, offset,
			flags | (request->flags & TP_FUA ? RWF_DSYNC : 0));
}

static int transfer(const struct tpi_file *file,
		    const struct tp_device_request *request)
{
	uint64_t done = 0;

	while (done < request->length) {
		ssize_t n = transfer_some(file, request, done, 0);

		if (n > 0)
			done += n;
		else if (!n)
			return -EIO; /* cut off behind our back */
		else if (errno != EINTR)
			return -errno;
	}

	return 0;
}

/*---------------------------- discard and zeroes ---------------------------*/

static int allocate(const struct tpi_file *file, int mode,
		    const struct tp_device_request *request)
{
	int r;

	do {
		r = fallocate(file->fd, mode | FALLOC_FL_KEEP_SIZE,
			      (off_t)request->offset, (off_t)request->length);
	} while (r && errno == EINTR);

	return r ? -errno : 0;
}

static int block_ioctl(const struct tpi_file *file, unsigned long command,
		       const struct tp_device_request *request)
{
	uint64_t range[2] = { request->offset, request->length };

	return ioctl(file->fd, command, range) ? -errno : 0;
}

/* There are many words for it. */
static int not_supported(int error)
{
	return error == -ENOSYS || error == -ENOTTY ? -EOPNOTSUPP : error;
}

static int discard(const struct tpi_file *file,
		   const struct tp_device_request *request)
{
	return not_supported(
		file->is_block ? block_ioctl(file, BLKDISCARD, request)
			       : allocate(file, FALLOC_FL_PUNCH_HOLE, request));
}

static int write_zeroes(const struct tpi_file *file,
			const struct tp_device_request *request)
{
	return not_supported(
		file->is_block ? block_ioctl(file, BLKZEROOUT, request)
			       : allocate(file, FALLOC_FL_ZERO_RANGE, request));
}

/*---------------------------------------------------------------------------*/

int tpi_file_work(void *context, const struct tp_device_request *request)
{
	const struct tpi_file *file = context;

	switch (request->op) {
	case TP_READ:
	case TP_WRITE:
		return transfer(file, request);
	case TP_FLUSH:
		return fdatasync(file->fd) ? -errno : 0;
	case TP_DISCARD:
		return discard(file, request);
	case TP_WRITE_ZEROES:
		return write_zeroes(file, request);
	case TP_COPY:
		break;
	}

	return -EOPNOTSUPP;
}

/*---------------------------- at once --------------------------------------*/

/* What is in the cache.  Where the file system cannot tell, it is read. */
static int read_at_once(const struct tpi_file *file,
			const struct tp_device_request *request)
{
	ssize_t n = transfer_some(file, request, 0, RWF_NOWAIT);

	if (n < 0 && errno == EOPNOTSUPP)
		return transfer(file, request);
	if (n < 0 && errno != EINTR)
		return -errno;

	return n == (ssize_t)request->length ? 0 : -EAGAIN;
}

/* Freeing and zeroing may cover all of a file. */
static bool may_take_long(const struct tp_device_request *request)
{
	return request->op == TP_DISCARD || request->op == TP_WRITE_ZEROES;
}

int tpi_file_work_at_once(struct tpi_file *file,
			  const struct tp_device_request *request)
{
	if (may_take_long(request))
		return -EAGAIN;
	if (file->is_memory)
		return tpi_file_work(file, request);
	if (file->flags & TP_FILE_DIRECT)
		return -EAGAIN;
	if (request->op == TP_READ)
		return read_at_once(file, request);
	if (request->op == TP_WRITE && !(request->flags & TP_FUA))
		return transfer(file, request);

	return -EAGAIN;
}
