/*
 * observer.c - a host's device in memory that logs, delays and fails.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/observer.h"

struct pending {
	struct tp_device_request *request;
	unsigned id;
	int status;
	bool started; /* by a kick */
	bool held;
};

struct observer_channel {
	struct observer *observer;
	struct observer_channel *next;
	int event_fd;
	bool armed;
	struct pending *pending; /* in the order of submission */
	unsigned nr, room;
};

/*---------------------------- what a request does --------------------------*/

static bool touches(const struct tp_device_request *request, uint64_t begin,
		    uint64_t end)
{
	return request->op == TP_FLUSH ||
	       (request->offset < end &&
		request->offset + request->length > begin);
}

/* The status it will end with; lock held. */
static int judge(struct observer *observer,
		 const struct tp_device_request *request)
{
	for (unsigned i = 0; i < OBSERVER_MAX_FAILURES; i++) {
		struct observer_failure *failure = &observer->failures[i];

		if (!(failure->ops & OPS(request->op)) ||
		    !touches(request, failure->begin, failure->end))
			continue;
		if (failure->skip) {
			failure->skip--;
			continue;
		}
		if (failure->times && !--failure->times)
			failure->ops = 0;
		observer->nr_failed++;
		return failure->status;
	}

	return 0;
}

static bool is_to_be_held(struct observer *observer,
			  const struct tp_device_request *request)
{
	if (!(observer->hold_ops & OPS(request->op)) || !observer->nr_to_hold ||
	    !touches(request, observer->hold_begin, observer->hold_end))
		return false;
	observer->nr_to_hold--;

	return true;
}

static void copy(struct observer *observer,
		 const struct tp_device_request *request)
{
	char *at = observer->bytes + request->offset;
	uint64_t nr_bytes = 0;

	for (int i = 0; i < request->iovcnt; i++) {
		const struct iovec *iov = &request->iov[i];

		nr_bytes += iov->iov_len;
		if (request->op == TP_READ)
			memcpy(iov->iov_base, at, iov->iov_len);
		else
			memcpy(at, iov->iov_base, iov->iov_len);
		at += iov->iov_len;
	}
	ck_assert_uint_eq(nr_bytes, request->length);
}

static void apply(struct observer *observer,
		  const struct tp_device_request *request)
{
	switch (request->op) {
	case TP_READ:
	case TP_WRITE:
		copy(observer, request);
		break;
	case TP_DISCARD:
		memset(observer->bytes + request->offset, OBSERVER_POISON,
		       request->length);
		break;
	case TP_WRITE_ZEROES:
		memset(observer->bytes + request->offset, 0, request->length);
		break;
	case TP_COPY:
		memcpy(observer->bytes + request->offset,
		       observer->bytes + request->source, request->length);
		break;
	case TP_FLUSH:
		break;
	}
}

/* One that fails. */
static void apply_part(struct observer *observer,
		       const struct tp_device_request *request)
{
	uint64_t kept = observer->arrival == OBSERVER_ALL
				? request->length
				: request->length / 1024 * 512;
	char *rest = observer->bytes + request->offset + kept, *before;

	if (observer->arrival == OBSERVER_NONE ||
	    (request->op != TP_WRITE && request->op != TP_WRITE_ZEROES))
		return;
	before = malloc(request->length - kept + 1);
	ck_assert_ptr_nonnull(before);
	memcpy(before, rest, request->length - kept);
	apply(observer, request);
	memcpy(rest, before, request->length - kept);
	free(before);
}

static void add_to_log(struct observer *observer, enum io_when when,
		       const struct pending *pending)
{
	const struct tp_device_request *request = pending->request;

	io_log_add(observer->log,
		   &(struct io_event){
			   .when = when,
			   .name = observer->name,
			   .id = pending->id,
			   .op = request->op,
			   .flags = request->flags,
			   .offset = request->offset,
			   .length = request->length,
			   .status = when == IO_END ? pending->status : 0,
		   });
}

/*---------------------------- the table ------------------------------------*/

static int open_channel(void *context, int event_fd, int inline_only,
			void **result)
{
	struct observer *observer = context;
	struct observer_channel *channel = calloc(1, sizeof(*channel));

	ck_assert_ptr_nonnull(channel);
	channel->observer = observer;
	channel->event_fd = event_fd;
	pthread_mutex_lock(&observer->lock);
	channel->next = observer->channels;
	observer->channels = channel;
	pthread_mutex_unlock(&observer->lock);
	*result = channel;

	return 0;
}

static void close_channel(void *context)
{
	struct observer_channel *channel = context, **at;
	struct observer *observer = channel->observer;

	pthread_mutex_lock(&observer->lock);
	ck_assert_uint_eq(channel->nr, 0);
	for (at = &observer->channels; *at != channel; at = &(*at)->next)
		;
	*at = channel->next;
	pthread_mutex_unlock(&observer->lock);
	free(channel->pending);
	free(channel);
}

