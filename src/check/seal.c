/*
 * seal.c - number and checksum of a block.
 */
#include "check/seal.h"

#include "io/crc32c.h"

static const struct tpi_validator *const types[] = {
	&tpi_superblock_validator,
	&tpi_node_validator,
	&tpi_index_validator,
	&tpi_bitmap_validator,
};

/* The type of a block is what its checksum was mixed with. */
static const char *name_of_type(uint32_t csum_xor)
{
	for (size_t i = 0; i < TPI_ARRAY_SIZE(types); i++)
		if (types[i]->csum_xor == csum_xor)
			return types[i]->name;

	return NULL;
}

struct tpi_seal_look tpi_seal_look(const struct tpi_validator *validator,
				   tp_mblock block, const void *data)
{
	const struct tpi_block_header *header = data;
	const size_t start = sizeof(header->csum);
	uint32_t csum_xor = le32_get(header->csum) ^
			    tpi_crc32c_raw((const char *)data + start,
					   TPI_MBLOCK_BYTES - start);
	struct tpi_seal_look look = {
		.right_checksum = csum_xor == validator->csum_xor,
		.number = le64_get(header->blocknr),
	};

	look.right_number = look.number == block;
	if (!look.right_checksum)
		look.other = name_of_type(csum_xor);

	return look;
}
