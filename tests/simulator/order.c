/*
 * order.c - is every device request allowed at the moment it is made?
 */
#include <stdlib.h>
#include <string.h>

#include "simulator/order.h"
#include "simulator/tag.h"

/* Checksum and flags come first: a superblock that says nothing but that the
 * pool needs a check is the one before in all that follows. */
#define SUPERBLOCK_FLAGS_END 8

void order_init(struct order *order, struct tp_simulator *simulator,
		const struct oracle *oracle, bool has_cache, bool enabled)
{
	*order = (struct order){
		.simulator = simulator,
		.oracle = oracle,
		.has_cache = has_cache,
		.enabled = enabled,
	};
}

static void free_view(struct view *view)
{
	if (!view)
		return;
	metadata_free(&view->metadata);
	free(view);
}

static void drop_views(struct order *order)
{
	for (unsigned i = 0; i < order->nr_views; i++)
		free_view(order->views[i]);
	order->nr_views = 0;
}

void order_exit(struct order *order)
{
	drop_views(order);
}

/*---------------------------- transactions ---------------------------------*/

struct stable_reader {
	struct tp_simulator *simulator;
	const unsigned char *superblock;
};

/* The superblock that is about to be written, and else what is stable. */
static void read_stable(void *context, uint64_t block, void *bytes)
{
	struct stable_reader *reader = context;

	if (!block)
		memcpy(bytes, reader->superblock, METADATA_BLOCK);
	else if (tp_simulator_peek(reader->simulator, METADATA_DEVICE,
				   TP_CONTENT_STABLE, bytes, METADATA_BLOCK,
				   block * METADATA_BLOCK))
		memset(bytes, 0, METADATA_BLOCK);
}

static uint64_t nr_metadata_blocks(struct tp_simulator *simulator)
{
	struct tp_device_limits limits = TP_DEVICE_LIMITS_INIT;

	tp_device_get_limits(tp_simulator_device(simulator, METADATA_DEVICE),
			     &limits);

	return limits.size_bytes / METADATA_BLOCK;
}

static struct view *load_view(struct order *order,
			      const unsigned char *superblock,
			      struct verdict *verdict)
{
	struct view *view = calloc(1, sizeof(*view));
	struct stable_reader reader = { order->simulator, superblock };

	memcpy(view->superblock, superblock, METADATA_BLOCK);
	if (metadata_load(&view->metadata, read_stable, &reader,
			  nr_metadata_blocks(order->simulator), true,
			  verdict) &&
	    metadata_recount(&view->metadata, verdict))
		return view;
	free_view(view);

	return NULL;
}

static bool add_view(struct order *order, const unsigned char *superblock,
		     struct verdict *verdict)
{
	struct view *view = load_view(order, superblock, verdict);

	if (view)
		order->views[order->nr_views++] = view;

	return view;
}

/* A superblock of which a flush failed is still in the cache: the next that
 * succeeds makes it stable. */
bool order_restart(struct order *order, struct verdict *verdict)
{
	unsigned char stable[METADATA_BLOCK], newest[METADATA_BLOCK];

	if (!order->enabled)
		return true;
	drop_views(order);
	order->given_up = false;
	tp_simulator_peek(order->simulator, METADATA_DEVICE, TP_CONTENT_STABLE,
			  stable, METADATA_BLOCK, 0);
	tp_simulator_peek(order->simulator, METADATA_DEVICE, TP_CONTENT_NEWEST,
			  newest, METADATA_BLOCK, 0);

	return add_view(order, stable, verdict) &&
	       (!memcmp(stable, newest, METADATA_BLOCK) ||
		add_view(order, newest, verdict));
}

void order_forget(struct order *order)
{
	drop_views(order);
}

/*---------------------------- M1: what a crash may leave -------------------*/

void order_get_superblocks(const struct order *order,
			   struct superblocks *superblocks)
{
	superblocks->nr = order->nr_views;
	for (unsigned i = 0; i < order->nr_views; i++)
		memcpy(superblocks->live[i], order->views[i]->superblock,
		       SUPERBLOCK_LIVE_BYTES);
}