/* Lock held. */
static void signal_if_armed(struct observer_channel *channel)
{
	uint64_t one = 1;

	if (!channel->armed)
		return;
	channel->armed = false;
	ck_assert_int_eq(write(channel->event_fd, &one, sizeof(one)),
			 sizeof(one));
}

static void check_request(struct observer *observer,
			  const struct tp_device_request *request)
{
	if (request->op == TP_FLUSH)
		return;
	ck_assert_uint_gt(request->length, 0);
	ck_assert_uint_eq((request->offset | request->length) % 512, 0);
	ck_assert_uint_le(request->offset, observer->size_bytes);
	ck_assert_uint_le(request->length,
			  observer->size_bytes - request->offset);
}

static void submit(void *context, struct tp_device_request *request)
{
	struct observer_channel *channel = context;
	struct observer *observer = channel->observer;
	struct pending *pending;

	pthread_mutex_lock(&observer->lock);
	check_request(observer, request);
	if (channel->nr == channel->room) {
		channel->room = channel->room ? 2 * channel->room : 64;
		channel->pending =
			realloc(channel->pending,
				channel->room * sizeof(*channel->pending));
		ck_assert_ptr_nonnull(channel->pending);
	}
	pending = &channel->pending[channel->nr++];
	*pending = (struct pending){
		.request = request,
		.id = observer->log->nr_ids++,
		.status = judge(observer, request),
		.held = is_to_be_held(observer, request),
	};
	observer->nr_begun[request->op]++;
	observer->nr_held += pending->held;
	add_to_log(observer, IO_BEGIN, pending);
	pthread_mutex_unlock(&observer->lock);
}

/* Nothing ends before: so whoever forgets to kick waits for ever. */
static void kick(void *context)
{
	struct observer_channel *channel = context;
	struct observer *observer = channel->observer;

	pthread_mutex_lock(&observer->lock);
	for (unsigned i = 0; i < channel->nr; i++) {
		struct pending *pending = &channel->pending[i];

		if (pending->started)
			continue;
		pending->started = true;
		observer->nr_started++;
		if (!pending->held)
			signal_if_armed(channel);
	}
	pthread_mutex_unlock(&observer->lock);
}

/* Lock held.  The next that may end, or -1. */
static int choose(const struct observer_channel *channel)
{
	bool newest_first = channel->observer->newest_first;

	for (unsigned i = 0; i < channel->nr; i++) {
		unsigned at = newest_first ? channel->nr - 1 - i : i;

		if (channel->pending[at].started && !channel->pending[at].held)
			return (int)at;
	}

	return -1;
}

static bool end_one(struct observer_channel *channel)
{
	struct observer *observer = channel->observer;
	struct pending pending;
	int at;

	pthread_mutex_lock(&observer->lock);
	at = choose(channel);
	if (at >= 0) {
		pending = channel->pending[at];
		memmove(channel->pending + at, channel->pending + at + 1,
			(--channel->nr - (unsigned)at) * sizeof(pending));
		if (pending.status)
			apply_part(observer, pending.request);
		else
			apply(observer, pending.request);
		add_to_log(observer, IO_END, &pending);
	}
	pthread_mutex_unlock(&observer->lock);
	if (at < 0)
		return false;
	if (observer->delay_us)
		usleep(observer->delay_us);
	pending.request->done(pending.request, pending.status);

	return true;
}

/* As a device may, it forgets who wants a signal. */
static unsigned poll_channel(void *context, unsigned max)
{
	struct observer_channel *channel = context;
	unsigned nr = 0;

	pthread_mutex_lock(&channel->observer->lock);
	channel->armed = false;
	pthread_mutex_unlock(&channel->observer->lock);
	while (nr < max && end_one(context))
		nr++;

	return nr;
}

static int arm(void *context)
{
	struct observer_channel *channel = context;
	int has_ended;

	pthread_mutex_lock(&channel->observer->lock);
	has_ended = choose(channel) >= 0;
	channel->armed = !has_ended;
	pthread_mutex_unlock(&channel->observer->lock);

	return has_ended;
}

static uint64_t size_of(void *context)
{
	struct observer *observer = context;

	return observer->size_bytes;
}

