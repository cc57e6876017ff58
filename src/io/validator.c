/*
 * validator.c - number and checksum of metadata blocks.
 *
 * The checksum covers all of the block but itself (metadata-format.md, 1.1).
 */
#include <inttypes.h>

#include "io/crc32c.h"
#include "io/validator.h"

const struct tpi_validator tpi_superblock_validator = {
	.name = "superblock",
	.csum_xor = 160774,
};

const struct tpi_validator tpi_index_validator = {
	.name = "metadata index block",
	.csum_xor = 160478,
};

const struct tpi_validator tpi_bitmap_validator = {
	.name = "bitmap block",
	.csum_xor = 240779,
};

static uint32_t block_csum(const struct tpi_validator *validator,
			   const void *data)
{
	const size_t start = sizeof(le32);

	return validator->csum_xor ^ tpi_crc32c_raw((const char *)data + start,
						    TPI_MBLOCK_BYTES - start);
}

int tpi_validate(const struct tpi_validator *validator, tp_mblock block,
		 const void *data)
{
	const struct tpi_block_header *header = data;
	uint64_t number = le64_get(header->blocknr);
	uint32_t csum = le32_get(header->csum), expected;

	if (number != block)
		return tpi_damage(validator->name,
				  "block %" PRIu64
				  " says that it is block %" PRIu64,
				  block, number);

	expected = block_csum(validator, data);
	if (csum != expected)
		return tpi_damage(validator->name,
				  "block %" PRIu64 " has checksum %08" PRIx32
				  ", expected %08" PRIx32,
				  block, csum, expected);

	return validator->check ? validator->check(block, data) : 0;
}

void tpi_seal(const struct tpi_validator *validator, tp_mblock block,
	      void *data)
{
	struct tpi_block_header *header = data;

	header->blocknr = le64_make(block);
	header->csum = le32_make(block_csum(validator, data));
}
