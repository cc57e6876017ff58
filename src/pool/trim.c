/*
 * trim.c - telling the data device which blocks are free.
 *
 * A run of free blocks is taken as if to be written: then it is free in every
 * transaction that a crash may leave, no bio is on its way to it, and nobody
 * else is given it.  The device is told of it, and it is given back.  All of
 * this is in memory, so a crash leaks nothing.  Only one run is kept from others
 * at a time, and a bio that finds no other block waits for it (space.c).
 */
#include "pool/call.h"
#include "pool/mode.h"

/* At most so much at a time, or a block. */
#define RUN_BYTES (256u << 20)

struct trim_call {
	struct tpi_call call;
	tp_dblock position, end;
	uint64_t nr_trimmed; /* blocks */
	tp_dblock begin, nr; /* the run under way, if @nr */
	int error;
	struct tp_device_request request;
};

bool tpi_trim_is_busy(const struct tp_pool *pool)
{
	return pool->nr_trimming != 0;
}

static void trimmed(struct tp_device_request *request, int status)
{
	struct trim_call *trim =
		tpi_container_of(request, struct trim_call, request);
	struct tp_pool *pool = trim->call.pool;

	tpi_data_sm_give_back(pool->metadata.data_sm, trim->begin, trim->nr);
	pool->nr_trimming -= trim->nr;
	if (status)
		trim->error = status;
	else
		trim->nr_trimmed += trim->nr;
	trim->position = trim->begin + trim->nr;
	tpi_space_look(pool);
	tpi_call_continue(&trim->call);
	tpi_quiet_look(pool);
}

static void submit(struct trim_call *trim)
{
	struct tp_pool *pool = trim->call.pool;

	pool->nr_trimming += trim->nr;
	trim->request = (struct tp_device_request){
		.op = TP_DISCARD,
		.offset = trim->begin * pool->block_bytes,
		.length = trim->nr * pool->block_bytes,
		.done = trimmed,
	};
	tpi_channel_submit(pool->port.channel, &trim->request);
}

static int refuse(const struct tp_pool *pool)
{
	if (pool->nr_suspends)
		return tpi_error(-EBUSY, "the pool is suspended");
	if (!tpi_mode_can_commit(pool))
		return tpi_error(-EOPNOTSUPP,
				 "the pool is in mode '%s', in which nothing "
				 "is discarded",
				 tp_pool_mode_name(pool->mode));

	return 0;
}

static int trim_step(struct tpi_call *call)
{
	struct trim_call *trim = tpi_container_of(call, struct trim_call, call);
	struct tp_pool *pool = call->pool;
	struct tpi_data_space_map *map = pool->metadata.data_sm;
	int r = trim->error ? trim->error : refuse(pool);

	if (r)
		return r;
	r = tpi_data_sm_alloc_within(map, trim->position,
				     tpi_min(trim->end,
					     tpi_data_sm_nr_blocks(map)),
				     tpi_max(1, RUN_BYTES / pool->block_bytes),
				     &trim->begin, &trim->nr);
	if (r)
		return r == -ENOSPC ? 0 : r;
	submit(trim);

	return -EINPROGRESS;
}

/* The whole blocks of the range. */
static int take_range(struct tp_pool *pool, struct trim_call *trim,
		      uint64_t offset, uint64_t length)
{
	uint64_t end = length == TP_TO_THE_END ? UINT64_MAX : offset + length;

	if (end < offset || offset % TP_SECTOR_SIZE ||
	    (length != TP_TO_THE_END && length % TP_SECTOR_SIZE))
		return tpi_error(-EINVAL,
				 "%llu bytes at %llu to be trimmed: not whole "
				 "sectors",
				 (unsigned long long)length,
				 (unsigned long long)offset);
	trim->position = tpi_div_up(offset, pool->block_bytes);
	trim->end = end / pool->block_bytes;

	return 0;
}

int tp_pool_trim(struct tp_pool *pool, uint64_t offset, uint64_t length,
		 uint64_t *nr_bytes)
{
	struct trim_call trim = { .position = 0 };
	int r;

	if (!pool)
		return tpi_error(-EINVAL, "no pool was given");
	r = take_range(pool, &trim, offset, length);
	if (r)
		return r;
	if (!(tpi_device_features(pool->data_device) & TP_DEVICE_DISCARD))
		return tpi_error(-EOPNOTSUPP,
				 "the data device does not discard");
	r = tpi_call_ask(pool, &trim.call, trim_step);
	if (!r && nr_bytes)
		*nr_bytes = trim.nr_trimmed * pool->block_bytes;

	return r;
}
