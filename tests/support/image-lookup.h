/*
 * image-lookup.h - mappings looked up in an image, in the plainest way: go down
 * to the greatest key that is not above the one that is sought.
 *
 * Whatever else an engine does about a damaged image, it must not find another
 * mapping than the one that everyone finds.
 */
#ifndef TESTS_SUPPORT_IMAGE_LOOKUP_H
#define TESTS_SUPPORT_IMAGE_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

/* 0: *@mapping is the value; -ENODATA: there is none; -EILSEQ: the way there
 * makes no sense. */
int image_lookup(const void *bytes, uint64_t size_bytes, uint64_t thin,
		 uint64_t vblock, uint64_t *mapping);

/*
 * Is everything that is needed to read the thin the same in both images, to the
 * byte: superblock, the ways to its mappings and details, all of its mappings?
 * @good is a good image that has the thin.
 */
bool image_has_same_thin(const void *good, const void *other,
			 uint64_t size_bytes, uint64_t thin);

#endif
