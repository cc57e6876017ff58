/*
 * memory-store.c - a device in memory: what is asked is done at once, and told
 * by poll.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "store.h"

struct memory_store {
	struct store store;
	char *pages; /* NULL: it forgets what is written, and reads nothing */
};

/* A channel of the device, for the library or for a lane of ours. */
struct channel {
	struct lane lane;
	struct memory_store *memory;
	struct tp_device_request *first, **last;
};

static struct channel *new_channel(struct memory_store *memory)
{
	struct channel *channel = allocate(sizeof(*channel));

	channel->memory = memory;
	channel->last = &channel->first;

	return channel;
}

static int open_channel(void *context, int event_fd, int inline_only,
			void **result)
{
	*result = new_channel(context);

	return 0;
}

static void copy(char *place, const struct tp_device_request *request)
{
	for (int i = 0; i < request->iovcnt; i++) {
		const struct iovec *iov = &request->iov[i];

		if (request->op == TP_READ)
			memcpy(iov->iov_base, place, iov->iov_len);
		else
			memcpy(place, iov->iov_base, iov->iov_len);
		place += iov->iov_len;
	}
}

#define LINE_BYTES 64u
#define AHEAD_BYTES 1024u

#ifdef __SSE2__
static void stream_line(char *to, const char *from)
{
	const __m128i *source = (const __m128i *)from;
	__m128i *target = (__m128i *)to;
	__m128i parts[LINE_BYTES / sizeof(__m128i)];

	_mm_prefetch(from + AHEAD_BYTES, _MM_HINT_NTA);
	for (unsigned i = 0; i < LINE_BYTES / sizeof(__m128i); i++)
		parts[i] = _mm_load_si128(source + i);
	for (unsigned i = 0; i < LINE_BYTES / sizeof(__m128i); i++)
		_mm_stream_si128(target + i, parts[i]);
}
#endif

/*
 * As devices do that copy by themselves: past the processor's caches, where
 * nobody is about to look for it.  Both are aligned to sectors.
 */
static void stream(char *to, const char *from, uint64_t length)
{
#ifdef __SSE2__
	for (uint64_t i = 0; i < length; i += LINE_BYTES)
		stream_line(to + i, from + i);
	_mm_sfence();
#else
	memcpy(to, from, length);
#endif
}

static void perform(char *pages, const struct tp_device_request *request)
{
	switch (request->op) {
	case TP_READ:
	case TP_WRITE:
		copy(pages + request->offset, request);
		break;
	case TP_WRITE_ZEROES:
		memset(pages + request->offset, 0, request->length);
		break;
	case TP_COPY:
		stream(pages + request->offset, pages + request->source,
		       request->length);
		break;
	case TP_DISCARD:
	case TP_FLUSH:
		break;
	}
}

static void submit(void *context, struct tp_device_request *request)
{
	struct channel *channel = context;

	if (channel->memory->pages)
		perform(channel->memory->pages, request);
	request->device_room[0] = NULL;
	*channel->last = request;
	channel->last = (struct tp_device_request **)&request->device_room[0];
}

static unsigned poll_channel(void *context, unsigned max)
{
	struct channel *channel = context;
	unsigned nr = 0;

	while (channel->first && nr < max) {
		struct tp_device_request *request = channel->first;

		channel->first = request->device_room[0];
		if (!channel->first)
			channel->last = &channel->first;
		request->done(request, 0);
		nr++;
	}

	return nr;
}

static int arm(void *context)
{
	return ((struct channel *)context)->first != NULL;
}

static uint64_t size(void *context)
{
	return ((struct memory_store *)context)->store.size_bytes;
}

/*---------------------------- raw ------------------------------------------*/

static void request_done(struct tp_device_request *request, int status)
{
	struct slot *slot = request->context;

	slot->ended(slot);
}

static void lane_submit(struct lane *lane, struct slot *slot)
{
	slot->part.iov_base = slot->iov.iov_base;
	slot->part.iov_len = slot->length;
	slot->request.op = slot->op;
	slot->request.offset = slot->offset;
	slot->request.length = slot->length;
	slot->request.iov = &slot->part;
	slot->request.iovcnt = 1;
	slot->request.done = request_done;
	slot->request.context = slot;
	submit(lane, &slot->request);
}

/* Not more than there are now: what these submit is for the next time. */
static void lane_reap(struct lane *lane)
{
	poll_channel(lane, 32);
}

static void lane_close(struct lane *lane)
{
	free(lane);
}

static struct lane *lane_open(struct target *target, unsigned depth)
{
	static const struct lane_ops ops = {
		.submit = lane_submit,
		.reap = lane_reap,
		.close = lane_close,
	};
	struct channel *channel = new_channel((struct memory_store *)target);

	channel->lane.ops = &ops;

	return &channel->lane;
}

/*---------------------------- open and close -------------------------------*/

/* @close: once nobody has the device any more; may be NULL. */
static struct tp_device *new_device(struct memory_store *memory,
				    void (*close)(void *context))
{
	const struct tp_device_async_ops ops = {
		TP_DEVICE_ASYNC_OPS_INIT,
		.features = TP_DEVICE_FUA | TP_DEVICE_NO_CACHE |
			    TP_DEVICE_DISCARD | TP_DEVICE_WRITE_ZEROES |
			    TP_DEVICE_COPY,
		.open_channel = open_channel,
		.close_channel = free,
		.submit = submit,
		.poll = poll_channel,
		.arm = arm,
		.size = size,
		.close = close,
	};
	struct tp_device *device;

	check(tp_device_new_async(&ops, memory, &device), "device");

	return device;
}

static void free_memory(struct memory_store *memory)
{
	if (memory->pages)
		munmap(memory->pages, memory->store.size_bytes);
	free(memory);
}

static void close_memory(struct store *store)
{
	free_memory((struct memory_store *)store);
}

static void close_metadata(void *context)
{
	free_memory(context);
}

/* Of the same kind as the data, and there for as long as its device is. */
static struct tp_device *open_metadata(void)
{
	struct memory_store *memory = allocate(sizeof(*memory));

	memory->pages = allocate_pages(METADATA_BYTES);
	memory->store.size_bytes = METADATA_BYTES;

	return new_device(memory, close_metadata);
}

static struct store *open_store(char *pages, uint64_t size_bytes,
				struct tp_device *metadata)
{
	struct memory_store *memory = allocate(sizeof(*memory));

	memory->pages = pages;
	memory->store.size_bytes = size_bytes;
	memory->store.raw.open = lane_open;
	memory->store.close = close_memory;
	memory->store.data = new_device(memory, NULL);
	memory->store.metadata = metadata;

	return &memory->store;
}

struct store *open_memory_store(uint64_t size_bytes)
{
	return open_store(allocate_pages(size_bytes), size_bytes,
			  open_metadata());
}

struct store *open_forgetful_store(uint64_t size_bytes,
				   struct tp_device *metadata)
{
	return open_store(NULL, size_bytes, metadata);
}
