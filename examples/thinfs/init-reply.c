/*
 * init-reply.c - see init-reply.h.
 *
 * A libfuse that has the word is asked in op_init().  One that has not, but lets
 * its user do the writing, has its first reply completed: the kernel asks for
 * nothing else before that.
 */
#include "init-reply.h"

#include "fuse-version.h"

#if !defined(FUSE_CAP_HANDLE_KILLPRIV_V2) &&                                   \
	FUSE_VERSION >= FUSE_MAKE_VERSION(3, 14)

#include <linux/fuse.h>
#include <stdatomic.h>
#include <sys/uio.h>
#include <unistd.h>

static void complete(const struct iovec *iov, int count)
{
	struct fuse_init_out *init;

	if (count != 2 || iov[1].iov_len != sizeof(*init))
		return; /* an error */
	init = iov[1].iov_base;
	init->flags |= FUSE_HANDLE_KILLPRIV_V2;
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	static atomic_flag is_complete = ATOMIC_FLAG_INIT;

	if (!atomic_flag_test_and_set(&is_complete))
		complete(iov, count);

	return writev(fd, iov, count);
}

static ssize_t read_request(int fd, void *buffer, size_t length, void *userdata)
{
	return read(fd, buffer, length);
}

int init_reply_complete(struct fuse_session *session)
{
	static const struct fuse_custom_io io = {
		.read = read_request,
		.writev = write_reply,
	};

	return fuse_session_custom_io(session, &io, fuse_session_fd(session))
		       ? -1
		       : 0;
}

#else

int init_reply_complete(struct fuse_session *session)
{
	return 0;
}

#endif
