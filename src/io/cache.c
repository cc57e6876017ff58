/*
 * cache.c - the metadata blocks in memory.
 *
 * Every block is in the table under its number, and on the one list that its
 * state and its pins say:
 *
 *	reading   -> arrivals   with the device
 *	failed    -> failed     an error, to be told once
 *	clean     -> lru        or, while it is pinned, -> pinned
 *	dirty     -> dirty
 *	frozen    -> frozen
 *
 * A block that leaves the table (forgotten, or replaced by a new one) while
 * somebody may hold its data goes to the list of the departed until trim; one
 * that leaves while it is being read goes when the device is done with it.
 *
 * Writing back is no state of a block: the frozen ones are sorted, cut into
 * runs of adjacent blocks, and written a bounded number of runs at a time.  No
 * order is kept among them; a crash in between leaves blocks that nothing
 * durable refers to.
 */
#include "io/cache.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/block-buffers.h"

#define MIN_LIMIT_BLOCKS 64
#define MIN_CLEAN_BLOCKS 64
#define MIN_BUCKETS_LOG2 6

/* One use is that of whoever had the block read. */
#define MANY_USES 2
#define MAX_WRITES 32      /* runs with the device at once */
#define MAX_RUN_BLOCKS 128 /* in one of them */

/* In this order: from CLEAN on there is data, from DIRTY on it is the only
 * copy. */
enum block_state {
	READING,
	FAILED,
	CLEAN,
	DIRTY,
	FROZEN,
};

struct block {
	struct tpi_cache *cache;
	struct block *chain;   /* the next of the same bucket */
	struct tpi_list entry; /* of the list of its state */
	tp_mblock number;
	const struct tpi_validator *validator;
	enum block_state state;
	unsigned nr_pins;
	void *data;
	unsigned nr_uses; /* up to MANY_USES, which stands for more */

	/* Of a block that is read, or that could not be. */
	struct tp_device_request request;
	struct iovec iov;
	int error;
	bool replaced; /* out of the table: tell that it came, no more */

	bool unwanted; /* of a frozen block: it was freed meanwhile */
};

/* A run of frozen blocks on its way to the device. */
struct run {
	struct tp_device_request request;
	struct tpi_cache *cache;
	struct tpi_list entry; /* of the idle runs */
	struct iovec iov[MAX_RUN_BLOCKS];
};

struct tpi_cache {
	struct tpi_channel *channel;
	tp_mblock nr_device_blocks;
	size_t limit_blocks;

	struct block **buckets;
	unsigned buckets_log2;
	struct tpi_block_buffers buffers;
	size_t nr_blocks, nr_dirty, nr_frozen, nr_arrivals;

	struct tpi_list arrivals, failed, lru, pinned, dirty, frozen, departed;

	/* Blocks that are none, with buffers: so many are kept for changes. */
	struct tpi_list spare;
	size_t nr_spare, reserve;

	tp_mblock missed;
	void (*arrived)(void *context, tp_mblock block);
	void *arrived_context;

	/* The write-back under way, if done is set. */
	struct run runs[MAX_WRITES];
	struct tpi_list idle_runs;
	struct tpi_list *next_frozen; /* not submitted yet, from here on */
	unsigned nr_runs;             /* with the device */
	int write_error;
	void (*done)(void *context, int error);
	void *done_context;

	uint64_t era;
	struct tpi_cache_stats stats;
};

/*---------------------------- the table ------------------------------------*/

static size_t nr_buckets(const struct tpi_cache *cache)
{
	return (size_t)1 << cache->buckets_log2;
}

/* Block numbers are allocated, not chosen by anybody: a multiplication (by 2^64
 * over the golden ratio) spreads them well, and costs least. */
static struct block **bucket_of(const struct tpi_cache *cache, tp_mblock number)
{
	uint64_t hash = number * 0x9e3779b97f4a7c15;

	return &cache->buckets[hash >> (64 - cache->buckets_log2)];
}

static struct block *find(const struct tpi_cache *cache, tp_mblock number)
{
	struct block *block = *bucket_of(cache, number);

	while (block && block->number != number)
		block = block->chain;

	return block;
}

static void chain_up(struct block *block)
{
	struct block **bucket = bucket_of(block->cache, block->number);

	block->chain = *bucket;
	*bucket = block;
}

