/*
 * store.h - a device of some kind, to be driven as it is and beneath a pool.
 *
 * The raw device and the pool's data device are the same, so that both meet the
 * same pages or the same file.
 */
#ifndef BENCH_STORE_H
#define BENCH_STORE_H

#include "lane.h"

struct store {
	struct target raw;
	struct tp_device *data, *metadata;
	uint64_t size_bytes; /* of data */

	/* Beside a request, reading the clock costs nothing. */
	bool is_slow;

	void (*close)(struct store *store);
};

#define METADATA_BYTES (256 * MIB)

/* Pages of this process, all of them there, by a device of the host's own. */
struct store *open_memory_store(uint64_t size_bytes);

/*
 * The same without pages, for volumes that are larger than memory: it forgets
 * what is written, and a read leaves the buffer as it is.  Takes the reference.
 */
struct store *open_forgetful_store(uint64_t size_bytes,
				   struct tp_device *metadata);

/*
 * Files in this directory, which vanish when the program ends.  @is_direct:
 * O_DIRECT; raw, they are driven by a ring of io_uring for each lane, and beneath
 * a pool by the library's own file device, which uses io_uring too.  Else they
 * are in tmpfs, and both copy in the thread that submits.
 */
struct store *open_file_store(const char *directory, uint64_t size_bytes,
			      bool is_direct);

void close_store(struct store *store);

#endif