bool superblocks_have(const struct superblocks *superblocks,
		      const unsigned char *superblock)
{
	for (unsigned i = 0; i < superblocks->nr; i++)
		if (!memcmp(superblocks->live[i], superblock,
			    SUPERBLOCK_LIVE_BYTES))
			return true;

	return !superblocks->nr;
}

/*---------------------------- M6 and M8: superblocks -----------------------*/

static const struct owner *owner_of(const struct view *view, uint64_t dblock)
{
	const struct metadata *metadata = &view->metadata;

	return dblock < metadata->data_map.nr_blocks &&
			       metadata->owners[dblock].nr
		       ? &metadata->owners[dblock]
		       : NULL;
}

static bool is_content_of(const struct owner *owner, const void *bytes,
			  uint64_t sector)
{
	struct tag tag;

	switch (tag_read(bytes, &tag)) {
	case CONTENT_ZERO:
		return true;
	case CONTENT_TAG:
		return tag.sector == sector;
	default:
		return false;
	}
}

/* The content of a block that is mapped anew has to be stable before. */
static bool check_new_block(const struct order *order, uint64_t dblock,
			    const struct owner *owner, struct verdict *verdict)
{
	uint32_t nr = order->oracle->rules.block_sectors;
	size_t bytes = (size_t)nr * SECTOR_BYTES;
	char *content = malloc(bytes);
	bool right = true;

	tp_simulator_peek(order->simulator, DATA_DEVICE, TP_CONTENT_STABLE,
			  content, bytes, dblock * bytes);
	for (uint32_t s = 0; s < nr && right; s++)
		right = is_content_of(owner, content + s * SECTOR_BYTES,
				      owner->vblock * nr + s) ||
			violated(verdict,
				 "M6: a superblock maps block %llu of thin %u "
				 "to data block %llu, of which sector %u is "
				 "not stable",
				 (unsigned long long)owner->vblock, owner->thin,
				 (unsigned long long)dblock, s);
	free(content);

	return right;
}

static bool check_new_blocks(const struct order *order, const struct view *view,
			     struct verdict *verdict)
{
	if (!order->oracle->rules.zeroing)
		return true;
	for (uint64_t b = 0; b < view->metadata.data_map.nr_blocks; b++) {
		const struct owner *owner = owner_of(view, b);

		if (owner && owner->thin < CATALOGUE_ID &&
		    !owner_of(order->views[0], b) &&
		    !check_new_block(order, b, owner, verdict))
			return false;
	}

	return true;
}

static void gather(const struct tp_simulated_event *event, size_t skip,
		   void *bytes, size_t length)
{
	char *to = bytes;

	for (int i = 0; i < event->iovcnt && length; i++) {
		size_t nr = event->iov[i].iov_len;

		if (skip >= nr) {
			skip -= nr;
			continue;
		}
		nr = nr - skip < length ? nr - skip : length;
		memcpy(to, (char *)event->iov[i].iov_base + skip, nr);
		to += nr;
		length -= nr;
		skip = 0;
	}
}

static bool is_another(const unsigned char *a, const unsigned char *b)
{
	return memcmp(a + SUPERBLOCK_FLAGS_END, b + SUPERBLOCK_FLAGS_END,
		      SUPERBLOCK_LIVE_BYTES - SUPERBLOCK_FLAGS_END);
}

void order_give_up(struct order *order)
{
	order->given_up = true;
}

static bool note_superblock(struct order *order,
			    const unsigned char *superblock,
			    struct verdict *verdict)
{
	for (unsigned i = 0; i < order->nr_views; i++)
		if (!is_another(order->views[i]->superblock, superblock))
			return true;
	order->nr_transactions++;

	return !order->given_up ||
	       violated(verdict, "F-06: a transaction is written, and the "
				 "hook had failed");
}

/* What a metadata snapshot maps is what the pool mapped when it was reserved,
 * and stays so (B-MSG-8). */
static bool check_held(const struct order *order, const struct metadata *next,
		       struct verdict *verdict)
{
	bool is_new = true, right = !next->held_root;

