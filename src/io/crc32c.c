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

__attribute__((target("sse4.2"))) static uint32_t
update_by_processor(uint32_t crc, const uint8_t *p, size_t length)
{
	uint64_t wide = crc;

	for (; length >= 8; p += 8, length -= 8) {
		uint64_t word;

		memcpy(&word, p, sizeof(word));
		wide = __builtin_ia32_crc32di(wide, word);
	}

	crc = (uint32_t)wide;
	for (; length; p++, length--)
		crc = __builtin_ia32_crc32qi(crc, *p);

	return crc;
}

static int processor_can(void)
{
	return __builtin_cpu_supports("sse4.2");
}

#else

#define update_by_processor update_by_tables

static int processor_can(void)
{
	return 0;
}

#endif

/*---------------------------------------------------------------------------*/

static void choose(void)
{
	if (processor_can()) {
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
