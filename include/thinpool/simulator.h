/*
 * thinpool/simulator.h - devices that lose power and fail, for tests.
 *
 * A simulator is one seed, one virtual clock and some devices, which keep in
 * memory what is stable and, beside it, every write that is not.  The seed
 * decides how long each request takes, in which order requests end, what of a
 * failed write was done, and what a power failure leaves: the same calls with
 * the same seed give the same run, to the last byte.
 *
 * What the devices do, literally:
 *
 * D1  A write that is not TP_FUA goes to a volatile cache.
 * D2  A sector is stable when its write was TP_FUA and has ended well, or when
 *     a flush has ended well that was begun after the write had ended.  What is
 *     in flight when a flush begins is not covered by it.
 * D3  After a power failure each sector of 512 bytes, by itself, holds what was
 *     stable last and upon it, in the order of their beginning, any subset of
 *     the writes and discards that were not stable.  No sector is torn.
 * D4  What was in flight is not stable, TP_FUA or not.
 * D5  A write that fails is done in some of its sectors, as a cached write (of a
 *     device that has no cache: for good), and not in the others.  A flush that
 *     fails makes nothing stable.
 * D6  A discard is like a write of zeroes or of poison, or does nothing.
 *     What was never written reads as poison: TP_SIMULATOR_POISON, each byte.
 *     A copy is a write of what a read would have got when it began.
 * D7  Requests end in any order.  A read may or may not see, sector by sector,
 *     a write that is in flight with it.
 * D8  All devices of a simulator lose power at the same instant.
 *
 * Once a sector is stable, a write of it that began before the stable one is
 * gone for good.
 *
 * It is made for host-driven pools: give tp_pool_options clock_ns
 * tp_simulator_clock_ns, clock_wait tp_simulator_clock_wait, and clock_context
 * the simulator.  A pool with a thread of its own may use the devices too: its
 * requests can end at once, whatever the latency, in an order drawn by the
 * seed; but as threads race, such a run cannot be repeated exactly.
 *
 * This is a library of its own: pkg-config libthinpool-simulator.
 *
 * Units:     bytes, multiples of 512; nanoseconds of the virtual clock.
 * Errors:    0 or a negative errno, with a sentence: tp_simulator_last_error.
 *            NULL, where a simulator or a result is expected, is not checked.
 * Ownership: the devices are the simulator's; a pool takes references of its
 *            own.  Close the pools, then free the simulator.
 * Threads:   any, at any time.
 */
#ifndef THINPOOL_SIMULATOR_H
#define THINPOOL_SIMULATOR_H

#include <stdbool.h>
#include <thinpool/device.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tp_simulator;

/* Each byte of what was never written. */
#define TP_SIMULATOR_POISON 0xd7

/* The last refusal of this library to the calling thread, as a sentence. */
const char *tp_simulator_last_error(void);

/*---------------------------- the simulator --------------------------------*/

struct tp_simulator_options {
	size_t struct_size;
	uint64_t seed;

	/*
	 * Called by tp_simulator_clock_wait when nothing can ever happen: no
	 * deadline was given and no request is in flight that could end.  It
	 * may return, and is then called again and again.  NULL: a sentence on
	 * standard error, and abort().
	 */
	void (*stuck)(void *context);
	void *stuck_context;
};
#define TP_SIMULATOR_OPTIONS_INIT                                              \
	{                                                                      \
		.struct_size = sizeof(struct tp_simulator_options)             \
	}

/* NULL options: seed 0.  -EINVAL: no struct_size; -ENOMEM. */
int tp_simulator_new(const struct tp_simulator_options *options,
		     struct tp_simulator **simulator);

/* NULL is allowed. */
void tp_simulator_free(struct tp_simulator *simulator);

/*
 * A number in [0, below), or any if @below is 0: for the host's workload, so
 * that one seed decides that too.  The devices draw from a sequence of their
 * own.
 */
uint64_t tp_simulator_random(struct tp_simulator *simulator, uint64_t below);

/* How many requests were begun, on all devices, while the power was on. */
uint64_t tp_simulator_nr_requests(struct tp_simulator *simulator);

/* Of all that was ever asked of the devices and answered, in order, with the
 * times and the bytes: equal if two runs were. */
uint64_t tp_simulator_digest(struct tp_simulator *simulator);

/*---------------------------- the clock ------------------------------------*/

/* It begins at one second.  As tp_pool_options.clock_ns. */
uint64_t tp_simulator_clock_ns(void *simulator);

/* As tp_pool_options.clock_wait: tp_simulator_step, or stuck. */
void tp_simulator_clock_wait(void *simulator, uint64_t until_ns);

/*
 * Let time pass until the next request may end, but not beyond @until_ns
 * (UINT64_MAX: as long as it takes; if nothing is in flight, none passes).
 * Whoever asked for a signal gets it.  How many requests may end now that
 * could not before: they do when their owner polls.
 */
