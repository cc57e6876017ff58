/*
 * memory-device.c - a sparse device in memory.
 *
 * The content lies in chunks, found through a tree of fixed depth, as in a page
 * table: so it costs what was written, whatever its size, and growing moves
 * nothing.  Tables are never freed before the device is; chunks are, by
 * discards and zeroes.
 *
 * Who reads a chunk holds its lock shared; who writes or frees it, alone.  So no
 * sector is ever torn, whatever overlaps.
 *
 * Everything is done in submit; poll tells.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "io/device-private.h"
#include "io/request-fifo.h"

#define CHUNK_SHIFT 16
#define CHUNK_BYTES (1ull << CHUNK_SHIFT)
#define TABLE_SHIFT 12
#define TABLE_ENTRIES (1u << TABLE_SHIFT)
#define NR_LEVELS 3 /* tables on the way to a chunk */
#define MAX_BYTES (1ull << (CHUNK_SHIFT + NR_LEVELS * TABLE_SHIFT))
#define NR_LOCKS 64

struct table {
	_Atomic(void *) entries[TABLE_ENTRIES]; /* tables or, last, chunks */
};

struct memory_device {
	_Atomic uint64_t size_bytes;
	struct table root;
	pthread_rwlock_t locks[NR_LOCKS]; /* of chunks, by their number */
};

struct memory_channel {
	struct memory_device *memory;
	struct tpi_request_fifo ended;
};

/*---------------------------- the tree -------------------------------------*/

/* What an entry leads to; made, all zero, if it leads nowhere yet. */
static void *get_or_make(_Atomic(void *) *entry, size_t bytes)
{
	void *there = atomic_load(entry), *made;

	if (there)
		return there;

	made = calloc(1, bytes);
	if (!made)
		return NULL;
	if (atomic_compare_exchange_strong(entry, &there, made))
		return made;

	free(made); /* another thread was faster */
	return there;
}

/* The entry of a chunk; NULL if there is none, and @make is false or there is
 * no memory. */
static _Atomic(void *) *find_entry(struct memory_device *memory, uint64_t chunk,
				   bool make)
{
	struct table *table = &memory->root;

	for (int level = NR_LEVELS - 1;; level--) {
		uint64_t i = chunk >> (level * TABLE_SHIFT);
		_Atomic(void *) *entry = &table->entries[i % TABLE_ENTRIES];

		if (!level)
			return entry;
		table = make ? get_or_make(entry, sizeof(*table))
			     : atomic_load(entry);
		if (!table)
			return NULL;
	}
}

static void free_tables(struct table *table, int level)
{
	for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
		void *below = atomic_load(&table->entries[i]);

		if (below && level)
			free_tables(below, level - 1);
		free(below);
	}
}

static pthread_rwlock_t *lock_of(struct memory_device *memory, uint64_t chunk)
{
	return &memory->locks[chunk % NR_LOCKS];
}

/*---------------------------- within one chunk -----------------------------*/

/* A part of a device that lies in one chunk. */
struct part {
	uint64_t chunk;
	size_t start, length;
};

static struct part first_part(uint64_t offset, uint64_t length)
{
	uint64_t start = offset % CHUNK_BYTES;

	return (struct part){
		.chunk = offset / CHUNK_BYTES,
		.start = start,
		.length = tpi_min(length, CHUNK_BYTES - start),
	};
}

static void read_part(struct memory_device *memory, const struct part *part,
		      void *to)
{
	_Atomic(void *) *entry = find_entry(memory, part->chunk, false);
	const char *chunk;

	pthread_rwlock_rdlock(lock_of(memory, part->chunk));
	chunk = entry ? atomic_load(entry) : NULL;
	if (chunk)
		memcpy(to, chunk + part->start, part->length);
	else
		memset(to, 0, part->length);
	pthread_rwlock_unlock(lock_of(memory, part->chunk));
}

static int write_part(struct memory_device *memory, const struct part *part,
		      const void *from)
{
	_Atomic(void *) *entry = find_entry(memory, part->chunk, true);
	char *chunk;

	if (!entry)
		return -ENOMEM;

	pthread_rwlock_wrlock(lock_of(memory, part->chunk));
	chunk = get_or_make(entry, CHUNK_BYTES);
	if (chunk)
		memcpy(chunk + part->start, from, part->length);
	pthread_rwlock_unlock(lock_of(memory, part->chunk));

	return chunk ? 0 : -ENOMEM;
}

/* A whole chunk of zeroes is none. */
static void zero_part(struct memory_device *memory, const struct part *part)
{
	_Atomic(void *) *entry = find_entry(memory, part->chunk, false);
	char *chunk;

	if (!entry)
		return;

	pthread_rwlock_wrlock(lock_of(memory, part->chunk));
	chunk = atomic_load(entry);
	if (part->length == CHUNK_BYTES) {
		atomic_store(entry, NULL);
		free(chunk);
	} else if (chunk) {
		memset(chunk + part->start, 0, part->length);
	}
	pthread_rwlock_unlock(lock_of(memory, part->chunk));
}

/*---------------------------- requests -------------------------------------*/

static int copy_piece(struct memory_device *memory, enum tp_op op,
		      const struct iovec *iov, uint64_t offset)
{
	char *p = iov->iov_base;
	size_t left = iov->iov_len;

	while (left) {
		struct part part = first_part(offset, left);
		int r = 0;

		if (op == TP_READ)
			read_part(memory, &part, p);
		else
			r = write_part(memory, &part, p);
		if (r)
			return r;
		p += part.length;
		offset += part.length;
		left -= part.length;
	}

	return 0;
}

