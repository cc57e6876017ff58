/*
 * queue.c - the host's side of the pool: submitting, the fast path, reaping.
 *
 * The fast path (architecture.md, decision 4).  Under the port's lock, which
 * only the queue's owner and, seldom, the run loop take, a bio enters its
 * section, looks at the gate and at every mapping, and is sent.  If anything is
 * in the way, nothing was sent, and the run loop gets the bio as it is.
 */
#include "pool/queue.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "pool/bio.h"
#include "pool/call.h"
#include "pool/mode.h"

#define DEPTH_MAX 65536u

/* Pieces of bios that may be in flight besides one each. */
#define SPARES_MIN 16u

/*---------------------------- life -----------------------------------------*/

static int queue_init(struct tp_queue *queue)
{
	struct tp_pool *pool = queue->pool;
	unsigned nr_spares = queue->depth;

	queue->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (queue->event_fd < 0)
		return tpi_error(-errno, "no eventfd for a queue: %s",
				 strerror(errno));
	if (nr_spares < SPARES_MIN)
		nr_spares = SPARES_MIN;

	return tpi_port_init(&queue->port, pool, queue, queue->event_fd,
			     nr_spares);
}

static void publish(struct tp_queue *queue)
{
	struct tp_pool *pool = queue->pool;

	pthread_mutex_lock(&pool->registry_lock);
	tpi_list_add_tail(&pool->ports, &queue->port.entry);
	pool->nr_queues += !queue->internal;
	pthread_mutex_unlock(&pool->registry_lock);
}

int tpi_queue_create(struct tp_pool *pool, unsigned depth, bool internal,
		     struct tp_queue **result)
{
	struct tp_queue *queue = calloc(1, sizeof(*queue));
	int r;

	if (!queue)
		return tpi_error(-ENOMEM, "no memory for a queue");
	queue->pool = pool;
	queue->depth = depth;
	queue->internal = internal;
	tpi_list_init(&queue->entry);
	r = queue_init(queue);
	if (r) {
		tpi_queue_free(queue);
		return r;
	}
	if (internal) /* of who waits for what he submits */
		tp_queue_plug(queue);
	publish(queue);
	*result = queue;

	return 0;
}

int tp_queue_create(struct tp_pool *pool, unsigned depth,
		    struct tp_queue **queue)
{
	if (!pool || !queue)
		return tpi_error(-EINVAL, "no pool, or no place for the queue");
	if (depth == 0 || depth > DEPTH_MAX)
		return tpi_error(-EINVAL,
				 "a queue of depth %u: it has to be 1 to %u",
				 depth, DEPTH_MAX);

	return tpi_queue_create(pool, depth, false, queue);
}

/* The loop looks at ports under the registry's lock, so it is gone from there
 * before anything is freed. */
void tpi_queue_free(struct tp_queue *queue)
{
	struct tp_pool *pool = queue->pool;

	pthread_mutex_lock(&pool->registry_lock);
	if (!tpi_list_empty(&queue->port.entry) && queue->port.entry.next) {
		tpi_list_del(&queue->port.entry);
		pool->nr_queues -= !queue->internal;
	}
	pthread_mutex_unlock(&pool->registry_lock);
	if (queue->port.pool)
		tpi_port_exit(&queue->port);
	if (queue->event_fd >= 0)
		close(queue->event_fd);
	free(queue);
}

struct cancel {
	struct tpi_call call;
	struct tp_queue *queue;
};

static int cancel_waiting(struct tpi_call *call)
{
	struct tp_queue *queue =
		tpi_container_of(call, struct cancel, call)->queue;

	tpi_space_end_waiting(call->pool, NULL, queue, -ENOSPC);
	tpi_held_end(call->pool, NULL, queue, -ECANCELED);
	tpi_unmap_cancel(call->pool, NULL, queue);

	return 0;
}

static void collect_of(struct tpi_thin_state *state, void *context)
{
	(void)context;
	tpi_thin_collect(state);
}

/* That writes which ended are not durable yet is marked in the port. */
static int collect_all(struct tpi_call *call)
{
	tpi_thins_each(call->pool, collect_of, NULL);

	return 0;
}