	for (unsigned i = 0; i < order->nr_views; i++) {
		const struct metadata *m = &order->views[i]->metadata;

		if (m->held_root != next->held_root)
			continue;
		is_new = false;
		right |= m->held_digest == next->held_digest;
	}
	for (unsigned i = 0; is_new && i < order->nr_views; i++)
		right |= order->views[i]->metadata.live_digest ==
			 next->held_digest;

	return right || violated(verdict, "B-MSG-8: a metadata snapshot maps "
					  "other than what it was taken of");
}

static bool check_superblock(struct order *order,
			     const struct tp_simulated_event *event,
			     struct verdict *verdict)
{
	unsigned char superblock[METADATA_BLOCK];
	const unsigned char *before = order->views[0]->superblock;
	struct verdict reason = { 0 };
	struct view *view;

	gather(event, 0, superblock, sizeof(superblock));
	if (!note_superblock(order, superblock, verdict))
		return false;
	if (memcmp(superblock + SUPERBLOCK_LIVE_BYTES,
		   before + SUPERBLOCK_LIVE_BYTES,
		   METADATA_BLOCK - SUPERBLOCK_LIVE_BYTES))
		return violated(verdict, "M8: a superblock write changed "
					 "what follows its fields");
	view = load_view(order, superblock, &reason);
	if (!view)
		return violated(verdict,
				"M6: a superblock is written, and what is "
				"stable is not all that it leads to: %s",
				reason.sentence);
	if (!check_held(order, &view->metadata, verdict)) {
		free_view(view);
		return false;
	}
	if (order->nr_views == MAX_VIEWS)
		free_view(order->views[--order->nr_views]);
	order->views[order->nr_views++] = view;

	return check_new_blocks(order, view, verdict);
}

/* Once a superblock is stable, those before are gone. */
static void note_stable(struct order *order)
{
	unsigned char stable[METADATA_BLOCK];

	tp_simulator_peek(order->simulator, METADATA_DEVICE, TP_CONTENT_STABLE,
			  stable, sizeof(stable), 0);
	for (unsigned i = order->nr_views; i-- > 1;) {
		if (memcmp(stable, order->views[i]->superblock,
			   SUPERBLOCK_LIVE_BYTES))
			continue;
		for (unsigned j = 0; j < i; j++)
			free_view(order->views[j]);
		memmove(order->views, order->views + i,
			(order->nr_views - i) * sizeof(*order->views));
		order->nr_views -= i;
		return;
	}
}

/*---------------------------- M4: metadata ---------------------------------*/

static bool check_metadata_write(struct order *order,
				 const struct tp_simulated_event *event,
				 struct verdict *verdict)
{
	uint64_t first = event->offset / METADATA_BLOCK;
	uint64_t end = (event->offset + event->length) / METADATA_BLOCK;

	for (uint64_t b = first ? first : 1; b < end; b++)
		for (unsigned i = 0; i < order->nr_views; i++) {
			struct metadata *m = &order->views[i]->metadata;

			if (b < m->metadata_map.nr_blocks && m->counts[b])
				return violated(
					verdict,
					"M4: metadata block %llu is written, "
					"which a transaction uses that may be "
					"on disk",
					(unsigned long long)b);
		}

	return first || check_superblock(order, event, verdict);
}

/*---------------------------- M5: data -------------------------------------*/

static bool is_same_owner(const struct owner *a, const struct owner *b)
{
	return !a || !b || (a->thin == b->thin && a->vblock == b->vblock);
}

/* What is written in place has to come from the one owner. */
static bool is_from_owner(const struct order *order, const struct owner *owner,
			  const void *bytes)
{
	struct tag tag;

	if (tag_read(bytes, &tag) != CONTENT_TAG)
		return true;

	return tag.volume < order->oracle->nr_volumes &&
	       order->oracle->volumes[tag.volume].id == owner->thin &&
	       tag.sector / order->oracle->rules.block_sectors == owner->vblock;
}

