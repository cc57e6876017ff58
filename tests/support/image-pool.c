/*
 * image-pool.c - a pool over two images, and a ledger of what is in it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/image-pool.h"

#define METADATA_BLOCK 4096u
#define UNKNOWN_BLOCKS 64u
#define TIMEOUT_MS 50u /* of a pool whose clock is real */

/* As no call may take: each is bounded by what the images hold. */
#define MAX_WAITS 100000u

/*---------------------------- complaints -----------------------------------*/

void image_pool_complain(const struct image_pool *pool, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "%s: ", pool->what);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " (last error: %s)\n", tp_last_error());
	abort();
}

int image_pool_expect(const struct image_pool *pool, const char *call, int r)
{
	static const int errors[] = { EIO,    EILSEQ,  ENOSPC,     ENODATA,
				      EEXIST, EBUSY,   EOPNOTSUPP, EOVERFLOW,
				      EINVAL, ENOTBLK, EROFS,      EPERM };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (r == -errors[i])
			return r;
	if (r)
		image_pool_complain(pool, "%s: %d", call, r);

	return 0;
}

/*---------------------------- life -----------------------------------------*/

static uint64_t virtual_now(void *context)
{
	const struct image_pool *pool = context;

	return pool->now_ns;
}

static void virtual_wait(void *context, uint64_t until_ns)
{
	struct image_pool *pool = context;

	if (until_ns == UINT64_MAX)
		image_pool_complain(pool, "waits for nothing");
	if (until_ns > pool->now_ns)
		pool->now_ns = until_ns;
}

static void init_devices(struct image_pool *pool,
			 const struct image_pool_sizes *sizes)
{
	image_device_init(&pool->metadata, "metadata", sizes->metadata_bytes,
			  2 * sizes->metadata_bytes, METADATA_BLOCK,
			  METADATA_BLOCK, sizes->metadata_fd);
	image_device_init(&pool->data, "data", sizes->data_bytes,
			  2 * sizes->data_bytes, LEDGER_BLOCK, LEDGER_KEPT,
			  sizes->data_fd);
}

void image_pool_init(struct image_pool *pool,
		     const struct image_pool_sizes *sizes, bool host_driven)
{
	*pool = (struct image_pool){ .is_trusted = true };
	pool->options = (struct tp_pool_options)TP_POOL_OPTIONS_INIT;
	init_devices(pool, sizes);
	pool->options.commit_interval_ms = TP_NEVER;
	pool->options.metadata_cache_bytes = 1 << 20;
	pool->options.mapping_cache_bytes = 1 << 20;
	if (!host_driven) {
		pool->options.no_space_timeout_ms = TIMEOUT_MS;
		return;
	}
	pool->options.flags = TP_POOL_HOST_DRIVEN;
	pool->options.clock_ns = virtual_now;
	pool->options.clock_wait = virtual_wait;
	pool->options.clock_context = pool;
}

void image_pool_exit(struct image_pool *pool)
{
	ledger_exit(&pool->ledger);
	image_device_exit(&pool->data);
	image_device_exit(&pool->metadata);
}

int image_pool_open(struct image_pool *pool)
{
	int r = tp_pool_open(pool->metadata.device, pool->data.device,
			     &pool->options, &pool->pool);

	if (r)
		pool->pool = NULL;

	return image_pool_expect(pool, "open", r);
}

/* Not what an abort has lost before (crash-contract.md, S4). */
int image_pool_close(struct image_pool *pool)
{
	bool seals = image_pool_mode(pool) < TP_MODE_READ_ONLY;
	int r = tp_pool_close(pool->pool);

	if (r == -EBUSY)
		image_pool_complain(pool, "close: something is open");
	pool->pool = NULL;
	if (!r && seals)
		ledger_seal(&pool->ledger);

	return image_pool_expect(pool, "close", r);
}

void image_pool_pass_time(struct image_pool *pool, uint64_t ns)
{
	unsigned nr = 0;

	if (!(pool->options.flags & TP_POOL_HOST_DRIVEN))
		return;
	pool->now_ns += ns;
	while (tp_pool_poll(pool->pool) > 0)
		if (++nr > MAX_WAITS)
			image_pool_complain(pool, "the loop never rests");
}

enum tp_pool_mode image_pool_mode(const struct image_pool *pool)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	int r = tp_pool_get_status(pool->pool, &status);

	return image_pool_expect(pool, "status", r) ? TP_MODE_FAILED
						    : status.mode;
}

/*---------------------------- volumes --------------------------------------*/

/* A control call that succeeds is a commit (crash-contract.md, S3). */
static bool has_changed(struct image_pool *pool, const char *call, int *r)
{
	*r = image_pool_expect(pool, call, *r);
	if (!*r)
		ledger_seal(&pool->ledger);

	return !*r;
}

int image_pool_create(struct image_pool *pool, uint32_t id, uint32_t nr_blocks)
{
	int r = tp_pool_create_thin(pool->pool, id);

	if (has_changed(pool, "create", &r) && !ledger_find(&pool->ledger, id))
		ledger_add(&pool->ledger, id, nr_blocks);

	return r;
}

