/*
 * base.h - what every file of the benchmark uses: how it gives up, the clocks.
 */
#ifndef BENCH_BASE_H
#define BENCH_BASE_H

#include <stddef.h>
#include <stdint.h>

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* Of the pools that are measured. */
#define BLOCK_BYTES (64 * KIB)

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Ends the program: a figure that is got past an error is worth nothing. */
_Noreturn void die(const char *what);

/* Dies if @r, 0 or a negative errno, says so. */
void check(int r, const char *what);

/* Zeroed; dies if there is no memory. */
void *allocate(size_t bytes);

/* Whole pages, none of them the kernel's page of zeroes; for munmap(). */
void *allocate_pages(size_t bytes);

uint64_t now_ns(void);

/* Of all threads of the process. */
uint64_t cpu_ns(void);

#endif
