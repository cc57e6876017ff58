/*
 * huge-pages.c - see huge-pages.h.
 */
#include "io/huge-pages.h"

#include <stdint.h>
#include <sys/mman.h>

#define HUGE_PAGE_BYTES ((uintptr_t)2 << 20)

void tpi_prefer_huge_pages(void *memory, size_t bytes)
{
	uintptr_t mask = HUGE_PAGE_BYTES - 1;
	uintptr_t begin = ((uintptr_t)memory + mask) & ~mask;
	uintptr_t end = ((uintptr_t)memory + bytes) & ~mask;

	if (begin < end)
		(void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
}
