/*
 * write.h - a write, discard or write of zeroes that is not stable: what it
 * put where, and which of it still could be lost.
 *
 * A sector of it counts for something as long as it was not left out (by a
 * failure) and no later write of that sector is stable.
 */
#ifndef TPI_SIMULATOR_WRITE_H
#define TPI_SIMULATOR_WRITE_H

#include "private.h"

struct tpi_sim_write {
	struct tpi_sim_write *next, *prev; /* of the simulator */
	struct tpi_sim_device *device;
	uint64_t id;
	enum tp_op op;
	unsigned flags;
	uint64_t offset, length;
	bool in_flight;
	uint64_t when_ended; /* in the order of ending; 0: it has not */

	/* From the one that @offset lies in, or one for all of them. */
	struct tpi_sim_chunk **chunks;
	bool is_uniform;
	unsigned char *left_out; /* a bit for each sector */
};

/* What a request would write, at the end of the simulator's list.  NULL: no
 * memory. */
struct tpi_sim_write *
tpi_sim_write_new(struct tpi_sim_device *device, uint64_t id,
		  const struct tp_device_request *request);

/* Takes it off the list, too. */
void tpi_sim_write_free(struct tpi_sim_write *write);

/* The first and, exclusive, the last of the chunks it touches. */
uint64_t tpi_sim_write_first_chunk(const struct tpi_sim_write *write);
uint64_t tpi_sim_write_end_chunk(const struct tpi_sim_write *write);

static inline uint64_t
tpi_sim_write_nr_sectors(const struct tpi_sim_write *write)
{
	return write->length / TP_SECTOR_SIZE;
}

/* The @i-th sector was, or is, not written. */
void tpi_sim_write_leave_out(struct tpi_sim_write *write, uint64_t i);

/* Of a chunk, the sectors that it has written and that are not stable. */
unsigned tpi_sim_write_unstable(const struct tpi_sim_write *write,
				uint64_t chunk);

bool tpi_sim_write_touches(const struct tpi_sim_write *write,
			   const struct tpi_sim_device *device, uint64_t offset,
			   uint64_t length);

/* Which of the sectors in @mask? */
typedef unsigned (*tpi_sim_choose_fn)(void *context,
				      const struct tpi_sim_write *write,
				      uint64_t chunk, unsigned mask);

/* Write what is not stable of it, or what of that is chosen (NULL: all), to
 * @content.  -ENOMEM: some was written. */
int tpi_sim_write_apply(const struct tpi_sim_write *write,
			struct tpi_sim_content *content,
			tpi_sim_choose_fn choose, void *context);

#endif
