/*
 * edits.c - an input of a fuzzer as edits of a good metadata image.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/edits.h"
#include "support/metadata-image.h"

#define HEADER_BYTES 4
#define EDIT_BYTES 12

/* Those that are small, for speed; made once, at the first input. */
static const enum specimen_kind kinds[] = { SPECIMEN_SMALL, SPECIMEN_HELD,
					    SPECIMEN_CATALOGUE, SPECIMEN_FULL };
#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct specimen *get_specimen(size_t i)
{
	static struct specimen specimens[NR_KINDS];

	if (!specimens[i].metadata)
		specimen_make(&specimens[i], kinds[i]);

	return &specimens[i];
}

static uint16_t get16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

/* The block that was changed, as an index. */
static size_t apply_one(const struct image *image, const uint8_t *edit)
{
	size_t i = get16(edit) % image->nr_blocks;
	unsigned where = get16(edit + 2);
	unsigned at = where % TPI_MBLOCK_BYTES;
	unsigned nr = 1u << (where / TPI_MBLOCK_BYTES % 4);

	if (nr > TPI_MBLOCK_BYTES - at)
		nr = TPI_MBLOCK_BYTES - at;
	memcpy((char *)image_data(image, i) + at, edit + 4, nr);

	return i;
}

static void apply_all(const uint8_t *data, size_t size, struct edited *edited)
{
	struct image image;
	size_t i;

	image_survey(&image, edited->metadata,
		     edited->specimen->sizes.metadata_bytes);
	for (unsigned nr = 0; nr < EDITS_MAX && size >= EDIT_BYTES; nr++) {
		i = apply_one(&image, data);
		if (edited->sealed)
			image_seal(&image, i);
		data += EDIT_BYTES;
		size -= EDIT_BYTES;
	}
	image_exit(&image);
}

bool edits_apply(const uint8_t *data, size_t size, struct edited *edited)
{
	uint64_t bytes;

	if (size < HEADER_BYTES)
		return false;
	edited->specimen = get_specimen(data[0] % NR_KINDS);
	edited->sealed = !(data[1] & 1);
	edited->seed = get16(data + 2);
	bytes = edited->specimen->sizes.metadata_bytes;
	edited->metadata = malloc(bytes);
	if (!edited->metadata)
		abort();
	memcpy(edited->metadata, edited->specimen->metadata, bytes);
	apply_all(data + HEADER_BYTES, size - HEADER_BYTES, edited);

	return true;
}

void edits_free(struct edited *edited)
{
	free(edited->metadata);
}