/* A table that cannot grow is only slower. */
static void table_grow(struct tpi_cache *cache)
{
	struct block **old = cache->buckets;
	size_t nr_old = nr_buckets(cache);
	struct block **buckets = calloc(2 * nr_old, sizeof(*buckets));

	if (!buckets)
		return;
	cache->buckets = buckets;
	cache->buckets_log2++;
	for (size_t i = 0; i < nr_old; i++) {
		while (old[i]) {
			struct block *block = old[i];

			old[i] = block->chain;
			chain_up(block);
		}
	}
	free(old);
}

static void table_add(struct block *block)
{
	struct tpi_cache *cache = block->cache;

	if (cache->nr_blocks > nr_buckets(cache))
		table_grow(cache);
	chain_up(block);
}

static void table_remove(struct block *block)
{
	struct block **link = bucket_of(block->cache, block->number);

	while (*link != block)
		link = &(*link)->chain;
	*link = block->chain;
}

/*---------------------------- blocks ---------------------------------------*/

static struct block *block_of(struct tpi_list *entry)
{
	return tpi_container_of(entry, struct block, entry);
}

static struct block *block_make(struct tpi_cache *cache)
{
	struct block *block = calloc(1, sizeof(*block));

	if (!block)
		return NULL;
	block->data = tpi_block_buffers_get(&cache->buffers);
	if (!block->data) {
		free(block);
		return NULL;
	}
	block->cache = cache;
	tpi_list_init(&block->entry);

	return block;
}

static void block_free(struct block *block)
{
	if (block->data)
		tpi_block_buffers_put(&block->cache->buffers, block->data);
	free(block);
}

static void spare_add(struct block *block)
{
	tpi_list_add(&block->cache->spare, &block->entry);
	block->cache->nr_spare++;
}

static struct block *spare_take(struct tpi_cache *cache)
{
	cache->nr_spare--;

	return block_of(tpi_list_pop(&cache->spare));
}

/* Without memory, one of the spare ones; but @keep of them stay. */
static struct block *block_new(struct tpi_cache *cache, tp_mblock number,
			       const struct tpi_validator *validator,
			       size_t keep)
{
	struct block *block = block_make(cache);

	if (!block && cache->nr_spare > keep)
		block = spare_take(cache);
	if (!block)
		return NULL;
	block->number = number;
	block->validator = validator;
	cache->nr_blocks++;

	return block;
}

/* It is out of the table. */
static void block_destroy(struct block *block)
{
	struct tpi_cache *cache = block->cache;

	tpi_list_del(&block->entry);
	cache->nr_blocks--;
	if (!block->data || cache->nr_spare >= cache->reserve) {
		block_free(block);
		return;
	}
	*block = (struct block){ .cache = cache, .data = block->data };
	spare_add(block);
}

/* Onto a list, as its most recent. */
static void move(struct block *block, struct tpi_list *list)
{
	tpi_list_del(&block->entry);
	tpi_list_add_tail(list, &block->entry);
}

static void become_clean(struct block *block)
{
	struct tpi_cache *cache = block->cache;

	block->state = CLEAN;
	move(block, block->nr_pins ? &cache->pinned : &cache->lru);
}

/* Out of the table, but the data stays for those who hold it. */
static void depart(struct block *block)
{
	table_remove(block);
	if (block->state == READING)
		block->replaced = true;
	else
		move(block, &block->cache->departed);
}

static void destroy_all(struct tpi_list *list)
{
	struct tpi_list *entry;

	while ((entry = tpi_list_pop(list)))
		block_destroy(block_of(entry));
}

/*---------------------------- the cache itself -----------------------------*/

static void init_lists(struct tpi_cache *cache)
{
	tpi_list_init(&cache->arrivals);
	tpi_list_init(&cache->failed);
	tpi_list_init(&cache->lru);
	tpi_list_init(&cache->pinned);
	tpi_list_init(&cache->dirty);
	tpi_list_init(&cache->frozen);
	tpi_list_init(&cache->departed);
	tpi_list_init(&cache->spare);
	tpi_list_init(&cache->idle_runs);
	for (int i = 0; i < MAX_WRITES; i++)
		tpi_list_add_tail(&cache->idle_runs, &cache->runs[i].entry);
}

