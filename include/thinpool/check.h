/*
 * thinpool/check.h - is the metadata of a pool right, to the last count?
 *
 * tp_check() reads all of the metadata, works out again everything that can be
 * worked out, and tells each thing that is not as it should be: how bad it is,
 * where, and what.  It believes nothing of what it reads.  Without being asked
 * for a repair it changes nothing.
 *
 * Units:   metadata blocks are 4096 bytes; ranges are [begin, end).
 * Threads: any.  Callbacks run in the calling thread only, and what they are
 *          told does not depend on how many threads there are.
 */
#ifndef THINPOOL_CHECK_H
#define THINPOOL_CHECK_H

#include <stdbool.h>
#include <thinpool/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* No block, no thin. */
#define TP_CHECK_NONE UINT64_MAX

/*---------------------------- what may be found ----------------------------*/

/* How bad it is; each is worse than the one before. */
enum tp_check_severity {
	TP_CHECK_CLEAN,   /* nothing was found */
	TP_CHECK_WARNING, /* odd, and harmless */
	TP_CHECK_LEAK,    /* space is lost or badly used; nothing is at risk */
	TP_CHECK_CORRUPTION, /* what volumes hold is lost or at risk */
	TP_CHECK_FATAL,      /* the pool cannot be opened */
};

/* Never NULL; the word for a severity: "corruption". */
const char *tp_check_severity_name(enum tp_check_severity severity);

/* What is not as it should be.  Names of new kinds are added at the end. */
enum tp_check_kind {
	/* Of the superblock, or its copy behind a metadata snapshot. */
	TP_FOUND_NOT_FORMATTED, /* there is no pool */
	TP_FOUND_SUPERBLOCK,    /* a field that no pool has so */
	TP_FOUND_NEEDS_CHECK,   /* needs_check is set */
	TP_FOUND_SIZE,          /* more blocks than the devices have */
	TP_FOUND_HELD_ROOT,     /* the metadata snapshot contradicts the pool */

	/* Of any block. */
	TP_FOUND_IO,           /* it cannot be read */
	TP_FOUND_CHECKSUM,     /* or it is a block of another type */
	TP_FOUND_BLOCK_NUMBER, /* it says that it is another block */
	TP_FOUND_PADDING,      /* bytes that should be zero are not */
	TP_FOUND_POINTER,      /* a pointer past the end */
	TP_FOUND_TWO_ROLES,    /* one block used as two things */
	TP_FOUND_SHARED,       /* two pointers to what has one owner */
	TP_FOUND_CYCLE,        /* a node beneath itself */

	/* Of nodes. */
	TP_FOUND_NODE_FLAGS,   /* neither internal nor leaf */
	TP_FOUND_NODE_SIZES,   /* of values, or how many there is room for */
	TP_FOUND_NODE_ENTRIES, /* more than there is room for, or none */
	TP_FOUND_UNDERFULL,    /* less than a third full, and no root */
	TP_FOUND_KEY_ORDER,    /* keys do not ascend */
	TP_FOUND_KEY_RANGE,    /* keys outside what the parent says */
	TP_FOUND_DEPTH,        /* too deep, or leaves at several depths */

	/* Of thins and what they map. */
	TP_FOUND_THIN_SET,          /* mappings without details, or reverse */
	TP_FOUND_MAPPED_BLOCKS,     /* the details count them wrong */
	TP_FOUND_DETAILS_TIME,      /* times that cannot have been */
	TP_FOUND_MAPPING_TIME,      /* later than the pool's own */
	TP_FOUND_DATA_BLOCK,        /* mapped, and past the end */
	TP_FOUND_UNSAFE_SHARING,    /* an owner that would write in place */
	TP_FOUND_MAPPED_TWICE,      /* by one thin */
	TP_FOUND_SHARING_UNCHECKED, /* too many combinations of owners */

	/* Of space maps. */
	TP_FOUND_INDEX_KEYS,      /* bitmaps missing, or too many */
	TP_FOUND_BEYOND_END,      /* a bitmap counts what is not there */
	TP_FOUND_OVERFLOW,        /* bitmap and overflow tree disagree */
	TP_FOUND_COUNT_LOW,       /* fewer than there are references */
	TP_FOUND_COUNT_HIGH,      /* more: a leak */
	TP_FOUND_NR_FREE,         /* of an index entry */
	TP_FOUND_HINT,            /* hides a free block */
	TP_FOUND_NR_ALLOCATED,    /* of a space map's root */
	TP_FOUND_LEAKS_UNCHECKED, /* what was not read may explain counts */

	TP_CHECK_NR_KINDS
};

/* "count-high", and the like; never NULL, and for ever the same. */
const char *tp_check_kind_name(enum tp_check_kind kind);

/* Where: in what structure, and what a block is for. */
enum tp_check_place {
	TP_PLACE_IMAGE, /* all of it */
	TP_PLACE_SUPERBLOCK,
	TP_PLACE_HELD_SUPERBLOCK, /* of the metadata snapshot */
	TP_PLACE_THINS,           /* the tree of thins; keys: ids */
	TP_PLACE_MAPPINGS,        /* of a thin; keys: virtual blocks */
	TP_PLACE_DETAILS,         /* the tree of details; keys: ids */
	TP_PLACE_DATA_INDEX,      /* keys: numbers of bitmaps */
	TP_PLACE_DATA_BITMAP,
	TP_PLACE_DATA_OVERFLOW, /* keys: data blocks */
	TP_PLACE_METADATA_INDEX,
	TP_PLACE_METADATA_BITMAP,
	TP_PLACE_METADATA_OVERFLOW,  /* keys: metadata blocks */
	TP_PLACE_DATA_SPACE_MAP,     /* keys: data blocks */
	TP_PLACE_METADATA_SPACE_MAP, /* keys: metadata blocks */
};

