/*
 * change.c - changes that carry pages of the catalogue with them (change.h).
 *
 *	quiet	a snapshot's origins are made quiet, so that all that its entry
 *		says of it is known
 *	write	each page goes to a data block that nobody uses
 *	change	in one transaction: the thin, and the pages' mappings
 *	commit	which flushes the pages before the mappings are durable
 *
 * A crash before the last of these leaves the old pages and the old thins.
 *
 * The spare.  One block of the catalogue's thin is mapped and not used.  If no
 * block is free for a page, the page is written to the spare's block, which no
 * page of T(c) is on, and the block that the page leaves becomes the spare.
 */
#include "pool/change.h"

#include <stdlib.h>
#include <string.h>

#include "pool/control.h"
#include "pool/mode.h"
#include "pool/queue.h"

/* Where a page goes. */
struct target {
	tp_dblock dblock;
	bool allocated; /* it was handed out, and is given back on failure */
	bool is_spare;
	bool mapped;
	bool has_old; /* then the page was at @old */
	tp_dblock old;
};

struct change_call {
	struct tpi_call call;
	const struct tpi_change *change;
	struct tpi_snapshot snapshot;
	struct tp_snapshot_pair pair;
	bool begun, has_snapshot, completed, writing, thin_done;
	size_t nr_placed, nr_written, nr_mapped;
	struct target *targets;
	bool spare_used, spare_done;
	struct target spare; /* a new one */
	int error;
	uint64_t generation;
	struct tp_device_request request;
	struct iovec iov;
};

/*---------------------------- the catalogue's thin -------------------------*/

static int get_catalogue(struct tp_pool *pool, struct tpi_thin_state **state)
{
	return tpi_thin_get_state(pool, TPI_CATALOGUE_ID, state);
}

static int look_up(struct tp_pool *pool, tp_vblock vblock, tp_dblock *dblock)
{
	struct tpi_thin_state *state;
	tpi_mapping mapping;
	tp_vblock found;
	int r;

	r = get_catalogue(pool, &state);
	if (!r)
		r = tpi_metadata_next_mapped(&pool->metadata, &state->tree,
					     vblock, &found, &mapping);
	if (!r && found != vblock)
		r = -ENODATA;
	if (!r)
		*dblock = tpi_mapping_dblock(mapping);

	return r;
}

/*---------------------------- placing the pages ----------------------------*/

static int place_on_spare(struct change_call *change, struct target *target)
{
	int r;

	if (change->spare_used)
		return -ENOSPC;
	r = look_up(change->call.pool, TPI_SPARE_VBLOCK, &target->dblock);
	if (r)
		return r == -ENODATA ? -ENOSPC : r;
	target->is_spare = true;
	change->spare_used = true;

	return 0;
}

static int allocate(struct tp_pool *pool, struct target *target)
{
	tp_dblock nr;
	int r = tpi_data_sm_alloc(pool->metadata.data_sm, 0, 1, &target->dblock,
				  &nr);

	target->allocated = !r;

	return r;
}

static int place(struct change_call *change, const struct tpi_page *page,
		 struct target *target)
{
	struct tp_pool *pool = change->call.pool;
	int r;

	r = look_up(pool, page->vblock, &target->old);
	if (r && r != -ENODATA)
		return r;
	target->has_old = !r;
	if (!page->data)
		return 0;
	r = allocate(pool, target);
	if (r == -ENOSPC)
		r = place_on_spare(change, target);
	if (r == -ENOSPC)
		return tpi_error(r, "no data block is free, not even a spare "
				    "one, for a page of the catalogue");

	return r;
}

/* A spare is made when there is none, if a block is free for it. */
static int place_spare(struct change_call *change)
{
	struct tp_pool *pool = change->call.pool;
	tp_dblock dblock;
	int r;

	if (change->spare_done)
		return 0;
	r = look_up(pool, TPI_SPARE_VBLOCK, &dblock);
	if (r == -ENODATA)
		r = allocate(pool, &change->spare);
	if (r && r != -ENOSPC)
		return r;
	change->spare_done = true;

	return 0;
}