void tp_queue_destroy(struct tp_queue *queue)
{
	struct tpi_call collect = { .undo = NULL };

	if (!queue)
		return;
	if (queue->in_end_io) {
		tpi_error(-EDEADLK, "a queue is not destroyed from within an "
				    "end_io of its own");
		return;
	}
	while (queue->nr_unreaped) {
		struct cancel cancel = { .queue = queue };

		tpi_call_ask(queue->pool, &cancel.call, cancel_waiting);
		tp_queue_wait(queue, 1, 100);
	}
	tpi_call_ask(queue->pool, &collect, collect_all);
	tpi_queue_free(queue);
}

/*---------------------------- what is refused ------------------------------*/

static int check_flags(const struct tp_bio *bio)
{
	unsigned allowed = 0;

	switch (bio->op) {
	case TP_WRITE:
		allowed = TP_FUA | TP_PREFLUSH;
		break;
	case TP_WRITE_ZEROES:
		allowed = TP_FUA | TP_PREFLUSH | TP_NO_UNMAP;
		break;
	case TP_DISCARD:
		allowed = TP_FUA;
		break;
	case TP_READ:
	case TP_FLUSH:
		break;
	default:
		return tpi_error(-EINVAL, "a bio with the unknown op %d",
				 (int)bio->op);
	}
	if (bio->flags & ~allowed)
		return tpi_error(-EINVAL,
				 "a bio with flags %#x that do not "
				 "belong to its op",
				 bio->flags & ~allowed);

	return 0;
}

static int measure(struct tp_bio *bio)
{
	uint64_t length = 0;

	if (bio->op != TP_READ && bio->op != TP_WRITE)
		return 0;
	if (bio->iovcnt < 0 || (bio->iovcnt && !bio->iov))
		return tpi_error(-EINVAL, "a bio without an iovec");
	for (int i = 0; i < bio->iovcnt; i++)
		if (__builtin_add_overflow(length, bio->iov[i].iov_len,
					   &length))
			return tpi_error(-EINVAL, "an iovec that is too long");
	bio->length = length;

	return 0;
}

static int check_range(const struct tp_thin *thin, struct tp_bio *bio)
{
	uint64_t align = thin->logical_block;

	if (bio->op == TP_FLUSH) {
		bio->offset = bio->length = 0;
		return 0;
	}
	if ((bio->offset | bio->length) & (align - 1))
		return tpi_error(-EINVAL,
				 "%llu bytes at %llu: not a multiple of the "
				 "logical block, %llu bytes",
				 (unsigned long long)bio->length,
				 (unsigned long long)bio->offset,
				 (unsigned long long)align);
	if (bio->offset > thin->size || bio->length > thin->size - bio->offset)
		return tpi_error(-EINVAL,
				 "%llu bytes at %llu reach beyond the end of "
				 "the thin, which has %llu",
				 (unsigned long long)bio->length,
				 (unsigned long long)bio->offset,
				 (unsigned long long)thin->size);

	return 0;
}

static int check_permission(const struct tp_thin *thin,
			    const struct tp_bio *bio)
{
	if (bio->op == TP_READ || bio->op == TP_FLUSH)
		return 0;
	if (thin->read_only)
		return tpi_error(-EROFS, "the thin was opened read-only");
	if (bio->op == TP_DISCARD &&
	    (thin->pool->options.flags & TP_POOL_IGNORE_DISCARD))
		return tpi_error(-EOPNOTSUPP, "the pool ignores discards");

	return 0;
}

static int check(const struct tp_queue *queue, const struct tp_thin *thin,
		 struct tp_bio *bio)
{
	int r;

	if (!bio->end_io)
		return tpi_error(-EINVAL, "a bio without end_io");
	if (thin->pool != queue->pool)
		return tpi_error(-EINVAL, "a thin of another pool");
	if (queue->nr_unreaped >= queue->depth)
		return -EAGAIN;
	r = check_flags(bio);
	if (!r)
		r = measure(bio);
	if (!r)
		r = check_range(thin, bio);
	if (!r)
		r = check_permission(thin, bio);

	return r;
}

/*---------------------------- the fast path --------------------------------*/

/* May the bio go past the loop at all?  FUA passes if the device has it and
 * the thin has nothing that a commit would have to make durable (B-FUA-3). */
