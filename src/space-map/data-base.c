/*
 * data-base.c - the counts of data blocks on metadata blocks.
 */
#include "space-map/data-base.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WHERE "data space map"

/* What a bitmap that was not made yet reads as. */
static const struct tpi_disk_bitmap empty_bitmap;

void tpi_base_init(struct tpi_base *base, struct tpi_tm *tm)
{
	memset(base, 0, sizeof(*base));
	base->index.tm = tm;
	base->index.type.size = sizeof(struct tpi_disk_index_entry);
	base->index.name = "data bitmap index";
	base->overflow.tm = tm;
	base->overflow.type.size = sizeof(le32);
	base->overflow.name = "data overflow tree";
}

void tpi_base_exit(struct tpi_base *base)
{
	tpi_block_set_exit(&base->loading);
	free(base->bitmaps);
}

int tpi_base_make_trees(struct tpi_base *base)
{
	int r;

	r = tpi_btree_empty(&base->index, &base->index_root);
	if (!r)
		r = tpi_btree_empty(&base->overflow, &base->overflow_root);

	return r;
}

void tpi_base_get_root(const struct tpi_base *base,
		       struct tpi_disk_space_map_root *root)
{
	root->nr_blocks = le64_make(base->nr_blocks);
	root->nr_allocated = le64_make(tpi_base_nr_allocated(base));
	root->bitmap_root = le64_make(base->index_root);
	root->ref_count_root = le64_make(base->overflow_root);
}

/*---------------------------- bitmaps in memory ----------------------------*/

static int make_room(struct tpi_base *base, size_t nr_bitmaps)
{
	size_t room = tpi_max(nr_bitmaps, 2 * base->nr_bitmaps_room);
	struct tpi_base_bitmap *bitmaps;

	if (nr_bitmaps <= base->nr_bitmaps_room)
		return 0;
	bitmaps = realloc(base->bitmaps, room * sizeof(*bitmaps));
	if (!bitmaps)
		return -ENOMEM;

	base->bitmaps = bitmaps;
	base->nr_bitmaps_room = room;

	return 0;
}

/* There is room. */
static void append(struct tpi_base *base, const struct tpi_base_bitmap *bitmap)
{
	base->bitmaps[base->nr_bitmaps++] = *bitmap;
	base->nr_zero += bitmap->nr_zero;
}

int tpi_base_grow(struct tpi_base *base, tp_dblock nr_blocks)
{
	static const struct tpi_base_bitmap fresh = {
		.nr_zero = TPI_BITMAP_ENTRIES,
		.seen = true,
	};
	size_t nr_bitmaps = tpi_div_up(nr_blocks, TPI_BITMAP_ENTRIES);
	int r;

	r = make_room(base, nr_bitmaps);
	if (r)
		return r;

	while (base->nr_bitmaps < nr_bitmaps)
		append(base, &fresh);
	base->nr_blocks = nr_blocks;

	return 0;
}

/*---------------------------- loading --------------------------------------*/

static int check_root(const struct tpi_disk_space_map_root *root)
{
	uint64_t nr_blocks = le64_get(root->nr_blocks);
	uint64_t nr_allocated = le64_get(root->nr_allocated);

	/* Each bitmap takes a metadata block. */
	if (nr_blocks / TPI_BITMAP_ENTRIES > TPI_METADATA_BLOCKS_MAX)
		return tpi_damage(WHERE, "it counts %" PRIu64 " blocks",
				  nr_blocks);
	if (nr_allocated > nr_blocks)
		return tpi_damage(WHERE,
				  "%" PRIu64 " of %" PRIu64
				  " blocks are in use",
				  nr_allocated, nr_blocks);

	return 0;
}

/* Is it a block in use, and not that of another bitmap? */
static bool may_be_bitmap(struct tpi_base *base, tp_mblock block)
{
	/* What lies past the end has no count. */
	if (!block || !tpi_tm_count(base->index.tm, block) ||
	    tpi_block_set_has(&base->loading, block))
		return false;

	tpi_block_set_add(&base->loading, block);

	return true;
}