static int place_all(struct change_call *change)
{
	const struct tpi_change *wanted = change->change;
	int r = 0;

	while (change->nr_placed < wanted->nr_pages && !r) {
		r = place(change, &wanted->pages[change->nr_placed],
			  &change->targets[change->nr_placed]);
		change->nr_placed += !r;
	}

	return r ? r : place_spare(change);
}

static void give_back(struct change_call *change, struct target *target)
{
	struct tp_pool *pool = change->call.pool;

	if (target->allocated && change->generation == pool->generation)
		tpi_data_sm_give_back(pool->metadata.data_sm, target->dblock,
				      1);
	target->allocated = false;
}

/*---------------------------- writing them ---------------------------------*/

static void page_written(struct tp_device_request *request, int status)
{
	struct change_call *change =
		tpi_container_of(request, struct change_call, request);

	change->writing = false;
	change->error = status;
	change->nr_written++;
	tpi_call_continue(&change->call);
}

static void write_page(struct change_call *change, const struct tpi_page *page,
		       const struct target *target)
{
	struct tp_pool *pool = change->call.pool;

	change->writing = true;
	change->iov.iov_base = page->data;
	change->iov.iov_len = page->length;
	change->request = (struct tp_device_request){
		.op = TP_WRITE,
		.offset = target->dblock * pool->block_bytes,
		.length = page->length,
		.iov = &change->iov,
		.iovcnt = 1,
		.done = page_written,
	};
	tpi_channel_submit(pool->port.channel, &change->request);
}

static int write_all(struct change_call *change)
{
	const struct tpi_change *wanted = change->change;

	if (change->writing)
		return -EINPROGRESS;
	while (change->nr_written < wanted->nr_pages && !change->error) {
		size_t i = change->nr_written;

		if (wanted->pages[i].data) {
			write_page(change, &wanted->pages[i],
				   &change->targets[i]);
			return -EINPROGRESS;
		}
		change->nr_written++;
	}

	return change->error;
}

/*---------------------------- the transaction ------------------------------*/

static int change_thin(struct change_call *change)
{
	const struct tpi_change *wanted = change->change;
	struct tp_pool *pool = change->call.pool;

	switch (wanted->kind) {
	case TPI_CHANGE_CREATE:
		return tpi_metadata_create_thin(&pool->metadata, wanted->id);
	case TPI_CHANGE_SNAPSHOT:
		return tpi_snapshot_step(&change->call, &change->snapshot);
	case TPI_CHANGE_DELETE:
		return tpi_delete_step(pool, wanted->id);
	default:
		return 0;
	}
}

static int map_block(struct tp_pool *pool, tp_vblock vblock, tp_dblock dblock)
{
	struct tpi_thin_state *state;
	int r;

	r = get_catalogue(pool, &state);
	if (!r)
		r = tpi_metadata_map(&pool->metadata, &state->tree, vblock,
				     dblock, 1);
	if (r)
		return r;
	tpi_thin_publish(state);
	tpi_mapping_cache_set(pool->mapping_cache, state->serial, vblock,
			      tpi_mapping_make(dblock, pool->metadata.time));

	return 0;
}

static int unmap_block(struct tp_pool *pool, tp_vblock vblock)
{
	struct tpi_thin_state *state;
	int r;

	r = get_catalogue(pool, &state);
	if (!r)
		r = tpi_metadata_unmap(&pool->metadata, &state->tree, vblock,
				       vblock + 1);
	if (r)
		return r;
	tpi_thin_publish(state);
	tpi_mapping_cache_set(pool->mapping_cache, state->serial, vblock,
			      TPI_UNMAPPED);

	return 0;
}

/* The spare's block is taken by a page: the page's old one takes its place.
 * Both blocks have an owner throughout. */
