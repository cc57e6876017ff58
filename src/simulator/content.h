/*
 * content.h - what a device holds: chunks of 4 KiB in a tree of fixed depth.
 *
 * Chunks and the nodes above them are counted and, once shared, never changed:
 * who writes copies the path first.  So a copy of a whole content costs one
 * reference, and an attempt that fails half way is undone by dropping the copy
 * it was made in.
 *
 * The counts are atomic, for contents of different simulators share nodes; one
 * content is used by one thread at a time.
 */
#ifndef TPI_SIMULATOR_CONTENT_H
#define TPI_SIMULATOR_CONTENT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <thinpool/types.h>

#define TPI_SIM_CHUNK_BYTES 4096u
#define TPI_SIM_CHUNK_SECTORS (TPI_SIM_CHUNK_BYTES / TP_SECTOR_SIZE)
#define TPI_SIM_ALL_SECTORS ((1u << TPI_SIM_CHUNK_SECTORS) - 1)

/* 4 TiB. */
#define TPI_SIM_NODE_SHIFT 6
#define TPI_SIM_NR_LEVELS 5
#define TPI_SIM_MAX_BYTES                                                      \
	((uint64_t)TPI_SIM_CHUNK_BYTES                                         \
	 << (TPI_SIM_NODE_SHIFT * TPI_SIM_NR_LEVELS))

struct tpi_sim_chunk {
	atomic_uint nr_refs;
	/* The request that wrote each sector; 0: none. */
	uint64_t ids[TPI_SIM_CHUNK_SECTORS];
	unsigned char bytes[TPI_SIM_CHUNK_BYTES];
};

/* All bytes @fill; NULL: no memory. */
struct tpi_sim_chunk *tpi_sim_chunk_new(uint64_t id, int fill);

/* NULL is allowed. */
void tpi_sim_chunk_unref(struct tpi_sim_chunk *chunk);

struct tpi_sim_content {
	void *root; /* NULL: nothing was ever written */
};

struct tpi_sim_content
tpi_sim_content_copy(const struct tpi_sim_content *content);
void tpi_sim_content_drop(struct tpi_sim_content *content);

/* @content takes the place of @old, which is dropped. */
void tpi_sim_content_replace(struct tpi_sim_content *old,
			     struct tpi_sim_content content);

/* To look at; NULL: never written. */
const struct tpi_sim_chunk *
tpi_sim_content_chunk(const struct tpi_sim_content *content, uint64_t nr);

/* Copy the sectors of @mask from @chunk, ids too.  -ENOMEM. */
int tpi_sim_content_put(struct tpi_sim_content *content, uint64_t nr,
			struct tpi_sim_chunk *chunk, unsigned mask);

/* Take each sector of a range from @other, or leave it as it is, as drawn from
 * @random.  -ENOMEM: some were taken. */
int tpi_sim_content_mix(struct tpi_sim_content *content,
			const struct tpi_sim_content *other, uint64_t offset,
			uint64_t length, uint64_t *random);

void tpi_sim_content_read(const struct tpi_sim_content *content, void *to,
			  size_t length, uint64_t offset);

#endif
