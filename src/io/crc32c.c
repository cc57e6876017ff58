/*
 * crc32c.c - CRC-32C, by the processor's instruction or by tables.
 *
 * Which of the two is decided once, at the first call.
 */
#include <endian.h>
#include <pthread.h>
#include <string.h>

#include "io/crc32c.h"

#define POLYNOMIAL 0x82f63b78u /* Castagnoli, reflected */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint32_t (*update)(uint32_t crc, const uint8_t *p, size_t length);

/*---------------------------- by tables ------------------------------------*/

/* tables[n][byte]: what a byte does to the register n bytes later. */
static uint32_t tables[8][256];

static void fill_tables(void)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		uint32_t crc = byte;

		for (unsigned bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
		tables[0][byte] = crc;
	}

	for (unsigned n = 1; n < 8; n++)
		for (unsigned byte = 0; byte < 256; byte++) {
			uint32_t crc = tables[n - 1][byte];

			tables[n][byte] = (crc >> 8) ^ tables[0][crc & 0xff];
		}
}

static uint32_t update_eight_by_tables(uint32_t crc, const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	word = le64toh(word) ^ crc;

	crc = 0;
	for (unsigned i = 0; i < 8; i++)
		crc ^= tables[7 - i][(word >> (8 * i)) & 0xff];

	return crc;
}

static uint32_t update_by_tables(uint32_t crc, const uint8_t *p, size_t length)
{
	for (; length >= 8; p += 8, length -= 8)
		crc = update_eight_by_tables(crc, p);
	for (; length; p++, length--)
		crc = (crc >> 8) ^ tables[0][(crc ^ *p) & 0xff];

	return crc;
}

/*---------------------------- by the processor -----------------------------*/

#ifdef __x86_64__

#define WITH_SSE42 __attribute__((target("sse4.2")))

/*
 * An instruction takes three cycles, but another can begin in each: so three
 * lanes of bytes side by side go as fast as one.  Three of this length are all
 * of a metadata block but its last 12 bytes.
 */
#define LANE_BYTES 1360u
#define LANE_WORDS (LANE_BYTES / 8)

/* shifts[n][byte]: what that byte of the register becomes a lane later. */
static uint32_t shifts[4][256];

static uint64_t word_at(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));

	return word;
}

WITH_SSE42 static uint32_t update_one_lane(uint32_t crc, const uint8_t *p,
					   size_t length)
{
	uint64_t wide = crc;

	for (; length >= 8; p += 8, length -= 8)
		wide = __builtin_ia32_crc32di(wide, word_at(p));

	crc = (uint32_t)wide;
	for (; length; p++, length--)
		crc = __builtin_ia32_crc32qi(crc, *p);

	return crc;
}

/* The register after a lane is linear in its bits before. */
static void fill_shifts(void)
{
	static const uint8_t zeroes[LANE_BYTES];

	for (unsigned bit = 0; bit < 32; bit++) {
		uint32_t after = update_one_lane(1u << bit, zeroes, LANE_BYTES);
		uint32_t *shift = shifts[bit / 8], highest = 1u << bit % 8;

		for (uint32_t rest = 0; rest < highest; rest++)
			shift[highest + rest] = shift[rest] ^ after;
	}
}

static uint32_t shift_by_lane(uint32_t crc)
{
	return shifts[0][crc & 0xff] ^ shifts[1][crc >> 8 & 0xff] ^
	       shifts[2][crc >> 16 & 0xff] ^ shifts[3][crc >> 24];
}

WITH_SSE42 static uint32_t update_three_lanes(uint32_t crc, const uint8_t *p)
{
	uint64_t first = crc, second = 0, third = 0;

	for (unsigned i = 0; i < LANE_WORDS; i++, p += 8) {
		first = __builtin_ia32_crc32di(first, word_at(p));
		second =
			__builtin_ia32_crc32di(second, word_at(p + LANE_BYTES));
		third = __builtin_ia32_crc32di(third,
					       word_at(p + 2 * LANE_BYTES));
	}
	crc = shift_by_lane((uint32_t)first) ^ (uint32_t)second;

	return shift_by_lane(crc) ^ (uint32_t)third;
}

static uint32_t update_by_processor(uint32_t crc, const uint8_t *p,
				    size_t length)
{
	const size_t lanes = 3 * (size_t)LANE_BYTES;

	for (; length >= lanes; p += lanes, length -= lanes)
		crc = update_three_lanes(crc, p);

	return update_one_lane(crc, p, length);
}

static int processor_can(void)
{
	return __builtin_cpu_supports("sse4.2");
}

#else

#define update_by_processor update_by_tables

static void fill_shifts(void)
{
}

static int processor_can(void)
{
	return 0;
}

#endif

/*---------------------------------------------------------------------------*/

static void choose(void)
{
	if (processor_can()) {
		fill_shifts();
		update = update_by_processor;
		return;
	}
	fill_tables();
	update = update_by_tables;
}

uint32_t tpi_crc32c_raw(const void *data, size_t length)
{
	pthread_once(&once, choose);

	return update(UINT32_MAX, data, length);
}
