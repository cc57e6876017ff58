/*
 * The bytes of a page of the catalogue: what is written is read back, and what
 * was damaged is refused, whoever damaged it, without a look beyond the page.
 *
 * SEED=n in the environment repeats a random walk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "catalogue/page.h"
#include "support/run-tests.h"

#define PAGE_NUMBER 7

/* Where doc/catalogue.md has them. */
#define AT_CHECKSUM 8
#define AT_LENGTH 16
#define AT_VERSION 20
#define AT_PAGE 24
#define AT_NR_ENTRIES 28
#define AT_ENTRY 32
#define AT_FLAGS (AT_ENTRY + 4)
#define AT_SIZE (AT_ENTRY + 8)
#define AT_ORIGIN (AT_ENTRY + 28)
#define AT_NAME_LENGTH (AT_ENTRY + 32)
#define AT_NAME (AT_ENTRY + 33)

static unsigned char *page; /* exactly as long as a page */

static unsigned seed(void)
{
	const char *text = getenv("SEED");
	unsigned seed = text ? (unsigned)strtoul(text, NULL, 0) : 1;

	printf("SEED=%u\n", seed);

	return seed;
}

/*---------------------------- making pages ---------------------------------*/

static void add(const char *name, uint32_t id, uint64_t size)
{
	struct tpi_entry *entry = tpi_entry_new(name, strlen(name));

	entry->id = id;
	entry->size = size;
	entry->flags = TP_VOLUME_READ_ONLY;
	entry->transaction_id = 1000 + id;
	entry->creation_time = 2000 + id;
	entry->origin = id ? id - 1 : TPI_NO_ORIGIN;
	tpi_page_add(page, entry);
	free(entry);
}

static void make_page(void)
{
	tpi_page_start(page, PAGE_NUMBER);
	add("base", 0, 512);
	add("caf\xc3\xa9", 1, 1 << 20);
	add("last", (1 << 24) - 1, ((uint64_t)1 << 63) - 512);
	tpi_page_seal(page);
}

static void put_le32(size_t at, uint32_t value)
{
	le32 disk = le32_make(value);

	memcpy(page + at, &disk, sizeof(disk));
}

/* Make the checksum right, as an attacker would. */
static void reseal(void)
{
	le32 length;
	le64 checksum;

	memcpy(&length, page + AT_LENGTH, sizeof(length));
	checksum = le64_make(
		XXH3_64bits(page + AT_LENGTH, le32_get(length) - AT_LENGTH));
	memcpy(page + AT_CHECKSUM, &checksum, sizeof(checksum));
}

/*---------------------------- reading them ---------------------------------*/

struct seen {
	unsigned nr;
	struct tpi_entry *entries[8];
};

static int see(struct tpi_entry *entry, void *context)
{
	struct seen *seen = context;

	ck_assert_uint_lt(seen->nr, 8);
	seen->entries[seen->nr++] = entry;

	return 0;
}

static void forget(struct seen *seen)
{
	while (seen->nr)
		free(seen->entries[--seen->nr]);
}

static int drop(struct tpi_entry *entry, void *context)
{
	free(entry);

	return 0;
}

static int read_page(void)
{
	return tpi_page_read(page, PAGE_NUMBER, drop, NULL);
}

START_TEST(test_what_was_written_is_read_back)
{
	struct seen seen = { 0 };
	const struct tpi_entry *last;

	make_page();
	ck_assert_int_eq(tpi_page_read(page, PAGE_NUMBER, see, &seen), 0);
	ck_assert_uint_eq(seen.nr, 3);
	ck_assert_str_eq(seen.entries[0]->name, "base");
	ck_assert_uint_eq(seen.entries[0]->origin, TPI_NO_ORIGIN);
	ck_assert_str_eq(seen.entries[1]->name, "caf\xc3\xa9");

	last = seen.entries[2];
	ck_assert_str_eq(last->name, "last");
	ck_assert_uint_eq(last->page, PAGE_NUMBER);
	ck_assert_uint_eq(last->id, (1 << 24) - 1);
	ck_assert_uint_eq(last->size, ((uint64_t)1 << 63) - 512);
	ck_assert_uint_eq(last->flags, TP_VOLUME_READ_ONLY);
	ck_assert_uint_eq(last->transaction_id, 1000 + last->id);
	ck_assert_uint_eq(last->creation_time, 2000 + last->id);
	ck_assert_uint_eq(last->origin, last->id - 1);
	forget(&seen);
}
END_TEST