static int replace_spare(struct tp_pool *pool, const struct target *target)
{
	return target->has_old ? map_block(pool, TPI_SPARE_VBLOCK, target->old)
			       : unmap_block(pool, TPI_SPARE_VBLOCK);
}

static int map_page(struct change_call *change, size_t i)
{
	const struct tpi_page *page = &change->change->pages[i];
	struct target *target = &change->targets[i];
	struct tp_pool *pool = change->call.pool;
	int r;

	if (!page->data)
		return target->has_old ? unmap_block(pool, page->vblock) : 0;
	if (!target->mapped) {
		r = map_block(pool, page->vblock, target->dblock);
		if (r)
			return r;
		target->mapped = true;
		target->allocated = false;
	}

	return target->is_spare ? replace_spare(pool, target) : 0;
}

static int map_all(struct change_call *change)
{
	struct tp_pool *pool = change->call.pool;
	int r = 0;

	while (change->nr_mapped < change->change->nr_pages && !r) {
		r = map_page(change, change->nr_mapped);
		change->nr_mapped += !r;
	}
	if (!r && change->spare.allocated) {
		r = map_block(pool, TPI_SPARE_VBLOCK, change->spare.dblock);
		change->spare.allocated = r != 0;
	}

	return r;
}

static int make_catalogue(struct change_call *change)
{
	struct tpi_thin_state *state;
	struct tp_pool *pool = change->call.pool;
	int r;

	if (!change->change->nr_pages)
		return 0;
	r = get_catalogue(pool, &state);
	if (r != -ENODATA)
		return r;

	return tpi_metadata_create_thin(&pool->metadata, TPI_CATALOGUE_ID);
}

/* The thin's own change, making the catalogue, and for each page and for the
 * spare two mappings; pages beyond a few take their chance. */
#define TOGETHER_MAX 16u

static int find_memory(struct change_call *change)
{
	struct tp_pool *pool = change->call.pool;
	size_t nr = 2 + 2 * (change->change->nr_pages + 1);
	int r = tpi_thin_state_make_room(pool);

	if (!r)
		r = tpi_metadata_make_room(&pool->metadata,
					   (unsigned)tpi_min(nr, TOGETHER_MAX),
					   0);

	return r;
}

/* What comes after the first goes by much the same paths; together they are as
 * big as two. */
static int find_space(const struct change_call *change)
{
	if (!change->change->nr_pages ||
	    tpi_metadata_has_room(&change->call.pool->metadata, 2))
		return 0;

	return tpi_error(-ENOSPC, "the metadata device is full");
}

/* All of it, nothing committed in between.  The thin comes first, for it may be
 * refused; after that anything but success has to be rolled back. */
static int transact(struct change_call *change)
{
	struct tp_pool *pool = change->call.pool;
	int r;

	if (!change->thin_done) {
		r = find_space(change);
		if (!r)
			r = find_memory(change);
		if (!r)
			r = change_thin(change);
		if (r)
			return r;
		change->thin_done = true;
	}
	r = make_catalogue(change);
	if (!r)
		r = map_all(change);
	pool->commit.held = r == -EAGAIN;
	if (r && r != -EAGAIN && !pool->metadata.failed)
		pool->metadata.failed = r;

	return r;
}

/*---------------------------- the call -------------------------------------*/

static int complete(struct change_call *change)
{
	const struct tpi_change *wanted = change->change;
	struct tpi_metadata *md = &change->call.pool->metadata;
	struct tpi_change_facts facts = {
		.transaction_id = md->transaction_id,
		.creation_time = md->time,
	};

	if (change->completed || !wanted->complete)
		return 0;
	if (change->has_snapshot)
		facts.creation_time +=
			tpi_snapshot_spends_time(&change->snapshot);
	change->completed = true;

	return wanted->complete(wanted->context, &facts);
}