unsigned tp_simulator_step(struct tp_simulator *simulator, uint64_t until_ns);

/*
 * From now on (or no longer), requests may end as soon as they are begun, as
 * if no device had a latency: for calls that wait for a device and know no
 * clock of the host's, such as tp_pool_format.
 */
void tp_simulator_set_instant(struct tp_simulator *simulator, bool instant);

/*---------------------------- devices --------------------------------------*/

/* A flush that fails also drops, at once, some of what is in the cache. */
#define TP_SIMULATED_HARSH_FLUSH (1u << 0)
/* A flush does nothing, and says that it did: such devices exist. */
#define TP_SIMULATED_LYING_FLUSH (1u << 1)

enum tp_discard_effect {
	TP_DISCARD_ZEROES,
	TP_DISCARD_POISONS,
	TP_DISCARD_CHANGES_NOTHING,
};

struct tp_simulated_device_options {
	size_t struct_size;
	uint64_t size;     /* at most 4 TiB */
	unsigned features; /* TP_DEVICE_; without a cache, all that ended well
			    * is stable */
	unsigned flags;    /* TP_SIMULATED_ */
	enum tp_discard_effect discard_effect;

	/* Each request takes some time between these, most of them little. */
	uint64_t min_latency_ns, max_latency_ns;

	/* As in tp_device_async_ops. */
	uint32_t logical_block_bytes, memory_alignment_bytes;
	uint32_t discard_granularity_bytes;
	uint64_t discard_max_bytes;

	/* So many bytes at the beginning are a superblock, if any: two of the
	 * crash images are about it. */
	uint32_t superblock_bytes;
};
#define TP_SIMULATED_DEVICE_OPTIONS_INIT                                       \
	{                                                                      \
		.struct_size = sizeof(struct tp_simulated_device_options)      \
	}

/*
 * Add a device, all poison.  Devices are numbered from 0 on, in the order in
 * which they are added; the functions below name them so.
 *
 * -EINVAL: size, latencies, an unknown flag, and as tp_device_new; -ENOMEM.
 */
int tp_simulator_add_device(struct tp_simulator *simulator,
			    const struct tp_simulated_device_options *options,
			    struct tp_device **device);

/* NULL: there is no such device. */
struct tp_device *tp_simulator_device(struct tp_simulator *simulator,
				      unsigned device);

/* -EINVAL: less than it has, or too much. */
int tp_simulator_grow(struct tp_simulator *simulator, unsigned device,
		      uint64_t size);

enum tp_simulated_content {
	TP_CONTENT_STABLE, /* what surely survives, if nothing more does */
	TP_CONTENT_NEWEST, /* all that was begun, done */
};

/* Look at what a device holds, not through it.  -EINVAL: the range. */
int tp_simulator_peek(struct tp_simulator *simulator, unsigned device,
		      enum tp_simulated_content content, void *buffer,
		      size_t length, uint64_t offset);

/* Change it, stable at once, as damage would.  -EINVAL, -ENOMEM. */
int tp_simulator_poke(struct tp_simulator *simulator, unsigned device,
		      const void *bytes, size_t length, uint64_t offset);

/*---------------------------- faults ---------------------------------------*/

/* A read or a write transfers less than all, from its beginning, and says how
 * much. */
#define TP_FAULT_SHORT (1u << 0)

struct tp_simulated_fault {
	size_t struct_size;
	unsigned ops;        /* 1u << TP_READ, ...; 0: all */
	unsigned flags;      /* TP_FAULT_ */
	uint64_t begin, end; /* of what it touches; end 0: anywhere; of a flush
			      * not looked at */
	uint64_t skip;       /* so many that match are let through first */
	uint64_t times;      /* then so many fail; 0: all, for ever */
	int status;          /* 0: -EIO */
};
#define TP_SIMULATED_FAULT_INIT                                                \
	{                                                                      \
		.struct_size = sizeof(struct tp_simulated_fault)               \
	}

/*
 * Let requests begun from now on fail.  A device may have many faults; the
 * first given that matches and does not let through decides.  A failed read
 * leaves poison in the memory.
 *
 * -EINVAL: unknown op or flag, a status that is no errno; -ENOMEM.
 */
int tp_simulator_fail(struct tp_simulator *simulator, unsigned device,
		      const struct tp_simulated_fault *fault);

/* Forget all faults of a device. */
int tp_simulator_heal(struct tp_simulator *simulator, unsigned device);

/* How many requests were made to fail, on all devices. */
uint64_t tp_simulator_nr_failed(struct tp_simulator *simulator);

/*---------------------------- an observer ----------------------------------*/

struct tp_simulated_event {
	bool has_ended;  /* else it begins */
	unsigned device; /* its number */
	uint64_t id;     /* it grows in the order of beginning, all devices */
	enum tp_op op;
	unsigned flags; /* TP_FUA */
	uint64_t offset, length;
	const struct iovec *iov; /* of a read or write */
	int iovcnt;
	int status; /* when it has ended: as its owner will see it */
	uint64_t time_ns;
};