int image_pool_snapshot(struct image_pool *pool, uint32_t id, uint32_t origin)
{
	int r = tp_pool_create_snapshot(pool->pool, id, origin);

	if (has_changed(pool, "snapshot", &r) &&
	    ledger_find(&pool->ledger, origin) &&
	    !ledger_find(&pool->ledger, id))
		ledger_add_snapshot(&pool->ledger, id, origin);

	return r;
}

int image_pool_delete(struct image_pool *pool, uint32_t id)
{
	int r = tp_pool_delete_thin(pool->pool, id);

	if (has_changed(pool, "delete", &r) && ledger_find(&pool->ledger, id))
		ledger_remove(&pool->ledger, id);

	return r;
}

int image_pool_commit(struct image_pool *pool)
{
	int r = tp_pool_commit(pool->pool);

	has_changed(pool, "commit", &r);

	return r;
}

int image_pool_open_thin(struct image_pool *pool, uint32_t id,
			 struct tp_thin **thin)
{
	const struct ledger_thin *known = ledger_find(&pool->ledger, id);
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;

	options.size = (uint64_t)(known ? known->nr_blocks : UNKNOWN_BLOCKS) *
		       LEDGER_BLOCK;

	return image_pool_expect(pool, "open thin",
				 tp_thin_open(pool->pool, id, &options, thin));
}

/*---------------------------- blocks ---------------------------------------*/

static char *make_buffer(uint32_t nr, bool whole)
{
	char *buffer = calloc(nr, whole ? LEDGER_BLOCK : LEDGER_KEPT);

	if (!buffer)
		abort();

	return buffer;
}

static uint64_t bytes(uint32_t nr_blocks)
{
	return (uint64_t)nr_blocks * LEDGER_BLOCK;
}

static void write_ledger(struct image_pool *pool, uint32_t id, uint32_t vblock,
			 uint32_t tag, bool done)
{
	struct ledger_thin *thin = ledger_find(&pool->ledger, id);

	if (thin)
		ledger_write(thin, vblock, tag, done);
}

/* Of several blocks only one is written in part. */
int image_pool_write(struct image_pool *pool, struct tp_thin *thin, uint32_t id,
		     uint32_t vblock, uint32_t nr, bool whole, unsigned flags)
{
	uint32_t tag = pool->ledger.last_tag + 1;
	char *buffer = make_buffer(nr, whole || nr > 1);
	uint64_t length = bytes(nr);
	int r;

	if (!whole)
		length -= LEDGER_BLOCK - LEDGER_KEPT;
	for (uint32_t i = 0; i < nr; i++)
		ledger_fill(buffer + bytes(i), tag + i);
	r = image_pool_expect(pool, "write",
			      tp_thin_write(thin, buffer, length, bytes(vblock),
					    flags));
	for (uint32_t i = 0; i < nr; i++)
		write_ledger(pool, id, vblock + i, tag + i, !r);
	pool->ledger.last_tag += nr;
	free(buffer);

	return r;
}

static void check_blocks(const struct image_pool *pool, uint32_t id,
			 uint32_t vblock, uint32_t nr, const char *buffer)
{
	const struct ledger_thin *thin = ledger_find(&pool->ledger, id);

	for (uint32_t i = 0; thin && pool->is_trusted && i < nr; i++)
		if (!ledger_allows(thin, vblock + i, buffer + bytes(i)))
			image_pool_complain(pool,
					    "thin %u, block %u: wrong data", id,
					    vblock + i);
}

int image_pool_read(struct image_pool *pool, struct tp_thin *thin, uint32_t id,
		    uint32_t vblock, uint32_t nr)
{
	char *buffer = make_buffer(nr, nr > 1);
	int r = image_pool_expect(
		pool, "read",
		tp_thin_read(thin, buffer,
			     bytes(nr) - LEDGER_BLOCK + LEDGER_KEPT,
			     bytes(vblock)));

	if (!r)
		check_blocks(pool, id, vblock, nr, buffer);
	free(buffer);

	return r;
}

bool image_pool_discards(const struct image_pool *pool)
{
	return image_pool_mode(pool) <= TP_MODE_OUT_OF_DATA_SPACE;
}

int image_pool_discard(struct image_pool *pool, struct tp_thin *thin,
		       uint32_t id, uint32_t vblock, uint32_t nr)
{
	int r = image_pool_expect(pool, "discard",
				  tp_thin_discard(thin, bytes(vblock),
						  bytes(nr)));
	bool done = !r && image_pool_discards(pool);

	for (uint32_t i = 0; i < nr; i++)
		write_ledger(pool, id, vblock + i, 0, done);

	return r;
}

int image_pool_zero(struct image_pool *pool, struct tp_thin *thin, uint32_t id,
		    uint32_t vblock, uint32_t nr)
{
	int r = image_pool_expect(pool, "write zeroes",
				  tp_thin_write_zeroes(thin, bytes(vblock),
						       bytes(nr), 0));

	for (uint32_t i = 0; i < nr; i++)
		write_ledger(pool, id, vblock + i, 0, !r);

	return r;
}

int image_pool_flush(struct image_pool *pool, struct tp_thin *thin)
{
	return image_pool_expect(pool, "flush", tp_thin_flush(thin));
}