START_TEST(test_details_can_be_corrected_before_sealing)
{
	struct seen seen = { 0 };
	struct tpi_entry *entry = tpi_entry_new("x", 1);
	size_t at;

	entry->size = 512;
	tpi_page_start(page, PAGE_NUMBER);
	at = tpi_page_add(page, entry);
	tpi_page_set_details(page, at, UINT64_MAX, 77);
	tpi_page_seal(page);
	free(entry);

	ck_assert_int_eq(tpi_page_read(page, PAGE_NUMBER, see, &seen), 0);
	ck_assert_uint_eq(seen.entries[0]->transaction_id, UINT64_MAX);
	ck_assert_uint_eq(seen.entries[0]->creation_time, 77);
	forget(&seen);
}
END_TEST

/* The layout is a promise: these bytes may not change unnoticed. */
START_TEST(test_the_bytes_are_those_of_the_document)
{
	static const unsigned char entry[] = {
		5, 0, 0, 0, 1, 0, 0,    0, 0, 0, 16, 0, 0, 0, 0, 0,   0xed, 3,
		0, 0, 0, 0, 0, 0, 0xd5, 7, 0, 0, 4,  0, 0, 0, 3, 'v', 'o',  'l',
	};

	tpi_page_start(page, PAGE_NUMBER);
	add("vol", 5, 1 << 20);
	tpi_page_seal(page);
	ck_assert_mem_eq(page, "thinname", 8);
	ck_assert_mem_eq(page + AT_LENGTH, "\x44\0\0\0\1\0\0\0\7\0\0\0\1\0\0\0",
			 16);
	ck_assert_mem_eq(page + AT_ENTRY, entry, sizeof(entry));
	ck_assert_uint_eq(sizeof(entry), 0x44 - AT_ENTRY);
	for (size_t i = 0x44; i < TPI_CATALOGUE_PAGE_BYTES; i++)
		ck_assert_uint_eq(page[i], 0);
}
END_TEST

/* The last name is as long as there is room. */
START_TEST(test_a_page_can_be_filled_to_the_last_byte)
{
	char name[256];
	size_t left = TPI_CATALOGUE_PAGE_BYTES - AT_ENTRY;
	uint32_t id = 0;

	tpi_page_start(page, PAGE_NUMBER);
	for (; left >= 2 * 40; id++, left -= 40) {
		snprintf(name, sizeof(name), "v%06u", id);
		add(name, id, 512);
	}
	snprintf(name, sizeof(name), "%0*u", (int)(left - 33), id);
	add(name, id, 512);
	tpi_page_seal(page);
	ck_assert_uint_eq(tpi_page_length(page), TPI_CATALOGUE_PAGE_BYTES);
	ck_assert_int_eq(read_page(), 0);
}
END_TEST

START_TEST(test_zeroes_are_no_page)
{
	memset(page, 0, TPI_CATALOGUE_PAGE_BYTES);
	ck_assert_int_eq(read_page(), -EILSEQ);
	ck_assert_str_ne(tp_last_error(), "");
}
END_TEST

START_TEST(test_a_page_in_anothers_place_is_damage)
{
	make_page();
	ck_assert_int_eq(tpi_page_read(page, PAGE_NUMBER + 1, drop, NULL),
			 -EILSEQ);
}
END_TEST

/*---------------------------- growing --------------------------------------*/

START_TEST(test_an_unknown_version_is_refused_with_a_sentence)
{
	make_page();
	put_le32(AT_VERSION, 2);
	reseal();
	ck_assert_int_eq(read_page(), -EINVAL);
	ck_assert_ptr_nonnull(strstr(tp_last_error(), "version 2"));
}
END_TEST

START_TEST(test_an_unknown_flag_that_is_needed_is_refused)
{
	make_page();
	put_le32(AT_FLAGS, 1u << 15);
	reseal();
	ck_assert_int_eq(read_page(), -EINVAL);
	ck_assert_ptr_nonnull(strstr(tp_last_error(), "0x8000"));
}
END_TEST

START_TEST(test_an_unknown_flag_that_is_not_needed_is_kept)
{
	struct seen seen = { 0 };

	make_page();
	put_le32(AT_FLAGS, 1u << 16);
	reseal();
	ck_assert_int_eq(tpi_page_read(page, PAGE_NUMBER, see, &seen), 0);
	ck_assert_uint_eq(seen.entries[0]->flags, 1u << 16);
	forget(&seen);
}
END_TEST

/*---------------------------- damage ---------------------------------------*/

/* Each field with a value that it cannot have, under a good checksum. */
START_TEST(test_fields_that_cannot_be_are_damage)
{
	static const struct {
		size_t at;
		uint32_t value;
	} bad[] = {
		{ 0, 0 },
		{ AT_PAGE, PAGE_NUMBER + 1 },
		{ AT_NR_ENTRIES, 2 },
		{ AT_NR_ENTRIES, 4 },
		{ AT_NR_ENTRIES, UINT32_MAX },
		{ AT_ENTRY, 1 << 24 },
		{ AT_SIZE, 1 },
		{ AT_SIZE, 513 },
		{ AT_SIZE + 4, 1u << 31 },
		{ AT_ORIGIN, 1 << 24 },
		{ AT_NAME, 'a' << 8 | '/' },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_page();
		put_le32(bad[i].at, bad[i].value);
		reseal();
		ck_assert_msg(read_page() == -EILSEQ, "number %zu", i);
	}
}
END_TEST