static int load_entry(void *context, uint64_t key, const void *value)
{
	const struct tpi_disk_index_entry *entry = value;
	struct tpi_base *base = context;
	struct tpi_base_bitmap bitmap = {
		.block = le64_get(entry->blocknr),
		.nr_zero = (uint32_t)tpi_min(le32_get(entry->nr_free),
					     TPI_BITMAP_ENTRIES),
	};
	int r;

	if (key != base->nr_bitmaps)
		return tpi_damage(WHERE,
				  "bitmap %" PRIu64 " comes after %zu others",
				  key, base->nr_bitmaps);
	if (!may_be_bitmap(base, bitmap.block))
		return tpi_damage(WHERE,
				  "bitmap %" PRIu64 " is in block %" PRIu64,
				  key, bitmap.block);
	if (!bitmap.nr_zero)
		bitmap.search_from = TPI_BITMAP_ENTRIES;

	r = make_room(base, base->nr_bitmaps + 1);
	if (!r)
		append(base, &bitmap);

	return r;
}

/*
 * The last bitmap, if blocks end inside it, is seen at once: writers differ in
 * whether nr_free counts the entries past the end (6.2).
 */
static int see_last(struct tpi_base *base)
{
	const struct tpi_disk_bitmap *bitmap;

	if (base->nr_blocks % TPI_BITMAP_ENTRIES == 0)
		return 0;

	return tpi_base_read_bitmap(base, base->nr_bitmaps - 1, &bitmap);
}

static int load_index(struct tpi_base *base)
{
	struct tpi_refs *refs = base->index.tm->refs;
	uint64_t next = base->nr_bitmaps;
	int r;

	r = tpi_block_set_grow(&base->loading, refs->ops->nr_blocks(refs));
	if (r)
		return r;

	return tpi_btree_scan(&base->index, base->index_root, next, UINT64_MAX,
			      load_entry, base, &next);
}

int tpi_base_load(struct tpi_base *base,
		  const struct tpi_disk_space_map_root *root)
{
	uint64_t nr_bitmaps =
		tpi_div_up(le64_get(root->nr_blocks), TPI_BITMAP_ENTRIES);
	int r;

	r = check_root(root);
	if (r)
		return r;
	base->nr_blocks = le64_get(root->nr_blocks);
	base->index_root = le64_get(root->bitmap_root);
	base->overflow_root = le64_get(root->ref_count_root);

	r = load_index(base);
	if (r)
		return r;
	if (base->nr_bitmaps != nr_bitmaps)
		return tpi_damage(WHERE,
				  "%zu bitmaps where %" PRIu64 " should be",
				  base->nr_bitmaps, nr_bitmaps);
	base->nr_made = base->nr_bitmaps;
	tpi_block_set_exit(&base->loading);

	return see_last(base);
}

int tpi_base_load_figures(struct tpi_base *base,
			  const struct tpi_disk_space_map_root *root)
{
	int r;

	r = check_root(root);
	if (!r)
		r = tpi_base_grow(base, le64_get(root->nr_blocks));
	if (!r)
		base->nr_zero -= le64_get(root->nr_allocated);

	return r;
}

/*---------------------------- the bitmap in hand ---------------------------*/

/*
 * Changes come in the order of their blocks, and allocation goes on where it
 * was, so that most of what is asked for is the bitmap of the last change.  A
 * bitmap that the running transaction made is changed in place: nothing takes
 * another reference to one.
 */
static struct tpi_disk_bitmap *in_hand(const struct tpi_base *base, size_t i)
{
	if (i != base->hand ||
	    base->hand_era != tpi_cache_era(base->index.tm->cache))
		return NULL;

	return base->in_hand;
}

static void take_in_hand(struct tpi_base *base, size_t i,
			 struct tpi_disk_bitmap *bitmap)
{
	base->hand = i;
	base->in_hand = bitmap;
	base->hand_era = tpi_cache_era(base->index.tm->cache);
}

