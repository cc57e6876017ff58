/*
 * bio.h - the life of a bio inside the pool.
 *
 * A bio is taken by a queue (queue.c).  If all of its blocks are mapped, and
 * for a write unshared, it is sent from there and never leaves the caller's
 * thread.  Everything else goes to the run loop (bio.c), which takes it through
 *
 *	flush first?  ->  the data itself, part by part  ->  flush after (FUA)?
 *
 * and then gives it back to its queue to be reaped.  A bio is at one of these
 * two places at a time, so it needs no lock.
 */
#ifndef TPI_POOL_BIO_H
#define TPI_POOL_BIO_H

#include "pool/pool.h"

enum tpi_bio_stage {
	TPI_BIO_PREFLUSH,
	TPI_BIO_DATA,
	TPI_BIO_FUA,
};

/* The library's room in a bio. */
struct tpi_bio {
	struct tpi_task task;
	struct tp_bio *next; /* of those that ended on a queue */
	struct tp_queue *queue;
	struct tp_thin *thin;
	struct tpi_thin_section *section; /* of its queue's port */

	/* The rest of the range, in bytes of the thin. */
	uint64_t position, end;
	uint64_t space_awaited; /* a transaction that may free some, or 0 */
	unsigned nr_parts;      /* sent, or being prepared, and not ended */
	int error;              /* the first one */
	unsigned device_flags;  /* of the requests that it is sent in */
	uint8_t stage;
	bool begun; /* counted among the writes under way */
	struct tpi_fragment fragment;
};
_Static_assert(sizeof(struct tpi_bio) <=
		       sizeof(((struct tp_bio *)0)->library_room),
	       "a bio needs no allocation");

static inline struct tpi_bio *tpi_bio(struct tp_bio *bio)
{
	return (struct tpi_bio *)bio->library_room;
}

static inline const struct tpi_bio *tpi_const_bio(const struct tp_bio *bio)
{
	return (const struct tpi_bio *)bio->library_room;
}

static inline struct tp_bio *tpi_bio_of(struct tpi_bio *room)
{
	return tpi_container_of((uint64_t(*)[40])room, struct tp_bio,
				library_room);
}

static inline bool tpi_bio_writes(const struct tp_bio *bio)
{
	return bio->op == TP_WRITE || bio->op == TP_WRITE_ZEROES;
}

/* What a bio ends with for an error met on the way (api.md). */
static inline int tpi_bio_error(int error)
{
	return error == -EILSEQ || error == -EOPNOTSUPP ? -EIO : error;
}

/* The block that a byte of a thin lies in.  Dividing is slow. */
static inline tp_vblock tpi_vblock_at(const struct tp_pool *pool,
				      uint64_t position)
{
	return pool->block_shift ? position >> pool->block_shift
				 : position / pool->block_bytes;
}

/* The data device's address of a byte of a thin. */
static inline uint64_t tpi_data_offset(const struct tp_pool *pool,
				       tp_dblock dblock, uint64_t position)
{
	tp_vblock vblock = tpi_vblock_at(pool, position);

	return position + (dblock - vblock) * pool->block_bytes;
}

/*---------------------------- sections -------------------------------------*/

/* In place of a thin's parity: a read, which is in a section of the pool only,
 * since what waits for a thin waits for its writes (B-SNAP-2). */
#define TPI_NO_PARITY 2u

/* A section of a handle, for a fragment, a preparation, or a look.  Inline, as
 * every bio comes by. */
static inline void tpi_port_enter(struct tpi_port *port,
				  const struct tp_thin *thin,
				  struct tpi_thin_section *section, bool writes,
				  uint8_t *pool_parity, uint8_t *thin_parity)
{
	*pool_parity = (uint8_t)tpi_epoch_parity(&port->pool->epoch);
	port->all.active[*pool_parity]++;
	*thin_parity = TPI_NO_PARITY;
	if (!writes)
		return;
	*thin_parity = (uint8_t)tpi_epoch_parity(&thin->state->epoch);
	section->section.active[*thin_parity]++;
}

