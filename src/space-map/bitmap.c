/*
 * bitmap.c - the entries of one bitmap block, a word of 32 at a time.
 */
#include "space-map/bitmap.h"

#define EVEN_BITS 0x5555555555555555u

/* The lower bits of 32 pairs, side by side. */
static uint64_t squeeze(uint64_t pairs)
{
	pairs &= EVEN_BITS;
	pairs = (pairs | pairs >> 1) & 0x3333333333333333u;
	pairs = (pairs | pairs >> 2) & 0x0f0f0f0f0f0f0f0fu;
	pairs = (pairs | pairs >> 4) & 0x00ff00ff00ff00ffu;
	pairs = (pairs | pairs >> 8) & 0x0000ffff0000ffffu;

	return (pairs | pairs >> 16) & 0x00000000ffffffffu;
}

/* The lower bit of each pair that is zero. */
static uint64_t zero_pairs(uint64_t word)
{
	return ~(word | word >> 1) & EVEN_BITS;
}

uint64_t tpi_bitmap_zeroes(const struct tpi_disk_bitmap *bitmap, unsigned group)
{
	uint64_t low = le64_get(bitmap->words[2 * group]);
	uint64_t high = le64_get(bitmap->words[2 * group + 1]);

	return squeeze(zero_pairs(low)) | squeeze(zero_pairs(high)) << 32;
}

unsigned tpi_bitmap_nr_zero(const struct tpi_disk_bitmap *bitmap)
{
	unsigned i, nr = 0;

	for (i = 0; i < TPI_BITMAP_WORDS; i++)
		nr += (unsigned)__builtin_popcountll(
			zero_pairs(le64_get(bitmap->words[i])));

	return nr;
}

unsigned tpi_bitmap_first_zero(const struct tpi_disk_bitmap *bitmap)
{
	unsigned i;

	for (i = 0; i < TPI_BITMAP_WORDS; i++) {
		uint64_t zero = zero_pairs(le64_get(bitmap->words[i]));

		if (zero)
			return 32 * i + (unsigned)__builtin_ctzll(zero) / 2;
	}

	return TPI_BITMAP_ENTRIES;
}

unsigned tpi_bitmap_nr_large(const struct tpi_disk_bitmap *bitmap)
{
	unsigned i, nr = 0;

	for (i = 0; i < TPI_BITMAP_WORDS; i++) {
		uint64_t word = le64_get(bitmap->words[i]);

		nr += (unsigned)__builtin_popcountll(word & word >> 1 &
						     EVEN_BITS);
	}

	return nr;
}

bool tpi_bitmap_is_zero_from(const struct tpi_disk_bitmap *bitmap,
			     unsigned begin)
{
	unsigned i = begin / 32;

	if (begin % 32 && le64_get(bitmap->words[i++]) >> (2 * (begin % 32)))
		return false;
	while (i < TPI_BITMAP_WORDS && !bitmap->words[i].raw)
		i++;

	return i == TPI_BITMAP_WORDS;
}