/*
 * Called when a request begins (it is in flight then) and when it has ended
 * (before its owner is told), not while the power is off.  It may call any
 * function of this header but tp_simulator_free and those of the clock that
 * let time pass; other threads wait for it, so it must not wait for them.
 */
typedef void (*tp_simulated_event_fn)(void *context,
				      const struct tp_simulated_event *event);

/* NULL: none. */
void tp_simulator_set_observer(struct tp_simulator *simulator,
			       tp_simulated_event_fn observer, void *context);

/*---------------------------- power ----------------------------------------*/

/* A write, discard or write of zeroes of which some sector is not stable. */
struct tp_unstable_write {
	unsigned device;
	uint64_t id; /* see tp_simulated_event */
	enum tp_op op;
	unsigned flags;
	uint64_t offset, length;
	bool in_flight;
	uint64_t nr_sectors; /* that are not stable, of all it has */
};

/* The first @max of them, in the order of their beginning; how many there are,
 * which may be more.  @max 0: @writes may be NULL. */
size_t tp_simulator_get_unstable(struct tp_simulator *simulator,
				 struct tp_unstable_write *writes, size_t max);

/*
 * Does this sector of a write survive?  Asked of every sector that is not
 * stable, in the order of the writes and of the sectors in each.
 *
 * @i       the write's place in tp_simulator_get_unstable;
 * @sector  the sector's place among all that are asked about;
 * @offset  of the sector, on the device.
 */
typedef bool (*tp_keep_fn)(void *context, const struct tp_unstable_write *write,
			   size_t i, uint64_t sector, uint64_t offset);

/*
 * Cut the power of all devices.  What is in flight, and all that is begun on
 * channels (and so by pools) that are open now, ends with -EIO and does
 * nothing, also after the power is back: close the pool and open it again.
 */
void tp_simulator_power_off(struct tp_simulator *simulator);

/*
 * The power is back: every device holds what D3 allows and @keep chose, and its
 * cache is empty.  NULL @keep: one of the images below, drawn by the seed.
 *
 * -EINVAL: it is on; -ENOMEM: it stays off.
 */
int tp_simulator_power_on(struct tp_simulator *simulator, tp_keep_fn keep,
			  void *context);

/*
 * Another simulator, whose devices hold what could be left if the power failed
 * at this instant, while this one goes on undisturbed.  Same devices, same
 * time, ids that go on; its own seed, no faults, no observer.  This costs
 * no more than the writes that are not stable: content is shared until written.
 *
 * -ENOMEM.
 */
int tp_simulator_fork(struct tp_simulator *simulator, uint64_t seed,
		      tp_keep_fn keep, void *context,
		      struct tp_simulator **other);

/*---------------------------- which images to try --------------------------*/

/*
 * Let P be the sectors that are not stable, and W the writes they belong to.
 * If P has at most 10 elements, the images are all its subsets.  Else they
 * are, in this order: none; all; for up to 64 sectors, spread over P, all but
 * this one; only this one; the first n of W, for each n between none and all;
 * of each device all and of the others none, if there are several; only what
 * lies in superblocks, and all but that, if both are something; 32 subsets
 * drawn sector by sector; 32 drawn write by write.
 */
enum tp_image_kind {
	TP_IMAGE_SUBSET,
	TP_IMAGE_NONE,
	TP_IMAGE_ALL,
	TP_IMAGE_ALL_BUT_SECTOR,
	TP_IMAGE_ONLY_SECTOR,
	TP_IMAGE_FIRST_WRITES,
	TP_IMAGE_ONLY_DEVICE,
	TP_IMAGE_ONLY_SUPERBLOCK,
	TP_IMAGE_ALL_BUT_SUPERBLOCK,
	TP_IMAGE_RANDOM_SECTORS,
	TP_IMAGE_RANDOM_WRITES,
};

/* "all but one sector", ...; never NULL. */
const char *tp_image_kind_name(enum tp_image_kind kind);

struct tp_image {
	enum tp_image_kind kind;
	/* The subset, a bit a sector; the sector; how many writes; the device;
	 * what the random ones are drawn by. */
	uint64_t value;
	struct tp_simulator *simulator;
};

/* At this instant; at least 1. */
uint64_t tp_simulator_nr_images(struct tp_simulator *simulator);

/* The @n-th of them, always the same.  -EINVAL: there are fewer. */
int tp_simulator_get_image(struct tp_simulator *simulator, uint64_t n,
			   struct tp_image *image);

/* A tp_keep_fn; its context is a struct tp_image. */
bool tp_keep_image(void *image, const struct tp_unstable_write *write, size_t i,
		   uint64_t sector, uint64_t offset);

#ifdef __cplusplus
}
#endif

#endif
