/*
 * thinpool/queue.h - where a thread submits bios and reaps them.
 *
 * A queue belongs to one thread at a time; any number of queues work at once,
 * on any thins of their pool.
 *
 * Files are read and written by io_uring, from the thread that submits.  A system
 * call in which that thread waits may then end early, as if a signal had been
 * caught: with EINTR, or with fewer bytes than were asked for.
 *
 * Either submit refuses (an error, and end_io never runs) or it accepts (0,
 * and end_io runs exactly once, in poll, wait or destroy of that queue).
 */
#ifndef THINPOOL_QUEUE_H
#define THINPOOL_QUEUE_H

#include <thinpool/bio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tp_pool;
struct tp_thin;
struct tp_queue;

/*
 * A queue for up to @depth bios in flight, 1 to 65536.
 *
 * -EINVAL: depth; -ENOMEM; what the devices answer.
 */
int tp_queue_create(struct tp_pool *pool, unsigned depth,
		    struct tp_queue **queue);

/*
 * Ends what only waits (for space: -ENOSPC; for a resume, and the rest of a
 * huge discard: -ECANCELED), waits for the rest, reaps all, then frees the
 * queue.  Not from an end_io of its own.  NULL is allowed.
 */
void tp_queue_destroy(struct tp_queue *queue);

/*
 * Hand in a bio.  Never blocks.  A read or write whose blocks are mapped,
 * and for a write unshared, is sent to the device from here.  What needs more is
 * for the run loop; if its thread sleeps, the first steps are made here, so that
 * the devices' channels may be called, but no function of the host besides.
 * What an end_io submits may be started when all that were reaped with it have
 * been told of: an end_io must not wait for it.
 *
 * -EAGAIN      @depth bios are in flight or not reaped: poll first;
 * -EINVAL      an offset or length that is not a multiple of the logical
 *              block, a range beyond the end of the thin, flags that do not
 *              belong to the op, no end_io, a thin of another pool;
 * -EROFS       a write, discard or write zeroes through a read-only handle;
 * -EOPNOTSUPP  a discard in a pool that ignores them;
 * -ENOMEM      the first bio of a thin on this queue, no memory.
 */
int tp_queue_submit(struct tp_queue *queue, struct tp_thin *thin,
		    struct tp_bio *bio);

/*
 * While a queue is plugged, what is submitted may be started only by the next
 * poll or wait of that queue, or when it is unplugged: one call to the system
 * then starts all of it, and waits for it.  For a host that does one of these
 * as soon as it has submitted what it has.  A new queue is not plugged.
 */
void tp_queue_plug(struct tp_queue *queue);
void tp_queue_unplug(struct tp_queue *queue);

/* Reap at most @max bios (0: all that have ended when it is called); how many.
 * Never blocks.  -EDEADLK: called from within an end_io of this queue. */
int tp_queue_poll(struct tp_queue *queue, unsigned max);

/*
 * Reap at least @min, waiting up to @timeout_ms for them (-1: for ever; 0:
 * do not wait).  How many were reaped, which may be less when the time ran
 * out or nothing more is in flight.  In a host-driven pool this runs the
 * loop.  -EDEADLK as above.
 */
int tp_queue_wait(struct tp_queue *queue, unsigned min, int timeout_ms);

/*
 * Readable when poll has something to reap; it may wake for nothing.  Poll
 * until it returns 0, then sleep on it: only a poll that found nothing asks
 * for the next signal.  The queue's own: do not read or close it.
 */
int tp_queue_fd(struct tp_queue *queue);

#ifdef __cplusplus
}
#endif

#endif
