/*
 * Each kind of thing that can be wrong with metadata, made on purpose, and
 * sealed again so that it is not the checksum which gives it away
 * (metadata-format.md, 19).  It must be found, it must be as bad as it is, and
 * nothing must be found but what follows from it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/checking.h"
#include "pool/mapping.h"
#include "pool/metadata-internal.h"
#include "space-map/bitmap.h"

struct damaged {
	struct image image;
	struct tpi_disk_superblock *sb;
	tp_mblock bad_block; /* that cannot be read */
};

/*---------------------------- finding one's way ----------------------------*/

static size_t find(const struct damaged *d, enum image_role role, size_t nr)
{
	size_t i = image_find(&d->image, role, nr);

	ck_assert_uint_ne(i, SIZE_MAX);

	return i;
}

static void *data(const struct damaged *d, enum image_role role, size_t nr)
{
	return image_data(&d->image, find(d, role, nr));
}

static void seal(const struct damaged *d, const void *block)
{
	for (size_t i = 0; i < d->image.nr_blocks; i++)
		if (image_data(&d->image, i) == block)
			image_seal(&d->image, i);
}

static tp_mblock number_of(const struct damaged *d, const void *block)
{
	return (tp_mblock)((const char *)block - d->image.bytes) /
	       TPI_MBLOCK_BYTES;
}

static void *at(const struct damaged *d, tp_mblock block)
{
	return d->image.bytes + block * TPI_MBLOCK_BYTES;
}

static struct tpi_node *thins(const struct damaged *d)
{
	return at(d, le64_get(d->sb->data_mapping_root));
}

static struct tpi_node *details(const struct damaged *d)
{
	return at(d, le64_get(d->sb->device_details_root));
}

static struct tpi_disk_details *details_of(const struct damaged *d, uint64_t id)
{
	int i = tpi_node_search(details(d), id);

	return (struct tpi_disk_details *)tpi_node_values(details(d), 0) + i;
}

/* The root of a thin's mappings, and the @i-th leaf beneath it. */
static struct tpi_node *mappings(const struct damaged *d, uint64_t id)
{
	int i = tpi_node_search(thins(d), id);

	return at(d, tpi_node_child(thins(d), (uint32_t)i));
}

static struct tpi_node *leaf(const struct damaged *d, uint64_t id, uint32_t i)
{
	return at(d, tpi_node_child(mappings(d, id), i));
}

static le64 *mapping(const struct tpi_node *node, uint32_t i)
{
	return (le64 *)tpi_node_values(node, 0) + i;
}

static struct tpi_node *data_index(const struct damaged *d)
{
	return data(d, IMAGE_DATA_INDEX, 0);
}

static struct tpi_disk_index_entry *data_entry(const struct damaged *d,
					       uint32_t i)
{
	return (struct tpi_disk_index_entry *)tpi_node_values(data_index(d),
							      0) +
	       i;
}

/* The first block of a bitmap that is counted so often. */
static unsigned counted(const struct tpi_disk_bitmap *bitmap, unsigned count)
{
	unsigned i = 0;

	while (i < TPI_BITMAP_ENTRIES && tpi_bitmap_get(bitmap, i) != count)
		i++;
	ck_assert_uint_lt(i, TPI_BITMAP_ENTRIES);

	return i;
}

static void add32(le32 *field, int by)
{
	*field = le32_make(le32_get(*field) + (uint32_t)by);
}

static void add64(le64 *field, int64_t by)
{
	*field = le64_make(le64_get(*field) + (uint64_t)by);
}

/*---------------------------- the superblock -------------------------------*/

static void blank(struct damaged *d)
{
	memset(d->sb, 0, sizeof(*d->sb));
}

static void cut_checksum(struct damaged *d)
{
	d->sb->uuid[3] ^= 1;
}

static void copy_to_block_0(struct damaged *d)
{
	image_seal_as(&d->image, 0, IMAGE_SUPERBLOCK, 7);
}

