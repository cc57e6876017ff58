/*
 * write.c - see write.h.
 */
#include "write.h"

#include <stdlib.h>
#include <string.h>

/*---------------------------- what it writes -------------------------------*/

/* A place in the memory of a request. */
struct cursor {
	const struct iovec *iov;
	size_t at;
};

static void copy_next(unsigned char *to, struct cursor *from, size_t length)
{
	while (length) {
		size_t n = from->iov->iov_len - from->at;

		if (n > length)
			n = length;
		if (n)
			memcpy(to, (const char *)from->iov->iov_base + from->at,
			       n);
		to += n;
		length -= n;
		from->at += n;
		if (from->at == from->iov->iov_len && length) {
			from->iov++;
			from->at = 0;
		}
	}
}

static size_t nr_chunks(const struct tpi_sim_write *write)
{
	return write->is_uniform ? 1
				 : tpi_sim_write_end_chunk(write) -
					   tpi_sim_write_first_chunk(write);
}

static int take_bytes(struct tpi_sim_write *write, const struct iovec *iov)
{
	size_t start = write->offset % TPI_SIM_CHUNK_BYTES;
	struct cursor cursor = { .iov = iov };
	uint64_t left = write->length;

	for (size_t i = 0; i < nr_chunks(write); i++, start = 0) {
		size_t n = TPI_SIM_CHUNK_BYTES - start;

		if (n > left)
			n = left;
		write->chunks[i] = tpi_sim_chunk_new(write->id, 0);
		if (!write->chunks[i])
			return -ENOMEM;
		copy_next(write->chunks[i]->bytes + start, &cursor, n);
		left -= n;
	}

	return 0;
}

static int take_fill(struct tpi_sim_write *write)
{
	bool poison = write->op == TP_DISCARD &&
		      write->device->options.discard_effect ==
			      TP_DISCARD_POISONS;

	write->chunks[0] =
		tpi_sim_chunk_new(write->id, poison ? TP_SIMULATOR_POISON : 0);

	return write->chunks[0] ? 0 : -ENOMEM;
}

static int take(struct tpi_sim_write *write, const struct iovec *iov)
{
	write->chunks = calloc(nr_chunks(write), sizeof(*write->chunks));
	write->left_out = calloc(1, tpi_sim_write_nr_sectors(write) / 8 + 1);
	if (!write->chunks || !write->left_out)
		return -ENOMEM;

	return write->is_uniform ? take_fill(write) : take_bytes(write, iov);
}

/*---------------------------- the list -------------------------------------*/

static void add_to_list(struct tpi_sim_write *write)
{
	struct tp_simulator *simulator = write->device->simulator;

	write->prev = simulator->last;
	if (simulator->last)
		simulator->last->next = write;
	else
		simulator->first = write;
	simulator->last = write;
}

static void take_off_list(struct tpi_sim_write *write)
{
	struct tp_simulator *simulator = write->device->simulator;

	if (write->prev)
		write->prev->next = write->next;
	else
		simulator->first = write->next;
	if (write->next)
		write->next->prev = write->prev;
	else
		simulator->last = write->prev;
}

static void free_parts(struct tpi_sim_write *write)
{
	for (size_t i = 0; write->chunks && i < nr_chunks(write); i++)
		tpi_sim_chunk_unref(write->chunks[i]);
	free(write->chunks);
	free(write->left_out);
	free(write);
}

struct tpi_sim_write *tpi_sim_write_new(struct tpi_sim_device *device,
					uint64_t id,
					const struct tp_device_request *request)
{
	struct tpi_sim_write *write = calloc(1, sizeof(*write));

	if (!write)
		return NULL;
	write->device = device;
	write->id = id;
	write->op = request->op;
	write->flags = request->flags;
	write->offset = request->offset;
	write->length = request->length;
	write->in_flight = true;
	write->is_uniform = request->op != TP_WRITE;
	if (take(write, request->iov)) {
		free_parts(write);
		return NULL;
	}
	add_to_list(write);

	return write;
}

void tpi_sim_write_free(struct tpi_sim_write *write)
{
	take_off_list(write);
	free_parts(write);
}

/*---------------------------- its sectors ----------------------------------*/

uint64_t tpi_sim_write_first_chunk(const struct tpi_sim_write *write)
{
	return write->offset / TPI_SIM_CHUNK_BYTES;
}

uint64_t tpi_sim_write_end_chunk(const struct tpi_sim_write *write)
{
	return (write->offset + write->length + TPI_SIM_CHUNK_BYTES - 1) /
	       TPI_SIM_CHUNK_BYTES;
}

void tpi_sim_write_leave_out(struct tpi_sim_write *write, uint64_t i)
{
	write->left_out[i / 8] |= (unsigned char)(1u << i % 8);
}

static bool is_left_out(const struct tpi_sim_write *write, uint64_t i)
{
	return write->left_out[i / 8] & 1u << i % 8;
}

unsigned tpi_sim_write_unstable(const struct tpi_sim_write *write,
				uint64_t chunk)
{
	const struct tpi_sim_chunk *stable =
		tpi_sim_content_chunk(&write->device->stable, chunk);
	uint64_t first = write->offset / TP_SECTOR_SIZE;
	uint64_t end = first + tpi_sim_write_nr_sectors(write);
	unsigned mask = 0;

	for (unsigned i = 0; i < TPI_SIM_CHUNK_SECTORS; i++) {
		uint64_t sector = chunk * TPI_SIM_CHUNK_SECTORS + i;

		if (sector >= first && sector < end &&
		    !is_left_out(write, sector - first) &&
		    (!stable || stable->ids[i] < write->id))
			mask |= 1u << i;
	}

	return mask;
}

bool tpi_sim_write_touches(const struct tpi_sim_write *write,
			   const struct tpi_sim_device *device, uint64_t offset,
			   uint64_t length)
{
	return write->device == device && write->offset < offset + length &&
	       offset < write->offset + write->length;
}

int tpi_sim_write_apply(const struct tpi_sim_write *write,
			struct tpi_sim_content *content,
			tpi_sim_choose_fn choose, void *context)
{
	uint64_t first = tpi_sim_write_first_chunk(write);
	uint64_t end = tpi_sim_write_end_chunk(write);

	for (uint64_t nr = first; nr < end; nr++) {
		size_t i = write->is_uniform ? 0 : nr - first;
		unsigned mask = tpi_sim_write_unstable(write, nr);
		int r;

		if (mask && choose)
			mask = choose(context, write, nr, mask);
		if (!mask)
			continue;
		r = tpi_sim_content_put(content, nr, write->chunks[i], mask);
		if (r)
			return r;
	}

	return 0;
}