int tpi_cache_new(struct tpi_channel *channel, tp_mblock nr_blocks,
		  uint64_t limit_bytes, struct tpi_cache **result)
{
	struct tpi_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->channel = channel;
	cache->nr_device_blocks = nr_blocks;
	cache->limit_blocks =
		tpi_max(limit_bytes / TPI_MBLOCK_BYTES, MIN_LIMIT_BLOCKS);
	cache->buckets_log2 = MIN_BUCKETS_LOG2;
	cache->buckets = calloc(nr_buckets(cache), sizeof(*cache->buckets));
	if (!cache->buckets) {
		free(cache);
		return -ENOMEM;
	}
	tpi_block_buffers_init(&cache->buffers);
	init_lists(cache);
	*result = cache;

	return 0;
}

void tpi_cache_destroy(struct tpi_cache *cache)
{
	if (!cache)
		return;
	tpi_assert(!tpi_cache_busy(cache));
	tpi_cache_clear(cache);
	while (cache->nr_spare)
		block_free(spare_take(cache));
	tpi_block_buffers_exit(&cache->buffers);
	free(cache->buckets);
	free(cache);
}

void tpi_cache_grow(struct tpi_cache *cache, tp_mblock nr_blocks)
{
	tpi_assert(nr_blocks >= cache->nr_device_blocks);
	cache->nr_device_blocks = nr_blocks;
}

void tpi_cache_set_reserve(struct tpi_cache *cache, size_t nr)
{
	cache->reserve = nr;
}

int tpi_cache_make_room(struct tpi_cache *cache, size_t nr)
{
	size_t wanted = tpi_max(nr, cache->reserve);

	while (cache->nr_spare < wanted) {
		struct block *block = block_make(cache);

		if (!block)
			break;
		spare_add(block);
	}

	return cache->nr_spare < nr ? -ENOMEM : 0;
}

void tpi_cache_clear(struct tpi_cache *cache)
{
	struct tpi_list *entry, *following;

	tpi_assert(!cache->done);
	tpi_list_each(entry, following, &cache->arrivals) block_of(entry)
		->replaced = true;
	destroy_all(&cache->failed);
	destroy_all(&cache->lru);
	destroy_all(&cache->pinned);
	destroy_all(&cache->dirty);
	destroy_all(&cache->frozen);
	destroy_all(&cache->departed);
	cache->nr_dirty = cache->nr_frozen = 0;
	cache->era++;
	memset(cache->buckets, 0, nr_buckets(cache) * sizeof(*cache->buckets));
}

bool tpi_cache_busy(const struct tpi_cache *cache)
{
	return cache->done || cache->nr_arrivals;
}

/* Or spare it this time, if it was used since it was last looked at: so a hit
 * need not touch its neighbours on the list. */
static void evict(struct tpi_cache *cache, struct tpi_list *list)
{
	struct block *block = block_of(list->next);

	if (block->nr_uses == MANY_USES) {
		block->nr_uses = MANY_USES - 1;
		move(block, list);
		return;
	}
	table_remove(block);
	block_destroy(block);
	cache->stats.nr_evictions++;
}

/* What a change waits for must be able to come together, however much is
 * dirty. */
static size_t limit_now(const struct tpi_cache *cache)
{
	return tpi_max(cache->limit_blocks,
		       cache->nr_dirty + cache->nr_frozen + MIN_CLEAN_BLOCKS);
}

/* The least recent ones; then failures, which somebody may be about to ask for,
 * and must find. */
static void shrink(struct tpi_cache *cache)
{
	struct tpi_list *const lists[] = { &cache->lru, &cache->failed };

	for (unsigned i = 0; i < 2; i++)
		while (cache->nr_blocks > limit_now(cache) &&
		       !tpi_list_empty(lists[i]))
			evict(cache, lists[i]);
}

void tpi_cache_trim(struct tpi_cache *cache)
{
	if (!tpi_list_empty(&cache->departed))
		destroy_all(&cache->departed);
	if (cache->nr_blocks > limit_now(cache))
		shrink(cache);
}

size_t tpi_cache_nr_dirty(const struct tpi_cache *cache)
{
	return cache->nr_dirty;
}