static bool is_plain(const struct tp_thin *thin, const struct tp_bio *bio)
{
	struct tpi_thin_state *state = thin->state;

	if (bio->op != TP_READ && bio->op != TP_WRITE)
		return false;
	if (atomic_load_explicit(&state->gate, memory_order_acquire))
		return false;
	if (bio->op == TP_READ || !bio->flags)
		return true;

	return bio->flags == TP_FUA &&
	       (tpi_device_features(thin->pool->data_device) &
		(TP_DEVICE_FUA | TP_DEVICE_NO_CACHE)) &&
	       atomic_load_explicit(&state->last_change,
				    memory_order_acquire) <=
		       atomic_load_explicit(&thin->pool->committed,
					    memory_order_acquire);
}

/* A piece of a bio whose blocks lie side by side, or are unmapped. */
struct run {
	uint64_t from, to;
	tpi_mapping mapping;
};

/* Bios that fall into more pieces are for the loop. */
#define FAST_RUNS_MAX 16u

static bool resolve_run(struct tpi_thin_state *state, const struct tp_bio *bio,
			uint32_t time, uint64_t from, struct run *run)
{
	struct tp_pool *pool = state->pool;
	uint64_t end = bio->offset + bio->length;

	if (!tpi_mapping_cache_get(pool->mapping_cache, state->serial,
				   tpi_vblock_at(pool, from), &run->mapping))
		return false;
	if (run->mapping == TPI_UNMAPPED &&
	    (bio->op == TP_WRITE || state->external_origin))
		return false;
	if (bio->op == TP_WRITE && tpi_mapping_is_shared(run->mapping, time))
		return false;
	run->from = from;
	run->to = tpi_run_end(state, from, end, run->mapping, time);

	return true;
}

/* The pieces of the bio; 0 if one of them is not known here, or needs more
 * than to be sent. */
static unsigned resolve(struct tpi_thin_state *state, const struct tp_bio *bio,
			struct run *runs)
{
	uint64_t position = bio->offset, end = bio->offset + bio->length;
	uint32_t time = 0;
	unsigned nr = 0;

	if (bio->op == TP_WRITE)
		time = atomic_load_explicit(&state->snapshotted_time,
					    memory_order_acquire);
	while (position < end) {
		if (nr == FAST_RUNS_MAX ||
		    !resolve_run(state, bio, time, position, &runs[nr]))
			return 0;
		position = runs[nr++].to;
	}

	return nr;
}

static void end_here(struct tpi_port *port, struct tp_bio *bio)
{
	struct tpi_bio *room = tpi_bio(bio);

	room->next = NULL;
	*port->ended_tail = bio;
	port->ended_tail = &room->next;
}

static void send_runs(struct tp_queue *queue, struct tp_bio *bio,
		      const struct run *runs, unsigned nr)
{
	struct tpi_port *port = &queue->port;

	for (unsigned i = 0; i < nr; i++) {
		const struct run *run = &runs[i];

		if (run->mapping == TPI_UNMAPPED)
			tpi_bio_fill_zero(bio, run->from, run->to);
		else
			tpi_port_send(port, port->channel, bio,
				      tpi_bio(bio)->section, run->from, run->to,
				      tpi_data_offset(
					      queue->pool,
					      tpi_mapping_dblock(run->mapping),
					      run->from));
	}
	if (!tpi_bio(bio)->nr_parts)
		end_here(port, bio);
}

/* Each of several pieces takes a spare fragment, if its iovec fits that. */
static bool fits_spares(const struct tpi_port *port, const struct tp_bio *bio,
			unsigned nr)
{
	return nr <= port->nr_spares && bio->iovcnt <= TPI_FRAGMENT_IOVECS;
}

/*
 * Sent, or answered with zeroes; false if it is for the loop.  The section is
 * entered before gate and mappings are looked at, and each fragment is in one
 * of its own before this one is left.
 */
static bool go_fast(struct tp_queue *queue, struct tpi_thin_state *state,
		    struct tp_bio *bio)
{
	struct tpi_bio *room = tpi_bio(bio);
	struct tpi_port *port = &queue->port;
	struct run runs[FAST_RUNS_MAX];
	uint8_t pool_parity, thin_parity;
	unsigned nr = 0;