static void magic(struct damaged *d)
{
	add64(&d->sb->magic, 1);
	seal(d, d->sb);
}

static void version(struct damaged *d)
{
	add32(&d->sb->version, 1);
	seal(d, d->sb);
}

static void unknown_flag(struct damaged *d)
{
	d->sb->header.flags = le32_make(4);
	seal(d, d->sb);
}

static void needs_check(struct damaged *d)
{
	d->sb->header.flags = le32_make(TPI_SUPERBLOCK_NEEDS_CHECK);
	seal(d, d->sb);
}

static void compat_ro(struct damaged *d)
{
	d->sb->compat_ro_flags = le32_make(1);
	seal(d, d->sb);
}

static void incompat(struct damaged *d)
{
	d->sb->incompat_flags = le32_make(1);
	seal(d, d->sb);
}

static void metadata_block_size(struct damaged *d)
{
	d->sb->metadata_block_size = le32_make(16);
	seal(d, d->sb);
}

static void data_block_size(struct damaged *d)
{
	d->sb->data_block_size = le32_make(100);
	seal(d, d->sb);
}

static void time_beyond_mappings(struct damaged *d)
{
	d->sb->time = le32_make(TPI_TIME_MAX + 1);
	seal(d, d->sb);
}

static void metadata_larger_than_device(struct damaged *d)
{
	add64(&d->sb->metadata_space_map.root.nr_blocks, 1);
	seal(d, d->sb);
}

static void absurd_data_size(struct damaged *d)
{
	d->sb->data_space_map.root.nr_blocks = le64_make(UINT64_MAX);
	seal(d, d->sb);
}

static void more_allocated_than_there_are(struct damaged *d)
{
	d->sb->data_space_map.root.nr_allocated = le64_make(32769);
	seal(d, d->sb);
}

/*---------------------------- the metadata snapshot ------------------------*/

static void held_time(struct damaged *d)
{
	struct tpi_disk_superblock *held = data(d, IMAGE_HELD_SUPERBLOCK, 0);

	add32(&held->time, 1);
	seal(d, held);
}

static void held_in_held(struct damaged *d)
{
	struct tpi_disk_superblock *held = data(d, IMAGE_HELD_SUPERBLOCK, 0);

	held->held_root = le64_make(number_of(d, held));
	seal(d, held);
}

static void held_is_a_node(struct damaged *d)
{
	d->sb->held_root = le64_make(number_of(d, thins(d)));
	seal(d, d->sb);
}

/*---------------------------- any block ------------------------------------*/

static void unreadable_leaf(struct damaged *d)
{
	d->bad_block = number_of(d, leaf(d, 9, 1));
}

static void unreadable_data_bitmap(struct damaged *d)
{
	d->bad_block = number_of(d, data(d, IMAGE_DATA_BITMAP, 0));
}

static void flipped_leaf(struct damaged *d)
{
	leaf(d, 9, 1)->keys[3].raw ^= 1;
}

static void misplaced_leaf(struct damaged *d)
{
	tp_mblock block = number_of(d, leaf(d, 9, 1));

	image_seal_as(&d->image, block, IMAGE_MAPPINGS, block + 1);
}

static void padded_bitmap(struct damaged *d)
{
	struct tpi_disk_bitmap *bitmap = data(d, IMAGE_DATA_BITMAP, 1);

	bitmap->header.flags = le32_make(1);
	seal(d, bitmap);
}

static void child_beyond_end(struct damaged *d)
{
	tpi_node_set_child(mappings(d, 9), 1, 1 << 20);
	seal(d, mappings(d, 9));
}

static void thin_in_details(struct damaged *d)
{
	int i = tpi_node_search(thins(d), 10);

	tpi_node_set_child(thins(d), (uint32_t)i, number_of(d, details(d)));
	seal(d, thins(d));
}

static void two_bitmaps_in_one(struct damaged *d)
{
	data_entry(d, 1)->blocknr = data_entry(d, 0)->blocknr;
	seal(d, data_index(d));
}

