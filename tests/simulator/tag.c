/*
 * tag.c - sectors that say who wrote them.
 *
 * The tag itself, then words that are derived from it.
 */
#include <string.h>

#include "simulator/tag.h"
#include "support/pattern.h"

#define NR_WORDS (SECTOR_BYTES / 8)
#define NR_TAG_WORDS (sizeof(struct tag) / 8)
#define STRIDE 0x9e3779b97f4a7c15u

static uint64_t digest(const struct tag *tag)
{
	uint64_t who = (uint64_t)tag->volume << 32 | tag->operation;

	return mix(tag->seed ^ mix(tag->sector ^ mix(who)));
}

void tag_write(void *sector, const struct tag *tag)
{
	uint64_t words[NR_WORDS], base = digest(tag);

	memcpy(words, tag, sizeof(*tag));
	for (unsigned i = NR_TAG_WORDS; i < NR_WORDS; i++)
		words[i] = base + i * STRIDE;
	memcpy(sector, words, sizeof(words));
}

enum content tag_read(const void *sector, struct tag *tag)
{
	uint64_t words[NR_WORDS], any = 0, wrong = 0, base;
	struct tag found;

	memcpy(words, sector, sizeof(words));
	for (unsigned i = 0; i < NR_WORDS; i++)
		any |= words[i];
	if (!any)
		return CONTENT_ZERO;

	memcpy(&found, words, sizeof(found));
	base = digest(&found);
	for (unsigned i = NR_TAG_WORDS; i < NR_WORDS; i++)
		wrong |= words[i] ^ (base + i * STRIDE);
	if (wrong)
		return CONTENT_FOREIGN;
	*tag = found;

	return CONTENT_TAG;
}