	if (!bio->length)
		return false;
	tpi_port_enter(port, room->thin, room->section, bio->op != TP_READ,
		       &pool_parity, &thin_parity);
	if (is_plain(room->thin, bio))
		nr = resolve(state, bio, runs);
	if (nr > 1 && !fits_spares(port, bio, nr))
		nr = 0;
	if (nr) {
		room->device_flags = bio->flags;
		room->section->statistics.nr_direct++;
		room->section->statistics.mapping_cache_hits += nr;
		send_runs(queue, bio, runs, nr);
	}
	tpi_port_leave(port, room->section, pool_parity, thin_parity);

	return nr != 0;
}

void tpi_bio_part_ended(struct tp_bio *bio, struct tpi_port *port, int status)
{
	struct tpi_bio *room = tpi_bio(bio);

	if (status && !room->error)
		room->error = tpi_bio_error(status);
	room->nr_parts--;
	if (!port->queue)
		tpi_bio_part_of_loop_ended(bio);
	else if (!room->nr_parts)
		end_here(port, bio);
}

/*---------------------------- submitting -----------------------------------*/

/* All but the task, which is for those that go to the loop (tpi_bio_defer). */
static void take(struct tp_queue *queue, struct tp_thin *thin,
		 struct tp_bio *bio, struct tpi_thin_section *section)
{
	struct tpi_bio *room = tpi_bio(bio);

	room->fragment.bio = NULL;
	room->queue = queue;
	room->thin = thin;
	room->section = section;
	room->position = bio->offset;
	room->end = bio->offset + bio->length;
	room->space_awaited = 0;
	room->nr_parts = 0;
	room->error = 0;
	room->device_flags = 0;
	room->stage = TPI_BIO_PREFLUSH;
	room->begun = false;
	bio->status = 0;
}

static struct tp_io_count *count_of(struct tp_io_statistics *statistics,
				    enum tp_op op)
{
	switch (op) {
	case TP_READ:
		return &statistics->reads;
	case TP_WRITE:
		return &statistics->writes;
	case TP_WRITE_ZEROES:
		return &statistics->write_zeroes;
	case TP_DISCARD:
		return &statistics->discards;
	default:
		return &statistics->flushes;
	}
}

static void count_submitted(struct tp_io_statistics *statistics,
			    const struct tp_bio *bio)
{
	struct tp_io_count *count = count_of(statistics, bio->op);

	count->nr_bios++;
	count->bytes += bio->length;
	statistics->nr_fua += (bio->flags & TP_FUA) != 0;
}

static void count_unreaped(struct tpi_thin_section *section, int change)
{
	unsigned nr = atomic_load_explicit(&section->nr_unreaped,
					   memory_order_relaxed);

	atomic_store_explicit(&section->nr_unreaped, nr + (unsigned)change,
			      memory_order_release);
}

static void set_port_plugged(struct tp_queue *queue, bool plugged)
{
	tpi_owner_enter(&queue->port.lock);
	queue->port.plugged = plugged;
	tpi_owner_leave(&queue->port.lock);
}

/* The steps may take the lock of the port. */
static void help_loop(struct tp_queue *queue)
{
	tpi_owner_is_here(&queue->port.lock, true);
	tpi_loop_help(&queue->pool->loop);
	tpi_owner_is_here(&queue->port.lock, false);
}

/* What the loop's steps that are made here send by a plugged queue is for the
 * next wait; what its thread sends later is not. */
static void help(struct tp_queue *queue)
{
	bool plugged = queue->plugged &&
		       tpi_channel_can_sleep(queue->port.channel);

	queue->helps_later = false;
	if (plugged)
		set_port_plugged(queue, true);
	help_loop(queue);
	if (!plugged)
		return;
	set_port_plugged(queue, false);
	queue->kicks_later = true;
}

static void defer(struct tp_queue *queue, struct tp_bio *bio)
{
	tpi_bio_defer(bio);
	if (queue->in_end_io)
		queue->helps_later = true;
	else
		help(queue);
}

