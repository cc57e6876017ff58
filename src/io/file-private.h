/*
 * file-private.h - a file or block device as the parts of the file device see
 * it: file-device.c opens it, file-limits.c asks what it can do, file-work.c
 * does what blocks, and file-uring.c or file-inline.c does what need not.
 */
#ifndef TPI_IO_FILE_PRIVATE_H
#define TPI_IO_FILE_PRIVATE_H

#include <sys/stat.h>

#include "io/device.h"
#include "io/worker-threads.h"

struct tpi_file {
	int fd;
	int exclusive_fd; /* of a claimed block device, O_EXCL; or -1 */
	unsigned flags;   /* TP_FILE_ */
	bool is_block;
	bool is_memory; /* of tmpfs: nothing but the processor is waited for */
	struct stat stat; /* at open: who it is */
	struct tpi_workers *workers;
};

/* Bytes; 0 if that cannot be told. */
uint64_t tpi_file_size(const struct tpi_file *file);

/* Fill in features, alignments and discard limits. */
int tpi_file_ask_limits(const struct tpi_file *file,
			struct tp_device_async_ops *ops);

/* Do a request, however long it takes; @context is a struct tpi_file. */
int tpi_file_work(void *context, const struct tp_device_request *request);

/* Do a request if that does not wait for a device, or take long; else -EAGAIN. */
int tpi_file_work_at_once(struct tpi_file *file,
			  const struct tp_device_request *request);

/*
 * Fill in the channel functions of an engine.  io_uring: -EOPNOTSUPP, without
 * a sentence, where the kernel or this build has none.
 */
void tpi_file_use_threads(struct tp_device_async_ops *ops);
void tpi_file_use_inline(struct tp_device_async_ops *ops);
int tpi_file_use_uring(struct tp_device_async_ops *ops,
		       struct tpi_device_identity *identity);

#endif
