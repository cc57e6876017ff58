/*
 * content.c - see content.h.
 */
#include "content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <thinpool/simulator.h>

#include "random.h"

#define NODE_ENTRIES (1u << TPI_SIM_NODE_SHIFT)

struct node {
	atomic_uint nr_refs;
	void *below[NODE_ENTRIES]; /* nodes or, on level 0, chunks */
};

/*---------------------------- counts ---------------------------------------*/

static void ref(atomic_uint *nr_refs)
{
	atomic_fetch_add_explicit(nr_refs, 1, memory_order_relaxed);
}

/* Was it the last? */
static bool unref(atomic_uint *nr_refs)
{
	return atomic_fetch_sub_explicit(nr_refs, 1, memory_order_acq_rel) == 1;
}

/* If there is no other reference, nobody can take one. */
static bool is_mine(atomic_uint *nr_refs)
{
	return atomic_load_explicit(nr_refs, memory_order_acquire) == 1;
}

struct tpi_sim_chunk *tpi_sim_chunk_new(uint64_t id, int fill)
{
	struct tpi_sim_chunk *chunk = malloc(sizeof(*chunk));

	if (!chunk)
		return NULL;
	atomic_init(&chunk->nr_refs, 1);
	for (unsigned i = 0; i < TPI_SIM_CHUNK_SECTORS; i++)
		chunk->ids[i] = id;
	memset(chunk->bytes, fill, sizeof(chunk->bytes));

	return chunk;
}

void tpi_sim_chunk_unref(struct tpi_sim_chunk *chunk)
{
	if (chunk && unref(&chunk->nr_refs))
		free(chunk);
}

static void unref_below(void *below, int level)
{
	struct node *node = below;

	if (level < 0) {
		tpi_sim_chunk_unref(below);
		return;
	}
	if (!node || !unref(&node->nr_refs))
		return;
	for (unsigned i = 0; i < NODE_ENTRIES; i++)
		unref_below(node->below[i], level - 1);
	free(node);
}

static void ref_below(void *below, int level)
{
	struct tpi_sim_chunk *chunk = below;
	struct node *node = below;

	if (below)
		ref(level < 0 ? &chunk->nr_refs : &node->nr_refs);
}

struct tpi_sim_content
tpi_sim_content_copy(const struct tpi_sim_content *content)
{
	ref_below(content->root, TPI_SIM_NR_LEVELS - 1);

	return *content;
}

void tpi_sim_content_drop(struct tpi_sim_content *content)
{
	unref_below(content->root, TPI_SIM_NR_LEVELS - 1);
	content->root = NULL;
}

void tpi_sim_content_replace(struct tpi_sim_content *old,
			     struct tpi_sim_content content)
{
	tpi_sim_content_drop(old);
	*old = content;
}

/*---------------------------- the way down ---------------------------------*/

static unsigned index_of(uint64_t nr, int level)
{
	return (nr >> (level * TPI_SIM_NODE_SHIFT)) % NODE_ENTRIES;
}

static void *find_chunk(const struct tpi_sim_content *content, uint64_t nr)
{
	void *at = content->root;

	for (int level = TPI_SIM_NR_LEVELS - 1; at && level >= 0; level--)
		at = ((struct node *)at)->below[index_of(nr, level)];

	return at;
}

const struct tpi_sim_chunk *
tpi_sim_content_chunk(const struct tpi_sim_content *content, uint64_t nr)
{
	return find_chunk(content, nr);
}

/* The node at @at, changed by nobody else from now on. */
static struct node *own_node(void **at, int level)
{
	struct node *old = *at, *node;

	if (old && is_mine(&old->nr_refs))
		return old;

	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	atomic_init(&node->nr_refs, 1);
	for (unsigned i = 0; old && i < NODE_ENTRIES; i++) {
		node->below[i] = old->below[i];
		ref_below(node->below[i], level - 1);
	}
	unref_below(old, level);
	*at = node;

	return node;
}

/* Where the chunk's pointer is; NULL: no memory. */
static void **own_slot(struct tpi_sim_content *content, uint64_t nr)
{
	void **at = &content->root;

	for (int level = TPI_SIM_NR_LEVELS - 1; level >= 0; level--) {
		struct node *node = own_node(at, level);

		if (!node)
			return NULL;
		at = &node->below[index_of(nr, level)];
	}

	return at;
}

static struct tpi_sim_chunk *own_chunk(void **slot)
{
	struct tpi_sim_chunk *old = *slot, *chunk;

	if (old && is_mine(&old->nr_refs))
		return old;

	chunk = tpi_sim_chunk_new(0, TP_SIMULATOR_POISON);
	if (!chunk)
		return NULL;
	if (old) {
		memcpy(chunk->ids, old->ids, sizeof(chunk->ids));
		memcpy(chunk->bytes, old->bytes, sizeof(chunk->bytes));
		tpi_sim_chunk_unref(old);
	}
	*slot = chunk;

	return chunk;
}

/*---------------------------- writing and reading --------------------------*/

int tpi_sim_content_put(struct tpi_sim_content *content, uint64_t nr,
			struct tpi_sim_chunk *chunk, unsigned mask)
{
	void **slot = own_slot(content, nr);
	struct tpi_sim_chunk *mine;

	if (!slot)
		return -ENOMEM;
	if (mask == TPI_SIM_ALL_SECTORS) {
		ref(&chunk->nr_refs);
		tpi_sim_chunk_unref(*slot);
		*slot = chunk;
		return 0;
	}
	mine = own_chunk(slot);
	if (!mine)
		return -ENOMEM;
	for (unsigned i = 0; i < TPI_SIM_CHUNK_SECTORS; i++) {
		if (!(mask & 1u << i))
			continue;
		mine->ids[i] = chunk->ids[i];
		memcpy(mine->bytes + i * TP_SECTOR_SIZE,
		       chunk->bytes + i * TP_SECTOR_SIZE, TP_SECTOR_SIZE);
	}

	return 0;
}

int tpi_sim_content_mix(struct tpi_sim_content *content,
			const struct tpi_sim_content *other, uint64_t offset,
			uint64_t length, uint64_t *random)
{
	uint64_t end = (offset + length - 1) / TPI_SIM_CHUNK_BYTES + 1;
	int r = 0;

	for (uint64_t nr = offset / TPI_SIM_CHUNK_BYTES; nr < end && !r; nr++) {
		struct tpi_sim_chunk *chunk = find_chunk(other, nr);
		unsigned mask;

		if (!chunk || chunk == find_chunk(content, nr))
			continue;
		mask = (unsigned)tpi_sim_random(random,
						TPI_SIM_ALL_SECTORS + 1);
		r = tpi_sim_content_put(content, nr, chunk, mask);
	}

	return r;
}

void tpi_sim_content_read(const struct tpi_sim_content *content, void *to,
			  size_t length, uint64_t offset)
{
	unsigned char *at = to;

	while (length) {
		const struct tpi_sim_chunk *chunk = tpi_sim_content_chunk(
			content, offset / TPI_SIM_CHUNK_BYTES);
		size_t start = offset % TPI_SIM_CHUNK_BYTES;
		size_t n = TPI_SIM_CHUNK_BYTES - start;

		if (n > length)
			n = length;
		if (chunk)
			memcpy(at, chunk->bytes + start, n);
		else
			memset(at, TP_SIMULATOR_POISON, n);
		at += n;
		offset += n;
		length -= n;
	}
}
