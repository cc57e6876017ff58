/*
 * thinpool/device.h - the devices a pool is built on.
 *
 * A pool joins two: metadata and data.  Open one of ours (file, memory, NBD), or
 * bring your own, either as a table of blocking functions (tp_device_ops) or,
 * the fast way, as a table of asynchronous ones (tp_device_async_ops).
 *
 * Units:     bytes, multiples of 512 and of the device's logical block.
 * Errors:    0 or a negative errno.  What a device answers is passed on, but
 *            for errors that the library gives a meaning of its own (-EAGAIN,
 *            -ENODATA, -ENOSPC, ...): those become -EIO.
 * Ownership: devices are counted; a pool holds its two until it is closed.
 * Threads:   the functions below may be called from any thread.
 */
#ifndef THINPOOL_DEVICE_H
#define THINPOOL_DEVICE_H

#include <thinpool/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tp_device;

struct tp_device *tp_device_ref(struct tp_device *device);

/* Drops a reference; the last one closes the device.  NULL is allowed. */
void tp_device_unref(struct tp_device *device);

/* What a device can do natively. */
#define TP_DEVICE_FUA (1u << 0)      /* writes that are durable when they end */
#define TP_DEVICE_NO_CACHE (1u << 1) /* every write that ended is durable */
#define TP_DEVICE_DISCARD (1u << 2)
#define TP_DEVICE_WRITE_ZEROES (1u << 3)
#define TP_DEVICE_READ_ONLY (1u << 4)
#define TP_DEVICE_COPY (1u << 5) /* from one place of it to another */

/*
 * What a device is, asked and not assumed.  If buffers must be aligned (to more
 * than 1), then so must the length of each, to the logical block; the library
 * copies what is not, and what comes in more than 1024 pieces.
 */
struct tp_device_limits {
	size_t struct_size;
	uint64_t size_bytes;             /* now; it may grow */
	uint32_t logical_block_bytes;    /* of offsets and lengths: 512..4096 */
	uint32_t memory_alignment_bytes; /* of buffers: 1..4096, see above */
	uint32_t discard_granularity_bytes;
	uint64_t discard_max_bytes; /* 0: no limit */
	unsigned features;          /* TP_DEVICE_ */
};
#define TP_DEVICE_LIMITS_INIT                                                  \
	{                                                                      \
		.struct_size = sizeof(struct tp_device_limits)                 \
	}

/* -EINVAL: no struct_size. */
int tp_device_get_limits(struct tp_device *device,
			 struct tp_device_limits *limits);

/*---------------------------- a file or a block device ---------------------*/

#define TP_FILE_READ_ONLY (1u << 0)
#define TP_FILE_DIRECT (1u << 1) /* O_DIRECT: past the host's page cache */

/*
 * Who reads and writes a file.  INLINE: the thread that submits, whatever is in
 * the page cache or goes there; threads, what waits for the device: reads that
 * are not in the cache, where the kernel can tell, durable writes, flushes,
 * discards.  It is for servers with a thread for each request, which has nothing
 * else to do meanwhile; with O_DIRECT it is the same as THREADS.
 */
enum tp_file_engine {
	TP_FILE_ENGINE_DEFAULT, /* INLINE in tmpfs; else URING where the
				 * kernel has it, or THREADS */
	TP_FILE_ENGINE_URING,   /* -EOPNOTSUPP where it has not */
	TP_FILE_ENGINE_THREADS, /* pread and pwrite in a few threads */
	TP_FILE_ENGINE_INLINE,
};

struct tp_file_options {
	size_t struct_size;
	unsigned flags; /* TP_FILE_ */
	enum tp_file_engine engine;
	unsigned nr_threads; /* of what does not go to io_uring; 0: 4 */
};
#define TP_FILE_OPTIONS_INIT                                                   \
	{                                                                      \
		.struct_size = sizeof(struct tp_file_options)                  \
	}