size_t tpi_cache_nr_blocks(const struct tpi_cache *cache)
{
	return cache->nr_blocks;
}

uint64_t tpi_cache_era(const struct tpi_cache *cache)
{
	return cache->era;
}

size_t tpi_cache_limit(const struct tpi_cache *cache)
{
	return cache->limit_blocks;
}

void tpi_cache_get_stats(const struct tpi_cache *cache,
			 struct tpi_cache_stats *stats)
{
	*stats = cache->stats;
}

/*---------------------------- reading --------------------------------------*/

void tpi_cache_set_arrival(struct tpi_cache *cache,
			   void (*arrived)(void *context, tp_mblock block),
			   void *context)
{
	cache->arrived = arrived;
	cache->arrived_context = context;
}

/* A failed block keeps no data. */
static void become_failed(struct block *block, int error)
{
	tpi_block_buffers_put(&block->cache->buffers, block->data);
	block->data = NULL;
	block->state = FAILED;
	block->error = error;
	move(block, &block->cache->failed);
}

static void take_in(struct block *block, int status)
{
	if (!status)
		status = tpi_validate(block->validator, block->number,
				      block->data);
	if (status)
		become_failed(block, status);
	else
		become_clean(block);
}

static void read_done(struct tp_device_request *request, int status)
{
	struct block *block = request->context;
	struct tpi_cache *cache = block->cache;
	tp_mblock number = block->number;

	cache->nr_arrivals--;
	if (block->replaced)
		block_destroy(block);
	else
		take_in(block, status);
	if (cache->arrived)
		cache->arrived(cache->arrived_context, number);
}

static void submit_read(struct block *block)
{
	struct tpi_cache *cache = block->cache;

	block->state = READING;
	move(block, &cache->arrivals);
	block->iov = (struct iovec){ block->data, TPI_MBLOCK_BYTES };
	block->request = (struct tp_device_request){
		.op = TP_READ,
		.offset = block->number * TPI_MBLOCK_BYTES,
		.length = TPI_MBLOCK_BYTES,
		.iov = &block->iov,
		.iovcnt = 1,
		.done = read_done,
		.context = block,
	};
	cache->nr_arrivals++;
	cache->stats.nr_reads++;
	tpi_channel_submit(cache->channel, &block->request);
	tpi_channel_kick(cache->channel);
}

static int miss(struct tpi_cache *cache, tp_mblock number,
		const struct tpi_validator *validator)
{
	struct block *block;

	if (number >= cache->nr_device_blocks)
		return tpi_damage(validator->name,
				  "block %" PRIu64 " of a device of %" PRIu64,
				  number, cache->nr_device_blocks);
	block = block_new(cache, number, validator, cache->reserve);
	if (!block)
		return -ENOMEM;
	table_add(block);
	submit_read(block);
	cache->stats.nr_misses++;
	cache->missed = number;

	return -EAGAIN;
}

/*
 * Whoever is told gives up what it was about, and does not ask for the other
 * blocks that it had sent for.  If these failed too, nobody may be told so when
 * the device has long recovered: all failures are forgotten.  Who still waits
 * for one of them reads again.
 */
static int tell_failure(struct block *block)
{
	struct tpi_cache *cache = block->cache;
	int error = block->error;

	while (!tpi_list_empty(&cache->failed)) {
		block = block_of(cache->failed.next);
		table_remove(block);
		block_destroy(block);
	}

	return error;
}

static int hit(struct block *block, const struct tpi_validator *validator,
	       const void **data)
{
	struct tpi_cache *cache = block->cache;

	if (block->validator != validator)
		return tpi_damage(validator->name,
				  "block %" PRIu64 " is in use as a %s",
				  block->number, block->validator->name);
	if (block->nr_uses < MANY_USES)
		block->nr_uses++;
	cache->stats.nr_hits++;
	*data = block->data;

	return 0;
}

int tpi_cache_read(struct tpi_cache *cache, tp_mblock number,
		   const struct tpi_validator *validator, const void **data)
{
	struct block *block = find(cache, number);
	int r;

	if (block && block->state == FAILED) {
		/* What failed as a block of another type says nothing here. */
		bool same_type = block->validator == validator;

		r = tell_failure(block);
		if (same_type)
			return r;
		block = NULL;
	}
	if (!block)
		return miss(cache, number, validator);
	if (block->state == READING) {
		cache->missed = number;
		return -EAGAIN;
	}

	return hit(block, validator, data);
}

