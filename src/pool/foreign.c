/*
 * foreign.c - see foreign.h.
 *
 * Whoever names the wrong device should be told what it is before he has it
 * formatted.  Only signatures within the one block that is read anyway.
 */
#include "pool/foreign.h"

#include <stddef.h>
#include <string.h>

struct signature {
	unsigned offset;
	unsigned char length;
	const char *bytes;
	const char *name;
};

/* The surest first: a boot sector may be before any of the others. */
static const struct signature signatures[] = {
	{ 32, 8, "\x03\xc4\x18\0\0\0\0", "the metadata of a dm-cache" },
	{ 32, 8, "\x7b\x07\xc1\x7e\0\0\0", "the metadata of a dm-era" },
	{ 0, 8, "dmvdo001", "a VDO device" },
	{ 0, 11, "<superblock", "a dump in XML, which thin_restore reads" },
	{ 0, 6, "LUKS\xba\xbe", "a LUKS device" },
	{ 0, 4, "XFSB", "an XFS file system" },
	{ 1080, 2, "\x53\xef", "an ext2, ext3 or ext4 file system" },
	{ 3, 8, "NTFS    ", "an NTFS file system" },
	{ 0, 4, "hsqs", "a squashfs image" },
	{ 0, 4, "QFI\xfb", "a qcow2 image" },
	{ 512, 8, "LABELONE", "a physical volume of LVM" },
	{ 4086, 10, "SWAPSPACE2", "swap space" },
	{ 512, 8, "EFI PART", "a disk with partitions" },
	{ 510, 2, "\x55\xaa", "a boot sector or a disk with partitions" },
};

const char *tpi_foreign_name(const void *block)
{
	const char *bytes = block;

	for (size_t i = 0; i < sizeof(signatures) / sizeof(*signatures); i++) {
		const struct signature *signature = &signatures[i];

		if (!memcmp(bytes + signature->offset, signature->bytes,
			    signature->length))
			return signature->name;
	}

	return NULL;
}
