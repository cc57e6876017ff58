/*
 * channel-private.h - what channel.c and pieces.c share.
 */
#ifndef TPI_IO_CHANNEL_PRIVATE_H
#define TPI_IO_CHANNEL_PRIVATE_H

#include "io/device-private.h"
#include "io/request-fifo.h"

struct tpi_channel {
	struct tp_device *device;
	void *handle;        /* the device's own channel */
	uint64_t size_bytes; /* that the device is known to have */
	unsigned nr_in_flight;
	unsigned nr_ended;             /* ever; wraps */
	bool must_kick;                /* something waits for a kick */
	bool cannot_zero;              /* natively, as a failure has shown */
	struct tpi_request_fifo ended; /* without the device: poll tells */
};

/* Hand in a request of the channel's own; done() as with the device. */
void tpi_channel_pass(struct tpi_channel *channel,
		      struct tp_device_request *request);

/* Can the device not take this request (checked, not empty) as it is? */
bool tpi_needs_pieces(const struct tpi_channel *channel,
		      const struct tp_device_request *request);

/*
 * Do a request by others that the device can take, one after another: copied
 * through aligned memory, zeroes as data, a discard within its limits.  Calls
 * request->done() from poll.
 */
void tpi_pieces_start(struct tpi_channel *channel,
		      struct tp_device_request *request);

#endif