/*
 * Open a regular file or a block device that is there.  NULL options: all
 * defaults.  Sizes are read again whenever asked for.
 *
 * -ENOENT, -EACCES and the like from open(2); -EINVAL: neither a regular file
 * nor a block device, unknown flag, a logical block that is not 512..4096;
 * -EOPNOTSUPP: the engine is not to be had; -ENOMEM.
 */
int tp_device_open_file(const char *path, const struct tp_file_options *options,
			struct tp_device **device);

/*---------------------------- memory ---------------------------------------*/

/*
 * A sparse device of @size bytes that forgets all when it is closed; reads of
 * what was never written give zeroes.  For tests and caches.
 *
 * -EINVAL: @size is no multiple of 512, or more than 4 PiB; -ENOMEM.
 */
int tp_device_open_memory(uint64_t size, struct tp_device **device);

/* Make a memory device larger (to smaller: -EINVAL), as a disk would grow. */
int tp_device_grow_memory(struct tp_device *device, uint64_t size);

/*---------------------------- an NBD server --------------------------------*/

/*
 * An export of an NBD server: "nbd://host/export", "nbd+unix:///?socket=path",
 * and what else libnbd understands.  Connects; several times if the server is
 * safe for it.
 *
 * A connection that is lost, or that says nothing for too long, is made again,
 * while requests wait; if that takes too long they fail with -EIO, and later
 * ones at once, until the server is back.  If it may have forgotten what was
 * written and not flushed, every flush fails until all pools that use the device
 * are closed: so no flush is told to have succeeded that did not.
 *
 * A host-driven pool waits for the server inside submit and poll, as it does
 * for any device that blocks.
 *
 * -EOPNOTSUPP  the library was built without libnbd;
 * -EINVAL      an export with blocks of more than 4096 bytes;
 * -ECONNREFUSED, -ETIMEDOUT, -ENOENT and the like; -ENOMEM.
 */
int tp_device_open_nbd(const char *uri, struct tp_device **device);

struct tp_nbd_timeouts {
	size_t struct_size;
	uint32_t connect_ms;   /* of one attempt; 0: 5000 */
	uint32_t reconnect_ms; /* until waiting requests fail; 0: 10000 */
	uint32_t answer_ms;    /* of a server that says nothing; 0: 30000 */
};
#define TP_NBD_TIMEOUTS_INIT                                                   \
	{                                                                      \
		.struct_size = sizeof(struct tp_nbd_timeouts)                  \
	}

/* From now on.  -EINVAL: no NBD device, or more than a day. */
int tp_device_set_nbd_timeouts(struct tp_device *device,
			       const struct tp_nbd_timeouts *timeouts);

/*---------------------------- the host's own, blocking ---------------------*/

/*
 * Called from the library's I/O threads, several at once, or, in a host-driven
 * pool, inline in the thread that submits or polls.  Each returns 0 or a
 * negative errno; all of what was asked, or an error.
 */
struct tp_device_ops {
	size_t struct_size;

	/* TP_DEVICE_FUA, TP_DEVICE_NO_CACHE.  Without FUA the library writes,
	 * then flushes. */
	unsigned features;

	int (*read)(void *context, const struct iovec *iov, int iovcnt,
		    uint64_t offset);

	/* @flags: TP_FUA, if features has TP_DEVICE_FUA. */
	int (*write)(void *context, const struct iovec *iov, int iovcnt,
		     uint64_t offset, unsigned flags);

	/* Makes durable every write that completed before this call. */
	int (*flush)(void *context);

	/* NULL: not supported, nothing is passed down (B-POOL-6). */
	int (*discard)(void *context, uint64_t offset, uint64_t length);

	/* NULL: zeroes are written as data. */
	int (*write_zeroes)(void *context, uint64_t offset, uint64_t length);

	/* Bytes; may grow, never shrinks. */
	uint64_t (*size)(void *context);

	/* Once, when the last reference goes; nothing is in flight.  May be
	 * NULL. */
	void (*close)(void *context);

	/* 0: 512, 1, 512 and no limit. */
	uint32_t logical_block_bytes;
	uint32_t memory_alignment_bytes;
	uint32_t discard_granularity_bytes;
	uint64_t discard_max_bytes;