int tpi_queue_submit(struct tp_queue *queue, struct tp_thin *thin,
		     struct tp_bio *bio)
{
	struct tpi_port *port = &queue->port;
	struct tpi_thin_section *section;
	bool fast, ended;

	tpi_owner_enter(&port->lock);
	section = tpi_port_section(port, thin);
	if (!section) {
		tpi_owner_leave(&port->lock);
		return tpi_error(-ENOMEM, "no memory for a thin on a queue");
	}
	take(queue, thin, bio, section);
	queue->nr_unreaped++;
	count_unreaped(section, 1);
	count_submitted(&section->statistics, bio);
	fast = go_fast(queue, thin->state, bio);
	if (fast && (queue->in_end_io || queue->plugged))
		queue->kicks_later = true;
	else if (fast)
		tpi_channel_kick(port->channel);
	ended = port->ended;
	tpi_owner_leave(&port->lock);
	if (!fast)
		defer(queue, bio);
	if (ended)
		tpi_queue_notify(queue);

	return 0;
}

int tp_queue_submit(struct tp_queue *queue, struct tp_thin *thin,
		    struct tp_bio *bio)
{
	int r;

	if (!queue || !thin || !bio)
		return tpi_error(-EINVAL, "no queue, no thin, or no bio");
	r = check(queue, thin, bio);
	if (r)
		return r;

	return tpi_queue_submit(queue, thin, bio);
}

/*---------------------------- reaping --------------------------------------*/

void tpi_queue_notify(struct tp_queue *queue)
{
	uint64_t one = 1;

	/* A full counter means that it is readable anyway. */
	if (atomic_exchange(&queue->armed, false) &&
	    write(queue->event_fd, &one, sizeof(one)) < 0)
		return;
}

/* The last thing that the loop does with a bio.  The queue may be freed by its
 * owner as soon as the bio is reaped, which is not before the registry's lock
 * is free again. */
void tpi_queue_ended(struct tp_bio *bio)
{
	struct tpi_bio *room = tpi_bio(bio);
	struct tp_queue *queue = room->queue;
	struct tp_pool *pool = queue->pool;
	struct tpi_bio *first;

	pthread_mutex_lock(&pool->registry_lock);
	first = atomic_load_explicit(&queue->ended, memory_order_relaxed);
	do
		room->next = first ? tpi_bio_of(first) : NULL;
	while (!atomic_compare_exchange_weak(&queue->ended, &first, room));
	tpi_queue_notify(queue);
	pthread_mutex_unlock(&pool->registry_lock);
}

/* What the loop ended, first first, behind what ended here. */
static void collect_from_loop(struct tp_queue *queue)
{
	struct tpi_bio *last = atomic_exchange(&queue->ended, NULL);
	struct tp_bio *first = NULL;

	while (last) {
		struct tp_bio *bio = tpi_bio_of(last);

		last = last->next ? tpi_bio(last->next) : NULL;
		tpi_bio(bio)->next = first;
		first = bio;
	}
	while (first) {
		struct tp_bio *bio = first;

		first = tpi_bio(bio)->next;
		end_here(&queue->port, bio);
	}
}

/* What the loop has sent by this port goes on there, by help of ours if need
 * be; the port's lock is let go of meanwhile. */
static void hand_over_relayed(struct tp_queue *queue)
{
	struct tpi_port *port = &queue->port;
	struct tpi_list relayed, *entry;

	tpi_list_init(&relayed);
	tpi_list_splice(&relayed, &port->relayed);
	tpi_owner_leave(&port->lock);
	while ((entry = tpi_list_pop(&relayed)))
		tpi_loop_put_in(&queue->pool->loop,
				tpi_container_of(entry, struct tpi_task,
						 entry));
	help_loop(queue);
	tpi_owner_enter(&port->lock);
}

/* All that have ended up to now, first first. */
static struct tp_bio *take_ended(struct tp_queue *queue)
{
	struct tpi_port *port = &queue->port;
	struct tp_bio *first;

	tpi_owner_enter(&port->lock);
	tpi_channel_poll(port->channel, UINT32_MAX);
	if (!tpi_list_empty(&port->relayed))
		hand_over_relayed(queue);
	if (atomic_load_explicit(&queue->ended, memory_order_relaxed))
		collect_from_loop(queue);
	first = port->ended;
	port->ended = NULL;
	port->ended_tail = &port->ended;
	tpi_owner_leave(&port->lock);