static int go(struct change_call *change)
{
	struct tp_pool *pool = change->call.pool;
	int r = 0;

	if (!change->begun)
		change->generation = pool->generation;
	change->begun = true;
	if (change->has_snapshot && !change->thin_done)
		r = tpi_snapshot_quiet(&change->snapshot);
	if (!r)
		r = complete(change);
	if (!r)
		r = place_all(change);
	if (!r)
		r = write_all(change);

	return r ? r : transact(change);
}

static void undo(struct tpi_call *call)
{
	struct change_call *change =
		tpi_container_of(call, struct change_call, call);

	if (change->has_snapshot)
		tpi_snapshot_ungate(&change->snapshot);
	for (size_t i = 0; i < change->change->nr_pages; i++)
		give_back(change, &change->targets[i]);
	give_back(change, &change->spare);
}

static int change_step(struct tpi_call *call)
{
	return go(tpi_container_of(call, struct change_call, call));
}

static int prepare_call(struct change_call *change)
{
	const struct tpi_change *wanted = change->change;

	change->targets =
		calloc(wanted->nr_pages + 1, sizeof(*change->targets));
	if (!change->targets)
		return tpi_error(-ENOMEM, "no memory for a change");
	if (wanted->kind != TPI_CHANGE_SNAPSHOT)
		return 0;
	change->pair.id = wanted->id;
	change->pair.origin = wanted->origin;
	change->has_snapshot = true;

	return tpi_snapshot_init(&change->snapshot, &change->call,
				 &change->pair, 1);
}

int tpi_pool_change(struct tp_pool *pool, const struct tpi_change *wanted)
{
	struct change_call change = { .change = wanted };
	int r;

	change.call.undo = undo;
	r = prepare_call(&change);
	if (!r)
		r = tpi_call_change(pool, &change.call, change_step);
	tpi_snapshot_exit(&change.snapshot);
	free(change.targets);

	return r;
}

/*---------------------------- reading --------------------------------------*/

struct look_up_call {
	struct tpi_call call;
	tp_vblock vblock;
};

static int look_up_step(struct tpi_call *call)
{
	struct look_up_call *look =
		tpi_container_of(call, struct look_up_call, call);
	tp_dblock dblock;

	return look_up(call->pool, look->vblock, &dblock);
}

int tpi_pool_read_page(struct tp_pool *pool, tp_vblock vblock, void *data,
		       size_t length)
{
	uint64_t size = (TPI_SPARE_VBLOCK + 1) * pool->block_bytes;
	struct look_up_call look = { .vblock = vblock };
	struct tp_thin *thin;
	int r;

	r = tpi_call_ask(pool, &look.call, look_up_step);
	if (r)
		return r;
	r = tpi_thin_open_any(pool, TPI_CATALOGUE_ID, size, NULL, &thin);
	if (r)
		return r;
	r = tp_thin_read(thin, data, length, vblock * pool->block_bytes);
	tp_thin_close(thin);

	return r;
}

struct last_page_call {
	struct tpi_call call;
	tp_vblock vblock;
};

/* The spare is the highest block, if there is one; pages are below. */
static int last_page_step(struct tpi_call *call)
{
	struct last_page_call *last =
		tpi_container_of(call, struct last_page_call, call);
	struct tpi_thin_state *state;
	struct tp_pool *pool = call->pool;
	int r;

	r = get_catalogue(pool, &state);
	if (r)
		return r;

	return tpi_metadata_previous_mapped(&pool->metadata, &state->tree,
					    TPI_SPARE_VBLOCK - 1,
					    &last->vblock);
}

int tpi_pool_last_page(struct tp_pool *pool, tp_vblock *vblock)
{
	struct last_page_call last = { .vblock = 0 };
	int r = tpi_call_ask(pool, &last.call, last_page_step);

	if (!r)
		*vblock = last.vblock;

	return r;
}

void tpi_pool_set_size_source(struct tp_pool *pool, tpi_size_fn size_of,
			      void *context)
{
	pthread_mutex_lock(&pool->size_lock);
	pool->size_of = size_of;
	pool->size_context = context;
	pthread_mutex_unlock(&pool->size_lock);
}