START_TEST(test_a_length_out_of_bounds_is_damage)
{
	static const uint32_t bad[] = {
		0, 15, 16, 31, TPI_CATALOGUE_PAGE_BYTES + 1, UINT32_MAX
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_page();
		put_le32(AT_LENGTH, bad[i]);
		ck_assert_int_eq(read_page(), -EILSEQ);
	}
}
END_TEST

START_TEST(test_a_name_of_no_bytes_or_too_many_is_damage)
{
	make_page();
	page[AT_NAME_LENGTH] = 0;
	reseal();
	ck_assert_int_eq(read_page(), -EILSEQ);

	make_page();
	page[AT_NAME_LENGTH] = 255;
	reseal();
	ck_assert_int_eq(read_page(), -EILSEQ);
}
END_TEST

/* Every bit of the bytes in use. */
START_TEST(test_every_flipped_bit_is_noticed)
{
	size_t length;
	int r;

	make_page();
	length = tpi_page_length(page);
	for (size_t bit = 0; bit < 8 * length; bit++) {
		page[bit / 8] ^= (unsigned char)(1 << bit % 8);
		r = read_page();
		ck_assert_msg(r == -EILSEQ, "bit %zu: %d", bit, r);
		page[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	ck_assert_int_eq(read_page(), 0);
}
END_TEST

/* What any attacker can do: random bytes with a good checksum.  Whatever they
 * say, it is an answer and no crash. */
START_TEST(test_random_bytes_with_a_good_checksum_do_no_harm)
{
	size_t length;
	int r;

	srandom(seed());
	for (int i = 0; i < 20000; i++) {
		make_page();
		length = tpi_page_length(page);
		for (int n = 1 + (int)(random() % 4); n; n--)
			page[AT_VERSION +
			     (size_t)random() % (length - AT_VERSION)] =
				(unsigned char)random();
		if (random() % 4 == 0)
			put_le32(AT_LENGTH,
				 32 + (uint32_t)random() %
						 (TPI_CATALOGUE_PAGE_BYTES -
						  31));
		reseal();
		r = read_page();
		ck_assert(r == 0 || r == -EILSEQ || r == -EINVAL);
	}
}
END_TEST

/* A full page of noise behind a good header. */
START_TEST(test_noise_does_no_harm)
{
	srandom(seed());
	for (int i = 0; i < 200; i++) {
		tpi_page_start(page, PAGE_NUMBER);
		for (size_t at = AT_NR_ENTRIES; at < TPI_CATALOGUE_PAGE_BYTES;
		     at++)
			page[at] = (unsigned char)random();
		put_le32(AT_LENGTH, TPI_CATALOGUE_PAGE_BYTES);
		reseal();
		ck_assert_int_ne(read_page(), 0);
	}
}
END_TEST

static int stop_at_once(struct tpi_entry *entry, void *context)
{
	int *nr = context;

	free(entry);
	++*nr;

	return -ENOMEM;
}

START_TEST(test_reading_stops_when_told_to)
{
	int nr = 0;

	make_page();
	ck_assert_int_eq(tpi_page_read(page, PAGE_NUMBER, stop_at_once, &nr),
			 -ENOMEM);
	ck_assert_int_eq(nr, 1);
}
END_TEST

int main(void)
{
	int r;

	page = malloc(TPI_CATALOGUE_PAGE_BYTES);
	r = RUN_TESTS("catalogue/page", 1, test_what_was_written_is_read_back,
		      test_details_can_be_corrected_before_sealing,
		      test_the_bytes_are_those_of_the_document,
		      test_a_page_can_be_filled_to_the_last_byte,
		      test_zeroes_are_no_page,
		      test_a_page_in_anothers_place_is_damage,
		      test_an_unknown_version_is_refused_with_a_sentence,
		      test_an_unknown_flag_that_is_needed_is_refused,
		      test_an_unknown_flag_that_is_not_needed_is_kept,
		      test_fields_that_cannot_be_are_damage,
		      test_a_length_out_of_bounds_is_damage,
		      test_a_name_of_no_bytes_or_too_many_is_damage,
		      test_every_flipped_bit_is_noticed,
		      test_random_bytes_with_a_good_checksum_do_no_harm,
		      test_noise_does_no_harm, test_reading_stops_when_told_to);
	free(page);

	return r;
}