	return first;
}

static void end_bio(struct tp_queue *queue, struct tp_bio *bio)
{
	struct tpi_bio *room = tpi_bio(bio);

	bio->status = room->error;
	queue->nr_unreaped--;
	count_unreaped(room->section, -1);
	queue->in_end_io = true;
	bio->end_io(bio);
	queue->in_end_io = false;
}

/* A call to the system may start all of them as well as one. */
static void kick(struct tp_queue *queue)
{
	queue->kicks_later = false;
	tpi_owner_enter(&queue->port.lock);
	tpi_channel_kick(queue->port.channel);
	tpi_owner_leave(&queue->port.lock);
}

/* A bio that ends as soon as an end_io submits it is for the next call: else
 * one that is submitted again and again would keep the host here for ever. */
static int reap(struct tp_queue *queue, unsigned max)
{
	unsigned nr = 0;

	if (!queue->reaped)
		queue->reaped = take_ended(queue);
	if (!queue->reaped)
		return 0;

	/* Somebody may wait for the sections that have just been left. */
	if (atomic_load_explicit(&queue->pool->is_draining,
				 memory_order_acquire))
		tpi_loop_wake(&queue->pool->loop);
	while (queue->reaped) {
		struct tp_bio *bio = queue->reaped;

		queue->reaped = tpi_bio(bio)->next;
		end_bio(queue, bio);
		if (++nr == max)
			break;
	}
	if (queue->helps_later)
		help(queue);
	if (queue->kicks_later && !queue->plugged)
		kick(queue);

	return (int)nr;
}

static void start_plugged(struct tp_queue *queue)
{
	if (queue->kicks_later)
		kick(queue);
}

void tp_queue_plug(struct tp_queue *queue)
{
	if (queue)
		queue->plugged = tpi_channel_needs_kick(queue->port.channel);
}

void tp_queue_unplug(struct tp_queue *queue)
{
	if (!queue)
		return;
	queue->plugged = false;
	start_plugged(queue);
}

/* Ask for a signal, or, for a sleep in the channel, prepare that; true if
 * something has ended meanwhile. */
static bool watch(struct tp_queue *queue, unsigned *nr_to_start)
{
	struct tpi_channel *channel = queue->port.channel;
	bool ended;

	atomic_store(&queue->armed, true);
	tpi_owner_enter(&queue->port.lock);
	ended = atomic_load(&queue->ended) || queue->port.ended ||
		(nr_to_start ? tpi_channel_prepare_sleep(channel, nr_to_start)
			     : tpi_channel_arm(channel));
	tpi_owner_leave(&queue->port.lock);

	return ended;
}

/* It only says that there may be something. */
static void clear_signal(struct tp_queue *queue)
{
	uint64_t count;

	if (read(queue->event_fd, &count, sizeof(count)) < 0)
		return;
}

static void unwatch(struct tp_queue *queue)
{
	queue->watched = false;
	atomic_store(&queue->armed, false);
	clear_signal(queue);
}

static int check_reaper(const struct tp_queue *queue)
{
	if (!queue)
		return tpi_error(-EINVAL, "no queue was given");
	if (queue->in_end_io)
		return tpi_error(-EDEADLK, "a queue was polled from within an "
					   "end_io of its own");

	return 0;
}

int tp_queue_poll(struct tp_queue *queue, unsigned max)
{
	int nr = check_reaper(queue);

	if (nr)
		return nr;
	start_plugged(queue);
	nr = reap(queue, max);

	/* A poll withdraws the signal that was asked for before; and what has
	 * ended may be only a part of a bio.  Ask, and ask again. */
	while (!nr && watch(queue, NULL)) {
		queue->watched = true;
		nr = reap(queue, max);
	}
	queue->watched |= !nr;
	if (nr && queue->watched)
		unwatch(queue);

	return nr;
}

/*---------------------------- waiting --------------------------------------*/

