/*
 * The entries of a bitmap, one by one and a word at a time.
 */
#include "space-map/bitmap.h"

#include <string.h>

#include "space-map/maps.h"

static void fill(struct tpi_disk_bitmap *bitmap, const unsigned *counts,
		 unsigned nr)
{
	unsigned i;

	memset(bitmap, 0, sizeof(*bitmap));
	for (i = 0; i < nr; i++)
		tpi_bitmap_set(bitmap, i, counts[i] < 3 ? counts[i] : 3);
	for (i = 0; i < nr; i++)
		ck_assert_uint_eq(tpi_bitmap_get(bitmap, i),
				  counts[i] < 3 ? counts[i] : 3);
}

/* The vectors of metadata-format.md, 21.3: bytes at offset 16. */
START_TEST(test_counts_are_packed_as_the_kernel_packs_them)
{
	static const struct {
		unsigned counts[16], nr;
		unsigned char bytes[4];
	} vectors[] = {
		{ { 1, 0, 0, 0 }, 4, { 0x02 } },
		{ { 0, 1, 0, 0 }, 4, { 0x08 } },
		{ { 2, 0, 0, 0 }, 4, { 0x01 } },
		{ { 3, 0, 0, 0 }, 4, { 0x03 } },
		{ { 0, 1, 2, 3 }, 4, { 0xd8 } },
		{ { 5, 2, 1, 0, 1, 1, 2, 9 }, 8, { 0x27, 0xda } },
		{ { 1, 1, 1, 1, 1, 1, 1, 1 }, 16, { 0xaa, 0xaa } },
		{ { 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0 },
		  12,
		  { 0xaa, 0xaa, 0x28 } },
	};
	struct tpi_disk_bitmap bitmap;
	unsigned i;

	for (i = 0; i < TPI_ARRAY_SIZE(vectors); i++) {
		fill(&bitmap, vectors[i].counts, vectors[i].nr);
		ck_assert_mem_eq((char *)&bitmap + 16, vectors[i].bytes, 4);
	}
}
END_TEST

static void check_against_entries(const struct tpi_disk_bitmap *bitmap)
{
	unsigned i, nr_zero = 0, nr_large = 0, end = 0;
	unsigned first = TPI_BITMAP_ENTRIES;

	for (i = 0; i < TPI_BITMAP_ENTRIES; i++) {
		unsigned count = tpi_bitmap_get(bitmap, i);
		uint64_t zeroes = tpi_bitmap_zeroes(bitmap, i / 64);

		EXPECT((zeroes >> (i % 64) & 1) == (count == 0));
		nr_zero += count == 0;
		nr_large += count == 3;
		if (!count && first > i)
			first = i;
		if (count)
			end = i + 1;
	}
	ck_assert_uint_eq(tpi_bitmap_nr_zero(bitmap), nr_zero);
	ck_assert_uint_eq(tpi_bitmap_nr_large(bitmap), nr_large);
	ck_assert_uint_eq(tpi_bitmap_first_zero(bitmap), first);
	ck_assert(tpi_bitmap_is_zero_from(bitmap, end));
	ck_assert(!end || !tpi_bitmap_is_zero_from(bitmap, end - 1));
	ck_assert(!end || !tpi_bitmap_is_zero_from(bitmap, 0));
}

/* Words are what allocation and loading go by; entries are what is true. */
START_TEST(test_words_agree_with_entries)
{
	struct tpi_disk_bitmap bitmap = { 0 };
	unsigned i, round;

	check_against_entries(&bitmap);
	for (round = 0; round < 200; round++) {
		unsigned nr = (unsigned)chance(100) * (1 + round % 7);
		unsigned below = (unsigned)(1 + chance(TPI_BITMAP_ENTRIES));

		for (i = 0; i < nr; i++)
			tpi_bitmap_set(&bitmap, (unsigned)chance(below),
				       (unsigned)chance(4));
		check_against_entries(&bitmap);
	}
	for (i = 0; i < TPI_BITMAP_ENTRIES; i++)
		tpi_bitmap_set(&bitmap, i, 1 + i % 3);
	check_against_entries(&bitmap);
	for (i = 0; i < TPI_BITMAP_ENTRIES; i++)
		tpi_bitmap_set(&bitmap, i, 0);
	check_against_entries(&bitmap);
}
END_TEST

int main(void)
{
	chance_init();

	return RUN_TESTS("bitmap", 1,
			 test_counts_are_packed_as_the_kernel_packs_them,
			 test_words_agree_with_entries);
}