/*---------------------------- reading --------------------------------------*/

/* The first sight of a bitmap: now it is known what the index only told. */
static int see(struct tpi_base *base, size_t i,
	       const struct tpi_disk_bitmap *data)
{
	struct tpi_base_bitmap *bitmap = &base->bitmaps[i];
	uint32_t nr_zero = tpi_bitmap_nr_zero(data);

	if (!tpi_bitmap_is_zero_from(data, tpi_base_entries(base, i)))
		return tpi_damage(WHERE, "bitmap %zu counts past the end", i);

	base->nr_zero += nr_zero;
	base->nr_zero -= bitmap->nr_zero;
	bitmap->nr_zero = nr_zero;
	bitmap->search_from = (uint16_t)tpi_bitmap_first_zero(data);
	bitmap->seen = true;

	return 0;
}

int tpi_base_read_bitmap(struct tpi_base *base, size_t i,
			 const struct tpi_disk_bitmap **bitmap)
{
	const void *data = &empty_bitmap;
	int r;

	*bitmap = in_hand(base, i);
	if (*bitmap)
		return 0;
	if (base->bitmaps[i].block) {
		r = tpi_tm_read(base->index.tm, base->bitmaps[i].block,
				&tpi_bitmap_validator, &data);
		if (r)
			return r;
	}
	if (!base->bitmaps[i].seen) {
		r = see(base, i, data);
		if (r)
			return r;
	}

	*bitmap = data;

	return 0;
}

static int read_overflow(struct tpi_base *base, tp_dblock block,
			 uint32_t *count)
{
	le32 value;
	int r;

	r = tpi_btree_lookup(&base->overflow, base->overflow_root, block,
			     &value);
	if (r == -ENODATA)
		return tpi_damage(WHERE, "no overflow entry for block %" PRIu64,
				  block);
	if (r)
		return r;
	if (le32_get(value) < TPI_LARGE_COUNT)
		return tpi_damage(WHERE,
				  "block %" PRIu64
				  " has an overflow entry of %u",
				  block, le32_get(value));

	*count = le32_get(value);

	return 0;
}

int tpi_base_get(struct tpi_base *base, tp_dblock block, uint32_t *count)
{
	const struct tpi_disk_bitmap *bitmap;
	uint32_t entry;
	int r;

	r = tpi_base_read_bitmap(base, block / TPI_BITMAP_ENTRIES, &bitmap);
	if (r)
		return r;

	entry = tpi_bitmap_get(bitmap, block % TPI_BITMAP_ENTRIES);
	if (entry == TPI_LARGE_COUNT)
		return read_overflow(base, block, count);
	*count = entry;

	return 0;
}

/*---------------------------- changing -------------------------------------*/

static void mark_changed(struct tpi_base *base, struct tpi_base_bitmap *bitmap)
{
	if (!bitmap->changed)
		base->nr_changed++;
	bitmap->changed = true;
}

int tpi_base_make_bitmaps(struct tpi_base *base)
{
	void *data;
	int r;

	for (; base->nr_made < base->nr_bitmaps; base->nr_made++) {
		struct tpi_base_bitmap *bitmap = &base->bitmaps[base->nr_made];

		r = tpi_tm_make_room(base->index.tm);
		if (r)
			return r;
		r = tpi_tm_new_block(base->index.tm, &tpi_bitmap_validator,
				     &bitmap->block, &data);
		if (r)
			return r;
		mark_changed(base, bitmap);
	}

	return 0;
}

int tpi_base_rewrite(struct tpi_base *base, size_t i)
{
	const struct tpi_disk_bitmap *bitmap;
	int r;

	r = tpi_base_read_bitmap(base, i, &bitmap);
	if (!r)
		mark_changed(base, &base->bitmaps[i]);

	return r;
}

