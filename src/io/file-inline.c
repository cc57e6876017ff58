/*
 * file-inline.c - requests to a file through the page cache, by the thread that
 * submits them.
 *
 * What is in the cache, or goes there, is copied at once.  io_uring hands it to
 * a thread of the kernel's on many file systems (tmpfs; when written, ext4), and
 * two threads have to be woken for a copy of 4 KiB.  What would wait is left to
 * worker threads, on whose channels all of it ends.
 */
#include "io/file-private.h"

static void inline_submit(void *channel, struct tp_device_request *request)
{
	int r = tpi_file_work_at_once(tpi_workers_context(channel), request);

	if (r == -EAGAIN)
		tpi_workers_submit(channel, request);
	else
		tpi_workers_end(channel, request, r);
}

void tpi_file_use_inline(struct tp_device_async_ops *ops)
{
	tpi_file_use_threads(ops);
	ops->submit = inline_submit;
}