static void node_beneath_itself(struct damaged *d)
{
	tpi_node_set_child(mappings(d, 9), 1, number_of(d, mappings(d, 9)));
	seal(d, mappings(d, 9));
}

/*---------------------------- nodes ----------------------------------------*/

static void both_kinds(struct damaged *d)
{
	leaf(d, 9, 0)->header.flags = le32_make(3);
	seal(d, leaf(d, 9, 0));
}

static void value_size(struct damaged *d)
{
	details(d)->value_size = le32_make(16);
	seal(d, details(d));
}

static void too_many_entries(struct damaged *d)
{
	leaf(d, 9, 0)->nr_entries = le32_make(253);
	seal(d, leaf(d, 9, 0));
}

static void no_children(struct damaged *d)
{
	mappings(d, 9)->nr_entries = le32_make(0);
	seal(d, mappings(d, 9));
}

static void nearly_empty_leaf(struct damaged *d)
{
	leaf(d, 9, 1)->nr_entries = le32_make(20);
	seal(d, leaf(d, 9, 1));
}

static void swapped_keys(struct damaged *d)
{
	struct tpi_node *node = leaf(d, 9, 0);
	uint64_t key = tpi_node_key(node, 5);

	tpi_node_set_key(node, 5, tpi_node_key(node, 6));
	tpi_node_set_key(node, 6, key);
	seal(d, node);
}

static void parent_key_too_high(struct damaged *d)
{
	struct tpi_node *node = mappings(d, 9);

	tpi_node_set_key(node, 1, tpi_node_key(node, 1) + 1);
	seal(d, node);
}

static void leaf_too_high(struct damaged *d)
{
	struct tpi_node *node = mappings(d, 9);

	/* Its range is right, and it is not a leaf. */
	tpi_node_set_child(node, 0, number_of(d, mappings(d, 1)));
	seal(d, node);
}

/* A chain of nodes with a child each, of blocks that are free. */
static void endless_chain(struct damaged *d)
{
	tp_mblock block = 300, end = block + 20;
	struct tpi_node *node;

	tpi_node_set_child(thins(d), 0, block);
	seal(d, thins(d));
	for (; block < end; block++) {
		node = at(d, block);
		tpi_node_init(node, TPI_NODE_INTERNAL, TPI_CHILD_SIZE);
		tpi_node_insert_child(node, 0, 0, block + 1);
		image_seal_as(&d->image, block, IMAGE_MAPPINGS, block);
	}
}

/*---------------------------- thins ----------------------------------------*/

static void details_of_another(struct damaged *d)
{
	tpi_node_set_key(details(d), tpi_node_nr(details(d)) - 1, 77);
	seal(d, details(d));
}

static void mapped_blocks(struct damaged *d)
{
	add64(&details_of(d, 9)->mapped_blocks, 1);
	seal(d, details(d));
}

static void details_of_the_future(struct damaged *d)
{
	details_of(d, 10)->snapshotted_time = le32_make(1000);
	seal(d, details(d));
}

static void mapping_of_the_future(struct damaged *d)
{
	struct tpi_node *node = leaf(d, 9, 0);

	add64(mapping(node, 7), 1000);
	seal(d, node);
}

static void mapping_beyond_end(struct damaged *d)
{
	struct tpi_node *node = leaf(d, 9, 0);

	*mapping(node, 7) = le64_make(tpi_mapping_make(32768, 0));
	seal(d, node);
}

/* The origin has forgotten that it was ever snapshotted. */
static void unaware_origin(struct damaged *d)
{
	details_of(d, 1)->snapshotted_time = le32_make(0);
	seal(d, details(d));
}

/* Nobody can read or write what is being emptied (pool/deletion.c), so it is
 * nobody's other owner. */
