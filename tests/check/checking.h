/*
 * checking.h - an image of metadata with a bit of everything in it, and checking
 * it.
 */
#ifndef TESTS_CHECK_CHECKING_H
#define TESTS_CHECK_CHECKING_H

#include <check.h>
#include <thinpool/thinpool.h>

#include "support/metadata-image.h"
#include "support/run-tests.h"
#include "support/world.h"

/*---------------------------- a device -------------------------------------*/

/* A device over bytes in memory, which fails on demand. */
struct byte_device {
	char *bytes;
	uint64_t size_bytes;
	tp_mblock bad_block; /* cannot be read; 0: all can */
	unsigned good_reads; /* of that block, before it goes bad */
	unsigned nr_writes;  /* so far */
	unsigned fail_write; /* from the n-th on they are lost, with -EIO */
	struct tp_device *device;
};

/* @bytes stay the caller's.  The device is closed by exit. */
void byte_device_init(struct byte_device *device, char *bytes, uint64_t size);
void byte_device_exit(struct byte_device *device);

/*---------------------------- an image -------------------------------------*/

#define IMAGE_BYTES (2 * MIB)

/*
 * Metadata of a pool with 32768 data blocks, in IMAGE_BYTES of memory; free(3):
 *
 *	thin 1        300 blocks
 *	thins 2..4    snapshots of it, each written a little since: so there
 *	              are data blocks that four leaves refer to
 *	thins 5..8    snapshots of thin 4, which share its root
 *	thin 9        300 blocks, never snapshotted
 *	thin 10       empty
 *	thins 12, 13  20 blocks, and a snapshot written a little since
 *
 * and a metadata snapshot, since which a thin has come and gone.  It is built
 * once; call it before tests are forked, to build it for all of them.
 */
char *make_image(void);

/*---------------------------- checking -------------------------------------*/

struct checked {
	int result;
	struct tp_check_report report;
	char *told; /* a line for each finding */
};

/* What tp_check() makes of a device, or of bytes; free by checked_exit(). */
void check_device(struct tp_device *device, unsigned flags, unsigned nr_threads,
		  struct checked *checked);
void check_bytes(char *bytes, unsigned flags, struct checked *checked);
void checked_exit(struct checked *checked);

#endif
