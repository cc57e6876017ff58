/*
 * The checksum, by the processor and by tables, against the vectors of
 * metadata-format.md, 21.1.  The source is included, for on a processor that
 * has the instruction nothing else would ever run the tables.
 */
#include <stdlib.h>

#include "io/crc32c.c"
#include "support/run-tests.h"

static void fill_block(uint8_t block[4096], int kind)
{
	for (unsigned i = 0; i < 4096; i++)
		block[i] = kind == 0 ? 0 : kind == 1 ? i & 0xff : 0xff;
}

START_TEST(test_the_standard_vector_is_met)
{
	ck_assert_uint_eq(tpi_crc32c_raw("123456789", 9), 0x1cf96d7c);
	ck_assert_uint_eq(~tpi_crc32c_raw("123456789", 9), 0xe3069283);
	ck_assert_uint_eq(tpi_crc32c_raw("", 0), UINT32_MAX);
}
END_TEST

START_TEST(test_the_vectors_of_whole_blocks_are_met)
{
	const uint32_t expected[] = { 0x58cda791, 0x80e84921, 0x82f3a67d };
	uint8_t block[4096];

	for (int kind = 0; kind < 3; kind++) {
		fill_block(block, kind);
		ck_assert_uint_eq(tpi_crc32c_raw(block + 4, 4092),
				  expected[kind]);
	}
}
END_TEST

/* At every alignment and length, since both go by eights. */
START_TEST(test_tables_and_processor_agree)
{
	uint8_t bytes[256];

	if (!processor_can())
		return;
	fill_tables();
	srand(1);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rand();

	for (unsigned start = 0; start < 16; start++)
		for (unsigned length = 0; length < 200; length++)
			ck_assert_uint_eq(
				update_by_tables(start * 77, bytes + start,
						 length),
				update_by_processor(start * 77, bytes + start,
						    length));
}
END_TEST

/* From one lane to three, and to three twice. */
START_TEST(test_tables_and_processor_agree_on_long_runs)
{
	static uint8_t bytes[3 * 4096];

	if (!processor_can())
		return;
	fill_tables();
	fill_shifts();
	srand(2);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rand();

	for (unsigned length = 4070; length < 8200; length += 5)
		ck_assert_uint_eq(
			update_by_tables(length, bytes + length % 16, length),
			update_by_processor(length, bytes + length % 16,
					    length));
}
END_TEST

START_TEST(test_tables_meet_the_vectors)
{
	fill_tables();
	ck_assert_uint_eq(update_by_tables(UINT32_MAX,
					   (const uint8_t *)"123456789", 9),
			  0x1cf96d7c);
}
END_TEST

int main(void)
{
	return RUN_TESTS("crc32c", 1, test_the_standard_vector_is_met,
			 test_the_vectors_of_whole_blocks_are_met,
			 test_tables_and_processor_agree,
			 test_tables_and_processor_agree_on_long_runs,
			 test_tables_meet_the_vectors);
}