static bool check_in_place(const struct order *order,
			   const struct tp_simulated_event *event,
			   const struct owner *owner, uint64_t begin,
			   uint64_t end)
{
	char sector[SECTOR_BYTES];

	if (event->op != TP_WRITE)
		return true;
	for (uint64_t at = begin; at < end; at += SECTOR_BYTES) {
		gather(event, at - event->offset, sector, SECTOR_BYTES);
		if (!is_from_owner(order, owner, sector))
			return false;
	}

	return true;
}

/* No thin maps it any more, and it is referred to all the same. */
static bool is_held(const struct view *view, uint64_t dblock)
{
	return dblock < view->metadata.data_map.nr_blocks &&
	       view->metadata.data_counts[dblock];
}

static bool check_data_block(const struct order *order,
			     const struct tp_simulated_event *event,
			     uint64_t dblock, uint64_t begin, uint64_t end,
			     struct verdict *verdict)
{
	const struct owner *only = NULL;

	for (unsigned i = 0; i < order->nr_views; i++) {
		const struct owner *owner = owner_of(order->views[i], dblock);

		if (!owner && is_held(order->views[i], dblock))
			return violated(verdict,
					"M5: data block %llu is changed, which "
					"the metadata snapshot uses on disk",
					(unsigned long long)dblock);
		if (!owner)
			continue;
		if (event->op == TP_DISCARD || owner->nr > 1 ||
		    !is_same_owner(owner, only))
			return violated(
				verdict,
				"M5: data block %llu is %s, which block %llu "
				"of thin %u%s uses on disk",
				(unsigned long long)dblock,
				event->op == TP_DISCARD ? "discarded"
							: "written",
				(unsigned long long)owner->vblock, owner->thin,
				owner->nr > 1 ? " and others" : "");
		only = owner;
	}

	return !only || check_in_place(order, event, only, begin, end) ||
	       violated(verdict,
			"M5: data block %llu is given to another, and block "
			"%llu of thin %u still uses it on disk",
			(unsigned long long)dblock,
			(unsigned long long)only->vblock, only->thin);
}

static bool check_data_change(const struct order *order,
			      const struct tp_simulated_event *event,
			      struct verdict *verdict)
{
	uint64_t bytes =
		(uint64_t)order->oracle->rules.block_sectors * SECTOR_BYTES;
	uint64_t end = event->offset + event->length;
	uint64_t next;

	for (uint64_t at = event->offset; at < end; at = next) {
		next = (at / bytes + 1) * bytes;
		if (next > end)
			next = end;
		if (!check_data_block(order, event, at / bytes, at, next,
				      verdict))
			return false;
	}

	return true;
}

/*---------------------------- deletion -------------------------------------*/

bool order_is_emptying(const struct order *order)
{
	const struct metadata *newest;

	if (!order->nr_views)
		return false;
	newest = &order->views[order->nr_views - 1]->metadata;

	return newest->nr_thins &&
	       newest->thins[newest->nr_thins - 1].id > CATALOGUE_ID;
}

/*---------------------------- events ---------------------------------------*/

static bool is_change(const struct tp_simulated_event *event)
{
	return event->op == TP_WRITE || event->op == TP_WRITE_ZEROES ||
	       event->op == TP_DISCARD || event->op == TP_COPY;
}

static bool note_end(struct order *order,
		     const struct tp_simulated_event *event)
{
	if (event->device == METADATA_DEVICE)
		note_stable(order);
	else if (event->op == TP_FLUSH && !event->status &&
		 event->id > order->last_flush)
		order->last_flush = event->id;

	return true;
}

bool order_event(struct order *order, const struct tp_simulated_event *event,
		 struct verdict *verdict)
{
	if (!order->nr_views || event->device > DATA_DEVICE)
		return true;
	if (event->has_ended)
		return note_end(order, event);
	if (!is_change(event))
		return true;
	if (event->device == METADATA_DEVICE)
		return check_metadata_write(order, event, verdict);

	return check_data_change(order, event, verdict);
}

bool order_flushed(const struct order *order, uint64_t nr_requests,
		   struct verdict *verdict)
{
	return !order->enabled || !order->has_cache ||
	       order->last_flush > nr_requests ||
	       violated(verdict, "M7: a flush ended, and data was not flushed "
				 "since it was submitted");
}
