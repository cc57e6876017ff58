/*
 * pool.h - a pool and what belongs to it, as its own folder sees them.
 *
 * Who may touch what: fields marked (any) are set before the pool is handed
 * out or are atomic; (lock) needs registry_lock; all the rest is the run
 * loop's.
 */
#ifndef TPI_POOL_POOL_H
#define TPI_POOL_POOL_H

#include <thinpool/pool.h>

#include "io/sized-struct.h"
#include "pool/change.h"
#include "pool/commit.h"
#include "pool/loop.h"
#include "pool/mapping-cache.h"
#include "pool/metadata.h"
#include "pool/port.h"
#include "pool/range.h"

/*---------------------------- thins ----------------------------------------*/

/* Why bios may not go the fast way (tpi_thin_state.gate). */
#define TPI_GATE_WRITES 1u /* a snapshot is being taken: hold writes */
#define TPI_GATE_ALL 2u    /* suspended, or rolling back: hold all */
#define TPI_GATE_FAILED 4u /* the pool failed: answer -EIO */

/* A thin that is open, or has something that must not be forgotten yet; one
 * for all its handles (B-THIN-8). */
struct tpi_thin_state {
	struct tpi_list entry; /* in a bucket of pool->thins */
	struct tp_pool *pool;
	uint64_t serial; /* (any) what the mapping cache knows it by */
	struct tpi_thin_tree tree;

	/* (any) for the fast path; copies of what the tree says. */
	_Atomic unsigned gate;
	_Atomic uint32_t snapshotted_time;
	_Atomic uint64_t last_change;

	struct tpi_epoch epoch;
	struct tpi_list handles;

	/* Virtual blocks with an operation under way (range.h), bios held by
	 * the gate, write bios begun and not ended, and who waits for none. */
	struct tpi_ranges ranges;
	struct tpi_list held, quiet_waiters;
	unsigned nr_writes_under_way;

	/* Without what the ports have and was not collected yet. */
	struct tp_io_statistics statistics;

	tp_dblock alloc_hint; /* where the next block is looked for */
	tp_dblock alloc_end;  /* of the stretch that it fills */
	bool stamped;         /* a mapping may have the pool's current time */
	bool lost_writes;     /* B-ABORT-5: its flushes fail */

	/* A write has ended since a data flush began that ended well; while
	 * one is under way, since it began, and before. */
	bool wrote, wrote_before_flush;

	/* Deleted, in that transaction: what it was called.  Kept until that
	 * is durable, for a rollback brings it back; see thin.c. */
	uint64_t deleted_id, deleted_in;

	struct tpi_list origin_entry;      /* in pool->origins, if it has one */
	struct tp_device *external_origin; /* or NULL */
	struct tpi_channel *origin_channel;
	uint64_t origin_bytes;
};

struct tp_thin {
	struct tpi_list entry; /* in the state's handles */
	struct tp_pool *pool;
	struct tpi_thin_state *state;
	uint32_t id;            /* the state's, for any thread to read */
	unsigned slot;          /* its number in ports */
	uint64_t size;          /* bytes */
	unsigned logical_block; /* bytes; of its origin too */
	bool read_only, detect_zeroes;
	bool closing; /* what would wait ends instead */
	enum tp_no_space no_space;
	uint32_t no_space_timeout_ms; /* 0: the pool's */
};

/*---------------------------- the pool -------------------------------------*/

struct tpi_event {
	struct tpi_list entry; /* in pool->events */
	struct tp_event event;
};

#define TPI_NR_EVENT_KINDS (TP_EVENT_RESUME + 1)

struct tpi_hook {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	tp_pre_commit_fn function; /* NULL: flush the data device */
	void *context;
	bool running;
	pthread_t runner; /* while it runs */
	pthread_t thread; /* ours, from the first hook on */
	bool has_thread, wanted, stopping;
	struct tpi_task done; /* posted when it has ended */
	int result;
	int event_fd; /* of the channel by which a hook flushes */
	struct tpi_channel *channel;
	struct tp_device_request request; /* of the default */
};

#define TPI_THIN_BUCKETS 256u

struct tp_pool {
	/* (any) */
	struct tp_device *metadata_device, *data_device;
	struct tp_pool_options options; /* as requested */
	bool host_driven, read_only;
	bool of_snapshot; /* TP_POOL_METADATA_SNAPSHOT */
	uint64_t block_bytes;
	unsigned block_shift; /* or 0: they are no power of two */
	struct tpi_loop loop;
	struct tpi_mapping_cache *mapping_cache;
	_Atomic uint64_t committed; /* number of T(c) */
	_Atomic bool failed;
	unsigned logical_block;

	pthread_mutex_t registry_lock;
	struct tpi_list ports;       /* (lock) */
	unsigned nr_queues;          /* (lock) the host's own */
	struct tpi_list idle_queues; /* (lock) of the blocking helpers */

	/* Held while it is asked; the loop never takes it. */
	pthread_mutex_t size_lock;
	tpi_size_fn size_of;
	void *size_context;

	bool claimed_metadata, claimed_data;
	struct tpi_channel *metadata_channel;
	struct tpi_cache *cache;
	struct tpi_metadata metadata;
	struct tpi_port port; /* the loop's own */
	struct tpi_epoch epoch;
	struct tpi_list draining_epochs;
	_Atomic bool is_draining; /* (any) whoever ends a bio wakes the loop */
	struct tpi_timer drain_timer;
	unsigned nr_relayed; /* requests of the loop's on queues' ports */
	struct tpi_timer relay_timer;
	struct tpi_list unkicked_ports;