static inline void tpi_port_leave(struct tpi_port *port,
				  struct tpi_thin_section *section,
				  uint8_t pool_parity, uint8_t thin_parity)
{
	port->all.active[pool_parity]--;
	if (thin_parity != TPI_NO_PARITY)
		section->section.active[thin_parity]--;
}

/*---------------------------- handing over ---------------------------------*/

/* Hand a bio to the run loop; from the queue, which then helps. */
void tpi_bio_defer(struct tp_bio *bio);

/* A part has ended, on whatever port it was sent from, the port's lock held if
 * it is a queue's. */
void tpi_bio_part_ended(struct tp_bio *bio, struct tpi_port *port, int status);

void tpi_bio_part_of_loop_ended(struct tp_bio *bio);

/*---------------------------- on the run loop ------------------------------*/

/* The flush that the bio asked for has ended. */
void tpi_bio_flushed(struct tp_bio *bio, int error);

/* Give up on what is left of it, and end it when its parts have. */
void tpi_bio_fail(struct tp_bio *bio, int error);

/* Let it wait on @list, whose owner will make its task ready. */
void tpi_bio_park(struct tp_bio *bio, struct tpi_list *list);

/* The mapping of a block, by the cache or else the metadata.  -EAGAIN. */
int tpi_resolve(struct tpi_thin_state *state, tp_vblock vblock,
		tpi_mapping *mapping);

/* How far, up to @end, bytes from @position on lie in adjacent data blocks, as
 * far as the cache knows; at least to the end of the block.  @time: as for
 * tpi_mapping_is_shared; 0: sharing does not matter. */
uint64_t tpi_run_end(struct tpi_thin_state *state, uint64_t position,
		     uint64_t end, tpi_mapping mapping, uint32_t time);

/* Is every byte of the block in the bio's range? */
bool tpi_bio_covers_block(const struct tp_bio *bio, tp_vblock vblock);

/* Is it a write of zeroes, on [from, to), through a handle that does not store
 * those where nothing is mapped? */
bool tpi_bio_needs_no_block(const struct tp_bio *bio,
			    const struct tpi_thin_state *state, uint64_t from,
			    uint64_t to);

/* Write zeroes into the memory of a read. */
void tpi_bio_fill_zero(struct tp_bio *bio, uint64_t from, uint64_t to);

/* @max entries of the iovec that cover [skip, skip + length) of @iov; how many
 * bytes they cover, which is less if @max do not suffice. */
uint64_t tpi_iov_slice(const struct iovec *iov, int iovcnt, uint64_t skip,
		       uint64_t length, struct iovec *slice, int max,
		       int *nr_slices);

/* End bios that a gate holds, of a handle or a queue (NULL: of any). */
void tpi_held_end(struct tp_pool *pool, const struct tp_thin *thin,
		  const struct tp_queue *queue, int error);

/* Let the writes of a thin be: call the task when those begun have ended. */
bool tpi_writes_are_quiet(struct tpi_thin_state *state, struct tpi_task *task);

/* The gate of a thin was opened: all that it held. */
void tpi_held_release(struct tpi_thin_state *state);

/* Does the bio belong to this handle, and this queue?  NULL: to any. */
bool tpi_bio_belongs(const struct tp_bio *bio, const struct tp_thin *thin,
		     const struct tp_queue *queue);

/* The bio that a parked task is of. */
static inline struct tp_bio *tpi_bio_of_task(struct tpi_list *entry)
{
	return tpi_bio_of(tpi_container_of(
		tpi_container_of(entry, struct tpi_task, entry), struct tpi_bio,
		task));
}

/* The host's side of a queue: bios that ended on the loop. */
void tpi_queue_ended(struct tp_bio *bio);
/* Bios ended on the port while the loop looked in. */
void tpi_queue_notify(struct tp_queue *queue);

#endif