bool tpi_cache_is_here(const struct tpi_cache *cache, tp_mblock number)
{
	const struct block *block = find(cache, number);

	return block && block->state >= CLEAN;
}

tp_mblock tpi_cache_missed(const struct tpi_cache *cache)
{
	return cache->missed;
}

/*---------------------------- changing -------------------------------------*/

/* Nothing of what was at the free place @number is left in the table. */
static int make_way(struct tpi_cache *cache, tp_mblock number,
		    const struct tpi_validator *validator)
{
	struct block *block = find(cache, number);

	if (block && (block->state >= DIRTY || block->nr_pins))
		return tpi_damage(validator->name,
				  "block %" PRIu64 " was free and is in use",
				  number);
	if (block)
		depart(block);

	return 0;
}

static void become_dirty(struct block *block)
{
	struct tpi_cache *cache = block->cache;

	table_add(block);
	block->state = DIRTY;
	move(block, &cache->dirty);
	cache->nr_dirty++;
}

int tpi_cache_new_block(struct tpi_cache *cache, tp_mblock number,
			const struct tpi_validator *validator,
			const void *content, void **data)
{
	struct block *block;
	int r;

	r = make_way(cache, number, validator);
	if (r)
		return r;
	block = block_new(cache, number, validator, 0);
	if (!block)
		return -ENOMEM;
	if (content)
		memcpy(block->data, content, TPI_MBLOCK_BYTES);
	else
		memset(block->data, 0, TPI_MBLOCK_BYTES);
	become_dirty(block);
	*data = block->data;

	return 0;
}

int tpi_cache_replace(struct tpi_cache *cache, tp_mblock from, tp_mblock to,
		      void **data)
{
	struct block *block = find(cache, from);
	int r;

	tpi_assert(block && block->state >= CLEAN);
	if (block->state > CLEAN || block->nr_pins)
		return tpi_cache_new_block(cache, to, block->validator,
					   block->data, data);
	r = make_way(cache, to, block->validator);
	if (r)
		return r;
	table_remove(block);
	block->number = to;
	become_dirty(block);
	*data = block->data;

	return 0;
}

void *tpi_cache_dirty_data(const struct tpi_cache *cache, tp_mblock number)
{
	const struct block *block = find(cache, number);

	return block && block->state == DIRTY ? block->data : NULL;
}

void tpi_cache_forget(struct tpi_cache *cache, tp_mblock number)
{
	struct block *block = find(cache, number);

	if (!block || block->nr_pins || block->state < CLEAN)
		return;
	if (block->state == FROZEN) {
		block->unwanted = true;
		return;
	}
	if (block->state == DIRTY) {
		cache->nr_dirty--;
		cache->era++;
	}
	depart(block);
}

void tpi_cache_pin(struct tpi_cache *cache, tp_mblock number)
{
	struct block *block = find(cache, number);

	tpi_assert(block && block->state >= CLEAN);
	block->nr_pins++;
	if (block->state == CLEAN)
		become_clean(block);
}

void tpi_cache_unpin(struct tpi_cache *cache, tp_mblock number)
{
	struct block *block = find(cache, number);

	tpi_assert(block && block->nr_pins);
	block->nr_pins--;
	if (block->state == CLEAN)
		become_clean(block);
}

/*---------------------------- writing back ---------------------------------*/

void tpi_cache_freeze(struct tpi_cache *cache)
{
	struct tpi_list *entry, *following;

	tpi_assert(tpi_list_empty(&cache->frozen));
	tpi_list_splice(&cache->frozen, &cache->dirty);
	tpi_list_each(entry, following, &cache->frozen) block_of(entry)->state =
		FROZEN;
	cache->nr_frozen = cache->nr_dirty;
	cache->nr_dirty = 0;
	cache->era++;
}

/* Every other entry of @list to the empty list @half. */
static void deal(struct tpi_list *list, struct tpi_list *half)
{
	struct tpi_list *entry, *following;
	bool odd = false;

	tpi_list_each(entry, following, list)
	{
		if (odd)
			move(block_of(entry), half);
		odd = !odd;
	}
}

