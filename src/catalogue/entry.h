/*
 * entry.h - what the catalogue knows of one volume, in memory.
 */
#ifndef TPI_CATALOGUE_ENTRY_H
#define TPI_CATALOGUE_ENTRY_H

#include <thinpool/catalogue.h>

#include "io/base.h"

#define TPI_NO_ORIGIN UINT32_MAX

/* Bits that a reader has to know, and those it may ignore (doc/catalogue.md). */
#define TPI_ENTRY_KNOWN_FLAGS (TP_VOLUME_READ_ONLY | TP_VOLUME_EXTERNAL_ORIGIN)
#define TPI_ENTRY_NEEDED_FLAGS 0xffffu

struct tpi_entry {
	uint32_t page; /* of the catalogue, where it is kept */
	uint32_t id;
	uint32_t flags;
	uint32_t origin; /* or TPI_NO_ORIGIN */
	uint64_t size;
	/* Which thin with this id it describes. */
	uint64_t transaction_id;
	uint32_t creation_time;
	char name[];
};

/* -ENOMEM and a sentence. */
static inline int tpi_no_memory(void)
{
	return tpi_error(-ENOMEM, "no memory for the catalogue");
}

/* Zeroed but for the name, of @length bytes.  NULL: no memory. */
struct tpi_entry *tpi_entry_new(const char *name, size_t length);

/* The same under another name. */
struct tpi_entry *tpi_entry_renamed(const struct tpi_entry *entry,
				    const char *name);

/* Whether @size may be a volume's. */
static inline bool tpi_size_is_good(uint64_t size)
{
	return size % TP_SECTOR_SIZE == 0 && size < (uint64_t)1 << 63;
}

#endif
