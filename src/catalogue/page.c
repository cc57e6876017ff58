/*
 * page.c - the bytes of a page of the catalogue, as doc/catalogue.md has them.
 *
 * Nothing that is read is trusted before it was checked: first that the bytes
 * in use lie within the page, then their checksum, then each entry as if there
 * were no checksum, for anyone can compute one.
 */
#include "catalogue/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "catalogue/name.h"

#define VERSION 1

static const char magic[8] = { 't', 'h', 'i', 'n', 'n', 'a', 'm', 'e' };

struct disk_header {
	char magic[8];
	le64 checksum; /* of all that follows, up to length */
	le32 length;
	le32 version;
	le32 page;
	le32 nr_entries;
} __attribute__((packed));
_Static_assert(sizeof(struct disk_header) == TPI_PAGE_HEADER_BYTES,
	       "doc/catalogue.md, a page");

struct disk_entry {
	le32 id;
	le32 flags;
	le64 size;
	le64 transaction_id;
	le32 creation_time;
	le32 origin;
	uint8_t name_length;
	char name[];
} __attribute__((packed));
_Static_assert(sizeof(struct disk_entry) == 33, "doc/catalogue.md, a page");

#define CHECKED_FROM offsetof(struct disk_header, length)

static uint64_t checksum(const void *page, size_t length)
{
	return XXH3_64bits((const char *)page + CHECKED_FROM,
			   length - CHECKED_FROM);
}

/*---------------------------- writing --------------------------------------*/

size_t tpi_page_entry_bytes(const struct tpi_entry *entry)
{
	return sizeof(struct disk_entry) + strlen(entry->name);
}

void tpi_page_start(void *page, uint32_t number)
{
	struct disk_header *header = page;

	memset(page, 0, TPI_CATALOGUE_PAGE_BYTES);
	memcpy(header->magic, magic, sizeof(magic));
	header->length = le32_make(sizeof(*header));
	header->version = le32_make(VERSION);
	header->page = le32_make(number);
}

size_t tpi_page_length(const void *page)
{
	const struct disk_header *header = page;

	return le32_get(header->length);
}

size_t tpi_page_add(void *page, const struct tpi_entry *entry)
{
	struct disk_header *header = page;
	size_t at = tpi_page_length(page);
	size_t name_length = strlen(entry->name);
	struct disk_entry *disk = (void *)((char *)page + at);

	tpi_assert(at + sizeof(*disk) + name_length <=
		   TPI_CATALOGUE_PAGE_BYTES);
	disk->id = le32_make(entry->id);
	disk->flags = le32_make(entry->flags);
	disk->size = le64_make(entry->size);
	disk->transaction_id = le64_make(entry->transaction_id);
	disk->creation_time = le32_make(entry->creation_time);
	disk->origin = le32_make(entry->origin);
	disk->name_length = (uint8_t)name_length;
	memcpy(disk->name, entry->name, name_length);

	header->length =
		le32_make((uint32_t)(at + sizeof(*disk) + name_length));
	header->nr_entries = le32_make(le32_get(header->nr_entries) + 1);

	return at;
}

void tpi_page_set_details(void *page, size_t at, uint64_t transaction_id,
			  uint32_t creation_time)
{
	struct disk_entry *disk = (void *)((char *)page + at);

	disk->transaction_id = le64_make(transaction_id);
	disk->creation_time = le32_make(creation_time);
}

void tpi_page_seal(void *page)
{
	struct disk_header *header = page;

	header->checksum = le64_make(checksum(page, tpi_page_length(page)));
}

/*---------------------------- reading --------------------------------------*/

/* "catalogue page 7", for a sentence about damage. */
struct where {
	char text[32];
};

static struct where where_is(uint32_t number)
{
	struct where where;

	snprintf(where.text, sizeof(where.text), "catalogue page %u", number);

	return where;
}

