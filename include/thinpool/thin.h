/*
 * thinpool/thin.h - thin volumes: open, do I/O the simple way, look inside.
 *
 * The functions that do I/O block; they are queue and bio in one call, for
 * tools and for what need not be fast.  In a host-driven pool they run the
 * loop, and one that could only go on by the host's help fails instead:
 * -ENOSPC where it would be parked, -EBUSY while suspended.
 *
 * Units:   bytes, multiples of the logical block (tp_thin_get_limits).
 * Threads: any; of a host-driven pool, the one that polls it.
 */
#ifndef THINPOOL_THIN_H
#define THINPOOL_THIN_H

#include <stdbool.h>
#include <thinpool/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A host may name ids below this; see B-THIN-1. */
#define TP_THIN_ID_END (1u << 24)

#define TP_THIN_READ_ONLY (1u << 0)

/* Writes are looked at: zeroes for blocks that are unmapped, and so show zeroes,
 * take no space and are not stored.  A block that is mapped stays so: TP_DISCARD
 * and TP_WRITE_ZEROES unmap.  Without effect on an external origin's thins, and
 * where new blocks are not zeroed. */
#define TP_THIN_DETECT_ZEROES (1u << 1)

/* What becomes of writes through a handle when the pool has no space. */
enum tp_no_space {
	TP_NO_SPACE_AS_POOL, /* as the pool's options say */
	TP_NO_SPACE_QUEUE,   /* they wait, at most for a time of their own */
	TP_NO_SPACE_ERROR,   /* they end with -ENOSPC at once */
};

struct tp_thin_options {
	size_t struct_size;
	unsigned flags; /* TP_THIN_ */
	uint64_t size;  /* bytes; must be given: the pool stores none */

	/* A read-only device beneath, shown where nothing is mapped (B-ORIG).
	 * The pool does not know of it: every open of the thin, and of
	 * snapshots of it, has to name the same one, or zeroes show where it
	 * would.  It must not change while it is in use; its size is taken when
	 * the first handle is opened.  What a discard unmaps shows it again. */
	struct tp_device *external_origin;

	enum tp_no_space no_space;

	/* With TP_NO_SPACE_QUEUE: so long after the pool ran out of space, or
	 * was resumed, they end with -ENOSPC; 0: the pool's; TP_NEVER. */
	uint32_t no_space_timeout_ms;
};
#define TP_THIN_OPTIONS_INIT                                                   \
	{                                                                      \
		.struct_size = sizeof(struct tp_thin_options)                  \
	}

/*
 * Open a thin, as often as you like; each handle has its own size and flags.
 *
 * -EINVAL   no size, not a multiple of 512, over 2^63 - 512; an unknown flag
 *           or policy, a timeout and no queueing; the pool has failed; the
 *           origin is one of the pool's devices;
 * -ENODATA  no thin has this id;
 * -EBUSY    the pool is suspended, or the thin is open with another origin;
 * -EOPNOTSUPP, -EIO, -EILSEQ, -ENOMEM.
 */
int tp_thin_open(struct tp_pool *pool, uint32_t id,
		 const struct tp_thin_options *options, struct tp_thin **thin);

/*
 * -EBUSY while bios of this handle are not reaped; those that only wait end
 * then (parked: -ENOSPC; the rest of a huge discard and what waits for a
 * resume: -ECANCELED): reap, and close again.  NULL is allowed.
 */
int tp_thin_close(struct tp_thin *thin);

/* Whole, or an error: what a bio would end with, or what submit refuses. */
int tp_thin_read(struct tp_thin *thin, void *buffer, size_t length,
		 uint64_t offset);
int tp_thin_write(struct tp_thin *thin, const void *buffer, size_t length,
		  uint64_t offset, unsigned flags);
int tp_thin_flush(struct tp_thin *thin);
int tp_thin_discard(struct tp_thin *thin, uint64_t offset, uint64_t length);
int tp_thin_write_zeroes(struct tp_thin *thin, uint64_t offset, uint64_t length,
			 unsigned flags);