static void origin_of_what_is_being_emptied(struct damaged *d)
{
	uint32_t last = tpi_node_nr(thins(d)) - 1;

	ck_assert_uint_eq(tpi_node_key(thins(d), last), 13);
	tpi_node_set_key(thins(d), last, TPI_HOST_IDS_END + 1);
	seal(d, thins(d));
	tpi_node_set_key(details(d), last, TPI_HOST_IDS_END + 1);
	details_of(d, 12)->snapshotted_time = details_of(d, 12)->creation_time;
	seal(d, details(d));
}

static void mapped_twice(struct damaged *d)
{
	struct tpi_node *node = leaf(d, 9, 0);

	*mapping(node, 7) = *mapping(node, 8);
	seal(d, node);
}

/*---------------------------- space maps -----------------------------------*/

static void missing_bitmap(struct damaged *d)
{
	data_index(d)->nr_entries = le32_make(2);
	seal(d, data_index(d));
}

static void useless_bitmap(struct damaged *d)
{
	struct tpi_disk_index *index = data(d, IMAGE_METADATA_INDEX, 0);

	index->entries[3].nr_free = le32_make(5);
	seal(d, index);
}

static void count_beyond_end(struct damaged *d)
{
	struct tpi_disk_bitmap *bitmap =
		at(d, le64_get(data_entry(d, 2)->blocknr));

	tpi_bitmap_set(bitmap, TPI_BITMAP_ENTRIES - 1, 1);
	seal(d, bitmap);
}

static void lost_overflow_entry(struct damaged *d)
{
	struct tpi_node *node = data(d, IMAGE_DATA_OVERFLOW, 0);

	add32(&node->nr_entries, -1);
	seal(d, node);
}

static void small_overflow_entry(struct damaged *d)
{
	struct tpi_node *node = data(d, IMAGE_METADATA_OVERFLOW, 0);

	*(le32 *)tpi_node_values(node, 0) = le32_make(2);
	seal(d, node);
}

static void overflow_beyond_end(struct damaged *d)
{
	struct tpi_node *node = data(d, IMAGE_DATA_OVERFLOW, 0);
	uint32_t nr = tpi_node_nr(node);

	node->nr_entries = le32_make(nr + 1);
	tpi_node_set_key(node, nr, 32768);
	((le32 *)tpi_node_values(node, 0))[nr] = le32_make(3);
	seal(d, node);
}

/* The count of one block that has @from, to @to; no figure changes. */
static void recount(struct damaged *d, enum image_role role, unsigned from,
		    unsigned to)
{
	struct tpi_disk_bitmap *bitmap = data(d, role, 0);

	tpi_bitmap_set(bitmap, counted(bitmap, from), to);
	seal(d, bitmap);
}

static void data_count_low(struct damaged *d)
{
	recount(d, IMAGE_DATA_BITMAP, 2, 1);
}

static void data_count_high(struct damaged *d)
{
	recount(d, IMAGE_DATA_BITMAP, 1, 2);
}

static void metadata_count_low(struct damaged *d)
{
	recount(d, IMAGE_METADATA_BITMAP, 2, 1);
}

static void metadata_count_high(struct damaged *d)
{
	recount(d, IMAGE_METADATA_BITMAP, 1, 2);
}

/* A block that nobody uses, with all the figures that go with it. */
static void leaked_data_block(struct damaged *d)
{
	struct tpi_disk_bitmap *bitmap =
		at(d, le64_get(data_entry(d, 2)->blocknr));

	tpi_bitmap_set(bitmap, 5, 1);
	seal(d, bitmap);
	add32(&data_entry(d, 2)->nr_free, -1);
	seal(d, data_index(d));
	add64(&d->sb->data_space_map.root.nr_allocated, 1);
	seal(d, d->sb);
}

/* So used, that it takes an entry of the overflow tree. */
static void large_leak(struct damaged *d)
{
	struct tpi_node *node = data(d, IMAGE_DATA_OVERFLOW, 0);

	((le32 *)tpi_node_values(node, 0))[0] = le32_make(UINT32_MAX);
	seal(d, node);
}