/* Host-driven, time is the host's. */
static uint64_t now_ns(const struct tp_queue *queue)
{
	struct timespec now;

	if (queue->pool->host_driven)
		return tpi_loop_now(&queue->pool->loop);
	clock_gettime(CLOCK_MONOTONIC, &now);

	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void sleep_on_fd(struct tp_queue *queue, uint64_t timeout_ns)
{
	struct pollfd fd = { .fd = queue->event_fd, .events = POLLIN };
	struct timespec timeout;

	timeout.tv_sec = (time_t)(timeout_ns / 1000000000u);
	timeout.tv_nsec = (long)(timeout_ns % 1000000000u);
	ppoll(&fd, 1, timeout_ns == UINT64_MAX ? NULL : &timeout, NULL);
}

static uint64_t time_left(const struct tp_queue *queue, uint64_t deadline)
{
	uint64_t now;

	if (deadline == UINT64_MAX)
		return UINT64_MAX;
	now = now_ns(queue);

	return deadline > now ? deadline - now : 0;
}

/* Whoever gives a signal takes back that one was asked for; only the device
 * does not, which gives none to who sleeps on it. */
static void wait_asleep(struct tp_queue *queue, bool in_channel,
			uint64_t deadline)
{
	struct tpi_channel *channel = queue->port.channel;
	uint64_t timeout_ns = time_left(queue, deadline);
	unsigned nr_to_start = 0;

	queue->kicks_later = false;
	if (watch(queue, in_channel ? &nr_to_start : NULL))
		return;
	if (in_channel)
		tpi_channel_sleep(channel, nr_to_start, timeout_ns);
	else
		sleep_on_fd(queue, timeout_ns);
	if (!atomic_exchange(&queue->armed, false) || !in_channel)
		clear_signal(queue);
}

static int wait_for(struct tp_queue *queue, unsigned min, uint64_t deadline)
{
	bool in_channel = tpi_channel_can_sleep(queue->port.channel);
	unsigned nr = 0;
	bool slept = false;

	for (;;) {
		int r = 0;

		/* If a sleep can start it, looking first would do so, too. */
		if (!in_channel || queue->reaped)
			start_plugged(queue);
		if (!queue->kicks_later)
			r = reap(queue, 0);
		nr += (unsigned)r;
		if (nr >= min || !queue->nr_unreaped ||
		    (deadline != UINT64_MAX && now_ns(queue) >= deadline))
			break;

		/* For nothing: by a signal that is still there? */
		if (!r && slept)
			clear_signal(queue);

		/* Who polls for us meanwhile has to know: keep_promise(). */
		atomic_store(&queue->in_channel, in_channel);
		wait_asleep(queue, in_channel, deadline);
		atomic_store(&queue->in_channel, false);
		slept = true;
	}
	if (slept)
		atomic_store(&queue->armed, false);

	return (int)nr;
}

static int wait_host_driven(struct tp_queue *queue, unsigned min,
			    uint64_t deadline)
{
	unsigned nr = 0;

	for (;;) {
		int r = tp_queue_poll(queue, 0);

		nr += (unsigned)r;
		if (nr >= min || !queue->nr_unreaped ||
		    (deadline != UINT64_MAX && now_ns(queue) >= deadline))
			return (int)nr;

		/* Only what came back with nothing has asked for a signal. */
		if (!r)
			tpi_loop_run_beside(&queue->pool->loop, queue->event_fd,
					    deadline);
	}
}

int tp_queue_wait(struct tp_queue *queue, unsigned min, int timeout_ms)
{
	uint64_t deadline = UINT64_MAX;
	int r = check_reaper(queue);

	if (r)
		return r;
	if (!min || !timeout_ms || queue->pool->host_driven)
		start_plugged(queue);
	if (timeout_ms >= 0)
		deadline = now_ns(queue) + (uint64_t)timeout_ms * 1000000u;

	return queue->pool->host_driven ? wait_host_driven(queue, min, deadline)
					: wait_for(queue, min, deadline);
}

int tp_queue_fd(struct tp_queue *queue)
{
	return queue ? queue->event_fd
		     : tpi_error(-EINVAL, "no queue was given");
}

void tpi_queue_drain(struct tp_queue *queue)
{
	while (queue->nr_unreaped)
		tp_queue_wait(queue, 1, -1);
}