/* Have the @i-th bitmap in hand, to change it. */
static int take_bitmap(struct tpi_base *base, size_t i)
{
	struct tpi_base_bitmap *bitmap = &base->bitmaps[i];
	bool copied_shared;
	void *data;
	int r;

	if (in_hand(base, i))
		return 0;
	tpi_assert(bitmap->block);
	/* A bitmap refers to nothing, so it does not matter who else has it. */
	r = tpi_tm_shadow(base->index.tm, bitmap->block, &tpi_bitmap_validator,
			  &bitmap->block, &data, &copied_shared);
	if (!r)
		take_in_hand(base, i, data);

	return r;
}

static int set_entry(struct tpi_base *base, tp_dblock block, uint32_t old,
		     uint32_t count)
{
	size_t i = block / TPI_BITMAP_ENTRIES;
	struct tpi_base_bitmap *bitmap = &base->bitmaps[i];
	int r = take_bitmap(base, i);

	if (r)
		return r;
	mark_changed(base, bitmap);

	tpi_bitmap_set(base->in_hand, block % TPI_BITMAP_ENTRIES,
		       (unsigned)tpi_min(count, TPI_LARGE_COUNT));
	if (!old) {
		bitmap->nr_zero--;
		base->nr_zero--;
	} else if (!count) {
		bitmap->nr_zero++;
		base->nr_zero++;
	}

	return 0;
}

static int insert_overflow(struct tpi_base *base, tp_dblock block,
			   uint32_t count)
{
	le32 value = le32_make(count);
	int r;

	r = tpi_btree_prepare_insert(&base->overflow, base->overflow_root,
				     block, 1);
	if (r)
		return r;

	return tpi_btree_insert(&base->overflow, base->overflow_root, block,
				&value, &base->overflow_root, NULL);
}

static int remove_overflow(struct tpi_base *base, tp_dblock block)
{
	uint64_t nr_removed;
	int r;

	r = tpi_btree_prepare_remove(&base->overflow, base->overflow_root,
				     block, block + 1);
	if (r)
		return r;

	return tpi_btree_remove_range(&base->overflow, base->overflow_root,
				      block, block + 1, &base->overflow_root,
				      &nr_removed, NULL);
}

/*
 * The overflow tree first: it may have to be read.  The bitmap has just been,
 * by tpi_base_get(), so setting its entry cannot meet -EAGAIN.
 */
int tpi_base_set(struct tpi_base *base, tp_dblock block, uint32_t old,
		 uint32_t count)
{
	int r = 0;

	if (count >= TPI_LARGE_COUNT && count != old)
		r = insert_overflow(base, block, count);
	else if (count < TPI_LARGE_COUNT && old >= TPI_LARGE_COUNT)
		r = remove_overflow(base, block);
	if (!r &&
	    tpi_min(old, TPI_LARGE_COUNT) != tpi_min(count, TPI_LARGE_COUNT))
		r = set_entry(base, block, old, count);

	return r;
}

/*---------------------------- the index tree -------------------------------*/

static int write_entry(struct tpi_base *base, size_t i)
{
	struct tpi_base_bitmap *bitmap = &base->bitmaps[i];
	const struct tpi_disk_bitmap *data;
	struct tpi_disk_index_entry entry;
	int r;

	r = tpi_tm_make_room(base->index.tm);
	if (!r)
		r = tpi_btree_prepare_insert(&base->index, base->index_root, i,
					     1);
	if (!r)
		r = tpi_base_read_bitmap(base, i, &data);
	if (r)
		return r;

	entry.blocknr = le64_make(bitmap->block);
	entry.nr_free = le32_make(bitmap->nr_zero);
	entry.none_free_before = le32_make(tpi_bitmap_first_zero(data));
	r = tpi_btree_insert(&base->index, base->index_root, i, &entry,
			     &base->index_root, NULL);
	if (r)
		return r;

	bitmap->changed = false;
	base->nr_changed--;

	return 0;
}

int tpi_base_write_index(struct tpi_base *base)
{
	size_t i;
	int r;

	for (i = 0; i < base->nr_bitmaps && base->nr_changed; i++) {
		if (!base->bitmaps[i].changed)
			continue;
		r = write_entry(base, i);
		if (r)
			return r;
	}

	return 0;
}
