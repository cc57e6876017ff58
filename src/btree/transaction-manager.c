/*
 * transaction-manager.c - copy on write of metadata blocks.
 */
#include "btree/transaction-manager.h"

#include <inttypes.h>
#include <string.h>

int tpi_tm_read(struct tpi_tm *tm, tp_mblock block,
		const struct tpi_validator *validator, const void **data)
{
	tp_mblock nr_blocks = tm->refs->ops->nr_blocks(tm->refs);

	if (!block || block >= nr_blocks)
		return tpi_damage(validator->name,
				  "a pointer to block %" PRIu64 " of %" PRIu64,
				  block, nr_blocks);

	return tpi_cache_read(tm->cache, block, validator, data);
}

/* A path of four nodes, each of them split; a new root. */
#define CHANGE_BLOCKS_MAX 16

int tpi_tm_make_room(struct tpi_tm *tm)
{
	return tpi_cache_make_room(tm->cache, CHANGE_BLOCKS_MAX);
}

int tpi_tm_new_block(struct tpi_tm *tm, const struct tpi_validator *validator,
		     tp_mblock *block, void **data)
{
	tp_mblock new_block;
	int r;

	r = tm->refs->ops->alloc(tm->refs, &new_block);
	if (r)
		return r;
	r = tpi_cache_new_block(tm->cache, new_block, validator, data);
	if (!r)
		*block = new_block;

	return r;
}

static int copy(struct tpi_tm *tm, tp_mblock block, const void *content,
		const struct tpi_validator *validator, tp_mblock *shadow,
		void **data)
{
	tp_mblock new_block;
	void *new_data;
	int r;

	r = tpi_tm_new_block(tm, validator, &new_block, &new_data);
	if (r)
		return r;
	memcpy(new_data, content, TPI_MBLOCK_BYTES);
	r = tpi_tm_dec(tm, block);
	if (r)
		return r;
	*shadow = new_block;
	*data = new_data;

	return 0;
}

int tpi_tm_shadow(struct tpi_tm *tm, tp_mblock block,
		  const struct tpi_validator *validator, tp_mblock *shadow,
		  void **data, bool *copied_shared)
{
	bool shared = tpi_tm_is_shared(tm, block);
	const void *content;
	int r;

	r = tpi_tm_read(tm, block, validator, &content);
	if (r)
		return r;
	if (!shared && tpi_cache_is_dirty(tm->cache, block)) {
		*shadow = block;
		*data = tpi_cache_dirty_data(tm->cache, block);
	} else {
		r = copy(tm, block, content, validator, shadow, data);
	}
	if (!r)
		*copied_shared = shared;

	return r;
}

int tpi_tm_inc(struct tpi_tm *tm, tp_mblock block)
{
	return tm->refs->ops->inc(tm->refs, block, block + 1);
}

int tpi_tm_dec(struct tpi_tm *tm, tp_mblock block)
{
	int r;

	r = tm->refs->ops->dec(tm->refs, block, block + 1);
	if (r)
		return r;
	if (!tpi_tm_count(tm, block) && tpi_cache_is_dirty(tm->cache, block))
		tpi_cache_forget(tm->cache, block);

	return 0;
}

uint32_t tpi_tm_count(const struct tpi_tm *tm, tp_mblock block)
{
	return tm->refs->ops->count(tm->refs, block);
}
