/*
 * bench.h - a simulated device or two, and requests made to them one by one.
 *
 * A request is with the device until bench_end(): so a test says what is in
 * flight with what.  Each fills its sectors with a byte of its own.
 */
#ifndef TESTS_SIMULATOR_BENCH_H
#define TESTS_SIMULATOR_BENCH_H

#include <thinpool/simulator.h>

#include "io/device.h"

#define SECTOR TP_SECTOR_SIZE
#define BENCH_BYTES (256u * 1024)
#define POISON TP_SIMULATOR_POISON

struct bench {
	struct tp_simulator *simulator;
	unsigned nr_devices;
};

/* A request, on a channel of its own; sectors, not bytes. */
struct shot {
	struct tp_device_request request;
	struct iovec iov;
	struct tpi_channel *channel;
	int event_fd;
	bool has_ended;
	int status;
	unsigned char bytes[];
};

extern const struct tp_simulated_device_options bench_defaults;

/* @nr_devices of @options each (NULL: the defaults). */
void bench_begin(struct bench *bench, uint64_t seed, unsigned nr_devices,
		 const struct tp_simulated_device_options *options);
void bench_end(struct bench *bench);

/* Begin a request.  @byte: of a write. */
struct shot *shot_begin(struct tp_simulator *simulator, unsigned device,
			enum tp_op op, unsigned flags, uint64_t sector,
			uint64_t nr, unsigned char byte);

/* The same, of a copy from @source to @sector. */
struct shot *shot_copy(struct tp_simulator *simulator, unsigned device,
		       uint64_t source, uint64_t sector, uint64_t nr);

/* Let time pass until it has ended; its status. */
int shot_end(struct tp_simulator *simulator, struct shot *shot);

/* The same, and its end. */
int shot_finish(struct tp_simulator *simulator, struct shot *shot);
void shot_free(struct shot *shot);

/* Begun and ended. */
int do_write(struct tp_simulator *simulator, unsigned device, uint64_t sector,
	     uint64_t nr, unsigned char byte);
int do_write_fua(struct tp_simulator *simulator, unsigned device,
		 uint64_t sector, uint64_t nr, unsigned char byte);
int do_flush(struct tp_simulator *simulator, unsigned device);

/* The byte that a sector is full of. */
unsigned char byte_of(struct tp_simulator *simulator, unsigned device,
		      enum tp_simulated_content content, uint64_t sector);
unsigned char stable_byte(struct tp_simulator *simulator, unsigned device,
			  uint64_t sector);

/* As a request sees it. */
unsigned char read_byte(struct tp_simulator *simulator, unsigned device,
			uint64_t sector);

/* keep functions. */
bool keep_none(void *context, const struct tp_unstable_write *write, size_t i,
	       uint64_t sector, uint64_t offset);
bool keep_all(void *context, const struct tp_unstable_write *write, size_t i,
	      uint64_t sector, uint64_t offset);
/* @context: a uint64_t, a bit for each sector. */
bool keep_mask(void *context, const struct tp_unstable_write *write, size_t i,
	       uint64_t sector, uint64_t offset);

#endif
