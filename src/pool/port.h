/*
 * port.h - where bios go to the data device: one for each queue, one for the
 * run loop.
 *
 * A port has a channel to the device, counts the sections of the bios that are
 * in flight on it, and has fragments, the pieces that a bio is sent in when one
 * request does not do.  Its lock guards all of that.  The owner of a queue
 * takes it to submit and to poll, and hardly ever meets anybody: only the run
 * loop, when it waits for a grace period, looks in, and then also polls the
 * channel, so that a host that is slow to reap holds nothing up.
 */
#ifndef TPI_POOL_PORT_H
#define TPI_POOL_PORT_H

#include <pthread.h>

#include "io/device.h"
#include "pool/epoch.h"
#include "pool/loop.h"
#include "pool/owner-lock.h"

#include <thinpool/thin.h>

struct tp_pool;
struct tp_thin;
struct tp_queue;
struct tpi_port;
struct tpi_thin_state;

/* What a port knows of one handle. */
struct tpi_thin_section {
	struct tpi_section section;
	bool wrote; /* a write ended that no flush has made durable yet */
	bool lost;  /* one did, and a flush failed while it was in flight */
	struct tp_io_statistics statistics; /* since they were collected */

	/* Bios submitted here and not reaped; only the owner changes it. */
	_Atomic unsigned nr_unreaped;
};

/* Handles are numbered; a port has its sections in chunks made when needed. */
#define TPI_SECTIONS_PER_CHUNK 64u
#define TPI_SECTION_CHUNKS 1024u
#define TPI_HANDLES_MAX (TPI_SECTIONS_PER_CHUNK * TPI_SECTION_CHUNKS)

/* Longer iovecs are sent in several requests. */
#define TPI_FRAGMENT_IOVECS 16

/* One request to a device on behalf of a bio. */
struct tpi_fragment {
	struct tp_device_request request;
	struct tp_bio *bio;
	struct tpi_port *port;
	struct tpi_thin_section *section;
	uint64_t nr_failed_flushes; /* of the pool, when it was sent */
	uint8_t pool_parity, thin_parity;
	bool embedded; /* in the bio: not the port's to keep */
};

struct tpi_spare_fragment {
	struct tpi_fragment fragment;
	struct tpi_spare_fragment *next;
	struct iovec iov[TPI_FRAGMENT_IOVECS];
};

/*
 * A request of the run loop's on behalf of a bio, sent by the port of the bio's
 * queue where that can be slept on and has few in flight.  So its owner hears of
 * the end, who waits for the bio, and goes on with it as the loop's helper;
 * through the loop's own port its thread would have to wake up first, and then
 * wake the owner.
 */
struct tpi_relay {
	struct tp_device_request request;
	struct tpi_task task; /* of the loop, when it has ended */
	struct tpi_port *port;
	int status;
	void (*done)(struct tpi_relay *relay, int status); /* on the loop */
};

struct tpi_port {
	struct tpi_owner_lock lock; /* the owner: the queue's thread */
	struct tp_pool *pool;
	struct tp_queue *queue; /* NULL: the run loop's */
	struct tpi_list entry;  /* in pool->ports */
	struct tpi_channel *channel;
	struct tpi_section all; /* sections of any thin */
	struct tpi_thin_section *chunks[TPI_SECTION_CHUNKS];
	struct tpi_spare_fragment *spares, *spare_memory;
	unsigned nr_spares;
	struct tpi_list waiting;  /* run loop: tasks that want a fragment */
	struct tpi_list relayed;  /* tasks of relays that have ended */
	struct tpi_list unkicked; /* in pool->unkicked_ports */
	bool plugged;             /* the host starts it itself, very soon */

	/* Bios that ended here and are to be reaped. */
	struct tp_bio *ended, **ended_tail;
};

int tpi_port_init(struct tpi_port *port, struct tp_pool *pool,
		  struct tp_queue *queue, int event_fd, unsigned nr_spares);
void tpi_port_exit(struct tpi_port *port);

/* The section of a handle; made if need be.  NULL: no memory. */
struct tpi_thin_section *tpi_port_section(struct tpi_port *port,
					  const struct tp_thin *thin);

/* The same, NULL if nothing was ever submitted for it here. */
struct tpi_thin_section *tpi_port_find_section(const struct tpi_port *port,
					       unsigned slot);

/*
 * Send a part of a bio, [from, to) of the thin, to @channel at @offset.  The
 * fragment is the bio's own if that is free and the part is the whole of the
 * bio's iovec.  Returns how many bytes of it went, which is less if the iovec
 * is long, and 0 if no fragment is free.  Ends in tpi_bio_part_ended().
 */
uint64_t tpi_port_send(struct tpi_port *port, struct tpi_channel *channel,
		       struct tp_bio *bio, struct tpi_thin_section *section,
		       uint64_t from, uint64_t to, uint64_t offset);

/* On the loop: send relay->request, on behalf of a bio that does not end before
 * relay->done was called. */
void tpi_port_relay(struct tp_bio *bio, struct tpi_relay *relay);

/* The same on a channel of the loop's own. */
void tpi_loop_relay(struct tp_pool *pool, struct tpi_channel *channel,
		    struct tpi_relay *relay);

/* At the end of each step of the loop: start what was sent in it. */
void tpi_relays_kick(struct tp_pool *pool);

/* A host that does not reap is helped when this timer says so. */
void tpi_relays_help(struct tpi_timer *timer);

#endif