static int copy(struct memory_device *memory,
		const struct tp_device_request *request)
{
	uint64_t offset = request->offset;

	for (int i = 0; i < request->iovcnt; i++) {
		const struct iovec *iov = &request->iov[i];
		int r = copy_piece(memory, request->op, iov, offset);

		if (r)
			return r;
		offset += iov->iov_len;
	}

	return 0;
}

static void zero(struct memory_device *memory, uint64_t offset, uint64_t length)
{
	while (length) {
		struct part part = first_part(offset, length);

		zero_part(memory, &part);
		offset += part.length;
		length -= part.length;
	}
}

/* By way of this, for both places may be of one lock. */
#define COPY_BYTES 4096u

static int copy_within(struct memory_device *memory, uint64_t source,
		       uint64_t offset, uint64_t length)
{
	char bytes[COPY_BYTES];
	int r = 0;

	while (length && !r) {
		size_t here = tpi_min(length, COPY_BYTES);
		struct iovec iov = { bytes, here };

		r = copy_piece(memory, TP_READ, &iov, source);
		if (!r)
			r = copy_piece(memory, TP_WRITE, &iov, offset);
		source += here;
		offset += here;
		length -= here;
	}

	return r;
}

static int do_request(struct memory_device *memory,
		      const struct tp_device_request *request)
{
	switch (request->op) {
	case TP_READ:
	case TP_WRITE:
		return copy(memory, request);
	case TP_DISCARD:
	case TP_WRITE_ZEROES:
		zero(memory, request->offset, request->length);
		return 0;
	case TP_COPY:
		return copy_within(memory, request->source, request->offset,
				   request->length);
	case TP_FLUSH:
		return 0;
	}

	return -EOPNOTSUPP;
}

/*---------------------------- the ops table --------------------------------*/

static int memory_open_channel(void *context, int event_fd, int inline_only,
			       void **result)
{
	struct memory_channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return -ENOMEM;
	channel->memory = context;
	*result = channel;

	return 0;
}

static void memory_close_channel(void *channel)
{
	free(channel);
}

static void memory_submit(void *handle, struct tp_device_request *request)
{
	struct memory_channel *channel = handle;

	tpi_fifo_push(&channel->ended, request,
		      do_request(channel->memory, request));
}

static unsigned memory_poll(void *handle, unsigned max)
{
	struct memory_channel *channel = handle;

	return tpi_fifo_deliver(&channel->ended, max);
}

static int memory_arm(void *handle)
{
	struct memory_channel *channel = handle;

	return !tpi_fifo_empty(&channel->ended);
}

static uint64_t memory_size(void *context)
{
	struct memory_device *memory = context;

	return atomic_load(&memory->size_bytes);
}

static void memory_close(void *context)
{
	struct memory_device *memory = context;

	free_tables(&memory->root, NR_LEVELS - 1);
	for (unsigned i = 0; i < NR_LOCKS; i++)
		pthread_rwlock_destroy(&memory->locks[i]);
	free(memory);
}

static const struct tp_device_async_ops memory_ops = {
	TP_DEVICE_ASYNC_OPS_INIT,
	.features = TP_DEVICE_FUA | TP_DEVICE_NO_CACHE | TP_DEVICE_DISCARD |
		    TP_DEVICE_WRITE_ZEROES | TP_DEVICE_COPY,
	.open_channel = memory_open_channel,
	.close_channel = memory_close_channel,
	.submit = memory_submit,
	.poll = memory_poll,
	.arm = memory_arm,
	.size = memory_size,
	.close = memory_close,
};

/*---------------------------- open, grow -----------------------------------*/

static int check_size(uint64_t size)
{
	if (size % TP_SECTOR_SIZE || size > MAX_BYTES)
		return tpi_error(-EINVAL,
				 "a memory device of %llu bytes: it must be a "
				 "multiple of 512, of at most 4 PiB",
				 (unsigned long long)size);

	return 0;
}

int tp_device_open_memory(uint64_t size, struct tp_device **device)
{
	const struct tpi_device_identity identity = { .name = "memory device" };
	struct memory_device *memory;
	int r;

	if (!device)
		return tpi_error(-EINVAL,
				 "tp_device_open_memory: NULL argument");
	r = check_size(size);
	if (r)
		return r;

	memory = calloc(1, sizeof(*memory));
	if (!memory)
		return tpi_error(-ENOMEM, "no memory for a memory device");
	atomic_init(&memory->size_bytes, size);
	for (unsigned i = 0; i < NR_LOCKS; i++)
		pthread_rwlock_init(&memory->locks[i], NULL);

	r = tpi_device_new(&memory_ops, memory, &identity, device);
	if (r)
		memory_close(memory);

	return r;
}

int tp_device_grow_memory(struct tp_device *device, uint64_t size)
{
	struct memory_device *memory;
	uint64_t old;
	int r;

	if (!device || device->ops.size != memory_size)
		return tpi_error(-EINVAL, "tp_device_grow_memory: not a memory "
					  "device");
	r = check_size(size);
	if (r)
		return r;

	memory = device->context;
	old = atomic_load(&memory->size_bytes);
	do {
		if (size < old)
			return tpi_error(-EINVAL,
					 "a memory device cannot shrink");
	} while (
		!atomic_compare_exchange_weak(&memory->size_bytes, &old, size));

	return 0;
}
