/*
 * world.h - a pool on two observed devices, and what tests do to one.
 *
 * Everything here fails the test when the pool does not do as it should.  The
 * same test runs on a pool with a thread of its own and on a host-driven one:
 * tests run twice, and world_make(&world, _i) chooses.
 */
#ifndef TESTS_SUPPORT_WORLD_H
#define TESTS_SUPPORT_WORLD_H

#include <check.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <thinpool/thinpool.h>

#include "support/observer.h"
#include "support/pattern.h"
#include "support/run-tests.h"

#define KIB 1024u
#define MIB (1024u * 1024u)
#define WORLD_BLOCK (64u * KIB)
#define SECOND_NS 1000000000u

#define ck_ok(call) ck_assert_int_eq(call, 0)

struct world {
	struct io_log log;
	struct observer metadata, data;

	/* For the next open; and for the format. */
	struct tp_pool_options options;
	uint32_t block_size;

	struct tp_pool *pool;
	_Atomic uint64_t now_ns; /* of a virtual clock */
};

/* Rounds of a test: world_make(&world, _i). */
enum { OWN_THREAD, HOST_DRIVEN, NR_KINDS };

/* Devices and options, nothing formatted: 2 MiB of metadata and 16 MiB of
 * data, which can grow to 64 and 256; no tick (commit_interval_ms: never). */
void world_make(struct world *w, int kind);

/* The same with devices of other sizes; @data_limits may be NULL. */
void world_make_sized(struct world *w, int kind, uint64_t metadata_bytes,
		      uint64_t data_bytes,
		      const struct tp_device_limits *data_limits);

/* A clock that only world_pass_time() and a call that waits move on; for
 * host-driven pools, before the open. */
void world_use_virtual_clock(struct world *w);
void world_pass_time(struct world *w, uint64_t ns);

void world_format(struct world *w);
void world_open(struct world *w);
void world_close(struct world *w);
void world_reopen(struct world *w);

/* make, format and open; close, check and unmake. */
void world_begin(struct world *w, int kind);
void world_end(struct world *w);
void world_end_unchecked(struct world *w);

/* The pool is closed: thin_check and metadata-verify find nothing. */
void world_check(struct world *w);
void world_check_file(const char *path); /* likewise, of any metadata */

/* The pool is closed. */
void world_unmake(struct world *w);

/* As if power had failed: a copy of what the devices hold now, in @w's place
 * for another world, @other, not opened. */
void world_copy(const struct world *w, struct world *other, int kind);

bool world_is_host_driven(const struct world *w);
struct tp_pool_status world_status(struct world *w);
uint64_t world_used(struct world *w); /* data blocks */

/*---------------------------- waiting --------------------------------------*/

/* Let the pool run a little; in a host-driven one, all that is due. */
void world_run(struct world *w);

/* Until @condition, or 60 s. */
#define world_until(w, condition)                                              \
	do {                                                                   \
		unsigned world_rounds = 0;                                     \
		while (!(condition)) {                                         \
			world_run(w);                                          \
			ck_assert_msg(++world_rounds < 200000,                 \
				      "waited in vain for " #condition);       \
		}                                                              \
	} while (0)

/* As long as something that should not happen gets to happen. */
void world_idle(struct world *w);

/* Until what was handed in is done, as far as nobody holds it up: by steps of
 * the pool's loop, not by time.  Not during a rollback, which holds calls up. */
void world_settle(struct world *w);

/*---------------------------- thins ----------------------------------------*/

struct tp_thin *world_open_thin(struct world *w, uint32_t id, uint64_t size);
struct tp_thin *world_new_thin(struct world *w, uint32_t id, uint64_t size);
struct tp_thin *world_snapshot(struct world *w, uint32_t id, uint32_t origin,
			       uint64_t size);

/* The same, and the first of its blocks are written. */
#define NR_FILLED 4u
struct tp_thin *world_filled_thin(struct world *w, uint32_t id, uint64_t size,
				  uint64_t seed);

void thins_close(struct tp_thin *one, struct tp_thin *two);

void thin_fill(struct tp_thin *thin, uint64_t offset, uint64_t length,
	       uint64_t seed);
void thin_verify(struct tp_thin *thin, uint64_t offset, uint64_t length,
		 uint64_t seed);
void thin_verify_zero(struct tp_thin *thin, uint64_t offset, uint64_t length);
struct tp_thin_info thin_info(struct tp_thin *thin);
uint64_t thin_mapped(struct tp_thin *thin); /* bytes */

/* Where the block of @offset lies on the data device; UINT64_MAX: nowhere. */
uint64_t thin_where(struct tp_thin *thin, uint64_t offset);

/*---------------------------- bios -----------------------------------------*/

struct io {
	struct tp_bio bio;
	struct iovec iov;
	struct io_log *log; /* not NULL: note is put there when it ends */
	const char *note;
	unsigned nr_ended;
};

/* @buffer: of a read or a write. */
void io_init(struct io *io, enum tp_op op, void *buffer, uint64_t offset,
	     uint64_t length, unsigned flags);
void io_submit(struct io *io, struct tp_queue *queue, struct tp_thin *thin);
void io_submit_flush(struct io *io, struct tp_queue *queue,
		     struct tp_thin *thin);

/* The status. */
int io_wait(struct world *w, struct io *io, struct tp_queue *queue);

/* Reap what there is; whether @io has ended. */
bool io_has_ended(struct io *io, struct tp_queue *queue);

/*---------------------------- the order of a commit ------------------------*/

/*
 * Check every superblock write in the log: since the one before, or the start,
 * a data flush had ended, if @needs_data; all metadata writes had ended, and a
 * flush after them; and all that before it was submitted (B-PRE-1, M6).  Clear
 * the log when all data writes have ended.  How many superblocks.
 */
unsigned check_commit_order(struct io_log *log, bool needs_data);

/* A copy of a device's content, to compare with. */
char *snapshot_of(const struct observer *observer);
bool is_same(const struct observer *observer, const char *before);

#endif