	/*
	 * Copy what is at @source to @offset, as a read and a write would: the
	 * two do not overlap.  -EOPNOTSUPP: not this time, and it is not asked
	 * again.  NULL: blocks are copied through memory.
	 */
	int (*copy)(void *context, uint64_t source, uint64_t offset,
		    uint64_t length);
};
#define TP_DEVICE_OPS_INIT .struct_size = sizeof(struct tp_device_ops)

/*
 * @ops is copied.  On success @context is the device's until close(); on
 * error close() is not called.
 *
 * -EINVAL: read, write, flush or size is missing, an unknown feature, a
 * logical block that is no power of two in 512..4096, a memory alignment that
 * is none in 1..4096, a discard granularity that is no multiple of 512, a
 * discard maximum that is less than it; -ENOMEM.
 */
int tp_device_new(const struct tp_device_ops *ops, void *context,
		  struct tp_device **device);

/*---------------------------- the host's own, asynchronous -----------------*/

/*
 * One request to a device.  The library owns it and keeps it, its iovec and
 * its memory alone until done() was called.
 */
struct tp_device_request {
	enum tp_op op;
	unsigned flags; /* TP_FUA: TP_WRITE to a TP_DEVICE_FUA device */
	uint64_t offset, length; /* bytes; of every op but flush */
	uint64_t source;         /* copy: from there to @offset, no overlap */
	const struct iovec *iov; /* read and write: together @length bytes */
	int iovcnt;

	/* To be called once, from the channel's poll, with 0 or a negative
	 * errno.  It may submit to the same channel. */
	void (*done)(struct tp_device_request *request, int status);
	void *context; /* the library's */

	/* The device's own room while the request is with it. */
	void *device_room[4];

	/* What the library puts back before its own done() is called. */
	struct {
		void (*done)(struct tp_device_request *request, int status);
		void *context;
		enum tp_op op;
		unsigned flags, steps;
	} library;
};

/*
 * A channel is where one thread at a time submits and polls: each queue of the
 * host has one, and the run loop, which now and then a thread runs that submits
 * a bio.  Different channels of a device are used by different threads at once.
 */
struct tp_device_async_ops {
	size_t struct_size;

	unsigned features; /* TP_DEVICE_; what is missing is done without */

	/*
	 * @event_fd: an eventfd of the library's.  After arm() the device adds
	 * 1 to it when a request has ended.  @inline_only: a host-driven pool;
	 * start no thread.
	 */
	int (*open_channel)(void *context, int event_fd, int inline_only,
			    void **channel);

	/* Nothing is in flight on it. */
	void (*close_channel)(void *channel);

	/* Take a request.  It may wait for kick() before it is started.  Must
	 * not call done(): failure is told by poll, as success is. */
	void (*submit)(void *channel, struct tp_device_request *request);

	/* Start what submit() took.  NULL: submit starts it. */
	void (*kick)(void *channel);

	/* Call done() for what has ended, at most @max; how many. */
	unsigned (*poll)(void *channel, unsigned max);

	/*
	 * Ask for a signal on the eventfd: once, for the next request that
	 * ends; a poll may withdraw this.  1 if one has ended already, so that
	 * polling again is better than sleeping; else 0.
	 */
	int (*arm)(void *channel);

	uint64_t (*size)(void *context);
	void (*close)(void *context); /* may be NULL */

	uint32_t logical_block_bytes;
	uint32_t memory_alignment_bytes;
	uint32_t discard_granularity_bytes;
	uint64_t discard_max_bytes;
};
#define TP_DEVICE_ASYNC_OPS_INIT                                               \
	.struct_size = sizeof(struct tp_device_async_ops)

/* As tp_device_new; open_channel, close_channel, submit, poll, arm and size
 * must be there. */
int tp_device_new_async(const struct tp_device_async_ops *ops, void *context,
			struct tp_device **device);

#ifdef __cplusplus
}
#endif

#endif