	/* Thins. */
	struct tpi_list thins[TPI_THIN_BUCKETS];
	struct tpi_thin_state *spare_state; /* for when there is no memory */
	unsigned nr_handles;

	/* How many there were when the metadata was loaded, and of which
	 * generation, plus one, that is known. */
	int64_t nr_thins_loaded;
	uint64_t thins_counted_in;
	uint64_t next_serial;
	struct tpi_list origins; /* states with an external origin */
	uint8_t *slots_used;     /* TPI_HANDLES_MAX bits */

	/* Mode. */
	enum tp_pool_mode mode;
	bool needs_check, error_if_no_space;
	bool low_water_triggered, low_metadata_triggered;
	bool aborting;
	uint64_t generation;                /* how often it was rolled back */
	_Atomic uint64_t nr_rollbacks;      /* that have ended */
	_Atomic uint64_t nr_failed_flushes; /* of the data device */
	unsigned nr_suspends;
	struct tpi_timer no_space_timer;
	struct tpi_timer thin_timer; /* of handles with a time of their own */
	uint64_t out_of_space_since; /* ns */
	struct tpi_list no_space;    /* bios that wait for space */
	tp_dblock nr_trimming; /* blocks that are free, and being trimmed */
	struct tpi_rollback *rollback;

	/* Preparations and what they need. */
	struct tpi_list idle_preparations, preparation_waiters;
	struct tpi_preparation *preparation_memory;
	struct tpi_list idle_buffers, buffer_waiters;
	struct tpi_list unmappings, idle_unmappings;
	unsigned nr_buffers;
	bool cannot_copy; /* the data device, though it said so */
	uint8_t *zeroes;

	/* Changes wait here while none may be made. */
	struct tpi_list change_waiters, quiet_waiters;
	unsigned changes_held;

	struct tpi_commit commit;
	struct tpi_hook hook;
	struct tpi_flushes *flushes;
	struct tpi_deletion *deletion;

	/* Of the io only what thins had done that are closed now. */
	struct tp_pool_statistics statistics;

	/* Calls that change the pool, one after another. */
	struct tpi_list calls;

	/* Events. */
	struct tpi_list events;
	struct tpi_event spare_events[TPI_NR_EVENT_KINDS];
	tp_event_fn event_handler;
	void *event_context;
	bool in_event_handler;
	bool closing, closed;
};

/* Options of the host's; NULL: as they are. */
static inline int tpi_take_options(void *ours, size_t our_size,
				   const void *theirs, const char *what)
{
	return theirs ? tpi_take_struct(ours, our_size, theirs, what) : 0;
}

/* -EINVAL: an unknown flag, or an option out of range; fills in defaults. */
int tpi_pool_options_check(struct tp_pool_options *options);

/*---------------------------- thins, for the floor -------------------------*/

struct tpi_thin_state *tpi_thin_find(struct tp_pool *pool, uint64_t id);

/* The state of a thin, made from the metadata if need be.  -EAGAIN, -ENODATA */
int tpi_thin_get_state(struct tp_pool *pool, uint64_t id,
		       struct tpi_thin_state **state);

/* Memory for the next state that is made.  -ENOMEM. */
int tpi_thin_state_make_room(struct tp_pool *pool);

/* Free it if nothing needs it any more. */
void tpi_thin_state_drop(struct tpi_thin_state *state);

/* It is deleted in T(r); T(r) is given up, and so it was not. */
void tpi_thin_state_forget(struct tpi_thin_state *state);
void tpi_thin_state_restore(struct tpi_thin_state *state);
void tpi_thin_state_free(struct tpi_thin_state *state);

/* Call @each for every state there is; it may drop it. */
void tpi_thins_each(struct tp_pool *pool,
		    void (*each)(struct tpi_thin_state *state, void *context),
		    void *context);

/* Drop all states that nothing needs any more: after a commit. */
void tpi_thins_sweep(struct tp_pool *pool);

/* Publish to the fast path what the tree says now. */
void tpi_thin_publish(struct tpi_thin_state *state);

/* The channels to external origins. */
unsigned tpi_origins_poll(struct tp_pool *pool);
bool tpi_origins_arm(struct tp_pool *pool);

/* Bring together what the ports know of the thin's bios: whether writes have
 * ended, and its statistics. */
void tpi_thin_collect(struct tpi_thin_state *state);

/* Add to the statistics @to what is in @from, which begins anew. */
void tpi_statistics_move(struct tp_io_statistics *to,
			 struct tp_io_statistics *from);

void tpi_thin_gate(struct tpi_thin_state *state, unsigned set, unsigned clear);
void tpi_gate_all(struct tp_pool *pool, unsigned set, unsigned clear);

/* A handle of any thin, the catalogue's own too. */
int tpi_thin_open_any(struct tp_pool *pool, uint64_t id, uint64_t size,
		      struct tp_device *origin, struct tp_thin **thin);

/* Where a virtual block ends, in bytes, for the host; no further than a thin can
 * reach, whatever the metadata says. */
uint64_t tpi_thin_block_end(const struct tp_pool *pool, tp_vblock vblock);

void tpi_thin_fill_info(const struct tp_pool *pool, uint64_t id,
			const struct tpi_details *details,
			struct tp_thin_info *info);

static inline bool tpi_thin_is_changed(const struct tpi_thin_state *state)
{
	return state->tree.last_change > state->pool->metadata.committed;
}

#endif