static void merge(struct tpi_list *list, struct tpi_list *a, struct tpi_list *b)
{
	while (!tpi_list_empty(a) && !tpi_list_empty(b)) {
		struct tpi_list *least =
			block_of(a->next)->number < block_of(b->next)->number
				? a->next
				: b->next;

		move(block_of(least), list);
	}
	tpi_list_splice(list, a);
	tpi_list_splice(list, b);
}

/* By number; in place, so that it cannot fail for want of memory. */
static void sort(struct tpi_list *list)
{
	struct tpi_list a, b;

	if (list->next == list->prev)
		return; /* one entry, or none */
	tpi_list_init(&a);
	tpi_list_init(&b);
	tpi_list_splice(&a, list);
	deal(&a, &b);
	sort(&a);
	sort(&b);
	merge(list, &a, &b);
}

/* As blocks mostly are: made dirty in the order in which they were allocated. */
static bool is_sorted(const struct tpi_list *list)
{
	struct tpi_list *entry = list->next;

	if (tpi_list_empty(list))
		return true;
	while (entry->next != list &&
	       block_of(entry)->number < block_of(entry->next)->number)
		entry = entry->next;

	return entry->next == list;
}

static void end_frozen(struct block *block)
{
	if (block->unwanted && !block->nr_pins)
		depart(block);
	else
		become_clean(block);
}

static void end_write_back(struct tpi_cache *cache)
{
	void (*done)(void *context, int error) = cache->done;
	struct tpi_list *entry;

	if (!cache->write_error) {
		while ((entry = tpi_list_pop(&cache->frozen)))
			end_frozen(block_of(entry));
		cache->nr_frozen = 0;
	}
	cache->done = NULL;
	done(cache->done_context, cache->write_error);
}

static void run_done(struct tp_device_request *request, int status);

/* As many frozen blocks as are adjacent, sealed, in one request. */
static void submit_run(struct tpi_cache *cache, struct run *run)
{
	tp_mblock begin = block_of(cache->next_frozen)->number;
	int nr = 0;

	while (nr < MAX_RUN_BLOCKS && cache->next_frozen != &cache->frozen) {
		struct block *block = block_of(cache->next_frozen);

		if (block->number != begin + nr)
			break;
		tpi_seal(block->validator, block->number, block->data);
		run->iov[nr++] =
			(struct iovec){ block->data, TPI_MBLOCK_BYTES };
		cache->next_frozen = cache->next_frozen->next;
	}
	run->cache = cache;
	run->request = (struct tp_device_request){
		.op = TP_WRITE,
		.offset = begin * TPI_MBLOCK_BYTES,
		.length = (uint64_t)nr * TPI_MBLOCK_BYTES,
		.iov = run->iov,
		.iovcnt = nr,
		.done = run_done,
		.context = run,
	};
	cache->nr_runs++;
	cache->stats.nr_writes++;
	tpi_channel_submit(cache->channel, &run->request);
}

/* After an error nothing more is begun; what is under way is waited for. */
static void submit_runs(struct tpi_cache *cache)
{
	while (!cache->write_error && cache->next_frozen != &cache->frozen &&
	       !tpi_list_empty(&cache->idle_runs)) {
		struct tpi_list *entry = tpi_list_pop(&cache->idle_runs);

		submit_run(cache, tpi_container_of(entry, struct run, entry));
	}
	if (cache->nr_runs)
		tpi_channel_kick(cache->channel);
	else
		end_write_back(cache);
}

static void run_done(struct tp_device_request *request, int status)
{
	struct run *run = request->context;
	struct tpi_cache *cache = run->cache;

	if (status && !cache->write_error)
		cache->write_error = status;
	tpi_list_add(&cache->idle_runs, &run->entry);
	cache->nr_runs--;
	submit_runs(cache);
}

void tpi_cache_write_frozen(struct tpi_cache *cache,
			    void (*done)(void *context, int error),
			    void *context)
{
	tpi_assert(!cache->done);
	if (!is_sorted(&cache->frozen))
		sort(&cache->frozen);
	cache->next_frozen = cache->frozen.next;
	cache->write_error = 0;
	cache->done = done;
	cache->done_context = context;
	submit_runs(cache);
}
