/*
 * thinpool/bio.h - one request of the host's.
 *
 * The host owns the bio, its iovec and its memory, and leaves all three alone
 * from tp_queue_submit() until end_io runs (B-REQ-10).  A bio that has ended
 * may be used again at once, also from within its end_io.
 */
#ifndef THINPOOL_BIO_H
#define THINPOOL_BIO_H

#include <thinpool/device.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tp_bio {
	enum tp_op op;
	unsigned flags; /* TP_FUA, TP_PREFLUSH: writes; TP_NO_UNMAP */

	/* Bytes from the start of the thin.  length: of a discard and of write
	 * zeroes; of a read or a write it is the iovec's. */
	uint64_t offset, length;
	const struct iovec *iov;
	int iovcnt;

	/*
	 * Runs once, in tp_queue_poll, tp_queue_wait or tp_queue_destroy of
	 * the queue the bio was submitted on.  It may call anything but these
	 * three on that queue.
	 */
	void (*end_io)(struct tp_bio *bio);
	void *context;

	/*
	 * When end_io runs: 0, or the first error met.
	 * -EIO        a device failed, metadata is damaged, the pool's mode
	 *             forbids it, or the thin lost acknowledged writes;
	 * -ENOSPC     no data space (B-OODS), or it was waited for in vain;
	 * -ENOMEM     no memory;
	 * -ECANCELED  it only waited, and the thin or the queue was closed;
	 * a device's own error, unchanged.
	 */
	int status;

	/* The library's, so that a bio costs no allocation. */
	uint64_t library_room[40];
};

#ifdef __cplusplus
}
#endif

#endif
