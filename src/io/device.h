/*
 * device.h - a device as the floors above see it: channels to submit requests
 * on, and what a device can do.
 *
 * Every kind of device is a table of tp_device_async_ops.  The channel adds,
 * for all of them alike, what a device lacks: FUA as write and flush, zeroes
 * as data, buffers that are not aligned, discards beyond a limit, flushes of a
 * device that has no cache.
 */
#ifndef TPI_IO_DEVICE_H
#define TPI_IO_DEVICE_H

#include <thinpool/device.h>

#include "io/base.h"

/*---------------------------- identity and claims --------------------------*/

/* What the ops tables of our own devices have besides: who they are, a lock
 * that other processes see, and a way to sleep.  NULL lock: marked in memory
 * only. */
struct tpi_device_identity {
	/* Two handles of one file or disk have the same (B-BAD-2). */
	enum tpi_device_kind {
		TPI_DEVICE_OTHER, /* the handle itself */
		TPI_DEVICE_FILE,  /* st_dev, st_ino */
		TPI_DEVICE_BLOCK, /* st_rdev, 0 */
	} kind;
	uint64_t major, minor;
	const char *name;                           /* for messages; copied */
	int (*lock)(void *context, bool exclusive); /* -EBUSY */
	void (*unlock)(void *context);

	/* See tpi_channel_prepare_sleep() and tpi_channel_sleep(); both or
	 * neither. */
	int (*prepare_sleep)(void *channel, unsigned *nr_to_start);
	void (*sleep)(void *channel, unsigned nr_to_start, uint64_t timeout_ns);
};

/* Like tp_device_new_async; NULL identity: the handle itself. */
int tpi_device_new(const struct tp_device_async_ops *ops, void *context,
		   const struct tpi_device_identity *identity,
		   struct tp_device **device);

bool tpi_device_same(const struct tp_device *a, const struct tp_device *b);

/*
 * Claim a device for a pool: exclusively, or with others that only read.
 * -EBUSY with a sentence that says who (a pool of this process, another).
 */
int tpi_device_claim(struct tp_device *device, bool exclusive);
void tpi_device_release(struct tp_device *device, bool exclusive);

uint64_t tpi_device_size(struct tp_device *device); /* bytes, now */
unsigned tpi_device_features(const struct tp_device *device);

/* All of them are fixed but size_bytes, for which see above. */
const struct tp_device_limits *
tpi_device_limits(const struct tp_device *device);

/*---------------------------- channels -------------------------------------*/

struct tpi_channel;

/* See tp_device_async_ops.open_channel for @event_fd and @inline_only.  A
 * reference to the device is held until the channel is closed. */
int tpi_channel_open(struct tp_device *device, int event_fd, bool inline_only,
		     struct tpi_channel **channel);

/* Nothing is in flight.  NULL is allowed. */
void tpi_channel_close(struct tpi_channel *channel);

/*
 * Hand in a request: any op, any flags, any length within the device, any
 * memory alignment (B-FUA-5, B-WRITE-4).  done() is called from poll, never
 * from here.  A range beyond the device's end ends with -EIO, an op that
 * it cannot do with -EOPNOTSUPP, a write to a read-only one with -EROFS.
 *
 * TP_WRITE_ZEROES is always possible; TP_DISCARD and TP_COPY only where the
 * device can.
 */
void tpi_channel_submit(struct tpi_channel *channel,
			struct tp_device_request *request);

/* Start what was submitted; cheap if nothing waits.  Where no kick is needed
 * everything is started as it is submitted. */
void tpi_channel_kick(struct tpi_channel *channel);
bool tpi_channel_needs_kick(const struct tpi_channel *channel);

unsigned tpi_channel_poll(struct tpi_channel *channel, unsigned max);
int tpi_channel_arm(struct tpi_channel *channel);

/*
 * Some devices can be slept on, which takes fewer system calls than a signal on
 * the eventfd.  Prepare as one would arm, with the same result; the sleep then
 * ends when a request has ended, when the eventfd is readable, after
 * @timeout_ns (UINT64_MAX: never), or for nothing.  Other threads may use the
 * channel meanwhile, so that no lock of theirs is to be held.
 *
 * What was submitted and not kicked is started: by the sleep, if it is told what
 * preparing it has set *@nr_to_start to, or, if that is NULL, at once.
 */
bool tpi_channel_can_sleep(const struct tpi_channel *channel);
int tpi_channel_prepare_sleep(struct tpi_channel *channel,
			      unsigned *nr_to_start);
void tpi_channel_sleep(struct tpi_channel *channel, unsigned nr_to_start,
		       uint64_t timeout_ns);

/* How many requests are with it. */
unsigned tpi_channel_in_flight(const struct tpi_channel *channel);

#endif
