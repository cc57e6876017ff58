/*
 * private.h - a simulator, its devices and what is in flight, as the files of
 * this folder see them.
 *
 * One lock guards all of it.  It is recursive, for the observer is called with
 * it held and may call us; requests are handed back to their owners without it.
 */
#ifndef TPI_SIMULATOR_PRIVATE_H
#define TPI_SIMULATOR_PRIVATE_H

#include <errno.h>
#include <pthread.h>
#include <thinpool/simulator.h>

#include "content.h"
#include "random.h"

struct tpi_sim_write;

/* A request that is with a device. */
struct tpi_sim_flight {
	struct tpi_sim_flight *next; /* of its channel, in order of beginning */
	struct tp_device_request *request;
	uint64_t id;
	uint64_t due_ns, tie; /* it ends in this order */
	int status;           /* that it will end with, if it can */
	bool is_lost;         /* with the power */
	/* How many requests had ended: what a flush covers. */
	uint64_t nr_ended_before;
	struct tpi_sim_write *write; /* of a write or the like that does some */
	struct tpi_sim_content seen; /* by a read, when it began */
};

struct tpi_sim_channel {
	struct tpi_sim_device *device;
	struct tpi_sim_channel *next; /* of the device */
	struct tpi_sim_flight *flights;
	/* Those for which there was no memory, linked through their room. */
	struct tp_device_request *refused;
	unsigned life; /* of the simulator, when it was opened */
	int event_fd;
	bool is_armed;
	bool is_timed; /* of a host-driven pool, by the clock */
};

struct tpi_sim_fault {
	struct tpi_sim_fault *next;
	struct tp_simulated_fault fault;
	uint64_t nr_failed;
};

struct tpi_sim_device {
	struct tp_simulator *simulator;
	unsigned number;
	struct tp_simulated_device_options options; /* size: now */
	struct tp_device *device;
	struct tpi_sim_content stable;
	struct tpi_sim_content newest; /* all that was begun, done */
	struct tpi_sim_channel *channels;
	struct tpi_sim_fault *faults;
};

struct tp_simulator {
	pthread_mutex_t lock;
	unsigned nr_refs; /* the host's, and one of each device */
	struct tp_simulator_options options;
	uint64_t host_state, device_state; /* of two sequences of numbers */

	uint64_t now_ns;
	bool is_instant, is_off;
	unsigned life; /* how often the power was cut */

	uint64_t last_id; /* of a request, or of what stands for one */
	uint64_t nr_requests, nr_ended, nr_failed, digest;
	uint64_t seen_progress; /* by the last wait that had nothing to do */
	unsigned nr_idle_waits;

	struct tpi_sim_device **devices;
	unsigned nr_devices;

	/* Begun and not known to be stable, in this order. */
	struct tpi_sim_write *first, *last;

	tp_simulated_event_fn observer;
	void *observer_context;
};

void tpi_sim_lock(struct tp_simulator *simulator);
void tpi_sim_unlock(struct tp_simulator *simulator);

/* One of its figures; takes the lock. */
uint64_t tpi_sim_get(struct tp_simulator *simulator, const uint64_t *value);

/* A sentence for tp_simulator_last_error; @error, to be returned. */
int tpi_sim_error(int error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Copy a struct of the host's that begins with its size; -EINVAL. */
int tpi_sim_take_struct(void *ours, size_t our_size, const void *theirs,
			const char *what);

/* Note something in the digest. */
void tpi_sim_note(struct tp_simulator *simulator, uint64_t what);

/* A simulator without devices, by checked options. */
int tpi_sim_new(const struct tp_simulator_options *options,
		struct tp_simulator **simulator);
void tpi_sim_unref(struct tp_simulator *simulator);

/*---------------------------- devices --------------------------------------*/

/* By checked options; @stable becomes the device's, or is dropped. */
int tpi_sim_device_add(struct tp_simulator *simulator,
		       const struct tp_simulated_device_options *options,
		       struct tpi_sim_content stable);

/* NULL, with a sentence: there is none. */
struct tpi_sim_device *tpi_sim_device(struct tp_simulator *simulator,
				      unsigned number);

/* Tell a channel's owner, if asked to, of what may end. */
void tpi_sim_signal(struct tpi_sim_channel *channel);

/* Everything in flight is lost. */
void tpi_sim_lose_flights(struct tpi_sim_device *device);

/*---------------------------- requests -------------------------------------*/

void tpi_sim_begin(struct tpi_sim_channel *channel,
		   struct tpi_sim_flight *flight);

/* It is off its channel's list; its status. */
int tpi_sim_end(struct tpi_sim_channel *channel, struct tpi_sim_flight *flight);

/*---------------------------- faults ---------------------------------------*/

struct tpi_sim_verdict {
	int status; /* 0, or what it fails with */
	bool is_short;
};

struct tpi_sim_verdict tpi_sim_judge(struct tpi_sim_device *device,
				     const struct tp_device_request *request);
void tpi_sim_forget_faults(struct tpi_sim_device *device);

#endif
