/*
 * image-pool.h - a pool over two images, and a ledger of what is in it.
 *
 * Every call goes to the library and tells the ledger what came of it.  A call
 * may fail, for the metadata may be damaged; but with an error that fits, and
 * whatever is read must be what the ledger allows, as long as it is trusted.
 * Else, and where the library waits for what cannot happen, abort() with a
 * sentence: this is for fuzzers as well as for tests.
 *
 * A host-driven pool runs on a virtual clock.
 */
#ifndef TESTS_SUPPORT_IMAGE_POOL_H
#define TESTS_SUPPORT_IMAGE_POOL_H

#include <thinpool/thinpool.h>

#include "support/image-device.h"
#include "support/ledger.h"

struct image_pool {
	struct image_device metadata, data;
	struct tp_pool_options options; /* for the next open */
	struct tp_pool *pool;
	struct ledger ledger;
	bool is_trusted; /* the ledger */
	uint64_t now_ns;
	char what[512]; /* for the sentence when something is wrong */
};

struct image_pool_sizes {
	uint64_t metadata_bytes, data_bytes;
	int metadata_fd, data_fd; /* what they begin as; -1: zeroes */
};

/* Nothing is opened; each device can grow to twice its size. */
void image_pool_init(struct image_pool *pool,
		     const struct image_pool_sizes *sizes, bool host_driven);

/* The pool is closed. */
void image_pool_exit(struct image_pool *pool);

int image_pool_open(struct image_pool *pool);

/* Every handle is closed.  The pool is gone, whatever this returns. */
int image_pool_close(struct image_pool *pool);

/* Something must not be: say so, and abort. */
void image_pool_complain(const struct image_pool *pool, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/* 0, or an error that damage may lead to; others are complained about. */
int image_pool_expect(const struct image_pool *pool, const char *call, int r);

/* Let a host-driven pool do what is due at a later time. */
void image_pool_pass_time(struct image_pool *pool, uint64_t ns);

/* Failed if that cannot be told. */
enum tp_pool_mode image_pool_mode(const struct image_pool *pool);

/* In other modes a discard succeeds and does nothing (B-DISC-14). */
bool image_pool_discards(const struct image_pool *pool);

/*---------------------------- volumes --------------------------------------*/

int image_pool_create(struct image_pool *pool, uint32_t id, uint32_t nr_blocks);
int image_pool_snapshot(struct image_pool *pool, uint32_t id, uint32_t origin);
int image_pool_delete(struct image_pool *pool, uint32_t id);
int image_pool_commit(struct image_pool *pool);

/* Of the size that the ledger knows, or else of 64 blocks. */
int image_pool_open_thin(struct image_pool *pool, uint32_t id,
			 struct tp_thin **thin);

/*---------------------------- blocks ---------------------------------------*/

/* All about @nr blocks from @vblock on, of the thin @id; each write has a tag
 * of its own.  @whole: all of each block, else only how it begins. */
int image_pool_write(struct image_pool *pool, struct tp_thin *thin, uint32_t id,
		     uint32_t vblock, uint32_t nr, bool whole, unsigned flags);
int image_pool_read(struct image_pool *pool, struct tp_thin *thin, uint32_t id,
		    uint32_t vblock, uint32_t nr);
int image_pool_discard(struct image_pool *pool, struct tp_thin *thin,
		       uint32_t id, uint32_t vblock, uint32_t nr);
int image_pool_zero(struct image_pool *pool, struct tp_thin *thin, uint32_t id,
		    uint32_t vblock, uint32_t nr);
int image_pool_flush(struct image_pool *pool, struct tp_thin *thin);

#endif
