/*
 * Metadata blocks are sealed before they go out and checked when they come in
 * (metadata-format.md, 1.1).
 */
#include <string.h>

#include "io/validator.h"
#include "support/run-tests.h"

static uint8_t block[TPI_MBLOCK_BYTES] __attribute__((aligned(8)));

static uint32_t csum_of(const struct tpi_validator *validator)
{
	const struct tpi_block_header *header = (const void *)block;

	tpi_seal(validator, le64_get(header->blocknr), block);

	return le32_get(header->csum);
}

/* metadata-format.md, 21.1: the content is given as it is, number and all. */
START_TEST(test_checksums_are_those_of_the_format)
{
	memset(block, 0, sizeof(block));
	ck_assert_uint_eq(csum_of(&tpi_superblock_validator), 0x58cfd397);
	ck_assert_uint_eq(csum_of(&tpi_index_validator), 0x58cfd54f);
	ck_assert_uint_eq(csum_of(&tpi_bitmap_validator), 0x58ce0b1a);

	for (unsigned i = 0; i < sizeof(block); i++)
		block[i] = i & 0xff;
	ck_assert_uint_eq(csum_of(&tpi_superblock_validator), 0x80ea3d27);

	memset(block, 0xff, sizeof(block));
	ck_assert_uint_eq(csum_of(&tpi_bitmap_validator), 0x82f00af6);
}
END_TEST

START_TEST(test_a_sealed_block_is_valid)
{
	memset(block, 0x5a, sizeof(block));
	tpi_seal(&tpi_bitmap_validator, 17, block);
	ck_assert_int_eq(tpi_validate(&tpi_bitmap_validator, 17, block), 0);
}
END_TEST

/* A block that was written to the wrong place. */
START_TEST(test_a_block_that_belongs_elsewhere_is_damage)
{
	tpi_seal(&tpi_bitmap_validator, 17, block);
	ck_assert_int_eq(tpi_validate(&tpi_bitmap_validator, 18, block),
			 -EILSEQ);
	ck_assert_ptr_nonnull(strstr(tp_last_error(), "block 18 says"));
}
END_TEST

START_TEST(test_a_block_of_another_type_is_damage)
{
	tpi_seal(&tpi_bitmap_validator, 17, block);
	ck_assert_int_eq(tpi_validate(&tpi_index_validator, 17, block),
			 -EILSEQ);
	ck_assert_ptr_nonnull(strstr(tp_last_error(), "checksum"));
}
END_TEST

START_TEST(test_every_flipped_bit_is_damage)
{
	memset(block, 0, sizeof(block));
	tpi_seal(&tpi_bitmap_validator, 17, block);
	for (unsigned i = 0; i < sizeof(block); i++) {
		block[i] ^= 1u << i % 8;
		ck_assert_int_eq(tpi_validate(&tpi_bitmap_validator, 17, block),
				 -EILSEQ);
		block[i] ^= 1u << i % 8;
	}
	ck_assert_int_eq(tpi_validate(&tpi_bitmap_validator, 17, block), 0);
}
END_TEST

static int refuse(tp_mblock nr, const void *data)
{
	return tpi_damage("refused", "block %u", (unsigned)nr);
}

/* What a type adds is asked last, of blocks that are otherwise whole. */
START_TEST(test_a_type_may_check_more)
{
	const struct tpi_validator strict = { "strict block", 1234, refuse };

	tpi_seal(&strict, 17, block);
	ck_assert_int_eq(tpi_validate(&strict, 17, block), -EILSEQ);
	ck_assert_str_eq(tp_last_error(), "damage in refused: block 17");
}
END_TEST

int main(void)
{
	return RUN_TESTS("validator", 1, test_checksums_are_those_of_the_format,
			 test_a_sealed_block_is_valid,
			 test_a_block_that_belongs_elsewhere_is_damage,
			 test_a_block_of_another_type_is_damage,
			 test_every_flipped_bit_is_damage,
			 test_a_type_may_check_more);
}
