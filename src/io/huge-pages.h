/*
 * huge-pages.h - large memory that is used here and there.
 */
#ifndef TPI_IO_HUGE_PAGES_H
#define TPI_IO_HUGE_PAGES_H

#include <stddef.h>

/*
 * Have the system use its huge pages for what of this memory can be made of
 * them: then it is not handed out 4 KiB at a time, and finding the place of a
 * page does not take as long as reading it.  A hint: nothing depends on it.
 */
void tpi_prefer_huge_pages(void *memory, size_t bytes);

#endif
