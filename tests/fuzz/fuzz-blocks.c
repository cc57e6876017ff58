/*
 * fuzz-blocks.c - single blocks of any content, with a good checksum: what a
 * validator lets pass can be looked at and changed without leaving the block.
 *
 * byte 0   which kind of block
 * then     its content; the rest of the block is zero
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "btree/node.h"
#include "catalogue/page.h"
#include "fuzz/target.h"
#include "pool/superblock.h"
#include "space-map/bitmap.h"

#define NUMBER 1

/* Of its own, so that a sanitizer sees the end of it. */
static void *make_block(const uint8_t *data, size_t size, size_t room)
{
	char *block = calloc(1, room);

	if (!block)
		abort();
	memcpy(block, data, size < room ? size : room);

	return block;
}

/*---------------------------- nodes ----------------------------------------*/

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void search_node(const struct tpi_node *node, uint64_t key)
{
	uint32_t at = tpi_node_lower_bound(node, key);
	int i = tpi_node_search(node, key);

	must(at <= tpi_node_nr(node));
	must(i >= -1 && i < (int)tpi_node_nr(node));
	must(at == tpi_node_nr(node) || tpi_node_key(node, at) >= key);
	must(i < 0 || tpi_node_key(node, (uint32_t)i) <= key);
}

/* To another node and back. */
static void move_entries(struct tpi_node *node)
{
	struct tpi_node *other = make_block((void *)node, 0, TPI_MBLOCK_BYTES);
	struct tpi_node *copy =
		make_block((void *)node, TPI_MBLOCK_BYTES, TPI_MBLOCK_BYTES);
	uint32_t nr = tpi_node_nr(node);

	tpi_node_init(other, tpi_node_kind_of(node), tpi_node_value_size(node));
	tpi_node_balance(node, other, nr / 2);
	must(tpi_node_nr(node) == nr / 2 && tpi_node_nr(other) == nr - nr / 2);
	tpi_node_balance(node, other, nr);
	must(tpi_node_nr(node) == nr && !tpi_node_nr(other));
	must(!memcmp(node->keys, copy->keys, nr * sizeof(le64)));
	must(!memcmp(tpi_node_values(node, 0), tpi_node_values(copy, 0),
		     nr * tpi_node_value_size(node)));
	free(other);
	free(copy);
}

static void try_node(const uint8_t *data, size_t size)
{
	struct tpi_node *node = make_block(data, size, TPI_MBLOCK_BYTES);

	tpi_seal(&tpi_node_validator, NUMBER, node);
	if (!tpi_validate(&tpi_node_validator, NUMBER, node)) {
		search_node(node, 0);
		search_node(node, UINT64_MAX);
		for (uint32_t i = 0; i < tpi_node_nr(node); i++)
			search_node(node, tpi_node_key(node, i) + 1);
		move_entries(node);
		if (tpi_node_nr(node))
			tpi_node_erase(node, 0, 1);
	}
	free(node);
}

/*---------------------------- the others -----------------------------------*/

static void try_bitmap(const uint8_t *data, size_t size)
{
	struct tpi_disk_bitmap *bitmap =
		make_block(data, size, TPI_MBLOCK_BYTES);
	unsigned first = tpi_bitmap_first_zero(bitmap), nr_zero = 0;

	for (unsigned i = 0; i < TPI_BITMAP_ENTRIES; i++) {
		nr_zero += !tpi_bitmap_get(bitmap, i);
		must(i >= first || tpi_bitmap_get(bitmap, i));
	}
	must(tpi_bitmap_nr_zero(bitmap) == nr_zero);
	must(tpi_bitmap_is_zero_from(bitmap, 0) ==
	     (nr_zero == TPI_BITMAP_ENTRIES));
	free(bitmap);
}

static void try_superblock(const uint8_t *data, size_t size)
{
	struct tpi_disk_superblock *sb =
		make_block(data, size, TPI_MBLOCK_BYTES);

	sb->magic = le64_make(TPI_SUPERBLOCK_MAGIC);
	tpi_seal(&tpi_superblock_validator, 0, sb);
	tpi_superblock_check(sb, true);
	tpi_superblock_check(sb, false);
	free(sb);
}

static int take_entry(struct tpi_entry *entry, void *context)
{
	must(strlen(entry->name) <= TP_NAME_MAX);
	free(entry);

	return 0;
}

/* Where doc/catalogue.md has its parts. */
#define PAGE_AT_CHECKSUM 8
#define PAGE_AT_LENGTH 16

static void seal_page(char *page)
{
	uint64_t checksum;
	uint32_t length;

	memcpy(page, "thinname", 8);
	memcpy(&length, page + PAGE_AT_LENGTH, sizeof(length));
	length = le32toh(length);
	if (length < PAGE_AT_LENGTH || length > TPI_CATALOGUE_PAGE_BYTES)
		return;
	checksum = htole64(
		XXH3_64bits(page + PAGE_AT_LENGTH, length - PAGE_AT_LENGTH));
	memcpy(page + PAGE_AT_CHECKSUM, &checksum, sizeof(checksum));
}

static void try_page(const uint8_t *data, size_t size)
{
	char *page = make_block(data, size, TPI_CATALOGUE_PAGE_BYTES);

	seal_page(page);
	tpi_page_read(page, 0, take_entry, NULL);
	free(page);
}

static void (*const kinds[])(const uint8_t *data, size_t size) = {
	try_node,
	try_bitmap,
	try_superblock,
	try_page,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size)
		kinds[data[0] % TPI_ARRAY_SIZE(kinds)](data + 1, size - 1);

	return 0;
}
