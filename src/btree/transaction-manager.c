/*
 * transaction-manager.c - copy on write of metadata blocks.
 */
#include "btree/transaction-manager.h"

#include <inttypes.h>

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
	tp_mblock number;
	int r;

	r = tm->refs->ops->alloc(tm->refs, &number);
	if (r)
		return r;
	r = tpi_cache_new_block(tm->cache, number, validator, NULL, data);
	if (!r)
		*block = number;

	return r;
}

/* If nobody else has it, its content goes to the copy. */
static int copy(struct tpi_tm *tm, tp_mblock block,
		const struct tpi_validator *validator, bool shared,
		const void *content, tp_mblock *shadow, void **data)
{
	tp_mblock number;
	int r;

	r = tm->refs->ops->alloc(tm->refs, &number);
	if (r)
		return r;
	if (shared)
		r = tpi_cache_new_block(tm->cache, number, validator, content,
					data);
	else
		r = tpi_cache_replace(tm->cache, block, number, data);
	if (r)
		return r;
	*shadow = number;

	return tpi_tm_dec(tm, block);
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
	*copied_shared = shared;
	*shadow = block;
	*data = shared ? NULL : tpi_cache_dirty_data(tm->cache, block);
	if (*data)
		return 0;

	return copy(tm, block, validator, shared, content, shadow, data);
}

bool tpi_tm_is_own(const struct tpi_tm *tm, tp_mblock block)
{
	return tpi_cache_dirty_data(tm->cache, block) &&
	       !tpi_tm_is_shared(tm, block);
}

int tpi_tm_inc(struct tpi_tm *tm, tp_mblock block)
{
	tm->finger.root = 0;

	return tm->refs->ops->inc(tm->refs, block, block + 1);
}

int tpi_tm_dec(struct tpi_tm *tm, tp_mblock block)
{
	int r;

	tm->finger.root = 0;
	r = tm->refs->ops->dec(tm->refs, block, block + 1);
	if (r)
		return r;
	if (!tpi_tm_count(tm, block))
		tpi_cache_forget(tm->cache, block);

	return 0;
}

uint32_t tpi_tm_count(const struct tpi_tm *tm, tp_mblock block)
{
	return tm->refs->ops->count(tm->refs, block);
}