/* "mapping tree", and the like; never NULL. */
const char *tp_check_place_name(enum tp_check_place place);

struct tp_check_finding {
	size_t struct_size;
	enum tp_check_severity severity;
	enum tp_check_kind kind;
	enum tp_check_place place;
	bool held;           /* in the metadata snapshot only */
	uint64_t block;      /* the metadata block, or TP_CHECK_NONE */
	uint64_t thin;       /* its id, or TP_CHECK_NONE */
	uint64_t begin, end; /* keys of the place, see there; end UINT64_MAX:
			      * without end; both 0: not about keys */

	/* How one comes to the block: "6[0]/812[3]" is the block that entry 3
	 * of block 812 leads to, to which entry 0 of block 6 does, to which the
	 * superblock does; empty: from the superblock.  Then a sentence.  Good
	 * until the callback returns. */
	const char *path;
	const char *what;
};

/*---------------------------- asking ---------------------------------------*/

/* Look at the superblock, and no further. */
#define TP_CHECK_SUPERBLOCK_ONLY (1u << 0)

/* Leave out the mappings, which are the bulk; so counts are not compared. */
#define TP_CHECK_SKIP_MAPPINGS (1u << 1)

/* Check the trees of the metadata snapshot, and nothing else.  No lock is
 * taken, so a pool may be using the device. */
#define TP_CHECK_METADATA_SNAPSHOT (1u << 2)

/*
 * If nothing worse than leaks was found: set right the counts that are too
 * high, and the figures of free space, in a transaction like any other: by
 * copying, and the superblock last.
 */
#define TP_CHECK_REPAIR_LEAKS (1u << 3)

/* If nothing worse than warnings is left: clear needs_check.  With the second,
 * leaks do not count. */
#define TP_CHECK_CLEAR_NEEDS_CHECK (1u << 4)
#define TP_CHECK_IGNORE_LEAKS (1u << 5)

/* In findings_per_kind: tell all. */
#define TP_CHECK_ALL_FINDINGS UINT32_MAX

struct tp_check_options {
	size_t struct_size;
	unsigned flags; /* TP_CHECK_ */

	/* That read and verify; 0: one for each processor.  1: all is done in
	 * the calling thread, in an order that does not change. */
	unsigned nr_threads;

	/* How many of each kind are told; the others are counted.  0: 100. */
	uint32_t findings_per_kind;

	/* The size of the data device, to compare with; 0: not known. */
	uint64_t data_bytes;

	/* Any may be NULL. */
	void (*found)(void *context, const struct tp_check_finding *finding);

	/* Metadata blocks read, of about @total.  Not 0: give up, -ECANCELED.
	 * A repair that has begun is not given up. */
	int (*progress)(void *context, uint64_t done, uint64_t total);
	void *context;

	/* How to wait for a device whose time is the host's own, as in
	 * tp_pool_options; for nr_threads 1. */
	void (*clock_wait)(void *context, uint64_t until_ns);
	void *clock_context;
};
#define TP_CHECK_OPTIONS_INIT                                                  \
	{                                                                      \
		.struct_size = sizeof(struct tp_check_options)                 \
	}

/* Room in the report for kinds to come. */
#define TP_CHECK_KINDS_ROOM 96

struct tp_check_report {
	size_t struct_size;
	enum tp_check_severity worst; /* of all that was found */

	uint64_t nr_findings, nr_untold; /* the latter by findings_per_kind */
	uint64_t nr_warnings, nr_leaks, nr_corruptions, nr_fatal;

	/* What the superblock says. */
	bool needs_check; /* when the check began */
	uint64_t transaction_id;
	uint32_t time;
	uint32_t data_block_size; /* bytes */
	uint64_t metadata_blocks, data_blocks;
	uint64_t held_root;

	/* What was found.  Thins that no host can name are the library's own:
	 * its catalogue, and volumes that are being deleted; their mappings
	 * are not in nr_mappings. */
	uint64_t nr_thins, nr_own_thins, nr_mappings;
	uint64_t used_metadata_blocks, used_data_blocks; /* referred to */
	uint64_t leaked_metadata_blocks, leaked_data_blocks;
	uint64_t undercounted_metadata_blocks, undercounted_data_blocks;
	uint64_t nr_blocks_read;

	/* What was done about it. */
	bool repaired;
	bool cleared_needs_check;

	uint64_t nr_by_kind[TP_CHECK_KINDS_ROOM]; /* by enum tp_check_kind */
};
#define TP_CHECK_REPORT_INIT                                                   \
	{                                                                      \
		.struct_size = sizeof(struct tp_check_report)                  \
	}

/*
 * Check the metadata on a device, which is claimed meanwhile: shared, or, to
 * repair leaks or to clear needs_check, exclusively.
 *
 * 0: it was checked; @report says what came of it.  A block that cannot be read
 * is something found, as is a device without a pool.
 *
 * Memory: for each metadata block on the device and for each data block that is
 * mapped, a bounded amount, whatever the metadata says.
 *
 * -EINVAL     no device or report, unknown or contradicting flags;
 * -EBUSY      a pool uses the device;
 * -EROFS      to be changed, and opened read-only;
 * -ENODATA    there is no metadata snapshot;
 * -ECANCELED  progress() said so;
 * -EIO, ...   block 0 cannot be read; or writing failed in a repair, which then
 *             either took place or did not;
 * -ENOSPC     no room for a repair: nothing was changed;
 * -ENOMEM.
 * On errors the report tells what was found so far.
 */
int tp_check(struct tp_device *metadata, const struct tp_check_options *options,
	     struct tp_check_report *report);

#ifdef __cplusplus
}
#endif

#endif
