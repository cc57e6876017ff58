/*
 * blocking.c - reading and writing a thin in one call: a bio on a queue of the
 * pool's own, waited for.  Queues that are not in use are kept for the next.
 */
#include "pool/call.h"
#include "pool/mode.h"
#include "pool/queue.h"

static int take_queue(struct tp_pool *pool, struct tp_queue **queue)
{
	struct tpi_list *entry;

	pthread_mutex_lock(&pool->registry_lock);
	entry = tpi_list_pop(&pool->idle_queues);
	pthread_mutex_unlock(&pool->registry_lock);
	if (!entry)
		return tpi_queue_create(pool, 1, true, queue);
	*queue = tpi_container_of(entry, struct tp_queue, entry);

	return 0;
}

static void put_queue(struct tp_queue *queue)
{
	struct tp_pool *pool = queue->pool;

	pthread_mutex_lock(&pool->registry_lock);
	tpi_list_add(&pool->idle_queues, &queue->entry);
	pthread_mutex_unlock(&pool->registry_lock);
}

static void ended(struct tp_bio *bio)
{
	*(bool *)bio->context = true;
}

static const char *name_of(enum tp_op op)
{
	static const char *const names[] = {
		[TP_READ] = "read",
		[TP_WRITE] = "write",
		[TP_FLUSH] = "flush",
		[TP_DISCARD] = "discard",
		[TP_WRITE_ZEROES] = "write zeroes",
	};

	return names[op];
}

static int wait_for(struct tp_queue *queue, struct tp_thin *thin,
		    struct tp_bio *bio)
{
	bool done = false;
	int r;

	bio->end_io = ended;
	bio->context = &done;
	r = tp_queue_submit(queue, thin, bio);
	if (r)
		return r;
	tpi_queue_drain(queue);
	tpi_assert(done);
	if (bio->status)
		return tpi_error(bio->status,
				 "%s of %llu bytes at %llu of thin %u: %s",
				 name_of(bio->op),
				 (unsigned long long)bio->length,
				 (unsigned long long)bio->offset, thin->id,
				 tp_strerror(bio->status));

	return 0;
}

static int refuse(struct tp_thin *thin)
{
	struct tp_pool *pool;

	if (!thin)
		return tpi_error(-EINVAL, "no thin was given");
	pool = thin->pool;
	if (tpi_hook_is_here(pool))
		return tpi_error(-EDEADLK,
				 "a pre-commit hook cannot wait for the pool");
	if (pool->host_driven && pool->nr_suspends)
		return tpi_error(-EBUSY, "the pool is suspended");

	return 0;
}

static int carry_out(struct tp_thin *thin, struct tp_bio *bio)
{
	struct tp_queue *queue;
	int r = refuse(thin);

	if (!r)
		r = take_queue(thin->pool, &queue);
	if (r)
		return r;
	r = wait_for(queue, thin, bio);
	put_queue(queue);

	return r;
}

int tp_thin_read(struct tp_thin *thin, void *buffer, size_t length,
		 uint64_t offset)
{
	struct iovec iov = { .iov_base = buffer, .iov_len = length };
	struct tp_bio bio = {
		.op = TP_READ, .offset = offset, .iov = &iov, .iovcnt = 1
	};

	return carry_out(thin, &bio);
}

int tp_thin_write(struct tp_thin *thin, const void *buffer, size_t length,
		  uint64_t offset, unsigned flags)
{
	struct iovec iov = { .iov_base = (void *)buffer, .iov_len = length };
	struct tp_bio bio = { .op = TP_WRITE,
			      .flags = flags,
			      .offset = offset,
			      .iov = &iov,
			      .iovcnt = 1 };

	return carry_out(thin, &bio);
}

int tp_thin_flush(struct tp_thin *thin)
{
	struct tp_bio bio = { .op = TP_FLUSH };

	return carry_out(thin, &bio);
}

int tp_thin_discard(struct tp_thin *thin, uint64_t offset, uint64_t length)
{
	struct tp_bio bio = { .op = TP_DISCARD,
			      .offset = offset,
			      .length = length };

	return carry_out(thin, &bio);
}

int tp_thin_write_zeroes(struct tp_thin *thin, uint64_t offset, uint64_t length,
			 unsigned flags)
{
	struct tp_bio bio = { .op = TP_WRITE_ZEROES,
			      .flags = flags,
			      .offset = offset,
			      .length = length };

	return carry_out(thin, &bio);
}