/* What a host may advertise to its own clients (B-LIM-1). */
struct tp_thin_limits {
	size_t struct_size;
	uint64_t size_bytes;
	uint32_t logical_block_bytes;
	uint32_t memory_alignment_bytes;
	uint64_t preferred_bytes;           /* the data block */
	uint64_t discard_granularity_bytes; /* 0: discards are refused */
	uint64_t discard_max_bytes;
};
#define TP_THIN_LIMITS_INIT                                                    \
	{                                                                      \
		.struct_size = sizeof(struct tp_thin_limits)                   \
	}

/* -EINVAL: no struct_size. */
int tp_thin_get_limits(struct tp_thin *thin, struct tp_thin_limits *limits);

struct tp_thin_info {
	size_t struct_size;
	uint32_t id;
	uint64_t mapped_bytes;
	/* One past the highest mapped byte; 0 when nothing is mapped. */
	uint64_t highest_mapped_end;
	uint64_t transaction_id; /* of the pool, when it was created */
	uint32_t creation_time;  /* B-THIN-4 */
	uint32_t snapshotted_time;
	bool changed;     /* something of it is not durable yet */
	bool lost_writes; /* B-STAT-6 */
};
#define TP_THIN_INFO_INIT                                                      \
	{                                                                      \
		.struct_size = sizeof(struct tp_thin_info)                     \
	}

/* As of the running transaction.  -EINVAL, -EIO, -EILSEQ. */
int tp_thin_get_info(struct tp_thin *thin, struct tp_thin_info *info);

struct tp_io_count {
	uint64_t nr_bios, bytes;
};

/*
 * What was done for a thin, or for all of a pool.  Bios count as soon as they
 * are accepted, blocks when their mapping has changed.
 */
struct tp_io_statistics {
	struct tp_io_count reads, writes, write_zeroes, discards, flushes;
	uint64_t nr_fua; /* of the bios above */

	/* Reads and writes that went straight to the device: nothing had to be
	 * read or changed in the metadata. */
	uint64_t nr_direct;

	/* Of mappings, in memory: one for each run of a direct bio, and for
	 * each block that any other asks for. */
	uint64_t mapping_cache_hits, mapping_cache_misses;

	uint64_t provisioned_blocks; /* to what was not mapped */
	uint64_t unshared_blocks;    /* in place of shared ones */
	uint64_t copied_blocks; /* of both: filled from a block, or an origin */
	uint64_t zeroed_blocks; /* of both: zeroes fill them up */

	/* Looked shared and were not: written in place. */
	uint64_t avoided_breaks;
	uint64_t unmapped_blocks; /* by discards and write zeroes */
};

struct tp_thin_statistics {
	size_t struct_size;
	struct tp_io_statistics io;
};
#define TP_THIN_STATISTICS_INIT                                                \
	{                                                                      \
		.struct_size = sizeof(struct tp_thin_statistics)               \
	}

/* Through all handles of the thin, since the first of them was opened; a thin
 * that no handle had open begins anew.  -EINVAL: no struct_size. */
int tp_thin_get_statistics(struct tp_thin *thin,
			   struct tp_thin_statistics *statistics);

/* A run of a thin's address space. */
struct tp_extent {
	uint64_t offset, length;
	bool mapped;
	bool shared;          /* perhaps: false is sure (B-WRITE-12) */
	uint64_t data_offset; /* on the data device, if mapped */
};

/*
 * Call @each for the runs of [offset, offset + length), in order, holes too;
 * stop when it returns other than 0, and return that.  @each runs in the
 * calling thread, with no lock held; runs that change meanwhile may be seen
 * either way.  -EINVAL: the range; -EIO, -EILSEQ, -ENOMEM.
 */
int tp_thin_each_extent(struct tp_thin *thin, uint64_t offset, uint64_t length,
			int (*each)(const struct tp_extent *extent,
				    void *context),
			void *context);

#ifdef __cplusplus
}
#endif

#endif
