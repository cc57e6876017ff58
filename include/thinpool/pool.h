/*
 * thinpool/pool.h - pools: format, open, volumes by id, commit, status.
 *
 * A pool is run by its run loop: a thread of its own or, host-driven, by
 * tp_pool_poll() and by blocking calls.  All metadata is changed there.
 *
 * Calls that change the pool (create to grow, below) block, are done one after
 * another, and have been committed when they return 0.  They answer
 *
 *   -EBUSY        the pool is suspended;
 *   -EOPNOTSUPP   its mode forbids it (B-MSG-1);
 *   -EIO, -ENOSPC, -EILSEQ, -ENOMEM
 *                 the change or its commit failed: see the mode;
 *   -EDEADLK      called from a pre-commit hook;
 *
 * and what their own comment adds.
 *
 * Units:   bytes, blocks where a name says so.
 * Threads: any, at any time; of a host-driven pool, one at a time.
 */
#ifndef THINPOOL_POOL_H
#define THINPOOL_POOL_H

#include <stdbool.h>
#include <thinpool/thin.h>

#ifdef __cplusplus
extern "C" {
#endif

/*---------------------------- format ---------------------------------------*/

#define TP_FORMAT_OVERWRITE (1u << 0)

struct tp_format_options {
	size_t struct_size;
	/* Bytes, 64 KiB to 1 GiB, a multiple of 64 KiB; 0: 64 KiB. */
	uint32_t data_block_size;
	unsigned flags; /* TP_FORMAT_ */
};
#define TP_FORMAT_OPTIONS_INIT                                                 \
	{                                                                      \
		.struct_size = sizeof(struct tp_format_options)                \
	}

/*
 * Make an empty pool that uses all of the data device (metadata-format.md,
 * 11).  The superblock is written last, after a flush, so that a crash leaves
 * either no pool or a whole one.  Nothing is written to the data device.
 *
 * -EEXIST   the first 4 KiB of metadata are not all zero, and the flag to
 *           overwrite was not given;
 * -EINVAL   block size, unknown flag, metadata device too small, or one
 *           device given as both (B-BAD-2);
 * -EBUSY    a pool uses one of the devices;
 * -EROFS    a device was opened read-only; -EIO, -ENOMEM.
 */
int tp_pool_format(struct tp_device *metadata, struct tp_device *data,
		   const struct tp_format_options *options);

/*---------------------------- open and close -------------------------------*/

/* TP_POOL_READ_ONLY: metadata is not changed.  Nor is it needed to know what is
 * free: such a pool opens where the space maps cannot be read, and of what is in
 * use then tells what the superblock says. */
#define TP_POOL_READ_ONLY (1u << 0)
#define TP_POOL_HOST_DRIVEN (1u << 1)  /* no thread is started */
#define TP_POOL_SKIP_ZEROING (1u << 2) /* new blocks show stale data! */
#define TP_POOL_IGNORE_DISCARD (1u << 3)
#define TP_POOL_NO_DISCARD_PASSDOWN (1u << 4)
#define TP_POOL_ERROR_IF_NO_SPACE (1u << 5) /* else writes wait for space */

/* What deleting a thin frees is not passed down.  Without it, it is, like what
 * a discard frees, where the device can and discards are passed down. */
#define TP_POOL_NO_DELETE_PASSDOWN (1u << 6)

/*
 * What the pool's metadata snapshot holds, to read: the thins, and what each
 * maps, as of the moment when it was reserved.  Another process, or another
 * handle in this one, may have the pool open and go on working: no lock is
 * claimed, and nothing is written.  Read-only is implied, for thins too.
 *
 * Blocks that were mapped then are not reused while the snapshot is there, but
 * one that a thin had to itself is written in place: for content as of then,
 * snapshot the thin first, reserve, and read that snapshot.
 *
 * Whoever reads takes care that the metadata snapshot is not released meanwhile.
 * Afterwards the blocks that it held are used for something else, so that reads
 * fail, or show that.  The status tells which one is read (held_root, time and
 * transaction_id); usage is the pool's when it was opened.
 */
#define TP_POOL_METADATA_SNAPSHOT (1u << 7)

struct tp_pool_options {
	size_t struct_size;
	unsigned flags; /* TP_POOL_ */

	/* An event is raised when free data blocks fall to this (B-LWM). */
	uint64_t low_water_blocks;

	/* How often changes are committed unasked, 0: 1000; how long writes
	 * wait for space before they fail, 0: 60000.  TP_NEVER. */
	uint32_t commit_interval_ms, no_space_timeout_ms;

	/* 0: 32 MiB each. */
	uint64_t metadata_cache_bytes, mapping_cache_bytes;

	/* Monotonic nanoseconds; NULL: CLOCK_MONOTONIC.  Called from the run
	 * loop. */
	uint64_t (*clock_ns)(void *context);
	void *clock_context;

	/* Host-driven: a blocking call has nothing to run before @until_ns
	 * (UINT64_MAX: no deadline).  NULL: sleep on tp_pool_fd. */
	void (*clock_wait)(void *context, uint64_t until_ns);

	/* Bytes; 0: whatever the metadata says, else it must agree
	 * (B-BAD-4). */
	uint32_t data_block_size;
};
#define TP_POOL_OPTIONS_INIT                                                   \
	{                                                                      \
		.struct_size = sizeof(struct tp_pool_options)                  \
	}

/*
 * Open a pool.  Never formats, never grows.  Takes references to both devices
 * and claims them: exclusively to write, shared for a read-only pool, and not at
 * all for a metadata snapshot.
 *
 * Nothing is written until something changes (B-POOL-11).  A pool whose
 * needs_check is set, or whose time is used up, opens in read-only mode.
 *
 * -EINVAL    unknown flag or option out of range; one device given as both
 *            (B-BAD-2); block size other than recorded; unknown feature bits;
 *            version, or sizes, that we do not know; a device smaller than
 *            recorded (B-BAD-13, -14);
 * -EILSEQ    not formatted, no superblock, or damaged (B-BAD-11);
 * -ENOTBLK   the superblock's own block number is wrong;
 * -ENODATA   the pool has no metadata snapshot, and that was to be read;
 * -EPERM     read-only, not formatted (B-BAD-10);
 * -EBUSY     a pool, of this or another process, uses one of the devices;
 * -EROFS     a device is read-only where write is needed (B-BAD-25);
 * -EIO, -ENOMEM, and what starting a thread answers.
 */
int tp_pool_open(struct tp_device *metadata, struct tp_device *data,
		 const struct tp_pool_options *options, struct tp_pool **pool);

/*
 * Commits, or just flushes if only data was written, and frees the pool.
 *
 * -EBUSY    thins or queues are open: nothing was done;
 * -EDEADLK  from an event handler or a hook of the pool: nothing was done;
 * any other error: that commit failed, or one that was under way; the pool is
 * gone all the same.
 * NULL is allowed.
 */
int tp_pool_close(struct tp_pool *pool);

/*---------------------------- host-driven pools ----------------------------*/

/* Run what is due; how many steps were done.  -EINVAL: not host-driven. */
int tp_pool_poll(struct tp_pool *pool);

/* Readable when poll has work; -EINVAL: not host-driven. */
int tp_pool_fd(struct tp_pool *pool);

/* When poll has to be called even if the descriptor says nothing, on the
 * pool's clock; UINT64_MAX: not before something happens. */
int tp_pool_next_deadline(struct tp_pool *pool, uint64_t *ns);

/*---------------------------- calls that change the pool -------------------*/

/* -EEXIST; -EINVAL: id. */
int tp_pool_create_thin(struct tp_pool *pool, uint32_t id);

/*
 * A snapshot of @origin as it is at one instant during the call: all writes
 * completed before are in, none submitted after (B-SNAP-3).  The origin may
 * be written meanwhile; each of its bios is wholly in or wholly out.
 *
 * -EEXIST: @id; -ENODATA: @origin; -EINVAL: id out of range, id == origin;
 * -EOVERFLOW: no time is left for another snapshot (B-MSG-5).
 */
int tp_pool_create_snapshot(struct tp_pool *pool, uint32_t id, uint32_t origin);

struct tp_snapshot_pair {
	uint32_t id, origin;
};

/* All at one instant, in one transaction, or none. */
int tp_pool_create_snapshots(struct tp_pool *pool,
			     const struct tp_snapshot_pair *pairs, size_t nr);

/* -ENODATA; -EBUSY: it is open. */
int tp_pool_delete_thin(struct tp_pool *pool, uint32_t id);

/* Compare and set the caller's own number.  -EINVAL: it is not @expected. */
int tp_pool_set_transaction_id(struct tp_pool *pool, uint64_t expected,
			       uint64_t next);

/* Pin a read-only copy of all mappings (B-MSG-8); -EBUSY: there is one. */
int tp_pool_reserve_metadata_snapshot(struct tp_pool *pool);

/* -EINVAL: there is none. */
int tp_pool_release_metadata_snapshot(struct tp_pool *pool);

/* Everything that completed before is durable when it returns. */
int tp_pool_commit(struct tp_pool *pool);

#define TP_TO_THE_END UINT64_MAX

/*
 * Have the data device discard what is free in it: for a pool that was made on
 * a device that had been used, or one whose discards were not passed down.
 * Only whole blocks inside [offset, offset + length) of the data device;
 * @length may be TP_TO_THE_END.  @trimmed (or NULL): how many bytes that was.
 *
 * It is no change, needs no commit, and goes on beside bios and other calls,
 * a piece at a time; whoever finds all other blocks taken waits for that piece.
 * What has been freed and may still come back by a crash is left alone.
 *
 * -EINVAL      the range is not whole sectors;
 * -EOPNOTSUPP  the device does not discard, or the mode forbids it;
 * -EBUSY       the pool is suspended, or is meanwhile;
 * -EIO, -EILSEQ, -ENOMEM, or what the device answers: some was not trimmed.
 */
int tp_pool_trim(struct tp_pool *pool, uint64_t offset, uint64_t length,
		 uint64_t *trimmed);

/* Pick up a device's new size.  -EINVAL: it is smaller than recorded. */
int tp_pool_grow_data(struct tp_pool *pool);
int tp_pool_grow_metadata(struct tp_pool *pool);

/*---------------------------- suspend and resume ---------------------------*/

/*
 * New bios wait, those in flight end, everything is committed; then no device
 * is touched until the resume.  It nests: as many resumes as suspends.
 *
 * -EIO, -ENOSPC, -EILSEQ, -ENOMEM: that commit failed, or one that was under
 * way (see the mode), and the pool is suspended all the same.
 */
int tp_pool_suspend(struct tp_pool *pool);

/*
 * NULL options: as before.  Else they take effect now, where B-POOL-7 and -9
 * allow; -EINVAL, and still suspended, where not (discard support, block
 * size, host-driven, clock, caches), if a device has shrunk, or if the pool is
 * not suspended.  Picks up new sizes of both devices, where the mode allows it.
 * Of a pool that was out of space, only these and new options change the mode.
 */
int tp_pool_resume(struct tp_pool *pool, const struct tp_pool_options *options);

/*---------------------------- looking at it --------------------------------*/

/* In order of severity; see the table in 5.5 of the rules. */
enum tp_pool_mode {
	TP_MODE_WRITE,
	TP_MODE_OUT_OF_DATA_SPACE,
	TP_MODE_OUT_OF_METADATA_SPACE,
	TP_MODE_READ_ONLY,
	TP_MODE_FAILED,
};

/* "write", "out of data space", ...; never NULL. */
const char *tp_pool_mode_name(enum tp_pool_mode mode);

struct tp_pool_status {
	size_t struct_size;
	enum tp_pool_mode mode;
	bool needs_check;
	bool suspended;
	uint64_t transaction_id;
	uint64_t held_root; /* metadata block of the metadata snapshot, or 0 */
	uint32_t time;      /* the snapshot clock */
	uint32_t data_block_size; /* bytes */
	uint64_t data_blocks, used_data_blocks;
	uint64_t metadata_blocks;           /* of 4096 bytes */
	uint64_t used_metadata_blocks;      /* with the reserve (B-STAT-3) */
	uint64_t metadata_low_water_blocks; /* B-META-2 */
	bool discard_passdown;              /* effective */
	bool ignore_discard;
	bool error_if_no_space; /* effective */
	bool changed;           /* something is not durable yet */
	uint64_t nr_commits;    /* since the pool was opened */
	uint64_t nr_wakeups;    /* of the run loop, by others than its timers */
	uint64_t nr_thins;
};
#define TP_POOL_STATUS_INIT                                                    \
	{                                                                      \
		.struct_size = sizeof(struct tp_pool_status)                   \
	}

/*
 * Commits nothing, in any mode (B-STAT-4).  -EIO, -EILSEQ, -ENOMEM: the thins
 * cannot be counted, which takes reading their details once.
 */
int tp_pool_get_status(struct tp_pool *pool, struct tp_pool_status *status);

/* Of commits: [0] counts those that took less than 2 microseconds, [i] those
 * from 2^i on and below 2^(i + 1), the last all that took longer. */
#define TP_LATENCY_BUCKETS 26u

struct tp_pool_statistics {
	size_t struct_size;
	struct tp_io_statistics io; /* of all thins, also closed ones */
	uint64_t nr_commits;
	uint64_t commit_latency[TP_LATENCY_BUCKETS];

	/* Flush bios, and others with a flag that asks for one, that a commit
	 * made durable; that many of them share one is what makes it cheap. */
	uint64_t nr_committed_flushes;

	/* Flushes of the data device beside commits, because nothing of the
	 * thin had changed; and bios that they served, likewise. */
	uint64_t nr_data_flushes, nr_flushed_flushes;
};
#define TP_POOL_STATISTICS_INIT                                                \
	{                                                                      \
		.struct_size = sizeof(struct tp_pool_statistics)               \
	}

/* Since the pool was opened; in any mode.  Counting is always on: each queue
 * and the run loop have their own counters, which are summed here.  -EINVAL:
 * no struct_size. */
int tp_pool_get_statistics(struct tp_pool *pool,
			   struct tp_pool_statistics *statistics);

/*
 * Every thin with an id below TP_THIN_ID_END, in order; stops when @each
 * returns other than 0, and returns that.  @each runs in the calling thread
 * with no lock held, and may call anything.  -EOPNOTSUPP: the pool has failed;
 * -EIO, -EILSEQ, -ENOMEM.
 */
int tp_pool_list_thins(struct tp_pool *pool,
		       int (*each)(const struct tp_thin_info *info,
				   void *context),
		       void *context);

/*
 * How many bytes of the data device only this thin has: neither another thin nor
 * a metadata snapshot.  It is what deleting it would free.  Takes time in
 * proportion to the part of its mappings that it shares with none, and holds
 * nobody up; of what changes meanwhile either is told.  What is still being
 * emptied of a thin deleted before counts as another's.
 *
 * -ENODATA; -EINVAL: id; -EOPNOTSUPP: the pool has failed, or was opened without
 * its space maps; -EIO, -EILSEQ.
 */
int tp_pool_get_exclusive(struct tp_pool *pool, uint32_t id, uint64_t *bytes);

/*---------------------------- hooks and events -----------------------------*/

/*
 * Called on every commit, after the data writes that the transaction maps have
 * completed and before its superblock is written.  Other than 0 aborts the
 * commit and stops writing (B-PRE-8).  It takes the place of the default,
 * which is tp_pool_flush_data(), and so must flush.  It runs on an I/O thread
 * (host-driven: inline), one call at a time, and may call tp_pool_flush_data
 * and nothing else that blocks.
 */
typedef int (*tp_pre_commit_fn)(void *context);

/*
 * Set or replace the hook, at any time; NULL: the default.  Once it returned,
 * the old hook and its context are never touched again: it waits for a commit
 * under way.  -EDEADLK: called from the hook itself.
 */
int tp_pool_set_pre_commit_hook(struct tp_pool *pool, tp_pre_commit_fn hook,
				void *context);

/* Flush the data device, as the default hook does; for hooks that do more. */
int tp_pool_flush_data(struct tp_pool *pool);

enum tp_event_kind {
	TP_EVENT_MODE,             /* the mode changed */
	TP_EVENT_LOW_WATER,        /* data: B-LWM-1 */
	TP_EVENT_LOW_METADATA,     /* B-META-2 */
	TP_EVENT_NO_SPACE_TIMEOUT, /* writes no longer wait: B-OODS-5 */
	TP_EVENT_RESUME,
};

struct tp_event {
	size_t struct_size;
	enum tp_event_kind kind;
	enum tp_pool_mode old_mode, mode;
};

/*
 * Called at the top of the run loop, no lock held, after the state it tells
 * of is visible (B-EVT-2); it may call anything but tp_pool_close.
 */
typedef void (*tp_event_fn)(void *context, const struct tp_event *event);

/* NULL: none.  Once it returned, the old handler is not called again. */
int tp_pool_set_event_handler(struct tp_pool *pool, tp_event_fn handler,
			      void *context);

#ifdef __cplusplus
}
#endif

#endif