static int check_header(const void *page, uint32_t number)
{
	const struct disk_header *header = page;
	struct where where = where_is(number);
	size_t length = le32_get(header->length);

	if (memcmp(header->magic, magic, sizeof(magic)))
		return tpi_damage(where.text, "there is no magic number");
	if (length < sizeof(*header) || length > TPI_CATALOGUE_PAGE_BYTES)
		return tpi_damage(where.text, "%zu bytes in use of %u", length,
				  TPI_CATALOGUE_PAGE_BYTES);
	if (le64_get(header->checksum) != checksum(page, length))
		return tpi_damage(where.text, "the checksum is wrong");
	if (le32_get(header->version) != VERSION)
		return tpi_error(-EINVAL,
				 "%s is of version %u, and this library knows "
				 "version %u only: use a newer one",
				 where.text, le32_get(header->version),
				 VERSION);
	if (le32_get(header->page) != number)
		return tpi_damage(where.text, "page %u is in its place",
				  le32_get(header->page));

	return 0;
}

static int check_entry(const struct disk_entry *disk, uint32_t number)
{
	struct where where = where_is(number);
	uint32_t id = le32_get(disk->id), origin = le32_get(disk->origin);
	uint32_t flags = le32_get(disk->flags);
	const char *fault = tpi_name_fault(disk->name, disk->name_length);

	if (id >= TP_THIN_ID_END)
		return tpi_damage(where.text, "an entry for the id %u", id);
	if (fault)
		return tpi_damage(where.text, "the name of thin %u %s", id,
				  fault);
	if (!tpi_size_is_good(le64_get(disk->size)))
		return tpi_damage(where.text, "thin %u has a size of %llu", id,
				  (unsigned long long)le64_get(disk->size));
	if (origin >= TP_THIN_ID_END && origin != TPI_NO_ORIGIN)
		return tpi_damage(where.text, "thin %u has the origin %u", id,
				  origin);
	if (flags & TPI_ENTRY_NEEDED_FLAGS & ~TPI_ENTRY_KNOWN_FLAGS)
		return tpi_error(-EINVAL,
				 "%s: thin %u has the flags %#x, which this "
				 "library does not know: use a newer one",
				 where.text, id, flags);

	return 0;
}

/* The entry whose fixed part and name lie wholly within the bytes in use. */
static int read_entry(const struct disk_entry *disk, uint32_t number,
		      struct tpi_entry **result)
{
	struct tpi_entry *entry;
	int r = check_entry(disk, number);

	if (r)
		return r;
	entry = tpi_entry_new(disk->name, disk->name_length);
	if (!entry)
		return tpi_no_memory();
	entry->page = number;
	entry->id = le32_get(disk->id);
	entry->flags = le32_get(disk->flags);
	entry->origin = le32_get(disk->origin);
	entry->size = le64_get(disk->size);
	entry->transaction_id = le64_get(disk->transaction_id);
	entry->creation_time = le32_get(disk->creation_time);
	*result = entry;

	return 0;
}

/* The entry at @at, NULL if it does not lie within the bytes in use. */
static const struct disk_entry *entry_at(const void *page, size_t at)
{
	const struct disk_entry *disk = (const void *)((const char *)page + at);
	size_t left = tpi_page_length(page) - at;

	if (left < sizeof(*disk) || left - sizeof(*disk) < disk->name_length)
		return NULL;

	return disk;
}

int tpi_page_read(const void *page, uint32_t number,
		  int (*each)(struct tpi_entry *entry, void *context),
		  void *context)
{
	const struct disk_header *header = page;
	const struct disk_entry *disk;
	struct where where = where_is(number);
	struct tpi_entry *entry = NULL;
	size_t at = sizeof(*header);
	int r = check_header(page, number);

	for (uint32_t i = 0; !r && i < le32_get(header->nr_entries); i++) {
		disk = entry_at(page, at);
		if (!disk)
			return tpi_damage(where.text, "entry %u of %u is cut",
					  i, le32_get(header->nr_entries));
		r = read_entry(disk, number, &entry);
		if (!r)
			r = each(entry, context);
		at += sizeof(*disk) + disk->name_length;
	}
	if (!r && at != tpi_page_length(page))
		return tpi_damage(where.text, "%zu bytes after the last entry",
				  tpi_page_length(page) - at);

	return r;
}
