/*
 * nbd-session.h - the connections to an NBD server: requests go in, are sent all
 * at once, and come back in any order.
 *
 * There are several connections if the server says that a flush on one covers
 * what was written on all.  They are made together, and when one is lost all are
 * made again, together, before anything more is sent: so there is always one
 * server that all of them lead to, or the next use shows that there is not.
 *
 * What was in flight when they were lost is sent again: reads, writes, zeroes
 * and discards may be done twice.  If the server stays away too long, all that
 * waits fails.  After that one attempt is made from time to time, when there is
 * a request; and what comes between fails.
 */
#ifndef TPI_IO_NBD_SESSION_H
#define TPI_IO_NBD_SESSION_H

#include <libnbd.h>
#include <pthread.h>

#include "io/request-fifo.h"

#define TPI_NBD_MAX_CONNECTIONS 4u

/* What the export is; must be the same after a reconnection, but may grow. */
struct tpi_nbd_export {
	uint64_t size_bytes;
	uint32_t block_bytes, max_bytes;
	bool read_only, can_flush, can_fua, can_trim, can_zero, can_multi_conn;
};

enum tpi_nbd_state {
	TPI_NBD_UP,
	TPI_NBD_LOST, /* being made again; requests wait */
	TPI_NBD_DOWN, /* given up: requests fail */
};

/* See struct tp_nbd_timeouts. */
enum tpi_nbd_timeout {
	TPI_NBD_CONNECT,
	TPI_NBD_RECONNECT,
	TPI_NBD_ANSWER,
	TPI_NBD_NR_TIMEOUTS,
};

/* What a session asks of its owner, the device. */
struct tpi_nbd_owner {
	/* A request has ended. */
	void (*ended)(struct tpi_nbd_owner *owner,
		      struct tp_device_request *request, int status);

	/* The server, or the way to it, is gone. */
	void (*lost)(struct tpi_nbd_owner *owner);

	/* Connected: does the export serve?  0, or an error. */
	int (*compare)(struct tpi_nbd_owner *owner,
		       const struct tpi_nbd_export *export);
};

struct tpi_nbd_session {
	struct tpi_nbd_owner *owner;
	char *uri;
	_Atomic uint32_t timeouts_ms[TPI_NBD_NR_TIMEOUTS];

	/* Of whoever drives it: its thread, or callers in turn. */
	struct nbd_handle *handles[TPI_NBD_MAX_CONNECTIONS];
	unsigned nr_handles, next_handle;
	enum tpi_nbd_state state;
	uint32_t max_bytes;               /* of a command with data */
	struct tpi_request_fifo finished; /* with what the server said */
	unsigned nr_in_flight;
	bool has_answered; /* since it was connected, or given up */
	uint64_t last_answer_ns, give_up_ns, next_try_ns;

	pthread_mutex_t lock; /* all below */
	pthread_cond_t changed;
	struct tpi_request_fifo incoming;
	bool driven, has_thread, stop;
	pthread_t thread;
	int wake_fd;
};

/*
 * Connect.  @uri is taken: freed by tpi_nbd_session_exit, which is to be called
 * after an error too.  A sentence, and what connecting answers; -ENOMEM.
 */
int tpi_nbd_session_init(struct tpi_nbd_session *session,
			 struct tpi_nbd_owner *owner, char *uri);
void tpi_nbd_session_exit(struct tpi_nbd_session *session);

/* Hand in all of @batch to be done by the session's thread, which is started if
 * need be; false: there is none to be had. */
bool tpi_nbd_hand_over(struct tpi_nbd_session *session,
		       struct tpi_request_fifo *batch);

/* Do all of @batch before it returns; false: the session has a thread. */
bool tpi_nbd_do(struct tpi_nbd_session *session,
		struct tpi_request_fifo *batch);

#endif