void observer_init(struct observer *observer, struct io_log *log,
		   const char *name, uint64_t size, uint64_t room,
		   const struct tp_device_limits *limits)
{
	struct tp_device_async_ops ops = {
		TP_DEVICE_ASYNC_OPS_INIT,
		.features = TP_DEVICE_DISCARD | TP_DEVICE_WRITE_ZEROES,
		.open_channel = open_channel,
		.close_channel = close_channel,
		.submit = submit,
		.kick = kick,
		.poll = poll_channel,
		.arm = arm,
		.size = size_of,
	};

	if (limits) {
		ops.features = limits->features;
		ops.logical_block_bytes = limits->logical_block_bytes;
		ops.memory_alignment_bytes = limits->memory_alignment_bytes;
		ops.discard_granularity_bytes =
			limits->discard_granularity_bytes;
		ops.discard_max_bytes = limits->discard_max_bytes;
	}
	*observer = (struct observer){
		.size_bytes = size,
		.room_bytes = room > size ? room : size,
		.name = name,
		.log = log,
	};
	pthread_mutex_init(&observer->lock, NULL);
	observer->bytes =
		mmap(NULL, observer->room_bytes + 4096, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ck_assert_ptr_ne(observer->bytes, MAP_FAILED);
	ck_assert_int_eq(tp_device_new_async(&ops, observer, &observer->device),
			 0);
}

void observer_exit(struct observer *observer)
{
	tp_device_unref(observer->device);
	ck_assert_ptr_null(observer->channels);
	munmap(observer->bytes, observer->room_bytes + 4096);
	pthread_mutex_destroy(&observer->lock);
}

void observer_grow(struct observer *observer, uint64_t size)
{
	ck_assert_uint_le(size, observer->room_bytes);
	observer->size_bytes = size;
}

/*---------------------------- delaying -------------------------------------*/

static void hold(struct observer *observer, unsigned ops, uint64_t begin,
		 uint64_t end, unsigned nr)
{
	pthread_mutex_lock(&observer->lock);
	observer->hold_ops = ops;
	observer->hold_begin = begin;
	observer->hold_end = end;
	observer->nr_to_hold = nr;
	pthread_mutex_unlock(&observer->lock);
}

void observer_hold(struct observer *observer, unsigned ops)
{
	hold(observer, ops, 0, UINT64_MAX, UINT32_MAX);
}

void observer_hold_range(struct observer *observer, unsigned ops,
			 uint64_t begin, uint64_t end)
{
	hold(observer, ops, begin, end, UINT32_MAX);
}

void observer_hold_next(struct observer *observer, unsigned ops, unsigned nr)
{
	hold(observer, ops, 0, UINT64_MAX, nr);
}

void observer_hold_no_more(struct observer *observer)
{
	hold(observer, 0, 0, 0, 0);
}

/* Lock held. */
static void let_go(struct observer_channel *channel, struct pending *pending)
{
	pending->held = false;
	channel->observer->nr_held--;
	signal_if_armed(channel);
}

void observer_release(struct observer *observer)
{
	observer_hold_no_more(observer);
	pthread_mutex_lock(&observer->lock);
	for (struct observer_channel *c = observer->channels; c; c = c->next)
		for (unsigned i = 0; i < c->nr; i++)
			if (c->pending[i].held)
				let_go(c, &c->pending[i]);
	pthread_mutex_unlock(&observer->lock);
}

bool observer_release_one(struct observer *observer, unsigned ops)
{
	struct observer_channel *channel = NULL;
	struct pending *first = NULL;

	pthread_mutex_lock(&observer->lock);
	for (struct observer_channel *c = observer->channels; c; c = c->next) {
		for (unsigned i = 0; i < c->nr; i++) {
			struct pending *p = &c->pending[i];

			if (p->held && ops & OPS(p->request->op) &&
			    (!first || p->id < first->id)) {
				first = p;
				channel = c;
			}
		}
	}
	if (first)
		let_go(channel, first);
	pthread_mutex_unlock(&observer->lock);

	return first;
}

/*---------------------------- failing --------------------------------------*/

void observer_fail_range(struct observer *observer, unsigned ops, unsigned skip,
			 unsigned times, int status, uint64_t begin,
			 uint64_t end)
{
	unsigned i = 0;

	pthread_mutex_lock(&observer->lock);
	while (i < OBSERVER_MAX_FAILURES && observer->failures[i].ops)
		i++;
	ck_assert_uint_lt(i, OBSERVER_MAX_FAILURES);
	observer->failures[i] = (struct observer_failure){
		.ops = ops,
		.skip = skip,
		.times = times,
		.begin = begin,
		.end = end,
		.status = status,
	};
	pthread_mutex_unlock(&observer->lock);
}

void observer_fail(struct observer *observer, unsigned ops, unsigned skip,
		   unsigned times, int status)
{
	observer_fail_range(observer, ops, skip, times, status, 0, UINT64_MAX);
}

void observer_heal(struct observer *observer)
{
	pthread_mutex_lock(&observer->lock);
	for (unsigned i = 0; i < OBSERVER_MAX_FAILURES; i++)
		observer->failures[i].ops = 0;
	pthread_mutex_unlock(&observer->lock);
}