static void nr_free_low(struct damaged *d)
{
	add32(&data_entry(d, 1)->nr_free, -5);
	seal(d, data_index(d));
}

static void nr_free_high(struct damaged *d)
{
	struct tpi_disk_index *index = data(d, IMAGE_METADATA_INDEX, 0);

	add32(&index->entries[0].nr_free, 5);
	seal(d, index);
}

static void hint(struct damaged *d)
{
	data_entry(d, 1)->none_free_before = le32_make(100);
	seal(d, data_index(d));
}

static void nr_allocated(struct damaged *d)
{
	add64(&d->sb->metadata_space_map.root.nr_allocated, -3);
	seal(d, d->sb);
}

/*---------------------------- the table ------------------------------------*/

static void nothing(struct damaged *d)
{
	(void)d;
}

#define CLEAN TP_CHECK_CLEAN
#define WARNING TP_CHECK_WARNING
#define LEAK TP_CHECK_LEAK
#define CORRUPTION TP_CHECK_CORRUPTION
#define FATAL TP_CHECK_FATAL

/* Kinds in the order of the header. */
static const struct {
	void (*damage)(struct damaged *d);
	enum tp_check_severity worst;
	const char *kinds;
} cases[] = {
	{ nothing, CLEAN, "" },

	{ blank, FATAL, "not-formatted" },
	{ cut_checksum, FATAL, "checksum" },
	{ copy_to_block_0, FATAL, "block-number" },
	{ magic, FATAL, "superblock" },
	{ version, FATAL, "superblock" },
	{ unknown_flag, CORRUPTION, "superblock" },
	{ needs_check, WARNING, "needs-check" },
	{ compat_ro, CORRUPTION, "superblock" },
	{ incompat, FATAL, "superblock" },
	{ metadata_block_size, FATAL, "superblock" },
	{ data_block_size, FATAL, "superblock held-root" },
	{ time_beyond_mappings, CORRUPTION, "superblock" },
	{ metadata_larger_than_device, FATAL, "size" },
	{ absurd_data_size, FATAL, "size index-keys" },
	{ more_allocated_than_there_are, FATAL, "nr-allocated" },

	{ held_time, CORRUPTION, "held-root" },
	{ held_in_held, CORRUPTION, "held-root" },
	{ held_is_a_node, CORRUPTION, "two-roles count-low leaks-unchecked" },

	{ unreadable_leaf, CORRUPTION, "io leaks-unchecked" },
	{ unreadable_data_bitmap, CORRUPTION, "io leaks-unchecked" },
	{ flipped_leaf, CORRUPTION, "checksum leaks-unchecked" },
	{ misplaced_leaf, CORRUPTION, "block-number leaks-unchecked" },
	{ padded_bitmap, WARNING, "padding" },
	{ child_beyond_end, CORRUPTION, "pointer leaks-unchecked" },
	{ thin_in_details, CORRUPTION, "two-roles count-low leaks-unchecked" },
	{ two_bitmaps_in_one, CORRUPTION, "shared count-low leaks-unchecked" },
	{ node_beneath_itself, CORRUPTION, "cycle count-low leaks-unchecked" },

	{ both_kinds, CORRUPTION, "node-flags leaks-unchecked" },
	{ value_size, CORRUPTION, "node-sizes leaks-unchecked" },
	{ too_many_entries, CORRUPTION, "node-entries leaks-unchecked" },
	{ no_children, CORRUPTION, "node-entries leaks-unchecked" },
	{ nearly_empty_leaf, CORRUPTION, "underfull mapped-blocks count-high" },
	{ swapped_keys, CORRUPTION, "key-order" },
	{ parent_key_too_high, CORRUPTION, "key-range" },
	{ leaf_too_high, CORRUPTION, "key-range depth count-low count-high" },
	{ endless_chain, CORRUPTION,
	  "underfull depth count-low leaks-unchecked" },

	{ details_of_another, CORRUPTION, "thin-set" },
	{ mapped_blocks, CORRUPTION, "mapped-blocks" },
	{ details_of_the_future, WARNING, "details-time" },
	{ mapping_of_the_future, CORRUPTION, "mapping-time" },
	{ mapping_beyond_end, CORRUPTION, "data-block count-high" },
	{ unaware_origin, CORRUPTION, "unsafe-sharing" },
	{ origin_of_what_is_being_emptied, CLEAN, "" },
	{ mapped_twice, CORRUPTION,
	  "unsafe-sharing mapped-twice count-low count-high" },

	{ missing_bitmap, CORRUPTION, "index-keys count-high" },
	{ useless_bitmap, CORRUPTION, "index-keys" },
	{ count_beyond_end, CORRUPTION, "beyond-end nr-free" },
	{ lost_overflow_entry, CORRUPTION, "overflow count-low" },
	{ small_overflow_entry, CORRUPTION, "overflow count-low" },
	{ overflow_beyond_end, CORRUPTION, "overflow" },
	{ data_count_low, CORRUPTION, "count-low" },
	{ data_count_high, LEAK, "count-high" },
	{ metadata_count_low, CORRUPTION, "count-low" },
	{ metadata_count_high, LEAK, "count-high" },
	{ leaked_data_block, LEAK, "count-high" },
	{ large_leak, LEAK, "count-high" },
	{ nr_free_low, LEAK, "nr-free" },
	{ nr_free_high, LEAK, "nr-free" },
	{ hint, LEAK, "hint" },
	{ nr_allocated, LEAK, "nr-allocated" },
};
#define NR_CASES (sizeof(cases) / sizeof(cases[0]))

