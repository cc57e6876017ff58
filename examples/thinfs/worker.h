/*
 * worker.h - the threads that serve the kernel's requests, each with a queue
 * of the pool and a buffer of its own.
 *
 * A worker serves one request at a time, from the first byte to the reply: what
 * a request does can be read from top to bottom.  There are as many workers as
 * requests to be served at once.
 */
#ifndef THINFS_WORKER_H
#define THINFS_WORKER_H

#include <stdbool.h>
#include <thinpool/thinpool.h>

struct fuse_session;
struct workers;

/* Data that one request carries; more than the kernel asks for. */
#define REQUEST_BYTES (1u << 20)

/* And what rounding up to logical blocks, of 4096 bytes, adds at two ends. */
#define BUFFER_BYTES (REQUEST_BYTES + 2 * 4096u)

/* What the calling thread has for its I/O: a worker, or one that became one. */
struct tp_queue *worker_queue(void);
char *worker_buffer(void);

/* Before the workers start and after they ended, another thread can do I/O as
 * they do.  0 or a negative errno. */
int worker_become(struct tp_pool *pool);
void worker_resign(void);

/*
 * Start @nr of them.  @ended: an eventfd that is written when the file system
 * was unmounted.  0 or a negative errno.
 */
int workers_start(struct tp_pool *pool, struct fuse_session *session,
		  unsigned nr, int ended, struct workers **workers);

/* Serve what the kernel has asked for by now, then end.  NULL is allowed. */
void workers_stop(struct workers *workers);

#endif
