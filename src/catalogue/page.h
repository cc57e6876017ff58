/*
 * page.h - the bytes of a page of the catalogue (doc/catalogue.md).
 *
 * A page is written in a buffer of TPI_CATALOGUE_PAGE_BYTES: start, add,
 * perhaps set details, seal.  What is read may be anything.
 */
#ifndef TPI_CATALOGUE_PAGE_H
#define TPI_CATALOGUE_PAGE_H

#include "catalogue/entry.h"

#define TPI_CATALOGUE_PAGE_BYTES 65536u
#define TPI_CATALOGUE_MAX_PAGES (1u << 17)
#define TPI_PAGE_HEADER_BYTES 32u

/* What an entry takes up in a page. */
size_t tpi_page_entry_bytes(const struct tpi_entry *entry);

/* A page without entries. */
void tpi_page_start(void *page, uint32_t number);

/* There must be room.  Where the entry lies. */
size_t tpi_page_add(void *page, const struct tpi_entry *entry);

/* Correct the details of the entry that was added @at. */
void tpi_page_set_details(void *page, size_t at, uint64_t transaction_id,
			  uint32_t creation_time);

/* Bytes in use. */
size_t tpi_page_length(const void *page);

/* The last thing to do to it. */
void tpi_page_seal(void *page);

/*
 * Check a page and hand its entries, one by one, to @each, who then owns them;
 * stop when that returns other than 0, and return that.
 *
 * -EILSEQ: damaged; -EINVAL: of a version, or with flags, that we do not know;
 * -ENOMEM.
 */
int tpi_page_read(const void *page, uint32_t number,
		  int (*each)(struct tpi_entry *entry, void *context),
		  void *context);

#endif