/* The kinds that were found, as in the table. */
static void list_kinds(const struct tp_check_report *report, char *kinds,
		       size_t size)
{
	size_t length = 0;

	kinds[0] = '\0';
	for (unsigned kind = 0; kind < TP_CHECK_NR_KINDS; kind++)
		if (report->nr_by_kind[kind])
			length += (size_t)snprintf(kinds + length,
						   size - length, "%s%s",
						   length ? " " : "",
						   tp_check_kind_name(kind));
}

static void check_damaged(const struct damaged *d, unsigned nr_threads,
			  struct checked *checked)
{
	struct byte_device device;

	byte_device_init(&device, d->image.bytes, IMAGE_BYTES);
	device.bad_block = d->bad_block;
	check_device(device.device, 0, nr_threads, checked);
	byte_device_exit(&device);
}

/*
 * One damage, and what is found: with as many threads as there are processors,
 * and the same, word for word, with one and with five.
 */
START_TEST(test_damage_is_found_and_nothing_else)
{
	char *bytes = make_image(), kinds[512];
	struct damaged d = { .bad_block = 0 };
	struct checked checked, again;
	unsigned nr_threads;

	image_survey(&d.image, bytes, IMAGE_BYTES);
	d.sb = image_superblock(&d.image);
	cases[_i].damage(&d);

	check_damaged(&d, 0, &checked);
	list_kinds(&checked.report, kinds, sizeof(kinds));
	ck_ok(checked.result);
	ck_assert_msg(!strcmp(kinds, cases[_i].kinds),
		      "case %d: found '%s' and not '%s':\n%s", _i, kinds,
		      cases[_i].kinds, checked.told);
	ck_assert_msg(checked.report.worst == cases[_i].worst,
		      "case %d: it is a %s:\n%s", _i,
		      tp_check_severity_name(checked.report.worst),
		      checked.told);
	for (nr_threads = 1; nr_threads <= 5; nr_threads += 4) {
		check_damaged(&d, nr_threads, &again);
		ck_assert_str_eq(again.told, checked.told);
		checked_exit(&again);
	}

	checked_exit(&checked);
	image_exit(&d.image);
	free(bytes);
}
END_TEST

int main(void)
{
	free(make_image());

	return RUN_TESTS("check/kinds", NR_CASES,
			 test_damage_is_found_and_nothing_else);
}
